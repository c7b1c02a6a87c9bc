//! What the rows that no segment holds yet take of the server's memory.
//!
//! A commit adds what its rows need at most; a step of the background thread puts the sum right. Commits are never refused
//! for memory: memtables are bounded by their flushes, and readers and requests give way to them.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};

use super::Database;
use crate::Result;
use crate::catalog::DbState;

impl Database {
    /// Counts the rows of a commit.
    pub(super) fn charge(&self, bytes: usize) {
        self.memtables.lock().unwrap_or_else(PoisonError::into_inner).grow(bytes);
    }

    /// Counts all rows that no segment holds yet.
    pub fn step_memory(&self) -> Result<()> {
        let view = self.view();
        let bytes: u64 = view.state().tables_with_files().map(|table| table.memtable.bytes()).sum();
        let bytes = usize::try_from(bytes + self.bytes_of_cuts(view.state())).unwrap_or(usize::MAX);
        self.memtables.lock().unwrap_or_else(PoisonError::into_inner).set(bytes);
        Ok(())
    }

    /// Rows that only snapshots which have not settled hold in memory.
    fn bytes_of_cuts(&self, newest: &DbState) -> u64 {
        let cuts = self.cuts.lock().expect("no holder of this lock panics");
        let states: Vec<Arc<DbState>> = cuts.values().map(|cut| cut.state.clone()).collect();
        drop(cuts);
        let mut counted = HashSet::new();
        let mut bytes = 0;
        for table in states.iter().flat_map(|state| state.tables_with_files()).filter(|table| table.memtable.rows() > 0)
        {
            let newest = newest.table_with_files(table.id).map_or(&[][..], |newest| newest.memtable.parts());
            for part in table.memtable.parts().iter().filter(|part| !newest.iter().any(|n| Arc::ptr_eq(n, part))) {
                if counted.insert(Arc::as_ptr(part)) {
                    bytes += part.chunk().bytes as u64;
                }
            }
        }
        bytes
    }

    /// Returns whether the server has filled its memory.
    pub(super) fn is_memory_full(&self) -> bool {
        self.options.memory.used_bytes() >= self.options.memory.limit_bytes()
    }
}
