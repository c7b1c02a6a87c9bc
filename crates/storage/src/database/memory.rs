//! What the rows that no segment holds yet take of the server's memory.
//!
//! A commit adds what its rows need at most; a step of the background thread puts the sum right. Commits are never refused
//! for memory: memtables are bounded by their flushes, and readers and requests give way to them.

use std::sync::PoisonError;

use super::Database;
use crate::Result;

impl Database {
    /// Counts the rows of a commit.
    pub(super) fn charge(&self, bytes: usize) {
        self.memtables.lock().unwrap_or_else(PoisonError::into_inner).grow(bytes);
    }

    /// Counts all rows that no segment holds yet.
    pub fn step_memory(&self) -> Result<()> {
        let view = self.view();
        let bytes: u64 = view.state().tables.iter().map(|table| table.memtable.bytes()).sum();
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.memtables.lock().unwrap_or_else(PoisonError::into_inner).set(bytes);
        Ok(())
    }

    /// Returns whether the server has filled its memory.
    pub(super) fn is_memory_full(&self) -> bool {
        self.options.memory.used_bytes() >= self.options.memory.limit_bytes()
    }
}
