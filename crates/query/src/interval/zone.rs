//! Time zones: local wall time to UTC and back, for interval texts and for calendar buckets.
//!
//! A local time that exists twice means the earlier moment; one that a clock change skips means the end of the gap.

use chrono::offset::{LocalResult, Offset, TimeZone};
use chrono::{DateTime, NaiveDateTime};
use chrono_tz::{TZ_VARIANTS, Tz};
use types::time::{US_PER_DAY, US_PER_SECOND};

use super::timestamp::parse_offset;

/// Abbreviations that name a region with its summer time, as they do in the peer.
const ABBREVIATIONS: [(&str, Tz); 9] = [
    ("EST", Tz::America__New_York),
    ("EDT", Tz::America__New_York),
    ("CST", Tz::America__Chicago),
    ("CDT", Tz::America__Chicago),
    ("MST", Tz::America__Denver),
    ("MDT", Tz::America__Denver),
    ("PST", Tz::America__Los_Angeles),
    ("PDT", Tz::America__Los_Angeles),
    ("CEST", Tz::Europe__Paris),
];

/// A zone, or a fixed distance from UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Zone {
    Fixed { offset_us: i64 },
    Named(Tz),
}

impl Zone {
    pub const UTC: Zone = Zone::Fixed { offset_us: 0 };

    /// Returns the zone of `Z`, `UTC`, `GMT`, `+hh`, `+hhmm`, `+hh:mm` (also behind `UTC` or `GMT`), of an IANA name or of a
    /// common abbreviation, in any letter case.
    pub fn parse(name: &str) -> Option<Zone> {
        if ["z", "utc", "gmt"].iter().any(|utc| name.eq_ignore_ascii_case(utc)) {
            return Some(Zone::UTC);
        }
        let prefixed = name.get(..3).is_some_and(|p| p.eq_ignore_ascii_case("utc") || p.eq_ignore_ascii_case("gmt"));
        if let Some(offset_us) = parse_offset(if prefixed { &name[3..] } else { name }) {
            return Some(Zone::Fixed { offset_us });
        }
        if let Some((_, zone)) = ABBREVIATIONS.iter().find(|(abbreviation, _)| name.eq_ignore_ascii_case(abbreviation))
        {
            return Some(Zone::Named(*zone));
        }
        let exact = name.parse().ok();
        let named = || TZ_VARIANTS.iter().find(|tz| tz.name().eq_ignore_ascii_case(name)).copied();
        exact.or_else(named).map(Zone::Named)
    }

    /// Returns the wall time at `utc_us`, as microseconds since 1970-01-01T00:00 on the wall.
    pub fn to_local(&self, utc_us: i64) -> i64 {
        utc_us.saturating_add(self.offset_at(utc_us))
    }

    /// Returns the moment at which the wall shows `local_us`.
    pub fn to_utc(&self, local_us: i64) -> i64 {
        let tz = match self {
            Zone::Fixed { offset_us } => return local_us.saturating_sub(*offset_us),
            Zone::Named(tz) => tz,
        };
        let Some(local) = naive(local_us) else { return local_us };
        match tz.offset_from_local_datetime(&local) {
            LocalResult::Single(offset) => local_us - us(&offset),
            LocalResult::Ambiguous(one, other) => local_us - us(&one).max(us(&other)),
            LocalResult::None => self.end_of_gap(local_us),
        }
    }

    /// Returns how long the hour lasts that the wall shows twice, if it shows `local_us` twice.
    pub fn repeated_us(&self, local_us: i64) -> Option<i64> {
        match (self, naive(local_us)) {
            (Zone::Named(tz), Some(local)) => match tz.offset_from_local_datetime(&local) {
                LocalResult::Ambiguous(one, other) => Some((us(&one) - us(&other)).abs()),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns the first moment after `before_us` that has the offset of `after_us`; both ends within one clock change.
    pub fn change_between(&self, before_us: i64, after_us: i64) -> i64 {
        let (mut before_us, mut after_us, later) = (before_us, after_us, self.offset_at(after_us));
        while after_us - before_us > 1 {
            let middle_us = before_us + (after_us - before_us) / 2;
            if self.offset_at(middle_us) == later {
                after_us = middle_us;
            } else {
                before_us = middle_us;
            }
        }
        after_us
    }

    /// Returns whether the wall never shows `local_us` because a clock change skips it.
    pub fn is_skipped(&self, local_us: i64) -> bool {
        match (self, naive(local_us)) {
            (Zone::Named(tz), Some(local)) => matches!(tz.offset_from_local_datetime(&local), LocalResult::None),
            _ => false,
        }
    }

    /// Returns the distance of the wall from UTC at `utc_us`.
    pub fn offset_at(&self, utc_us: i64) -> i64 {
        match (self, naive(utc_us)) {
            (Zone::Fixed { offset_us }, _) => *offset_us,
            (Zone::Named(tz), Some(utc)) => us(&tz.offset_from_utc_datetime(&utc)),
            (Zone::Named(_), None) => 0,
        }
    }

    /// Returns the moment of the clock change that skips `local_us`: the search is between a day before and after,
    /// for the first moment with the later offset.
    fn end_of_gap(&self, local_us: i64) -> i64 {
        self.change_between(local_us - US_PER_DAY, local_us + US_PER_DAY)
    }
}

impl std::fmt::Display for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Zone::Fixed { offset_us } => write!(f, "{:+}s", offset_us / US_PER_SECOND),
            Zone::Named(tz) => write!(f, "{tz}"),
        }
    }
}

fn us(offset: &impl Offset) -> i64 {
    i64::from(offset.fix().local_minus_utc()) * US_PER_SECOND
}

/// Returns the date and time without zone; `None` beyond the years that the zone database can name.
fn naive(ts_us: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_micros(ts_us).map(|t| t.naive_utc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interval::parse_timestamp;
    use types::TimestampUs;

    fn check(zone: &str, local: &str, expected_utc: &str) {
        let zone = Zone::parse(zone).expect("a zone");
        let utc_us = zone.to_utc(parse_timestamp(local).expect("a timestamp"));
        assert_eq!(TimestampUs(utc_us).to_string(), expected_utc, "{local}");
    }

    #[test]
    fn local_times_meet_their_moment() {
        check("Europe/Berlin", "2024-06-01", "2024-05-31T22:00:00.000000Z");
        check("europe/berlin", "2024-12-01", "2024-11-30T23:00:00.000000Z");
        check("Asia/Tokyo", "2024-06-01", "2024-05-31T15:00:00.000000Z");
        check("+02:30", "2024-06-01", "2024-05-31T21:30:00.000000Z");
        check("UTC", "2024-06-01", "2024-06-01T00:00:00.000000Z");
        check("UTC+02:00", "2024-06-01", "2024-05-31T22:00:00.000000Z");
        check("EST", "2024-07-01", "2024-07-01T04:00:00.000000Z");
    }

    #[test]
    fn clock_changes_take_the_earlier_moment_and_the_end_of_the_gap() {
        check("Europe/Berlin", "2024-10-27T02:30", "2024-10-27T00:30:00.000000Z");
        check("Europe/Berlin", "2024-03-31T02:30", "2024-03-31T01:00:00.000000Z");
        check("America/New_York", "2024-03-10T02:30", "2024-03-10T07:00:00.000000Z");
        check("America/New_York", "2024-11-03T01:30", "2024-11-03T05:30:00.000000Z");
    }

    #[test]
    fn unknown_zones_are_refused() {
        for name in ["", "Oslo", "+1", "-3", "Europe/Nowhere"] {
            assert!(Zone::parse(name).is_none(), "{name}");
        }
    }
}
