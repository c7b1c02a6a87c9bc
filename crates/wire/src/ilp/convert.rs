//! Which kinds of values a column takes, and what becomes of them.
//!
//! The table is the peer's: integers go into every number, date and timestamp that can hold them; booleans into numbers
//! as 1 and 0; floats into DOUBLE only; quoted strings and tags into text; a SYMBOL takes everything as it is written.

use types::{ColumnData, ColumnType};

use super::line::Field;
use super::value::{Moment, Value};

/// Appends the value of a field to a column of the type.
///
/// # Errors
/// What is wrong, without table and column; the column is then unchanged.
pub fn push(data: &mut ColumnData, column_type: ColumnType, field: &Field<'_>) -> Result<(), String> {
    let refused = || format!("cast error from protocol type: {} to column type: {column_type}", field.value.kind());
    match (data, field.value) {
        (data, Value::Null) => data.push_null(),
        (data, Value::Integer(i64::MIN)) if column_type != ColumnType::Symbol || field.text == "nulli" => {
            if matches!(data, ColumnData::Boolean(_) | ColumnData::Str(_)) {
                return Err(refused());
            }
            data.push_null();
        }
        (ColumnData::Symbol(_), Value::Array { .. } | Value::BinaryDecimal { .. }) => return Err(refused()),
        // a binary double has no text of its own
        (ColumnData::Symbol(column), Value::Float(value)) if field.text.is_empty() => {
            column.push(value.is_finite().then(|| value.to_string()).as_deref());
        }
        (ColumnData::Symbol(column), value) => column.push(Some(symbol_text(field, value))),
        (ColumnData::Str(column), Value::Tag | Value::Text) => column.push(Some(&field.text)),
        (ColumnData::Boolean(column), Value::Boolean(value)) => column.push(value),
        (ColumnData::I16(column), value) => {
            let value = whole(value).ok_or_else(refused)?;
            column.push(i16::try_from(value).map_err(|_| out_of_bounds(value, column_type))?);
        }
        (ColumnData::I32(column), value) => {
            let value = whole(value).ok_or_else(refused)?;
            column.push(i32::try_from(value).map_err(|_| out_of_bounds(value, column_type))?);
        }
        (ColumnData::I64(column), value) => {
            let value = match (column_type, value) {
                (ColumnType::Long, value) => whole(value),
                (_, Value::Integer(value)) => Some(value),
                (ColumnType::Date, Value::Timestamp(moment)) => micros(moment).map(|us| us.div_euclid(1_000)),
                (ColumnType::Timestamp, Value::Timestamp(moment)) => micros(moment),
                _ => None,
            };
            column.push(value.ok_or_else(refused)?);
        }
        (ColumnData::F64(column), value) => column.push(match value {
            Value::Float(value) => value,
            value => whole(value).ok_or_else(refused)? as f64,
        }),
        _ => return Err(refused()),
    }
    Ok(())
}

fn micros(moment: Moment) -> Option<i64> {
    // NULL stays NULL in every unit
    if moment.count == i64::MIN { Some(i64::MIN) } else { moment.micros() }
}

/// Returns an integer or a boolean as a number.
fn whole(value: Value) -> Option<i64> {
    match value {
        Value::Integer(value) => Some(value),
        Value::Boolean(value) => Some(i64::from(value)),
        _ => None,
    }
}

/// Returns the text without the letter that marked its kind: `5i` and `5t` are the symbol `5`.
fn symbol_text<'f>(field: &'f Field<'_>, value: Value) -> &'f str {
    match value {
        Value::Integer(_) | Value::Timestamp(_) | Value::Long256 | Value::Decimal if !field.text.is_empty() => {
            &field.text[..field.text.len() - 1]
        }
        _ => &field.text,
    }
}

fn out_of_bounds(value: i64, column_type: ColumnType) -> String {
    format!("line protocol value: {value} is out bounds of column type: {column_type}")
}
