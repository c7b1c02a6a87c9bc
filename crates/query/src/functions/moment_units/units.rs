//! Units of time and what can be done with them.

use types::time::{US_PER_DAY, US_PER_HOUR, US_PER_MINUTE, US_PER_SECOND, US_PER_WEEK};

use super::super::moment::{Day, day_of_us, days_in_month, days_to, us_of};

/// A unit that one letter names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Nanos,
    /// A fixed number of microseconds.
    Fixed(i64),
    Months,
    Years,
}

impl Unit {
    /// Returns the unit of a letter: `n u U T s m h d w M y`.
    pub fn from_letter(letter: char) -> Option<Unit> {
        Some(match letter {
            'n' => Unit::Nanos,
            'u' | 'U' => Unit::Fixed(1),
            'T' => Unit::Fixed(1_000),
            's' => Unit::Fixed(US_PER_SECOND),
            'm' => Unit::Fixed(US_PER_MINUTE),
            'h' => Unit::Fixed(US_PER_HOUR),
            'd' => Unit::Fixed(US_PER_DAY),
            'w' => Unit::Fixed(US_PER_WEEK),
            'M' => Unit::Months,
            'y' => Unit::Years,
            _ => return None,
        })
    }

    /// Returns the moment `count` units later. Months keep the day of the month or take its last one; years let 29
    /// February run over into March.
    pub fn add(self, us: i64, count: i64) -> i64 {
        match self {
            Unit::Nanos => us.wrapping_add(count / 1_000),
            Unit::Fixed(size) => us.wrapping_add(count.wrapping_mul(size)),
            Unit::Months => add_months(us, count),
            Unit::Years => {
                let day = day_of_us(us);
                us_of(Day { year: day.year + count, ..day }, us.rem_euclid(US_PER_DAY))
            }
        }
    }

    /// Returns how many whole units lie between two moments, in either order.
    pub fn between(self, left: i64, right: i64) -> i64 {
        let (first, last) = (left.min(right), left.max(right));
        match self {
            Unit::Nanos => last.wrapping_sub(first).wrapping_mul(1_000),
            Unit::Fixed(size) => last.wrapping_sub(first) / size,
            Unit::Months => months_between(first, last),
            Unit::Years => months_between(first, last) / 12,
        }
    }

    /// Returns the start of the unit that follows the one a moment lies in; a microsecond follows itself.
    pub fn next(self, us: i64) -> i64 {
        match self {
            Unit::Nanos | Unit::Fixed(1) => us,
            unit => {
                let stride = Stride { count: 1, unit };
                unit.add(stride.floor(us), 1)
            }
        }
    }
}

fn add_months(us: i64, count: i64) -> i64 {
    let day = day_of_us(us);
    let months = day.year * 12 + day.month - 1 + count;
    let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
    let date = Day { year, month, day: day.day.min(days_in_month(year, month)) };
    us_of(date, us.rem_euclid(US_PER_DAY))
}

/// Returns the full calendar months between: that of 31 January to 29 February is none.
fn months_between(first: i64, last: i64) -> i64 {
    let (from, to) = (day_of_us(first), day_of_us(last));
    let months = (to.year - from.year) * 12 + to.month - from.month;
    let place = |day: Day, us: i64| (day.day, us.rem_euclid(US_PER_DAY));
    if months > 0 && place(to, last) < place(from, first) { months - 1 } else { months }
}

/// A number of units: `5m`, `d`, `3M`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stride {
    pub count: i64,
    pub unit: Unit,
}

/// The Monday from which weeks are counted: 1969-12-29.
const FIRST_MONDAY: i64 = -3 * US_PER_DAY;

impl Stride {
    /// Reads an optional positive number and one unit letter.
    pub fn parse(text: &str) -> Option<Stride> {
        let letter = text.chars().next_back()?;
        let digits = &text[..text.len() - letter.len_utf8()];
        let unit = match letter {
            'u' => return None,
            letter => Unit::from_letter(letter)?,
        };
        let count = match digits {
            "" => 1,
            digits if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok().filter(|n| *n > 0)?,
            _ => return None,
        };
        Some(Stride { count, unit })
    }

    /// Returns the start of the stride that a moment lies in, counted from 1970 (weeks from its first Monday).
    pub fn floor(self, us: i64) -> i64 {
        let origin = if self.unit == Unit::Fixed(US_PER_WEEK) { FIRST_MONDAY } else { 0 };
        self.floor_at(us, origin)
    }

    /// Returns the start of the stride, counted from `from` if there is one and then shifted; a moment before `from`
    /// lies in the first stride.
    pub fn floor_from(self, us: i64, from: Option<i64>, offset_us: i64) -> i64 {
        match from {
            None => self.floor(us.wrapping_sub(offset_us)).wrapping_add(offset_us),
            Some(from) => {
                let origin = from.wrapping_add(offset_us);
                self.floor_at(us.max(origin), origin)
            }
        }
    }

    fn floor_at(self, us: i64, origin: i64) -> i64 {
        match self.unit {
            Unit::Nanos => floor_fixed(us, origin, (self.count / 1_000).max(1)),
            Unit::Fixed(size) => floor_fixed(us, origin, size.saturating_mul(self.count)),
            Unit::Months => self.floor_months(us, origin, self.count),
            Unit::Years => self.floor_months(us, origin, self.count * 12),
        }
    }

    fn floor_months(self, us: i64, origin: i64, months: i64) -> i64 {
        let (from, to) = (day_of_us(origin), day_of_us(us));
        let mut steps = ((to.year - from.year) * 12 + to.month - from.month).div_euclid(months);
        if add_months(origin, steps * months) > us {
            steps -= 1;
        }
        add_months(origin, steps * months)
    }
}

fn floor_fixed(us: i64, origin: i64, size: i64) -> i64 {
    us - (us - origin).rem_euclid(size)
}

/// A unit that date_trunc names by a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trunc {
    Stride(Stride),
    /// Years in blocks whose first one ends in 1: centuries and millennia.
    YearsFromOne(i64),
    /// Years in blocks whose first one ends in 0.
    Years(i64),
}

impl Trunc {
    /// Returns the unit of a lower-case word, singular or plural.
    pub fn from_name(name: &str) -> Option<Trunc> {
        let fixed = |unit: Unit, count: i64| Trunc::Stride(Stride { count, unit });
        Some(match name.strip_suffix('s').unwrap_or(name) {
            "millennium" | "millennia" => Trunc::YearsFromOne(1_000),
            "century" | "centurie" => Trunc::YearsFromOne(100),
            "decade" => Trunc::Years(10),
            "year" => Trunc::Years(1),
            "quarter" => fixed(Unit::Months, 3),
            "month" => fixed(Unit::Months, 1),
            "week" => fixed(Unit::Fixed(US_PER_WEEK), 1),
            "day" => fixed(Unit::Fixed(US_PER_DAY), 1),
            "hour" => fixed(Unit::Fixed(US_PER_HOUR), 1),
            "minute" => fixed(Unit::Fixed(US_PER_MINUTE), 1),
            "second" => fixed(Unit::Fixed(US_PER_SECOND), 1),
            "millisecond" => fixed(Unit::Fixed(1_000), 1),
            "microsecond" | "nanosecond" => fixed(Unit::Fixed(1), 1),
            _ => return None,
        })
    }

    /// Returns the unit as a stride's text, if it is a stride.
    pub fn stride_text(self) -> Option<&'static str> {
        let Trunc::Stride(stride) = self else { return (self == Trunc::Years(1)).then_some("1y") };
        Some(match stride.unit {
            Unit::Months if stride.count == 3 => "3M",
            Unit::Months => "1M",
            Unit::Fixed(US_PER_WEEK) => "1w",
            Unit::Fixed(US_PER_DAY) => "1d",
            Unit::Fixed(US_PER_HOUR) => "1h",
            Unit::Fixed(US_PER_MINUTE) => "1m",
            Unit::Fixed(US_PER_SECOND) => "1s",
            _ => return None,
        })
    }

    /// Returns the start of the unit that a moment lies in.
    pub fn floor(self, us: i64) -> i64 {
        let year = |year: i64| days_to(year, 1, 1) * US_PER_DAY;
        match self {
            Trunc::Stride(stride) => stride.floor(us),
            Trunc::Years(count) => year(day_of_us(us).year.div_euclid(count) * count),
            Trunc::YearsFromOne(count) => year((day_of_us(us).year - 1).div_euclid(count) * count + 1),
        }
    }
}
