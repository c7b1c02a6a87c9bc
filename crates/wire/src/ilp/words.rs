//! Bytes of lines, eight at a time: where a token ends, and what short numbers are. Numbers here are exact, or none: what is
//! not plain digits is left to [`super::value`].

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;
const ZEROS: u64 = 0x3030_3030_3030_3030;
/// Bytes below end a token, or are rare enough to be looked at one by one.
const PLAIN_FROM: u8 = b' ' + 1;
/// Powers of ten that a double holds exactly, as far as they are needed here.
const POWERS: [f64; 20] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19];
/// Integers up to here are doubles.
const MAX_EXACT: u64 = 1 << 53;

/// Returns the first eight bytes as a number, the first byte lowest.
pub fn word(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// Returns where the next comma, equals sign, backslash, space or control byte stands from `at` on; the length where
/// there is none.
pub fn token_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = bytes.get(at..).and_then(word) {
        let stops = below(word, PLAIN_FROM) | equal(word, b',') | equal(word, b'=') | equal(word, b'\\');
        if stops != 0 {
            return at + (stops.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let is_stop = |byte: &u8| *byte < PLAIN_FROM || matches!(byte, b',' | b'=' | b'\\');
    bytes[at..].iter().position(is_stop).map_or(bytes.len(), |step| at + step)
}

/// Marks the bytes that are equal; marks behind the first one may be wrong.
fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (ONES * u64::from(byte)), 1)
}

/// Marks the bytes that are below a limit of at most 128; marks behind the first one may be wrong.
fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * u64::from(limit)) & !word & HIGHS
}

/// Returns the number that the one to 19 digits between two places stand for.
pub fn digits(bytes: &[u8], start: usize, end: usize) -> Option<u64> {
    let count = end.checked_sub(start).filter(|count| (1..=19).contains(count))?;
    let head = (count - 1) % 8 + 1;
    let mut value = few_digits(load(bytes, start, head), head)?;
    let mut at = start + head;
    while at < end {
        value = value * 100_000_000 + eight_digits(load(bytes, at, 8))?;
        at += 8;
    }
    Some(value)
}

/// Returns at most eight bytes as a number, the first byte lowest.
fn load(bytes: &[u8], at: usize, count: usize) -> u64 {
    match bytes.get(at..).and_then(word) {
        Some(word) if count == 8 => word,
        Some(word) => word & ((1 << (8 * count)) - 1),
        None => {
            let mut padded = [0; 8];
            padded[..count].copy_from_slice(&bytes[at..at + count]);
            u64::from_le_bytes(padded)
        }
    }
}

/// Returns what one to eight digits stand for: zeros in front fill them up.
fn few_digits(word: u64, count: usize) -> Option<u64> {
    match count {
        0 => None,
        8 => eight_digits(word),
        _ => eight_digits(word << (8 * (8 - count)) | ZEROS >> (8 * count)),
    }
}

/// Returns what eight digits stand for, the first of them in the lowest byte.
fn eight_digits(word: u64) -> Option<u64> {
    const UPPER: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    // a digit is 3 above its lower half, and stays so when 6 is added to it
    if word & UPPER != ZEROS || word.wrapping_add(0x0606_0606_0606_0606) & UPPER != ZEROS {
        return None;
    }
    let ones = word - ZEROS;
    let pairs = (ones.wrapping_mul(10).wrapping_add(ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100).wrapping_add(pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some(fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff)
}

/// Returns the number of `-?digits`, of at most 18 digits.
pub fn integer(bytes: &[u8], start: usize, end: usize) -> Option<i64> {
    let (negative, start) = sign(bytes, start);
    let value = digits(bytes, start, end).filter(|_| end - start <= 18)? as i64;
    Some(if negative { -value } else { value })
}

/// Returns the number of `-?digits` or `-?digits.digits` where the nearest double is a quotient of two exact ones.
pub fn float(bytes: &[u8], start: usize, end: usize) -> Option<f64> {
    let (negative, start) = sign(bytes, start);
    let (mantissa, decimals) = match end.checked_sub(start)? {
        count @ ..=8 => short_decimal(load(bytes, start, count), count)?,
        _ => long_decimal(bytes, start, end)?,
    };
    let value = mantissa as f64 / POWERS[decimals];
    (mantissa <= MAX_EXACT).then_some(if negative { -value } else { value })
}

fn sign(bytes: &[u8], start: usize) -> (bool, usize) {
    let negative = bytes.get(start) == Some(&b'-');
    (negative, start + usize::from(negative))
}

/// Returns the digits of a decimal number of at most eight bytes, and how many of them stand behind the point.
fn short_decimal(word: u64, count: usize) -> Option<(u64, usize)> {
    let points = equal(word, b'.');
    if points == 0 {
        return few_digits(word, count).map(|value| (value, 0));
    }
    let point = (points.trailing_zeros() / 8) as usize;
    let decimals = count - 1 - point;
    if point == 0 || decimals == 0 {
        return None;
    }
    let whole = word & ((1 << (8 * point)) - 1);
    let without_point = whole | word >> (8 * (point + 1)) << (8 * point);
    few_digits(without_point, count - 1).map(|value| (value, decimals))
}

fn long_decimal(bytes: &[u8], start: usize, end: usize) -> Option<(u64, usize)> {
    let Some(whole) = bytes[start..end].iter().position(|byte| *byte == b'.') else {
        return Some((digits(bytes, start, end)?, 0));
    };
    let (point, decimals) = (start + whole, end - start - whole - 1);
    if decimals > 18 {
        return None;
    }
    let value = digits(bytes, start, point)?.checked_mul(10u64.pow(decimals as u32))?;
    Some((value.checked_add(digits(bytes, point + 1, end)?)?, decimals))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ilp::Value;

    fn float(text: &[u8]) -> Option<f64> {
        let behind = [b"x", text, b",behind it"].concat();
        let alone = super::float(text, 0, text.len());
        assert_eq!(super::float(&behind, 1, 1 + text.len()).map(f64::to_bits), alone.map(f64::to_bits));
        alone
    }

    fn integer(text: &[u8]) -> Option<i64> {
        super::integer(text, 0, text.len())
    }

    fn digits(text: &[u8]) -> Option<u64> {
        super::digits(text, 0, text.len())
    }

    #[test]
    fn numbers_are_read_or_left() {
        for (text, value) in [("5", 5.0), ("-0", -0.0), ("1.5", 1.5), ("0.1", 0.1), ("123456.7", 123456.7)] {
            assert_eq!(float(text.as_bytes()).map(f64::to_bits), Some(f64::to_bits(value)), "{text}");
        }
        for left in ["", "-", ".", "5.", ".5", "1e5", "1.2.3", "+5", "1_0", "9007199254740993", "12345678a", "1:", "é"]
        {
            assert_eq!(float(left.as_bytes()), None, "{left}");
        }
        assert_eq!(integer(b"-00012"), Some(-12));
        assert_eq!(integer(b"999999999999999999"), Some(999_999_999_999_999_999));
        assert_eq!((integer(b"1000000000000000000"), integer(b"1/2"), integer(b"")), (None, None, None));
        assert_eq!(digits(b"9223372036854775808"), Some(1 << 63));
        assert_eq!(digits(b"12345678901234567890"), None);
    }

    proptest! {
        /// What is read here is what the reader of single values makes of it, to the last bit.
        #[test]
        fn numbers_are_the_same(text in "-?[0-9]{0,12}[.:/ed+-]?[0-9]{0,12}") {
            if let Some(value) = float(text.as_bytes()) {
                let Some(Value::Float(expected)) = Value::parse(&text) else { panic!("{text}") };
                prop_assert_eq!(value.to_bits(), expected.to_bits());
            }
            if let Some(value) = integer(text.as_bytes()) {
                prop_assert_eq!(Value::parse(&format!("{text}i")), Some(Value::Integer(value)));
            }
        }

        #[test]
        fn tokens_end_at_the_first_special_byte(bytes in prop::collection::vec(any::<u8>(), 0..40), at in 0usize..40) {
            let at = at.min(bytes.len());
            let special = |b: &u8| *b <= b' ' || matches!(b, b',' | b'=' | b'\\');
            let expected = bytes[at..].iter().position(special).map_or(bytes.len(), |step| at + step);
            prop_assert_eq!(token_end(&bytes, at), expected);
        }
    }
}
