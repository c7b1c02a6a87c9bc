//! One SELECT: FROM, WHERE, LATEST ON, then either plain items or groups, then DISTINCT and ORDER BY.

use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::order;
use super::outputs::{self, Origin, Output};
use super::relation::{Column, Relation};
use super::scope::Scope;
use super::window::{self, Windows};
use super::{Ctes, Planner, build, conjuncts, group, join, latest, window_join};
use crate::error::SqlError;
use crate::functions::Typed;
use crate::parser::ast::{Expr as Tree, ExprKind, Ident, Item, OrderItem, Select, Unary};

/// Returns the plan of a SELECT with the ORDER BY of its query.
pub fn select(planner: &Planner, select: &Select, order_by: &[OrderItem], ctes: Ctes) -> Result<Relation, SqlError> {
    check_aliases(&select.items)?;
    if let Some(from) = select.from.as_ref().filter(|from| window_join::is_one(from)) {
        return window_join::select(planner, select, from, order_by, ctes);
    }
    let mut conditions = select.filter.as_ref().map(conjuncts::split).unwrap_or_default();
    let relation = match &select.from {
        Some(from) => join::from(planner, from, &mut conditions, ctes)?,
        None => one_row()?,
    };
    let columns = relation.columns.clone();
    let scope = Scope { ctes, columns: &columns, time: relation.time, ..Scope::constants(planner) };
    let mut relation = conjuncts::filter(&scope, relation, &conditions)?;
    if let Some(latest) = &select.latest {
        relation = latest::latest(relation, latest)?;
    }
    let aliases = item_aliases(&select.items);
    let windows = Windows::new(&select.windows);
    let scope = Scope { aliases: &aliases, time: relation.time, windows: Some(&windows), ..scope };
    if group::is_grouped(&scope, select) {
        return group::select(&scope, select, order_by, relation);
    }
    plain(&scope, select, order_by, relation)
}

/// Returns one row without columns.
pub fn one_row() -> Result<Relation, SqlError> {
    let plan = LogicalPlanBuilder::empty(true).build().map_err(super::plan_error)?;
    Ok(Relation { plan, columns: Vec::new(), time: None, ascending: false, is_table: false, is_sorted: false })
}

fn check_aliases(items: &[Item]) -> Result<(), SqlError> {
    let mut seen: Vec<String> = Vec::new();
    for item in items {
        if let Item::Expr { alias: Some(alias), .. } = item {
            let folded = alias.name.to_lowercase();
            if seen.contains(&folded) {
                return Err(SqlError::new(alias.position, format!("Duplicate column [name={}]", alias.name)));
            }
            seen.push(folded);
        }
    }
    Ok(())
}

pub fn item_aliases(items: &[Item]) -> Vec<(String, Tree)> {
    let alias = |item: &Item| match item {
        Item::Expr { expr, alias: Some(alias) } => Some((alias.name.to_lowercase(), expr.clone())),
        _ => None,
    };
    items.iter().filter_map(alias).collect()
}

/// Returns the outputs of the select list; an empty list is a star.
pub fn expand(scope: &Scope, items: &[Item]) -> Result<Vec<Output>, SqlError> {
    let star = [Item::Star { qualifier: None, position: 0 }];
    let items = if items.is_empty() { &star[..] } else { items };
    let mut list = Vec::new();
    for (i, item) in items.iter().enumerate() {
        match item {
            Item::Star { qualifier, position } => list.extend(star_outputs(scope, qualifier.as_ref(), *position)?),
            Item::Expr { expr, alias } => {
                let earlier = earlier_aliases(scope, &items[..i]);
                let scope = Scope { aliases: earlier, ..*scope };
                let value = scope.bind(expr)?;
                let alias = alias.as_ref().map(|a| a.name.clone());
                list.push(Output {
                    value,
                    origin: Origin::Item { tree: expr.clone(), alias },
                    own_name: String::new(),
                });
            }
        }
    }
    Ok(list)
}

/// Returns the aliases that stand before an item: later ones are not seen.
fn earlier_aliases<'s>(scope: &Scope<'s>, earlier: &[Item]) -> &'s [(String, Tree)] {
    let count = earlier.iter().filter(|i| matches!(i, Item::Expr { alias: Some(_), .. })).count();
    &scope.aliases[..count.min(scope.aliases.len())]
}

fn star_outputs(scope: &Scope, qualifier: Option<&Ident>, position: usize) -> Result<Vec<Output>, SqlError> {
    let wanted = qualifier.map(|q| q.name.to_lowercase());
    let of_table = |c: &&Column| match &wanted {
        Some(table) => c.table.as_ref().is_some_and(|t| t.to_lowercase() == *table),
        None => true,
    };
    let columns: Vec<&Column> = scope.columns.iter().filter(|c| c.visible).filter(of_table).collect();
    if let (true, Some(qualifier)) = (columns.is_empty(), qualifier) {
        return Err(SqlError::new(qualifier.position, "Invalid table name or alias"));
    }
    let output = |c: &Column| Output { value: c.typed(position), origin: Origin::Star, own_name: c.name.clone() };
    Ok(columns.into_iter().map(output).collect())
}

fn plain(scope: &Scope, select: &Select, order_by: &[OrderItem], relation: Relation) -> Result<Relation, SqlError> {
    let outputs = expand(scope, &select.items)?;
    let time = relation.time.map(|i| (relation.columns[i].typed(0), relation.ascending));
    let has_window = |item: &Item| matches!(item, Item::Expr { expr, .. } if window::contains_window(expr));
    let stays_sorted = relation.is_sorted && order_by.is_empty() && !select.distinct;
    let plan = match (scope.windows, select.items.iter().any(has_window)) {
        (Some(windows), true) => windows.apply(scope.planner, order::in_turn(relation)?.plan)?,
        _ if select.distinct => order::in_turn(relation)?.plan,
        // what is sorted again is in the former order where it is equal
        _ if !stays_sorted => order::kept_in_order(relation)?.plan,
        _ => relation.plan,
    };
    let input = Input { plan, time };
    let mut selected = project(scope, select, outputs, order_by, input, None)?;
    selected.is_sorted |= stays_sorted;
    Ok(selected)
}

/// The ORDER BY items of a grouped SELECT that are no outputs, bound already, by their places in the text.
pub struct OrderValues<'o>(pub &'o [(usize, Typed)]);

/// What a select list is projected from.
pub struct Input {
    pub plan: LogicalPlan,
    /// The designated timestamp, and whether rows ascend by it.
    pub time: Option<(Typed, bool)>,
}

/// Returns the projection of the outputs, made distinct and ordered; carries an unselected timestamp along, hidden.
pub fn project(
    scope: &Scope,
    select: &Select,
    outputs: Vec<Output>,
    order_by: &[OrderItem],
    input: Input,
    grouped: Option<OrderValues>,
) -> Result<Relation, SqlError> {
    let planner = scope.planner;
    let names = outputs::names(&outputs);
    let moved = outputs.iter().position(|output| grouped.is_none() && is_moved_time(scope, output));
    let mut columns = Vec::new();
    let mut exprs = Vec::new();
    let mut values = Vec::new();
    for (output, name) in outputs.into_iter().zip(names) {
        let field = planner.field(&name);
        exprs.push(named(&output.value, &field));
        columns.push(outputs::column(name, &output.value, field));
        values.push(output.value);
    }
    let bind = |tree: &Tree| match &grouped {
        Some(OrderValues(bound)) => {
            let found = bound.iter().find(|(position, _)| *position == tree.position);
            found.map(|(_, value)| value.clone()).ok_or_else(|| order::not_selected(tree))
        }
        None => match window::first_window(tree) {
            Some(position) => Err(SqlError::new(position, window::NO_WINDOW)),
            None => scope.bind(tree),
        },
    };
    let keys = order::resolve(order_by, &columns, &values, |tree| {
        let value = bind(tree)?;
        let is_left = !select.distinct || order::is_of_distinct(tree, &value, &values);
        if is_left { Ok(value) } else { Err(order::not_selected(tree)) }
    })?;
    let mut time = None;
    if let Some((value, ascending)) = &input.time {
        let place = values.iter().rposition(|v| v.expr == value.expr).or(moved);
        time = place.map(|i| (i, *ascending));
        if place.is_none() && !select.distinct {
            let field = planner.field("time");
            exprs.push(value.expr.clone().alias(&field));
            columns.push(Column { table: None, name: String::new(), kind: value.kind, field, visible: false });
            time = Some((columns.len() - 1, *ascending));
        }
    }
    if select.distinct {
        time = None;
    }
    order::sorted_projection(planner, input.plan, exprs, columns, keys, time, select.distinct)
}

/// Returns whether an output is the designated timestamp moved by a number as it is written, `dateadd('d', -1, ts)`:
/// such a one is a designated timestamp itself, in the same order.
fn is_moved_time(scope: &Scope, output: &Output) -> bool {
    let Origin::Item { tree: Tree { kind: ExprKind::Call { name, args, .. }, .. }, .. } = &output.origin else {
        return false;
    };
    let is_number = |tree: &Tree| match &tree.kind {
        ExprKind::Unary { op: Unary::Neg, arg } => matches!(arg.kind, ExprKind::Number(_)),
        kind => matches!(kind, ExprKind::Number(_)),
    };
    match &args[..] {
        [Tree { kind: ExprKind::Text(_), .. }, count, at] => {
            name.eq_ignore_ascii_case("dateadd") && is_number(count) && scope.is_time(at)
        }
        _ => false,
    }
}

/// Returns the value under a field's name.
///
/// Its kind stands beside the plan, not in the alias: the engine keeps aliases with metadata when it merges projections,
/// and asks each twice for what is below, so that twenty sub-queries in one another would plan for hours.
pub fn named(value: &Typed, field: &str) -> Expr {
    value.expr.clone().alias(field)
}

/// Returns the projection of all columns of a relation with some of them changed.
pub fn replaced(
    planner: &Planner,
    relation: Relation,
    change: impl Fn(usize, &Column) -> Option<Expr>,
) -> Result<Relation, SqlError> {
    let mut exprs = Vec::new();
    let mut columns = Vec::new();
    for (i, column) in relation.columns.iter().enumerate() {
        let mut column = column.clone();
        match change(i, &column) {
            Some(expr) => {
                column.field = planner.field(&column.name);
                exprs.push(named(&Typed::new(expr, column.kind, 0), &column.field));
            }
            None => exprs.push(column.expr()),
        }
        columns.push(column);
    }
    let plan = build(|b| b.project(exprs), relation.plan)?;
    let (time, ascending, is_table) = (relation.time, relation.ascending, relation.is_table);
    Ok(Relation { plan, columns, time, ascending, is_table, is_sorted: relation.is_sorted })
}

/// Returns the literal ordinal of an ORDER BY or GROUP BY item.
pub fn ordinal(tree: &Tree) -> Option<i64> {
    match &tree.kind {
        ExprKind::Number(text) => text.parse().ok(),
        _ => None,
    }
}
