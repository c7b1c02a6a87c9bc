//! Restore by `_restore`: plan, validate, publish. Until everything that the snapshot names is proven whole, nothing
//! is changed; a fault is one sentence and leaves the trigger in place.
//!
//! 1. [`choose`]: which snapshot (empty trigger: the only one, or `default`; of one name the latest cut);
//! 2. [`validate`]: every file that it names, by length and checksum, and the log up to the cut;
//! 3. [`publish`]: a new timeline that leaves the parent at the cut; then the trigger goes, then the served pins.
//!
//! A crash at any step is retried to the right end by the next start. Page: `docs/format/snapshot.md`.

use std::path::PathBuf;

use types::{Seq, TimelineId, TimestampUs};

use crate::catalog::DbState;
use crate::document;
use crate::env::fs::FileKind;
use crate::layout::{Disk, list_or_none, parse_table_dir};
use crate::log::chain::LogFiles;
use crate::planted::Planted;
use crate::root::{self, Marker};
use crate::snapshot::{Pin, content};
use crate::timeline::{self, LastLog, Parent, TIMELINE_FORMAT_VERSION, Timeline};
use crate::{Error, Result};

mod kept;
mod left_behind;
mod verify;

pub use verify::verify;

/// What a restore did, for the operator.
#[derive(Debug, Clone)]
pub struct RestoreReport {
    pub snapshot: String,
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

/// Serves the trigger if it is there.
///
/// # Errors
/// [`Error::Refused`] or [`Error::Corrupt`] naming the file and the remedy; nothing was modified.
pub fn run(disk: &Disk, progress: &dyn Fn(&str)) -> Result<Option<RestoreReport>> {
    if !disk.env.fs.exists(&disk.layout.restore_trigger()).map_err(Error::io(&disk.layout.restore_trigger()))? {
        return Ok(None);
    }
    let plan = choose(disk)?;
    if disk.has(Planted::PublishBeforeValidation) {
        let unproven = Valid { state: DbState::default(), kept: Vec::new(), gone: Vec::new() };
        return publish(disk, &plan, &unproven).map(Some);
    }
    let valid = validate(disk, &plan, progress)?;
    publish(disk, &plan, &valid).map(Some)
}

/// How much of a snapshot's files is read before it is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// Every byte.
    Full,
    /// Whether they are there in their lengths; bytes are compared when they are first used.
    Fast,
}

/// What the trigger asks for.
struct Wanted {
    snapshot: Option<String>,
    depth: Depth,
}

struct Plan {
    marker: Marker,
    depth: Depth,
    chosen: Pin,
    chosen_path: PathBuf,
    pins: Vec<PinFile>,
}

/// Picks the snapshot to serve.
fn choose(disk: &Disk) -> Result<Plan> {
    root::refuse_symlink(disk, &disk.layout.db())?;
    let marker = root::read_marker(disk)?;
    if marker.format != root::ROOT_FORMAT_VERSION {
        root::identify(disk)?;
    }
    root::refuse_symlink(disk, &disk.layout.snapshot())?;
    let trigger =
        disk.env.fs.read(&disk.layout.restore_trigger()).map_err(Error::io(&disk.layout.restore_trigger()))?;
    let Wanted { snapshot: wanted, depth } = parse_trigger(disk, &trigger)?;
    let pins = read_pins(disk)?;
    let named: Vec<&PinFile> = pins.iter().filter(|p| wanted.as_ref().is_none_or(|name| *name == p.pin.name)).collect();
    let Some(chosen) = named.iter().max_by_key(|p| (p.pin.timeline.number, p.pin.seq, p.pin.settled.is_some())) else {
        let name = wanted.as_deref().unwrap_or("default");
        return Err(Error::Refused(format!(
            "{} asks for a restore, but there is no snapshot/{name} in {}: put a whole copy of a root in its place \
             (taken between SNAPSHOT PREPARE and SNAPSHOT COMPLETE), or remove _restore to start without restoring",
            disk.layout.restore_trigger().display(),
            disk.layout.root().display()
        )));
    };
    let mut names: Vec<&str> = named.iter().map(|p| p.pin.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
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
    Ok(Plan { marker, depth, chosen, chosen_path, pins })
}

/// Returns what the trigger asks for.
fn parse_trigger(disk: &Disk, bytes: &[u8]) -> Result<Wanted> {
    let text = String::from_utf8_lossy(bytes);
    let mut wanted = Wanted { snapshot: None, depth: Depth::Full };
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        match line.split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
            Some(("snapshot", name)) => wanted.snapshot = Some(name.to_owned()),
            Some(("verify", "full")) => wanted.depth = Depth::Full,
            Some(("verify", "fast")) => wanted.depth = Depth::Fast,
            _ => {
                return Err(Error::Refused(format!(
                    "{} holds {line:?}, which this server does not understand: leave it empty, or write snapshot=<name>, \
                     verify=full or verify=fast",
                    disk.layout.restore_trigger().display()
                )));
            }
        }
    }
    Ok(wanted)
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

struct Valid {
    /// State at the cut.
    state: DbState,
    /// Ids of the kept snapshots at the cut that are whole.
    kept: Vec<String>,
    /// Sentences about those that are not.
    gone: Vec<String>,
}

/// Proves that everything that the pin names is there, byte for byte.
fn validate(disk: &Disk, plan: &Plan, progress: &dyn Fn(&str)) -> Result<Valid> {
    let check = |file: &str| require_plain_path(disk, file);
    let state = content::read(disk, &plan.chosen, &plan.chosen_path, &check)?;
    match plan.depth {
        Depth::Full => verify_tables(disk, &state, progress)?,
        Depth::Fast => verify_lengths(disk, &content::files(disk, &plan.chosen, &plan.chosen_path, &state)?)?,
    }
    let pins: Vec<&Pin> = plan.pins.iter().map(|found| &found.pin).collect();
    let (kept, gone) = kept::find(disk, &plan.chosen, &plan.chosen_path, &state, &pins)?;
    Ok(Valid { state, kept, gone })
}

/// Looks whether files below `db/` are there in these lengths.
fn verify_lengths(disk: &Disk, files: &[(String, u64)]) -> Result<()> {
    for (file, len_bytes) in files {
        require_plain_path(disk, file)?;
        let path = disk.layout.db().join(file);
        let found = disk.env.fs.metadata(&path).map_err(Error::io(&path))?.len_bytes;
        if found != *len_bytes {
            return Err(Error::corrupt(&path, format!("{found} bytes long, {len_bytes} were written")));
        }
    }
    Ok(())
}

/// Reads every segment and symbol file whole.
fn verify_tables(disk: &Disk, state: &DbState, progress: &dyn Fn(&str)) -> Result<()> {
    let mut tables: Vec<_> = state.tables.iter().collect();
    tables.sort_by_key(|t| t.id);
    let total = tables.len();
    for (i, table) in tables.into_iter().enumerate() {
        let dir = table.path(&disk.layout);
        for segment in table.segments.values().flatten() {
            require_plain_path(disk, &format!("{}/{}", table.dir, segment.meta().file))?;
            crate::segment::verify_whole(&disk.env, &dir.join(&segment.meta().file), segment.meta())?;
            if let Some(dead) = &segment.meta().dead {
                require_plain_path(disk, &format!("{}/{}", table.dir, dead.file))?;
                segment.dead()?;
            }
        }
        for file in table.symbols.values().flat_map(|s| s.files.iter()) {
            require_plain_path(disk, &format!("{}/{}", table.dir, file.file))?;
            crate::symbols::file::verify_whole(&disk.env, &dir.join(&file.file), file)?;
        }
        progress(&format!("restore: verified table {} ({} of {total})", table.name, i + 1));
    }
    Ok(())
}

/// Checks that each step of a path below `db` is a directory and the last one a file, none of them a link.
pub(crate) fn require_plain_path(disk: &Disk, relative: &str) -> Result<()> {
    let mut path = disk.layout.db();
    let mut steps = relative.split('/').peekable();
    while let Some(step) = steps.next() {
        if step.is_empty() || step == "." || step == ".." {
            return Err(Error::corrupt(&path, format!("a document names an unsafe path: {relative:?}")));
        }
        path.push(step);
        let wanted = if steps.peek().is_some() { FileKind::Dir } else { FileKind::File };
        match disk.env.fs.metadata(&path) {
            Ok(m) if m.kind == wanted => {}
            Ok(m) if m.kind == FileKind::Symlink => root::refuse_symlink(disk, &path)?,
            Ok(_) => return Err(Error::corrupt(&path, "is not what the snapshot names; use another copy")),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::corrupt(&path, "is missing, the snapshot needs it; copy again or use another copy"));
            }
            Err(e) => return Err(Error::io(&path)(e)),
        }
    }
    Ok(())
}

/// Makes the cut the present: from the moment that the timeline is durable, a start recovers the cut.
fn publish(disk: &Disk, plan: &Plan, valid: &Valid) -> Result<RestoreReport> {
    let pin = &plan.chosen;
    let left = left_behind::sentence(disk, pin);
    let id = TimelineId { number: highest_number(disk)? + 1, tag: disk.env.rng.next_u64() as u32 };
    let parent = Parent {
        timeline: pin.timeline,
        seq: pin.seq,
        base: pin.settled.clone().or_else(|| pin.base.clone()),
        last_log: Some(LastLog { file: pin.last_log.clone(), used_bytes: pin.last_log_bytes }),
        next_table: next_table(disk, &valid.state)?,
        served_snapshot: Some(pin.id.clone()),
        kept: valid.kept.clone(),
    };
    let next = Timeline {
        format: TIMELINE_FORMAT_VERSION,
        database_id: plan.marker.database_id.clone(),
        timeline: id,
        created_us: disk.env.clock.now_us(),
        parent: Some(parent),
    };
    root::make_dirs(disk)?;
    // The copy was put here by a tool that synced nothing; what is built on it must not outlive it.
    disk.env.fs.sync_file_system(disk.layout.root()).map_err(Error::io(disk.layout.root()))?;
    timeline::publish(disk, &next)?;
    if disk.has(Planted::ReleaseBeforeTrigger) {
        release(disk, plan, valid)?;
        remove_trigger(disk)?;
    } else {
        remove_trigger(disk)?;
        release(disk, plan, valid)?;
    }
    let mut lines = vec![format!(
        "restored snapshot {} of {} (seq {}, {} tables) as timeline {id}",
        pin.name,
        TimestampUs(pin.created_us),
        pin.seq,
        valid.state.tables.len()
    )];
    lines.extend(left);
    lines.extend(valid.gone.iter().cloned());
    let at_cut = |id: &str| valid.state.snapshots.values().any(|s| s.pin.id == id && s.standing().kept);
    let is_told = |id: &String| *id == pin.id || at_cut(id) || valid.kept.contains(id);
    let others = plan.pins.iter().filter(|p| !is_told(&p.pin.id));
    lines.extend(
        others.map(|p| {
            format!("snapshot {} (seq {}) is gone: no snapshot is open after a restore", p.pin.name, p.pin.seq)
        }),
    );
    Ok(RestoreReport { snapshot: pin.name.clone(), seq: pin.seq, timeline: id, lines })
}

/// Removes the files of all snapshots but the kept ones: after a restore none is open. Durable on return.
fn release(disk: &Disk, plan: &Plan, valid: &Valid) -> Result<()> {
    for pin in plan.pins.iter().filter(|p| !valid.kept.contains(&p.pin.id)) {
        disk.env.fs.unlink(&pin.path).map_err(Error::io(&pin.path))?;
    }
    disk.env.fs.sync_dir(&disk.layout.snapshot()).map_err(Error::io(&disk.layout.snapshot()))
}

fn remove_trigger(disk: &Disk) -> Result<()> {
    let path = disk.layout.restore_trigger();
    let gone = match disk.env.fs.metadata(&path).map(|m| m.kind) {
        Ok(FileKind::Dir) => disk.env.fs.remove_dir(&path),
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
fn next_table(disk: &Disk, state: &DbState) -> Result<u64> {
    let entries = disk.env.fs.list(&disk.layout.db()).map_err(Error::io(&disk.layout.db()))?;
    let seen = entries.iter().filter_map(|e| parse_table_dir(&e.name)).map(|id| id.0 + 1).max().unwrap_or(1);
    Ok(if disk.has(Planted::IdsReused) { state.next_table } else { seen.max(state.next_table) })
}
