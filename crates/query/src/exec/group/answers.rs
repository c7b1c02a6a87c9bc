//! From the groups of all threads to rows: [`Answers`].

use std::ops::Range;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::concat;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;

use super::worker::Worker;

/// The rows of an aggregation, by rising bucket, within one in the order in which keys appeared.
pub struct Answers {
    workers: Vec<Worker>,
    /// Bucket, worker and section, in the order of the rows.
    order: Vec<(i64, usize, usize)>,
    /// Where the next row is: a place in `order`, and how many groups of that section have gone.
    next: usize,
    gone: usize,
    schema: SchemaRef,
}

impl Answers {
    /// Joins what threads know of the same groups. The workers stand in the order of their rows.
    pub fn new(mut workers: Vec<Worker>, schema: SchemaRef) -> Result<Answers> {
        let mut all: Vec<(i64, usize, usize)> = Vec::new();
        for (at, worker) in workers.iter().enumerate() {
            all.extend(worker.sections().iter().enumerate().map(|(section, s)| (s.bucket, at, section)));
        }
        all.sort_unstable();
        let mut shared: Vec<Vec<Vec<usize>>> = vec![vec![Vec::new(); workers.len()]; workers.len()];
        let mut order: Vec<(i64, usize, usize)> = Vec::with_capacity(all.len());
        for (bucket, worker, section) in all {
            match order.last() {
                Some((last, owner, _)) if *last == bucket => shared[*owner][worker].push(section),
                _ => order.push((bucket, worker, section)),
            }
        }
        for owner in 0..workers.len() {
            let (left, right) = workers.split_at_mut(owner + 1);
            for (place, later) in right.iter_mut().enumerate() {
                let sections = &shared[owner][owner + 1 + place];
                if !sections.is_empty() {
                    left[owner].take_over(later, sections)?;
                }
            }
        }
        Ok(Answers { workers, order, next: 0, gone: 0, schema })
    }

    /// Returns up to so many further rows; None at the end.
    pub fn next(&mut self, most: usize) -> Result<Option<RecordBatch>> {
        let mut pieces: Vec<(usize, Range<u32>)> = Vec::new();
        let mut buckets: Vec<i64> = Vec::new();
        while buckets.len() < most {
            let Some((bucket, worker, section)) = self.order.get(self.next).copied() else { break };
            let mut skip = self.gone;
            let mut all = true;
            for range in self.workers[worker].sections()[section].ranges() {
                let skipped = skip.min(range.len());
                skip -= skipped;
                let start = range.start + skipped as u32;
                let taken = ((range.end - start) as usize).min(most - buckets.len());
                let end = start + taken as u32;
                self.gone += taken;
                buckets.resize(buckets.len() + taken, bucket);
                match pieces.last_mut() {
                    Some((last, piece)) if *last == worker && piece.end == start => piece.end = end,
                    _ if taken > 0 => pieces.push((worker, start..end)),
                    _ => {}
                }
                if end < range.end {
                    all = false;
                    break;
                }
            }
            if all {
                (self.next, self.gone) = (self.next + 1, 0);
            }
        }
        if buckets.is_empty() {
            return Ok(None);
        }
        self.batch(&pieces, &buckets).map(Some)
    }

    fn batch(&mut self, pieces: &[(usize, Range<u32>)], buckets: &[i64]) -> Result<RecordBatch> {
        let mut parts: Vec<Vec<ArrayRef>> = Vec::with_capacity(pieces.len());
        let mut at = 0;
        for (worker, groups) in pieces {
            let end = at + groups.len();
            parts.push(self.workers[*worker].columns(groups.clone(), &buckets[at..end])?);
            at = end;
        }
        let columns = match &mut parts[..] {
            [only] => std::mem::take(only),
            parts => (0..self.schema.fields().len())
                .map(|column| {
                    let arrays: Vec<&dyn arrow::array::Array> =
                        parts.iter().map(|part| part[column].as_ref()).collect();
                    Ok(concat(&arrays)?)
                })
                .collect::<Result<Vec<_>>>()?,
        };
        let options = RecordBatchOptions::new().with_row_count(Some(buckets.len()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}
