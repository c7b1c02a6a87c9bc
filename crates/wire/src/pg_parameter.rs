//! Parameters of a statement, read from the bytes that a Bind carries: [`read`].
//!
//! Knows text and binary forms by object id; never looks at the statement. Binary times count from 2000-01-01.

use types::array_text;

use crate::decimal::Decimal;
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
    /// Digits, exact; never NaN, which is NULL.
    Decimal(String),
    Text(String),
    TimestampUs(i64),
    Bytes(Vec<u8>),
    /// Lengths and values in row-major order; NaN is NULL.
    Array(Vec<u32>, Vec<f64>),
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
        oid::FLOAT4 | oid::FLOAT8 => pg_text::read_f64(text).map(Parameter::Float),
        oid::NUMERIC if text.trim().eq_ignore_ascii_case("nan") => Some(Parameter::Null),
        oid::NUMERIC => Decimal::parse(text.trim()).map(|number| Parameter::Decimal(number.to_string())),
        oid::BYTEA => read_bytea(text).map(Parameter::Bytes),
        oid::INT2_ARRAY | oid::INT4_ARRAY | oid::INT8_ARRAY | oid::FLOAT4_ARRAY | oid::FLOAT8_ARRAY => {
            array_text::parse(text).map(|(shape, values)| Parameter::Array(shape, values))
        }
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
        oid::NUMERIC => match Decimal::read_pg_binary(bytes).ok_or_else(bad)? {
            Some(number) => Parameter::Decimal(number.to_string()),
            None => Parameter::Null,
        },
        oid::BYTEA => Parameter::Bytes(bytes.to_vec()),
        oid::INT2_ARRAY | oid::INT4_ARRAY | oid::INT8_ARRAY | oid::FLOAT4_ARRAY | oid::FLOAT8_ARRAY => {
            let (shape, values) = binary_array(bytes).ok_or_else(bad)?;
            Parameter::Array(shape, values)
        }
        oid::TEXT_ARRAY | oid::VARCHAR_ARRAY => Parameter::Text(text_list(bytes).ok_or_else(bad)?),
        oid::DATE => {
            let days: i64 = i32::from_be_bytes(exact(bytes).ok_or_else(bad)?).into();
            let us = days.checked_mul(types::time::US_PER_DAY).and_then(|us| us.checked_add(US_1970_TO_2000));
            Parameter::TimestampUs(us.ok_or_else(bad)?)
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

/// Reads `\x0aff`, or text in which a backslash stands before itself or three octal digits.
fn read_bytea(text: &str) -> Option<Vec<u8>> {
    if let Some(hex) = text.strip_prefix("\\x") {
        let digits: Vec<u8> = hex.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
        return digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect());
    }
    let (mut out, mut bytes) = (Vec::new(), text.bytes());
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next()? {
            b'\\' => out.push(b'\\'),
            first => {
                let digits = [first, bytes.next()?, bytes.next()?];
                let octal = |value: Option<u16>, digit: &u8| match digit {
                    b'0'..=b'7' => Some(value? * 8 + u16::from(digit - b'0')),
                    _ => None,
                };
                out.push(u8::try_from(digits.iter().fold(Some(0), octal)?).ok()?);
            }
        }
    }
    Some(out)
}

/// Reads an array of numbers; NULL is NaN.
fn binary_array(bytes: &[u8]) -> Option<(Vec<u32>, Vec<f64>)> {
    let (shape, element, values) = elements(bytes)?;
    let number = |value: Option<&[u8]>| {
        let Some(value) = value else { return Some(f64::NAN) };
        Some(match element {
            oid::FLOAT8 => f64::from_be_bytes(exact(value)?),
            oid::FLOAT4 => f32::from_be_bytes(exact(value)?).into(),
            oid::INT8 => i64::from_be_bytes(exact(value)?) as f64,
            oid::INT4 => i32::from_be_bytes(exact(value)?).into(),
            oid::INT2 => i16::from_be_bytes(exact(value)?).into(),
            _ => return None,
        })
    };
    Some((shape, values.into_iter().map(number).collect::<Option<_>>()?))
}

/// Reads a list of texts as its text form, `{"a",NULL}`.
fn text_list(bytes: &[u8]) -> Option<String> {
    let (shape, _, values) = elements(bytes)?;
    if shape.len() != 1 {
        return None;
    }
    let shown = |value: Option<&[u8]>| {
        let Some(value) = value else { return Some("NULL".to_owned()) };
        let text = std::str::from_utf8(value).ok()?;
        Some(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
    };
    Some(format!("{{{}}}", values.into_iter().map(shown).collect::<Option<Vec<_>>>()?.join(",")))
}

/// The lengths of an array, the type of its elements, and their bytes; None is NULL.
type Elements<'a> = (Vec<u32>, u32, Vec<Option<&'a [u8]>>);

/// Reads number of dimensions, a flag, the type of the elements, length and first index of each dimension, elements.
fn elements(bytes: &[u8]) -> Option<Elements<'_>> {
    let mut words = Words { bytes };
    let (dims, _nulls, element) = (words.next()?, words.next()?, words.next()? as u32);
    if !(0..=32).contains(&dims) {
        return None;
    }
    let mut shape = Vec::new();
    let mut count = 1usize;
    for _ in 0..dims {
        let (length, _first) = (u32::try_from(words.next()?).ok()?, words.next()?);
        count = count.checked_mul(length as usize)?;
        shape.push(length);
    }
    if dims == 0 {
        return Some((vec![0], element, Vec::new()));
    }
    // each element has a length of four bytes
    if count > words.bytes.len() / 4 {
        return None;
    }
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        let Ok(length) = usize::try_from(words.next()?) else {
            values.push(None);
            continue;
        };
        let (value, rest) = words.bytes.split_at_checked(length)?;
        words.bytes = rest;
        values.push(Some(value));
    }
    words.bytes.is_empty().then_some((shape, element, values))
}

/// Big-endian numbers of four bytes.
struct Words<'a> {
    bytes: &'a [u8],
}

impl Words<'_> {
    fn next(&mut self) -> Option<i32> {
        let (word, rest) = self.bytes.split_first_chunk::<4>()?;
        self.bytes = rest;
        Some(i32::from_be_bytes(*word))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60), text in "\\PC{0,20}") {
            for type_oid in [0, 16, 17, 20, 21, 23, 25, 700, 701, 1005, 1007, 1009, 1016, 1021, 1022, 1043, 1082, 1114, 1184, 1700, 2950] {
                let _ = (read(type_oid, 1, &bytes), read(type_oid, 0, &bytes), read(type_oid, 0, text.as_bytes()));
            }
        }
    }

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
        check(oid::NUMERIC, 0, b"1.250", Parameter::Decimal("1.250".into()));
        check(oid::NUMERIC, 0, b"NaN", Parameter::Null);
        check(oid::BYTEA, 0, b"\\x0aFF", Parameter::Bytes(vec![0x0a, 0xff]));
        check(oid::BYTEA, 0, b"a\\\\\\001", Parameter::Bytes(vec![b'a', b'\\', 1]));
        check(oid::FLOAT8_ARRAY, 0, b"{{1.5,2},{3,4}}", Parameter::Array(vec![2, 2], vec![1.5, 2.0, 3.0, 4.0]));
        check(oid::INT2_ARRAY, 0, b"{}", Parameter::Array(vec![0], vec![]));
        // node-postgres puts every element in quotes
        check(oid::FLOAT8_ARRAY, 0, b"{\"1.5\",\"2\"}", Parameter::Array(vec![2], vec![1.5, 2.0]));
        // pgJDBC's setDate sends a day with the offset of its zone
        check(oid::TIMESTAMP, 0, b"1970-01-02 +02", Parameter::TimestampUs(22 * 3_600_000_000));
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
        check(oid::NUMERIC, 1, &numeric, Parameter::Decimal("12345.678".into()));
        check(oid::NUMERIC, 1, &[0, 0, 0, 0, 0xc0, 0, 0, 0], Parameter::Null);
        check(oid::BYTEA, 1, b"\xff\0", Parameter::Bytes(vec![0xff, 0]));
        let words = |words: &[i32]| words.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<u8>>();
        let ints = words(&[2, 1, 23, 2, 1, 1, 1, 4, 7, -1]);
        let Ok(Parameter::Array(shape, values)) = read(oid::INT4_ARRAY, 1, &ints) else { panic!("{ints:?}") };
        assert_eq!((shape, values[0], values[1].is_nan()), (vec![2, 1], 7.0, true));
        check(oid::FLOAT8_ARRAY, 1, &words(&[0, 0, 701]), Parameter::Array(vec![0], vec![]));
        let texts = [words(&[1, 1, 25, 3, 1, 1]), b"a".to_vec(), words(&[-1, 4]), b"b\"\\c".to_vec()].concat();
        check(oid::TEXT_ARRAY, 1, &texts, Parameter::Text(r#"{"a",NULL,"b\"\\c"}"#.into()));
        check(oid::TEXT_ARRAY, 1, &words(&[0, 0, 25]), Parameter::Text("{}".into()));
        assert!(read(oid::TEXT_ARRAY, 1, &texts[..texts.len() - 1]).is_err());
        for bad in
            [&ints[..ints.len() - 1], &words(&[33, 0, 701]), &words(&[2, 0, 701, i32::MAX, 1, i32::MAX, 1]), &[][..]]
        {
            assert!(read(oid::FLOAT8_ARRAY, 1, bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn values_that_do_not_fit_are_refused() {
        let error = read(oid::FLOAT8, 0, b"abc").unwrap_err();
        assert_eq!(error.to_string(), "inconvertible value: `abc` [STRING -> DOUBLE]");
        assert_eq!(read(oid::INT4, 1, &[0, 0]), Err(BadParameter::BinaryFormat("INT")));
        assert_eq!(read(oid::TIMESTAMP, 1, &i64::MAX.to_be_bytes()), Err(BadParameter::BinaryFormat("TIMESTAMP")));
        assert_eq!(read(oid::NUMERIC, 1, &[0, 9, 0, 0, 0, 0, 0, 0]), Err(BadParameter::BinaryFormat("DECIMAL")));
        for (type_oid, bad) in
            [(oid::BYTEA, "\\x0"), (oid::BYTEA, "\\9"), (oid::FLOAT8_ARRAY, "{1"), (oid::NUMERIC, "x")]
        {
            assert!(read(type_oid, 0, bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(read(1186, 1, &[0; 16]), Err(BadParameter::UnsupportedType(1186)));
        assert_eq!(read(0, 0, b"\xff"), Err(BadParameter::Encoding));
        assert_eq!(read(0, 2, b""), Err(BadParameter::FormatCode(2)));
    }
}
