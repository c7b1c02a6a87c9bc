//! The conditions of a query, bound anew over the table that its plan reads: [`Binding`].

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
use storage::TableView;
use types::TimeRange;

use super::order::{self, Time};
use crate::exec::direct::Source as Rows;
use crate::interval::ranges::intersect;
use crate::kind::Kind;
use crate::parser::ast::{Body, Expr as Tree, Ident, Query, RelationRef, Select, Source};
use crate::planner::relation::{Column, unqualified};
use crate::planner::scope::Scope;
use crate::planner::{Planner, conjuncts};
use crate::provider::{StoredTable, in_microseconds, ranges_of};

/// What is needed to bind conditions over one table.
pub struct Binding {
    /// Which of the bound tests each of the plan's is: the engine puts those first that cost little.
    order: Vec<usize>,
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

/// Returns the conditions of a query that reads one table; None for one without.
pub fn conditions_of(query: &Query) -> Option<Vec<&Tree>> {
    let (select, _) = of_one_table(query)?;
    select.filter.as_ref().map(conjuncts::split)
}

/// Returns a SELECT from one table by itself, and the name by which its columns are known.
pub fn of_one_table(query: &Query) -> Option<(&Select, &Ident)> {
    let Body::Select(select) = &query.body else { return None };
    let from = select.from.as_ref().filter(|from| from.joins.is_empty() && query.with.is_empty())?;
    let Source { relation: RelationRef::Table(name), timestamp: None, ordinality: false, .. } = &from.first else {
        return None;
    };
    // the ends of a grid of buckets are conditions too, which nobody finds in WHERE
    if select.sample.as_ref().is_some_and(|sample| sample.from.is_some() || sample.to.is_some()) {
        return None;
    }
    Some((select, from.first.alias.as_ref().unwrap_or(name)))
}

/// Returns whether a SELECT is from the table of that name.
fn names(select: &Select, table: &str) -> bool {
    let relation = select.from.as_ref().map(|from| &from.first.relation);
    matches!(relation, Some(RelationRef::Table(name)) if unqualified(&name.name).eq_ignore_ascii_case(table))
}

/// Returns whether a query over a view of its table keeps the order of its rows whatever the literals of its conditions are.
pub fn keeps_order(query: &Query, view: &TableView) -> bool {
    let (Some((select, _)), Some(conditions)) = (of_one_table(query), conditions_of(query)) else { return false };
    let conditions: Vec<Tree> = conditions.into_iter().cloned().collect();
    let time = view.schema().designated_index().map(|place| &view.schema().columns[place]);
    let named = time.map(|time| Time { name: &time.name, is_ranges: time.column_type.units_per_us() == 1 });
    order::is_kept(query, select, &conditions, named)
}

impl Binding {
    /// Returns what binds the conditions of a query whose plan reads `source`, made just now over a view of its table; None when
    /// they do not come out as they stand there, or decide over more than which rows are read.
    pub fn of(
        planner: &Planner,
        state: &SessionState,
        query: &Query,
        source: &Rows,
        view: TableView,
    ) -> Option<Binding> {
        let (select, alias) = of_one_table(query).filter(|_| keeps_order(query, &view))?;
        // a view has conditions of its own, which are not in the text
        if !names(select, view.name().as_str()) {
            return None;
        }
        let time = view.schema().designated_index();
        let per_us = time.map_or(1, |place| view.schema().columns[place].column_type.units_per_us());
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
        let schema = Arc::new(DFSchema::try_from(schema).ok()?);
        let binding = Binding { order: Vec::new(), columns, time, per_us, schema, read };
        let (ranges, bound) = binding.bound(planner, state, &conditions_of(query)?)?;
        let order = places_of(source.conjuncts(), &bound)?;
        (ranges == source.ranges()).then_some(Binding { order, ..binding })
    }

    /// Returns what a plan reads under other conditions of that kind; None when the query must be planned as a whole.
    pub fn over(
        &self,
        planner: &Planner,
        state: &SessionState,
        conditions: &[&Tree],
        source: &Rows,
        table: TableView,
    ) -> Option<Rows> {
        let (ranges, bound) = self.bound(planner, state, conditions)?;
        if bound.len() != self.order.len() {
            return None;
        }
        let conjuncts = self.order.iter().map(|at| bound.get(*at).cloned()).collect::<Option<_>>()?;
        Some(source.of_view(table).meeting(ranges, conjuncts))
    }

    fn bound(&self, planner: &Planner, state: &SessionState, conditions: &[&Tree]) -> Option<Bound> {
        let (columns, time) = (&self.columns[..], self.time);
        let scope = Scope { columns, time, ..Scope::constants(planner) };
        let mut predicate = None;
        for condition in conditions {
            let test = scope.condition(condition).ok()?;
            predicate = Some(match predicate {
                None => test,
                Some(earlier) => and(earlier, test),
            });
        }
        if !planner.is_repeatable() {
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
