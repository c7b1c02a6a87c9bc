//! A pattern of letters, cut into fields and literal text.

use types::time::{US_PER_DAY, US_PER_HOUR, US_PER_MINUTE, US_PER_SECOND};

use super::super::moment::{
    day_of_us, day_of_year, days_in_month, days_to, iso_week_start, iso_weekday, iso_year_week,
};
use super::super::moment_units::zones::{self, Zone};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Literal(char),
    /// A letter and how often it stands there, at most as often as it has a meaning.
    Letter(char, usize),
    /// `U+` or `N+`: a fraction of a second of any number of digits up to micro- or nanoseconds.
    Fraction(char),
}

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    fields: Vec<Field>,
}

/// Returns the runs of a letter that mean something, longest first.
fn runs(letter: char) -> &'static [usize] {
    match letter {
        'y' => &[4, 3, 2, 1],
        'Y' => &[4],
        'M' => &[4, 3, 2, 1],
        'd' | 'H' | 'h' | 'K' | 'k' | 'm' | 's' | 'w' | 'E' => &[2, 1],
        'S' | 'U' | 'N' => &[3, 1],
        'z' | 'x' => &[3, 2, 1],
        'G' | 'D' | 'u' | 'a' | 'Z' => &[1],
        _ => &[],
    }
}

/// What a text has told so far.
struct Parts {
    year: i64,
    month: i64,
    day: i64,
    iso_week: Option<(Option<i64>, i64)>,
    hour: i64,
    us: i64,
    nanos: i64,
    zone_us: i64,
    twelve: bool,
    afternoon: Option<bool>,
}

impl Pattern {
    /// Returns the compiled pattern; letters without a meaning stand for themselves.
    pub fn parse(text: &str) -> Pattern {
        let chars: Vec<char> = text.chars().collect();
        let mut fields = Vec::new();
        let mut at = 0;
        while at < chars.len() {
            let letter = chars[at];
            let count = chars[at..].iter().take_while(|c| **c == letter).count();
            match runs(letter).iter().find(|run| **run <= count) {
                Some(1) if matches!(letter, 'U' | 'N') && chars.get(at + 1) == Some(&'+') => {
                    fields.push(Field::Fraction(letter));
                    at += 2;
                }
                Some(run) => {
                    fields.push(Field::Letter(letter, *run));
                    at += run;
                }
                None => {
                    fields.push(Field::Literal(letter));
                    at += 1;
                }
            }
        }
        Pattern { fields }
    }

    /// Returns a moment as text.
    pub fn format(&self, us: i64) -> String {
        self.text_of(us, None)
    }

    /// Returns a moment as text, given with the nanoseconds behind its microsecond.
    pub fn format_fine(&self, us: i64, nanos: i64) -> String {
        self.text_of(us, Some(nanos))
    }

    fn text_of(&self, us: i64, nanos: Option<i64>) -> String {
        let mut out = String::new();
        for field in &self.fields {
            match field {
                Field::Literal(c) => out.push(*c),
                Field::Letter(letter, count) => out.push_str(&written(*letter, *count, us, nanos.unwrap_or(0))),
                Field::Fraction(letter) => {
                    out.push_str(&format!("{:06}", us.rem_euclid(US_PER_SECOND)));
                    // A TIMESTAMP has no more digits than these.
                    let behind = nanos.filter(|_| *letter == 'N').map(|nanos| format!("{nanos:03}"));
                    out.push_str(&behind.unwrap_or_default());
                }
            }
        }
        out
    }

    /// Reads a moment from text; None if the text does not fit to its end.
    pub fn read(&self, text: &str) -> Option<i64> {
        self.read_fine(text).map(|(us, _)| us)
    }

    /// Reads a moment as [`Pattern::read`] does, and the nanoseconds behind its microsecond.
    pub fn read_fine(&self, text: &str) -> Option<(i64, i64)> {
        let mut parts = Parts {
            year: 1970,
            month: 1,
            day: 1,
            iso_week: None,
            hour: 0,
            us: 0,
            nanos: 0,
            zone_us: 0,
            twelve: false,
            afternoon: None,
        };
        let mut rest = text;
        for (at, field) in self.fields.iter().enumerate() {
            match field {
                Field::Literal(c) => rest = rest.strip_prefix(*c)?,
                Field::Fraction(letter) => rest = parts.take_fraction(if *letter == 'U' { 6 } else { 9 }, 0, rest)?,
                // As in the peer: before a zone one letter is one digit, elsewhere a fraction.
                Field::Letter(letter @ ('S' | 'U' | 'N'), 1)
                    if self.fields.get(at + 1) != Some(&Field::Letter('Z', 1)) =>
                {
                    let behind = match letter {
                        'S' => 0,
                        'U' => 3,
                        _ => 6,
                    };
                    rest = parts.take_fraction(3, behind, rest)?;
                }
                Field::Letter(letter, count) => rest = parts.take(*letter, *count, rest)?,
            }
        }
        if rest.is_empty() { Some((parts.moment()?, parts.nanos)) } else { None }
    }
}

/// Returns the text of one field.
fn written(letter: char, count: usize, us: i64, nanos: i64) -> String {
    let day = day_of_us(us);
    let hour = us.rem_euclid(US_PER_DAY) / US_PER_HOUR;
    let twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
    let padded = |value: i64| format!("{value:0count$}");
    match (letter, count) {
        ('G', _) => if day.year > 0 { "AD" } else { "BC" }.to_owned(),
        ('y', 1) => day.year.to_string(),
        ('y', 2) => format!("{:02}", day.year.rem_euclid(100)),
        ('y', 3) => format!("{:03}", day.year.rem_euclid(1_000)),
        ('y', _) => padded(day.year),
        ('Y', _) => format!("{:04}", iso_year_week(us).0),
        ('M', 3) => MONTHS[day.month as usize - 1][..3].to_owned(),
        ('M', 4) => MONTHS[day.month as usize - 1].to_owned(),
        ('M', _) => padded(day.month),
        // as in the peer, one letter counts sevens of days, and two are the ISO week
        ('w', 1) => (day_of_year(us) / 7 + 1).to_string(),
        ('w', _) => padded(iso_year_week(us).1),
        ('D', _) => day_of_year(us).to_string(),
        ('d', _) => padded(day.day),
        ('E', 1) => DAYS[iso_weekday(us) as usize - 1][..3].to_owned(),
        ('E', _) => DAYS[iso_weekday(us) as usize - 1].to_owned(),
        ('u', _) => (iso_weekday(us) % 7 + 1).to_string(),
        ('a', _) => if hour < 12 { "AM" } else { "PM" }.to_owned(),
        ('H', _) => padded(hour),
        ('K', _) => padded(hour % 12),
        ('k', _) => padded(if hour == 0 { 24 } else { hour }),
        ('h', _) => padded(twelve),
        ('m', _) => padded(us.rem_euclid(US_PER_HOUR) / US_PER_MINUTE),
        ('s', _) => padded(us.rem_euclid(US_PER_MINUTE) / US_PER_SECOND),
        ('S', _) => padded(us.rem_euclid(US_PER_SECOND) / 1_000),
        ('U', _) => padded(us.rem_euclid(1_000)),
        ('N', _) => padded(nanos),
        _ => "Z".to_owned(),
    }
}

/// Takes exactly `count` digits, or as many as there are up to `most` when `count` is 1.
fn digits(text: &str, count: usize, most: usize) -> Option<(i64, &str)> {
    let found = text.bytes().take(if count == 1 { most } else { count }).take_while(u8::is_ascii_digit).count();
    if found == 0 || count > 1 && found != count {
        return None;
    }
    Some((text[..found].parse().ok()?, &text[found..]))
}

/// Takes one of `names`, whole or its first three letters, in any case; answers its place from 1.
fn name<'a>(text: &'a str, names: &[&str]) -> Option<(i64, &'a str)> {
    let starts = |name: &str| text.get(..name.len()).is_some_and(|t| t.eq_ignore_ascii_case(name));
    names.iter().enumerate().find_map(|(i, name)| {
        let length = if starts(name) { name.len() } else { 3 };
        starts(&name[..length]).then(|| (i as i64 + 1, &text[length..]))
    })
}

impl Parts {
    /// Takes one field from the start of `text`; answers what is behind it.
    fn take<'a>(&mut self, letter: char, count: usize, text: &'a str) -> Option<&'a str> {
        let (value, rest) = match (letter, count) {
            ('G', _) => return text.strip_prefix("AD"),
            ('M', 3 | 4) => name(text, &MONTHS)?,
            ('E', _) => return name(text, &DAYS).map(|(_, rest)| rest),
            ('a', _) => return self.take_half(text),
            ('z' | 'Z' | 'x', _) => return self.take_zone(text),
            ('y', 1) => digits(text, 1, 9)?,
            ('D', _) => digits(text, 1, 3)?,
            ('S' | 'U' | 'N', _) => digits(text, count, 1)?,
            _ => digits(text, count, 2)?,
        };
        let short_year = letter == 'y' && (count == 2 || count == 1 && value < 100);
        match letter {
            'y' => self.year = if short_year { 2_000 + value } else { value },
            'Y' => self.iso_week = Some((Some(value), self.iso_week.map_or(1, |w| w.1))),
            'w' => self.iso_week = Some((self.iso_week.and_then(|w| w.0), value)),
            'M' => self.month = value,
            'd' => self.day = value,
            'H' => self.hour = value,
            'k' => self.hour = value % 24,
            'h' | 'K' => (self.hour, self.twelve) = (Some(value).filter(|h| *h <= 12)?, true),
            'm' => self.us += Some(value).filter(|m| *m < 60)? * US_PER_MINUTE,
            's' => self.us += Some(value).filter(|s| *s < 60)? * US_PER_SECOND,
            'S' => self.us += value * 1_000,
            'U' => self.us += value,
            'N' => self.nanos += value,
            _ => {}
        }
        Some(rest)
    }

    /// Takes up to `most` digits of a fraction of a second, of which the first stands `behind` so many others.
    fn take_fraction<'a>(&mut self, most: usize, behind: usize, text: &'a str) -> Option<&'a str> {
        let (value, rest) = digits(text, 1, most)?;
        let found = behind + text.len() - rest.len();
        let nanos = value * 10_i64.pow(9_usize.checked_sub(found)? as u32);
        self.us += nanos / 1_000;
        self.nanos += nanos % 1_000;
        Some(rest)
    }

    fn take_half<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        let half = text.get(..2)?;
        let afternoon = half.eq_ignore_ascii_case("pm");
        if !afternoon && !half.eq_ignore_ascii_case("am") {
            return None;
        }
        self.afternoon = Some(afternoon);
        Some(&text[2..])
    }

    fn take_zone<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"+-:/_".contains(c)).unwrap_or(text.len());
        let zone = Zone::parse(&text[..end])?;
        let local = self.moment()?;
        self.zone_us = local - zones::to_utc(&zone, local);
        Some(&text[end..])
    }

    fn moment(&self) -> Option<i64> {
        if !(1..=12).contains(&self.month) || !(1..=days_in_month(self.year, self.month)).contains(&self.day) {
            return None;
        }
        let date = match self.iso_week {
            Some((Some(year), week)) => iso_week_start(year, week),
            _ => days_to(self.year, self.month, self.day) * US_PER_DAY,
        };
        let hour = match self.afternoon {
            Some(afternoon) => self.hour % 12 + if afternoon { 12 } else { 0 },
            None if self.twelve => self.hour % 12,
            None => self.hour,
        };
        (hour < 24).then(|| date + hour * US_PER_HOUR + self.us - self.zone_us)
    }
}
