//! Threads of one statement each on a processor of its own: [`Apart`].
//!
//! Linux wakes threads where they ran last, and beside other processes two of a statement may share one processor to its end while another
//! one idles. So each looks, as it begins a part, where the others are, and one that shares moves away. Nobody is bound to a
//! processor: the system moves threads as it likes.

use std::sync::atomic::{AtomicUsize, Ordering};

use storage::env::processor;

/// Where a thread is that has not begun yet, and one that has ended; others: the processor's number and [`FIRST`].
const WAITS: usize = 0;
const ENDED: usize = 1;
const FIRST: usize = 2;

/// Where the threads of a statement are, as each of them last said.
pub struct Apart(Vec<AtomicUsize>);

/// One of the threads.
pub struct Place<'a> {
    all: &'a Apart,
    number: usize,
    parts: usize,
}

impl Apart {
    /// Returns the places of so many threads, none of which has begun.
    pub fn new(threads: usize) -> Apart {
        Apart((0..threads).map(|_| AtomicUsize::new(WAITS)).collect())
    }

    /// Returns the place of the thread of that number, which calls this itself.
    pub fn place(&self, number: usize) -> Place<'_> {
        Place { all: self, number, parts: 0 }
    }
}

impl Place<'_> {
    /// Call it as a part of the work begins: moves the thread to another processor if one of the others is on the same. One that waits
    /// when this one is at its second part may be waiting for this processor.
    pub fn part(&mut self) {
        if self.all.0.len() < 2 {
            return;
        }
        let Some(here) = processor::current() else { return };
        self.parts += 1;
        let shares = |other: &AtomicUsize| match other.load(Ordering::Relaxed) {
            WAITS => self.parts == 2,
            ENDED => false,
            place => place == here + FIRST,
        };
        let mut others = self.all.0.iter().enumerate().filter(|(number, _)| *number != self.number);
        let is_shared = others.any(|(_, other)| shares(other));
        if is_shared {
            processor::leave(here);
        }
        let here = if is_shared { processor::current().unwrap_or(here) } else { here };
        self.all.0[self.number].store(here + FIRST, Ordering::Relaxed);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.all.0[self.number].store(ENDED, Ordering::Relaxed);
    }
}
