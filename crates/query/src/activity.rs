//! The statements that run now: [`Activity`] lists them and stops them by number.
//!
//! A statement is listed from its parsing until its last row was read or its rows were dropped. Stopping sets a mark and
//! wakes whoever waits; every stream of a running plan looks at the mark between two batches ([`Stopper::stoppable`]), drops the
//! plan with all its memory at once, and ends with the reason as its error.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use futures::Stream;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Notify;

use crate::error::{SqlError, SqlErrorKind};

/// All running statements of a server.
#[derive(Default)]
pub struct Activity {
    last_id: AtomicI64,
    running: Mutex<BTreeMap<i64, Arc<Statement>>>,
}

/// One running statement.
pub struct Statement {
    pub id: i64,
    /// The number of the session.
    pub session: i64,
    pub user: String,
    pub started_us: i64,
    pub text: String,
    why: OnceLock<(SqlError, i64)>,
    asked: Notify,
}

/// A statement's place in the list, given up when it is dropped.
pub struct Running {
    activity: Arc<Activity>,
    statement: Arc<Statement>,
}

impl Activity {
    /// Returns a number for a session or a statement that no other has.
    pub fn next_id(&self) -> i64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Lists a statement that begins now.
    pub fn begin(self: &Arc<Self>, session: i64, user: &str, started_us: i64, text: &str) -> Running {
        let statement = Arc::new(Statement {
            id: self.next_id(),
            session,
            user: user.to_owned(),
            started_us,
            text: text.to_owned(),
            why: OnceLock::new(),
            asked: Notify::new(),
        });
        self.lock().insert(statement.id, statement.clone());
        Running { activity: self.clone(), statement }
    }

    /// Returns the running statements by their number.
    pub fn statements(&self) -> Vec<Arc<Statement>> {
        self.lock().values().cloned().collect()
    }

    /// Stops the statement of that number; false if there is none.
    pub fn cancel(&self, id: i64, now_us: i64) -> bool {
        let found = self.lock().get(&id).cloned();
        if let Some(statement) = &found {
            statement.stop(SqlError::cancelled(), now_us);
        }
        found.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<i64, Arc<Statement>>> {
        self.running.lock().expect("no holder of this lock panics")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.activity.lock().remove(&self.statement.id);
    }
}

impl Running {
    /// Returns the statement.
    pub fn statement(&self) -> &Arc<Statement> {
        &self.statement
    }
}

impl Statement {
    /// Stops the statement; the first reason counts.
    pub fn stop(&self, why: SqlError, now_us: i64) {
        if self.why.set((why, now_us)).is_ok() {
            self.asked.notify_waiters();
        }
    }

    /// Returns why the statement must stop, and since when, if it must.
    pub fn stopped_by(&self) -> Option<&(SqlError, i64)> {
        self.why.get()
    }

    /// Returns when the statement must stop, with the reason.
    pub async fn stopped(&self) -> SqlError {
        let mut asked = pin!(self.asked.notified());
        // registered before the look at the mark: a stop in between is not missed
        asked.as_mut().enable();
        loop {
            if let Some((why, _)) = self.why.get() {
                return why.clone();
            }
            asked.as_mut().await;
            asked.set(self.asked.notified());
        }
    }

    /// An error when the statement must stop.
    pub fn check(&self) -> Result<(), SqlError> {
        self.why.get().map_or(Ok(()), |(why, _)| Err(why.clone()))
    }
}

/// What one session works on: the statement that a cancel request of its client means.
#[derive(Clone, Default)]
pub struct Stopper(Arc<Mutex<Option<Arc<Statement>>>>);

impl Stopper {
    pub(crate) fn set(&self, statement: &Arc<Statement>) {
        *self.0.lock().expect("no holder of this lock panics") = Some(statement.clone());
    }

    /// Returns the statement that the session began or read last.
    pub fn statement(&self) -> Option<Arc<Statement>> {
        self.0.lock().expect("no holder of this lock panics").clone()
    }

    /// Stops the session's statement because its client asked for it.
    pub fn cancel(&self, now_us: i64) -> SqlError {
        let why = SqlError::cancelled();
        self.stop(why.clone(), now_us);
        why
    }

    /// Stops the session's statement because its time is over.
    pub fn time_out(&self, ran: Duration, limit: Duration, now_us: i64) -> SqlError {
        let id = self.statement().map_or(0, |statement| statement.id);
        let message =
            format!("timeout, query aborted [fd={id}, runtime={}ms, timeout={}ms]", ran.as_millis(), limit.as_millis());
        let why = SqlError { message, position: 0, kind: SqlErrorKind::Stopped };
        self.stop(why.clone(), now_us);
        why
    }

    /// Returns the stream, ended with an error when the session's statement is stopped.
    pub(crate) fn stoppable(&self, stream: SendableRecordBatchStream) -> SendableRecordBatchStream {
        match self.statement() {
            Some(statement) => Box::pin(Stoppable::new(stream, statement, None, self.clone())),
            None => stream,
        }
    }

    fn stop(&self, why: SqlError, now_us: i64) {
        if let Some(statement) = self.statement() {
            statement.stop(why, now_us);
        }
    }
}

/// Returns the rows of a listed statement; it stays listed as long as the stream lives.
pub(crate) fn listed(
    stream: SendableRecordBatchStream,
    running: Running,
    stopper: Stopper,
) -> SendableRecordBatchStream {
    let statement = running.statement.clone();
    Box::pin(Stoppable::new(stream, statement, Some(running), stopper))
}

thread_local! {
    /// The statement whose rows this thread makes, and how often it has looked up meanwhile.
    static AT_WORK: RefCell<Option<(Arc<Statement>, usize)>> = const { RefCell::new(None) };
}

/// So often a statement looks up before it lets others have its thread: some ten milliseconds of a join.
const STRETCH: usize = 128;

/// Looks up from work that gives no batch for long: lets others have the thread now and then.
///
/// # Errors
/// The reason when the statement whose rows this thread makes must stop.
pub(crate) fn look_up() -> datafusion::error::Result<()> {
    AT_WORK.with_borrow_mut(|at_work| {
        let Some((statement, looks)) = at_work else { return Ok(()) };
        statement.check().map_err(SqlError::into_datafusion)?;
        let shares = || Handle::try_current().is_ok_and(|h| h.runtime_flavor() == RuntimeFlavor::MultiThread);
        *looks += 1;
        if looks.is_multiple_of(STRETCH) && shares() {
            tokio::task::block_in_place(|| {});
        }
        Ok(())
    })
}

/// Returns the statement whose rows this thread makes.
pub(crate) fn at_work() -> Option<Arc<Statement>> {
    AT_WORK.with_borrow(|at_work| at_work.as_ref().map(|(statement, _)| statement.clone()))
}

/// Does something for a statement, so that it is the one whose rows this thread makes.
pub(crate) fn work_for<T>(statement: Option<&Arc<Statement>>, work: impl FnOnce() -> T) -> T {
    let _at_work = statement.map(AtWork::begin);
    work()
}

/// Makes a statement the one at work on this thread, until it is dropped.
struct AtWork(Option<(Arc<Statement>, usize)>);

impl AtWork {
    fn begin(statement: &Arc<Statement>) -> AtWork {
        AtWork(AT_WORK.replace(Some((statement.clone(), 0))))
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        AT_WORK.set(self.0.take());
    }
}

struct Stoppable {
    schema: SchemaRef,
    /// None once it ended or was stopped: what it held is free then.
    stream: Option<SendableRecordBatchStream>,
    stopped: Pin<Box<dyn Future<Output = SqlError> + Send>>,
    statement: Arc<Statement>,
    running: Option<Running>,
    stopper: Stopper,
}

impl Stoppable {
    fn new(
        stream: SendableRecordBatchStream,
        statement: Arc<Statement>,
        running: Option<Running>,
        stopper: Stopper,
    ) -> Stoppable {
        let watched = statement.clone();
        let stopped = Box::pin(async move { watched.stopped().await });
        Stoppable { schema: stream.schema(), stream: Some(stream), stopped, statement, running, stopper }
    }

    fn end(&mut self) {
        self.stream = None;
        self.running = None;
    }
}

impl Stream for Stoppable {
    type Item = datafusion::error::Result<RecordBatch>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let Some(stream) = &mut this.stream else { return Poll::Ready(None) };
        this.stopper.set(&this.statement);
        if let Poll::Ready(why) = this.stopped.as_mut().poll(context) {
            this.end();
            return Poll::Ready(Some(Err(why.into_datafusion())));
        }
        let next = work_for(Some(&this.statement), || stream.as_mut().poll_next(context));
        if matches!(next, Poll::Ready(None | Some(Err(_)))) {
            this.end();
        }
        next
    }
}

impl RecordBatchStream for Stoppable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;

    use arrow::datatypes::Schema;
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use futures::StreamExt;

    use super::*;

    /// Returns a stream that never ends and holds `alive` as long as it lives.
    fn endless(alive: Arc<()>) -> SendableRecordBatchStream {
        let schema = Arc::new(Schema::empty());
        let stream = futures::stream::pending().inspect(move |_: &datafusion::error::Result<RecordBatch>| {
            let _ = &alive;
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, stream))
    }

    #[tokio::test]
    async fn a_stopped_statement_frees_its_plan_and_leaves_the_list() {
        let activity = Arc::new(Activity::default());
        let alive = Arc::new(());
        let held: Weak<()> = Arc::downgrade(&alive);
        let running = activity.begin(1, "admin", 5, "select 1");
        let id = running.statement().id;
        let mut rows = listed(endless(alive), running, Stopper::default());
        assert!(futures::poll!(rows.next()).is_pending());
        assert_eq!(activity.statements().len(), 1);
        assert!(!activity.cancel(id + 1, 9) && activity.cancel(id, 9));
        let error = rows.next().await.expect("the reason").expect_err("it was stopped");
        assert_eq!(SqlError::from_datafusion(&error).message, "cancelled by user");
        assert!(held.upgrade().is_none() && activity.statements().is_empty());
        assert!(rows.next().await.is_none());
    }

    #[tokio::test]
    async fn a_stop_wakes_who_waits_for_a_batch() {
        let activity = Arc::new(Activity::default());
        let running = activity.begin(1, "admin", 5, "select 1");
        let id = running.statement().id;
        let mut rows = listed(endless(Arc::new(())), running, Stopper::default());
        let reader = tokio::spawn(async move { rows.next().await });
        tokio::task::yield_now().await;
        activity.cancel(id, 9);
        assert!(matches!(reader.await.expect("no panic"), Some(Err(_))));
    }
}
