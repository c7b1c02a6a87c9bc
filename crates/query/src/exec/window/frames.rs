//! Partitions of the input in the window's order, and the frame of each row in its partition.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::NullBuffer;
use arrow::compute::{LexicographicalComparator, SortColumn, SortOptions};
use arrow::datatypes::{TimestampMicrosecondType, TimestampNanosecondType};
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryReservation;

use super::{FrameEnd, WindowFrame};
use crate::exec::key_index::KeyIndex;

/// The rows of one partition in the window's order.
pub struct Partition {
    pub rows: Vec<u32>,
    /// For each row the first of the rows that the order does not tell from it.
    pub first_peer: Vec<u32>,
}

/// Returns the partitions of the input, each in order; rows that the order does not tell apart keep the input's.
pub fn partitions(
    rows: usize,
    keys: &[ArrayRef],
    order: &[(ArrayRef, SortOptions)],
    reservation: MemoryReservation,
) -> Result<Vec<Partition>> {
    let types = keys.iter().map(|key| key.data_type().clone()).collect();
    let mut index = KeyIndex::try_new(types, reservation)?;
    let read = index.read(keys)?;
    let mut lists: Vec<Vec<u32>> = Vec::new();
    for row in 0..rows {
        let key = index.add(&read, row)?;
        if key == lists.len() {
            lists.push(Vec::new());
        }
        lists[key].push(row as u32);
    }
    let columns: Vec<SortColumn> =
        order.iter().map(|(values, how)| SortColumn { values: values.clone(), options: Some(*how) }).collect();
    let comparator = match columns.is_empty() {
        true => None,
        false => Some(LexicographicalComparator::try_new(&columns)?),
    };
    Ok(lists.into_iter().map(|list| ordered(list, comparator.as_ref())).collect())
}

fn ordered(mut rows: Vec<u32>, comparator: Option<&LexicographicalComparator>) -> Partition {
    let Some(comparator) = comparator else {
        let first_peer = vec![0; rows.len()];
        return Partition { rows, first_peer };
    };
    rows.sort_by(|a, b| comparator.compare(*a as usize, *b as usize));
    let mut first_peer = Vec::with_capacity(rows.len());
    for at in 0..rows.len() {
        let is_peer = at > 0 && comparator.compare(rows[at - 1] as usize, rows[at] as usize).is_eq();
        first_peer.push(if is_peer { first_peer[at - 1] } else { at as u32 });
    }
    Partition { rows, first_peer }
}

/// A column of moments, in microseconds or nanoseconds.
pub struct Moments<'a> {
    values: &'a [i64],
    nulls: Option<&'a NullBuffer>,
    /// Units of the values in a microsecond.
    pub per_us: i64,
}

impl<'a> Moments<'a> {
    /// Returns the moments of a column; None when it holds something else.
    pub fn of(column: &'a ArrayRef) -> Option<Moments<'a>> {
        let micros = column.as_primitive_opt::<TimestampMicrosecondType>().map(|times| (&**times.values(), 1));
        let nanos = || column.as_primitive_opt::<TimestampNanosecondType>().map(|times| (&**times.values(), 1000));
        let (values, per_us) = micros.or_else(nanos)?;
        Some(Moments { values, nulls: column.nulls(), per_us })
    }

    /// Returns the moment of a row; None is NULL.
    pub fn at(&self, row: u32) -> Option<i64> {
        let row = row as usize;
        self.nulls.is_none_or(|nulls| nulls.is_valid(row)).then(|| self.values[row])
    }
}

/// The frames of a partition's rows: from the first row to the one behind the last. Neither ever goes back.
pub struct Frames {
    pub start: Vec<usize>,
    pub end: Vec<usize>,
}

impl Frames {
    /// Returns whether every frame begins with the partition.
    pub fn are_running(&self) -> bool {
        self.start.iter().all(|start| *start == 0)
    }
}

/// Returns the frame of each row; `time` is the ORDER BY column of a frame by time.
pub fn frames(partition: &Partition, frame: WindowFrame, time: Option<&ArrayRef>) -> Frames {
    let count = partition.rows.len();
    let moments = time.filter(|_| frame.by_time).and_then(Moments::of);
    let per_us = moments.as_ref().map_or(1, |m| m.per_us);
    let times = moments.map(|m| partition.rows.iter().map(|row| m.at(*row).unwrap_or(i64::MIN)).collect::<Vec<i64>>());
    let back = |time: i64, us: i64| time.saturating_sub(us.saturating_mul(per_us));
    // The number of rows at or before a time, or strictly before it.
    let until = |times: &[i64], us: i64, inclusive: bool| match inclusive {
        true => times.partition_point(|t| *t <= us),
        false => times.partition_point(|t| *t < us),
    };
    let start = |at: usize| match (frame.start, &times) {
        (FrameEnd::Unbounded, _) => 0,
        (FrameEnd::Current, _) => at,
        (FrameEnd::Preceding(us), Some(times)) => until(times, back(times[at], us), false),
        (FrameEnd::Preceding(rows), None) => at.saturating_sub(rows.max(0) as usize),
    };
    let end = |at: usize| {
        let end = match (frame.end, &times) {
            (FrameEnd::Unbounded, _) => count,
            (FrameEnd::Current, _) => at + 1,
            // Rows of the same time that come later are not in the frame, as with CURRENT ROW.
            (FrameEnd::Preceding(us), Some(times)) => until(times, back(times[at], us), true).min(at + 1),
            (FrameEnd::Preceding(rows), None) => (at + 1).saturating_sub(rows.max(0) as usize),
        };
        if frame.exclude_current { end.min(at) } else { end }
    };
    Frames { start: (0..count).map(start).collect(), end: (0..count).map(end).collect() }
}
