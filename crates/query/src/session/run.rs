//! From a relation to a stream of rows.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session as PlanSession;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use datafusion::prelude::SessionConfig;
use futures::StreamExt;

use super::{Session, columns_of};
use crate::activity::{self, Running};
use crate::error::SqlError;
use crate::exec;
use crate::memory::engine_runtime;
use crate::outcome::Rows;
use crate::planner::relation::{Column, Relation};
use crate::settings::Settings;

/// What a sort sets aside for merging its spilled runs.
const LEAST_MERGE_BYTES: usize = 256 << 10;
const MOST_MERGE_BYTES: usize = 10 << 20;

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

/// Returns the engine's state for all sessions of a server: one partition, so that rows keep the order of time.
pub fn state(settings: &Settings) -> SessionState {
    let mut config = SessionConfig::new().with_target_partitions(1).with_batch_size(8192);
    let options = config.options_mut();
    options.optimizer.join_reordering = false;
    options.optimizer.enable_round_robin_repartition = false;
    // every sort sets this aside before its first row: it must leave room for others in a small pool
    options.execution.sort_spill_reservation_bytes =
        (settings.memory.limit_bytes() / 64).clamp(LEAST_MERGE_BYTES, MOST_MERGE_BYTES);
    options.extensions.insert(exec::direct::Switch { plain: settings.plain, ..Default::default() });
    SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(engine_runtime(settings.memory.clone(), &settings.spill, &settings.env))
        .with_default_features()
        .with_query_planner(Arc::new(OwnQueryPlanner))
        .with_physical_optimizer_rule(Arc::new(exec::Direct))
        .with_physical_optimizer_rule(Arc::new(exec::Bounded { memory_bytes: settings.memory.limit_bytes() }))
        .build()
}

impl Session {
    /// Returns the rows of a relation; the statement stays listed until they are read.
    pub(super) async fn rows(&self, relation: Relation, running: Running) -> Result<Rows, SqlError> {
        let relation = ordered(relation)?;
        let columns = columns_of(&relation);
        let stream = stream(&self.state, &relation.plan).await?;
        let stream = activity::listed(stream, running, self.stopper.clone());
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
    // without the registered functions, which no running plan looks up: copying their names would cost more than a small plan
    let (id, config) = (state.session_id().to_owned(), state.config().clone());
    let (scalars, aggregates, windows) = Default::default();
    let higher_order = Default::default();
    let context =
        TaskContext::new(None, id, config, scalars, higher_order, aggregates, windows, state.runtime_env().clone());
    let context = Arc::new(context);
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
