//! Which keys still wait for their newest row: [`Waiting`], asked row by row from the newest to the oldest.
//!
//! Symbols index an array by their codes, NULL behind the last of them; so it is known when no key waits any more, and
//! rows of keys that do not wait are passed over some dozens at a time. Keys of other types are numbers packed side by side
//! and looked up in a set, which never knows that all have been seen.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, PrimitiveArray};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::*;
use datafusion::common::{Result, internal_err};
use storage::segment::LastRows;

use crate::exec::direct::Selection;

/// Combinations of codes that an array is made for.
const MOST_COMBINATIONS: usize = 1 << 24;
/// Rows of which one look tells that none is wanted.
const GROUP_ROWS: usize = 64;

/// The keys that wait.
pub enum Waiting {
    Codes(Codes),
    Numbers(Numbers),
}

impl Waiting {
    /// Appends those selected rows, newest first, that are the first of a waiting key; these keys wait no more. `keys` are the
    /// key columns of all rows.
    pub fn newest(&mut self, keys: &[&ArrayRef], selection: &Selection, found: &mut Vec<u32>) -> Result<()> {
        match self {
            Waiting::Codes(codes) => codes.newest(keys, selection, found),
            Waiting::Numbers(numbers) => numbers.newest(keys, selection, found),
        }
    }

    /// Appends the rows, rising, that `last` says are the last ones of waiting keys; these keys wait no more. The only key is a symbol.
    pub fn take_last(&mut self, last: &LastRows, found: &mut Vec<u32>) {
        let Waiting::Codes(Codes { sizes, waiting, left, .. }) = self else { return };
        debug_assert_eq!(sizes.len(), 1, "rows are known by one code");
        let null = waiting.len() - 1;
        for (slot, waits) in waiting.iter_mut().enumerate().filter(|(_, waits)| **waits != 0) {
            if let Some(row) = last.of_code((slot < null).then_some(slot)) {
                *waits = 0;
                *left -= 1;
                found.push(row);
            }
        }
        found.sort_unstable();
    }

    /// Returns whether no key can be waiting.
    pub fn is_done(&self) -> bool {
        matches!(self, Waiting::Codes(codes) if codes.left == 0)
    }

    /// Returns the bytes that it takes.
    pub fn bytes(&self) -> usize {
        match self {
            Waiting::Codes(codes) => codes.waiting.len(),
            Waiting::Numbers(numbers) => numbers.seen.capacity() * (size_of::<u128>() + 1),
        }
    }
}

/// What is known of one symbol key: the codes below `count` and NULL may occur where `wanted` says so; NULL is the last.
pub struct SymbolKey {
    pub count: usize,
    pub wanted: Vec<bool>,
}

/// Keys that are symbols only.
pub struct Codes {
    /// How many values each key can have, NULL included.
    sizes: Vec<usize>,
    /// By combination of codes, the first key most significant: 1 where the key waits.
    waiting: Vec<u8>,
    left: usize,
    slots: Vec<u32>,
}

impl Codes {
    /// Returns whether so many values of each key are few enough together.
    pub fn fit(counts: &[usize]) -> bool {
        let product = counts.iter().try_fold(1usize, |product, count| product.checked_mul(count + 1));
        product.is_some_and(|product| product <= MOST_COMBINATIONS)
    }

    /// Returns the combinations of the keys' wanted values, all of them waiting.
    pub fn new(keys: &[SymbolKey]) -> Codes {
        let mut waiting = vec![1u8];
        for key in keys {
            debug_assert_eq!(key.wanted.len(), key.count + 1, "one more for NULL");
            let with = |outer: &u8| key.wanted.iter().map(move |wanted| outer & u8::from(*wanted)).collect::<Vec<_>>();
            waiting = waiting.iter().flat_map(with).collect();
        }
        let left = waiting.iter().map(|w| usize::from(*w)).sum();
        Codes { sizes: keys.iter().map(|key| key.count + 1).collect(), waiting, left, slots: Vec::new() }
    }

    fn newest(&mut self, keys: &[&ArrayRef], selection: &Selection, found: &mut Vec<u32>) -> Result<()> {
        let codes: Vec<&Int32Array> = keys.iter().filter_map(|key| key.as_primitive_opt()).collect();
        if codes.len() != self.sizes.len() {
            return internal_err!("codes of {} symbols were expected", self.sizes.len());
        }
        let (waiting, left) = (&mut self.waiting, &mut self.left);
        if let ([codes], Selection::All) = (codes.as_slice(), selection)
            && codes.null_count() == 0
        {
            // codes are never negative
            let slots: ScalarBuffer<u32> = codes.values().inner().clone().into();
            take_all(&slots, waiting, left, found);
            return Ok(());
        }
        self.slots.clear();
        self.slots.resize(codes.first().map_or(0, |c| c.len()), 0);
        for (codes, size) in codes.iter().zip(&self.sizes) {
            add_key(&mut self.slots, codes, *size as u32);
        }
        match selection {
            Selection::All => take_all(&self.slots, waiting, left, found),
            Selection::Rows(rows) => {
                for row in rows.iter().rev() {
                    if *left == 0 {
                        break;
                    }
                    take(*row, self.slots[*row as usize], waiting, left, found);
                }
            }
        }
        Ok(())
    }
}

fn add_key(slots: &mut [u32], codes: &Int32Array, size: u32) {
    let values = codes.values();
    match codes.nulls() {
        None => slots.iter_mut().zip(values).for_each(|(slot, code)| *slot = *slot * size + *code as u32),
        Some(nulls) => {
            for ((slot, code), valid) in slots.iter_mut().zip(values).zip(nulls) {
                *slot = *slot * size + if valid { *code as u32 } else { size - 1 };
            }
        }
    }
}

/// Takes from all rows, last first.
fn take_all(slots: &[u32], waiting: &mut [u8], left: &mut usize, found: &mut Vec<u32>) {
    let mut end = slots.len();
    while end > 0 && *left > 0 {
        let start = end.saturating_sub(GROUP_ROWS);
        let group = &slots[start..end];
        let any = group.iter().fold(0, |any, slot| any | waiting[*slot as usize]);
        if any != 0 {
            for (i, slot) in group.iter().enumerate().rev() {
                take((start + i) as u32, *slot, waiting, left, found);
            }
        }
        end = start;
    }
}

fn take(row: u32, slot: u32, waiting: &mut [u8], left: &mut usize, found: &mut Vec<u32>) {
    let waits = &mut waiting[slot as usize];
    if *waits != 0 {
        *waits = 0;
        *left -= 1;
        found.push(row);
    }
}

/// Keys that are integers, moments, flags and symbols, packed into one number.
#[derive(Default)]
pub struct Numbers {
    seen: HashSet<u128, BuildHasherDefault<Mixed>>,
    packed: Vec<u128>,
}

impl Numbers {
    /// Returns whether keys of these stored types can be packed.
    pub fn fit(types: &[DataType]) -> bool {
        let bits = types.iter().map(key_bits).try_fold(0, |sum, bits| Some(sum + bits?));
        bits.is_some_and(|bits| bits <= u128::BITS)
    }

    fn newest(&mut self, keys: &[&ArrayRef], selection: &Selection, found: &mut Vec<u32>) -> Result<()> {
        self.packed.clear();
        self.packed.resize(keys.first().map_or(0, |key| key.len()), 0);
        for key in keys {
            pack(key, &mut self.packed)?;
        }
        let mut take = |row: u32| {
            if self.seen.insert(self.packed[row as usize]) {
                found.push(row);
            }
        };
        match selection {
            Selection::All => (0..self.packed.len() as u32).rev().for_each(&mut take),
            Selection::Rows(rows) => rows.iter().rev().copied().for_each(&mut take),
        }
        Ok(())
    }
}

/// Returns the bits that a key of a stored type takes, one of them for NULL.
fn key_bits(data_type: &DataType) -> Option<u32> {
    match data_type {
        DataType::Boolean => Some(2),
        DataType::Int8 => Some(9),
        DataType::Int16 | DataType::UInt16 => Some(17),
        DataType::Int32 | DataType::UInt32 => Some(33),
        DataType::Int64 | DataType::Timestamp(..) => Some(65),
        _ => None,
    }
}

/// Puts a key behind what is packed already.
fn pack(key: &ArrayRef, packed: &mut [u128]) -> Result<()> {
    fn numbers<T: ArrowPrimitiveType>(
        array: &PrimitiveArray<T>,
        bits: u32,
        packed: &mut [u128],
        of: impl Fn(T::Native) -> u64,
    ) {
        for (row, packed) in packed.iter_mut().enumerate() {
            let number = if array.is_valid(row) { u128::from(of(array.value(row))) << 1 | 1 } else { 0 };
            *packed = *packed << bits | number;
        }
    }
    let Some(bits) = key_bits(key.data_type()) else { return internal_err!("{} is no packed key", key.data_type()) };
    match key.data_type() {
        DataType::Boolean => {
            for (packed, flag) in packed.iter_mut().zip(key.as_boolean()) {
                *packed = *packed << bits | flag.map_or(0, |flag| u128::from(flag) << 1 | 1);
            }
        }
        DataType::Int8 => numbers(key.as_primitive::<Int8Type>(), bits, packed, |n| u64::from(n as u8)),
        DataType::Int16 => numbers(key.as_primitive::<Int16Type>(), bits, packed, |n| u64::from(n as u16)),
        DataType::UInt16 => numbers(key.as_primitive::<UInt16Type>(), bits, packed, u64::from),
        DataType::Int32 => numbers(key.as_primitive::<Int32Type>(), bits, packed, |n| u64::from(n as u32)),
        DataType::UInt32 => numbers(key.as_primitive::<UInt32Type>(), bits, packed, u64::from),
        DataType::Int64 => numbers(key.as_primitive::<Int64Type>(), bits, packed, |n| n as u64),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            numbers(key.as_primitive::<TimestampMillisecondType>(), bits, packed, |n| n as u64)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            numbers(key.as_primitive::<TimestampMicrosecondType>(), bits, packed, |n| n as u64)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            numbers(key.as_primitive::<TimestampNanosecondType>(), bits, packed, |n| n as u64)
        }
        other => return internal_err!("{other} is no packed key"),
    }
    Ok(())
}

/// A hash of one packed number: a product folded in half, as nobody can choose keys to slow down others than himself.
#[derive(Default)]
pub struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.mix(u64::from_ne_bytes(word));
        }
    }

    fn write_u128(&mut self, number: u128) {
        self.mix(number as u64);
        self.mix((number >> 64) as u64);
    }
}

impl Mixed {
    fn mix(&mut self, word: u64) {
        const ODD: u128 = 0x9e37_79b9_7f4a_7c15;
        let product = u128::from(self.0 ^ word).wrapping_mul(ODD) + u128::from(word);
        self.0 = (product as u64) ^ (product >> 64) as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Int64Array};

    use super::*;

    fn symbol(codes: &[Option<i32>]) -> ArrayRef {
        Arc::new(Int32Array::from(codes.to_vec()))
    }

    fn found(waiting: &mut Waiting, keys: &[ArrayRef], selection: Selection) -> Vec<u32> {
        let mut found = Vec::new();
        let keys: Vec<&ArrayRef> = keys.iter().collect();
        waiting.newest(&keys, &selection, &mut found).expect("keys of the right type");
        found
    }

    fn all(count: usize) -> SymbolKey {
        SymbolKey { count, wanted: vec![true; count + 1] }
    }

    #[test]
    fn the_last_row_of_each_code_is_found_once_and_nothing_after_all_are_seen() {
        let mut waiting = Waiting::Codes(Codes::new(&[all(2)]));
        let codes = [symbol(&[Some(0), None, Some(1), None, Some(1)])];
        assert_eq!(found(&mut waiting, &codes, Selection::All), [4, 3, 0]);
        assert!(waiting.is_done());
        assert_eq!(found(&mut waiting, &codes, Selection::All), [0u32; 0]);
    }

    #[test]
    fn long_stretches_of_seen_codes_hide_no_waiting_one() {
        for place in [0, 1, 62, 63, 64, 65, 127, 128, 999] {
            let mut codes = vec![Some(0); 1_000];
            codes[place] = Some(1);
            let mut waiting = Waiting::Codes(Codes::new(&[SymbolKey { count: 2, wanted: vec![false, true, false] }]));
            assert_eq!(found(&mut waiting, &[symbol(&codes)], Selection::All), [place as u32]);
            assert!(waiting.is_done());
        }
    }

    #[test]
    fn unwanted_codes_never_wait_and_unselected_rows_do_not_count() {
        let mut waiting = Waiting::Codes(Codes::new(&[SymbolKey { count: 2, wanted: vec![true, false, true] }]));
        let codes = [symbol(&[Some(0), Some(1), None, Some(0)])];
        assert_eq!(found(&mut waiting, &codes, Selection::Rows(vec![0, 1, 2])), [2, 0]);
        assert!(waiting.is_done());
    }

    #[test]
    fn several_symbols_are_one_key() {
        let mut waiting = Waiting::Codes(Codes::new(&[all(2), all(1)]));
        let keys =
            [symbol(&[Some(0), Some(0), None, Some(1), Some(0)]), symbol(&[Some(0), None, None, Some(0), Some(0)])];
        assert_eq!(found(&mut waiting, &keys, Selection::All), [4, 3, 2, 1]);
        assert!(!waiting.is_done(), "a code and NULL may still come");
    }

    #[test]
    fn numbers_and_flags_are_keys_too_and_null_is_none_of_them() {
        let mut waiting = Waiting::Numbers(Numbers::default());
        let longs: ArrayRef = Arc::new(Int64Array::from(vec![Some(-1), None, Some(0), Some(-1), Some(0), None]));
        let flags: ArrayRef = Arc::new(BooleanArray::from(vec![true, false, false, true, true, false]));
        let types = [longs.data_type().clone(), flags.data_type().clone()];
        assert!(Numbers::fit(&types) && !Numbers::fit(&[DataType::Int64, DataType::Int64]));
        assert_eq!(found(&mut waiting, &[longs, flags], Selection::All), [5, 4, 3, 2]);
    }
}
