//! What former runs left of the restorable window, found by replaying the log's edits: [`Scan`]. It runs behind a start, a
//! log file at a time, and gc removes nothing before it is done.
//!
//! Nothing is kept because it happens to lie there. From an anchor on the log says which files were part of the state and
//! when they left it; a moment counts only if every file that left the state behind it is still there.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use types::{Seq, TimelineId};

use super::anchor::{self, Anchor, Found};
use super::window::Window;
use crate::catalog::{DbState, Garbage};
use crate::database::Database;
use crate::layout::{Disk, LogName, list_or_none};
use crate::log::chain::{self, Link, LogFiles, LogFrom};
use crate::recovery::{Recovered, Replay};
use crate::snapshot::content;
use crate::timeline::History;
use crate::{Error, Result};

/// A look through the log that is under way.
pub(crate) struct Scan {
    /// Where recovery ended: what leaves the state behind it, gc sees itself.
    until: Seq,
    work: Option<Work>,
}

struct Work {
    /// Oldest first; the first one is replayed from.
    anchors: Vec<Found>,
    links: Vec<Link>,
    /// The next file to replay.
    at: usize,
    state: DbState,
    removed: Vec<Left>,
    branches: HashMap<TimelineId, i64>,
}

/// Files that a frame took out of the state.
struct Left {
    seq: Seq,
    commit_us: i64,
    files: Vec<(PathBuf, u64)>,
    dir: Option<PathBuf>,
}

/// Returns the window that begins at what recovery began with, and the look for what is older; `first_log` is the first file
/// that recovery read.
pub(crate) fn begin(
    disk: &Disk,
    history: &History,
    recovered: &Recovered,
    first_log: LogName,
    limits: (i64, Option<u64>),
) -> (Window, Scan) {
    let window = match &recovered.base {
        Some(base) => Window::new(limits, Anchor::of(base), anchor::files_of(disk, base)),
        None => Window::new(limits, Anchor::nothing(history, first_log), Vec::new()),
    };
    (window, Scan { until: recovered.state.seq, work: None })
}

/// Returns the first moment that can be restored from these anchors and these log files, and its commit time.
pub(crate) fn first_moment(
    disk: &Disk,
    history: &History,
    anchors: Vec<Found>,
    links: Vec<Link>,
) -> Result<(Seq, i64)> {
    let mut work = Work::new(anchors, links);
    work.begin(disk)?;
    while work.at < work.links.len() {
        match work.step(disk, history, Seq(u64::MAX)) {
            Err(Error::Corrupt { .. }) => work.restart_behind(disk)?,
            outcome => outcome?,
        }
    }
    work.first_moment(disk)
}

impl Database {
    /// Looks through one more log file for what the restorable window needs. Returns whether there is more to do; with
    /// `log.retention` off there never is.
    pub(crate) fn step_scan(&self) -> Result<bool> {
        let mut slot = self.scan.lock().expect("no scan panics");
        let Some(scan) = slot.as_mut() else { return Ok(false) };
        let Some(work) = &mut scan.work else {
            scan.work = Some(self.begin_scan(scan.until)?);
            return Ok(true);
        };
        if work.at < work.links.len() {
            match work.step(&self.disk, &self.history, scan.until) {
                Err(Error::Corrupt { file, detail }) => {
                    work.restart_behind(&self.disk)?;
                    tracing::warn!("{}: {detail}: no moment before it can be restored", file.display());
                }
                outcome => outcome?,
            }
            return Ok(true);
        }
        if let Some(last) = work.links.last().map(|link| link.name) {
            // The run in which a restore went on from a snapshot has no log of its own yet.
            work.enter_behind(&self.disk, last)?;
        }
        let work = scan.work.take().expect("it was just looked at");
        if let Err(e) = self.finish_scan(&work) {
            scan.work = Some(work);
            return Err(e);
        }
        *slot = None;
        Ok(false)
    }

    /// Chooses where to begin: the newest anchor that is older than the retention, or the oldest there is.
    fn begin_scan(&self, until: Seq) -> Result<Work> {
        let files = LogFiles::list(&self.disk)?;
        // Frames that the start wrote again stand in this run's first file.
        let end = self.log_end(&files, until)?;
        let links = chain::links_as_far_as_there(&self.disk, &files, self.database_number(), end)?;
        let mut anchors = anchor::find(&self.disk, &self.history, &links)?;
        let oldest_us = self.disk.env.clock.now_us().saturating_sub(self.options.log_retention_us.unwrap_or(0));
        let begin = anchors.iter().rposition(|found| found.anchor.commit_us <= oldest_us).unwrap_or(0);
        anchors.drain(..begin);
        let mut work = Work::new(anchors, links);
        work.begin(&self.disk)?;
        Ok(work)
    }

    /// Gives the window what was found.
    fn finish_scan(&self, work: &Work) -> Result<()> {
        let from = work.first_moment(&self.disk)?;
        let mut gc = self.gc.lock().expect("no holder of the gc lock panics");
        let Some(window) = &mut gc.window else { return Ok(()) };
        let begin = work.anchors.iter().rposition(|found| found.anchor.seq <= from.0).unwrap_or(0);
        let known = window.oldest().clone();
        let older: Vec<Found> =
            work.anchors.iter().skip(begin).filter(|found| found.anchor.seq < known.seq).cloned().collect();
        for (child, commit_us) in &work.branches {
            window.add_branch(*child, *commit_us);
        }
        let Some(oldest) = older.first().map(|found| found.anchor.clone()) else {
            // Nothing is older than what recovery began with; but a file may be gone that a moment behind it needs.
            window.begin_at(from);
            return Ok(());
        };
        let (mut logs, mut older_links) = (Vec::new(), Vec::new());
        let behind_begin = work.links.iter().skip_while(|link| anchor::is_before(link.name, oldest.log));
        for link in behind_begin.take_while(|link| anchor::is_before(link.name, known.log)) {
            let len_bytes = self.disk.env.fs.metadata(&link.path).map_err(Error::io(&link.path))?.len_bytes;
            logs.push((link.name, link.header.first_seq, len_bytes));
            older_links.push(link);
        }
        self.link_logs(&older_links)?;
        window.add_older(older, logs);
        window.begin_at(from);
        // What left the state behind the newest base, recovery has seen.
        for left in work.removed.iter().filter(|left| left.seq > oldest.seq && left.seq <= known.seq) {
            window.add_removed(left.seq, left.files.clone(), left.dir.clone());
        }
        Ok(())
    }

    /// Links log files that only `_live/` has, as a power cut may leave them. Names are durable on return.
    fn link_logs(&self, links: &[&Link]) -> Result<()> {
        let (live, log) = (self.disk.layout.live(), self.disk.layout.log());
        let mut linked = false;
        for link in links.iter().filter(|link| link.path.starts_with(&live)) {
            let to = log.join(link.name.to_string());
            match self.disk.env.fs.hard_link(&link.path, &to) {
                Ok(()) => linked = true,
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::io(&to)(e)),
            }
        }
        if linked {
            self.disk.env.fs.sync_dir(&log).map_err(Error::io(&log))?;
        }
        Ok(())
    }
}

/// What is missing is as good as damaged: no moment before it can be restored.
fn of_files(error: Error) -> Error {
    match error {
        Error::Io { path, source } if source.kind() == std::io::ErrorKind::NotFound => {
            Error::corrupt(&path, "is missing")
        }
        other => other,
    }
}

impl Work {
    fn new(anchors: Vec<Found>, links: Vec<Link>) -> Work {
        let (state, removed, branches) = (DbState::default(), Vec::new(), HashMap::new());
        Work { at: links.len(), anchors, links, state, removed, branches }
    }

    /// Begins at the first anchor, if there is one.
    fn begin(&mut self, disk: &Disk) -> Result<()> {
        self.removed.clear();
        self.branches.clear();
        self.at = self.links.len();
        while let Some(first) = self.anchors.first() {
            match first.anchor.load_files(disk).map_err(of_files) {
                Ok(state) => {
                    self.state = state;
                    let log = first.anchor.log;
                    self.at = self.links.partition_point(|link| anchor::is_before(link.name, log));
                    break;
                }
                Err(Error::Corrupt { .. }) => drop(self.anchors.remove(0)),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Begins at the first anchor whose log lies behind a file that is damaged; without one nothing is left to look at.
    fn restart_behind(&mut self, disk: &Disk) -> Result<()> {
        let damaged = self.links[self.at].name;
        self.anchors.retain(|found| anchor::is_before(damaged, found.anchor.log));
        self.begin(disk)
    }

    /// Goes on from the own base of a snapshot where a restore did: later edits name segments that the snapshot wrote when it
    /// settled, of rows that the replayed state has in memory. What that one has and the base lacks left the state there.
    fn enter_behind(&mut self, disk: &Disk, before: LogName) -> Result<()> {
        let began = self.anchors.iter().find(|found| found.anchor.log == LogFrom::Behind(before));
        let Some(Anchor { seq, commit_us, .. }) = began.map(|found| found.anchor.clone()) else { return Ok(()) };
        let state = began.map(|found| found.anchor.load_files(disk)).transpose().map_err(of_files)?.unwrap_or_default();
        let db = disk.layout.db();
        let goes_on: HashSet<String> = content::table_files(&state).into_iter().map(|(file, _)| file).collect();
        let left = content::table_files(&self.state).into_iter().filter(|(file, _)| !goes_on.contains(file));
        let files: Vec<(PathBuf, u64)> = left.map(|(file, len_bytes)| (db.join(file), len_bytes)).collect();
        if !files.is_empty() {
            self.removed.push(Left { seq, commit_us, files, dir: None });
        }
        self.state = state;
        Ok(())
    }

    /// Replays one file.
    fn step(&mut self, disk: &Disk, history: &History, until: Seq) -> Result<()> {
        if let Some(before) = self.links[self.at].header.predecessor {
            self.enter_behind(disk, before.name)?;
        }
        let link = &self.links[self.at];
        let mut replay = Replay::of_files(disk, self.state.clone(), history);
        let mut times: HashMap<Seq, i64> = HashMap::new();
        let ends: HashSet<Seq> = history.lines().filter_map(|(line, _)| Some(line.parent.as_ref()?.seq)).collect();
        chain::read_until(disk, link, |frame| {
            if frame.seq > until {
                return Ok(false);
            }
            let known = replay.removed();
            replay.frame(frame).map_err(|e| match of_files(e) {
                e @ (Error::Io { .. } | Error::Corrupt { .. }) => e,
                other => Error::corrupt(&link.path, format!("frame {} does not fit: {other}", frame.seq)),
            })?;
            if replay.removed() > known || ends.contains(&frame.seq) {
                times.insert(frame.seq, frame.commit_us);
            }
            Ok(true)
        })?;
        let (state, removed) = replay.into_parts();
        self.state = state;
        for (seq, garbage) in removed {
            let dir = match &garbage {
                Garbage::Table(table) => Some(table.path(&disk.layout)),
                _ => None,
            };
            self.removed.push(Left { seq, commit_us: times[&seq], files: garbage.files(&disk.layout), dir });
        }
        for (line, _) in history.lines() {
            let shared = line.parent.as_ref().and_then(|parent| times.get(&parent.seq));
            shared.map(|commit_us| self.branches.insert(line.timeline, *commit_us));
        }
        self.at += 1;
        Ok(())
    }

    /// Returns the first moment behind which nothing is missing that left the state since, and its commit time.
    fn first_moment(&self, disk: &Disk) -> Result<(Seq, i64)> {
        let mut listings: HashMap<PathBuf, HashSet<String>> = HashMap::new();
        let mut from = self.anchors.first().map_or((Seq::ZERO, i64::MIN), |f| (f.anchor.seq, f.anchor.commit_us));
        for left in &self.removed {
            for (path, _) in &left.files {
                let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { continue };
                if !listings.contains_key(dir) {
                    let names = list_or_none(disk, dir)?.into_iter().map(|entry| entry.name).collect();
                    listings.insert(dir.to_owned(), names);
                }
                if left.seq > from.0 && !listings[dir].contains(&*name.to_string_lossy()) {
                    from = (left.seq, left.commit_us);
                }
            }
        }
        Ok(from)
    }
}
