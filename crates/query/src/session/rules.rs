//! Which of the engine's rules a plan needs: [`Engine`].
//!
//! The engine tries more than fifty rules on every plan, several times over, and most of them look for nodes that a
//! small plan does not have: of the time of a point query more than half went there. A rule is left out here only when
//! nothing in the plan can be what it looks for; a plan with a node that this file does not know gets them all, and so
//! does every rule that this file does not name.

#[cfg(test)]
mod tests;

use std::ops::Deref;
use std::sync::OnceLock;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::exec::latest_on::LatestOn;

/// What a plan has beyond projections.
pub type Parts = usize;
const SCAN: Parts = 1;
const FILTER: Parts = 2;
const LIMIT: Parts = 4;
const SORT: Parts = 8;
const GROUP: Parts = 16;
const ALL: Parts = 32;
/// Whatever else: joins, unions, windows, sub-queries, own nodes, and plans of many levels.
const OTHER: Parts = ALL;

/// Rules, and the parts of which one must be there for it to find anything.
const NEEDS: &[(&str, Parts)] = &[
    // analyzer
    ("resolve_grouping_function", GROUP),
    // logical plans
    ("rewrite_set_comparison", OTHER),
    ("optimize_unions", OTHER),
    ("unions_to_filter", OTHER),
    ("replace_distinct_aggregate", OTHER),
    ("eliminate_join", OTHER),
    ("decorrelate_predicate_subquery", OTHER),
    ("scalar_subquery_to_join", OTHER),
    ("decorrelate_lateral_join", OTHER),
    ("extract_equijoin_predicate", OTHER),
    ("eliminate_duplicated_expr", SORT | GROUP),
    ("eliminate_filter", FILTER),
    ("eliminate_limit", LIMIT),
    ("propagate_empty_relation", FILTER | LIMIT),
    ("filter_null_join_keys", OTHER),
    ("eliminate_outer_join", OTHER),
    ("push_down_limit", LIMIT),
    ("push_down_filter", FILTER),
    ("single_distinct_aggregation_to_group_by", GROUP),
    ("eliminate_group_by_constant", GROUP),
    ("common_sub_expression_eliminate", SCAN | GROUP),
    // they move the fields of structs, which no type of ours is
    ("extract_leaf_expressions", OTHER),
    ("push_down_leaf_projections", OTHER),
    ("optimize_projections", SCAN | SORT | GROUP),
    // physical plans
    ("OutputRequirements", SORT),
    ("aggregate_statistics", GROUP),
    ("join_selection", OTHER),
    ("LimitedDistinctAggregation", GROUP),
    ("FilterPushdown", FILTER | SORT | GROUP),
    ("FilterPushdown(Post)", SORT | GROUP),
    ("WindowTopN", OTHER),
    // a limit counts the rows of one partition, sorts and groups want theirs in order
    ("EnsureRequirements", LIMIT | SORT | GROUP),
    ("CombinePartialFinalAggregate", GROUP),
    ("OptimizeAggregateOrder", GROUP),
    // above a filter over a scan our own operator does what this would
    ("ProjectionPushdown", SORT | GROUP),
    ("LimitAggregation", GROUP),
    ("LimitPushPastWindows", OTHER),
    ("HashJoinBuffering", OTHER),
    ("LimitPushdown", LIMIT),
    ("TopKRepartition", OTHER),
    ("PushdownSort", SORT),
    ("EnsureCooperative", SCAN),
    ("SanityCheckPlan", LIMIT | SORT | GROUP),
];

/// Projections up to which one pass of the rules finds all that several do: what is read, sorted by,
/// hidden again, and shown.
const FEW_PROJECTIONS: usize = 4;

/// The engine's state for all sessions of a server.
pub struct Engine {
    whole: SessionState,
    /// Every plan gets all rules.
    plain: bool,
    /// With fewer rules, by the parts that a plan has.
    fewer: [OnceLock<SessionState>; ALL],
    unchecked: OnceLock<SessionState>,
}

impl Engine {
    /// Returns an engine with the rules of a state, for each plan those it needs or, when `plain`, all.
    pub fn new(whole: SessionState, plain: bool) -> Engine {
        Engine { whole, plain, fewer: [const { OnceLock::new() }; ALL], unchecked: OnceLock::new() }
    }

    /// Returns the state with all rules that may find something in a plan.
    pub fn of_plan(&self, plan: &LogicalPlan) -> &SessionState {
        self.of_parts(Engine::parts_of(plan))
    }

    /// Returns what decides over the rules for a plan.
    pub fn parts_of(plan: &LogicalPlan) -> Parts {
        parts(plan)
    }

    /// Returns the state with all rules that may find something in a plan of such parts.
    pub fn of_parts(&self, parts: Parts) -> &SessionState {
        match self.fewer.get(parts).filter(|_| !self.plain) {
            Some(fewer) => fewer.get_or_init(|| with_rules(&self.whole, parts)),
            None => &self.whole,
        }
    }

    /// Returns the state with all rules but the last look at a plan's orders, which knows no constants that a join has taken in
    /// and refuses right plans: where a key of a group is one, and its rows come in an order.
    pub fn unchecked(&self) -> &SessionState {
        self.unchecked.get_or_init(|| without_rule(self.whole.clone(), "SanityCheckPlan"))
    }
}

impl Deref for Engine {
    type Target = SessionState;

    fn deref(&self) -> &SessionState {
        &self.whole
    }
}

/// Returns a state without one of its rules.
pub fn without_rule(state: SessionState, name: &str) -> SessionState {
    let logical = state.optimizers().iter().filter(|rule| rule.name() != name).cloned().collect();
    let physical = state.physical_optimizers().iter().filter(|rule| rule.name() != name).cloned().collect();
    SessionStateBuilder::new_from_existing(state)
        .with_optimizer_rules(logical)
        .with_physical_optimizer_rules(physical)
        .build()
}

fn with_rules(whole: &SessionState, parts: Parts) -> SessionState {
    let needed = |name: &str| NEEDS.iter().find(|(rule, _)| *rule == name).is_none_or(|(_, needs)| needs & parts != 0);
    let analyzer = whole.analyzer().rules.iter().filter(|rule| needed(rule.name())).cloned().collect();
    let logical = whole.optimizers().iter().filter(|rule| needed(rule.name())).cloned().collect();
    let physical = whole.physical_optimizers().iter().filter(|rule| needed(rule.name())).cloned().collect();
    let mut config = whole.config().clone();
    config.options_mut().optimizer.max_passes = 1;
    SessionStateBuilder::new_from_existing(whole.clone())
        .with_config(config)
        .with_analyzer_rules(analyzer)
        .with_optimizer_rules(logical)
        .with_physical_optimizer_rules(physical)
        .build()
}

/// Returns what a plan has; [`ALL`] or more when it may have anything.
fn parts(plan: &LogicalPlan) -> Parts {
    let (mut found, mut projections, mut filters, mut groups) = (0, 0, 0, 0);
    let walked = plan.apply(|node| {
        found |= match node {
            LogicalPlan::Projection(_) => {
                projections += 1;
                0
            }
            LogicalPlan::TableScan(scan) => SCAN | if scan.filters.is_empty() { 0 } else { FILTER },
            LogicalPlan::EmptyRelation(_) | LogicalPlan::SubqueryAlias(_) => 0,
            LogicalPlan::Filter(_) => {
                filters += 1;
                FILTER
            }
            LogicalPlan::Limit(_) => LIMIT,
            LogicalPlan::Sort(_) => SORT,
            LogicalPlan::Aggregate(_) => {
                groups += 1;
                GROUP
            }
            // what is asked of its input, and of what goes through it, is asked of groups and sorts too
            LogicalPlan::Extension(own) if own.node.as_any().is::<LatestOn>() => FILTER | SORT | GROUP,
            _ => OTHER,
        };
        if found < ALL && asks(node)? {
            found |= OTHER;
        }
        Ok(if found < ALL { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    let few = projections <= FEW_PROJECTIONS && filters <= 1 && groups <= 1;
    if walked.is_ok() && few { found } else { OTHER }
}

/// Returns whether an expression of a node has a query in it.
pub fn asks(node: &LogicalPlan) -> datafusion::error::Result<bool> {
    let mut found = false;
    node.apply_expressions(|expr| {
        found |= expr.exists(|part| {
            Ok(matches!(
                part,
                Expr::ScalarSubquery(_)
                    | Expr::InSubquery(_)
                    | Expr::Exists(_)
                    | Expr::SetComparison(_)
                    | Expr::OuterReferenceColumn(..)
            ))
        })?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}
