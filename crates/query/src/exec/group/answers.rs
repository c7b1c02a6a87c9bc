//! From the groups of all threads to rows: [`Answers`].

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::concat;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryReservation;

use super::worker::Worker;

/// The rows of an aggregation, by rising bucket, within one in the order in which keys appeared, or in that asked for.
pub struct Answers {
    workers: Vec<Worker>,
    /// Bucket, worker and section, in the order of the rows.
    order: Vec<(i64, usize, usize)>,
    /// Where the next row is: a place in `order`, and how many groups of that section have gone.
    next: usize,
    gone: usize,
    /// The groups of that section, where an order is asked for and the section is begun.
    sorted: Option<Vec<u32>>,
    /// What is noted of that.
    _memory: Option<MemoryReservation>,
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
        let memory = workers.first().map(|worker| worker.memory().new_empty());
        if let Some(memory) = &memory {
            memory.try_grow(workers.iter().map(Worker::sorting_bytes).max().unwrap_or(0))?;
        }
        Ok(Answers { workers, order, next: 0, gone: 0, sorted: None, _memory: memory, schema })
    }

    /// Returns up to so many further rows; None at the end.
    pub fn next(&mut self, most: usize) -> Result<Option<RecordBatch>> {
        let mut pieces: Vec<(usize, Vec<u32>)> = Vec::new();
        let mut buckets: Vec<i64> = Vec::new();
        while buckets.len() < most {
            let Some((bucket, worker, section)) = self.order.get(self.next).copied() else { break };
            let wanted = most - buckets.len();
            if self.gone == 0 {
                self.sorted = self.workers[worker].sorted(section);
            }
            if pieces.last().is_none_or(|(last, _)| *last != worker) {
                pieces.push((worker, Vec::new()));
            }
            let Some((_, piece)) = pieces.last_mut() else { break };
            let before = piece.len();
            match &self.sorted {
                Some(sorted) => piece.extend(sorted.iter().skip(self.gone).take(wanted)),
                None => {
                    let groups = self.workers[worker].sections()[section].ranges().flatten();
                    piece.extend(groups.skip(self.gone).take(wanted));
                }
            }
            let taken = piece.len() - before;
            buckets.resize(buckets.len() + taken, bucket);
            self.gone += taken;
            if taken < wanted {
                (self.next, self.gone, self.sorted) = (self.next + 1, 0, None);
            }
        }
        if buckets.is_empty() {
            return Ok(None);
        }
        self.batch(&pieces, &buckets).map(Some)
    }

    fn batch(&mut self, pieces: &[(usize, Vec<u32>)], buckets: &[i64]) -> Result<RecordBatch> {
        let mut parts: Vec<Vec<ArrayRef>> = Vec::with_capacity(pieces.len());
        let mut at = 0;
        for (worker, groups) in pieces {
            let end = at + groups.len();
            parts.push(self.workers[*worker].columns(groups, &buckets[at..end])?);
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
