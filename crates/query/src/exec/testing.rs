//! What the tests of operators share: inputs from batches, plans run to the end, rows as text.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringViewArray, TimestampMicrosecondArray};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use datafusion::catalog::{MemTable, Session};
use datafusion::common::Result;
use datafusion::datasource::provider_as_source;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::{ExecutionPlan, collect, displayable};
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use datafusion::prelude::SessionConfig;

use super::extension_planners;

pub fn ts(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(values.to_vec()))
}

pub fn text(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringViewArray::from(values.to_vec()))
}

pub fn long(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

pub fn double(values: &[Option<f64>]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

pub fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .expect("columns of one length")
}

/// Returns a scan of the batches in their order under the name `name`.
pub fn table(name: &str, batches: Vec<RecordBatch>) -> LogicalPlan {
    let table = MemTable::try_new(batches[0].schema(), vec![batches]).expect("batches of one schema");
    let source = provider_as_source(Arc::new(table));
    LogicalPlanBuilder::scan(name, source, None).and_then(LogicalPlanBuilder::build).expect("a scan")
}

/// Optimizes, plans and runs `plan`; the rows as text, columns parted by spaces, rows by commas.
pub fn run(plan: &LogicalPlan) -> String {
    run_within(plan, usize::MAX).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs `plan` with a memory pool of this size.
pub fn run_within(plan: &LogicalPlan, memory_bytes: usize) -> Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let (physical, context) = physical(plan, memory_bytes).await?;
        let schema = physical.schema();
        let batches = collect(physical, context).await?;
        for batch in &batches {
            assert_eq!(batch.schema(), schema, "batches keep the schema of the plan");
        }
        Ok(shown(&batches))
    })
}

/// Returns the physical plan as EXPLAIN shows it.
pub fn explained(plan: &LogicalPlan) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let (physical, _) = runtime.block_on(physical(plan, usize::MAX)).unwrap_or_else(|error| panic!("{error}"));
    displayable(physical.as_ref()).indent(false).to_string()
}

async fn physical(
    plan: &LogicalPlan,
    memory_bytes: usize,
) -> Result<(Arc<dyn ExecutionPlan>, Arc<datafusion::execution::TaskContext>)> {
    let runtime = RuntimeEnvBuilder::new().with_memory_limit(memory_bytes, 1.0).build_arc()?;
    let state = SessionStateBuilder::new()
        .with_default_features()
        .with_config(SessionConfig::new().with_target_partitions(1).with_batch_size(3))
        .with_runtime_env(runtime)
        .with_query_planner(Arc::new(TestPlanner))
        .build();
    let physical = state.create_physical_plan(plan).await?;
    Ok((physical, state.task_ctx()))
}

fn shown(batches: &[RecordBatch]) -> String {
    let options = FormatOptions::default().with_null("-").with_timestamp_format(Some("%H:%M:%S%.f"));
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<ArrayFormatter<'_>> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).expect("a printable type"))
            .collect();
        for row in 0..batch.num_rows() {
            let values: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
            rows.push(values.join(" "));
        }
    }
    rows.join(", ")
}

#[derive(Debug)]
struct TestPlanner;

#[async_trait]
impl QueryPlanner for TestPlanner {
    async fn create_physical_plan(&self, plan: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        DefaultPhysicalPlanner::with_extension_planners(extension_planners()).create_physical_plan(plan, session).await
    }
}
