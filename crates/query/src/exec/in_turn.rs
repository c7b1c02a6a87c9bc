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
    /// No more rows than these are wanted.
    fetch: Option<usize>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl InTurnExec {
    /// Returns the operator in the place of the engine's.
    pub fn in_place_of(plan: &CoalescePartitionsExec) -> InTurnExec {
        InTurnExec::new(plan.input().clone(), plan.fetch())
    }

    fn new(input: Arc<dyn ExecutionPlan>, fetch: Option<usize>) -> InTurnExec {
        let properties = CoalescePartitionsExec::new(input.clone()).properties().clone();
        InTurnExec { input, fetch, properties, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for InTurnExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "InTurnExec")?;
        self.fetch.map_or(Ok(()), |fetch| write!(f, ": fetch={fetch}"))
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
        Ok(Arc::new(InTurnExec::new(children.swap_remove(0), self.fetch)))
    }

    computes!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.clone();
        let arms = 0..input.output_partitioning().partition_count();
        let rows = stream::iter(arms).map(move |arm| input.execute(arm, context.clone())).try_flatten();
        let mut left = self.fetch.unwrap_or(usize::MAX);
        let wanted = rows.map_ok(move |batch| {
            let batch = batch.slice(0, batch.num_rows().min(left));
            left -= batch.num_rows();
            (batch, left)
        });
        // Ends with the batch that has the last wanted row: no further arm begins.
        let wanted = wanted.scan(false, |is_over, next| {
            let going = !*is_over;
            *is_over |= matches!(&next, Ok((_, 0)));
            futures::future::ready(going.then(|| next.map(|(batch, _)| batch)))
        });
        Ok(counted(self.schema(), BaselineMetrics::new(&self.metrics, partition), wanted))
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
