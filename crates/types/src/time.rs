//! Microseconds since 1970-01-01T00:00Z and half-open ranges of them.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use serde::{Deserialize, Serialize};

/// A moment in microseconds since 1970-01-01T00:00:00Z (proleptic Gregorian calendar, no leap seconds).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TimestampUs(pub i64);

pub const US_PER_SECOND: i64 = 1_000_000;
pub const US_PER_MINUTE: i64 = 60 * US_PER_SECOND;
pub const US_PER_HOUR: i64 = 60 * US_PER_MINUTE;
pub const US_PER_DAY: i64 = 24 * US_PER_HOUR;
pub const US_PER_WEEK: i64 = 7 * US_PER_DAY;

impl fmt::Display for TimestampUs {
    /// Writes `2024-01-01T00:00:00.000000Z`, as JSON answers show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp_micros(self.0) {
            Some(t) => write!(
                f,
                "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
                t.year(),
                t.month(),
                t.day(),
                t.hour(),
                t.minute(),
                t.second(),
                t.nanosecond() / 1_000
            ),
            None => write!(f, "{}us", self.0),
        }
    }
}

impl FromStr for TimestampUs {
    type Err = crate::Invalid;

    /// Reads what `Display` writes, RFC 3339, and a day, which means its first moment; a time without a zone is in UTC.
    fn from_str(text: &str) -> Result<TimestampUs, crate::Invalid> {
        let zoned = DateTime::parse_from_rfc3339(text).map(|t| t.timestamp_micros());
        let in_utc =
            || NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").map(|t| t.and_utc().timestamp_micros());
        let day = || {
            let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == "2026-03-01".len());
            day.map(|day| day.and_time(NaiveTime::MIN).and_utc().timestamp_micros())
        };
        let us = zoned.or_else(|_| in_utc()).or_else(|error| day().ok_or(error));
        us.map(TimestampUs).map_err(|_| crate::Invalid(format!("no time such as 2026-03-01T09:59:00Z: {text:?}")))
    }
}

/// A half-open range `[start_us, end_us)`; `end_us` may be `i64::MAX`, which then counts as included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeRange {
    pub start_us: i64,
    pub end_us: i64,
}

impl TimeRange {
    /// Every moment there is.
    pub const ALL: TimeRange = TimeRange { start_us: i64::MIN, end_us: i64::MAX };
    /// No moment at all.
    pub const EMPTY: TimeRange = TimeRange { start_us: 0, end_us: 0 };

    /// Returns whether `ts_us` lies within.
    pub fn contains(&self, ts_us: i64) -> bool {
        ts_us >= self.start_us && (ts_us < self.end_us || self.end_us == i64::MAX)
    }

    /// Returns whether any moment of `first_us..=last_us` lies within.
    pub fn overlaps(&self, first_us: i64, last_us: i64) -> bool {
        !self.is_empty() && last_us >= self.start_us && (first_us < self.end_us || self.end_us == i64::MAX)
    }

    /// Returns the moments that both ranges hold.
    pub fn intersect(&self, other: &TimeRange) -> TimeRange {
        let r = TimeRange { start_us: self.start_us.max(other.start_us), end_us: self.end_us.min(other.end_us) };
        if r.is_empty() { TimeRange::EMPTY } else { r }
    }

    /// Returns whether no moment lies within.
    pub fn is_empty(&self) -> bool {
        self.start_us >= self.end_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_micros_and_old_years() {
        assert_eq!(TimestampUs(0).to_string(), "1970-01-01T00:00:00.000000Z");
        assert_eq!(TimestampUs(-1).to_string(), "1969-12-31T23:59:59.999999Z");
        assert_eq!(TimestampUs(1_704_067_200_123_456).to_string(), "2024-01-01T00:00:00.123456Z");
    }

    #[test]
    fn ranges_are_half_open() {
        let r = TimeRange { start_us: 10, end_us: 20 };
        assert!(r.contains(10) && !r.contains(20) && r.overlaps(0, 10) && !r.overlaps(20, 30));
        assert!(TimeRange::ALL.contains(i64::MAX) && !TimeRange::EMPTY.overlaps(0, 0));
        assert!(r.intersect(&TimeRange { start_us: 20, end_us: 30 }).is_empty());
    }
}
