//! From values and Arrow batches to the row batches that storage appends.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, UInt32Type,
};
use datafusion::common::ScalarValue;
use types::{Column, ColumnData, ColumnDef, RowBatch, StrColumn, SymbolColumn};

use crate::error::SqlError;
use crate::functions::cell;

/// Appends one value of the column's type.
pub fn push(column: &mut ColumnData, value: &ScalarValue) -> Result<(), SqlError> {
    if value.is_null() {
        column.push_null();
        return Ok(());
    }
    let array = value.to_array().map_err(|e| SqlError::from_datafusion(&e))?;
    cell::push(column, cell::read(&array, 0))
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

/// Appends the values of an array; the frequent kinds as columns, the others one by one.
pub fn fill(data: &mut ColumnData, array: &dyn Array) -> Result<(), SqlError> {
    macro_rules! numbers {
        ($values:expr, $T:ty, $null:expr) => {
            $values.extend(array.as_primitive::<$T>().iter().map(|n| n.unwrap_or($null)))
        };
    }
    match (data, array.data_type()) {
        (ColumnData::Boolean(v), DataType::Boolean) => v.extend(array.as_boolean().iter().map(|b| b.unwrap_or(false))),
        (ColumnData::I8(v), DataType::Int8) => numbers!(v, Int8Type, 0),
        (ColumnData::I16(v), DataType::Int16) => numbers!(v, Int16Type, 0),
        (ColumnData::I32(v), DataType::Int32) => numbers!(v, Int32Type, i32::MIN),
        (ColumnData::I64(v), DataType::Int64) => numbers!(v, Int64Type, i64::MIN),
        (ColumnData::I64(v), DataType::Timestamp(TimeUnit::Microsecond, _)) => {
            numbers!(v, TimestampMicrosecondType, i64::MIN);
        }
        (ColumnData::I64(v), DataType::Timestamp(TimeUnit::Millisecond, _)) => {
            numbers!(v, TimestampMillisecondType, i64::MIN);
        }
        (ColumnData::I64(v), DataType::Timestamp(TimeUnit::Nanosecond, _)) => {
            numbers!(v, TimestampNanosecondType, i64::MIN);
        }
        (ColumnData::U32(v), DataType::UInt32) => numbers!(v, UInt32Type, 0),
        (ColumnData::F32(v), DataType::Float32) => numbers!(v, Float32Type, f32::NAN),
        (ColumnData::F64(v), DataType::Float64) => numbers!(v, Float64Type, f64::NAN),
        (ColumnData::Str(v), DataType::Utf8View) => push_texts(v, array),
        (ColumnData::Symbol(v), DataType::Utf8View) => push_symbols(v, array),
        (data, _) => {
            for row in 0..array.len() {
                cell::push(data, cell::read(array, row))?;
            }
        }
    }
    Ok(())
}

fn push_texts(column: &mut StrColumn, array: &dyn Array) {
    array.as_string_view().iter().for_each(|text| column.push(text));
}

/// Texts of which the code is remembered while a batch is read.
const REMEMBERED: usize = 256;

/// Of one array equal views are equal texts: those that were just met need not be looked up.
fn push_symbols(column: &mut SymbolColumn, array: &dyn Array) {
    let texts = array.as_string_view();
    let mut met = [(0u128, SymbolColumn::NULL); REMEMBERED];
    column.codes.reserve(texts.len());
    for (row, view) in texts.views().iter().enumerate() {
        if texts.is_null(row) {
            column.push(None);
            continue;
        }
        let place = ((*view as u64) ^ (*view >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
        let (known, code) = &mut met[place as usize % REMEMBERED];
        if *code == SymbolColumn::NULL || known != view {
            (*known, *code) = (*view, column.intern(texts.value(row)));
        }
        column.codes.push(*code);
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::StringViewArray;

    use super::*;

    #[test]
    fn symbols_are_those_of_their_rows_whether_their_texts_were_met_before_or_not() {
        let short: Vec<Option<String>> =
            (0..2_000).map(|i| (i % 7 != 3).then(|| format!("s{}", i * i % 601))).collect();
        let long = short.iter().map(|text| text.as_ref().map(|text| format!("a text that is not in its view: {text}")));
        let other = [Some(String::new()), None, Some(String::new()), Some("s1".to_owned())];
        let long: Vec<Option<String>> = long.collect();
        let mut column = SymbolColumn::default();
        let mut expected = Vec::new();
        for texts in [&short[..], &long, &other, &short] {
            push_symbols(&mut column, &StringViewArray::from_iter(texts.iter().map(Option::as_deref)));
            expected.extend(texts.iter().map(Option::as_deref));
        }
        let found: Vec<Option<&str>> = (0..expected.len()).map(|row| column.get(row)).collect();
        assert_eq!(found, expected);
    }
}
