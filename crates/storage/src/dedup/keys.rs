//! Keys as bytes that compare as the peer orders them: [`KeyColumns::key`].
//!
//! Integers by value; SYMBOL by code, NULL first; text NULL first, then shorter first, then by bytes; floats by their bits
//! as a signed integer (-1, -2, 2, NULL), so that -0.0 and 0.0 are two keys and every NULL is one.

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, downcast_primitive_array};
use arrow_schema::DataType;
use types::{ColumnId, ColumnType};

use crate::arrow_type::absent_column;
use crate::run::OpenRun;
use crate::{Error, Result};

/// The key columns of one source of rows; the designated timestamp, equal in all rows that are compared, is not among them.
pub(super) struct KeyColumns(Vec<ArrayRef>);

impl KeyColumns {
    /// Returns the columns of a run; one that it lacks counts as its default.
    pub fn of_run(run: &OpenRun, keys: &[(ColumnId, ColumnType)]) -> Result<KeyColumns> {
        let column = |(id, column_type): &(ColumnId, ColumnType)| -> Result<ArrayRef> {
            Ok(run.column(*id)?.unwrap_or_else(|| absent_column(*column_type, run.rows())))
        };
        keys.iter().map(column).collect::<Result<_>>().map(KeyColumns)
    }

    pub fn of_arrays(columns: Vec<ArrayRef>) -> KeyColumns {
        KeyColumns(columns)
    }

    /// Returns the key of a row.
    pub fn key(&self, row: usize) -> Result<Vec<u8>> {
        let mut key = Vec::with_capacity(self.0.len() * 9);
        for column in &self.0 {
            put(&mut key, column, row)?;
        }
        Ok(key)
    }
}

/// Begins the key of NULL where it stands first.
const FIRST: u8 = 0;
const PRESENT: u8 = 1;
/// Begins the NULL of floats, which stand last.
const LAST: u8 = 2;

fn put(key: &mut Vec<u8>, array: &ArrayRef, row: usize) -> Result<()> {
    if array.is_null(row) {
        let is_float = matches!(array.data_type(), DataType::Float32 | DataType::Float64);
        key.push(if is_float { LAST } else { FIRST });
        return Ok(());
    }
    match array.data_type() {
        DataType::Boolean => put_signed(key, i64::from(array.as_boolean().value(row))),
        DataType::Float64 => put_signed(key, array.as_primitive::<Float64Type>().value(row).to_bits() as i64),
        DataType::Float32 => {
            put_signed(key, i64::from(array.as_primitive::<Float32Type>().value(row).to_bits() as i32))
        }
        DataType::Utf8 => put_text(key, array.as_string::<i32>().value(row).as_bytes()),
        DataType::Binary => put_text(key, array.as_binary::<i32>().value(row)),
        DataType::FixedSizeBinary(_) => put_text(key, array.as_fixed_size_binary().value(row)),
        _ => put_number(key, array, row)?,
    }
    Ok(())
}

fn put_signed(key: &mut Vec<u8>, value: i64) {
    key.push(PRESENT);
    key.extend_from_slice(&((value as u64) ^ (1 << 63)).to_be_bytes());
}

fn put_text(key: &mut Vec<u8>, bytes: &[u8]) {
    key.push(PRESENT);
    key.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    key.extend_from_slice(bytes);
}

fn put_number(key: &mut Vec<u8>, array: &ArrayRef, row: usize) -> Result<()> {
    fn bytes<T: ArrowPrimitiveType>(array: &arrow_array::PrimitiveArray<T>, row: usize) -> Vec<u8>
    where
        T::Native: arrow_buffer::ToByteSlice,
    {
        let mut bytes = arrow_buffer::ToByteSlice::to_byte_slice(&array.value(row)).to_vec();
        // Little endian in memory; the sign bit turned round, numbers compare as bytes.
        bytes.reverse();
        bytes[0] ^= 0x80;
        bytes
    }
    let array: &dyn Array = array.as_ref();
    let value = downcast_primitive_array!(
        array => bytes(array, row),
        other => return Err(Error::Invalid(format!("values of type {other} cannot be deduplicate keys"))),
    );
    key.push(PRESENT);
    key.extend_from_slice(&value);
    Ok(())
}
