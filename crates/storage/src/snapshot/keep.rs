//! What becomes of a snapshot after its cut: KEEP and RENEW, the end of a lease, and what it costs.
//!
//! A lease runs by the monotonic clock. What is left of it is written down now and then, so a restart gives it at most
//! [`LEASE_NOTE_US`] more. At its end a snapshot that is open stops being open: gc goes on, and the snapshot holds the files
//! that it names, until it is completed, taken anew or renewed. One that is kept is released.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use types::Seq;

use crate::catalog::DbState;
use crate::database::Database;
use crate::gc::pins::Held;
use crate::log::writer::Urgency;
use crate::planted::Planted;
use crate::read_view::ReadView;
use crate::record::Record;
use crate::snapshot::{FileRef, Snapshot, Standing, content};
use crate::{Error, Result};

/// How often what is left of a lease is written down.
const LEASE_NOTE_US: i64 = 10 * 60 * 1_000_000;

/// What `snapshots()` says of a snapshot's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotState {
    /// It may be copied: nothing below the root is removed.
    Open,
    /// Its lease has run out: it holds the files that it names, until it is completed or taken anew.
    Expired,
    /// Its copying was ended early, because the disk was nearly full: it holds the files that it names.
    Ended,
    /// It holds the files that it names, log files among them.
    Kept,
    /// It is kept and has a base of its own: it holds segments, symbol files and lists of these.
    Settled,
}

impl SnapshotState {
    /// Returns the state in a word.
    pub fn name(self) -> &'static str {
        match self {
            SnapshotState::Open => "open",
            SnapshotState::Expired => "expired",
            SnapshotState::Ended => "ended",
            SnapshotState::Kept => "kept",
            SnapshotState::Settled => "settled",
        }
    }
}

/// A snapshot, as `snapshots()` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotInfo {
    pub name: String,
    pub state: SnapshotState,
    pub seq: Seq,
    pub created_us: i64,
    /// When its lease ends, by the wall clock as it is now; `None`: it has no end.
    pub lease_end_us: Option<i64>,
    pub tables: u64,
    /// Bytes of files that snapshots keep from being removed: of an open one all such files, of another those it names.
    pub held_bytes: u64,
    pub owner: String,
    /// Directories outside the root's file system that a copy must hold too, as they were at the cut.
    pub places: Vec<String>,
}

/// The state at a cut, in memory.
pub(crate) struct Cut {
    pub state: Arc<DbState>,
    /// It was read from the snapshot's files, and shares no segment with the states of this run.
    pub loaded: bool,
    /// When it was last asked for, by the monotonic clock.
    pub used_us: i64,
}

impl Cut {
    /// Returns whether nobody reads it any more. The segments of a state of this run are watched over as garbage.
    pub fn is_unread(&self) -> bool {
        let unread = Arc::strong_count(&self.state) == 1;
        let tables = || self.state.tables_with_files();
        let segments = || tables().flat_map(|t| t.segments.values().flatten());
        unread
            && (!self.loaded
                || tables().all(|t| Arc::strong_count(t) == 1) && segments().all(|s| Arc::strong_count(s) == 1))
    }
}

/// A lease that runs.
struct Running {
    /// By the monotonic clock; `None`: without end.
    ends_us: Option<i64>,
    granted_us: i64,
    noted_us: i64,
    warned: bool,
    /// What its end asks for is done.
    ended: bool,
}

/// The leases of the live snapshots.
#[derive(Default)]
pub(crate) struct Leases {
    /// By the ids of the snapshots' pins.
    running: HashMap<String, Running>,
    /// Nothing is due before this time; `None`: nobody has looked.
    quiet_until_us: Option<i64>,
}

impl Leases {
    /// Returns the leases of a recovered state; time goes on from now.
    pub fn of(state: &DbState, now_us: i64) -> Leases {
        let mut leases = Leases::default();
        state.snapshots.values().for_each(|s| leases.grant(&s.pin.id, s.standing().lease_us, now_us));
        leases
    }

    /// Lets a lease begin.
    pub fn grant(&mut self, id: &str, lease_us: Option<i64>, now_us: i64) {
        let ends_us = lease_us.map(|lease_us| now_us.saturating_add(lease_us));
        let granted_us = lease_us.unwrap_or(0);
        let running = Running { ends_us, granted_us, noted_us: now_us, warned: false, ended: false };
        self.running.insert(id.to_owned(), running);
        self.quiet_until_us = None;
    }

    /// Forgets the lease of a snapshot that is released.
    pub fn forget(&mut self, id: &str) {
        self.running.remove(id);
    }

    pub(crate) fn ends_us(&self, id: &str) -> Option<i64> {
        self.running.get(id).and_then(|running| running.ends_us)
    }
}

/// What time asks to be done with a snapshot.
enum Due {
    Note(i64),
    Warn(i64),
    End,
}

impl Running {
    /// Returns the first time at which something is due.
    fn next_us(&self) -> i64 {
        let Some(ends_us) = self.ends_us.filter(|_| !self.ended) else { return i64::MAX };
        let warns_us = if self.warned { i64::MAX } else { ends_us - self.granted_us / 10 };
        ends_us.min(warns_us).min(self.noted_us.saturating_add(LEASE_NOTE_US))
    }

    fn due(&self, now_us: i64) -> Option<Due> {
        let left_us = self.ends_us.filter(|_| !self.ended)?.saturating_sub(now_us);
        if left_us <= 0 {
            return Some(Due::End);
        }
        if now_us - self.noted_us >= LEASE_NOTE_US {
            return Some(Due::Note(left_us));
        }
        (!self.warned && left_us <= self.granted_us / 10).then_some(Due::Warn(left_us))
    }
}

impl Database {
    /// Keeps a snapshot: copying it ends, and it holds the files that it names, for so long or until it is completed.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none of that name.
    pub fn keep_snapshot(&self, name: &str, for_us: Option<i64>) -> Result<()> {
        self.stand(name, |_| Standing { kept: true, lease_us: for_us, ended: false })
    }

    /// Gives a snapshot another lease from now on. One whose copying had ended is open again.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none of that name.
    pub fn renew_snapshot(&self, name: &str, lease_us: Option<i64>) -> Result<()> {
        self.stand(name, |standing| Standing { lease_us, ended: false, ..standing })
    }

    fn stand(&self, name: &str, change: impl FnOnce(Standing) -> Standing) -> Result<()> {
        let mut leases = self.leases.lock().expect("no holder of this lock panics");
        let snapshot = self.lock_head().state.snapshots.get(name).cloned();
        let snapshot = snapshot.ok_or_else(|| Error::NotFound(format!("there is no snapshot named {name}")))?;
        let standing = change(snapshot.standing());
        self.commit_standing(&snapshot, standing)?;
        leases.grant(&snapshot.pin.id, standing.lease_us, self.disk.env.clock.monotonic_us());
        Ok(())
    }

    pub(crate) fn commit_standing(&self, snapshot: &Snapshot, standing: Standing) -> Result<()> {
        let id = snapshot.pin.id.clone();
        let record = Record::Stand { id: id.clone(), standing };
        let seq = self.commit_records(Urgency::Urgent, vec![record], |state| {
            let is_live = state.snapshots.get(&snapshot.pin.name).is_some_and(|s| s.pin.id == id);
            let gone = || Error::NotFound(format!("there is no snapshot named {} any more", snapshot.pin.name));
            is_live.then_some(()).ok_or_else(gone)
        })?;
        if self.disk.has(Planted::StandingNotDurable) { Ok(()) } else { self.log.wait_durable(seq) }
    }

    /// Returns how long a snapshot is open when PREPARE does not say.
    pub fn usual_lease_us(&self) -> Option<i64> {
        self.options.snapshot_lease_us
    }

    /// Returns whether PREPARE makes whole file systems durable when it does not say so.
    pub fn syncs_usually(&self) -> bool {
        self.options.snapshot_syncfs
    }

    /// Notes what is left of leases, warns of those that end soon, and does what their end asks for.
    pub fn step_leases(&self) -> Result<()> {
        let now_us = self.disk.env.clock.monotonic_us();
        let quiet_until_us = self.leases.lock().expect("no holder of this lock panics").quiet_until_us;
        if quiet_until_us.is_some_and(|until_us| now_us < until_us) && !self.disk.has(Planted::LeaseByWallClock) {
            return Ok(());
        }
        let snapshots = self.lock_head().state.snapshots.clone();
        for snapshot in snapshots.values() {
            self.step_lease(snapshot)?;
        }
        let mut leases = self.leases.lock().expect("no holder of this lock panics");
        leases.quiet_until_us = Some(leases.running.values().map(Running::next_us).min().unwrap_or(i64::MAX));
        Ok(())
    }

    fn step_lease(&self, snapshot: &Snapshot) -> Result<()> {
        let mut leases = self.leases.lock().expect("no holder of this lock panics");
        let clock = &self.disk.env.clock;
        let by_wall = self.disk.has(Planted::LeaseByWallClock);
        let now_us = if by_wall { clock.now_us() } else { clock.monotonic_us() };
        let Some(running) = leases.running.get_mut(&snapshot.pin.id) else { return Ok(()) };
        let standing = snapshot.standing();
        let kept = standing.kept;
        let name = &snapshot.pin.name;
        let outcome = match running.due(now_us) {
            None => return Ok(()),
            Some(Due::Warn(left_us)) => {
                let minutes = left_us / 60_000_000;
                tracing::warn!("the lease of snapshot {name} ends in {minutes} minutes: SNAPSHOT RENEW gives it more");
                running.warned = true;
                return Ok(());
            }
            Some(Due::Note(left_us)) => {
                running.noted_us = now_us;
                self.commit_standing(snapshot, Standing { lease_us: Some(left_us), ..standing })
            }
            Some(Due::End) if kept => {
                drop(leases);
                tracing::info!("snapshot {name} was kept for as long as it was asked to be: it is released");
                return self.release(&snapshot.pin);
            }
            Some(Due::End) if snapshot.is_expired() => {
                running.ended = true;
                return Ok(());
            }
            Some(Due::End) => {
                tracing::warn!(
                    "the lease of snapshot {name} has run out: files that it does not name go from now on; complete it, \
                     or SNAPSHOT RENEW it"
                );
                self.commit_standing(snapshot, Standing { lease_us: Some(0), ..standing })
            }
        };
        match outcome {
            // It was completed meanwhile.
            Err(Error::NotFound(_)) => Ok(()),
            other => other,
        }
    }

    /// Returns all tables as they were at the cut of a snapshot, which later writes do not change.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none of that name, and what is wrong with its files.
    pub fn view_at(&self, name: &str) -> Result<ReadView> {
        let snapshot = self.view().state().snapshots.get(name).cloned();
        let snapshot = snapshot.ok_or_else(|| Error::NotFound(format!("there is no snapshot named {name}")))?;
        let mut state = self.state_at(&snapshot)?;
        if state.is_none() {
            // It has settled in between, or is released.
            let newest = self.lock_head().state.snapshots.get(name).filter(|s| s.pin.id == snapshot.pin.id).cloned();
            state = newest.map(|newest| self.state_at(&newest)).transpose()?.flatten();
        }
        let state = state.ok_or_else(|| Error::NotFound(format!("there is no snapshot named {name} any more")))?;
        Ok(ReadView::new(state, self.disk.clone()))
    }

    /// Returns the state at the cut, read from the snapshot's files where it is not in memory; None when the snapshot was
    /// released or has settled meanwhile.
    pub(crate) fn state_at(&self, snapshot: &Snapshot) -> Result<Option<Arc<DbState>>> {
        let id = &snapshot.pin.id;
        let now_us = self.disk.env.clock.monotonic_us();
        let in_memory = || {
            let mut cuts = self.cuts.lock().expect("no holder of this lock panics");
            let cut = cuts.get_mut(id)?;
            cut.used_us = now_us;
            Some(cut.state.clone())
        };
        if let Some(state) = in_memory() {
            return Ok(Some(state));
        }
        self.pin_files_of(snapshot)?;
        let _one = self.pinning.lock().expect("no holder of this lock panics");
        if let Some(state) = in_memory() {
            return Ok(Some(state));
        }
        let path = self.disk.layout.snapshot().join(snapshot.pin.file_name());
        let state = Arc::new(content::read(&self.disk, &snapshot.pin, &path, &|_| Ok(()))?);
        let mut gc = self.gc.lock().expect("no holder of the gc lock panics");
        if !self.is_current(snapshot) {
            return Ok(None);
        }
        // Of one whose copying has ended, it has to be forgotten once more.
        gc.pinned.forget();
        let mut cuts = self.cuts.lock().expect("no holder of this lock panics");
        forget_unread(&mut cuts);
        cuts.insert(id.clone(), Cut { state: state.clone(), loaded: true, used_us: now_us });
        Ok(Some(state))
    }

    /// Returns whether the snapshot is not released and has not settled since.
    pub(crate) fn is_current(&self, snapshot: &Snapshot) -> bool {
        let head = self.lock_head();
        head.state.snapshots.get(&snapshot.pin.name).is_some_and(|s| s.pin == snapshot.pin)
    }

    /// Sees to it that gc knows every file that the snapshot needs.
    pub(crate) fn pin_files_of(&self, snapshot: &Snapshot) -> Result<()> {
        let id = &snapshot.pin.id;
        let _one = self.pinning.lock().expect("no holder of this lock panics");
        if self.gc.lock().expect("no holder of the gc lock panics").pins.has(id) {
            return Ok(());
        }
        if let Some(base) = &snapshot.pin.settled {
            return self.pin_own_base(snapshot, base);
        }
        let path = self.disk.layout.snapshot().join(snapshot.pin.file_name());
        let known = self.cuts.lock().expect("no holder of this lock panics").get(id).map(|cut| cut.state.clone());
        // After a start there may be a thousand that have not settled: their rows are read when one is asked for.
        let state = match known {
            Some(state) => state,
            None => Arc::new(content::read_files(&self.disk, &snapshot.pin, &path, &|_| Ok(()))?),
        };
        let files = content::files(&self.disk, &snapshot.pin, &path, &state)?;
        let mut gc = self.gc.lock().expect("no holder of the gc lock panics");
        // Under the gc lock: a release that came first must not be followed by a pin that nobody lets go.
        if self.is_current(snapshot) {
            gc.pins.add(id, files.into_iter().map(|(file, len_bytes)| (self.disk.layout.db().join(file), len_bytes)));
        }
        Ok(())
    }

    /// As [`Database::pin_files_of`], of a settled snapshot. The files of tables that it shares with others are read once.
    fn pin_own_base(&self, snapshot: &Snapshot, named: &FileRef) -> Result<()> {
        let base = content::own_base(&self.disk, &snapshot.pin, named, &|_| Ok(()))?;
        let mut found: HashMap<&str, Vec<Held>> = HashMap::new();
        loop {
            let unknown: Vec<&FileRef> = {
                let mut gc = self.gc.lock().expect("no holder of the gc lock panics");
                let is_unknown = |table: &&FileRef| !gc.pins.has_list(&table.file) && !found.contains_key(&*table.file);
                let unknown: Vec<&FileRef> = base.table_files.iter().filter(is_unknown).collect();
                if unknown.is_empty() {
                    if self.is_current(snapshot) {
                        gc.pins.add(&snapshot.pin.id, [self.held(&named.file, named.len_bytes)]);
                        for FileRef { file, .. } in &base.table_files {
                            gc.pins.add_list(&snapshot.pin.id, file, found.remove(&**file).unwrap_or_default());
                        }
                    }
                    return Ok(());
                }
                unknown
            };
            for table in unknown {
                let files = content::files_of_table(&self.disk, table)?;
                found.insert(&table.file, files.iter().map(|(file, len_bytes)| self.held(file, *len_bytes)).collect());
            }
        }
    }

    pub(crate) fn held(&self, file: &str, len_bytes: u64) -> Held {
        (self.disk.layout.db().join(file), len_bytes)
    }

    /// Lets go the rows that a snapshot whose copying has ended holds in memory: its files are known, and say the same.
    pub(crate) fn forget_cut_of_expired(&self, snapshot: &Snapshot) {
        if !snapshot.is_open() && !snapshot.standing().kept {
            let mut cuts = self.cuts.lock().expect("no holder of this lock panics");
            if cuts.get(&snapshot.pin.id).is_some_and(|cut| !cut.loaded || cut.is_unread()) {
                cuts.remove(&snapshot.pin.id);
            }
        }
    }

    /// Returns the snapshots that are not released.
    pub fn snapshots(&self) -> Vec<SnapshotInfo> {
        let snapshots = self.view().state().snapshots.clone();
        for snapshot in snapshots.values().filter(|s| !s.is_open()) {
            // What is wrong with its files is told by gc, which cannot go on without them.
            if let Err(e) = self.pin_files_of(snapshot) {
                tracing::debug!("the files of snapshot {} cannot be found: {e}", snapshot.pin.name);
            }
        }
        let (now_us, monotonic_us) = (self.disk.env.clock.now_us(), self.disk.env.clock.monotonic_us());
        let ends: HashMap<String, Option<i64>> = {
            let leases = self.leases.lock().expect("no holder of this lock panics");
            snapshots.values().map(|s| (s.pin.id.clone(), leases.ends_us(&s.pin.id))).collect()
        };
        let is_open = snapshots.values().any(|s| s.is_open());
        let waiting_bytes = if is_open { self.waiting_bytes() } else { 0 };
        let needed = if snapshots.values().any(|s| !s.is_open()) { self.needed_files() } else { HashSet::new() };
        let gc = self.gc.lock().expect("no holder of the gc lock panics");
        let pinned = gc.pins.bytes(|path| !needed.contains(path));
        let info = |snapshot: &Snapshot| {
            let pin = &snapshot.pin;
            let state = match snapshot.standing() {
                Standing { kept: true, .. } if pin.settled.is_some() => SnapshotState::Settled,
                Standing { kept: true, .. } => SnapshotState::Kept,
                _ if snapshot.is_open() => SnapshotState::Open,
                _ if snapshot.is_expired() => SnapshotState::Expired,
                _ => SnapshotState::Ended,
            };
            SnapshotInfo {
                name: pin.name.clone(),
                state,
                seq: pin.seq,
                created_us: pin.created_us,
                lease_end_us: ends[&pin.id].map(|end_us| now_us.saturating_add(end_us - monotonic_us)),
                tables: pin.tables,
                held_bytes: match state {
                    SnapshotState::Open => waiting_bytes,
                    _ => pinned.get(&*pin.id).copied().unwrap_or(0),
                },
                owner: pin.owner.clone(),
                places: pin.places.clone(),
            }
        };
        snapshots.values().map(|snapshot| info(snapshot)).collect()
    }
}

/// States read from files that stay in memory at once though nobody reads them.
const MAX_UNREAD: usize = 4;

/// Forgets the states that were read from files and not asked for for longest, but for a few.
fn forget_unread(cuts: &mut HashMap<String, Cut>) {
    let mut unread: Vec<(i64, String)> = cuts
        .iter()
        .filter(|(_, cut)| cut.loaded && cut.is_unread())
        .map(|(id, cut)| (cut.used_us, id.clone()))
        .collect();
    unread.sort();
    let too_many = unread.len().saturating_sub(MAX_UNREAD - 1);
    unread.iter().take(too_many).for_each(|(_, id)| {
        cuts.remove(id);
    });
}

#[cfg(test)]
mod tests;
