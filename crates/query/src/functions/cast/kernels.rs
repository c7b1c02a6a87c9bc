//! The value rules of conversions, a column at a time.

use arrow::array::{ArrayRef, ArrowPrimitiveType};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType,
};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::ColumnarValue;

use super::Misfit;
use crate::error::SqlError;
use crate::functions::kernel::{Args, Texts, boolean_column, text_column, try_column};
use crate::functions::moment::{date_text, parse_timestamp, parse_timestamp_ns, timestamp_ns_text, timestamp_text};
use crate::functions::numbers::{double_text, float_text, is_double, parse_double, parse_int, parse_long};
use crate::interval::parse_offset;
use crate::kind::Kind;

type Whole<'a> = Box<dyn Fn(usize) -> Option<i64> + 'a>;
type Real<'a> = Box<dyn Fn(usize) -> Option<f64> + 'a>;

/// Converts argument 0.
pub fn run(args: &Args, from: Kind, to: Kind, misfit: Misfit) -> Result<ArrayRef, SqlError> {
    if widens(from, to) {
        let options = CastOptions { safe: true, ..Default::default() };
        return cast_with_options(&args.array(0), &to.arrow(), &options)
            .map_err(|e| SqlError::new(0, format!("cannot convert {from} to {to}: {e}")));
    }
    match from {
        Kind::Float | Kind::Double => from_real(args, from, to, misfit),
        Kind::Char => from_char(args, to),
        Kind::Null | Kind::String | Kind::Symbol | Kind::Varchar => from_text(args, from, to, misfit),
        _ => from_whole(args, from, to, misfit),
    }
}

/// Returns whether Arrow's own cast is exactly right: nothing can be lost or refused.
fn widens(from: Kind, to: Kind) -> bool {
    use Kind::*;
    matches!(
        (from, to),
        (Byte, Short | Int | Long | Float | Double)
            | (Short, Int | Long | Float | Double)
            | (Int, Long | Float | Double)
            | (Long, Float | Double | Date | Timestamp | TimestampNs)
            | (Float, Double)
            | (Date | Timestamp | TimestampNs, Long)
            | (Date, Timestamp)
    )
}

/// Returns a reader of a whole number, a moment or a boolean.
fn whole<'a>(args: &Args<'a>, from: Kind) -> Whole<'a> {
    fn reader<'a, T: ArrowPrimitiveType>(args: &Args<'a>) -> Whole<'a>
    where
        T::Native: Into<i64>,
    {
        let values = args.numbers::<T>(0);
        Box::new(move |row| values.get(row).map(Into::into))
    }
    match from {
        Kind::Byte => reader::<Int8Type>(args),
        Kind::Short => reader::<Int16Type>(args),
        Kind::Int => reader::<Int32Type>(args),
        Kind::Date => reader::<TimestampMillisecondType>(args),
        Kind::Timestamp => reader::<TimestampMicrosecondType>(args),
        Kind::TimestampNs => reader::<TimestampNanosecondType>(args),
        Kind::Boolean => {
            let values = args.booleans(0);
            Box::new(move |row| Some(i64::from(values.get(row))))
        }
        _ => reader::<Int64Type>(args),
    }
}

fn real<'a>(args: &Args<'a>, from: Kind) -> Real<'a> {
    if from == Kind::Float {
        let values = args.floats(0);
        return Box::new(move |row| values.get(row).map(f64::from));
    }
    let values = args.doubles(0);
    Box::new(move |row| values.get(row))
}

fn from_whole(args: &Args, from: Kind, to: Kind, misfit: Misfit) -> Result<ArrayRef, SqlError> {
    let (rows, value) = (args.rows(), whole(args, from));
    let narrow = |row: usize, low: i64, high: i64| match value(row) {
        Some(v) if misfit == Misfit::Refuse && !(low..=high).contains(&v) => {
            Err(SqlError::new(0, format!("inconvertible value: {v} [{from} -> {to}]")))
        }
        other => Ok(other),
    };
    let (i8s, i16s, i32s) = ((i8::MIN, i8::MAX), (i16::MIN, i16::MAX), (i32::MIN, i32::MAX));
    match to {
        Kind::Boolean => Ok(boolean_column(rows, |row| value(row).unwrap_or(0) != 0)),
        Kind::Byte => {
            try_column::<Int8Type>(rows, |row| Ok(Some(narrow(row, i8s.0.into(), i8s.1.into())?.unwrap_or(0) as i8)))
        }
        Kind::Short => try_column::<Int16Type>(rows, |row| {
            Ok(Some(narrow(row, i16s.0.into(), i16s.1.into())?.unwrap_or(0) as i16))
        }),
        Kind::Int => try_column::<Int32Type>(rows, |row| {
            Ok(narrow(row, i32s.0.into(), i32s.1.into())?.map(|v| v as i32).filter(|v| *v != i32::MIN))
        }),
        Kind::Long => try_column::<Int64Type>(rows, |row| Ok(value(row).filter(|v| *v != i64::MIN))),
        Kind::Float => try_column::<Float32Type>(rows, |row| Ok(value(row).map(|v| v as f32))),
        Kind::Double => try_column::<Float64Type>(rows, |row| Ok(value(row).map(|v| v as f64))),
        Kind::Date => try_column::<TimestampMillisecondType>(rows, |row| {
            Ok(value(row).map(|v| match from {
                Kind::Timestamp => v / 1_000,
                Kind::TimestampNs => v / 1_000_000,
                _ => v,
            }))
        }),
        Kind::Timestamp => try_column::<TimestampMicrosecondType>(rows, |row| {
            Ok(value(row).map(|v| if from == Kind::TimestampNs { v / 1_000 } else { v }))
        }),
        Kind::TimestampNs => try_column::<TimestampNanosecondType>(rows, |row| {
            let Some(v) = value(row) else { return Ok(None) };
            let scale = match from {
                Kind::Timestamp => 1_000,
                Kind::Date => 1_000_000,
                _ => 1,
            };
            let out_of_range = || SqlError::new(0, format!("inconvertible value: {v} [{from} -> {to}]"));
            v.checked_mul(scale).map(Some).ok_or_else(out_of_range)
        }),
        Kind::Char if from == Kind::Boolean => {
            Ok(text_column(rows, |row| value(row).map(|v| if v == 0 { "F" } else { "T" })))
        }
        Kind::Char => Ok(text_column(rows, |row| value(row).and_then(|v| char_text(v as u16)))),
        Kind::Symbol if from.is_time() => Ok(text_column(rows, |row| value(row).map(|v| v.to_string()))),
        _ => Ok(text_column(rows, |row| value(row).map(|v| whole_text(v, from)))),
    }
}

/// Returns the text of a whole number, a boolean or a moment.
fn whole_text(value: i64, kind: Kind) -> String {
    match kind {
        Kind::Boolean => (value != 0).to_string(),
        Kind::Date => date_text(value),
        Kind::Timestamp => timestamp_text(value),
        Kind::TimestampNs => timestamp_ns_text(value),
        _ => value.to_string(),
    }
}

/// Returns the CHAR of one UTF-16 unit; 0 is NULL, half of a pair is `?`.
pub fn char_text(unit: u16) -> Option<String> {
    (unit != 0).then(|| char::from_u32(u32::from(unit)).unwrap_or('?').to_string())
}

fn from_real(args: &Args, from: Kind, to: Kind, misfit: Misfit) -> Result<ArrayRef, SqlError> {
    let (rows, value) = (args.rows(), real(args, from));
    let fit = |row: usize, low: f64, high: f64| match value(row) {
        Some(v) if v >= low && v <= high => Ok(Some(v as i64)),
        Some(v) if misfit == Misfit::Refuse => {
            Err(SqlError::new(0, format!("inconvertible value: {} [{from} -> {to}]", double_text(v))))
        }
        _ => Ok(None),
    };
    // 2^63 itself is no LONG, though it is the nearest double to the highest LONG, which is one.
    let (long_low, long_high) = (i64::MIN as f64, i64::MAX as f64);
    match to {
        Kind::Boolean => Ok(boolean_column(rows, |row| value(row).unwrap_or(0.0) != 0.0)),
        Kind::Byte => {
            try_column::<Int8Type>(rows, |row| Ok(Some(fit(row, i8::MIN.into(), i8::MAX.into())?.unwrap_or(0) as i8)))
        }
        Kind::Short => try_column::<Int16Type>(rows, |row| {
            Ok(Some(fit(row, i16::MIN.into(), i16::MAX.into())?.unwrap_or(0) as i16))
        }),
        Kind::Int => try_column::<Int32Type>(rows, |row| {
            Ok(fit(row, i32::MIN.into(), i32::MAX.into())?.map(|v| v as i32).filter(|v| *v != i32::MIN))
        }),
        Kind::Long => {
            try_column::<Int64Type>(rows, |row| Ok(fit(row, long_low, long_high)?.filter(|v| *v != i64::MIN)))
        }
        Kind::Date => try_column::<TimestampMillisecondType>(rows, |row| fit(row, long_low, long_high)),
        Kind::Timestamp => try_column::<TimestampMicrosecondType>(rows, |row| fit(row, long_low, long_high)),
        Kind::TimestampNs => try_column::<TimestampNanosecondType>(rows, |row| fit(row, long_low, long_high)),
        Kind::Float => {
            try_column::<Float32Type>(rows, |row| Ok(value(row).map(|v| v as f32).filter(|v| v.is_finite())))
        }
        Kind::Double => try_column::<Float64Type>(rows, |row| Ok(value(row))),
        Kind::Char => Ok(text_column(rows, |row| value(row).and_then(|v| char_text(v as i64 as u16)))),
        _ if from == Kind::Float => {
            let floats = args.floats(0);
            Ok(text_column(rows, |row| floats.get(row).map(float_text)))
        }
        _ => Ok(text_column(rows, |row| value(row).map(double_text))),
    }
}

fn from_char(args: &Args, to: Kind) -> Result<ArrayRef, SqlError> {
    let (rows, texts) = (args.rows(), args.texts(0));
    let digit = |row: usize| match texts.get(row) {
        None => Ok(None),
        Some(text) => match text.bytes().next() {
            Some(digit) if digit.is_ascii_digit() => Ok(Some(i64::from(digit - b'0'))),
            _ => Err(SqlError::new(0, format!("inconvertible value: {text} [CHAR -> {to}]"))),
        },
    };
    match to {
        Kind::Boolean => {
            let values = (0..rows)
                .map(|row| match texts.get(row) {
                    Some("t" | "T" | "1") => Ok(true),
                    None | Some("f" | "F" | "0") => Ok(false),
                    Some(text) => Err(SqlError::new(0, format!("inconvertible value: {text} [CHAR -> BOOLEAN]"))),
                })
                .collect::<Result<Vec<bool>, SqlError>>()?;
            Ok(boolean_column(rows, |row| values[row]))
        }
        Kind::Byte => try_column::<Int8Type>(rows, |row| Ok(Some(digit(row)?.unwrap_or(0) as i8))),
        Kind::Short => try_column::<Int16Type>(rows, |row| Ok(Some(digit(row)?.unwrap_or(0) as i16))),
        Kind::Int => try_column::<Int32Type>(rows, |row| Ok(digit(row)?.map(|v| v as i32))),
        Kind::Long => try_column::<Int64Type>(rows, digit),
        Kind::Float => try_column::<Float32Type>(rows, |row| Ok(digit(row)?.map(|v| v as f32))),
        Kind::Double => try_column::<Float64Type>(rows, |row| Ok(digit(row)?.map(|v| v as f64))),
        Kind::Date => try_column::<TimestampMillisecondType>(rows, digit),
        Kind::Timestamp => try_column::<TimestampMicrosecondType>(rows, digit),
        Kind::TimestampNs => try_column::<TimestampNanosecondType>(rows, digit),
        _ => Ok(args.array(0)),
    }
}

/// Reads text row by row; `misfit` says what unreadable text gives.
struct TextReader<'a> {
    texts: Texts<'a>,
    from: Kind,
    to: Kind,
    misfit: Misfit,
}

impl TextReader<'_> {
    fn read<T>(&self, row: usize, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, SqlError> {
        let Some(text) = self.texts.get(row) else { return Ok(None) };
        match parse(text) {
            None if self.misfit == Misfit::Refuse => {
                let (from, to) = (self.from.shown(), self.to);
                Err(SqlError::new(0, format!("inconvertible value: `{text}` [{from} -> {to}]")))
            }
            value => Ok(value),
        }
    }

    fn double(&self, row: usize) -> Result<Option<f64>, SqlError> {
        // "NaN" is readable, and NULL.
        let value = self.read(row, |t| is_double(t).then(|| parse_double(t)))?;
        Ok(value.flatten())
    }
}

fn from_text(args: &Args, from: Kind, to: Kind, misfit: Misfit) -> Result<ArrayRef, SqlError> {
    let rows = args.rows();
    let reader = TextReader { texts: args.texts(0), from, to, misfit };
    let narrow = |row: usize, low: i32, high: i32| {
        reader.read(row, |t| parse_int(t).filter(|v| misfit == Misfit::Null || (low..=high).contains(v)))
    };
    let moment = |row: usize| reader.read(row, |t| read_moment(t, misfit));
    match to {
        Kind::Boolean => {
            Ok(boolean_column(rows, |row| reader.texts.get(row).is_some_and(|t| t.eq_ignore_ascii_case("true"))))
        }
        Kind::Byte => try_column::<Int8Type>(rows, |row| {
            Ok(Some(narrow(row, i8::MIN.into(), i8::MAX.into())?.unwrap_or(0) as i8))
        }),
        Kind::Short => try_column::<Int16Type>(rows, |row| {
            Ok(Some(narrow(row, i16::MIN.into(), i16::MAX.into())?.unwrap_or(0) as i16))
        }),
        Kind::Int => try_column::<Int32Type>(rows, |row| reader.read(row, parse_int)),
        Kind::Long => try_column::<Int64Type>(rows, |row| reader.read(row, parse_long)),
        Kind::Float => {
            try_column::<Float32Type>(rows, |row| Ok(reader.double(row)?.map(|v| v as f32).filter(|v| v.is_finite())))
        }
        Kind::Double => try_column::<Float64Type>(rows, |row| reader.double(row)),
        Kind::Timestamp => try_column::<TimestampMicrosecondType>(rows, moment),
        Kind::TimestampNs => try_column::<TimestampNanosecondType>(rows, |row| {
            reader.read(row, |t| {
                let refuse = misfit == Misfit::Refuse;
                if refuse && is_digits(t) {
                    return t.parse().ok();
                }
                let zoned = || if refuse { zoned_day(t)?.checked_mul(1_000) } else { None };
                parse_timestamp_ns(t).or_else(zoned)
            })
        }),
        Kind::Date => try_column::<TimestampMillisecondType>(rows, |row| {
            reader.read(row, |t| {
                let digits = misfit == Misfit::Refuse && is_digits(t);
                if digits { t.parse().ok() } else { read_moment(t, misfit).map(|us| us.div_euclid(1_000)) }
            })
        }),
        Kind::Char if misfit == Misfit::Refuse => {
            let chars = (0..rows)
                .map(|row| reader.read(row, |t| (t.encode_utf16().count() <= 1).then(|| first_char(t))))
                .collect::<Result<Vec<_>, _>>()?;
            Ok(text_column(rows, |row| chars[row].clone().flatten()))
        }
        Kind::Char => Ok(text_column(rows, |row| reader.texts.get(row).and_then(first_char))),
        _ => Ok(args.array(0)),
    }
}

fn first_char(text: &str) -> Option<String> {
    text.chars().next().map(|c| if c.len_utf16() == 1 { c } else { '?' }.to_string())
}

fn is_digits(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// Reads a moment. Digits alone are raw microseconds where a column or an inserted value stands for a moment, and a year
/// or nothing in an explicit cast; there a day may have a zone behind a blank, too, as drivers write dates into a text.
fn read_moment(text: &str, misfit: Misfit) -> Option<i64> {
    if misfit != Misfit::Refuse {
        return parse_timestamp(text);
    }
    if is_digits(text) { text.parse().ok() } else { parse_timestamp(text).or_else(|| zoned_day(text)) }
}

/// Reads `2024-02-29 +01`: the midnight of a day in a zone.
fn zoned_day(text: &str) -> Option<i64> {
    let (day, zone) = text.split_at_checked("2024-02-29 ".len())?;
    let offset_us = if zone == "Z" { 0 } else { parse_offset(zone)? };
    parse_timestamp(day.strip_suffix(' ')?)?.checked_sub(offset_us)
}

/// Returns the text of a value as the explicit cast to STRING gives it; None for NULL.
pub fn value_text(value: &ScalarValue, kind: Kind) -> Option<String> {
    if value.is_null() {
        return None;
    }
    if let ScalarValue::Utf8View(text) = value {
        return text.clone();
    }
    let values = [ColumnarValue::Scalar(value.clone())];
    let array = run(&Args::new(&values, 1), kind, Kind::String, Misfit::Null).ok()?;
    match ScalarValue::try_from_array(&array, 0) {
        Ok(ScalarValue::Utf8View(text)) => text,
        _ => None,
    }
}

/// Returns the text of a value, `null` for NULL.
#[cfg(test)]
pub fn scalar_text(value: &ScalarValue, kind: Kind) -> String {
    value_text(value, kind).unwrap_or_else(|| "null".to_owned())
}
