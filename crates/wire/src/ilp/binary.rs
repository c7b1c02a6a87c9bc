//! Binary values of the protocol's versions 2 and 3, which stand behind a second equals sign: [`read`].
//!
//! ```text
//! 16  8 bytes                                                 a double
//! 14  10, number of dimensions, their lengths (i32), doubles  an array
//! 23  scale, length, so many bytes                            a decimal: big-endian two's complement; length 0 is NULL
//! ```
//! Numbers are little-endian but for the decimal's. Knows bytes only; what a column makes of them is
//! [`super::convert`]'s.

use super::value::Value;

/// Most dimensions of an array.
pub const MAX_DIMENSIONS: usize = 32;
/// A dimension is shorter than this.
const MAX_LENGTH: i32 = 1 << 28;
/// Most bytes of a decimal's digits.
const MAX_DECIMAL_BYTES: usize = 32;
/// Largest scale of a decimal.
const MAX_SCALE: u8 = 76;

const DOUBLE: u8 = 16;
const ARRAY: u8 = 14;
const DECIMAL: u8 = 23;
const ELEMENT_DOUBLE: u8 = 10;

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq)]
pub enum Binary<'a> {
    /// A value of `length` bytes; `bytes` holds what its kind does not say.
    Value { value: Value, bytes: &'a [u8], length: usize },
    /// The bytes end within the value.
    Short,
    /// No value, and what the peer calls it.
    Bad(&'static str),
}

/// Reads the value that begins with its type.
pub fn read(bytes: &[u8]) -> Binary<'_> {
    match bytes.first() {
        None => Binary::Short,
        Some(&DOUBLE) => match bytes.get(1..9) {
            None => Binary::Short,
            Some(number) => {
                let value = f64::from_le_bytes(number.try_into().expect("eight bytes"));
                let value = if value.is_finite() { value } else { f64::NAN };
                Binary::Value { value: Value::Float(value), bytes: &[], length: 9 }
            }
        },
        Some(&ARRAY) => array(bytes),
        Some(&DECIMAL) => decimal(bytes),
        Some(_) => Binary::Bad("UNSUPPORTED_BINARY_FORMAT"),
    }
}

fn array(bytes: &[u8]) -> Binary<'_> {
    match bytes.get(1) {
        None => return Binary::Short,
        Some(&ELEMENT_DOUBLE) => {}
        Some(_) => return Binary::Bad("ARRAY_INVALID_TYPE"),
    }
    let Some(&dimensions) = bytes.get(2) else { return Binary::Short };
    let dimensions = usize::from(dimensions);
    if dimensions == 0 {
        return Binary::Bad("ARRAY_INVALID_SHAPE");
    }
    if dimensions > MAX_DIMENSIONS {
        return Binary::Bad("ARRAY_TOO_MANY_DIMENSIONS");
    }
    let Some(lengths) = bytes.get(3..3 + 4 * dimensions) else { return Binary::Short };
    let mut data_bytes = 8usize;
    for length in lengths.chunks_exact(4) {
        let length = i32::from_le_bytes(length.try_into().expect("four bytes"));
        if !(0..MAX_LENGTH).contains(&length) {
            return Binary::Bad("ARRAY_INVALID_SHAPE");
        }
        data_bytes = match data_bytes.checked_mul(length as usize) {
            Some(product) if product <= 1 << 31 => product,
            _ => return Binary::Bad("ARRAY_INVALID_SHAPE"),
        };
    }
    let length = 3 + lengths.len() + data_bytes;
    match bytes.get(3..length) {
        None => Binary::Short,
        Some(bytes) => Binary::Value { value: Value::Array { dimensions: dimensions as u8 }, bytes, length },
    }
}

fn decimal(bytes: &[u8]) -> Binary<'_> {
    let (Some(&scale), Some(&digits)) = (bytes.get(1), bytes.get(2)) else { return Binary::Short };
    if scale > MAX_SCALE {
        return Binary::Bad("DECIMAL_INVALID_SCALE");
    }
    if usize::from(digits) > MAX_DECIMAL_BYTES {
        return Binary::Bad("DECIMAL_OVERFLOW");
    }
    let length = 3 + usize::from(digits);
    match bytes.get(3..length) {
        None => Binary::Short,
        Some([]) => Binary::Value { value: Value::Null, bytes: &[], length },
        Some(bytes) => Binary::Value { value: Value::BinaryDecimal { scale }, bytes, length },
    }
}

/// Returns the lengths of the dimensions of an array, and its numbers in row-major order.
pub fn shape_and_numbers(dimensions: u8, bytes: &[u8]) -> (Vec<u32>, impl Iterator<Item = f64> + '_) {
    let (lengths, numbers) = bytes.split_at(4 * usize::from(dimensions));
    let shape = lengths.chunks_exact(4).map(|l| u32::from_le_bytes(l.try_into().expect("four bytes"))).collect();
    (shape, numbers.chunks_exact(8).map(|n| f64::from_le_bytes(n.try_into().expect("eight bytes"))))
}
