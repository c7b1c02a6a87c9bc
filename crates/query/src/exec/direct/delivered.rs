//! Batches made on several threads, handed out in the order of their morsels: [`delivered`].
//!
//! Whoever is free takes the next morsel and puts its channel into the queue, under one lock: so the queue has the order of
//! morsels, and no thread ever waits for one that was not started. The queue and each channel are short: that is how far
//! threads run ahead. Few rows are made by whoever asks for them: [`few`].

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{Stream, StreamExt, TryStreamExt};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::apart::Apart;
use super::fold::{cores, vanished, workers};
use super::work::{Morsel, Work};

/// How batches are made.
#[derive(Debug, Clone, Copy)]
pub struct Delivery {
    /// Batches that a thread makes of one morsel before somebody takes one.
    pub ahead: usize,
    /// No more rows than these are wanted; then no other thread helps.
    pub fetch: Option<usize>,
}

/// The batches of one morsel; None is their end.
type Batches = mpsc::Receiver<Result<Option<RecordBatch>>>;
/// The morsels in their order; None is their end.
type Queue = Result<Option<Batches>>;

/// Returns the batches that are made of a source's morsels, in the order of these.
///
/// `prepared` is awaited when the first batch is asked for, not before: filters may wait for a sub-query until then. What it
/// gives is called on a thread where it may block, and returns the source's work and how a morsel becomes batches: that is
/// given where each batch goes, which says false when nobody takes any more, and returns false then.
pub fn delivered<P, M>(
    schema: SchemaRef,
    delivery: Delivery,
    prepared: impl Future<Output = Result<P>> + Send + 'static,
) -> SendableRecordBatchStream
where
    P: FnOnce() -> Result<(Work, M)> + Send + 'static,
    M: Fn(&Morsel, &mut dyn FnMut(RecordBatch) -> bool) -> Result<bool> + Send + Sync + 'static,
{
    let begun = async move {
        let begin = prepared.await?;
        let (queue, morsels) = mpsc::channel(cores());
        tokio::task::spawn_blocking(move || match begin() {
            Ok((work, make)) => {
                let threads = if delivery.fetch.is_some() { 1 } else { workers(&work) };
                begin_all(Maker { work, make, delivery, apart: Apart::new(threads) }, threads, queue);
            }
            // nobody is there to hear it when this fails
            Err(error) => drop(queue.blocking_send(Err(error))),
        });
        let left = delivery.fetch.unwrap_or(usize::MAX);
        Ok::<_, DataFusionError>(Delivered { morsels, batches: None, left, is_over: false })
    };
    Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::once(begun).try_flatten().boxed()))
}

/// Returns the batches that are made of the morsels of little work, at most `fetch` rows of them, and what failed.
pub fn few(
    work: &Work,
    fetch: Option<usize>,
    make: impl Fn(&Morsel, &mut dyn FnMut(RecordBatch) -> bool) -> Result<bool>,
) -> Vec<Result<RecordBatch>> {
    let mut left = fetch.unwrap_or(usize::MAX);
    let mut batches = Vec::new();
    for morsel in work.morsels() {
        let mut take = |batch: RecordBatch| {
            let batch = batch.slice(0, batch.num_rows().min(left));
            left -= batch.num_rows();
            batches.push(Ok(batch));
            left > 0
        };
        match make(morsel, &mut take) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                batches.push(Err(error));
                break;
            }
        }
    }
    batches
}

struct Maker<M> {
    work: Work,
    make: M,
    delivery: Delivery,
    apart: Apart,
}

/// Which morsel comes next, and the queue of those that were taken.
struct Turns {
    next: usize,
    queue: mpsc::Sender<Queue>,
}

fn begin_all<M>(maker: Maker<M>, threads: usize, queue: mpsc::Sender<Queue>)
where
    M: Fn(&Morsel, &mut dyn FnMut(RecordBatch) -> bool) -> Result<bool> + Send + Sync + 'static,
{
    let (maker, turns) = (Arc::new(maker), Arc::new(Mutex::new(Turns { next: 0, queue })));
    for number in 1..threads {
        let (maker, turns) = (maker.clone(), turns.clone());
        Handle::current().spawn_blocking(move || maker.run(number, &turns));
    }
    maker.run(0, &turns);
}

impl<M: Fn(&Morsel, &mut dyn FnMut(RecordBatch) -> bool) -> Result<bool>> Maker<M> {
    /// Makes the batches of one morsel after the other until there is none, or nobody takes them.
    fn run(&self, number: usize, turns: &Mutex<Turns>) {
        let mut thread = self.apart.place(number);
        loop {
            thread.part();
            let (place, batches) = {
                let mut turns = turns.lock().unwrap_or_else(PoisonError::into_inner);
                let place = turns.next;
                turns.next += 1;
                let (sender, batches) = mpsc::channel(self.delivery.ahead);
                let is_last = place >= self.work.morsels().len();
                let taken = turns.queue.blocking_send(Ok((!is_last).then_some(batches)));
                if is_last || taken.is_err() {
                    return;
                }
                (place, sender)
            };
            let mut send = |batch| batches.blocking_send(Ok(Some(batch))).is_ok();
            let end = match (self.make)(&self.work.morsels()[place], &mut send) {
                Ok(true) => Ok(None),
                Ok(false) => return,
                Err(error) => Err(error),
            };
            if batches.blocking_send(end).is_err() {
                return;
            }
        }
    }
}

struct Delivered {
    morsels: mpsc::Receiver<Queue>,
    batches: Option<Batches>,
    /// Rows that may still come.
    left: usize,
    is_over: bool,
}

impl Delivered {
    fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<RecordBatch>>> {
        loop {
            if self.left == 0 {
                return Poll::Ready(Ok(None));
            }
            let Some(batches) = &mut self.batches else {
                match ready!(self.morsels.poll_recv(context)).unwrap_or_else(|| Err(vanished()))? {
                    Some(batches) => self.batches = Some(batches),
                    None => return Poll::Ready(Ok(None)),
                }
                continue;
            };
            match ready!(batches.poll_recv(context)).unwrap_or_else(|| Err(vanished()))? {
                Some(batch) => {
                    let batch = batch.slice(0, batch.num_rows().min(self.left));
                    self.left -= batch.num_rows();
                    return Poll::Ready(Ok(Some(batch)));
                }
                None => self.batches = None,
            }
        }
    }
}

impl Stream for Delivered {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let next = ready!(self.poll_batch(context));
        if !matches!(next, Ok(Some(_))) {
            // threads that still make batches find nobody to take them
            (self.is_over, self.batches) = (true, None);
            self.morsels.close();
        }
        Poll::Ready(next.transpose())
    }
}
