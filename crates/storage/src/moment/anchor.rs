//! Where replaying to a moment begins: [`Anchor`], a base, or the nothing before the first frame. And the replay from
//! there: [`replay_to`].
//!
//! Anchors are found by listing `_base/`, but count only on the history in force, when every file that they name is there
//! and so is the log from their first file on.

use std::collections::HashSet;
use std::path::PathBuf;

use types::Seq;

use crate::base::{self, Base, BaseHandle};
use crate::catalog::DbState;
use crate::layout::{BaseName, Disk, LogName, list_or_none};
use crate::log::chain::{self, Link, LogFrom};
use crate::log::header::FIRST_FRAME_OFFSET;
use crate::recovery::Replay;
use crate::snapshot::FileRef;
use crate::timeline::History;
use crate::{Error, Result};

/// A state on disk from which the log leads on.
#[derive(Debug, Clone)]
pub(crate) struct Anchor {
    pub seq: Seq,
    /// Commit time of that frame; of the nothing before the first, when the database was made.
    pub commit_us: i64,
    /// `None`: nothing, before the first frame.
    pub base: Option<FileRef>,
    /// Where the log begins that a replay reads.
    pub log: LogFrom,
}

impl Anchor {
    /// Returns the nothing before the first frame.
    pub fn nothing(history: &History, first_log: LogName) -> Anchor {
        let created_us = history.lines().last().map_or(0, |(first, _)| first.created_us);
        Anchor { seq: Seq::ZERO, commit_us: created_us, base: None, log: LogFrom::File(first_log) }
    }

    /// Returns the anchor that a base of this run is.
    pub fn of(base: &BaseHandle) -> Anchor {
        Anchor { seq: base.name.seq, commit_us: base.commit_us, base: Some(base.file.clone()), log: base.log }
    }

    /// Returns its state.
    pub fn load(&self, disk: &Disk) -> Result<DbState> {
        match &self.base {
            None => Ok(DbState::default()),
            Some(named) => Ok(base::load(disk, &base::read_named(disk, named)?, named.clone())?.0),
        }
    }

    /// Returns the part of its state that tells which files there are.
    pub fn load_files(&self, disk: &Disk) -> Result<DbState> {
        match &self.base {
            None => Ok(DbState::default()),
            Some(named) => base::load_files(disk, &base::read_named(disk, named)?),
        }
    }
}

/// Returns whether a log file stands before the log that begins there.
pub(crate) fn is_before(name: LogName, log: LogFrom) -> bool {
    match log {
        LogFrom::File(first) => name < first,
        LogFrom::Behind(last) => name <= last,
    }
}

/// Returns the files that a base is made of, with their lengths. Symbol files are none of them: they are part of the state,
/// also of that of moments to which another base leads.
pub(crate) fn files_of(disk: &Disk, base: &BaseHandle) -> Vec<(PathBuf, u64)> {
    named(disk, &base.file, base.table_files.values().map(|(file, _)| file))
}

fn named<'a>(disk: &Disk, base: &'a FileRef, tables: impl Iterator<Item = &'a FileRef>) -> Vec<(PathBuf, u64)> {
    let db = disk.layout.db();
    std::iter::once(base).chain(tables).map(|file| (db.join(&file.file), file.len_bytes)).collect()
}

/// An anchor with the files that a replay from it reads beside the log.
#[derive(Clone)]
pub(crate) struct Found {
    pub anchor: Anchor,
    pub files: Vec<(PathBuf, u64)>,
    pub symbols: Vec<PathBuf>,
}

impl Found {
    fn new(disk: &Disk, anchor: Anchor, files: Vec<(PathBuf, u64)>, symbols: &HashSet<String>) -> Found {
        let db = disk.layout.db();
        Found { anchor, files, symbols: symbols.iter().map(|file| db.join(file)).collect() }
    }
}

/// Returns the anchors that lie in a root on this history and from which these log files lead on, oldest first. The log
/// files are a part of the chain to its end, oldest first.
pub(crate) fn find(disk: &Disk, history: &History, links: &[Link]) -> Result<Vec<Found>> {
    let mut names: Vec<BaseName> =
        list_or_none(disk, &disk.layout.base())?.iter().filter_map(|e| e.name.parse().ok()).collect();
    names.retain(|name| is_on(history, *name));
    let mut found = Vec::new();
    if let Some(first) = links.first().filter(|first| first.header.predecessor.is_none()) {
        found.push(Found::new(disk, Anchor::nothing(history, first.name), Vec::new(), &HashSet::new()));
    }
    for name in names {
        let anchor = base::read(disk, name).and_then(|(base, file)| whole(disk, &base, file, links));
        found.extend(if_whole(anchor)?);
    }
    for (line, _) in history.lines() {
        let Some(named) = line.parent.as_ref().and_then(|parent| parent.base.as_ref()) else { continue };
        let anchor = match named.file.rsplit('/').next().and_then(|name| name.parse::<BaseName>().ok()) {
            None => of_snapshot(disk, named, links),
            // A restore went back to the very Seq of a base of a timeline that it left.
            Some(name) if !is_on(history, name) => {
                base::read_named(disk, named).and_then(|base| whole(disk, &base, named.clone(), links))
            }
            Some(_) => Ok(None),
        };
        found.extend(if_whole(anchor)?);
    }
    found.sort_by_key(|found| found.anchor.seq);
    Ok(found)
}

/// Of what is not whole, or of no version that this server reads, nothing is said: another one is the anchor.
fn if_whole(found: Result<Option<Found>>) -> Result<Option<Found>> {
    match found {
        Err(Error::Corrupt { .. } | Error::Refused(_)) => Ok(None),
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        found => found,
    }
}

/// Returns the anchor that a snapshot's own base is, from which a restore went on.
fn of_snapshot(disk: &Disk, named: &FileRef, links: &[Link]) -> Result<Option<Found>> {
    let (_, base) = base::load(disk, &base::read_named(disk, named)?, named.clone())?;
    let LogFrom::Behind(last) = base.log else { return Ok(None) };
    let next = links.iter().find(|link| !is_before(link.name, base.log));
    if next.is_some_and(|next| next.header.predecessor.is_none_or(|before| before.name != last)) {
        return Ok(None);
    }
    Ok(Some(Found::new(disk, Anchor::of(&base), files_of(disk, &base), &base.symbol_files)))
}

/// Returns the anchor that a base is, if everything is there.
fn whole(disk: &Disk, base: &Base, file: FileRef, links: &[Link]) -> Result<Option<Found>> {
    let files = named(disk, &file, base.tables.iter().filter_map(|t| t.segments.as_ref()));
    let first_log = base.first_log.parse().ok().filter(|first| links.iter().any(|link| link.name == *first));
    let Some(first_log) = first_log else { return Ok(None) };
    let anchor = Anchor { seq: base.seq, commit_us: base.commit_us, base: Some(file), log: LogFrom::File(first_log) };
    let found = Found::new(disk, anchor, files, &base::symbol_files(base.tables.iter()));
    for path in found.files.iter().map(|(path, _)| path).chain(&found.symbols) {
        if !disk.env.fs.exists(path).map_err(Error::io(path))? {
            return Ok(None);
        }
    }
    Ok(Some(found))
}

fn is_on(history: &History, name: BaseName) -> bool {
    history.lines().any(|(line, left)| line.timeline == name.timeline && left.is_none_or(|left| name.seq <= left))
}

/// How far a replay goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// The last frame that may count.
    pub seq: Seq,
    /// The last commit time that may count.
    pub time_us: Option<i64>,
}

impl Target {
    /// Returns whether a replay from the anchor leads there.
    pub fn is_reached_from(&self, anchor: &Anchor) -> bool {
        anchor.seq <= self.seq && self.time_us.is_none_or(|time_us| anchor.commit_us <= time_us)
    }
}

/// What a replay to a target has made.
pub(crate) struct Reached {
    pub state: DbState,
    /// The file of the last frame that counted, and the offset behind that frame; `None` when no log was read.
    pub last_log: Option<(LogName, u64)>,
    /// A frame behind the target was met: nothing is missing before it.
    pub met_next: bool,
}

/// Returns the state that the frames through the target, as far as there are, make of an anchor's; the log files begin with
/// its first.
///
/// # Errors
/// [`Error::Corrupt`] naming what is missing or damaged.
pub(crate) fn replay_to(
    disk: &Disk,
    history: &History,
    anchor: &Anchor,
    links: &[Link],
    target: Target,
) -> Result<Reached> {
    let mut replay = Replay::new(disk, anchor.load(disk)?, history);
    replay.begin()?;
    let (mut last_log, mut met_next) = (None, false);
    let counts = |seq: Seq, commit_us: i64| {
        seq <= target.seq && (seq <= anchor.seq || target.time_us.is_none_or(|time_us| commit_us <= time_us))
    };
    for link in links {
        let used_bytes = chain::read_until(disk, link, |frame| {
            met_next = !counts(frame.seq, frame.commit_us);
            if !met_next {
                replay.frame(frame).map_err(|e| match e {
                    Error::Io { .. } | Error::Corrupt { .. } => e,
                    other => Error::corrupt(&link.path, format!("frame {} does not fit: {other}", frame.seq)),
                })?;
            }
            Ok(!met_next)
        })?;
        if used_bytes > FIRST_FRAME_OFFSET || last_log.is_none() {
            last_log = Some((link.name, used_bytes));
        }
        if met_next {
            break;
        }
    }
    Ok(Reached { state: replay.into_state(), last_log, met_next })
}
