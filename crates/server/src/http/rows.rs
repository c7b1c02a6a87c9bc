//! One statement of a request, from its text to its rows, within the time it may take: [`run`], [`RowStream`].
//!
//! Statements run on threads of their own ([`HttpContext::statements`]): one that computes for long without a pause keeps
//! neither other connections nor its own time limit waiting. Those that compute little are answered where they are read.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use futures::FutureExt;
use query::activity::Stopper;
use query::{Outcome, OutputColumn, Rows, Session, SqlError, SqlErrorKind};
use serde_json::json;
use storage::env::Clock;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Sleep;

use super::{HttpContext, answer};
use crate::metrics::Running;

/// Batches that wait to be sent while the next one is computed.
const AHEAD: usize = 2;
/// How long a statement that is stopped may take to say what it has done before it is left to itself.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Which statements are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    All,
    /// Those that give rows and change nothing; others are refused before they run.
    Queries,
}

/// What came of a statement.
pub enum Ran {
    Rows(RowStream),
    Done(Outcome),
}

/// The rows of a running statement. Dropping it stops the statement.
pub struct RowStream {
    pub columns: Vec<OutputColumn>,
    pub timestamp_index: Option<usize>,
    /// Of the batches; its names mean nothing.
    pub schema: SchemaRef,
    /// When the statement was planned, by the monotonic clock.
    pub planned_us: i64,
    /// What was there when the statement began to answer: of a small result all of it, in one message.
    ready: VecDeque<Sent>,
    /// What comes behind it; None when nothing does.
    rest: Option<Rest>,
    /// The end was handed out: nothing comes any more, and nobody is missing who should send it.
    ended: bool,
    time_left: TimeLeft,
    running: Option<Running>,
}

/// Batches that the task of a statement sends.
struct Rest {
    batches: mpsc::Receiver<Sent>,
    _work: Work,
}

/// Rows, or `None` after the last: a channel that ends without it has lost its sender.
type Sent = Result<Option<RecordBatch>, SqlError>;
/// A statement's time limit, and what ends the statement then.
struct TimeLeft {
    /// None: as long as it takes.
    limit: Option<(Pin<Box<Sleep>>, Duration)>,
    stopper: Stopper,
    clock: Arc<dyn Clock>,
}

/// The task of a statement, ended when nobody waits for it any more.
struct Work(AbortHandle);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl RowStream {
    /// Returns the next rows, or `None` after the last, however often it is asked.
    ///
    /// # Errors
    /// What stopped the statement: its own error, or its time limit.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, SqlError> {
        if self.ended {
            return Ok(None);
        }
        let next = match (self.ready.pop_front(), &mut self.rest) {
            (Some(next), _) => next,
            (None, Some(rest)) => self.time_left.within(rest.batches.recv()).await?.unwrap_or_else(|| Err(lost())),
            (None, None) => Err(lost()),
        };
        self.handed_out(next)
    }

    /// Returns what [`RowStream::next`] would return at once; `None` where that would wait, or after the last rows.
    pub fn at_hand(&mut self) -> Option<Result<Option<RecordBatch>, SqlError>> {
        if self.ended {
            return None;
        }
        let next = self.ready.pop_front().or_else(|| self.rest.as_mut()?.batches.try_recv().ok())?;
        Some(self.handed_out(next))
    }

    fn handed_out(&mut self, next: Sent) -> Sent {
        self.ended = matches!(next, Ok(None));
        if self.ended
            && let Some(running) = self.running.take()
        {
            running.complete();
        }
        next
    }
}

/// Runs one statement in a session of its own.
///
/// # Errors
/// The statement's error, before any of its rows.
pub async fn run(context: &HttpContext, sql: &str, headers: &HeaderMap, allowed: Allowed) -> Result<Ran, SqlError> {
    let running = context.watch.metrics.http.begin();
    let limit = time_limit(context, headers).map(|limit| (Box::pin(tokio::time::sleep(limit)), limit));
    let session = Session::new(context.database.clone(), context.settings.clone());
    let now = context.live.get();
    let user = now.http_credentials.as_ref().map_or(&context.settings.user, |own| &own.user);
    let session = session.of_user(user, now.http_read_only);
    let mut time_left = TimeLeft { limit, stopper: session.stopper(), clock: context.env.clock.clone() };
    let task = Task { clock: context.env.clock.clone(), view_age: context.view_age };
    let begun = match allowed {
        Allowed::All if session.knows(sql) => begun_here(context, &mut time_left, session, sql, task).await,
        _ => {
            let sql = sql.to_owned();
            started(context, &mut time_left, |begun, send| task.work(session, sql, allowed, begun, send)).await
        }
    };
    if begun.as_ref().is_err_and(|error| error.kind == SqlErrorKind::Internal) {
        context.watch.metrics.unhandled();
    }
    match begun? {
        (Begun::Rows(Beginning { columns, timestamp_index, schema, planned_us, ready }), rest) => {
            Ok(Ran::Rows(RowStream {
                columns,
                timestamp_index,
                schema,
                planned_us,
                ready,
                rest,
                ended: false,
                time_left,
                running: Some(running),
            }))
        }
        (Begun::Done(outcome), _) => {
            running.complete();
            Ok(Ran::Done(outcome))
        }
    }
}

/// Starts the task of a statement and waits until it begins to answer.
async fn started<W: Future<Output = ()> + Send + 'static>(
    context: &HttpContext,
    time_left: &mut TimeLeft,
    work: impl FnOnce(oneshot::Sender<Result<Begun, SqlError>>, mpsc::Sender<Sent>) -> W,
) -> Result<(Begun, Option<Rest>), SqlError> {
    let (begun, begins) = oneshot::channel();
    let (send, batches) = mpsc::channel(AHEAD);
    let work = Work(context.statements.spawn(work(begun, send)).abort_handle());
    let begun = time_left.within(begins).await?.unwrap_or_else(|_| Err(lost()))?;
    Ok((begun, Some(Rest { batches, _work: work })))
}

/// Begins a statement that is soon planned: on this thread as long as there is little to compute, for to wake another one and
/// to be woken by it costs more than most of such statements.
async fn begun_here(
    context: &HttpContext,
    time_left: &mut TimeLeft,
    mut session: Session,
    sql: &str,
    task: Task,
) -> Result<(Begun, Option<Rest>), SqlError> {
    let outcome = time_left.within(caught(session.execute(sql, &[]))).await??;
    let mut rows = match outcome {
        Outcome::Rows(rows) if rows.is_prompt => rows,
        other => return started(context, time_left, |begun, send| task.answer(session, Ok(other), begun, send)).await,
    };
    let planned_us = task.clock.monotonic_us();
    let ready = time_left.within(caught(beginning(&mut rows))).await??;
    let is_whole = ready.back().is_some_and(is_last);
    let beginning = Begun::Rows(Beginning::new(&mut rows, planned_us, ready));
    if is_whole {
        return Ok((beginning, None));
    }
    let (send, batches) = mpsc::channel(AHEAD);
    let work = Work(context.statements.spawn(task.send(session, rows, send)).abort_handle());
    Ok((beginning, Some(Rest { batches, _work: work })))
}

/// Awaits work of a statement; a panic of it is its error, as it is when a task of its own panics.
async fn caught<T>(work: impl Future<Output = Result<T, SqlError>>) -> Result<T, SqlError> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| Err(lost()))
}

/// How a statement begins to answer.
enum Begun {
    Rows(Beginning),
    Done(Outcome),
}

/// The head of a result, and what was there with it.
struct Beginning {
    columns: Vec<OutputColumn>,
    timestamp_index: Option<usize>,
    schema: SchemaRef,
    planned_us: i64,
    ready: VecDeque<Sent>,
}

impl Beginning {
    fn new(rows: &mut Rows, planned_us: i64, ready: VecDeque<Sent>) -> Beginning {
        let (columns, timestamp_index) = (std::mem::take(&mut rows.columns), rows.timestamp_index);
        Beginning { columns, timestamp_index, schema: rows.stream.schema(), planned_us, ready }
    }
}

/// What a statement's task does.
struct Task {
    clock: Arc<dyn Clock>,
    view_age: Duration,
}

// an error of a send says that nobody waits any more: then there is nothing left to do
impl Task {
    /// Runs the statement.
    async fn work(
        self,
        mut session: Session,
        sql: String,
        allowed: Allowed,
        begun: oneshot::Sender<Result<Begun, SqlError>>,
        send: mpsc::Sender<Sent>,
    ) {
        let outcome = begin(&mut session, &sql, allowed).await;
        self.answer(session, outcome, begun, send).await;
    }

    /// Sends what came of the statement; the session lives as long as its rows.
    async fn answer(
        self,
        session: Session,
        outcome: Result<Outcome, SqlError>,
        begun: oneshot::Sender<Result<Begun, SqlError>>,
        send: mpsc::Sender<Sent>,
    ) {
        let mut rows = match outcome {
            Ok(Outcome::Rows(rows)) => rows,
            Ok(outcome) => return drop(begun.send(Ok(Begun::Done(outcome)))),
            Err(error) => return drop(begun.send(Err(error))),
        };
        let planned_us = self.clock.monotonic_us();
        let ready = match beginning(&mut rows).await {
            Ok(ready) => ready,
            Err(error) => return drop(begun.send(Err(error))),
        };
        let is_whole = ready.back().is_some_and(is_last);
        let beginning = Beginning::new(&mut rows, planned_us, ready);
        if begun.send(Ok(Begun::Rows(beginning))).is_ok() && !is_whole {
            self.send(session, rows, send).await;
        }
    }

    /// Sends the rows behind the first.
    async fn send(self, _session: Session, mut rows: Rows, send: mpsc::Sender<Sent>) {
        loop {
            let next = rows.next().await;
            let last = is_last(&next);
            // a client that does not read must not keep the rows of its statement, and the files below them, for ever
            let place = tokio::time::timeout(self.view_age, send.reserve()).await;
            match place {
                Ok(Ok(place)) => place.send(next),
                Ok(Err(_)) => return,
                Err(_) => {
                    drop((next, rows));
                    drop(send.send(Err(idle(self.view_age))).await);
                    return;
                }
            }
            if last {
                return;
            }
        }
    }
}

/// Returns the first rows, and what is there already behind them.
///
/// # Errors
/// The statement's error before any row.
async fn beginning(rows: &mut Rows) -> Result<VecDeque<Sent>, SqlError> {
    let mut ready = VecDeque::with_capacity(AHEAD);
    let first = rows.next().await?;
    let more = first.is_some();
    ready.push_back(Ok(first));
    if more && let Some(second) = rows.next().now_or_never() {
        ready.push_back(second);
    }
    Ok(ready)
}

fn is_last(sent: &Sent) -> bool {
    !matches!(sent, Ok(Some(_)))
}

/// The error of an answer that its client did not read.
fn idle(view_age: Duration) -> SqlError {
    let message = format!("the rows were not read for view.age.max={}s: the statement was ended", view_age.as_secs());
    SqlError { message, position: 0, kind: SqlErrorKind::Stopped }
}

async fn begin(session: &mut Session, sql: &str, allowed: Allowed) -> Result<Outcome, SqlError> {
    let gives_rows = || Ok::<_, SqlError>(session.describe(sql, &[])?.columns.is_some() && Session::only_reads(sql)?);
    if allowed == Allowed::Queries && !gives_rows()? {
        return Err(SqlError::new(0, "/exp endpoint only accepts SELECT"));
    }
    session.execute(sql, &[]).await
}

/// The error of a statement whose task panicked.
fn lost() -> SqlError {
    let message = "the statement ended without an answer; see the log".to_owned();
    SqlError { message, position: 0, kind: SqlErrorKind::Internal }
}

/// Returns how long a statement may take: what the request's header says, else what is configured.
fn time_limit(context: &HttpContext, headers: &HeaderMap) -> Option<Duration> {
    let asked = headers.get("statement-timeout").and_then(|h| h.to_str().ok()).and_then(|t| t.trim().parse().ok());
    match asked {
        Some(ms) if ms > 0 => Some(Duration::from_millis(ms)),
        _ => context.query_timeout,
    }
}

impl TimeLeft {
    /// Awaits work of the statement. When its time is over the statement is stopped, and has the last word: a commit that
    /// was under way is not answered as if it had not been.
    async fn within<T>(&mut self, work: impl Future<Output = T>) -> Result<T, SqlError> {
        let Some((sleep, limit)) = &mut self.limit else { return Ok(work.await) };
        let mut work = pin!(work);
        tokio::select! {
            biased;
            done = work.as_mut() => return Ok(done),
            () = sleep.as_mut() => {}
        }
        let ran = *limit + sleep.deadline().elapsed();
        let error = self.stopper.time_out(ran, *limit, self.clock.now_us());
        tokio::time::timeout(LAST_WORD, work).await.map_err(|_| error)
    }
}

/// Returns the answer for a statement's error.
pub fn refuse(sql: &str, error: &SqlError) -> Response {
    let status = match error.kind {
        SqlErrorKind::Statement | SqlErrorKind::Overtaken | SqlErrorKind::Stopped | SqlErrorKind::Memory => {
            StatusCode::BAD_REQUEST
        }
        SqlErrorKind::Denied => StatusCode::FORBIDDEN,
        SqlErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        SqlErrorKind::Internal => {
            tracing::error!(sql, error = %error.message, "statement failed");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    let body = json!({"query": sql, "error": error.message, "position": error.position});
    answer::with(status, answer::JSON, body.to_string())
}
