//! Moments: the calendar, their text forms, and the names of the date and time functions.
//!
//! All arithmetic is on microseconds since 1970 in the proleptic Gregorian calendar, so that every moment a LONG can
//! hold has a year, month and day. Next: [`super::moment_parts`], [`super::moment_units`], [`super::moment_format`].

use types::time::{US_PER_DAY, US_PER_SECOND};

use super::{Binding, moment_format, moment_parts, moment_units};
use crate::bucket::calendar;

pub use crate::bucket::calendar::days_in_month;
pub use crate::interval::parse_timestamp;

/// Returns the binding of a date or time function.
pub fn find(name: &str) -> Option<Binding> {
    moment_parts::find(name).or_else(|| moment_units::find(name)).or_else(|| moment_format::find(name))
}

/// A day of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    pub year: i64,
    /// 1 to 12.
    pub month: i64,
    /// 1 to 31.
    pub day: i64,
}

/// Returns the day of a number of days since 1970-01-01.
pub fn day_of(days: i64) -> Day {
    let (year, month, day) = calendar::civil_from_days(days);
    Day { year, month, day }
}

/// Returns the number of days from 1970-01-01 to a day.
pub fn days_to(year: i64, month: i64, day: i64) -> i64 {
    calendar::days_from_civil(year, month, day)
}

/// Returns whether a year has 366 days.
pub fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Returns the calendar day of a moment.
pub fn day_of_us(us: i64) -> Day {
    day_of(us.div_euclid(US_PER_DAY))
}

/// Returns the moment that lies `us_of_day` into a day.
pub fn us_of(day: Day, us_of_day: i64) -> i64 {
    days_to(day.year, day.month, day.day) * US_PER_DAY + us_of_day
}

/// Returns the ISO weekday of a moment: Monday is 1, Sunday 7.
pub fn iso_weekday(us: i64) -> i64 {
    (us.div_euclid(US_PER_DAY) + 3).rem_euclid(7) + 1
}

/// Returns the day of the year of a moment, from 1.
pub fn day_of_year(us: i64) -> i64 {
    let day = day_of_us(us);
    days_to(day.year, day.month, day.day) - days_to(day.year, 1, 1) + 1
}

/// Returns the ISO year and week of a moment: the week belongs to the year that has its Thursday.
pub fn iso_year_week(us: i64) -> (i64, i64) {
    let thursday = us.div_euclid(US_PER_DAY) - iso_weekday(us) + 4;
    let year = day_of(thursday).year;
    (year, (thursday - days_to(year, 1, 1)) / 7 + 1)
}

/// Returns the first moment of an ISO week.
pub fn iso_week_start(year: i64, week: i64) -> i64 {
    let fourth = days_to(year, 1, 4) * US_PER_DAY;
    fourth - (iso_weekday(fourth) - 1) * US_PER_DAY + (week - 1) * 7 * US_PER_DAY
}

/// Returns the moment that a text names in nanoseconds; None if it is no timestamp or out of their range.
pub fn parse_timestamp_ns(text: &str) -> Option<i64> {
    let us = parse_timestamp(text)?;
    let fraction = text.find('.').map_or("", |dot| &text[dot + 1..]);
    let digit = |i: usize| fraction.bytes().take(i + 1).all(|b| b.is_ascii_digit()).then(|| fraction.as_bytes().get(i));
    let fine = (6..9).fold(0, |n, i| n * 10 + digit(i).flatten().map_or(0, |d| i64::from(d - b'0')));
    us.checked_mul(1_000)?.checked_add(fine)
}

/// Returns a TIMESTAMP_NS as text: `2024-01-01T00:00:00.000000000Z`.
pub fn timestamp_ns_text(ns: i64) -> String {
    let micros = timestamp_text(ns.div_euclid(1_000));
    format!("{}{:03}Z", micros.trim_end_matches('Z'), ns.rem_euclid(1_000))
}

/// Returns a TIMESTAMP as text: `2024-01-01T00:00:00.000000Z`.
pub fn timestamp_text(us: i64) -> String {
    format!("{}.{:06}Z", seconds_text(us.div_euclid(US_PER_SECOND)), us.rem_euclid(US_PER_SECOND))
}

/// Returns a DATE as text: `2024-01-01T00:00:00.000Z`.
pub fn date_text(ms: i64) -> String {
    format!("{}.{:03}Z", seconds_text(ms.div_euclid(1_000)), ms.rem_euclid(1_000))
}

fn seconds_text(seconds: i64) -> String {
    let day = day_of(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}", day.year, day.month, day.day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_last_second_of_a_year_is_in_that_year() {
        for year in 1600..=2300 {
            let us = days_to(year, 12, 31) * US_PER_DAY + US_PER_DAY - US_PER_SECOND;
            assert_eq!(timestamp_text(us), format!("{year}-12-31T23:59:59.000000Z"));
        }
    }

    #[test]
    fn texts_are_read_as_the_peer_reads_them() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(parse_timestamp(text).map(timestamp_text).as_deref(), expected, "{text}");
        };
        check("2024-02", Some("2024-02-01T00:00:00.000000Z"));
        check("2024-02-29T12:30:45.1", Some("2024-02-29T12:30:45.100000Z"));
        check("2024-02-29 12:30:45.123", Some("2024-02-29T12:30:45.123000Z"));
        check("2024-02-29T12:30:45.123+01:00", Some("2024-02-29T11:30:45.123000Z"));
        check("2024-02-29T12:30:45.123456789Z", Some("2024-02-29T12:30:45.123456Z"));
        check("2024-W20", Some("2024-05-13T00:00:00.000000Z"));
        check("2024-02-30", None);
        check("2024-02-29T24:00", None);
        check("20240229", None);
        check("2024-05-17T13:47Z", None);
        check("xy", None);
        check("", None);
    }

    #[test]
    fn weeks_are_iso_weeks() {
        let check = |text: &str, expected: (i64, i64)| {
            assert_eq!(iso_year_week(parse_timestamp(text).expect(text)), expected, "{text}");
        };
        check("2020-12-31", (2020, 53));
        check("2021-01-03", (2020, 53));
        check("2021-01-04", (2021, 1));
        check("2023-01-01", (2022, 52));
    }
}
