//! The operator behind window functions: reads its whole input, then hands it on with the values beside it.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, new_null_array};
use arrow::compute::{SortOptions, concat, interleave};
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::{Result, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::{StreamExt, TryStreamExt, stream};

use super::frames::partitions;
use super::values::{Pick, Values, evaluate};
use super::{WindowFrame, WindowFunction};
use crate::exec::operator::{counted, inputs_stay_in_order, reads_inputs};

/// A call whose columns are places in the input.
#[derive(Debug, Clone)]
pub struct PlacedCall {
    pub function: WindowFunction,
    pub args: Vec<usize>,
    pub partition: Vec<usize>,
    pub order: Vec<(usize, SortOptions)>,
    pub frame: WindowFrame,
    pub output: FieldRef,
}

/// The input with one more column a call.
#[derive(Debug, Clone)]
pub struct WindowExec {
    pub(super) input: Arc<dyn ExecutionPlan>,
    pub(super) calls: Vec<PlacedCall>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl WindowExec {
    pub fn new(input: Arc<dyn ExecutionPlan>, calls: Vec<PlacedCall>) -> WindowExec {
        let mut fields: Vec<FieldRef> = input.schema().fields().iter().cloned().collect();
        fields.extend(calls.iter().map(|call| call.output.clone()));
        let schema = Arc::new(Schema::new(fields));
        let orderings: Vec<LexOrdering> = input.equivalence_properties().oeq_class().iter().cloned().collect();
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(schema, orderings),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        WindowExec { input, calls, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for WindowExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let functions: Vec<String> = self.calls.iter().map(|call| format!("{:?}", call.function)).collect();
        write!(f, "WindowExec: {}", functions.join(", "))
    }
}

impl ExecutionPlan for WindowExec {
    fn name(&self) -> &str {
        "WindowExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    reads_inputs!(|exec| input = exec.input => WindowExec::new(input, exec.calls.clone()));

    inputs_stay_in_order!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let consumer = MemoryConsumer::new(format!("WindowExec[{partition}]")).with_can_spill(false);
        let held = Held {
            schema: self.schema(),
            calls: self.calls.clone(),
            batches: Vec::new(),
            reservation: consumer.register(context.memory_pool()),
        };
        let schema = self.schema();
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let output = stream::once(held.read(input)).map_ok(stream::iter).try_flatten();
        Ok(counted(schema, metrics, output))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// The input, held until its last row is there.
struct Held {
    schema: SchemaRef,
    calls: Vec<PlacedCall>,
    batches: Vec<RecordBatch>,
    reservation: MemoryReservation,
}

/// Bytes beside each row and call while values are computed: its place, its frame, its value.
const BYTES_PER_VALUE: usize = 64;

impl Held {
    /// Reads the whole input and returns its batches with the values.
    async fn read(
        mut self,
        mut input: SendableRecordBatchStream,
    ) -> Result<impl Iterator<Item = Result<RecordBatch>> + Send> {
        while let Some(batch) = input.next().await {
            let batch = batch?;
            self.reservation.try_grow(batch.get_array_memory_size() + batch.num_rows() * BYTES_PER_VALUE)?;
            if batch.num_rows() > 0 {
                self.batches.push(batch);
            }
        }
        let mut computed = Vec::new();
        for call in std::mem::take(&mut self.calls) {
            computed.push(self.compute(&call)?);
        }
        let mut first = 0;
        Ok(std::mem::take(&mut self.batches).into_iter().map(move |batch| {
            let rows = first..first + batch.num_rows();
            first = rows.end;
            let mut columns = batch.columns().to_vec();
            for values in &computed {
                columns.push(values.array(rows.clone())?);
            }
            // Held here so that the memory stays charged until the last batch is out.
            let _held = &self.reservation;
            Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
        }))
    }

    /// Returns one column of the whole input.
    fn column(&mut self, place: usize) -> Result<ArrayRef> {
        let parts: Vec<&dyn arrow::array::Array> = self.batches.iter().map(|b| b.column(place).as_ref()).collect();
        let whole = match parts.is_empty() {
            true => new_null_array(self.schema.field(place).data_type(), 0),
            false => concat(&parts)?,
        };
        self.reservation.try_grow(whole.get_array_memory_size())?;
        Ok(whole)
    }

    fn compute(&mut self, call: &PlacedCall) -> Result<Computed> {
        let args = call.args.iter().map(|place| self.column(*place)).collect::<Result<Vec<_>>>()?;
        let keys = call.partition.iter().map(|place| self.column(*place)).collect::<Result<Vec<_>>>()?;
        let mut order = Vec::new();
        for (place, how) in &call.order {
            order.push((self.column(*place)?, *how));
        }
        let rows = self.batches.iter().map(RecordBatch::num_rows).sum();
        let partitions = partitions(rows, &keys, &order, self.reservation.new_empty())?;
        let values = evaluate(&call.function, &args, &order, &partitions, call.frame, rows)?;
        Ok(Computed { values, source: args.into_iter().next(), call: call.clone() })
    }
}

/// The values of one call for all rows.
struct Computed {
    values: Values,
    source: Option<ArrayRef>,
    call: PlacedCall,
}

impl Computed {
    /// Returns the values of some rows.
    fn array(&self, rows: std::ops::Range<usize>) -> Result<ArrayRef> {
        let data_type = self.call.output.data_type();
        Ok(match (&self.values, &self.source) {
            (Values::Long(all), _) => Arc::new(all[rows].iter().copied().collect::<Int64Array>()),
            (Values::Double(all), _) => Arc::new(all[rows].iter().copied().collect::<Float64Array>()),
            (Values::Picks(all), Some(source)) => {
                let null = new_null_array(data_type, 1);
                let default = match &self.call.function {
                    WindowFunction::Neighbour { default: Some(default), .. } => default.to_array_of_size(1)?,
                    _ => null.clone(),
                };
                let place = |pick: &Pick| match pick {
                    Pick::Row(row) => (0, *row as usize),
                    Pick::Null => (1, 0),
                    Pick::Default => (2, 0),
                };
                let places: Vec<(usize, usize)> = all[rows].iter().map(place).collect();
                interleave(&[source.as_ref(), null.as_ref(), default.as_ref()], &places)?
            }
            (Values::Picks(_), None) => return internal_err!("a picked value needs an argument"),
        })
    }
}
