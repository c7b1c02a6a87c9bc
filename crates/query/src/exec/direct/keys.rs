//! How the keys of both sides become numbers: rows of equal keys have equal numbers, dense from 0.
//!
//! Keys are symbols. A number is the right side's code; the left codes are translated once a query, by their texts. NULL
//! meets NULL. Several keys are counted like digits.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::Int32Type;
use datafusion::common::{Result, internal_err};

use super::work::Morsel;

/// The most numbers that several keys may have together.
const MOST_NUMBERS: usize = 1 << 22;

/// One pair of key columns.
struct Pair {
    left: usize,
    right: usize,
    /// From left codes to numbers; None when they are the same.
    translated: Option<Vec<i32>>,
    /// The number of NULL; the next one is that of left texts which the right side never saw.
    null: i32,
}

impl Pair {
    fn width(&self) -> i32 {
        self.null + 2
    }
}

/// The keys of a join.
pub struct Keys {
    pairs: Vec<Pair>,
    numbers: usize,
}

/// A pair of key columns: their places in the blocks of each side, their dictionaries.
pub struct KeyColumns {
    pub left: (usize, Arc<StringViewArray>),
    pub right: (usize, Arc<StringViewArray>),
}

/// Returns how many numbers keys of so many codes have; None when they are too many to be indices.
fn number_of(codes: impl IntoIterator<Item = usize>) -> Option<usize> {
    let total = codes.into_iter().try_fold(1usize, |total, codes| total.checked_mul(codes.checked_add(2)?))?;
    (total <= i32::MAX as usize).then_some(total)
}

/// Returns whether keys of so many codes have few enough numbers for an array; those of one symbol are as many as its texts.
pub fn are_countable(codes: &[usize]) -> bool {
    number_of(codes.iter().copied()).is_some_and(|numbers| codes.len() <= 1 || numbers <= MOST_NUMBERS)
}

impl Keys {
    pub fn try_new(columns: Vec<KeyColumns>) -> Result<Keys> {
        let Some(numbers) = number_of(columns.iter().map(|c| c.right.1.len())) else {
            return internal_err!("the keys of a join have too many codes to be counted");
        };
        let pairs = columns.into_iter().map(|KeyColumns { left, right }| Pair {
            left: left.0,
            right: right.0,
            null: right.1.len() as i32,
            translated: translated(&left.1, &right.1),
        });
        Ok(Keys { pairs: pairs.collect(), numbers })
    }

    /// Returns how many numbers there are.
    pub fn numbers(&self) -> usize {
        self.numbers
    }

    /// Returns whether a right row may have that number: no part of it is a text which the right side never saw.
    pub fn may_be_met(&self, number: i32) -> bool {
        let mut rest = number;
        self.pairs.iter().rev().all(|pair| {
            let digit = rest % pair.width();
            rest /= pair.width();
            digit <= pair.null
        })
    }

    /// Returns of each number whether a left row has it and a right row may.
    ///
    /// # Errors
    /// As [`Morsel::read`].
    pub fn wanted_by(&self, left: &[Morsel]) -> Result<Vec<bool>> {
        let mut wanted = vec![false; self.numbers];
        for morsel in left {
            let block = morsel.read()?;
            for number in block.selection().picked(self.of_left(block.columns())).iter() {
                wanted[*number as usize] = true;
            }
        }
        for (number, wanted) in wanted.iter_mut().enumerate() {
            *wanted = *wanted && self.may_be_met(number as i32);
        }
        Ok(wanted)
    }

    /// Returns the numbers of left rows.
    pub fn of_left(&self, columns: &[ArrayRef]) -> ScalarBuffer<i32> {
        self.numbered(|pair| (&columns[pair.left], pair.translated.as_deref()))
    }

    /// Returns the numbers of right rows.
    pub fn of_right(&self, columns: &[ArrayRef]) -> ScalarBuffer<i32> {
        self.numbered(|pair| (&columns[pair.right], None))
    }

    fn numbered<'a>(&'a self, side: impl Fn(&'a Pair) -> (&'a ArrayRef, Option<&'a [i32]>)) -> ScalarBuffer<i32> {
        let mut all: Option<Vec<i32>> = None;
        for pair in &self.pairs {
            let (column, translated) = side(pair);
            let digits = digits(column, translated, pair.null);
            let Some(all) = &mut all else {
                if self.pairs.len() == 1 {
                    return digits;
                }
                all = Some(digits.to_vec());
                continue;
            };
            for (number, digit) in all.iter_mut().zip(digits.iter()) {
                *number = *number * pair.width() + digit;
            }
        }
        ScalarBuffer::from(all.unwrap_or_default())
    }
}

/// Returns one key's numbers; codes that need no change are not copied.
fn digits(column: &ArrayRef, translated: Option<&[i32]>, null: i32) -> ScalarBuffer<i32> {
    let codes = column.as_primitive::<Int32Type>();
    let of = |code: i32| translated.map_or(code, |translated| translated[code as usize]);
    match (codes.nulls().filter(|nulls| nulls.null_count() > 0), translated) {
        (None, None) => codes.values().clone(),
        (None, Some(translated)) => codes.values().iter().map(|code| translated[*code as usize]).collect(),
        (Some(nulls), _) => {
            codes.values().iter().zip(nulls).map(|(code, valid)| if valid { of(*code) } else { null }).collect()
        }
    }
}

/// Returns the right code of each left one; None when every left code is the right code of its text.
fn translated(left: &Arc<StringViewArray>, right: &Arc<StringViewArray>) -> Option<Vec<i32>> {
    let same = |code: usize| code < right.len() && left.value(code) == right.value(code);
    if Arc::ptr_eq(left, right) || (0..left.len()).all(same) {
        return None;
    }
    let codes: HashMap<&str, i32> = (0..right.len()).map(|code| (right.value(code), code as i32)).collect();
    let unseen = right.len() as i32 + 1;
    Some((0..left.len()).map(|code| codes.get(left.value(code)).copied().unwrap_or(unseen)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int32Array;

    fn dictionary(texts: &[&str]) -> Arc<StringViewArray> {
        Arc::new(StringViewArray::from(texts.to_vec()))
    }

    fn codes(codes: &[Option<i32>]) -> ArrayRef {
        Arc::new(Int32Array::from(codes.to_vec()))
    }

    #[test]
    fn codes_are_translated_by_text_and_null_meets_null() {
        let (left, right) = (dictionary(&["b", "new", "", "a"]), dictionary(&["a", "b", "", "old"]));
        let keys = Keys::try_new(vec![KeyColumns { left: (0, left), right: (0, right) }]).expect("few");
        let left = keys.of_left(&[codes(&[Some(0), Some(1), None, Some(2), Some(3)])]);
        let right = keys.of_right(&[codes(&[Some(1), Some(3), None, Some(2), Some(0)])]);
        assert_eq!(left.to_vec(), [1, 5, 4, 2, 0]);
        assert_eq!(right.to_vec(), [1, 3, 4, 2, 0]);
        assert_eq!(left.iter().map(|n| keys.may_be_met(*n)).collect::<Vec<_>>(), [true, false, true, true, true]);
    }

    #[test]
    fn codes_of_one_dictionary_are_not_copied() {
        let (left, right) = (dictionary(&["a", "b"]), dictionary(&["a", "b", "c"]));
        let keys = Keys::try_new(vec![KeyColumns { left: (0, left), right: (0, right) }]).expect("few");
        let column = codes(&[Some(1), Some(0)]);
        let values = column.as_primitive::<Int32Type>().values();
        assert_eq!(keys.of_left(std::slice::from_ref(&column)).as_ptr(), values.as_ptr());
        assert_eq!(keys.of_right(std::slice::from_ref(&column)).as_ptr(), values.as_ptr());
    }

    #[test]
    fn several_keys_are_equal_when_all_are() {
        let pair = |place, left: &[&str], right: &[&str]| KeyColumns {
            left: (place, dictionary(left)),
            right: (place, dictionary(right)),
        };
        let keys = Keys::try_new(vec![pair(0, &["a", "b"], &["b", "a"]), pair(1, &["x"], &["y", "x"])]).expect("few");
        assert_eq!(keys.numbers(), 16);
        let left = keys.of_left(&[codes(&[Some(0), Some(1), None]), codes(&[Some(0), None, Some(0)])]).to_vec();
        let right = keys.of_right(&[codes(&[Some(1), Some(0), None]), codes(&[Some(1), None, Some(1)])]).to_vec();
        assert_eq!(left, right);
        let others = keys.of_right(&[codes(&[Some(1), Some(0), None]), codes(&[Some(0), Some(0), None])]).to_vec();
        assert!(left.iter().zip(&others).all(|(l, r)| l != r), "{left:?} {others:?}");
        assert_eq!(number_of([1 << 20, 1 << 20]), None);
    }
}
