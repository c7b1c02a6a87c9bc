//! A frozen piece of a memtable: [`Chunk`], Arrow arrays of the rows of one commit or of several joined together.
//!
//! Here sentinels become Arrow validity, and rows get their order: by the designated timestamp, ties by arrival.
//! A chunk never changes; it knows nothing of files. Next: [`crate::segment::writer`] turns one into a file,
//! [`crate::run`] lets a scan read both alike.

use std::ops::Range;

use arrow_array::{Array, ArrayRef, BooleanArray, UInt32Array, cast::AsArray};
use arrow_buffer::{BooleanBuffer, ScalarBuffer};
use roaring::RoaringBitmap;
use types::{ColumnData, ColumnId, ColumnType, PartitionBy, PartitionKey, Schema, Seq};

use crate::arrow_type::{absent_column, time_values};
use crate::{Error, Result};

pub mod boxes;
mod values;

pub use values::to_arrow;

/// A column of a batch after its symbols got the codes of the column's dictionary.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedColumn {
    pub id: ColumnId,
    pub column_type: ColumnType,
    /// Of symbols only `codes` counts: positions in the column's dictionary.
    pub data: ColumnData,
}

/// A batch whose symbol codes are those of the table's dictionaries.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ResolvedBatch {
    pub rows: usize,
    pub columns: Vec<ResolvedColumn>,
}

/// Rows of one table, column by column. Columns of the table that are absent are NULL (false, 0) in every row.
#[derive(Debug, Clone)]
pub struct Chunk {
    pub rows: usize,
    /// In the order of ids.
    pub columns: Vec<(ColumnId, ColumnType, ArrayRef)>,
    pub designated: Option<ColumnId>,
    pub first_seq: Seq,
    pub last_seq: Seq,
    pub generation: u64,
    /// Least designated timestamp in microseconds, rounded down; `i64::MIN` when the table has none.
    pub ts_min: i64,
    /// Greatest designated timestamp in microseconds, rounded down; `i64::MAX` when the table has none.
    pub ts_max: i64,
    /// Whether rows stand in the order of the designated timestamp; true when the table has none.
    pub sorted: bool,
    /// Bytes that the rows take in memory.
    pub bytes: usize,
}

impl Chunk {
    /// Returns the chunk of one commit's rows. Numbers are moved, not copied.
    ///
    /// # Errors
    /// `Invalid` when the designated timestamp is absent or NULL in a row, or one column holds 2 GiB of text.
    pub fn from_batch(schema: &Schema, batch: ResolvedBatch, seq: Seq, generation: u64) -> Result<Chunk> {
        let mut columns = Vec::with_capacity(batch.columns.len());
        for column in batch.columns {
            debug_assert_eq!(column.data.len(), batch.rows, "column {}", column.id);
            columns.push((column.id, column.column_type, to_arrow(column.column_type, column.data)?));
        }
        columns.sort_by_key(|(id, ..)| *id);
        Chunk::of_arrays(batch.rows, columns, schema.designated, seq..=seq, generation)
    }

    /// Returns a chunk of columns in the order of their ids.
    ///
    /// # Errors
    /// `Invalid` as [`Chunk::from_batch`].
    pub fn of_arrays(
        rows: usize,
        columns: Vec<(ColumnId, ColumnType, ArrayRef)>,
        designated: Option<ColumnId>,
        seqs: std::ops::RangeInclusive<Seq>,
        generation: u64,
    ) -> Result<Chunk> {
        let bytes = columns.iter().map(|(.., array)| sliced_bytes(array)).sum();
        let mut chunk = Chunk {
            rows,
            columns,
            designated,
            first_seq: *seqs.start(),
            last_seq: *seqs.end(),
            generation,
            ts_min: i64::MIN,
            ts_max: i64::MAX,
            sorted: true,
            bytes,
        };
        if let Some(id) = designated {
            let absent = || Error::Invalid(format!("designated timestamp {id} is absent"));
            let (values, per_us) = chunk.times()?.ok_or_else(absent)?;
            let bounds = (values.iter().min().copied(), values.iter().max().copied(), values.is_sorted());
            let micros = |bound: Option<i64>| bound.unwrap_or(0).div_euclid(per_us);
            (chunk.ts_min, chunk.ts_max, chunk.sorted) = (micros(bounds.0), micros(bounds.1), bounds.2);
        }
        Ok(chunk)
    }

    /// Returns the values of a column, if any row has one.
    pub fn column(&self, id: ColumnId) -> Option<&ArrayRef> {
        self.columns.binary_search_by_key(&id, |(id, ..)| *id).ok().map(|i| &self.columns[i].2)
    }

    /// Returns the designated timestamps and how many of their units make a microsecond; None when the table has none.
    pub(crate) fn times(&self) -> Result<Option<(&ScalarBuffer<i64>, i64)>> {
        let Some(array) = self.designated.and_then(|id| self.column(id)) else { return Ok(None) };
        if array.null_count() > 0 {
            return Err(Error::Invalid("designated timestamp is NULL".to_owned()));
        }
        time_values(array).map(Some).ok_or_else(|| Error::Invalid("designated column is not a TIMESTAMP".to_owned()))
    }

    /// Returns the rows of several chunks of one table, one after the other; columns are the union of theirs.
    ///
    /// # Errors
    /// `Invalid` when there is no chunk, chunks disagree about a column's type or one column would hold 2 GiB of text:
    /// join fewer, see [`Chunk::groups_that_fit`].
    pub fn concat(chunks: &[&Chunk]) -> Result<Chunk> {
        let (Some(first), Some(last)) = (chunks.first(), chunks.last()) else {
            return Err(Error::Invalid("no rows to join".to_owned()));
        };
        if chunks.len() == 1 {
            return Ok((*first).clone());
        }
        if Chunk::groups_that_fit(chunks).len() > 1 {
            return Err(Error::Invalid("segment rows must be split: 2 GiB of text in one column".to_owned()));
        }
        let mut ids: Vec<(ColumnId, ColumnType)> =
            chunks.iter().flat_map(|c| c.columns.iter().map(|(id, t, _)| (*id, *t))).collect();
        ids.sort_by_key(|(id, _)| *id);
        ids.dedup();
        let mut columns = Vec::with_capacity(ids.len());
        for (id, column_type) in ids {
            let parts: Vec<ArrayRef> = chunks
                .iter()
                .map(|c| c.column(id).cloned().unwrap_or_else(|| absent_column(column_type, c.rows)))
                .collect();
            let parts: Vec<&dyn Array> = parts.iter().map(|a| a.as_ref()).collect();
            let joined = arrow_select::concat::concat(&parts)
                .map_err(|e| Error::Invalid(format!("column {id} cannot be joined: {e}")))?;
            columns.push((id, column_type, joined));
        }
        let rows = chunks.iter().map(|c| c.rows).sum();
        let first_seq = chunks.iter().map(|c| c.first_seq).min().unwrap_or(first.first_seq);
        let last_seq = chunks.iter().map(|c| c.last_seq).max().unwrap_or(last.last_seq);
        let generation = chunks.iter().map(|c| c.generation).max().unwrap_or(first.generation);
        Chunk::of_arrays(rows, columns, last.designated, first_seq..=last_seq, generation)
    }

    /// Returns the chunks in groups, in order, of which each can become one chunk and one segment.
    pub fn groups_that_fit<'a>(chunks: &'a [&'a Chunk]) -> Vec<&'a [&'a Chunk]> {
        let mut groups = Vec::new();
        let (mut start, mut text) = (0, std::collections::HashMap::<ColumnId, usize>::new());
        for (i, chunk) in chunks.iter().enumerate() {
            let sizes: Vec<(ColumnId, usize)> = chunk.text_bytes().collect();
            if i > start && sizes.iter().any(|(id, size)| text.get(id).unwrap_or(&0) + size > MAX_TEXT_BYTES) {
                groups.push(&chunks[start..i]);
                (start, text) = (i, std::collections::HashMap::new());
            }
            for (id, size) in sizes {
                *text.entry(id).or_default() += size;
            }
        }
        if start < chunks.len() {
            groups.push(&chunks[start..]);
        }
        groups
    }

    fn text_bytes(&self) -> impl Iterator<Item = (ColumnId, usize)> + '_ {
        self.columns.iter().filter_map(|(id, _, array)| {
            let text = array.as_string_opt::<i32>().map(|text| text.value_offsets());
            let offsets = text.or_else(|| array.as_binary_opt::<i32>().map(|bytes| bytes.value_offsets()));
            match offsets {
                Some(offsets) => Some((*id, (offsets[array.len()] - offsets[0]) as usize)),
                None => boxes::element_count(array).map(|count| (*id, count)),
            }
        })
    }

    /// Returns the designated timestamps in the column's own unit.
    pub fn time_values(&self) -> Result<ScalarBuffer<i64>> {
        let times = self.times()?.ok_or_else(|| Error::Invalid("the table has no designated timestamp".to_owned()))?;
        Ok(times.0.clone())
    }

    /// Returns the rows in the order of the designated timestamp, rows of equal time in the order that they have.
    pub fn time_order(&self) -> Result<Vec<usize>> {
        let mut order: Vec<usize> = (0..self.rows).collect();
        if !self.sorted {
            let times = self.time_values()?;
            order.sort_by_key(|&row| times[row]);
        }
        Ok(order)
    }

    /// Returns the partition of a row.
    pub fn partition_of(&self, row: usize, by: PartitionBy) -> Result<PartitionKey> {
        Ok(self.times()?.map_or(PartitionKey::WHOLE, |(times, per_us)| by.key(times[row].div_euclid(per_us))))
    }

    /// Returns the rows but for the dead ones.
    pub fn without(&self, dead: &RoaringBitmap) -> Result<Chunk> {
        let live = BooleanBuffer::collect_bool(self.rows, |row| !dead.contains(row as u32));
        self.filter(&BooleanArray::new(live, None))
    }

    /// Returns other rows of the same commits.
    ///
    /// # Errors
    /// `Invalid` as [`Chunk::from_batch`].
    pub fn with_rows(&self, rows: usize, columns: Vec<(ColumnId, ColumnType, ArrayRef)>) -> Result<Chunk> {
        Chunk::of_arrays(rows, columns, self.designated, self.first_seq..=self.last_seq, self.generation)
    }

    /// Returns the rows in the order of the designated timestamp, rows of equal time in the order that they had.
    pub fn sorted(&self) -> Result<Chunk> {
        if self.sorted {
            return Ok(self.clone());
        }
        if self.designated.is_none() {
            return Ok(self.clone());
        }
        let order: UInt32Array = self.time_order()?.into_iter().map(|row| row as u32).collect::<Vec<_>>().into();
        let mut sorted = self.clone();
        for (id, _, array) in &mut sorted.columns {
            *array = arrow_select::take::take(array, &order, None)
                .map_err(|e| Error::Invalid(format!("column {id} cannot be sorted: {e}")))?;
        }
        sorted.sorted = true;
        Ok(sorted)
    }

    /// Returns some of the rows, without copying. Bounds are those of the whole chunk's rows.
    ///
    /// # Panics
    /// When the range is not within the rows.
    pub fn slice(&self, rows: Range<usize>) -> Result<Chunk> {
        let slice = |(id, t, array): &(ColumnId, ColumnType, ArrayRef)| (*id, *t, array.slice(rows.start, rows.len()));
        let columns = self.columns.iter().map(slice).collect();
        Chunk::of_arrays(rows.len(), columns, self.designated, self.first_seq..=self.last_seq, self.generation)
    }

    /// Returns which rows lie at or behind a moment; all when the table has no designated timestamp.
    pub fn rows_since(&self, start_us: i64) -> Result<BooleanArray> {
        let Some((times, per_us)) = self.times()? else { return Ok(BooleanArray::from(vec![true; self.rows])) };
        let start = start_us.saturating_mul(per_us);
        Ok(BooleanArray::new(BooleanBuffer::collect_bool(self.rows, |row| times[row] >= start), None))
    }

    /// Returns the rows that `kept` marks, in their order. Seqs are those of the whole chunk.
    ///
    /// # Errors
    /// `Invalid` when `kept` has another length.
    pub fn filter(&self, kept: &BooleanArray) -> Result<Chunk> {
        let mut columns = Vec::with_capacity(self.columns.len());
        for (id, column_type, array) in &self.columns {
            let rows = arrow_select::filter::filter(array, kept)
                .map_err(|e| Error::Invalid(format!("rows of column {id} cannot be left out: {e}")))?;
            columns.push((*id, *column_type, rows));
        }
        Chunk::of_arrays(kept.true_count(), columns, self.designated, self.first_seq..=self.last_seq, self.generation)
    }

    /// Returns the partitions that a sorted chunk has rows of, in order, with their rows.
    pub fn partitions(&self, by: PartitionBy) -> Result<Vec<(PartitionKey, Range<usize>)>> {
        debug_assert!(self.sorted, "rows are split by partition after sorting");
        let Some((times, per_us)) = self.times()? else { return Ok(vec![(PartitionKey::WHOLE, 0..self.rows)]) };
        let (mut parts, mut start) = (Vec::new(), 0);
        while start < self.rows {
            let key = by.key(times[start].div_euclid(per_us));
            let range = by.range(key);
            let end = start + times[start..].partition_point(|&t| range.contains(t.div_euclid(per_us)));
            parts.push((key, start..end));
            start = end;
        }
        Ok(parts)
    }
}

/// Arrow's 32-bit offsets reach so far.
const MAX_TEXT_BYTES: usize = i32::MAX as usize;

fn sliced_bytes(array: &ArrayRef) -> usize {
    array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size())
}

#[cfg(test)]
mod tests;
