//! One column of a batch, ready to be shown row by row: [`Cells`].

use std::cell::RefCell;
use std::fmt;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Decimal256Array, FixedSizeBinaryArray, Float32Array,
    Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, ListArray, StringArray, StringViewArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, UInt32Array,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, TimeUnit};
use query::kind::Kind;
use query::{SqlError, SqlErrorKind};
use wire::decimal::Decimal;
use wire::{csv, exec_json, value_text};

/// The values of one column.
pub struct Cells<'a> {
    kind: Kind,
    values: Values<'a>,
    nulls: Option<&'a NullBuffer>,
    /// The last moment that comes again: buckets of many keys have many rows.
    repeated: RefCell<Repeated>,
}

/// A moment as JSON; none while the text is empty.
#[derive(Default)]
struct Repeated {
    moment: i64,
    text: Vec<u8>,
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
    Binary,
    Decimal128(&'a Decimal128Array, u8),
    Decimal256(&'a Decimal256Array, u8),
    List(&'a ListArray),
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
            DataType::Binary => Some(Values::Binary),
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
        Ok(Cells { kind, values, nulls: array.nulls(), repeated: RefCell::default() })
    }

    fn is_null(&self, row: usize) -> bool {
        self.nulls.is_some_and(|nulls| nulls.is_null(row))
    }

    /// Appends a value as JSON. Kinds that have no NULL show false, 0 or an empty text for it.
    pub fn json(&self, out: &mut Vec<u8>, row: usize, quote_longs: bool) {
        if self.is_null(row) {
            return self.null_json(out);
        }
        match self.values {
            Values::Null => self.null_json(out),
            Values::Boolean(a) => exec_json::boolean(out, a.value(row)),
            Values::I8(a) => exec_json::integer(out, a.value(row).into()),
            Values::I16(a) => exec_json::integer(out, a.value(row).into()),
            Values::I32(a) => exec_json::integer(out, a.value(row).into()),
            Values::I64(a) => match self.kind {
                Kind::Geohash(_) => self.quoted(out, row),
                Kind::Long if quote_longs => exec_json::quoted_integer(out, a.value(row)),
                _ => exec_json::integer(out, a.value(row)),
            },
            Values::F32(a) => exec_json::float(out, a.value(row)),
            Values::F64(a) => exec_json::double(out, a.value(row)),
            Values::Text(a) => exec_json::string(out, a.value(row)),
            Values::TextView(a) => exec_json::string(out, a.value(row)),
            Values::Millis(a) => exec_json::date(out, a.value(row)),
            Values::Micros(a) => self.moment(out, a.values(), row, exec_json::timestamp),
            Values::Nanos(a) => self.moment(out, a.values(), row, exec_json::timestamp_ns),
            // the peer shows no bytes
            Values::Binary => out.extend_from_slice(b"[]"),
            Values::List(a) => list(out, &a.value(row)),
            Values::U32(_) | Values::Fixed(_) | Values::Decimal128(..) | Values::Decimal256(..) => {
                self.quoted(out, row);
            }
        }
    }

    /// Appends a moment; where the same one follows, its text is kept.
    fn moment(&self, out: &mut Vec<u8>, moments: &[i64], row: usize, write: fn(&mut Vec<u8>, i64)) {
        let moment = moments[row];
        let mut repeated = self.repeated.borrow_mut();
        if repeated.moment == moment && !repeated.text.is_empty() {
            return out.extend_from_slice(&repeated.text);
        }
        let start = out.len();
        write(out, moment);
        if moments.get(row + 1) == Some(&moment) {
            repeated.moment = moment;
            repeated.text.clear();
            repeated.text.extend_from_slice(&out[start..]);
        }
    }

    fn null_json(&self, out: &mut Vec<u8>) {
        match self.kind {
            Kind::Boolean => exec_json::boolean(out, false),
            Kind::Byte | Kind::Short => out.push(b'0'),
            Kind::Char | Kind::Long256 => out.extend_from_slice(b"\"\""),
            Kind::Binary => out.extend_from_slice(b"[]"),
            _ => exec_json::null(out),
        }
    }

    /// Appends a value as CSV.
    pub fn csv(&self, out: &mut Vec<u8>, row: usize) {
        if self.is_null(row) {
            return self.null_csv(out);
        }
        match self.values {
            Values::Null => self.null_csv(out),
            Values::F32(a) => csv::float(out, a.value(row)),
            Values::F64(a) => csv::double(out, a.value(row)),
            Values::Text(a) => self.text_csv(out, a.value(row)),
            Values::TextView(a) => self.text_csv(out, a.value(row)),
            Values::Binary => {}
            Values::List(a) => {
                out.push(b'"');
                list(out, &a.value(row));
                out.push(b'"');
            }
            Values::U32(_) | Values::Fixed(_) => self.plain(out, row),
            _ => self.json(out, row, false),
        }
    }

    fn null_csv(&self, out: &mut Vec<u8>) {
        match self.kind {
            Kind::Boolean => exec_json::boolean(out, false),
            Kind::Byte | Kind::Short => out.push(b'0'),
            Kind::Geohash(_) | Kind::Decimal(..) => exec_json::null(out),
            Kind::Array(_) => csv::string(out, "null"),
            _ => {}
        }
    }

    fn text_csv(&self, out: &mut Vec<u8>, text: &str) {
        // a CHAR that means something in CSV needs quotes after all
        if self.kind == Kind::Char && !text.contains(['"', ',', ';', '\t', '|', '\n', '\r']) {
            out.extend_from_slice(text.as_bytes());
        } else {
            csv::string(out, text);
        }
    }

    fn quoted(&self, out: &mut Vec<u8>, row: usize) {
        out.push(b'"');
        self.plain(out, row);
        out.push(b'"');
    }

    /// Appends a value that is neither number nor text, without quotes.
    fn plain(&self, out: &mut Vec<u8>, row: usize) {
        let mut out = Out(out);
        let written = match (&self.values, self.kind) {
            (Values::Fixed(a), Kind::Long256) => value_text::write_long256(&mut out, a.value(row)),
            (Values::Fixed(a), _) => value_text::write_uuid(&mut out, a.value(row)),
            (Values::U32(a), _) => value_text::write_ipv4(&mut out, a.value(row)),
            (Values::I64(a), Kind::Geohash(bits)) => value_text::write_geohash(&mut out, a.value(row), bits),
            (Values::Decimal128(a, scale), _) => decimal(&mut out, &a.value(row).to_be_bytes(), *scale),
            (Values::Decimal256(a, scale), _) => decimal(&mut out, &a.value(row).to_be_bytes(), *scale),
            _ => Ok(()),
        };
        written.expect("memory takes any text");
    }
}

fn decimal(out: &mut Out<'_>, bytes: &[u8], scale: u8) -> fmt::Result {
    Decimal::of_bytes(bytes, scale).map_or(Ok(()), |number| fmt::Write::write_fmt(out, format_args!("{number}")))
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

    use arrow::array::BinaryArray;

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
            Kind::Timestamp,
            Arc::new(TimestampMicrosecondArray::from(vec![Some(0), Some(1), Some(1), None, Some(1), Some(0), Some(0)])),
            &format!("{at}000Z\" {at}001Z\" {at}001Z\" null {at}001Z\" {at}000Z\" {at}000Z\" "),
            &format!("{at}000Z\" {at}001Z\" {at}001Z\"  {at}001Z\" {at}000Z\" {at}000Z\" "),
        );
        check(
            Kind::Date,
            Arc::new(TimestampMillisecondArray::from(vec![Some(0)])),
            &format!("{at}Z\" "),
            &format!("{at}Z\" "),
        );
    }
}
