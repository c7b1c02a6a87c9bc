//! What is wanted of an operator's columns: a projection above it tells, and only that is made.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::Schema;
use datafusion::common::internal_err;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

use super::block::{Block, Selection};
use super::source::over;

/// Returns a plain operator and what is wanted of its columns: all, or what a projection above it says.
pub fn of<P: ExecutionPlan>(plan: &Arc<dyn ExecutionPlan>) -> Option<(&P, Cow<'_, [ProjectionExpr]>)> {
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        return Some((beneath(projection.input())?, Cow::Borrowed(projection.expr())));
    }
    let operator = plan.downcast_ref::<P>()?;
    Some((operator, Cow::Owned(identity(&operator.schema()))))
}

fn beneath<P: ExecutionPlan>(plan: &Arc<dyn ExecutionPlan>) -> Option<&P> {
    match plan.downcast_ref::<CooperativeExec>() {
        Some(same) => beneath(same.input()),
        None => plan.downcast_ref::<P>(),
    }
}

/// Returns the projection that wants every column as it is.
pub fn identity(schema: &Schema) -> Vec<ProjectionExpr> {
    let column = |(place, field): (usize, &Arc<arrow::datatypes::Field>)| ProjectionExpr {
        expr: Arc::new(Column::new(field.name(), place)),
        alias: field.name().clone(),
    };
    schema.fields().iter().enumerate().map(column).collect()
}

/// Returns which of an operator's own columns are needed, rising, and the wanted values over only these. `columns` are the
/// columns that `wanted` is over, over the operator's own.
pub fn narrowed(
    wanted: &[ProjectionExpr],
    columns: &[Arc<dyn PhysicalExpr>],
) -> Result<(Vec<usize>, Vec<ProjectionExpr>)> {
    let exprs = wanted.iter().map(|e| over(&e.expr, columns)).collect::<Result<Vec<_>>>()?;
    let outputs = columns_of(&exprs)?;
    let narrow = |(expr, e): (Arc<dyn PhysicalExpr>, &ProjectionExpr)| {
        Ok(ProjectionExpr { expr: at_places(expr, &outputs)?, alias: e.alias.clone() })
    };
    let exprs = exprs.into_iter().zip(wanted).map(narrow).collect::<Result<_>>()?;
    Ok((outputs, exprs))
}

/// Returns the places of the columns that expressions read, rising.
pub fn columns_of(exprs: &[Arc<dyn PhysicalExpr>]) -> Result<Vec<usize>> {
    let mut used = BTreeSet::new();
    for expr in exprs {
        expr.apply(|expr| {
            used.extend(expr.downcast_ref::<Column>().map(Column::index));
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    Ok(used.into_iter().collect())
}

/// Returns an expression over those columns only that stand at `places`, which are rising.
pub fn at_places(expr: Arc<dyn PhysicalExpr>, places: &[usize]) -> Result<Arc<dyn PhysicalExpr>> {
    let moved = expr.transform(|expr| {
        let Some(column) = expr.downcast_ref::<Column>() else { return Ok(Transformed::no(expr)) };
        let Ok(place) = places.binary_search(&column.index()) else { return internal_err!("{column} is not read") };
        Ok(Transformed::yes(Arc::new(Column::new(column.name(), place)) as Arc<dyn PhysicalExpr>))
    });
    moved.map(|moved| moved.data)
}

/// Returns some of a block's rows that count, in a column as it is stored.
pub fn rows_of(block: &Block, place: usize, start: usize, len: usize) -> Result<ArrayRef> {
    let column = block.column(place);
    Ok(match block.selection() {
        Selection::All => storage::window(column, start, len),
        Selection::Rows(rows) => take(column, &UInt32Array::from(rows[start..start + len].to_vec()), None)?,
    })
}
