//! How the server fares, for probes and for Prometheus: [`Watch`].

use std::path::PathBuf;
use std::sync::Arc;

use storage::engine::Troubles;
use storage::{Database, Env};
use types::memory::Budget;

use crate::live::Places;
use crate::metrics::Metrics;

/// Less free space than this, and than a hundredth of the disk, is worth a word before it is none.
const LOW_BYTES: u64 = 64 << 20;

/// What a probe looks at.
pub struct Watch {
    pub database: Arc<Database>,
    pub troubles: Troubles,
    pub metrics: Metrics,
    /// Whether `/metrics` is answered.
    pub shows_metrics: bool,
    pub http: Places,
    pub pg: Places,
    pub ilp_tcp: Places,
    pub memory: Budget,
    pub root: PathBuf,
    pub env: Env,
}

impl Watch {
    /// Returns why the server is not healthy, a line a reason; nothing when it is.
    pub fn reasons(&self) -> Vec<String> {
        let mut reasons: Vec<String> = self.database.write_failure().into_iter().collect();
        reasons.extend(self.troubles.list().into_iter().map(|(step, why)| format!("background {step} fails: {why}")));
        if let Some(space) = self.space().filter(|space| space.free_bytes < LOW_BYTES.min(space.total_bytes / 100)) {
            let free_bytes = space.free_bytes;
            reasons.push(format!("disk nearly full: {free_bytes} bytes are free below {}", self.root.display()));
        }
        reasons
    }

    /// Returns all metrics in the text format of Prometheus, or nothing where they are switched off.
    pub fn metrics_text(&self) -> Option<String> {
        if !self.shows_metrics {
            return None;
        }
        self.ask_storage();
        self.ask_machine();
        Some(self.metrics.render())
    }

    fn ask_storage(&self) {
        let status = self.database.status();
        let total = |name, what, value| self.metrics.total(name, what, value);
        total("questdb_commits_total", "Commits of rows.", status.commits);
        total("questdb_committed_rows_total", "Rows committed.", status.committed_rows);
        total("questdb_physically_written_rows_total", "Rows written to partitions.", status.written_rows);
        total("stillpoint_flushes_total", "Times that a table's rows were written to partitions.", status.flushes);
        total("stillpoint_segments_written_total", "Segments written.", status.written_segments);
        total("stillpoint_segment_bytes_written_total", "Bytes of segments written.", status.written_segment_bytes);
        total("stillpoint_bases_total", "Starting points for recovery written.", status.bases);
        total("stillpoint_files_removed_total", "Files removed because nothing needs them.", status.removed_files);
        total("stillpoint_log_bytes_total", "Bytes written to the log.", status.log_bytes);
        total("stillpoint_file_syncs_total", "Syncs of files and directories.", status.files.syncs);
        total("stillpoint_file_bytes_written_total", "Bytes handed to write calls.", status.files.written_bytes);
        let gauge = |name, what, value: u64| self.metrics.gauge(name, what, value as f64);
        gauge("stillpoint_log_files", "Log files that a recovery would read.", status.log_files);
        gauge("stillpoint_log_unsynced_bytes", "Bytes of the log in the page cache alone.", status.log_unsynced_bytes);
        gauge("stillpoint_tables", "Tables.", status.tables);
        gauge("stillpoint_segments", "Segments.", status.segments);
        gauge("stillpoint_segment_bytes", "Bytes of segments.", status.segment_bytes);
        gauge("stillpoint_memtable_rows", "Rows that are in the log and in memory only.", status.memtable_rows);
        gauge("stillpoint_memtable_bytes", "Memory of those rows.", status.memtable_bytes);
        gauge("stillpoint_snapshots", "Snapshots that are not completed.", status.snapshots.len() as u64);
        let oldest = status.snapshots.iter().map(|s| s.created_us).min();
        let age_us = oldest.map_or(0, |created_us| (self.env.clock.now_us() - created_us).max(0));
        gauge("stillpoint_snapshot_age_seconds", "Age of the oldest of them.", age_us as u64 / 1_000_000);
        let held = status.snapshots.iter().map(|s| s.held_bytes).max().unwrap_or(0);
        gauge("stillpoint_snapshot_held_bytes", "Most bytes that one of them keeps.", held);
        gauge("stillpoint_snapshot_pinned_bytes", "Bytes that all of them keep.", status.pinned_bytes);
        gauge("stillpoint_snapshot_warnings", "Warnings that snapshots fill the disk.", status.warnings.len() as u64);
        gauge("stillpoint_restore_window_bytes", "Bytes that only log.retention keeps.", status.restore_window_bytes);
    }

    fn ask_machine(&self) {
        let gauge = |name, what, value: u64| self.metrics.gauge(name, what, value as f64);
        gauge("questdb_http_connections", "Open connections of HTTP.", self.http.taken() as u64);
        gauge("questdb_pg_wire_connections", "Open connections of PostgreSQL's protocol.", self.pg.taken() as u64);
        gauge("questdb_line_tcp_connections", "Open connections of lines over TCP.", self.ilp_tcp.taken() as u64);
        gauge(
            "stillpoint_memory_used_bytes",
            "Bytes of memory.limit that are in use.",
            self.memory.used_bytes() as u64,
        );
        gauge("stillpoint_memory_limit_bytes", "memory.limit.", self.memory.limit_bytes() as u64);
        if let Some(space) = self.space() {
            gauge("stillpoint_disk_free_bytes", "Free bytes on the disk of the root.", space.free_bytes);
            gauge("stillpoint_disk_bytes", "Size of the disk of the root.", space.total_bytes);
        }
        if let Some(bytes) = self.resident_bytes() {
            gauge("questdb_memory_rss", "Resident memory.", bytes);
        }
        let failing = self.troubles.list().len() as u64;
        gauge("stillpoint_background_steps_failing", "Background steps whose last try failed.", failing);
        gauge("stillpoint_healthy", "1 while a probe is answered well.", u64::from(self.reasons().is_empty()));
    }

    fn space(&self) -> Option<storage::env::fs::Space> {
        self.env.fs.space(&self.root).ok()
    }

    /// The kernel says it in kilobytes.
    fn resident_bytes(&self) -> Option<u64> {
        let bytes = self.env.fs.read(std::path::Path::new("/proc/self/status")).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    }
}
