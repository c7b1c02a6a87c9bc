//! Restore by `_restore`: plan, validate, publish. Until everything that is to be served is proven whole, nothing is
//! changed; a fault is one sentence and leaves the trigger in place.
//!
//! 1. [`trigger`]: what is asked for; [`choose`]: which snapshot (empty trigger: the only one, or `default`; of one name
//!    the latest cut);
//! 2. [`validate`]: every file that it names, by length and checksum, and the log up to the cut;
//! 3. [`publish`]: a new timeline that leaves the parent at the cut; then the trigger goes, then the served pins.
//!
//! A crash at any step is retried to the right end by the next start. What was in force before stays for a grace time, and
//! [`undo`] goes back to it; [`moment`] goes back to any moment that `log.retention` has kept; [`instance`] asks for a restore
//! without a trigger. Pages: `docs/format/snapshot.md`, `docs/format/timeline.md`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use types::{Seq, TimelineId, TimestampUs};

use crate::catalog::DbState;
use crate::document;
use crate::env::fs::{FileKind, FileSystem};
use crate::layout::{Disk, list_or_none, parse_table_dir};
use crate::log::chain::LogFiles;
use crate::planted::Planted;
use crate::root::{self, Marker};
use crate::snapshot::{Pin, content};
use crate::timeline::{self, LastLog, Parent, TIMELINE_FORMAT_VERSION, Timeline};
use crate::{Error, Result};

pub(crate) mod instance;
pub(crate) mod kept;
pub(crate) mod left_behind;
mod moment;
mod trigger;
mod undo;
mod validate;
mod verify;

pub use trigger::Depth;
use trigger::{Target, Trigger};
pub(crate) use undo::files_of as undo_files;
pub(crate) use validate::{require_plain_path, verify_lengths, verify_tables};
pub(crate) use verify::marker_of_copy;
pub use verify::{Whole, verify};

/// What a restore did, for the operator.
#[derive(Debug, Clone)]
pub struct RestoreReport {
    /// The snapshot that was served, if it was one.
    pub snapshot: Option<String>,
    pub seq: Seq,
    pub timeline: TimelineId,
    /// Sentences to print, in order.
    pub lines: Vec<String>,
}

/// A pin file in `snapshot/`.
pub(crate) struct PinFile {
    pub path: PathBuf,
    pub pin: Pin,
}

impl PinFile {
    /// Returns the name of the file.
    pub fn file_name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Returns whether that is the snapshot's name, or its file's without the ending, which no other cut has.
    pub fn is_called(&self, name: &str) -> bool {
        name == self.pin.name || self.file_name().strip_suffix(".json") == Some(name)
    }
}

/// Where the new timeline is to leave an old one; everything that the state there needs is proven whole.
struct Branch {
    /// The timeline's parent, all but `next_table`.
    parent: Parent,
    /// Time of the last commit that counts.
    time_us: i64,
    state: DbState,
    /// What was served, at the head of a sentence.
    done: String,
    snapshot: Option<String>,
    /// Pin files that go, since no snapshot is open after a restore.
    released: Vec<PathBuf>,
    /// Sentences about what is gone.
    lines: Vec<String>,
}

/// Holds the new timeline and the least log file, with something left.
const ROOM_BYTES: u64 = 256 << 10;

/// How far back a restore may go, and for how long it can be undone.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub grace_us: i64,
    /// How far back every moment is kept; `None`: not at all.
    pub retention_us: Option<i64>,
}

/// Serves the trigger if it is there.
///
/// # Errors
/// [`Error::Refused`] or [`Error::Corrupt`] naming the file and the remedy; nothing was modified.
pub fn run(disk: &Disk, limits: Limits, progress: &dyn Fn(&str)) -> Result<Option<RestoreReport>> {
    let Limits { grace_us, retention_us } = limits;
    if !disk.env.fs.exists(&disk.layout.restore_trigger()).map_err(Error::io(&disk.layout.restore_trigger()))? {
        return Ok(None);
    }
    let marker = identify(disk).map_err(Error::of_copy)?;
    let root = disk.layout.root();
    let whole = disk.env.fs.file_system_of(root).map_err(Error::io(root))?;
    let branch = match trigger::read(disk)? {
        Trigger { target: Target::EndOf(timeline), depth } => {
            undo::validate(disk, &marker, timeline, depth, grace_us, progress).map_err(undo::of_undo)?
        }
        Trigger { target: Target::Moment(moment), depth } => {
            moment::validate(disk, &marker, moment, retention_us, depth, progress).map_err(moment::of_moment)?
        }
        Trigger { target: Target::Snapshot { name, timeline }, depth } => {
            let plan = choose(disk, &marker, name.as_deref(), timeline);
            plan.and_then(|plan| validate(disk, &plan, depth, progress)).map_err(Error::of_copy)?
        }
    };
    publish(disk, &marker, branch, &*whole, grace_us).map(Some)
}

/// Returns whose root this is, which must be ours and no link to another.
fn identify(disk: &Disk) -> Result<Marker> {
    root::refuse_symlink(disk, &disk.layout.db())?;
    let marker = root::read_marker(disk)?;
    if marker.format != root::ROOT_FORMAT_VERSION {
        root::identify(disk)?;
    }
    for path in [disk.layout.marker(), disk.layout.snapshot()] {
        root::refuse_symlink(disk, &path)?;
    }
    Ok(marker)
}

struct Plan {
    chosen: Pin,
    chosen_path: PathBuf,
    pins: Vec<PinFile>,
    /// Why later snapshots are not meant.
    passed_over: Vec<String>,
}

/// Picks the snapshot to serve.
fn choose(disk: &Disk, marker: &Marker, name: Option<&str>, timeline: Option<TimelineId>) -> Result<Plan> {
    let pins = read_pins(disk)?;
    let is_meant = |p: &&PinFile| name.is_none_or(|n| p.is_called(n)) && timeline.is_none_or(|id| id == p.pin.timeline);
    let named: Vec<&PinFile> = pins.iter().filter(is_meant).collect();
    let Some(chosen) = named.iter().max_by_key(|p| order(p)) else {
        return Err(refuse_unknown(disk, &pins, name, timeline));
    };
    let mut names: Vec<&str> = named.iter().map(|p| p.pin.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut passed_over = Vec::new();
    let chosen = match named.iter().filter(|p| p.pin.name == "default").max_by_key(|p| order(p)) {
        Some(default) if names.len() > 1 && name.is_none() => {
            match not_copied(disk, named.iter().filter(|p| order(p) > order(default)))? {
                Some(lines) => {
                    passed_over = lines;
                    default
                }
                None => chosen,
            }
        }
        _ => chosen,
    };
    if names.len() > 1 && chosen.pin.name != "default" {
        return Err(Error::Refused(format!(
            "snapshot/ holds several snapshots ({}): write snapshot=<name> into {}",
            names.join(", "),
            disk.layout.restore_trigger().display()
        )));
    }
    let (chosen, chosen_path) = (chosen.pin.clone(), chosen.path.clone());
    if chosen.database_id != marker.database_id {
        return Err(Error::corrupt(&chosen_path, "the snapshot is of another database than db/_stillpoint"));
    }
    Ok(Plan { chosen, chosen_path, pins, passed_over })
}

/// Of two snapshots the later one is greater.
fn order(found: &PinFile) -> (u32, Seq, bool) {
    (found.pin.timeline.number, found.pin.seq, found.pin.settled.is_some())
}

/// Says what of each snapshot is not there: they were taken while the copy was being made. None when one may be meant: it is whole, or
/// damaged.
fn not_copied<'a>(disk: &Disk, later: impl Iterator<Item = &'a &'a PinFile>) -> Result<Option<Vec<String>>> {
    let mut lines = Vec::new();
    for PinFile { path, pin } in later {
        let missing = prove(disk, pin, path, Depth::Fast, &|_| {}).err().and_then(|error| missing_file(disk, &error));
        let Some(missing) = missing else { return Ok(None) };
        let (name, missing) = (&pin.name, missing.display());
        lines.push(format!(
            "snapshot {name} was taken while this copy was being made and is not in it: {missing} is missing"
        ));
    }
    Ok(Some(lines))
}

/// Returns the file that an error is about where it is not there.
pub(super) fn missing_file(disk: &Disk, error: &Error) -> Option<PathBuf> {
    let (Error::Corrupt { file: path, .. } | Error::Io { path, .. }) = error else { return None };
    matches!(disk.env.fs.exists(path), Ok(false)).then(|| path.clone())
}

fn refuse_unknown(disk: &Disk, pins: &[PinFile], name: Option<&str>, timeline: Option<TimelineId>) -> Error {
    let trigger = disk.layout.restore_trigger();
    let wanted = name.unwrap_or("default");
    if pins.is_empty() {
        return Error::Refused(format!(
            "{} asks for a restore, but there is no snapshot/{wanted} in {}: put a whole copy of a root in its place \
             (taken between SNAPSHOT PREPARE and SNAPSHOT COMPLETE), or remove _restore to start without restoring",
            trigger.display(),
            disk.layout.root().display()
        ));
    }
    let mut there: Vec<String> =
        pins.iter().map(|p| format!("{} (seq {} on timeline {})", p.pin.name, p.pin.seq, p.pin.timeline)).collect();
    there.sort();
    let on = timeline.map(|id| format!(" on timeline {id}")).unwrap_or_default();
    Error::Refused(format!(
        "{} asks for a restore, but there is no snapshot/{wanted}{on} in {}, which holds {}: name one of these, or remove \
         _restore to start without restoring",
        trigger.display(),
        disk.layout.root().display(),
        there.join(", ")
    ))
}

/// Reads every pin in `snapshot/`; a damaged one is refused, because it may be the one that is meant.
pub(crate) fn read_pins(disk: &Disk) -> Result<Vec<PinFile>> {
    let entries = list_or_none(disk, &disk.layout.snapshot())?;
    let mut pins = Vec::new();
    for entry in entries.iter().filter(|e| crate::snapshot::is_pin_name(&e.name)) {
        let path = disk.layout.snapshot().join(&entry.name);
        if entry.kind != FileKind::File {
            return Err(Error::corrupt(&path, "is not a plain file; copy the snapshot again"));
        }
        let pin: Pin = document::read(&disk.env, &path).map_err(|e| match e {
            Error::Corrupt { file, detail } => {
                Error::Corrupt { file, detail: format!("{detail}; the copy is not whole, use another copy") }
            }
            other => other,
        })?;
        if !(1..=crate::snapshot::pin::PIN_FORMAT_VERSION).contains(&pin.format) {
            return Err(Error::Refused(format!(
                "{} has format {}, this server reads {}: start it with the newer server that wrote it",
                path.display(),
                pin.format,
                crate::snapshot::pin::PIN_FORMAT_VERSION
            )));
        }
        pins.push(PinFile { path, pin });
    }
    Ok(pins)
}

/// Proves that everything that the chosen pin names is there, byte for byte.
fn validate(disk: &Disk, plan: &Plan, depth: Depth, progress: &dyn Fn(&str)) -> Result<Branch> {
    let (pin, path) = (&plan.chosen, &*plan.chosen_path);
    let (state, kept, mut lines) = if disk.has(Planted::PublishBeforeValidation) {
        (DbState::default(), Vec::new(), Vec::new())
    } else {
        let state = prove(disk, pin, path, depth, progress)?;
        let pins: Vec<&Pin> = plan.pins.iter().map(|found| &found.pin).collect();
        let (kept, gone) = kept::find(disk, pin, path, &state, &pins)?;
        (state, kept, gone)
    };
    let at_cut = |id: &str| state.snapshots.values().any(|s| s.pin.id == id && s.standing().kept);
    let is_told = |id: &String| *id == pin.id || at_cut(id) || kept.contains(id);
    let others = plan.pins.iter().filter(|p| !is_told(&p.pin.id));
    lines.extend(others.map(|PinFile { pin: other, .. }| {
        let why = match other.seq > pin.seq {
            true => "it was taken later than what is restored",
            false => "no snapshot is open after a restore",
        };
        format!("snapshot {} (seq {}) is gone: {why}", other.name, other.seq)
    }));
    lines.extend(plan.passed_over.iter().cloned());
    // Of one that has settled both files may lie there.
    each_once(&mut lines);
    if pin.kept || pin.settled.is_some() {
        let name = &pin.name;
        lines.push(format!("snapshot {name} is what is there now, and no longer kept beside it: SNAPSHOT PREPARE '{name}' KEEP keeps it anew"));
    }
    let released = plan.pins.iter().filter(|p| !kept.contains(&p.pin.id)).map(|p| p.path.clone()).collect();
    let parent = Parent {
        timeline: pin.timeline,
        seq: pin.seq,
        base: pin.settled.clone().or_else(|| pin.base.clone()),
        last_log: Some(LastLog { file: pin.last_log.clone(), used_bytes: pin.last_log_bytes }),
        next_table: 0,
        served_snapshot: Some(pin.id.clone()),
        restored: false,
        kept,
    };
    let done = format!("restored snapshot {}", pin.name);
    Ok(Branch { parent, time_us: pin.created_us, state, done, snapshot: Some(pin.name.clone()), released, lines })
}

/// Leaves of lines that say the same the first.
fn each_once(lines: &mut Vec<String>) {
    let mut told = HashSet::new();
    lines.retain(|line| told.insert(line.clone()));
}

fn prove(disk: &Disk, pin: &Pin, path: &Path, depth: Depth, progress: &dyn Fn(&str)) -> Result<DbState> {
    let state = content::read(disk, pin, path, &|file: &str| require_plain_path(disk, file))?;
    match depth {
        Depth::Full => verify_tables(disk, &state, progress)?,
        Depth::Fast => verify_lengths(disk, &content::files(disk, pin, path, &state)?)?,
    }
    Ok(state)
}

/// Makes the branch the present: from the moment that the timeline is durable, a start recovers the state there.
fn publish(
    disk: &Disk,
    marker: &Marker,
    branch: Branch,
    whole: &dyn FileSystem,
    grace_us: i64,
) -> Result<RestoreReport> {
    require_room(disk)?;
    let Branch { parent, time_us, state, done, snapshot, released, lines: gone } = branch;
    let left = left_behind::look(disk, parent.timeline, parent.seq, time_us);
    let id = TimelineId { number: highest_number(disk)? + 1, tag: disk.env.rng.next_u64() as u32 };
    let seq = parent.seq;
    let next_table = next_table(disk, &state, left.next_table)?;
    let next = Timeline {
        format: TIMELINE_FORMAT_VERSION,
        database_id: marker.database_id.clone(),
        timeline: id,
        created_us: disk.env.clock.now_us(),
        parent: Some(Parent { next_table, ..parent }),
        left: left.timeline,
    };
    root::make_dirs(disk)?;
    // The copy was put here by a tool that synced nothing; what is built on it must not outlive it.
    whole.sync().map_err(Error::io(disk.layout.root()))?;
    timeline::publish(disk, &next)?;
    if disk.has(Planted::ReleaseBeforeTrigger) {
        release(disk, &released)?;
        remove_trigger(disk)?;
    } else {
        remove_trigger(disk)?;
        release(disk, &released)?;
    }
    let (time, tables) = (TimestampUs(time_us), state.tables.len());
    let mut lines = vec![format!("{done} of {time} (seq {seq}, {tables} tables) as timeline {id}")];
    lines.extend(left.sentence);
    lines.extend(left.timeline.map(|left| how_to_undo(disk, left, grace_us)));
    lines.extend(gone);
    Ok(RestoreReport { snapshot, seq, timeline: id, lines })
}

/// Returns what is to be said of the timeline in force when a restore has made it and no start has served it yet: the one that
/// did may have been killed before it told so. Each start that comes to its end begins a log file.
pub fn untold(disk: &Disk, in_force: &Timeline, files: &LogFiles, grace_us: i64) -> Vec<String> {
    let id = in_force.timeline;
    match &in_force.parent {
        Some(parent) if parent.is_of_restore() && files.of_timeline(id).is_empty() => {
            let (from, seq) = (parent.timeline, parent.seq);
            let done = format!(
                "seq {seq} of timeline {from} has been restored as timeline {id}, which this start is the first to serve"
            );
            let left_us = in_force.created_us.saturating_add(grace_us) - disk.env.clock.now_us();
            let undo = in_force.left.filter(|_| left_us > 0).map(|left| how_to_undo(disk, left, left_us));
            std::iter::once(done).chain(undo).collect()
        }
        _ => Vec::new(),
    }
}

fn how_to_undo(disk: &Disk, left: TimelineId, grace_us: i64) -> String {
    match grace_us {
        0 => "restore.grace is 0: it cannot be undone".to_owned(),
        _ => format!(
            "for {} this can be undone: write timeline={} into {} and start again",
            duration(grace_us),
            left.number,
            disk.layout.restore_trigger().display()
        ),
    }
}

/// The start goes on with a file for its log: without room for that it would end with the restore done and told to nobody.
fn require_room(disk: &Disk) -> Result<()> {
    let root = disk.layout.root();
    let free_bytes = disk.env.fs.space(root).map_err(Error::io(root))?.free_bytes;
    if free_bytes >= ROOM_BYTES {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "disk full: {free_bytes} bytes are free in {}, a restore and what the start writes behind it need {ROOM_BYTES}; free space and \
         start again, or remove _restore to start without restoring",
        root.display()
    )))
}

/// A time as an operator says it, rounded down.
pub(crate) fn duration(us: i64) -> String {
    let minutes = us / 60_000_000;
    match minutes {
        0 => format!("{} s", us / 1_000_000),
        1..=119 => format!("{minutes} min"),
        _ => format!("{} h", minutes / 60),
    }
}

/// Removes the files of snapshots that the restore has released. Durable on return.
fn release(disk: &Disk, files: &[PathBuf]) -> Result<()> {
    for path in files {
        disk.env.fs.unlink(path).map_err(Error::io(path))?;
    }
    disk.env.fs.sync_dir(&disk.layout.snapshot()).map_err(Error::io(&disk.layout.snapshot()))
}

fn remove_trigger(disk: &Disk) -> Result<()> {
    let path = disk.layout.restore_trigger();
    let gone = match disk.env.fs.metadata(&path).map(|m| m.kind) {
        Ok(FileKind::Dir) => disk.env.fs.remove_dir(&path),
        // A changed instance id asked for it.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        _ => disk.env.fs.unlink(&path),
    };
    gone.and_then(|()| disk.env.fs.sync_dir(disk.layout.root())).map_err(|e| {
        Error::Refused(format!(
            "{} could not be removed ({e}), so each start would go back to the snapshot again: \
             make it removable and start again",
            path.display()
        ))
    })
}

/// The highest timeline number that any name in the root holds, of damaged and foreign files too.
fn highest_number(disk: &Disk) -> Result<u32> {
    let files = LogFiles::list(disk)?;
    let logs = files.live.iter().chain(&files.sealed).map(|n| n.timeline.number);
    let lines = timeline::list(disk)?.into_iter().map(|t| t.number);
    let entries = list_or_none(disk, &disk.layout.base())?;
    let bases = entries.iter().filter_map(|e| e.name.parse::<crate::layout::BaseName>().ok());
    Ok(logs.chain(lines).chain(bases.map(|b| b.timeline.number)).max().unwrap_or(0))
}

/// A table id above every one that a directory in the root or a timeline ever had.
fn next_table(disk: &Disk, state: &DbState, left: u64) -> Result<u64> {
    let entries = disk.env.fs.list(&disk.layout.db()).map_err(Error::io(&disk.layout.db()))?;
    let seen = entries.iter().filter_map(|e| parse_table_dir(&e.name)).map(|id| id.0 + 1).max().unwrap_or(1);
    Ok(if disk.has(Planted::IdsReused) { state.next_table } else { seen.max(left).max(state.next_table) })
}

#[cfg(test)]
mod tests;
