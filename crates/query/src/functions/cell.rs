//! One value of any kind, for functions that go row by row: [`Cell`], [`reader`], [`build`].
//!
//! Numbers, texts and moments have faster columns in [`super::kernel`]; this is for the kinds that are looked at whole.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, UInt32Type, i256,
};
use storage::chunk::{boxes, to_arrow};
use types::{ColumnData, ColumnType};

use super::kernel::{Args, text_column};
use crate::error::SqlError;
use crate::kind::Kind;

/// A value without its kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Null,
    Boolean(bool),
    /// BYTE, SHORT, INT, LONG, a moment in its own unit, the bits of a GEOHASH.
    Whole(i64),
    Float(f32),
    Double(f64),
    /// Any text; CHAR.
    Text(String),
    Uuid([u8; 16]),
    Ipv4(u32),
    Long256([u8; 32]),
    Binary(Vec<u8>),
    /// Lengths and values in row-major order; NaN is NULL.
    Array(Vec<u32>, Vec<f64>),
    /// The number without its point.
    Decimal(i256),
}

/// Returns what reads the values of argument `i`.
pub fn reader(args: &Args, i: usize) -> impl Fn(usize) -> Cell + use<> {
    let array = args.array(i);
    move |row| read(&array, row)
}

/// Returns the value of a row.
pub fn read(array: &dyn Array, row: usize) -> Cell {
    macro_rules! number {
        ($T:ty) => {
            array.as_primitive::<$T>().value(row)
        };
    }
    if array.is_null(row) {
        return Cell::Null;
    }
    match array.data_type() {
        DataType::Boolean => Cell::Boolean(array.as_boolean().value(row)),
        DataType::Int8 => Cell::Whole(number!(Int8Type).into()),
        DataType::Int16 => Cell::Whole(number!(Int16Type).into()),
        DataType::Int32 => Cell::Whole(number!(Int32Type).into()),
        DataType::Int64 => Cell::Whole(number!(Int64Type)),
        DataType::UInt32 => Cell::Ipv4(number!(UInt32Type)),
        DataType::Float32 => Cell::Float(number!(Float32Type)),
        DataType::Float64 => Cell::Double(number!(Float64Type)),
        DataType::Timestamp(TimeUnit::Millisecond, _) => Cell::Whole(number!(TimestampMillisecondType)),
        DataType::Timestamp(TimeUnit::Microsecond, _) => Cell::Whole(number!(TimestampMicrosecondType)),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => Cell::Whole(number!(TimestampNanosecondType)),
        DataType::Decimal128(..) => Cell::Decimal(i256::from_i128(number!(Decimal128Type))),
        DataType::Decimal256(..) => Cell::Decimal(number!(Decimal256Type)),
        DataType::Utf8View => Cell::Text(array.as_string_view().value(row).to_owned()),
        DataType::Utf8 => Cell::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::Binary => Cell::Binary(array.as_binary::<i32>().value(row).to_owned()),
        DataType::FixedSizeBinary(_) => match array.as_fixed_size_binary().value(row) {
            bytes if bytes.len() == 16 => bytes.try_into().map_or(Cell::Null, Cell::Uuid),
            bytes => bytes.try_into().map_or(Cell::Null, Cell::Long256),
        },
        DataType::List(_) => boxes::get(array, row).map_or(Cell::Null, |(shape, values)| Cell::Array(shape, values)),
        _ => Cell::Null,
    }
}

/// Returns a column of the kind, one value a row.
///
/// # Errors
/// The first error of `value`; 2 GiB of text or bytes in one batch.
pub fn build(
    kind: Kind,
    rows: usize,
    mut value: impl FnMut(usize) -> Result<Cell, SqlError>,
) -> Result<ArrayRef, SqlError> {
    if kind.arrow() == DataType::Utf8View {
        let cells = (0..rows).map(&mut value).collect::<Result<Vec<_>, _>>()?;
        return Ok(text_column(rows, |row| match &cells[row] {
            Cell::Text(text) => Some(text.as_str()),
            _ => None,
        }));
    }
    let column_type = kind.column_type().unwrap_or(ColumnType::Varchar);
    let mut data = ColumnData::new(column_type);
    for row in 0..rows {
        push(&mut data, value(row)?)?;
    }
    to_arrow(column_type, data).map_err(|e| SqlError::from_storage(&e))
}

/// Appends a value to a column of its kind.
///
/// # Errors
/// A value of another kind: a defect of the plan.
pub fn push(data: &mut ColumnData, cell: Cell) -> Result<(), SqlError> {
    let narrow = || SqlError::internal("a value is wider than its column");
    match (data, cell) {
        (data, Cell::Null) => data.push_null(),
        (ColumnData::Boolean(v), Cell::Boolean(value)) => v.push(value),
        (ColumnData::I8(v), Cell::Whole(n)) => v.push(i8::try_from(n).map_err(|_| narrow())?),
        (ColumnData::I16(v), Cell::Whole(n)) => v.push(i16::try_from(n).map_err(|_| narrow())?),
        (ColumnData::I32(v), Cell::Whole(n)) => v.push(i32::try_from(n).map_err(|_| narrow())?),
        (ColumnData::I64(v), Cell::Whole(n)) => v.push(n),
        (ColumnData::F32(v), Cell::Float(x)) => v.push(x),
        (ColumnData::F64(v), Cell::Double(x)) => v.push(x),
        (ColumnData::U16(v), Cell::Text(text)) => v.push(text.encode_utf16().next().unwrap_or(0)),
        (ColumnData::U32(v), Cell::Ipv4(address)) => v.push(address),
        (ColumnData::Fixed16(v), Cell::Uuid(bytes)) => v.push(bytes),
        (ColumnData::Fixed32(v), Cell::Long256(bytes)) => v.push(bytes),
        (ColumnData::Decimal128(v), Cell::Decimal(number)) => v.push(number.to_i128().ok_or_else(narrow)?),
        (ColumnData::Decimal256(v), Cell::Decimal(number)) => v.push(number.to_be_bytes()),
        (ColumnData::Binary(v), Cell::Binary(bytes)) => v.push(Some(&bytes)),
        (ColumnData::Array(v), Cell::Array(shape, values)) => {
            let shape = if values.is_empty() { vec![0; v.dims()] } else { shape };
            if !v.push(&shape, &values) {
                return Err(SqlError::internal("an array has other dimensions than its column"));
            }
        }
        (ColumnData::Str(v), Cell::Text(text)) => v.push(Some(&text)),
        (ColumnData::Symbol(v), Cell::Text(text)) => v.push(Some(&text)),
        (_, cell) => return Err(SqlError::internal(format!("{cell:?} was planned for a column of another type"))),
    }
    Ok(())
}
