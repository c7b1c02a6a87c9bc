//! All cores over the rows of a source: [`fold`].

use std::future::Future;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;

use super::apart::{Apart, Place};
use super::block::Block;
use super::source::Source;
use super::work::{Morsel, Work};
use crate::error::SqlError;

/// One more thread must have so many rows to read.
const ROWS_A_WORKER: usize = if cfg!(test) { 300 } else { 256 << 10 };

/// Tells threads that nobody waits for them any more. Look at it at least once a morsel.
#[derive(Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Returns whether to stop.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error when asked to stop; nobody sees it.
    pub fn check(&self) -> Result<()> {
        if self.is_asked() { Err(SqlError::cancelled().into_datafusion()) } else { Ok(()) }
    }
}

/// Asks to stop when it is dropped, which is when the rows' reader is.
struct StopAtDrop(Stop);

impl Drop for StopAtDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `work` on a thread where it may block, and returns what it does; `work` is told when nobody waits any more.
pub async fn on_thread<T: Send + 'static>(work: impl FnOnce(&Stop) -> Result<T> + Send + 'static) -> Result<T> {
    let stop = StopAtDrop(Stop::default());
    let heard = stop.0.clone();
    let done = tokio::task::spawn_blocking(move || work(&heard)).await;
    done.unwrap_or_else(|error| Err(ended(&error)))
}

/// Folds all rows of a source into one state a thread: `start` makes a state, `each` takes a block into it. With
/// [`super::Order::Time`] each state saw one stretch of time, in its order, and the states come in that order; with [`super::Order::Any`] blocks go
/// to whichever thread is free, in stretches. A source without rows gives one state.
///
/// # Errors
/// Those of `start`, `each` and [`super::Morsel::read`]; the others stop then.
pub async fn fold<S: Send + 'static>(
    source: Source,
    order: super::Order,
    start: impl Fn(&Work) -> Result<S> + Send + Sync + 'static,
    each: impl Fn(&mut S, Block) -> Result<()> + Send + Sync + 'static,
) -> Result<Vec<S>> {
    fold_morsels(source, order, start, move |state, morsel| each(state, morsel.read()?)).await
}

/// As [`fold`], with stretches of rows that `each` reads or does not.
///
/// # Errors
/// Those of `start` and `each`; the others stop then.
pub async fn fold_morsels<S: Send + 'static>(
    source: Source,
    order: super::Order,
    start: impl Fn(&Work) -> Result<S> + Send + Sync + 'static,
    each: impl Fn(&mut S, &Morsel) -> Result<()> + Send + Sync + 'static,
) -> Result<Vec<S>> {
    let begin = move || {
        let work = source.work(order)?;
        Ok((workers(&work), (work, AtomicUsize::new(0))))
    };
    on_threads(begin, move |(work, next), thread, stop| {
        let mut state = start(work)?;
        let stretch = stretch(work, thread.number, thread.of);
        let mut claimed = if order == super::Order::Time { stretch } else { 0..0 };
        loop {
            if claimed.is_empty() && order == super::Order::Any {
                claimed = claim(next, work.morsels().len(), thread.of);
            }
            let Some(morsel) = claimed.next() else { return Ok(state) };
            stop.check()?;
            thread.place.part();
            each(&mut state, &work.morsels()[morsel])?;
        }
    })
    .await
}

/// Takes some of the morsels that nobody has: many that follow each other while there are many, so that few buckets of time
/// are seen by two threads, and at last one by one, so that all threads end together.
fn claim(next: &AtomicUsize, morsels: usize, workers: usize) -> Range<usize> {
    let some = |start: usize| (morsels.saturating_sub(start) / (2 * workers)).max(1);
    let (mut start, mut end) = (0, 0);
    let taken = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |first| {
        (start, end) = (first, first + some(first));
        (first < morsels).then_some(end)
    });
    if taken.is_ok() { start..end } else { 0..0 }
}

/// Gives parts, of about `rows` rows together, to whichever thread is free; `each` takes one into the state of its thread.
///
/// # Errors
/// Those of `start` and `each`; the others stop then.
pub async fn fold_parts<P: Send + Sync + 'static, S: Send + 'static>(
    parts: Vec<P>,
    rows: usize,
    start: impl Fn() -> Result<S> + Send + Sync + 'static,
    each: impl Fn(&mut S, &P) -> Result<()> + Send + Sync + 'static,
) -> Result<Vec<S>> {
    let begin = move || Ok((worth_it(rows, parts.len()), (parts, AtomicUsize::new(0))));
    on_threads(begin, move |(parts, next), thread, stop| {
        let mut state = start()?;
        while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
            stop.check()?;
            thread.place.part();
            each(&mut state, part)?;
        }
        Ok(state)
    })
    .await
}

/// One of the threads of a statement.
struct Thread<'a> {
    number: usize,
    /// How many there are.
    of: usize,
    place: Place<'a>,
}

/// What a thread has done, of how many.
type Done<S> = Result<(usize, usize, S)>;

/// What the threads of a statement share.
struct Crew<C, W> {
    common: C,
    work: W,
    threads: usize,
    apart: Apart,
}

impl<C, W> Crew<C, W> {
    /// Does what the thread of that number does, and tells.
    fn run<S>(self: Arc<Self>, number: usize, stop: &Stop, done: &mpsc::UnboundedSender<Done<S>>)
    where
        W: Fn(&C, &mut Thread, &Stop) -> Result<S>,
    {
        let threads = self.threads;
        let mut thread = Thread { number, of: threads, place: self.apart.place(number) };
        let state = (self.work)(&self.common, &mut thread, stop);
        drop(thread);
        // whoever hears of the last state knows that nothing is held any more
        drop(self);
        // nobody is there to hear it when this fails
        drop(done.send(state.map(|state| (number, threads, state))));
    }
}

/// Runs `work` on as many threads where it may block as `begin` says, each with its number, over what `begin` has made; returns what each
/// does, in their order. The thread that begins is the first of them: so the fewest must be woken.
async fn on_threads<C, W, S>(begin: impl FnOnce() -> Result<(usize, C)> + Send + 'static, work: W) -> Result<Vec<S>>
where
    C: Send + Sync + 'static,
    W: Fn(&C, &mut Thread, &Stop) -> Result<S> + Send + Sync + 'static,
    S: Send + 'static,
{
    let stop = StopAtDrop(Stop::default());
    let heard = stop.0.clone();
    let (sender, mut done) = mpsc::unbounded_channel::<Done<S>>();
    tokio::task::spawn_blocking(move || {
        let (threads, common) = match begin() {
            Ok(begun) => begun,
            Err(error) => {
                drop(sender.send(Err(error)));
                return;
            }
        };
        let crew = Arc::new(Crew { common, work, threads, apart: Apart::new(threads) });
        for number in 1..threads {
            let (crew, stop, sender) = (crew.clone(), heard.clone(), sender.clone());
            tokio::task::spawn_blocking(move || crew.run(number, &stop, &sender));
        }
        crew.run(0, &heard, &sender);
    });
    let mut states: Vec<Option<S>> = Vec::new();
    while let Some(state) = done.recv().await {
        // the others are told to stop when this returns an error
        let (number, threads, state) = state?;
        states.resize_with(threads, || None);
        states[number] = Some(state);
    }
    let all: Option<Vec<S>> = states.into_iter().collect();
    all.filter(|states| !states.is_empty()).ok_or_else(vanished)
}

/// Returns how many threads are worth it.
pub(super) fn workers(work: &Work) -> usize {
    worth_it(work.rows(), work.morsels().len())
}

fn worth_it(rows: usize, parts: usize) -> usize {
    cores().min(rows.div_ceil(ROWS_A_WORKER)).min(parts).max(1)
}

/// Returns whether so many rows are left to one thread.
pub fn are_few(rows: usize) -> bool {
    worth_it(rows, usize::MAX) == 1
}

/// Returns how many threads the machine runs at a time. It is asked once: the answer is in several files of the system's.
pub(super) fn cores() -> usize {
    static CORES: LazyLock<usize> = LazyLock::new(|| std::thread::available_parallelism().map_or(1, NonZeroUsize::get));
    *CORES
}

/// Returns the morsels of one thread of several, of about equally many rows.
fn stretch(work: &Work, worker: usize, workers: usize) -> Range<usize> {
    let (rows, mut before) = (work.rows(), 0);
    let mut ends = vec![0; workers + 1];
    for (place, morsel) in work.morsels().iter().enumerate() {
        // a morsel is whose its middle is
        let owner = ((before + morsel.rows() / 2) * workers / rows.max(1)).min(workers - 1);
        ends[owner + 1] = place + 1;
        before += morsel.rows();
    }
    for owner in 1..=workers {
        ends[owner] = ends[owner].max(ends[owner - 1]);
    }
    ends[worker]..ends[worker + 1]
}

/// Returns batches that are there all at once as a stream; nothing is done before it is first asked.
pub fn fold_streamed(
    schema: SchemaRef,
    batches: impl Future<Output = Result<Vec<RecordBatch>>> + Send + 'static,
) -> SendableRecordBatchStream {
    let stream = futures::stream::once(batches).map_ok(|all| futures::stream::iter(all).map(Ok)).try_flatten();
    Box::pin(RecordBatchStreamAdapter::new(schema, stream))
}

/// Returns where an operator notes what it keeps: `try_grow` before it grows.
pub fn reservation(context: &TaskContext, operator: &str) -> MemoryReservation {
    MemoryConsumer::new(operator).register(context.memory_pool())
}

/// What is said of a thread that panicked: its own words are in the log.
pub(super) fn vanished() -> DataFusionError {
    SqlError::internal("a thread of the statement ended before its rows did; see the server's log").into_datafusion()
}

fn ended(error: &tokio::task::JoinError) -> DataFusionError {
    SqlError::internal(format!("a thread of the statement ended: {error}")).into_datafusion()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_morsel_is_claimed_once_and_the_last_ones_one_by_one() {
        for morsels in [0, 1, 2, 7, 160, 1_000] {
            for workers in [1, 2, 8] {
                let next = AtomicUsize::new(0);
                let mut claims: Vec<Range<usize>> = Vec::new();
                loop {
                    let claimed = claim(&next, morsels, workers);
                    if claimed.is_empty() {
                        break;
                    }
                    claims.push(claimed);
                }
                assert!(claims.iter().cloned().flatten().eq(0..morsels), "{claims:?}");
                assert!(claims.iter().rev().take(workers).all(|claimed| claimed.len() == 1), "{claims:?}");
                assert!(claims.len() <= 100.max(workers * 20), "{} claims", claims.len());
            }
        }
        assert!(claim(&AtomicUsize::new(5), 5, 2).is_empty());
    }
}
