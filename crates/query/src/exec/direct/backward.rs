//! A table's rows from the newest to the oldest: [`Backward`], which reads only as far as it is asked to.
//!
//! It cuts the time into windows from its end and reads every window by the merge that all scans use: so its rows are those
//! of the plain scan, in the same order, over overlapping runs and dead rows too. Rows of equal time are never in two
//! windows. The first window is small, the following ones grow.

use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion::common::internal_err;
use datafusion::error::Result;
use storage::arrow_type::time_values;
use storage::{Run, TableScan};
use types::{ColumnId, ColumnType, TimeRange};

use super::block::{Block, Selection};
use super::source::Source;
use super::work::{Morsel, Reading, failed};

/// Rows of the first window, unless more are asked for.
const FIRST_ROWS: usize = if cfg!(test) { 64 } else { 2 << 10 };
/// Rows of the largest window, about.
const MOST_ROWS: usize = if cfg!(test) { 256 } else { 256 << 10 };
/// Rows of a block.
const BLOCK_ROWS: usize = if cfg!(test) { 50 } else { 32 << 10 };

/// What is left to read of a source.
pub struct Backward {
    reading: Arc<Reading>,
    columns: Vec<(ColumnId, ColumnType)>,
    designated: (ColumnId, ColumnType),
    /// Disjoint rising ranges that are still to be read, in microseconds.
    ranges: Vec<TimeRange>,
    /// Runs that may have rows left, each with its place in the order of arrival; by their greatest times, rising.
    runs: Vec<(usize, Run)>,
    /// Rows of the next window, about.
    wanted: usize,
}

impl Backward {
    /// Returns the reader of a source of a table with a designated timestamp; `wanted` is the number of rows that are most likely
    /// enough. Call it on a blocking thread.
    pub fn new(source: &Source, wanted: usize) -> Result<Backward> {
        let mut runs: Vec<(usize, Run)> = source.runs()?.into_iter().enumerate().collect();
        runs.retain(|(_, run)| run.rows() > 0);
        let reading = Arc::new(Reading::of(source, runs.iter().map(|(_, run)| run))?);
        runs.retain(|(_, run)| reading.conjuncts.may_meet(|place| run.known(reading.columns[place].0)));
        let Some(designated) = reading.designated else {
            return internal_err!("{} has no designated timestamp", source.view().name());
        };
        let ranges = source.ranges().to_vec();
        runs.sort_by_key(|(_, run)| run.ts_max);
        let mut columns = reading.columns.clone();
        if columns.is_empty() {
            columns.push(designated);
        }
        let wanted = wanted.clamp(FIRST_ROWS, MOST_ROWS);
        Ok(Backward { reading, columns, designated, ranges, runs, wanted })
    }

    /// Returns whether no rows are left.
    pub fn is_done(&self) -> bool {
        self.runs.is_empty() || self.ranges.is_empty()
    }

    /// Returns the runs that may have rows.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().map(|(_, run)| run)
    }

    /// Returns whether a row with this code (None: NULL) in the symbol column `place` can meet what speaks of that column alone.
    pub fn meets(&self, place: usize, code: Option<usize>) -> bool {
        let mut tables = self.reading.conjuncts.tables().iter().filter(|table| table.place == place);
        tables.all(|table| match code {
            Some(code) => table.meets.get(code).is_some_and(|meets| *meets),
            None => table.null_meets,
        })
    }

    /// Returns the rows of the next run, none of them read yet, where its rows all lie in the ranges, no other run reaches into it
    /// and none of its rows is dead; and where whether a row meets the conjuncts is known by its code in the symbol column `place`
    /// alone: they have not been looked at. [`Backward::pass_run`] goes on behind it.
    ///
    /// # Errors
    /// As [`super::Morsel::read`].
    pub fn whole_run(&mut self, place: usize) -> Result<Option<Block>> {
        let Some(run) = self.lone_run() else { return Ok(None) };
        if run.live_rows() != run.rows() || !self.reading.conjuncts.are_only_of(place) {
            return Ok(None);
        }
        Morsel::whole(&self.reading, &run)
    }

    /// Returns the rows of the next run where they lie, if these are no more than `most`, all in the ranges, and no other run reaches
    /// into it. [`Backward::pass_run`] goes on behind it.
    ///
    /// # Errors
    /// As [`super::Morsel::read`].
    pub fn small_run(&mut self, most: usize) -> Result<Option<Block>> {
        let run = self.lone_run().filter(|run| run.rows() <= most);
        run.map(|run| Morsel::of_run(&self.reading, run).read()).transpose()
    }

    /// Returns the next run where its rows all lie in the ranges and no other run reaches into it.
    fn lone_run(&mut self) -> Option<Run> {
        let range = self.ranges.last().copied()?;
        self.forget_behind(range);
        let [others @ .., (_, run)] = &self.runs[..] else { return None };
        let is_alone = others.last().is_none_or(|(_, other)| other.ts_max < run.ts_min);
        let is_inside = range.contains(run.ts_min) && range.contains(run.ts_max);
        (is_alone && is_inside).then(|| run.clone())
    }

    /// Returns how many rows the next window has, about.
    pub fn window_rows(&self) -> usize {
        self.wanted
    }

    /// Leaves the rows of the next run unread.
    pub fn pass_run(&mut self) {
        if let (Some(range), Some((_, run))) = (self.ranges.pop(), self.runs.pop())
            && range.start_us < run.ts_min
        {
            self.ranges.push(TimeRange { start_us: range.start_us, end_us: run.ts_min });
        }
    }

    fn forget_behind(&mut self, range: TimeRange) {
        while self.runs.last().is_some_and(|(_, run)| is_behind(run, range)) {
            self.runs.pop();
        }
    }

    /// Returns the rows of the next window in the order of time and arrival; all are older than those of the windows before.
    /// None when no rows are left. A window may be empty.
    ///
    /// # Errors
    /// As [`super::Morsel::read`].
    pub fn next_window(&mut self) -> Result<Option<Vec<Block>>> {
        let Some(range) = self.ranges.last().copied() else { return Ok(None) };
        self.forget_behind(range);
        let start_us = self.start_of_window(range)?;
        let window = TimeRange { start_us, end_us: range.end_us };
        self.ranges.pop();
        if start_us > range.start_us {
            self.ranges.push(TimeRange { start_us: range.start_us, end_us: start_us });
        }
        let reached = self.runs.iter().rev().take_while(|(_, run)| run.ts_max >= start_us);
        let mut runs: Vec<_> = reached.filter(|(_, run)| window.overlaps(run.ts_min, run.ts_max)).cloned().collect();
        runs.sort_by_key(|(arrival, _)| *arrival);
        let runs = runs.into_iter().map(|(_, run)| run).collect();
        self.wanted = (self.wanted * 2).min(MOST_ROWS);
        let scan = TableScan::new(runs, Some(self.designated), self.columns.clone(), vec![window], BLOCK_ROWS);
        scan.map(|columns| self.block(columns.map_err(failed)?)).collect::<Result<_>>().map(Some)
    }

    fn block(&self, mut columns: Vec<ArrayRef>) -> Result<Block> {
        let rows = columns.first().map_or(0, |column| column.len());
        columns.truncate(self.reading.columns.len());
        Block { columns, rows, selection: Selection::All, run: None, reading: self.reading.clone() }.conjoined()
    }

    /// Returns where a window begins that ends with the range: so that it has about as many rows as are wanted of each run
    /// that reaches into it, and none only if the range has none.
    fn start_of_window(&self, range: TimeRange) -> Result<i64> {
        let (mut start_us, mut small) = (range.start_us, 0);
        for (_, run) in self.runs.iter().rev() {
            if run.ts_max < start_us {
                break;
            }
            if is_behind(run, range) {
                continue;
            }
            let is_small = run.rows() <= self.wanted;
            match if is_small { None } else { self.wanted_from(run, range.end_us)? } {
                Some(first_us) => start_us = start_us.max(first_us),
                // all its rows fit; together such runs must not be too many
                None => {
                    small += run.rows();
                    if small >= self.wanted {
                        start_us = start_us.max(run.ts_min);
                    }
                }
            }
        }
        Ok(start_us)
    }

    /// Returns the time from which on a run has the wanted number of rows before `end_us`; None when it has fewer.
    fn wanted_from(&self, run: &Run, end_us: i64) -> Result<Option<i64>> {
        let open = run.open().map_err(failed)?;
        let column = open.whole(self.designated.0).map_err(failed)?;
        let Some((times, per_us)) = column.as_ref().and_then(|column| time_values(column)) else {
            return internal_err!("a run lacks times in its designated column {}", self.designated.0);
        };
        let before = match end_us {
            i64::MAX => times.len(),
            end_us => times.partition_point(|time| *time < end_us.saturating_mul(per_us)),
        };
        Ok(before.checked_sub(self.wanted).map(|row| times[row].div_euclid(per_us)))
    }
}

/// Returns whether all rows of a run come after a range.
fn is_behind(run: &Run, range: TimeRange) -> bool {
    run.ts_min >= range.end_us && range.end_us != i64::MAX
}
