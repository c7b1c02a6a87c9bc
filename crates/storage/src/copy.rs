//! A snapshot's files, and nothing else, into a directory or a tar stream: [`Plan`], [`to_directory`], [`tar::to_tar`].
//!
//! 1. [`plan`]: what the snapshot names, each file with the checksum that the database knows of it;
//! 2. [`target`]: where it goes. A file is written as `NAME.partial`, its bytes are compared on the way, it is synced
//!    (many at once, while the disk is at work on them) and only then gets its name: so whatever has its name and its length is
//!    whole, and a copy that was killed goes on;
//! 3. the pin last: without it there is nothing to restore, and with it everything is there;
//! 4. [`prune`], when asked: what no snapshot of the directory names any more goes.
//!
//! [`into_root`]: the same back into a root, which is then restored.
//!
//! Never changes the source, and starts no thread: the caller says how two workers run. Page: `docs/format/snapshot.md`.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use types::{Seq, TimestampUs};

use crate::env::Env;
use crate::layout::{Disk, Layout};
use crate::{Error, Result};

pub(crate) mod into_root;
mod plan;
mod prune;
mod room;
mod tar;
mod target;

pub use into_root::{Facts, Found, IntoRoot, Restored, Wish};
pub use plan::{Kept, Plan};
pub use tar::to_tar;

use plan::Along;
use target::{Brought, Held, Target};

/// How files get into a directory.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// Hard links in place of bytes where both lie on one file system.
    pub link: bool,
    /// Files of an earlier copy are read and compared, not only measured.
    pub verify: bool,
    /// Earlier snapshots of the same name go from the directory, and files that no snapshot there names.
    pub prune: bool,
}

/// Who looks on.
pub struct Watch<'a> {
    /// Told of each piece, from any worker.
    pub progress: &'a (dyn Fn(Progress) + Sync),
    /// Set from outside: the copy ends at the next piece.
    pub stop: &'a AtomicBool,
}

impl Watch<'_> {
    fn check(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::Unavailable("the copy was stopped; run it again, it goes on where it was".to_owned()));
        }
        Ok(())
    }
}

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    pub done_bytes: u64,
    pub total_bytes: u64,
    pub done_files: u64,
    pub total_files: u64,
}

/// What a copy did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    pub snapshot: String,
    pub seq: Seq,
    pub created_us: i64,
    pub tables: usize,
    /// Other snapshots of the source that a restore of this one would go on with.
    pub kept: Kept,
    /// Names of those of them that were completed while they were copied.
    pub gone: Vec<String>,
    /// Files of the snapshot, its pin among them.
    pub files: u64,
    pub bytes: u64,
    /// Files that were not there, however they came.
    pub new_files: u64,
    pub new_bytes: u64,
    /// Of these, files that came without their bytes being written.
    pub cloned_files: u64,
    pub linked_files: u64,
    pub removed_files: u64,
    pub removed_bytes: u64,
}

impl Report {
    fn begin(plan: &Plan) -> Report {
        Report {
            snapshot: plan.found.pin.name.clone(),
            seq: plan.found.pin.seq,
            created_us: plan.found.pin.created_us,
            tables: plan.state.tables.len(),
            kept: plan.kept,
            files: plan.total_files() as u64,
            bytes: plan.total_bytes(),
            ..Report::default()
        }
    }

    /// Returns the sentences for the operator.
    pub fn lines(&self) -> Vec<String> {
        let mut line = format!(
            "snapshot {} of {} (seq {}, {} tables): new {} bytes in {} files, {} files were there",
            self.snapshot,
            TimestampUs(self.created_us),
            self.seq,
            self.tables,
            self.new_bytes,
            self.new_files,
            self.files - self.new_files
        );
        for (count, how) in [(self.cloned_files, "share their blocks"), (self.linked_files, "are hard links")] {
            if count > 0 {
                line.push_str(&format!(", {count} {how}"));
            }
        }
        let mut lines = vec![line];
        let Kept { along, left_out } = self.kept;
        if along > 0 {
            lines.push(format!("{along} kept snapshots went along"));
        }
        if left_out > 0 {
            lines.push(format!("{left_out} kept snapshots did not go along (--kept copies those that are whole)"));
        }
        for name in &self.gone {
            lines.push(format!("kept snapshot {name} was completed while it was copied: it did not go along"));
        }
        if self.removed_files > 0 {
            lines.push(format!("removed {} bytes in {} files", self.removed_bytes, self.removed_files));
        }
        lines
    }
}

/// What has been done so far, by all workers.
struct Tally<'a> {
    watch: &'a Watch<'a>,
    total: Progress,
    done_bytes: AtomicU64,
    done_files: AtomicU64,
    report: Mutex<Report>,
}

impl<'a> Tally<'a> {
    fn new(plan: &Plan, watch: &'a Watch<'a>) -> Tally<'a> {
        let report = Report::begin(plan);
        let total = Progress { total_bytes: report.bytes, total_files: report.files, ..Progress::default() };
        Tally { watch, total, done_bytes: AtomicU64::new(0), done_files: AtomicU64::new(0), report: Mutex::new(report) }
    }

    /// Counts bytes of a file.
    ///
    /// # Errors
    /// When the copy is to stop.
    fn bytes(&self, count: u64) -> Result<()> {
        self.done_bytes.fetch_add(count, Ordering::Relaxed);
        self.tell();
        self.watch.check()
    }

    fn file(&self, len_bytes: u64, how: Brought) {
        self.done_files.fetch_add(1, Ordering::Relaxed);
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        if how != Brought::WasThere {
            report.new_files += 1;
            report.new_bytes += len_bytes;
        }
        report.cloned_files += u64::from(how == Brought::Cloned);
        report.linked_files += u64::from(how == Brought::Linked);
        drop(report);
        self.tell();
    }

    /// Counts kept snapshots that did not stay as long as the copy took.
    fn left_out(&self, gone: &[&Along]) {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.kept.along -= gone.len();
        report.kept.left_out += gone.len();
        report.gone = gone.iter().map(|gone| gone.name.clone()).collect();
    }

    fn tell(&self) {
        (self.watch.progress)(Progress {
            done_bytes: self.done_bytes.load(Ordering::Relaxed),
            done_files: self.done_files.load(Ordering::Relaxed),
            ..self.total
        });
    }

    fn into_report(self) -> Report {
        self.report.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses a directory that [`to_directory`] would refuse, before there is a snapshot. Nothing is changed.
///
/// # Errors
/// [`Error::Refused`] when there is no database in the root, or the directory holds something else than its copies.
pub fn refuse_target(env: &Env, root: &Path, directory: &Path) -> Result<()> {
    let source = Disk { env: env.clone(), layout: Layout::new(root), planted: None };
    let database_id = crate::restore::marker_of_copy(&source)?.database_id;
    target::refuse_target(&Disk { layout: Layout::new(directory), ..source.clone() }, root, &database_id)
}

/// Returns a sentence for the operator when the disk of a directory seems to have no room for what [`to_directory`] would bring.
pub fn lacking(plan: &Plan, directory: &Path) -> Result<Option<String>> {
    let target = Disk { layout: Layout::new(directory), ..plan.disk.clone() };
    Ok(room::Room::of(plan, &target)?.lacking(&target))
}

/// Copies a snapshot into a directory that is empty, or holds earlier copies of the same database. Durable when this
/// returns; a root then, on which a start with `_restore` restores the snapshot.
///
/// # Errors
/// [`Error::Refused`] when the directory holds something else, [`Error::Corrupt`] naming a file of the source that is not what
/// was written, [`Error::Unavailable`] when the disk is full or the copy was stopped: what is there stays and is not sent again.
pub fn to_directory(plan: &Plan, directory: &Path, how: &How, watch: &Watch<'_>) -> Result<Report> {
    let tally = Tally::new(plan, watch);
    let target = Target::open(plan, directory, *how)?;
    let outcome = fill(plan, &target, &tally);
    outcome.map_err(|error| explain_full(error, &tally, directory))?;
    let mut report = tally.into_report();
    if how.prune {
        (report.removed_files, report.removed_bytes) = prune::prune(&target, plan)?;
    }
    Ok(report)
}

/// Brings every file and, when all are there, the pin.
fn fill(plan: &Plan, target: &Target<'_>, tally: &Tally<'_>) -> Result<()> {
    target.make_dirs()?;
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let first_error = Mutex::new(None);
    let work = || {
        let mut held = Held::default();
        let mut outcome = Ok(());
        while outcome.is_ok()
            && !failed.load(Ordering::Relaxed)
            && let Some(file) = plan.files.get(next.fetch_add(1, Ordering::Relaxed))
        {
            outcome = target.bring(file, &mut held, tally);
        }
        // What is whole stays, also when another file failed.
        let settled = target.settle(&mut held, tally);
        if let Err(error) = outcome.and(settled) {
            failed.store(true, Ordering::Relaxed);
            first_error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
    };
    (plan.disk.env.join)(&work, &work);
    if let Some(error) = first_error.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let gone = plan.without(&target.lost());
    tally.left_out(&gone);
    target.sync_dirs()?;
    let mut held = Held::default();
    for pin in plan.pins_without(&gone) {
        target.bring(pin, &mut held, tally)?;
    }
    target.settle(&mut held, tally)?;
    target.sync_pins()
}

/// A full disk: what to do about it.
fn explain_full(error: Error, tally: &Tally<'_>, directory: &Path) -> Error {
    match error {
        Error::Unavailable(why) if why.starts_with("disk full") => Error::Unavailable(format!(
            "disk full: {} has room for {} of {} files ({} of {} bytes are done); free space and run the same command again, it \
             goes on where it was",
            directory.display(),
            tally.done_files.load(Ordering::Relaxed),
            tally.total.total_files,
            tally.done_bytes.load(Ordering::Relaxed),
            tally.total.total_bytes
        )),
        other => other,
    }
}
