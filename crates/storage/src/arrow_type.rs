//! From a column type to the Arrow type that memtable chunks, segments and scans hold it in.
//!
//! Symbol columns are Int32 codes here; their texts are in [`crate::symbols`]. Nothing in this crate knows Utf8View columns
//! or dictionaries of Arrow. Next: [`crate::chunk`].

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int16Array, new_null_array};
use arrow_buffer::{BooleanBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, TimeUnit};
use types::{ColumnId, ColumnType};

/// Key of the field metadata that tells the column's type, e.g. `SYMBOL`.
pub const TYPE_KEY: &str = "type";
/// Key of the field metadata that tells the column's id.
pub const COLUMN_ID_KEY: &str = "column_id";

/// Returns the Arrow type that holds values of a column type. Timestamps have no time zone.
pub fn arrow_type(column_type: ColumnType) -> DataType {
    match column_type {
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Short => DataType::Int16,
        ColumnType::Int | ColumnType::Symbol => DataType::Int32,
        ColumnType::Long => DataType::Int64,
        ColumnType::Double => DataType::Float64,
        ColumnType::String | ColumnType::Varchar => DataType::Utf8,
        ColumnType::Date => DataType::Timestamp(TimeUnit::Millisecond, None),
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
    }
}

/// Returns the Arrow field of a stored column; its metadata tells id and column type.
pub fn arrow_field(id: ColumnId, name: &str, column_type: ColumnType) -> Field {
    let metadata = HashMap::from([
        (COLUMN_ID_KEY.to_owned(), id.to_string()),
        (TYPE_KEY.to_owned(), column_type.name().to_owned()),
    ]);
    Field::new(name, arrow_type(column_type), column_type.is_nullable()).with_metadata(metadata)
}

/// Returns the values of a column that rows lack: NULL, or false and 0 where the type has no NULL.
pub fn absent_column(column_type: ColumnType, rows: usize) -> ArrayRef {
    match column_type {
        ColumnType::Boolean => Arc::new(BooleanArray::new(BooleanBuffer::new_unset(rows), None)),
        ColumnType::Short => Arc::new(Int16Array::new(ScalarBuffer::from(vec![0; rows]), None)),
        nullable => new_null_array(&arrow_type(nullable), rows),
    }
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
