//! Rows on their way into the database, column by column: [`RowBatch`].
//!
//! A NULL is held as the sentinel of the column's type (see [`ColumnType`]): `i32::MIN`, `i64::MIN`, NaN, a text
//! without a value, a symbol without an entry. Storage turns sentinels into Arrow validity when it makes a memtable chunk.

use crate::{ColumnId, ColumnType, Invalid};

/// Values of one column, one entry a row.
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnData {
    Boolean(Vec<bool>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    /// LONG, DATE (milliseconds) and TIMESTAMP (microseconds).
    I64(Vec<i64>),
    F64(Vec<f64>),
    /// STRING and VARCHAR.
    Str(StrColumn),
    Symbol(SymbolColumn),
}

impl ColumnData {
    /// Returns an empty column that holds values of the type.
    pub fn new(column_type: ColumnType) -> ColumnData {
        match column_type {
            ColumnType::Boolean => ColumnData::Boolean(Vec::new()),
            ColumnType::Short => ColumnData::I16(Vec::new()),
            ColumnType::Int => ColumnData::I32(Vec::new()),
            ColumnType::Long | ColumnType::Date | ColumnType::Timestamp => ColumnData::I64(Vec::new()),
            ColumnType::Double => ColumnData::F64(Vec::new()),
            ColumnType::String | ColumnType::Varchar => ColumnData::Str(StrColumn::default()),
            ColumnType::Symbol => ColumnData::Symbol(SymbolColumn::default()),
        }
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        match self {
            ColumnData::Boolean(v) => v.len(),
            ColumnData::I16(v) => v.len(),
            ColumnData::I32(v) => v.len(),
            ColumnData::I64(v) => v.len(),
            ColumnData::F64(v) => v.len(),
            ColumnData::Str(v) => v.len(),
            ColumnData::Symbol(v) => v.codes.len(),
        }
    }

    /// Returns whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends NULL (false or 0 where the type has none).
    pub fn push_null(&mut self) {
        match self {
            ColumnData::Boolean(v) => v.push(false),
            ColumnData::I16(v) => v.push(0),
            ColumnData::I32(v) => v.push(i32::MIN),
            ColumnData::I64(v) => v.push(i64::MIN),
            ColumnData::F64(v) => v.push(f64::NAN),
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
        match self {
            ColumnData::Boolean(v) => v.truncate(rows),
            ColumnData::I16(v) => v.truncate(rows),
            ColumnData::I32(v) => v.truncate(rows),
            ColumnData::I64(v) => v.truncate(rows),
            ColumnData::F64(v) => v.truncate(rows),
            ColumnData::Str(v) => v.truncate(rows),
            ColumnData::Symbol(v) => v.codes.truncate(rows),
        }
    }
}

/// Text values back to back; a NULL has no bytes and its bit set in `nulls`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StrColumn {
    bytes: String,
    ends: Vec<u32>,
    nulls: Vec<bool>,
}

impl StrColumn {
    /// Appends a value.
    pub fn push(&mut self, value: Option<&str>) {
        self.bytes.push_str(value.unwrap_or(""));
        self.ends.push(u32::try_from(self.bytes.len()).expect("a batch holds less than 4 GiB of text"));
        self.nulls.push(value.is_none());
    }

    /// Returns the value of a row.
    pub fn get(&self, row: usize) -> Option<&str> {
        let start = if row == 0 { 0 } else { self.ends[row - 1] as usize };
        (!self.nulls[row]).then(|| &self.bytes[start..self.ends[row] as usize])
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns all values in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        (0..self.len()).map(|row| self.get(row))
    }

    /// Returns the bytes of all values, the end of each value in them, and which are NULL; nothing is copied.
    pub fn into_parts(self) -> (String, Vec<u32>, Vec<bool>) {
        (self.bytes, self.ends, self.nulls)
    }

    fn truncate(&mut self, rows: usize) {
        if rows < self.len() {
            let end = if rows == 0 { 0 } else { self.ends[rows - 1] as usize };
            self.bytes.truncate(end);
            self.ends.truncate(rows);
            self.nulls.truncate(rows);
        }
    }
}

/// Symbol values as codes into the batch's own small dictionary; the log replaces them by the column's codes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SymbolColumn {
    /// Position in `values`, or [`SymbolColumn::NULL`].
    pub codes: Vec<i32>,
    pub values: Vec<String>,
    lookup: std::collections::HashMap<String, i32>,
}

impl SymbolColumn {
    /// The code of NULL.
    pub const NULL: i32 = -1;

    /// Returns a column of codes into a dictionary that lies elsewhere.
    pub fn of_codes(codes: Vec<i32>) -> SymbolColumn {
        SymbolColumn { codes, ..SymbolColumn::default() }
    }

    /// Appends a value.
    pub fn push(&mut self, value: Option<&str>) {
        let code = match value {
            None => Self::NULL,
            Some(text) => self.intern(text),
        };
        self.codes.push(code);
    }

    /// Returns the code of a value, adding it to the batch's dictionary when it is new.
    pub fn intern(&mut self, text: &str) -> i32 {
        if let Some(&code) = self.lookup.get(text) {
            return code;
        }
        let code = self.values.len() as i32;
        self.values.push(text.to_owned());
        self.lookup.insert(text.to_owned(), code);
        code
    }

    /// Returns the value of a row.
    pub fn get(&self, row: usize) -> Option<&str> {
        let code = self.codes[row];
        (code != Self::NULL).then(|| self.values[code as usize].as_str())
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
