//! Arrays of doubles as PostgreSQL's `float8[]`: [`write_text`], [`put_binary`].

use std::fmt::Write as _;

use arrow::array::{Array, AsArray, Float64Array};
use bytes::{BufMut, BytesMut};
use wire::{pg_oid, pg_text};

/// Writes `{{1.0,NULL},{3.0,4.0}}`.
pub fn write_text(out: &mut BytesMut, values: &dyn Array) -> std::fmt::Result {
    out.write_char('{')?;
    for i in 0..values.len() {
        if i > 0 {
            out.write_char(',')?;
        }
        match (values.as_list_opt::<i32>(), number(values, i)) {
            (Some(inner), _) => write_text(out, inner.value(i).as_ref())?,
            (None, Some(number)) => pg_text::write_f64(out, number)?,
            (None, None) => out.write_str("NULL")?,
        }
    }
    out.write_char('}')
}

/// Appends number of dimensions, whether there are NULLs, the type of the elements, length and first index of each
/// dimension, then the elements. An empty array has no dimension.
pub fn put_binary(out: &mut BytesMut, values: &dyn Array) {
    let (mut shape, mut nulls, mut elements) = (Vec::new(), false, BytesMut::new());
    walk(values, 0, &mut shape, &mut nulls, &mut elements);
    if elements.is_empty() {
        shape.clear();
    }
    out.put_i32(shape.len() as i32);
    out.put_i32(i32::from(nulls));
    out.put_u32(pg_oid::FLOAT8);
    for length in shape {
        out.put_i32(length);
        out.put_i32(1);
    }
    out.put_slice(&elements);
}

fn walk(values: &dyn Array, depth: usize, shape: &mut Vec<i32>, nulls: &mut bool, elements: &mut BytesMut) {
    if shape.len() <= depth {
        shape.push(values.len() as i32);
    }
    for i in 0..values.len() {
        if let Some(inner) = values.as_list_opt::<i32>() {
            walk(inner.value(i).as_ref(), depth + 1, shape, nulls, elements);
        } else if let Some(number) = number(values, i) {
            elements.put_i32(8);
            elements.put_f64(number);
        } else {
            *nulls = true;
            elements.put_i32(-1);
        }
    }
}

fn number(values: &dyn Array, i: usize) -> Option<f64> {
    let numbers = values.as_any().downcast_ref::<Float64Array>()?;
    (numbers.is_valid(i) && numbers.value(i).is_finite()).then(|| numbers.value(i))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, ListArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::{DataType, Field};

    use super::*;

    fn matrix() -> ArrayRef {
        let numbers = Float64Array::from(vec![Some(1.0), None, Some(3.0), Some(4.0)]);
        let field = Arc::new(Field::new_list_field(DataType::Float64, true));
        Arc::new(ListArray::new(field, OffsetBuffer::from_lengths([2, 2]), Arc::new(numbers), None))
    }

    #[test]
    fn boxes_are_written_as_postgresql_does() {
        let mut text = BytesMut::new();
        write_text(&mut text, matrix().as_ref()).unwrap();
        assert_eq!(&text[..], b"{{1.0,NULL},{3.0,4.0}}");
        let mut binary = BytesMut::new();
        put_binary(&mut binary, matrix().as_ref());
        let head: Vec<u8> = [2i32, 1, 701, 2, 1, 2, 1, 8].iter().flat_map(|n| n.to_be_bytes()).collect();
        assert_eq!(&binary[..head.len()], head);
        assert_eq!(binary.len(), head.len() - 4 + 3 * 12 + 4);
        let mut empty = BytesMut::new();
        put_binary(&mut empty, &Float64Array::from(Vec::<f64>::new()));
        assert_eq!(&empty[..], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0xbd]);
    }
}
