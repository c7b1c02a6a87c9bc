//! One value of a row, as the model keeps it: [`Value`].
//!
//! Owns the way from a value into a batch and from an Arrow array back; nothing about tables. Next: `model`.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, StringViewArray};
use storage::chunk::boxes;
use types::row_batch::ColumnData;
use types::{ColumnType, row_batch};

/// A value. Equal means: the same bits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    Null,
    Bool(bool),
    Byte(i8),
    Short(i16),
    Char(u16),
    Int(i32),
    Ipv4(u32),
    /// LONG, DATE, TIMESTAMP, TIMESTAMP_NS and GEOHASH.
    Long(i64),
    /// The bits of a finite float.
    Float(u32),
    /// The bits of a finite double.
    Double(u64),
    Text(Arc<str>),
    /// UUID, LONG256, BINARY, and DECIMAL as a big-endian number.
    Bytes(Arc<[u8]>),
    /// The lengths of an array, and the bits of its finite values.
    Array(Arc<[u32]>, Arc<[u64]>),
}

/// The values of one row, in the order of the table's columns.
pub type Row = Arc<[Value]>;

impl Value {
    /// Returns what a column of the type holds where nothing was given.
    pub fn missing(column_type: ColumnType) -> Value {
        match column_type {
            ColumnType::Boolean => Value::Bool(false),
            ColumnType::Byte => Value::Byte(0),
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
            (ColumnData::I8(values), Value::Byte(value)) => values.push(*value),
            (ColumnData::I16(values), Value::Short(value)) => values.push(*value),
            (ColumnData::U16(values), Value::Char(value)) => values.push(*value),
            (ColumnData::U32(values), Value::Ipv4(value)) => values.push(*value),
            (ColumnData::F32(values), Value::Float(bits)) => values.push(f32::from_bits(*bits)),
            (ColumnData::Fixed16(values), Value::Bytes(bytes)) => values.push(sized(bytes)),
            (ColumnData::Fixed32(values), Value::Bytes(bytes)) => values.push(sized(bytes)),
            (ColumnData::Decimal128(values), Value::Bytes(bytes)) => values.push(i128::from_be_bytes(sized(bytes))),
            (ColumnData::Decimal256(values), Value::Bytes(bytes)) => values.push(sized(bytes)),
            (ColumnData::Binary(values), Value::Bytes(bytes)) => values.push(Some(bytes)),
            (ColumnData::Array(values), Value::Array(shape, bits)) => {
                let numbers: Vec<f64> = bits.iter().map(|bits| f64::from_bits(*bits)).collect();
                assert!(values.push(shape, &numbers), "{self:?} is no array of {} dimensions", values.dims());
            }
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
            ColumnType::Byte => Value::Byte(array.as_primitive::<Int8Type>().value(row)),
            ColumnType::Short => Value::Short(array.as_primitive::<Int16Type>().value(row)),
            ColumnType::Char => Value::Char(array.as_primitive::<UInt16Type>().value(row)),
            ColumnType::Ipv4 => Value::Ipv4(array.as_primitive::<UInt32Type>().value(row)),
            ColumnType::Float => Value::Float(array.as_primitive::<Float32Type>().value(row).to_bits()),
            ColumnType::TimestampNs => Value::Long(array.as_primitive::<TimestampNanosecondType>().value(row)),
            ColumnType::Geohash(_) => Value::Long(array.as_primitive::<Int64Type>().value(row)),
            ColumnType::Uuid | ColumnType::Long256 => Value::Bytes(Arc::from(array.as_fixed_size_binary().value(row))),
            ColumnType::Binary => Value::Bytes(Arc::from(array.as_binary::<i32>().value(row))),
            ColumnType::Decimal { .. } => match array.as_primitive_opt::<Decimal128Type>() {
                Some(narrow) => Value::Bytes(Arc::from(narrow.value(row).to_be_bytes())),
                None => Value::Bytes(Arc::from(array.as_primitive::<Decimal256Type>().value(row).to_be_bytes())),
            },
            ColumnType::Array(_) => {
                let (shape, values) = boxes::get(array, row).expect("it is not NULL");
                Value::Array(Arc::from(shape), values.iter().map(|x| x.to_bits()).collect())
            }
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

fn sized<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("values are as long as their type")
}

/// Returns a batch column of one value a row.
pub fn column(id: types::ColumnId, column_type: ColumnType, values: impl Iterator<Item = Value>) -> row_batch::Column {
    let mut data = ColumnData::new(column_type);
    values.for_each(|value| value.push_to(&mut data));
    row_batch::Column { id, data }
}
