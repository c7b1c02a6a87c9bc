//! Where rows in the order of time pass from one bucket into the next: [`Stretches`], found by search.

use std::ops::Range;

use crate::bucket::Grid;

/// What makes moments one group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cut {
    /// A bucket of the grid, named by its start.
    Grid(Grid),
    /// Each moment is its own.
    Moment,
}

impl Cut {
    fn start_of(&self, time: i64) -> i64 {
        match self {
            Cut::Grid(grid) => grid.floor(time),
            Cut::Moment => time,
        }
    }

    /// Returns the least moment after the bucket; the greatest of all where there is none.
    fn end_of(&self, time: i64) -> i64 {
        match self {
            Cut::Grid(grid) => grid.next(time),
            Cut::Moment => time.saturating_add(1),
        }
    }
}

/// The buckets of rising moments: the start of each and the rows in it. The last of all time may come in two parts.
pub struct Stretches<'a> {
    times: &'a [i64],
    cut: Cut,
    next: usize,
}

impl<'a> Stretches<'a> {
    /// Returns the buckets of `times`, which must rise.
    pub fn new(times: &'a [i64], cut: Cut) -> Stretches<'a> {
        debug_assert!(times.is_sorted(), "blocks are in the order of time");
        Stretches { times, cut, next: 0 }
    }
}

impl Iterator for Stretches<'_> {
    type Item = (i64, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let first = self.next;
        let time = *self.times.get(first)?;
        let (start, bound) = (self.cut.start_of(time), self.cut.end_of(time));
        let mut end = first + reach(&self.times[first..], |t| t < bound);
        // at the ends of all time, where a bound is cut off, the start alone tells
        if end == first || self.cut.start_of(self.times[end - 1]) != start {
            end = first + reach(&self.times[first..], |t| self.cut.start_of(t) == start);
        }
        self.next = end.max(first + 1);
        Some((start, first..self.next))
    }
}

/// Returns how many of the first values hold, where after one that does not none does: by steps that double, then by halves.
fn reach(times: &[i64], holds: impl Fn(i64) -> bool) -> usize {
    let (mut low, mut step) = (0, 1);
    while let Some(time) = times.get(low + step - 1) {
        if !holds(*time) {
            break;
        }
        low += step;
        step *= 2;
    }
    let high = times.len().min(low + step - 1);
    low + times[low..high].partition_point(|t| holds(*t))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::Stride;
    use crate::interval::zone::Zone;

    fn grid(stride: &str) -> Grid {
        Grid::calendar(Stride::from_floor(stride).expect("a stride"))
    }

    /// Compares with the bucket of each moment alone.
    fn check(times: &[i64], cut: Cut) {
        let mut rows = 0;
        let mut last = None;
        for (start, stretch) in Stretches::new(times, cut) {
            assert_eq!(stretch.start, rows);
            // at the end of all time a bucket may come in two parts
            assert!(last <= Some(start), "{last:?} then {start}");
            for time in &times[stretch.clone()] {
                assert_eq!(cut.start_of(*time), start);
            }
            (rows, last) = (stretch.end, Some(start));
        }
        assert_eq!(rows, times.len());
    }

    #[test]
    fn every_row_is_in_the_bucket_of_its_moment() {
        let times: Vec<i64> = (0..5_000).map(|i| 1_711_839_600_000_000 + i * i * 977_777).collect();
        let berlin = Zone::parse("Europe/Berlin").expect("a zone");
        for stride in ["1s", "7m", "1h", "1d", "1w", "1M", "1y"] {
            check(&times, Cut::Grid(grid(stride)));
            check(&times, Cut::Grid(grid(stride).with_zone(berlin).with_offset(45 * 60_000_000)));
        }
        check(&times, Cut::Moment);
        check(&[], Cut::Moment);
        check(&[5, 5, 5, 6], Cut::Moment);
    }

    #[test]
    fn the_ends_of_all_time_are_moments_too() {
        let times = [i64::MIN, i64::MIN + 1, -1, 0, 0, i64::MAX - 1, i64::MAX, i64::MAX];
        for stride in ["1U", "1h", "1M", "1y"] {
            check(&times, Cut::Grid(grid(stride)));
        }
        check(&times, Cut::Moment);
    }
}
