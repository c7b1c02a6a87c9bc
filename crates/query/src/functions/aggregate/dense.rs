//! Rows of few groups, by small numbers that stand for the groups: [`Dense`].
//!
//! Where one state is changed again and again by rows that follow each other, each change waits for the one before. So
//! several rows in turn go to states of their own, which are joined at the end of a stretch. How many rows a group has is
//! counted once for all aggregates.

/// So many rows go to different states.
const LANES: usize = 4;

/// A stretch of rows: the slot of each, and what the slots are.
pub struct Dense<'a> {
    slots: &'a [u32],
    /// Rows by slot.
    counts: &'a [u32],
    /// One more than the group, by slot.
    groups: &'a [u32],
}

impl<'a> Dense<'a> {
    /// Returns a stretch; `groups` has one more than its group for each slot that rows have.
    pub fn new(slots: &'a [u32], counts: &'a [u32], groups: &'a [u32]) -> Dense<'a> {
        Dense { slots, counts, groups }
    }

    /// Returns the group of each of the rows.
    pub fn of_rows(&self) -> impl Iterator<Item = usize> + '_ {
        self.slots.iter().map(|slot| self.groups[*slot as usize] as usize - 1)
    }

    /// Returns the groups that rows are of: slot, group, and number of rows.
    pub fn groups(&self) -> impl Iterator<Item = (usize, usize, u32)> + '_ {
        let rows = self.counts.iter().zip(self.groups).enumerate().filter(|(_, (count, _))| **count > 0);
        rows.map(|(slot, (count, group))| (slot, *group as usize - 1, *count))
    }

    /// Returns the sum of the rows' values by slot.
    pub fn sums(&self, values: &[f64]) -> Vec<f64> {
        let mut lanes = vec![[0.0; LANES]; self.counts.len()];
        let (fours, rest) = self.slots.as_chunks::<LANES>();
        let (four_values, rest_values) = values.as_chunks::<LANES>();
        // no iterator within the loop: a call of its constructor for each four rows would cost more than they do
        for ([a, b, c, d], [of_a, of_b, of_c, of_d]) in fours.iter().zip(four_values) {
            lanes[*a as usize][0] += of_a;
            lanes[*b as usize][1] += of_b;
            lanes[*c as usize][2] += of_c;
            lanes[*d as usize][3] += of_d;
        }
        for (slot, value) in rest.iter().zip(rest_values) {
            lanes[*slot as usize][0] += value;
        }
        lanes.iter().map(|[a, b, c, d]| (a + b) + (c + d)).collect()
    }
}

/// Returns how many rows each of `size` slots has.
pub fn counts(slots: &[u32], size: usize) -> Vec<u32> {
    let mut lanes = vec![[0u32; LANES]; size];
    let (fours, rest) = slots.as_chunks::<LANES>();
    for [a, b, c, d] in fours {
        lanes[*a as usize][0] += 1;
        lanes[*b as usize][1] += 1;
        lanes[*c as usize][2] += 1;
        lanes[*d as usize][3] += 1;
    }
    for slot in rest {
        lanes[*slot as usize][0] += 1;
    }
    lanes.iter().map(|[a, b, c, d]| a + b + c + d).collect()
}

/// Most slots that are counted in this way: their lanes stay in a core's nearest cache, or nearly.
const MOST_SLOTS: usize = 4096;
/// A slot is to have so many rows, on average.
const ROWS_A_SLOT: usize = 8;

/// Returns whether so many rows, in so many stretches, are worth lanes for each slot.
pub fn is_worth(rows: usize, stretches: usize, slots: usize) -> bool {
    slots <= MOST_SLOTS && rows >= slots.saturating_mul(ROWS_A_SLOT).saturating_mul(stretches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_counted_and_summed_in_its_slot() {
        for rows in [0, 1, 3, 4, 7, 1_000] {
            let slots: Vec<u32> = (0..rows).map(|row| row * 7 % 5).collect();
            let values: Vec<f64> = slots.iter().map(|slot| f64::from(*slot) + 0.5).collect();
            let counts = counts(&slots, 6);
            let expected: Vec<u32> = (0..6).map(|s| slots.iter().filter(|slot| **slot == s).count() as u32).collect();
            assert_eq!(counts, expected);
            let groups = [10, 20, 30, 40, 50, 0];
            let dense = Dense::new(&slots, &counts, &groups);
            let sums = dense.sums(&values);
            for (slot, group, count) in dense.groups() {
                assert_eq!(sums[slot], f64::from(count) * (slot as f64 + 0.5));
                assert_eq!((group, count), (slot * 10 + 9, expected[slot]));
            }
            assert!(dense.of_rows().eq(slots.iter().map(|slot| *slot as usize * 10 + 9)));
        }
    }
}
