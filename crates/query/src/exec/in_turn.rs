//! The arms of UNION ALL one after the other: [`InTurnExec`].
//!
//! It takes the place of the engine's operator that takes rows of all arms as they come: which of them LIMIT or a row's number
//! meets would be another each time. An arm begins when the one before has ended; its operators have all cores meanwhile.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};

use super::operator::{computes, counted};

/// All partitions of an input as one, in their order.
#[derive(Debug, Clone)]
pub struct InTurnExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl InTurnExec {
    /// Returns the operator in the place of the engine's.
    pub fn new(input: Arc<dyn ExecutionPlan>) -> InTurnExec {
        let properties = CoalescePartitionsExec::new(input.clone()).properties().clone();
        InTurnExec { input, properties, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for InTurnExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "InTurnExec")
    }
}

impl ExecutionPlan for InTurnExec {
    fn name(&self) -> &str {
        "InTurnExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(InTurnExec::new(children.swap_remove(0))))
    }

    computes!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.clone();
        let arms = 0..input.output_partitioning().partition_count();
        let rows = stream::iter(arms).map(move |arm| input.execute(arm, context.clone())).try_flatten();
        Ok(counted(self.schema(), BaselineMetrics::new(&self.metrics, partition), rows))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
