//! Values as `/exec` shows them: JSON text appended to a byte buffer.
//!
//! Works on plain values; the server takes them out of Arrow arrays. NULL is `null` everywhere except for CHAR, which
//! has no NULL of its own and shows an empty string. The forms are those of QuestDB 9.3.4: shortest digits that read
//! back the same, scientific from 1E7 and below 1E-3, timestamps with six digits, dates with three.
//! Read next: [`crate::csv`], which shows the same values for `/exp`.

use crate::moment_text::Fields;
use crate::number_text;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends an array as nested lists.
pub fn array(out: &mut Vec<u8>, shape: &[u32], values: &[f64]) {
    let put = &mut |out: &mut Vec<u8>, text: &str| out.extend_from_slice(text.as_bytes());
    let mut number = |out: &mut Vec<u8>, value: Option<f64>| match value {
        Some(value) => double(out, value),
        None => null(out),
    };
    types::array_text::write(out, shape, values, put, ("[", "]"), &mut number);
}

/// Appends `null`.
pub fn null(out: &mut Vec<u8>) {
    out.extend_from_slice(b"null");
}

/// Appends `true` or `false`.
pub fn boolean(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// Appends an integer.
#[inline]
pub fn integer(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(number_text::integer(value).as_bytes());
}

/// Appends an integer in quotes, for readers whose numbers are doubles (`quoteLargeNum`).
pub fn quoted_integer(out: &mut Vec<u8>, value: i64) {
    out.push(b'"');
    integer(out, value);
    out.push(b'"');
}

/// Appends a double; `null` for NaN and infinities.
#[inline]
pub fn double(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        out.extend_from_slice(number_text::double(value).as_bytes());
    } else {
        null(out);
    }
}

/// Appends a float; `null` for NaN and infinities.
pub fn float(out: &mut Vec<u8>, value: f32) {
    if value.is_finite() {
        out.extend_from_slice(number_text::float(value).as_bytes());
    } else {
        null(out);
    }
}

/// Appends a timestamp of microseconds since 1970 in quotes: `"2024-01-01T00:00:00.000000Z"`.
#[inline]
pub fn timestamp(out: &mut Vec<u8>, us: i64) {
    moment::<29>(out, &Fields::of::<1_000_000>(us));
}

/// Appends a timestamp of nanoseconds since 1970 in quotes: `"2024-01-01T00:00:00.000000000Z"`.
pub fn timestamp_ns(out: &mut Vec<u8>, ns: i64) {
    moment::<32>(out, &Fields::of::<1_000_000_000>(ns));
}

/// Appends a date of milliseconds since 1970 in quotes: `"2024-01-01T00:00:00.000Z"`.
pub fn date(out: &mut Vec<u8>, ms: i64) {
    moment::<26>(out, &Fields::of::<1_000>(ms));
}

/// Appends a moment, which has `BYTES` bytes in the years that people know.
#[inline]
fn moment<const BYTES: usize>(out: &mut Vec<u8>, fields: &Fields) {
    let mut text = [b'"'; BYTES];
    text[BYTES - 2] = b'Z';
    if fields.is_common() {
        fields.put(&mut text[1..BYTES - 2], b'T');
        return out.extend_from_slice(&text);
    }
    let common = Fields { year: 1, ..*fields };
    common.put(&mut text[1..BYTES - 2], b'T');
    out.push(b'"');
    if fields.year < 0 {
        out.push(b'-');
    }
    let year = fields.year.unsigned_abs();
    out.extend_from_slice(format!("{year:04}").as_bytes());
    out.extend_from_slice(&text[5..]);
}

/// Appends text in quotes.
#[inline]
pub fn string(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    if is_plain(text) {
        out.extend_from_slice(text.as_bytes());
    } else {
        escape(out, text, b"\\\"");
    }
    out.push(b'"');
}

/// Returns whether nothing in a text needs an escape. Looks at every byte: without an early end the loop is done for
/// many at a time.
#[inline]
fn is_plain(text: &str) -> bool {
    !text.bytes().fold(false, |found, byte| found | (byte < 0x20) | (byte == b'"') | (byte == b'\\'))
}

/// Appends text with control characters and backslashes escaped, and `quote` for each double quote.
pub(crate) fn escape(out: &mut Vec<u8>, text: &str, quote: &[u8]) {
    let bytes = text.as_bytes();
    let mut start = 0;
    for (i, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[start..i]);
        start = i + 1;
        match byte {
            b'"' => out.extend_from_slice(quote),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
    }
    out.extend_from_slice(&bytes[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn doubles_as_the_peer_shows_them() {
        for (value, text) in [
            (1.0, "1.0"),
            (1e7, "1.0E7"),
            (1e6, "1000000.0"),
            (0.001, "0.001"),
            (0.0001, "1.0E-4"),
            (9.999999e-4, "9.999999E-4"),
            (123456789.125, "1.23456789125E8"),
            (-0.0, "-0.0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (100000.0, "100000.0"),
            (9999999.0, "9999999.0"),
            (1e300, "1.0E300"),
            (5e-324, "5.0E-324"),
            (f64::MAX, "1.7976931348623157E308"),
            (12345678.9, "1.23456789E7"),
            (-1234.5, "-1234.5"),
            (3.3333333333333335, "3.3333333333333335"),
            (0.05, "0.05"),
            (f64::NAN, "null"),
            (f64::NEG_INFINITY, "null"),
        ] {
            assert_eq!(shown(|out| double(out, value)), text);
        }
        for (value, text) in [(0.1f32, "0.1"), (1e10, "1.0E10"), (16777216.0, "1.6777216E7"), (1.1, "1.1")] {
            assert_eq!(shown(|out| float(out, value)), text);
        }
    }

    #[test]
    fn moments_of_all_ages() {
        for (us, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (253_402_300_800_000_000, "10000-01-01T00:00:00.000000Z"),
            (i64::MAX, "294247-01-10T04:00:54.775807Z"),
            (-62_135_596_800_000_001, "0000-12-31T23:59:59.999999Z"),
            (-62_167_219_200_000_001, "-0001-12-31T23:59:59.999999Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
        ] {
            assert_eq!(shown(|out| timestamp(out, us)), format!("\"{text}\""));
        }
        assert_eq!(shown(|out| date(out, -1)), "\"1969-12-31T23:59:59.999Z\"");
        assert_eq!(shown(|out| date(out, i64::MAX)), "\"292278994-08-17T07:12:55.807Z\"");
        assert_eq!(shown(|out| timestamp_ns(out, -1)), "\"1969-12-31T23:59:59.999999999Z\"");
    }

    #[test]
    fn text_and_integers() {
        assert_eq!(
            shown(|out| string(out, "a\"b\\c/d\u{1}\u{8}\t\n\u{c}\r\u{1f}\u{7f} é😀")),
            "\"a\\\"b\\\\c/d\\u0001\\b\\t\\n\\f\\r\\u001f\u{7f} é😀\""
        );
        assert_eq!(shown(|out| integer(out, i64::MIN)), "-9223372036854775808");
        assert_eq!(shown(|out| integer(out, 0)), "0");
        assert_eq!(shown(|out| quoted_integer(out, -5)), "\"-5\"");
        assert_eq!(shown(|out| boolean(out, true)), "true");
    }

    proptest! {
        #[test]
        fn doubles_read_back(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            let text = shown(|out| double(out, value));
            if value.is_finite() {
                prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), bits);
            } else {
                prop_assert_eq!(text, "null");
            }
        }

        #[test]
        fn strings_read_back_as_json(text in any::<String>()) {
            let json = shown(|out| string(out, &text));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
