//! Right rows, those of one key together in the order of time: so a window is one stretch of them.

use std::ops::Range;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take;
use datafusion::common::{Result, exec_err};

/// The right rows around a left one.
#[derive(Debug, Clone, Default)]
pub struct Window {
    /// The rows between both ends; the one in force at the beginning is among them, unless pairs decide which that is.
    pub rows: Range<usize>,
    /// All rows of the key.
    pub of_key: Range<usize>,
    pub low: i64,
    pub high: i64,
}

/// Where the last window of a key lay among its rows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place {
    /// The first row that is not before the window.
    first: u32,
    /// The first row behind it.
    behind: u32,
}

/// Where the rows of each key are, and when.
pub struct Arranged {
    /// Where each key's rows begin; one more than there are keys.
    starts: Vec<u32>,
    times: Vec<i64>,
}

impl Arranged {
    /// Lays rows, which come in the order of time, beside those of their key, and returns in which order that is.
    ///
    /// # Errors
    /// More rows than a number of 32 bits counts.
    pub fn new(times: &[i64], keys: &[u32], number_of_keys: usize) -> Result<(Arranged, UInt32Array)> {
        if u32::try_from(times.len()).is_err() {
            return exec_err!("WINDOW JOIN: the right side has {} rows, at most {} fit", times.len(), u32::MAX);
        }
        let mut starts = vec![0u32; number_of_keys + 1];
        keys.iter().for_each(|key| starts[*key as usize + 1] += 1);
        for key in 0..number_of_keys {
            starts[key + 1] += starts[key];
        }
        let mut next = starts.clone();
        let (mut order, mut arranged) = (vec![0u32; times.len()], vec![0i64; times.len()]);
        for (row, (time, key)) in times.iter().zip(keys).enumerate() {
            let place = &mut next[*key as usize];
            order[*place as usize] = row as u32;
            arranged[*place as usize] = *time;
            *place += 1;
        }
        Ok((Arranged { starts, times: arranged }, UInt32Array::from(order)))
    }

    /// Returns how many keys there are.
    pub fn keys(&self) -> usize {
        self.starts.len() - 1
    }

    /// Returns the rows of a key.
    fn of_key(&self, key: usize) -> Range<usize> {
        self.starts[key] as usize..self.starts[key + 1] as usize
    }

    /// Returns the rows of a key between both ends, these included, and with `prevailing` the last one before the first end, unless
    /// one lies at that end or the window ends before that row.
    pub fn window(&self, key: usize, ends: (i64, i64), prevailing: bool) -> Window {
        self.window_behind(&mut Place::default(), key, ends, prevailing)
    }

    /// As [`Arranged::window`], where neither end lies before those of the window of that key for which the place was last given.
    pub fn window_behind(&self, place: &mut Place, key: usize, (low, high): (i64, i64), prevailing: bool) -> Window {
        let of_key = self.of_key(key);
        let times = &self.times[of_key.clone()];
        place.first = leap(times, place.first, |time| time < low);
        place.behind = leap(times, place.behind, |time| time <= high);
        let mut first = place.first as usize;
        if prevailing && first > 0 && times.get(first) != Some(&low) {
            first -= 1;
        }
        let behind = first.max(place.behind as usize);
        Window { rows: of_key.start + first..of_key.start + behind, of_key, low, high }
    }

    /// Returns the time of a row.
    pub fn time(&self, row: usize) -> i64 {
        self.times[row]
    }

    /// Returns the bytes that are held.
    pub fn size(&self) -> usize {
        size_of_val(&*self.starts) + size_of_val(&*self.times)
    }
}

/// Returns the first of rising times from a place on that is not `before`, in the fewer steps the nearer it is.
fn leap(times: &[i64], from: u32, before: impl Fn(i64) -> bool) -> u32 {
    let (mut from, mut step) = (from as usize, 1);
    // all times in front of `from` are before
    while let Some(time) = times.get(from + step - 1)
        && before(*time)
    {
        from += step;
        step *= 2;
    }
    let end = times.len().min(from + step - 1);
    (from + times[from..end].partition_point(|time| before(*time))) as u32
}

/// Returns the batch with its rows in that order.
pub fn reordered(batch: &RecordBatch, order: &UInt32Array) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(|column| take(column, order, None));
    let columns = columns.collect::<std::result::Result<Vec<ArrayRef>, _>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(order.len()));
    Ok(RecordBatch::try_new_with_options(batch.schema(), columns, &options)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arranged(rows: &[(i64, u32)], keys: usize) -> (Arranged, Vec<u32>) {
        let (times, of_rows): (Vec<i64>, Vec<u32>) = rows.iter().copied().unzip();
        let (arranged, order) = Arranged::new(&times, &of_rows, keys).expect("few rows");
        (arranged, order.values().to_vec())
    }

    #[test]
    fn rows_of_a_key_lie_together_in_the_order_of_time() {
        let (arranged, order) = arranged(&[(1, 2), (1, 0), (2, 2), (3, 1), (3, 2)], 4);
        assert_eq!(order, [1, 3, 0, 2, 4]);
        assert_eq!([0, 1, 2, 3].map(|key| arranged.of_key(key)), [0..1, 1..2, 2..5, 5..5]);
        assert_eq!(arranged.time(4), 3);
    }

    #[test]
    fn windows_hold_both_ends_and_the_row_in_force_at_the_first() {
        let (rows, _) = arranged(&[(10, 0), (20, 0), (20, 0), (30, 0)], 2);
        assert_eq!(rows.window(0, (10, 20), true).rows, 0..3, "one lies at the beginning");
        assert_eq!(rows.window(0, (11, 30), true).rows, 0..4);
        assert_eq!(rows.window(0, (11, 30), false).rows, 1..4);
        assert_eq!(rows.window(0, (25, 29), true).rows, 2..3, "the last of equal times");
        assert_eq!(rows.window(0, (25, 29), false).rows, 3..3);
        assert_eq!(rows.window(0, (31, 40), true).rows, 3..4);
        assert_eq!(rows.window(0, (0, 9), true).rows, 0..0);
        assert_eq!(rows.window(1, (0, 100), true).rows, 4..4, "a key without rows");
        assert_eq!(rows.window(0, (i64::MIN, i64::MAX), true).rows, 0..4);
    }

    #[test]
    fn windows_that_follow_each_other_are_found_from_the_last_one_on() {
        let times: Vec<i64> = (0..200i64).map(|row| row / 3 * (1 + row % 2)).map(|time| time * 2).collect();
        let mut rows: Vec<(i64, u32)> = times.iter().map(|time| (*time, 1)).collect();
        rows.sort_unstable();
        let (rows, _) = arranged(&rows, 3);
        for (step, low, high) in [(1, -5, 5), (7, 0, 0), (40, -100, -30), (3, 4, 1), (1_000, 0, 3)] {
            let mut places = [Place::default(); 3];
            for time in (-50..400).step_by(step) {
                for (key, prevailing) in [(0, true), (1, true), (1, false), (2, false)] {
                    let ends = (time + low, time + high);
                    let found = rows.window_behind(&mut places[key], key, ends, prevailing);
                    let (all, of_key) = (&rows.times[rows.of_key(key)], rows.of_key(key));
                    let mut first = all.partition_point(|t| *t < ends.0);
                    if prevailing && first > 0 && all.get(first) != Some(&ends.0) {
                        first -= 1;
                    }
                    let behind = first + all[first..].partition_point(|t| *t <= ends.1);
                    assert_eq!(found.rows, of_key.start + first..of_key.start + behind, "{ends:?} of {key}");
                }
            }
        }
    }

    #[test]
    fn a_window_that_ends_before_it_begins_holds_the_row_in_force_at_most() {
        let (rows, _) = arranged(&[(10, 0), (20, 0)], 1);
        assert_eq!(rows.window(0, (15, 12), true).rows, 0..1);
        assert_eq!(rows.window(0, (20, 12), true).rows, 1..1);
        assert_eq!(rows.window(0, (25, 12), true).rows, 1..1);
    }
}
