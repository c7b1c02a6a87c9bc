//! One open database: [`Database`]. It opens a root, commits changes one after the other, and shows them to readers.
//!
//! A commit takes the head lock only to check, number and apply its records in memory; bytes reach the disk behind
//! it ([`crate::log::writer`]), and readers see the new state once the log is as durable as the commit mode asks.
//! Statements: [`append`], [`write`], [`ddl`]; background steps: [`crate::flush`], [`crate::gc`], [`crate::snapshot::open`].
//! It starts no thread: [`crate::engine`] does, and the simulator calls the steps itself.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwap;
use types::memory::{Budget, Share};
use types::{Seq, TimelineId, TimestampUs};

use crate::base::BaseHandle;
use crate::catalog::{DbState, Garbage};
use crate::changes::Changes;
use crate::compaction::Compaction;
use crate::counters::Counters;
use crate::gc::GcState;
use crate::layout::Disk;
use crate::log::writer::{LogWriter, Urgency};
use crate::log::{Frame, FrameKind, Place};
use crate::moment::scan::Scan;
use crate::read_view::ReadView;
use crate::record::{self, Record};
use crate::restore;
use crate::snapshot::guard::Guard;
use crate::snapshot::keep::{Cut, Leases};
use crate::timeline::History;
use crate::{Error, Result};

mod alter;
pub(crate) mod append;
pub(crate) mod ddl;
mod dropped;
mod memory;
mod open;
mod ready;
mod write;

pub use alter::ColumnChange;
pub(crate) use alter::add_rule;
pub use append::RowsByTable;
pub(crate) use append::{Resolver, payload_bytes};
pub use ddl::{NewColumn, NewTable};
pub use dropped::DroppedTable;
pub use open::{StartReport, StartStep};
pub use write::{Target, Write};

/// A crash of the machine loses at most about this much of what was acknowledged without a sync.
const MAX_UNSYNCED_BYTES: u64 = 16 << 20;

/// When a commit is acknowledged and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitMode {
    /// When it is durable.
    Sync,
    /// When it is in the page cache; a sync follows at once in the background.
    Async,
    /// When it is in the page cache: survives the death of the process, not of the machine.
    NoSync,
}

/// How a database is opened.
#[derive(Clone)]
pub struct Options {
    pub root: PathBuf,
    pub commit_mode: CommitMode,
    /// A table whose memtable holds more bytes is flushed.
    pub flush_bytes: u64,
    /// Bytes of log since the last base at which a new one is written.
    pub base_bytes: u64,
    /// Log files at which tables are flushed and a base is written.
    pub log_files_max: usize,
    /// What rows that no segment holds yet draw on, together with statements and requests.
    pub memory: Budget,
    /// Segments of about one size that compaction merges.
    pub compact_fan_in: usize,
    /// How long a dropped table may come back; 0: it is gone at once.
    pub drop_grace_us: i64,
    /// How long a snapshot stays open for copying when PREPARE does not say.
    pub snapshot_lease_us: Option<i64>,
    /// How long what a restore leaves behind stays, so that the restore can be undone.
    pub restore_grace_us: i64,
    /// What this server is called; a snapshot says under which name it was taken. Empty: nothing.
    pub instance_id: String,
    /// A start restores when `_restore` or a changed instance id asks for it.
    pub restores: bool,
    /// PREPARE makes the whole file systems durable, also when it does not say so.
    pub snapshot_syncfs: bool,
    /// Percent of the disk that snapshots may hold before it is worth a warning; 0: never.
    pub snapshot_warn_share: u64,
    /// Percent of the disk that is free below which snapshots whose leases have run out go; 0: never.
    pub snapshot_shed_free: u64,
    /// How far back every moment can be restored; `None`: not at all.
    pub log_retention_us: Option<i64>,
    /// What that may cost: when more is held, the oldest moments are given up.
    pub log_retention_bytes: Option<u64>,
    /// Faults planted to prove that the simulator finds them; `None` but in its tests.
    #[doc(hidden)]
    pub planted: Option<crate::planted::Planted>,
}

impl Options {
    /// Returns the defaults for a root.
    pub fn new(root: impl Into<PathBuf>) -> Options {
        Options {
            root: root.into(),
            commit_mode: CommitMode::Sync,
            flush_bytes: 64 << 20,
            base_bytes: 64 << 20,
            log_files_max: 256,
            memory: Budget::unlimited(),
            compact_fan_in: 4,
            drop_grace_us: 24 * 60 * 60 * 1_000_000,
            snapshot_lease_us: Some(24 * 60 * 60 * 1_000_000),
            restore_grace_us: 24 * 60 * 60 * 1_000_000,
            instance_id: String::new(),
            restores: true,
            snapshot_syncfs: false,
            snapshot_warn_share: 20,
            snapshot_shed_free: 5,
            log_retention_us: None,
            log_retention_bytes: None,
            planted: None,
        }
    }
}

/// The newest state, not all of it durable, and what waits to be shown.
pub(crate) struct Head {
    pub state: DbState,
    /// States that readers do not see yet, by their Seq.
    pending: VecDeque<Arc<DbState>>,
    /// What left the state, with the Seq of the frame that says so.
    pub garbage: VecDeque<(Seq, Garbage)>,
    /// The last frame only carried `durable_seq`: an idle database writes one of these, not many.
    marked: bool,
}

/// One open database.
pub struct Database {
    pub(crate) disk: Disk,
    pub(crate) options: Options,
    pub(crate) database_id: String,
    pub(crate) timeline: TimelineId,
    pub(crate) history: History,
    pub(crate) place: Place,
    pub(crate) log: LogWriter,
    pub(crate) head: Mutex<Head>,
    visible: ArcSwap<DbState>,
    pub(crate) base: Mutex<BaseProgress>,
    pub(crate) gc: Mutex<GcState>,
    /// Held through a merge: one at a time.
    pub(crate) compaction: Mutex<Compaction>,
    pub(crate) changes: Changes,
    /// One base at a time.
    pub(crate) basing: Mutex<()>,
    /// States at the cuts of live snapshots, by the ids of their pins; of a former run's only those that were asked for.
    pub(crate) cuts: Mutex<HashMap<String, Cut>>,
    pub(crate) leases: Mutex<Leases>,
    pub(crate) guard: Mutex<Guard>,
    /// What former runs left of the restorable window, while it is looked through; taken before the lock of gc.
    pub(crate) scan: Mutex<Option<Scan>>,
    /// Held while the files of a snapshot are found.
    pub(crate) pinning: Mutex<()>,
    /// Held while kept snapshots settle, to the end of what the try leaves in `snapshot/`.
    pub(crate) settling: Mutex<()>,
    /// Time of the last commit before this run.
    began_us: i64,
    /// When this run began, by the monotonic clock.
    pub(crate) began_monotonic_us: i64,
    graces: Mutex<dropped::Graces>,
    memtables: Mutex<Share>,
    /// Bytes that a commit needed beyond what was asked for.
    more_bytes: AtomicUsize,
    /// The log of the server says that the clock stands before the last commit.
    clock_is_behind: AtomicBool,
    /// Directories of tables whose names this run has made durable.
    pub(crate) durable_dirs: Mutex<HashSet<PathBuf>>,
    pub(crate) counters: Counters,
    /// Directories whose names could not be made durable and that hold files already.
    pub(crate) lost_dirs: Mutex<HashSet<PathBuf>>,
    report: StartReport,
    _lock: Box<dyn Send + Sync>,
}

/// A clock that stands so far before the last commit has been set back.
const CLOCK_BEHIND_US: i64 = 60 * 1_000_000;

/// The newest base, and how far the log has gone on since.
pub(crate) struct BaseProgress {
    pub handle: Option<Arc<BaseHandle>>,
    pub log_bytes: u64,
}

impl Database {
    /// Returns the database's id as log files hold it.
    pub(crate) fn database_number(&self) -> u128 {
        u128::from_str_radix(&self.database_id, 16).expect("the start has checked the id")
    }

    /// Returns the committed state: everything that was acknowledged, of all tables at one Seq. Never blocks a writer.
    pub fn view(&self) -> ReadView {
        ReadView::new(self.visible.load_full(), self.disk.clone())
    }

    /// Returns what the start found and did.
    pub fn start_report(&self) -> &StartReport {
        &self.report
    }

    /// Returns why writing has stopped, if it has; reads go on.
    pub fn write_failure(&self) -> Option<String> {
        self.log.failure()
    }

    /// Returns the root.
    pub fn layout_root(&self) -> PathBuf {
        self.disk.layout.root().to_owned()
    }

    /// Returns the timeline in force.
    pub fn timeline(&self) -> TimelineId {
        self.timeline
    }

    pub(crate) fn lock_head(&self) -> MutexGuard<'_, Head> {
        self.head.lock().expect("no holder of the head lock panics")
    }

    /// Commits records that do not depend on the state, if `check` finds them in order. Visible on return, and durable
    /// as the commit mode says.
    pub(crate) fn commit_records(
        &self,
        urgency: Urgency,
        records: Vec<Record>,
        check: impl FnOnce(&DbState) -> Result<()>,
    ) -> Result<Seq> {
        let bytes = record::encode(&records).len();
        self.commit(urgency, bytes, |state| check(state).map(|()| records))
    }

    /// Commits what `build` makes of the newest state, in about `max_bytes` of payload. `build` runs under the head lock,
    /// once; an error from it leaves no trace.
    pub(crate) fn commit(
        &self,
        urgency: Urgency,
        max_bytes: usize,
        build: impl FnOnce(&mut DbState) -> Result<Vec<Record>>,
    ) -> Result<Seq> {
        let max_bytes = max_bytes + self.more_bytes.load(Ordering::Relaxed);
        let mut head = self.head_with_room(urgency, max_bytes)?;
        let mut records = build(&mut head.state)?;
        let payload = record::take_payload(&mut records);
        let Some(placement) = self.log.place(payload.len(), urgency) else {
            // It also lists the symbols of commits that failed before it. The next try asks for as much room.
            self.more_bytes.fetch_max(payload.len().saturating_sub(max_bytes).max(1), Ordering::Relaxed);
            return Err(Error::Conflict("the commit is larger than the room made for it: try again".to_owned()));
        };
        let (seq, commit_us) = self.number(&head.state);
        self.apply(&mut head, records, seq, commit_us)?;
        let frame = Frame { kind: FrameKind::Commit, seq, commit_us, durable_seq: Seq::ZERO, payload };
        self.log.push(frame, placement, false);
        drop(head);
        self.acknowledge(seq)?;
        Ok(seq)
    }

    /// Takes the head lock when the log has room for a frame.
    pub(crate) fn head_with_room(&self, urgency: Urgency, payload_bytes: usize) -> Result<MutexGuard<'_, Head>> {
        if payload_bytes > crate::log::frame::MAX_PAYLOAD_BYTES {
            return Err(Error::Invalid(format!("a commit of {payload_bytes} bytes is too large: send it in parts")));
        }
        loop {
            if let Some(why) = self.log.failure() {
                return Err(Error::Unavailable(why));
            }
            let head = self.lock_head();
            if self.log.place(payload_bytes, urgency).is_some() {
                return Ok(head);
            }
            drop(head);
            self.log.add_spare(crate::log::frame::frame_bytes(payload_bytes) as u64)?;
        }
    }

    /// Returns the next Seq and its commit time, which never goes back. Warns where the clock has gone back far.
    pub(crate) fn number(&self, state: &DbState) -> (Seq, i64) {
        let (last_us, now_us) = (state.commit_us, self.disk.env.clock.now_us());
        let behind_us = last_us.saturating_sub(now_us);
        let is_behind = self.clock_is_behind.load(Ordering::Relaxed);
        if behind_us > CLOCK_BEHIND_US && !is_behind {
            self.clock_is_behind.store(true, Ordering::Relaxed);
            tracing::warn!(
                "the clock is {} behind the last commit: until it has passed {} all commits get that time, and a moment between \
                 them can be named by its Seq only",
                restore::duration(behind_us),
                TimestampUs(last_us)
            );
        } else if behind_us <= 0 && is_behind {
            self.clock_is_behind.store(false, Ordering::Relaxed);
        }
        (state.seq.next(), last_us.max(now_us))
    }

    /// Applies records to the head and queues the new state for readers.
    pub(crate) fn apply(&self, head: &mut Head, records: Vec<Record>, seq: Seq, commit_us: i64) -> Result<()> {
        let mut next = head.state.clone();
        let mut garbage = Vec::new();
        next.apply(&self.disk, records, seq, commit_us, &mut garbage)?;
        head.garbage.extend(garbage.into_iter().map(|g| (seq, g)));
        head.pending.push_back(Arc::new(next.clone()));
        head.state = next;
        head.marked = false;
        Ok(())
    }

    /// Waits until a commit may be acknowledged and shows it.
    pub(crate) fn acknowledge(&self, seq: Seq) -> Result<()> {
        match self.options.commit_mode {
            CommitMode::Sync => self.log.wait_durable(seq)?,
            CommitMode::Async | CommitMode::NoSync => self.log.wait_written(seq)?,
        }
        self.publish();
        Ok(())
    }

    /// Waits until readers see what was committed before.
    pub(crate) fn show_newest(&self) -> Result<()> {
        let newest = self.lock_head().state.seq;
        if self.view().seq() < newest { self.acknowledge(newest) } else { Ok(()) }
    }

    /// Shows readers every state that the log has caught up with.
    pub(crate) fn publish(&self) {
        let mut head = self.lock_head();
        let progress = self.log.progress();
        let shown = match self.options.commit_mode {
            CommitMode::Sync => progress.durable_seq,
            CommitMode::Async | CommitMode::NoSync => progress.written_seq,
        };
        let mut newest = None;
        while head.pending.front().is_some_and(|state| state.seq <= shown) {
            newest = head.pending.pop_front();
        }
        if let Some(state) = newest {
            self.visible.store(state);
        }
    }

    /// Writes one more frame after a quiet moment, so that the frames before it are known to be durable. Durable when
    /// this returns.
    pub fn step_mark(&self) -> Result<()> {
        let mut head = self.head_with_room(Urgency::Urgent, 0)?;
        if head.marked || head.state.seq == Seq::ZERO {
            drop(head);
            return self.log.wait_durable(self.log.progress().queued_seq);
        }
        // The mark can only say what was synced before it.
        let before = head.state.seq;
        drop(head);
        self.log.wait_durable(before)?;
        head = self.head_with_room(Urgency::Urgent, 0)?;
        let placement = self.log.place(0, Urgency::Urgent).expect("there was room");
        let (seq, commit_us) = self.number(&head.state);
        self.apply(&mut head, Vec::new(), seq, commit_us)?;
        head.marked = true;
        let frame = Frame { kind: FrameKind::Mark, seq, commit_us, durable_seq: Seq::ZERO, payload: Vec::new() };
        self.log.push(frame, placement, false);
        drop(head);
        self.log.wait_durable(seq)?;
        self.publish();
        Ok(())
    }

    /// Syncs the log when acknowledged commits are only in the page cache: all of them, or without a promise more than a
    /// few megabytes.
    pub fn step_sync(&self) -> Result<()> {
        let progress = self.log.progress();
        let allowed_bytes = if self.options.commit_mode == CommitMode::NoSync { MAX_UNSYNCED_BYTES } else { 0 };
        if progress.unsynced_bytes < allowed_bytes || progress.durable_seq >= progress.written_seq {
            return Ok(());
        }
        self.log.wait_durable(progress.written_seq)
    }

    /// Makes a spare log file if there is none, so that no commit has to wait for one.
    pub fn step_spare(&self) -> Result<()> {
        if self.log.has_spare() { Ok(()) } else { self.log.add_spare(0) }
    }

    /// Ends a run cleanly: everything is durable, and known to be. Nothing else may be called afterwards.
    pub fn close(&self) -> Result<()> {
        self.step_mark()
    }
}
