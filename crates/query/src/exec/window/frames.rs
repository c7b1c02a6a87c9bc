//! Partitions of the input in the window's order, and the frame of each row in its partition.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{LexicographicalComparator, SortColumn, SortOptions};
use arrow::datatypes::TimestampMicrosecondType;
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
    let times = match (frame.by_time, time) {
        (true, Some(time)) => {
            let values = time.as_primitive::<TimestampMicrosecondType>();
            let at = |row: &u32| if values.is_valid(*row as usize) { values.value(*row as usize) } else { i64::MIN };
            Some(partition.rows.iter().map(at).collect::<Vec<i64>>())
        }
        _ => None,
    };
    // The number of rows at or before a time, or strictly before it.
    let until = |times: &[i64], us: i64, inclusive: bool| match inclusive {
        true => times.partition_point(|t| *t <= us),
        false => times.partition_point(|t| *t < us),
    };
    let start = |at: usize| match (frame.start, &times) {
        (FrameEnd::Unbounded, _) => 0,
        (FrameEnd::Current, _) => at,
        (FrameEnd::Preceding(us), Some(times)) => until(times, times[at].saturating_sub(us), false),
        (FrameEnd::Preceding(rows), None) => at.saturating_sub(rows.max(0) as usize),
    };
    let end = |at: usize| {
        let end = match (frame.end, &times) {
            (FrameEnd::Unbounded, _) => count,
            (FrameEnd::Current, _) => at + 1,
            // Rows of the same time that come later are not in the frame, as with CURRENT ROW.
            (FrameEnd::Preceding(us), Some(times)) => until(times, times[at].saturating_sub(us), true).min(at + 1),
            (FrameEnd::Preceding(rows), None) => (at + 1).saturating_sub(rows.max(0) as usize),
        };
        if frame.exclude_current { end.min(at) } else { end }
    };
    Frames { start: (0..count).map(start).collect(), end: (0..count).map(end).collect() }
}
