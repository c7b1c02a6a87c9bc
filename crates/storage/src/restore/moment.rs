//! Restore of a moment: the whole database as it was after a Seq, or after the last commit before a time. The log leads
//! there from an anchor ([`crate::moment`]), as far as `log.retention` has kept both.
//!
//! It is a restore like any other: everything is proven before anything changes, and it can be undone.

use types::{Seq, TimelineId, TimestampUs};

use super::Branch;
use super::trigger::Depth;
use super::undo::snapshots_at;
use super::validate::{require_plain_path, verify_lengths, verify_tables};
use crate::layout::Disk;
use crate::log::chain::{self, ChainEnd, Link, LogFiles};
use crate::moment::anchor::{self, Found, Reached, Target, is_before, replay_to};
use crate::moment::{Moment, last_seq_at, scan, window_text};
use crate::recovery::branch_end;
use crate::root::{self, Marker};
use crate::snapshot::content;
use crate::timeline::{self, History, LastLog, Parent};
use crate::{Error, Result};

/// Proves that the database at a moment is there, byte for byte. `retention_us` is how far back the server that starts there
/// keeps moments; what the window has let go is restored as long as every file of it is there.
///
/// # Errors
/// [`Error::Refused`] for a moment that cannot be restored, with those that can; [`Error::Corrupt`] naming what is missing or
/// damaged.
pub fn validate(
    disk: &Disk,
    marker: &Marker,
    moment: Moment,
    retention_us: Option<i64>,
    depth: Depth,
    progress: &dyn Fn(&str),
) -> Result<Branch> {
    let layout = &disk.layout;
    for dir in [layout.live(), layout.log(), layout.base(), layout.timeline()] {
        root::refuse_symlink(disk, &dir)?;
    }
    if retention_us.is_none() {
        return Err(refused(
            disk,
            moment,
            "log.retention is 0, so no moment is kept: with 7d every one of a week stays",
        ));
    }
    let past = Past::find(disk, marker, moment)?;
    progress("restore: reading the log up to the moment");
    past.prove(depth, progress).map_err(|e| past.explain(e))
}

/// Returns the error with what is left to do: what mends a copy does not bring back what the log needs.
pub fn of_moment(error: Error) -> Error {
    let (file, detail) = match error {
        Error::Corrupt { file, detail } => (file, detail),
        Error::Io { path, source } if source.kind() == std::io::ErrorKind::NotFound => (path, "is missing".to_owned()),
        other => return other,
    };
    let fault = detail.split_once("; ").map_or(detail.as_str(), |(fault, _)| fault);
    let remedy = "so that moment cannot be restored: name another moment or a snapshot in _restore, or remove it to start \
                  without restoring";
    Error::Corrupt { detail: format!("{fault}; {remedy}"), file }
}

/// What a root holds of the past, as far as it is asked for.
struct Past<'a> {
    disk: &'a Disk,
    moment: Moment,
    history: History,
    links: Vec<Link>,
    /// Oldest first.
    anchors: Vec<Found>,
    /// The newest log file is the one that a server wrote to last, so behind its end there was nothing.
    is_whole: bool,
}

impl<'a> Past<'a> {
    fn find(disk: &'a Disk, marker: &Marker, moment: Moment) -> Result<Past<'a>> {
        let files = LogFiles::list(disk)?;
        let history = history_before(disk, moment, &files)?;
        let mut past = Past { disk, moment, history, links: Vec::new(), anchors: Vec::new(), is_whole: true };
        let current = past.history.current();
        if current.database_id != marker.database_id {
            let path = disk.layout.timeline().join(format!("{}.json", current.timeline));
            return Err(Error::corrupt(&path, "the timeline is of another database than db/_stillpoint"));
        }
        let newest = chain::newest(disk, &files, current.timeline)?;
        past.is_whole = newest.is_none_or(|name| files.live.contains(&name));
        let end = newest.map(|name| ChainEnd { name, end: None }).or_else(|| branch_end(&past.history));
        let end = end.ok_or_else(|| past.refused("there is no log in this root"))?;
        past.links = match chain::links_as_far_as_there(disk, &files, marker.id().unwrap_or_default(), end) {
            // A snapshot that was restored needs none of the log before it.
            Err(Error::Corrupt { .. }) if end.end.is_some() => Vec::new(),
            links => links?,
        };
        past.anchors = anchor::find(disk, &past.history, &past.links)?;
        if let Some(newest) = past.links.last_mut().filter(|link| link.end.is_none()) {
            let durable = past.anchors.last().map_or(Seq::ZERO, |found| found.anchor.seq);
            let found = chain::replay(disk, newest, durable, |_| Ok(()))?;
            newest.end = Some((found.used_bytes, found.last_seq));
        }
        Ok(past)
    }

    fn prove(&self, depth: Depth, progress: &dyn Fn(&str)) -> Result<Branch> {
        let (from, reached) = self.reach()?;
        self.require_plain(from, &reached)?;
        match depth {
            Depth::Full => verify_tables(self.disk, &reached.state, progress)?,
            Depth::Fast => verify_lengths(self.disk, &content::table_files(&reached.state))?,
        }
        self.branch(from, reached)
    }

    /// Files of moments before the window are missing because nobody kept them.
    fn explain(&self, error: Error) -> Error {
        let is_missing = match &error {
            Error::Corrupt { .. } => true,
            Error::Io { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
            _ => false,
        };
        let is_early = |(seq, commit_us): (Seq, i64)| match self.moment {
            Moment::Seq(asked) => asked < seq,
            Moment::Time(time_us) => time_us < commit_us,
        };
        if is_missing && self.begin().is_ok_and(is_early) { self.outside("is not kept") } else { error }
    }

    /// Returns the first moment that can be restored, and its commit time.
    fn begin(&self) -> Result<(Seq, i64)> {
        scan::first_moment(self.disk, &self.history, self.anchors.clone(), self.links.clone())
    }

    /// Replays to the moment from the newest anchor before it.
    fn reach(&self) -> Result<(&Found, Reached)> {
        let target = self.target()?;
        let from = self.anchors.iter().rfind(|found| target.is_reached_from(&found.anchor));
        let from = from.ok_or_else(|| self.outside("is not kept"))?;
        let links = self.links.iter().skip_while(|link| is_before(link.name, from.anchor.log));
        let links: Vec<Link> = links.cloned().collect();
        let reached = replay_to(self.disk, &self.history, &from.anchor, &links, target)?;
        if !reached.met_next && (target.time_us.is_none() || !self.is_whole) && reached.state.seq < target.seq {
            return Err(self.outside("is not there"));
        }
        Ok((from, reached))
    }

    fn target(&self) -> Result<Target> {
        match self.moment {
            Moment::Seq(seq) => Ok(Target { seq, time_us: None }),
            Moment::Time(time_us) if time_us > self.disk.env.clock.now_us() => Err(self.outside("is not over yet")),
            Moment::Time(time_us) => {
                let shared_us = |_: TimelineId, seq: Seq| self.commit_us(seq);
                let last = last_seq_at(&self.history, time_us, Seq(u64::MAX), &shared_us);
                let seq = last.map_err(|why| self.refused(&why.to_string()))?;
                Ok(Target { seq, time_us: Some(time_us) })
            }
        }
    }

    /// Returns the commit time of a frame, if it can be read.
    fn commit_us(&self, seq: Seq) -> Option<i64> {
        let of_anchor = self.anchors.iter().find(|found| found.anchor.seq == seq).map(|found| found.anchor.commit_us);
        if of_anchor.is_some() {
            return of_anchor;
        }
        let link = self.links.iter().rfind(|link| link.header.first_seq <= seq)?;
        let mut found = None;
        let read = chain::read_until(self.disk, link, |frame| {
            if frame.seq == seq {
                found = Some(frame.commit_us);
            }
            Ok(frame.seq < seq)
        });
        read.ok().and(found)
    }

    /// Checks that no link leads to what was read, or will be by the start, beside the files of tables.
    fn require_plain(&self, from: &Found, reached: &Reached) -> Result<()> {
        let (disk, db) = (self.disk, self.disk.layout.db());
        let mut files: Vec<String> = reached.state.files_read_after(from.anchor.seq).map(|f| f.file.clone()).collect();
        let links = self.links.iter().filter(|link| !is_before(link.name, from.anchor.log)).map(|link| &link.path);
        let paths = from.files.iter().map(|(path, _)| path).chain(&from.symbols).chain(links);
        files.extend(paths.map(|path| path.strip_prefix(&db).unwrap_or(path).to_string_lossy().into_owned()));
        files.iter().try_for_each(|file| require_plain_path(disk, file))
    }

    /// Returns where the new timeline leaves the one that the last frame stands on.
    fn branch(&self, from: &Found, reached: Reached) -> Result<Branch> {
        let state = reached.state;
        // A child begins behind the Seq that it shares with its parent.
        let on = self.history.lines().find(|(line, _)| line.parent.as_ref().is_none_or(|p| p.seq < state.seq));
        let (line, _) = on.expect("the first timeline has no parent");
        let last_log = reached.last_log.map(|(name, used_bytes)| LastLog { file: name.to_string(), used_bytes });
        // Behind a snapshot's own base there may be no log: the restore of it says where it ended.
        let of_restore = || {
            let mut parents = self.history.restores();
            parents.find(|p| p.base == from.anchor.base).and_then(|p| p.last_log.clone())
        };
        let (kept, released, lines) = snapshots_at(self.disk, &state)?;
        let parent = Parent {
            timeline: line.timeline,
            seq: state.seq,
            base: from.anchor.base.clone(),
            last_log: last_log.or_else(of_restore),
            next_table: 0,
            served_snapshot: None,
            restored: true,
            kept,
        };
        let done = "restored the database as it was after the last commit".to_owned();
        Ok(Branch { parent, time_us: state.commit_us, state, done, snapshot: None, released, lines })
    }

    /// Refuses the moment and says which ones there are.
    fn outside(&self, why: &str) -> Error {
        let last = self.links.last().and_then(|link| link.end).map(|(_, seq)| seq);
        let end = self.anchors.last().map(|found| found.anchor.seq).max(last);
        let ends = end.and_then(|seq| Some((seq, self.commit_us(seq)?)));
        match (self.anchors.is_empty(), self.begin(), ends) {
            (false, Ok(begin), Some(ends)) => self.refused(&format!("it {why}: {}", window_text(begin, ends))),
            (false, Err(e), _) => e,
            _ => self.refused("no base in this root is whole"),
        }
    }

    fn refused(&self, why: &str) -> Error {
        refused(self.disk, self.moment, why)
    }
}

fn refused(disk: &Disk, moment: Moment, why: &str) -> Error {
    let asked = match moment {
        Moment::Seq(seq) => format!("seq={seq}"),
        Moment::Time(time_us) => format!("timestamp={}", TimestampUs(time_us)),
    };
    Error::Refused(format!(
        "{} holds {asked}, but {why}. Name another moment, or remove _restore to start without restoring",
        disk.layout.restore_trigger().display()
    ))
}

/// Returns the history in force, but for restores that were published and never started: this one, tried again, means the
/// same moment as before.
fn history_before(disk: &Disk, moment: Moment, files: &LogFiles) -> Result<History> {
    let none = || refused(disk, moment, "there is no timeline in this root");
    let mut history = timeline::history(disk, files)?.ok_or_else(none)?;
    while history.current().parent.as_ref().is_some_and(Parent::is_of_restore)
        && chain::newest(disk, files, history.current().timeline)?.is_none()
    {
        // Not the parent: a restore to a moment may go back behind the begin of the timeline that is in force.
        history = timeline::history_before(disk, files, history.current().timeline)?.ok_or_else(none)?;
    }
    Ok(history)
}
