//! From the values of a batch to Arrow arrays: [`to_arrow`]. Sentinels become validity; numbers are moved, not copied.

use std::sync::Arc;

use arrow_array::types::*;
use arrow_array::{ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, FixedSizeBinaryArray};
use arrow_array::{PrimitiveArray, StringArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer, i256};
use types::row_batch::{NULL_DECIMAL256, NULL_FIXED16, NULL_FIXED32};
use types::{ColumnData, ColumnType};

use super::{MAX_TEXT_BYTES, boxes};
use crate::arrow_type::arrow_type;
use crate::{Error, Result};

/// Turns one column into Arrow; sentinels become validity.
///
/// # Errors
/// `Invalid` when the column holds 2 GiB of text or bytes, or as many elements of arrays.
pub fn to_arrow(column_type: ColumnType, data: ColumnData) -> Result<ArrayRef> {
    Ok(match data {
        ColumnData::Boolean(v) => Arc::new(BooleanArray::new(BooleanBuffer::from(v), None)),
        ColumnData::I8(v) => primitive::<Int8Type>(v, |_| false),
        ColumnData::I16(v) => primitive::<Int16Type>(v, |_| false),
        ColumnData::I32(v) => primitive::<Int32Type>(v, |&x| x == i32::MIN),
        ColumnData::U16(v) => primitive::<UInt16Type>(v, |&x| x == 0),
        ColumnData::U32(v) => primitive::<UInt32Type>(v, |&x| x == 0),
        ColumnData::I64(v) => match column_type {
            ColumnType::Date => primitive::<TimestampMillisecondType>(v, |&x| x == i64::MIN),
            ColumnType::Timestamp => primitive::<TimestampMicrosecondType>(v, |&x| x == i64::MIN),
            ColumnType::TimestampNs => primitive::<TimestampNanosecondType>(v, |&x| x == i64::MIN),
            ColumnType::Geohash(_) => primitive::<Int64Type>(v, |&x| x < 0),
            _ => primitive::<Int64Type>(v, |&x| x == i64::MIN),
        },
        ColumnData::F32(v) => primitive::<Float32Type>(v, |x| !x.is_finite()),
        ColumnData::F64(v) => primitive::<Float64Type>(v, |x| !x.is_finite()),
        ColumnData::Decimal128(v) => {
            let values = v.into_iter().map(|x| (x != i128::MIN).then_some(x));
            Arc::new(values.collect::<PrimitiveArray<Decimal128Type>>().with_data_type(arrow_type(column_type)))
        }
        ColumnData::Decimal256(v) => {
            let values = v.into_iter().map(|x| (x != NULL_DECIMAL256).then(|| i256::from_be_bytes(x)));
            Arc::new(values.collect::<PrimitiveArray<Decimal256Type>>().with_data_type(arrow_type(column_type)))
        }
        ColumnData::Fixed16(v) => fixed(v, &NULL_FIXED16),
        ColumnData::Fixed32(v) => fixed(v, &NULL_FIXED32),
        ColumnData::Binary(v) => {
            let (offsets, bytes, nulls) = variable(v.into_parts())?;
            Arc::new(BinaryArray::try_new(offsets, bytes, nulls).map_err(broken)?)
        }
        ColumnData::Str(v) => {
            let (text, ends, nulls) = v.into_parts();
            let (offsets, bytes, nulls) = variable((text.into_bytes(), ends, nulls))?;
            Arc::new(StringArray::try_new(offsets, bytes, nulls).map_err(broken)?)
        }
        ColumnData::Array(v) => boxes::to_lists(&v)?,
        ColumnData::Symbol(v) => primitive::<Int32Type>(v.codes, |&x| x < 0),
    })
}

fn broken(e: arrow_schema::ArrowError) -> Error {
    Error::Invalid(format!("column is broken: {e}"))
}

fn validity(rows: usize, is_null: impl Fn(usize) -> bool) -> Option<NullBuffer> {
    (0..rows).any(&is_null).then(|| NullBuffer::new(BooleanBuffer::collect_bool(rows, |row| !is_null(row))))
}

fn primitive<T: ArrowPrimitiveType>(values: Vec<T::Native>, is_null: impl Fn(&T::Native) -> bool) -> ArrayRef {
    let nulls = validity(values.len(), |row| is_null(&values[row]));
    Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls))
}

fn fixed<const N: usize>(values: Vec<[u8; N]>, null: &[u8; N]) -> ArrayRef {
    let nulls = validity(values.len(), |row| values[row] == *null);
    Arc::new(FixedSizeBinaryArray::new(N as i32, Buffer::from_vec(values.into_flattened()), nulls))
}

fn variable(parts: (Vec<u8>, Vec<u32>, Vec<bool>)) -> Result<(OffsetBuffer<i32>, Buffer, Option<NullBuffer>)> {
    let (bytes, mut ends, nulls) = parts;
    if bytes.len() > MAX_TEXT_BYTES {
        return Err(Error::Invalid("2 GiB of text in one column: send fewer rows at once".to_owned()));
    }
    ends.insert(0, 0);
    let offsets = OffsetBuffer::new(ScalarBuffer::<i32>::from(Buffer::from_vec(ends)));
    let nulls = nulls.contains(&true).then(|| NullBuffer::new(!&BooleanBuffer::from(nulls)));
    Ok((offsets, Buffer::from_vec(bytes), nulls))
}
