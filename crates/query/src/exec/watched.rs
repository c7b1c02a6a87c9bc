//! Conditions of joins that see when their statement must stop: [`watched`], and streams that know which one that is: [`WatchedExec`].
//!
//! The engine's joins go through all pairs of a batch before they return, and on to the next batch while none meets the condition: with
//! few keys on both sides that takes hours, in which no stream is polled and no other statement has the thread. Their condition is
//! computed for some thousand pairs at a time, and is what looks up from the work meanwhile.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    HashJoinExec, HashJoinExecBuilder, NestedLoopJoinExec, NestedLoopJoinExecBuilder,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::stream;

use super::operator::computes;
use crate::activity;

/// Returns a join whose condition is watched; None for other plans and joins without one.
pub fn watched(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(join) = plan.downcast_ref::<HashJoinExec>()
        && let Some(filter) = join.filter().and_then(watched_filter)
    {
        return HashJoinExecBuilder::from(join).with_filter(Some(filter)).build_exec().map(Some);
    }
    if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>()
        && let Some(filter) = join.filter().and_then(watched_filter)
    {
        let join = NestedLoopJoinExecBuilder::from(join).with_filter(Some(filter)).build()?;
        return Ok(Some(Arc::new(join)));
    }
    Ok(None)
}

fn watched_filter(filter: &JoinFilter) -> Option<JoinFilter> {
    if filter.expression().is::<Watched>() {
        return None;
    }
    let expression = Arc::new(Watched { inner: filter.expression().clone() });
    Some(JoinFilter::new(expression, filter.column_indices().to_vec(), filter.schema().clone()))
}

/// An expression that is an error where the statement that computes it must stop.
#[derive(Debug, Eq)]
struct Watched {
    inner: Arc<dyn PhysicalExpr>,
}

impl PartialEq for Watched {
    fn eq(&self, other: &Watched) -> bool {
        self.inner.eq(&other.inner)
    }
}

impl Hash for Watched {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PhysicalExpr for Watched {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.inner.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.inner.nullable(schema)
    }

    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.inner.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        activity::look_up()?;
        self.inner.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(Watched { inner: children.swap_remove(0) }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}

/// The partitions of an input, each of which makes rows for the statement for which it was begun, on whatever thread.
#[derive(Debug)]
pub struct WatchedExec {
    input: Arc<dyn ExecutionPlan>,
}

impl WatchedExec {
    pub fn new(input: Arc<dyn ExecutionPlan>) -> WatchedExec {
        WatchedExec { input }
    }
}

impl DisplayAs for WatchedExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "WatchedExec")
    }
}

impl ExecutionPlan for WatchedExec {
    fn name(&self) -> &str {
        "WatchedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(WatchedExec::new(children.swap_remove(0))))
    }

    computes!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (mut rows, statement) = (self.input.execute(partition, context)?, activity::at_work());
        let rows = stream::poll_fn(move |cx| activity::work_for(statement.as_ref(), || rows.as_mut().poll_next(cx)));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}
