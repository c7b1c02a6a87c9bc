//! count and count_distinct, which are the engine's own aggregates in the plain form.

use std::any::Any;
use std::mem::{size_of, take};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array};
use datafusion::common::{Result, internal_err};

use super::table::Table;
use super::whole::{Wholes, wholes};
use crate::exec::direct::block::BlockZones;
use crate::functions::aggregate::dense::Dense;
use crate::functions::aggregate::groups::Groups;

/// How many rows, or how many values that are not NULL if there is an argument.
#[derive(Default)]
pub struct Counts(Vec<i64>);

impl Groups for Counts {
    fn grow(&mut self, groups: usize) {
        self.0.resize(groups, 0);
    }

    fn add_stretch(&mut self, arguments: &[ArrayRef], rows: Range<usize>, group: usize) -> Result<()> {
        let nulls = arguments.first().and_then(|argument| argument.logical_nulls());
        let nulls = nulls.filter(|n| n.null_count() > 0).map_or(0, |n| n.slice(rows.start, rows.len()).null_count());
        self.0[group] += (rows.len() - nulls) as i64;
        Ok(())
    }

    fn is_zoned(&self) -> bool {
        true
    }

    fn add_zoned(
        &mut self,
        arguments: &[ArrayRef],
        zones: &BlockZones,
        rows: Range<usize>,
        group: usize,
    ) -> Result<()> {
        if !zones.are_known() {
            return self.add_stretch(arguments, rows, group);
        }
        self.0[group] += zones.valid(rows) as i64;
        Ok(())
    }

    fn add_each(&mut self, arguments: &[ArrayRef], groups: &[u32]) -> Result<()> {
        let nulls = arguments.first().and_then(|argument| argument.logical_nulls());
        match nulls.filter(|nulls| nulls.null_count() > 0) {
            None => groups.iter().for_each(|group| self.0[*group as usize] += 1),
            Some(nulls) => nulls.valid_indices().for_each(|row| self.0[groups[row] as usize] += 1),
        }
        Ok(())
    }

    fn is_dense(&self) -> bool {
        true
    }

    fn add_dense(&mut self, arguments: &[ArrayRef], rows: Range<usize>, dense: &Dense<'_>) -> Result<()> {
        let nulls = arguments.first().and_then(|argument| argument.logical_nulls());
        match nulls.filter(|nulls| nulls.null_count() > 0) {
            None => dense.groups().for_each(|(_, group, count)| self.0[group] += i64::from(count)),
            Some(nulls) => {
                rows.zip(dense.of_rows()).for_each(|(row, group)| self.0[group] += i64::from(nulls.is_valid(row)));
            }
        }
        Ok(())
    }

    fn merge(&mut self, later: &mut dyn Groups, pairs: &[(u32, u32)]) -> Result<()> {
        let Some(later) = (later as &mut dyn Any).downcast_ref::<Counts>() else {
            return internal_err!("states of two aggregates cannot be merged");
        };
        pairs.iter().for_each(|(from, to)| self.0[*to as usize] += later.0[*from as usize]);
        Ok(())
    }

    fn answers(&mut self, groups: &[u32]) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from_iter_values(groups.iter().map(|group| self.0[*group as usize]))))
    }

    fn size(&self) -> usize {
        self.0.capacity() * size_of::<i64>()
    }
}

/// How many different values of whole numbers, moments or codes; NULL is none of them.
pub struct Distinct {
    counts: Vec<i64>,
    seen: Seen,
}

enum Seen {
    /// Of the only group: a bit for each number from `low` on.
    Bits { low: i64, bits: Vec<u64> },
    /// Group and number.
    Pairs(Table<u128>),
}

/// Most words of a set of bits: 16 MB.
const MOST_WORDS: usize = 2 << 20;

impl Distinct {
    pub fn new() -> Distinct {
        Distinct { counts: Vec::new(), seen: Seen::Bits { low: 0, bits: Vec::new() } }
    }

    /// Adds values of one group.
    fn add_values(&mut self, values: &[i64], group: u32) {
        if values.is_empty() {
            return;
        }
        if group > 0 || !self.seen.cover(values) {
            self.seen.turn_into_pairs();
        }
        let added = match &mut self.seen {
            Seen::Bits { low, bits } => {
                let mut added = 0;
                for value in values {
                    let place = value.wrapping_sub(*low) as u64;
                    let (word, bit) = (&mut bits[(place / 64) as usize], 1 << (place % 64));
                    added += i64::from(*word & bit == 0);
                    *word |= bit;
                }
                added
            }
            Seen::Pairs(pairs) => values.iter().filter(|value| pairs.add(paired(group, **value))).count() as i64,
        };
        self.counts[group as usize] += added;
    }
}

fn paired(group: u32, value: i64) -> u128 {
    u128::from(group) << 64 | u128::from(value as u64)
}

impl Seen {
    /// Makes room for the values; false when they lie too far apart.
    fn cover(&mut self, values: &[i64]) -> bool {
        let Seen::Bits { low, bits } = self else { return true };
        let Some(first) = values.first() else { return true };
        let (least, greatest) = values.iter().fold((*first, *first), |(l, g), v| (l.min(*v), g.max(*v)));
        // whole words, so that they can be moved
        let (least, greatest) = (least.div_euclid(64), greatest.div_euclid(64));
        if bits.is_empty() {
            *low = least * 64;
        }
        let old = low.div_euclid(64);
        let start = least.min(old);
        let end = (greatest + 1).max(old + bits.len() as i64);
        let words = (end - start) as usize;
        if words > MOST_WORDS {
            return false;
        }
        if words > bits.len() {
            let mut larger = vec![0; words];
            let offset = (old - start) as usize;
            larger[offset..offset + bits.len()].copy_from_slice(bits);
            (*low, *bits) = (start * 64, larger);
        }
        true
    }

    fn turn_into_pairs(&mut self) {
        let Seen::Bits { low, bits } = self else { return };
        let (low, bits) = (*low, take(bits));
        let mut pairs = Table::new();
        for value in set_values(low, &bits) {
            pairs.add(paired(0, value));
        }
        *self = Seen::Pairs(pairs);
    }
}

fn set_values(low: i64, bits: &[u64]) -> impl Iterator<Item = i64> + '_ {
    let of_word = move |(place, word): (usize, &u64)| {
        let (mut left, first) = (*word, low.wrapping_add(place as i64 * 64));
        std::iter::from_fn(move || {
            let bit = left.trailing_zeros();
            (left != 0).then(|| {
                left &= left - 1;
                first.wrapping_add(i64::from(bit))
            })
        })
    };
    bits.iter().enumerate().flat_map(of_word)
}

impl Groups for Distinct {
    fn grow(&mut self, groups: usize) {
        self.counts.resize(groups, 0);
    }

    fn add_stretch(&mut self, arguments: &[ArrayRef], rows: Range<usize>, group: usize) -> Result<()> {
        let Wholes { values, nulls } = wholes(&arguments[0])?;
        match nulls {
            None => self.add_values(&values[rows], group as u32),
            Some(nulls) => {
                for (start, end) in nulls.slice(rows.start, rows.len()).valid_slices() {
                    self.add_values(&values[rows.start + start..rows.start + end], group as u32);
                }
            }
        }
        Ok(())
    }

    fn add_each(&mut self, arguments: &[ArrayRef], groups: &[u32]) -> Result<()> {
        let Wholes { values, nulls } = wholes(&arguments[0])?;
        self.seen.turn_into_pairs();
        let Seen::Pairs(pairs) = &mut self.seen else { return Ok(()) };
        for (row, group) in groups.iter().enumerate() {
            if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) && pairs.add(paired(*group, values[row])) {
                self.counts[*group as usize] += 1;
            }
        }
        Ok(())
    }

    fn merge(&mut self, later: &mut dyn Groups, pairs: &[(u32, u32)]) -> Result<()> {
        let Some(later) = (later as &mut dyn Any).downcast_mut::<Distinct>() else {
            return internal_err!("states of two aggregates cannot be merged");
        };
        let mut ours = vec![None; later.counts.len()];
        pairs.iter().for_each(|(from, to)| ours[*from as usize] = Some(*to));
        match &later.seen {
            Seen::Bits { low, bits } => {
                let Some(Some(group)) = ours.first().copied() else { return Ok(()) };
                let values: Vec<i64> = set_values(*low, bits).collect();
                self.add_values(&values, group);
            }
            Seen::Pairs(seen) => {
                for (pair, _) in seen.iter() {
                    if let Some(group) = ours[(pair >> 64) as usize] {
                        self.add_values(&[pair as u64 as i64], group);
                    }
                }
            }
        }
        Ok(())
    }

    fn answers(&mut self, groups: &[u32]) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from_iter_values(groups.iter().map(|group| self.counts[*group as usize]))))
    }

    fn size(&self) -> usize {
        let seen = match &self.seen {
            Seen::Bits { bits, .. } => bits.capacity() * size_of::<u64>(),
            Seen::Pairs(pairs) => pairs.size(),
        };
        self.counts.capacity() * size_of::<i64>() + seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn longs(values: &[Option<i64>]) -> Vec<ArrayRef> {
        vec![Arc::new(Int64Array::from(values.to_vec()))]
    }

    fn counts(groups: &mut dyn Groups, count: u32) -> Vec<i64> {
        let answers = groups.answers(&(0..count).collect::<Vec<_>>()).expect("answers");
        arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(&answers).values().to_vec()
    }

    #[test]
    fn distinct_values_are_counted_near_and_far() {
        for far in [1, 1 << 40, i64::MAX / 2] {
            let values = longs(&[Some(3), Some(far), None, Some(-far), Some(3), Some(i64::MIN), Some(i64::MAX)]);
            let (mut one, mut other) = (Distinct::new(), Distinct::new());
            one.grow(1);
            one.add_stretch(&values, 0..5, 0).expect("adds");
            assert_eq!(counts(&mut one, 1), [3]);
            other.grow(2);
            other.add_each(&values, &[0, 0, 0, 1, 1, 0, 0]).expect("adds");
            assert_eq!(counts(&mut other, 2), [4, 2]);
            one.merge(&mut other, &[(0, 0)]).expect("merges");
            assert_eq!(counts(&mut one, 1), [5]);
        }
    }

    #[test]
    fn null_is_not_counted() {
        let values = longs(&[None, Some(1), None]);
        let mut groups = Counts::default();
        groups.grow(2);
        groups.add_stretch(&values, 0..3, 0).expect("adds");
        groups.add_each(&values, &[1, 1, 1]).expect("adds");
        groups.add_each(&[], &[1, 1, 1]).expect("adds");
        assert_eq!(counts(&mut groups, 2), [1, 4]);
    }
}
