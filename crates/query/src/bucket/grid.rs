//! Time cut into buckets of one stride, by the rules of QuestDB's SAMPLE BY ALIGN TO CALENDAR.
//!
//! The grid of fixed lengths counts from 1970-01-01, of weeks from Monday 1969-12-29, of months and years by the
//! calendar. FROM moves the origin to itself; an offset moves every boundary. UTC only: a grid never knows of zones.
//! Next file: `function.rs`, the grid as a SQL function.

use types::time::US_PER_DAY;

use super::calendar;
use super::stride::{Length, Stride, Unit};

/// Monday 1969-12-29, from which weeks are counted.
const MONDAY_ORIGIN_US: i64 = -3 * US_PER_DAY;

/// The buckets of one SAMPLE BY or `timestamp_floor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Grid {
    stride: Stride,
    origin_us: Option<i64>,
    offset_us: i64,
}

impl Grid {
    /// Returns the calendar grid of `stride` in UTC.
    pub fn calendar(stride: Stride) -> Grid {
        Grid { stride, origin_us: None, offset_us: 0 }
    }

    /// Returns this grid with a bucket that starts exactly at `origin_us` (FROM), before an offset is added.
    pub fn with_origin(self, origin_us: i64) -> Grid {
        Grid { origin_us: Some(origin_us), ..self }
    }

    /// Returns this grid with every boundary moved by `offset_us` (WITH OFFSET).
    pub fn with_offset(self, offset_us: i64) -> Grid {
        Grid { offset_us, ..self }
    }

    pub fn stride(&self) -> Stride {
        self.stride
    }

    /// Returns the start of the bucket that holds `ts_us`.
    pub fn floor(&self, ts_us: i64) -> i64 {
        self.start(self.index(ts_us))
    }

    /// Returns the start of the bucket after the one that holds `ts_us`; saturates at `i64::MAX`.
    pub fn next(&self, ts_us: i64) -> i64 {
        self.start(self.index(ts_us).saturating_add(1))
    }

    /// Returns the number of the bucket that holds `ts_us`, counted from the origin's.
    pub fn index(&self, ts_us: i64) -> i64 {
        let origin_us = self.origin();
        match self.stride.length() {
            Length::Micros(us) => ts_us.saturating_sub(origin_us).div_euclid(us),
            Length::Months(months) => {
                let distance = calendar::month_number(ts_us) - calendar::month_number(origin_us);
                let index = distance.div_euclid(months);
                // The origin's day or time of day may lie later in its month than `ts_us` does in its own.
                if calendar::add_months(origin_us, index * months) > ts_us { index - 1 } else { index }
            }
        }
    }

    /// Returns the start of the bucket with this number; saturates at the ends of `i64`.
    pub fn start(&self, index: i64) -> i64 {
        self.stride.step(self.origin(), index)
    }

    fn origin(&self) -> i64 {
        let origin_us = match self.origin_us {
            Some(from_us) => from_us,
            // As in the peer, weeks lose their Monday when an offset is given.
            None if self.stride.unit() == Unit::Week && self.offset_us == 0 => MONDAY_ORIGIN_US,
            None => 0,
        };
        origin_us.saturating_add(self.offset_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interval::parse_timestamp;
    use types::TimestampUs;

    fn grid(stride: &str) -> Grid {
        Grid::calendar(Stride::from_floor(stride).expect("a stride"))
    }

    fn us(text: &str) -> i64 {
        parse_timestamp(text).expect("a timestamp")
    }

    fn check(grid: Grid, ts: &str, expected_start: &str, expected_next: &str) {
        let (start, next) = (grid.floor(us(ts)), grid.next(us(ts)));
        assert_eq!(TimestampUs(start).to_string(), TimestampUs(us(expected_start)).to_string(), "start of {ts}");
        assert_eq!(TimestampUs(next).to_string(), TimestampUs(us(expected_next)).to_string(), "next of {ts}");
        assert_eq!(grid.floor(start), start);
        assert_eq!(grid.floor(next - 1), start);
    }

    #[test]
    fn calendar_grids_match_the_recorded_floors() {
        check(grid("5m"), "2024-02-28T23:59:59.999999", "2024-02-28T23:55", "2024-02-29");
        check(grid("7d"), "2024-02-28T23:59:59.999999", "2024-02-22", "2024-02-29");
        check(grid("7d"), "1970-01-09", "1970-01-08", "1970-01-15");
        check(grid("2w"), "2024-05-17", "2024-05-06", "2024-05-20");
        check(grid("w"), "1970-01-01", "1969-12-29", "1970-01-05");
        check(grid("3M"), "2024-05-17", "2024-04-01", "2024-07-01");
        check(grid("10y"), "2024-05-17", "2020-01-01", "2030-01-01");
        check(grid("1M"), "1965-07-04", "1965-07-01", "1965-08-01");
        check(grid("90s"), "2024-05-17T13:47:12", "2024-05-17T13:46:30", "2024-05-17T13:48");
        check(grid("250T"), "2024-05-17T13:47:12.999", "2024-05-17T13:47:12.75", "2024-05-17T13:47:13");
        check(grid("15U"), "2024-05-17T13:47:12.999999", "2024-05-17T13:47:12.999990", "2024-05-17T13:47:13.000005");
    }

    #[test]
    fn a_from_moves_the_origin() {
        check(grid("3d").with_origin(us("2024-02-28T12")), "2024-03-31T01", "2024-03-29T12", "2024-04-01T12");
        check(grid("1M").with_origin(us("2024-01-15")), "2024-02-28T23:59", "2024-02-15", "2024-03-15");
        check(grid("1M").with_origin(us("2024-01-15")), "2024-01-14", "2023-12-15", "2024-01-15");
        check(grid("1y").with_origin(us("2023-07-01")), "2024-12-30T08", "2024-07-01", "2025-07-01");
        check(grid("1M").with_origin(us("2024-01-31T10")), "2024-02-29T11", "2024-02-29T10", "2024-03-31T10");
    }

    #[test]
    fn an_offset_moves_every_boundary() {
        let six = 6 * types::time::US_PER_HOUR;
        check(grid("1d").with_offset(six), "2024-02-29", "2024-02-28T06", "2024-02-29T06");
        check(grid("1M").with_offset(six), "2024-03-01T05:59", "2024-02-01T06", "2024-03-01T06");
        check(grid("1w").with_offset(six), "1970-01-01T06", "1970-01-01T06", "1970-01-08T06");
        check(
            grid("1d").with_origin(us("2024-01-01")).with_offset(six),
            "2024-01-01",
            "2023-12-31T06",
            "2024-01-01T06",
        );
    }

    #[test]
    fn the_last_second_of_every_year_belongs_to_it() {
        for year in 1600..=2300 {
            let last = format!("{year:04}-12-31T23:59:59");
            let (this, next) = (format!("{year:04}-01-01"), format!("{:04}-01-01", year + 1));
            check(grid("y"), &last, &this, &next);
            check(grid("M"), &last, &format!("{year:04}-12-01"), &next);
            check(grid("d"), &last, &format!("{year:04}-12-31"), &next);
        }
    }

    #[test]
    fn the_ends_of_time_do_not_panic() {
        for stride in ["U", "7d", "w", "M", "y"] {
            for ts in [i64::MIN, i64::MIN + 1, i64::MAX] {
                grid(stride).floor(ts);
                grid(stride).next(ts);
            }
        }
    }
}
