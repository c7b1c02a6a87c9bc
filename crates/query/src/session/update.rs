//! UPDATE: the partitions that hold matching rows are written anew, in one commit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{SlicesIterator, concat_batches};
use arrow::datatypes::TimestampMicrosecondType;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit, when};
use futures::StreamExt;
use storage::{ReadView, TableView};
use types::{ColumnDef, PartitionBy, PartitionKey, RowBatch, Schema};

use super::rows::row_batch;
use super::run::stream;
use super::{Moment, Session};
use crate::error::SqlError;
use crate::functions::{self, Environment};
use crate::kind::Kind;
use crate::outcome::Outcome;
use crate::parser::ast::Update;
use crate::planner::parameters::{Param, Parameters};
use crate::planner::relation::{Column, missing_table, unqualified};
use crate::planner::scope::Scope;
use crate::planner::{Ctes, Planner};
use crate::provider::StoredTable;
use crate::settings::Settings;

impl Session {
    pub(super) async fn update(&self, sql: &str, update: Update, params: &[Param]) -> Result<Outcome, SqlError> {
        let _ = sql;
        let moment = self.moment();
        let id = {
            let planner = self.planner(&moment, Parameters::bound(params));
            let table = table(&planner, &update)?;
            plan(&planner, &update, &table)?;
            table.id()
        };
        let job = Job {
            update,
            params: params.to_vec(),
            moment,
            state: self.engine().clone(),
            settings: self.settings.clone(),
            database: self.database.clone(),
            runtime: tokio::runtime::Handle::current(),
            failure: Mutex::new(None),
            updated: AtomicU64::new(0),
        };
        let rows = self
            .off_runtime(move || {
                let result = job.database.rewrite(id, |view| job.rewritten(view));
                if let Some(failure) = job.failure.lock().expect("no holder panics").take() {
                    return Err(failure);
                }
                result.map_err(|e| SqlError::from_storage(&e))?;
                Ok(job.updated.load(Ordering::Relaxed))
            })
            .await?;
        Ok(Outcome::Update { rows })
    }
}

/// Finds the kinds of an UPDATE's parameters.
pub fn describe(planner: &Planner, update: &Update) -> Result<(), SqlError> {
    let table = table(planner, update)?;
    plan(planner, update, &table).map(drop)
}

fn table(planner: &Planner, update: &Update) -> Result<TableView, SqlError> {
    planner.view.table(unqualified(&update.table.name)).ok_or_else(|| missing_table(&update.table))
}

/// What the rewriting of one table needs, on its own thread.
struct Job {
    update: Update,
    params: Vec<Param>,
    moment: Moment,
    state: SessionState,
    settings: Arc<Settings>,
    database: Arc<storage::Database>,
    runtime: tokio::runtime::Handle,
    /// The statement's own error, which storage's closure cannot carry.
    failure: Mutex<Option<SqlError>>,
    updated: AtomicU64,
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
            plan(&planner, &self.update, view)?
        };
        let mut stream = stream(&self.state, &plan).await?;
        let mut partitions = Partitions::new(view.schema().clone());
        while let Some(batch) = stream.next().await {
            partitions.add(&batch.map_err(|e| SqlError::from_datafusion(&e))?)?;
        }
        let (changed, updated) = partitions.finish()?;
        self.updated.store(updated, Ordering::Relaxed);
        Ok(changed)
    }
}

/// Returns a plan of all columns with their new values, and behind them whether the row matches.
fn plan(planner: &Planner, update: &Update, view: &TableView) -> Result<LogicalPlan, SqlError> {
    let schema = view.schema();
    let mut relation = planner.scan(Arc::new(StoredTable::new(view.clone())), update.table.position)?;
    let alias = update.alias.as_ref().map_or(unqualified(&update.table.name), |a| &a.name);
    relation.columns.iter_mut().for_each(|c| c.table = Some(alias.to_owned()));
    let columns = relation.columns.clone();
    let scope =
        Scope { columns: &columns, time: schema.designated_index(), ctes: Ctes::NONE, ..Scope::constants(planner) };
    let matches = match &update.filter {
        Some(filter) => conditions(&scope, filter)?,
        None => lit(true),
    };
    let mut exprs: Vec<Expr> = columns.iter().map(Column::expr).collect();
    for (name, tree) in &update.set {
        let missing = || SqlError::new(name.position, format!("Invalid column: {}", name.name));
        let place = schema.index_of(&name.name).ok_or_else(missing)?;
        if schema.designated_index() == Some(place) {
            return Err(SqlError::new(name.position, "Designated timestamp column cannot be updated"));
        }
        let kind = Kind::from(schema.columns[place].column_type);
        let value = scope.bind_wanted(tree, kind)?;
        check_update(value.kind, kind, value.is_literal(), tree.position, &schema.columns[place])?;
        let value = functions::cast::assign(value, kind, "", &schema.columns[place].name)?;
        let case = when(matches.clone(), value.expr).otherwise(columns[place].expr());
        exprs[place] = case.map_err(|e| SqlError::from_datafusion(&e))?.alias(&columns[place].field);
    }
    exprs.push(matches.alias("matches"));
    LogicalPlanBuilder::from(relation.plan)
        .project(exprs)
        .and_then(|b| b.build())
        .map_err(|e| SqlError::from_datafusion(&e))
}

fn conditions(scope: &Scope, filter: &crate::parser::ast::Expr) -> Result<Expr, SqlError> {
    scope.condition(filter).map(|test| test.is_true())
}

/// Refuses what UPDATE does not narrow although INSERT does.
fn check_update(from: Kind, to: Kind, is_literal: bool, position: usize, column: &ColumnDef) -> Result<(), SqlError> {
    let rank = |kind: Kind| match kind {
        Kind::Byte => Some(1),
        Kind::Short => Some(2),
        Kind::Int => Some(3),
        Kind::Long => Some(4),
        Kind::Float => Some(5),
        Kind::Double => Some(6),
        _ => None,
    };
    let _ = is_literal;
    match (rank(from), rank(to)) {
        (Some(a), Some(b)) if a > b => {
            let message = format!("inconvertible types: {from} -> {to} [from=, to={}]", column.name);
            Err(SqlError::new(position, message))
        }
        _ => Ok(()),
    }
}

/// Rows as they stream by, gathered by partition; only partitions with a match are kept.
struct Partitions {
    schema: Arc<Schema>,
    changed: Rewritten,
    open: Option<(PartitionKey, Vec<RecordBatch>, u64)>,
    updated: u64,
}

impl Partitions {
    fn new(schema: Arc<Schema>) -> Partitions {
        Partitions { schema, changed: Vec::new(), open: None, updated: 0 }
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<(), SqlError> {
        let mut start = 0;
        while start < batch.num_rows() {
            let (key, end) = self.partition_from(batch, start);
            self.add_part(key, batch.slice(start, end - start))?;
            start = end;
        }
        Ok(())
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
        let matched = matched_rows(&part);
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

    fn close(&mut self) -> Result<(), SqlError> {
        let Some((key, parts, matched)) = self.open.take().filter(|(_, _, matched)| *matched > 0) else {
            return Ok(());
        };
        let targets: Vec<&ColumnDef> = self.schema.columns.iter().collect();
        let whole = concat_batches(&parts[0].schema(), &parts).map_err(|e| SqlError::internal(e.to_string()))?;
        self.changed.push((key, vec![row_batch(&whole, &targets)?]));
        self.updated += matched;
        Ok(())
    }

    fn finish(mut self) -> Result<(Rewritten, u64), SqlError> {
        self.close()?;
        Ok((self.changed, self.updated))
    }
}

fn matched_rows(part: &RecordBatch) -> u64 {
    let flags: &BooleanArray = part.column(part.num_columns() - 1).as_boolean();
    let matched: usize = SlicesIterator::new(flags).map(|(start, end)| end - start).sum();
    debug_assert_eq!(flags.null_count(), 0);
    matched as u64
}
