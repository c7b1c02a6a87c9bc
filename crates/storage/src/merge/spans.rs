//! In which order the rows of runs come: [`Spans`], a merge that moves in stretches, not rows.
//!
//! A heap holds each run at its next moment, ties by arrival. The run on top gives all rows that come before the next run's
//! moment, found by doubling steps, so runs that overlap little cost a few searches and not a comparison a row.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, cast::AsArray};
use arrow_buffer::ScalarBuffer;
use types::{ColumnId, TimeRange};

use super::Span;
use crate::run::{OpenRun, Run};
use crate::{Error, Result};

/// A source of spans. Scans in falling order would keep the same heap with greatest moments on top and walk runs from their ends.
pub(super) enum Spans {
    Arrival { runs: std::iter::Enumerate<std::vec::IntoIter<Run>> },
    Time(TimeMerge),
}

impl Spans {
    pub fn new(runs: Vec<Run>, designated: Option<ColumnId>, ranges: Vec<TimeRange>) -> Spans {
        match designated {
            None => Spans::Arrival { runs: runs.into_iter().enumerate() },
            Some(designated) => Spans::Time(TimeMerge::new(runs, designated, ranges)),
        }
    }

    /// Returns the rows that come next; None at the end.
    pub fn next_span(&mut self) -> Result<Option<Span>> {
        match self {
            Spans::Arrival { runs } => {
                let Some((order, run)) = runs.find(|(_, run)| run.rows() > 0) else { return Ok(None) };
                Ok(Some(Span { order, run: Arc::new(run.open()?), start: 0, len: run.rows() }))
            }
            Spans::Time(merge) => merge.next_span(),
        }
    }
}

/// Next moment of a run; the order of fields is the order of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    ts: i64,
    order: usize,
}

/// A run of which some rows of the current range are still to come.
struct Cursor {
    run: Arc<OpenRun>,
    times: ScalarBuffer<i64>,
    next: usize,
    end: usize,
}

pub(super) struct TimeMerge {
    runs: Vec<Run>,
    designated: ColumnId,
    ranges: VecDeque<TimeRange>,
    range: TimeRange,
    heads: BinaryHeap<Reverse<Head>>,
    /// By order of arrival; None before a run is reached and when it has nothing left in the range.
    cursors: Vec<Option<Cursor>>,
}

impl TimeMerge {
    fn new(runs: Vec<Run>, designated: ColumnId, ranges: Vec<TimeRange>) -> TimeMerge {
        let cursors = runs.iter().map(|_| None).collect();
        let (ranges, heads) = (ranges.into(), BinaryHeap::new());
        TimeMerge { runs, designated, ranges, range: TimeRange::EMPTY, heads, cursors }
    }

    fn next_span(&mut self) -> Result<Option<Span>> {
        loop {
            let Some(Reverse(head)) = self.heads.pop() else {
                if !self.next_range() {
                    return Ok(None);
                }
                continue;
            };
            let limit = self.heads.peek().map(|h| h.0);
            if let Some(mut cursor) = self.cursors[head.order].take() {
                let end = match limit {
                    None => cursor.end,
                    Some(limit) => first_after(&cursor.times[..cursor.end], cursor.next, head.order, limit),
                };
                let span =
                    Span { order: head.order, run: cursor.run.clone(), start: cursor.next, len: end - cursor.next };
                cursor.next = end;
                self.put_back(head.order, cursor);
                return Ok(Some(span));
            }
            if let Some(span) = self.reach(head, limit)? {
                return Ok(Some(span));
            }
        }
    }

    /// Begins the next range that has rows; returns false when there is none.
    fn next_range(&mut self) -> bool {
        while let Some(range) = self.ranges.pop_front() {
            self.range = range;
            let inside = |run: &Run| run.rows() > 0 && range.overlaps(run.ts_min, run.ts_max);
            let reached = self.runs.iter().enumerate().filter(|(_, run)| inside(run));
            // Before a run is opened its first moment in the range is known only from below, which is all that the heap needs.
            let heads = reached.map(|(order, run)| Reverse(Head { ts: run.ts_min.max(range.start_us), order }));
            self.heads.extend(heads);
            if !self.heads.is_empty() {
                return true;
            }
        }
        false
    }

    /// Opens a run when the merge comes to it. Returns all of it when it lies within the range and before all others, without
    /// looking at its times; else puts it back at its first moment in the range.
    fn reach(&mut self, head: Head, limit: Option<Head>) -> Result<Option<Span>> {
        let run = &self.runs[head.order];
        let open = Arc::new(run.open()?);
        let within = self.range.contains(run.ts_min) && self.range.contains(run.ts_max);
        if within && limit.is_none_or(|limit| Head { ts: run.ts_max, order: head.order } < limit) {
            return Ok(Some(Span { order: head.order, run: open, start: 0, len: run.rows() }));
        }
        let times = self.times(&open)?;
        let next = times.partition_point(|&t| t < self.range.start_us);
        let end = next + times[next..].partition_point(|&t| self.range.contains(t));
        self.put_back(head.order, Cursor { run: open, times, next, end });
        Ok(None)
    }

    fn put_back(&mut self, order: usize, cursor: Cursor) {
        if cursor.next < cursor.end {
            self.heads.push(Reverse(Head { ts: cursor.times[cursor.next], order }));
            self.cursors[order] = Some(cursor);
        }
    }

    fn times(&self, run: &OpenRun) -> Result<ScalarBuffer<i64>> {
        let column = run.column(self.designated)?;
        let times = column.as_ref().and_then(|array| array.as_primitive_opt::<TimestampMicrosecondType>());
        let times = times.filter(|times| times.null_count() == 0);
        times.map(|times| times.values().clone()).ok_or_else(|| {
            Error::Invalid(format!("column {} is not a designated timestamp without NULL", self.designated))
        })
    }
}

/// Returns the first row after `next` that comes behind `limit`. The row at `next` comes before it.
fn first_after(times: &[i64], next: usize, order: usize, limit: Head) -> usize {
    let before = |&ts: &i64| Head { ts, order } < limit;
    let (mut low, mut step) = (next, 1);
    while low + step < times.len() && before(&times[low + step]) {
        low += step;
        step *= 2;
    }
    let high = (low + step).min(times.len());
    low + times[low..high].partition_point(before)
}
