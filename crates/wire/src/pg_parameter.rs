//! Parameters of a statement, read from the bytes that a Bind carries: [`read`].
//!
//! Knows text and binary forms by object id; never looks at the statement. Binary times count from 2000-01-01.

use crate::{pg_oid as oid, pg_text};

/// Microseconds from 1970-01-01 to 2000-01-01, the origin of binary times.
pub const US_1970_TO_2000: i64 = 946_684_800 * 1_000_000;

/// A parameter as the client meant it. Text stays text where its type is unknown: the statement decides.
#[derive(Debug, Clone, PartialEq)]
pub enum Parameter {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    TimestampUs(i64),
}

/// Why the bytes of a parameter have no value of its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadParameter {
    #[error("inconvertible value: `{text}` [STRING -> {type_name}]")]
    Inconvertible { text: String, type_name: &'static str },
    #[error("invalid byte sequence for encoding \"UTF8\" in a parameter")]
    Encoding,
    #[error("incorrect binary data format in a parameter of type {0}")]
    BinaryFormat(&'static str),
    #[error("unsupported bind variable type (OID {0})")]
    UnsupportedType(u32),
    #[error("invalid format code: {0}")]
    FormatCode(i16),
}

/// Returns the value of one parameter. `format` is 0 for text, 1 for binary; an object id of 0 is text of unknown type.
///
/// # Errors
/// Bytes that do not fit type and format; binary of a type that has no binary form here.
pub fn read(type_oid: u32, format: i16, bytes: &[u8]) -> Result<Parameter, BadParameter> {
    match format {
        0 => read_text(type_oid, std::str::from_utf8(bytes).map_err(|_| BadParameter::Encoding)?),
        1 => read_binary(type_oid, bytes),
        _ => Err(BadParameter::FormatCode(format)),
    }
}

fn read_text(type_oid: u32, text: &str) -> Result<Parameter, BadParameter> {
    let value = match type_oid {
        oid::BOOL => pg_text::read_bool(text).map(Parameter::Bool),
        oid::INT2 | oid::INT4 | oid::INT8 => pg_text::read_i64(text).map(Parameter::Int),
        oid::FLOAT4 | oid::FLOAT8 | oid::NUMERIC => pg_text::read_f64(text).map(Parameter::Float),
        // An integer is microseconds, as in every other place where a timestamp is wanted.
        oid::TIMESTAMP | oid::TIMESTAMPTZ | oid::DATE => {
            pg_text::read_timestamp_us(text).or_else(|| text.trim().parse().ok()).map(Parameter::TimestampUs)
        }
        _ => Some(Parameter::Text(text.to_owned())),
    };
    value.ok_or_else(|| BadParameter::Inconvertible { text: text.to_owned(), type_name: oid::type_name(type_oid) })
}

fn read_binary(type_oid: u32, bytes: &[u8]) -> Result<Parameter, BadParameter> {
    let bad = || BadParameter::BinaryFormat(oid::type_name(type_oid));
    Ok(match type_oid {
        oid::BOOL => Parameter::Bool(u8::from_be_bytes(exact(bytes).ok_or_else(bad)?) != 0),
        oid::INT2 => Parameter::Int(i16::from_be_bytes(exact(bytes).ok_or_else(bad)?).into()),
        oid::INT4 => Parameter::Int(i32::from_be_bytes(exact(bytes).ok_or_else(bad)?).into()),
        oid::INT8 => Parameter::Int(i64::from_be_bytes(exact(bytes).ok_or_else(bad)?)),
        oid::FLOAT4 => Parameter::Float(f32::from_be_bytes(exact(bytes).ok_or_else(bad)?).into()),
        oid::FLOAT8 => Parameter::Float(f64::from_be_bytes(exact(bytes).ok_or_else(bad)?)),
        oid::NUMERIC => Parameter::Float(numeric(bytes).ok_or_else(bad)?),
        oid::DATE => {
            let days: i64 = i32::from_be_bytes(exact(bytes).ok_or_else(bad)?).into();
            Parameter::TimestampUs(days * types::time::US_PER_DAY + US_1970_TO_2000)
        }
        oid::TIMESTAMP | oid::TIMESTAMPTZ => {
            let us = i64::from_be_bytes(exact(bytes).ok_or_else(bad)?);
            Parameter::TimestampUs(us.checked_add(US_1970_TO_2000).ok_or_else(bad)?)
        }
        oid::UUID => Parameter::Text(uuid(exact(bytes).ok_or_else(bad)?)),
        0 | oid::TEXT | oid::VARCHAR | oid::BPCHAR => {
            Parameter::Text(std::str::from_utf8(bytes).map_err(|_| BadParameter::Encoding)?.to_owned())
        }
        _ => return Err(BadParameter::UnsupportedType(type_oid)),
    })
}

fn exact<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

fn uuid(bytes: [u8; 16]) -> String {
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// A binary numeric: digits count, weight of the first, sign, decimals shown, then digits of base 10,000.
fn numeric(bytes: &[u8]) -> Option<f64> {
    let (head, digits) = bytes.split_first_chunk::<8>()?;
    let field = |i: usize| i16::from_be_bytes([head[i], head[i + 1]]);
    let (count, weight, sign) = (field(0), field(2), field(4) as u16);
    if digits.len() != usize::try_from(count).ok()? * 2 {
        return None;
    }
    // Through text: summing powers of 10,000 would round at each step.
    let mut text = String::from("0");
    for pair in digits.chunks_exact(2) {
        let digit = i16::from_be_bytes([pair[0], pair[1]]);
        if !(0..10_000).contains(&digit) {
            return None;
        }
        text.push_str(&format!("{digit:04}"));
    }
    text.push_str(&format!("e{}", (i32::from(weight) + 1 - i32::from(count)) * 4));
    let value: f64 = text.parse().ok()?;
    match sign {
        0x0000 => Some(value),
        0x4000 => Some(-value),
        0xC000 => Some(f64::NAN),
        0xD000 => Some(f64::INFINITY),
        0xF000 => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(type_oid: u32, format: i16, bytes: &[u8], expected: Parameter) {
        assert_eq!(read(type_oid, format, bytes), Ok(expected));
    }

    #[test]
    fn text_is_read_by_type() {
        check(oid::INT4, 0, b" 7", Parameter::Int(7));
        check(oid::FLOAT8, 0, b"1.5", Parameter::Float(1.5));
        check(oid::BOOL, 0, b"t", Parameter::Bool(true));
        check(oid::TIMESTAMP, 0, b"1970-01-01T00:00:01Z", Parameter::TimestampUs(1_000_000));
        check(oid::TIMESTAMP, 0, b"5", Parameter::TimestampUs(5));
        check(0, 0, b"7", Parameter::Text("7".into()));
        check(oid::UUID, 0, b"x", Parameter::Text("x".into()));
    }

    #[test]
    fn binary_is_read_by_the_clients_type() {
        check(oid::INT2, 1, &(-2i16).to_be_bytes(), Parameter::Int(-2));
        check(oid::INT4, 1, &7i32.to_be_bytes(), Parameter::Int(7));
        check(oid::FLOAT4, 1, &1.5f32.to_be_bytes(), Parameter::Float(1.5));
        check(oid::TIMESTAMPTZ, 1, &0i64.to_be_bytes(), Parameter::TimestampUs(US_1970_TO_2000));
        check(oid::DATE, 1, &(-10957i32).to_be_bytes(), Parameter::TimestampUs(0));
        check(oid::VARCHAR, 1, "日".as_bytes(), Parameter::Text("日".into()));
        let uuid = "11111111-2222-3333-4444-555555555555";
        let bytes: Vec<u8> = [[0x11; 4].as_slice(), &[0x22; 2], &[0x33; 2], &[0x44; 2], &[0x55; 6]].concat();
        check(oid::UUID, 1, &bytes, Parameter::Text(uuid.into()));
        // 12345.678 = [1, 2345, 6780], weight 1
        let numeric: Vec<u8> = [3i16, 1, 0, 3, 1, 2345, 6780].iter().flat_map(|d| d.to_be_bytes()).collect();
        check(oid::NUMERIC, 1, &numeric, Parameter::Float(12345.678));
        check(oid::NUMERIC, 1, &[0, 0, 0, 0, 0x40, 0, 0, 0], Parameter::Float(-0.0));
    }

    #[test]
    fn values_that_do_not_fit_are_refused() {
        let error = read(oid::FLOAT8, 0, b"abc").unwrap_err();
        assert_eq!(error.to_string(), "inconvertible value: `abc` [STRING -> DOUBLE]");
        assert_eq!(read(oid::INT4, 1, &[0, 0]), Err(BadParameter::BinaryFormat("INT")));
        assert_eq!(read(oid::TIMESTAMP, 1, &i64::MAX.to_be_bytes()), Err(BadParameter::BinaryFormat("TIMESTAMP")));
        assert_eq!(read(oid::NUMERIC, 1, &[0, 9, 0, 0, 0, 0, 0, 0]), Err(BadParameter::BinaryFormat("DOUBLE")));
        assert_eq!(read(1186, 1, &[0; 16]), Err(BadParameter::UnsupportedType(1186)));
        assert_eq!(read(0, 0, b"\xff"), Err(BadParameter::Encoding));
        assert_eq!(read(0, 2, b""), Err(BadParameter::FormatCode(2)));
    }
}
