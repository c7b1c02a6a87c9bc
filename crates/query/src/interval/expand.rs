//! The part of an interval text before its semicolon, expanded to windows of local time.
//!
//! ```text
//! head  := date [T time] [@zone] [#days]        every part may hold [lists] and a..b ranges
//! date  := a timestamp text | [date,date,..] | $variable | $variable..$variable
//! ```
//! It never converts zones: a window keeps its zone for the caller, who may add a duration in local time first.
//! Next file: `variable.rs`.

mod variable;

use types::time::US_PER_DAY;

use super::IntervalError;
use super::duration::MAX_WINDOWS;
use super::timestamp::{self, Precision, is_weekend};
use super::zone::Zone;
use crate::bucket::calendar::weekday;

/// A window of wall time in a zone, both ends included.
#[derive(Debug, Clone, Copy)]
pub struct Local {
    pub start_us: i64,
    pub last_us: i64,
    pub zone: Zone,
}

/// Returns the windows that `head` names. With a duration behind it (`timed`) a bare month or year counts as its first
/// day, for the day filter too.
pub fn expand(head: &str, timed: bool, now_us: i64) -> Result<Vec<Local>, IntervalError> {
    let mut windows = Vec::new();
    let entry = Entry::split(head)?;
    let context = Context { timed, now_us };
    match entry.date.strip_prefix('[') {
        Some(_) => {
            let (list, behind) = bracket(entry.date)?;
            if list.trim().is_empty() {
                return Err(IntervalError::new("Empty bracket expansion".to_owned()));
            }
            for element in split_outside(list, ',')? {
                let element = element.trim();
                if element.is_empty() {
                    return Err(IntervalError::new("Empty element in date list".to_owned()));
                }
                let mut inner = Entry::split(element)?;
                // An element with a time of its own keeps it.
                let timed = cut_outside(inner.date, 'T')?.1.is_some();
                let date = if timed { inner.date.to_owned() } else { format!("{}{behind}", inner.date) };
                inner.date = &date;
                inner.zone = inner.zone.or(entry.zone);
                inner.days = inner.days.or(entry.days);
                inner.windows(&context, &mut windows)?;
            }
        }
        None => entry.windows(&context, &mut windows)?,
    }
    Ok(windows)
}

/// Returns an interval text for each element of its first list whose elements have durations of their own,
/// `T[09:00;30m,14:00;1h]`; none where no list has.
pub fn by_duration(text: &str) -> Result<Vec<String>, IntervalError> {
    let mut at = 0;
    while let Some(open) = text[at..].find('[').map(|place| at + place) {
        let (list, behind) = bracket(&text[open..])?;
        if !list.contains(';') {
            at = text.len() - behind.len();
            continue;
        }
        let (rest, repeat) = behind.split_at(behind.find(';').unwrap_or(behind.len()));
        let alone = |element: &str| {
            let (moment, duration) = element.split_at(element.find(';').unwrap_or(element.len()));
            format!("{}[{moment}]{rest}{duration}{repeat}", &text[..open])
        };
        return Ok(split_outside(list, ',')?.into_iter().map(alone).collect());
    }
    Ok(Vec::new())
}

struct Context {
    timed: bool,
    now_us: i64,
}

/// One date with its own zone and day filter.
#[derive(Clone, Copy)]
struct Entry<'a> {
    date: &'a str,
    zone: Option<&'a str>,
    days: Option<&'a str>,
}

impl<'a> Entry<'a> {
    /// Cuts `#days` and `@zone` off the end, outside of brackets.
    fn split(text: &'a str) -> Result<Entry<'a>, IntervalError> {
        let (text, days) = cut_outside(text, '#')?;
        let (date, zone) = cut_outside(text, '@')?;
        Ok(Entry { date, zone, days })
    }

    fn windows(&self, context: &Context, windows: &mut Vec<Local>) -> Result<(), IntervalError> {
        let days = self.days.map(DayFilter::parse).transpose()?;
        let zone = parse_zone(self.zone)?;
        if self.date.trim_start().starts_with('$') {
            let expanded = variable::expand(self.date, zone, context.now_us)?;
            windows.extend(expanded.into_iter().filter(|w| days.as_ref().is_none_or(|d| d.keeps(w.start_us))));
            return Ok(());
        }
        let (date, time) = cut_outside(self.date, 'T')?;
        for date in expand_fields(date)? {
            for (time, zone) in expand_times(time, zone)? {
                let text = match &time {
                    Some(time) => format!("{date}T{time}"),
                    None => date.clone(),
                };
                let invalid = || IntervalError::new(format!("Invalid date: {text}"));
                let written = timestamp::read(&text).ok_or_else(invalid)?;
                // A zone inside the text has been applied already.
                let zone = if written.zoned { Zone::UTC } else { zone };
                let whole = Local { start_us: written.start_us, last_us: written.end_us - 1, zone };
                match &days {
                    Some(days) if written.precision < Precision::Day && !context.timed => {
                        windows.extend(each_day(whole).filter(|day| days.keeps(day.start_us)));
                    }
                    Some(days) if !days.keeps(whole.start_us) => {}
                    _ => windows.push(whole),
                }
                too_many(windows.len())?;
            }
        }
        Ok(())
    }
}

fn parse_zone(name: Option<&str>) -> Result<Zone, IntervalError> {
    match name {
        None => Ok(Zone::UTC),
        Some(name) => {
            Zone::parse(name.trim()).ok_or_else(|| IntervalError::new(format!("invalid timezone: {}", name.trim())))
        }
    }
}

fn each_day(whole: Local) -> impl Iterator<Item = Local> {
    let day = move |n: i64| {
        let start_us = whole.start_us + n * US_PER_DAY;
        Local { start_us, last_us: start_us + US_PER_DAY - 1, zone: whole.zone }
    };
    (0..(whole.last_us + 1 - whole.start_us) / US_PER_DAY).map(day)
}

fn too_many(windows: usize) -> Result<(), IntervalError> {
    if windows > MAX_WINDOWS {
        return Err(IntervalError::new(format!("too many windows: at most {MAX_WINDOWS}")));
    }
    Ok(())
}

/// Which weekdays count, of local dates.
struct DayFilter {
    days: [bool; 7],
}

impl DayFilter {
    fn parse(text: &str) -> Result<DayFilter, IntervalError> {
        const NAMES: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
        let mut days = [false; 7];
        for name in text.split(',') {
            let folded = name.trim().to_ascii_lowercase();
            match folded.as_str() {
                "workday" | "wd" => days[..5].fill(true),
                "weekend" => days[5..].fill(true),
                _ => {
                    let matches = |day: &&str| **day == folded || day[..3] == folded;
                    let Some(day) = NAMES.iter().position(matches) else {
                        return Err(IntervalError::new(format!("Invalid day name: {}", name.trim())));
                    };
                    days[day] = true;
                }
            }
        }
        Ok(DayFilter { days })
    }

    fn keeps(&self, local_us: i64) -> bool {
        let day = weekday(timestamp::day_of(local_us));
        self.days[usize::try_from(day).expect("weekdays are 0 to 6")]
    }
}

/// Expands the time behind `T`: a list of times when the first bracket holds a colon, numbers in fields otherwise.
fn expand_times(time: Option<&str>, zone: Zone) -> Result<Vec<(Option<String>, Zone)>, IntervalError> {
    let Some(time) = time else { return Ok(vec![(None, zone)]) };
    if time.starts_with('[') {
        let (list, behind) = bracket(time)?;
        if list.contains(':') && behind.is_empty() {
            let mut times = Vec::new();
            for element in split_outside(list, ',')? {
                let (element, own_zone) = cut_outside(element.trim(), '@')?;
                let zone = if own_zone.is_some() { parse_zone(own_zone)? } else { zone };
                times.extend(expand_fields(element)?.into_iter().map(|time| (Some(time), zone)));
            }
            return Ok(times);
        }
    }
    Ok(expand_fields(time)?.into_iter().map(|time| (Some(time), zone)).collect())
}

/// Expands the numbers in brackets; several brackets give every combination, the last one moving fastest.
fn expand_fields(text: &str) -> Result<Vec<String>, IntervalError> {
    let Some(open) = text.find('[') else { return Ok(vec![text.to_owned()]) };
    let (items, behind) = bracket(&text[open..])?;
    if items.trim().is_empty() {
        return Err(IntervalError::new("Empty bracket expansion".to_owned()));
    }
    let before = &text[..open];
    // The weekday of an ISO week is the only field of one digit.
    let width = if before.len() == 9 && before.as_bytes()[5] == b'W' { 1 } else { 2 };
    let endings = expand_fields(behind)?;
    let mut expanded = Vec::new();
    for item in items.split(',') {
        let number = |text: &str| {
            let text = text.trim();
            let digits = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| text.parse::<u32>().expect("up to four digits"))
        };
        let (first, last) = item.split_once("..").unwrap_or((item, item));
        let (Some(first), Some(last)) = (number(first), number(last)) else {
            return Err(IntervalError::new("Expected number in bracket expansion".to_owned()));
        };
        if first > last {
            return Err(IntervalError::new(format!("Range must be ascending: {first}..{last}")));
        }
        for value in first..=last {
            expanded.extend(endings.iter().map(|ending| format!("{before}{value:0width$}{ending}")));
            too_many(expanded.len())?;
        }
    }
    Ok(expanded)
}

/// Returns what stands inside the bracket that opens `text`, and what follows it.
fn bracket(text: &str) -> Result<(&str, &str), IntervalError> {
    let mut depth = 0usize;
    for (at, letter) in text.char_indices() {
        match letter {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return Ok((&text[1..at], &text[at + 1..]));
        }
    }
    Err(unclosed())
}

/// Cuts `text` in two at the first `separator` outside of brackets.
fn cut_outside(text: &str, separator: char) -> Result<(&str, Option<&str>), IntervalError> {
    let first = split_outside(text, separator)?[0];
    let rest = text.get(first.len() + separator.len_utf8()..);
    Ok((first, if first.len() == text.len() { None } else { rest }))
}

/// Splits `text` at every `separator` outside of brackets.
fn split_outside(text: &str, separator: char) -> Result<Vec<&str>, IntervalError> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0usize, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ if letter == separator && depth == 0 => {
                parts.push(&text[start..at]);
                start = at + letter.len_utf8();
            }
            _ => {}
        }
    }
    if depth > 0 {
        return Err(unclosed());
    }
    parts.push(&text[start..]);
    Ok(parts)
}

fn unclosed() -> IntervalError {
    IntervalError::new("Unclosed '[' in interval".to_owned())
}

/// Returns the day `count` business days away from the day of `local_us`; Saturday and Sunday do not count.
fn add_business_days(local_us: i64, count: i64) -> i64 {
    let (step_us, mut left, mut at_us) = (count.signum() * US_PER_DAY, count.abs(), local_us);
    while left > 0 {
        at_us += step_us;
        left -= i64::from(!is_weekend(at_us));
    }
    at_us
}
