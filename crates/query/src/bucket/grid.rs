//! Time cut into buckets of one stride, by the rules of QuestDB's SAMPLE BY ALIGN TO CALENDAR.
//!
//! The grid of fixed lengths counts from 1970-01-01, of weeks from Monday 1969-12-29, of months and years by the
//! calendar. FROM moves the origin to itself; an offset moves every boundary. With a zone all of this is on the wall: a day
//! has 23 or 25 hours where a clock changes; of buckets no longer than the change, each keeps its own UTC hour; a start that
//! a change skips is the end of the gap. Next file: `function.rs`, the grid as a SQL function.

use std::cmp::Ordering;
use std::fmt;

use types::TimestampUs;
use types::time::US_PER_DAY;

use super::calendar;
use super::stride::{Length, Stride, Unit};
use crate::interval::zone::Zone;

/// Monday 1969-12-29, from which weeks are counted.
const MONDAY_ORIGIN_US: i64 = -3 * US_PER_DAY;

/// The buckets of one SAMPLE BY or `timestamp_floor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Grid {
    stride: Stride,
    origin_us: Option<i64>,
    offset_us: i64,
    zone: Zone,
}

impl Grid {
    /// Returns the calendar grid of `stride` in UTC.
    pub fn calendar(stride: Stride) -> Grid {
        Grid { stride, origin_us: None, offset_us: 0, zone: Zone::UTC }
    }

    /// Returns this grid with a bucket that starts exactly at `origin_us` (FROM), before an offset is added.
    pub fn with_origin(self, origin_us: i64) -> Grid {
        Grid { origin_us: Some(origin_us), ..self }
    }

    /// Returns this grid with every boundary moved by `offset_us` (WITH OFFSET).
    pub fn with_offset(self, offset_us: i64) -> Grid {
        Grid { offset_us, ..self }
    }

    /// Returns this grid on the wall of `zone`: origin and offset are wall times then.
    pub fn with_zone(self, zone: Zone) -> Grid {
        Grid { zone, ..self }
    }

    pub fn stride(&self) -> Stride {
        self.stride
    }

    /// Returns the start of the bucket that holds `ts_us`.
    pub fn floor(&self, ts_us: i64) -> i64 {
        match self.zone {
            Zone::Fixed { offset_us: 0 } => self.wall_floor(ts_us),
            Zone::Fixed { offset_us } => self.wall_floor(ts_us.saturating_add(offset_us)).saturating_sub(offset_us),
            Zone::Named(_) => self.zoned_floor(ts_us),
        }
    }

    /// Returns the start of the bucket after the one that holds `ts_us`; saturates at `i64::MAX`.
    pub fn next(&self, ts_us: i64) -> i64 {
        match self.zone {
            Zone::Fixed { offset_us: 0 } => self.wall_next(ts_us),
            Zone::Fixed { offset_us } => self.wall_next(ts_us.saturating_add(offset_us)).saturating_sub(offset_us),
            Zone::Named(_) => self.zoned_next(ts_us),
        }
    }

    fn wall_floor(&self, wall_us: i64) -> i64 {
        self.start(self.index(wall_us))
    }

    fn wall_next(&self, wall_us: i64) -> i64 {
        self.start(self.index(wall_us).saturating_add(1))
    }

    fn zoned_floor(&self, ts_us: i64) -> i64 {
        let offset_us = self.zone.offset_at(ts_us);
        let wall_us = self.wall_floor(ts_us.saturating_add(offset_us));
        let start_us = wall_us.saturating_sub(offset_us);
        let short_for = |change_us: i64| matches!(self.stride.length(), Length::Micros(us) if us <= change_us);
        if self.zone.offset_at(start_us) == offset_us {
            return match self.zone.repeated_us(wall_us) {
                // A bucket longer than the change holds the repeated hour whole.
                Some(change_us) if !short_for(change_us) => self.zone.to_utc(wall_us),
                _ => start_us,
            };
        }
        // The clock changed between the start and now.
        let change_us = self.zone.offset_at(start_us) - offset_us;
        if change_us > 0 && short_for(change_us) {
            return self.zone.change_between(start_us, ts_us);
        }
        self.zone.to_utc(wall_us)
    }

    fn zoned_next(&self, ts_us: i64) -> i64 {
        let start_us = self.zoned_floor(ts_us);
        let guess_us = self.zone.to_utc(self.wall_next(self.zone.to_local(start_us)));
        let begins = |us: i64| self.zoned_floor(us) == us && self.zoned_floor(us - 1) == start_us;
        if guess_us > start_us && begins(guess_us) {
            return guess_us;
        }
        // Near a clock change: the first moment of another bucket, which begins within a stride and two days.
        let (mut same_us, mut other_us) = (start_us, self.stride.step(start_us, 1).saturating_add(2 * US_PER_DAY));
        while other_us - same_us > 1 {
            let middle_us = same_us + (other_us - same_us) / 2;
            if self.zoned_floor(middle_us) == start_us {
                same_us = middle_us;
            } else {
                other_us = middle_us;
            }
        }
        other_us
    }

    /// Returns the number of the bucket that holds a wall time, counted from the origin's.
    fn index(&self, ts_us: i64) -> i64 {
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

    /// Returns the wall time at which the bucket with this number starts; saturates at the ends of `i64`.
    fn start(&self, index: i64) -> i64 {
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

impl PartialOrd for Grid {
    fn partial_cmp(&self, other: &Grid) -> Option<Ordering> {
        let parts = |grid: &Grid| (grid.stride, grid.origin_us, grid.offset_us, grid.zone.to_string());
        parts(self).partial_cmp(&parts(other))
    }
}

impl fmt::Display for Grid {
    /// Writes the stride and whatever else sets this grid apart, as plans show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.stride)?;
        if let Some(origin_us) = self.origin_us {
            write!(f, " from {}", TimestampUs(origin_us))?;
        }
        if self.offset_us != 0 {
            write!(f, " offset {}us", self.offset_us)?;
        }
        if self.zone != Zone::UTC {
            write!(f, " {}", self.zone)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interval::parse_timestamp;

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

    /// Every bucket start from `first` until `end`.
    fn check_starts(grid: Grid, first: &str, end: &str, expected: &[&str]) {
        let mut starts = vec![];
        let mut at_us = grid.floor(us(first));
        while at_us < us(end) {
            starts.push(TimestampUs(at_us).to_string());
            assert_eq!(grid.floor(grid.next(at_us) - 1), at_us, "no moment between {}", TimestampUs(at_us));
            at_us = grid.next(at_us);
        }
        let expected: Vec<String> = expected.iter().map(|text| TimestampUs(us(text)).to_string()).collect();
        assert_eq!(starts, expected);
    }

    fn berlin(stride: &str) -> Grid {
        grid(stride).with_zone(Zone::parse("Europe/Berlin").expect("a zone"))
    }

    #[test]
    fn local_days_have_23_or_25_hours() {
        let days = ["2024-10-25T22", "2024-10-26T22", "2024-10-27T23"];
        check_starts(berlin("1d"), "2024-10-26", "2024-10-28T12", &days);
        check_starts(berlin("1d"), "2024-03-30T12", "2024-04-01", &["2024-03-29T23", "2024-03-30T23", "2024-03-31T22"]);
        let moved = berlin("1d").with_offset(45 * types::time::US_PER_MINUTE);
        check_starts(moved, "2024-06-01", "2024-06-01T23", &["2024-05-31T22:45", "2024-06-01T22:45"]);
    }

    #[test]
    fn the_repeated_hour_is_two_short_buckets_or_part_of_a_long_one() {
        let hours = ["2024-10-26T23", "2024-10-27T00", "2024-10-27T01", "2024-10-27T02"];
        check_starts(berlin("1h"), "2024-10-26T23:30", "2024-10-27T03", &hours);
        let halves = ["2024-10-27T00", "2024-10-27T00:30", "2024-10-27T01", "2024-10-27T01:30", "2024-10-27T02"];
        check_starts(berlin("30m"), "2024-10-27", "2024-10-27T02:30", &halves);
        check_starts(
            berlin("2h"),
            "2024-10-26T22",
            "2024-10-27T04",
            &["2024-10-26T22", "2024-10-27T00", "2024-10-27T03"],
        );
        let odd = ["2024-10-26T23:30", "2024-10-27T00:15", "2024-10-27T01", "2024-10-27T01:15", "2024-10-27T02"];
        check_starts(berlin("45m"), "2024-10-26T23:30", "2024-10-27T02:30", &odd);
    }

    #[test]
    fn a_start_in_the_gap_is_the_end_of_the_gap() {
        let half_past_two = 150 * types::time::US_PER_MINUTE;
        let starts = ["2024-03-30T01:30", "2024-03-31T01:00", "2024-04-01T00:30"];
        check_starts(berlin("1d").with_offset(half_past_two), "2024-03-30T02", "2024-04-01T12", &starts);
        check_starts(berlin("1h"), "2024-03-31", "2024-03-31T03", &["2024-03-31T00", "2024-03-31T01", "2024-03-31T02"]);
    }

    #[test]
    fn months_and_fixed_zones_follow_the_wall() {
        check_starts(berlin("1M"), "2024-03-15", "2024-05-02", &["2024-02-29T23", "2024-03-31T22", "2024-04-30T22"]);
        let kolkata = grid("1d").with_zone(Zone::parse("+05:30").expect("a zone"));
        check_starts(kolkata, "2024-01-01", "2024-01-02", &["2023-12-31T18:30", "2024-01-01T18:30"]);
    }
}
