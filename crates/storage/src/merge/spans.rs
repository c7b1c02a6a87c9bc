//! In which order the rows of runs come: [`Spans`], a merge that moves in stretches, not rows.
//!
//! A heap holds each run at its next moment, ties by arrival. The run on top gives all rows that come before the next run's
//! moment, found by doubling steps, so runs that overlap little cost a few searches and not a comparison a row.
//! Scans in falling order would keep the same heap with the greatest moments on top and walk runs from their ends.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use arrow_buffer::ScalarBuffer;
use types::{ColumnId, ColumnType, TimeRange};

use super::Span;
use crate::arrow_type::time_values;
use crate::run::{OpenRun, Run};
use crate::{Error, Result};

/// Runs in the order of arrival, those that the scan is at opened, and the order of their rows.
pub(super) struct Spans {
    runs: Vec<Run>,
    /// By order of arrival.
    open: Vec<Option<OpenRun>>,
    /// Opened runs of which every span has been given.
    finished: Vec<usize>,
    order: Order,
    /// What is left of a span whose run has dead rows.
    rest: Option<Span>,
}

enum Order {
    Arrival { next: usize },
    Time(TimeMerge),
}

impl Spans {
    pub fn new(runs: Vec<Run>, designated: Option<(ColumnId, ColumnType)>, ranges: Vec<TimeRange>) -> Spans {
        let order = match designated {
            None => Order::Arrival { next: 0 },
            Some((designated, column_type)) => Order::Time(TimeMerge {
                designated,
                per_us: column_type.units_per_us(),
                ranges: ranges.into_iter().map(|range| in_units(range, column_type.units_per_us())).collect(),
                range: TimeRange::EMPTY,
                heads: BinaryHeap::new(),
                cursors: runs.iter().map(|_| None).collect(),
            }),
        };
        Spans { open: runs.iter().map(|_| None).collect(), runs, finished: Vec::new(), order, rest: None }
    }

    /// Returns the number of runs.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// Returns the run of a span.
    ///
    /// # Panics
    /// When the run was closed since the span was given.
    pub fn run(&self, order: usize) -> &OpenRun {
        self.open[order].as_ref().expect("runs of spans in use are open")
    }

    /// Closes the runs that gave all their spans, but for `kept`, so that a long scan keeps few files mapped.
    pub fn close_finished(&mut self, kept: Option<usize>) {
        let open = &mut self.open;
        let rest = self.rest.map(|span| span.order);
        self.finished.retain(|&order| {
            let keep = kept == Some(order) || rest == Some(order);
            if !keep {
                open[order] = None;
            }
            keep
        });
    }

    /// Returns the live rows that come next; None at the end.
    pub fn next_span(&mut self) -> Result<Option<Span>> {
        loop {
            let span = match self.rest.take() {
                Some(rest) => rest,
                None => match self.next_stretch()? {
                    Some(span) => span,
                    None => return Ok(None),
                },
            };
            let end = span.start + span.len;
            let Some(live) = self.run(span.order).live_stretch(span.start..end) else { continue };
            if live.end < end {
                self.rest = Some(Span { order: span.order, start: live.end, len: end - live.end });
            }
            return Ok(Some(Span { order: span.order, start: live.start, len: live.len() }));
        }
    }

    /// Returns the rows that come next, live and dead; None at the end.
    fn next_stretch(&mut self) -> Result<Option<Span>> {
        let Spans { runs, open, finished, order, .. } = self;
        match order {
            Order::Time(merge) => merge.next_span(runs, open, finished),
            Order::Arrival { next } => {
                while let Some(run) = runs.get(*next) {
                    let order = *next;
                    *next += 1;
                    if run.rows() > 0 {
                        open[order] = Some(run.open()?);
                        finished.push(order);
                        return Ok(Some(Span { order, start: 0, len: run.rows() }));
                    }
                }
                Ok(None)
            }
        }
    }
}

/// Returns a range of microseconds in the units of the designated timestamp.
fn in_units(range: TimeRange, per_us: i64) -> TimeRange {
    TimeRange { start_us: range.start_us.saturating_mul(per_us), end_us: range.end_us.saturating_mul(per_us) }
}

/// Next moment of a run, in the units of its timestamp; the order of fields is the order of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    ts: i64,
    order: usize,
}

/// Rows `next..end` of an opened run, which are still to come in the current range.
struct Cursor {
    times: ScalarBuffer<i64>,
    next: usize,
    end: usize,
}

struct TimeMerge {
    designated: ColumnId,
    /// Units of the designated timestamp in a microsecond. Ranges, heads and cursors are in those units.
    per_us: i64,
    ranges: VecDeque<TimeRange>,
    range: TimeRange,
    heads: BinaryHeap<Reverse<Head>>,
    /// By order of arrival; None before a run is reached and when it has nothing left in the range.
    cursors: Vec<Option<Cursor>>,
}

impl TimeMerge {
    fn next_span(
        &mut self,
        runs: &[Run],
        open: &mut [Option<OpenRun>],
        finished: &mut Vec<usize>,
    ) -> Result<Option<Span>> {
        loop {
            let Some(&Reverse(head)) = self.heads.peek() else {
                if !self.next_range(runs) {
                    return Ok(None);
                }
                continue;
            };
            // The next run's moment: one of the two below the top of the heap.
            let limit = self.heads.as_slice()[1..].iter().take(2).map(|h| h.0).min();
            let order = head.order;
            let Some(cursor) = &mut self.cursors[order] else {
                // It may have been finished with the range before.
                finished.retain(|&other| other != order);
                let span = self.reach(&runs[order], head, limit, &mut open[order])?;
                if span.is_some() || self.cursors[order].is_none() {
                    finished.push(order);
                }
                match span {
                    Some(span) => return Ok(Some(span)),
                    None => continue,
                }
            };
            let start = cursor.next;
            cursor.next =
                limit.map_or(cursor.end, |limit| first_after(&cursor.times[..cursor.end], start, order, limit));
            let span = Span { order, start, len: cursor.next - start };
            if cursor.next < cursor.end {
                let ts = cursor.times[cursor.next];
                self.heads.peek_mut().expect("the run's own head").0.ts = ts;
            } else {
                self.heads.pop();
                self.cursors[order] = None;
                finished.push(order);
            }
            return Ok(Some(span));
        }
    }

    /// Returns bounds of a run's moments.
    fn bounds(&self, run: &Run) -> (i64, i64) {
        let last = run.ts_max.saturating_mul(self.per_us).saturating_add(self.per_us - 1);
        (run.ts_min.saturating_mul(self.per_us), last)
    }

    /// Begins the next range that has rows; returns false when there is none.
    fn next_range(&mut self, runs: &[Run]) -> bool {
        while let Some(range) = self.ranges.pop_front() {
            self.range = range;
            // Before a run is opened its first moment in the range is known only from below, which is all that the heap needs.
            let head = |(order, run): (usize, &Run)| {
                let (first, last) = self.bounds(run);
                let inside = run.rows() > 0 && range.overlaps(first, last);
                inside.then(|| Reverse(Head { ts: first.max(range.start_us), order }))
            };
            let heads: Vec<Reverse<Head>> = runs.iter().enumerate().filter_map(head).collect();
            self.heads.extend(heads);
            if !self.heads.is_empty() {
                return true;
            }
        }
        false
    }

    /// Opens the run on top of the heap when the merge comes to it. Returns all of it when it lies within the range and before all others,
    /// without looking at its times; else moves it to its first moment in the range, or off the heap if it has none.
    fn reach(
        &mut self,
        run: &Run,
        head: Head,
        limit: Option<Head>,
        open: &mut Option<OpenRun>,
    ) -> Result<Option<Span>> {
        let opened = match open.take() {
            Some(opened) => opened,
            None => run.open()?,
        };
        let opened = open.insert(opened);
        let (first, last) = self.bounds(run);
        let within = self.range.contains(first) && self.range.contains(last);
        if within && limit.is_none_or(|limit| Head { ts: last, order: head.order } < limit) {
            self.heads.pop();
            return Ok(Some(Span { order: head.order, start: 0, len: run.rows() }));
        }
        let times = times(opened, self.designated)?;
        let next = times.partition_point(|&t| t < self.range.start_us);
        let end = next + times[next..].partition_point(|&t| self.range.contains(t));
        self.heads.pop();
        if next < end {
            self.heads.push(Reverse(Head { ts: times[next], order: head.order }));
            self.cursors[head.order] = Some(Cursor { times, next, end });
        }
        Ok(None)
    }
}

/// Returns the designated timestamps of a run, in the column's own unit.
pub(crate) fn times(run: &OpenRun, designated: ColumnId) -> Result<ScalarBuffer<i64>> {
    let column = run.column(designated)?;
    let times = column.as_ref().and_then(|array| time_values(array));
    let broken = || Error::Invalid(format!("column {designated} is not a designated timestamp without NULL"));
    times.map(|(times, _)| times.clone()).ok_or_else(broken)
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
