//! PREPARE and COMPLETE: a snapshot is taken by one frame, and released by one.
//!
//! PREPARE, whatever the size of the database: under the head lock the cut gets its Seq and its place in the log, no I/O
//! and no work per table; then the log file is written, cut and synced, beside it the pin's file; then the directories
//! `_log/` and `snapshot/` are synced. Four sync calls, two in sequence. The frame decides, the file is its copy.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use types::{Seq, TimelineId};

use crate::catalog::DbState;
use crate::database::{Database, Head};
use crate::document;
use crate::gc::pins::Released;
use crate::layout::{Disk, FileId, list_or_none};
use crate::log::chain::LogFrom;
use crate::log::writer::Urgency;
use crate::log::{Frame, FrameKind, Placement};
use crate::planted::Planted;
use crate::record::{self, Record};
use crate::snapshot::keep::Cut;
use crate::snapshot::pin::PIN_FORMAT_VERSION;
use crate::snapshot::{Pin, check_name, pin_name};
use crate::{Error, Result};

/// On what terms a snapshot is taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// How long it is open, or kept; `None`: until it is completed.
    pub lease_us: Option<i64>,
    /// It is not opened for copying, but kept at once.
    pub keep: bool,
    /// Everything on the file systems below the root is made durable before the answer: for copies of volumes that will be
    /// mounted without their journal.
    pub sync: bool,
    pub owner: String,
}

impl Database {
    /// Takes a snapshot on the terms of the configuration.
    ///
    /// # Errors
    /// As [`Database::prepare_snapshot_with`].
    pub fn prepare_snapshot(&self, name: &str) -> Result<()> {
        let (lease_us, sync) = (self.options.snapshot_lease_us, self.options.snapshot_syncfs);
        self.prepare_snapshot_with(name, Terms { lease_us, sync, ..Terms::default() })
    }

    /// Takes a snapshot. When this returns, a copy of the root restores to this moment, until the snapshot is completed or
    /// its lease ends. One of that name whose lease has run out is completed first.
    ///
    /// # Errors
    /// [`Error::Conflict`] when there is one of that name already, [`Error::Invalid`] for a name that cannot be a file's,
    /// [`Error::Unavailable`] when the disk is nearly full and another snapshot should be completed first.
    pub fn prepare_snapshot_with(&self, name: &str, terms: Terms) -> Result<()> {
        check_name(name)?;
        let former = self.lock_head().state.snapshots.get(name).cloned();
        if let Some(former) = former.filter(|s| s.is_expired()) {
            self.release(&former.pin)?;
        }
        let places = self.room_for_snapshot()?;
        // Opened before the first write that they answer for: the system tells no later one of what failed in between.
        let devices = if terms.sync { self.open_devices()? } else { Vec::new() };
        let pin = self.cut(name, terms, places)?;
        let outcome = self.make_cut_durable(&pin);
        let outcome = outcome
            .and_then(|()| devices.iter().try_for_each(|(device, whole)| whole.sync().map_err(Error::io(device))));
        self.publish();
        if let Err(e) = outcome {
            // The frame may stand in the log: without a release the snapshot would be open after the next start.
            if self.log.failure().is_none() {
                self.release(&pin)?;
            }
            return Err(e);
        }
        if !pin.places.is_empty() {
            tracing::info!("snapshot {name}: a copy of the root must hold these places too: {}", pin.places.join(", "));
        }
        if !pin.kept {
            // What began before the cut must end before a copy may begin: others that settle, which give up now, and a batch of
            // unlinks.
            drop(self.settling.lock().expect("nobody panics while snapshots settle"));
        }
        drop(self.gc.lock().expect("no holder of the gc lock panics"));
        Ok(())
    }

    /// Numbers the cut and queues its frame: no I/O, no work per table.
    fn cut(&self, name: &str, terms: Terms, places: Vec<String>) -> Result<Pin> {
        let early = self.disk.has(Planted::CutOutsideLock).then(|| self.state_before_others());
        let mut head = self.head_with_room(Urgency::Sealing, self.cut_bytes(&terms, &places))?;
        if head.state.snapshots.contains_key(name) {
            return Err(Error::Conflict(format!("there is a snapshot named {name} already: complete it first")));
        }
        let pin = self.cut_in(&mut head, name, terms, places)?;
        if let Some(early) = early {
            let cut = Cut { state: Arc::new(early), loaded: false, used_us: 0 };
            self.cuts.lock().expect("no holder of this lock panics").insert(pin.id.clone(), cut);
        }
        drop(head);
        self.grant_lease(&pin);
        Ok(pin)
    }

    /// Returns the bytes of a cut's payload at most.
    pub(crate) fn cut_bytes(&self, terms: &Terms, places: &[String]) -> usize {
        let names: usize =
            places.iter().chain([&terms.owner, &self.options.instance_id]).map(|name| name.len() * 6 + 8).sum();
        4096 + names + self.history.files().len() * 256
    }

    /// Queues the frame of a cut, whose name is free. The log has room for it; its lease is granted when the lock is free.
    pub(crate) fn cut_in(&self, head: &mut Head, name: &str, terms: Terms, places: Vec<String>) -> Result<Pin> {
        let (seq, commit_us) = self.number(&head.state);
        let mut pin = Pin { places, ..self.new_pin(&head.state, name, terms, seq, commit_us) };
        let (payload, placement) = self.place_cut(&mut pin);
        self.apply(head, vec![Record::Cut(Box::new(pin.clone()))], seq, commit_us)?;
        let frame = Frame { kind: FrameKind::Commit, seq, commit_us, durable_seq: Seq::ZERO, payload };
        self.log.push(frame, placement, true);
        let used_us = self.disk.env.clock.monotonic_us();
        let cut = Cut { state: Arc::new(head.state.clone()), loaded: false, used_us };
        self.cuts.lock().expect("no holder of this lock panics").insert(pin.id.clone(), cut);
        Ok(pin)
    }

    pub(crate) fn grant_lease(&self, pin: &Pin) {
        let now_us = self.disk.env.clock.monotonic_us();
        self.leases.lock().expect("no holder of this lock panics").grant(&pin.id, pin.lease_us, now_us);
    }

    /// The planted fault: returns the state, and lets others commit before the caller goes on.
    fn state_before_others(&self) -> DbState {
        let state = self.lock_head().state.clone();
        for _ in 0..100_000 {
            if self.lock_head().state.seq > state.seq {
                break;
            }
            std::thread::yield_now();
        }
        state
    }

    fn new_pin(&self, state: &DbState, name: &str, terms: Terms, seq: Seq, created_us: i64) -> Pin {
        let base = self.base.lock().expect("no holder of this lock panics").handle.clone();
        let first_log = match base.as_ref().map(|b| b.log) {
            Some(LogFrom::File(name)) => name,
            _ => self.log.file_with(Seq::ZERO),
        };
        Pin {
            format: PIN_FORMAT_VERSION,
            name: name.to_owned(),
            id: FileId::new(&self.disk.env, self.timeline).to_string(),
            database_id: self.database_id.clone(),
            timeline: self.timeline,
            seq,
            created_us,
            generation: state.generation + 1,
            first_log: first_log.to_string(),
            base: base.map(|b| b.file.clone()),
            timelines: self.history.files().to_vec(),
            last_log: String::new(),
            last_log_bytes: 0,
            tables: state.tables.len() as u64,
            place_machine: self.place.machine,
            place_inode: self.place.inode,
            lease_us: terms.lease_us,
            kept: terms.keep,
            owner: terms.owner,
            instance_id: self.options.instance_id.clone(),
            places: Vec::new(),
            settled: None,
        }
    }

    /// Fills in where the cut's own frame ends, which depends on the length of the pin that says so.
    fn place_cut(&self, pin: &mut Pin) -> (Vec<u8>, Placement) {
        loop {
            let payload = record::encode(&[Record::Cut(Box::new(pin.clone()))]);
            let placement =
                self.log.place(payload.len(), Urgency::Ordinary).expect("there was room for the longest pin");
            if pin.last_log == placement.file.to_string() && pin.last_log_bytes == placement.end_bytes {
                return (payload, placement);
            }
            pin.last_log = placement.file.to_string();
            pin.last_log_bytes = placement.end_bytes;
        }
    }

    pub(crate) fn make_cut_durable(&self, pin: &Pin) -> Result<()> {
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
        (self.disk.env.join)(&|| keep(first()), &|| keep(second()));
        outcome.into_inner().expect("no holder of this lock panics")
    }

    /// Ends a snapshot, open or kept. Returns whether there was one of that name; durable on return.
    pub fn complete_snapshot(&self, name: &str) -> Result<bool> {
        let snapshot = self.lock_head().state.snapshots.get(name).cloned();
        let Some(snapshot) = snapshot else { return Ok(false) };
        self.release(&snapshot.pin)?;
        Ok(true)
    }

    pub(crate) fn release(&self, pin: &Pin) -> Result<()> {
        let record = Record::Release { id: pin.id.clone() };
        let seq = self.commit_records(Urgency::Urgent, vec![record], |_| Ok(()))?;
        self.log.wait_durable(seq)?;
        self.leases.lock().expect("no holder of this lock panics").forget(&pin.id);
        // What there is to say of a full disk may be another thing now.
        self.guard.lock().expect("no holder of this lock panics").no_room = None;
        let dir = self.disk.layout.snapshot();
        let mut paths = Vec::new();
        for (file, found) in pin_files(&self.disk, Some(&pin.name))? {
            if found.is_none_or(|found| found.id == pin.id) {
                paths.push(dir.join(file));
            }
        }
        let mut gc = self.gc.lock().expect("no holder of the gc lock panics");
        let cut = self.cuts.lock().expect("no holder of this lock panics").remove(&pin.id);
        if gc.pins.has(&pin.id) {
            gc.let_go(Released { id: pin.id.clone(), cut });
        }
        if self.lock_head().state.has_open_snapshot() {
            // Another one is being copied: a file must not go under the copier's hands.
            gc.discard_pins(paths);
            return Ok(());
        }
        for path in paths {
            match self.disk.env.fs.unlink(&path) {
                // It had settled, and gc was first.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                done => done.map_err(Error::io(&path))?,
            }
        }
        drop(gc);
        self.disk.env.fs.sync_dir(&dir).map_err(Error::io(&dir))
    }
}

/// Files in `snapshot/` that are named as pins (of one name), with their content where it is whole.
pub(crate) fn pin_files(disk: &Disk, name: Option<&str>) -> Result<Vec<(String, Option<Pin>)>> {
    let dir = disk.layout.snapshot();
    let entries = list_or_none(disk, &dir)?;
    let mut files = Vec::new();
    let wanted = |file: &str| pin_name(file).is_some_and(|found| name.is_none_or(|name| name == found));
    for entry in entries.into_iter().filter(|e| wanted(&e.name)) {
        match document::read(&disk.env, &dir.join(&entry.name)) {
            Ok(pin) => files.push((entry.name, Some(pin))),
            Err(Error::Corrupt { .. }) => files.push((entry.name, None)),
            Err(e) => return Err(e),
        }
    }
    Ok(files)
}

/// At a plain start: each live snapshot has its pin's file, and files of PREPAREs that never happened are gone, or
/// returned while a snapshot is open. Durable on return.
pub(crate) fn ensure_pin_files(
    disk: &Disk,
    timeline: TimelineId,
    state: &DbState,
    notices: &mut Vec<String>,
) -> Result<Vec<PathBuf>> {
    let dir = disk.layout.snapshot();
    let files = pin_files(disk, None)?;
    let mut changed = false;
    for snapshot in state.snapshots.values() {
        let pin = &snapshot.pin;
        if !files.iter().any(|(_, found)| found.as_ref().is_some_and(|found| found.says_the_same_as(pin))) {
            let name = format!("{}.{}.json", pin.name, FileId::new(&disk.env, timeline));
            document::write(&disk.env, &dir.join(name), &document::encode(pin))?;
            changed = true;
        }
        if snapshot.is_open() {
            notices.push(format!("snapshot {} (seq {}) is open since before this start", pin.name, pin.seq));
        }
    }
    let mut stale = Vec::new();
    for (file, found) in files {
        let live = found.is_some_and(|found| state.snapshots.values().any(|s| s.pin.says_the_same_as(&found)));
        let path = dir.join(&file);
        if !live && state.has_open_snapshot() {
            stale.push(path);
        } else if !live {
            disk.env.fs.unlink(&path).map_err(Error::io(&path))?;
            notices.push(format!("removed snapshot/{file}: its snapshot is not open"));
            changed = true;
        }
    }
    if changed {
        disk.env.fs.sync_dir(&dir).map_err(Error::io(&dir))?;
    }
    Ok(stale)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Terms;
    use crate::env::clock::ManualClock;
    use crate::env::fs::Fs;
    use crate::env::rng::SeededRng;
    use crate::env::sim_fs::{Op, OpKind, SimFs};
    use crate::{Database, Env, Options};

    #[test]
    fn the_cut_touches_no_file() {
        let fs = Arc::new(SimFs::new(1));
        let env = Env::in_turn(fs.clone(), Arc::new(ManualClock::new(1)), Arc::new(SeededRng::new(1)));
        let db = Database::open(env, Options::new("/root")).unwrap();
        db.step_spare().unwrap();
        let before = fs.counts();
        let pin = db.cut("default", Terms::default(), Vec::new()).unwrap();
        assert_eq!(fs.counts(), before);
        db.make_cut_durable(&pin).unwrap();
        assert_eq!(fs.counts().syncs, before.syncs + 4);
    }

    #[test]
    fn file_systems_that_are_synced_whole_are_opened_before_anything_is_written() {
        let fs = Arc::new(SimFs::new(1));
        let env = Env::in_turn(fs.clone(), Arc::new(ManualClock::new(1)), Arc::new(SeededRng::new(1)));
        let db = Database::open(env, Options::new("/root")).unwrap();
        fs.record_trace(true);
        db.prepare_snapshot_with("default", Terms { sync: true, ..Terms::default() }).unwrap();
        let trace = fs.take_trace();
        let is_open = |op: &Op| op.site.kind == OpKind::Open && op.path.ends_with("root");
        let opened = trace.iter().position(is_open).expect("it is opened");
        let written = trace.iter().position(|op| op.site.kind.changes()).expect("the cut is written");
        assert!(opened < written, "{trace:?}");
        assert_eq!(trace.last().map(|op| op.site.kind), Some(OpKind::SyncFileSystem));
    }
}
