//! Plans that are made once and run again: [`Again`].
//!
//! Of such a plan only the source is another each time. Nothing else of it was made for the rows of a table: where one of the
//! engine's rules put something in that is known of the rows, there is no source left.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::DynamicFilterPhysicalExpr;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use storage::TableView;

use super::ends::DirectEndsExec;
use super::rows::DirectRowsExec;
use super::values::Change;
use super::{Source, is_prompt_itself};
use crate::exec::group::DirectGroupExec;
use crate::exec::latest_on::direct::DirectLatestExec;
use crate::exec::top::by_time::DirectLastExec;
use crate::exec::top::by_value::DirectTopExec;

/// A plan without a table's rows.
#[derive(Debug, Clone)]
pub struct Again {
    plan: Arc<dyn ExecutionPlan>,
    /// None: nothing is read.
    source: Option<Source>,
}

impl Again {
    /// Returns a plan of so many tables, to run it again. None for a plan of which more than the source may be another next
    /// time.
    pub fn of(plan: &Arc<dyn ExecutionPlan>, tables: usize) -> Option<Again> {
        if !may_run_again(plan) || plan.output_partitioning().partition_count() != 1 {
            return None;
        }
        match (source_of(plan), tables) {
            (None, 0) => Some(Again { plan: plan.clone(), source: None }),
            (Some(source), 1) if !source.conjuncts().iter().any(is_dynamic) => {
                let source = source.of_view(source.view().emptied());
                let plan = put(plan, &source).ok().flatten()?;
                Some(Again { plan, source: Some(source) })
            }
            _ => None,
        }
    }

    /// Returns the plan, without rows.
    pub fn plan(&self) -> &Arc<dyn ExecutionPlan> {
        &self.plan
    }

    /// Returns what is read, without rows.
    pub fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// Returns the plan over a view of its table; None if it does not fit.
    pub fn over_view(&self, view: Option<TableView>) -> Option<Arc<dyn ExecutionPlan>> {
        match (&self.source, view) {
            (Some(source), Some(view)) => self.over(source.of_view(view)),
            (None, None) => self.plan.clone().reset_state().ok(),
            _ => None,
        }
    }

    /// Returns the plan over a source of the same columns; None if it does not fit.
    pub fn over(&self, source: Source) -> Option<Arc<dyn ExecutionPlan>> {
        put(&self.plan, &source).ok().flatten().filter(fits)
    }
}

/// An operator that reads a table itself.
pub trait Reader {
    fn source(&self) -> &Source;
    /// Returns the operator over another source of the same columns.
    fn over(&self, source: Source) -> Result<Arc<dyn ExecutionPlan>>;
    /// Returns whether the source is still such as the operator knows.
    fn fits(&self) -> bool {
        true
    }

    /// Returns what it computes on top of all else; an aggregate does not.
    fn computes(&self) -> &[Arc<dyn PhysicalExpr>] {
        &[]
    }

    /// Returns the operator after a change of the values in that, and of how many rows it gives; None where one does not fit.
    fn changed(&self, _change: &mut Change) -> Option<Arc<dyn ExecutionPlan>> {
        self.over(self.source().clone()).ok()
    }
}

macro_rules! readers {
    ($($operator:ty => $fits:expr),*) => {
        $(impl Reader for $operator {
            fn source(&self) -> &Source {
                self.source()
            }

            fn over(&self, source: Source) -> Result<Arc<dyn ExecutionPlan>> {
                Ok(Arc::new(self.over(source)))
            }

            fn fits(&self) -> bool {
                $fits(self)
            }

            fn computes(&self) -> &[Arc<dyn PhysicalExpr>] {
                self.computes()
            }

            fn changed(&self, change: &mut Change) -> Option<Arc<dyn ExecutionPlan>> {
                self.changed(change).map(|changed| Arc::new(changed) as _)
            }
        })*
    };
}

/// For operators that know every source of their columns.
fn always<T>(_: &T) -> bool {
    true
}

readers!(
    DirectRowsExec => always,
    DirectLastExec => always,
    DirectLatestExec => DirectLatestExec::fits,
    DirectTopExec => DirectTopExec::fits
);

impl Reader for DirectEndsExec {
    fn source(&self) -> &Source {
        self.source()
    }

    fn over(&self, source: Source) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(self.over(source)))
    }
}

impl Reader for DirectGroupExec {
    fn source(&self) -> &Source {
        self.source()
    }

    fn over(&self, source: Source) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(self.over(source)?))
    }

    fn fits(&self) -> bool {
        self.fits()
    }
}

/// Returns a plan's topmost operator if it reads a table itself.
pub fn reader(plan: &Arc<dyn ExecutionPlan>) -> Option<&dyn Reader> {
    fn known<R: Reader + ExecutionPlan>(plan: &Arc<dyn ExecutionPlan>) -> Option<&dyn Reader> {
        plan.downcast_ref::<R>().map(|reader| reader as &dyn Reader)
    }
    known::<DirectRowsExec>(plan)
        .or_else(|| known::<DirectEndsExec>(plan))
        .or_else(|| known::<DirectLastExec>(plan))
        .or_else(|| known::<DirectLatestExec>(plan))
        .or_else(|| known::<DirectTopExec>(plan))
        .or_else(|| known::<DirectGroupExec>(plan))
}

/// Returns whether all operators of a plan are such as are run again: nothing in them is of the rows of a table but through their
/// source.
pub fn may_run_again(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let known = match plan.name() {
        "DirectGroupExec" | "FillExec" => true,
        _ => is_prompt_itself(plan),
    };
    known && plan.children().into_iter().all(may_run_again)
}

/// Returns the one source of a plan of such operators.
fn source_of(plan: &Arc<dyn ExecutionPlan>) -> Option<&Source> {
    if let Some(reader) = reader(plan) {
        return Some(reader.source());
    }
    let children = plan.children();
    let [child] = children[..] else { return None };
    source_of(child)
}

/// Returns a plan of such operators with another source; None for one that reads nothing.
fn put(plan: &Arc<dyn ExecutionPlan>, source: &Source) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(reader) = reader(plan) {
        return reader.over(source.clone()).map(Some);
    }
    let children = plan.children();
    let [child] = children[..] else { return Ok(None) };
    let Some(child) = put(child, source)? else { return Ok(None) };
    // with counts of its own for each run
    plan.clone().replace_children(vec![child], ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep)).map(Some)
}

fn fits(plan: &Arc<dyn ExecutionPlan>) -> bool {
    match reader(plan) {
        Some(reader) => reader.fits(),
        None => plan.children().into_iter().all(fits),
    }
}

/// Returns whether an expression is filled while its plan runs.
pub fn is_dynamic(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.downcast_ref::<DynamicFilterPhysicalExpr>().is_some() || expr.children().into_iter().any(is_dynamic)
}
