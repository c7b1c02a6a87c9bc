//! From a column type to the Arrow type that memtable chunks, segments and scans hold it in.
//!
//! Symbol columns are Int32 codes here; their texts are in [`crate::symbols`]. Nothing in this crate knows Utf8View columns
//! or dictionaries of Arrow. Next: [`crate::chunk`].

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::types::{TimestampMicrosecondType, TimestampNanosecondType};
use arrow_array::{Array, ArrayRef, BooleanArray, Int8Array, Int16Array, cast::AsArray, new_null_array};
use arrow_buffer::{BooleanBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, TimeUnit};
use types::{ColumnId, ColumnType};

/// Key of the field metadata that tells the column's type, e.g. `SYMBOL`.
pub const TYPE_KEY: &str = "type";
/// Key of the field metadata that tells the column's id.
pub const COLUMN_ID_KEY: &str = "column_id";

/// Does something with the Arrow type `$P` of a [`DataType`] whose values are numbers of one width; `$other` for the rest.
macro_rules! by_primitive {
    ($data_type:expr, $P:ident => $do:expr, $other:expr) => {{
        use arrow_array::types as arrow_types;
        use arrow_schema::{DataType, TimeUnit};
        macro_rules! with {
            ($T:ident) => {{
                type $P = arrow_types::$T;
                $do
            }};
        }
        match $data_type {
            DataType::Int8 => with!(Int8Type),
            DataType::Int16 => with!(Int16Type),
            DataType::Int32 => with!(Int32Type),
            DataType::Int64 => with!(Int64Type),
            DataType::UInt16 => with!(UInt16Type),
            DataType::UInt32 => with!(UInt32Type),
            DataType::Float32 => with!(Float32Type),
            DataType::Float64 => with!(Float64Type),
            DataType::Decimal128(..) => with!(Decimal128Type),
            DataType::Decimal256(..) => with!(Decimal256Type),
            DataType::Timestamp(TimeUnit::Millisecond, _) => with!(TimestampMillisecondType),
            DataType::Timestamp(TimeUnit::Microsecond, _) => with!(TimestampMicrosecondType),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => with!(TimestampNanosecondType),
            _ => $other,
        }
    }};
}
pub(crate) use by_primitive;

/// Returns the Arrow type that holds values of a column type. Timestamps have no time zone.
pub fn arrow_type(column_type: ColumnType) -> DataType {
    match column_type {
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Byte => DataType::Int8,
        ColumnType::Short => DataType::Int16,
        ColumnType::Char => DataType::UInt16,
        ColumnType::Int | ColumnType::Symbol => DataType::Int32,
        ColumnType::Ipv4 => DataType::UInt32,
        ColumnType::Long | ColumnType::Geohash(_) => DataType::Int64,
        ColumnType::Float => DataType::Float32,
        ColumnType::Double => DataType::Float64,
        ColumnType::String | ColumnType::Varchar => DataType::Utf8,
        ColumnType::Binary => DataType::Binary,
        ColumnType::Uuid => DataType::FixedSizeBinary(16),
        ColumnType::Long256 => DataType::FixedSizeBinary(32),
        ColumnType::Date => DataType::Timestamp(TimeUnit::Millisecond, None),
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        ColumnType::TimestampNs => DataType::Timestamp(TimeUnit::Nanosecond, None),
        ColumnType::Decimal { precision, scale } if precision <= ColumnType::MAX_PRECISION_128 => {
            DataType::Decimal128(precision, scale as i8)
        }
        ColumnType::Decimal { precision, scale } => DataType::Decimal256(precision, scale as i8),
        ColumnType::Array(0) => DataType::Float64,
        ColumnType::Array(dims) => DataType::List(item_field(arrow_type(ColumnType::Array(dims - 1)))),
    }
}

/// Returns the field of the elements of a list.
pub fn item_field(data_type: DataType) -> Arc<Field> {
    Arc::new(Field::new(Field::LIST_FIELD_DEFAULT_NAME, data_type, true))
}

/// Returns the Arrow field of a stored column; its metadata tells id and column type.
pub fn arrow_field(id: ColumnId, name: &str, column_type: ColumnType) -> Field {
    let metadata =
        HashMap::from([(COLUMN_ID_KEY.to_owned(), id.to_string()), (TYPE_KEY.to_owned(), column_type.to_string())]);
    Field::new(name, arrow_type(column_type), column_type.is_nullable()).with_metadata(metadata)
}

/// Returns the values of a column that rows lack: NULL, or false and 0 where the type has no NULL.
pub fn absent_column(column_type: ColumnType, rows: usize) -> ArrayRef {
    match column_type {
        ColumnType::Boolean => Arc::new(BooleanArray::new(BooleanBuffer::new_unset(rows), None)),
        ColumnType::Byte => Arc::new(Int8Array::new(ScalarBuffer::from(vec![0; rows]), None)),
        ColumnType::Short => Arc::new(Int16Array::new(ScalarBuffer::from(vec![0; rows]), None)),
        nullable => new_null_array(&arrow_type(nullable), rows),
    }
}

/// Returns the numbers of a designated timestamp without NULL, and how many of its units make a microsecond.
pub fn time_values(array: &dyn Array) -> Option<(&ScalarBuffer<i64>, i64)> {
    if array.null_count() > 0 {
        return None;
    }
    let micros = array.as_primitive_opt::<TimestampMicrosecondType>().map(|a| (a.values(), 1));
    let nanos = || array.as_primitive_opt::<TimestampNanosecondType>().map(|a| (a.values(), 1_000));
    micros.or_else(nanos)
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;

    use super::*;

    #[test]
    fn absent_values_are_null_or_the_default() {
        for column_type in ColumnType::ALL {
            let array = absent_column(column_type, 3);
            assert_eq!(array.data_type(), &arrow_type(column_type), "{column_type}");
            assert_eq!(array.len(), 3);
            assert_eq!(array.null_count(), if column_type.is_nullable() { 3 } else { 0 }, "{column_type}");
        }
    }

    #[test]
    fn fields_tell_id_and_type() {
        let field = arrow_field(ColumnId(7), "sym", ColumnType::Symbol);
        assert_eq!(field.data_type(), &DataType::Int32);
        assert_eq!(field.metadata()[COLUMN_ID_KEY], "7");
        assert_eq!(field.metadata()[TYPE_KEY], "SYMBOL");
        assert!(!arrow_field(ColumnId(1), "b", ColumnType::Boolean).is_nullable());
    }
}
