//! One column of a batch, ready to be shown row by row: [`Cells`].

use arrow::array::{
    Array, ArrayRef, BooleanArray, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array,
    StringArray, StringViewArray, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
};
use arrow::datatypes::{DataType, TimeUnit};
use query::kind::Kind;
use query::{SqlError, SqlErrorKind};
use wire::{csv, exec_json};

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
    /// Arrays, and kinds that are shown as a text of their own.
    Other(&'a ArrayRef),
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
    Shown(query::Cell),
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
            DataType::Int64 if matches!(kind, Kind::Geohash(_)) => Some(Values::Other(array)),
            DataType::Int64 => any.downcast_ref().map(Values::I64),
            DataType::Float32 => any.downcast_ref().map(Values::F32),
            DataType::Float64 => any.downcast_ref().map(Values::F64),
            DataType::Utf8 => any.downcast_ref().map(Values::Text),
            DataType::Utf8View => any.downcast_ref().map(Values::TextView),
            DataType::Timestamp(TimeUnit::Millisecond, _) => any.downcast_ref().map(Values::Millis),
            DataType::Timestamp(TimeUnit::Microsecond, _) => any.downcast_ref().map(Values::Micros),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => any.downcast_ref().map(Values::Nanos),
            DataType::UInt32 | DataType::FixedSizeBinary(_) | DataType::Binary | DataType::List(_) => {
                Some(Values::Other(array))
            }
            DataType::Decimal128(..) | DataType::Decimal256(..) => Some(Values::Other(array)),
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
            Values::Other(a) => get(a, row, |i| query::read_cell(a, i), Cell::Shown),
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
            // The reference shows no bytes.
            Cell::Shown(query::Cell::Binary(_)) => out.extend_from_slice(b"[]"),
            Cell::Shown(query::Cell::Array(shape, values)) => exec_json::array(out, &shape, &values),
            Cell::Shown(value) => exec_json::string(out, &query::cell_text(&value, self.kind).unwrap_or_default()),
            Cell::Boolean(value) => exec_json::boolean(out, value),
            Cell::Integer(value) if quote_longs && self.kind == Kind::Long => exec_json::quoted_integer(out, value),
            Cell::Integer(value) => exec_json::integer(out, value),
            Cell::F32(value) => exec_json::float(out, value),
            Cell::F64(value) => exec_json::double(out, value),
            Cell::Text(value) => exec_json::string(out, value),
            Cell::Millis(value) => exec_json::date(out, value),
            Cell::Micros(value) => exec_json::timestamp(out, value),
            Cell::Nanos(value) => exec_json::timestamp_ns(out, value),
        }
    }

    /// Appends a value as CSV.
    pub fn csv(&self, out: &mut Vec<u8>, row: usize) {
        match self.cell(row) {
            Cell::Null => match self.kind {
                Kind::Boolean => exec_json::boolean(out, false),
                Kind::Byte | Kind::Short => exec_json::integer(out, 0),
                _ => {}
            },
            Cell::Shown(query::Cell::Array(shape, values)) => {
                out.push(b'"');
                exec_json::array(out, &shape, &values);
                out.push(b'"');
            }
            Cell::Shown(value) => {
                out.extend_from_slice(query::cell_text(&value, self.kind).unwrap_or_default().as_bytes());
            }
            Cell::F32(value) => csv::float(out, value),
            Cell::F64(value) => csv::double(out, value),
            Cell::Text(value) if self.kind == Kind::Char => out.extend_from_slice(value.as_bytes()),
            Cell::Text(value) => csv::string(out, value),
            _ => self.json(out, row, false),
        }
    }
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
