//! The operator behind ASOF JOIN and LT JOIN: one pass over both inputs.
//!
//! The right side is read as far as the left row's time; of each key its newest row is remembered. Memory holds one left
//! batch, the rows that it matched and one row a key (`kept_rows.rs`). Next file: `matcher.rs`.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, OrderingRequirements};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::stream;

use super::AsofSpec;
use crate::exec::column_place::in_time;
use crate::exec::operator::{counted, reads_inputs};

mod matcher;

use matcher::Matcher;

/// The join of two inputs that ascend by time.
#[derive(Debug, Clone)]
pub struct AsofJoinExec {
    pub(super) left: Arc<dyn ExecutionPlan>,
    pub(super) right: Arc<dyn ExecutionPlan>,
    pub(super) spec: AsofSpec,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl AsofJoinExec {
    /// Returns the operator; the places of `spec` are those of each input's schema.
    pub fn new(left: Arc<dyn ExecutionPlan>, right: Arc<dyn ExecutionPlan>, spec: AsofSpec) -> Result<AsofJoinExec> {
        let schema = joined_schema(&left.schema(), &right.schema());
        // The left columns keep their places, so whatever order they have still holds.
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(schema, left.output_ordering().cloned()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Ok(AsofJoinExec { left, right, spec, properties, metrics })
    }

    fn display_name(&self) -> &'static str {
        if self.spec.strict { "LtJoinExec" } else { "AsofJoinExec" }
    }
}

fn joined_schema(left: &Schema, right: &Schema) -> SchemaRef {
    let right_fields = right.fields().iter().map(|field| Arc::new(Field::clone(field).with_nullable(true)));
    let fields: Vec<Arc<Field>> = left.fields().iter().cloned().chain(right_fields).collect();
    Arc::new(Schema::new_with_metadata(fields, left.metadata().clone()))
}

impl DisplayAs for AsofJoinExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let (left, right) = (self.left.schema(), self.right.schema());
        let pair = |(l, r): &(usize, usize)| format!("{} = {}", left.field(*l).name(), right.field(*r).name());
        let keys: Vec<String> = self.spec.keys.iter().map(pair).collect();
        write!(
            f,
            "{}: time={}, on=[{}]",
            self.display_name(),
            pair(&(self.spec.left_time, self.spec.right_time)),
            keys.join(", ")
        )?;
        match self.spec.tolerance_us {
            Some(us) => write!(f, ", tolerance={us}us"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for AsofJoinExec {
    fn name(&self) -> &str {
        self.display_name()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    reads_inputs!(|exec| left = exec.left, right = exec.right => AsofJoinExec::new(left, right, exec.spec.clone())?);

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![in_time(&self.left, self.spec.left_time), in_time(&self.right, self.spec.right_time)]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true, false]
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let left = self.left.execute(partition, Arc::clone(&context))?;
        let right = self.right.execute(partition, Arc::clone(&context))?;
        let operator = format!("{}[{partition}]", self.display_name());
        let matcher = Matcher::try_new(left, right, self.spec.clone(), self.schema(), operator, context.memory_pool())?;
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let output = stream::try_unfold(matcher, |mut matcher| async move {
            Ok(matcher.next().await?.map(|batch| (batch, matcher)))
        });
        Ok(counted(self.schema(), metrics, output))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
