//! Which right row each left row meets: loops over slices of times and keys, nothing else.
//!
//! A right row is a [`RowRef`]; keys are numbers, dense from 0, so that the newest row of each is found by index. The loops
//! go on where they stopped, since a block of either side may end anywhere.

/// A right row: the place of its block in the upper half, its row in the lower.
pub type RowRef = u64;

/// No right row.
pub const NONE: RowRef = RowRef::MAX;

/// Returns the reference to a row of a block.
pub fn row_ref(block: usize, row: usize) -> RowRef {
    ((block as u64) << 32) | row as u64
}

/// Returns the place of a row's block, and the row.
pub fn place_of(row: RowRef) -> (usize, usize) {
    ((row >> 32) as usize, (row & u64::from(u32::MAX)) as usize)
}

/// Rows of one side in the order of time; a join without keys has none.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    pub times: &'a [i64],
    pub keys: &'a [i32],
}

/// Gives each left row the newest right row of its key: rows of `right` from `next` on are noted in `newest` as far as they
/// are not later (STRICT: as far as they are earlier). Ends with the left rows, or where `right` is used up: then left
/// rows are without an answer, as right rows that matter to them may follow. Returns the place after the last noted row.
pub fn keyed<const STRICT: bool>(
    left: Rows,
    right: Rows,
    block: usize,
    mut next: usize,
    newest: &mut [RowRef],
    found: &mut Vec<RowRef>,
) -> usize {
    let rows = right.times.len();
    for (&time, &key) in left.times.iter().zip(left.keys) {
        while next < rows && comes_before::<STRICT>(right.times[next], time) {
            newest[right.keys[next] as usize] = row_ref(block, next);
            next += 1;
        }
        if next == rows {
            return next;
        }
        found.push(newest[key as usize]);
    }
    next
}

/// As [`keyed`], of joins that look at time only: `newest` is the last right row so far.
pub fn unkeyed<const STRICT: bool>(
    left_times: &[i64],
    right_times: &[i64],
    block: usize,
    mut next: usize,
    newest: &mut RowRef,
    found: &mut Vec<RowRef>,
) -> usize {
    let rows = right_times.len();
    for &time in left_times {
        if next < rows && comes_before::<STRICT>(right_times[next], time) {
            next = first_behind::<STRICT>(right_times, next, time);
            *newest = row_ref(block, next - 1);
        }
        if next == rows {
            return next;
        }
        found.push(*newest);
    }
    next
}

fn comes_before<const STRICT: bool>(right: i64, left: i64) -> bool {
    if STRICT { right < left } else { right <= left }
}

/// Returns the first row behind `next` that does not come before `time`; the one at `next` does. Near ones are found by
/// looking, far ones by doubling steps.
fn first_behind<const STRICT: bool>(times: &[i64], next: usize, time: i64) -> usize {
    let (mut low, mut step) = (next, 1);
    while low + step < times.len() && comes_before::<STRICT>(times[low + step], time) {
        low += step;
        step *= 2;
    }
    let high = (low + step).min(times.len());
    low + 1 + times[low + 1..high].partition_point(|&right| comes_before::<STRICT>(right, time))
}

/// Notes the last row of each wanted key, which is then wanted no more; returns how many were found.
pub fn note_older(keys: &[i32], block: usize, wanted: &mut [bool], newest: &mut [RowRef]) -> usize {
    let mut found = 0;
    for (row, &key) in keys.iter().enumerate().rev() {
        if wanted[key as usize] {
            wanted[key as usize] = false;
            newest[key as usize] = row_ref(block, row);
            found += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The plain form: every pair is looked at.
    fn expected(left: Rows, right: Rows, strict: bool) -> Vec<RowRef> {
        let meets = |l: usize, r: usize| {
            let (left_time, right_time) = (left.times[l], right.times[r]);
            let key = left.keys.is_empty() || left.keys[l] == right.keys[r];
            key && if strict { right_time < left_time } else { right_time <= left_time }
        };
        let newest = |l: usize| (0..right.times.len()).rev().find(|r| meets(l, *r));
        (0..left.times.len()).map(|l| newest(l).map_or(NONE, |r| row_ref(r / 7, r % 7))).collect()
    }

    /// Runs a loop over the right side in blocks of seven rows, as the operator does.
    fn in_blocks(
        left: Rows,
        right: Rows,
        mut step: impl FnMut(Rows, Rows, usize, usize, &mut Vec<RowRef>) -> usize,
    ) -> Vec<RowRef> {
        let mut found = Vec::new();
        for (block, first) in (0..right.times.len()).step_by(7).enumerate() {
            let end = (first + 7).min(right.times.len());
            let keys = if right.keys.is_empty() { right.keys } else { &right.keys[first..end] };
            let part = Rows { times: &right.times[first..end], keys };
            let mut next = 0;
            while next < part.times.len() && found.len() < left.times.len() {
                let rest = found.len()..(found.len() + 3).min(left.times.len());
                let keys = if left.keys.is_empty() { left.keys } else { &left.keys[rest.clone()] };
                next = step(Rows { times: &left.times[rest], keys }, part, block, next, &mut found);
            }
        }
        found
    }

    fn numbers(seed: u64, count: usize, below: u64) -> Vec<i64> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % below) as i64
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn every_left_row_meets_the_newest_of_its_key_whatever_the_blocks() {
        for seed in 0..200 {
            let (span, keys) = ([3, 20, 400][seed as usize % 3], 1 + seed % 5);
            let sorted = |seed, count| {
                let mut times = numbers(seed, count, span);
                times.sort_unstable();
                times
            };
            let codes = |seed, count| numbers(seed, count, keys).into_iter().map(|k| k as i32).collect::<Vec<i32>>();
            let (left_times, right_times) = (sorted(seed, 40), sorted(seed + 1_000, 60));
            let (left_keys, right_keys) = (codes(seed + 2_000, 40), codes(seed + 3_000, 60));
            let (left, right) =
                (Rows { times: &left_times, keys: &left_keys }, Rows { times: &right_times, keys: &right_keys });
            let mut newest = vec![NONE; keys as usize];
            let mut found = in_blocks(left, right, |l, r, block, next, found| {
                keyed::<false>(l, r, block, next, &mut newest, found)
            });
            found.extend(left_keys[found.len()..].iter().map(|key| newest[*key as usize]));
            assert_eq!(found, expected(left, right, false), "seed {seed}");
            newest.fill(NONE);
            let mut found =
                in_blocks(left, right, |l, r, block, next, found| keyed::<true>(l, r, block, next, &mut newest, found));
            found.extend(left_keys[found.len()..].iter().map(|key| newest[*key as usize]));
            assert_eq!(found, expected(left, right, true), "seed {seed}, strict");

            let (left, right) = (Rows { keys: &[], ..left }, Rows { keys: &[], ..right });
            for strict in [false, true] {
                let mut last = NONE;
                let mut found = in_blocks(left, right, |l, r, block, next, found| match strict {
                    true => unkeyed::<true>(l.times, r.times, block, next, &mut last, found),
                    false => unkeyed::<false>(l.times, r.times, block, next, &mut last, found),
                });
                found.resize(left.times.len(), last);
                assert_eq!(found, expected(left, right, strict), "seed {seed}, no keys, strict {strict}");
            }
        }
    }

    #[test]
    fn older_rows_are_noted_once_and_the_last_of_a_key_counts() {
        let (mut newest, mut wanted) = (vec![NONE; 4], vec![true, false, true, true]);
        assert_eq!(note_older(&[0, 1, 2, 0, 2], 4, &mut wanted, &mut newest), 2);
        assert_eq!(
            (newest.as_slice(), &wanted),
            (&[row_ref(4, 3), NONE, row_ref(4, 4), NONE][..], &vec![false, false, false, true])
        );
        assert_eq!(note_older(&[0, 2], 5, &mut wanted, &mut newest), 0);
    }
}
