//! Which rows of a result a `limit` parameter asks for: [`Window`]. /exec and /exp count differently.

/// Rows numbered from 1 that are shown: those after `skip`, up to `stop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub skip: u64,
    pub stop: u64,
}

impl Window {
    /// Every row.
    pub const ALL: Window = Window { skip: 0, stop: u64::MAX };

    /// Reads `/exec`'s limit: `n`, or `first,last` with both included. As in the peer at least one row is shown,
    /// whatever the numbers, and what is no number does not limit.
    pub fn of_exec(limit: Option<&str>) -> Window {
        let (skip, stop) = match split(limit) {
            None => return Window::ALL,
            Some((first, None)) => (0, first),
            Some((first, Some(last))) => (first.max(1) as u64 - 1, last.unwrap_or(i64::MAX)),
        };
        Window { skip, stop: (stop.max(0) as u64).max(skip + 1) }
    }

    /// Reads `/exp`'s limit: `n`, or `from,to` with the first left out.
    pub fn of_exp(limit: Option<&str>) -> Window {
        match split(limit) {
            None => Window::ALL,
            Some((stop, None)) => Window { skip: 0, stop: stop.max(0) as u64 },
            Some((from, Some(to))) => Window { skip: from.max(0) as u64, stop: to.unwrap_or(i64::MAX).max(0) as u64 },
        }
    }

    /// Returns which of `rows` rows, the first of which has `seen` before it, are shown.
    pub fn of_batch(&self, seen: u64, rows: usize) -> std::ops::Range<usize> {
        let at = |number: u64| number.saturating_sub(seen).min(rows as u64) as usize;
        let start = at(self.skip);
        start..at(self.stop).max(start)
    }
}

/// Returns the number before the comma and, where there is one, what stands behind it (`None` when that is no number).
fn split(limit: Option<&str>) -> Option<(i64, Option<Option<i64>>)> {
    let limit = limit?;
    match limit.split_once(',') {
        Some((first, last)) => Some((first.trim().parse().ok()?, Some(last.trim().parse().ok()))),
        None => Some((limit.trim().parse().ok()?, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the rows of ten that are shown.
    fn shown(window: Window) -> Vec<u64> {
        let mut rows = Vec::new();
        for seen in [0, 4, 8] {
            rows.extend(window.of_batch(seen, if seen == 8 { 2 } else { 4 }).map(|i| seen + i as u64 + 1));
        }
        rows
    }

    #[test]
    fn exec_counts_from_one_and_shows_at_least_one_row() {
        let check = |limit: &str, rows: std::ops::RangeInclusive<u64>| {
            assert_eq!(shown(Window::of_exec(Some(limit))), rows.collect::<Vec<_>>(), "{limit}");
        };
        check("3", 1..=3);
        check("3,5", 3..=5);
        check("-3", 1..=1);
        check("0", 1..=1);
        check("5,3", 5..=5);
        check("-5,-3", 1..=1);
        check("abc", 1..=10);
        check("1,abc", 1..=10);
        check(",4", 1..=10);
        check("3,", 3..=10);
        check("0,2", 1..=2);
        assert_eq!(shown(Window::of_exec(Some("20,30"))), [] as [u64; 0]);
        assert_eq!(shown(Window::of_exec(None)).len(), 10);
    }

    #[test]
    fn exp_leaves_the_first_out() {
        let check = |limit: &str, rows: std::ops::RangeInclusive<u64>| {
            assert_eq!(shown(Window::of_exp(Some(limit))), rows.collect::<Vec<_>>(), "{limit}");
        };
        check("3", 1..=3);
        check("3,5", 4..=5);
        assert_eq!(shown(Window::of_exp(Some("-3"))), [] as [u64; 0]);
        assert_eq!(shown(Window::of_exp(Some("x"))).len(), 10);
    }
}
