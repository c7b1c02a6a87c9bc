//! What becomes of a snapshot after its cut: KEEP and RENEW, the end of a lease, and what it costs.
//!
//! A lease runs by the monotonic clock. What is left of it is written down now and then, so a restart gives it at most
//! [`LEASE_NOTE_US`] more. At its end a snapshot that is open stops being open: gc goes on, and the snapshot holds the files
//! that it names, until it is completed, taken anew or renewed. One that is kept is released.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use types::Seq;

use crate::catalog::{DbState, Garbage};
use crate::database::Database;
use crate::log::writer::Urgency;
use crate::read_view::ReadView;
use crate::record::Record;
use crate::snapshot::{Snapshot, Standing, content};
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
    /// It holds the files that it names.
    Kept,
}

impl SnapshotState {
    /// Returns the state in a word.
    pub fn name(self) -> &'static str {
        match self {
            SnapshotState::Open => "open",
            SnapshotState::Expired => "expired",
            SnapshotState::Kept => "kept",
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
}

/// The state at a cut, in memory.
pub(crate) struct Cut {
    pub state: Arc<DbState>,
    /// It was read from the snapshot's files, and shares no segment with the states of this run.
    pub loaded: bool,
}

impl Cut {
    /// Returns whether nobody reads it any more. The segments of a state of this run are watched over as garbage.
    pub fn is_unread(&self) -> bool {
        let unread = Arc::strong_count(&self.state) == 1;
        let tables = || self.state.tables.iter();
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
}

/// The leases of the live snapshots by the ids of their pins.
#[derive(Default)]
pub(crate) struct Leases(HashMap<String, Running>);

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
        self.0.insert(id.to_owned(), Running { ends_us, granted_us, noted_us: now_us, warned: false });
    }

    /// Forgets the lease of a snapshot that is released.
    pub fn forget(&mut self, id: &str) {
        self.0.remove(id);
    }

    fn ends_us(&self, id: &str) -> Option<i64> {
        self.0.get(id).and_then(|running| running.ends_us)
    }
}

/// What time asks to be done with a snapshot.
enum Due {
    Note(i64),
    Warn(i64),
    End,
}

impl Running {
    fn due(&self, now_us: i64) -> Option<Due> {
        let left_us = self.ends_us?.saturating_sub(now_us);
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
        self.stand(name, |_| Standing { kept: true, lease_us: for_us })
    }

    /// Gives a snapshot another lease from now on. One whose lease had run out is open again.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none of that name.
    pub fn renew_snapshot(&self, name: &str, lease_us: Option<i64>) -> Result<()> {
        self.stand(name, |standing| Standing { lease_us, ..standing })
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

    fn commit_standing(&self, snapshot: &Snapshot, standing: Standing) -> Result<()> {
        let id = snapshot.pin.id.clone();
        let record = Record::Stand { id: id.clone(), standing };
        let seq = self.commit_records(Urgency::Urgent, vec![record], |state| {
            let is_live = state.snapshots.get(&snapshot.pin.name).is_some_and(|s| s.pin.id == id);
            let gone = || Error::NotFound(format!("there is no snapshot named {} any more", snapshot.pin.name));
            is_live.then_some(()).ok_or_else(gone)
        })?;
        self.log.wait_durable(seq)
    }

    /// Returns how long a snapshot is open when PREPARE does not say.
    pub fn usual_lease_us(&self) -> Option<i64> {
        self.options.snapshot_lease_us
    }

    /// Notes what is left of leases, warns of those that end soon, and does what their end asks for.
    pub fn step_leases(&self) -> Result<()> {
        let snapshots = self.lock_head().state.snapshots.clone();
        for snapshot in snapshots.values() {
            self.step_lease(snapshot)?;
        }
        Ok(())
    }

    fn step_lease(&self, snapshot: &Snapshot) -> Result<()> {
        let mut leases = self.leases.lock().expect("no holder of this lock panics");
        let now_us = self.disk.env.clock.monotonic_us();
        let Some(running) = leases.0.get_mut(&snapshot.pin.id) else { return Ok(()) };
        let kept = snapshot.standing().kept;
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
                self.commit_standing(snapshot, Standing { kept, lease_us: Some(left_us) })
            }
            Some(Due::End) if kept => {
                drop(leases);
                tracing::info!("snapshot {name} was kept for as long as it was asked to be: it is released");
                return self.release(&snapshot.pin);
            }
            Some(Due::End) if !snapshot.is_open() => return Ok(()),
            Some(Due::End) => {
                tracing::warn!(
                    "the lease of snapshot {name} has run out: files that it does not name go from now on; complete it, \
                     or SNAPSHOT RENEW it"
                );
                self.commit_standing(snapshot, Standing { kept, lease_us: Some(0) })
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
        if !self.cuts.lock().expect("no holder of this lock panics").contains_key(&snapshot.pin.id) {
            self.pin_files_of(&snapshot)?;
        }
        let cuts = self.cuts.lock().expect("no holder of this lock panics");
        let cut = cuts.get(&snapshot.pin.id);
        let cut = cut.ok_or_else(|| Error::NotFound(format!("there is no snapshot named {name} any more")))?;
        Ok(ReadView::new(cut.state.clone(), self.disk.clone()))
    }

    /// Sees to it that the state at the cut is in memory and that gc knows every file that it needs.
    pub(crate) fn pin_files_of(&self, snapshot: &Snapshot) -> Result<()> {
        let id = &snapshot.pin.id;
        let _one = self.pinning.lock().expect("no holder of this lock panics");
        if self.gc.lock().expect("no holder of the gc lock panics").pins.has(id) {
            return Ok(());
        }
        let path = self.disk.layout.snapshot().join(snapshot.pin.file_name());
        let known = self.cuts.lock().expect("no holder of this lock panics").get(id).map(|cut| cut.state.clone());
        let (state, loaded) = match known {
            Some(state) => (state, false),
            None => (Arc::new(content::read(&self.disk, &snapshot.pin, &path, &|_| Ok(()))?), true),
        };
        let files = content::files(&self.disk, &snapshot.pin, &path, &state)?;
        let mut gc = self.gc.lock().expect("no holder of the gc lock panics");
        // Under the gc lock: a release that came first must not be followed by a pin that nobody lets go.
        if self.lock_head().state.snapshots.values().any(|s| s.pin.id == *id) {
            gc.pins.add(id, files.into_iter().map(|(file, len_bytes)| (self.disk.layout.db().join(file), len_bytes)));
            let mut cuts = self.cuts.lock().expect("no holder of this lock panics");
            cuts.entry(id.clone()).or_insert(Cut { state, loaded });
        }
        Ok(())
    }

    /// Returns the snapshots that are not released.
    pub fn snapshots(&self) -> Vec<SnapshotInfo> {
        let snapshots = self.view().state().snapshots.clone();
        let garbage_bytes = {
            let head = self.lock_head();
            let garbage = head.garbage.iter().map(|(_, g)| match g {
                Garbage::Segment(segment) => segment.meta().len_bytes,
                Garbage::Dead(former) => former.meta().dead.as_ref().map_or(0, |dead| dead.len_bytes),
                Garbage::Table(table) => table.segments.values().flatten().map(|s| s.meta().len_bytes).sum(),
            });
            garbage.sum()
        };
        let (now_us, monotonic_us) = (self.disk.env.clock.now_us(), self.disk.env.clock.monotonic_us());
        let ends: HashMap<String, Option<i64>> = {
            let leases = self.leases.lock().expect("no holder of this lock panics");
            snapshots.values().map(|s| (s.pin.id.clone(), leases.ends_us(&s.pin.id))).collect()
        };
        let needed = snapshots.values().any(|s| !s.is_open()).then(|| self.needed_files());
        let info = |snapshot: &Snapshot| {
            let pin = &snapshot.pin;
            let state = match snapshot.standing() {
                Standing { kept: true, .. } => SnapshotState::Kept,
                _ if snapshot.is_open() => SnapshotState::Open,
                _ => SnapshotState::Expired,
            };
            SnapshotInfo {
                name: pin.name.clone(),
                state,
                seq: pin.seq,
                created_us: pin.created_us,
                lease_end_us: ends[&pin.id].map(|end_us| now_us.saturating_add(end_us - monotonic_us)),
                tables: pin.tables,
                held_bytes: match &needed {
                    Some(needed) if state != SnapshotState::Open => self.bytes_held_by(&pin.id, needed),
                    _ => garbage_bytes,
                },
                owner: pin.owner.clone(),
            }
        };
        snapshots.values().map(|snapshot| info(snapshot)).collect()
    }

    fn bytes_held_by(&self, id: &str, needed: &HashSet<std::path::PathBuf>) -> u64 {
        let gc = self.gc.lock().expect("no holder of the gc lock panics");
        gc.pins.files_of(id).filter(|(path, _)| !needed.contains(*path)).map(|(_, len_bytes)| len_bytes).sum()
    }
}
