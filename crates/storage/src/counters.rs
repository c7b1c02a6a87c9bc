//! What a database has done since it was opened, and what it holds now: [`Status`], for whoever watches the server.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::database::Database;
use crate::env::fs::FsCounts;
use crate::snapshot::SnapshotInfo;

/// Counts that only grow.
#[derive(Debug, Default)]
pub struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) committed_rows: AtomicU64,
    pub(crate) flushes: AtomicU64,
    pub(crate) written_rows: AtomicU64,
    pub(crate) written_segments: AtomicU64,
    pub(crate) written_segment_bytes: AtomicU64,
    pub(crate) bases: AtomicU64,
    pub(crate) removed_files: AtomicU64,
}

/// Adds to a count.
pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

/// How a database fares.
#[derive(Debug, Clone, Default)]
pub struct Status {
    pub commits: u64,
    /// Rows that clients sent.
    pub committed_rows: u64,
    pub flushes: u64,
    /// Rows written to segments, by flushes, rewrites and merges.
    pub written_rows: u64,
    pub written_segments: u64,
    pub written_segment_bytes: u64,
    pub bases: u64,
    pub removed_files: u64,
    pub log_bytes: u64,
    /// Bytes of the log that are only in the page cache.
    pub log_unsynced_bytes: u64,
    pub log_files: u64,
    pub files: FsCounts,
    pub tables: u64,
    pub segments: u64,
    pub segment_bytes: u64,
    pub memtable_rows: u64,
    pub memtable_bytes: u64,
    pub snapshots: Vec<SnapshotInfo>,
    /// Bytes that would come back if all of them were completed.
    pub pinned_bytes: u64,
    /// What an operator should know of snapshots and the disk.
    pub warnings: Vec<String>,
    /// Bytes on disk that only past moments need.
    pub restore_window_bytes: u64,
}

impl Database {
    /// Returns how the database fares. Reads no file.
    pub fn status(&self) -> Status {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let view = self.view();
        let progress = self.log.progress();
        let mut status = Status {
            commits: read(&self.counters.commits),
            committed_rows: read(&self.counters.committed_rows),
            flushes: read(&self.counters.flushes),
            written_rows: read(&self.counters.written_rows),
            written_segments: read(&self.counters.written_segments),
            written_segment_bytes: read(&self.counters.written_segment_bytes),
            bases: read(&self.counters.bases),
            removed_files: read(&self.counters.removed_files),
            log_bytes: progress.written_bytes,
            log_unsynced_bytes: progress.unsynced_bytes,
            log_files: self.log.chain_len() as u64,
            files: self.disk.env.fs.counts(),
            tables: view.state().tables.len() as u64,
            snapshots: self.snapshots(),
            pinned_bytes: self.pinned_bytes(),
            warnings: self.guard_warnings(),
            restore_window_bytes: self.restore_window_bytes(),
            ..Status::default()
        };
        for table in view.state().tables.iter() {
            status.memtable_rows += table.memtable.rows();
            status.memtable_bytes += table.memtable.bytes();
            for segment in table.segments.values().flatten() {
                status.segments += 1;
                status.segment_bytes += segment.meta().len_bytes;
            }
        }
        status
    }
}
