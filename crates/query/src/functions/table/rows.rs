//! Small tables in memory: named columns of kinds, rows of values.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::Schema;
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::datasource::MemTable;

use crate::error::SqlError;
use crate::kind::Kind;

/// A column's name and kind.
pub type Column = (&'static str, Kind);

/// Returns a table of these rows; every row has a value of its kind for every column.
pub fn table(columns: &[Column], rows: Vec<Vec<ScalarValue>>) -> Result<Arc<dyn TableProvider>, SqlError> {
    let schema = Arc::new(Schema::new(columns.iter().map(|(name, kind)| kind.field(name)).collect::<Vec<_>>()));
    let arrays = columns
        .iter()
        .enumerate()
        .map(|(i, (_, kind))| -> Result<ArrayRef, SqlError> {
            if rows.is_empty() {
                return Ok(arrow::array::new_empty_array(&kind.arrow()));
            }
            ScalarValue::iter_to_array(rows.iter().map(|row| row[i].clone())).map_err(|e| SqlError::from_datafusion(&e))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let batch = RecordBatch::try_new(schema.clone(), arrays)
        .map_err(|e| SqlError::from_datafusion(&datafusion::error::DataFusionError::from(e)))?;
    let table = MemTable::try_new(schema, vec![vec![batch]]).map_err(|e| SqlError::from_datafusion(&e))?;
    Ok(Arc::new(table))
}

/// Returns a text.
pub fn text(value: impl Into<String>) -> ScalarValue {
    ScalarValue::Utf8View(Some(value.into()))
}

/// Returns a text or NULL.
pub fn text_or_null(value: Option<&str>) -> ScalarValue {
    ScalarValue::Utf8View(value.map(str::to_owned))
}

/// Returns an INT.
pub fn int(value: i32) -> ScalarValue {
    ScalarValue::Int32(Some(value))
}

/// Returns a SHORT.
pub fn short(value: i16) -> ScalarValue {
    ScalarValue::Int16(Some(value))
}

/// Returns a LONG.
pub fn long(value: i64) -> ScalarValue {
    ScalarValue::Int64(Some(value))
}

/// Returns a BOOLEAN.
pub fn flag(value: bool) -> ScalarValue {
    ScalarValue::Boolean(Some(value))
}

/// Returns a LONG or NULL.
pub fn long_or_null(value: Option<i64>) -> ScalarValue {
    ScalarValue::Int64(value)
}

/// Returns a TIMESTAMP or NULL.
pub fn timestamp(us: Option<i64>) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(us, None)
}
