//! Columns that are whole numbers underneath: integers, moments, codes, addresses, truth values.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray,
};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::datatypes::{
    DataType, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt32Type,
};
use datafusion::common::{Result, internal_err};

/// A column as 64-bit numbers.
pub struct Wholes {
    pub values: ScalarBuffer<i64>,
    /// None: no value is NULL.
    pub nulls: Option<NullBuffer>,
}

/// Returns how many bits tell the values of a type apart; None when they are no whole numbers.
pub fn bits_of(data_type: &DataType) -> Option<u32> {
    Some(match data_type {
        DataType::Boolean => 1,
        DataType::Int8 => 8,
        DataType::Int16 => 16,
        DataType::Int32 | DataType::UInt32 => 32,
        DataType::Int64 | DataType::Timestamp(_, None) => 64,
        _ => return None,
    })
}

/// Returns a column of a type that [`bits_of`] knows as whole numbers.
pub fn wholes(array: &ArrayRef) -> Result<Wholes> {
    fn same<T: ArrowPrimitiveType<Native = i64>>(array: &ArrayRef) -> ScalarBuffer<i64> {
        array.as_primitive::<T>().values().clone()
    }
    fn widened<T: ArrowPrimitiveType<Native: Into<i64>>>(array: &ArrayRef) -> ScalarBuffer<i64> {
        array.as_primitive::<T>().values().iter().map(|v| (*v).into()).collect()
    }
    let values = match array.data_type() {
        DataType::Boolean => array.as_boolean().values().iter().map(i64::from).collect(),
        DataType::Int8 => widened::<Int8Type>(array),
        DataType::Int16 => widened::<Int16Type>(array),
        DataType::Int32 => widened::<Int32Type>(array),
        DataType::UInt32 => widened::<UInt32Type>(array),
        DataType::Int64 => same::<Int64Type>(array),
        DataType::Timestamp(TimeUnit::Second, None) => same::<TimestampSecondType>(array),
        DataType::Timestamp(TimeUnit::Millisecond, None) => same::<TimestampMillisecondType>(array),
        DataType::Timestamp(TimeUnit::Microsecond, None) => same::<TimestampMicrosecondType>(array),
        DataType::Timestamp(TimeUnit::Nanosecond, None) => same::<TimestampNanosecondType>(array),
        other => return internal_err!("{other} is no whole number"),
    };
    Ok(Wholes { values, nulls: array.nulls().filter(|nulls| nulls.null_count() > 0).cloned() })
}

/// Returns whole numbers as a column of a type that [`bits_of`] knows.
pub fn column(values: ScalarBuffer<i64>, nulls: Option<NullBuffer>, data_type: &DataType) -> Result<ArrayRef> {
    fn narrowed<T: ArrowPrimitiveType>(
        values: &[i64],
        nulls: Option<NullBuffer>,
        of: impl Fn(i64) -> T::Native,
    ) -> ArrayRef {
        let values = values.iter().map(|v| of(*v)).collect::<Vec<_>>();
        Arc::new(PrimitiveArray::<T>::new(values.into(), nulls))
    }
    Ok(match data_type {
        DataType::Boolean => Arc::new(BooleanArray::new(values.iter().map(|v| *v != 0).collect(), nulls)),
        DataType::Int8 => narrowed::<Int8Type>(&values, nulls, |v| v as i8),
        DataType::Int16 => narrowed::<Int16Type>(&values, nulls, |v| v as i16),
        DataType::Int32 => narrowed::<Int32Type>(&values, nulls, |v| v as i32),
        DataType::UInt32 => narrowed::<UInt32Type>(&values, nulls, |v| v as u32),
        DataType::Int64 => Arc::new(PrimitiveArray::<Int64Type>::new(values, nulls)),
        DataType::Timestamp(TimeUnit::Second, None) => Arc::new(TimestampSecondArray::new(values, nulls)),
        DataType::Timestamp(TimeUnit::Millisecond, None) => Arc::new(TimestampMillisecondArray::new(values, nulls)),
        DataType::Timestamp(TimeUnit::Microsecond, None) => Arc::new(TimestampMicrosecondArray::new(values, nulls)),
        DataType::Timestamp(TimeUnit::Nanosecond, None) => Arc::new(TimestampNanosecondArray::new(values, nulls)),
        other => return internal_err!("{other} is no whole number"),
    })
}
