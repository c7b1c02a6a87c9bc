//! What is worth a merge: [`choose`].
//!
//! Tiered: a stretch of segments of one size and smaller is merged when there are enough and none is larger than all
//! others together, so a row is copied once for each doubling of its segment at most; small ones are of one size. A
//! partition that is not the newest is sealed: its last few segments become one, once; later rows wait until they are half
//! as many as it has.

use std::ops::Range;
use std::sync::Arc;

use super::{TARGET_BYTES, TARGET_ROWS};
use crate::segment::{SegmentHandle, SegmentMeta};

/// Below so many rows a segment's name in the lists of tables, and its file, cost more than its rows: copying these is nothing.
const SMALL_ROWS: u64 = 256;

/// How large merges are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Segments of one tier that are merged; a tier is so many times larger than the one below.
    pub fan_in: usize,
    pub rows: u64,
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { fan_in: 4, rows: TARGET_ROWS, bytes: TARGET_BYTES }
    }
}

/// Returns which segments of a partition to merge, all next to each other, or one to rewrite without its dead rows.
pub(super) fn choose(segments: &[Arc<SegmentHandle>], sealed: bool, limits: &Limits) -> Option<Range<usize>> {
    let metas: Vec<&SegmentMeta> = segments.iter().map(|s| &**s.meta()).collect();
    if let Some(at) = metas.iter().position(|meta| is_mostly_dead(meta) && is_mergeable(meta, limits)) {
        return whole(&metas, at..at + 1);
    }
    if metas.len() < 2 {
        return None;
    }
    let largest = metas.iter().map(|meta| tier(meta, limits)).max()?;
    for level in 0..=largest {
        let fits = |meta: &&SegmentMeta| tier(meta, limits) <= level;
        for stretch in stretches(&metas, fits, limits) {
            let (sum, max) = sizes(&metas[stretch.clone()]);
            if stretch.len() >= limits.fan_in && (2 * max <= sum || max < SMALL_ROWS) {
                return Some(stretch);
            }
        }
    }
    if !sealed {
        return None;
    }
    stretches(&metas, |_| true, limits).into_iter().find(|stretch| {
        let (sum, max) = sizes(&metas[stretch.clone()]);
        stretch.len() > 1 && 2 * (sum - max) >= max
    })
}

fn is_mostly_dead(meta: &SegmentMeta) -> bool {
    meta.dead.as_ref().is_some_and(|dead| dead.rows * 4 >= meta.rows)
}

/// Segments of more than half a target stay as they are.
fn is_mergeable(meta: &SegmentMeta, limits: &Limits) -> bool {
    2 * meta.live_rows() <= limits.rows && 2 * meta.len_bytes <= limits.bytes
}

fn tier(meta: &SegmentMeta, limits: &Limits) -> u32 {
    let rows = meta.live_rows();
    if rows < SMALL_ROWS { 0 } else { rows.ilog(limits.fan_in.max(2) as u64) }
}

fn sizes(metas: &[&SegmentMeta]) -> (u64, u64) {
    let rows = || metas.iter().map(|meta| meta.live_rows());
    (rows().sum(), rows().max().unwrap_or(0))
}

/// Returns the longest stretches of segments that fit, are mergeable and together no larger than a target.
fn stretches(metas: &[&SegmentMeta], fits: impl Fn(&&SegmentMeta) -> bool, limits: &Limits) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    while start < metas.len() {
        let (mut end, mut rows, mut bytes) = (start, 0, 0);
        while end < metas.len() && fits(&metas[end]) && is_mergeable(metas[end], limits) {
            rows += metas[end].live_rows();
            bytes += metas[end].len_bytes;
            if rows > limits.rows || bytes > limits.bytes {
                break;
            }
            end += 1;
        }
        found.extend(whole(metas, start..end));
        start = end.max(start + 1);
    }
    found
}

/// Shortens a stretch until the segment behind it is of later commits: the merged one takes its place by its first Seq.
fn whole(metas: &[&SegmentMeta], mut stretch: Range<usize>) -> Option<Range<usize>> {
    if metas.get(stretch.end).is_some_and(|next| next.first_seq == metas[stretch.start].first_seq) {
        stretch.end = stretch.start;
    }
    (!stretch.is_empty()).then_some(stretch)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use types::Seq;

    use super::*;
    use crate::segment::reader::tests::{rows, sim, write};

    /// Segments of so many rows, commits rising.
    fn segments(sizes: &[u64]) -> Vec<Arc<SegmentHandle>> {
        let env = sim();
        let meta = write(&env, &rows(1)).unwrap();
        let one = |(i, rows): (usize, &u64)| {
            let seq = Seq(i as u64 + 1);
            let meta = SegmentMeta { rows: *rows, len_bytes: rows * 28, first_seq: seq, last_seq: seq, ..meta.clone() };
            Arc::new(SegmentHandle::new(&env, Path::new("/t"), Arc::new(meta), true))
        };
        sizes.iter().enumerate().map(one).collect()
    }

    fn check(sizes: &[u64], sealed: bool, expected: Option<Range<usize>>) {
        assert_eq!(choose(&segments(sizes), sealed, &Limits::default()), expected, "{sizes:?} sealed {sealed}");
    }

    #[test]
    fn four_of_a_size_are_merged_and_large_ones_left_alone() {
        check(&[100, 100, 100], false, None);
        check(&[100, 100, 100, 100], false, Some(0..4));
        check(&[5_000, 100, 120, 100, 90], false, Some(1..5));
        check(&[5_000, 100, 120, 100], false, None);
        check(&[1_200_000; 4], false, None);
        check(&[1_000_000; 4], false, Some(0..4));
        check(&[3_000_000, 3_000_000, 9], false, None);
    }

    #[test]
    fn small_ones_are_merged_whatever_their_sizes() {
        check(&[200, 1, 1, 1], false, Some(0..4));
        check(&[5_000, 200, 30, 7, 1], false, Some(1..5));
        check(&[5_000, 200, 30, 7], false, None);
        check(&[5_000, 300, 30, 7, 1], false, None);
        check(&[5_000, 300, 30, 7, 2, 1], false, Some(2..6));
    }

    #[test]
    fn a_sealed_partition_becomes_one_segment_and_waits_for_half_as_much_again() {
        check(&[4_000, 1_000, 1_000], true, Some(0..3));
        check(&[4_000, 1_000], true, None);
        check(&[6_000], true, None);
        check(&[6_000, 100, 100], true, None);
        check(&[6_000, 3_000], true, Some(0..2));
    }

    #[test]
    fn rows_in_order_are_copied_a_logarithmic_number_of_times() {
        let (mut sizes, mut copied) = (Vec::new(), 0);
        for rows in [1_000_u64; 1024] {
            sizes.push(rows);
            while let Some(range) = choose(&segments(&sizes), false, &Limits::default()) {
                let merged: u64 = sizes[range.clone()].iter().sum();
                copied += merged;
                sizes.splice(range, [merged]);
            }
        }
        assert!(sizes.len() <= 16, "{sizes:?}");
        assert!(copied <= 6 * 1_024_000, "{copied}");
    }
}
