//! What UPDATE and DELETE share: the partitions that hold matching rows are written anew, in one commit.
//!
//! The first look finds the partitions that hold a match: only those are read whole, in the table's order, with whether
//! each row matches behind its columns. Next: [`super::update`], [`super::delete`].

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{SlicesIterator, concat_batches, filter_record_batch, not};
use arrow::datatypes::{TimestampMicrosecondType, TimestampNanosecondType, UInt64Type};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use futures::StreamExt;
use storage::{ReadView, TableView};
use types::{ColumnDef, PartitionBy, PartitionKey, RowBatch, Schema, TimeRange};

use super::rows::row_batch;
use super::rules::Engine;
use super::run::stream;
use super::{Moment, Session};
use crate::activity::Stopper;
use crate::error::SqlError;
use crate::functions::Environment;
use crate::kind::Kind;
use crate::parser::ast::Ident;
use crate::planner::Planner;
use crate::planner::parameters::{Param, Parameters};
use crate::planner::relation::{Relation, unqualified};
use crate::provider::StoredTable;
use crate::settings::Settings;

/// Returns a plan over a table, or None where there is no need to look first.
pub type PlanRows = Box<dyn Fn(&Planner, &TableView, Look) -> Result<Option<LogicalPlan>, SqlError> + Send + Sync>;

/// What is asked of a table that is about to be rewritten.
#[derive(Debug, Clone, Copy)]
pub enum Look<'a> {
    /// The designated timestamps of the rows that match.
    Matches,
    /// The rows in these ranges of time (all rows without any): the table's columns, whether the row matches, and perhaps
    /// the row's number. A row that comes several times in a row under one number counts once, as it came first.
    Rows(&'a [TimeRange]),
}

/// Ranges of time that a second look tests rows against.
const MAX_RANGES: usize = 64;

/// Which rows of a partition stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    All,
    Unmatched,
}

impl Session {
    /// Writes a table's partitions with matching rows anew and returns how many matched.
    pub(super) async fn rewrite(
        &self,
        name: &Ident,
        params: &[Param],
        keep: Keep,
        plan: PlanRows,
    ) -> Result<u64, SqlError> {
        let moment = self.moment();
        let id = {
            let planner = self.planner(&moment, Parameters::bound(params));
            let table = table(&planner, name)?;
            plan(&planner, &table, Look::Rows(&[]))?;
            table.id()
        };
        let job = Job {
            plan,
            keep,
            params: params.to_vec(),
            moment,
            state: self.engine().clone(),
            settings: self.settings.clone(),
            stopper: self.stopper.clone(),
            database: self.database.clone(),
            runtime: tokio::runtime::Handle::current(),
            failure: Mutex::new(None),
            matched: AtomicU64::new(0),
        };
        self.off_runtime(move || {
            let result = job.database.rewrite(id, |view| job.rewritten(view));
            if let Some(failure) = job.failure.lock().expect("no holder panics").take() {
                return Err(failure);
            }
            result.map_err(|e| SqlError::from_storage(&e))?;
            Ok(job.matched.load(Ordering::Relaxed))
        })
        .await
    }
}

/// Returns the table that a statement changes.
pub fn table(planner: &Planner, name: &Ident) -> Result<TableView, SqlError> {
    planner.table(&name.name).ok_or_else(|| planner.no_table(name))
}

/// Returns a plan of the times of the rows that match; None for a table without partitions, where all rows are one part.
pub fn matching_times(relation: &Relation, matches: Option<Expr>) -> Result<Option<LogicalPlan>, SqlError> {
    let (Some(time), Some(matches)) = (relation.time, matches) else { return Ok(None) };
    if relation.columns[time].kind != Kind::Timestamp {
        return Ok(None);
    }
    let time = relation.columns[time].expr();
    let plan = LogicalPlanBuilder::from(relation.plan.clone()).filter(matches).and_then(|b| b.project([time]));
    plan.and_then(|b| b.build()).map(Some).map_err(|e| SqlError::from_datafusion(&e))
}

/// What the rewriting of one table needs, on its own thread.
struct Job {
    plan: PlanRows,
    keep: Keep,
    params: Vec<Param>,
    moment: Moment,
    state: Arc<Engine>,
    settings: Arc<Settings>,
    stopper: Stopper,
    database: Arc<storage::Database>,
    runtime: tokio::runtime::Handle,
    /// The statement's own error, which storage's closure cannot carry.
    failure: Mutex<Option<SqlError>>,
    matched: AtomicU64,
}

type Rewritten = Vec<(PartitionKey, Vec<RowBatch>)>;

impl Job {
    /// Returns the new rows of the partitions in which a row matches.
    fn rewritten(&self, view: &TableView) -> storage::Result<Option<Rewritten>> {
        match self.runtime.block_on(self.changed(view)) {
            Ok(changed) if changed.is_empty() => Ok(None),
            Ok(changed) => Ok(Some(changed)),
            Err(error) => {
                let message = error.message.clone();
                *self.failure.lock().expect("no holder panics") = Some(error);
                Err(storage::Error::Invalid(message))
            }
        }
    }

    async fn changed(&self, view: &TableView) -> Result<Rewritten, SqlError> {
        let ranges = match self.planned(view, Look::Matches)? {
            Some(plan) => self.ranges(view, &plan).await?,
            None => Vec::new(),
        };
        if ranges.first().is_some_and(TimeRange::is_empty) {
            self.matched.store(0, Ordering::Relaxed);
            return Ok(Vec::new());
        }
        let plan = self.planned(view, Look::Rows(&ranges))?;
        let plan = plan.ok_or_else(|| SqlError::internal("a rewrite without rows was planned"))?;
        let mut stream = stream(&self.state, &plan, &self.stopper).await?;
        let mut partitions = Partitions::new(view.schema().clone(), self.keep);
        while let Some(batch) = stream.next().await {
            partitions.add(batch.map_err(|e| SqlError::from_datafusion(&e))?)?;
        }
        let (changed, matched) = partitions.finish()?;
        self.matched.store(matched, Ordering::Relaxed);
        Ok(changed)
    }

    fn planned(&self, view: &TableView, look: Look) -> Result<Option<LogicalPlan>, SqlError> {
        let (read, environment): (&ReadView, &Environment) = (&self.moment.view, &self.moment.environment);
        let parameters = Parameters::bound(&self.params);
        let planner = Planner::new(&self.database, read, environment, &self.settings, parameters);
        (self.plan)(&planner, view, look)
    }

    /// Returns the times of the partitions in which a row matches, merged where they touch; one empty range when none does.
    async fn ranges(&self, view: &TableView, plan: &LogicalPlan) -> Result<Vec<TimeRange>, SqlError> {
        let unit = view.schema().partition_by;
        let mut keys = BTreeSet::new();
        let mut stream = stream(&self.state, plan, &self.stopper).await?;
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(|e| SqlError::from_datafusion(&e))?;
            let times = batch.column(0).as_primitive::<TimestampMicrosecondType>().values();
            let mut start = 0;
            while start < times.len() {
                let key = unit.key(times[start]);
                keys.insert(key);
                let range = unit.range(key);
                start += times[start..].iter().take_while(|us| range.contains(**us)).count().max(1);
            }
        }
        let mut ranges: Vec<TimeRange> = Vec::new();
        for range in keys.into_iter().map(|key| unit.range(key)) {
            match ranges.last_mut() {
                Some(last) if last.end_us == range.start_us => last.end_us = range.end_us,
                _ => ranges.push(range),
            }
        }
        Ok(match ranges.as_slice() {
            [] => vec![TimeRange::EMPTY],
            // Too many to test each row against: partitions without a match are passed over anyway.
            [first, .., last] if ranges.len() > MAX_RANGES => {
                vec![TimeRange { start_us: first.start_us, end_us: last.end_us }]
            }
            _ => ranges,
        })
    }
}

/// Returns the table that a statement changes as a relation of that alias, of some ranges of time if there are any.
pub fn target(
    planner: &Planner,
    name: &Ident,
    alias: Option<&Ident>,
    view: &TableView,
    ranges: &[TimeRange],
) -> Result<Relation, SqlError> {
    let mut relation = planner.scan(Arc::new(StoredTable::new(view.clone())), name.position)?;
    let alias = alias.map_or(unqualified(&name.name), |a| &a.name);
    relation.columns.iter_mut().for_each(|c| c.table = Some(alias.to_owned()));
    relation.time = view.schema().designated_index();
    let Some(time) = relation.time.map(|place| relation.columns[place].expr()) else { return Ok(relation) };
    let moment = |us: i64| Expr::Literal(ScalarValue::TimestampMicrosecond(Some(us), None), None);
    let inside =
        |range: &TimeRange| time.clone().gt_eq(moment(range.start_us)).and(time.clone().lt(moment(range.end_us)));
    match ranges.iter().map(inside).reduce(Expr::or) {
        Some(inside) => relation.filtered(inside),
        None => Ok(relation),
    }
}

/// Rows as they stream by, gathered by partition; only partitions with a match are kept.
struct Partitions {
    schema: Arc<Schema>,
    keep: Keep,
    changed: Rewritten,
    open: Option<(PartitionKey, Vec<RecordBatch>, u64)>,
    matched: u64,
    /// The number of the row seen last, where rows are numbered.
    last_number: Option<u64>,
}

impl Partitions {
    fn new(schema: Arc<Schema>, keep: Keep) -> Partitions {
        Partitions { schema, keep, changed: Vec::new(), open: None, matched: 0, last_number: None }
    }

    fn add(&mut self, batch: RecordBatch) -> Result<(), SqlError> {
        let batch = self.once(batch)?;
        let mut start = 0;
        while start < batch.num_rows() {
            let (key, end) = self.partition_from(&batch, start);
            self.add_part(key, batch.slice(start, end - start))?;
            start = end;
        }
        Ok(())
    }

    /// Returns the batch without the rows that came under the number of the row before them.
    fn once(&mut self, batch: RecordBatch) -> Result<RecordBatch, SqlError> {
        let numbered = self.schema.columns.len() + 1;
        if batch.num_columns() == numbered {
            return Ok(batch);
        }
        let numbers = batch.column(numbered).as_primitive::<UInt64Type>();
        let mut last = self.last_number;
        let first: BooleanArray = numbers
            .values()
            .iter()
            .map(|number| {
                let new = last != Some(*number);
                last = Some(*number);
                Some(new)
            })
            .collect();
        self.last_number = last;
        filter_record_batch(&batch, &first).map_err(|e| SqlError::internal(e.to_string()))
    }

    /// Returns the partition of a row and the first row behind it that is in another one.
    fn partition_from(&self, batch: &RecordBatch, start: usize) -> (PartitionKey, usize) {
        let unit = self.schema.partition_by;
        let Some(place) = self.schema.designated_index().filter(|_| unit != PartitionBy::None) else {
            return (unit.key(0), batch.num_rows());
        };
        let column = batch.column(place);
        let nanos = column.as_primitive_opt::<TimestampNanosecondType>().map(|times| times.values());
        let micros = column.as_primitive_opt::<TimestampMicrosecondType>().map(|times| times.values());
        let at = |row: usize| match (nanos, micros) {
            (Some(nanos), _) => nanos[row].div_euclid(1000),
            (None, Some(micros)) => micros[row],
            (None, None) => 0,
        };
        let key = unit.key(at(start));
        let range = unit.range(key);
        // Rows ascend by time: halve what is left until the first row behind the partition is found.
        let (mut low, mut high) = (start + 1, batch.num_rows());
        while low < high {
            let middle = low + (high - low) / 2;
            if range.contains(at(middle)) { low = middle + 1 } else { high = middle }
        }
        (key, low)
    }

    fn add_part(&mut self, key: PartitionKey, part: RecordBatch) -> Result<(), SqlError> {
        let matched = matched_rows(self.matches(&part));
        match &mut self.open {
            Some((open, parts, count)) if *open == key => {
                parts.push(part);
                *count += matched;
            }
            _ => {
                self.close()?;
                self.open = Some((key, vec![part], matched));
            }
        }
        Ok(())
    }

    fn matches<'a>(&self, part: &'a RecordBatch) -> &'a BooleanArray {
        part.column(self.schema.columns.len()).as_boolean()
    }

    fn close(&mut self) -> Result<(), SqlError> {
        let Some((key, parts, matched)) = self.open.take().filter(|(_, _, matched)| *matched > 0) else {
            return Ok(());
        };
        let targets: Vec<&ColumnDef> = self.schema.columns.iter().collect();
        let internal = |e: arrow::error::ArrowError| SqlError::internal(e.to_string());
        let mut whole = concat_batches(&parts[0].schema(), &parts).map_err(internal)?;
        if self.keep == Keep::Unmatched {
            let stays = not(self.matches(&whole)).map_err(internal)?;
            whole = filter_record_batch(&whole, &stays).map_err(internal)?;
        }
        self.changed.push((key, vec![row_batch(&whole, &targets)?]));
        self.matched += matched;
        Ok(())
    }

    fn finish(mut self) -> Result<(Rewritten, u64), SqlError> {
        self.close()?;
        Ok((self.changed, self.matched))
    }
}

fn matched_rows(flags: &BooleanArray) -> u64 {
    debug_assert_eq!(flags.null_count(), 0);
    SlicesIterator::new(flags).map(|(start, end)| end - start).sum::<usize>() as u64
}
