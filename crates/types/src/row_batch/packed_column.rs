//! Values of any length, back to back in one buffer: [`BinaryColumn`] and [`StrColumn`].

use std::ops::Range;

/// Bytes, for BINARY.
pub type BinaryColumn = PackedColumn<Vec<u8>>;
/// Text, for STRING and VARCHAR.
pub type StrColumn = PackedColumn<String>;

/// Values back to back in a buffer; a NULL has no bytes there and its bit set in `nulls`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PackedColumn<B> {
    bytes: B,
    ends: Vec<u32>,
    nulls: Vec<bool>,
}

/// A buffer that values are appended to.
pub trait Buffer {
    type Value: ?Sized;
    fn append(&mut self, value: &Self::Value);
    fn len_bytes(&self) -> usize;
    fn cut(&mut self, len_bytes: usize);
    fn value(&self, place: Range<usize>) -> &Self::Value;
}

impl Buffer for Vec<u8> {
    type Value = [u8];

    fn append(&mut self, value: &[u8]) {
        self.extend_from_slice(value);
    }

    fn len_bytes(&self) -> usize {
        self.len()
    }

    fn cut(&mut self, len_bytes: usize) {
        self.truncate(len_bytes);
    }

    fn value(&self, place: Range<usize>) -> &[u8] {
        &self[place]
    }
}

impl Buffer for String {
    type Value = str;

    fn append(&mut self, value: &str) {
        self.push_str(value);
    }

    fn len_bytes(&self) -> usize {
        self.len()
    }

    fn cut(&mut self, len_bytes: usize) {
        self.truncate(len_bytes);
    }

    fn value(&self, place: Range<usize>) -> &str {
        &self[place]
    }
}

impl<B: Buffer> PackedColumn<B> {
    /// Appends a value.
    pub fn push(&mut self, value: Option<&B::Value>) {
        if let Some(value) = value {
            self.bytes.append(value);
        }
        self.ends.push(u32::try_from(self.bytes.len_bytes()).expect("a batch holds less than 4 GiB of values"));
        self.nulls.push(value.is_none());
    }

    /// Returns the value of a row.
    pub fn get(&self, row: usize) -> Option<&B::Value> {
        (!self.nulls[row]).then(|| self.bytes.value(self.start(row)..self.ends[row] as usize))
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
    pub fn iter(&self) -> impl Iterator<Item = Option<&B::Value>> + Clone {
        (0..self.len()).map(|row| self.get(row))
    }

    /// Returns the bytes of all values, the end of each value in them, and which are NULL; nothing is copied.
    pub fn into_parts(self) -> (B, Vec<u32>, Vec<bool>) {
        (self.bytes, self.ends, self.nulls)
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.ends.len() * 4 + self.bytes.len_bytes()
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        if rows < self.len() {
            self.bytes.cut(self.start(rows));
            self.ends.truncate(rows);
            self.nulls.truncate(rows);
        }
    }

    fn start(&self, row: usize) -> usize {
        if row == 0 { 0 } else { self.ends[row - 1] as usize }
    }
}
