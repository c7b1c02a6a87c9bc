//! Undo of a restore: back to the end of the timeline that it left, to the last commit there that can be read.
//!
//! It is a restore like any other: everything is proven before anything changes, a new timeline goes on from there, and
//! what was in force stays for a grace time of its own. gc holds what it needs: [`crate::gc::left`].

use std::path::PathBuf;

use types::{Seq, TimelineId, TimestampUs};

use super::trigger::Depth;
use super::validate::{require_plain_path, verify_lengths, verify_tables};
use super::{Branch, duration, each_once, kept};
use crate::catalog::DbState;
use crate::document;
use crate::layout::{Disk, list_or_none};
use crate::log::chain::LogFiles;
use crate::planted::Planted;
use crate::recovery::{self, Recovered};
use crate::root::{self, Marker};
use crate::snapshot::{Pin, content, is_pin_name};
use crate::timeline::{self, LastLog, Parent};
use crate::{Error, Result};

/// Proves that the end of a timeline is there, byte for byte.
///
/// # Errors
/// [`Error::Refused`] when no restore left that timeline, or its grace is over; [`Error::Corrupt`] naming what is missing or
/// damaged.
pub fn validate(
    disk: &Disk,
    marker: &Marker,
    timeline: TimelineId,
    depth: Depth,
    grace_us: i64,
    progress: &dyn Fn(&str),
) -> Result<Branch> {
    check_grace(disk, timeline, grace_us)?;
    let layout = &disk.layout;
    for dir in [layout.live(), layout.log(), layout.base(), layout.timeline()] {
        root::refuse_symlink(disk, &dir)?;
    }
    let history = timeline::history_of(disk, timeline)?;
    if history.current().database_id != marker.database_id {
        let path = layout.timeline().join(format!("{timeline}.json"));
        return Err(Error::corrupt(&path, "the timeline is of another database than db/_stillpoint"));
    }
    let files = LogFiles::list(disk)?;
    // Each run begins a log file, which stays at least until the next one: without any the end would be taken for a begin.
    if files.of_timeline(timeline).is_empty() {
        return Err(Error::corrupt(&layout.log(), format!("no log file of timeline {timeline} is there")));
    }
    let database_id = marker.id().unwrap_or_default();
    let found = recovery::recover_end(disk, database_id, &history, &files, progress)?;
    let mut named = files_of(&found);
    named.extend(found.chain.iter().map(|(name, _)| {
        let dir = if files.sealed.contains(name) { "_log" } else { "_live" };
        format!("{dir}/{name}")
    }));
    named.iter().try_for_each(|file| require_plain_path(disk, file))?;
    match depth {
        Depth::Full => verify_tables(disk, &found.state, progress)?,
        Depth::Fast => verify_lengths(disk, &content::table_files(&found.state))?,
    }
    branch(disk, timeline, found)
}

/// Returns the error with what is left to do: what mends a copy does not mend what a restore left behind.
pub fn of_undo(error: Error) -> Error {
    let (file, detail) = match error {
        Error::Corrupt { file, detail } => (file, detail),
        Error::Io { path, source } if source.kind() == std::io::ErrorKind::NotFound => (path, "is missing".to_owned()),
        other => return other,
    };
    let fault = detail.split_once("; ").map_or(detail.as_str(), |(fault, _)| fault);
    let remedy =
        "so the restore cannot be undone: name a snapshot in _restore, or remove it to start without restoring";
    Error::Corrupt { detail: format!("{fault}; {remedy}"), file }
}

/// Refuses a timeline that no restore left, and one whose grace is over.
fn check_grace(disk: &Disk, timeline: TimelineId, grace_us: i64) -> Result<()> {
    let trigger = disk.layout.restore_trigger();
    let now_us = disk.env.clock.now_us();
    let mut left = timeline::left_behind(disk)?;
    left.sort_by_key(|l| l.left_us);
    let is_in_grace = |left_us: i64| now_us < left_us.saturating_add(grace_us);
    match left.iter().rfind(|l| l.timeline == timeline) {
        Some(found) if is_in_grace(found.left_us) => Ok(()),
        Some(found) => Err(Error::Refused(format!(
            "{} asks to go back to the end of timeline {timeline}, which a restore left at {}: that could be undone for {} \
             (restore.grace), now what was on it is no longer kept. Name a snapshot, or remove _restore to start without \
             restoring",
            trigger.display(),
            TimestampUs(found.left_us),
            duration(grace_us)
        ))),
        None => {
            let mut others: Vec<String> =
                left.iter().filter(|l| is_in_grace(l.left_us)).map(|l| l.timeline.to_string()).collect();
            others.dedup();
            let others = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
            Err(Error::Refused(format!(
                "{} asks to go back to the end of timeline {timeline}, which no restore has left with commits on it (those \
                 that can be gone back to: {others}): name one of these or a snapshot, or remove _restore to start \
                 without restoring",
                trigger.display()
            )))
        }
    }
}

/// Returns the files below `db/` that a start reads to recover a state, but the log, and those of its tables.
pub fn files_of(found: &Recovered) -> Vec<String> {
    let mut files: Vec<String> = content::table_files(&found.state).into_iter().map(|(file, _)| file).collect();
    if let Some(base) = &found.base {
        files.push(base.file.file.clone());
        files.extend(base.table_files.values().map(|(file, _)| file.file.clone()));
        files.extend(base.symbol_files.iter().cloned());
    }
    let base_seq = found.base.as_ref().map_or(Seq::ZERO, |base| base.name.seq);
    files.extend(found.state.files_read_after(base_seq).map(|named| named.file.clone()));
    files.sort();
    files.dedup();
    files
}

/// Returns the ids of the kept snapshots of a state that go on, the pin files that go, and sentences about these.
pub fn snapshots_at(disk: &Disk, state: &DbState) -> Result<(Vec<String>, Vec<PathBuf>, Vec<String>)> {
    let mut pins = Vec::new();
    let mut lines = Vec::new();
    let mut released = Vec::new();
    for entry in list_or_none(disk, &disk.layout.snapshot())?.into_iter().filter(|e| is_pin_name(&e.name)) {
        let path = disk.layout.snapshot().join(&entry.name);
        match document::read::<Pin>(&disk.env, &path) {
            Ok(pin) => pins.push((path, pin)),
            Err(e @ Error::Io { .. }) => return Err(e),
            Err(why) => {
                lines.push(format!("a snapshot is gone: {why}"));
                released.push(path);
            }
        }
    }
    let (kept, gone) = kept::find_at_end(disk, state, &pins.iter().map(|(_, pin)| pin).collect::<Vec<_>>());
    let kept = if disk.has(Planted::UndoForgetsKept) { Vec::new() } else { kept };
    lines.extend(gone);
    for (path, pin) in pins.into_iter().filter(|(_, pin)| !kept.contains(&pin.id)) {
        lines.push(format!("snapshot {} (seq {}) is gone: no snapshot is open after a restore", pin.name, pin.seq));
        released.push(path);
    }
    each_once(&mut lines);
    Ok((kept, released, lines))
}

fn branch(disk: &Disk, timeline: TimelineId, found: Recovered) -> Result<Branch> {
    let (kept, released, lines) = snapshots_at(disk, &found.state)?;
    // Behind a snapshot's own base there may be no log at all.
    let last_log = found.predecessor.map(|p| LastLog {
        file: p.name.to_string(),
        used_bytes: if found.chain.is_empty() { p.used_bytes } else { found.used_bytes },
    });
    let parent = Parent {
        timeline,
        seq: found.state.seq,
        base: found.base.as_ref().map(|base| base.file.clone()),
        last_log,
        next_table: 0,
        served_snapshot: None,
        restored: true,
        kept,
    };
    let done = format!("restored the end of timeline {timeline}");
    Ok(Branch { parent, time_us: found.state.commit_us, state: found.state, done, snapshot: None, released, lines })
}
