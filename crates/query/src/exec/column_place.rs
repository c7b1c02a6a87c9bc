//! Columns of own logical nodes: expressions while DataFusion optimizes, places in a schema when the plan is made.
//!
//! A node keeps its columns as expressions because the optimizer prunes inputs, which moves every place.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType, TimestampNanosecondType};
use arrow::record_batch::RecordBatch;
use datafusion::common::{Column, DFSchema, Result, internal_err, plan_err};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::expressions::Column as PlacedColumn;
use datafusion::physical_expr::{LexRequirement, OrderingRequirements, PhysicalSortRequirement};
use datafusion::physical_plan::ExecutionPlan;

/// The order of time, as all of our operators want it.
pub const ASCENDING: SortOptions = SortOptions { descending: false, nulls_first: true };

/// Returns the column at `place` of `schema` as an expression.
pub fn column_at(schema: &DFSchema, place: usize) -> Result<Expr> {
    if place >= schema.fields().len() {
        return internal_err!("column {place} of {} columns", schema.fields().len());
    }
    Ok(Expr::Column(Column::from(schema.qualified_field(place))))
}

/// Returns the place of a column expression in `schema`.
pub fn place_of(schema: &DFSchema, expr: &Expr) -> Result<usize> {
    match expr {
        Expr::Column(column) => schema.index_of_column(column),
        Expr::Alias(alias) => place_of(schema, &alias.expr),
        other => internal_err!("a plain column was expected, found {other}"),
    }
}

/// An error unless the column at `place` is a TIMESTAMP or TIMESTAMP_NS.
pub fn expect_time(schema: &DFSchema, place: usize, operator: &str) -> Result<()> {
    let field = schema.field(place);
    match field.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, None) => Ok(()),
        other => plan_err!("{operator}: column {} is {other}, a timestamp is needed", field.name()),
    }
}

/// Returns the column at `place`, which `expect_time` has accepted; nanoseconds are given as if they were microseconds.
pub fn times(batch: &RecordBatch, place: usize) -> TimestampMicrosecondArray {
    let column = batch.column(place);
    match column.as_primitive_opt::<TimestampNanosecondType>() {
        Some(nanos) => nanos.reinterpret_cast::<TimestampMicrosecondType>(),
        None => column.as_primitive::<TimestampMicrosecondType>().clone(),
    }
}

/// As [`times`], in nanoseconds of either unit.
pub fn times_ns(batch: &RecordBatch, place: usize) -> TimestampMicrosecondArray {
    let is_us = *batch.column(place).data_type() == DataType::Timestamp(TimeUnit::Microsecond, None);
    let times = times(batch, place);
    if is_us { times.unary(|us| us.saturating_mul(1_000)) } else { times }
}

/// Returns the columns at `places`.
pub fn columns(batch: &RecordBatch, places: &[usize]) -> Vec<ArrayRef> {
    places.iter().map(|place| batch.column(*place).clone()).collect()
}

/// Returns that an operator reads an input in the order of its time, the column at `place`.
pub fn in_time(input: &Arc<dyn ExecutionPlan>, place: usize) -> Option<OrderingRequirements> {
    let column = Arc::new(PlacedColumn::new(input.schema().field(place).name(), place));
    LexRequirement::new([PhysicalSortRequirement::new(column, Some(ASCENDING))]).map(OrderingRequirements::new)
}
