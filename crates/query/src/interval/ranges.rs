//! Sorted, disjoint lists of time ranges, and AND, OR, NOT on them.
//!
//! Every function returns ranges in ascending order, none empty, no two that touch. A range that ends at `i64::MAX`
//! includes it, as `TimeRange` says.

use types::TimeRange;

/// Returns the moments of any of `ranges`, whatever their order.
pub fn union(ranges: impl IntoIterator<Item = TimeRange>) -> Vec<TimeRange> {
    let mut sorted: Vec<TimeRange> = ranges.into_iter().filter(|r| !r.is_empty()).collect();
    sorted.sort_by_key(|r| r.start_us);
    let mut merged: Vec<TimeRange> = Vec::with_capacity(sorted.len());
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start_us <= last.end_us => last.end_us = last.end_us.max(range.end_us),
            _ => merged.push(range),
        }
    }
    merged
}

/// Returns the moments that both lists hold.
pub fn intersect(left: &[TimeRange], right: &[TimeRange]) -> Vec<TimeRange> {
    let (mut l, mut r, mut both) = (0, 0, Vec::new());
    while let (Some(a), Some(b)) = (left.get(l), right.get(r)) {
        let overlap = a.intersect(b);
        if !overlap.is_empty() {
            both.push(overlap);
        }
        if a.end_us < b.end_us {
            l += 1;
        } else {
            r += 1;
        }
    }
    both
}

/// Returns every moment that `ranges` do not hold.
pub fn complement(ranges: &[TimeRange]) -> Vec<TimeRange> {
    let mut gaps = Vec::with_capacity(ranges.len() + 1);
    let mut start_us = i64::MIN;
    for range in ranges {
        if range.start_us > start_us {
            gaps.push(TimeRange { start_us, end_us: range.start_us });
        }
        start_us = range.end_us;
    }
    if start_us < i64::MAX {
        gaps.push(TimeRange { start_us, end_us: i64::MAX });
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(bounds: &[(i64, i64)]) -> Vec<TimeRange> {
        bounds.iter().map(|&(start_us, end_us)| TimeRange { start_us, end_us }).collect()
    }

    #[test]
    fn unions_sort_and_merge_what_touches() {
        assert_eq!(union(ranges(&[(5, 9), (0, 2), (2, 3), (7, 8), (4, 4)])), ranges(&[(0, 3), (5, 9)]));
        assert_eq!(union([]), []);
    }

    #[test]
    fn intersections_keep_common_moments() {
        let left = ranges(&[(0, 5), (8, 20)]);
        assert_eq!(intersect(&left, &ranges(&[(3, 9), (10, 11), (30, 40)])), ranges(&[(3, 5), (8, 9), (10, 11)]));
        assert_eq!(intersect(&left, &[]), []);
        assert_eq!(intersect(&left, &[TimeRange::ALL]), left);
    }

    #[test]
    fn complements_are_the_gaps() {
        assert_eq!(complement(&[]), [TimeRange::ALL]);
        assert_eq!(complement(&ranges(&[(0, 5)])), ranges(&[(i64::MIN, 0), (5, i64::MAX)]));
        assert_eq!(complement(&[TimeRange::ALL]), []);
        assert_eq!(complement(&complement(&ranges(&[(0, 5), (8, 9)]))), ranges(&[(0, 5), (8, 9)]));
    }
}
