//! A value over frames that only move forward, each row added once and none ever subtracted.
//!
//! The queue of two stacks: what is about to leave keeps the sums from each row to the middle, what came since is one sum.
//! So a huge value that has left the frame leaves no rounding behind.

use super::frames::Frames;

/// Returns for each frame the combination of its rows' leaves; None for a frame without any.
pub fn sliding<T: Clone>(
    frames: &Frames,
    leaf: impl Fn(usize) -> Option<T>,
    combine: impl Fn(&T, &T) -> T,
) -> Vec<Option<T>> {
    let both = |a: &Option<T>, b: &Option<T>| match (a, b) {
        (Some(a), Some(b)) => Some(combine(a, b)),
        (a, b) => a.clone().or_else(|| b.clone()),
    };
    // leaving[i] combines the rows from middle - 1 - i to the middle.
    let (mut leaving, mut middle): (Vec<Option<T>>, usize) = (Vec::new(), 0);
    let (mut came, mut next): (Option<T>, usize) = (None, 0);
    let mut results = Vec::with_capacity(frames.start.len());
    for (&start, &end) in frames.start.iter().zip(&frames.end) {
        if start >= end {
            results.push(None);
            continue;
        }
        if start >= next {
            leaving.clear();
            came = None;
            (middle, next) = (start, start);
        }
        while next < end {
            came = both(&came, &leaf(next));
            next += 1;
        }
        if start >= middle {
            leaving.clear();
            middle = next;
            came = None;
            let mut sum = None;
            for row in (start..middle).rev() {
                sum = both(&leaf(row), &sum);
                leaving.push(sum.clone());
            }
        } else {
            leaving.truncate(middle - start);
        }
        results.push(both(leaving.last().unwrap_or(&None), &came));
    }
    results
}
