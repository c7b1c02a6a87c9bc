//! Memory that the bytes of many clients share: [`Budget`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many bytes may be held by all together.
#[derive(Debug, Clone)]
pub struct Budget {
    used: Arc<AtomicUsize>,
    limit: usize,
}

impl Budget {
    /// Returns a budget of so many bytes.
    pub fn new(limit: usize) -> Budget {
        Budget { used: Arc::new(AtomicUsize::new(0)), limit }
    }

    /// Returns a share of nothing yet.
    pub fn share(&self) -> Share {
        Share { budget: self.clone(), bytes: 0 }
    }

    /// Returns how many bytes are held.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// What one client holds of a [`Budget`]; given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    budget: Budget,
    bytes: usize,
}

impl Share {
    /// Takes more bytes; returns false when all together hold more than they may.
    pub fn grow(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        self.budget.used.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.budget.limit
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
