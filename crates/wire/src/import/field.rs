//! One field of text to one value of a column: [`push`].

use std::sync::Arc;

use types::{ColumnData, ColumnType, ipv4, uuid};

use crate::decimal::Decimal;
use crate::pg_text;
use crate::value_text::{read_char, read_long256, read_written_geohash};

/// How moments are written.
pub trait Moments: Send + Sync {
    /// Returns nanoseconds since 1970.
    fn read_ns(&self, text: &str) -> Option<i128>;
}

/// What the fields of a column hold beside their type.
#[derive(Clone, Default)]
pub struct Format {
    /// A pattern of the user's; without one moments are read in the usual forms.
    pub moments: Option<Arc<dyn Moments>>,
    /// `dd/MM/yyyy`.
    pub day_first: bool,
}

/// Appends the value of a field; returns false, and appends nothing, when it is no value of the type.
#[must_use]
pub fn push(data: &mut ColumnData, column_type: ColumnType, format: &Format, text: &str) -> bool {
    fn kept<T>(column: &mut Vec<T>, value: Option<T>) -> bool {
        value.map(|value| column.push(value)).is_some()
    }
    match (data, column_type) {
        (ColumnData::Str(column), _) => {
            column.push(Some(text));
            true
        }
        (ColumnData::Symbol(column), _) => {
            column.push(Some(text));
            true
        }
        // an empty text in quotes is nothing to all other types
        (data, _) if text.is_empty() || (writes_null(column_type) && text.eq_ignore_ascii_case("null")) => {
            data.push_null();
            true
        }
        (ColumnData::Boolean(column), _) => {
            let value = if text.eq_ignore_ascii_case("true") {
                Some(true)
            } else {
                text.eq_ignore_ascii_case("false").then_some(false)
            };
            kept(column, value)
        }
        (ColumnData::I8(column), _) => kept(column, read_int(text).and_then(|v| i8::try_from(v).ok())),
        (ColumnData::I16(column), _) => kept(column, read_int(text).and_then(|v| i16::try_from(v).ok())),
        (ColumnData::I32(column), _) => kept(column, read_int(text).and_then(|v| i32::try_from(v).ok())),
        (ColumnData::I64(column), ColumnType::Geohash(bits)) => kept(column, read_written_geohash(text, bits)),
        (ColumnData::I64(column), ColumnType::Date | ColumnType::Timestamp | ColumnType::TimestampNs) => {
            kept(column, read_moment(text, column_type, format))
        }
        (ColumnData::I64(column), _) => kept(column, read_long(text)),
        (ColumnData::U16(column), _) => kept(column, read_char(text)),
        (ColumnData::U32(column), _) => kept(column, ipv4::parse(text)),
        (ColumnData::F32(column), _) => kept(column, read_double(text).map(|v| finite_f32(v as f32))),
        (ColumnData::F64(column), _) => kept(column, read_double(text)),
        (ColumnData::Fixed16(column), _) => kept(column, uuid::parse(text)),
        (ColumnData::Fixed32(column), _) => kept(column, read_long256(text)),
        (data @ (ColumnData::Decimal128(_) | ColumnData::Decimal256(_)), ColumnType::Decimal { precision, scale }) => {
            Decimal::parse(text).is_some_and(|number| number.push(data, precision, scale).is_ok())
        }
        (ColumnData::Array(column), _) => match read_array(text, column.dims()) {
            Some((shape, values)) => column.push(&shape, &values),
            None => false,
        },
        _ => false,
    }
}

/// Returns whether `/exp` writes `null` for the NULL of the type.
fn writes_null(column_type: ColumnType) -> bool {
    matches!(column_type, ColumnType::Geohash(_) | ColumnType::Decimal { .. } | ColumnType::Array(_) | ColumnType::Ipv4)
}

fn finite_f32(value: f32) -> f32 {
    if value.is_finite() { value } else { f32::NAN }
}

/// Reads an integer: a sign, digits, single underscores between them.
pub fn read_int(text: &str) -> Option<i64> {
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    let digits = unsigned.strip_prefix('-').unwrap_or(unsigned);
    let grouped = digits.as_bytes().windows(2).any(|pair| pair == b"__");
    if grouped || !digits.starts_with(|c: char| c.is_ascii_digit()) || !digits.ends_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if digits.contains('_') { unsigned.replace('_', "").parse().ok() } else { unsigned.parse().ok() }
}

/// Reads an integer that may have an `L` behind it.
pub fn read_long(text: &str) -> Option<i64> {
    read_int(text.strip_suffix(['L', 'l']).unwrap_or(text))
}

/// Reads a number, blanks around it allowed; NaN and infinities are NULL.
pub fn read_double(text: &str) -> Option<f64> {
    let text = text.trim_matches(' ');
    let unsigned = text.trim_start_matches(['+', '-']);
    if matches!(unsigned, "NaN" | "Infinity") {
        return Some(f64::NAN);
    }
    // the words that Rust reads as well are none
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let value: f64 = text.strip_suffix(['d', 'f', 'D', 'F']).unwrap_or(text).parse().ok()?;
    Some(if value.is_finite() { value } else { f64::NAN })
}

/// Returns how many digits stand behind the point of the seconds.
pub fn fraction_digits(text: &str) -> usize {
    let Some((_, fraction)) = text.split_once('.') else { return 0 };
    fraction.bytes().take_while(u8::is_ascii_digit).count()
}

/// Returns whether a text begins as a date does, so that it is worth a closer look.
pub fn looks_like_moment(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 10 && bytes[4] == b'-' && bytes[7] == b'-' && bytes[..4].iter().all(u8::is_ascii_digit)
}

/// Reads a moment in the usual forms as nanoseconds since 1970.
pub fn read_moment_ns(text: &str) -> Option<i128> {
    let us = pg_text::read_timestamp_us(text)?;
    let below = match text.split_once('.') {
        Some((_, fraction)) => fraction
            .bytes()
            .take_while(u8::is_ascii_digit)
            .chain(*b"000000000")
            .skip(6)
            .take(3)
            .fold(0, |ns, digit| ns * 10 + i128::from(digit - b'0')),
        None => 0,
    };
    Some(i128::from(us) * 1_000 + below)
}

/// Reads `31/01/2024` as microseconds since 1970.
pub fn read_day_first(text: &str) -> Option<i64> {
    let mut parts = text.split('/');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 || day.len() != 2 || month.len() != 2 {
        return None;
    }
    pg_text::read_timestamp_us(&format!("{year}-{month}-{day}"))
}

fn read_moment(text: &str, column_type: ColumnType, format: &Format) -> Option<i64> {
    let ns = match &format.moments {
        Some(moments) => moments.read_ns(text)?,
        None if format.day_first => i128::from(read_day_first(text)?) * 1_000,
        None => match read_moment_ns(text).or_else(|| read_day_first(text).map(|us| i128::from(us) * 1_000)) {
            Some(ns) => ns,
            // a number counts in the column's own unit
            None => return read_int(text),
        },
    };
    let count = match column_type {
        ColumnType::Date => ns.div_euclid(1_000_000),
        ColumnType::TimestampNs => ns,
        _ => ns.div_euclid(1_000),
    };
    i64::try_from(count).ok()
}

/// Reads `[[1.0,2.0],[3.0,null]]` of so many dimensions.
pub fn read_array(text: &str, dims: usize) -> Option<(Vec<u32>, Vec<f64>)> {
    let mut reader = ArrayReader { bytes: text.as_bytes(), pos: 0, shape: vec![None; dims], values: Vec::new() };
    reader.level(0)?;
    reader.blanks();
    let shape = reader.shape.iter().map(|len| len.unwrap_or(0)).collect();
    (reader.pos == reader.bytes.len()).then_some((shape, reader.values))
}

struct ArrayReader<'a> {
    bytes: &'a [u8],
    pos: usize,
    shape: Vec<Option<u32>>,
    values: Vec<f64>,
}

impl ArrayReader<'_> {
    fn blanks(&mut self) {
        while matches!(self.bytes.get(self.pos), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.pos += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        self.blanks();
        let there = self.bytes.get(self.pos) == Some(&byte);
        self.pos += usize::from(there);
        there
    }

    fn level(&mut self, depth: usize) -> Option<()> {
        if !self.take(b'[') {
            return None;
        }
        let mut len = 0;
        if !self.take(b']') {
            loop {
                if depth + 1 == self.shape.len() {
                    self.number()?
                } else {
                    self.level(depth + 1)?
                }
                len += 1;
                if self.take(b']') {
                    break;
                }
                if !self.take(b',') {
                    return None;
                }
            }
        }
        // every row of a box is equally long
        match self.shape[depth].replace(len) {
            Some(other) if other != len => None,
            _ => Some(()),
        }
    }

    fn number(&mut self) -> Option<()> {
        self.blanks();
        let start = self.pos;
        while self.bytes.get(self.pos).is_some_and(|b| !matches!(b, b',' | b']' | b'[')) {
            self.pos += 1;
        }
        let text = std::str::from_utf8(&self.bytes[start..self.pos]).ok()?.trim();
        self.values.push(if text.eq_ignore_ascii_case("null") { f64::NAN } else { read_double(text)? });
        Some(())
    }
}
