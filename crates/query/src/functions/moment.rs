//! Moments: the calendar, their text forms, and the names of the date and time functions.
//!
//! All arithmetic is on microseconds since 1970 in the proleptic Gregorian calendar, so that every moment a LONG can
//! hold has a year, month and day. Next: [`super::moment_parts`], [`super::moment_units`], [`super::moment_format`].

use types::time::{US_PER_DAY, US_PER_HOUR, US_PER_MINUTE, US_PER_SECOND};

use super::{Binding, moment_format, moment_parts, moment_units};

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

/// Returns the day of a number of days since 1970-01-01 (Howard Hinnant's civil_from_days).
pub fn day_of(days: i64) -> Day {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Day { year, month, day: day_of_year - (153 * march_month + 2) / 5 + 1 }
}

/// Returns the number of days from 1970-01-01 to a day (Howard Hinnant's days_from_civil).
pub fn days_to(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Returns whether a year has 366 days.
pub fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Returns the number of days of a month.
pub fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
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

/// Reads a TIMESTAMP from ISO text: `2024`, `2024-05`, `2024-05-17`, `2024-05-17T13`, `..:47`, `..:12.345`, with `T` or
/// a blank between, a zone only after seconds, or an ISO week `2024-W20-5`. Digits beyond microseconds are cut.
///
/// None is no moment: text of another form, a day or hour that does not exist.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let mut reader = Reader { rest: text.as_bytes() };
    let year = reader.digits(4)?;
    let mut days = days_to(year, 1, 1);
    if reader.rest.is_empty() {
        return Some(days * US_PER_DAY);
    }
    reader.expect(b'-')?;
    if reader.skip(b'W') {
        let week = reader.digits(2).filter(|w| (1..=53).contains(w))?;
        days = iso_week_start(year, week) / US_PER_DAY;
        if reader.skip(b'-') {
            days += reader.digits(1).filter(|d| (1..=7).contains(d))? - 1;
        }
    } else {
        let month = reader.digits(2).filter(|m| (1..=12).contains(m))?;
        days = days_to(year, month, 1);
        if reader.rest.is_empty() {
            return Some(days * US_PER_DAY);
        }
        reader.expect(b'-')?;
        days += reader.digits(2).filter(|d| (1..=days_in_month(year, month)).contains(d))? - 1;
    }
    if reader.rest.is_empty() {
        return Some(days * US_PER_DAY);
    }
    if !reader.skip(b'T') {
        reader.expect(b' ')?;
    }
    Some(days * US_PER_DAY + reader.time()?)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    /// Reads exactly `count` digits.
    fn digits(&mut self, count: usize) -> Option<i64> {
        let digits = self.rest.get(..count).filter(|d| d.iter().all(u8::is_ascii_digit))?;
        self.rest = &self.rest[count..];
        Some(digits.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0')))
    }

    fn skip(&mut self, byte: u8) -> bool {
        let found = self.rest.first() == Some(&byte);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.skip(byte).then_some(())
    }

    /// Reads the time of day and the zone behind it, as microseconds to add to midnight.
    fn time(&mut self) -> Option<i64> {
        let mut us = self.digits(2).filter(|h| *h < 24)? * US_PER_HOUR;
        if self.rest.is_empty() {
            return Some(us);
        }
        self.expect(b':')?;
        us += self.digits(2).filter(|m| *m < 60)? * US_PER_MINUTE;
        if self.rest.is_empty() {
            return Some(us);
        }
        self.expect(b':')?;
        us += self.digits(2).filter(|s| *s < 60)? * US_PER_SECOND;
        if self.skip(b'.') {
            us += self.fraction()?;
        }
        Some(us - self.zone()?)
    }

    fn fraction(&mut self) -> Option<i64> {
        let count = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if count == 0 || count > 9 {
            return None;
        }
        let digits = self.digits(count)?;
        Some(if count <= 6 { digits * 10_i64.pow(6 - count as u32) } else { digits / 10_i64.pow(count as u32 - 6) })
    }

    /// Reads nothing, `Z`, `+01`, `+0130` or `+01:30` up to the end.
    fn zone(&mut self) -> Option<i64> {
        if self.rest.is_empty() || self.rest == b"Z" {
            return Some(0);
        }
        let sign = match self.rest[0] {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        self.rest = &self.rest[1..];
        let mut us = self.digits(2).filter(|h| *h < 24)? * US_PER_HOUR;
        if !self.rest.is_empty() {
            self.skip(b':');
            us += self.digits(2).filter(|m| *m < 60)? * US_PER_MINUTE;
        }
        self.rest.is_empty().then_some(sign * us)
    }
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
