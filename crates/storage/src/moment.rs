//! Any moment of the last while: with `log.retention`, log and files stay long enough that the database can be shown, or
//! made, as it was at any Seq or time of the *restorable window*.
//!
//! State at a moment = the newest [`anchor`] at or before it and the log from there. [`window`] is what stays for that,
//! [`scan`] how a start finds it again. Why it is so: `docs/adr/0008-moments.md`.

use std::sync::Arc;

use types::{Seq, TimelineId, TimestampUs};

use crate::catalog::DbState;
use crate::database::Database;
use crate::layout::LogName;
use crate::log::chain::{self, ChainEnd, Link, LogFiles};
use crate::read_view::ReadView;
use crate::snapshot::keep::Cut;
use crate::timeline::{History, Timeline};
use crate::{Error, Result};

pub(crate) mod anchor;
pub(crate) mod scan;
pub(crate) mod window;

use anchor::{Anchor, Target, replay_to};

/// A moment of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// After the frame of that Seq.
    Seq(Seq),
    /// After the last commit whose commit time, in microseconds since 1970, is not later.
    Time(i64),
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Moment::Seq(seq) => write!(f, "seq {seq}"),
            Moment::Time(time_us) => TimestampUs(*time_us).fmt(f),
        }
    }
}

/// A part of the restorable window on one timeline: every moment in it can be restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    pub timeline: TimelineId,
    pub from_seq: Seq,
    pub from_us: i64,
    pub to_seq: Seq,
    pub to_us: i64,
    /// Bytes on disk that only these moments need.
    pub bytes: u64,
    /// What lies between it and the stretch before it, when a restore made the timeline.
    pub gap: Option<Gap>,
}

/// A time when a state was in force that a restore has left: no moment of it can be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Commit time of the last frame before it.
    pub from_us: i64,
    /// When the restore was.
    pub to_us: i64,
}

impl Database {
    /// Returns all tables as they were at a moment, which later writes do not change. Everything that it needs stays as long
    /// as it is read.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a moment outside of the restorable window, or in a gap of it, with what can be restored;
    /// [`Error::Corrupt`] naming a file of the log that is damaged.
    pub fn view_at_moment(&self, moment: Moment) -> Result<ReadView> {
        while self.step_scan()? {}
        let newest = self.view();
        let (lease, anchor, target) = self.choose(moment, newest.state())?;
        let replayed = self.links_to(&anchor, target.seq).and_then(|links| {
            let reached = replay_to(&self.disk, &self.history, &anchor, &links, target)?;
            if !reached.met_next && reached.state.seq < target.seq {
                let path = links.last().map_or_else(|| self.disk.layout.log(), |link| link.path.clone());
                let detail = format!("the log ends at seq {}, before seq {}", reached.state.seq, target.seq);
                return Err(Error::corrupt(&path, detail));
            }
            Ok(Arc::new(reached.state))
        });
        let mut gc = self.gc.lock().expect("no holder of the gc lock panics");
        let window = gc.window.as_mut().expect("choose() has found a window");
        match replayed {
            Ok(state) => {
                let used_us = self.disk.env.clock.monotonic_us();
                window.lend(lease, Cut { state: state.clone(), loaded: true, used_us });
                Ok(ReadView::new(state, self.disk.clone()))
            }
            Err(e) => {
                window.give_back(lease);
                Err(e)
            }
        }
    }

    /// Finds where a replay to the moment begins and ends, and keeps what it reads from being removed.
    fn choose(&self, moment: Moment, newest: &DbState) -> Result<(u64, Anchor, Target)> {
        let mut gc = self.gc.lock().expect("no holder of the gc lock panics");
        let window = gc.window.as_mut().ok_or_else(no_window)?;
        let (from_seq, from_us) = window.from();
        let outside = |why: &str| {
            let whole = window_text((from_seq, from_us), (newest.seq, newest.commit_us));
            Err(Error::Invalid(format!("{moment} {why}: {whole}")))
        };
        let target = match moment {
            Moment::Seq(seq) if seq > newest.seq => return outside("is not there yet"),
            Moment::Time(time_us) if time_us > self.disk.env.clock.now_us().max(newest.commit_us) => {
                return outside("is not over yet");
            }
            Moment::Seq(seq) => Target { seq, time_us: None },
            Moment::Time(time_us) => {
                let branch_us = |child, seq| window.branch_us(child, seq);
                Target { seq: last_seq_at(&self.history, time_us, newest.seq, &branch_us)?, time_us: Some(time_us) }
            }
        };
        let is_early = target.seq < from_seq || target.time_us.is_some_and(|time_us| time_us < from_us);
        match window.anchor_for(target).filter(|_| !is_early).cloned() {
            Some(anchor) => Ok((window.lease(anchor.seq), anchor, target)),
            None => outside("is not kept"),
        }
    }

    /// Returns the log files from an anchor's first to the one that holds a Seq; none when that is the anchor's own.
    fn links_to(&self, anchor: &Anchor, seq: Seq) -> Result<Vec<Link>> {
        let files = LogFiles::list(&self.disk)?;
        let end = self.log_end(&files, seq)?;
        if anchor::is_before(end.name, anchor.log) {
            // The anchor is the moment: its log begins with the next frame.
            return Ok(Vec::new());
        }
        chain::links(&self.disk, &files, self.database_number(), end, Some(anchor.log))
    }

    /// Returns the log file that holds a Seq, with its end if another one follows it.
    fn log_end(&self, files: &LogFiles, seq: Seq) -> Result<ChainEnd> {
        let names: Vec<(LogName, Seq)> = {
            let gc = self.gc.lock().expect("no holder of the gc lock panics");
            let older = gc.window.iter().flat_map(|window| window.logs());
            older.chain(self.log.chain_with_seqs()).collect()
        };
        let after = names.partition_point(|(_, first)| *first <= seq).max(1);
        let name = names[after - 1].0;
        let mut end = ChainEnd { name, end: None };
        // A file whose header is not written yet is not there: the one before it is the newest.
        if let Some(path) = names.get(after).and_then(|(next, _)| files.path(&self.disk, *next))
            && let Some(next) = chain::read_header(&self.disk.env, &path)?
        {
            end.end = next.predecessor.filter(|p| p.name == name).map(|p| (p.used_bytes, p.last_seq));
        }
        Ok(end)
    }

    /// Returns the moments that can be restored, oldest first: one stretch for each timeline. None while `log.retention` is
    /// off.
    ///
    /// # Errors
    /// Of the disk, after a start: what former runs left is looked through first.
    pub fn restore_window(&self) -> Result<Vec<Stretch>> {
        while self.step_scan()? {}
        let newest = self.view();
        let gc = self.gc.lock().expect("no holder of the gc lock panics");
        let Some(window) = &gc.window else { return Ok(Vec::new()) };
        let (from_seq, from_us) = window.from();
        let mut stretches = Vec::new();
        let (mut to_seq, mut to_us) = (newest.seq(), newest.state().commit_us);
        for (line, _) in self.history.lines() {
            let parent = line.parent.as_ref().filter(|parent| parent.seq >= from_seq);
            let (from_seq, from_us) = parent.map_or((from_seq, from_us), |p| (p.seq.next(), line.created_us));
            if from_seq > to_seq {
                // Nothing was committed on it yet: it shows what the restore has made.
                to_us = to_us.max(from_us);
            }
            let bytes = window.bytes_between(from_seq.min(to_seq), to_seq);
            let shared_us = |seq| window.branch_us(line.timeline, seq).unwrap_or(line.created_us);
            let restore = parent.filter(|parent| parent.is_of_restore());
            let stretch = Stretch {
                timeline: line.timeline,
                from_seq: from_seq.min(to_seq),
                from_us: from_us.min(to_us),
                to_seq,
                to_us,
                bytes,
                gap: restore.map(|parent| Gap {
                    from_us: in_force_until(&self.history, line, shared_us(parent.seq)),
                    to_us: line.created_us,
                }),
            };
            stretches.push(stretch);
            let Some(parent) = parent else { break };
            (to_seq, to_us) = (parent.seq, shared_us(parent.seq));
        }
        let counted: u64 = stretches.iter().map(|s| s.bytes).sum();
        if let Some(oldest) = stretches.last_mut() {
            // Bases, and what left the state just behind a timeline.
            oldest.bytes += window.bytes().saturating_sub(counted);
        }
        stretches.reverse();
        Ok(stretches)
    }

    /// Returns the bytes on disk that only past moments need.
    pub fn restore_window_bytes(&self) -> u64 {
        let gc = self.gc.lock().expect("no holder of the gc lock panics");
        gc.window.as_ref().map_or(0, |window| window.bytes())
    }

    /// Gives up the oldest moments of the restorable window until about so many bytes are free, for a disk that is nearly
    /// full. Returns how many bytes may go; gc removes them.
    ///
    /// # Errors
    /// Of the disk: the moments behind the newest base are given up by writing another one.
    pub fn give_up_moments(&self, bytes: u64) -> Result<u64> {
        while self.step_scan()? {}
        let mut given = self.give_up_oldest(bytes);
        if given < bytes && self.restore_window_bytes() > 0 {
            self.write_base()?;
            given += self.give_up_oldest(bytes - given);
        }
        Ok(given)
    }

    fn give_up_oldest(&self, bytes: u64) -> u64 {
        let mut gc = self.gc.lock().expect("no holder of the gc lock panics");
        let Some(window) = &mut gc.window else { return 0 };
        let before = window.bytes();
        let freed = window.give_up(bytes);
        let given = before.saturating_sub(window.bytes());
        self.take_freed(&mut gc, freed);
        given
    }

    /// Returns whether the restorable window moves on only with another base.
    pub(crate) fn window_wants_base(&self) -> bool {
        let seq = self.view().seq();
        let gc = self.gc.lock().expect("no holder of the gc lock panics");
        let Some(window) = &gc.window else { return false };
        window.newest().seq < seq && window.wants_base(self.disk.env.clock.now_us())
    }
}

/// Returns the last Seq that may have been the newest at a time: on the timeline that was in force then. `branch_us` tells
/// the commit time of the last frame that a timeline shares with its parent.
///
/// # Errors
/// [`Error::Invalid`] when the timeline that was in force then has been left by a restore.
pub(crate) fn last_seq_at(
    history: &History,
    time_us: i64,
    newest: Seq,
    branch_us: &dyn Fn(TimelineId, Seq) -> Option<i64>,
) -> Result<Seq> {
    let mut last = newest;
    for (line, _) in history.lines() {
        let Some(parent) = line.parent.as_ref().filter(|_| time_us < line.created_us) else { break };
        let shared_us = branch_us(line.timeline, parent.seq);
        let in_force_us = shared_us.map(|shared_us| in_force_until(history, line, shared_us));
        if parent.is_of_restore() && in_force_us.is_some_and(|in_force_us| time_us > in_force_us) {
            return Err(Error::Invalid(format!(
                "{} lies in a gap: a restore at {} went back to seq {} of {}; seq {} is the last moment before it",
                TimestampUs(time_us),
                TimestampUs(line.created_us),
                parent.seq,
                TimestampUs(shared_us.unwrap_or_default()),
                parent.seq
            )));
        }
        last = parent.seq;
    }
    Ok(last)
}

/// Returns the last time of which is known that a child's parent was in force: of the last frame that they share, or of the
/// parent's begin where nothing was committed on it.
fn in_force_until(history: &History, child: &Timeline, shared_us: i64) -> i64 {
    let parent = history.lines().map(|(line, _)| line).skip_while(|line| line.timeline != child.timeline).nth(1);
    parent.map_or(shared_us, |parent| shared_us.max(parent.created_us)).min(child.created_us.max(shared_us))
}

fn no_window() -> Error {
    Error::Invalid("there is no restorable window: log.retention is 0; with 7d every moment of a week stays".to_owned())
}

/// Says between which frames, each with its commit time, the moments lie that can be restored.
pub(crate) fn window_text((from_seq, from_us): (Seq, i64), (to_seq, to_us): (Seq, i64)) -> String {
    let (from, to) = (TimestampUs(from_us), TimestampUs(to_us));
    format!("the restorable window begins at {from} (seq {from_seq}) and ends at {to} (seq {to_seq})")
}
