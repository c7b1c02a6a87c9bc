//! Text forms of values for PostgreSQL clients: writers for results, readers for parameters.
//!
//! Owns digits and calendars, never types: which form a column takes is decided by the server, which bytes mean what
//! for a parameter by [`crate::pg_parameter`]. NULL has no text; callers send it by its length.

use std::fmt::{self, Write};

use crate::moment_text::{self, Fields};
use crate::number_text;

const US_PER_SECOND: i64 = types::time::US_PER_SECOND;
const US_PER_DAY: i64 = types::time::US_PER_DAY;

/// Writes a double in the shortest digits that read back the same, as Java shows them: `1.0`, `0.001`, `1.0E7`, `1.0E-4`.
/// The number must be finite: clients are sent NULL for the rest.
pub fn write_f64(out: &mut impl Write, value: f64) -> fmt::Result {
    out.write_str(number_text::double(value).as_str())
}

/// Writes a float as [`write_f64`] does, in the fewer digits that a float needs.
pub fn write_f32(out: &mut impl Write, value: f32) -> fmt::Result {
    out.write_str(number_text::float(value).as_str())
}

/// Writes `t` or `f`.
pub fn write_bool(out: &mut impl Write, value: bool) -> fmt::Result {
    out.write_char(if value { 't' } else { 'f' })
}

/// Writes microseconds since 1970 as `2024-01-01 00:00:00.000000`.
pub fn write_timestamp_us(out: &mut impl Write, us: i64) -> fmt::Result {
    write_moment::<26>(out, &Fields::of::<US_PER_SECOND>(us))
}

/// Writes milliseconds since 1970 as `2024-01-01 00:00:00.000`.
pub fn write_date_ms(out: &mut impl Write, ms: i64) -> fmt::Result {
    write_moment::<23>(out, &Fields::of::<1_000>(ms))
}

/// Writes a moment, which has `BYTES` bytes in the years that people know.
fn write_moment<const BYTES: usize>(out: &mut impl Write, fields: &Fields) -> fmt::Result {
    let mut text = [0; BYTES];
    if fields.is_common() {
        fields.put(&mut text, b' ');
        return out.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?);
    }
    // PostgreSQL counts years before 1 as 1 BC, 2 BC, ...
    let (year, era) = if fields.year > 0 { (fields.year, "") } else { (1 - fields.year, " BC") };
    Fields { year: 1, ..*fields }.put(&mut text, b' ');
    write!(out, "{year:04}{}{era}", std::str::from_utf8(&text[4..]).map_err(|_| fmt::Error)?)
}

/// Returns the day, counted from 1970-01-01, of a date that exists.
fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    let year_from_march = year - i64::from(month <= 2);
    let era = year_from_march.div_euclid(400);
    let year_of_era = year_from_march.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    (moment_text::civil(days) == (year, month as u64, day as u64)).then_some(days)
}

/// Reads `t`, `true`, `yes`, `on`, `1` and their opposites, in any case, blanks around allowed.
pub fn read_bool(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "t" | "true" | "y" | "yes" | "on" | "1" => Some(true),
        "f" | "false" | "n" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// Reads an integer, blanks around and a fraction of zeros (`5.0`, which some drivers send) allowed.
pub fn read_i64(text: &str) -> Option<i64> {
    let text = text.trim();
    let whole = match text.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() && fraction.bytes().all(|b| b == b'0') => whole,
        _ => text,
    };
    whole.parse().ok()
}

/// Reads a number, or `NaN`, `Infinity`, `inf` with or without sign, blanks around allowed.
pub fn read_f64(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

/// Reads a moment as microseconds since 1970: a date, or a date and a time after `T` or a blank, with up to nine digits
/// of fraction (those below a microsecond are cut), then nothing (UTC), `Z` or an offset such as `+02`, `-03:30`.
pub fn read_timestamp_us(text: &str) -> Option<i64> {
    let text = text.trim();
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(i) => (&text[..i], text[i + 1..].trim_start()),
        None => (text.strip_suffix(['Z', 'z']).unwrap_or(text), ""),
    };
    let mut parts = date.splitn(3, '-');
    let year = digits(parts.next()?, 4..=6)?;
    let month = digits(parts.next()?, 2..=2)?;
    let day = digits(parts.next()?, 2..=2)?;
    let days = days_from_civil(year, month, day)?;
    days.checked_mul(US_PER_DAY)?.checked_add(time_of_day_us(time)?)
}

/// `[HH:MM[:SS[.fraction]]][zone]` in microseconds since midnight UTC of the same date; negative east of it.
fn time_of_day_us(text: &str) -> Option<i64> {
    let end = text.find(['Z', 'z', '+', '-']).unwrap_or(text.len());
    let (clock, zone) = (text[..end].trim_end(), &text[end..]);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    if fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let us = fraction.bytes().chain(*b"000000").take(6).fold(0, |us, b| us * 10 + i64::from(b - b'0'));
    let seconds = if clock.is_empty() && fraction.is_empty() { 0 } else { sexagesimal(clock, 24)? };
    let offset = match zone {
        "" | "Z" | "z" => 0,
        _ => {
            let east = sexagesimal(&zone[1..], 16)?;
            if zone.starts_with('-') { -east } else { east }
        }
    };
    Some((seconds - offset) * US_PER_SECOND + us)
}

/// `HH[:MM[:SS]]` (or `HHMM`) in seconds.
fn sexagesimal(text: &str, hours: i64) -> Option<i64> {
    let packed = text.len() == 4 && text.is_ascii() && !text.contains(':');
    let mut parts = if packed { [Some(&text[..2]), Some(&text[2..]), None] } else { split3(text)? }.into_iter();
    let hour = digits(parts.next()??, 1..=2)?;
    let minute = parts.next()?.map_or(Some(0), |p| digits(p, 2..=2))?;
    let second = parts.next()?.map_or(Some(0), |p| digits(p, 2..=2))?;
    (hour < hours && minute < 60 && second < 60).then_some(hour * 3_600 + minute * 60 + second)
}

fn split3(text: &str) -> Option<[Option<&str>; 3]> {
    let mut parts = text.split(':');
    let three = [parts.next(), parts.next(), parts.next()];
    parts.next().is_none().then_some(three)
}

fn digits(text: &str, width: std::ops::RangeInclusive<usize>) -> Option<i64> {
    (width.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(write: impl FnOnce(&mut String) -> fmt::Result, expected: &str) {
        let mut text = String::new();
        write(&mut text).unwrap();
        assert_eq!(text, expected);
    }

    #[test]
    fn doubles_have_the_digits_that_questdb_sends() {
        for (value, expected) in [
            (1e7, "1.0E7"),
            (1e6, "1000000.0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e-3, "0.001"),
            (1e-4, "1.0E-4"),
            (123456789.123, "1.23456789123E8"),
            (-0.0, "-0.0"),
            (0.0, "0.0"),
            (1.0, "1.0"),
            (-100.25, "-100.25"),
            (9999999.5, "9999999.5"),
            (0.012, "0.012"),
            (9007199254740993.0, "9.007199254740992E15"),
            (5e-324, "5.0E-324"),
            (f64::MAX, "1.7976931348623157E308"),
            (-f64::MIN_POSITIVE, "-2.2250738585072014E-308"),
        ] {
            check(|out| write_f64(out, value), expected);
        }
        for (value, expected) in
            [(3.4028235e38, "3.4028235E38"), (1.1, "1.1"), (1e-7, "1.0E-7"), (16777216.0, "1.6777216E7"), (0.0, "0.0")]
        {
            check(|out| write_f32(out, value), expected);
        }
    }

    #[test]
    fn times_have_a_blank_and_no_zone() {
        check(|out| write_timestamp_us(out, 0), "1970-01-01 00:00:00.000000");
        check(|out| write_timestamp_us(out, 1_704_067_200_123_456), "2024-01-01 00:00:00.123456");
        check(|out| write_timestamp_us(out, -1), "1969-12-31 23:59:59.999999");
        check(|out| write_timestamp_us(out, 253_402_300_800_000_000), "10000-01-01 00:00:00.000000");
        check(|out| write_timestamp_us(out, -62_135_596_800_000_001), "0001-12-31 23:59:59.999999 BC");
        check(|out| write_timestamp_us(out, i64::MIN + 1), "290309-12-21 19:59:05.224193 BC");
        check(|out| write_date_ms(out, 1_704_067_200_123), "2024-01-01 00:00:00.123");
        check(|out| write_date_ms(out, i64::MIN + 1), "292275056-05-16 16:47:04.193 BC");
    }

    #[test]
    fn timestamps_are_read_in_the_forms_of_drivers() {
        let base = 1_704_067_200_000_000;
        for (text, expected) in [
            ("2024-01-01", Some(base)),
            ("2024-01-01Z", Some(base)),
            (" 2024-01-01 00:00:00 ", Some(base)),
            ("2024-01-01T00:00", Some(base)),
            ("2024-01-01T00:00:00.000000Z", Some(base)),
            ("2024-01-01 00:00:00.1", Some(base + 100_000)),
            ("2024-01-01 00:00:00.123456789+00", Some(base + 123_456)),
            ("2024-01-01 02:00:00+02", Some(base)),
            ("2023-12-31 20:30:00-03:30", Some(base)),
            ("2024-01-01T02:00:00 +0200", Some(base)),
            ("1969-12-31 23:59:59.999999", Some(-1)),
            ("2024-02-29", Some(base + 59 * US_PER_DAY)),
            ("2023-02-29", None),
            ("2024-13-01", None),
            ("2024-1-1", None),
            ("2024-01-01 24:00:00", None),
            ("2024-01-01 00:00:00 Europe/Berlin", None),
            ("2024-01-01 00:60", None),
            ("2024-01-01 00:00:00.1234567890", None),
            ("2024-01-01 00:00:00:00", None),
            ("abc", None),
            ("", None),
        ] {
            assert_eq!(read_timestamp_us(text), expected, "{text:?}");
        }
    }

    #[test]
    fn written_times_are_read_back() {
        for us in [0, -1, 1, 951_782_400_000_000, 4_102_444_799_999_999, -2_208_988_800_000_000] {
            let mut text = String::new();
            write_timestamp_us(&mut text, us).unwrap();
            assert_eq!(read_timestamp_us(&text), Some(us), "{text}");
        }
    }

    #[test]
    fn numbers_and_booleans_are_read_leniently() {
        assert_eq!(
            [" 5 ", "+5", "-5", "5.0", "5.5", "", "x", "9223372036854775808"].map(read_i64),
            [Some(5), Some(5), Some(-5), Some(5), None, None, None, None]
        );
        assert_eq!(
            [" 1.5 ", "-1e3", "Infinity", "x"].map(read_f64),
            [Some(1.5), Some(-1e3), Some(f64::INFINITY), None]
        );
        assert!(read_f64("NaN").is_some_and(f64::is_nan));
        assert_eq!(
            ["t", " TRUE", "off", "0", "maybe"].map(read_bool),
            [Some(true), Some(true), Some(false), Some(false), None]
        );
    }
}
