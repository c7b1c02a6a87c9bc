//! Every row of one side with every row of the other, in the order that CROSS JOIN has: [`PairsExec`].
//!
//! It takes the place of the engine's operator, which goes the other way round: one kept row, then all rows of a batch of the
//! other side. Here the kept side is gone through for each row that streams by, so these keep their order.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use datafusion::common::{Result, exec_err, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::joins::CrossJoinExec;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{TryStreamExt, stream};

use super::kept_rows::read_all;
use super::operator::{counted, reads_inputs};

/// The pairs of a kept side and one that streams.
#[derive(Debug, Clone)]
pub struct PairsExec {
    kept: Arc<dyn ExecutionPlan>,
    rows: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl PairsExec {
    /// Returns the operator in the place of the engine's: columns of the kept side come first.
    pub fn new(kept: Arc<dyn ExecutionPlan>, rows: Arc<dyn ExecutionPlan>) -> PairsExec {
        let properties = CrossJoinExec::new(kept.clone(), rows.clone()).properties().clone();
        PairsExec { kept, rows, properties, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for PairsExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "PairsExec")
    }
}

impl ExecutionPlan for PairsExec {
    fn name(&self) -> &str {
        "PairsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    reads_inputs!(|exec| kept = exec.kept, rows = exec.rows => PairsExec::new(kept, rows));

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let consumer = MemoryConsumer::new(format!("PairsExec[{partition}]")).with_can_spill(false);
        let reservation = consumer.register(context.memory_pool());
        let kept = self.kept.execute(0, context.clone())?;
        let rows = self.rows.execute(partition, context.clone())?;
        let most = context.session_config().batch_size().max(1);
        let schema = self.schema();
        let begun = async move { Pairs::begin(kept, rows, schema, most, reservation).await };
        let output = stream::once(begun)
            .map_ok(|pairs| {
                stream::try_unfold(pairs, |mut pairs| async move { Ok(pairs.next().await?.map(|b| (b, pairs))) })
            })
            .try_flatten();
        Ok(counted(self.schema(), BaselineMetrics::new(&self.metrics, partition), output))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// What is left to be paired.
struct Pairs {
    kept: RecordBatch,
    rows: SendableRecordBatchStream,
    schema: SchemaRef,
    /// Most rows of a batch that is handed on.
    most: usize,
    /// The rows at hand, and how many pairs of them have been handed on.
    batch: Option<(RecordBatch, usize)>,
    _reservation: MemoryReservation,
}

impl Pairs {
    /// Reads the kept side; an error when the memory pool is full.
    async fn begin(
        kept: SendableRecordBatchStream,
        rows: SendableRecordBatchStream,
        schema: SchemaRef,
        most: usize,
        reservation: MemoryReservation,
    ) -> Result<Pairs> {
        let (kept, reservation) = read_all(kept, reservation).await?;
        if u32::try_from(kept.num_rows()).is_err() {
            return exec_err!("a join keeps {} rows", kept.num_rows());
        }
        Ok(Pairs { kept, rows, schema, most, batch: None, _reservation: reservation })
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let count = self.kept.num_rows();
        loop {
            let (batch, done) = match self.batch.take() {
                Some(at_hand) => at_hand,
                None => match self.rows.try_next().await? {
                    Some(batch) => (batch, 0),
                    None => return Ok(None),
                },
            };
            let end = done.saturating_add(self.most).min(batch.num_rows() * count);
            if done == end {
                continue;
            }
            let paired = self.paired(&batch, done, end)?;
            self.batch = Some((batch, end));
            return Ok(Some(paired));
        }
    }

    fn paired(&self, batch: &RecordBatch, first: usize, end: usize) -> Result<RecordBatch> {
        let count = self.kept.num_rows();
        let places = |of: &dyn Fn(usize) -> usize| UInt32Array::from_iter_values((first..end).map(|at| of(at) as u32));
        let (kept, rows) = (places(&|at| at % count), places(&|at| at / count));
        let taken = |columns: &[ArrayRef], places: &UInt32Array| {
            columns.iter().map(|column| Ok(take(column, places, None)?)).collect::<Result<Vec<ArrayRef>>>()
        };
        let mut columns = taken(self.kept.columns(), &kept)?;
        columns.extend(taken(batch.columns(), &rows)?);
        if columns.len() != self.schema.fields().len() {
            return internal_err!("pairs have {} columns", columns.len());
        }
        let options = RecordBatchOptions::new().with_row_count(Some(end - first));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}
