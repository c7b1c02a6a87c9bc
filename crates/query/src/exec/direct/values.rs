//! The values in a physical plan that is run again: literals of what it computes on top, and how many rows it gives.
//!
//! Of other values, such as those within an aggregate, nothing is known here.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

use super::again::reader;

/// Whole numbers up to this one are exact in a DOUBLE.
const EXACT: i64 = 1 << 53;

/// What is done with a value: it returns the one to put there, of the same type, or None to give up.
pub type Change<'c> = dyn FnMut(&ScalarValue) -> Option<ScalarValue> + 'c;

/// Returns the values of a plan, and what the plan is without them.
pub fn read(plan: &Arc<dyn ExecutionPlan>) -> Option<(Vec<ScalarValue>, String)> {
    let mut values = Vec::new();
    changed(plan, &mut |value| {
        values.push(value.clone());
        Some(value.clone())
    })?;
    let mut outline = String::new();
    outlined(plan, &mut outline)?;
    Some((values, outline))
}

/// Returns a plan with other values in some places, of whatever type; None where one does not fit.
pub fn put<'v>(
    plan: &Arc<dyn ExecutionPlan>,
    places: impl IntoIterator<Item = Option<&'v ScalarValue>>,
) -> Option<Arc<dyn ExecutionPlan>> {
    let mut places = places.into_iter();
    changed(plan, &mut |was| match places.next()? {
        Some(value) => like(value, was),
        None => Some(was.clone()),
    })
}

/// Returns a value as one of another's type; None where it would be another value then.
pub fn like(value: &ScalarValue, other: &ScalarValue) -> Option<ScalarValue> {
    if value.data_type() == other.data_type() {
        return Some(value.clone());
    }
    let whole = match value {
        ScalarValue::Int32(whole) => i64::from((*whole)?),
        ScalarValue::Int64(whole) => (*whole)?,
        _ => return None,
    };
    match other {
        ScalarValue::Int16(_) => i16::try_from(whole).ok().map(ScalarValue::from),
        ScalarValue::Int32(_) => i32::try_from(whole).ok().map(ScalarValue::from),
        ScalarValue::Int64(_) => Some(ScalarValue::from(whole)),
        ScalarValue::UInt64(_) => u64::try_from(whole).ok().map(ScalarValue::from),
        ScalarValue::Float64(_) if whole.abs() <= EXACT => Some(ScalarValue::from(whole as f64)),
        _ => None,
    }
}

/// Returns how many rows an operator gives at most after a change; None where that does not fit.
pub fn changed_limit(limit: Option<usize>, change: &mut Change) -> Option<Option<usize>> {
    match limit {
        Some(rows) => changed_rows(rows, change).map(Some),
        None => Some(None),
    }
}

/// Returns a number of rows after a change, which leaves at least one.
pub fn changed_rows(rows: usize, change: &mut Change) -> Option<usize> {
    match change(&ScalarValue::UInt64(u64::try_from(rows).ok()))? {
        ScalarValue::UInt64(Some(rows)) if rows > 0 => usize::try_from(rows).ok(),
        _ => None,
    }
}

/// Returns an expression after a change of its literals.
pub fn changed_expr(expr: &Arc<dyn PhysicalExpr>, change: &mut Change) -> Option<Arc<dyn PhysicalExpr>> {
    let mut fits = true;
    let done = expr.clone().transform_up(|part| {
        let Some(literal) = part.downcast_ref::<Literal>() else { return Ok(Transformed::no(part)) };
        match change(literal.value()) {
            Some(value) if value == *literal.value() => Ok(Transformed::no(part)),
            Some(value) => Ok(Transformed::yes(Arc::new(Literal::new(value)) as _)),
            None => {
                fits = false;
                Ok(Transformed::no(part))
            }
        }
    });
    done.ok().filter(|_| fits).map(|done| done.data)
}

fn changed(plan: &Arc<dyn ExecutionPlan>, change: &mut Change) -> Option<Arc<dyn ExecutionPlan>> {
    if let Some(reader) = reader(plan) {
        return reader.changed(change);
    }
    let child = match plan.children()[..] {
        [child] => Some(changed(child, change)?),
        [] => None,
        _ => return None,
    };
    if let (Some(projection), Some(child)) = (plan.downcast_ref::<ProjectionExec>(), &child) {
        let exprs = projection.expr().iter().map(|of| {
            let expr = changed_expr(&of.expr, change)?;
            Some(ProjectionExpr { expr, alias: of.alias.clone() })
        });
        let exprs = exprs.collect::<Option<Vec<_>>>()?;
        let differs = exprs.iter().zip(projection.expr()).any(|(now, was)| !Arc::ptr_eq(&now.expr, &was.expr));
        if differs {
            return Some(Arc::new(ProjectionExec::try_new(exprs, child.clone()).ok()?));
        }
    }
    let Some(child) = child else { return Some(plan.clone()) };
    plan.clone().replace_children(vec![child], ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep)).ok()
}

/// Adds the operators of a plan and what they compute, without values and names.
fn outlined(plan: &Arc<dyn ExecutionPlan>, outline: &mut String) -> Option<()> {
    let exprs = match (reader(plan), plan.downcast_ref::<ProjectionExec>()) {
        (Some(reader), _) => reader.computes().to_vec(),
        (None, Some(projection)) => projection.expr().iter().map(|of| of.expr.clone()).collect(),
        (None, None) => Vec::new(),
    };
    let bare = |part: Arc<dyn PhysicalExpr>| {
        if let Some(column) = part.downcast_ref::<Column>() {
            return Ok(Transformed::yes(Arc::new(Column::new("", column.index())) as Arc<dyn PhysicalExpr>));
        }
        let Some(literal) = part.downcast_ref::<Literal>() else { return Ok(Transformed::no(part)) };
        Ok(Transformed::yes(Arc::new(Literal::new(ScalarValue::try_from(&literal.value().data_type())?)) as _))
    };
    let exprs = exprs.into_iter().map(|expr| expr.transform_up(bare).map(|done| done.data));
    let exprs = exprs.collect::<Result<Vec<_>, _>>().ok()?;
    let schema = plan.schema();
    let types: Vec<_> = schema.fields().iter().map(|field| field.data_type()).collect();
    outline.push_str(&format!("{}: {exprs:?} of {types:?}\n", plan.name()));
    plan.children().into_iter().try_for_each(|child| outlined(child, outline))
}
