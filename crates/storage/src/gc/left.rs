//! What restores left behind: held for `restore.grace`, so that a restore can be undone, and gone after it.
//!
//! As long as the grace runs, gc knows every file that the end of the timeline that was left needs, as it knows those of
//! kept snapshots. Afterwards files of that timeline go which neither the state, the newest base, the log, a snapshot nor
//! another undo names. Files of timelines whose file does not lie in the root are left alone.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use types::TimelineId;

use super::GcState;
use super::pins::Released;
use crate::database::Database;
use crate::layout::{BaseName, FileId, LogName};
use crate::log::chain::{self, LogFiles};
use crate::planted::Planted;
use crate::recovery;
use crate::restore::undo_files;
use crate::snapshot::content;
use crate::timeline::{self, Left};
use crate::{Error, Result};

/// The end of a timeline that a restore left and that can be gone back to.
struct Held {
    left: Left,
    /// It, its ancestors, and the timeline whose file tells of the restore: nothing of theirs is looked for.
    timelines: Vec<TimelineId>,
    /// When its grace is over, by the monotonic clock: one that is ahead for a moment must not end it.
    until_us: i64,
}

/// What gc knows of timelines that were left.
#[derive(Default)]
pub(super) struct LeftTimelines {
    looked: bool,
    held: Vec<Held>,
}

/// Other timelines of this database whose unnamed files may go, by the tags in file names.
pub(super) struct Others(HashMap<u32, TimelineId>);

impl Others {
    fn has(&self, timeline: TimelineId) -> bool {
        self.0.get(&timeline.tag) == Some(&timeline)
    }

    /// Whether one of them gave out the id in a file name.
    pub fn made(&self, id: FileId) -> bool {
        self.0.contains_key(&id.timeline_tag())
    }
}

fn pin_id(left: &Left) -> String {
    format!("end of {} left by {}", left.timeline, left.by)
}

impl Database {
    /// Sees to it that gc knows the files that undoing a restore needs.
    pub(super) fn hold_left_timelines(&self) -> Result<()> {
        if self.gc.lock().expect("no holder of this lock panics").left.looked {
            return Ok(());
        }
        let mut all = timeline::left_behind(&self.disk)?;
        all.retain(|_| !self.disk.has(Planted::GcIgnoresGrace));
        let rest_us = |left: &Left| self.rest_at_begin_us(left.left_us, self.options.restore_grace_us);
        all.retain(|left| rest_us(left) > 0 && left.timeline != self.timeline);
        let mut found = Vec::new();
        for left in all {
            let mut timelines = vec![left.timeline, left.by];
            let files = match self.files_at_end(left.timeline, &mut timelines) {
                Ok(files) => files,
                Err(e) if e.may_pass() => return Err(e),
                Err(why) => {
                    tracing::warn!("the restore that left timeline {} cannot be undone: {why}", left.timeline);
                    Vec::new()
                }
            };
            let until_us = self.began_monotonic_us.saturating_add(rest_us(&left));
            found.push((Held { left, timelines, until_us }, files));
        }
        let mut gc = self.gc.lock().expect("no holder of this lock panics");
        gc.left.looked = true;
        for (held, files) in found {
            gc.pins.add(&pin_id(&held.left), files);
            gc.left.held.push(held);
        }
        Ok(())
    }

    /// Returns the files that the end of a timeline needs, and those of the snapshots that are kept there.
    fn files_at_end(&self, end: TimelineId, timelines: &mut Vec<TimelineId>) -> Result<Vec<(PathBuf, u64)>> {
        let disk = &self.disk;
        let history = timeline::history_of(disk, end)?;
        timelines.extend(history.lineage().map(|(id, _)| id));
        let logs = LogFiles::list(disk)?;
        let found = recovery::recover_end(disk, self.database_number(), &history, &logs, &|_| {})?;
        let mut files: HashSet<PathBuf> =
            undo_files(&found).into_iter().map(|file| disk.layout.db().join(file)).collect();
        files.extend(found.chain.iter().filter_map(|(name, _)| logs.path(disk, *name)));
        for snapshot in found.state.snapshots.values().filter(|s| s.standing().kept) {
            let path = disk.layout.snapshot().join(snapshot.pin.file_name());
            let at_cut = content::read_files(disk, &snapshot.pin, &path, &|_| Ok(()));
            match at_cut.and_then(|state| content::files(disk, &snapshot.pin, &path, &state)) {
                Ok(of_snapshot) => files.extend(of_snapshot.into_iter().map(|(file, _)| disk.layout.db().join(file))),
                Err(e) if e.may_pass() => return Err(e),
                // An undo goes on without it, too.
                Err(_) => {}
            }
        }
        let length = |path: PathBuf| {
            let len_bytes = disk.env.fs.metadata(&path).map_or(0, |m| m.len_bytes);
            (path, len_bytes)
        };
        Ok(files.into_iter().map(length).collect())
    }

    /// Lets go what was held for an undo whose grace is over.
    pub(super) fn end_graces(&self, gc: &mut GcState) {
        let now_us = self.disk.env.clock.monotonic_us();
        let (over, held) =
            std::mem::take(&mut gc.left.held).into_iter().partition(|held: &Held| now_us >= held.until_us);
        gc.left.held = held;
        for held in over {
            tracing::info!("what the restore to timeline {} left behind is removed", held.left.by);
            gc.let_go(Released { id: pin_id(&held.left), cut: None });
            gc.swept = false;
        }
    }

    /// Returns the other timelines of which nothing is held for an undo.
    pub(super) fn other_timelines(&self, gc: &GcState) -> Result<Others> {
        let mut others = HashMap::new();
        for id in timeline::list(&self.disk)? {
            let rests = gc.left.held.iter().any(|held| held.timelines.contains(&id));
            if id == self.timeline || id.tag == self.timeline.tag || rests {
                continue;
            }
            match timeline::read(&self.disk, id) {
                Ok((line, _)) if line.database_id == self.database_id => {
                    others.insert(id.tag, id);
                }
                Ok(_) => {}
                Err(e @ Error::Io { .. }) => return Err(e),
                Err(_) => {}
            }
        }
        Ok(Others(others))
    }

    /// Finds log files, bases and files of other timelines that nothing names. `seen` are those with files of tables.
    pub(super) fn sweep_others(&self, gc: &mut GcState, others: &Others, seen: &HashSet<u32>) -> Result<()> {
        let disk = &self.disk;
        let layout = &disk.layout;
        let logs = LogFiles::list(disk)?;
        let mut with_files: HashSet<u32> = seen.clone();
        let chain: HashSet<LogName> = self.log.chain().into_iter().collect();
        for (dir, names) in [(layout.live(), &logs.live), (layout.log(), &logs.sealed)] {
            for name in names.iter().filter(|name| others.has(name.timeline)) {
                with_files.insert(name.timeline.tag);
                let path = dir.join(name.to_string());
                let header = chain::read_header(&disk.env, &path)?;
                let is_ours = header.is_none_or(|h| format!("{:032x}", h.database_id) == self.database_id);
                if !chain.contains(name) && is_ours {
                    gc.paths.push_back(path);
                }
            }
        }
        let base = self.base.lock().expect("no holder of this lock panics").handle.clone();
        for entry in disk.env.fs.list(&layout.base()).map_err(Error::io(&layout.base()))? {
            let Ok(name) = entry.name.parse::<BaseName>() else { continue };
            if others.has(name.timeline) {
                with_files.insert(name.timeline.tag);
                if base.as_ref().is_none_or(|b| b.name != name) {
                    gc.paths.push_back(layout.base().join(&entry.name));
                }
            }
        }
        self.sweep_timeline_files(gc, others, &with_files);
        Ok(())
    }

    /// The file of a timeline goes when nothing of it is left and no history names it.
    fn sweep_timeline_files(&self, gc: &mut GcState, others: &Others, with_files: &HashSet<u32>) {
        let snapshots = self.lock_head().state.snapshots.clone();
        let of_snapshots = snapshots.values().flat_map(|s| s.pin.timelines.iter());
        let named: HashSet<&str> = self.history.files().iter().chain(of_snapshots).map(|f| f.file.as_str()).collect();
        for (tag, id) in &others.0 {
            let file = format!("_timeline/{id}.json");
            if !with_files.contains(tag) && !named.contains(file.as_str()) {
                gc.paths.push_back(self.disk.layout.db().join(file));
            }
        }
    }
}
