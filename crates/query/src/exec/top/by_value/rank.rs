//! Values as unsigned numbers that rise in the order that is asked for: [`Key`], [`Ranked`].
//!
//! NULL is the first or the last number of all, and no value has these two: small numbers begin with 1, and of those that fill
//! all 64 bits the least integer is NULL itself and the outermost floating numbers are NaNs that nothing makes. So NULL must stand
//! below the integers and above the floating numbers, as QuestDB has it: [`Key::is_exact`].

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::*;
use datafusion::common::{Result, internal_err};
use types::ColumnType;

use crate::exec::direct::block::{Bounds, Values};

const SIGN: u64 = 1 << 63;

/// One column that rows are ordered by.
#[derive(Debug, Clone)]
pub struct Key {
    pub place: usize,
    pub descending: bool,
    pub nulls_first: bool,
}

impl Key {
    /// Returns the rank of NULL: the first or the last of all.
    fn null(&self) -> u64 {
        if self.nulls_first { 0 } else { u64::MAX }
    }

    /// Returns a rank that no row comes before of whose values this is known.
    pub fn least_of(&self, bounds: &Bounds) -> u64 {
        let least = match bounds.values {
            Values::Unknown => return 0,
            Values::None => return self.null(),
            Values::Doubles(min, max) => {
                let first = if self.descending { max } else { min };
                // bounds do not tell zeros apart, ranks do
                let zero = if self.descending { 0.0 } else { -0.0 };
                of_double(if first == 0.0 { zero } else { first })
            }
            Values::Wholes(min, max) => of_integer(if self.descending { max } else { min }),
        };
        let least = in_order(least, self.flip(), self.null());
        if bounds.may_be_null { least.min(self.null()) } else { least }
    }

    fn flip(&self) -> u64 {
        if self.descending { u64::MAX } else { 0 }
    }

    /// Returns whether values of a type keep apart from NULL where this key puts it.
    pub fn is_exact(&self, column_type: ColumnType) -> bool {
        match column_type {
            ColumnType::Float | ColumnType::Double => self.nulls_first == self.descending,
            _ => self.nulls_first != self.descending,
        }
    }
}

/// The values of one key in a block.
pub struct Ranked<'a> {
    values: Numbers<'a>,
    nulls: Option<&'a NullBuffer>,
    flip: u64,
    null: u64,
}

enum Numbers<'a> {
    Boolean(&'a BooleanArray),
    Int8(&'a [i8]),
    Int16(&'a [i16]),
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    UInt32(&'a [u32]),
    Float32(&'a [f32]),
    Float64(&'a [f64]),
    Codes(&'a [i32], &'a [u64]),
}

/// Returns the rank of a value that is not NULL in the wanted order, apart from NULL's.
fn in_order(rank: u64, flip: u64, null: u64) -> u64 {
    let rank = rank ^ flip;
    if null == 0 { rank.max(1) } else { rank.min(u64::MAX - 1) }
}

fn of_integer(value: i64) -> u64 {
    value as u64 ^ SIGN
}

/// The total order of floating numbers: -0.0 before 0.0, NaN behind all.
fn of_double(value: f64) -> u64 {
    let bits = value.to_bits() as i64;
    of_integer(bits ^ (((bits >> 63) as u64) >> 1) as i64)
}

fn double_of(rank: u64) -> f64 {
    let bits = (rank ^ SIGN) as i64;
    f64::from_bits((bits ^ (((bits >> 63) as u64) >> 1) as i64) as u64)
}

fn of_float(value: f32) -> u64 {
    let bits = value.to_bits() as i32;
    of_integer(i64::from(bits ^ (((bits >> 31) as u32) >> 1) as i32))
}

impl<'a> Ranked<'a> {
    /// Returns the values of a stored column; `texts` are the ranks of a symbol's codes.
    pub fn new(key: &Key, column: &'a ArrayRef, texts: Option<&'a Vec<u64>>) -> Result<Ranked<'a>> {
        let values = match (column.data_type(), texts) {
            (DataType::Int32, Some(texts)) => Numbers::Codes(column.as_primitive::<Int32Type>().values(), texts),
            (DataType::Boolean, _) => Numbers::Boolean(column.as_boolean()),
            (DataType::Int8, _) => Numbers::Int8(column.as_primitive::<Int8Type>().values()),
            (DataType::Int16, _) => Numbers::Int16(column.as_primitive::<Int16Type>().values()),
            (DataType::Int32, None) => Numbers::Int32(column.as_primitive::<Int32Type>().values()),
            (DataType::Int64, _) => Numbers::Int64(column.as_primitive::<Int64Type>().values()),
            (DataType::UInt32, _) => Numbers::UInt32(column.as_primitive::<UInt32Type>().values()),
            (DataType::Float32, _) => Numbers::Float32(column.as_primitive::<Float32Type>().values()),
            (DataType::Float64, _) => Numbers::Float64(column.as_primitive::<Float64Type>().values()),
            (DataType::Timestamp(TimeUnit::Millisecond, _), _) => {
                Numbers::Int64(column.as_primitive::<TimestampMillisecondType>().values())
            }
            (DataType::Timestamp(TimeUnit::Microsecond, _), _) => {
                Numbers::Int64(column.as_primitive::<TimestampMicrosecondType>().values())
            }
            (DataType::Timestamp(TimeUnit::Nanosecond, _), _) => {
                Numbers::Int64(column.as_primitive::<TimestampNanosecondType>().values())
            }
            (other, _) => return internal_err!("{other} has no ranks"),
        };
        let nulls = column.nulls().filter(|nulls| nulls.null_count() > 0);
        Ok(Ranked { values, nulls, flip: key.flip(), null: key.null() })
    }

    /// Returns the number of a row's value: the least comes first.
    pub fn rank(&self, row: usize) -> u64 {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return self.null;
        }
        let rank = match &self.values {
            Numbers::Boolean(flags) => u64::from(flags.value(row)) + 1,
            Numbers::Int8(values) => of_integer(values[row].into()),
            Numbers::Int16(values) => of_integer(values[row].into()),
            Numbers::Int32(values) => of_integer(values[row].into()),
            Numbers::Int64(values) => of_integer(values[row]),
            Numbers::UInt32(values) => u64::from(values[row]) + 1,
            Numbers::Float32(values) => of_float(values[row]),
            Numbers::Float64(values) => of_double(values[row]),
            Numbers::Codes(codes, texts) => texts[codes[row] as usize],
        };
        in_order(rank, self.flip, self.null)
    }

    /// Returns whether some of the rows `start..end` may come before or with the rank `worst`; perhaps true where none does.
    pub fn any_before(&self, start: usize, end: usize, worst: u64) -> bool {
        if self.nulls.is_some() {
            return true;
        }
        let worst = worst ^ self.flip;
        let descending = self.flip != 0;
        match &self.values {
            Numbers::Float64(values) => {
                let (values, worst) = (&values[start..end], double_of(worst));
                // what cannot be compared may come before
                match descending {
                    true => any(values, |value| value.partial_cmp(&worst) != Some(std::cmp::Ordering::Less)),
                    false => any(values, |value| value.partial_cmp(&worst) != Some(std::cmp::Ordering::Greater)),
                }
            }
            Numbers::Int64(values) => {
                let (values, worst) = (&values[start..end], (worst ^ SIGN) as i64);
                match descending {
                    true => any(values, |value| *value >= worst),
                    false => any(values, |value| *value <= worst),
                }
            }
            Numbers::Int32(values) => {
                let (values, worst) = (&values[start..end], (worst ^ SIGN) as i64);
                match descending {
                    true => any(values, |value| i64::from(*value) >= worst),
                    false => any(values, |value| i64::from(*value) <= worst),
                }
            }
            Numbers::Codes(codes, texts) => {
                let codes = &codes[start..end];
                match descending {
                    true => any(codes, |code| texts[*code as usize] >= worst),
                    false => any(codes, |code| texts[*code as usize] <= worst),
                }
            }
            _ => true,
        }
    }
}

/// Without a branch a value, so that the loop is one of vectors.
fn any<T>(values: &[T], test: impl Fn(&T) -> bool) -> bool {
    values.iter().fold(false, |any, value| any | test(value))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array};

    use super::*;

    fn ranks(column: &ArrayRef, descending: bool, nulls_first: bool) -> Vec<u64> {
        let key = Key { place: 0, descending, nulls_first };
        let ranked = Ranked::new(&key, column, None).expect("a ranked type");
        (0..column.len()).map(|row| ranked.rank(row)).collect()
    }

    #[test]
    fn ranks_rise_with_the_values_and_null_stands_where_it_is_told() {
        let values = [f64::NEG_INFINITY, -1.5, -0.0, 0.0, 2.0, f64::INFINITY, f64::NAN];
        let column: ArrayRef =
            Arc::new(Float64Array::from(values.map(Some).into_iter().chain([None]).collect::<Vec<_>>()));
        let rising = ranks(&column, false, false);
        assert!(rising.is_sorted_by(|a, b| a < b), "{rising:?}");
        let mut falling = ranks(&column, true, true);
        falling.reverse();
        assert!(falling.is_sorted_by(|a, b| a < b), "{falling:?}");
        let values = [None, Some(i64::MIN + 1), Some(-1), Some(0), Some(i64::MAX)];
        let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
        assert!(ranks(&column, false, true).is_sorted_by(|a, b| a < b));
        assert!(ranks(&column, true, false).is_sorted_by(|a, b| a > b));
    }

    #[test]
    fn small_numbers_keep_apart_from_each_other_and_from_null() {
        let flags: ArrayRef = Arc::new(BooleanArray::from(vec![None, Some(false), Some(true)]));
        assert!(ranks(&flags, false, true).is_sorted_by(|a, b| a < b));
        assert!(ranks(&flags, true, false).is_sorted_by(|a, b| a > b));
    }

    #[test]
    fn no_row_comes_before_what_the_bounds_of_its_zone_say() {
        let values = [f64::NEG_INFINITY, -7.0, -0.0, 0.0, 3.0, f64::INFINITY];
        let longs = [i64::MIN + 1, -7, -1, 0, 3, i64::MAX];
        for descending in [false, true] {
            for nulls_first in [false, true] {
                let key = Key { place: 0, descending, nulls_first };
                for (low, high) in (0..6).flat_map(|low| (low..6).map(move |high| (low, high))) {
                    let mut doubles: Vec<Option<f64>> = values[low..=high].iter().copied().map(Some).collect();
                    let mut wholes: Vec<Option<i64>> = longs[low..=high].iter().copied().map(Some).collect();
                    for may_be_null in [false, true] {
                        if may_be_null {
                            doubles.push(None);
                            wholes.push(None);
                        }
                        let bounds = |values| Bounds { values, may_be_null };
                        let (min, max) = (values[low], values[high]);
                        let least =
                            ranks(&(Arc::new(Float64Array::from(doubles.clone())) as _), descending, nulls_first);
                        // either zero may be what a zone says
                        for (min, max) in [(min, max), (min + 0.0, max + 0.0), (-(0.0 - min), -(0.0 - max))] {
                            let bound = key.least_of(&bounds(Values::Doubles(min, max)));
                            assert!(least.iter().all(|rank| *rank >= bound), "{doubles:?} {descending} {nulls_first}");
                        }
                        let least = ranks(&(Arc::new(Int64Array::from(wholes.clone())) as _), descending, nulls_first);
                        let bound = key.least_of(&bounds(Values::Wholes(longs[low], longs[high])));
                        assert_eq!(least.iter().min(), Some(&bound), "{wholes:?} {descending} {nulls_first}");
                    }
                }
                assert_eq!(key.least_of(&Bounds { values: Values::Unknown, may_be_null: true }), 0);
                let none = Bounds { values: Values::None, may_be_null: true };
                assert_eq!(key.least_of(&none), if nulls_first { 0 } else { u64::MAX });
            }
        }
    }

    #[test]
    fn a_look_at_many_rows_misses_none_that_comes_first() {
        let values = [3.0, -0.0, 0.0, f64::NAN, -7.0, f64::INFINITY];
        let doubles: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
        let longs: ArrayRef = Arc::new(Int64Array::from(vec![3, 0, i64::MIN + 1, i64::MAX, -7, 7]));
        for column in [&doubles, &longs] {
            for descending in [false, true] {
                let key = Key { place: 0, descending, nulls_first: !descending };
                let ranked = Ranked::new(&key, column, None).expect("a ranked type");
                for worst in (0..column.len()).map(|row| ranked.rank(row)) {
                    let before = (0..column.len()).filter(|row| ranked.rank(*row) <= worst);
                    before.for_each(|row| assert!(ranked.any_before(row, row + 1, worst), "row {row} of {column:?}"));
                }
            }
        }
        let key = Key { place: 0, descending: true, nulls_first: false };
        let ranked = Ranked::new(&key, &longs, None).expect("a ranked type");
        assert!(!ranked.any_before(0, 3, ranked.rank(5)), "3, 0 and the least come after 7");
    }
}
