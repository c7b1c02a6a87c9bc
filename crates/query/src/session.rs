//! One connection's conversation: a statement's text in, its outcome out.
//!
//! `execute` parses, plans over one read view, and runs: queries on the async runtime, everything that touches storage on
//! blocking threads. A transaction buffers inserted rows and appends them as one commit. Reading order: [`run`] (plans), [`rules`] (what
//! of the engine they need), [`kept`] (what is kept of them),
//! [`insert`], [`update`], [`delete`], [`rewrite`] (what those two share), [`create`], [`alter`],
//! [`retype`], [`partitions`], [`check`]; [`rows`] turns values into storage's batches.

mod alter;
mod catalogue;
mod check;
mod copy;
mod copy_in;
mod create;
mod create_as;
mod delete;
mod explain;
mod insert;
mod kept;
mod partitions;
mod restore;
mod retype;
mod rewrite;
mod rows;
mod rules;
mod run;
mod savepoints;
mod snapshot;
#[cfg(test)]
mod tests;
mod update;
mod validate;
mod view;

use std::ops::Range;
use std::sync::Arc;

use storage::{Database, Error, ReadView};
use types::{RowBatch, TableId, TableName};

use crate::activity::{Running, Stopper};
use crate::error::{SqlError, SqlErrorKind};
use crate::functions::Environment;
use crate::functions::environment::{Seeds, Surroundings};
use crate::outcome::{Described, Outcome, OutputColumn};
use crate::parser::ast::{Statement, Transaction};
use crate::planner::parameters::{Param, Parameters};
use crate::planner::relation::{Relation, unqualified};
use crate::planner::view::no_table;
use crate::planner::{Ctes, Planner};
use crate::settings::Settings;
use crate::{kind::Kind, parser, postgres};

pub use copy_in::CopyTarget;
pub(crate) use kept::Kept;
use kept::{Entry, Known};
pub(crate) use rules::Engine;
pub(crate) use run::engine;
pub use validate::Validity;

/// One connection.
pub struct Session {
    database: Arc<Database>,
    settings: Arc<Settings>,
    state: Arc<Engine>,
    /// Its number among the sessions and statements of the server.
    id: i64,
    stopper: Stopper,
    /// Who says the statements.
    user: String,
    /// Statements that change something are refused.
    read_only: bool,
    /// Rules of PostgreSQL's DDL are noticed, not refused.
    over_postgres: bool,
    /// Rows inserted since BEGIN.
    transaction: Option<Vec<Lot>>,
    /// Set since BEGIN, the newest last.
    savepoints: Vec<savepoints::Savepoint>,
}

/// What a statement is planned over: one read view, one moment.
struct Moment {
    view: ReadView,
    environment: Environment,
}

impl Session {
    /// Returns a session without a transaction.
    pub fn new(database: Arc<Database>, settings: Arc<Settings>) -> Session {
        let (state, id, user) = (settings.engine(), settings.activity.next_id(), settings.user.clone());
        let stopper = Stopper::default();
        Session {
            database,
            settings,
            state,
            id,
            stopper,
            user,
            read_only: false,
            over_postgres: false,
            transaction: None,
            savepoints: Vec::new(),
        }
    }

    /// Returns what stops the statement that this session works on, from wherever.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Returns this session as that of a user, who may perhaps only read.
    pub fn of_user(self, user: &str, read_only: bool) -> Session {
        Session { user: user.to_owned(), read_only, ..self }
    }

    /// Returns this session as one over PostgreSQL's protocol, whose tools write keys, checks and indexes into their DDL: they are
    /// accepted with a notice that nothing keeps to them.
    pub fn over_postgres(self) -> Session {
        Session { over_postgres: true, ..self }
    }

    /// Returns the byte ranges of the statements of a script; empty ones are left out.
    pub fn split(sql: &str) -> Result<Vec<Range<usize>>, SqlError> {
        parser::split(sql)
    }

    /// Returns whether BEGIN was said and neither COMMIT nor ROLLBACK since.
    pub fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Carries out one statement. What it changes is visible to every session, and durable as the commit mode says, when
    /// this returns; rows are read while the stream is.
    ///
    /// # Errors
    /// The peer's text and place for a wrong statement; nothing of it was stored.
    pub async fn execute(&mut self, sql: &str, params: &[Param]) -> Result<Outcome, SqlError> {
        match self.carry_out(sql, params).await {
            Err(error) if error.kind == SqlErrorKind::Statement && postgres::may_concern(sql) => {
                self.catalogue_query(sql, params).await.map_or(Err(error), |rows| Ok(Outcome::Rows(rows)))
            }
            answered => answered,
        }
    }

    async fn carry_out(&mut self, sql: &str, params: &[Param]) -> Result<Outcome, SqlError> {
        if parser::is_blank(sql)? {
            return Ok(Outcome::Empty);
        }
        let now_us = self.settings.env.clock.now_us();
        let entry = match self.settings.kept.known(sql, params.is_empty() && !self.settings.plain)? {
            Known::Statement(entry) => entry,
            Known::Shape(shape, varying) => match self.shaped(&shape, &varying.literals, params) {
                Some(ready) => return self.rows(ready, self.begun(sql, now_us)).map(Outcome::Rows),
                None => Arc::new(Entry::once(parser::parse(sql)?)),
            },
            Known::Form(form, entry) => match self.formed(&form, &entry.statement) {
                Some(ready) => return self.rows(ready, self.begun(sql, now_us)).map(Outcome::Rows),
                None => entry,
            },
        };
        let statement = &entry.statement;
        if self.read_only && !statement.only_reads() {
            return Err(SqlError { kind: SqlErrorKind::Denied, ..SqlError::new(0, "Write permission denied") });
        }
        let running = self.begun(sql, now_us);
        match statement {
            Statement::Query(query) => self.query(sql, &entry, query, params, running).await.map(Outcome::Rows),
            Statement::Insert(insert) => self.insert(sql, insert, params).await,
            Statement::Explain(inner) => self.explain(inner, params).await,
            other => self.change(other.clone(), params, now_us).await,
        }
    }

    /// Lists a statement that begins.
    fn begun(&self, sql: &str, now_us: i64) -> Running {
        let running = self.settings.activity.begin(self.id, &self.user, now_us, sql);
        self.stopper.set(running.statement());
        running
    }

    /// Carries out a statement that changes something, or asks for it.
    async fn change(&mut self, statement: Statement, params: &[Param], now_us: i64) -> Result<Outcome, SqlError> {
        match statement {
            Statement::CancelQuery(id) => {
                if self.settings.activity.cancel(id.value, now_us) {
                    return Ok(Outcome::Ddl);
                }
                let message = format!("query to cancel not found in registry [id={}]", id.value);
                Err(SqlError::new(id.position, message))
            }
            Statement::Update(update) => self.update(update, params).await,
            Statement::Delete(delete) => self.delete(delete, params).await,
            Statement::CreateTable(create) => self.create(create, params).await,
            Statement::CreateIndex(index) => self.create_index(&index),
            Statement::Transaction(step) => self.transact(step).await,
            Statement::Accepted => Ok(Outcome::Set),
            Statement::Snapshot(snapshot) => self.snapshot(snapshot).await,
            Statement::RestoreTable(restore) => self.restore_table(restore).await,
            Statement::RestoreDatabase(restore) => self.restore_database(restore).await,
            Statement::Undrop(undrop) => self.undrop(undrop).await,
            Statement::Purge(purge) => self.purge(purge).await,
            Statement::Maintain(table) => {
                self.table(&table)?;
                Ok(Outcome::Ddl)
            }
            Statement::Check(table) => self.check(&table).await,
            Statement::View(statement) => self.change_view(statement).await,
            Statement::Copy(copy) => self.copy(copy).await,
            other => self.change_tables(other).await,
        }
    }

    /// Returns whether a text is a query that is soon planned, and no deeper than what was planned before.
    #[must_use]
    pub fn knows(&self, sql: &str) -> bool {
        !self.settings.plain && self.settings.kept.is_soon_planned(sql)
    }

    /// Returns whether a statement changes nothing.
    ///
    /// # Errors
    /// A statement that cannot be parsed.
    pub fn only_reads(sql: &str) -> Result<bool, SqlError> {
        Ok(parser::is_blank(sql)? || parser::parse(sql)?.only_reads())
    }

    /// Returns the parameters and the result columns of a statement without running it; `hints` are the kinds that the
    /// client gave for its parameters.
    pub fn describe(&self, sql: &str, hints: &[Option<Kind>]) -> Result<Described, SqlError> {
        self.described(sql, hints).or_else(|error| match postgres::may_concern(sql) {
            true => self.describe_catalogue_query(sql, hints).ok_or(error),
            false => Err(error),
        })
    }

    fn described(&self, sql: &str, hints: &[Option<Kind>]) -> Result<Described, SqlError> {
        if parser::is_blank(sql)? {
            return Ok(Described::default());
        }
        let moment = self.moment();
        let planner = self.planner(&moment, Parameters::described(hints));
        let entry = self.settings.kept.statement(sql)?;
        let columns = match &entry.statement {
            Statement::Query(query) => match entry.plan().and_then(|plan| plan.columns_over(&moment.view)) {
                Some(columns) => Some(columns),
                None => Some(columns_of(&planner.query(query, Ctes::NONE)?.shown()?)),
            },
            Statement::Explain(inner) => {
                if let Statement::Query(query) = &**inner {
                    planner.query(query, Ctes::NONE)?;
                }
                Some(vec![explain::column()])
            }
            Statement::Check(_) => Some(check::columns()),
            Statement::Copy(copy) => Some(copy::columns(copy)),
            Statement::Insert(insert) => {
                insert::describe(&planner, sql, insert)?;
                None
            }
            Statement::Update(update) => {
                update::describe(&planner, update)?;
                None
            }
            Statement::Delete(delete) => {
                delete::describe(&planner, delete)?;
                None
            }
            _ => None,
        };
        Ok(Described { params: planner.parameters.kinds(), lists: planner.parameters.lists(), columns })
    }

    fn moment(&self) -> Moment {
        let env = &self.settings.env;
        let seeds = Seeds::of(env.rng.clone());
        let environment = Environment::new(Surroundings {
            now_us: env.clock.now_us(),
            clock: env.clock.clone(),
            user: self.user.clone(),
            reload: self.settings.reload.clone(),
            seeds,
            started_us: self.settings.started_us,
            activity: self.settings.activity.clone(),
        });
        Moment { view: self.database.view(), environment }
    }

    fn planner<'a>(&'a self, moment: &'a Moment, parameters: Parameters) -> Planner<'a> {
        Planner::new(&self.database, &moment.view, &moment.environment, &self.settings, parameters)
    }

    /// Returns the stored table of that name.
    fn table(&self, name: &parser::ast::Ident) -> Result<storage::TableView, SqlError> {
        let view = self.database.view();
        view.table(unqualified(&name.name)).ok_or_else(|| no_table(&view, name))
    }

    /// Runs a blocking call of storage away from the async runtime.
    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Database) -> storage::Result<T> + Send + 'static,
    ) -> Result<T, SqlError> {
        let database = self.database.clone();
        self.off_runtime(move || call(&database).map_err(|e| SqlError::from_storage(&e))).await
    }

    async fn off_runtime<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> Result<T, SqlError> + Send + 'static,
    ) -> Result<T, SqlError> {
        match tokio::task::spawn_blocking(call).await {
            Ok(result) => result,
            Err(error) => Err(SqlError::internal(format!("the statement's thread ended: {error}"))),
        }
    }

    async fn transact(&mut self, step: Transaction) -> Result<Outcome, SqlError> {
        self.savepoints.clear();
        match step {
            Transaction::Begin => {
                self.transaction.get_or_insert_with(Vec::new);
                Ok(Outcome::Begin)
            }
            Transaction::Commit => {
                let rows = self.transaction.take().unwrap_or_default();
                self.append(rows).await?;
                Ok(Outcome::Commit)
            }
            Transaction::Rollback => {
                self.transaction = None;
                Ok(Outcome::Rollback)
            }
        }
    }

    /// Appends rows now, or at COMMIT.
    async fn append_or_buffer(&mut self, lots: Vec<Lot>) -> Result<(), SqlError> {
        match &mut self.transaction {
            Some(buffered) => {
                buffered.extend(lots);
                Ok(())
            }
            None => self.append(lots).await,
        }
    }

    async fn append(&self, mut lots: Vec<Lot>) -> Result<(), SqlError> {
        lots.retain(|lot| lot.batch.rows() > 0);
        if lots.is_empty() {
            return Ok(());
        }
        let call = move |database: &Database| {
            let names: Vec<(TableId, TableName)> = lots.iter().map(|lot| (lot.table, lot.name.clone())).collect();
            let appended = database.append(lots.into_iter().map(|lot| (lot.table, lot.batch)).collect());
            appended.map(drop).map_err(|error| {
                let there = database.view();
                let gone = names.iter().find(|(id, _)| there.tables().iter().all(|table| table.id() != *id));
                match (error, gone) {
                    (Error::Conflict(_), Some((_, name))) => Error::Conflict(format!(
                        "table {name} was dropped, or another one is in its place, since the rows came: try again"
                    )),
                    (error, _) => error,
                }
            })
        };
        self.blocking(call).await
    }
}

/// Rows of one table on their way into it.
struct Lot {
    table: TableId,
    name: TableName,
    batch: RowBatch,
}

/// Returns the result columns of a relation without hidden ones.
fn columns_of(relation: &Relation) -> Vec<OutputColumn> {
    relation.columns.iter().map(|c| OutputColumn { name: c.name.clone(), kind: c.kind }).collect()
}
