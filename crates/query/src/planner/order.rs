//! ORDER BY and LIMIT.

use datafusion::common::Column as PlanColumn;
use datafusion::common::tree_node::TreeNode;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{Expr, LogicalPlan, SortExpr};

use super::relation::{Column, Relation};
use super::scope::Scope;
use super::select::ordinal;
use super::{Ctes, Planner, build, plan_error};
use crate::error::SqlError;
use crate::exec;
use crate::functions::Typed;
use crate::kind::Kind;
use crate::parser::ast::{Expr as Tree, ExprKind, Limit, OrderItem};

/// What rows are ordered by.
pub struct Key {
    pub by: By,
    pub descending: bool,
}

/// A place among the outputs, or a value that is not among them.
pub enum By {
    Output(usize),
    Extra(Typed),
}

/// Returns the error for an ORDER BY item that must be an output.
pub fn not_selected(tree: &Tree) -> SqlError {
    let text = crate::parser::expression_text(tree);
    let message = format!("ORDER BY expressions must appear in select list. Invalid column: {text}");
    SqlError::new(tree.position, message)
}

/// Returns whether rows that DISTINCT has left can be ordered by a value: an output, or one that outputs alone determine.
pub fn is_of_distinct(tree: &Tree, value: &Typed, outputs: &[Typed]) -> bool {
    if outputs.iter().any(|output| output.expr == value.expr) {
        // An output by the name of what stands behind its alias, as in `x y … order by x`.
        return !matches!(tree.kind, ExprKind::Name { qualifier: None, .. });
    }
    let is_output = |column: &PlanColumn| outputs.iter().any(|o| matches!(&o.expr, Expr::Column(c) if c == column));
    !value.expr.is_volatile() && value.expr.column_refs().into_iter().all(is_output)
}

/// Returns what each ORDER BY item means: an ordinal, an output by its name or value, or a value that `bind` finds.
pub fn resolve(
    order_by: &[OrderItem],
    outputs: &[Column],
    values: &[Typed],
    bind: impl Fn(&Tree) -> Result<Typed, SqlError>,
) -> Result<Vec<Key>, SqlError> {
    let mut keys = Vec::new();
    for item in order_by {
        let by = match output_place(item, outputs)? {
            Some(place) => By::Output(place),
            None => {
                let value = bind(&item.expr)?;
                match values.iter().position(|v| v.expr == value.expr) {
                    Some(place) => By::Output(place),
                    None => By::Extra(value),
                }
            }
        };
        keys.push(Key { by, descending: item.descending });
    }
    Ok(keys)
}

fn output_place(item: &OrderItem, outputs: &[Column]) -> Result<Option<usize>, SqlError> {
    let visible = outputs.iter().filter(|c| c.visible).count();
    if let Some(number) = ordinal(&item.expr) {
        let place = usize::try_from(number).ok().filter(|n| (1..=visible).contains(n));
        let message = format!("order column position is out of range [max={visible}]");
        return place.map(|n| Some(n - 1)).ok_or_else(|| SqlError::new(item.expr.position, message));
    }
    let ExprKind::Name { qualifier: None, name } = &item.expr.kind else { return Ok(None) };
    let folded = name.to_lowercase();
    Ok(outputs.iter().position(|c| c.visible && c.name.to_lowercase() == folded))
}

fn sort_expr(expr: Expr, kind: Kind, descending: bool) -> SortExpr {
    // The peer's NULL is the smallest integer, moment or text, but greater than any floating number.
    let floating = matches!(kind, Kind::Float | Kind::Double);
    SortExpr::new(expr, !descending, floating == descending)
}

/// Returns the projection of `exprs` as `columns`, made distinct if asked, sorted by `keys`; `time` is the place of the
/// timestamp that unsorted rows ascend by.
pub fn sorted_projection(
    planner: &Planner,
    input: LogicalPlan,
    mut exprs: Vec<Expr>,
    columns: Vec<Column>,
    keys: Vec<Key>,
    time: Option<(usize, bool)>,
    distinct: bool,
) -> Result<Relation, SqlError> {
    let mut sorts = Vec::new();
    let mut extras = false;
    for key in &keys {
        let (expr, kind) = match &key.by {
            By::Output(place) => (columns[*place].expr(), columns[*place].kind),
            By::Extra(value) => {
                extras = true;
                let field = planner.field("key");
                exprs.push(value.expr.clone().alias(&field));
                (Expr::Column(datafusion::common::Column::new_unqualified(field)), value.kind)
            }
        };
        sorts.push(sort_expr(expr, kind, key.descending));
    }
    let mut plan = build(|b| b.project(exprs), input)?;
    if distinct {
        plan = build(|b| b.distinct(), plan)?;
    }
    // rows that ascend by the only key do so without a sort, too
    let is_by_time =
        matches!((&keys[..], time), ([Key { by: By::Output(by), descending: false }], Some((at, true))) if *by == at);
    let (mut time, mut ascending) = (time.map(|t| t.0), time.is_some_and(|t| t.1));
    if let Some(first) = keys.first() {
        plan = build(|b| b.sort(sorts), plan)?;
        (time, ascending) = order_of(first, &columns, time);
    }
    if extras {
        let kept: Vec<Expr> = columns.iter().map(Column::expr).collect();
        plan = build(|b| b.project(kept), plan)?;
    }
    Ok(Relation { plan, columns, time, ascending, is_table: false, is_sorted: !keys.is_empty() && !is_by_time })
}

/// Returns the timestamp that sorted rows are ordered by: what they are sorted by first, if it is one.
fn order_of(first: &Key, columns: &[Column], time: Option<usize>) -> (Option<usize>, bool) {
    match &first.by {
        By::Output(place) if columns[*place].kind.is_timestamp() => (Some(*place), !first.descending),
        By::Output(_) => (None, false),
        By::Extra(value) => {
            let hidden = time.filter(|t| !columns[*t].visible);
            match hidden {
                Some(t) if value.kind.is_timestamp() => (Some(t), !first.descending),
                _ => (None, false),
            }
        }
    }
}

/// Returns a relation ordered by its own columns, as the end of a set operation is.
pub fn by_outputs(
    planner: &Planner,
    relation: Relation,
    order_by: &[OrderItem],
    ctes: Ctes,
) -> Result<Relation, SqlError> {
    if order_by.is_empty() {
        return Ok(relation);
    }
    let columns = relation.columns.clone();
    let scope = Scope { ctes, columns: &columns, time: relation.time, ..Scope::constants(planner) };
    let keys = resolve(order_by, &columns, &[], |tree| scope.bind(tree))?;
    let exprs = columns.iter().map(Column::expr).collect();
    let time = relation.time.map(|t| (t, relation.ascending));
    sorted_projection(planner, relation.plan, exprs, columns.clone(), keys, time, false)
}

/// Returns the relation with a hidden column that numbers its rows in their order, and the expression that reads it.
pub fn numbered(planner: &Planner, relation: Relation) -> Result<(Relation, Expr), SqlError> {
    let relation = in_turn(relation)?;
    let plan = build(|b| b.window([row_number()]), relation.plan.clone())?;
    let (qualifier, number) = plan.schema().qualified_field(plan.schema().fields().len() - 1);
    let number = Expr::Column(PlanColumn::from((qualifier, number)));
    let field = planner.field("number");
    let exprs: Vec<Expr> = relation.columns.iter().map(Column::expr).chain([number.alias(&field)]).collect();
    let plan = build(|b| b.project(exprs), plan)?;
    let hidden = Column { table: None, name: String::new(), kind: Kind::Long, field, visible: false };
    let read = hidden.expr();
    let mut relation = relation.with_plan(plan);
    relation.columns.push(hidden);
    Ok((relation, read))
}

/// Returns a sorted relation in such a form that the engine does not take the sort away below an operator that does not ask for it.
pub fn kept_in_order(relation: Relation) -> Result<Relation, SqlError> {
    if !relation.is_sorted {
        return Ok(relation);
    }
    let plan = over_sort(&relation.plan)?;
    Ok(relation.with_plan(plan))
}

/// Puts [`exec::in_order`] over the sort that a plan ends with: above it the keys may be projected away, and nobody could tell. A sort
/// with a limit stays as it is: it decides which rows there are.
fn over_sort(plan: &LogicalPlan) -> Result<LogicalPlan, SqlError> {
    match plan {
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Filter(_) => {
            let inputs = plan.inputs().into_iter().map(over_sort).collect::<Result<Vec<_>, _>>()?;
            plan.with_new_exprs(plan.expressions(), inputs).map_err(plan_error)
        }
        LogicalPlan::Limit(_) => Ok(plan.clone()),
        _ => Ok(exec::in_order(plan.clone())),
    }
}

/// Returns a relation whose rows come one arm of a union after the other: a sort above would merge the arms, and the rows that LIMIT,
/// DISTINCT or a window sees would be others.
pub fn in_turn(relation: Relation) -> Result<Relation, SqlError> {
    if relation.is_sorted {
        return kept_in_order(relation);
    }
    let has_union = relation.plan.exists(|node| Ok(matches!(node, LogicalPlan::Union(_)))).map_err(plan_error)?;
    let plan = if has_union { exec::in_order(relation.plan.clone()) } else { return Ok(relation) };
    Ok(relation.with_plan(plan))
}

/// Returns the rows that LIMIT keeps.
pub fn limit(planner: &Planner, relation: Relation, limit: Option<&Limit>) -> Result<Relation, SqlError> {
    let Some(limit) = limit else { return Ok(relation) };
    let low = bound(planner, limit.low.as_ref())?;
    let high = bound(planner, limit.high.as_ref())?;
    let plan = match (low, high) {
        (None, None) => return Ok(relation),
        (Some(n), None | Some(0)) | (None | Some(0), Some(n)) => rows(&relation, n)?,
        (Some(low), Some(high)) if low >= 0 && high >= 0 => {
            let (skip, end) = (low.min(high) as usize, low.max(high) as usize);
            build(|b| b.limit(skip, Some(end - skip)), limited(&relation)?)?
        }
        (Some(low), Some(high)) if low < 0 && high > 0 => {
            let position = limit.low.as_ref().map_or(limit.position, |tree| tree.position);
            return Err(SqlError::new(position, "LIMIT <negative>, <positive> is not allowed"));
        }
        (low, high) => exec::slice(in_turn(relation.clone())?.plan, low, high).map_err(plan_error)?,
    };
    Ok(relation.with_plan(plan))
}

fn rows(relation: &Relation, n: i64) -> Result<LogicalPlan, SqlError> {
    match usize::try_from(n) {
        Ok(n) => build(|b| b.limit(0, Some(n)), limited(relation)?),
        Err(_) => exec::slice(in_turn(relation.clone())?.plan, None, Some(n)).map_err(plan_error),
    }
}

/// Returns the plan of rows of which the first are taken; a sort beneath takes the LIMIT in.
fn limited(relation: &Relation) -> Result<LogicalPlan, SqlError> {
    if relation.is_sorted {
        return Ok(relation.plan.clone());
    }
    Ok(in_turn(relation.clone())?.plan)
}

/// Returns what is cast to a whole number: drivers write `LIMIT $1::INTEGER`.
fn plain(tree: &Tree) -> &Tree {
    match &tree.kind {
        ExprKind::Cast { arg, type_name, .. } if is_whole(type_name) => plain(arg),
        _ => tree,
    }
}

fn is_whole(type_name: &str) -> bool {
    let names = ["byte", "short", "int", "long", "smallint", "integer", "bigint", "int2", "int4", "int8"];
    names.iter().any(|name| type_name.eq_ignore_ascii_case(name))
}

/// Returns the constant of a bound; `None` for no bound and for a parameter that is NULL.
fn bound(planner: &Planner, tree: Option<&Tree>) -> Result<Option<i64>, SqlError> {
    let Some(written) = tree else { return Ok(None) };
    let tree = plain(written);
    let value = Scope::constants(planner).bind_wanted(tree, Kind::Long)?;
    let is_param = matches!(tree.kind, ExprKind::Param(_));
    if is_param && (value.is_null_literal() || planner.parameters.is_described()) {
        return Ok(None);
    }
    // drivers that write parameters into the text say `LIMIT ('2'::int4)`
    let is_cast = matches!(written.kind, ExprKind::Cast { .. });
    if let (true, Some(text)) = (is_param || is_cast, value.as_text()) {
        let number = text.trim().parse();
        return number.map(Some).map_err(|_| SqlError::new(tree.position, format!("invalid LONG value [{text}]")));
    }
    match value.as_integer() {
        Some(n) => Ok(Some(n)),
        None => Err(SqlError::new(tree.position, format!("invalid type: {}", value.kind))),
    }
}
