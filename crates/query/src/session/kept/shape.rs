//! A query said again with other literals or parameters: [`Shape`].
//!
//! What its physical plan was made of are the conditions of WHERE, alone: ranges of time and what each row must meet. They
//! are bound anew each time, by the rules of every statement; nothing else is planned. A query whose plan does not come out the
//! same so is no shape, nor is one of whose plan more may depend on its literals. Whatever goes wrong is left to the plan of
//! the whole text, which has its places.

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
use types::{ColumnType, TimeRange};

use super::plan::{KeptPlan, Ready};
use crate::interval::ranges::intersect;
use crate::kind::Kind;
use crate::parser::Varying;
use crate::parser::ast::{Body, Expr as Tree, ExprKind, Item, OrderItem, Query, RelationRef, Source};
use crate::planner::relation::{Column, unqualified};
use crate::planner::scope::Scope;
use crate::planner::{Ctes, Planner, conjuncts};
use crate::provider::{StoredTable, ranges_of};
use crate::session::rules::Parts;

/// A query of one table, with places for literals in its conditions.
pub struct Shape {
    plan: KeptPlan,
    conditions: Vec<Tree>,
    /// Those of the text that it was made of.
    pub literals: Vec<ExprKind>,
    /// The table's.
    columns: Vec<Column>,
    time: Option<usize>,
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
    ) -> Option<Shape> {
        let Body::Select(select) = &query.body else { return None };
        let from = select.from.as_ref().filter(|from| from.joins.is_empty() && query.with.is_empty())?;
        let Source { relation: RelationRef::Table(name), timestamp: None, ordinality: false, .. } = &from.first else {
            return None;
        };
        let alias = from.first.alias.as_ref().unwrap_or(name);
        let conditions: Vec<Tree> = conjuncts::split(select.filter.as_ref()?).into_iter().cloned().collect();
        let source = plan.source()?;
        let is_in_us = |place: usize| view.schema().columns[place].column_type == ColumnType::Timestamp;
        let time = view.schema().designated_index();
        let time_name = time.map(|place| view.schema().columns[place].name.clone());
        if !time.is_none_or(is_in_us) || !is_ordered_by(&query.order_by, &select.items, time_name.as_deref()) {
            return None;
        }
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
        let shape = Shape { plan, conditions, literals: varying.literals, columns, time, schema, read };
        let bound = shape.bound(planner, state, &shape.literals)?;
        (bound == (ranges, conjuncts)).then_some(shape)
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
        if conjuncts.len() != source.conjuncts().len() {
            return None;
        }
        self.plan.over_source(source.of_view(table).meeting(ranges, conjuncts))
    }

    fn bound(&self, planner: &Planner, state: &SessionState, literals: &[ExprKind]) -> Option<Bound> {
        let (columns, time) = (&self.columns[..], self.time);
        let scope = Scope { planner, ctes: Ctes::NONE, columns, time, aliases: &[], grouping: None, windows: None };
        let mut literals = literals.iter();
        let mut predicate = None;
        for condition in &self.conditions {
            let mut condition = condition.clone();
            fill(&mut condition, &mut literals)?;
            let test = scope.condition(&condition).ok()?;
            predicate = Some(match predicate {
                None => test,
                Some(earlier) => and(earlier, test),
            });
        }
        if literals.next().is_some() || !planner.is_repeatable() {
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
            match time.and_then(|time| ranges_of(&test, time)) {
                Some(found) => ranges = intersect(&ranges, &found),
                None => {
                    conjuncts.push(create_physical_expr(&test, &self.read, state.execution_props(), &planning).ok()?)
                }
            }
        }
        Some((ranges, conjuncts))
    }
}

/// Returns whether rows are in no order but that of time: a sort by anything else may have been left out because the literals
/// let but one value through.
fn is_ordered_by(order_by: &[OrderItem], items: &[Item], time: Option<&str>) -> bool {
    let is_time = |name: &str| time.is_some_and(|time| name.eq_ignore_ascii_case(time));
    let is_alias = |item: &Item| matches!(item, Item::Expr { alias: Some(alias), .. } if is_time(&alias.name));
    match order_by {
        [] => true,
        [item] => {
            let by_time = matches!(&item.expr.kind, ExprKind::Name { qualifier: None, name } if is_time(name));
            by_time && !items.iter().any(is_alias)
        }
        _ => false,
    }
}

/// Puts literals into a condition in the places of its own; None when there are not as many.
fn fill<'l>(condition: &mut Tree, literals: &mut impl Iterator<Item = &'l ExprKind>) -> Option<()> {
    let mut put = |operand: &mut Tree| match &mut operand.kind {
        ExprKind::Param(_) => Some(()),
        place @ (ExprKind::Number(_) | ExprKind::Text(_)) => {
            place.clone_from(literals.next()?);
            Some(())
        }
        _ => None,
    };
    match &mut condition.kind {
        ExprKind::Binary { right, .. } => put(right),
        ExprKind::In { list, .. } => list.iter_mut().try_for_each(put),
        ExprKind::Between { low, high, .. } => put(low).and_then(|()| put(high)),
        _ => None,
    }
}
