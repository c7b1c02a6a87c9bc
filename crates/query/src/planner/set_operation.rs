//! UNION, EXCEPT, INTERSECT: branches brought to common kinds, NULL equal to NULL.

use datafusion::common::Column as PlanColumn;
use datafusion::logical_expr::Expr;

use super::conjuncts::among;
use super::order::kept_in_order;
use super::relation::{Column, Relation};
use super::select::named;
use super::{Planner, build};
use crate::error::SqlError;
use crate::exec;
use crate::functions::{self, Typed};
use crate::kind::Kind;
use crate::parser::ast::SetOp;

/// Returns the combination of two branches; names are those of the left one.
pub fn combine(
    planner: &Planner,
    op: SetOp,
    all: bool,
    left: Relation,
    right: Relation,
    position: usize,
) -> Result<Relation, SqlError> {
    let (left, right) = (kept_in_order(left.shown()?)?, kept_in_order(right.shown()?)?);
    if left.columns.len() != right.columns.len() {
        return Err(SqlError::new(position, "queries have different number of columns"));
    }
    let mut columns = Vec::new();
    let (mut left_exprs, mut right_exprs, mut beside_fields) = (Vec::new(), Vec::new(), Vec::new());
    for (a, b) in left.columns.iter().zip(&right.columns) {
        let keeps_symbol = op != SetOp::Union && a.kind == Kind::Symbol && b.kind == Kind::Symbol;
        let kind = match keeps_symbol {
            true => Kind::Symbol,
            false => functions::conditional::set_kind(a.kind, b.kind, &a.name, position)?,
        };
        let field = planner.field(&a.name);
        left_exprs.push(brought_to(a, kind, &field)?);
        let beside = if op == SetOp::Union { field.clone() } else { planner.field("beside") };
        right_exprs.push(brought_to(b, kind, &beside)?);
        beside_fields.push(beside);
        columns.push(Column { table: None, name: a.name.clone(), kind, field, visible: true });
    }
    // What is left of the left branch is in its order.
    let time = left.time.filter(|place| op != SetOp::Union && columns[*place].kind.is_timestamp());
    let ascending = left.ascending && time.is_some();
    let left = build(|b| b.project(left_exprs), left.plan)?;
    let right = build(|b| b.project(right_exprs), right.plan)?;
    let unqualified = |fields: Vec<String>| fields.into_iter().map(PlanColumn::new_unqualified).collect();
    let fields = columns.iter().map(|column| column.field.clone()).collect();
    let keys = (unqualified(beside_fields), unqualified(fields));
    let plan = match op {
        SetOp::Union if all => build(|b| b.union(right), left)?,
        SetOp::Union => exec::in_order(build(|b| b.union(right), left)?),
        SetOp::Except | SetOp::Intersect => among(right, left, keys, op == SetOp::Except)?,
    };
    let plan = match (all, time.filter(|_| ascending)) {
        (true, _) => plan,
        (false, None) => build(|b| b.distinct(), plan)?,
        (false, Some(place)) => {
            let by = columns[place].expr().sort(true, true);
            build(|b| b.distinct()?.sort([by]), plan)?
        }
    };
    Ok(Relation { plan, columns, time, ascending, is_table: false, is_sorted: false })
}

fn brought_to(column: &Column, kind: Kind, field: &str) -> Result<Expr, SqlError> {
    let value = column.typed(0);
    let value = if column.kind == kind { value } else { functions::cast::implicit(value, kind)? };
    Ok(named(&Typed::new(value.expr, kind, 0), field))
}
