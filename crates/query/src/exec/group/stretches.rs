//! Where rows in the order of time pass from one bucket into the next: [`Stretches`], found by search.
//!
//! Moments far apart in memory are slow to look at. So where a bucket ends is guessed from the rows and the time of the one
//! before, and the search begins there: of rows that come about evenly two moments a bucket are looked at.

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

/// The buckets of rising moments: the start of each and the rows in it, counted among those that count. The last of all time
/// may come in two parts.
pub struct Stretches<'a> {
    times: &'a [i64],
    /// The rows that count, rising; None: all.
    rows: Option<&'a [u32]>,
    cut: Cut,
    next: usize,
    /// Row and moment with which the bucket before began.
    before: Option<(usize, i64)>,
    /// How many of the rows that count were in it.
    many: usize,
}

impl<'a> Stretches<'a> {
    /// Returns the buckets of `times`, which must rise.
    pub fn new(times: &'a [i64], cut: Cut) -> Stretches<'a> {
        debug_assert!(times.is_sorted(), "blocks are in the order of time");
        Stretches { times, rows: None, cut, next: 0, before: None, many: 0 }
    }

    /// Returns the buckets of the moments of these rows only.
    pub fn of_rows(times: &'a [i64], rows: &'a [u32], cut: Cut) -> Stretches<'a> {
        Stretches { rows: Some(rows), ..Stretches::new(times, cut) }
    }

    /// Returns how many rows count.
    fn len(&self) -> usize {
        self.rows.map_or(self.times.len(), <[u32]>::len)
    }

    /// Returns the row that is the `place`-th to count.
    fn row(&self, place: usize) -> usize {
        self.rows.map_or(place, |rows| rows[place] as usize)
    }

    /// Returns about where the rows are that reach `bound`, when the row `first` is of the moment `time`.
    fn guess(&self, first: usize, time: i64, bound: i64) -> usize {
        let Some((row_before, time_before)) = self.before else { return first };
        let rows_a_unit = (first - row_before) as f64 / (time as f64 - time_before as f64);
        let ahead = (bound as f64 - time as f64) * rows_a_unit;
        // a number that is too large stays the largest
        if ahead.is_finite() { first.saturating_add(ahead as usize) } else { first }
    }
}

impl Iterator for Stretches<'_> {
    type Item = (i64, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let first = self.next;
        if first >= self.len() {
            return None;
        }
        let (times, row) = (self.times, self.row(first));
        let time = times[row];
        let (start, bound) = (self.cut.start_of(time), self.cut.end_of(time));
        // among the rows that do not count too: those next to each other have their moments in one place
        let mut end = first_not(row + 1, times.len(), self.guess(row, time, bound), |row| times[row] < bound);
        // at the ends of all time, where a bound is cut off, the start alone tells
        if time >= bound || self.cut.start_of(times[end - 1]) != start {
            end = first_not(row + 1, times.len(), row + 1, |row| self.cut.start_of(times[row]) == start);
        }
        if let Some(rows) = self.rows {
            end = first_not(first + 1, rows.len(), first + self.many, |place| (rows[place] as usize) < end);
        }
        (self.next, self.before, self.many) = (end, Some((row, time)), end - first);
        Some((start, first..end))
    }
}

/// Returns the first place from `low` on, or `len`, that does not hold, where after one that does not none does; looks at `guess`
/// first.
fn first_not(low: usize, len: usize, guess: usize, holds: impl Fn(usize) -> bool) -> usize {
    let guess = guess.clamp(low, len);
    if guess < len && holds(guess) {
        return guess + 1 + reach(len - guess - 1, |place| holds(guess + 1 + place));
    }
    // the same backwards
    guess - reach(guess - low, |place| !holds(guess - 1 - place))
}

/// Returns how many of the first of `len` places hold, where after one that does not none does: by steps that double, then by
/// halves.
fn reach(len: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut step) = (0, 1);
    while low + step <= len && holds(low + step - 1) {
        low += step;
        step *= 2;
    }
    let mut high = len.min(low + step - 1);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
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
        for step in [1, 2, 3, 7, 100] {
            let picked: Vec<u32> = (0..times.len() as u32).filter(|row| row * row % step < 2).collect();
            let moments: Vec<i64> = picked.iter().map(|row| times[*row as usize]).collect();
            let found: Vec<_> = Stretches::of_rows(times, &picked, cut).collect();
            assert!(found.iter().cloned().eq(Stretches::new(&moments, cut)), "{step}: {found:?}");
        }
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
        // no guess fits
        let mut moment = 1_711_839_600_000_000;
        let uneven = (0..3_000i64).map(|i| {
            moment += i * i % 17 * (i % 5) * if i % 400 < 200 { 1_000 } else { 90_000_000 };
            moment
        });
        let uneven: Vec<i64> = uneven.collect();
        ["1s", "1m", "1h"].iter().for_each(|stride| check(&uneven, Cut::Grid(grid(stride))));
        check(&uneven, Cut::Moment);
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
