//! The extended protocol: prepared statements and portals of a [`Conversation`].
//!
//! A statement is described when it is parsed, so that its errors come there; it is planned again when it is executed,
//! since tables may have changed. A portal's rows are made while they are fetched.

use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{BindComplete, CloseComplete, ParseComplete, PortalSuspended};
use pgwire::messages::response::EmptyQueryResponse;
use query::kind::Kind;
use query::{Described, OutputColumn, Param, Session};
use wire::pg_frontend::{Bind, Target};
use wire::pg_oid;
use wire::pg_parameter::{self, Parameter};

use super::command::Command;
use super::conversation::{Conversation, Ran, Transaction, aborted, complete, noticed, rows_tag};
use super::copy_in::Begun;
use super::cursor::Cursor;
use super::declared::{Declare, Fetch, without_lock};
use super::failure::{Failure, Stop};
use super::rows::{self, Format};
use super::stream::Output;

/// A statement that Parse named.
#[derive(Clone)]
pub struct Statement {
    sql: String,
    command: Command,
    /// Object id of each parameter: the client's, or what the statement suggests where it gave none.
    parameters: Vec<u32>,
    /// Columns of its result, if it has one.
    columns: Option<Vec<OutputColumn>>,
    /// Object ids of the columns that the client was told of. It may not ask again, so they must stay.
    announced: Option<Vec<u32>>,
}

/// A statement with its parameters, running or not.
pub struct Portal {
    statement: String,
    sql: String,
    command: Command,
    has_rows: bool,
    params: Vec<Param>,
    result_formats: Vec<i16>,
    state: State,
    /// Whether DECLARE made it, and whether it outlives its transaction.
    declared: Option<Hold>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    With,
    Without,
}

impl Portal {
    /// Returns the portal of a cursor that DECLARE began.
    pub fn declared(sql: &str, cursor: Cursor, hold: bool) -> Portal {
        Portal {
            statement: String::new(),
            sql: sql.to_owned(),
            command: Command::Other,
            has_rows: true,
            params: Vec::new(),
            result_formats: Vec::new(),
            state: State::Fetching(Box::new(cursor)),
            declared: Some(if hold { Hold::With } else { Hold::Without }),
        }
    }

    pub fn is_declared(&self) -> bool {
        self.declared.is_some()
    }

    /// Returns whether it stays when a transaction ends.
    pub fn holds(&self) -> bool {
        self.declared == Some(Hold::With)
    }

    /// Returns the rows that are left; `name` is its own.
    ///
    /// # Errors
    /// A portal without rows, or one that waited too long.
    pub fn cursor(&mut self, name: &str) -> Result<&mut Cursor, Failure> {
        match &mut self.state {
            State::Fetching(cursor) => Ok(cursor),
            _ => {
                Err(Failure::error("55000", format!("cursor \"{name}\" has no rows to fetch")).hint("declare it again"))
            }
        }
    }
}

enum State {
    Bound,
    Fetching(Box<Cursor>),
    /// All rows are sent.
    Exhausted,
    /// It had no rows and ran.
    Ran,
    /// Its rows were let go because nobody fetched them.
    Expired,
}

impl Conversation {
    pub(super) async fn parse(
        &mut self,
        name: String,
        sql: String,
        types: Vec<u32>,
        output: &mut Output,
    ) -> Result<(), Stop> {
        if !name.is_empty() && self.statements.contains_key(&name) {
            return Err(Failure::error("42P05", format!("duplicate statement [name={name}]")).into());
        }
        if self.statements.len() >= self.limits.statements {
            let message = format!("more than {} prepared statements on one connection", self.limits.statements);
            return Err(Failure::error("53400", message).hint("close those that are no longer used").into());
        }
        let statement = self.describe_sql(sql, types)?;
        self.statements.insert(name, statement);
        Ok(output.put(Backend::ParseComplete(ParseComplete::new()))?)
    }

    fn describe_sql(&mut self, sql: String, types: Vec<u32>) -> Result<Statement, Stop> {
        let ranges = Session::split(&sql)?;
        if ranges.len() > 1 {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(Failure {
                position: Some(sql[..ranges[1].start].chars().count()),
                ..Failure::error("42601", message)
            }
            .into());
        }
        let command = Command::of(&sql);
        self.refuse_if_failed(&command)?;
        let described = match command {
            Command::Insert | Command::Explain | Command::Other => {
                let hints: Vec<Option<Kind>> = types.iter().map(|oid| kind_of(*oid)).collect();
                self.session.describe(&sql, &hints)?
            }
            // Served here: no parameters, no rows.
            Command::Declare(Declare { query, .. }) => {
                let hints: Vec<Option<Kind>> = types.iter().map(|oid| kind_of(*oid)).collect();
                let described = self.session.describe(without_lock(&sql[query..]), &hints);
                let before = sql[..query].chars().count();
                Described { columns: None, ..described.map_err(|error| Failure::from(error).shifted(before))? }
            }
            Command::Fetch(Fetch { ref name, moves: false, .. }) => {
                let cursor = self.portals.get_mut(name).map(|portal| portal.cursor(name)).transpose()?;
                Described { columns: cursor.map(|cursor| cursor.columns().to_vec()), ..Described::default() }
            }
            _ => Described::default(),
        };
        let count = described.params.len().max(types.len());
        let parameters = (0..count).map(|i| match types.get(i) {
            Some(&oid) if oid != 0 => oid,
            _ => match described.lists.iter().find(|(place, _)| *place == i) {
                Some((_, kind)) => rows::list_oid(*kind),
                None => described.params.get(i).map_or(pg_oid::VARCHAR, |kind| rows::oid(*kind)),
            },
        });
        Ok(Statement { sql, command, parameters: parameters.collect(), columns: described.columns, announced: None })
    }

    /// In a failed transaction only its end is accepted.
    fn refuse_if_failed(&self, command: &Command) -> Result<(), Failure> {
        let accepted = matches!(command, Command::Commit | Command::Rollback | Command::RollbackTo(_) | Command::Empty);
        if self.transaction == Transaction::Failed && !accepted { Err(aborted()) } else { Ok(()) }
    }

    pub(super) fn bind(&mut self, bind: Bind, output: &mut Output) -> Result<(), Stop> {
        let statement = find(&self.statements, &bind.statement)?;
        self.refuse_if_failed(&statement.command)?;
        self.refuse_more_portals()?;
        let portal = Portal {
            params: parameters(&bind, &statement.parameters)?,
            statement: bind.statement,
            sql: statement.sql.clone(),
            command: statement.command.clone(),
            has_rows: statement.columns.is_some(),
            result_formats: bind.result_formats,
            state: State::Bound,
            declared: None,
        };
        self.portals.insert(bind.portal, portal);
        Ok(output.put(Backend::BindComplete(BindComplete::new()))?)
    }

    pub(super) fn refuse_more_portals(&self) -> Result<(), Failure> {
        if self.portals.len() >= self.limits.portals {
            let message = format!("more than {} open portals on one connection", self.limits.portals);
            return Err(Failure::error("53400", message).hint("close those that are no longer used"));
        }
        Ok(())
    }

    pub(super) fn describe_statement(&mut self, name: &str, output: &mut Output) -> Result<(), Stop> {
        let statement = find(&self.statements, name)?;
        output.put(Backend::ParameterDescription(ParameterDescription::new(statement.parameters.clone())))?;
        let Some(columns) = statement.columns.clone() else {
            return Ok(output.put(Backend::NoData(NoData::new()))?);
        };
        output.put(rows::describe(&columns, &vec![Format::Text; columns.len()]))?;
        self.announce(name, &columns)
    }

    /// Begins a portal that has rows: only then are the types of its columns certain, since they may depend on
    /// parameters.
    pub(super) async fn describe_portal(&mut self, name: &str, output: &mut Output) -> Result<(), Stop> {
        let mut portal = self.take_portal(name)?;
        if let Some(fetch) = self.fetch_statement(&portal.command) {
            self.describe_fetch(&fetch, &portal.result_formats, output)?;
            self.portals.insert(name.to_owned(), portal);
            return Ok(());
        }
        if portal.has_rows && matches!(portal.state, State::Bound) {
            self.start(&mut portal, true).await?;
        }
        match &portal.state {
            State::Fetching(cursor) => output.put(rows::describe(cursor.columns(), cursor.formats()))?,
            _ => output.put(Backend::NoData(NoData::new()))?,
        }
        self.portals.insert(name.to_owned(), portal);
        Ok(())
    }

    /// Sends up to `max_rows` rows (all for 0) of a portal, running it first if that was not done.
    pub(super) async fn execute(
        &mut self,
        name: &str,
        max_rows: i32,
        last: bool,
        output: &mut Output,
    ) -> Result<(), Stop> {
        // Taken out while it runs: an error in between leaves no half-read portal behind.
        let mut portal = self.take_portal(name)?;
        if matches!(portal.state, State::Expired) {
            let age = self.limits.view_age.as_secs();
            let message = format!("portal \"{name}\" was not fetched for view.age.max={age}s: its rows were let go");
            return Err(Failure::error("55000", message).hint("run the statement again").into());
        }
        if let Some(fetch) = self.fetch_statement(&portal.command)
            && matches!(portal.state, State::Bound)
        {
            self.fetch(&fetch, Some(&portal.result_formats), output).await?;
            portal.state = State::Ran;
            self.portals.insert(name.to_owned(), portal);
            return Ok(output.flush_if_full().await?);
        }
        if matches!(portal.state, State::Bound) {
            match self.start(&mut portal, last).await? {
                Some(Ran::Copy(copied)) => copied.send(output).await?,
                Some(Ran::CopyIn(copying)) => self.ask_for_copy(copying, Begun::Extended, output).await?,
                Some(Ran::Done(tag)) => complete(output, &tag)?,
                Some(Ran::Noticed(notice)) => noticed(output, notice)?,
                Some(Ran::Empty) => output.put(Backend::EmptyQueryResponse(EmptyQueryResponse::new()))?,
                Some(Ran::Rows(_)) | None => {}
            }
        } else if matches!(portal.state, State::Ran) {
            return Err(Failure::error("55000", format!("portal \"{name}\" cannot be run")).into());
        }
        let limit = u64::try_from(max_rows).ok().filter(|&n| n > 0);
        match &mut portal.state {
            State::Fetching(cursor) => {
                let fetched = cursor.fetch(limit, output).await?;
                if fetched.suspended {
                    output.put(Backend::PortalSuspended(PortalSuspended::new()))?;
                } else {
                    complete(output, &rows_tag(&portal.command, fetched.rows))?;
                    portal.state = State::Exhausted;
                }
            }
            State::Exhausted => complete(output, &rows_tag(&portal.command, 0))?,
            State::Bound | State::Ran | State::Expired => {}
        }
        // COMMIT and ROLLBACK end the portals, their own too.
        if !matches!(portal.command, Command::Commit | Command::Rollback) {
            self.portals.insert(name.to_owned(), portal);
        }
        Ok(output.flush_if_full().await?)
    }

    pub(super) fn close(&mut self, target: Target, name: &str, output: &mut Output) -> Result<(), Stop> {
        match target {
            Target::Statement => {
                self.statements.remove(name);
                self.portals.retain(|_, portal| portal.statement != name || portal.is_declared());
            }
            Target::Portal => {
                self.portals.remove(name);
            }
        }
        Ok(output.put(Backend::CloseComplete(CloseComplete::new()))?)
    }

    /// Returns when the rows of a portal will have waited too long, if one holds rows.
    pub fn portals_age_at(&self) -> Option<tokio::time::Instant> {
        let cursors = self.portals.values().filter_map(|portal| match &portal.state {
            State::Fetching(cursor) => Some(cursor.last_used()),
            _ => None,
        });
        cursors.min().map(|oldest| oldest + self.limits.view_age)
    }

    /// Lets the rows of portals go that have waited too long, and with them the files and the memory that they hold.
    pub fn expire_portals(&mut self) {
        for portal in self.portals.values_mut() {
            if let State::Fetching(cursor) = &portal.state
                && cursor.last_used().elapsed() >= self.limits.view_age
            {
                portal.state = State::Expired;
            }
        }
    }

    pub(super) fn deallocate(&mut self, name: Option<&str>) -> Result<Ran, Stop> {
        match name {
            None => self.statements.clear(),
            Some(name) => {
                let found =
                    self.statements.remove(name).is_some() || self.statements.remove(&name.to_lowercase()).is_some();
                if !found {
                    return Err(no_statement(name).into());
                }
            }
        }
        Ok(Ran::Done("DEALLOCATE".into()))
    }

    /// Runs a bound portal; rows become its cursor, anything else is returned.
    async fn start(&mut self, portal: &mut Portal, last: bool) -> Result<Option<Ran>, Stop> {
        match self.run(&portal.command, &portal.sql, &portal.params, last).await? {
            Ran::Rows(rows) => {
                self.announce(&portal.statement, &rows.columns)?;
                let formats = Format::of_codes(&portal.result_formats, rows.columns.len())?;
                portal.state = State::Fetching(Box::new(Cursor::new(rows, formats)));
                Ok(None)
            }
            ran => {
                portal.state = State::Ran;
                Ok(Some(ran))
            }
        }
    }

    /// Remembers the types that the client is told for a statement's columns, or sees that they are still the same.
    fn announce(&mut self, statement: &str, columns: &[OutputColumn]) -> Result<(), Stop> {
        // The statement may have been closed since its portal was bound.
        let Some(statement) = self.statements.get_mut(statement) else { return Ok(()) };
        let oids: Vec<u32> = columns.iter().map(|c| rows::oid(c.kind)).collect();
        match &statement.announced {
            Some(announced) if *announced != oids => Err(Failure::stale_plan().into()),
            Some(_) => Ok(()),
            None => {
                statement.announced = Some(oids);
                Ok(())
            }
        }
    }

    fn take_portal(&mut self, name: &str) -> Result<Portal, Stop> {
        let missing = || Failure::error("34000", format!("portal does not exist [name={name}]"));
        Ok(self.portals.remove(name).ok_or_else(missing)?)
    }
}

fn find<'a>(
    statements: &'a std::collections::HashMap<String, Statement>,
    name: &str,
) -> Result<&'a Statement, Failure> {
    statements.get(name).ok_or_else(|| no_statement(name))
}

fn no_statement(name: &str) -> Failure {
    Failure::error("26000", format!("statement or portal does not exist [name={name}]"))
}

/// Reads the values of a Bind by the types of its statement.
fn parameters(bind: &Bind, types: &[u32]) -> Result<Vec<Param>, Failure> {
    if bind.parameters.len() != types.len() {
        let (given, wanted) = (bind.parameters.len(), types.len());
        let message = format!(
            "bind message supplies {given} parameters, but prepared statement \"{}\" requires {wanted}",
            bind.statement
        );
        return Err(Failure::error("08P01", message));
    }
    let formats = &bind.parameter_formats;
    if formats.len() > 1 && formats.len() != types.len() {
        let message = format!("bind message has {} parameter formats but {} parameters", formats.len(), types.len());
        return Err(Failure::error("08P01", message));
    }
    let format = |i: usize| if formats.len() == 1 { formats[0] } else { formats.get(i).copied().unwrap_or(0) };
    let values = bind.parameters.iter().zip(types).enumerate();
    values
        .map(|(i, (bytes, oid))| match bytes {
            None => Ok(Param::Null),
            Some(bytes) => Ok(param(pg_parameter::read(*oid, format(i), bytes)?, *oid)),
        })
        .collect()
}

fn param(value: Parameter, oid: u32) -> Param {
    match value {
        Parameter::Null => Param::Null,
        Parameter::Bool(v) => Param::Bool(v),
        // What the client was told of a result must not depend on how large its value is.
        Parameter::Int(v) if oid == pg_oid::INT8 => Param::Long(v),
        Parameter::Int(v) => Param::Int(v),
        Parameter::Float(v) => Param::Float(v),
        Parameter::Decimal(v) => Param::Decimal(v),
        Parameter::Bytes(v) => Param::Bytes(v),
        Parameter::Array(shape, values) => Param::Array(shape, values),
        Parameter::Text(v) => Param::Text(v),
        Parameter::TimestampUs(v) => Param::TimestampUs(v),
    }
}

/// The kind that a parameter of the client's type has in the statement; None leaves it to the statement.
fn kind_of(oid: u32) -> Option<Kind> {
    Some(match oid {
        pg_oid::BOOL => Kind::Boolean,
        pg_oid::INT2 | pg_oid::INT4 => Kind::Int,
        pg_oid::INT8 => Kind::Long,
        pg_oid::FLOAT4 | pg_oid::FLOAT8 => Kind::Double,
        pg_oid::TIMESTAMP | pg_oid::TIMESTAMPTZ | pg_oid::DATE => Kind::Timestamp,
        pg_oid::TEXT | pg_oid::VARCHAR | pg_oid::BPCHAR => Kind::Varchar,
        _ => return None,
    })
}
