//! One field of a COPY from a client to one value of a column: [`push_text`], [`push_binary`].

use types::{ColumnData, ColumnType};

use crate::decimal::Decimal;
use crate::import::field::{self, Format};
use crate::pg_parameter::{self, Parameter};
use crate::{pg_oid as oid, pg_text};

/// Appends a value in its text form; returns false, and appends nothing, when it is no value of the type.
#[must_use]
pub fn push_text(data: &mut ColumnData, column_type: ColumnType, text: &str) -> bool {
    let parameter = match data {
        ColumnData::Str(_) | ColumnData::Symbol(_) | ColumnData::U16(_) => {
            return field::push(data, column_type, &Format::default(), text);
        }
        ColumnData::Boolean(_) => pg_text::read_bool(text).map(Parameter::Bool),
        ColumnData::F32(_) | ColumnData::F64(_) => pg_text::read_f64(text).map(Parameter::Float),
        ColumnData::Binary(_) => pg_parameter::read(oid::BYTEA, 0, text.as_bytes()).ok(),
        ColumnData::Array(_) => types::array_text::parse(text).map(|(shape, values)| Parameter::Array(shape, values)),
        // only texts can be empty
        _ => {
            let text = text.trim();
            return !text.is_empty() && field::push(data, column_type, &Format::default(), text);
        }
    };
    parameter.is_some_and(|parameter| push(data, column_type, parameter))
}

/// Appends a value in the binary form of a type, or in that of its narrower or wider kin; returns false, and appends nothing,
/// when it is no value of the column.
#[must_use]
pub fn push_binary(data: &mut ColumnData, column_type: ColumnType, type_oid: u32, bytes: &[u8]) -> bool {
    let type_oid = match (data as &ColumnData, bytes.len()) {
        (ColumnData::I8(_) | ColumnData::I16(_) | ColumnData::I32(_), 2) => oid::INT2,
        (ColumnData::I8(_) | ColumnData::I16(_) | ColumnData::I32(_), 4) => oid::INT4,
        (ColumnData::I8(_) | ColumnData::I16(_) | ColumnData::I32(_), 8) => oid::INT8,
        (ColumnData::I64(_), 2) if column_type == ColumnType::Long => oid::INT2,
        (ColumnData::I64(_), 4) if column_type == ColumnType::Long => oid::INT4,
        (ColumnData::I64(_), 4) if type_oid == oid::TIMESTAMP => oid::DATE,
        (ColumnData::F32(_) | ColumnData::F64(_), 4) => oid::FLOAT4,
        (ColumnData::F32(_) | ColumnData::F64(_), 8) => oid::FLOAT8,
        (ColumnData::Fixed16(_), 36) => oid::TEXT,
        _ => type_oid,
    };
    pg_parameter::read(type_oid, 1, bytes).is_ok_and(|parameter| push(data, column_type, parameter))
}

fn push(data: &mut ColumnData, column_type: ColumnType, parameter: Parameter) -> bool {
    fn kept<T>(column: &mut Vec<T>, value: Option<T>) -> bool {
        value.map(|value| column.push(value)).is_some()
    }
    match (parameter, data) {
        (Parameter::Null, data) => {
            data.push_null();
            true
        }
        (Parameter::Bool(value), ColumnData::Boolean(column)) => kept(column, Some(value)),
        (Parameter::Int(value), ColumnData::I8(column)) => kept(column, i8::try_from(value).ok()),
        (Parameter::Int(value), ColumnData::I16(column)) => kept(column, i16::try_from(value).ok()),
        (Parameter::Int(value), ColumnData::I32(column)) => kept(column, i32::try_from(value).ok()),
        (Parameter::Int(value), ColumnData::I64(column)) => kept(column, Some(value)),
        (Parameter::Float(value), ColumnData::F32(column)) => {
            let value = value as f32;
            kept(column, Some(if value.is_finite() { value } else { f32::NAN }))
        }
        (Parameter::Float(value), ColumnData::F64(column)) => {
            kept(column, Some(if value.is_finite() { value } else { f64::NAN }))
        }
        (Parameter::TimestampUs(us), ColumnData::I64(column)) => kept(
            column,
            match column_type {
                ColumnType::TimestampNs => us.checked_mul(1_000),
                ColumnType::Date => Some(us.div_euclid(1_000)),
                _ => Some(us),
            },
        ),
        (Parameter::Bytes(bytes), ColumnData::Binary(column)) => {
            column.push(Some(&bytes));
            true
        }
        (Parameter::Array(shape, values), ColumnData::Array(column)) => {
            // a list of no elements has as many dimensions as it is asked for
            let none = vec![0; column.dims()];
            let shape = if values.is_empty() { &none } else { &shape };
            column.push(shape, &values)
        }
        (Parameter::Decimal(text), data) => match column_type {
            ColumnType::Decimal { precision, scale } => {
                Decimal::parse(&text).is_some_and(|number| number.push(data, precision, scale).is_ok())
            }
            _ => false,
        },
        (Parameter::Text(text), data) => push_text(data, column_type, &text),
        _ => false,
    }
}
