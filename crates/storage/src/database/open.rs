//! From a root to an open database: lock, identify, restore if asked, recover, begin a log file.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use types::memory::Purpose;
use types::{Seq, TimelineId};

use super::{BaseProgress, Database, Head, Options};
use crate::copy::into_root;
use crate::counters::Counters;
use crate::env::Env;
use crate::gc::GcState;
use crate::layout::{Disk, Layout, list_or_none};
use crate::log::Place;
use crate::log::chain::LogFiles;
use crate::log::writer::{LogStart, LogWriter, RunIdentity};
use crate::moment;
use crate::planted::Planted;
use crate::recovery::{self, Recovered};
use crate::restore::{self, RestoreReport};
use crate::root;
use crate::snapshot::keep::Leases;
use crate::snapshot::open::ensure_pin_files;
use crate::table::TableState;
use crate::timeline::{self, History, LastLog, Parent, TIMELINE_FORMAT_VERSION, Timeline};
use crate::{Error, Result};

/// What a start found and did.
#[derive(Debug, Clone, Default)]
pub struct StartReport {
    pub restore: Option<RestoreReport>,
    pub replayed_frames: u64,
    pub tables: usize,
    pub seq: Seq,
    /// Sentences for the operator.
    pub notices: Vec<String>,
}

/// What a start tells while it is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartStep<'a> {
    Doing(&'a str),
    /// For the operator, at once: the next start may find no trace that it was not told. The report has it too.
    Done(&'a str),
}

impl Database {
    /// Opens a root, making an empty database in an empty one. Everything recovered is durable when this returns.
    ///
    /// # Errors
    /// [`Error::Refused`] and [`Error::Corrupt`] name the file and what to do; the root was not modified.
    pub fn open(env: Env, options: Options) -> Result<Database> {
        Database::open_with_progress(env, options, &|_| {})
    }

    /// As [`Database::open`]; `hears` is told what a long start is doing, and what it has done that a start which fails behind it would
    /// tell nobody.
    pub fn open_with_progress(env: Env, options: Options, hears: &dyn Fn(StartStep)) -> Result<Database> {
        let root = options.root.clone();
        Database::open_root(env, options, hears).map_err(|error| explain_unwritable(&root, error))
    }

    fn open_root(env: Env, options: Options, hears: &dyn Fn(StartStep)) -> Result<Database> {
        let progress = &|line: &str| hears(StartStep::Doing(line));
        let disk = Disk { env, layout: Layout::new(&options.root), planted: options.planted };
        let trigger = disk.layout.restore_trigger();
        let has_trigger = disk.env.fs.exists(&trigger).map_err(Error::io(&trigger))?;
        let wants_restore = has_trigger && options.restores;
        if wants_restore {
            root::refuse_symlink(&disk, &disk.layout.db())?;
            root::read_marker(&disk).map_err(Error::of_copy).map_err(|e| into_root::explain_unfinished(&disk, e))?;
        } else {
            into_root::refuse_begun(&disk)?;
            root::make_db_dir(&disk)?;
        }
        let lock = lock(&disk)?;
        let mut report = StartReport::default();
        report.restore = restore_if_asked(&disk, &options, has_trigger, &mut report.notices, progress)?;
        report.restore.iter().flat_map(|restore| &restore.lines).for_each(|line| hears(StartStep::Done(line)));
        let marker = root::identify(&disk)?;
        let place = root::place(&disk)?;
        let database_id = marker.id().expect("identify() checked the id");
        let files = LogFiles::list(&disk)?;
        let history = match timeline::history(&disk, &files)? {
            Some(history) => history,
            None => begin_history(&disk, &marker.database_id, &files)?,
        };
        if report.restore.is_none() {
            let untold = restore::untold(&disk, history.current(), &files, options.restore_grace_us);
            untold.iter().for_each(|line| hears(StartStep::Done(line)));
            report.notices.extend(untold);
        }
        let mut recovered = recovery::recover(&disk, database_id, &history, &files, progress)?;
        verify_presence(&disk, &recovered)?;
        root::make_dirs(&disk)?;
        settle(&disk, &history, &recovered)?;
        let history = leave_other_place(&disk, &marker.database_id, history, &recovered, place, &mut report)?;
        link_left_files(&disk, &files, &recovered)?;
        let stale = ensure_pin_files(&disk, history.current().timeline, &recovered.state, &mut report.notices)?;
        let log = start_log(&disk, database_id, history.current().timeline, place, &files, &mut recovered)?;
        report.replayed_frames = recovered.replayed_frames;
        report.tables = recovered.state.tables.len();
        report.seq = recovered.state.seq;
        Ok(Database::assemble(disk, options, marker.database_id, history, place, log, recovered, stale, report, lock))
    }

    #[expect(clippy::too_many_arguments, reason = "the one place where all parts of a database meet")]
    fn assemble(
        disk: Disk,
        options: Options,
        database_id: String,
        history: History,
        place: Place,
        log: LogWriter,
        recovered: Recovered,
        stale_pins: Vec<PathBuf>,
        report: StartReport,
        lock: Box<dyn Send + Sync>,
    ) -> Database {
        let leases = Leases::of(&recovered.state, disk.env.clock.monotonic_us());
        let mut gc = GcState::default();
        gc.discard_pins(stale_pins);
        let scan = options.log_retention_us.map(|retention_us| {
            let limits = (retention_us, options.log_retention_bytes);
            let first_log = log.file_with(Seq::ZERO);
            let (window, scan) = moment::scan::begin(&disk, &history, &recovered, first_log, limits);
            gc.window = Some(window);
            scan
        });
        // a clock that was ahead for a moment has left a commit of a time that is yet to come
        let began_us = recovered.state.commit_us.min(disk.env.clock.now_us());
        let began_monotonic_us = disk.env.clock.monotonic_us();
        let head = Head {
            state: recovered.state.clone(),
            pending: VecDeque::new(),
            garbage: recovered.garbage.into(),
            marked: false,
        };
        Database {
            disk,
            memtables: Mutex::new(options.memory.share(Purpose::Memtables)),
            options,
            database_id,
            timeline: history.current().timeline,
            history,
            place,
            log,
            head: Mutex::new(head),
            visible: ArcSwap::from_pointee(recovered.state),
            base: Mutex::new(BaseProgress { handle: recovered.base.map(Arc::new), log_bytes: 0 }),
            gc: Mutex::new(gc),
            compaction: Mutex::default(),
            changes: Default::default(),
            basing: Mutex::default(),
            cuts: Mutex::default(),
            leases: Mutex::new(leases),
            guard: Mutex::default(),
            scan: Mutex::new(scan),
            pinning: Mutex::default(),
            settling: Mutex::default(),
            began_us,
            began_monotonic_us,
            graces: Mutex::default(),
            more_bytes: AtomicUsize::new(0),
            clock_is_behind: AtomicBool::new(false),
            durable_dirs: Mutex::default(),
            counters: Counters::default(),
            lost_dirs: Mutex::default(),
            report,
            _lock: lock,
        }
    }
}

/// Restores when the trigger, or else a changed instance id, asks for it.
fn restore_if_asked(
    disk: &Disk,
    options: &Options,
    has_trigger: bool,
    notices: &mut Vec<String>,
    progress: &dyn Fn(&str),
) -> Result<Option<RestoreReport>> {
    if !options.restores {
        refuse_half_a_restore(disk, has_trigger)?;
        notices.extend(has_trigger.then(|| {
            format!(
                "{} asks for a restore, but cairo.snapshot.recovery.enabled or cairo.checkpoint.recovery.enabled is false: \
                 nothing is restored",
                disk.layout.restore_trigger().display()
            )
        }));
        return Ok(None);
    }
    match has_trigger {
        true => {
            let limits = restore::Limits { grace_us: options.restore_grace_us, retention_us: options.log_retention_us };
            restore::run(disk, limits, progress).map_err(|error| into_root::explain_unfinished(disk, error))
        }
        false => restore::instance::run(disk, &options.instance_id, options.restore_grace_us, notices, progress),
    }
}

/// A root that `stillpoint restore` has not filled to its end is no database yet, whatever the configuration says.
fn refuse_half_a_restore(disk: &Disk, has_trigger: bool) -> Result<()> {
    let trigger = disk.layout.restore_trigger();
    if !has_trigger || !disk.env.fs.read(&trigger).map_err(Error::io(&trigger))?.starts_with(into_root::NOTE.as_bytes())
    {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "{} says that a restore of this root has not ended, and the configuration forbids a start to end it: run `stillpoint \
         restore` again, or remove that file to start with what was there before",
        trigger.display()
    )))
}

/// Says what to do about a root that cannot be written.
fn explain_unwritable(root: &Path, error: Error) -> Error {
    let Error::Io { path, source } = error else { return error };
    let (why, remedy) = match source.kind() {
        std::io::ErrorKind::ReadOnlyFilesystem => ("its file system is read-only", "mount it for writing"),
        std::io::ErrorKind::PermissionDenied => {
            ("this user has no right to it", "give the user of this server all rights below it, or start as its owner")
        }
        _ => return Error::Io { path, source },
    };
    Error::Refused(format!(
        "{} cannot be used, {why} ({}: {source}): {remedy}, or choose another root with -d",
        root.display(),
        path.display()
    ))
}

fn lock(disk: &Disk) -> Result<Box<dyn Send + Sync>> {
    let db = disk.layout.db();
    disk.env.fs.lock_dir(&db).map_err(|e| match e.kind() {
        std::io::ErrorKind::WouldBlock => Error::Refused(format!(
            "{} is in use by another server: stop it first, or choose another root with -d",
            disk.layout.root().display()
        )),
        _ => Error::io(&db)(e),
    })
}

/// Writes the first timeline of a new database.
fn begin_history(disk: &Disk, database_id: &str, files: &LogFiles) -> Result<History> {
    if !files.sealed.is_empty() || !files.live.is_empty() {
        return Err(Error::corrupt(
            &disk.layout.timeline(),
            "there are log files but no timeline; restore a snapshot or put the files back",
        ));
    }
    root::make_dirs(disk)?;
    let taken = timeline::list(disk)?.last().map_or(0, |t| t.number);
    let first = Timeline {
        format: TIMELINE_FORMAT_VERSION,
        database_id: database_id.to_owned(),
        timeline: TimelineId { number: taken + 1, tag: disk.env.rng.next_u64() as u32 },
        created_us: disk.env.clock.now_us(),
        parent: None,
        left: None,
    };
    let bytes = timeline::publish(disk, &first)?;
    Ok(History::begin(first, &bytes))
}

/// Checks by name that every file of the recovered state is there, with one listing a directory, and that segments
/// use no symbol that the dictionaries lack.
fn verify_presence(disk: &Disk, recovered: &Recovered) -> Result<()> {
    for table in recovered.state.tables_with_files() {
        let mut listings: HashMap<PathBuf, HashSet<String>> = HashMap::new();
        for file in table.files() {
            let path = table.path(&disk.layout).join(&file);
            let (dir, name) = (path.parent().expect("a file stands in a directory"), file.rsplit('/').next());
            if !listings.contains_key(dir) {
                let names = list_or_none(disk, dir)?.into_iter().map(|entry| entry.name).collect();
                listings.insert(dir.to_owned(), names);
            }
            if !name.is_some_and(|name| listings[dir].contains(name)) {
                let trigger = disk.layout.restore_trigger();
                let detail = format!(
                    "is missing, table {} needs it; if this is a copy of a running database, touch {} and start again",
                    table.name,
                    trigger.display()
                );
                return Err(Error::corrupt(&path, detail));
            }
        }
        verify_codes(table)?;
    }
    Ok(())
}

fn verify_codes(table: &TableState) -> Result<()> {
    for segment in table.segments.values().flatten() {
        for (column, symbols) in table.symbols.iter() {
            let max = segment.meta().column(*column).and_then(|c| c.max);
            if max.is_some_and(|max| max >= i64::from(symbols.len)) {
                let detail = format!("column {column} uses symbols that table {} does not have", table.name);
                return Err(Error::corrupt(segment.path(), detail));
            }
        }
    }
    Ok(())
}

/// Makes durable what this run builds on, and what a run that was killed may have left in the page cache alone: marker,
/// timeline and base. What these name was durable before they were written.
fn settle(disk: &Disk, history: &History, recovered: &Recovered) -> Result<()> {
    let timeline = disk.layout.timeline().join(format!("{}.json", history.current().timeline));
    let base = recovered.base.as_ref().map(|base| disk.layout.db().join(&base.file.file));
    for file in [Some(disk.layout.marker()), Some(timeline), base].into_iter().flatten() {
        disk.env.fs.open(&file).and_then(|file| file.sync()).map_err(Error::io(&file))?;
    }
    for dir in [disk.layout.timeline(), disk.layout.base()] {
        disk.env.fs.sync_dir(&dir).map_err(Error::io(&dir))?;
    }
    match disk.layout.root().parent().map(|parent| (parent, disk.env.fs.sync_dir(parent))) {
        // An operator may have made the root where this process may not even look.
        Some((_, Err(e))) if e.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
        Some((parent, Err(e))) => Err(Error::io(parent)(e)),
        _ => Ok(()),
    }
}

/// A start in another place than the last one begins a new timeline, so that two roots never hand out one name.
fn leave_other_place(
    disk: &Disk,
    database_id: &str,
    history: History,
    recovered: &Recovered,
    place: Place,
    report: &mut StartReport,
) -> Result<History> {
    let current = history.current().timeline;
    // The newest log file may still be the parent's, just after a restore: then the timeline is new already.
    let written_here = recovered.predecessor.is_some_and(|p| p.name.timeline == current);
    let (Some(last), Some(predecessor)) = (recovered.last_place, recovered.predecessor) else { return Ok(history) };
    if last == place || !written_here {
        return Ok(history);
    }
    let seq = recovered.state.seq;
    let used_bytes = recovered.used_bytes;
    let next = Timeline {
        format: TIMELINE_FORMAT_VERSION,
        database_id: database_id.to_owned(),
        timeline: TimelineId { number: current.number + 1, tag: disk.env.rng.next_u64() as u32 },
        created_us: disk.env.clock.now_us(),
        parent: Some(Parent {
            timeline: current,
            seq,
            base: recovered.base.as_ref().map(|b| b.file.clone()),
            last_log: Some(LastLog { file: predecessor.name.to_string(), used_bytes }),
            next_table: recovered.state.next_table,
            served_snapshot: None,
            restored: false,
            kept: Vec::new(),
        }),
        left: None,
    };
    let bytes = timeline::publish(disk, &next)?;
    report
        .notices
        .push(format!("started in another place than before: timeline {} begins at seq {seq}", next.timeline));
    Ok(history.continued(next, &bytes))
}

/// Links what the run before left in `_live/` into `_log/`, uncut. Content and names are durable when this returns: a
/// run that was killed may have synced neither, and the next log file will name these as its predecessors.
fn link_left_files(disk: &Disk, files: &LogFiles, recovered: &Recovered) -> Result<()> {
    let left: Vec<_> = recovered.chain.iter().filter(|(name, _)| !files.sealed.contains(name)).collect();
    for (name, _) in &left {
        let to = disk.layout.log().join(name.to_string());
        let from = disk.layout.live().join(name.to_string());
        disk.env.fs.open(&from).and_then(|file| file.sync()).map_err(Error::io(&from))?;
        disk.env.fs.hard_link(&from, &to).map_err(|e| match e.kind() {
            std::io::ErrorKind::Unsupported | std::io::ErrorKind::PermissionDenied => Error::Refused(format!(
                "the log needs hard links, and {} cannot be linked ({e}): if it is another user's, give the root to the one that \
                 runs the server (chown -R); if its file system has no hard links, choose a root on another one",
                from.display()
            )),
            _ => Error::io(&to)(e),
        })?;
    }
    // Also of a file that a PREPARE had linked when the process was killed: the snapshot that is open now names it there.
    if !recovered.chain.is_empty() {
        disk.env.fs.sync_dir(&disk.layout.log()).map_err(Error::io(&disk.layout.log()))?;
    }
    Ok(())
}

/// Begins the first log file of this run. On a full disk the former run's unused spare makes room.
fn start_log(
    disk: &Disk,
    database_id: u128,
    timeline: TimelineId,
    place: Place,
    files: &LogFiles,
    recovered: &mut Recovered,
) -> Result<LogWriter> {
    let newest = files.of_timeline(timeline).last().map_or(0, |n| n.number);
    if disk.has(Planted::CarryDropsLast) {
        recovered.carried.pop();
    }
    let start = |next_number| LogStart {
        identity: RunIdentity { database_id, timeline, place },
        predecessor: recovered.predecessor,
        next_number,
        carried: recovered.carried.clone(),
        chain: recovered.chain.clone(),
        planted: disk.planted,
    };
    match LogWriter::start(disk.env.clone(), disk.layout.clone(), start(newest + 1)) {
        Err(Error::Unavailable(_)) if remove_unused_spares(disk, files, recovered)? > 0 => {
            LogWriter::start(disk.env.clone(), disk.layout.clone(), start(newest + 2))
        }
        other => other,
    }
}

fn remove_unused_spares(disk: &Disk, files: &LogFiles, recovered: &Recovered) -> Result<usize> {
    let mut removed = 0;
    for name in files.live.difference(&files.sealed) {
        let path = disk.layout.live().join(name.to_string());
        let in_log = recovered.chain.iter().any(|(link, _)| link == name);
        if !in_log && crate::log::chain::read_header(&disk.env, &path)?.is_none() {
            disk.env.fs.unlink(&path).map_err(Error::io(&path))?;
            removed += 1;
        }
    }
    Ok(removed)
}
