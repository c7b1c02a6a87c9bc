//! The parts of an interval text behind its semicolons: a duration, and how often the window repeats.

use crate::bucket::{Stride, Unit};

use super::IntervalError;

/// A window may repeat this often; more is refused rather than filling the memory.
pub const MAX_WINDOWS: usize = 1_000_000;

/// A sum of numbers with units, such as `6h30m`, in the order they were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Duration {
    strides: Vec<Stride>,
    /// Nanoseconds, which only count in whole microseconds.
    nanos: i64,
}

impl Duration {
    /// Reads a duration; the empty text is the empty duration.
    pub fn parse(text: &str) -> Result<Duration, IntervalError> {
        let mut duration = Duration::default();
        let mut digits = String::new();
        for letter in text.chars() {
            if letter.is_ascii_digit() {
                digits.push(letter);
                continue;
            }
            if digits.is_empty() {
                return Err(IntervalError::new(format!("Expected number before unit '{letter}'")));
            }
            let too_long = || IntervalError::new(format!("Duration too long: {text}"));
            let count: i64 = digits.parse().map_err(|_| too_long())?;
            digits.clear();
            match (letter, Unit::from_letter(if letter == 'u' { 'U' } else { letter })) {
                ('n', _) => duration.nanos = duration.nanos.checked_add(count).ok_or_else(too_long)?,
                (_, None) => return Err(IntervalError::new(format!("Invalid duration unit: {letter}"))),
                (_, Some(_)) if count == 0 => {}
                (_, Some(unit)) => duration.strides.push(Stride::new(count, unit).ok_or_else(too_long)?),
            }
        }
        if digits.is_empty() {
            Ok(duration)
        } else {
            Err(IntervalError::new("Missing unit at end of duration".to_owned()))
        }
    }

    /// Returns the moment this much later than `ts_us`.
    pub fn after(&self, ts_us: i64) -> i64 {
        let moved = self.strides.iter().fold(ts_us, |ts_us, stride| stride.step(ts_us, 1));
        moved.saturating_add(self.nanos / 1_000)
    }
}

/// How a window repeats: `count` times in all, each `times` strides after the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat {
    period: Option<(Stride, i64)>,
    count: usize,
}

impl Repeat {
    /// One window.
    pub const ONCE: Repeat = Repeat { period: None, count: 1 };

    /// Reads `period` (a number, possibly negative, and one of `s m h d M y`) and `count`.
    pub fn parse(period: &str, count: &str) -> Result<Repeat, IntervalError> {
        let Some(letter) = period.chars().last() else {
            return Err(IntervalError::new("Period not a number".to_owned()));
        };
        let number = &period[..period.len() - letter.len_utf8()];
        if !matches!(letter, 's' | 'm' | 'h' | 'd' | 'M' | 'y') {
            return Err(IntervalError::new(format!("Unknown period: {letter} at {}", number.chars().count())));
        }
        let times: i64 = number.parse().map_err(|_| IntervalError::new("Period not a number".to_owned()))?;
        let count: i64 = count.parse().map_err(|_| IntervalError::new("Count not a number".to_owned()))?;
        let count = usize::try_from(count).unwrap_or(0).max(1);
        if count > MAX_WINDOWS {
            return Err(IntervalError::new(format!("too many windows: {count}, at most {MAX_WINDOWS}")));
        }
        let unit = Unit::from_letter(letter).expect("one of the letters above");
        Ok(Repeat { period: Stride::new(1, unit).map(|stride| (stride, times)), count })
    }

    /// Returns the number of windows.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Calls `window` with each repetition of `first_us..=last_us`. Months are added one window at a time, so that a
    /// day once clamped stays clamped, as in the peer.
    pub fn each(&self, first_us: i64, last_us: i64, mut window: impl FnMut(i64, i64)) {
        let (mut first_us, mut last_us) = (first_us, last_us);
        for repetition in 0..self.count {
            if let (Some((stride, times)), true) = (self.period, repetition > 0) {
                (first_us, last_us) = (stride.step(first_us, times), stride.step(last_us, times));
            }
            window(first_us, last_us);
        }
    }
}
