//! What UPDATE and DELETE share: the partitions that hold matching rows are written anew, in one commit.
//!
//! A plan gives all rows of the table in its order with, behind their columns, whether each matches. Partitions without a
//! match are left alone. Next: [`super::update`], [`super::delete`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{SlicesIterator, concat_batches, filter_record_batch, not};
use arrow::datatypes::{TimestampMicrosecondType, UInt64Type};
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use futures::StreamExt;
use storage::{ReadView, TableView};
use types::{ColumnDef, PartitionBy, PartitionKey, RowBatch, Schema};

use super::rows::row_batch;
use super::run::stream;
use super::{Moment, Session};
use crate::error::SqlError;
use crate::functions::Environment;
use crate::parser::ast::Ident;
use crate::planner::Planner;
use crate::planner::parameters::{Param, Parameters};
use crate::planner::relation::{missing_table, unqualified};
use crate::settings::Settings;

/// Returns the rows of a table: its columns, whether each row matches, and perhaps the row's number. A row that comes
/// several times in a row under one number counts once, as it came first.
pub type PlanRows = Box<dyn Fn(&Planner, &TableView) -> Result<LogicalPlan, SqlError> + Send + Sync>;

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
            plan(&planner, &table)?;
            table.id()
        };
        let job = Job {
            plan,
            keep,
            params: params.to_vec(),
            moment,
            state: self.engine().clone(),
            settings: self.settings.clone(),
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
    planner.view.table(unqualified(&name.name)).ok_or_else(|| missing_table(name))
}

/// What the rewriting of one table needs, on its own thread.
struct Job {
    plan: PlanRows,
    keep: Keep,
    params: Vec<Param>,
    moment: Moment,
    state: SessionState,
    settings: Arc<Settings>,
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
        let plan = {
            let (read, environment): (&ReadView, &Environment) = (&self.moment.view, &self.moment.environment);
            let parameters = Parameters::bound(&self.params);
            let planner = Planner::new(&self.database, read, environment, &self.settings, parameters);
            (self.plan)(&planner, view)?
        };
        let mut stream = stream(&self.state, &plan).await?;
        let mut partitions = Partitions::new(view.schema().clone(), self.keep);
        while let Some(batch) = stream.next().await {
            partitions.add(batch.map_err(|e| SqlError::from_datafusion(&e))?)?;
        }
        let (changed, matched) = partitions.finish()?;
        self.matched.store(matched, Ordering::Relaxed);
        Ok(changed)
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
        let times = batch.column(place).as_primitive::<TimestampMicrosecondType>().values();
        let key = unit.key(times[start]);
        let range = unit.range(key);
        let length = times[start..].partition_point(|us| range.contains(*us));
        (key, start + length.max(1))
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
