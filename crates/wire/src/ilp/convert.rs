//! Which kinds of values a column takes, and what becomes of them.
//!
//! The table is the peer's: integers go into every number, date, timestamp and decimal that can hold them; booleans into
//! numbers as 1 and 0; floats into DOUBLE, FLOAT and decimals; quoted strings into text and into what is written as text
//! (UUID, IPv4, …); tags into text; a SYMBOL takes everything as it is written.

use types::{ColumnData, ColumnType, ipv4, uuid};

use super::binary;
use super::line::Field;
use super::value::{Moment, Value};
use crate::decimal::{Decimal, Misfit};
use crate::value_text;

/// Appends the value of a field to a column of the type.
///
/// # Errors
/// What is wrong, without table and column; the column is then unchanged.
pub fn push(data: &mut ColumnData, column_type: ColumnType, field: &Field<'_>) -> Result<(), String> {
    let refused = || refusal(field.value.kind(), column_type);
    match (data, field.value) {
        (data, Value::Null) => data.push_null(),
        (data, Value::Integer(i64::MIN)) if column_type != ColumnType::Symbol || field.text == "nulli" => {
            if !takes_integers(data, column_type) {
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
        (ColumnData::F32(column), Value::Float(value)) => {
            let value = value as f32;
            column.push(if value.is_finite() { value } else { f32::NAN });
        }
        (ColumnData::F64(column), Value::Float(value)) => column.push(value),
        (data @ (ColumnData::Decimal128(_) | ColumnData::Decimal256(_)), _) => {
            return push_decimal(data, column_type, field);
        }
        (ColumnData::Array(column), Value::Array { dimensions }) => {
            let (shape, numbers) = binary::shape_and_numbers(dimensions, field.bytes);
            let numbers: Vec<f64> = numbers.map(|n| if n.is_finite() { n } else { f64::NAN }).collect();
            if !column.push(&shape, &numbers) {
                return Err(refusal(&ColumnType::Array(dimensions).to_string(), column_type));
            }
        }
        (ColumnData::Fixed32(column), Value::Long256) => {
            let digits = field.text.strip_suffix('i').unwrap_or(&field.text);
            column.push(value_text::read_long256(digits).ok_or_else(refused)?);
        }
        (ColumnData::I64(column), value) if !matches!(value, Value::Text) => {
            column.push(long(column_type, value).ok_or_else(refused)?);
        }
        (data, Value::Text) => return push_text(data, column_type, &field.text).ok_or_else(refused),
        (data, value) => return push_whole(data, column_type, whole(value).ok_or_else(refused)?, refused),
    }
    Ok(())
}

fn refusal(kind: &str, column_type: ColumnType) -> String {
    format!("cast error from protocol type: {kind} to column type: {column_type}")
}

fn takes_integers(data: &ColumnData, column_type: ColumnType) -> bool {
    match data {
        ColumnData::I64(_) => !matches!(column_type, ColumnType::Geohash(_)),
        ColumnData::I8(_) | ColumnData::I16(_) | ColumnData::I32(_) | ColumnData::F32(_) | ColumnData::F64(_) => true,
        ColumnData::Decimal128(_) | ColumnData::Decimal256(_) | ColumnData::Symbol(_) => true,
        _ => false,
    }
}

/// Returns the value of LONG, DATE, TIMESTAMP and TIMESTAMP_NS.
fn long(column_type: ColumnType, value: Value) -> Option<i64> {
    match (column_type, value) {
        (ColumnType::Geohash(_), _) => None,
        (ColumnType::Long, value) => whole(value),
        // a bare number counts in the column's own unit
        (_, Value::Integer(value)) => Some(value),
        (ColumnType::Date, Value::Timestamp(moment)) => count(moment, Moment::micros).map(|us| match us {
            i64::MIN => us,
            us => us.div_euclid(1_000),
        }),
        (ColumnType::Timestamp, Value::Timestamp(moment)) => count(moment, Moment::micros),
        (ColumnType::TimestampNs, Value::Timestamp(moment)) => count(moment, Moment::nanos),
        _ => None,
    }
}

fn count(moment: Moment, in_unit: fn(Moment) -> Option<i64>) -> Option<i64> {
    // NULL stays NULL in every unit
    if moment.count == i64::MIN { Some(i64::MIN) } else { in_unit(moment) }
}

fn push_whole(
    data: &mut ColumnData,
    column_type: ColumnType,
    value: i64,
    refused: impl FnOnce() -> String,
) -> Result<(), String> {
    let bounds = |_| out_of_bounds(value, column_type);
    match data {
        ColumnData::I8(column) => column.push(i8::try_from(value).map_err(bounds)?),
        ColumnData::I16(column) => column.push(i16::try_from(value).map_err(bounds)?),
        ColumnData::I32(column) => column.push(i32::try_from(value).map_err(bounds)?),
        ColumnData::F32(column) => column.push(value as f32),
        ColumnData::F64(column) => column.push(value as f64),
        _ => return Err(refused()),
    }
    Ok(())
}

/// Appends what a quoted string stands for; `None` when it is nothing that the column takes.
fn push_text(data: &mut ColumnData, column_type: ColumnType, text: &str) -> Option<()> {
    match (data, column_type) {
        (ColumnData::U16(column), _) => column.push(value_text::read_char(text)?),
        // a text that is no geohash is NULL, as in the peer
        (ColumnData::I64(column), ColumnType::Geohash(bits)) => {
            column.push(value_text::read_geohash(text, bits).unwrap_or(-1));
        }
        (ColumnData::U32(column), _) if text.is_empty() || text.eq_ignore_ascii_case("null") => column.push(0),
        (ColumnData::U32(column), _) => column.push(ipv4::parse(text)?),
        (ColumnData::Fixed16(column), _) => column.push(uuid::parse(text)?),
        (ColumnData::Fixed32(column), _) => column.push(value_text::read_long256(text)?),
        _ => return None,
    }
    Some(())
}

fn push_decimal(data: &mut ColumnData, column_type: ColumnType, field: &Field<'_>) -> Result<(), String> {
    let ColumnType::Decimal { precision, scale } = column_type else {
        return Err(refusal(field.value.kind(), column_type));
    };
    let unread = || format!("value error: {} cannot be converted to column type: {column_type}", field.text);
    let number = match field.value {
        Value::Integer(value) => Some(Decimal::of_integer(value)),
        Value::Float(value) if !value.is_finite() => None,
        Value::Float(value) if field.text.is_empty() => Decimal::parse(&value.to_string()),
        Value::Float(_) => {
            Some(Decimal::parse(field.text.trim_end_matches('D')).ok_or_else(|| lossy(&field.text, column_type))?)
        }
        Value::Decimal => match field.text.trim_end_matches('d') {
            "NaN" | "Infinity" | "-Infinity" | "+Infinity" | "-NaN" | "+NaN" => None,
            text => Some(Decimal::parse(text).ok_or_else(unread)?),
        },
        Value::BinaryDecimal { scale } => {
            Some(Decimal::of_bytes(field.bytes, scale).ok_or_else(|| "DECIMAL_OVERFLOW".to_owned())?)
        }
        Value::Text if field.text.is_empty() => None,
        Value::Text => Some(Decimal::parse(&field.text).ok_or_else(unread)?),
        _ => return Err(refusal(field.value.kind(), column_type)),
    };
    let Some(number) = number else {
        data.push_null();
        return Ok(());
    };
    number.push(data, precision, scale).map_err(|misfit| match (misfit, field.value) {
        (_, Value::Text) => unread(),
        (Misfit::Precision, _) => lossy(number, column_type),
        (Misfit::Range, _) => out_of_bounds(number, column_type),
    })
}

fn lossy(value: impl std::fmt::Display, column_type: ColumnType) -> String {
    format!("value error: converting {value} to {column_type} will result in loss of precision")
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

fn out_of_bounds(value: impl std::fmt::Display, column_type: ColumnType) -> String {
    format!("line protocol value: {value} is out bounds of column type: {column_type}")
}
