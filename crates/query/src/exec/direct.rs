//! Reading a table's runs directly: codes instead of texts, no copies, both cores, the order of time used.
//!
//! [`Direct`] is a rule over physical plans, where aliases, sub-queries and the order of conjuncts are gone. It puts an
//! operator of ours in the place of a shape that one of the recognisers below knows; every other shape stays with the plain
//! operators, which answer the same. Reading order: [`source`] (a table's rows under conjuncts, as a plan asks for them),
//! [`work`] (morsels), [`block`] (the rows of a morsel), [`conjuncts`], [`fold`] (all cores over all morsels), [`delivered`] (all cores, rows in their order), [`sent`] (one thread), then an
//! operator: [`rows`], [`ends`]. `agree` proves that both forms answer alike. How to add an operator: `docs/operators.md`.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::config::{ConfigEntry, ConfigExtension, ConfigOptions, ExtensionOptions};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;

mod again;
#[cfg(test)]
pub(crate) mod agree;
mod apart;
mod backward;
pub mod block;
mod conjuncts;
mod delivered;
mod ends;
pub mod fold;
pub mod keys;
mod outputs;
mod rows;
mod sent;
pub mod sides;
pub mod source;
pub mod values;
pub mod wanted;
pub mod work;

pub use again::{Again, is_dynamic, may_run_again};
pub use backward::Backward;
pub use block::{Block, Selection};
pub use delivered::{Delivery, delivered, few};
pub use fold::{fold, fold_streamed, reservation};
pub use outputs::Outputs;
pub use sent::{FEW_ROWS, by_time, made, sent};
pub use source::Source;
pub use work::{Morsel, Order, Work};

/// Looks at one node and what is beneath; returns the operator that does the same, if it knows the shape.
type Recognise = fn(&Arc<dyn ExecutionPlan>, &Notes) -> Result<Option<Arc<dyn ExecutionPlan>>>;

/// The recognisers, larger shapes before those that are parts of them. A node is given to each in turn, from the top of
/// the plan down.
const RECOGNISERS: &[Recognise] = &[
    ends::recognise,
    super::latest_on::direct::recognise_sorted,
    super::latest_on::direct::recognise,
    super::top::by_time::recognise,
    super::top::by_value::recognise,
    super::group::recognise_sorted,
    super::group::recognise,
    super::asof_join::direct::recognise,
    super::window::direct::recognise,
    super::window_join::direct::recognise,
    super::symbol_join::recognise,
    rows::recognise,
];

/// Those that know a sort on top of what they stand for: it may be on top of what is computed of that, too.
const SORTED: &[Recognise] = &[super::latest_on::direct::recognise_sorted, super::group::recognise_sorted];

/// Returns a node's operator, if one of the recognisers knows the shape.
fn recognised(plan: &Arc<dyn ExecutionPlan>, notes: &Notes) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    for recognise in RECOGNISERS {
        if let Some(found) = recognise(plan, notes)? {
            return Ok(Some(found));
        }
    }
    let Some((computed, sort)) = sort_beneath(plan) else { return Ok(None) };
    for recognise in SORTED {
        if let Some(found) = recognise(&sort, notes)? {
            return Ok(Some(Arc::new(ProjectionExec::try_new(computed.expr().to_vec(), found)?)));
        }
    }
    Ok(None)
}

/// Returns a projection under a sort, and that sort as one of what the projection is made of, where it is by columns that are handed on as they
/// are.
fn sort_beneath(plan: &Arc<dyn ExecutionPlan>) -> Option<(&ProjectionExec, Arc<dyn ExecutionPlan>)> {
    let sort = plan.downcast_ref::<SortExec>()?;
    let computed = sort.input().downcast_ref::<ProjectionExec>()?;
    if computed.expr().iter().any(|of| is_volatile(&of.expr)) {
        return None;
    }
    let moved = sort.expr().iter().map(|by| {
        let column = by.expr.downcast_ref::<Column>()?;
        let made_of = &computed.expr().get(column.index())?.expr;
        made_of.downcast_ref::<Column>().map(|_| PhysicalSortExpr::new(made_of.clone(), by.options))
    });
    let order = LexOrdering::new(moved.collect::<Option<Vec<_>>>()?)?;
    Some((computed, Arc::new(SortExec::new(order, computed.input().clone()).with_fetch(sort.fetch()))))
}

/// The rule.
#[derive(Debug)]
pub struct Direct;

impl PhysicalOptimizerRule for Direct {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let switch = config.extensions.get::<Switch>().cloned().unwrap_or_default();
        if switch.plain {
            return Ok(plan);
        }
        let replaced = plan.transform_down(|plan| {
            Ok(recognised(&plan, &switch.notes)?.map_or_else(|| Transformed::no(plan), Transformed::yes))
        })?;
        if !replaced.transformed {
            return Ok(replaced.data);
        }
        // the rule that lets leaves be stopped has run before this one
        let bounded = replaced.data.transform_up(|plan| {
            let ours = plan.name().starts_with("Direct") && plan.children().is_empty();
            Ok(if ours { Transformed::yes(Arc::new(CooperativeExec::new(plan)) as _) } else { Transformed::no(plan) })
        })?;
        Ok(bounded.data)
    }

    fn name(&self) -> &str {
        "Direct"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Returns whether whoever asks a plan for a batch computes little for it: the operators read on threads of their own, or
/// few rows, and nothing above them gathers rows.
pub fn is_prompt(plan: &Arc<dyn ExecutionPlan>) -> bool {
    is_prompt_itself(plan) && plan.children().into_iter().all(is_prompt)
}

/// Returns whether an operator is of that kind, whatever is beneath it.
fn is_prompt_itself(plan: &Arc<dyn ExecutionPlan>) -> bool {
    const PROMPT: [&str; 8] = [
        "CooperativeExec",
        "DirectEndsExec",
        "DirectLastExec",
        "DirectLatestExec",
        "DirectRowsExec",
        "DirectTopExec",
        "PlaceholderRowExec",
        "ProjectionExec",
    ];
    PROMPT.contains(&plan.name())
}

/// Why shapes that are nearly known stay with the plain operators: EXPLAIN shows it.
#[derive(Debug, Clone, Default)]
pub struct Notes(Option<Arc<Mutex<Vec<String>>>>);

impl Notes {
    /// Returns notes that are kept.
    pub fn kept() -> Notes {
        Notes(Some(Arc::default()))
    }

    /// Notes that an operator would have fitted but for `why`, e.g. `group: key price is a DOUBLE`. The text is made only
    /// when somebody reads it.
    pub fn falls_back(&self, why: impl FnOnce() -> String) {
        if let Some(notes) = &self.0 {
            let (mut notes, why) = (notes.lock().unwrap_or_else(PoisonError::into_inner), why());
            if !notes.contains(&why) {
                notes.push(why);
            }
        }
    }

    /// Returns what was noted.
    pub fn list(&self) -> Vec<String> {
        self.0.as_ref().map_or_else(Vec::new, |notes| notes.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// Whether the rule is at work, as a session's configuration says it.
#[derive(Debug, Clone, Default)]
pub struct Switch {
    /// Every plan stays as it is.
    pub plain: bool,
    pub notes: Notes,
}

impl ConfigExtension for Switch {
    const PREFIX: &'static str = "direct";
}

impl ExtensionOptions for Switch {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, _value: &str) -> Result<()> {
        Err(DataFusionError::Configuration(format!("direct.{key} cannot be set by its name")))
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        Vec::new()
    }
}
