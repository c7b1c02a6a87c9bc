//! The operator behind a LIMIT from the end: a queue of the rows that may still be among the last.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::{StreamExt, stream};

use super::Window;
use crate::exec::operator::{counted, inputs_stay_in_order, reads_inputs};

/// The rows of a window counted from the end of the input, in the input's order.
#[derive(Debug, Clone)]
pub struct SliceExec {
    input: Arc<dyn ExecutionPlan>,
    window: Window,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl SliceExec {
    pub fn new(input: Arc<dyn ExecutionPlan>, window: Window) -> SliceExec {
        let emission = if window.keep.is_some() { EmissionType::Final } else { EmissionType::Incremental };
        // streams that each have an order come one after the other
        let order = match input.output_partitioning().partition_count() {
            1 => input.equivalence_properties().clone(),
            _ => EquivalenceProperties::new(input.schema()),
        };
        let properties =
            PlanProperties::new(order, Partitioning::UnknownPartitioning(1), emission, Boundedness::Bounded);
        SliceExec { input, window, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
    }

    /// Returns what rows are read from.
    pub fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }

    /// Returns which rows stay.
    pub fn window(&self) -> Window {
        self.window
    }
}

impl DisplayAs for SliceExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "SliceExec: {}", self.window)
    }
}

impl ExecutionPlan for SliceExec {
    fn name(&self) -> &str {
        "SliceExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    reads_inputs!(|exec| input = exec.input => SliceExec::new(input, exec.window));

    inputs_stay_in_order!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let consumer = MemoryConsumer::new(format!("SliceExec[{partition}]")).with_can_spill(false);
        let queue = Queue {
            window: self.window,
            to_skip: self.window.skip,
            waiting: VecDeque::new(),
            rows: 0,
            reservation: consumer.register(context.memory_pool()),
        };
        let input = self.input.execute(partition, context)?;
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let output = stream::try_unfold((queue, input, false), |(mut queue, mut input, mut ended)| async move {
            while !ended {
                match input.next().await {
                    Some(batch) => queue.push(batch?)?,
                    None => {
                        queue.end();
                        ended = true;
                    }
                }
                if let Some(batch) = queue.pop(ended) {
                    return Ok(Some((batch, (queue, input, ended))));
                }
            }
            Ok(queue.pop(true).map(|batch| (batch, (queue, input, true))))
        });
        Ok(counted(self.schema(), metrics, output))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Rows in the input's order that may still be among the last, or that wait until it is known that they are not.
struct Queue {
    window: Window,
    to_skip: usize,
    waiting: VecDeque<Waiting>,
    rows: usize,
    reservation: MemoryReservation,
}

struct Waiting {
    batch: RecordBatch,
    /// What was charged for it; a part of a batch keeps the whole alive.
    bytes: usize,
}

impl Queue {
    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        let skipped = self.to_skip.min(batch.num_rows());
        self.to_skip -= skipped;
        let batch = batch.slice(skipped, batch.num_rows() - skipped);
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let bytes = batch.get_array_memory_size();
        self.reservation.try_grow(bytes)?;
        self.rows += batch.num_rows();
        self.waiting.push_back(Waiting { batch, bytes });
        if let Some(keep) = self.window.keep {
            let needed = keep.saturating_add(self.window.drop);
            while self.rows > needed {
                self.drop_front(self.rows - needed);
            }
        }
        Ok(())
    }

    /// The input has ended: takes the last rows away.
    fn end(&mut self) {
        let mut surplus = self.window.drop.min(self.rows);
        self.rows -= surplus;
        while surplus > 0 {
            let Some(last) = self.waiting.pop_back() else { break };
            let left = last.batch.num_rows().saturating_sub(surplus);
            surplus -= last.batch.num_rows() - left;
            if left > 0 {
                self.waiting.push_back(Waiting { batch: last.batch.slice(0, left), bytes: last.bytes });
            }
        }
        if let Some(keep) = self.window.keep {
            while self.rows > keep {
                self.drop_front(self.rows - keep);
            }
        }
    }

    /// Returns the next rows that are known to stay.
    fn pop(&mut self, ended: bool) -> Option<RecordBatch> {
        let ready = match (ended, self.window.keep) {
            (true, _) => self.rows,
            (false, Some(_)) => 0,
            (false, None) => self.rows.saturating_sub(self.window.drop),
        };
        let rows = self.waiting.front()?.batch.num_rows().min(ready);
        if rows == 0 {
            return None;
        }
        Some(self.take_front(rows))
    }

    fn drop_front(&mut self, rows: usize) {
        if let Some(front) = self.waiting.front() {
            self.take_front(rows.min(front.batch.num_rows()));
        }
    }

    /// Takes `rows` rows off the first batch, which has at least as many.
    fn take_front(&mut self, rows: usize) -> RecordBatch {
        let Waiting { batch, bytes } = self.waiting.pop_front().expect("the caller saw a batch");
        self.rows -= rows;
        let taken = batch.slice(0, rows);
        if rows < batch.num_rows() {
            self.waiting.push_front(Waiting { batch: batch.slice(rows, batch.num_rows() - rows), bytes });
        } else {
            self.reservation.shrink(bytes);
        }
        taken
    }
}
