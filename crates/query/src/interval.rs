//! Timestamp texts and interval texts of QuestDB: `ts IN '2024-01'`, `'2024-01-01;1h;1d;3'`, `'2024-01-[01..05]T09:30'`.
//!
//! An interval text names a set of moments, given as sorted, disjoint half-open ranges. Positions are not known here:
//! every error stands at the literal. Reading order: [`timestamp`] (one moment and its period), [`expand`] (brackets,
//! variables, zones, day filters), [`duration`] (what stands behind semicolons), [`zone`], [`ranges`] (AND, OR, NOT).

use types::TimeRange;

mod duration;
mod expand;
pub mod ranges;
pub mod timestamp;
pub mod zone;

pub use timestamp::{parse_offset, parse_timestamp};

use duration::{Duration, MAX_WINDOWS, Repeat};
use expand::Local;

/// A text that is no interval: the sentence that the peer answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct IntervalError {
    pub message: String,
}

impl IntervalError {
    fn new(message: String) -> IntervalError {
        IntervalError { message }
    }
}

/// Returns the moments of `ts IN 'text'`; `now_us` is what `$now` means in this statement.
pub fn parse_interval(text: &str, now_us: i64) -> Result<Vec<TimeRange>, IntervalError> {
    let apart = expand::by_duration(text)?;
    if !apart.is_empty() {
        let found = apart.iter().map(|text| parse_interval(text, now_us)).collect::<Result<Vec<_>, _>>()?;
        return Ok(ranges::union(found.into_iter().flatten()));
    }
    let parts: Vec<&str> = text.split(';').collect();
    let (head, duration, repeat) = match parts.as_slice() {
        [head] => (*head, None, Repeat::ONCE),
        [head, duration] => (*head, Some(Duration::parse(duration)?), Repeat::ONCE),
        [_, _, _] => return Err(IntervalError::new(format!("Invalid interval format: {text}"))),
        [head, duration, period, count] => {
            let duration = Duration::parse(duration)?;
            (*head, Some(duration), Repeat::parse(period, count)?)
        }
        _ => return Err(IntervalError::new(format!("Invalid interval format (too many semicolons): {text}"))),
    };
    let windows = expand::expand(head, duration.is_some(), now_us)?;
    if repeat.count() * windows.len() > MAX_WINDOWS {
        return Err(IntervalError::new(format!("too many windows: at most {MAX_WINDOWS}")));
    }
    let mut found = Vec::with_capacity(windows.len());
    for window in windows {
        let last_us = match &duration {
            // The duration counts from the start of the written period, whatever its precision.
            Some(duration) => duration.after(window.start_us).saturating_sub(1),
            None => window.last_us,
        };
        repeat.each(window.start_us, last_us, |first_us, last_us| {
            found.push(to_utc(&Local { start_us: first_us, last_us, zone: window.zone }));
        });
    }
    Ok(ranges::union(found))
}

/// Returns the moments of the period that a plain timestamp text covers by its precision: `ts != '2024-02-29'` on the
/// designated timestamp takes the whole day away.
pub fn written_period(text: &str) -> Option<TimeRange> {
    let written = timestamp::read(text)?;
    Some(TimeRange { start_us: written.start_us, end_us: written.end_us })
}

/// Both ends are converted by themselves, so that a window over a clock change is an hour longer or shorter.
fn to_utc(window: &Local) -> TimeRange {
    let (zone, first_us, last_us) = (&window.zone, window.start_us, window.last_us);
    if last_us < first_us {
        return TimeRange::EMPTY;
    }
    let start_us = zone.to_utc(first_us);
    let last_us = if zone.is_skipped(last_us) && zone.to_utc(last_us) == start_us {
        // The whole window lies in the gap: it begins where the gap ends and keeps its length.
        start_us.saturating_add(last_us - first_us)
    } else {
        zone.to_utc(last_us)
    };
    TimeRange { start_us, end_us: last_us.saturating_add(1) }
}

#[cfg(test)]
mod tests;
