//! DOUBLE[] columns: boxes of doubles as nested Arrow lists, and back. A box is a shape and its values in row-major order.
//!
//! Only whole boxes are NULL, never a list inside one; an element that is NULL has no validity. Of a box without values
//! the inner lengths are not kept.

use std::sync::Arc;

use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array, ListArray, cast::AsArray};
use arrow_buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use types::ArrayColumn;

use crate::arrow_type::item_field;
use crate::{Error, Result};

/// Returns the boxes as nested lists.
///
/// # Errors
/// `Invalid` when there are 2^31 elements.
pub fn to_lists(column: &ArrayColumn) -> Result<ArrayRef> {
    if column.values().len() > i32::MAX as usize {
        return Err(Error::Invalid("2^31 elements of arrays in one column: send fewer rows at once".to_owned()));
    }
    let mut offsets: Vec<Vec<i32>> = vec![vec![0]; column.dims()];
    for row in column.iter() {
        let Some((shape, _)) = row else {
            let end = offsets[0][offsets[0].len() - 1];
            offsets[0].push(end);
            continue;
        };
        let mut lists = 1;
        for (level, &len) in offsets.iter_mut().zip(shape) {
            for _ in 0..lists {
                let end = i64::from(level[level.len() - 1]) + i64::from(len);
                let end = i32::try_from(end).map_err(|_| Error::Invalid("an array is too long".to_owned()))?;
                level.push(end);
            }
            lists *= len as usize;
        }
    }
    let values = column.values().iter().map(|x| x.is_finite().then_some(*x));
    let mut array: ArrayRef = Arc::new(values.collect::<Float64Array>());
    for (level, ends) in offsets.into_iter().enumerate().rev() {
        let nulls = (level == 0).then(|| BooleanBuffer::collect_bool(column.len(), |row| column.get(row).is_some()));
        let nulls = nulls.map(NullBuffer::new).filter(|n| n.null_count() > 0);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
        let list = ListArray::try_new(item_field(array.data_type().clone()), offsets, array, nulls);
        array = Arc::new(list.map_err(|e| Error::Invalid(format!("arrays are broken: {e}")))?);
    }
    Ok(array)
}

/// Returns the number of dimensions of nested lists; 0 for anything else.
pub fn dims(array: &dyn Array) -> usize {
    array.as_list_opt::<i32>().map_or(0, |list| 1 + dims(list.values()))
}

/// Returns shape and values of a row, an element that is NULL as NaN; None when the row is NULL.
pub fn get(array: &dyn Array, row: usize) -> Option<(Vec<u32>, Vec<f64>)> {
    if array.is_null(row) {
        return None;
    }
    let mut shape = Vec::new();
    let (mut values, mut range) = (array, row..row + 1);
    while let Some(list) = values.as_list_opt::<i32>() {
        // All lists of a level have one length: the first one tells it.
        shape.push(if range.is_empty() { 0 } else { list.value_length(range.start) as u32 });
        let offsets = list.value_offsets();
        range = offsets[range.start] as usize..offsets[range.end] as usize;
        values = list.values();
    }
    let values = values.as_primitive_opt::<Float64Type>()?;
    let elements = range.map(|i| if values.is_null(i) { f64::NAN } else { values.value(i) });
    Some((shape, elements.collect()))
}

/// Returns the number of values in all boxes; None for an array that is not of lists.
pub(super) fn element_count(array: &dyn Array) -> Option<usize> {
    let list = array.as_list_opt::<i32>()?;
    let offsets = list.value_offsets();
    let inner = list.values().slice(offsets[0] as usize, (offsets[list.len()] - offsets[0]) as usize);
    Some(element_count(&inner).unwrap_or(inner.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_come_back_with_their_shapes() {
        let mut column = ArrayColumn::new(3);
        assert!(column.push(&[2, 1, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        column.push_null();
        assert!(column.push(&[0, 0, 0], &[]) && column.push(&[1, 2, 1], &[7.0, 8.0]));
        let lists = to_lists(&column).unwrap();
        lists.to_data().validate_full().unwrap();
        assert_eq!((lists.len(), lists.null_count(), dims(&lists), element_count(&lists)), (4, 1, 3, Some(8)));
        for row in 0..4 {
            let expected = column.get(row).map(|(shape, values)| (shape.to_vec(), values.to_vec()));
            assert_eq!(get(&lists, row), expected);
        }
        assert_eq!(get(&lists.slice(3, 1), 0), Some((vec![1, 2, 1], vec![7.0, 8.0])));
        assert_eq!(element_count(&lists.slice(3, 1)), Some(2));
    }
}
