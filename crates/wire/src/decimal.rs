//! Decimals of up to 76 digits between their text, their bytes and a column's scale: [`Decimal`].

use types::row_batch::NULL_DECIMAL256;
use types::{ColumnData, ColumnType};

/// A whole number of up to 256 bits, and how many of its digits stand behind the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    /// Least significant word first.
    magnitude: [u64; 4],
    scale: u8,
}

/// Why a decimal is not stored in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// The column's scale would cut digits off.
    Precision,
    /// More digits than the column has.
    Range,
}

/// Largest scale, and most digits.
const MAX_DIGITS: u8 = ColumnType::MAX_PRECISION;

impl Decimal {
    /// Reads `-12.50`, with an optional exponent; `None` when it is no number, or has more than 76 digits.
    pub fn parse(text: &str) -> Option<Decimal> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (digits, exponent) = match unsigned.find(['e', 'E']) {
            Some(at) => (&unsigned[..at], unsigned[at + 1..].parse::<i32>().ok().filter(|e| e.abs() <= 200)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.len() + fraction.len() == 0 || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
            return None;
        }
        let mut number = Decimal { negative, magnitude: [0; 4], scale: 0 };
        for digit in whole.bytes().chain(fraction.bytes()) {
            number.magnitude = times_ten_plus(number.magnitude, u64::from(digit - b'0'))?;
        }
        let mut scale = i32::try_from(fraction.len()).ok()? - exponent;
        while scale < 0 {
            number.magnitude = times_ten_plus(number.magnitude, 0)?;
            scale += 1;
        }
        number.scale = u8::try_from(scale).ok()?;
        while number.scale > MAX_DIGITS {
            number.cut_digit()?;
        }
        Some(number)
    }

    /// Returns a whole number.
    pub fn of_integer(value: i64) -> Decimal {
        Decimal { negative: value < 0, magnitude: [value.unsigned_abs(), 0, 0, 0], scale: 0 }
    }

    /// Returns the number of big-endian two's complement digits; `None` when there are more than 32 bytes or the scale is
    /// over 76.
    pub fn of_bytes(bytes: &[u8], scale: u8) -> Option<Decimal> {
        if bytes.len() > 32 || scale > MAX_DIGITS {
            return None;
        }
        let negative = bytes.first().is_some_and(|b| b & 0x80 != 0);
        let mut full = [if negative { 0xff } else { 0 }; 32];
        full[32 - bytes.len()..].copy_from_slice(bytes);
        let mut magnitude = words(&full);
        if negative {
            magnitude = negated(magnitude);
        }
        Some(Decimal { negative, magnitude, scale })
    }

    /// Appends the number to a DECIMAL column.
    ///
    /// # Errors
    /// A number that the column cannot hold as it is; the column is then unchanged.
    pub fn push(mut self, data: &mut ColumnData, precision: u8, scale: u8) -> Result<(), Misfit> {
        while self.scale > scale {
            self.cut_digit().ok_or(Misfit::Precision)?;
        }
        while self.scale < scale {
            self.magnitude = times_ten_plus(self.magnitude, 0).ok_or(Misfit::Range)?;
            self.scale += 1;
        }
        if !less(self.magnitude, power_of_ten(precision)) {
            return Err(Misfit::Range);
        }
        match data {
            ColumnData::Decimal128(column) => {
                let [low, high, ..] = self.magnitude;
                let value = (i128::from(high) << 64) | i128::from(low);
                column.push(if self.negative { -value } else { value });
            }
            ColumnData::Decimal256(column) => {
                let bytes = bytes(if self.negative { negated(self.magnitude) } else { self.magnitude });
                debug_assert_ne!(bytes, NULL_DECIMAL256, "76 digits are fewer than 255 bits");
                column.push(bytes);
            }
            _ => return Err(Misfit::Range),
        }
        Ok(())
    }

    /// Appends PostgreSQL's binary form: groups of four decimal digits.
    pub fn write_pg_binary(&self, out: &mut Vec<u8>) {
        // the point must stand between two groups
        let (mut magnitude, mut padded) = (self.magnitude, self.scale);
        let mut digits = Vec::new();
        while magnitude != [0; 4] {
            let (quotient, rest) = by_ten(magnitude);
            digits.push(rest as u16);
            magnitude = quotient;
        }
        while padded % 4 != 0 {
            digits.insert(0, 0);
            padded += 1;
        }
        let mut groups: Vec<u16> =
            digits.chunks(4).map(|group| group.iter().rev().fold(0, |value, digit| value * 10 + digit)).collect();
        groups.reverse();
        let weight = groups.len() as i16 - i16::from(padded / 4) - 1;
        let used = groups.iter().rposition(|&group| group != 0).map_or(0, |last| last + 1);
        groups.truncate(used);
        let sign: u16 = if self.negative && used > 0 { 0x4000 } else { 0 };
        for word in [used as u16, if used == 0 { 0 } else { weight as u16 }, sign, u16::from(self.scale)] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        groups.iter().for_each(|group| out.extend_from_slice(&group.to_be_bytes()));
    }

    /// Reads PostgreSQL's binary form; `Some(None)` is NaN, which is NULL.
    pub fn read_pg_binary(bytes: &[u8]) -> Option<Option<Decimal>> {
        let word = |i: usize| Some(u16::from_be_bytes(bytes.get(2 * i..2 * i + 2)?.try_into().ok()?));
        let (groups, weight, sign, scale) = (word(0)?, word(1)? as i16, word(2)?, word(3)?);
        if sign == 0xc000 {
            return Some(None);
        }
        if bytes.len() != 8 + 2 * usize::from(groups) || !matches!(sign, 0 | 0x4000) {
            return None;
        }
        let mut magnitude = [0; 4];
        let count = i32::from(groups);
        for i in 0..groups {
            let group = u64::from(word(4 + usize::from(i))?);
            if group >= 10_000 {
                return None;
            }
            for power in [1000, 100, 10, 1] {
                magnitude = times_ten_plus(magnitude, group / power % 10)?;
            }
        }
        // digits behind the last group that was sent are zeros, those of the scale beyond it too
        let behind = 4 * (count - 1 - i32::from(weight));
        let mut number = Decimal { negative: sign == 0x4000, magnitude, scale: 0 };
        let mut place = behind;
        while place < 0 {
            number.magnitude = times_ten_plus(number.magnitude, 0)?;
            place += 1;
        }
        number.scale = u8::try_from(place).ok()?;
        while number.scale > MAX_DIGITS || u16::from(number.scale) > scale {
            number.cut_digit()?;
        }
        while u16::from(number.scale) < scale.min(u16::from(MAX_DIGITS)) {
            number.magnitude = times_ten_plus(number.magnitude, 0)?;
            number.scale += 1;
        }
        Some(Some(number))
    }

    /// Takes a last digit of zero away; `None` when it is another one.
    fn cut_digit(&mut self) -> Option<()> {
        let (quotient, rest) = by_ten(self.magnitude);
        if rest != 0 {
            return None;
        }
        self.magnitude = quotient;
        self.scale -= 1;
        Some(())
    }
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (mut digits, mut magnitude) = (Vec::new(), self.magnitude);
        while magnitude != [0; 4] || digits.len() <= usize::from(self.scale) {
            let (quotient, rest) = by_ten(magnitude);
            digits.push(b'0' + rest as u8);
            magnitude = quotient;
        }
        digits.reverse();
        let text = String::from_utf8(digits).expect("digits are ASCII");
        let (whole, fraction) = text.split_at(text.len() - usize::from(self.scale));
        let sign = if self.negative { "-" } else { "" };
        if fraction.is_empty() { write!(f, "{sign}{whole}") } else { write!(f, "{sign}{whole}.{fraction}") }
    }
}

fn words(bytes: &[u8; 32]) -> [u64; 4] {
    std::array::from_fn(|i| u64::from_be_bytes(bytes[24 - 8 * i..32 - 8 * i].try_into().expect("eight bytes")))
}

fn bytes(words: [u64; 4]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (i, word) in words.iter().enumerate() {
        bytes[24 - 8 * i..32 - 8 * i].copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

fn negated(words: [u64; 4]) -> [u64; 4] {
    let mut carry = true;
    words.map(|word| {
        let (sum, over) = (!word).overflowing_add(u64::from(carry));
        carry = over;
        sum
    })
}

fn times_ten_plus(words: [u64; 4], digit: u64) -> Option<[u64; 4]> {
    let mut carry = u128::from(digit);
    let product = words.map(|word| {
        let product = u128::from(word) * 10 + carry;
        carry = product >> 64;
        product as u64
    });
    (carry == 0).then_some(product)
}

fn by_ten(words: [u64; 4]) -> ([u64; 4], u64) {
    let mut rest = 0u128;
    let mut quotient = [0; 4];
    for i in (0..4).rev() {
        let part = (rest << 64) | u128::from(words[i]);
        quotient[i] = (part / 10) as u64;
        rest = part % 10;
    }
    (quotient, rest as u64)
}

fn power_of_ten(digits: u8) -> [u64; 4] {
    let one = [1, 0, 0, 0];
    (0..digits.min(MAX_DIGITS)).fold(one, |power, _| times_ten_plus(power, 0).expect("10^76 is less than 2^256"))
}

fn less(a: [u64; 4], b: [u64; 4]) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(text: &str, precision: u8, scale: u8) -> Result<String, Misfit> {
        let mut data = ColumnData::new(ColumnType::Decimal { precision, scale });
        Decimal::parse(text).unwrap().push(&mut data, precision, scale)?;
        let number = match data {
            ColumnData::Decimal128(v) => Decimal::of_bytes(&v[0].to_be_bytes(), scale),
            ColumnData::Decimal256(v) => Decimal::of_bytes(&v[0], scale),
            _ => None,
        };
        Ok(number.unwrap().to_string())
    }

    #[test]
    fn numbers_are_brought_to_the_columns_scale_or_refused() {
        for (text, precision, scale, expected) in [
            ("1.25", 18, 3, Ok("1.250")),
            ("-0.001", 18, 3, Ok("-0.001")),
            ("1.25000", 18, 2, Ok("1.25")),
            ("1e3", 4, 0, Ok("1000")),
            ("12.5e-1", 18, 3, Ok("1.250")),
            ("1.25678", 18, 3, Err(Misfit::Precision)),
            ("12345", 4, 0, Err(Misfit::Range)),
            ("9999", 4, 0, Ok("9999")),
            ("-1000000000000000000000000000000", 60, 10, Ok("-1000000000000000000000000000000.0000000000")),
            ("0", 38, 38, Ok("0.00000000000000000000000000000000000000")),
        ] {
            assert_eq!(stored(text, precision, scale), expected.map(str::to_owned), "{text}");
        }
        for bad in ["", "-", ".", "1.2.3", "x", "1e", "1e999", "é", &"9".repeat(80)] {
            assert_eq!(Decimal::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn postgresqls_form_is_written_and_read() {
        for (text, bytes) in [
            ("0", &[0u16, 0, 0, 0][..]),
            ("0.00", &[0, 0, 0, 2]),
            ("1.25", &[2, 0, 0, 2, 1, 2500]),
            ("-0.001", &[1, 0xffff, 0x4000, 3, 10]),
            ("12345.6789", &[3, 1, 0, 4, 1, 2345, 6789]),
            ("10000", &[1, 1, 0, 0, 1]),
            ("0.00001", &[1, 0xfffe, 0, 5, 1000]),
        ] {
            let expected: Vec<u8> = bytes.iter().flat_map(|word| word.to_be_bytes()).collect();
            let mut out = Vec::new();
            Decimal::parse(text).unwrap().write_pg_binary(&mut out);
            assert_eq!(out, expected, "{text}");
            assert_eq!(Decimal::read_pg_binary(&expected).flatten().map(|d| d.to_string()).as_deref(), Some(text));
        }
        assert_eq!(Decimal::read_pg_binary(&[0, 0, 0, 0, 0xc0, 0, 0, 0]), Some(None));
        for bad in
            [&[][..], &[0, 1, 0, 0, 0, 0, 0, 0], &[0, 0, 0, 0, 1, 0, 0, 0], &[0, 1, 0, 0, 0, 0, 0, 0, 0xff, 0xff]]
        {
            assert_eq!(Decimal::read_pg_binary(bad), None, "{bad:?}");
        }
        // a weight far away neither loops for ever nor overflows
        assert_eq!(Decimal::read_pg_binary(&[0, 1, 0x7f, 0xff, 0, 0, 0, 0, 0, 1]), None);
        assert_eq!(Decimal::read_pg_binary(&[0, 1, 0x80, 0, 0, 0, 0, 0, 0, 1]), None);
    }

    #[test]
    fn bytes_are_two_s_complement() {
        let number = |bytes: &[u8], scale| Decimal::of_bytes(bytes, scale).unwrap().to_string();
        assert_eq!(number(&[0x7d], 2), "1.25");
        assert_eq!(number(&[0xff], 3), "-0.001");
        assert_eq!(number(&[0x80, 0], 0), "-32768");
        assert_eq!(number(&[0; 32], 0), "0");
        assert_eq!(Decimal::of_bytes(&[0; 33], 0), None);
        assert_eq!(Decimal::of_bytes(&[1], 77), None);
        // the least number of all has no positive twin, and is only read
        assert!(Decimal::of_bytes(&NULL_DECIMAL256, 0).is_some());
    }
}
