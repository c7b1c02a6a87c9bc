//! From values and Arrow batches to the row batches that storage appends.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Float64Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
};
use datafusion::common::ScalarValue;
use types::{Column, ColumnData, ColumnDef, RowBatch, StrColumn, SymbolColumn};

use crate::error::SqlError;

/// Appends one value of the column's type.
pub fn push(column: &mut ColumnData, value: &ScalarValue) -> Result<(), SqlError> {
    if value.is_null() {
        column.push_null();
        return Ok(());
    }
    match (column, value) {
        (ColumnData::Boolean(v), ScalarValue::Boolean(Some(b))) => v.push(*b),
        (ColumnData::I16(v), ScalarValue::Int16(Some(n))) => v.push(*n),
        (ColumnData::I32(v), ScalarValue::Int32(Some(n))) => v.push(*n),
        (ColumnData::I64(v), ScalarValue::Int64(Some(n))) => v.push(*n),
        (ColumnData::I64(v), ScalarValue::TimestampMicrosecond(Some(n), _)) => v.push(*n),
        (ColumnData::I64(v), ScalarValue::TimestampMillisecond(Some(n), _)) => v.push(*n),
        (ColumnData::F64(v), ScalarValue::Float64(Some(n))) => v.push(*n),
        (ColumnData::Str(v), ScalarValue::Utf8View(Some(t)) | ScalarValue::Utf8(Some(t))) => v.push(Some(t)),
        (ColumnData::Symbol(v), ScalarValue::Utf8View(Some(t)) | ScalarValue::Utf8(Some(t))) => v.push(Some(t)),
        (_, value) => return Err(mismatch(&value.data_type())),
    }
    Ok(())
}

fn mismatch(found: &DataType) -> SqlError {
    SqlError::internal(format!("a value of type {found} was planned for a column of another type"))
}

/// Returns the rows of an Arrow batch whose columns are those of `targets`, in that order.
pub fn row_batch(batch: &RecordBatch, targets: &[&ColumnDef]) -> Result<RowBatch, SqlError> {
    let mut columns = Vec::with_capacity(targets.len());
    for (array, target) in batch.columns().iter().zip(targets) {
        let mut data = ColumnData::new(target.column_type);
        fill(&mut data, array)?;
        columns.push(Column { id: target.id, data });
    }
    RowBatch::new(batch.num_rows(), columns).map_err(|e| SqlError::internal(e.to_string()))
}

fn fill(data: &mut ColumnData, array: &dyn Array) -> Result<(), SqlError> {
    match (data, array.data_type()) {
        (ColumnData::Boolean(v), DataType::Boolean) => v.extend(array.as_boolean().iter().map(|b| b.unwrap_or(false))),
        (ColumnData::I16(v), DataType::Int16) => {
            v.extend(array.as_primitive::<Int16Type>().iter().map(Option::unwrap_or_default))
        }
        (ColumnData::I32(v), DataType::Int32) => {
            v.extend(array.as_primitive::<Int32Type>().iter().map(|n| n.unwrap_or(i32::MIN)))
        }
        (ColumnData::I64(v), DataType::Int64) => {
            v.extend(array.as_primitive::<Int64Type>().iter().map(|n| n.unwrap_or(i64::MIN)))
        }
        (ColumnData::I64(v), DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, _)) => {
            v.extend(array.as_primitive::<TimestampMicrosecondType>().iter().map(|n| n.unwrap_or(i64::MIN)))
        }
        (ColumnData::I64(v), DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, _)) => {
            v.extend(array.as_primitive::<TimestampMillisecondType>().iter().map(|n| n.unwrap_or(i64::MIN)))
        }
        (ColumnData::F64(v), DataType::Float64) => {
            v.extend(array.as_primitive::<Float64Type>().iter().map(|n| n.unwrap_or(f64::NAN)))
        }
        (ColumnData::Str(v), DataType::Utf8View) => push_texts(v, array),
        (ColumnData::Symbol(v), DataType::Utf8View) => push_symbols(v, array),
        (_, found) => return Err(mismatch(found)),
    }
    Ok(())
}

fn push_texts(column: &mut StrColumn, array: &dyn Array) {
    array.as_string_view().iter().for_each(|text| column.push(text));
}

fn push_symbols(column: &mut SymbolColumn, array: &dyn Array) {
    array.as_string_view().iter().for_each(|text| column.push(text));
}
