//! One value of a row, as the model keeps it: [`Value`].
//!
//! Owns the way from a value into a batch and from an Arrow array back; nothing about tables. Next: `model`.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
};
use arrow_array::{Array, StringViewArray};
use types::row_batch::ColumnData;
use types::{ColumnType, row_batch};

/// A value. Equal means: the same bits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    Null,
    Bool(bool),
    Short(i16),
    Int(i32),
    /// LONG, DATE and TIMESTAMP.
    Long(i64),
    /// The bits of a finite double.
    Double(u64),
    Text(Arc<str>),
}

/// The values of one row, in the order of the table's columns.
pub type Row = Arc<[Value]>;

impl Value {
    /// Returns what a column of the type holds where nothing was given.
    pub fn missing(column_type: ColumnType) -> Value {
        match column_type {
            ColumnType::Boolean => Value::Bool(false),
            ColumnType::Short => Value::Short(0),
            _ => Value::Null,
        }
    }

    /// Returns the text value.
    pub fn text(text: &str) -> Value {
        Value::Text(Arc::from(text))
    }

    /// Appends the value to a column of a batch.
    pub fn push_to(&self, data: &mut ColumnData) {
        match (data, self) {
            (data, Value::Null) => data.push_null(),
            (ColumnData::Boolean(values), Value::Bool(value)) => values.push(*value),
            (ColumnData::I16(values), Value::Short(value)) => values.push(*value),
            (ColumnData::I32(values), Value::Int(value)) => values.push(*value),
            (ColumnData::I64(values), Value::Long(value)) => values.push(*value),
            (ColumnData::F64(values), Value::Double(bits)) => values.push(f64::from_bits(*bits)),
            (ColumnData::Str(values), Value::Text(text)) => values.push(Some(text)),
            (ColumnData::Symbol(values), Value::Text(text)) => values.push(Some(text)),
            (data, value) => panic!("{value:?} does not fit a column of {data:?}"),
        }
    }

    /// Returns the value in a row of an array that a scan gave.
    pub fn read(array: &dyn Array, row: usize, column_type: ColumnType, dictionary: Option<&StringViewArray>) -> Value {
        if array.is_null(row) {
            return Value::Null;
        }
        match column_type {
            ColumnType::Boolean => Value::Bool(array.as_boolean().value(row)),
            ColumnType::Short => Value::Short(array.as_primitive::<Int16Type>().value(row)),
            ColumnType::Int => Value::Int(array.as_primitive::<Int32Type>().value(row)),
            ColumnType::Long => Value::Long(array.as_primitive::<Int64Type>().value(row)),
            ColumnType::Date => Value::Long(array.as_primitive::<TimestampMillisecondType>().value(row)),
            ColumnType::Timestamp => Value::Long(array.as_primitive::<TimestampMicrosecondType>().value(row)),
            ColumnType::Double => Value::Double(array.as_primitive::<Float64Type>().value(row).to_bits()),
            ColumnType::String | ColumnType::Varchar => Value::text(array.as_string::<i32>().value(row)),
            ColumnType::Symbol => {
                let code = array.as_primitive::<Int32Type>().value(row) as usize;
                let dictionary = dictionary.expect("a symbol column has a dictionary");
                Value::text(dictionary.value(code))
            }
        }
    }
}

/// Returns a batch column of one value a row.
pub fn column(id: types::ColumnId, column_type: ColumnType, values: impl Iterator<Item = Value>) -> row_batch::Column {
    let mut data = ColumnData::new(column_type);
    values.for_each(|value| value.push_to(&mut data));
    row_batch::Column { id, data }
}
