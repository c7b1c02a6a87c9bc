//! Sub-queries that stand for values, and lists that are aggregated, as aggregates of the engine.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArguments, GroupByExpr, Join, JoinOperator, Query, SelectItem, SetExpr,
    TableFactor, TableWithJoins, visit_expressions,
};

use super::super::expressions::{arguments, function_name, number, read};
use crate::functions::aggregate::is_aggregate;
use crate::functions::catalog;

/// Makes a sub-query that stands for a value one with an aggregate.
pub fn one_value(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty());
    let [item] = &mut select.projection[..] else { return };
    let (SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }) = item else { return };
    if select.from.is_empty() || aggregates(value) {
        return;
    }
    if let Some(greatest) = read(&format!("max({value})")) {
        *value = greatest;
        query.order_by = None;
        query.limit_clause = None;
        query.fetch = None;
        select.distinct = None;
        if grouped {
            select.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
        }
    }
}

/// Returns whether a sub-query that stands for a value never has a row, since it reads a relation that has none: the engine finds no
/// way to look outwards from all that tools ask of such.
pub fn never_has_rows(query: &Query) -> bool {
    let SetExpr::Select(select) = query.body.as_ref() else { return false };
    let is_grouped = select.projection.iter().any(|item| match item {
        SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. } => aggregates(value),
        _ => true,
    });
    let is_empty = |factor: &TableFactor| match factor {
        TableFactor::Table { name, args: None, .. } => catalog::is_empty(&name.to_string().replace('"', "")),
        _ => false,
    };
    let is_nothing = |source: &TableWithJoins| {
        let inner = |join: &Join| matches!(join.join_operator, JoinOperator::Join(_) | JoinOperator::Inner(_));
        let left = |join: &Join| matches!(join.join_operator, JoinOperator::Left(_) | JoinOperator::LeftOuter(_));
        source.joins.iter().all(|join| inner(join) || left(join))
            && (is_empty(&source.relation) || source.joins.iter().any(|join| inner(join) && is_empty(&join.relation)))
    };
    query.with.is_none() && !is_grouped && select.from.iter().any(is_nothing)
}

/// Returns whether a sub-query has rows, as a comparison of their count.
pub fn counted(query: &Query, negated: bool) -> Option<Expr> {
    let mut query = query.clone();
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    select.projection = vec![SelectItem::UnnamedExpr(read("count(*)")?)];
    select.distinct = None;
    query.order_by = None;
    query.limit_clause = None;
    let op = if negated { BinaryOperator::Eq } else { BinaryOperator::Gt };
    let count = Box::new(Expr::Subquery(Box::new(query)));
    Some(Expr::Nested(Box::new(Expr::BinaryOp { left: count, op, right: Box::new(number("0")) })))
}

/// Returns `ARRAY(SELECT …)` as a text.
pub fn listed(query: &Query) -> Option<Expr> {
    let mut query = query.clone();
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let [item] = &mut select.projection[..] else { return None };
    let (SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }) = item else { return None };
    *item = SelectItem::UnnamedExpr(read(&format!("'{{' || string_agg(CAST({value} AS VARCHAR), ',') || '}}'"))?);
    query.order_by = None;
    read(&format!("coalesce(({query}), '{{}}')"))
}

/// Returns array_agg(value) as a text.
pub fn aggregated(function: &Function) -> Option<Expr> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let value = *arguments(function).first()?;
    let order = list.clauses.iter().map(|clause| format!(" {clause}")).collect::<Vec<_>>().concat();
    let filter = function.filter.as_ref().map_or_else(String::new, |test| format!(" FILTER (WHERE {test})"));
    read(&format!("'{{' || string_agg(CAST({value} AS VARCHAR), ','{order}){filter} || '}}'"))
}

/// Returns whether an expression has an aggregate of its own.
pub fn aggregates(expr: &Expr) -> bool {
    let found = visit_expressions(expr, |expr| match expr {
        Expr::Function(function) if function.over.is_none() && is_any_aggregate(&function_name(function)) => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

pub fn is_any_aggregate(name: &str) -> bool {
    is_aggregate(name) || matches!(name, "array_agg" | "bool_and" | "bool_or" | "every" | "json_agg" | "string_agg")
}
