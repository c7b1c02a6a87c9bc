//! One limit for the memory that a server fills with other people's data: [`Budget`], and what one owner takes of it,
//! [`Share`].
//!
//! Three kinds of owners draw on it ([`Purpose`]): running statements, rows that no segment holds yet, and what the
//! protocols read or keep for their clients. It counts; it allocates nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What memory is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Rows that running statements hold.
    Queries,
    /// Rows in the log that are in no segment yet.
    Memtables,
    /// Bodies of requests, transactions under way.
    Buffers,
}

/// The limit, shared by all clones.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    limit_bytes: usize,
    all: AtomicUsize,
    by_purpose: [AtomicUsize; 3],
    /// The most that was taken for queries since somebody asked.
    queries_peak: AtomicUsize,
}

/// There is not enough left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{asked_bytes} bytes were asked for, {left_bytes} are left")]
pub struct Full {
    pub asked_bytes: usize,
    pub left_bytes: usize,
}

impl Budget {
    /// Returns a budget of so many bytes.
    pub fn new(limit_bytes: usize) -> Budget {
        Budget(Arc::new(Counters {
            limit_bytes,
            all: AtomicUsize::new(0),
            by_purpose: Default::default(),
            queries_peak: AtomicUsize::new(0),
        }))
    }

    /// Returns a budget that never refuses.
    pub fn unlimited() -> Budget {
        Budget::new(usize::MAX)
    }

    /// Returns the limit in bytes.
    pub fn limit_bytes(&self) -> usize {
        self.0.limit_bytes
    }

    /// Returns the bytes that are taken, for whatever purpose.
    pub fn used_bytes(&self) -> usize {
        self.0.all.load(Ordering::Relaxed)
    }

    /// Returns the bytes that are taken for one purpose.
    pub fn used_for(&self, purpose: Purpose) -> usize {
        self.0.by_purpose[purpose as usize].load(Ordering::Relaxed)
    }

    /// Takes bytes, or nothing and an error when fewer are left.
    pub fn try_take(&self, purpose: Purpose, bytes: usize) -> Result<(), Full> {
        let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.0.limit_bytes);
        match self.0.all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(_) => {
                self.count(purpose, bytes);
                Ok(())
            }
            Err(used) => Err(Full { asked_bytes: bytes, left_bytes: self.0.limit_bytes.saturating_sub(used) }),
        }
    }

    /// Takes bytes that are in use already, whatever is left.
    pub fn take(&self, purpose: Purpose, bytes: usize) {
        self.0.all.fetch_add(bytes, Ordering::Relaxed);
        self.count(purpose, bytes);
    }

    fn count(&self, purpose: Purpose, bytes: usize) {
        let before = self.0.by_purpose[purpose as usize].fetch_add(bytes, Ordering::Relaxed);
        if purpose == Purpose::Queries {
            self.0.queries_peak.fetch_max(before + bytes, Ordering::Relaxed);
        }
    }

    /// Returns the most bytes that queries held at a time since this was last asked.
    pub fn take_queries_peak(&self) -> usize {
        self.0.queries_peak.swap(self.used_for(Purpose::Queries), Ordering::Relaxed)
    }

    /// Gives bytes back that were taken for the same purpose.
    pub fn give_back(&self, purpose: Purpose, bytes: usize) {
        self.0.all.fetch_sub(bytes, Ordering::Relaxed);
        self.0.by_purpose[purpose as usize].fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Returns an owner's share of nothing yet.
    pub fn share(&self, purpose: Purpose) -> Share {
        Share { budget: self.clone(), purpose, bytes: 0 }
    }
}

/// What one owner holds of a [`Budget`]; given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    budget: Budget,
    purpose: Purpose,
    bytes: usize,
}

impl Share {
    /// Takes more, or nothing and an error when less is left.
    pub fn try_grow(&mut self, bytes: usize) -> Result<(), Full> {
        self.budget.try_take(self.purpose, bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Takes more that is in use already, whatever is left.
    pub fn grow(&mut self, bytes: usize) {
        self.budget.take(self.purpose, bytes);
        self.bytes += bytes;
    }

    /// Makes the share so many bytes, whatever is left.
    pub fn set(&mut self, bytes: usize) {
        match bytes.checked_sub(self.bytes) {
            Some(more) => self.budget.take(self.purpose, more),
            None => self.budget.give_back(self.purpose, self.bytes - bytes),
        }
        self.bytes = bytes;
    }

    /// Returns what is held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.give_back(self.purpose, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_of_all_purposes_meet_one_limit() {
        let budget = Budget::new(100);
        let (mut query, mut body) = (budget.share(Purpose::Queries), budget.share(Purpose::Buffers));
        query.try_grow(60).expect("60 of 100");
        assert_eq!(body.try_grow(41), Err(Full { asked_bytes: 41, left_bytes: 40 }));
        body.try_grow(40).expect("100 of 100");
        assert_eq!((budget.used_bytes(), budget.used_for(Purpose::Queries)), (100, 60));
        drop(query);
        assert_eq!((budget.used_bytes(), budget.used_for(Purpose::Buffers)), (40, 40));
        body.set(10);
        assert_eq!(budget.used_bytes(), 10);
    }

    #[test]
    fn what_queries_held_at_most_is_told_once() {
        let budget = Budget::new(100);
        budget.take(Purpose::Memtables, 70);
        budget.share(Purpose::Queries).try_grow(20).expect("90 of 100");
        budget.take(Purpose::Queries, 10);
        assert_eq!([budget.take_queries_peak(), budget.take_queries_peak()], [20, 10]);
        budget.give_back(Purpose::Queries, 10);
        assert_eq!([budget.take_queries_peak(), budget.take_queries_peak()], [10, 0]);
    }

    #[test]
    fn rows_that_are_there_already_count_beyond_the_limit() {
        let budget = Budget::new(100);
        let mut rows = budget.share(Purpose::Memtables);
        rows.grow(150);
        assert_eq!(budget.try_take(Purpose::Queries, 1), Err(Full { asked_bytes: 1, left_bytes: 0 }));
        rows.set(99);
        budget.try_take(Purpose::Queries, 1).expect("one is left");
    }
}
