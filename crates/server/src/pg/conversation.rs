//! The state of a session and simple queries: [`Conversation`].
//!
//! Owns the transaction state as the client sees it. A transaction is buffered INSERTs of the `query::Session`, which
//! become one commit. Outside BEGIN … COMMIT, the INSERTs of one simple query, or of one pipeline up to its Sync, are
//! such a transaction too: all or nothing. Any other statement first commits what is buffered, because it must see it.
//! Read next: [`super::extended`].

use std::collections::HashMap;

use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::response::{
    CommandComplete, EmptyQueryResponse, NoticeResponse, ReadyForQuery, TransactionStatus,
};
use query::activity::Stopper;
use query::{Outcome, Param, Rows, Session};
use types::memory::Budget;
use wire::pg_frontend::{Frontend, Target};

use super::command::Command;
use super::copy_in::{Begun, Copying};
use super::copy_out::Copied;
use super::cursor::Cursor;
use super::extended::{Portal, Statement};
use super::failure::{Failure, Stop};
use super::rows::{self, Format};
use super::stream::Output;
use super::{Limits, PgContext};
use crate::config::PgUser;
use crate::metrics::Statements;

/// Where the session stands between transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transaction {
    /// None: each statement is its own.
    None,
    /// Begun by us, around INSERTs that succeed or fail together.
    Implicit,
    /// Begun by the client.
    Open,
    /// Begun by the client and rolled back by an error; waits for the client's COMMIT or ROLLBACK.
    Failed,
}

/// One client's session.
pub struct Conversation {
    pub(super) session: Session,
    pub(super) limits: Limits,
    counts: Option<Statements>,
    pub(super) transaction: Transaction,
    pub(super) statements: HashMap<String, Statement>,
    pub(super) portals: HashMap<String, Portal>,
    /// The COPY whose data the client sends.
    pub(super) copying: Option<Box<Copying>>,
    /// What rows may take that wait for their commit.
    pub(super) memory: Budget,
    /// After an error in the extended protocol, messages up to the next Sync are not served.
    skipping: bool,
}

/// What a statement left to be sent.
pub(super) enum Ran {
    Rows(Rows),
    Copy(Box<Copied>),
    /// The client is to send rows.
    CopyIn(Box<Copying>),
    Done(String),
    /// DDL that is done, and what the client should know of it.
    Noticed(String),
    Empty,
}

impl Conversation {
    /// Returns a new session of a user, outside any transaction.
    pub fn new(context: &PgContext, user: &PgUser) -> Conversation {
        let session = Session::new(context.database.clone(), context.settings.clone());
        Conversation {
            session: session.of_user(&user.credentials.user, user.read_only).over_postgres(),
            limits: context.limits.clone(),
            counts: context.counts.clone(),
            transaction: Transaction::None,
            statements: HashMap::new(),
            portals: HashMap::new(),
            copying: None,
            memory: context.settings.memory.clone(),
            skipping: false,
        }
    }

    /// Returns what stops the statement that this conversation works on.
    pub fn stopper(&self) -> Stopper {
        self.session.stopper()
    }

    /// Returns whether an error of this message is followed by silence until Sync.
    pub fn is_extended(&self, message: &Frontend) -> bool {
        self.copies().unwrap_or(!matches!(message, Frontend::Query(_) | Frontend::FunctionCall))
    }

    /// Serves one message. `last`: the client has sent Sync right behind it. Answers may stay in `output` until the
    /// client asks for them. May be dropped at any point; [`Conversation::fail`] must follow then.
    pub async fn serve(&mut self, message: Frontend, last: bool, output: &mut Output) -> Result<(), Stop> {
        if self.skipping && message != Frontend::Sync {
            return Ok(());
        }
        if self.copies().is_some() {
            return self.serve_copy(message, output).await;
        }
        match message {
            Frontend::Query(sql) => {
                self.portals.remove("");
                if Session::split(&sql)?.is_empty() {
                    output.put(Backend::EmptyQueryResponse(EmptyQueryResponse::new()))?;
                }
                self.simple_query(&sql, 0, output).await?;
            }
            Frontend::Parse { name, sql, types } => self.parse(name, sql, types, output).await?,
            Frontend::Bind(bind) => self.bind(bind, output)?,
            Frontend::Describe(Target::Statement, name) => self.describe_statement(&name, output)?,
            Frontend::Describe(Target::Portal, name) => self.describe_portal(&name, output).await?,
            Frontend::Execute { portal, max_rows } => self.execute(&portal, max_rows, last, output).await?,
            Frontend::Close(target, name) => self.close(target, &name, output)?,
            Frontend::Flush => output.flush().await?,
            Frontend::Sync => {
                self.skipping = false;
                self.commit_implicit().await?;
                self.portals.remove("");
                self.ready(output).await?;
            }
            // A client that got an error to its COPY may still send the data.
            Frontend::CopyData(_) | Frontend::CopyDone | Frontend::CopyFail(_) => {}
            Frontend::FunctionCall => return Err(Failure::error("0A000", "function calls are not supported").into()),
            Frontend::Password(_) => return Err(Failure::fatal("08P01", "unexpected password message").into()),
            Frontend::Terminate => {}
        }
        Ok(())
    }

    /// Tells the client of an error and undoes what it spoils. `extended`: the error is of a message of the extended
    /// protocol.
    pub async fn fail(&mut self, failure: Failure, extended: bool, output: &mut Output) -> Result<(), Stop> {
        if failure.fatal {
            return Err(failure.into());
        }
        if extended && self.skipping {
            return Ok(());
        }
        self.copying = None;
        output.put(failure.into_message())?;
        self.portals.retain(|_, portal| portal.holds());
        if matches!(self.transaction, Transaction::Implicit | Transaction::Open) {
            let open = self.transaction == Transaction::Open;
            // Rows before a savepoint wait: the client may go back to it.
            if !(open && self.session.has_savepoints()) {
                self.session.execute("ROLLBACK", &[]).await?;
            }
            self.transaction = if open { Transaction::Failed } else { Transaction::None };
        }
        self.skipping = extended;
        // At once: a client may send Sync only when it has seen the error (asyncpg does).
        if extended { Ok(output.flush().await?) } else { self.ready(output).await }
    }

    /// Serves the statements of a text of which `before` characters are done, until it waits for the data of a COPY.
    pub(super) async fn simple_query(&mut self, sql: &str, before: usize, output: &mut Output) -> Result<(), Stop> {
        let statements = Session::split(sql)?;
        let count = statements.len();
        for (i, range) in statements.into_iter().enumerate() {
            let before = before + sql[..range.start].chars().count();
            let (end, last) = (range.end, i + 1 == count);
            let text = &sql[range];
            let served = self.simple_statement(text, last, output).await.map_err(|stop| match stop {
                Stop::Failed(failure) => failure.shifted(before).into(),
                stop => stop,
            })?;
            if let Some(copying) = served {
                let rest = if last { String::new() } else { sql[end..].to_owned() };
                let before = before + text.chars().count();
                return self.ask_for_copy(copying, Begun::Simple { rest, before }, output).await;
            }
        }
        self.commit_implicit().await?;
        self.ready(output).await
    }

    /// Serves one statement, or returns the COPY for which the client must be asked.
    async fn simple_statement(
        &mut self,
        sql: &str,
        last: bool,
        output: &mut Output,
    ) -> Result<Option<Box<Copying>>, Stop> {
        let command = Command::of(sql);
        if let Some(fetch) = self.fetch_statement(&command) {
            self.fetch(&fetch, None, output).await?;
            return Ok(None);
        }
        match self.run(&command, sql, &[], last).await? {
            Ran::Rows(rows) => {
                let formats = vec![Format::Text; rows.columns.len()];
                output.put(rows::describe(&rows.columns, &formats))?;
                let sent = Cursor::new(rows, formats).fetch(None, output).await?;
                complete(output, &rows_tag(&command, sent.rows))?;
            }
            Ran::Copy(copied) => copied.send(output).await?,
            Ran::CopyIn(copying) => return Ok(Some(copying)),
            Ran::Done(tag) => complete(output, &tag)?,
            Ran::Noticed(notice) => noticed(output, notice)?,
            Ran::Empty => output.put(Backend::EmptyQueryResponse(EmptyQueryResponse::new()))?,
        }
        Ok(None)
    }

    /// Runs one statement within the transaction that is due to it. `last`: nothing follows that would have to succeed
    /// or fail together with it.
    pub(super) async fn run(
        &mut self,
        command: &Command,
        sql: &str,
        params: &[Param],
        last: bool,
    ) -> Result<Ran, Stop> {
        let running = self.counts.as_ref().map(Statements::begin);
        let ran = self.carry_out(command, sql, params, last).await?;
        if let Some(running) = running {
            running.complete();
        }
        Ok(ran)
    }

    async fn carry_out(&mut self, command: &Command, sql: &str, params: &[Param], last: bool) -> Result<Ran, Stop> {
        match command {
            Command::Begin => self.begin().await,
            Command::Commit => self.commit().await,
            Command::Rollback => self.rollback().await,
            Command::Empty => Ok(Ran::Empty),
            Command::RollbackTo(name) => {
                self.within_transaction("ROLLBACK TO SAVEPOINT")?;
                found(self.session.back_to_savepoint(name), name)?;
                self.transaction = Transaction::Open;
                Ok(Ran::Done("ROLLBACK".into()))
            }
            _ if self.transaction == Transaction::Failed => Err(aborted().into()),
            Command::Deallocate(name) => self.deallocate(name.as_deref()),
            Command::CopyOut => self.copy_out(sql, params).await,
            Command::CopyIn => self.copy_in(sql, last).await,
            Command::Savepoint(name) => {
                self.within_transaction("SAVEPOINT")?;
                self.session.set_savepoint(name);
                Ok(Ran::Done("SAVEPOINT".into()))
            }
            Command::ReleaseSavepoint(name) => {
                self.within_transaction("RELEASE SAVEPOINT")?;
                found(self.session.release_savepoint(name), name)?;
                Ok(Ran::Done("RELEASE".into()))
            }
            Command::Declare(declare) => self.declare(declare, sql, params).await,
            // FETCH itself is served where its rows are sent.
            Command::Fetch(_) | Command::FetchElsewhere => {
                Err(Failure::error("0A000", "cursor can only scan forward").hint("use FETCH n or FETCH ALL").into())
            }
            Command::CloseCursor(name) => Ok(self.close_cursor(name.as_deref())?),
            Command::Insert => self.insert(sql, params, last).await,
            Command::DiscardAll => {
                self.commit_implicit().await?;
                self.statements.clear();
                self.portals.clear();
                Ok(self.session.execute(sql, params).await?.into())
            }
            Command::Explain | Command::Other => {
                self.commit_implicit().await?;
                Ok(self.session.execute(sql, params).await?.into())
            }
        }
    }

    async fn insert(&mut self, sql: &str, params: &[Param], last: bool) -> Result<Ran, Stop> {
        if self.transaction == Transaction::None && !last {
            self.session.execute("BEGIN", &[]).await?;
            self.transaction = Transaction::Implicit;
        }
        let outcome = self.session.execute(sql, params).await?;
        if last {
            // Now rather than at the end, so that an error of the commit belongs to this statement.
            self.commit_implicit().await?;
        }
        Ok(outcome.into())
    }

    async fn begin(&mut self) -> Result<Ran, Stop> {
        match self.transaction {
            Transaction::Failed => return Err(aborted().into()),
            Transaction::None => {
                self.session.execute("BEGIN", &[]).await?;
            }
            Transaction::Implicit | Transaction::Open => {}
        }
        self.transaction = Transaction::Open;
        Ok(Ran::Done("BEGIN".into()))
    }

    async fn commit(&mut self) -> Result<Ran, Stop> {
        self.portals.retain(|_, portal| portal.holds());
        match std::mem::replace(&mut self.transaction, Transaction::None) {
            Transaction::Failed => {
                self.session.execute("ROLLBACK", &[]).await?;
                return Ok(Ran::Done("ROLLBACK".into()));
            }
            Transaction::None => {}
            Transaction::Implicit | Transaction::Open => {
                self.session.execute("COMMIT", &[]).await?;
            }
        }
        Ok(Ran::Done("COMMIT".into()))
    }

    async fn rollback(&mut self) -> Result<Ran, Stop> {
        self.portals.retain(|_, portal| portal.holds());
        if self.transaction != Transaction::None {
            self.session.execute("ROLLBACK", &[]).await?;
        }
        self.transaction = Transaction::None;
        Ok(Ran::Done("ROLLBACK".into()))
    }

    /// Refuses what only makes sense between BEGIN and its end.
    fn within_transaction(&self, statement: &str) -> Result<(), Failure> {
        match self.transaction {
            Transaction::Open | Transaction::Failed => Ok(()),
            _ => Err(Failure::error("25P01", format!("{statement} can only be used in transaction blocks"))),
        }
    }

    pub(super) async fn commit_implicit(&mut self) -> Result<(), Stop> {
        if self.transaction == Transaction::Implicit {
            self.transaction = Transaction::None;
            self.session.execute("COMMIT", &[]).await?;
        }
        Ok(())
    }

    async fn ready(&mut self, output: &mut Output) -> Result<(), Stop> {
        let status = match self.transaction {
            Transaction::None | Transaction::Implicit => TransactionStatus::Idle,
            Transaction::Open => TransactionStatus::Transaction,
            Transaction::Failed => TransactionStatus::Error,
        };
        output.put(Backend::ReadyForQuery(ReadyForQuery::new(status)))?;
        Ok(output.flush().await?)
    }
}

/// Adds the end of a statement.
pub(super) fn complete(output: &mut Output, tag: &str) -> Result<(), Stop> {
    Ok(output.put(Backend::CommandComplete(CommandComplete::new(tag.into())))?)
}

/// Tells the client what it should know of a statement that is done, and that it is.
pub(super) fn noticed(output: &mut Output, notice: String) -> Result<(), Stop> {
    let field = |code: u8, text: &str| (code, text.to_owned());
    let fields = vec![field(b'S', "NOTICE"), field(b'V', "NOTICE"), field(b'C', "00000"), (b'M', notice)];
    output.put(Backend::NoticeResponse(NoticeResponse::new(fields)))?;
    complete(output, "OK")
}

fn found(found: bool, name: &str) -> Result<(), Failure> {
    if found { Ok(()) } else { Err(Failure::error("3B001", format!("savepoint \"{name}\" does not exist"))) }
}

/// Returns the tag of a statement that sent rows.
pub(super) fn rows_tag(command: &Command, rows: u64) -> String {
    format!("{} {rows}", if *command == Command::Explain { "EXPLAIN" } else { "SELECT" })
}

/// Returns the error of every statement but COMMIT and ROLLBACK in a failed transaction.
pub(super) fn aborted() -> Failure {
    Failure::error("25P02", "current transaction is aborted, commands ignored until end of transaction block")
}

impl From<Outcome> for Ran {
    fn from(outcome: Outcome) -> Ran {
        match outcome {
            Outcome::Rows(rows) => Ran::Rows(rows),
            Outcome::Ddl | Outcome::WentBack { way_back: None } => Ran::Done("OK".into()),
            Outcome::Noticed(notice) => Ran::Noticed(notice),
            Outcome::WentBack { way_back: Some(name) } => Ran::Done(format!("OK {name}")),
            Outcome::CreateAs { rows } => Ran::Done(format!("OK {rows}")),
            Outcome::Insert { rows, .. } => Ran::Done(format!("INSERT 0 {rows}")),
            Outcome::Update { rows } => Ran::Done(format!("UPDATE {rows}")),
            Outcome::Delete { rows } => Ran::Done(format!("DELETE {rows}")),
            Outcome::Begin => Ran::Done("BEGIN".into()),
            Outcome::Commit => Ran::Done("COMMIT".into()),
            Outcome::Rollback => Ran::Done("ROLLBACK".into()),
            Outcome::Set => Ran::Done("SET".into()),
            Outcome::Empty => Ran::Empty,
        }
    }
}
