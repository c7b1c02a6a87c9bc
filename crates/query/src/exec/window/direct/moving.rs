//! Values over the last rows of each key: of so many rows ([`Moving`]) or of so long ([`Recent`]).
//!
//! Both are the queue of two stacks of `sliding.rs`, fed row by row: what is about to leave keeps the value from each row to
//! the middle, what came since is one value. Rows are combined as the plain operator combines them, so sums are the same.

/// Something that rows are combined to.
pub trait Combine: Copy {
    /// What no row at all is combined to.
    const NOTHING: Self;

    fn with(self, later: Self) -> Self;
}

/// The last `width` rows of each key, fewer at its beginning.
pub struct Moving<T> {
    width: usize,
    /// By key: how many rows there were.
    rows: Vec<u64>,
    /// By key: what came since the middle.
    came: Vec<T>,
    /// `width` a key. Behind the place of the next row: what is about to leave, from that row to the middle; before it
    /// the rows that came since.
    leaving: Vec<T>,
}

impl<T: Combine> Moving<T> {
    pub fn new(width: usize) -> Moving<T> {
        Moving { width: width.max(1), rows: Vec::new(), came: Vec::new(), leaving: Vec::new() }
    }

    /// Bytes that one more key needs.
    pub fn key_bytes(&self) -> usize {
        size_of::<u64>() + (self.width + 1) * size_of::<T>()
    }

    /// Makes room for keys below `count`.
    pub fn grow(&mut self, count: usize) {
        self.rows.resize(count, 0);
        self.came.resize(count, T::NOTHING);
        self.leaving.resize(count * self.width, T::NOTHING);
    }

    /// Adds a row and returns what the last rows of its key are combined to.
    pub fn push(&mut self, key: usize, row: T) -> T {
        let leaving = &mut self.leaving[key * self.width..(key + 1) * self.width];
        let before = self.rows[key];
        self.rows[key] += 1;
        if before == 0 {
            leaving.fill(row);
            return row;
        }
        let place = ((before - 1) % self.width as u64) as usize;
        if place + 1 < self.width {
            let came = self.came[key].with(row);
            self.came[key] = came;
            leaving[place] = row;
            return leaving[place + 1].with(came);
        }
        self.came[key] = T::NOTHING;
        leaving[place] = row;
        let mut all = T::NOTHING;
        for value in leaving.iter_mut().rev() {
            all = value.with(all);
            *value = all;
        }
        all
    }
}

/// The rows of one key that are not older than a span of time.
pub struct Recent<T> {
    /// The oldest row last, each combined with those to the middle.
    leaving: Vec<(i64, T)>,
    since: Vec<(i64, T)>,
    came: T,
}

impl<T: Combine> Recent<T> {
    pub fn new() -> Recent<T> {
        Recent { leaving: Vec::new(), since: Vec::new(), came: T::NOTHING }
    }

    /// Returns the bytes of what it keeps.
    pub fn bytes(&self) -> usize {
        (self.leaving.capacity() + self.since.capacity()) * size_of::<(i64, T)>()
    }

    /// Adds a row and returns what it and the rows from `oldest` on are combined to. Neither time ever goes back.
    pub fn push(&mut self, time: i64, oldest: i64, row: T) -> T {
        while self.leaving.last().is_some_and(|(time, _)| *time < oldest) {
            self.leaving.pop();
        }
        self.since.push((time, row));
        if let Some((_, leaving)) = self.leaving.last() {
            self.came = self.came.with(row);
            return leaving.with(self.came);
        }
        let mut all = T::NOTHING;
        for (time, row) in self.since.drain(..).rev().take_while(|(time, _)| *time >= oldest) {
            all = row.with(all);
            self.leaving.push((time, all));
        }
        self.came = T::NOTHING;
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Greatest(i64);

    impl Combine for Greatest {
        const NOTHING: Greatest = Greatest(i64::MIN);

        fn with(self, later: Greatest) -> Greatest {
            Greatest(self.0.max(later.0))
        }
    }

    const ROWS: [i64; 17] = [5, 3, 9, 1, 1, 0, 7, 2, 2, 8, 4, 4, 4, 3, 2, 1, 0];

    #[test]
    fn the_last_rows_of_each_key_count() {
        for width in 1..20 {
            let mut moving = Moving::new(width);
            moving.grow(2);
            for (at, value) in ROWS.iter().enumerate() {
                let window = &ROWS[(at + 1).saturating_sub(width)..=at];
                let expected = *window.iter().max().expect("the row itself");
                assert_eq!(moving.push(0, Greatest(*value)), Greatest(expected), "{width} rows at {at}");
                let last = window.iter().map(|v| -v).max().expect("the row itself");
                assert_eq!(moving.push(1, Greatest(-value)), Greatest(last), "the other key");
            }
        }
    }

    #[test]
    fn rows_older_than_the_span_do_not_count() {
        for span in [0, 1, 3, 10, 100] {
            let mut recent = Recent::new();
            let times: Vec<i64> = ROWS
                .iter()
                .scan(0, |time, value| {
                    *time += value % 4;
                    Some(*time)
                })
                .collect();
            for (at, value) in ROWS.iter().enumerate() {
                let oldest = times[at] - span;
                let expected = (0..=at).filter(|i| times[*i] >= oldest).map(|i| ROWS[i]).max();
                let got = recent.push(times[at], oldest, Greatest(*value));
                assert_eq!(Some(got.0), expected, "span {span} at {at}");
            }
        }
    }
}
