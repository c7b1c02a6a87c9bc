//! Result columns and rows as messages: [`Column`], [`describe`], [`write_row`].
//!
//! Text and binary form of every kind. NaN and infinities are NULL, as everywhere else. Never waits, never fails half
//! way: a batch is looked at once ([`Values::of`]) before any of its rows is written.

use std::fmt::Write as _;

use arrow::array::{
    Array, BinaryArray, BooleanArray, Decimal128Array, Decimal256Array, FixedSizeBinaryArray, Float32Array,
    Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray, StringViewArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, UInt32Array,
};
use arrow::datatypes::{DataType, TimeUnit};
use bytes::{BufMut, BytesMut};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::data::{FieldDescription, RowDescription};
use query::OutputColumn;
use query::kind::Kind;
use wire::decimal::Decimal;
use wire::pg_parameter::US_1970_TO_2000;
use wire::{number_text, pg_oid, pg_text, value_text};

use super::failure::Failure;

mod boxes;

/// The form in which a value travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Binary,
}

impl Format {
    /// Returns the forms of `columns` columns from the codes of a Bind: none, one for all, or one each.
    pub fn of_codes(codes: &[i16], columns: usize) -> Result<Vec<Format>, Failure> {
        let format = |code: &i16| match code {
            0 => Ok(Format::Text),
            1 => Ok(Format::Binary),
            _ => Err(Failure::error("08P01", format!("invalid format code: {code}"))),
        };
        match codes {
            [] => Ok(vec![Format::Text; columns]),
            [code] => Ok(vec![format(code)?; columns]),
            _ if codes.len() == columns => codes.iter().map(format).collect(),
            _ => {
                let message =
                    format!("bind message has {} result formats but query has {columns} columns", codes.len());
                Err(Failure::error("08P01", message))
            }
        }
    }
}

/// Returns the object id under which clients know values of a kind.
pub fn oid(kind: Kind) -> u32 {
    match kind {
        Kind::Boolean => pg_oid::BOOL,
        Kind::Byte | Kind::Short => pg_oid::INT2,
        Kind::Int => pg_oid::INT4,
        Kind::Long => pg_oid::INT8,
        Kind::Float => pg_oid::FLOAT4,
        Kind::Double => pg_oid::FLOAT8,
        Kind::Date | Kind::Timestamp | Kind::TimestampNs => pg_oid::TIMESTAMP,
        Kind::Char => pg_oid::BPCHAR,
        Kind::Uuid => pg_oid::UUID,
        Kind::Binary => pg_oid::BYTEA,
        Kind::Array(_) => pg_oid::FLOAT8_ARRAY,
        Kind::Decimal(..) => pg_oid::NUMERIC,
        Kind::Ipv4 | Kind::Long256 | Kind::Geohash(_) => pg_oid::VARCHAR,
        Kind::Null | Kind::String | Kind::Symbol | Kind::Varchar => pg_oid::VARCHAR,
    }
}

/// Returns the object id of a list of values of a kind.
pub fn list_oid(kind: Kind) -> u32 {
    match oid(kind) {
        pg_oid::INT2 => pg_oid::INT2_ARRAY,
        pg_oid::INT4 => pg_oid::INT4_ARRAY,
        pg_oid::INT8 => pg_oid::INT8_ARRAY,
        pg_oid::FLOAT4 => pg_oid::FLOAT4_ARRAY,
        pg_oid::FLOAT8 => pg_oid::FLOAT8_ARRAY,
        pg_oid::VARCHAR | pg_oid::BPCHAR => pg_oid::TEXT_ARRAY,
        _ => pg_oid::VARCHAR,
    }
}

/// Returns the message that announces columns in the given forms.
pub fn describe(columns: &[OutputColumn], formats: &[Format]) -> PgWireBackendMessage {
    let fields = columns.iter().zip(formats).enumerate().map(|(i, (column, format))| {
        let oid = oid(column.kind);
        let place = i16::try_from(i + 1).unwrap_or(0);
        let code = i16::from(*format == Format::Binary);
        FieldDescription::new(column.name.clone(), 0, place, oid, pg_oid::size(oid), pg_oid::modifier(oid), code)
    });
    PgWireBackendMessage::RowDescription(RowDescription::new(fields.collect()))
}

/// The values of one column of a batch.
pub enum Values<'a> {
    Null,
    Boolean(&'a BooleanArray),
    Int8(&'a Int8Array),
    Int16(&'a Int16Array),
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    Float32(&'a Float32Array),
    Float64(&'a Float64Array),
    View(&'a StringViewArray),
    Text(&'a StringArray),
    Millis(&'a TimestampMillisecondArray),
    Micros(&'a TimestampMicrosecondArray),
    Nanos(&'a TimestampNanosecondArray),
    Ipv4(&'a UInt32Array),
    Geohash(&'a Int64Array, u8),
    Uuid(&'a FixedSizeBinaryArray),
    Long256(&'a FixedSizeBinaryArray),
    Binary(&'a BinaryArray),
    Decimal128(&'a Decimal128Array, u8),
    Decimal256(&'a Decimal256Array, u8),
    Boxes(&'a ListArray),
}

impl Values<'_> {
    /// Returns the columns of a batch, which must be of the kinds that were announced.
    pub fn of<'a>(batch: &'a RecordBatch, columns: &[OutputColumn]) -> Result<Vec<Values<'a>>, Failure> {
        if batch.num_columns() != columns.len() {
            let message = format!("{} columns were announced, {} came", columns.len(), batch.num_columns());
            return Err(Failure::error("XX000", message));
        }
        batch.columns().iter().zip(columns).map(|(array, column)| Values::of_array(array.as_ref(), column)).collect()
    }

    fn of_array<'a>(array: &'a dyn Array, column: &OutputColumn) -> Result<Values<'a>, Failure> {
        let any = array.as_any();
        let values = match (column.kind, array.data_type()) {
            (_, DataType::Null) => Some(Values::Null),
            (Kind::Boolean, DataType::Boolean) => any.downcast_ref().map(Values::Boolean),
            (Kind::Byte, DataType::Int8) => any.downcast_ref().map(Values::Int8),
            (Kind::Short, DataType::Int16) => any.downcast_ref().map(Values::Int16),
            (Kind::Int, DataType::Int32) => any.downcast_ref().map(Values::Int32),
            (Kind::Long, DataType::Int64) => any.downcast_ref().map(Values::Int64),
            (Kind::Float, DataType::Float32) => any.downcast_ref().map(Values::Float32),
            (Kind::Double, DataType::Float64) => any.downcast_ref().map(Values::Float64),
            (Kind::Date, DataType::Timestamp(TimeUnit::Millisecond, _)) => any.downcast_ref().map(Values::Millis),
            (Kind::Timestamp, DataType::Timestamp(TimeUnit::Microsecond, _)) => any.downcast_ref().map(Values::Micros),
            (Kind::TimestampNs, DataType::Timestamp(TimeUnit::Nanosecond, _)) => any.downcast_ref().map(Values::Nanos),
            (Kind::Ipv4, DataType::UInt32) => any.downcast_ref().map(Values::Ipv4),
            (Kind::Geohash(bits), DataType::Int64) => any.downcast_ref().map(|a| Values::Geohash(a, bits)),
            (Kind::Uuid, DataType::FixedSizeBinary(16)) => any.downcast_ref().map(Values::Uuid),
            (Kind::Long256, DataType::FixedSizeBinary(32)) => any.downcast_ref().map(Values::Long256),
            (Kind::Binary, DataType::Binary) => any.downcast_ref().map(Values::Binary),
            (Kind::Decimal(..), DataType::Decimal128(_, scale)) => {
                any.downcast_ref().map(|a| Values::Decimal128(a, *scale as u8))
            }
            (Kind::Decimal(..), DataType::Decimal256(_, scale)) => {
                any.downcast_ref().map(|a| Values::Decimal256(a, *scale as u8))
            }
            (Kind::Array(_), DataType::List(_)) => any.downcast_ref().map(Values::Boxes),
            (_, DataType::Utf8View) => any.downcast_ref().map(Values::View),
            (_, DataType::Utf8) => any.downcast_ref().map(Values::Text),
            _ => None,
        };
        values.ok_or_else(|| {
            let (name, kind, came) = (&column.name, column.kind.name(), array.data_type());
            Failure::error("XX000", format!("column {name} was announced as {kind}, {came} came"))
        })
    }
}

/// Appends one row as a DataRow message.
pub fn write_row(out: &mut BytesMut, row: usize, values: &[Values<'_>], formats: &[Format]) {
    let start = out.len() + 1;
    let [high, low] = (values.len() as u16).to_be_bytes();
    out.extend_from_slice(&[b'D', 0, 0, 0, 0, high, low]);
    for (values, format) in values.iter().zip(formats) {
        if put_whole(out, row, values, *format) {
            continue;
        }
        let place = out.len();
        out.put_i32(-1);
        if write_value(out, row, values, *format) {
            let length = (out.len() - place - 4) as i32;
            out[place..place + 4].copy_from_slice(&length.to_be_bytes());
        }
    }
    let length = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// Appends a value, or NULL, with its length in front, where that is known before: the kinds that most rows are made of. Returns false,
/// having appended nothing, for others.
fn put_whole(out: &mut BytesMut, row: usize, values: &Values<'_>, format: Format) -> bool {
    let (eight, text) = match (values, format) {
        (Values::Int64(a), Format::Binary) => (some(a, row, |a| a.value(row).to_be_bytes()), None),
        (Values::Float64(a), Format::Binary) => {
            (some(a, row, |a| a.value(row)).filter(|v| v.is_finite()).map(f64::to_be_bytes), None)
        }
        (Values::Micros(a), Format::Binary) => (some(a, row, |a| moment(a.value(row)).to_be_bytes()), None),
        (Values::View(a), _) => (None, some(a, row, |a| a.value(row))),
        (Values::Text(a), _) => (None, some(a, row, |a| a.value(row))),
        _ => return false,
    };
    match (eight, text) {
        (Some(value), _) => {
            let mut field = [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0];
            field[4..].copy_from_slice(&value);
            out.extend_from_slice(&field);
        }
        (None, Some(text)) => {
            out.extend_from_slice(&(text.len() as i32).to_be_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        (None, None) => out.extend_from_slice(&(-1i32).to_be_bytes()),
    }
    true
}

/// Appends a value; returns false, having appended nothing, for NULL.
pub fn write_value(out: &mut BytesMut, row: usize, values: &Values<'_>, format: Format) -> bool {
    let text = format == Format::Text;
    match values {
        Values::Boolean(a) => some(a, row, |a| a.value(row))
            .is_some_and(|v| put(out, text, |out| pg_text::write_bool(out, v), |out| out.put_u8(v.into()))),
        Values::Int8(a) => some(a, row, |a| a.value(row))
            .is_some_and(|v| put(out, text, |out| put_integer(out, v.into()), |out| out.put_i16(v.into()))),
        Values::Int16(a) => some(a, row, |a| a.value(row))
            .is_some_and(|v| put(out, text, |out| put_integer(out, v.into()), |out| out.put_i16(v))),
        Values::Int32(a) => some(a, row, |a| a.value(row))
            .is_some_and(|v| put(out, text, |out| put_integer(out, v.into()), |out| out.put_i32(v))),
        Values::Int64(a) => some(a, row, |a| a.value(row))
            .is_some_and(|v| put(out, text, |out| put_integer(out, v), |out| out.put_i64(v))),
        Values::Float32(a) => some(a, row, |a| a.value(row))
            .filter(|v| v.is_finite())
            .is_some_and(|v| put(out, text, |out| pg_text::write_f32(out, v), |out| out.put_f32(v))),
        Values::Float64(a) => some(a, row, |a| a.value(row))
            .filter(|v| v.is_finite())
            .is_some_and(|v| put(out, text, |out| put_double(out, v), |out| out.put_f64(v))),
        Values::Millis(a) => some(a, row, |a| a.value(row)).is_some_and(|v| {
            put(out, text, |out| pg_text::write_date_ms(out, v), |out| put_moment(out, v.saturating_mul(1_000)))
        }),
        Values::Micros(a) => some(a, row, |a| a.value(row))
            .is_some_and(|v| put(out, text, |out| pg_text::write_timestamp_us(out, v), |out| put_moment(out, v))),
        // PostgreSQL's times are microseconds
        Values::Nanos(a) => some(a, row, |a| a.value(row).div_euclid(1_000))
            .is_some_and(|v| put(out, text, |out| pg_text::write_timestamp_us(out, v), |out| put_moment(out, v))),
        // types that PostgreSQL does not have travel as text in either form
        Values::Ipv4(a) => some(a, row, |a| a.value(row)).is_some_and(|v| written(value_text::write_ipv4(out, v))),
        Values::Geohash(a, bits) => {
            some(a, row, |a| a.value(row)).is_some_and(|v| written(value_text::write_geohash(out, v, *bits)))
        }
        Values::Long256(a) => {
            some(a, row, |a| a.value(row)).is_some_and(|v| written(value_text::write_long256(out, v)))
        }
        Values::Uuid(a) => some(a, row, |a| a.value(row))
            .is_some_and(|v| put(out, text, |out| value_text::write_uuid(out, v), |out| out.put_slice(v))),
        Values::Binary(a) => some(a, row, |a| a.value(row))
            .is_some_and(|v| put(out, text, |out| write_hex(out, v), |out| out.put_slice(v))),
        Values::Decimal128(a, scale) => some(a, row, |a| Decimal::of_bytes(&a.value(row).to_be_bytes(), *scale))
            .flatten()
            .is_some_and(|v| put_decimal(out, text, &v)),
        Values::Decimal256(a, scale) => some(a, row, |a| Decimal::of_bytes(&a.value(row).to_be_bytes(), *scale))
            .flatten()
            .is_some_and(|v| put_decimal(out, text, &v)),
        Values::Boxes(a) => some(a, row, |a| a.value(row)).is_some_and(|v| {
            put(out, text, |out| boxes::write_text(out, v.as_ref()), |out| boxes::put_binary(out, v.as_ref()))
        }),
        Values::View(a) => some(a, row, |a| a.value(row)).map(|v| out.put_slice(v.as_bytes())).is_some(),
        Values::Text(a) => some(a, row, |a| a.value(row)).map(|v| out.put_slice(v.as_bytes())).is_some(),
        Values::Null => false,
    }
}

fn put_integer(out: &mut BytesMut, value: i64) -> std::fmt::Result {
    out.put_slice(number_text::integer(value).as_bytes());
    Ok(())
}

fn put_double(out: &mut BytesMut, value: f64) -> std::fmt::Result {
    out.put_slice(number_text::double(value).as_bytes());
    Ok(())
}

fn some<A: Array, T>(array: &A, row: usize, value: impl FnOnce(&A) -> T) -> Option<T> {
    (!array.is_null(row)).then(|| value(array))
}

fn put(
    out: &mut BytesMut,
    text: bool,
    write_text: impl FnOnce(&mut BytesMut) -> std::fmt::Result,
    write_binary: impl FnOnce(&mut BytesMut),
) -> bool {
    if text {
        write_text(out).expect("memory takes any text");
    } else {
        write_binary(out);
    }
    true
}

fn written(result: std::fmt::Result) -> bool {
    result.expect("memory takes any text");
    true
}

fn put_decimal(out: &mut BytesMut, text: bool, number: &Decimal) -> bool {
    put(
        out,
        text,
        |out| write!(out, "{number}"),
        |out| {
            let mut bytes = Vec::new();
            number.write_pg_binary(&mut bytes);
            out.put_slice(&bytes);
        },
    )
}

/// Writes bytes as PostgreSQL does: `\x0aff`.
fn write_hex(out: &mut BytesMut, bytes: &[u8]) -> std::fmt::Result {
    out.put_slice(b"\\x");
    bytes.iter().for_each(|byte| out.put_slice(&value_text::hex_digits(*byte)));
    Ok(())
}

fn put_moment(out: &mut BytesMut, us: i64) {
    out.put_i64(moment(us));
}

/// Binary times count from 2000; one that is too early for that is the earliest there is.
fn moment(us: i64) -> i64 {
    us.saturating_sub(US_1970_TO_2000)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::ArrayRef;

    use super::*;

    /// Fields of the one row of a batch of the given columns; None is NULL.
    fn row(columns: Vec<(Kind, ArrayRef)>, format: Format) -> Vec<Option<Vec<u8>>> {
        let named: Vec<_> = columns.iter().map(|(kind, _)| OutputColumn { name: "c".into(), kind: *kind }).collect();
        let batch = RecordBatch::try_from_iter(columns.iter().map(|(_, array)| ("c", array.clone()))).unwrap();
        let values = Values::of(&batch, &named).unwrap();
        let mut out = BytesMut::new();
        write_row(&mut out, 0, &values, &vec![format; values.len()]);
        assert_eq!(out[0], b'D');
        assert_eq!(u32::from_be_bytes(out[1..5].try_into().unwrap()) as usize, out.len() - 1);
        let mut rest = &out[7..];
        let mut fields = Vec::new();
        while let Some((length, tail)) = rest.split_first_chunk::<4>() {
            let length = i32::from_be_bytes(*length);
            let (field, tail) = tail.split_at(length.max(0) as usize);
            fields.push((length >= 0).then(|| field.to_vec()));
            rest = tail;
        }
        fields
    }

    fn one_of_each() -> Vec<(Kind, ArrayRef)> {
        vec![
            (Kind::Boolean, Arc::new(BooleanArray::from(vec![true]))),
            (Kind::Byte, Arc::new(Int8Array::from(vec![-5]))),
            (Kind::Int, Arc::new(Int32Array::from(vec![None]))),
            (Kind::Long, Arc::new(Int64Array::from(vec![7]))),
            (Kind::Double, Arc::new(Float64Array::from(vec![1e7]))),
            (Kind::Double, Arc::new(Float64Array::from(vec![f64::NAN]))),
            (Kind::Float, Arc::new(Float32Array::from(vec![1.1]))),
            (Kind::Date, Arc::new(TimestampMillisecondArray::from(vec![1]))),
            (Kind::Timestamp, Arc::new(TimestampMicrosecondArray::from(vec![1]))),
            (Kind::Symbol, Arc::new(StringViewArray::from(vec!["héllo"]))),
            (Kind::Varchar, Arc::new(StringViewArray::from(vec![""]))),
        ]
    }

    #[test]
    fn text_is_as_questdb_sends_it() {
        let fields = row(one_of_each(), Format::Text);
        let texts: Vec<_> = fields.iter().map(|f| f.as_deref().map(|b| std::str::from_utf8(b).unwrap())).collect();
        let expected = [
            Some("t"),
            Some("-5"),
            None,
            Some("7"),
            Some("1.0E7"),
            None,
            Some("1.1"),
            Some("1970-01-01 00:00:00.001"),
            Some("1970-01-01 00:00:00.000001"),
            Some("héllo"),
            Some(""),
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn binary_is_as_postgresql_sends_it() {
        let fields = row(one_of_each(), Format::Binary);
        let expected = [
            Some(vec![1]),
            Some((-5i16).to_be_bytes().to_vec()),
            None,
            Some(7i64.to_be_bytes().to_vec()),
            Some(1e7f64.to_be_bytes().to_vec()),
            None,
            Some(1.1f32.to_be_bytes().to_vec()),
            Some((1_000 - US_1970_TO_2000).to_be_bytes().to_vec()),
            Some((1 - US_1970_TO_2000).to_be_bytes().to_vec()),
            Some("héllo".as_bytes().to_vec()),
            Some(vec![]),
        ];
        assert_eq!(fields, expected);
    }

    #[test]
    fn a_column_of_another_type_than_announced_is_an_error() {
        let batch = RecordBatch::try_from_iter([("c", Arc::new(Int64Array::from(vec![7])) as ArrayRef)]).unwrap();
        let columns = [OutputColumn { name: "c".into(), kind: Kind::Double }];
        let failure = Values::of(&batch, &columns).err().unwrap();
        assert_eq!((failure.code, failure.message.contains("announced as DOUBLE")), ("XX000", true));
    }

    #[test]
    fn result_formats_must_fit_the_columns() {
        use Format::{Binary, Text};
        assert_eq!(Format::of_codes(&[], 2), Ok(vec![Text, Text]));
        assert_eq!(Format::of_codes(&[1], 2), Ok(vec![Binary, Binary]));
        assert_eq!(Format::of_codes(&[0, 1], 2), Ok(vec![Text, Binary]));
        assert_eq!(Format::of_codes(&[0, 1], 3).unwrap_err().code, "08P01");
        assert_eq!(Format::of_codes(&[2], 1).unwrap_err().code, "08P01");
    }
}
