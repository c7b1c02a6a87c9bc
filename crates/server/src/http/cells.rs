//! One column of a batch, ready to be shown row by row: [`Cells`].

use std::fmt;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Decimal128Array, Decimal256Array, FixedSizeBinaryArray,
    Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, ListArray, StringArray, StringViewArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, UInt32Array,
};
use arrow::datatypes::{DataType, TimeUnit};
use query::kind::Kind;
use query::{SqlError, SqlErrorKind};
use wire::decimal::Decimal;
use wire::{csv, exec_json, value_text};

/// The values of one column.
pub struct Cells<'a> {
    kind: Kind,
    values: Values<'a>,
}

enum Values<'a> {
    Null,
    Boolean(&'a BooleanArray),
    I8(&'a Int8Array),
    I16(&'a Int16Array),
    I32(&'a Int32Array),
    I64(&'a Int64Array),
    F32(&'a Float32Array),
    F64(&'a Float64Array),
    Text(&'a StringArray),
    TextView(&'a StringViewArray),
    Millis(&'a TimestampMillisecondArray),
    Micros(&'a TimestampMicrosecondArray),
    Nanos(&'a TimestampNanosecondArray),
    U32(&'a UInt32Array),
    Fixed(&'a FixedSizeBinaryArray),
    Binary(&'a BinaryArray),
    Decimal128(&'a Decimal128Array, u8),
    Decimal256(&'a Decimal256Array, u8),
    List(&'a ListArray),
}

/// A value, without its column.
enum Cell<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    F32(f32),
    F64(f64),
    Text(&'a str),
    Millis(i64),
    Micros(i64),
    Nanos(i64),
    Geohash(i64, u8),
    Ipv4(u32),
    Uuid(&'a [u8]),
    Long256(&'a [u8]),
    Binary,
    Decimal(Option<Decimal>),
    List(ArrayRef),
}

/// Text that is appended to bytes.
struct Out<'o>(&'o mut Vec<u8>);

impl fmt::Write for Out<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl<'a> Cells<'a> {
    /// Returns the values of an array that holds values of the kind.
    ///
    /// # Errors
    /// An Arrow type in which no kind of ours is carried: a defect of the plan.
    pub fn new(kind: Kind, array: &'a ArrayRef) -> Result<Cells<'a>, SqlError> {
        let any = array.as_any();
        let values = match array.data_type() {
            DataType::Null => Some(Values::Null),
            DataType::Boolean => any.downcast_ref().map(Values::Boolean),
            DataType::Int8 => any.downcast_ref().map(Values::I8),
            DataType::Int16 => any.downcast_ref().map(Values::I16),
            DataType::Int32 => any.downcast_ref().map(Values::I32),
            DataType::Int64 => any.downcast_ref().map(Values::I64),
            DataType::Float32 => any.downcast_ref().map(Values::F32),
            DataType::Float64 => any.downcast_ref().map(Values::F64),
            DataType::Utf8 => any.downcast_ref().map(Values::Text),
            DataType::Utf8View => any.downcast_ref().map(Values::TextView),
            DataType::Timestamp(TimeUnit::Millisecond, _) => any.downcast_ref().map(Values::Millis),
            DataType::Timestamp(TimeUnit::Microsecond, _) => any.downcast_ref().map(Values::Micros),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => any.downcast_ref().map(Values::Nanos),
            DataType::UInt32 => any.downcast_ref().map(Values::U32),
            DataType::FixedSizeBinary(_) => any.downcast_ref().map(Values::Fixed),
            DataType::Binary => any.downcast_ref().map(Values::Binary),
            DataType::Decimal128(_, scale) => any.downcast_ref().map(|a| Values::Decimal128(a, *scale as u8)),
            DataType::Decimal256(_, scale) => any.downcast_ref().map(|a| Values::Decimal256(a, *scale as u8)),
            DataType::List(_) => any.downcast_ref().map(Values::List),
            _ => None,
        };
        let values = values.ok_or_else(|| SqlError {
            message: format!("a result of type {} cannot be shown", array.data_type()),
            position: 0,
            kind: SqlErrorKind::Internal,
        })?;
        Ok(Cells { kind, values })
    }

    fn cell(&self, row: usize) -> Cell<'a> {
        fn get<'a, T>(
            array: &dyn Array,
            row: usize,
            cell: impl FnOnce(usize) -> T,
            make: fn(T) -> Cell<'a>,
        ) -> Cell<'a> {
            if array.is_null(row) { Cell::Null } else { make(cell(row)) }
        }
        if let (Kind::Geohash(bits), Values::I64(a)) = (self.kind, &self.values) {
            return if a.is_null(row) { Cell::Null } else { Cell::Geohash(a.value(row), bits) };
        }
        match self.values {
            Values::Null => Cell::Null,
            Values::Boolean(a) => get(a, row, |i| a.value(i), Cell::Boolean),
            Values::I8(a) => get(a, row, |i| i64::from(a.value(i)), Cell::Integer),
            Values::I16(a) => get(a, row, |i| i64::from(a.value(i)), Cell::Integer),
            Values::I32(a) => get(a, row, |i| i64::from(a.value(i)), Cell::Integer),
            Values::I64(a) => get(a, row, |i| a.value(i), Cell::Integer),
            Values::F32(a) => get(a, row, |i| a.value(i), Cell::F32),
            Values::F64(a) => get(a, row, |i| a.value(i), Cell::F64),
            Values::Text(a) => get(a, row, |i| a.value(i), Cell::Text),
            Values::TextView(a) => get(a, row, |i| a.value(i), Cell::Text),
            Values::Millis(a) => get(a, row, |i| a.value(i), Cell::Millis),
            Values::Micros(a) => get(a, row, |i| a.value(i), Cell::Micros),
            Values::Nanos(a) => get(a, row, |i| a.value(i), Cell::Nanos),
            Values::U32(a) => get(a, row, |i| a.value(i), Cell::Ipv4),
            Values::Fixed(a) if self.kind == Kind::Long256 => get(a, row, |i| a.value(i), Cell::Long256),
            Values::Fixed(a) => get(a, row, |i| a.value(i), Cell::Uuid),
            Values::Binary(a) => get(a, row, |_| (), |()| Cell::Binary),
            Values::Decimal128(a, scale) => {
                get(a, row, |i| Decimal::of_bytes(&a.value(i).to_be_bytes(), scale), Cell::Decimal)
            }
            Values::Decimal256(a, scale) => {
                get(a, row, |i| Decimal::of_bytes(&a.value(i).to_be_bytes(), scale), Cell::Decimal)
            }
            Values::List(a) => get(a, row, |i| a.value(i), Cell::List),
        }
    }

    /// Appends a value as JSON. Kinds that have no NULL show false, 0 or an empty text for it.
    pub fn json(&self, out: &mut Vec<u8>, row: usize, quote_longs: bool) {
        match self.cell(row) {
            Cell::Null => match self.kind {
                Kind::Boolean => exec_json::boolean(out, false),
                Kind::Byte | Kind::Short => exec_json::integer(out, 0),
                Kind::Char | Kind::Long256 => exec_json::string(out, ""),
                Kind::Binary => out.extend_from_slice(b"[]"),
                _ => exec_json::null(out),
            },
            Cell::Boolean(value) => exec_json::boolean(out, value),
            Cell::Integer(value) if quote_longs && self.kind == Kind::Long => exec_json::quoted_integer(out, value),
            Cell::Integer(value) => exec_json::integer(out, value),
            Cell::F32(value) => exec_json::float(out, value),
            Cell::F64(value) => exec_json::double(out, value),
            Cell::Text(value) => exec_json::string(out, value),
            Cell::Millis(value) => exec_json::date(out, value),
            Cell::Micros(value) => exec_json::timestamp(out, value),
            Cell::Nanos(value) => exec_json::timestamp_ns(out, value),
            // the peer shows no bytes
            Cell::Binary => out.extend_from_slice(b"[]"),
            Cell::List(value) => list(out, &value),
            cell => {
                out.push(b'"');
                cell.plain(out);
                out.push(b'"');
            }
        }
    }

    /// Appends a value as CSV.
    pub fn csv(&self, out: &mut Vec<u8>, row: usize) {
        match self.cell(row) {
            Cell::Null => match self.kind {
                Kind::Boolean => exec_json::boolean(out, false),
                Kind::Byte | Kind::Short => exec_json::integer(out, 0),
                Kind::Geohash(_) | Kind::Decimal(..) => exec_json::null(out),
                Kind::Array(_) => csv::string(out, "null"),
                _ => {}
            },
            Cell::F32(value) => csv::float(out, value),
            Cell::F64(value) => csv::double(out, value),
            // one that means something in CSV needs quotes after all
            Cell::Text(value) if self.kind == Kind::Char && !value.contains(['"', ',', ';', '\t', '|', '\n', '\r']) => {
                out.extend_from_slice(value.as_bytes());
            }
            Cell::Binary => {}
            Cell::List(value) => {
                out.push(b'"');
                list(out, &value);
                out.push(b'"');
            }
            cell @ (Cell::Uuid(_) | Cell::Ipv4(_) | Cell::Long256(_)) => cell.plain(out),
            Cell::Text(value) => csv::string(out, value),
            _ => self.json(out, row, false),
        }
    }
}

impl Cell<'_> {
    /// Appends a value that is neither number nor text, without quotes.
    fn plain(&self, out: &mut Vec<u8>) {
        let mut out = Out(out);
        let written = match self {
            Cell::Uuid(bytes) => value_text::write_uuid(&mut out, bytes),
            Cell::Ipv4(address) => value_text::write_ipv4(&mut out, *address),
            Cell::Long256(bytes) => value_text::write_long256(&mut out, bytes),
            Cell::Geohash(hash, bits) => value_text::write_geohash(&mut out, *hash, *bits),
            Cell::Decimal(Some(number)) => fmt::Write::write_fmt(&mut out, format_args!("{number}")),
            _ => Ok(()),
        };
        written.expect("memory takes any text");
    }
}

/// Appends an array as nested lists of doubles.
fn list(out: &mut Vec<u8>, values: &ArrayRef) {
    out.push(b'[');
    for i in 0..values.len() {
        if i > 0 {
            out.push(b',');
        }
        if let Some(inner) = values.as_list_opt::<i32>() {
            list(out, &inner.value(i));
        } else {
            match values.as_any().downcast_ref::<Float64Array>() {
                Some(numbers) if numbers.is_valid(i) => exec_json::double(out, numbers.value(i)),
                _ => exec_json::null(out),
            }
        }
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn check(kind: Kind, array: ArrayRef, json: &str, csv: &str) {
        let cells = Cells::new(kind, &array).unwrap();
        let (mut j, mut c) = (Vec::new(), Vec::new());
        for row in 0..array.len() {
            cells.json(&mut j, row, true);
            cells.csv(&mut c, row);
            j.push(b' ');
            c.push(b' ');
        }
        assert_eq!(String::from_utf8(j).unwrap(), json);
        assert_eq!(String::from_utf8(c).unwrap(), csv);
    }

    #[test]
    fn values_and_nulls_of_every_kind() {
        check(Kind::Boolean, Arc::new(BooleanArray::from(vec![Some(true), None])), "true false ", "true false ");
        check(Kind::Short, Arc::new(Int16Array::from(vec![Some(-1), None])), "-1 0 ", "-1 0 ");
        check(Kind::Int, Arc::new(Int32Array::from(vec![Some(5), None])), "5 null ", "5  ");
        check(Kind::Long, Arc::new(Int64Array::from(vec![Some(5), None])), "\"5\" null ", "5  ");
        check(
            Kind::Double,
            Arc::new(Float64Array::from(vec![Some(1.5), Some(f64::NAN), None])),
            "1.5 null null ",
            "1.5   ",
        );
        check(
            Kind::Varchar,
            Arc::new(StringViewArray::from(vec![Some("a\"b"), None])),
            "\"a\\\"b\" null ",
            "\"a\"\"b\"  ",
        );
        check(Kind::Char, Arc::new(StringArray::from(vec![Some("x"), None])), "\"x\" \"\" ", "x  ");
        check(
            Kind::Ipv4,
            Arc::new(UInt32Array::from(vec![Some(0x0a00_0001), None])),
            "\"10.0.0.1\" null ",
            "10.0.0.1  ",
        );
        check(Kind::Geohash(5), Arc::new(Int64Array::from(vec![Some(26), None])), "\"u\" null ", "\"u\" null ");
        check(Kind::Geohash(3), Arc::new(Int64Array::from(vec![Some(5)])), "\"101\" ", "\"101\" ");
        let bytes = |width: i32, value: Vec<u8>| -> ArrayRef {
            Arc::new(FixedSizeBinaryArray::try_new(width, value.into(), None).unwrap())
        };
        let uuid = "11111111-1111-1111-1111-111111111111 ";
        check(Kind::Uuid, bytes(16, vec![0x11; 16]), &format!("\"{}\" ", uuid.trim_end()), uuid);
        check(Kind::Long256, bytes(32, vec![0; 32]), "\"0x00\" ", "0x00 ");
        check(Kind::Binary, Arc::new(BinaryArray::from(vec![Some(&b"x"[..]), None])), "[] [] ", "  ");
        let money = Decimal128Array::from(vec![Some(1500), None]).with_precision_and_scale(18, 3).unwrap();
        check(Kind::Decimal(18, 3), Arc::new(money), "\"1.500\" null ", "\"1.500\" null ");
        let rows = vec![Some(vec![Some(1.0), None]), Some(vec![]), None];
        let rows = ListArray::from_iter_primitive::<arrow::datatypes::Float64Type, _, _>(rows);
        check(Kind::Array(1), Arc::new(rows), "[1.0,null] [] null ", "\"[1.0,null]\" \"[]\" \"null\" ");
        check(Kind::Char, Arc::new(StringArray::from(vec![",", "\""])), "\",\" \"\\\"\" ", "\",\" \"\"\"\" ");
        let at = "\"1970-01-01T00:00:00.000";
        check(
            Kind::Timestamp,
            Arc::new(TimestampMicrosecondArray::from(vec![Some(1), None])),
            &format!("{at}001Z\" null "),
            &format!("{at}001Z\"  "),
        );
        check(
            Kind::Date,
            Arc::new(TimestampMillisecondArray::from(vec![Some(0)])),
            &format!("{at}Z\" "),
            &format!("{at}Z\" "),
        );
    }
}
