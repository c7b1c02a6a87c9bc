//! Time zones: names of the tz database and fixed offsets.

use arrow::array::timezone::Tz;
use chrono::{DateTime, NaiveDateTime, Offset, TimeZone};
use types::time::{US_PER_HOUR, US_PER_MINUTE, US_PER_SECOND};

use super::super::typed::Typed;
use crate::error::SqlError;

/// A time zone.
#[derive(Clone)]
pub enum Zone {
    /// Microseconds east of UTC, always.
    Fixed(i64),
    Named(Tz),
}

impl Zone {
    /// Reads `Europe/Berlin`, `+02:00`, `UTC+02:00`, `Z`; None if there is no such zone.
    pub fn parse(text: &str) -> Option<Zone> {
        if text == "Z" {
            return Some(Zone::Fixed(0));
        }
        let offset = text.strip_prefix("UTC").or_else(|| text.strip_prefix("GMT")).unwrap_or(text);
        if let Some(us) = offset_us(offset).filter(|_| offset.starts_with(['+', '-'])) {
            return Some(Zone::Fixed(us));
        }
        text.parse().ok().map(Zone::Named)
    }

    /// Returns the local time of a moment.
    pub fn to_local(&self, us: i64) -> i64 {
        us + self.offset_at(us)
    }

    /// Returns the moment of a local time: the first of two, and after a gap as much later as the gap is long.
    pub fn to_utc(&self, local_us: i64) -> i64 {
        let Zone::Named(zone) = self else { return local_us - self.offset_at(local_us) };
        let Some(local) = naive(local_us) else { return local_us };
        match zone.offset_from_local_datetime(&local).earliest() {
            Some(offset) => local_us - i64::from(offset.fix().local_minus_utc()) * US_PER_SECOND,
            // In a gap the offset before it holds: 02:30 is 01:30Z.
            None => local_us - self.offset_at(local_us - 3 * US_PER_HOUR),
        }
    }

    fn offset_at(&self, us: i64) -> i64 {
        match self {
            Zone::Fixed(us) => *us,
            Zone::Named(zone) => naive(us).map_or(0, |utc| {
                i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc()) * US_PER_SECOND
            }),
        }
    }
}

fn naive(us: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_micros(us).map(|t| t.naive_utc())
}

/// Returns the zone that a constant argument names.
pub fn constant(arg: &Typed) -> Result<Zone, SqlError> {
    if arg.is_null_literal() {
        return Err(SqlError::new(arg.position, "timezone must not be null"));
    }
    let text = arg.as_text().ok_or_else(|| SqlError::new(arg.position, "the timezone must be a constant"))?;
    Zone::parse(text).ok_or_else(|| SqlError::new(arg.position, format!("invalid timezone: {text}")))
}

/// Reads `[+-]HH:mm`, `[+-]HHmm` or `[+-]HH` as microseconds.
pub fn offset_us(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (hours, minutes) = match (digits.len(), digits.is_ascii()) {
        (2, true) => (digits, "00"),
        (4, true) => digits.split_at(2),
        (5, true) => (&digits[..2], digits[2..].strip_prefix(':')?),
        _ => return None,
    };
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<i64>().ok())?;
    Some(sign * (number(hours)? * US_PER_HOUR + number(minutes).filter(|m| *m < 60)? * US_PER_MINUTE))
}
