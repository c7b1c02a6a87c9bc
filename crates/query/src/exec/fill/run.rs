//! The operator behind FILL: reads its whole input, then makes the rows batch by batch.
//!
//! Every key has to be known before the first row goes out, so the input (one row a bucket and key) is kept, charged
//! to the memory pool. Output is made when it is asked for: a LIMIT above ends it early. Next file: `filler.rs`.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, OrderingRequirements, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::{TryStreamExt, stream};

use super::filler::Filler;
use super::{FillWith, Span};
use crate::exec::column_place::{ASCENDING, in_time};
use crate::exec::kept_rows::read_all;
use crate::exec::key_index::KeyIndex;
use crate::exec::operator::{counted, reads_inputs};

/// The input's rows and the empty buckets between.
#[derive(Debug, Clone)]
pub struct FillExec {
    input: Arc<dyn ExecutionPlan>,
    time: usize,
    keys: Vec<usize>,
    fills: Vec<(usize, FillWith)>,
    span: Span,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl FillExec {
    /// Returns the operator; every column of the input is the time, a key or filled.
    pub fn new(
        input: Arc<dyn ExecutionPlan>,
        time: usize,
        keys: Vec<usize>,
        fills: Vec<(usize, FillWith)>,
        span: Span,
    ) -> Result<FillExec> {
        let input_schema = input.schema();
        let field = |(place, field): (usize, &Arc<Field>)| {
            let filled = fills.iter().any(|(filled, _)| *filled == place);
            Arc::new(field.as_ref().clone().with_nullable(field.is_nullable() || filled))
        };
        let fields: Vec<Arc<Field>> = input_schema.fields().iter().enumerate().map(field).collect();
        let schema = Arc::new(Schema::new_with_metadata(fields, input_schema.metadata().clone()));
        let by_time = PhysicalSortExpr::new(Arc::new(Column::new(schema.field(time).name(), time)), ASCENDING);
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(schema, [[by_time]]),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Ok(FillExec { input, time, keys, fills, span, properties, metrics })
    }
}

impl DisplayAs for FillExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let schema = self.input.schema();
        let fills: Vec<String> = self.fills.iter().map(|(p, w)| format!("{}={w}", schema.field(*p).name())).collect();
        write!(f, "FillExec: every={}, fill=[{}]", self.span.grid, fills.join(", "))
    }
}

impl ExecutionPlan for FillExec {
    fn name(&self) -> &str {
        "FillExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    reads_inputs!(
        |exec| input = exec.input => FillExec::new(input, exec.time, exec.keys.clone(), exec.fills.clone(), exec.span)?
    );

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![in_time(&self.input, self.time)]
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let consumer = MemoryConsumer::new(format!("FillExec[{partition}]")).with_can_spill(false);
        let reservation = consumer.register(context.memory_pool());
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let (this, schema) = (self.clone(), self.schema());
        let filler = async move {
            let (rows, reservation) = read_all(input, reservation).await?;
            let types = this.keys.iter().map(|key| rows.schema().field(*key).data_type().clone()).collect();
            let index = KeyIndex::try_new(types, reservation.new_empty())?;
            Filler::try_new(rows, this.schema(), this.time, &this.keys, this.fills, this.span, index, reservation)
        };
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let batch_size = context.session_config().batch_size().max(1);
        let output = stream::once(filler)
            .map_ok(move |mut filler| stream::iter(std::iter::from_fn(move || filler.next(batch_size).transpose())))
            .try_flatten();
        Ok(counted(schema, metrics, output))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
