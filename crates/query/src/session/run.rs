//! From a relation to a stream of rows.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use datafusion::catalog::Session as PlanSession;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use datafusion::prelude::SessionConfig;
use futures::StreamExt;

use super::{Session, columns_of};
use crate::error::SqlError;
use crate::exec;
use crate::outcome::Rows;
use crate::planner::relation::{Column, Relation};

/// Consumers that an out-of-memory error names.
const NAMED_CONSUMERS: usize = 3;

/// The planner of physical plans that knows our own nodes.
#[derive(Debug)]
struct OwnQueryPlanner;

#[async_trait]
impl QueryPlanner for OwnQueryPlanner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn PlanSession,
    ) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::with_extension_planners(exec::extension_planners());
        planner.create_physical_plan(plan, session).await
    }
}

/// Returns the engine's state for one session: one partition, so that rows keep the order of time.
pub fn state(memory_limit_bytes: usize) -> SessionState {
    let mut config = SessionConfig::new().with_target_partitions(1).with_batch_size(8192);
    let options = config.options_mut();
    options.optimizer.join_reordering = false;
    options.optimizer.enable_round_robin_repartition = false;
    SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime(memory_limit_bytes))
        .with_default_features()
        .with_query_planner(Arc::new(OwnQueryPlanner))
        .build()
}

/// Returns the memory pool that all sessions share; the first session's limit counts.
fn runtime(memory_limit_bytes: usize) -> Arc<RuntimeEnv> {
    static SHARED: OnceLock<Arc<RuntimeEnv>> = OnceLock::new();
    let make = || {
        let named = std::num::NonZeroUsize::new(NAMED_CONSUMERS).expect("not zero");
        let pool = TrackConsumersPool::new(FairSpillPool::new(memory_limit_bytes), named);
        let builder = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(pool));
        Arc::new(builder.build().expect("a runtime without caches and object stores builds"))
    };
    SHARED.get_or_init(make).clone()
}

impl Session {
    /// Returns the rows of a relation.
    pub(super) async fn rows(&self, relation: Relation) -> Result<Rows, SqlError> {
        let relation = ordered(relation)?;
        let columns = columns_of(&relation);
        let stream = stream(&self.state, &relation.plan).await?;
        Ok(Rows { columns, timestamp_index: relation.time, stream })
    }

    pub(super) fn engine(&self) -> &SessionState {
        &self.state
    }
}

/// Returns the relation's visible columns, in their order, as the whole schema of its plan.
pub fn ordered(relation: Relation) -> Result<Relation, SqlError> {
    let relation = relation.shown()?;
    let fields = relation.plan.schema().fields();
    let in_order = fields.len() == relation.columns.len()
        && fields.iter().zip(&relation.columns).all(|(field, column)| *field.name() == column.field);
    if in_order || relation.columns.is_empty() {
        return Ok(relation);
    }
    let exprs: Vec<_> = relation.columns.iter().map(Column::expr).collect();
    let plan = datafusion::logical_expr::LogicalPlanBuilder::from(relation.plan.clone())
        .project(exprs)
        .and_then(|b| b.build())
        .map_err(|e| SqlError::from_datafusion(&e))?;
    Ok(relation.with_plan(plan))
}

/// Returns the stream of a plan; several partitions come one after the other.
pub async fn stream(state: &SessionState, plan: &LogicalPlan) -> Result<SendableRecordBatchStream, SqlError> {
    let physical = state.create_physical_plan(plan).await.map_err(|e| SqlError::from_datafusion(&e))?;
    let context = Arc::new(TaskContext::from(state));
    let count = physical.output_partitioning().partition_count();
    if count == 1 {
        return physical.execute(0, context).map_err(|e| SqlError::from_datafusion(&e));
    }
    let schema = physical.schema();
    let parts = (0..count).map(move |partition| physical.execute(partition, context.clone()));
    let chained = futures::stream::iter(parts).flat_map(|part| match part {
        Ok(stream) => stream,
        Err(error) => {
            let failed = futures::stream::iter([Err(error)]);
            Box::pin(RecordBatchStreamAdapter::new(Arc::new(arrow::datatypes::Schema::empty()), failed))
        }
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, chained)))
}
