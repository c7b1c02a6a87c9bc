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

use super::kept::{Entry, Form, Forming, KeptPlan, Planned, Ready, Sample, Shape};
use super::rules::{Engine, without_rule};
use super::{Moment, Session, columns_of};
use crate::activity::{self, Running, Stopper};
use crate::error::SqlError;
use crate::exec;
use crate::memory::engine_runtime;
use crate::outcome::Rows;
use crate::parser::ast::{ExprKind, Query, Statement};
use crate::parser::{self, Varying};
use crate::planner::Ctes;
use crate::planner::parameters::{Param, Parameters};
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
pub fn engine(settings: &Settings) -> Engine {
    let mut config = SessionConfig::new().with_target_partitions(1).with_batch_size(8192);
    let options = config.options_mut();
    options.optimizer.join_reordering = false;
    options.optimizer.enable_round_robin_repartition = false;
    // every sort sets this aside before its first row: it must leave room for others in a small pool
    options.execution.sort_spill_reservation_bytes =
        (settings.memory.limit_bytes() / 64).clamp(LEAST_MERGE_BYTES, MOST_MERGE_BYTES);
    options.extensions.insert(exec::direct::Switch { plain: settings.plain, ..Default::default() });
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(engine_runtime(settings.memory.clone(), &settings.spill, &settings.env))
        .with_default_features()
        .with_query_planner(Arc::new(OwnQueryPlanner))
        .with_physical_optimizer_rule(Arc::new(exec::Direct))
        .with_physical_optimizer_rule(Arc::new(exec::Bounded { memory_bytes: settings.memory.limit_bytes() }))
        .build();
    // It puts joins in another order, and rows with them.
    let state = without_rule(state, "eliminate_cross_join");
    if settings.plain {
        return Engine::new(state, true);
    }
    // it puts what is known of a table's rows into the plan: DirectEndsExec knows the same, and is right another time too
    Engine::new(without_rule(state, "aggregate_statistics"), false)
}

impl Session {
    /// Returns the rows of a query; the statement stays listed until they are read.
    pub(super) async fn query(
        &self,
        sql: &str,
        entry: &Entry,
        query: &Query,
        params: &[Param],
        running: Running,
    ) -> Result<Rows, SqlError> {
        if !self.settings.plain {
            let ready = match params {
                [] => entry.plan().and_then(|plan| plan.ready(&self.database.view())),
                _ => entry.shape().and_then(|shape| self.shaped(shape, &shape.literals, params)),
            };
            if let Some(ready) = ready {
                return self.rows(ready, running);
            }
        }
        let moment = self.moment();
        let planned = self.planned(entry, query, &moment, params)?;
        let state = self.state.of_parts(planned.parts);
        let physical = state.query_planner().create_physical_plan(&planned.plan, state).await;
        let physical = physical.map_err(|e| SqlError::from_datafusion(&e))?;
        if let Some(kept) = &planned.kept {
            kept.keep_physical(&physical);
        }
        if planned.is_repeatable && !self.settings.plain && exec::direct::may_run_again(&physical) {
            let make = |varying| self.shape(query, varying, &planned, &physical, &moment, params);
            match params {
                [] => {
                    self.settings.kept.keep_shape(sql, make);
                    let learn = |before: Option<&Forming>| self.learned(query, &planned, &physical, &moment, before);
                    self.settings.kept.keep_form(sql, learn);
                }
                _ => entry.keep_shape(|| parser::varying(sql).and_then(make)),
            }
        }
        let Planned { columns, timestamp_index, parts, .. } = planned;
        self.rows(Ready { columns, timestamp_index, physical, parts }, running)
    }

    /// Returns the shape of a query that was planned just now.
    fn shape(
        &self,
        query: &Query,
        varying: Varying,
        planned: &Planned,
        physical: &Arc<dyn ExecutionPlan>,
        moment: &Moment,
        params: &[Param],
    ) -> Option<Shape> {
        let plan = KeptPlan::of(planned)?;
        plan.keep_physical(physical);
        let table = plan.tables_of(&moment.view)?.pop()?;
        let planner = self.planner(moment, Parameters::bound(params));
        Shape::of(&planner, self.state.of_parts(planned.parts), query, varying, plan, table, params)
    }

    /// Returns a query of a shape with these literals and parameters; None when it must be planned as a whole.
    pub(super) fn shaped(&self, shape: &Shape, literals: &[ExprKind], params: &[Param]) -> Option<Ready> {
        let moment = self.moment();
        let table = shape.table(&moment.view).filter(|_| shape.fits(params))?;
        let planner = self.planner(&moment, Parameters::bound(params));
        shape.ready(&planner, self.state.of_parts(shape.parts()), literals, table)
    }

    /// Returns what is known of texts of a form after one more of them was planned just now.
    fn learned(
        &self,
        query: &Query,
        planned: &Planned,
        physical: &Arc<dyn ExecutionPlan>,
        moment: &Moment,
        before: Option<&Forming>,
    ) -> Option<Forming> {
        let plan = KeptPlan::of(planned)?;
        plan.keep_physical(physical);
        let table = plan.tables_of(&moment.view)?.pop();
        let planner = self.planner(moment, Parameters::bound(&[]));
        let relation = ordered(planner.query(query, Ctes::NONE).ok()?).ok()?;
        let sample = Sample::of(&planner, self.state.of_parts(planned.parts), query, &relation, plan, table)?;
        match before {
            None => Some(Forming::Once(sample)),
            Some(Forming::Once(one)) => {
                Some(Form::learned(one, sample).map_or_else(|other| Forming::Once(*other), Forming::Known))
            }
            Some(Forming::Known(form)) => {
                let wider = Form::learned(form.sample(), sample).ok();
                wider.filter(|wider| wider.freedom() >= form.freedom()).map(Forming::Known)
            }
        }
    }

    /// Returns a query of a known form; None when it must be planned as a whole.
    pub(super) fn formed(&self, form: &Forming, statement: &Statement) -> Option<Ready> {
        let (Forming::Known(form), Statement::Query(query)) = (form, statement) else { return None };
        let moment = self.moment();
        let planner = self.planner(&moment, Parameters::bound(&[]));
        let relation = ordered(planner.query(query, Ctes::NONE).ok()?).ok()?;
        form.ready(&planner, self.state.of_parts(form.parts()), query, &relation, &moment.view)
    }

    /// Returns the rows of a plan.
    pub(super) fn rows(&self, ready: Ready, running: Running) -> Result<Rows, SqlError> {
        let Ready { columns, timestamp_index, physical, parts } = ready;
        let is_prompt = exec::direct::is_prompt(&physical);
        let begin = || begun(self.state.of_parts(parts), physical);
        let stream = activity::work_for(Some(running.statement()), begin)?;
        let stream = activity::listed(stream, running, self.stopper.clone());
        Ok(Rows { columns, timestamp_index, stream, is_prompt })
    }

    /// Returns the optimized plan of a query: the one that was kept, over this moment's tables, or a new one.
    fn planned(&self, entry: &Entry, query: &Query, moment: &Moment, params: &[Param]) -> Result<Planned, SqlError> {
        let may_keep = params.is_empty() && !self.settings.plain;
        if may_keep && let Some(planned) = entry.plan().and_then(|plan| plan.over(&moment.view)) {
            return Ok(planned);
        }
        let planner = self.planner(moment, Parameters::bound(params));
        let relation = ordered(planner.query(query, Ctes::NONE)?)?;
        let planned = Planned::new(&self.state, &relation.plan, columns_of(&relation), relation.time);
        let mut planned = planned.map_err(|e| SqlError::from_datafusion(&e))?;
        planned.is_repeatable = planner.is_repeatable();
        planned.views = planner.named_views();
        if may_keep {
            planned.kept = entry.keep(|| planned.is_repeatable.then(|| KeptPlan::of(&planned)).flatten());
        }
        Ok(planned)
    }

    pub(super) fn engine(&self) -> &Arc<Engine> {
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

/// Returns the stream of a plan, which ends when the session's statement is stopped; several partitions come one after the other.
pub async fn stream(
    engine: &Engine,
    plan: &LogicalPlan,
    stopper: &Stopper,
) -> Result<SendableRecordBatchStream, SqlError> {
    Ok(stopper.stoppable(stream_by(engine.of_plan(plan), plan, stopper.statement().as_ref()).await?))
}

/// Returns the stream of a plan that gets the rules of a state, for a statement.
pub async fn stream_by(
    state: &SessionState,
    plan: &LogicalPlan,
    statement: Option<&Arc<activity::Statement>>,
) -> Result<SendableRecordBatchStream, SqlError> {
    let physical = state.create_physical_plan(plan).await;
    let physical = physical.map_err(|e| SqlError::from_datafusion(&e))?;
    activity::work_for(statement, || begun(state, physical))
}

/// Returns the stream of a physical plan.
fn begun(state: &SessionState, physical: Arc<dyn ExecutionPlan>) -> Result<SendableRecordBatchStream, SqlError> {
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
