//! Snapshots and a disk that fills: [`Database::step_guard`]. Ingestion is never the first to suffer.
//!
//! Below `snapshot.shed.free` of the disk, one a second while it stays so: the snapshot whose lease ran out longest ago is
//! released; then the oldest moments that `log.retention` keeps are given up; then the table that was dropped first can come back
//! no longer; then the copying of the oldest open snapshot is ended. That breaks no copy: the snapshot goes on and holds every file
//! that it names, which is all that a restore reads; only files that it does not name go. What is not expired is never released: the
//! log, PREPARE and the health page say which one to complete.
//!
//! It also knows which places below the root lie on other devices or behind links: a copy must hold them too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::database::Database;
use crate::env::fs::{FileKind, FileSystem, Space};
use crate::planted::Planted;
use crate::snapshot::{Snapshot, Standing};
use crate::{Error, Result};

/// How often the bytes that snapshots hold are counted, and the places looked for.
const LOOK_US: i64 = 60 * 1_000_000;
/// How often something goes while the disk is nearly full.
const SHED_US: i64 = 1_000_000;

/// What the guard has found.
#[derive(Default)]
pub(crate) struct Guard {
    /// Why no snapshot can be taken now.
    pub no_room: Option<String>,
    /// Snapshots hold more of the disk than is well.
    too_much: Option<String>,
    /// Directories on other devices than the root, or behind links, once somebody has looked.
    places: Option<Vec<String>>,
    looked_us: Option<i64>,
    shed_us: Option<i64>,
}

impl Database {
    /// Looks how full the disk is, and does what that asks for.
    pub fn step_guard(&self) -> Result<()> {
        let now_us = self.disk.env.clock.monotonic_us();
        let looks = {
            let mut guard = self.guard.lock().expect("no holder of this lock panics");
            let looks = guard.looked_us.is_none_or(|last_us| now_us - last_us >= LOOK_US);
            if looks {
                guard.looked_us = Some(now_us);
            }
            looks
        };
        if looks {
            let places = self.named_places()?;
            self.guard.lock().expect("no holder of this lock panics").places = Some(places);
        }
        let snapshots = self.lock_head().state.snapshots.clone();
        let root = self.disk.layout.root();
        let space = self.disk.env.fs.space(root).map_err(Error::io(root))?;
        if looks {
            self.weigh(space, snapshots.is_empty());
        }
        let floor_bytes = space.total_bytes / 100 * self.options.snapshot_shed_free;
        let worth_bytes = floor_bytes / 5;
        let has_moments = || self.restore_window_bytes() >= worth_bytes.max(1);
        let none = || snapshots.is_empty() && !has_moments() && self.view().state().dropped.is_empty();
        if space.free_bytes >= floor_bytes || none() {
            self.guard.lock().expect("no holder of this lock panics").no_room = None;
            return Ok(());
        }
        {
            let mut guard = self.guard.lock().expect("no holder of this lock panics");
            if guard.shed_us.is_some_and(|last_us| now_us - last_us < SHED_US) {
                return Ok(());
            }
            guard.shed_us = Some(now_us);
        }
        let mut oldest_first: Vec<&Snapshot> = snapshots.values().map(|s| &**s).collect();
        oldest_first.sort_by_key(|s| (s.pin.created_us, s.pin.seq));
        self.shed(space, worth_bytes, &oldest_first)
    }

    /// Lets one snapshot go, or old moments, or copying end, where that gives back as much as is worth it.
    fn shed(&self, space: Space, worth_bytes: u64, oldest_first: &[&Snapshot]) -> Result<()> {
        self.ask_to_complete(space, worth_bytes);
        let open = oldest_first.iter().find(|s| s.is_open());
        // What went before may be on its way out still.
        if open.is_none() && self.gc.lock().expect("no holder of the gc lock panics").is_busy() {
            return Ok(());
        }
        let free_bytes = space.free_bytes;
        if let Some(expired) = oldest_first.iter().find(|s| s.is_expired()) {
            let name = &expired.pin.name;
            tracing::warn!("{free_bytes} bytes are free: snapshot {name}, whose lease has run out, is released");
            return self.release(&expired.pin);
        }
        // What goes of moments and dropped tables waits for the end of the copying, too.
        let waits = open.is_some() && self.waiting_bytes() >= worth_bytes;
        if !waits && self.restore_window_bytes() >= worth_bytes.max(1) {
            let given_bytes = self.give_up_moments(worth_bytes)?;
            if given_bytes > 0 {
                tracing::warn!("{free_bytes} bytes are free: the oldest moments that log.retention keeps are given up");
                return Ok(());
            }
        }
        // While a snapshot is open nothing of a table would go.
        let Some(open) = open else { return self.shed_dropped(free_bytes, worth_bytes).map(drop) };
        if !waits {
            return Ok(());
        }
        tracing::warn!(
            "{free_bytes} bytes are free: files that snapshot {} does not name go from now on, though its lease has not run \
             out; a copy of it is still good; complete it, or SNAPSHOT RENEW it when there is room",
            open.pin.name
        );
        if self.disk.has(Planted::GuardReleasesOpen) {
            return self.release(&open.pin);
        }
        let leases = self.leases.lock().expect("no holder of this lock panics");
        let now_us = self.disk.env.clock.monotonic_us();
        let lease_us = leases.ends_us(&open.pin.id).map(|ends_us| (ends_us - now_us).max(1));
        match self.commit_standing(open, Standing { kept: false, lease_us, ended: true }) {
            // It was completed meanwhile.
            Err(Error::NotFound(_)) => Ok(()),
            done => done,
        }
    }

    /// Says once which snapshot to complete: the one that holds most.
    fn ask_to_complete(&self, space: Space, worth_bytes: u64) {
        if self.guard.lock().expect("no holder of this lock panics").no_room.is_some() {
            return;
        }
        let most = self.snapshots().into_iter().max_by_key(|s| s.held_bytes);
        let Some(most) = most.filter(|s| s.held_bytes >= worth_bytes) else { return };
        let why = format!(
            "the disk is nearly full ({} bytes are free): complete snapshot {}, which keeps {} bytes, or make room",
            space.free_bytes, most.name, most.held_bytes
        );
        tracing::warn!("{why}");
        self.guard.lock().expect("no holder of this lock panics").no_room = Some(why);
    }

    /// Warns when snapshots hold much of the disk.
    fn weigh(&self, space: Space, none: bool) {
        let pinned_bytes = if none { 0 } else { self.pinned_bytes() };
        let percent = self.options.snapshot_warn_share;
        let limit_bytes = space.total_bytes / 100 * percent;
        let too_much = (percent > 0 && pinned_bytes > limit_bytes).then(|| {
            format!("snapshots keep {pinned_bytes} bytes on disk, more than {percent} percent of it: see snapshots()")
        });
        let mut guard = self.guard.lock().expect("no holder of this lock panics");
        if let Some(warning) = too_much.as_ref().filter(|_| guard.too_much.is_none()) {
            tracing::warn!("{warning}");
        }
        guard.too_much = too_much;
    }

    /// Returns the bytes that would come back if all snapshots were completed.
    pub fn pinned_bytes(&self) -> u64 {
        let snapshots = self.lock_head().state.snapshots.clone();
        let waiting_bytes = if snapshots.values().any(|s| s.is_open()) { self.waiting_bytes() } else { 0 };
        if snapshots.values().all(|s| s.is_open()) {
            return waiting_bytes;
        }
        let needed = self.needed_files();
        let gc = self.gc.lock().expect("no holder of the gc lock panics");
        waiting_bytes + gc.pins.all_bytes(|path| !needed.contains(path))
    }

    /// Returns what the guard has to say, a sentence each: nothing most of the time.
    pub fn guard_warnings(&self) -> Vec<String> {
        let guard = self.guard.lock().expect("no holder of this lock panics");
        guard.no_room.iter().chain(&guard.too_much).cloned().collect()
    }

    /// Opens each file system below the root. To sync one makes everything durable that lies on it, whoever wrote it, and
    /// tells of what could not be written back since it was opened.
    pub(crate) fn open_devices(&self) -> Result<Vec<(PathBuf, Box<dyn FileSystem>)>> {
        let root = self.disk.layout.root().to_owned();
        let device = self.device_of(&root)?;
        let mut by_device: BTreeMap<u64, PathBuf> = BTreeMap::new();
        self.find_places()?.into_iter().for_each(|(path, device)| {
            by_device.entry(device).or_insert(path);
        });
        by_device.insert(device, root);
        let open = |dir: PathBuf| {
            let whole = self.disk.env.fs.file_system_of(&dir).map_err(Error::io(&dir))?;
            Ok((dir, whole))
        };
        by_device.into_values().map(open).collect()
    }

    /// Returns the places that a copy must hold too, as they were found last.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the disk is nearly full and a snapshot should be completed first.
    pub(crate) fn room_for_snapshot(&self) -> Result<Vec<String>> {
        let known = {
            let guard = self.guard.lock().expect("no holder of this lock panics");
            if let Some(why) = &guard.no_room {
                return Err(Error::Unavailable(why.clone()));
            }
            guard.places.clone()
        };
        known.map_or_else(|| self.named_places(), Ok)
    }

    fn named_places(&self) -> Result<Vec<String>> {
        Ok(self.find_places()?.into_iter().map(|(path, _)| path.display().to_string()).collect())
    }

    /// Returns the directories at most two levels below the root that lie on other devices than it or behind links.
    pub(super) fn find_places(&self) -> Result<Vec<(PathBuf, u64)>> {
        let (fs, layout) = (&self.disk.env.fs, &self.disk.layout);
        let root = self.device_of(layout.root())?;
        let mut dirs = vec![layout.db(), layout.snapshot()];
        let below = fs.list(&layout.db()).map_err(Error::io(&layout.db()))?;
        let is_dir = |kind| matches!(kind, FileKind::Dir | FileKind::Symlink);
        dirs.extend(below.into_iter().filter(|e| is_dir(e.kind)).map(|e| layout.db().join(e.name)));
        let mut places = Vec::new();
        for dir in dirs {
            let is_link = match fs.metadata(&dir) {
                Ok(found) => found.kind == FileKind::Symlink,
                // A table's directory that went in between.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => return Err(Error::io(&dir)(e)),
            };
            let device = self.device_of(&dir)?;
            if is_link || device != root {
                places.push((dir, device));
            }
        }
        Ok(places)
    }

    /// Returns the device of a directory, behind links.
    fn device_of(&self, dir: &Path) -> Result<u64> {
        let fs = &self.disk.env.fs;
        let found = fs.metadata(dir).map_err(Error::io(dir))?;
        match found.kind {
            FileKind::Symlink => fs.metadata(&dir.join(".")).map(|found| found.device).map_err(Error::io(dir)),
            _ => Ok(found.device),
        }
    }
}
