//! A sorted chunk as runs read it: [`SortedChunk`], with what was found out of its rows.
//!
//! It lives as long as the part of the memtable that it was made of. Next: [`super`].

use std::sync::{Arc, OnceLock};

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use types::{ColumnId, ColumnType};

use crate::chunk::Chunk;
use crate::segment::LastRows;

/// Rows in memory, sorted by the designated timestamp, all of one partition.
pub struct SortedChunk {
    chunk: Chunk,
    /// By column, made when they are first asked for.
    last_rows: Box<[OnceLock<Option<Arc<LastRows>>>]>,
}

impl SortedChunk {
    /// Returns a sorted chunk of which nothing was asked yet.
    pub fn new(chunk: Chunk) -> SortedChunk {
        debug_assert!(chunk.sorted, "runs are sorted");
        SortedChunk { last_rows: chunk.columns.iter().map(|_| OnceLock::new()).collect(), chunk }
    }

    /// Returns the rows.
    pub fn chunk(&self) -> &Chunk {
        &self.chunk
    }

    /// Returns the last row of each code of a SYMBOL column; None when the rows lack the column, or have too many codes.
    pub fn last_rows(&self, id: ColumnId) -> Option<Arc<LastRows>> {
        let at = self.place(id)?;
        let found = || {
            let (_, column_type, array) = &self.chunk.columns[at];
            let column = array.as_primitive_opt::<Int32Type>().filter(|_| *column_type == ColumnType::Symbol)?;
            let codes = column.values().iter().max().map_or(0, |max| usize::try_from(*max).map_or(0, |max| max + 1));
            let found = LastRows::are_worth(self.chunk.rows, codes).then(|| LastRows::of(column, codes));
            found.flatten().map(Arc::new)
        };
        self.last_rows[at].get_or_init(found).clone()
    }

    /// Returns the last row of each code of a SYMBOL column if somebody has asked for them before.
    pub fn known_last_rows(&self, id: ColumnId) -> Option<Arc<LastRows>> {
        self.last_rows[self.place(id)?].get()?.clone()
    }

    fn place(&self, id: ColumnId) -> Option<usize> {
        self.chunk.columns.binary_search_by_key(&id, |(id, ..)| *id).ok()
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Int32Array};
    use types::Seq;

    use super::*;

    fn rows(codes: Vec<Option<i32>>, column_type: ColumnType) -> SortedChunk {
        let (rows, array): (usize, ArrayRef) = (codes.len(), Arc::new(Int32Array::from(codes)));
        let columns = vec![(ColumnId(3), column_type, array)];
        SortedChunk::new(Chunk::of_arrays(rows, columns, None, Seq(1)..=Seq(1), 0).expect("a chunk"))
    }

    #[test]
    fn last_rows_are_found_when_they_are_asked_for_and_kept() {
        let codes = (0..64).map(|row| (row % 5 != 4).then_some(row % 5)).collect();
        let chunk = rows(codes, ColumnType::Symbol);
        assert!(chunk.known_last_rows(ColumnId(3)).is_none());
        let last = chunk.last_rows(ColumnId(3)).expect("16 rows a code");
        assert_eq!(
            [0, 1, 2, 3, 4].map(|code| last.of_code(Some(code))),
            [Some(60), Some(61), Some(62), Some(63), None]
        );
        assert_eq!(last.of_code(None), Some(59));
        assert!(chunk.known_last_rows(ColumnId(3)).is_some_and(|known| Arc::ptr_eq(&known, &last)));
    }

    #[test]
    fn rows_of_many_codes_integers_and_absent_columns_have_none() {
        assert!(rows((0..64).map(Some).collect(), ColumnType::Symbol).last_rows(ColumnId(3)).is_none());
        let integers = rows(vec![Some(0); 64], ColumnType::Int);
        assert!(integers.last_rows(ColumnId(3)).is_none() && integers.last_rows(ColumnId(4)).is_none());
        let nulls = rows(vec![None; 64], ColumnType::Symbol).last_rows(ColumnId(3)).expect("no code");
        assert_eq!((nulls.of_code(None), nulls.of_code(Some(0))), (Some(63), None));
    }
}
