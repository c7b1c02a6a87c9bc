//! UNION, EXCEPT, INTERSECT: branches brought to common kinds, NULL equal to NULL.

use datafusion::logical_expr::{Expr, LogicalPlanBuilder};

use super::relation::{Column, Relation};
use super::select::named;
use super::{Planner, build, plan_error};
use crate::error::SqlError;
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
    let (left, right) = (left.shown()?, right.shown()?);
    if left.columns.len() != right.columns.len() {
        return Err(SqlError::new(position, "queries have different number of columns"));
    }
    let mut columns = Vec::new();
    let (mut left_exprs, mut right_exprs) = (Vec::new(), Vec::new());
    for (a, b) in left.columns.iter().zip(&right.columns) {
        let keeps_symbol = op != SetOp::Union && a.kind == Kind::Symbol && b.kind == Kind::Symbol;
        let kind = match keeps_symbol {
            true => Kind::Symbol,
            false => functions::conditional::set_kind(a.kind, b.kind, &a.name, position)?,
        };
        let field = planner.field(&a.name);
        left_exprs.push(brought_to(a, kind, &field)?);
        right_exprs.push(brought_to(b, kind, &field)?);
        columns.push(Column { table: None, name: a.name.clone(), kind, field, visible: true });
    }
    let left = build(|b| b.project(left_exprs), left.plan)?;
    let right = build(|b| b.project(right_exprs), right.plan)?;
    let plan = match op {
        SetOp::Union => build(|b| b.union(right), left)?,
        SetOp::Except => LogicalPlanBuilder::except(left, right, true).map_err(plan_error)?,
        SetOp::Intersect => LogicalPlanBuilder::intersect(left, right, true).map_err(plan_error)?,
    };
    let plan = if all { plan } else { build(|b| b.distinct(), plan)? };
    Ok(Relation { plan, columns, time: None, ascending: false, is_table: false, is_sorted: false })
}

fn brought_to(column: &Column, kind: Kind, field: &str) -> Result<Expr, SqlError> {
    let value = column.typed(0);
    let value = if column.kind == kind { value } else { functions::cast::implicit(value, kind)? };
    Ok(named(&Typed::new(value.expr, kind, 0), field))
}
