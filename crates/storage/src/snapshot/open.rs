//! PREPARE and COMPLETE: a snapshot is taken by one frame, and released by one.
//!
//! PREPARE, whatever the size of the database: under the head lock the cut gets its Seq and its place in the log, no I/O
//! and no work per table; then the log file is written, cut and synced, beside it the pin's file; then the directories
//! `_log/` and `snapshot/` are synced. Four sync calls, two in sequence. The frame decides, the file is its copy.

use std::sync::Mutex;

use types::{Seq, TimelineId};

use crate::catalog::{DbState, Garbage};
use crate::database::Database;
use crate::document;
use crate::layout::{Disk, FileId};
use crate::log::writer::Urgency;
use crate::log::{Frame, FrameKind, Placement};
use crate::record::{self, Record};
use crate::snapshot::pin::PIN_FORMAT_VERSION;
use crate::snapshot::{Pin, is_pin_name};
use crate::{Error, Result};

/// An open snapshot, as `snapshots()` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotInfo {
    pub name: String,
    pub seq: Seq,
    pub created_us: i64,
    pub tables: u64,
    /// Bytes of files that only the snapshot keeps from being removed.
    pub held_bytes: u64,
}

impl Database {
    /// Takes a snapshot. When this returns, a copy of the root restores to this moment, until the snapshot is completed.
    ///
    /// # Errors
    /// [`Error::Conflict`] when a snapshot is open already.
    pub fn prepare_snapshot(&self, name: &str) -> Result<()> {
        let pin = self.cut(name)?;
        let outcome = self.make_cut_durable(&pin);
        self.publish();
        if let Err(e) = outcome {
            // The frame may stand in the log: without a release the snapshot would be open after the next start.
            if self.log.failure().is_none() {
                self.release(&pin)?;
            }
            return Err(e);
        }
        // A batch of unlinks that began before the cut must end before a copy may begin.
        drop(self.gc.lock().expect("no holder of the gc lock panics"));
        Ok(())
    }

    /// Numbers the cut and queues its frame: no I/O, no work per table.
    fn cut(&self, name: &str) -> Result<Pin> {
        let room = 4096 + self.history.files().len() * 256;
        let mut head = self.head_with_room(Urgency::Ordinary, room)?;
        if !head.state.snapshots.is_empty() {
            return Err(Error::Conflict("a snapshot is open already: complete it first".to_owned()));
        }
        let (seq, commit_us) = self.number(&head.state);
        let mut pin = self.new_pin(&head.state, name, seq, commit_us);
        let (payload, placement) = self.place_cut(&mut pin);
        self.apply(&mut head, vec![Record::Cut(pin.clone())], seq, commit_us)?;
        let frame = Frame { kind: FrameKind::Commit, seq, commit_us, durable_seq: Seq::ZERO, payload };
        self.log.push(frame, placement, true);
        Ok(pin)
    }

    fn new_pin(&self, state: &DbState, name: &str, seq: Seq, created_us: i64) -> Pin {
        let base = self.base.lock().expect("no holder of this lock panics").handle.clone();
        let oldest_log = || self.log.file_with(Seq::ZERO);
        Pin {
            format: PIN_FORMAT_VERSION,
            name: name.to_owned(),
            id: FileId::new(&self.disk.env, self.timeline).to_string(),
            database_id: self.database_id.clone(),
            timeline: self.timeline,
            seq,
            created_us,
            generation: state.generation + 1,
            first_log: base.as_ref().map_or_else(oldest_log, |b| b.first_log).to_string(),
            base: base.map(|b| b.file.clone()),
            timelines: self.history.files().to_vec(),
            last_log: String::new(),
            last_log_bytes: 0,
            tables: state.tables.len() as u64,
            place_machine: self.place.machine,
            place_inode: self.place.inode,
        }
    }

    /// Fills in where the cut's own frame ends, which depends on the length of the pin that says so.
    fn place_cut(&self, pin: &mut Pin) -> (Vec<u8>, Placement) {
        loop {
            let payload = record::encode(&[Record::Cut(pin.clone())]);
            let placement =
                self.log.place(payload.len(), Urgency::Ordinary).expect("there was room for the longest pin");
            if pin.last_log == placement.file.to_string() && pin.last_log_bytes == placement.end_bytes {
                return (payload, placement);
            }
            pin.last_log = placement.file.to_string();
            pin.last_log_bytes = placement.end_bytes;
        }
    }

    fn make_cut_durable(&self, pin: &Pin) -> Result<()> {
        let seal = || self.log.wait_durable(pin.seq);
        let write = || {
            let path = self.disk.layout.snapshot().join(pin.file_name());
            document::write(&self.disk.env, &path, &document::encode(pin))
        };
        self.both(seal, write)?;
        let sync = |dir: std::path::PathBuf| self.disk.env.fs.sync_dir(&dir).map_err(Error::io(&dir));
        self.both(|| sync(self.disk.layout.log()), || sync(self.disk.layout.snapshot()))
    }

    /// Runs two steps, at once where threads may be started.
    fn both(&self, first: impl Fn() -> Result<()> + Sync, second: impl Fn() -> Result<()> + Sync) -> Result<()> {
        let outcome = Mutex::new(Ok(()));
        let keep = |result: Result<()>| {
            if let Err(e) = result {
                *outcome.lock().expect("no holder of this lock panics") = Err(e);
            }
        };
        (self.options.join)(&|| keep(first()), &|| keep(second()));
        outcome.into_inner().expect("no holder of this lock panics")
    }

    /// Ends a snapshot; nothing to do when there is none of that name. Durable on return.
    pub fn complete_snapshot(&self, name: &str) -> Result<()> {
        let pin = self.lock_head().state.snapshots.get(name).cloned();
        match pin {
            Some(pin) => self.release(&pin),
            None => Ok(()),
        }
    }

    fn release(&self, pin: &Pin) -> Result<()> {
        let record = Record::Release { id: pin.id.clone() };
        let seq = self.commit_records(Urgency::Urgent, vec![record], |_| Ok(()))?;
        self.log.wait_durable(seq)?;
        let dir = self.disk.layout.snapshot();
        for (file, found) in pin_files(&self.disk)? {
            if found.is_none_or(|found| found.id == pin.id) {
                let path = dir.join(file);
                self.disk.env.fs.unlink(&path).map_err(Error::io(&path))?;
            }
        }
        self.disk.env.fs.sync_dir(&dir).map_err(Error::io(&dir))
    }

    /// Returns the open snapshots.
    pub fn snapshots(&self) -> Vec<SnapshotInfo> {
        let head = self.lock_head();
        let garbage = head.garbage.iter().map(|(_, g)| match g {
            Garbage::Segment(segment) => segment.meta().len_bytes,
            Garbage::Dead(former) => former.meta().dead.as_ref().map_or(0, |dead| dead.len_bytes),
            Garbage::Table(table) => table.segments.values().flatten().map(|s| s.meta().len_bytes).sum(),
        });
        let held_bytes = garbage.sum();
        let info = |pin: &Pin| SnapshotInfo {
            name: pin.name.clone(),
            seq: pin.seq,
            created_us: pin.created_us,
            tables: pin.tables,
            held_bytes,
        };
        head.state.snapshots.values().map(|pin| info(pin)).collect()
    }
}

/// Files in `snapshot/` that are named as pins, with their content where it is whole.
fn pin_files(disk: &Disk) -> Result<Vec<(String, Option<Pin>)>> {
    let dir = disk.layout.snapshot();
    let entries = disk.env.fs.list(&dir).map_err(Error::io(&dir))?;
    let mut files = Vec::new();
    for entry in entries.into_iter().filter(|e| is_pin_name(&e.name)) {
        match document::read(&disk.env, &dir.join(&entry.name)) {
            Ok(pin) => files.push((entry.name, Some(pin))),
            Err(Error::Corrupt { .. }) => files.push((entry.name, None)),
            Err(e) => return Err(e),
        }
    }
    Ok(files)
}

/// At a plain start: each live snapshot has its pin's file, and files of PREPAREs that never happened are gone. Durable
/// on return.
pub(crate) fn ensure_pin_files(
    disk: &Disk,
    timeline: TimelineId,
    state: &DbState,
    notices: &mut Vec<String>,
) -> Result<()> {
    let dir = disk.layout.snapshot();
    let files = pin_files(disk)?;
    let mut changed = false;
    for pin in state.snapshots.values() {
        if !files.iter().any(|(_, found)| found.as_ref() == Some(&**pin)) {
            let name = format!("{}.{}.json", pin.name, FileId::new(&disk.env, timeline));
            document::write(&disk.env, &dir.join(name), &document::encode(&**pin))?;
            changed = true;
        }
        notices.push(format!("snapshot {} (seq {}) is open since before this start", pin.name, pin.seq));
    }
    for (file, found) in files {
        let live = found.is_some_and(|found| state.snapshots.values().any(|pin| **pin == found));
        if !live {
            let path = dir.join(&file);
            disk.env.fs.unlink(&path).map_err(Error::io(&path))?;
            notices.push(format!("removed snapshot/{file}: its snapshot is not open"));
            changed = true;
        }
    }
    if changed {
        disk.env.fs.sync_dir(&dir).map_err(Error::io(&dir))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::env::clock::ManualClock;
    use crate::env::fs::Fs;
    use crate::env::rng::SeededRng;
    use crate::env::sim_fs::SimFs;
    use crate::{Database, Env, Options};

    #[test]
    fn the_cut_touches_no_file() {
        let fs = Arc::new(SimFs::new(1));
        let env = Env { fs: fs.clone(), clock: Arc::new(ManualClock::new(1)), rng: Arc::new(SeededRng::new(1)) };
        let db = Database::open(env, Options::new("/root")).unwrap();
        db.step_spare().unwrap();
        let before = fs.counts();
        let pin = db.cut("default").unwrap();
        assert_eq!(fs.counts(), before);
        db.make_cut_durable(&pin).unwrap();
        assert_eq!(fs.counts().syncs, before.syncs + 4);
    }
}
