//! PARTITION BY: from a timestamp to the partition that holds it, and that partition's name and bounds.

use chrono::{DateTime, Datelike, NaiveDate, Timelike};
use serde::{Deserialize, Serialize};

use crate::Invalid;
use crate::time::{TimeRange, US_PER_DAY, US_PER_HOUR, US_PER_WEEK};

/// Monday 1970-01-05, from which weeks are counted (ISO 8601), as an offset from the epoch.
const FIRST_MONDAY_US: i64 = 4 * US_PER_DAY;

/// How a table's rows are split by their designated timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PartitionBy {
    None,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

/// Start of a partition in microseconds since 1970; `i64::MIN` for the one partition of `PARTITION BY NONE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartitionKey(pub i64);

impl PartitionKey {
    /// The one partition of a table that is not partitioned.
    pub const WHOLE: PartitionKey = PartitionKey(i64::MIN);
}

impl PartitionBy {
    /// Returns the SQL keyword.
    pub fn name(self) -> &'static str {
        match self {
            PartitionBy::None => "NONE",
            PartitionBy::Hour => "HOUR",
            PartitionBy::Day => "DAY",
            PartitionBy::Week => "WEEK",
            PartitionBy::Month => "MONTH",
            PartitionBy::Year => "YEAR",
        }
    }

    /// Returns the unit of that keyword, in any case.
    pub fn from_name(name: &str) -> Option<PartitionBy> {
        use PartitionBy::*;
        [None, Hour, Day, Week, Month, Year].into_iter().find(|p| p.name().eq_ignore_ascii_case(name))
    }

    /// Returns the partition that holds `ts_us`.
    pub fn key(self, ts_us: i64) -> PartitionKey {
        let floor = |unit: i64, origin: i64| (ts_us - origin).div_euclid(unit) * unit + origin;
        PartitionKey(match self {
            PartitionBy::None => return PartitionKey::WHOLE,
            PartitionBy::Hour => floor(US_PER_HOUR, 0),
            PartitionBy::Day => floor(US_PER_DAY, 0),
            PartitionBy::Week => floor(US_PER_WEEK, FIRST_MONDAY_US),
            PartitionBy::Month => date_us(ymd(ts_us).0, ymd(ts_us).1),
            PartitionBy::Year => date_us(ymd(ts_us).0, 1),
        })
    }

    /// Returns the moments that belong to the partition.
    pub fn range(self, key: PartitionKey) -> TimeRange {
        let start_us = key.0;
        let end_us = match self {
            PartitionBy::None => return TimeRange::ALL,
            PartitionBy::Hour => start_us + US_PER_HOUR,
            PartitionBy::Day => start_us + US_PER_DAY,
            PartitionBy::Week => start_us + US_PER_WEEK,
            PartitionBy::Month => match ymd(start_us) {
                (year, 12) => date_us(year + 1, 1),
                (year, month) => date_us(year, month + 1),
            },
            PartitionBy::Year => date_us(ymd(start_us).0 + 1, 1),
        };
        TimeRange { start_us, end_us }
    }

    /// Returns the partition's name, which is also its directory's: `2024-01-01T05`, `2024-01-01`, `2024-W01`, `2024-01`, `2024`, `default`.
    pub fn partition_name(self, key: PartitionKey) -> String {
        let Some(t) = DateTime::from_timestamp_micros(key.0) else {
            return "default".to_owned();
        };
        let (y, m, d) = (t.year(), t.month(), t.day());
        match self {
            PartitionBy::None => "default".to_owned(),
            PartitionBy::Hour => format!("{y:04}-{m:02}-{d:02}T{:02}", t.hour()),
            PartitionBy::Day => format!("{y:04}-{m:02}-{d:02}"),
            PartitionBy::Week => {
                let week = t.iso_week();
                format!("{:04}-W{:02}", week.year(), week.week())
            }
            PartitionBy::Month => format!("{y:04}-{m:02}"),
            PartitionBy::Year => format!("{y:04}"),
        }
    }

    /// Returns the partition of that name.
    ///
    /// # Errors
    /// A text that names no partition of this unit.
    pub fn parse_partition_name(self, name: &str) -> Result<PartitionKey, Invalid> {
        let bad = || Invalid(format!("'{name}' is not a partition by {}", self.name()));
        let number = |text: Option<&str>| text.and_then(|t| t.parse::<i32>().ok()).ok_or_else(bad);
        let key = match self {
            PartitionBy::None if name == "default" => PartitionKey::WHOLE,
            PartitionBy::None => return Err(bad()),
            PartitionBy::Week => {
                let (year, week) = (number(name.get(0..4))?, number(name.get(6..8))?);
                let monday = NaiveDate::from_isoywd_opt(year, week as u32, chrono::Weekday::Mon).ok_or_else(bad)?;
                PartitionKey(naive_us(monday))
            }
            _ => {
                let year = number(name.get(0..4))?;
                let month = if name.len() > 4 { number(name.get(5..7))? } else { 1 };
                let day = if name.len() > 7 { number(name.get(8..10))? } else { 1 };
                let hour = if name.len() > 10 { number(name.get(11..13))? } else { 0 };
                let date = NaiveDate::from_ymd_opt(year, month as u32, day as u32).ok_or_else(bad)?;
                PartitionKey(naive_us(date) + i64::from(hour) * US_PER_HOUR)
            }
        };
        if self.partition_name(key) == name { Ok(key) } else { Err(bad()) }
    }
}

fn ymd(ts_us: i64) -> (i32, u32) {
    let date = DateTime::from_timestamp_micros(ts_us).unwrap_or(DateTime::UNIX_EPOCH);
    (date.year(), date.month())
}

fn date_us(year: i32, month: u32) -> i64 {
    NaiveDate::from_ymd_opt(year, month, 1).map_or(i64::MAX, naive_us)
}

fn naive_us(date: NaiveDate) -> i64 {
    i64::from(date.num_days_from_ce() - 719_163) * US_PER_DAY
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(by: PartitionBy, ts_us: i64, name: &str) {
        let key = by.key(ts_us);
        assert_eq!(by.partition_name(key), name);
        assert!(by.range(key).contains(ts_us), "{name}");
        assert_eq!(by.parse_partition_name(name), Ok(key), "{name}");
        let range = by.range(key);
        if by != PartitionBy::None {
            assert_eq!(by.key(range.end_us - 1), key, "{name}");
            assert_eq!(by.key(range.end_us).0, range.end_us, "{name}");
        }
    }

    #[test]
    fn names_and_bounds_of_every_unit() {
        let ts = 1_706_659_199_999_999; // 2024-01-30T23:59:59.999999Z
        check(PartitionBy::None, ts, "default");
        check(PartitionBy::Hour, ts, "2024-01-30T23");
        check(PartitionBy::Day, ts, "2024-01-30");
        check(PartitionBy::Week, ts, "2024-W05");
        check(PartitionBy::Month, ts, "2024-01");
        check(PartitionBy::Year, ts, "2024");
        check(PartitionBy::Week, 1_735_603_200_000_000, "2025-W01"); // 2024-12-31 lies in ISO week 2025-W01
        check(PartitionBy::Day, 0, "1970-01-01");
        check(PartitionBy::Week, 0, "1970-W01");
    }

    #[test]
    fn foreign_names_are_refused() {
        for (by, name) in [
            (PartitionBy::Day, "2024-01"),
            (PartitionBy::Day, "2024-02-30"),
            (PartitionBy::Month, "2024-01-01"),
            (PartitionBy::Hour, "2024-01-01T24"),
            (PartitionBy::Week, "2024-W60"),
            (PartitionBy::None, "x"),
            (PartitionBy::Year, "日本"),
        ] {
            assert!(by.parse_partition_name(name).is_err(), "{name}");
        }
    }
}
