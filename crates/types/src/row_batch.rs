//! Rows on their way into the database, column by column: [`RowBatch`].
//!
//! A NULL is held as the sentinel of the column's type (see [`ColumnType`]): `i32::MIN`, `i64::MIN`, NaN, a text
//! without a value, a symbol without an entry. Storage turns sentinels into Arrow validity when it makes a memtable chunk.

use crate::{ColumnId, ColumnType, Invalid};

mod array_column;
mod packed_column;
mod symbol_column;

pub use array_column::ArrayColumn;
pub use packed_column::{BinaryColumn, PackedColumn, StrColumn};
pub use symbol_column::SymbolColumn;

/// Values of one column, one entry a row.
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnData {
    Boolean(Vec<bool>),
    /// BYTE.
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    /// LONG, DATE (milliseconds), TIMESTAMP (microseconds), TIMESTAMP_NS (nanoseconds) and GEOHASH (its bits).
    I64(Vec<i64>),
    /// CHAR: UTF-16 units.
    U16(Vec<u16>),
    /// IPv4.
    U32(Vec<u32>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    /// UUID, big-endian as it is written.
    Fixed16(Vec<[u8; 16]>),
    /// LONG256, big-endian as it is written.
    Fixed32(Vec<[u8; 32]>),
    /// DECIMAL of up to 38 digits: the number without its point.
    Decimal128(Vec<i128>),
    /// DECIMAL of more digits: the number without its point, big-endian two's complement.
    Decimal256(Vec<[u8; 32]>),
    Binary(BinaryColumn),
    Array(ArrayColumn),
    /// STRING and VARCHAR.
    Str(StrColumn),
    Symbol(SymbolColumn),
}

/// The NULL of UUID: two words of `i64::MIN`.
pub const NULL_FIXED16: [u8; 16] = {
    let mut bytes = [0; 16];
    bytes[0] = 0x80;
    bytes[8] = 0x80;
    bytes
};

/// The NULL of LONG256: four words of `i64::MIN`.
pub const NULL_FIXED32: [u8; 32] = {
    let mut bytes = [0; 32];
    (bytes[0], bytes[8], bytes[16], bytes[24]) = (0x80, 0x80, 0x80, 0x80);
    bytes
};

/// The NULL of a wide DECIMAL: the least number of 256 bits.
pub const NULL_DECIMAL256: [u8; 32] = {
    let mut bytes = [0; 32];
    bytes[0] = 0x80;
    bytes
};

/// Does the same with the values of a column of any kind.
macro_rules! each {
    ($data:expr, $v:ident => $do:expr, $symbols:ident => $do_symbols:expr) => {
        match $data {
            ColumnData::Boolean($v) => $do,
            ColumnData::I8($v) => $do,
            ColumnData::I16($v) => $do,
            ColumnData::I32($v) => $do,
            ColumnData::I64($v) => $do,
            ColumnData::U16($v) => $do,
            ColumnData::U32($v) => $do,
            ColumnData::F32($v) => $do,
            ColumnData::F64($v) => $do,
            ColumnData::Fixed16($v) => $do,
            ColumnData::Fixed32($v) => $do,
            ColumnData::Decimal128($v) => $do,
            ColumnData::Decimal256($v) => $do,
            ColumnData::Binary($v) => $do,
            ColumnData::Array($v) => $do,
            ColumnData::Str($v) => $do,
            ColumnData::Symbol($symbols) => $do_symbols,
        }
    };
}

impl ColumnData {
    /// Returns an empty column that holds values of the type.
    pub fn new(column_type: ColumnType) -> ColumnData {
        match column_type {
            ColumnType::Boolean => ColumnData::Boolean(Vec::new()),
            ColumnType::Byte => ColumnData::I8(Vec::new()),
            ColumnType::Short => ColumnData::I16(Vec::new()),
            ColumnType::Char => ColumnData::U16(Vec::new()),
            ColumnType::Int => ColumnData::I32(Vec::new()),
            ColumnType::Long | ColumnType::Date | ColumnType::Timestamp | ColumnType::TimestampNs => {
                ColumnData::I64(Vec::new())
            }
            ColumnType::Geohash(_) => ColumnData::I64(Vec::new()),
            ColumnType::Float => ColumnData::F32(Vec::new()),
            ColumnType::Double => ColumnData::F64(Vec::new()),
            ColumnType::String | ColumnType::Varchar => ColumnData::Str(StrColumn::default()),
            ColumnType::Symbol => ColumnData::Symbol(SymbolColumn::default()),
            ColumnType::Long256 => ColumnData::Fixed32(Vec::new()),
            ColumnType::Binary => ColumnData::Binary(BinaryColumn::default()),
            ColumnType::Uuid => ColumnData::Fixed16(Vec::new()),
            ColumnType::Ipv4 => ColumnData::U32(Vec::new()),
            ColumnType::Array(dims) => ColumnData::Array(ArrayColumn::new(dims)),
            ColumnType::Decimal { precision: ..=ColumnType::MAX_PRECISION_128, .. } => {
                ColumnData::Decimal128(Vec::new())
            }
            ColumnType::Decimal { .. } => ColumnData::Decimal256(Vec::new()),
        }
    }

    /// Returns whether these are values of the type, as [`ColumnData::new`] would hold them.
    pub fn is_of(&self, column_type: ColumnType) -> bool {
        match (self, ColumnData::new(column_type)) {
            (ColumnData::Array(own), ColumnData::Array(expected)) => own.dims() == expected.dims(),
            (own, expected) => std::mem::discriminant(own) == std::mem::discriminant(&expected),
        }
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        each!(self, v => v.len(), symbols => symbols.codes.len())
    }

    /// Returns whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends NULL (false or 0 where the type has none).
    pub fn push_null(&mut self) {
        match self {
            ColumnData::Boolean(v) => v.push(false),
            ColumnData::I8(v) => v.push(0),
            ColumnData::I16(v) => v.push(0),
            ColumnData::I32(v) => v.push(i32::MIN),
            ColumnData::I64(v) => v.push(i64::MIN),
            ColumnData::U16(v) => v.push(0),
            ColumnData::U32(v) => v.push(0),
            ColumnData::F32(v) => v.push(f32::NAN),
            ColumnData::F64(v) => v.push(f64::NAN),
            ColumnData::Fixed16(v) => v.push(NULL_FIXED16),
            ColumnData::Fixed32(v) => v.push(NULL_FIXED32),
            ColumnData::Decimal128(v) => v.push(i128::MIN),
            ColumnData::Decimal256(v) => v.push(NULL_DECIMAL256),
            ColumnData::Binary(v) => v.push(None),
            ColumnData::Array(v) => v.push_null(),
            ColumnData::Str(v) => v.push(None),
            ColumnData::Symbol(v) => v.codes.push(SymbolColumn::NULL),
        }
    }

    /// Appends NULLs until the column has `rows` rows.
    pub fn pad(&mut self, rows: usize) {
        while self.len() < rows {
            self.push_null();
        }
    }

    /// Cuts the column to `rows` rows, for instance when a later column of a row was refused.
    pub fn truncate(&mut self, rows: usize) {
        each!(self, v => v.truncate(rows), symbols => symbols.codes.truncate(rows))
    }

    /// Returns about how many bytes the values take.
    pub fn size_bytes(&self) -> usize {
        match self {
            ColumnData::Boolean(v) => v.len(),
            ColumnData::I8(v) => v.len(),
            ColumnData::I16(v) => v.len() * 2,
            ColumnData::U16(v) => v.len() * 2,
            ColumnData::I32(v) => v.len() * 4,
            ColumnData::U32(v) => v.len() * 4,
            ColumnData::F32(v) => v.len() * 4,
            ColumnData::I64(v) => v.len() * 8,
            ColumnData::F64(v) => v.len() * 8,
            ColumnData::Fixed16(v) => v.len() * 16,
            ColumnData::Decimal128(v) => v.len() * 16,
            ColumnData::Fixed32(v) => v.len() * 32,
            ColumnData::Decimal256(v) => v.len() * 32,
            ColumnData::Binary(v) => v.size_bytes(),
            ColumnData::Array(v) => v.size_bytes(),
            ColumnData::Str(v) => v.size_bytes(),
            ColumnData::Symbol(v) => v.size_bytes(),
        }
    }
}

/// One column of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub id: ColumnId,
    pub data: ColumnData,
}

/// Rows of one table. Columns of the table that are absent are NULL in every row.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RowBatch {
    rows: usize,
    columns: Vec<Column>,
}

impl RowBatch {
    /// Returns a batch of columns of equal length.
    ///
    /// # Errors
    /// Columns of different lengths, or one id twice.
    pub fn new(rows: usize, columns: Vec<Column>) -> Result<RowBatch, Invalid> {
        for (i, column) in columns.iter().enumerate() {
            if column.data.len() != rows {
                return Err(Invalid(format!("column {} has {} rows, the batch {rows}", column.id, column.data.len())));
            }
            if columns[..i].iter().any(|c| c.id == column.id) {
                return Err(Invalid(format!("column {} stands twice in a batch", column.id)));
            }
        }
        Ok(RowBatch { rows, columns })
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns how many bytes the values take in memory.
    pub fn size_bytes(&self) -> usize {
        self.columns.iter().map(|column| column.data.size_bytes()).sum()
    }

    /// Returns the columns present.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Returns the column of that id, if present.
    pub fn column(&self, id: ColumnId) -> Option<&ColumnData> {
        self.columns.iter().find(|c| c.id == id).map(|c| &c.data)
    }

    /// Returns the columns, giving up the batch.
    pub fn into_columns(self) -> Vec<Column> {
        self.columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_keeps_null_apart_from_empty() {
        let mut column = StrColumn::default();
        for value in [Some("a"), None, Some(""), Some("日")] {
            column.push(value);
        }
        assert_eq!(column.iter().collect::<Vec<_>>(), [Some("a"), None, Some(""), Some("日")]);
        column.truncate(2);
        column.push(Some("b"));
        assert_eq!(column.iter().collect::<Vec<_>>(), [Some("a"), None, Some("b")]);
    }

    #[test]
    fn batches_of_uneven_columns_are_refused() {
        let column = |id, rows| Column { id: ColumnId(id), data: ColumnData::I64(vec![0; rows]) };
        assert!(RowBatch::new(2, vec![column(1, 2), column(2, 2)]).is_ok());
        assert!(RowBatch::new(2, vec![column(1, 2), column(2, 1)]).is_err());
        assert!(RowBatch::new(2, vec![column(1, 2), column(1, 2)]).is_err());
    }
}
