//! Arrays of doubles on their way into the database: [`ArrayColumn`].

/// Boxes of doubles, each row with the lengths of its dimensions; values lie in row-major order, NaN is NULL.
#[derive(Debug, Clone)]
pub struct ArrayColumn {
    dims: u8,
    /// `dims` lengths a row; a NULL row has zeros.
    shapes: Vec<u32>,
    nulls: Vec<bool>,
    values: Vec<f64>,
    /// End of each row in `values`.
    ends: Vec<usize>,
}

/// Equal are values of the same bits: NaN is a NULL like any other.
impl PartialEq for ArrayColumn {
    fn eq(&self, other: &ArrayColumn) -> bool {
        let bits = |v: &[f64]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        (self.dims, &self.shapes, &self.nulls) == (other.dims, &other.shapes, &other.nulls)
            && bits(&self.values) == bits(&other.values)
    }
}

impl ArrayColumn {
    /// Returns an empty column of arrays of so many dimensions.
    pub fn new(dims: u8) -> ArrayColumn {
        ArrayColumn { dims, shapes: Vec::new(), nulls: Vec::new(), values: Vec::new(), ends: Vec::new() }
    }

    /// Returns the number of dimensions.
    pub fn dims(&self) -> usize {
        self.dims as usize
    }

    /// Appends an array: the length of each dimension, and the values in row-major order. Returns false, and appends
    /// nothing, when there are more or fewer dimensions, or more or fewer values than the lengths say.
    #[must_use]
    pub fn push(&mut self, shape: &[u32], values: &[f64]) -> bool {
        let count = shape.iter().try_fold(1usize, |n, &len| n.checked_mul(len as usize));
        if shape.len() != self.dims() || count != Some(values.len()) {
            return false;
        }
        self.shapes.extend_from_slice(shape);
        self.values.extend_from_slice(values);
        self.nulls.push(false);
        self.ends.push(self.values.len());
        true
    }

    /// Appends NULL.
    pub fn push_null(&mut self) {
        self.shapes.resize(self.shapes.len() + self.dims(), 0);
        self.nulls.push(true);
        self.ends.push(self.values.len());
    }

    /// Returns lengths and values of a row; None for NULL.
    pub fn get(&self, row: usize) -> Option<(&[u32], &[f64])> {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        let shape = &self.shapes[row * self.dims()..(row + 1) * self.dims()];
        (!self.nulls[row]).then(|| (shape, &self.values[start..self.ends[row]]))
    }

    /// Returns all rows in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<(&[u32], &[f64])>> {
        (0..self.len()).map(|row| self.get(row))
    }

    /// Returns the values of all rows back to back.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.nulls.len()
    }

    /// Returns whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.nulls.is_empty()
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.nulls.len() + self.shapes.len() * 4 + self.values.len() * 8
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        if rows < self.len() {
            self.values.truncate(if rows == 0 { 0 } else { self.ends[rows - 1] });
            self.shapes.truncate(rows * self.dims());
            self.nulls.truncate(rows);
            self.ends.truncate(rows);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_own_lengths() {
        let mut column = ArrayColumn::new(2);
        assert!(column.push(&[2, 1], &[1.0, 2.0]) && column.push(&[0, 3], &[]));
        column.push_null();
        assert!(!column.push(&[2], &[1.0, 2.0]) && !column.push(&[2, 2], &[1.0]));
        assert_eq!(column.get(0), Some((&[2, 1][..], &[1.0, 2.0][..])));
        assert_eq!(column.get(1), Some((&[0, 3][..], &[][..])));
        assert_eq!((column.get(2), column.len()), (None, 3));
        column.truncate(1);
        assert!(column.push(&[1, 1], &[f64::NAN]));
        assert_eq!((column.len(), column.values().len()), (2, 3));
    }
}
