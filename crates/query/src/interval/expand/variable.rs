//! `$today`, `$yesterday`, `$tomorrow`, `$now` with their arithmetic and ranges.

use types::time::US_PER_DAY;

use super::{Local, add_business_days, each_day};
use crate::bucket::{Stride, Unit};
use crate::interval::IntervalError;
use crate::interval::timestamp::{self, is_weekend};
use crate::interval::zone::Zone;

const NAMES: [&str; 4] = ["yesterday", "tomorrow", "today", "now"];

/// The farthest that business days are counted, so that a typing error ends.
const MAX_BUSINESS_DAYS: i64 = 1_000_000;

/// A variable after its arithmetic, in local time.
struct Moment {
    start_us: i64,
    last_us: i64,
    counts_business_days: bool,
}

/// Returns the windows of one variable or of a range of two.
pub fn expand(text: &str, zone: Zone, now_us: i64) -> Result<Vec<Local>, IntervalError> {
    let now_us = zone.to_local(now_us);
    let (first, last) = match text.split_once("..") {
        Some((first, last)) => (first, last),
        None => (text, text),
    };
    let (Some(first), Some(last)) = (read(first.trim(), now_us)?, read(last.trim(), now_us)?) else {
        // As in the peer, arithmetic that cannot be read matches nothing.
        return Ok(vec![]);
    };
    let whole = Local { start_us: first.start_us, last_us: last.last_us, zone };
    let is_range = text.contains("..");
    if is_range && (first.counts_business_days || last.counts_business_days) {
        return Ok(each_day(whole).filter(|day| !is_weekend(day.start_us)).collect());
    }
    Ok(if whole.last_us < whole.start_us { vec![] } else { vec![whole] })
}

fn read(text: &str, now_us: i64) -> Result<Option<Moment>, IntervalError> {
    let name = text.strip_prefix('$').unwrap_or("");
    let folded = name.to_ascii_lowercase();
    let Some(known) = NAMES.iter().find(|known| folded.starts_with(*known)) else {
        let word: String = name.chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
        return Err(IntervalError::new(format!("Unknown date variable: ${word}")));
    };
    let today_us = now_us - now_us.rem_euclid(US_PER_DAY);
    let (start_us, length_us) = match *known {
        "yesterday" => (today_us - US_PER_DAY, US_PER_DAY),
        "tomorrow" => (today_us + US_PER_DAY, US_PER_DAY),
        "today" => (today_us, US_PER_DAY),
        _ => (now_us, 1),
    };
    // `now` keeps the name's bytes: lower-casing ASCII never moves them.
    let (arithmetic, time) = match name[known.len()..].split_once('T') {
        Some((arithmetic, time)) if time.starts_with(|c: char| c.is_ascii_digit()) => (arithmetic, Some(time)),
        _ => (&name[known.len()..], None),
    };
    let Some((start_us, counts_business_days)) = apply(arithmetic, start_us) else { return Ok(None) };
    let moment = Moment { start_us, last_us: start_us.saturating_add(length_us - 1), counts_business_days };
    match time {
        None => Ok(Some(moment)),
        Some(time) => at_time(moment, time).map(Some),
    }
}

fn at_time(day: Moment, time: &str) -> Result<Moment, IntervalError> {
    let invalid = || IntervalError::new(format!("Invalid date: {time}"));
    let written = timestamp::read(&format!("1970-01-01T{time}")).ok_or_else(invalid)?;
    let day_us = day.start_us - day.start_us.rem_euclid(US_PER_DAY);
    Ok(Moment { start_us: day_us + written.start_us, last_us: day_us + written.end_us - 1, ..day })
}

/// Applies `+ 2d - 3h`, spaces allowed; `None` when it is malformed.
fn apply(arithmetic: &str, start_us: i64) -> Option<(i64, bool)> {
    let (mut at_us, mut business) = (start_us, false);
    let mut rest = arithmetic.trim();
    while !rest.is_empty() {
        let sign = match rest.as_bytes()[0] {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        rest = rest[1..].trim_start();
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let count: i64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        if let Some(behind) = rest.strip_prefix("bd") {
            if count > MAX_BUSINESS_DAYS {
                return None;
            }
            (at_us, business, rest) = (add_business_days(at_us, sign * count), true, behind.trim_start());
            continue;
        }
        let letter = rest.chars().next()?;
        let unit = Unit::from_letter(if letter == 'u' { 'U' } else { letter })?;
        at_us = Stride::new(1, unit)?.step(at_us, sign * count);
        rest = rest[1..].trim_start();
    }
    Some((at_us, business))
}
