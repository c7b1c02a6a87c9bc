//! The last rule over a physical plan: what keeps it within its memory, lets it be stopped, and keeps its rows in order.
//!
//! Operators that give many batches for one that they read pause between them, else neither a time limit nor a cancel
//! gets a word in; conditions of joins look up from their work (`watched.rs`). A hash join whose kept side is estimated too large
//! becomes a merge of two sorts, which can spill. Joins, unions and sorts that would give rows in another order than their inputs, where
//! nothing asks for that, are replaced: `pairs.rs`, `in_turn.rs`, `numbered.rs`.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{JoinSide, JoinType};
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::statistics::StatisticsContext;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, StatisticsArgs};

use super::in_turn::InTurnExec;
use super::numbered::{numbered_join, numbered_sort};
use super::pairs::PairsExec;
use super::watched::{WatchedExec, watched};

/// Operators that may give many batches for one of their input.
const MULTIPLYING: [&str; 9] = [
    "HashJoinExec",
    "PairsExec",
    "NestedLoopJoinExec",
    "SortMergeJoinExec",
    "UnnestExec",
    "FillExec",
    "WindowExec",
    "LatestOnExec",
    "AggregateExec",
];
/// What a text is taken to need, and what each kept row costs beside its values.
const TEXT_BYTES: usize = 32;
const ROW_BYTES: usize = 16;

/// The rule, for a pool of so many bytes.
#[derive(Debug)]
pub struct Bounded {
    pub memory_bytes: usize,
}

impl PhysicalOptimizerRule for Bounded {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = plan.transform_up(|plan| {
            let plan = watched(&plan)?.unwrap_or(plan);
            let plan = match self.merged(&plan)? {
                Some(merged) => merged,
                None => plan.downcast_ref::<HashJoinExec>().map(numbered_join).transpose()?.flatten().unwrap_or(plan),
            };
            let plan = plan.downcast_ref::<SortExec>().map(numbered_sort).transpose()?.flatten().unwrap_or(plan);
            let plan = crossed(&plan)?.or_else(|| paired(&plan)).or_else(|| in_turn(&plan)).unwrap_or(plan);
            let plan = merged_in_turn(&plan).unwrap_or(plan);
            if MULTIPLYING.contains(&plan.name()) {
                return Ok(Transformed::yes(Arc::new(CooperativeExec::new(plan)) as Arc<dyn ExecutionPlan>));
            }
            Ok(Transformed::yes(plan))
        });
        plan.map(|plan| plan.data)
    }

    fn name(&self) -> &str {
        "Bounded"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Returns an inner join on no keys as a filter over the pairs. The join itself looks through all pairs of a batch before it
/// returns, and nobody could stop it.
fn crossed(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() else { return Ok(None) };
    let Some(filter) = join.filter().filter(|_| *join.join_type() == JoinType::Inner) else { return Ok(None) };
    let pairs: Arc<dyn ExecutionPlan> = Arc::new(PairsExec::new(join.left().clone(), join.right().clone()));
    let (schema, left) = (pairs.schema(), join.left().schema().fields().len());
    let predicate = filter.expression().clone().transform(|expr| {
        let Some(column) = expr.downcast_ref::<Column>() else { return Ok(Transformed::no(expr)) };
        let place = &filter.column_indices()[column.index()];
        let index = if place.side == JoinSide::Left { place.index } else { left + place.index };
        Ok(Transformed::yes(Arc::new(Column::new(schema.field(index).name(), index)) as Arc<dyn PhysicalExpr>))
    })?;
    let pairs: Arc<dyn ExecutionPlan> = Arc::new(CooperativeExec::new(pairs));
    let found: Arc<dyn ExecutionPlan> = Arc::new(FilterExec::try_new(predicate.data, pairs)?);
    projected(found, join.projection().as_deref()).map(Some)
}

/// Returns all pairs in the order of the side that streams.
fn paired(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    let join = plan.downcast_ref::<CrossJoinExec>()?;
    Some(Arc::new(PairsExec::new(join.left().clone(), join.right().clone())))
}

/// Returns a plan under the LIMIT that another one had taken in.
fn limited(plan: Arc<dyn ExecutionPlan>, fetch: Option<usize>) -> Arc<dyn ExecutionPlan> {
    match fetch {
        Some(fetch) => Arc::new(GlobalLimitExec::new(plan, 0, Some(fetch))),
        None => plan,
    }
}

/// Returns all partitions as one in their order.
fn in_turn(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    let together = plan.downcast_ref::<CoalescePartitionsExec>()?;
    Some(limited(Arc::new(InTurnExec::new(together.input().clone())), together.fetch()))
}

/// Returns a merge of sorted partitions in which rows that are equal come in the order of these. Each runs as a task of its own.
fn merged_in_turn(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    let merge = plan.downcast_ref::<SortPreservingMergeExec>()?;
    let arms = Arc::new(WatchedExec::new(merge.input().clone()));
    let merge = SortPreservingMergeExec::new(merge.expr().clone(), arms).with_fetch(merge.fetch());
    Some(Arc::new(merge.with_round_robin_repartition(false)))
}

impl Bounded {
    /// Returns the join as a merge of two sorts if the side that it keeps is too large.
    fn merged(&self, plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(join) = plan.downcast_ref::<HashJoinExec>() else { return Ok(None) };
        let kept = StatisticsContext::new().compute(join.left().as_ref(), &StatisticsArgs::new())?;
        let (Precision::Exact(rows) | Precision::Inexact(rows)) = kept.num_rows else { return Ok(None) };
        let bytes = rows.saturating_mul(row_bytes(&join.left().schema()));
        let is_small = bytes <= self.memory_bytes / 3;
        if is_small || join.null_aware || join.on().is_empty() {
            return Ok(None);
        }
        let options = SortOptions { descending: false, nulls_first: true };
        let (left_keys, right_keys): (Vec<_>, Vec<_>) = join.on().iter().cloned().unzip();
        let merge = SortMergeJoinExec::try_new(
            sorted(join.left(), left_keys, options),
            sorted(join.right(), right_keys, options),
            join.on().to_vec(),
            join.filter().cloned(),
            *join.join_type(),
            vec![options; join.on().len()],
            join.null_equality(),
        )?;
        let merge = Arc::new(CooperativeExec::new(Arc::new(merge)));
        let merge = projected(merge, join.projection.as_deref())?;
        // the operators above rely on the order that the hash join would have kept, and on the LIMIT that it had taken in
        let merge = match plan.output_ordering() {
            Some(ordering) => Arc::new(SortExec::new(ordering.clone(), merge)),
            None => merge,
        };
        Ok(Some(limited(merge, join.fetch())))
    }
}

/// Returns what a kept row of that schema is taken to need.
fn row_bytes(schema: &Schema) -> usize {
    let value = |data_type: &DataType| data_type.primitive_width().unwrap_or(TEXT_BYTES);
    ROW_BYTES + schema.fields().iter().map(|field| value(field.data_type())).sum::<usize>()
}

fn sorted(
    input: &Arc<dyn ExecutionPlan>,
    keys: Vec<Arc<dyn PhysicalExpr>>,
    options: SortOptions,
) -> Arc<dyn ExecutionPlan> {
    match LexOrdering::new(keys.into_iter().map(|key| PhysicalSortExpr::new(key, options))) {
        Some(ordering) => Arc::new(SortExec::new(ordering, input.clone())),
        None => input.clone(),
    }
}

/// Returns the columns of a plan at these places; the plan itself without any.
pub(super) fn projected(plan: Arc<dyn ExecutionPlan>, columns: Option<&[usize]>) -> Result<Arc<dyn ExecutionPlan>> {
    let Some(columns) = columns else { return Ok(plan) };
    let schema = plan.schema();
    let exprs = columns.iter().map(|place| {
        let name = schema.field(*place).name();
        ProjectionExpr { expr: Arc::new(Column::new(name, *place)), alias: name.clone() }
    });
    Ok(Arc::new(ProjectionExec::try_new(exprs, plan)?))
}

#[cfg(test)]
mod tests;
