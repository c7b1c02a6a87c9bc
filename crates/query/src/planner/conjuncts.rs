//! WHERE: conditions joined by AND, each filtered by itself; IN (sub-query) becomes a null-safe semi-join, and where it is a part of a
//! condition a column that tells which rows it is true of.

use datafusion::common::{Column as PlanColumn, JoinType, NullEquality};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::group::children;
use super::relation::{Column, Relation};
use super::scope::Scope;
use super::{Planner, build, plan_error};
use crate::error::SqlError;
use crate::kind::Kind;
use crate::parser::ast::{Binary, Expr as Tree, ExprKind, Query};

/// Returns the conditions that AND joins.
pub fn split(tree: &Tree) -> Vec<&Tree> {
    match &tree.kind {
        ExprKind::Binary { op: Binary::And, left, right } => {
            let mut list = split(left);
            list.extend(split(right));
            list
        }
        _ => vec![tree],
    }
}

/// Columns of the one side of a join and of the other, in pairs.
type JoinKeys = (Vec<PlanColumn>, Vec<PlanColumn>);

/// By the position of a sub-query after IN the column that tells which rows have an equal there.
pub type Marks = [(usize, Expr)];

/// Returns the relation with only the rows that meet every condition.
pub fn filter(scope: &Scope, relation: Relation, conditions: &[&Tree]) -> Result<Relation, SqlError> {
    let within = conditions.iter().copied().filter(|condition| in_query(condition).is_none());
    let (mut relation, marks) = marked(scope, relation, within)?;
    let scope = &Scope { marks: &marks, ..*scope };
    let mut predicate = None;
    for condition in conditions {
        if let Some((value, query, negated)) = in_query(condition) {
            relation = semi_join(scope, relation, value, query, negated)?;
            continue;
        }
        let test = scope.condition(condition)?;
        if let Some(plan) = crate::exec::asof_join::filtered_left(&relation.plan, &test).map_err(plan_error)? {
            relation = relation.with_plan(plan);
            continue;
        }
        predicate = Some(match predicate {
            None => test,
            Some(earlier) => datafusion::logical_expr::and(earlier, test),
        });
    }
    match predicate {
        Some(predicate) => relation.filtered(predicate),
        None => Ok(relation),
    }
}

fn in_query(tree: &Tree) -> Option<(&Tree, &Query, bool)> {
    let ExprKind::In { value, list, negated, .. } = &tree.kind else { return None };
    match &list[..] {
        [Tree { kind: ExprKind::Query(query), .. }] => Some((value, query, *negated)),
        _ => None,
    }
}

fn semi_join(
    scope: &Scope,
    relation: Relation,
    value: &Tree,
    query: &Query,
    negated: bool,
) -> Result<Relation, SqlError> {
    let (list, keys) = members(scope, value, query)?;
    let plan = among(list, relation.plan.clone(), keys, negated)?;
    Ok(relation.with_plan(plan))
}

/// Returns a relation and what tells which of its rows meet a condition, for a statement that keeps the others.
pub fn met(planner: &Planner, relation: Relation, filter: Option<&Tree>) -> Result<(Relation, Option<Expr>), SqlError> {
    let (columns, time) = (relation.columns.clone(), relation.time);
    let scope = Scope { columns: &columns, time, ..Scope::constants(planner) };
    let (relation, marks) = marked(&scope, relation, filter)?;
    let met = filter.map(|filter| Scope { marks: &marks, ..scope }.condition(filter)).transpose()?;
    Ok((relation, met))
}

/// Returns the relation with a hidden column for each IN (sub-query) in these expressions, and which it is.
fn marked<'t>(
    scope: &Scope,
    relation: Relation,
    trees: impl IntoIterator<Item = &'t Tree>,
) -> Result<(Relation, Vec<(usize, Expr)>), SqlError> {
    let (mut relation, mut marks) = (relation, Vec::new());
    let mut left: Vec<&Tree> = trees.into_iter().collect();
    while let Some(tree) = left.pop() {
        if let Some((value, query, _)) = in_query(tree) {
            let (list, keys) = members(scope, value, query)?;
            let rows = relation.plan.clone();
            let join_type = JoinType::RightMark;
            let plan = build(|b| b.join_detailed(rows, join_type, keys, None, NullEquality::NullEqualsNull), list)?;
            let (qualifier, mark) = plan.schema().qualified_field(plan.schema().fields().len() - 1);
            let (mark, field) = (Expr::Column(PlanColumn::from((qualifier, mark))), scope.planner.field("mark"));
            let earlier = marks.iter().map(|(_, mark): &(usize, Expr)| mark.clone());
            let exprs = relation.columns.iter().map(Column::expr).chain(earlier).chain([mark.alias(&field)]);
            let exprs: Vec<Expr> = exprs.collect();
            relation = relation.with_plan(build(|b| b.project(exprs), plan)?);
            marks.push((query.position, Expr::Column(PlanColumn::new_unqualified(field))));
        }
        left.extend(children(tree));
    }
    Ok((relation, marks))
}

/// Returns the values of a sub-query, each once, and which column of it is compared with which of the scope's.
fn members(scope: &Scope, value: &Tree, query: &Query) -> Result<(LogicalPlan, JoinKeys), SqlError> {
    let value = scope.bind(value)?;
    match value.kind {
        Kind::Symbol => {}
        Kind::String | Kind::Varchar => return Err(SqlError::new(query.position, "constant expected")),
        kind => return Err(SqlError::new(query.position, format!("cannot compare {kind} with type CURSOR"))),
    }
    let list = scope.planner.query(query, scope.ctes)?.shown()?;
    let first = list.columns.first().ok_or_else(|| SqlError::new(query.position, "column expression expected"))?;
    if !matches!(first.kind, Kind::Symbol | Kind::String | Kind::Varchar) {
        let message = format!("supported column types are VARCHAR, SYMBOL and STRING, found: {}", first.kind);
        return Err(SqlError::new(query.position, message));
    }
    let Expr::Column(key) = value.expr else {
        return Err(SqlError::new(value.position, "a column is expected before IN (sub-query)"));
    };
    let keys: JoinKeys = (vec![PlanColumn::new_unqualified(&first.field)], vec![key]);
    Ok((build(|b| b.distinct(), list.plan)?, keys))
}

/// Returns the rows of one plan that have an equal among another's, or have none, in their order: the engine keeps the left side
/// of a join, and gives the rows of the right one as they come. NULL is equal to NULL.
pub fn among(others: LogicalPlan, rows: LogicalPlan, keys: JoinKeys, negated: bool) -> Result<LogicalPlan, SqlError> {
    let join_type = if negated { JoinType::RightAnti } else { JoinType::RightSemi };
    build(|b| b.join_detailed(rows, join_type, keys, None, NullEquality::NullEqualsNull), others)
}
