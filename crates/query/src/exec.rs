//! Own operators where time order or QuestDB's rules need more than DataFusion has: each a logical node and, beside
//! it, the physical operator.
//!
//! Reading order: [`latest_on`], [`asof_join`], [`splice_join`], [`fill`] (SAMPLE BY's missing buckets), [`slice`] (LIMIT from the end), [`window`], [`window_join`];
//! what keeps rows in order where the engine does not: `pairs`, `in_turn`, `numbered`; what lets a join be stopped: `watched`;
//! then what they share: [`operator`] (what each says of itself), `column_place`, `kept_rows`, `key_index`; `bounded` is the last rule over every plan. Every operator reads single partitions, states the order
//! that it needs, and charges what it keeps to the memory pool: a query that does not fit is an error that names the
//! operator. The planner builds nodes through the functions re-exported here and gives [`extension_planners`] to
//! DataFusion.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

pub mod asof_join;
mod bounded;
mod column_place;
pub mod direct;
pub mod fill;
mod group;
mod in_turn;
mod kept_rows;
mod key_index;
pub mod latest_on;
mod numbered;
pub mod operator;
mod pairs;
pub mod slice;
pub mod splice_join;
pub mod symbol_join;
#[cfg(test)]
pub(crate) mod testing;
pub mod top;
mod watched;
pub mod window;
pub mod window_join;

pub use asof_join::{AsofSpec, asof_join};
pub use bounded::Bounded;
pub use direct::Direct;
pub use fill::{FillSpec, FillWith, fill};
pub use latest_on::latest_on;
pub use slice::{in_order, slice};
pub use splice_join::splice_join;
pub use window::window;
pub use window_join::{WindowEnd, WindowJoinSpec, window_join};

/// Returns the planners that turn the nodes of this module into operators.
pub fn extension_planners() -> Vec<Arc<dyn ExtensionPlanner + Send + Sync>> {
    vec![Arc::new(OperatorPlanner)]
}

#[derive(Debug)]
struct OperatorPlanner;

#[async_trait]
impl ExtensionPlanner for OperatorPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        planning_ctx: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let node = node.as_any();
        let input = |place: usize| match physical_inputs.get(place) {
            Some(input) => Ok(Arc::clone(input)),
            None => internal_err!("input {place} is missing"),
        };
        let operator = if let Some(latest) = node.downcast_ref::<latest_on::LatestOn>() {
            latest.physical(input(0)?)?
        } else if let Some(fill) = node.downcast_ref::<fill::Fill>() {
            fill.physical(input(0)?)?
        } else if let Some(slice) = node.downcast_ref::<slice::Slice>() {
            slice.physical(input(0)?)?
        } else if let Some(join) = node.downcast_ref::<asof_join::AsofJoin>() {
            join.physical(input(0)?, input(1)?)?
        } else if let Some(join) = node.downcast_ref::<splice_join::SpliceJoin>() {
            join.physical(input(0)?, input(1)?)?
        } else if let Some(window) = node.downcast_ref::<window::Window>() {
            window.physical(input(0)?)?
        } else if let Some(join) = node.downcast_ref::<window_join::WindowJoin>() {
            join.physical(input(0)?, input(1)?, planner, session, planning_ctx)?
        } else {
            return Ok(None);
        };
        Ok(Some(operator))
    }
}
