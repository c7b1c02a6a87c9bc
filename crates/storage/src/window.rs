//! Mapped files as Arrow buffers, and ranges of an array's rows that are charged with these rows only: [`window`].
//!
//! A slice of an Arrow array shares its buffers, and whoever counts memory by buffers (ORDER BY and joins of the query
//! engine) counts the whole of them for each slice. Here every range gets buffers that are allocations of their own over the
//! same bytes. Nothing is copied but the offsets of text, 4 bytes a row. All use of memory that Arrow did not allocate is here.

use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::ptr::NonNull;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, FixedSizeBinaryArray, ListArray};
use arrow_array::{PrimitiveArray, StringArray, cast::AsArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;

use crate::arrow_type::by_primitive;
use crate::env::fs::Mapped;

/// Returns some rows of a stored column.
///
/// # Panics
/// When `offset + len` is beyond the rows.
pub fn window(array: &ArrayRef, offset: usize, len: usize) -> ArrayRef {
    let inside = offset.checked_add(len).is_some_and(|end| end <= array.len());
    assert!(inside, "rows {offset} and {len} more of {}", array.len());
    if len == array.len() && !is_slice(array) {
        return array.clone();
    }
    match array.data_type() {
        DataType::Boolean => {
            let flags = array.as_boolean();
            Arc::new(BooleanArray::new(bits(flags.values(), offset, len), nulls(array, offset, len)))
        }
        DataType::Utf8 => text(array, offset, len),
        DataType::Binary => bytes(array, offset, len),
        DataType::FixedSizeBinary(width) => fixed(array, *width, offset, len),
        DataType::List(item) => {
            let list = array.as_list::<i32>();
            let (offsets, inner) = moved(&list.value_offsets()[offset..=offset + len]);
            let values = window(list.values(), inner.start, inner.len());
            Arc::new(ListArray::new(item.clone(), offsets, values, nulls(array, offset, len)))
        }
        numbers => by_primitive!(numbers, P => primitive::<P>(array, offset, len), array.slice(offset, len)),
    }
}

/// Returns whether an array is charged with much more than its rows.
fn is_slice(array: &ArrayRef) -> bool {
    let fair = array.to_data().get_slice_memory_size().unwrap_or(0);
    array.get_buffer_memory_size() > 2 * fair + 64
}

/// Returns the bytes of a mapped file as a buffer, which keeps the map alive.
pub fn mapped_buffer(map: Mapped) -> Buffer {
    let bytes: &[u8] = &map;
    let (start, len) = (NonNull::from(bytes).cast::<u8>(), bytes.len());
    // SAFETY: the owner keeps the map, which does not move when its handle does, and nobody writes to a mapped file.
    unsafe { Buffer::from_custom_allocation(start, len, Arc::new(AssertUnwindSafe(map))) }
}

/// Returns a range of a buffer as an allocation of its own, which keeps the buffer alive.
///
/// # Panics
/// When the range is not within the buffer.
pub fn part(buffer: &Buffer, bytes: Range<usize>) -> Buffer {
    let slice = &buffer.as_slice()[bytes];
    let owner = Arc::new(AssertUnwindSafe(buffer.clone()));
    // SAFETY: the bytes belong to the buffer, which the owner keeps alive, and buffers never change.
    unsafe { Buffer::from_custom_allocation(NonNull::from(slice).cast::<u8>(), slice.len(), owner) }
}

fn bits(bits: &BooleanBuffer, offset: usize, len: usize) -> BooleanBuffer {
    let start = bits.offset() + offset;
    BooleanBuffer::new(part(bits.inner(), start / 8..(start + len).div_ceil(8)), start % 8, len)
}

fn nulls(array: &dyn Array, offset: usize, len: usize) -> Option<NullBuffer> {
    let nulls = array.nulls()?;
    Some(NullBuffer::new(bits(nulls.inner(), offset, len))).filter(|n| n.null_count() > 0)
}

fn primitive<T: ArrowPrimitiveType>(array: &ArrayRef, offset: usize, len: usize) -> ArrayRef {
    let width = size_of::<T::Native>();
    let values = part(array.as_primitive::<T>().values().inner(), offset * width..(offset + len) * width);
    let numbers = PrimitiveArray::<T>::new(ScalarBuffer::new(values, 0, len), nulls(array, offset, len));
    Arc::new(numbers.with_data_type(array.data_type().clone()))
}

fn fixed(array: &ArrayRef, width: i32, offset: usize, len: usize) -> ArrayRef {
    let bytes = width as usize;
    let values = part(array.as_fixed_size_binary().values(), offset * bytes..(offset + len) * bytes);
    Arc::new(FixedSizeBinaryArray::new(width, values, nulls(array, offset, len)))
}

/// Returns the offsets as of values that begin with the first, and which values those are.
fn moved(offsets: &[i32]) -> (OffsetBuffer<i32>, Range<usize>) {
    let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
    let moved: ScalarBuffer<i32> = offsets.iter().map(|o| o - first).collect();
    // SAFETY: a valid array's offsets rise; all were moved by the same amount, to begin with 0.
    (unsafe { OffsetBuffer::new_unchecked(moved) }, first as usize..last as usize)
}

fn bytes(array: &ArrayRef, offset: usize, len: usize) -> ArrayRef {
    let array = array.as_binary::<i32>();
    let (offsets, inner) = moved(&array.value_offsets()[offset..=offset + len]);
    let values = part(array.values(), inner);
    Arc::new(BinaryArray::new(offsets, values, nulls(array, offset, len)))
}

fn text(array: &ArrayRef, offset: usize, len: usize) -> ArrayRef {
    let array = array.as_string::<i32>();
    let (offsets, inner) = moved(&array.value_offsets()[offset..=offset + len]);
    let values = part(array.values(), inner);
    let nulls = nulls(array, offset, len);
    // SAFETY: a valid array's offsets fall between characters; all were moved by the same amount as the text.
    Arc::new(unsafe { StringArray::new_unchecked(offsets, values, nulls) })
}

#[cfg(test)]
mod tests {
    use arrow_array::new_null_array;
    use arrow_array::types::*;
    use types::ColumnType;

    use super::*;
    use crate::arrow_type::arrow_type;

    /// Every window equals the slice of the same rows and is charged for no more than they need.
    fn check(array: ArrayRef) {
        for (offset, len) in [(0, 1), (0, 100), (1, 7), (8, 16), (13, 60), (99, 1), (100, 0), (37, 0)] {
            for array in [array.clone(), array.slice(5, 100)] {
                let got = window(&array, offset, len);
                assert_eq!(&got, &array.slice(offset, len), "{} {offset}+{len}", array.data_type());
                got.to_data().validate_full().unwrap();
                let fair = 40 * len + 64;
                assert!(got.get_buffer_memory_size() <= fair, "{}: {}", got.data_type(), got.get_buffer_memory_size());
            }
        }
        assert!(Arc::ptr_eq(&window(&array, 0, array.len()), &array));
    }

    #[test]
    fn windows_equal_slices_and_are_charged_alone() {
        let n = 1000i64;
        let some = |i: i64| (i % 7 != 3).then_some(i);
        check(Arc::new((0..n).map(some).collect::<PrimitiveArray<Int64Type>>()));
        check(Arc::new((0..n).map(some).collect::<PrimitiveArray<TimestampMicrosecondType>>()));
        check(Arc::new((0..n).map(some).collect::<PrimitiveArray<TimestampMillisecondType>>()));
        check(Arc::new((0..n).map(|i| some(i).map(|i| i as i32)).collect::<PrimitiveArray<Int32Type>>()));
        check(Arc::new((0..n).map(|i| some(i).map(|i| i as f64)).collect::<PrimitiveArray<Float64Type>>()));
        check(Arc::new((0..n as i16).map(Some).collect::<PrimitiveArray<Int16Type>>()));
        check(Arc::new((0..n).map(|i| Some(i % 3 == 0)).collect::<BooleanArray>()));
        check(Arc::new((0..n).map(|i| some(i).map(|i| format!("日{i}"))).collect::<StringArray>()));
        for column_type in ColumnType::ALL {
            check(new_null_array(&arrow_type(column_type), 1000));
        }
    }
}
