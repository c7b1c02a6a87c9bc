//! The operator: [`DirectGroupExec`].

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};

use super::answers::Answers;
use super::columns::Reader;
use super::shape::Shape;
use super::worker::Worker;
use crate::exec::direct::fold::{fold_morsels, on_thread};
use crate::exec::direct::{Morsel, Source, Work, reservation};
use crate::exec::operator::{counted, reads_tables};

/// An aggregation straight over a table's runs.
pub struct DirectGroupExec {
    shape: Shape,
    /// Does the same, and can spill: it runs where groups need more memory than there is. Its rows may be those of another
    /// source than the shape's.
    plain: Arc<dyn ExecutionPlan>,
    metrics: ExecutionPlanMetricsSet,
}

impl DirectGroupExec {
    /// Returns the operator that does what `plain` does.
    pub fn new(shape: Shape, plain: Arc<dyn ExecutionPlan>) -> DirectGroupExec {
        DirectGroupExec { shape, plain, metrics: ExecutionPlanMetricsSet::new() }
    }

    /// Returns what is read.
    pub fn source(&self) -> &Source {
        &self.shape.source
    }

    /// Returns the operator over another source of the same columns.
    ///
    /// # Errors
    /// Plain operators that cannot be made.
    pub fn over(&self, source: Source) -> Result<DirectGroupExec> {
        let shape = Shape { source, ..self.shape.clone() };
        // over no rows to wait for its next run: the plain operators must hold none either, and are made anew if they run
        let plain = match shape.source.view().row_count() {
            Ok(0) => shape.plain(&self.plain)?,
            _ => self.plain.clone(),
        };
        Ok(DirectGroupExec::new(shape, plain))
    }

    /// Returns whether the operator knows the order over its source; a symbol may have got too many texts for it.
    pub fn fits(&self) -> bool {
        self.shape.sorts_few_texts()
    }
}

impl fmt::Debug for DirectGroupExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DirectGroupExec({})", self.shape)
    }
}

impl DisplayAs for DirectGroupExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "DirectGroupExec: {}", self.shape)
    }
}

impl ExecutionPlan for DirectGroupExec {
    fn name(&self) -> &str {
        "DirectGroupExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.plain.properties()
    }

    reads_tables!(|exec| exec.shape.expressions());

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (shape, plain, schema) = (Arc::new(self.shape.clone()), self.plain.clone(), self.schema());
        let batch_size = context.session_config().batch_size().max(1);
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let rows = async move {
            match answers(shape.clone(), schema.clone(), context.clone()).await {
                Ok(answers) => Ok(batches(answers, batch_size, schema)),
                // nothing has gone out yet
                Err(error) if falls_back(&error) => shape.plain(&plain)?.execute(partition, context),
                Err(error) => Err(error),
            }
        };
        let output = stream::once(rows).try_flatten();
        Ok(counted(self.schema(), metrics, output))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Returns whether the plain form may do what failed: where memory is short it spills, and of texts it sees only those that
/// rows have.
fn falls_back(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_) | DataFusionError::NotImplemented(_))
}

async fn answers(shape: Arc<Shape>, schema: SchemaRef, context: Arc<TaskContext>) -> Result<Answers> {
    let compiled = shape.clone();
    let reader = on_thread(move |_| Reader::new(&compiled)).await;
    let reader = Arc::new(reader.map_err(|error| DataFusionError::NotImplemented(error.to_string()))?);
    // A worker of more groups makes room for them, and reads rows anyway.
    let by_zones = reader.is_one_group()
        && Worker::new(&shape, reader.clone(), 0, reservation(&context, "DirectGroupExec")).zoned().is_some();
    let source = if by_zones { shape.source.clone().by_zones() } else { shape.source.clone() };
    let (order, started) = (shape.order, shape.clone());
    let start = move |work: &Work| {
        let memory = reservation(&context, "DirectGroupExec");
        Ok(Worker::new(&started, reader.clone(), work.rows(), memory))
    };
    let each = |worker: &mut Worker, morsel: &Morsel| match worker.add_known(morsel)? {
        true => Ok(()),
        false => worker.add(&morsel.read()?),
    };
    let mut workers = fold_morsels(source, order, start, each).await?;
    if shape.keys.is_empty()
        && let Some(first) = workers.first_mut()
    {
        first.add_group();
    }
    on_thread(move |_| Answers::new(workers, schema)).await
}

fn batches(answers: Answers, batch_size: usize, schema: SchemaRef) -> SendableRecordBatchStream {
    let mut answers = answers;
    let rows = stream::iter(std::iter::from_fn(move || answers.next(batch_size).transpose()));
    Box::pin(RecordBatchStreamAdapter::new(schema, rows.boxed()))
}
