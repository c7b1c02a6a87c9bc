//! A number of calendar units such as `15m` or `3M`, as SAMPLE BY and `timestamp_floor` spell it.
//!
//! Next file: `grid.rs`, which cuts time into buckets of one stride.

use std::fmt;

use types::time::{US_PER_DAY, US_PER_HOUR, US_PER_MINUTE, US_PER_SECOND};

use super::calendar;

/// What a stride counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unit {
    /// In whole microseconds, of which a stride has at least one.
    Nano,
    Micro,
    Milli,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Unit {
    /// Returns the unit of a QuestDB unit letter, which is case-sensitive: `M` is months, `m` minutes.
    pub fn from_letter(letter: char) -> Option<Unit> {
        Some(match letter {
            'n' => Unit::Nano,
            'U' => Unit::Micro,
            'T' => Unit::Milli,
            's' => Unit::Second,
            'm' => Unit::Minute,
            'h' => Unit::Hour,
            'd' => Unit::Day,
            'w' => Unit::Week,
            'M' => Unit::Month,
            'y' => Unit::Year,
            _ => return None,
        })
    }

    fn letter(self) -> char {
        match self {
            Unit::Nano => 'n',
            Unit::Micro => 'U',
            Unit::Milli => 'T',
            Unit::Second => 's',
            Unit::Minute => 'm',
            Unit::Hour => 'h',
            Unit::Day => 'd',
            Unit::Week => 'w',
            Unit::Month => 'M',
            Unit::Year => 'y',
        }
    }
}

/// A positive number of one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stride {
    count: i64,
    unit: Unit,
}

/// How long a stride is: a fixed time, or a number of calendar months.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    Micros(i64),
    Months(i64),
}

impl Stride {
    /// Returns a stride of `count` units; `None` unless `count` is positive and the length fits into `i64` microseconds.
    pub fn new(count: i64, unit: Unit) -> Option<Stride> {
        let stride = Stride { count, unit };
        (count > 0 && stride.checked_length().is_some()).then_some(stride)
    }

    /// Returns the stride of a SAMPLE BY text. The peer reads leading digits as the number (none: 1), the last letter
    /// as the unit, and ignores what lies between: `1.5h` is an hour. The error is the message the peer gives.
    pub fn from_sample_by(text: &str) -> Result<Stride, String> {
        let unit = text.chars().last().and_then(Unit::from_letter).ok_or_else(|| invalid_unit(text))?;
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        if digits.is_empty() {
            return if text.chars().count() == 1 { Ok(Stride { count: 1, unit }) } else { Err(invalid_unit(text)) };
        }
        let count = digits.parse().map_err(|_| invalid_unit(text))?;
        Stride::new(count, unit).ok_or_else(|| format!("positive number expected: {text}"))
    }

    /// Returns the stride of the first argument of `timestamp_floor` and its kin: digits (none: 1) and one unit letter,
    /// nothing else. The error is the message the peer gives.
    pub fn from_floor(text: &str) -> Result<Stride, String> {
        let error = || format!("invalid unit '{text}'");
        let unit_letter = text.chars().last().ok_or_else(error)?;
        let unit = Unit::from_letter(unit_letter).ok_or_else(error)?;
        let digits = &text[..text.len() - unit_letter.len_utf8()];
        if digits.is_empty() {
            return Ok(Stride { count: 1, unit });
        }
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(error());
        }
        digits.parse().ok().and_then(|count| Stride::new(count, unit)).ok_or_else(error)
    }

    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// Returns whether microseconds cannot count the stride.
    pub fn is_finer(&self) -> bool {
        self.unit == Unit::Nano && self.count % 1_000 != 0
    }

    pub fn count(&self) -> i64 {
        self.count
    }

    /// Returns the length of one stride.
    pub fn length(&self) -> Length {
        self.checked_length().expect("checked by the constructor")
    }

    fn checked_length(&self) -> Option<Length> {
        let unit_us = match self.unit {
            Unit::Nano => return Some(Length::Micros((self.count / 1_000).max(1))),
            Unit::Micro => 1,
            Unit::Milli => 1_000,
            Unit::Second => US_PER_SECOND,
            Unit::Minute => US_PER_MINUTE,
            Unit::Hour => US_PER_HOUR,
            Unit::Day => US_PER_DAY,
            Unit::Week => 7 * US_PER_DAY,
            Unit::Month => return Some(Length::Months(self.count)),
            Unit::Year => return self.count.checked_mul(12).map(Length::Months),
        };
        self.count.checked_mul(unit_us).map(Length::Micros)
    }

    /// Returns `ts_us` moved by `times` strides (months clamp the day); saturates at the ends of `i64`.
    pub fn step(&self, ts_us: i64, times: i64) -> i64 {
        match self.length() {
            Length::Micros(us) => ts_us.saturating_add(us.saturating_mul(times)),
            Length::Months(months) => calendar::add_months(ts_us, months.saturating_mul(times)),
        }
    }
}

impl fmt::Display for Stride {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.count, self.unit.letter())
    }
}

fn invalid_unit(text: &str) -> String {
    format!("Invalid unit: {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(parsed: Result<Stride, String>, expected: Result<&str, &str>) {
        let parsed = parsed.map(|s| s.to_string());
        assert_eq!(parsed, expected.map(str::to_owned).map_err(str::to_owned));
    }

    #[test]
    fn sample_by_reads_number_and_last_letter() {
        check(Stride::from_sample_by("15m"), Ok("15m"));
        check(Stride::from_sample_by("h"), Ok("1h"));
        check(Stride::from_sample_by("1.5h"), Ok("1h"));
        check(Stride::from_sample_by("1day"), Ok("1y"));
        check(Stride::from_sample_by("1500n"), Ok("1500n"));
        check(Stride::from_sample_by("1D"), Err("Invalid unit: 1D"));
        check(Stride::from_sample_by("10"), Err("Invalid unit: 10"));
        check(Stride::from_sample_by("0h"), Err("positive number expected: 0h"));
    }

    #[test]
    fn nanoseconds_are_counted_in_whole_microseconds() {
        for (text, us, finer) in [("1n", 1, true), ("1500n", 1, true), ("2000n", 2, false), ("3U", 3, false)] {
            let stride = Stride::from_sample_by(text).expect("a stride");
            assert_eq!((stride.length(), stride.is_finer()), (Length::Micros(us), finer), "{text}");
        }
    }

    #[test]
    fn floor_takes_digits_and_one_letter() {
        check(Stride::from_floor("5m"), Ok("5m"));
        check(Stride::from_floor("d"), Ok("1d"));
        check(Stride::from_floor("hour"), Err("invalid unit 'hour'"));
        check(Stride::from_floor("0m"), Err("invalid unit '0m'"));
        check(Stride::from_floor("-5m"), Err("invalid unit '-5m'"));
        check(Stride::from_floor("u"), Err("invalid unit 'u'"));
        check(Stride::from_floor(""), Err("invalid unit ''"));
    }
}
