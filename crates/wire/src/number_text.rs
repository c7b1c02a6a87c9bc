//! Numbers as decimal text: the digits that JSON, CSV and PostgreSQL's text forms share.
//!
//! A text is made in a small array on the stack ([`Text`]) and copied out once: millions of values are written for one
//! answer. Doubles and floats have the forms of Java: shortest digits that read back the same, `1.0`, `0.001`, `1.0E7`,
//! `1.0E-4`. Read next: [`crate::moment_text`].

use std::io::Write;

/// All pairs of digits, two bytes each.
const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

/// A short text.
#[derive(Clone, Copy)]
pub struct Text {
    bytes: [u8; LONGEST],
    start: u8,
    end: u8,
}

/// Room for the longest text: `-1.7976931348623157E308`, `-9223372036854775808`, and what is between on the way there.
const LONGEST: usize = 40;

impl Text {
    const EMPTY: Text = Text { bytes: [0; LONGEST], start: 0, end: 0 };

    /// Returns the text.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..usize::from(self.end)]
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("only ASCII is written")
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        let (end, next) = (usize::from(self.end), usize::from(self.end) + bytes.len());
        self.bytes[end..next].copy_from_slice(bytes);
        self.end = next as u8;
    }
}

/// Returns the digits of an integer.
#[inline]
pub fn integer(value: i64) -> Text {
    let mut text = Text { start: LONGEST as u8, end: LONGEST as u8, ..Text::EMPTY };
    let mut at = put_back(&mut text.bytes, LONGEST, value.unsigned_abs());
    if value < 0 {
        at -= 1;
        text.bytes[at] = b'-';
    }
    text.start = at as u8;
    text
}

/// Returns a double as Java shows it. It must be finite.
#[inline]
pub fn double(value: f64) -> Text {
    let size = value.abs();
    if (1e-3..1e7).contains(&size) {
        // Of prices and amounts nearly all have a few decimals. A decimal of up to 15 digits is the only one of so few
        // digits that reads back as its double, so whichever is found is the shortest. The division is exact where the
        // rounding was right; where it was not, the comparison says so.
        let scaled = (size * 1e4 + 0.5) as i64;
        if scaled as f64 / 1e4 == size {
            return plain::<4>(value.is_sign_negative(), scaled as u64, 10_000);
        }
        let scaled = (size * 1e8 + 0.5) as i64;
        if scaled as f64 / 1e8 == size && scaled < 1_000_000_000_000_000 {
            return plain::<8>(value.is_sign_negative(), scaled as u64, 100_000_000);
        }
        if let Some(text) = fixed(value) {
            return text;
        }
    } else if size == 0.0 {
        return plain::<4>(value.is_sign_negative(), 0, 10_000);
    }
    shortest(value, |out| serde_json::to_writer(out, &value).is_ok(), |out| write!(out, "{value:e}").is_ok())
}

/// Returns a float as Java shows it. It must be finite.
pub fn float(value: f32) -> Text {
    shortest(value.into(), |out| serde_json::to_writer(out, &value).is_ok(), |out| write!(out, "{value:e}").is_ok())
}

/// Returns the text of a number between 0.001 and ten million, whose shortest digits are written as Java shows them; None where
/// it may lie in the middle between two texts of so many digits.
fn fixed(value: f64) -> Option<Text> {
    let mut text = Text::EMPTY;
    let mut left = &mut text.bytes[..];
    serde_json::to_writer(&mut left, &value).ok()?;
    let length = LONGEST - left.len();
    text.end = length as u8;
    let point = text.as_bytes().iter().take(9).position(|byte| *byte == b'.')?;
    let decimals = length - point - 1;
    let is_plain = binary_places(value) != decimals as i32 + 1 && !text.as_bytes().contains(&b'e');
    is_plain.then_some(text)
}

/// Returns `scaled / one`, where `one` is the power of ten that has `DECIMALS` zeros.
#[inline]
fn plain<const DECIMALS: usize>(negative: bool, scaled: u64, one: u64) -> Text {
    const POINT: usize = 16;
    let mut text = Text::EMPTY;
    let (whole, fraction) = (scaled / one, scaled % one);
    text.bytes[POINT] = b'.';
    put_digits(&mut text.bytes[POINT + 1..POINT + 1 + DECIMALS], fraction);
    let mut end = POINT + 1 + DECIMALS;
    while end > POINT + 2 && text.bytes[end - 1] == b'0' {
        end -= 1;
    }
    let mut at = put_back(&mut text.bytes, POINT, whole);
    if negative {
        at -= 1;
        text.bytes[at] = b'-';
    }
    (text.start, text.end) = (at as u8, end as u8);
    text
}

/// Spells the shortest digits of any finite number. `fast` writes them, but takes the even one of two that are equally
/// near; `slow` takes the larger one then, as all our answers do.
#[inline(never)]
fn shortest(value: f64, fast: impl FnOnce(&mut &mut [u8]) -> bool, slow: impl FnOnce(&mut &mut [u8]) -> bool) -> Text {
    let written = |write: &mut dyn FnMut(&mut &mut [u8]) -> bool| {
        let mut given = [0u8; LONGEST];
        let mut left = &mut given[..];
        assert!(write(&mut left), "a number has fewer bytes");
        let length = LONGEST - left.len();
        Digits::of(&given[..length])
    };
    let (mut fast, mut slow) = (Some(fast), Some(slow));
    let mut digits = written(&mut |out| fast.take().is_some_and(|fast| fast(out)));
    if digits.may_be_halfway(value) {
        digits = written(&mut |out| slow.take().is_some_and(|slow| slow(out)));
    }
    let mut text = Text::EMPTY;
    if digits.negative {
        text.push(b"-");
    }
    put_java(&mut text, &digits.digits[..digits.count.max(1)], digits.exponent);
    text
}

/// A number taken apart: `d.ddd` times ten to the exponent.
struct Digits {
    negative: bool,
    /// Behind the last that counts stand zeros.
    digits: [u8; LONGEST],
    count: usize,
    exponent: i32,
}

impl Digits {
    /// Reads `-12.5`, `1.5e-7`, `0.00123` or `1e22`.
    fn of(given: &[u8]) -> Digits {
        let mut read = Digits { negative: false, digits: [b'0'; LONGEST], count: 0, exponent: 0 };
        // digits before the point, and zeros behind it before the first digit
        let (mut whole, mut zeros, mut power) = (None, 0i32, 0i32);
        for (i, &byte) in given.iter().enumerate() {
            match byte {
                b'-' => read.negative = true,
                b'.' => whole = Some(read.count as i32),
                b'e' | b'E' => {
                    power = std::str::from_utf8(&given[i + 1..]).ok().and_then(|t| t.parse().ok()).unwrap_or(0);
                    break;
                }
                b'0' if read.count == 0 => zeros += i32::from(whole.is_some()),
                digit => {
                    read.digits[read.count] = digit;
                    read.count += 1;
                }
            }
        }
        if read.count > 0 {
            read.exponent = power + whole.unwrap_or(read.count as i32) - zeros - 1;
        }
        while read.count > 1 && read.digits[read.count - 1] == b'0' {
            read.count -= 1;
        }
        read
    }

    /// Returns whether the value may lie in the middle between these digits and others that are as short: only then has it
    /// exactly one binary place more than they have decimals. Fewer digits are never one of two.
    fn may_be_halfway(&self, value: f64) -> bool {
        let decimals = self.count as i32 - 1 - self.exponent;
        self.count > 6 && (decimals < 0 || binary_places(value) == decimals + 1)
    }
}

/// Returns how many binary digits a number has behind the point.
fn binary_places(value: f64) -> i32 {
    let bits = value.to_bits();
    let (exponent, fraction) = ((bits >> 52 & 0x7ff) as i32, bits & ((1 << 52) - 1));
    let mantissa = if exponent == 0 { fraction } else { fraction | 1 << 52 };
    1_075 - exponent.max(1) - mantissa.trailing_zeros() as i32
}

/// Appends digits that stand for `d.ddd` times ten to the `exponent`.
fn put_java(text: &mut Text, digits: &[u8], exponent: i32) {
    let count = digits.len();
    if !(-3..7).contains(&exponent) {
        text.push(&digits[..1]);
        text.push(b".");
        text.push(if count > 1 { &digits[1..] } else { b"0" });
        text.push(b"E");
        text.push(integer(i64::from(exponent)).as_bytes());
    } else if exponent < 0 {
        text.push(&b"0.00"[..1 + exponent.unsigned_abs() as usize]);
        text.push(digits);
    } else {
        let whole = exponent as usize + 1;
        text.push(&digits[..whole.min(count)]);
        text.push(&b"000000"[..whole.saturating_sub(count)]);
        text.push(b".");
        text.push(if count > whole { &digits[whole..] } else { b"0" });
    }
}

/// Puts all digits of a number, at least one, before `end`; returns where they begin.
#[inline]
fn put_back(bytes: &mut [u8], end: usize, mut value: u64) -> usize {
    let mut at = end;
    while value >= 100 {
        let pair = (value % 100) as usize * 2;
        value /= 100;
        at -= 2;
        bytes[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if value >= 10 {
        let pair = value as usize * 2;
        at -= 2;
        bytes[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    } else {
        at -= 1;
        bytes[at] = b'0' + value as u8;
    }
    at
}

/// Fills a place with the last digits of a number, zeros before them.
#[inline]
pub(crate) fn put_digits(place: &mut [u8], mut value: u64) {
    let mut at = place.len();
    while at >= 2 {
        let pair = (value % 100) as usize * 2;
        value /= 100;
        at -= 2;
        place[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if at == 1 {
        place[0] = b'0' + (value % 10) as u8;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same by the standard library's digits.
    fn expected(value: f64) -> String {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap();
        let exponent: i32 = exponent.parse().unwrap();
        let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |m| ("-", m));
        let digits = mantissa.replace('.', "");
        let mut text = Text::EMPTY;
        put_java(&mut text, digits.as_bytes(), exponent);
        format!("{sign}{}", text.as_str())
    }

    #[test]
    fn digits_of_whole_numbers() {
        for value in [0, 1, -1, 9, 10, 99, 100, 101, 12_345, i64::MAX, i64::MIN, -1_000_000] {
            assert_eq!(integer(value).as_str(), value.to_string());
        }
    }

    #[test]
    fn neighbours_of_every_power_of_ten_are_spelled_the_same() {
        for exponent in -330..310 {
            let Ok(power) = format!("1e{exponent}").parse::<f64>() else { continue };
            let bits = power.to_bits();
            for bits in bits.saturating_sub(3)..=bits + 3 {
                let value = f64::from_bits(bits);
                if value.is_finite() {
                    assert_eq!(double(value).as_str(), expected(value), "{value:e}");
                    assert_eq!(double(-value).as_str(), expected(-value), "{value:e}");
                }
            }
        }
        for (value, text) in [(1e15 + 0.25, "1.0000000000000003E15"), (1.0 + 1.0 / 131_072.0, "1.0000076293945313")] {
            assert_eq!(double(value).as_str(), text);
        }
        for (value, text) in [(f32::MAX, "3.4028235E38"), (1e-45, "1.0E-45"), (0.1, "0.1"), (-0.0, "-0.0")] {
            assert_eq!(float(value).as_str(), text);
        }
        assert_eq!(double(f64::MAX).as_str(), "1.7976931348623157E308");
        assert_eq!(double(-0.0).as_str(), "-0.0");
    }

    proptest! {
        #[test]
        fn any_double_has_the_digits_of_the_standard_library(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            if value.is_finite() {
                prop_assert_eq!(double(value).as_str().to_owned(), expected(value));
            }
        }

        #[test]
        fn decimals_have_the_digits_of_the_standard_library(digits in any::<i64>(), cut in 0u32..19, scale in 0i32..12) {
            let value = (digits / 10i64.pow(cut)) as f64 / 10f64.powi(scale);
            for value in [value, f64::from_bits(value.to_bits() ^ 1), value / 1024.0] {
                prop_assert_eq!(double(value).as_str().to_owned(), expected(value));
            }
        }

        #[test]
        fn floats_read_back(bits in any::<u32>()) {
            let value = f32::from_bits(bits);
            if value.is_finite() {
                let text = float(value);
                prop_assert_eq!(text.as_str().parse::<f32>().unwrap().to_bits(), bits);
                let digits = format!("{value:e}");
                let expected = digits.split('e').next().unwrap().replace(['.', '-'], "");
                let found = text.as_str().split('E').next().unwrap().replace(['.', '-'], "");
                let found = found.trim_start_matches('0').trim_end_matches('0');
                prop_assert_eq!(found, expected.trim_matches('0'));
            }
        }
    }
}
