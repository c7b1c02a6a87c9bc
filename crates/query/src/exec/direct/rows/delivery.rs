//! Batches made on several threads, handed out in the order of their morsels.
//!
//! Whoever is free takes the next morsel and puts its channel into the queue, under one lock: so the queue has the order of
//! morsels, and no thread ever waits for one that was not started. The queue and each channel are short: that is how far
//! threads run ahead.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{Stream, StreamExt};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::super::fold::{cores, workers};
use super::super::work::Work;
use super::super::{Order, Source};
use crate::error::SqlError;

/// Rows of a batch: what the operators above take at a time.
const BATCH_ROWS: usize = 8192;
/// Batches that a thread makes of one morsel before somebody takes one: all of an ordinary morsel, fewer where texts of
/// many columns would take more than so many bytes.
const AHEAD_BATCHES: usize = 16;
const AHEAD_BYTES: usize = 16 << 20;
const TEXT_BYTES: usize = 16;

/// The batches of one morsel; None is their end.
type Batches = mpsc::Receiver<Result<Option<RecordBatch>>>;
/// The morsels in their order; None is their end.
type Queue = Result<Option<Batches>>;

/// Returns the rows of a source that count: columns `outputs`, named as in `schema`, at most `fetch` rows.
pub fn stream(
    source: Source,
    outputs: Vec<usize>,
    schema: SchemaRef,
    fetch: Option<usize>,
) -> SendableRecordBatchStream {
    let given = schema.clone();
    // nothing may begin before the first batch is asked for: filters may wait for a sub-query until then
    let begun = futures::stream::once(async move {
        let (queue, morsels) = mpsc::channel(cores());
        let maker = Maker { source, outputs, schema: given, alone: fetch.is_some() };
        tokio::task::spawn_blocking(move || maker.begin(queue));
        Delivered { morsels, batches: None, left: fetch.unwrap_or(usize::MAX), is_over: false }
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, begun.flatten()))
}

struct Maker {
    source: Source,
    outputs: Vec<usize>,
    schema: SchemaRef,
    /// Few rows are wanted: no other thread helps.
    alone: bool,
}

/// Which morsel comes next, and the queue of those that were taken.
struct Turns {
    next: usize,
    queue: mpsc::Sender<Queue>,
}

impl Maker {
    fn begin(self, queue: mpsc::Sender<Queue>) {
        let work = match self.source.work(Order::Time) {
            Ok(work) => Arc::new(work),
            // nobody is there to hear it when this fails
            Err(error) => return drop(queue.blocking_send(Err(error))),
        };
        let threads = if self.alone { 1 } else { workers(&work) };
        let (maker, turns) = (Arc::new(self), Arc::new(Mutex::new(Turns { next: 0, queue })));
        for _ in 1..threads {
            let (maker, work, turns) = (maker.clone(), work.clone(), turns.clone());
            Handle::current().spawn_blocking(move || maker.run(&work, &turns));
        }
        maker.run(&work, &turns);
    }

    /// Makes the batches of one morsel after the other until there is none, or nobody takes them.
    fn run(&self, work: &Work, turns: &Mutex<Turns>) {
        let row_bytes = TEXT_BYTES * self.outputs.len().max(1);
        let ahead = (AHEAD_BYTES / (row_bytes * BATCH_ROWS)).clamp(1, AHEAD_BATCHES);
        loop {
            let (place, batches) = {
                let mut turns = turns.lock().unwrap_or_else(PoisonError::into_inner);
                let place = turns.next;
                turns.next += 1;
                let (sender, batches) = mpsc::channel(ahead);
                let is_last = place >= work.morsels().len();
                let taken = turns.queue.blocking_send(Ok((!is_last).then_some(batches)));
                if is_last || taken.is_err() {
                    return;
                }
                (place, sender)
            };
            let mut send = |batch| batches.blocking_send(Ok(Some(batch))).is_ok();
            let end = match self.make(work, place, &mut send) {
                Ok(true) => Ok(None),
                Ok(false) => return,
                Err(error) => Err(error),
            };
            if batches.blocking_send(end).is_err() {
                return;
            }
        }
    }

    /// Sends the rows of a morsel; false when nobody takes them.
    fn make(&self, work: &Work, place: usize, send: &mut dyn FnMut(RecordBatch) -> bool) -> Result<bool> {
        let block = work.morsels()[place].read()?;
        for batch in block.batches(&self.outputs, &self.schema, BATCH_ROWS) {
            if !send(batch?) {
                return Ok(false);
            }
        }
        Ok(true)
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
                match ready!(self.morsels.poll_recv(context)).unwrap_or_else(|| Err(ended()))? {
                    Some(batches) => self.batches = Some(batches),
                    None => return Poll::Ready(Ok(None)),
                }
                continue;
            };
            match ready!(batches.poll_recv(context)).unwrap_or_else(|| Err(ended()))? {
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

fn ended() -> DataFusionError {
    SqlError::internal("a thread of the statement ended before its rows did; see the server's log").into_datafusion()
}
