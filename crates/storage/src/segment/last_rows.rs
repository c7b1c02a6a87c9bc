//! The last row of each code of a symbol column: [`LastRows`].
//!
//! The newest row of a key is soon known where each segment knows its own. It is not stored: it is computed when a query first
//! asks for it, from the end and no further than it takes to find every code that the segment can have, and is kept while the
//! segment is mapped, in 4 bytes a code. Rows in memory that are sorted know their last ones in the same way.

use arrow_array::{Array, Int32Array};

/// A segment has so many rows for each code that it can have, or its last rows are not kept: so they take at most a fourth of
/// a byte a row.
const ROWS_A_CODE: usize = 16;
/// Stands for no row.
const NONE: u32 = u32::MAX;

/// The last row of each code, dead rows among them.
#[derive(Debug)]
pub struct LastRows {
    by_code: Box<[u32]>,
    null: u32,
}

impl LastRows {
    /// Returns whether last rows are kept of so many rows with so many codes.
    pub(crate) fn are_worth(rows: usize, codes: usize) -> bool {
        rows < NONE as usize && codes.saturating_mul(ROWS_A_CODE) <= rows
    }

    /// Finds the last rows of codes; None when some are not below `codes`.
    pub(crate) fn of(column: &Int32Array, codes: usize) -> Option<LastRows> {
        let mut found = LastRows { by_code: vec![NONE; codes].into(), null: NONE };
        let nulls = column.nulls().filter(|nulls| nulls.null_count() > 0);
        let mut left = codes + usize::from(nulls.is_some());
        for (row, code) in column.values().iter().enumerate().rev() {
            if left == 0 {
                break;
            }
            let place = match nulls {
                Some(nulls) if nulls.is_null(row) => &mut found.null,
                // a valid code is not negative
                _ => found.by_code.get_mut(*code as u32 as usize)?,
            };
            if *place == NONE {
                *place = row as u32;
                left -= 1;
            }
        }
        Some(found)
    }

    /// Returns the last row of a code, of NULL without one; None when no row has it.
    pub fn of_code(&self, code: Option<usize>) -> Option<u32> {
        let row = match code {
            Some(code) => self.by_code.get(code).copied(),
            None => Some(self.null),
        };
        row.filter(|row| *row != NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_its_last_row_and_null_has_one() {
        let found =
            LastRows::of(&Int32Array::from(vec![Some(2), None, Some(0), Some(2), None, Some(0)]), 4).expect("few");
        let rows: Vec<Option<u32>> = (0..5).map(|code| found.of_code(Some(code))).collect();
        assert_eq!(rows, [Some(5), None, Some(3), None, None]);
        assert_eq!(found.of_code(None), Some(4));
        let found = LastRows::of(&Int32Array::from(vec![0, 1, 0]), 2).expect("few");
        assert_eq!([found.of_code(Some(0)), found.of_code(Some(1)), found.of_code(None)], [Some(2), Some(1), None]);
        let empty = LastRows::of(&Int32Array::from(Vec::<i32>::new()), 0).expect("none");
        assert_eq!(empty.of_code(Some(0)), None);
        assert!(LastRows::of(&Int32Array::from(vec![0, 2, 1]), 2).is_none());
    }

    #[test]
    fn codes_that_are_nearly_as_many_as_rows_are_not_worth_it() {
        assert!(
            LastRows::are_worth(1600, 100) && !LastRows::are_worth(1599, 100) && !LastRows::are_worth(5, usize::MAX)
        );
    }
}
