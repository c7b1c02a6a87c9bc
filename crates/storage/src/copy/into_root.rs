//! A snapshot of a copy back into a root, which is then restored: [`IntoRoot`].
//!
//! The same as to put the copy in the root's place, to write `_restore` and to start, but that it goes on where it was killed.
//!
//! 1. [`IntoRoot::plan`]: which snapshot, proven in the copy; whose root the target is, and what would be left behind in it.
//!    Nothing is changed, but that a root without a database gets a note for as long as that takes: a start would else make
//!    an empty database there, should this be killed;
//! 2. [`IntoRoot::run`]: `_restore` first, which names that very cut: a start from here on is refused, or does the rest. A
//!    root that was missing gets its name with it;
//! 3. then what is not there yet, as [`super::fill`] brings it, kept snapshots with it, the pin last;
//! 4. then [`restore::run`], as a start would.
//!
//! A root of another database, or of another history of this one, is not touched.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use types::{Seq, TimelineId, TimestampUs};

use super::room::Room;
use super::target::{self, PARTIAL, Target};
use super::{How, Plan, Report, Tally, Watch, explain_full, fill};
use crate::env::Env;
use crate::env::fs::{DirEntry, FileKind};
use crate::layout::{Disk, Layout, list_or_none, parse_table_dir};
use crate::restore::{self, Depth, PinFile, RestoreReport, left_behind};
use crate::root;
use crate::timeline;
use crate::{Error, Result};

/// How `_restore` begins while a restore into a root has not ended: without it the root is a part of a copy.
pub(crate) const NOTE: &str = "# stillpoint restore of database ";

/// What is wanted.
#[derive(Clone, Copy)]
pub struct Wish<'a> {
    pub from: &'a Path,
    pub to: &'a Path,
    /// Without it the only one, or `default` if no other has a later cut.
    pub snapshot: Option<&'a str>,
    /// How much of the copy, and of what is in the root already, is read before anything changes.
    pub depth: Depth,
    /// Only the plan is wanted: not even the note is laid down.
    pub dry_run: bool,
    /// How long the restore can be undone.
    pub grace_us: i64,
}

/// Whose root the target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nobody's.
    Empty,
    /// What a restore has brought that did not end, or another copy.
    Unfinished,
    /// This database, which goes back.
    Database,
}

/// What a restore would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    pub snapshot: String,
    pub seq: Seq,
    pub created_us: i64,
    pub tables: usize,
    pub rows: u64,
    /// Of the snapshot and the kept ones that go along.
    pub files: u64,
    pub bytes: u64,
    /// Of these, what is not in the root yet in its length.
    pub new_files: u64,
    pub new_bytes: u64,
    /// On the root's disk.
    pub free_bytes: u64,
    pub kept: usize,
    pub found: Found,
    /// The timeline that would be left behind, to which an undo goes back.
    pub left_behind: Option<TimelineId>,
    /// A server uses the root.
    pub in_use: bool,
    /// Nothing is to be done: the root is that snapshot already, and nothing was written since.
    pub is_done: bool,
    /// Sentences for the operator, in order.
    pub lines: Vec<String>,
}

/// What a restore did.
#[derive(Debug, Clone)]
pub struct Restored {
    /// What came into the root.
    pub brought: Report,
    /// `None` when nothing was to be done.
    pub report: Option<RestoreReport>,
}

/// A restore that is planned.
pub struct IntoRoot<'a> {
    wish: Wish<'a>,
    plan: Plan,
    disk: Disk,
    facts: Facts,
    /// Of the root's `db`, where there is one and nobody else has it.
    lock: Option<Box<dyn Send + Sync>>,
    _begun: Option<Begun>,
}

/// What keeps a start from making an empty database in a root that is about to be restored, also when the restore is killed:
/// [`refuse_begun`] looks for it. Dropping it takes it away, unless the trigger has come in its place.
struct Begun {
    disk: Disk,
    /// `ROOT.partial`, for a root that is missing, or `_restore.partial` in it.
    path: PathBuf,
    is_dir: bool,
}

impl Drop for Begun {
    fn drop(&mut self) {
        let fs = &self.disk.env.fs;
        // What cannot be taken away holds up the next start, which says what to do.
        let _ = if self.is_dir { fs.remove_dir(&self.path) } else { fs.unlink(&self.path) };
    }
}

impl<'a> IntoRoot<'a> {
    /// Proves the snapshot in the copy and looks at the root, which is as it was when this is refused or not run. It is held
    /// from here on.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is no such snapshot, or the root holds something else; [`Error::Corrupt`] naming what is
    /// missing or damaged.
    pub fn plan(env: &Env, wish: Wish<'a>, progress: &dyn Fn(&str)) -> Result<IntoRoot<'a>> {
        target::refuse_within(wish.from, wish.to)?;
        let disk = Disk { env: env.clone(), layout: Layout::new(wish.to), planted: None };
        let copy = Disk { layout: Layout::new(wish.from), ..disk.clone() };
        let database_id = restore::marker_of_copy(&copy).map_err(Error::of_copy)?.database_id;
        let (lock, in_use) = lock(&disk)?;
        let is_new = !has_database(&disk, &database_id)?;
        let begun = if is_new && !wish.dry_run { begin(&disk, &copy, &database_id)? } else { None };
        let plan = Plan::find(env, wish.from, wish.snapshot).and_then(|plan| plan.with_kept(wish.depth));
        let mut plan = plan.map_err(Error::of_copy)?;
        let found = look(&disk, &plan)?;
        prove(&plan, wish.depth, progress).map_err(Error::of_copy)?;
        let conf = keep_configuration(&disk, &mut plan)?;
        let facts = facts(&disk, &plan, &wish, found, in_use, &conf)?;
        Ok(IntoRoot { wish, plan, disk, facts, lock, _begun: begun })
    }

    /// Returns what it would do.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Does it. Durable when this returns: a start then serves the snapshot. What was killed goes on when the same is planned
    /// and run again, or, once everything is there, at a start.
    ///
    /// # Errors
    /// [`Error::Refused`] when a server uses the root; else as [`super::to_directory`] and a start with `_restore`.
    pub fn run(mut self, watch: &Watch<'_>, progress: &dyn Fn(&str)) -> Result<Restored> {
        let tally = Tally::new(&self.plan, watch);
        // What a server holds may change at any moment, also where it is what the snapshot holds.
        if self.facts.in_use {
            return Err(in_use(&self.disk));
        }
        if self.facts.is_done {
            return Ok(Restored { brought: tally.into_report(), report: None });
        }
        self.take_root()?;
        let verify = self.wish.depth == Depth::Full;
        let how = How { link: false, verify, prune: false };
        let target = Target::of(&self.plan, self.disk.clone(), how);
        let filled = fill(&self.plan, &target, &tally);
        filled.map_err(|error| explain_full(error, &tally, self.disk.layout.root()))?;
        // Its trigger names a snapshot.
        let limits = restore::Limits { grace_us: self.wish.grace_us, retention_us: None };
        let report = restore::run(&self.disk, limits, progress)?;
        Ok(Restored { brought: tally.into_report(), report })
    }

    /// Makes the root if it is missing, writes the trigger and takes the lock.
    fn take_root(&mut self) -> Result<()> {
        let (fs, root, source) = (&self.disk.env.fs, self.disk.layout.root(), self.plan.disk.layout.root());
        let text = trigger_text(&self.plan);
        if fs.exists(root).map_err(Error::io(root))? {
            write_trigger(&self.disk, &text)?;
        } else {
            // An empty directory would be a root for a new database to a server that starts by itself.
            let begun = Disk { layout: Layout::new(&beside(root)), ..self.disk.clone() };
            make_dir(&begun, begun.layout.root(), source)?;
            refuse_in_the_way(&begun)?;
            write_trigger(&begun, &text)?;
            fs.rename(begun.layout.root(), root).map_err(Error::io(root))?;
        }
        let db = self.disk.layout.db();
        make_dir(&self.disk, &db, &source.join("db"))?;
        if self.lock.is_none() {
            let (lock, in_use_now) = lock(&self.disk)?;
            // Somebody came between the look and the lock.
            if in_use_now || look(&self.disk, &self.plan)? != self.facts.found {
                return Err(in_use(&self.disk));
            }
            self.lock = lock;
        }
        sync_above(&self.disk, root)
    }
}

/// Lays down, durably, what a start refuses, where there is no database yet. `None`: it is there from a former restore.
fn begin(disk: &Disk, copy: &Disk, database_id: &str) -> Result<Option<Begun>> {
    let (fs, root) = (&disk.env.fs, disk.layout.root());
    let note = |path: PathBuf, is_dir| Begun { disk: disk.clone(), path, is_dir };
    if fs.exists(root).map_err(Error::io(root))? {
        let (trigger, partial) = (disk.layout.restore_trigger(), partial_trigger(disk));
        for path in [&trigger, &partial] {
            if fs.exists(path).map_err(Error::io(path))? {
                return Ok(None);
            }
        }
        let begun = note(partial.clone(), false);
        let made = target::write_new(&**fs, &partial, format!("{NOTE}{database_id}: it was begun\n").as_bytes(), None)?;
        made.sync().map_err(Error::io(&partial))?;
        fs.sync_dir(root).map_err(Error::io(root))?;
        return Ok(Some(begun));
    }
    let dir = beside(root);
    let begun = Disk { layout: Layout::new(&dir), ..disk.clone() };
    if fs.exists(&dir).map_err(Error::io(&dir))? {
        return refuse_in_the_way(&begun).map(|()| None);
    }
    let made = note(dir.clone(), true);
    make_dir(&begun, &dir, copy.layout.root()).map_err(|error| match error {
        Error::Io { path, source } if path == dir => Error::Refused(format!(
            "{} cannot be made, since {} cannot ({source}): name a directory on a disk that this user may write to",
            root.display(),
            dir.display()
        )),
        other => other,
    })?;
    sync_above(disk, &dir)?;
    Ok(Some(made))
}

/// Refuses a directory in which a root is to begin and that holds anything.
fn refuse_in_the_way(begun: &Disk) -> Result<()> {
    match list_or_none(begun, begun.layout.root())?.iter().find(|entry| !is_trigger(entry)) {
        Some(other) => Err(not_ours(begun, &format!("is in the way of the restore and holds {}", other.name))),
        None => Ok(()),
    }
}

/// Makes a root's own name durable.
fn sync_above(disk: &Disk, root: &Path) -> Result<()> {
    match root.parent().map(|parent| (parent, disk.env.fs.sync_dir(parent))) {
        // Above the root others may rule.
        Some((parent, Err(e))) if e.kind() != ErrorKind::PermissionDenied => Err(Error::io(parent)(e)),
        _ => Ok(()),
    }
}

/// Refuses to begin a database where a restore was cut short before its trigger was in the root.
///
/// # Errors
/// [`Error::Refused`], which names what was left; nothing is changed.
pub(crate) fn refuse_begun(disk: &Disk) -> Result<()> {
    let (fs, root) = (&disk.env.fs, disk.layout.root());
    let marker = disk.layout.marker();
    if fs.exists(&marker).map_err(Error::io(&marker))? {
        return Ok(());
    }
    let beside = beside(root);
    // Above the root others may rule: what cannot be read there is no restore of this user's.
    let begun = fs.list(&beside).is_ok_and(|entries| entries.iter().all(is_trigger));
    let partial = partial_trigger(disk);
    let left = if begun {
        beside
    } else if fs.exists(&partial).map_err(Error::io(&partial))? {
        partial
    } else {
        return Ok(());
    };
    Err(Error::Refused(format!(
        "{} was left by a restore into {} that was cut short: run stillpoint restore again, or remove it to begin an empty \
         database",
        left.display(),
        root.display()
    )))
}

/// Says of a start that could not end a restore into its root what to do.
pub(crate) fn explain_unfinished(disk: &Disk, error: Error) -> Error {
    let trigger = disk.layout.restore_trigger();
    let is_ours = disk.env.fs.read(&trigger).is_ok_and(|text| text.starts_with(NOTE.as_bytes()));
    if !is_ours {
        return error;
    }
    Error::Refused(format!(
        "{} was left by a restore into this root that has not ended, and a start cannot end it ({error}): run stillpoint restore \
         again, or remove that file to give the restore up",
        trigger.display()
    ))
}

/// Returns whether something in a root is its trigger, whole or not.
fn is_trigger(entry: &DirEntry) -> bool {
    entry.name.starts_with("_restore")
}

/// Returns what the trigger is called until all of it is there.
fn partial_trigger(disk: &Disk) -> PathBuf {
    disk.layout.restore_trigger().with_file_name(format!("_restore{PARTIAL}"))
}

/// Returns what a root is called until its trigger is in it.
fn beside(root: &Path) -> PathBuf {
    let name = root.file_name().unwrap_or_default().to_string_lossy();
    root.with_file_name(format!("{name}{PARTIAL}"))
}

fn make_dir(disk: &Disk, dir: &Path, like: &Path) -> Result<()> {
    match disk.env.fs.create_dir(dir) {
        Ok(()) => target::take_access(&*disk.env.fs, like, dir),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(Error::io(dir)(e)),
    }
}

/// Takes the lock of the root's database, if there is one; else says whether another has it.
fn lock(disk: &Disk) -> Result<(Option<Box<dyn Send + Sync>>, bool)> {
    let db = disk.layout.db();
    match disk.env.fs.lock_dir(&db) {
        Ok(lock) => Ok((Some(lock), false)),
        Err(e) if e.kind() == ErrorKind::WouldBlock => Ok((None, true)),
        // Whose it is, [`look`] says.
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok((None, false)),
        Err(e) => Err(Error::io(&db)(e)),
    }
}

fn in_use(disk: &Disk) -> Error {
    Error::Refused(format!(
        "{} is in use by a server: stop it first, nothing was restored",
        disk.layout.root().display()
    ))
}

/// Returns what stands in the trigger: the chosen cut, and that its bytes were compared as they came.
fn trigger_text(plan: &Plan) -> String {
    format!(
        "{NOTE}{}: run it again to go on, or remove this file to start without restoring\nsnapshot={}\nverify=fast\n",
        plan.found.pin.database_id,
        plan.found.file_name().trim_end_matches(".json")
    )
}

/// Writes the trigger in the place of any other. Durable on return.
fn write_trigger(disk: &Disk, text: &str) -> Result<()> {
    let fs = &disk.env.fs;
    let path = disk.layout.restore_trigger();
    if fs.exists(&path).map_err(Error::io(&path))? && fs.read(&path).map_err(Error::io(&path))? == text.as_bytes() {
        fs.open(&path).and_then(|file| file.sync()).map_err(Error::io(&path))?;
        return fs.sync_dir(disk.layout.root()).map_err(Error::io(disk.layout.root()));
    }
    let partial = partial_trigger(disk);
    match fs.unlink(&partial) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(Error::io(&partial)(e)),
        _ => {}
    }
    let made = target::write_new(&**fs, &partial, text.as_bytes(), None)?;
    made.sync().map_err(Error::io(&partial))?;
    fs.rename(&partial, &path).map_err(Error::io(&path))?;
    fs.sync_dir(disk.layout.root()).map_err(Error::io(disk.layout.root()))
}

/// Returns whether a root holds a database; whose, [`look`] says.
///
/// # Errors
/// [`Error::Refused`] when it holds anything else.
fn has_database(disk: &Disk, database_id: &str) -> Result<bool> {
    let root = disk.layout.root();
    if disk.env.fs.metadata(root).is_ok_and(|found| !matches!(found.kind, FileKind::Dir | FileKind::Symlink)) {
        return Err(not_ours(disk, "is not a directory"));
    }
    for path in
        [root.to_owned(), disk.layout.db(), disk.layout.snapshot(), root.join("conf"), disk.layout.restore_trigger()]
    {
        root::refuse_symlink(disk, &path)?;
    }
    let trigger = disk.layout.restore_trigger();
    match disk.env.fs.metadata(&trigger).map(|found| found.kind) {
        Ok(kind) if kind != FileKind::File => {
            return Err(Error::Refused(format!(
                "{} is not a plain file: remove it and run this again",
                trigger.display()
            )));
        }
        _ => {}
    }
    let marker = disk.layout.marker();
    if disk.env.fs.exists(&marker).map_err(Error::io(&marker))? {
        return Ok(true);
    }
    refuse_foreign(disk, database_id).map(|()| false)
}

/// Says whose root it is.
///
/// # Errors
/// [`Error::Refused`] when it is anybody else's, or of a history that does not fit the snapshot's: then the copied timelines
/// would come into force by their names alone.
fn look(disk: &Disk, plan: &Plan) -> Result<Found> {
    if !has_database(disk, &plan.found.pin.database_id)? {
        return Ok(Found::Empty);
    }
    if root::read_marker(disk)?.database_id != plan.found.pin.database_id {
        return Err(not_ours(disk, "holds another database"));
    }
    // A damaged one would be met when it is too late.
    let pins = restore::read_pins(disk)?;
    let there = timeline::list(disk)?;
    let names = plan
        .found
        .pin
        .timelines
        .iter()
        .filter_map(|named| named.file.strip_prefix("_timeline/")?.strip_suffix(".json"));
    let named: Vec<TimelineId> = names.filter_map(|name| name.parse().ok()).collect();
    let never_started = list_or_none(disk, &disk.layout.live())?.is_empty();
    if never_started && there.iter().all(|id| named.contains(id)) {
        let ours = |pin: &PinFile| plan.last.iter().any(|last| last.path == format!("snapshot/{}", pin.file_name()));
        return match pins.iter().find(|pin| !ours(pin)) {
            Some(other) => {
                Err(not_ours(disk, &format!("holds copies, of snapshot {} too, which would end", other.pin.name)))
            }
            None => Ok(Found::Unfinished),
        };
    }
    if named.iter().all(|id| there.contains(id)) {
        return Ok(Found::Database);
    }
    Err(not_ours(disk, "holds another history of this database, which the snapshot does not go on from"))
}

/// Looks at a root without a database: a new one, or one that a restore had just begun.
fn refuse_foreign(disk: &Disk, database_id: &str) -> Result<()> {
    let root = disk.layout.root();
    let trigger = disk.layout.restore_trigger();
    let bytes = match disk.env.fs.read(&trigger) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(Error::io(&trigger)(e)),
    };
    let text = String::from_utf8_lossy(&bytes);
    let begun = text.strip_prefix(NOTE).map(|rest| rest.split(':').next().unwrap_or_default());
    if begun.is_some_and(|id| id != database_id) {
        return Err(not_ours(disk, "holds a restore of another database that did not end"));
    }
    let hidden = |name: &str| name.starts_with('.') || name == "lost+found";
    let own = ["conf", "db", "import", "log", "public", "snapshot", "_restore", "_restore.partial"];
    let entries = list_or_none(disk, root)?;
    let in_db = list_or_none(disk, &disk.layout.db())?;
    let pins = list_or_none(disk, &disk.layout.snapshot())?;
    let foreign = entries.iter().find(|e| !hidden(&e.name) && !own.contains(&&*e.name));
    let of_restore = |e: &&crate::env::fs::DirEntry| {
        let dir = e.kind == FileKind::Dir && (e.name.starts_with('_') || parse_table_dir(&e.name).is_some());
        begun.is_some() && (dir || e.name.ends_with(PARTIAL))
    };
    let foreign = foreign.or_else(|| in_db.iter().find(|e| !hidden(&e.name) && !of_restore(e)));
    let foreign = foreign.or_else(|| pins.iter().find(|e| !hidden(&e.name) && !of_restore(e)));
    match foreign {
        None => Ok(()),
        Some(entry) => Err(not_ours(disk, &format!("is not empty ({}) and holds no database", entry.name))),
    }
}

fn not_ours(disk: &Disk, why: &str) -> Error {
    Error::Refused(format!(
        "{} {why}; nothing was touched. Choose a directory that is empty or missing, or move this one aside first",
        disk.layout.root().display()
    ))
}

/// Proves that what the snapshot names is in the copy.
fn prove(plan: &Plan, depth: Depth, progress: &dyn Fn(&str)) -> Result<()> {
    for file in plan.all().filter(|file| file.content.is_none()) {
        let path = file.below(plan.disk.layout.root());
        let found = plan.disk.env.fs.metadata(&path).map_err(Error::io(&path))?.len_bytes;
        if found != file.len_bytes {
            return Err(Error::corrupt(&path, format!("{found} bytes long, {} were written", file.len_bytes)));
        }
    }
    match depth {
        Depth::Full => restore::verify_tables(&plan.disk, &plan.state, progress),
        Depth::Fast => Ok(()),
    }
}

/// Leaves out of the plan what the root has of `conf/`: a restore does not bring it back. Returns what stays so.
fn keep_configuration(disk: &Disk, plan: &mut Plan) -> Result<Vec<String>> {
    let mut stays = Vec::new();
    for path in plan.files.iter().map(|file| &file.path).filter(|path| path.starts_with("conf/")) {
        let there = disk.layout.root().join(path);
        if disk.env.fs.exists(&there).map_err(Error::io(&there))? {
            stays.push(path.clone());
        }
    }
    plan.files.retain(|file| !stays.contains(&file.path));
    Ok(stays)
}

fn facts(disk: &Disk, plan: &Plan, wish: &Wish<'_>, found: Found, in_use: bool, conf: &[String]) -> Result<Facts> {
    let room = Room::of(plan, disk)?;
    let rows = plan.state.tables.iter().map(|table| table.rows()).sum::<Result<u64>>().map_err(Error::of_copy)?;
    let left = match found {
        Found::Database => {
            left_behind::look(disk, plan.found.pin.timeline, plan.found.pin.seq, plan.found.pin.created_us)
        }
        Found::Empty | Found::Unfinished => left_behind::LeftBehind::default(),
    };
    let mut facts = Facts {
        snapshot: plan.found.pin.name.clone(),
        seq: plan.found.pin.seq,
        created_us: plan.found.pin.created_us,
        tables: plan.state.tables.len(),
        rows,
        files: plan.total_files() as u64,
        bytes: plan.total_bytes(),
        new_files: room.new_files,
        new_bytes: room.new_bytes,
        free_bytes: room.free_bytes,
        kept: plan.kept.along,
        found,
        left_behind: left.timeline,
        in_use,
        is_done: false,
        lines: Vec::new(),
    };
    facts.is_done = !in_use && found == Found::Database && left.timeline.is_none() && is_served(disk, plan)?;
    facts.lines = lines(&facts, disk, wish, &plan.gone, left.sentence, conf);
    facts.lines.extend(room.lacking(disk).filter(|_| !facts.is_done));
    Ok(facts)
}

/// Returns whether the timeline in force begins with the snapshot, and no trigger asks for another.
fn is_served(disk: &Disk, plan: &Plan) -> Result<bool> {
    let trigger = disk.layout.restore_trigger();
    if disk.env.fs.exists(&trigger).map_err(Error::io(&trigger))? {
        return Ok(false);
    }
    let Some(newest) = timeline::list(disk)?.pop() else { return Ok(false) };
    let parent = timeline::read(disk, newest)?.0.parent;
    Ok(parent.is_some_and(|parent| parent.served_snapshot.as_ref() == Some(&plan.found.pin.id)))
}

fn lines(
    facts: &Facts,
    disk: &Disk,
    wish: &Wish<'_>,
    gone: &[String],
    left: Option<String>,
    conf: &[String],
) -> Vec<String> {
    let root = disk.layout.root().display();
    let Facts { snapshot, seq, tables, rows, bytes, files, new_bytes, new_files, free_bytes, kept, .. } = facts;
    let proven = match wish.depth {
        Depth::Full => "every byte of it is proven",
        Depth::Fast => "every file is there in its length",
    };
    let mut lines = vec![
        format!(
            "snapshot {snapshot} of {} (seq {seq}) in {}: {tables} tables, {rows} rows; {proven}",
            TimestampUs(facts.created_us),
            wish.from.display()
        ),
        match facts.found {
            Found::Empty => format!("{root} holds no database yet"),
            Found::Unfinished => format!("{root} holds a copy of this database, or a restore that did not end"),
            Found::Database => format!("{root} holds this database, which goes back"),
        },
        format!("{new_bytes} of {bytes} bytes come in {new_files} of {files} files; {free_bytes} bytes are free"),
    ];
    if *kept > 0 {
        lines.push(format!("{kept} kept snapshots come along"));
    }
    lines.extend_from_slice(gone);
    lines.extend(conf.iter().map(|file| format!("{file} stays as it is there")));
    lines.extend(left);
    lines.extend(facts.left_behind.map(|left| match wish.grace_us {
        0 => format!("restore.grace is 0: what is left behind on timeline {left} is lost"),
        grace_us => {
            let grace = restore::duration(grace_us);
            format!("what is left behind on timeline {left} stays for {grace}, so that this can be undone")
        }
    }));
    if facts.is_done {
        lines.push(format!("{root} is restored to it already, and nothing was written since: nothing is to be done"));
    }
    if facts.in_use {
        lines.push(format!("{root} is in use by a server: stop it before the restore"));
    }
    lines
}
