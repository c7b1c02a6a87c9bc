//! Values as `/exec` shows them: JSON text appended to a byte buffer.
//!
//! Works on plain values; the server takes them out of Arrow arrays. NULL is `null` everywhere except for CHAR, which
//! has no NULL of its own and shows an empty string. The forms are those of QuestDB 9.3.4: shortest digits that read
//! back the same, scientific from 1E7 and below 1E-3, timestamps with six digits, dates with three.
//! Read next: [`crate::csv`], which shows the same values for `/exp`.

use std::io::Write;

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
pub fn integer(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    unsigned(out, value.unsigned_abs(), 1);
}

/// Appends an integer in quotes, for readers whose numbers are doubles (`quoteLargeNum`).
pub fn quoted_integer(out: &mut Vec<u8>, value: i64) {
    out.push(b'"');
    integer(out, value);
    out.push(b'"');
}

/// Appends a double; `null` for NaN and infinities.
pub fn double(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        let start = out.len();
        write!(out, "{value:e}").expect("a Vec takes every byte");
        spell_number(out, start);
    } else {
        null(out);
    }
}

/// Appends a float; `null` for NaN and infinities.
pub fn float(out: &mut Vec<u8>, value: f32) {
    if value.is_finite() {
        let start = out.len();
        write!(out, "{value:e}").expect("a Vec takes every byte");
        spell_number(out, start);
    } else {
        null(out);
    }
}

/// Turns `d.ddde±x`, which stands at the end of `out`, into `123.0`, `0.00123` or `1.23E10`.
fn spell_number(out: &mut Vec<u8>, start: usize) {
    let e = start + out[start..].iter().position(|&b| b == b'e').expect("LowerExp writes an e");
    let exponent: i32 =
        std::str::from_utf8(&out[e + 1..]).ok().and_then(|t| t.parse().ok()).expect("LowerExp writes digits");
    out.truncate(e);
    let first = start + usize::from(out[start] == b'-');
    let has_point = out.len() > first + 1;
    if !(-3..7).contains(&exponent) {
        if !has_point {
            out.extend_from_slice(b".0");
        }
        out.push(b'E');
        integer(out, i64::from(exponent));
        return;
    }
    if has_point {
        out.remove(first + 1);
    }
    if exponent < 0 {
        let zeros = exponent.unsigned_abs() as usize;
        out.splice(first..first, std::iter::repeat_n(b'0', zeros));
        out.insert(first + 1, b'.');
        return;
    }
    let point = first + 1 + exponent as usize;
    while out.len() < point + 1 {
        out.push(b'0');
    }
    out.insert(point, b'.');
}

/// Appends a timestamp of microseconds since 1970 in quotes: `"2024-01-01T00:00:00.000000Z"`.
pub fn timestamp(out: &mut Vec<u8>, us: i64) {
    out.push(b'"');
    moment(out, us.div_euclid(1_000_000), us.rem_euclid(1_000_000) as u64, 6);
    out.push(b'"');
}

/// Appends a timestamp of nanoseconds since 1970 in quotes: `"2024-01-01T00:00:00.000000000Z"`.
pub fn timestamp_ns(out: &mut Vec<u8>, ns: i64) {
    out.push(b'"');
    moment(out, ns.div_euclid(1_000_000_000), ns.rem_euclid(1_000_000_000) as u64, 9);
    out.push(b'"');
}

/// Appends a date of milliseconds since 1970 in quotes: `"2024-01-01T00:00:00.000Z"`.
pub fn date(out: &mut Vec<u8>, ms: i64) {
    out.push(b'"');
    moment(out, ms.div_euclid(1_000), ms.rem_euclid(1_000) as u64, 3);
    out.push(b'"');
}

/// Writes every moment that 64 bits can hold, also far beyond the years that calendar libraries know.
fn moment(out: &mut Vec<u8>, seconds: i64, fraction: u64, digits: usize) {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400) as u64);
    let (year, month, day) = civil(days);
    if year < 0 {
        out.push(b'-');
    }
    unsigned(out, year.unsigned_abs(), 4);
    for (separator, value) in
        [(b'-', month), (b'-', day), (b'T', second / 3_600), (b':', second / 60 % 60), (b':', second % 60)]
    {
        out.push(separator);
        unsigned(out, value, 2);
    }
    out.push(b'.');
    unsigned(out, fraction, digits);
    out.push(b'Z');
}

/// Returns year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
/// After Howard Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`.
fn civil(days: i64) -> (i64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u64, day as u64)
}

/// Appends a number with at least `width` digits.
fn unsigned(out: &mut Vec<u8>, mut value: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    while value > 0 || digits.len() - at < width {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends text in quotes.
pub fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escape(out, text, b"\\\"");
    out.push(b'"');
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

        #[test]
        fn days_follow_each_other(days in -100_000_000i64..100_000_000) {
            let (year, month, day) = civil(days);
            let next = civil(days + 1);
            let expected_same_month = (year, month, day + 1);
            let expected_next_month = if month == 12 { (year + 1, 1, 1) } else { (year, month + 1, 1) };
            prop_assert!(next == expected_same_month || (day >= 28 && next == expected_next_month));
        }
    }
}
