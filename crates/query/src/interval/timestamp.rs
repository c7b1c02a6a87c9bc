//! One timestamp as text, and the period that its written precision covers.
//!
//! Accepted: `yyyy`, `yyyy-MM`, `yyyy-MM-dd`, then `T` or a space and `HH`, `HH:mm`, `HH:mm:ss`, a fraction, and after
//! seconds a zone (`Z`, `+01`, `+01:30`, `-0530`); also ISO weeks `yyyy-Www`, `yyyy-Www-d`. Fields are padded, digits
//! finer than a microsecond are cut. It never looks at interval syntax: that is `legacy.rs` and `tick.rs`.

use types::time::{US_PER_DAY, US_PER_HOUR, US_PER_MINUTE, US_PER_SECOND};

use crate::bucket::calendar::{self, days_from_civil, days_in_month, iso_year_start};

/// A timestamp text, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The moment it names, in UTC.
    pub start_us: i64,
    /// The first microsecond after the period that its precision covers: `2024-02` ends with March.
    pub end_us: i64,
    /// How fine it is written.
    pub precision: Precision,
    /// Whether it carries a zone of its own.
    pub zoned: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    Year,
    Month,
    Week,
    Day,
    /// Any time of day, down to a fraction of a second.
    Time,
}

/// Returns the moment that `text` names, in microseconds since 1970-01-01T00:00Z; `None` if it is no timestamp.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    read(text).map(|written| written.start_us)
}

/// Reads a whole text as one timestamp.
pub fn read(text: &str) -> Option<Written> {
    let mut scanner = Scanner { rest: text.as_bytes() };
    let date = read_date(&mut scanner)?;
    if scanner.rest.is_empty() {
        return Some(date);
    }
    let spaced = match scanner.next()? {
        b'T' => false,
        b' ' => true,
        _ => return None,
    };
    if date.precision != Precision::Day {
        // A time needs a day; `2024-W22T06` is not one either.
        return None;
    }
    let time = read_time(&mut scanner)?;
    let start_us = date.start_us + time.start_us - time.zone_us.unwrap_or(0);
    // As in the peer: a text with a zone, or with a space before the time, is a moment and no period.
    let length_us = if spaced || time.zone_us.is_some() { 1 } else { time.length_us };
    Some(Written { start_us, end_us: start_us + length_us, precision: Precision::Time, zoned: time.zone_us.is_some() })
}

fn read_date(scanner: &mut Scanner) -> Option<Written> {
    let written = |first_day: i64, end_day: i64, precision| {
        Some(Written { start_us: first_day * US_PER_DAY, end_us: end_day * US_PER_DAY, precision, zoned: false })
    };
    let year = scanner.number(4)?;
    if !scanner.take(b'-') {
        return written(days_from_civil(year, 1, 1), days_from_civil(year + 1, 1, 1), Precision::Year);
    }
    if scanner.take(b'W') {
        return read_week(scanner, year);
    }
    let month = scanner.number(2).filter(|m| (1..=12).contains(m))?;
    let first = days_from_civil(year, month, 1);
    if !scanner.take(b'-') {
        return written(first, first + days_in_month(year, month), Precision::Month);
    }
    let day = scanner.number(2).filter(|d| (1..=days_in_month(year, month)).contains(d))?;
    written(first + day - 1, first + day, Precision::Day)
}

fn read_week(scanner: &mut Scanner, year: i64) -> Option<Written> {
    let (first, end) = (iso_year_start(year), iso_year_start(year + 1));
    let week = scanner.number(2).filter(|w| (1..=(end - first) / 7).contains(w))?;
    let monday = first + (week - 1) * 7;
    let (start, end, precision) = if scanner.take(b'-') {
        let day = scanner.number(1).filter(|d| (1..=7).contains(d))?;
        (monday + day - 1, monday + day, Precision::Day)
    } else {
        (monday, monday + 7, Precision::Week)
    };
    Some(Written { start_us: start * US_PER_DAY, end_us: end * US_PER_DAY, precision, zoned: false })
}

struct Time {
    start_us: i64,
    length_us: i64,
    zone_us: Option<i64>,
}

fn read_time(scanner: &mut Scanner) -> Option<Time> {
    let hour = scanner.number(2).filter(|h| *h < 24)?;
    let mut time = Time { start_us: hour * US_PER_HOUR, length_us: US_PER_HOUR, zone_us: None };
    if scanner.take(b':') {
        time.start_us += scanner.number(2).filter(|m| *m < 60)? * US_PER_MINUTE;
        time.length_us = US_PER_MINUTE;
        if scanner.take(b':') {
            time.start_us += scanner.number(2).filter(|s| *s < 60)? * US_PER_SECOND;
            time.length_us = US_PER_SECOND;
            if scanner.take(b'.') {
                let (fraction_us, length_us) = scanner.fraction()?;
                time.start_us += fraction_us;
                time.length_us = length_us;
            }
            // A zone is only known behind seconds: `13:47Z` is no timestamp.
            time.zone_us = scanner.zone()?;
        }
    }
    scanner.rest.is_empty().then_some(time)
}

/// Returns the offset from UTC in microseconds that `+hh`, `+hhmm` or `+hh:mm` (also with `-`) spells.
pub fn parse_offset(text: &str) -> Option<i64> {
    let mut scanner = Scanner { rest: text.as_bytes() };
    let offset_us = scanner.offset()?;
    scanner.rest.is_empty().then_some(offset_us)
}

/// Returns the day number (from 1970-01-01) of a moment.
pub fn day_of(ts_us: i64) -> i64 {
    ts_us.div_euclid(US_PER_DAY)
}

/// Returns whether the day of `ts_us` is Saturday or Sunday.
pub fn is_weekend(ts_us: i64) -> bool {
    calendar::weekday(day_of(ts_us)) >= 5
}

struct Scanner<'a> {
    rest: &'a [u8],
}

impl Scanner<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.rest.first() == Some(&byte);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    /// Reads exactly `digits` digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let field = self.rest.get(..digits)?;
        if !field.iter().all(u8::is_ascii_digit) {
            return None;
        }
        self.rest = &self.rest[digits..];
        Some(field.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0')))
    }

    /// Reads up to nine digits of a second (none is a whole one): their value and the length of their last place, at
    /// least 1 us.
    fn fraction(&mut self) -> Option<(i64, i64)> {
        let digits = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits > 9 {
            return None;
        }
        let (mut value, mut place_us) = (0, US_PER_SECOND);
        for digit in &self.rest[..digits.min(6)] {
            place_us /= 10;
            value += i64::from(digit - b'0') * place_us;
        }
        self.rest = &self.rest[digits..];
        Some((value, place_us))
    }

    /// Reads the zone at the end: `Some(None)` when there is none, `None` when it is malformed.
    fn zone(&mut self) -> Option<Option<i64>> {
        if self.rest.is_empty() {
            Some(None)
        } else if self.take(b'Z') {
            Some(Some(0))
        } else {
            self.offset().map(Some)
        }
    }

    fn offset(&mut self) -> Option<i64> {
        let sign = match self.next()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let hours = self.number(2).filter(|h| *h < 24)?;
        let colon = self.take(b':');
        let minutes = if self.rest.is_empty() && !colon { 0 } else { self.number(2).filter(|m| *m < 60)? };
        Some(sign * (hours * US_PER_HOUR + minutes * US_PER_MINUTE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::TimestampUs;

    fn check(text: &str, expected: Option<&str>) {
        let got = parse_timestamp(text).map(|us| TimestampUs(us).to_string());
        assert_eq!(got.as_deref(), expected, "{text}");
    }

    fn check_period(text: &str, start: &str, last: &str) {
        let written = read(text).unwrap_or_else(|| panic!("{text} is a timestamp"));
        let shown = (TimestampUs(written.start_us).to_string(), TimestampUs(written.end_us - 1).to_string());
        assert_eq!(shown, (start.to_owned(), last.to_owned()), "{text}");
    }

    #[test]
    fn reads_the_forms_that_the_reference_reads() {
        check("2024", Some("2024-01-01T00:00:00.000000Z"));
        check("2024-05", Some("2024-05-01T00:00:00.000000Z"));
        check("2024-05-17T13", Some("2024-05-17T13:00:00.000000Z"));
        check("2024-05-17T13:47", Some("2024-05-17T13:47:00.000000Z"));
        check("2024-05-17T13:47:12.1234569", Some("2024-05-17T13:47:12.123456Z"));
        check("2024-05-17T13:47:12.", Some("2024-05-17T13:47:12.000000Z"));
        check("2024-05-17T13:47:12.12", Some("2024-05-17T13:47:12.120000Z"));
        check("2024-05-17 13:47", Some("2024-05-17T13:47:00.000000Z"));
        check("2024-05-17T13:47:12Z", Some("2024-05-17T13:47:12.000000Z"));
        check("2024-05-17T13:47:12+02:00", Some("2024-05-17T11:47:12.000000Z"));
        check("2024-05-17T13:47:12-0530", Some("2024-05-17T19:17:12.000000Z"));
        check("2024-05-17T00:47:12+01", Some("2024-05-16T23:47:12.000000Z"));
        check("2024-05-17T13:47:12.5+02:00", Some("2024-05-17T11:47:12.500000Z"));
        check("0001-01-01", Some("0001-01-01T00:00:00.000000Z"));
        check("9999-12-31T23:59:59.999999Z", Some("9999-12-31T23:59:59.999999Z"));
        check("2024-W01", Some("2024-01-01T00:00:00.000000Z"));
        check("2020-W53-5", Some("2021-01-01T00:00:00.000000Z"));
        check("2024-W09-4T06:15", Some("2024-02-29T06:15:00.000000Z"));
    }

    #[test]
    fn refuses_the_forms_that_the_reference_refuses() {
        for text in [
            "2024-5-7",
            "20240507",
            "2024/05/07",
            "07-05-2024",
            " 2024-05-07",
            "",
            "2024-02-30",
            "2024-05-17T24:00",
            "2024-05-17T13:47Z",
            "2024-05-17Z",
            "2024-05-17T13:47+02:00",
            "2024-05-17t13:47:12",
            "2024-13",
            "2024-05-17T13:60",
            "2024-05-17T",
            "2024-05-17T13:47:12.1234567891",
            "2024-W54",
            "yesterday",
            "12024-01-01",
            "ü024",
            "2024-05-17T13:47:12+1",
            "2024-05-17T13:47:12+01:",
            "2024-01T10",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn the_written_precision_is_a_period() {
        check_period("2024-02", "2024-02-01T00:00:00.000000Z", "2024-02-29T23:59:59.999999Z");
        check_period("2024-W22", "2024-05-27T00:00:00.000000Z", "2024-06-02T23:59:59.999999Z");
        check_period("2024-02-29T10", "2024-02-29T10:00:00.000000Z", "2024-02-29T10:59:59.999999Z");
        check_period("2024-02-29T12:30:15.123", "2024-02-29T12:30:15.123000Z", "2024-02-29T12:30:15.123999Z");
        check_period("2024-02-29T10:00:00.5", "2024-02-29T10:00:00.500000Z", "2024-02-29T10:00:00.599999Z");
        check_period("2024-02-29T10:00:00Z", "2024-02-29T10:00:00.000000Z", "2024-02-29T10:00:00.000000Z");
        check_period("2024-02-29 10:00:00", "2024-02-29T10:00:00.000000Z", "2024-02-29T10:00:00.000000Z");
    }
}
