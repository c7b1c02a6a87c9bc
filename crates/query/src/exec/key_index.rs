//! Distinct key combinations, numbered in order of first appearance.
//!
//! Keys are compared as bytes of arrow's row format: NULL equals NULL and nothing else, '' is not NULL, -0.0 and 0.0 are
//! two keys. It holds one copy of each key, charged to its reservation.

use std::collections::HashMap;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryReservation;

/// What one entry of the map costs beside the bytes of its key.
const ENTRY_BYTES: usize = 64;

/// The numbers of all keys seen so far.
pub struct KeyIndex {
    /// `None` when there are no key columns: then every row has key 0.
    converter: Option<RowConverter>,
    numbers: HashMap<Box<[u8]>, usize>,
    reservation: MemoryReservation,
}

/// The keys of one batch, ready to be looked up.
pub struct BatchKeys {
    rows: Option<Rows>,
}

impl KeyIndex {
    /// Returns an empty index over key columns of these types.
    pub fn try_new(types: Vec<DataType>, reservation: MemoryReservation) -> Result<KeyIndex> {
        let converter = match types.is_empty() {
            true => None,
            false => Some(RowConverter::new(types.into_iter().map(SortField::new).collect())?),
        };
        Ok(KeyIndex { converter, numbers: HashMap::new(), reservation })
    }

    /// Returns the keys of the rows of `columns`.
    pub fn read(&self, columns: &[ArrayRef]) -> Result<BatchKeys> {
        let rows = self.converter.as_ref().map(|converter| converter.convert_columns(columns)).transpose()?;
        Ok(BatchKeys { rows })
    }

    /// Returns the number of the key in `row`, or `None` if it was never added.
    pub fn find(&self, keys: &BatchKeys, row: usize) -> Option<usize> {
        match &keys.rows {
            Some(rows) => self.numbers.get(rows.row(row).as_ref()).copied(),
            None => Some(0),
        }
    }

    /// Returns the number of the key in `row`; a new key gets the next number. An error when the memory pool is full.
    pub fn add(&mut self, keys: &BatchKeys, row: usize) -> Result<usize> {
        let Some(rows) = &keys.rows else { return Ok(0) };
        let row = rows.row(row);
        let bytes: &[u8] = row.as_ref();
        if let Some(number) = self.numbers.get(bytes) {
            return Ok(*number);
        }
        self.reservation.try_grow(bytes.len() + ENTRY_BYTES)?;
        let number = self.numbers.len();
        self.numbers.insert(bytes.into(), number);
        Ok(number)
    }
}
