//! A query said again with other literals or parameters: [`Shape`].
//!
//! What its physical plan was made of are the conditions of WHERE, alone: ranges of time and what each row must meet. They
//! are bound anew each time, by the rules of every statement; nothing else is planned. A query whose plan does not come out the
//! same so is no shape, nor is one of whose plan more may depend on its literals. A parameter elsewhere, as in LIMIT, must be
//! what it was. Whatever goes wrong is left to the plan of the whole text, which has its places.

mod order;
mod tree;

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion::catalog::TableProvider;
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{Expr, and};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use storage::{ReadView, TableView};
use types::TimeRange;

use super::plan::{KeptPlan, Ready};
use crate::interval::ranges::intersect;
use crate::kind::Kind;
use crate::parser::Varying;
use crate::parser::ast::{Body, Expr as Tree, ExprKind, Query, RelationRef, Source};
use crate::planner::parameters::Param;
use crate::planner::relation::{Column, unqualified};
use crate::planner::scope::Scope;
use crate::planner::{Ctes, Planner, conjuncts};
use crate::provider::{StoredTable, in_microseconds, ranges_of};
use crate::session::rules::Parts;
use order::Time;

/// A query of one table, with places for literals in its conditions.
pub struct Shape {
    plan: KeptPlan,
    conditions: Vec<Tree>,
    /// Which of the bound tests each of the plan's is: the engine puts those first that cost little.
    order: Vec<usize>,
    /// Where the literals stand in the conditions: positions, rising.
    places: Vec<usize>,
    /// Those of the text that it was made of.
    pub literals: Vec<ExprKind>,
    /// Parameters that are not in the conditions alone, by their numbers, and what they were.
    fixed: Vec<(usize, Param)>,
    /// The table's.
    columns: Vec<Column>,
    time: Option<usize>,
    /// Units of the designated timestamp in a microsecond.
    per_us: i64,
    schema: DFSchemaRef,
    /// Of the columns that are read.
    read: DFSchemaRef,
}

/// What rows must meet: moments, and the rest in its order.
type Bound = (Vec<TimeRange>, Vec<Arc<dyn PhysicalExpr>>);

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
        let Body::Select(select) = &query.body else { return None };
        let from = select.from.as_ref().filter(|from| from.joins.is_empty() && query.with.is_empty())?;
        let Source { relation: RelationRef::Table(name), timestamp: None, ordinality: false, .. } = &from.first else {
            return None;
        };
        // the ends of a grid of buckets are conditions too, which nobody finds in WHERE
        if select.sample.as_ref().is_some_and(|sample| sample.from.is_some() || sample.to.is_some()) {
            return None;
        }
        let alias = from.first.alias.as_ref().unwrap_or(name);
        let conditions: Vec<Tree> = conjuncts::split(select.filter.as_ref()?).into_iter().cloned().collect();
        let time = view.schema().designated_index();
        let per_us = time.map_or(1, |place| view.schema().columns[place].column_type.units_per_us());
        let named = time.map(|place| Time { name: &view.schema().columns[place].name, is_ranges: per_us == 1 });
        if !tree::have_literals_at(&conditions, &varying.places) || !order::is_kept(query, select, &conditions, named) {
            return None;
        }
        let source = plan.source()?;
        let fixed =
            varying.other_params.iter().map(|number| Some((*number, params.get(number.checked_sub(1)?)?.clone())));
        let fixed = fixed.collect::<Option<_>>()?;
        let table = StoredTable::new(view);
        let schema = table.schema();
        let column = |field: &FieldRef| Column {
            table: Some(unqualified(&alias.name).to_owned()),
            name: field.name().clone(),
            kind: Kind::of_field(field),
            field: field.name().clone(),
            visible: true,
        };
        let columns = schema.fields().iter().map(column).collect();
        let read = Arc::new(DFSchema::try_from(source.schema().as_ref().clone()).ok()?);
        let (ranges, conjuncts) = (source.ranges().to_vec(), source.conjuncts().to_vec());
        let schema = Arc::new(DFSchema::try_from(schema).ok()?);
        let Varying { literals, places, .. } = varying;
        let order = Vec::new();
        let shape = Shape { plan, conditions, order, places, literals, fixed, columns, time, per_us, schema, read };
        let (bound_ranges, bound) = shape.bound(planner, state, &shape.literals)?;
        let order = places_of(&conjuncts, &bound)?;
        (bound_ranges == ranges).then_some(Shape { order, ..shape })
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
        let (ranges, conjuncts) = self.bound(planner, state, literals)?;
        let source = self.plan.source()?;
        if conjuncts.len() != self.order.len() {
            return None;
        }
        let conjuncts = self.order.iter().map(|at| conjuncts.get(*at).cloned()).collect::<Option<_>>()?;
        self.plan.over_source(source.of_view(table).meeting(ranges, conjuncts))
    }

    fn bound(&self, planner: &Planner, state: &SessionState, literals: &[ExprKind]) -> Option<Bound> {
        let (columns, time) = (&self.columns[..], self.time);
        let scope = Scope { planner, ctes: Ctes::NONE, columns, time, aliases: &[], grouping: None, windows: None };
        let mut predicate = None;
        for condition in &self.conditions {
            let mut condition = condition.clone();
            tree::fill(&mut condition, &self.places, literals)?;
            let test = scope.condition(&condition).ok()?;
            predicate = Some(match predicate {
                None => test,
                Some(earlier) => and(earlier, test),
            });
        }
        if literals.len() != self.places.len() || !planner.is_repeatable() {
            return None;
        }
        let context = SimplifyContext::builder()
            .with_schema(self.schema.clone())
            .with_config_options(state.config_options().clone())
            .build();
        let simple = ExprSimplifier::new(context).simplify(predicate?).ok()?;
        let time = self.time.map(|place| self.columns[place].field.as_str());
        let (mut ranges, mut conjuncts) = (vec![TimeRange::ALL], Vec::new());
        let planning = PhysicalPlanningContext::default();
        for test in split_conjunction_owned(simple) {
            if matches!(test, Expr::Literal(..)) {
                return None;
            }
            let found = time.and_then(|time| ranges_of(&test, time));
            // ranges of the scan are microseconds: of a finer unit each row is looked at too
            if found.is_none() || self.per_us > 1 {
                conjuncts.push(create_physical_expr(&test, &self.read, state.execution_props(), &planning).ok()?);
            }
            if let Some(found) = found {
                ranges = intersect(&ranges, &found);
            }
        }
        Some((in_microseconds(ranges, self.per_us), conjuncts))
    }
}

/// Returns where each test of a plan is among the bound ones; None if they are not the same ones.
fn places_of(planned: &[Arc<dyn PhysicalExpr>], bound: &[Arc<dyn PhysicalExpr>]) -> Option<Vec<usize>> {
    let mut places: Vec<usize> = Vec::with_capacity(planned.len());
    for test in planned {
        let is_next = |at: &usize| bound[*at].eq(test) && !places.contains(at);
        places.push((0..bound.len()).find(is_next)?);
    }
    (places.len() == bound.len()).then_some(places)
}
