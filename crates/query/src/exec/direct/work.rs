//! A source cut into stretches of rows: [`Work`], [`Morsel`].
//!
//! Rows of one run that no other run reaches into are read where they lie. Where an order of time is asked for and runs
//! overlap, the rows of the whole cluster are merged, in pieces of time.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray, new_empty_array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, SchemaRef, TimeUnit, TimestampMicrosecondType, TimestampNanosecondType};
use datafusion::common::internal_err;
use datafusion::error::Result;
use storage::arrow_type::absent_column;
use storage::run::OpenRun;
use storage::{Run, TableScan};
use tokio::runtime::Handle;
use types::{ColumnId, ColumnType, TimeRange};

use super::block::zones::ZONE_ROWS;
use super::block::{Block, BlockZones, Selection};
use super::conjuncts::Conjuncts;
use super::source::Source;
use crate::error::SqlError;
use crate::interval::ranges::intersect;

/// Rows of a morsel, about: a few columns of them stay in a core's cache, and a stop is heard soon.
/// Tests have several of few rows.
const MORSEL_ROWS: usize = if cfg!(test) { 200 } else { 128 << 10 };
/// How many rows one looked-at moment stands for where overlapping runs are cut.
const SAMPLE_ROWS: usize = if cfg!(test) { 16 } else { 8 << 10 };
/// Bytes that a statement has fetched before it has come to them; more are fetched as they are missed.
const READ_AHEAD_BYTES: u64 = 256 << 20;

/// In which order morsels come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Any: each morsel is of one run.
    Any,
    /// By the designated timestamp, ties by arrival (by arrival alone in a table without one), within morsels too.
    Time,
}

/// The stretches of rows of a source.
pub struct Work {
    pub(super) morsels: Vec<Morsel>,
    pub(super) reading: Arc<Reading>,
}

/// What all morsels of a source read, and how.
pub(super) struct Reading {
    pub columns: Vec<(ColumnId, ColumnType)>,
    pub schema: SchemaRef,
    pub dictionaries: Vec<Option<Arc<StringViewArray>>>,
    pub conjuncts: Conjuncts,
    pub designated: Option<(ColumnId, ColumnType)>,
}

/// What is known of the rows of a morsel in a column.
pub struct KnownColumn {
    pub zones: BlockZones,
    /// No rows, of the column's type as expressions see it.
    pub none: ArrayRef,
}

/// A stretch of rows.
#[derive(Clone)]
pub struct Morsel {
    reading: Arc<Reading>,
    rows: Rows,
}

#[derive(Clone)]
enum Rows {
    /// Of one run, as they lie.
    Run { run: Run, start: usize, len: usize },
    /// Of runs that overlap, in the order of arrival, merged by time.
    Merged { runs: Vec<Run>, ranges: Vec<TimeRange>, about: usize },
}

impl Reading {
    /// Returns how the rows of these runs of a source are read.
    pub fn of<'a>(source: &Source, runs: impl Iterator<Item = &'a Run>) -> Result<Reading> {
        let table = source.view.schema();
        let typed = |place: &usize| table.columns.get(*place).map(|c| (c.id, c.column_type));
        let Some(columns) = source.columns.iter().map(typed).collect::<Option<Vec<_>>>() else {
            return internal_err!("a source reads a column that its table lacks");
        };
        let designated = table.designated_index().and_then(|place| typed(&place));
        let dictionaries = (0..columns.len()).map(|place| source.dictionary(place)).collect::<Result<Vec<_>>>()?;
        let rows = runs.map(|run| rows_within(run, &source.ranges)).sum();
        let conjuncts = Conjuncts::compile(&source.conjuncts, &source.schema, &dictionaries, rows)?;
        Ok(Reading { columns, schema: source.schema.clone(), dictionaries, conjuncts, designated })
    }
}

impl Work {
    pub(super) fn of(source: &Source, order: Order) -> Result<Work> {
        let mut runs = source.runs()?;
        runs.retain(|run| run.rows() > 0);
        let reading = Arc::new(Reading::of(source, runs.iter())?);
        let (columns, designated) = (&reading.columns, reading.designated);
        runs.retain(|run| reading.conjuncts.may_meet(|place| run.known(columns[place].0)));
        read_ahead(&runs, columns, designated, source);
        let mut work = Work { morsels: Vec::new(), reading };
        match order {
            Order::Time if designated.is_some() => {
                for cluster in clusters(runs, designated.is_some_and(|(_, t)| t.units_per_us() > 1)) {
                    match <[Run; 1]>::try_from(cluster) {
                        Ok([run]) => work.add_run(run, &source.ranges)?,
                        Err(runs) => work.add_merged(runs, &source.ranges)?,
                    }
                }
            }
            _ => runs.into_iter().try_for_each(|run| work.add_run(run, &source.ranges))?,
        }
        Ok(work)
    }

    /// Returns the stretches, in the order asked for.
    pub fn morsels(&self) -> &[Morsel] {
        &self.morsels
    }

    /// Returns how many rows there are at most.
    pub fn rows(&self) -> usize {
        self.morsels.iter().map(Morsel::rows).sum()
    }

    /// Returns the texts of the codes of a column; None when it is no symbol.
    pub fn dictionary(&self, place: usize) -> Option<&Arc<StringViewArray>> {
        self.reading.dictionaries[place].as_ref()
    }

    /// Adds the rows of one run that lie in the ranges.
    fn add_run(&mut self, run: Run, ranges: &[TimeRange]) -> Result<()> {
        for (start, end) in self.stretches(&run, ranges)? {
            // even pieces: no short one at the end
            let pieces = (end - start).div_ceil(MORSEL_ROWS).max(1);
            // whole zones
            let cut = |piece: usize| match start + (end - start) * piece / pieces {
                at if piece == pieces => at,
                at => (at - at % ZONE_ROWS).max(start),
            };
            for piece in 0..pieces {
                let (from, to) = (cut(piece), cut(piece + 1));
                let rows = Rows::Run { run: run.clone(), start: from, len: to - from };
                self.morsels.push(Morsel { reading: self.reading.clone(), rows });
            }
        }
        Ok(())
    }

    /// Returns the rows of a run that lie in the ranges, as stretches.
    fn stretches(&self, run: &Run, ranges: &[TimeRange]) -> Result<Vec<(usize, usize)>> {
        let Some((designated, column_type)) = self.reading.designated else { return Ok(vec![(0, run.rows())]) };
        // bounds are rounded down to microseconds; so are the ends of ranges
        if ranges.iter().any(|range| range.contains(run.ts_min) && range.contains(run.ts_max)) {
            return Ok(vec![(0, run.rows())]);
        }
        if !ranges.iter().any(|range| range.overlaps(run.ts_min, run.ts_max)) {
            return Ok(Vec::new());
        }
        let per_us = column_type.units_per_us();
        let times = times(&run.open().map_err(failed)?, designated)?;
        let mut found: Vec<(usize, usize)> = Vec::new();
        for range in ranges.iter().filter(|range| range.overlaps(run.ts_min, run.ts_max)) {
            let start = times.partition_point(|t| *t < range.start_us.saturating_mul(per_us));
            let end = match range.end_us {
                i64::MAX => times.len(),
                end_us => times.partition_point(|t| *t < end_us.saturating_mul(per_us)),
            };
            match found.last_mut() {
                Some(last) if last.1 == start => last.1 = end,
                _ if start < end => found.push((start, end)),
                _ => {}
            }
        }
        Ok(found)
    }

    /// Adds the rows of overlapping runs, cut where their moments say that a morsel is full.
    fn add_merged(&mut self, runs: Vec<Run>, ranges: &[TimeRange]) -> Result<()> {
        let Some((designated, column_type)) = self.reading.designated else {
            return internal_err!("runs are merged by a time that they lack");
        };
        let mut samples: Vec<(i64, usize)> = Vec::new();
        for run in &runs {
            let times = times(&run.open().map_err(failed)?, designated)?;
            for start in (0..times.len()).step_by(SAMPLE_ROWS) {
                samples
                    .push((times[start].div_euclid(column_type.units_per_us()), SAMPLE_ROWS.min(times.len() - start)));
            }
        }
        samples.sort_unstable();
        let (mut start_us, mut about) = (i64::MIN, 0);
        let mut pieces = Vec::new();
        for (moment, rows) in samples {
            if about >= MORSEL_ROWS && moment > start_us {
                pieces.push((TimeRange { start_us, end_us: moment }, about));
                (start_us, about) = (moment, 0);
            }
            about += rows;
        }
        pieces.push((TimeRange { start_us, end_us: i64::MAX }, about));
        for (piece, about) in pieces {
            let ranges = intersect(ranges, &[piece]);
            let reached = |run: &&Run| ranges.iter().any(|range| range.overlaps(run.ts_min, run.ts_max));
            let runs: Vec<Run> = runs.iter().filter(reached).cloned().collect();
            if !runs.is_empty() {
                let rows = Rows::Merged { runs, ranges, about };
                self.morsels.push(Morsel { reading: self.reading.clone(), rows });
            }
        }
        Ok(())
    }
}

impl Morsel {
    /// Returns how many rows it has at most, about: of overlapping runs it is a guess.
    pub fn rows(&self) -> usize {
        match &self.rows {
            Rows::Run { len, .. } => *len,
            Rows::Merged { about, .. } => *about,
        }
    }

    /// Returns how many rows are not dead, exact, without reading any; conjuncts are not looked at. Only of one run's rows: of merged ones
    /// it is a guess, as [`Morsel::rows`].
    pub(super) fn live_rows(&self) -> Result<usize> {
        match &self.rows {
            Rows::Run { run, len, .. } if *len == run.rows() => Ok(run.live_rows()),
            Rows::Run { run, start, len } => {
                let dead = run.dead().map_err(failed)?;
                let rows = *start as u32..(*start + *len) as u32;
                Ok(len - dead.map_or(0, |dead| dead.range_cardinality(rows) as usize))
            }
            Rows::Merged { about, .. } => Ok(*about),
        }
    }

    /// Returns bounds of the rows' moments in microseconds, without reading any.
    pub fn time_bounds(&self) -> (i64, i64) {
        match &self.rows {
            Rows::Run { run, .. } => (run.ts_min, run.ts_max),
            Rows::Merged { runs, ranges, .. } => {
                let (first, last) = (runs.iter().map(|r| r.ts_min).min(), runs.iter().map(|r| r.ts_max).max());
                let (first, last) = (first.unwrap_or(i64::MIN), last.unwrap_or(i64::MAX));
                let start = ranges.first().map_or(first, |range| range.start_us);
                (first.max(start), last.min(ranges.last().map_or(last, |range| range.end_us)))
            }
        }
    }

    /// Returns some of the rows, counted from the first one; of merged ones there are no parts.
    pub fn part(&self, rows: Range<usize>) -> Result<Morsel> {
        let Rows::Run { run, start, len } = &self.rows else {
            return internal_err!("a part of merged rows was asked for");
        };
        debug_assert!(rows.end <= *len, "rows {rows:?} of {len}");
        let rows = Rows::Run { run: run.clone(), start: start + rows.start, len: rows.len() };
        Ok(Morsel { reading: self.reading.clone(), rows })
    }

    /// Returns what is known of stretches of a column, without reading it; None where nothing is. Rows that do not count are among
    /// them.
    pub fn zones(&self, place: usize) -> Result<Option<BlockZones>> {
        let Rows::Run { run, start, len } = &self.rows else { return Ok(None) };
        let open = run.open().map_err(failed)?;
        let zones = open.zones(self.reading.columns[place].0, ZONE_ROWS).map_err(failed)?;
        Ok(zones.map(|zones| BlockZones::new(zones, *start, *len)))
    }

    /// Returns what is known of the zones of columns when that speaks of all rows that count and of no others. For a column that is
    /// not named nothing need be known.
    pub fn known(&self, places: &[Option<usize>]) -> Result<Option<Vec<Option<KnownColumn>>>> {
        let Rows::Run { run, start, len } = &self.rows else { return Ok(None) };
        if !self.reading.conjuncts.are_none() {
            return Ok(None);
        }
        let open = run.open().map_err(failed)?;
        if live(&open, *start, *len) != Selection::All {
            return Ok(None);
        }
        let known = |place: &Option<usize>| -> Result<Option<Option<KnownColumn>>> {
            let Some(place) = *place else { return Ok(Some(None)) };
            let zones = open.zones(self.reading.columns[place].0, ZONE_ROWS).map_err(failed)?;
            let zones = zones.map(|zones| BlockZones::new(zones, *start, *len)).filter(BlockZones::are_known);
            let none = || new_empty_array(self.reading.schema.field(place).data_type());
            Ok(zones.map(|zones| Some(KnownColumn { zones, none: none() })))
        };
        places.iter().map(known).collect()
    }

    /// Returns the rows of a run.
    pub(super) fn of_run(reading: &Arc<Reading>, run: Run) -> Morsel {
        let len = run.rows();
        Morsel { reading: reading.clone(), rows: Rows::Run { run, start: 0, len } }
    }

    /// Returns all rows of a run, those that meet no conjunct and dead ones among them; None when it lacks a column, which would be
    /// made for all of them.
    pub(super) fn whole(reading: &Arc<Reading>, run: &Run) -> Result<Option<Block>> {
        let morsel = Morsel::of_run(reading, run.clone());
        let open = Arc::new(run.open().map_err(failed)?);
        if reading.columns.iter().any(|(id, _)| open.column_type(*id).is_none()) {
            return Ok(None);
        }
        let columns = morsel.columns_of(&open, 0, run.rows())?;
        let (rows, reading) = (run.rows(), reading.clone());
        Ok(Some(Block { columns, rows, selection: Selection::All, run: Some((open, 0)), reading }))
    }

    /// Returns the rows. Merged ones are copied; where very many share one moment there are as many in the block.
    ///
    /// # Errors
    /// Damaged segments, and what a conjunct that cannot be computed says.
    pub fn read(&self) -> Result<Block> {
        let reading = self.reading.clone();
        let block = match &self.rows {
            Rows::Run { run, start, len } => {
                let open = Arc::new(run.open().map_err(failed)?);
                let (columns, selection) = (self.columns_of(&open, *start, *len)?, live(&open, *start, *len));
                Block { columns, rows: *len, selection, run: Some((open, *start)), reading }
            }
            Rows::Merged { runs, ranges, about } => {
                let (columns, rows) = self.merged(runs, ranges, *about)?;
                Block { columns, rows, selection: Selection::All, run: None, reading }
            }
        };
        block.conjoined()
    }

    fn columns_of(&self, open: &OpenRun, start: usize, len: usize) -> Result<Vec<ArrayRef>> {
        let column = |&(id, column_type): &(ColumnId, ColumnType)| {
            let whole = open.whole(id).map_err(failed)?;
            Ok(whole.map_or_else(|| absent_column(column_type, len), |array| array.slice(start, len)))
        };
        self.reading.columns.iter().map(column).collect()
    }

    fn merged(&self, runs: &[Run], ranges: &[TimeRange], about: usize) -> Result<(Vec<ArrayRef>, usize)> {
        let Some(designated) = self.reading.designated else {
            return internal_err!("runs are merged by a time that they lack");
        };
        let mut columns = self.reading.columns.clone();
        if columns.is_empty() {
            columns.push(designated);
        }
        // so large that all rows come in one chunk
        let chunk_rows = 4 * about.max(runs.iter().map(Run::rows).sum());
        let mut chunks: Vec<Vec<ArrayRef>> = Vec::new();
        for chunk in TableScan::new(runs.to_vec(), Some(designated), columns.clone(), ranges.to_vec(), chunk_rows) {
            chunks.push(chunk.map_err(failed)?);
        }
        let joined = |(place, (_, column_type)): (usize, &(ColumnId, ColumnType))| {
            let parts: Vec<&dyn Array> = chunks.iter().map(|chunk| chunk[place].as_ref()).collect();
            match parts[..] {
                [] => Ok(absent_column(*column_type, 0)),
                [_] => Ok(chunks[0][place].clone()),
                _ => Ok(concat(&parts)?),
            }
        };
        let mut arrays = columns.iter().enumerate().map(joined).collect::<Result<Vec<ArrayRef>>>()?;
        let rows = arrays.first().map_or(0, |array| array.len());
        arrays.truncate(self.reading.columns.len());
        Ok((arrays, rows))
    }
}

/// Returns which of a run's rows are not dead, as offsets from the first.
fn live(open: &OpenRun, start: usize, len: usize) -> Selection {
    let Some(dead) = open.dead() else { return Selection::All };
    let (first, end) = (start as u32, (start + len) as u32);
    if dead.range_cardinality(first..end) == 0 {
        return Selection::All;
    }
    let (mut rows, mut next) = (Vec::with_capacity(len), first);
    for gone in dead.range(first..end) {
        rows.extend(next - first..gone - first);
        next = gone + 1;
    }
    rows.extend(next - first..end - first);
    Selection::Rows(rows)
}

/// Returns runs that overlap in time together, in the order of arrival, the earliest first.
fn clusters(runs: Vec<Run>, rounded: bool) -> Vec<Vec<Run>> {
    let mut runs: Vec<(usize, Run)> = runs.into_iter().enumerate().collect();
    runs.sort_by_key(|(arrival, run)| (run.ts_min, *arrival));
    let mut clusters: Vec<Vec<(usize, Run)>> = Vec::new();
    // the last moment so far, and the latest arrival of a run that has it
    let mut end: Option<(i64, usize)> = None;
    for (arrival, run) in runs {
        // a run that begins where others end follows them if it came later
        let follows =
            end.is_none_or(|(last, latest)| run.ts_min > last || run.ts_min == last && !rounded && arrival > latest);
        end = end.max(Some((run.ts_max, arrival)));
        match clusters.last_mut() {
            Some(cluster) if !follows => cluster.push((arrival, run)),
            _ => clusters.push(vec![(arrival, run)]),
        }
    }
    let by_arrival = |mut cluster: Vec<(usize, Run)>| {
        cluster.sort_by_key(|(arrival, _)| *arrival);
        cluster.into_iter().map(|(_, run)| run).collect()
    };
    clusters.into_iter().map(by_arrival).collect()
}

/// Has the system fetch what nobody has read yet of the columns of runs, while their first rows are looked at: maps are read page by page
/// otherwise, each when it is missed.
fn read_ahead(
    runs: &[Run],
    columns: &[(ColumnId, ColumnType)],
    designated: Option<(ColumnId, ColumnType)>,
    source: &Source,
) {
    let ranges = &source.ranges;
    let columns: Vec<ColumnId> = columns.iter().map(|(id, _)| *id).collect();
    let time = designated.map(|(id, _)| id).filter(|id| !columns.contains(id));
    let and_time: Vec<ColumnId> = columns.iter().copied().chain(time).collect();
    let (mut left_bytes, mut unread) = (READ_AHEAD_BYTES, Vec::new());
    for run in runs.iter().filter(|run| ranges.iter().any(|range| range.overlaps(run.ts_min, run.ts_max))) {
        let is_whole = ranges.iter().any(|range| range.contains(run.ts_min) && range.contains(run.ts_max));
        if is_whole && source.by_zones && run.has_zones(&columns, ZONE_ROWS) {
            continue;
        }
        let wanted = if is_whole { &columns } else { &and_time };
        let bytes = run.unread_bytes(wanted);
        if bytes > left_bytes {
            break;
        }
        if bytes > 0 {
            left_bytes -= bytes;
            unread.push((run.clone(), wanted.clone()));
        }
    }
    // it may wait for room among the disk's requests; outside of a runtime, as in tests, nobody waits for a disk
    if let (false, Ok(runtime)) = (unread.is_empty(), Handle::try_current()) {
        runtime.spawn_blocking(move || unread.iter().for_each(|(run, wanted)| run.will_read(wanted)));
    }
}

/// Returns about how many rows of a run lie in ranges, as if they were spread evenly over its time.
fn rows_within(run: &Run, ranges: &[TimeRange]) -> usize {
    let span = i128::from(run.ts_max) - i128::from(run.ts_min) + 1;
    let within = |range: &TimeRange| {
        let (start, end) = (range.start_us.max(run.ts_min), range.end_us.min(run.ts_max.saturating_add(1)));
        (i128::from(end) - i128::from(start)).max(0)
    };
    let covered: i128 = ranges.iter().map(within).sum();
    ((run.rows() as i128 * covered.min(span)) / span) as usize
}

/// Returns the designated timestamps of a run, in the column's own unit.
fn times(open: &OpenRun, designated: ColumnId) -> Result<arrow::buffer::ScalarBuffer<i64>> {
    let column = open.whole(designated).map_err(failed)?;
    match column.as_ref().map(|array| (array, array.data_type())) {
        Some((array, DataType::Timestamp(TimeUnit::Microsecond, _))) => {
            Ok(array.as_primitive::<TimestampMicrosecondType>().values().clone())
        }
        Some((array, DataType::Timestamp(TimeUnit::Nanosecond, _))) => {
            Ok(array.as_primitive::<TimestampNanosecondType>().values().clone())
        }
        _ => internal_err!("column {designated} is not a designated timestamp"),
    }
}

pub(super) fn failed(error: storage::Error) -> datafusion::error::DataFusionError {
    SqlError::from_storage(&error).into_datafusion()
}

#[cfg(test)]
mod tests;
