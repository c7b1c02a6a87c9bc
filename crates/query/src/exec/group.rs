//! GROUP BY straight over a table's runs: codes index an array, buckets of time are found by search, numbers have a table
//! of their own; every core has states of its own, which are joined at the end.
//!
//! [`recognise`] puts [`DirectGroupExec`] in the place of an aggregation, with the filters and projections below it, where
//! [`shape`] knows its keys and aggregates. Reading order: [`shape`], [`columns`] (keys and arguments of a block's rows),
//! [`stretches`] (buckets), [`numbering`] and [`table`] (from keys to numbers of groups), [`worker`] (one thread's groups),
//! [`answers`] (their rows), [`operator`]. What a row does to an aggregate is [`crate::functions::aggregate::groups`].

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::sorts::sort::SortExec;

use crate::exec::direct::Notes;

mod answers;
mod columns;
pub mod counts;
mod numbering;
mod operator;
mod shape;
mod stretches;
mod table;
mod whole;
mod worker;

pub use operator::DirectGroupExec;

/// Returns the operator for an aggregation over a stored table and the sort on top of it, by the bucket and by symbols.
pub fn recognise_sorted(plan: &Arc<dyn ExecutionPlan>, _notes: &Notes) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(sort) = plan.downcast_ref::<SortExec>().filter(|sort| sort.fetch().is_none()) else { return Ok(None) };
    let Some(aggregation) = sort.input().downcast_ref::<AggregateExec>() else { return Ok(None) };
    let shape = shape::Shape::sorted(sort, aggregation);
    Ok(shape.map(|shape| Arc::new(DirectGroupExec::new(shape, plan.clone())) as _))
}

/// Returns the operator for an aggregation over a stored table.
pub fn recognise(plan: &Arc<dyn ExecutionPlan>, notes: &Notes) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(aggregation) = plan.downcast_ref::<AggregateExec>() else { return Ok(None) };
    match shape::Shape::of(aggregation) {
        Ok(shape) => Ok(Some(Arc::new(DirectGroupExec::new(shape, plan.clone())))),
        Err(why) => {
            if !why.is_empty() {
                notes.falls_back(|| format!("group: {why}"));
            }
            Ok(None)
        }
    }
}
