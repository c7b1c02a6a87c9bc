//! Time zones: names of the tz database and fixed offsets.

use types::time::{US_PER_DAY, US_PER_HOUR, US_PER_MINUTE};

use super::super::typed::Typed;
use crate::error::SqlError;

pub use crate::interval::zone::Zone;

/// Returns the moment of a local time. A time in a gap is read with the offset before it: Berlin's 02:30 is 01:30Z.
pub fn to_utc(zone: &Zone, local_us: i64) -> i64 {
    if zone.is_skipped(local_us) {
        return local_us - zone.offset_at(local_us - US_PER_DAY);
    }
    zone.to_utc(local_us)
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
