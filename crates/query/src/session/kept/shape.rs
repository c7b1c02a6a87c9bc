//! A query said again with other literals or parameters: [`Shape`].
//!
//! What its physical plan was made of are the conditions of WHERE, alone: ranges of time and what each row must meet. They
//! are bound anew each time, by the rules of every statement; nothing else is planned. A query whose plan does not come out the
//! same so is no shape, nor is one of whose plan more may depend on its literals. A parameter elsewhere, as in LIMIT, must be
//! what it was. Whatever goes wrong is left to the plan of the whole text, which has its places.

pub(super) mod binding;
mod order;
mod tree;

use datafusion::execution::session_state::SessionState;
use storage::{ReadView, TableView};

use super::plan::{KeptPlan, Ready};
use crate::parser::Varying;
use crate::parser::ast::{Expr as Tree, ExprKind, Query};
use crate::planner::Planner;
use crate::planner::parameters::Param;
use crate::session::rules::Parts;
use binding::{Binding, conditions_of};

/// A query of one table, with places for literals in its conditions.
pub struct Shape {
    plan: KeptPlan,
    conditions: Vec<Tree>,
    binding: Binding,
    /// Where the literals stand in the conditions: positions, rising.
    places: Vec<usize>,
    /// Those of the text that it was made of.
    pub literals: Vec<ExprKind>,
    /// Parameters that are not in the conditions alone, by their numbers, and what they were.
    fixed: Vec<(usize, Param)>,
}

impl Shape {
    /// Returns the shape of a query whose plan over a view was made just now; None when its conditions alone do not make it.
    pub fn of(
        planner: &Planner,
        state: &SessionState,
        query: &Query,
        varying: Varying,
        plan: KeptPlan,
        view: TableView,
        params: &[Param],
    ) -> Option<Shape> {
        let conditions: Vec<Tree> = conditions_of(query)?.into_iter().cloned().collect();
        if !tree::have_literals_at(&conditions, &varying.places) {
            return None;
        }
        let fixed =
            varying.other_params.iter().map(|number| Some((*number, params.get(number.checked_sub(1)?)?.clone())));
        let fixed = fixed.collect::<Option<_>>()?;
        let binding = Binding::of(planner, state, query, plan.source()?, view)?;
        let Varying { literals, places, .. } = varying;
        Some(Shape { plan, conditions, binding, places, literals, fixed })
    }

    /// Returns whether all of a statement's parameters that make more than conditions are what they were.
    pub fn fits(&self, params: &[Param]) -> bool {
        self.fixed.iter().all(|(number, was)| params.get(number - 1) == Some(was))
    }

    /// Returns by what the engine chose its rules.
    pub fn parts(&self) -> Parts {
        self.plan.parts()
    }

    /// Returns the table in a view, if it is the one that the shape was made for.
    pub fn table(&self, view: &ReadView) -> Option<TableView> {
        self.plan.tables_of(view)?.pop()
    }

    /// Returns the query with these literals over a view of its table; None when it must be planned as a whole.
    pub fn ready(
        &self,
        planner: &Planner,
        state: &SessionState,
        literals: &[ExprKind],
        table: TableView,
    ) -> Option<Ready> {
        let mut conditions = self.conditions.clone();
        for condition in &mut conditions {
            tree::fill(condition, &self.places, literals)?;
        }
        if literals.len() != self.places.len() {
            return None;
        }
        let conditions: Vec<&Tree> = conditions.iter().collect();
        let source = self.binding.over(planner, state, &conditions, self.plan.source()?, table)?;
        self.plan.over_source(source)
    }
}
