//! Disk space comes back: bases in the background ([`Database::step_base`]) and the removal of what nothing needs
//! ([`Database::step_gc`]).
//!
//! A file goes when the frame that frees it is durable, no state, reader or edit in flight holds it, no kept snapshot names
//! it ([`pins`]), and no snapshot is open: while one is, nothing is unlinked at all. What a restore leaves behind goes when
//! the restore can no longer be undone ([`left`]). Files that are not ours are left alone.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use types::{Seq, TableId};

use crate::base::{self, BaseHandle};
use crate::catalog::Garbage;
use crate::counters::add;
use crate::database::Database;
use crate::detach::is_detached_dir;
use crate::env::fs::FileKind;
use crate::layout::{BaseName, FileId, LogName, SYMBOLS_DIR, TABLE_BASE_DIR, parse_table_dir};
use crate::log::chain::{LogFiles, LogFrom};
use crate::moment::anchor::{self, Anchor};
use crate::moment::window::{Freed, Window};
use crate::planted::Planted;
use crate::snapshot::{Seen, Snapshot};
use crate::table::TableState;
use crate::{Error, Result};

mod left;
pub(crate) mod pins;

use left::Others;
use pins::{Pins, Released};

/// Files unlinked under one hold of the lock; PREPARE waits for a batch at most.
const BATCH_FILES: usize = 64;
/// Log files behind the newest base at which another one is written.
const MAX_LOG_FILES: usize = 64;

/// What gc has still to do; its lock keeps PREPARE out while a batch is unlinked.
#[derive(Default)]
pub struct GcState {
    /// Paths that nothing needs.
    paths: VecDeque<PathBuf>,
    /// Directories to remove once they are empty.
    dirs: VecDeque<PathBuf>,
    /// Symbol files and directories of dropped tables, with the Seq of the drop: a start reads every symbol file that
    /// the newest base names, so they stay until a base is behind the drop.
    until_base: VecDeque<(Seq, Vec<PathBuf>, Option<PathBuf>)>,
    /// What a former run left was looked for.
    swept: bool,
    /// What snapshots hold by name.
    pub(crate) pins: Pins,
    /// Snapshots none of which is open and all of whose files are in `pins`.
    pub(crate) pinned: Seen,
    /// Kept snapshots all of which have settled.
    pub(crate) settled: Seen,
    /// What the restorable window holds; `None` while `log.retention` is off.
    pub(crate) window: Option<Window>,
    released: Vec<Released>,
    left: left::LeftTimelines,
}

impl GcState {
    /// Takes files that were written and that no edit will name.
    pub fn discard(&mut self, paths: Vec<PathBuf>) {
        self.paths.extend(paths);
    }

    /// Removes files of pins, before all others that wait: a copy that found one later would lack what it names.
    pub fn discard_pins(&mut self, paths: Vec<PathBuf>) {
        paths.into_iter().for_each(|path| self.paths.push_front(path));
    }

    /// Returns whether files wait to be removed.
    pub(crate) fn is_busy(&self) -> bool {
        !self.paths.is_empty() || !self.released.is_empty()
    }

    /// Takes a snapshot that is released.
    pub(crate) fn let_go(&mut self, released: Released) {
        self.released.push(released);
    }

    /// As [`GcState::discard`], with the directory that held them.
    pub fn discard_dir(&mut self, paths: Vec<PathBuf>, dir: PathBuf) {
        self.paths.extend(paths);
        self.dirs.push_back(dir);
    }
}

impl Database {
    /// Writes a base when the log has grown enough since the last one. Returns whether it did.
    pub fn step_base(&self) -> Result<bool> {
        let written = self.log.progress().written_bytes;
        let log_is_long = {
            let base = self.base.lock().expect("no holder of this lock panics");
            written.saturating_sub(base.log_bytes) >= self.options.base_bytes
                || self.log.chain_len() > MAX_LOG_FILES.min(self.options.log_files_max)
        };
        let due = log_is_long || self.window_wants_base();
        if due {
            self.write_base()?;
        }
        Ok(due)
    }

    /// Writes a base of what is visible now. Durable on return.
    pub fn write_base(&self) -> Result<()> {
        let _one = self.basing.lock().expect("no writer of a base panics");
        let mut view = self.view();
        let taken = self.disk.layout.base().join(BaseName { timeline: self.timeline, seq: view.seq() }.to_string());
        let newest = self.base.lock().expect("no holder of this lock panics").handle.clone();
        let is_ours = newest.is_some_and(|b| b.name.timeline == self.timeline && b.name.seq >= view.seq());
        if !is_ours && self.disk.env.fs.exists(&taken).map_err(Error::io(&taken))? {
            // A run that was killed has left a part of a base under this Seq's name: the next Seq has a name of its own.
            self.step_mark()?;
            view = self.view();
        }
        let state = view.state();
        let written = self.log.progress().written_bytes;
        let former = self.base.lock().expect("no holder of this lock panics").handle.clone();
        if former.as_ref().is_some_and(|f| f.name.timeline == self.timeline && f.name.seq >= state.seq) {
            return Ok(());
        }
        // A base must never be ahead of the log, also when commits are acknowledged before they are durable.
        if !self.disk.has(Planted::BaseAheadOfLog) {
            self.log.wait_durable(state.seq)?;
        }
        let first_log = self.log.file_with(base::first_needed_seq(state));
        let make_dir = |dir: &Path| self.make_table_dir(dir, TABLE_BASE_DIR);
        let handle =
            base::write(&self.disk, &self.database_id, self.timeline, state, first_log, former.as_deref(), &make_dir)?;
        let handle = Arc::new(handle);
        {
            let mut base = self.base.lock().expect("no holder of this lock panics");
            base.handle = Some(handle.clone());
            base.log_bytes = written;
        }
        self.forget_former(former.as_deref(), &handle);
        add(&self.counters.bases, 1);
        Ok(())
    }

    /// Hands what the former base and the log before the new one held over to gc.
    fn forget_former(&self, former: Option<&BaseHandle>, newest: &BaseHandle) {
        let mut gc = self.gc.lock().expect("no holder of this lock panics");
        let forgotten = match newest.log {
            LogFrom::File(first_log) => self.log.forget_before(first_log),
            LogFrom::Behind(_) => Vec::new(),
        };
        if let Some(window) = &mut gc.window {
            let dense = window.add_base(Anchor::of(newest), anchor::files_of(&self.disk, newest));
            for (name, first_seq) in forgotten {
                window.add_log(name, first_seq, self.log_file_bytes(name));
            }
            gc.paths.extend(dense);
            return;
        }
        if let Some(former) = former {
            gc.paths.push_back(self.disk.layout.db().join(&former.file.file));
            let kept: HashSet<&str> = newest.table_files.values().map(|(file, _)| file.file.as_str()).collect();
            let gone = former.table_files.values().filter(|(file, _)| !kept.contains(file.file.as_str()));
            gc.paths.extend(gone.map(|(file, _)| self.disk.layout.db().join(&file.file)));
        }
        for (name, _) in forgotten {
            gc.paths.push_back(self.disk.layout.log().join(name.to_string()));
            gc.paths.push_back(self.disk.layout.live().join(name.to_string()));
        }
    }

    /// Returns the length of a log file that is full; 0 when nobody knows.
    fn log_file_bytes(&self, name: LogName) -> u64 {
        let path = self.disk.layout.log().join(name.to_string());
        self.disk.env.fs.metadata(&path).map_or(0, |found| found.len_bytes)
    }

    /// Runs `remove` unless a snapshot is open: while one is, nothing below the root may go. PREPARE waits for it.
    pub fn unless_snapshot_is_open<T>(&self, remove: impl FnOnce() -> T) -> Option<T> {
        let _gc = self.gc.lock().expect("no holder of this lock panics");
        let is_open = self.lock_head().state.has_open_snapshot();
        (!is_open).then(remove)
    }

    /// Unlinks a batch of files that nothing needs. Returns whether it unlinked any, or has still to find out what the
    /// restorable window needs.
    pub fn step_gc(&self) -> Result<bool> {
        if self.step_scan()? {
            return Ok(true);
        }
        if !self.pin_all_snapshots()? {
            return Ok(false);
        }
        self.hold_left_timelines()?;
        // The files of a base in the making are named by nothing yet.
        let quiet = self.basing.lock().expect("no writer of a base panics");
        let mut gc = self.gc.lock().expect("no holder of this lock panics");
        let snapshots = self.lock_head().state.snapshots.clone();
        let is_pinned = |s: &Snapshot| !s.is_open() && gc.pins.has(&s.pin.id);
        let ignores = self.disk.has(Planted::GcIgnoresSnapshot);
        if !ignores && !gc.pinned.is(&snapshots) && !snapshots.values().all(|s| is_pinned(s)) {
            return Ok(false);
        }
        self.end_graces(&mut gc);
        self.free_released(&mut gc);
        if !gc.swept {
            self.sweep(&mut gc)?;
            gc.swept = true;
        }
        self.collect(&mut gc);
        if let Some(freed) = gc.window.as_mut().map(|window| window.advance(self.disk.env.clock.now_us())) {
            self.take_freed(&mut gc, freed);
        }
        let discarded = self.log.take_discarded();
        gc.paths.extend(discarded.iter().map(|n| self.disk.layout.live().join(n.to_string())));
        drop(quiet);
        self.collect_sealed_live(&mut gc)?;
        let mut unlinked = false;
        for _ in 0..BATCH_FILES {
            let Some(path) = gc.paths.pop_front() else { break };
            if gc.pins.holds(&path) && !self.disk.has(Planted::GcIgnoresPins) {
                continue;
            }
            match self.disk.env.fs.unlink(&path) {
                Ok(()) => {
                    unlinked = true;
                    add(&self.counters.removed_files, 1);
                }
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => {
                    gc.paths.push_back(path.clone());
                    return Err(Error::io(&path)(e));
                }
            }
        }
        if gc.paths.is_empty() {
            self.remove_empty_dirs(&mut gc);
        }
        Ok(unlinked)
    }

    /// Sees to it that all files that snapshots need are known. Returns false while a snapshot is open: nothing may go.
    fn pin_all_snapshots(&self) -> Result<bool> {
        let snapshots = self.lock_head().state.snapshots.clone();
        if self.gc.lock().expect("no holder of this lock panics").pinned.is(&snapshots) {
            return Ok(true);
        }
        if snapshots.values().any(|s| s.is_open()) && !self.disk.has(Planted::GcIgnoresSnapshot) {
            return Ok(false);
        }
        for snapshot in snapshots.values().filter(|s| !s.is_open()) {
            // Until then its last log file is not among those that are listed.
            self.log.wait_durable(snapshot.pin.seq)?;
            if let Err(error) = self.pin_files_of(snapshot) {
                // One that has settled or was released meanwhile names these files no more.
                let now = self.lock_head().state.snapshots.get(&snapshot.pin.name).cloned();
                return if now.is_some_and(|now| now.pin == snapshot.pin) { Err(error) } else { Ok(false) };
            }
            self.forget_cut_of_expired(snapshot);
        }
        let mut gc = self.gc.lock().expect("no holder of this lock panics");
        let cuts = self.cuts.lock().expect("no holder of this lock panics");
        let is_done = |s: &Snapshot| {
            let forgotten = s.standing().kept || !cuts.contains_key(&s.pin.id);
            !s.is_open() && gc.pins.has(&s.pin.id) && forgotten
        };
        if snapshots.values().all(|s| is_done(s)) {
            gc.pinned.note(&snapshots);
        }
        Ok(true)
    }

    /// Lets go what released snapshots held, once nobody reads them.
    fn free_released(&self, gc: &mut GcState) {
        let released = std::mem::take(&mut gc.released);
        let (free, read): (Vec<_>, Vec<_>) =
            released.into_iter().partition(|r| r.cut.as_ref().is_none_or(|cut| cut.is_unread()));
        gc.released = read;
        if free.is_empty() {
            return;
        }
        let paths: Vec<PathBuf> = free.into_iter().flat_map(|r| gc.pins.remove(&r.id)).collect();
        let mut needed = self.needed_files();
        needed.extend(self.waiting_files(gc));
        needed.extend(self.files_of_window(gc));
        let db = self.disk.layout.db();
        let tables: HashSet<PathBuf> =
            self.lock_head().state.tables_with_files().map(|t| t.path(&self.disk.layout)).collect();
        for path in paths.into_iter().filter(|path| !needed.contains(path)) {
            let dir = path.strip_prefix(&db).ok().and_then(|below| below.iter().next()).map(|dir| db.join(dir));
            let of_table =
                |dir: &PathBuf| dir.file_name().is_some_and(|n| parse_table_dir(&n.to_string_lossy()).is_some());
            if let Some(dir) = dir.filter(|dir| of_table(dir) && !tables.contains(dir) && gc.dirs.back() != Some(dir)) {
                gc.dirs.push_back(dir);
            }
            gc.paths.push_back(path);
        }
    }

    /// Returns the files that the newest state, the newest base and the log need.
    pub(crate) fn needed_files(&self) -> HashSet<PathBuf> {
        let layout = &self.disk.layout;
        let state = self.lock_head().state.clone();
        let mut needed = HashSet::new();
        for table in state.tables_with_files() {
            let dir = table.path(layout);
            needed.extend(table.files().map(|file| dir.join(file)));
        }
        let base = self.base.lock().expect("no holder of this lock panics").handle.clone();
        let base_seq = base.as_ref().map_or(Seq::ZERO, |base| base.name.seq);
        needed.extend(state.files_read_after(base_seq).map(|file| layout.db().join(&file.file)));
        if let Some(base) = base {
            let tables = base.table_files.values().map(|(file, _)| &file.file);
            let files = tables.chain(&base.symbol_files).chain([&base.file.file]);
            needed.extend(files.map(|file| layout.db().join(file)));
        }
        needed.extend(self.log.chain().iter().map(|name| layout.log().join(name.to_string())));
        needed
    }

    /// Takes from the head what nobody holds any more and whose edit is durable.
    fn collect(&self, gc: &mut GcState) {
        let base_seq = self.base.lock().expect("no holder of this lock panics").handle.as_ref().map(|b| b.name.seq);
        let durable = self.log.progress().durable_seq;
        let mut head = self.lock_head();
        let mut kept = VecDeque::new();
        for (seq, garbage) in std::mem::take(&mut head.garbage) {
            let is_durable = seq <= durable || self.disk.has(Planted::UnlinkBeforeFrame);
            let is_unread = match &garbage {
                _ if self.disk.has(Planted::GcIgnoresReader) => true,
                Garbage::Segment(segment) => Arc::strong_count(segment) == 1 && segment.is_last_of_its_file(),
                Garbage::Dead(former) => Arc::strong_count(former) == 1,
                Garbage::Table(table) => self.table_is_free(table),
                Garbage::UntilBase(..) => true,
            };
            let free = is_durable && is_unread;
            if !free {
                kept.push_back((seq, garbage));
                continue;
            }
            let files = garbage.files(&self.disk.layout);
            let dir = match &garbage {
                Garbage::Table(table) => Some(table.path(&self.disk.layout)),
                _ => None,
            };
            if let Some(window) = gc.window.as_mut().filter(|_| !self.disk.has(Planted::GcIgnoresWindow)) {
                window.add_removed(seq, files, dir);
                continue;
            }
            let paths = files.into_iter().map(|(path, _)| path);
            match &garbage {
                Garbage::Segment(_) | Garbage::Dead(_) => gc.paths.extend(paths),
                Garbage::UntilBase(..) => gc.until_base.push_back((seq, paths.collect(), None)),
                Garbage::Table(table) => {
                    let is_symbols = |path: &PathBuf| path.parent().is_some_and(|dir| dir.ends_with(SYMBOLS_DIR));
                    let (symbols, others) = paths.partition(is_symbols);
                    gc.paths.extend::<Vec<_>>(others);
                    gc.until_base.push_back((seq, symbols, Some(table.path(&self.disk.layout))));
                }
            }
        }
        head.garbage = kept;
        // Without a base a start reads nothing but what frames name.
        let is_unread = |seq: Seq| base_seq.map_or(head.state.read_by_replay.is_empty(), |base| base >= seq);
        while gc.until_base.front().is_some_and(|(seq, ..)| is_unread(*seq)) {
            let (_, files, dir) = gc.until_base.pop_front().expect("front() has just seen it");
            gc.paths.extend(files);
            gc.dirs.extend(dir);
        }
    }

    fn table_is_free(&self, table: &Arc<TableState>) -> bool {
        let segments = table.segments.values().flatten();
        // Older states of the table share the map of segments, and so does the newest base, which opens none of them.
        let base = self.base.lock().expect("no holder of this lock panics").handle.clone();
        let in_base = base.as_ref().and_then(|b| b.table_files.get(&table.id));
        let holders = 1 + usize::from(in_base.is_some_and(|(_, map)| Arc::ptr_eq(map, &table.segments)));
        Arc::strong_count(table) == 1
            && Arc::strong_count(&table.segments) == holders
            && segments.into_iter().all(|s| Arc::strong_count(s) == 1 && s.is_last_of_its_file())
    }

    /// A log file that is linked into `_log/` needs its `_live/` name no longer, once a later one has a durable frame, and with it
    /// a header: a start takes a log whose newest file is not in `_live/` for that of a copy.
    fn collect_sealed_live(&self, gc: &mut GcState) -> Result<()> {
        let open: BTreeSet<LogName> = self.log.open_files().into_iter().collect();
        // `_log/` holds a file for each snapshot that has not settled: it is listed when there is something to do.
        if LogFiles::list_live(&self.disk)?.is_subset(&open) {
            return Ok(());
        }
        let files = LogFiles::list(&self.disk)?;
        let mut chain: BTreeSet<LogName> = self.log.chain().into_iter().collect();
        chain.extend(gc.window.iter().flat_map(|window| window.logs()).map(|(name, _)| name));
        let newest = self.log.file_with(self.log.progress().durable_seq);
        let sealed: Vec<LogName> = files
            .live
            .intersection(&files.sealed)
            .filter(|n| chain.contains(n) && !open.contains(n) && **n < newest)
            .copied()
            .collect();
        if !sealed.is_empty() {
            // The name in `_log/` must be durable before the other one goes.
            self.disk.env.fs.sync_dir(&self.disk.layout.log()).map_err(Error::io(&self.disk.layout.log()))?;
            gc.paths.extend(sealed.iter().map(|n| self.disk.layout.live().join(n.to_string())));
        }
        Ok(())
    }

    /// Finds what a former run left unnamed, of this timeline and of those that no undo needs: output of a flush that was
    /// cut short, spares, bases that never became whole, files whose removal was cut short.
    fn sweep(&self, gc: &mut GcState) -> Result<()> {
        let fs = &self.disk.env.fs;
        let layout = &self.disk.layout;
        let mut open: HashSet<LogName> = self.log.open_files().into_iter().chain(self.log.chain()).collect();
        open.extend(gc.window.iter().flat_map(|window| window.logs()).map(|(name, _)| name));
        let files = LogFiles::list(&self.disk)?;
        let ours = |name: &LogName| self.log.is_of_former_run(name) && !open.contains(name);
        gc.paths.extend(files.live.iter().filter(|n| ours(n)).map(|n| layout.live().join(n.to_string())));
        gc.paths.extend(files.sealed.iter().filter(|n| ours(n)).map(|n| layout.log().join(n.to_string())));
        let base = self.base.lock().expect("no holder of this lock panics").handle.clone();
        for entry in fs.list(&layout.base()).map_err(Error::io(&layout.base()))? {
            let Ok(name) = entry.name.parse::<BaseName>() else { continue };
            let path = layout.base().join(&entry.name);
            let is_anchor = gc.window.as_ref().is_some_and(|window| window.names(&path));
            if name.timeline == self.timeline && base.as_ref().is_none_or(|b| name < b.name) && !is_anchor {
                gc.paths.push_back(path);
            }
        }
        let of_window = self.files_of_window(gc);
        let unnamed = gc.paths.len();
        let others = self.other_timelines(gc)?;
        let mut seen = HashSet::new();
        self.sweep_own_bases(base.as_deref(), &others, gc)?;
        for entry in fs.list(&layout.db()).map_err(Error::io(&layout.db()))? {
            if let Some(id) = parse_table_dir(&entry.name).filter(|_| entry.kind == FileKind::Dir) {
                self.sweep_table(id, &entry.name, base.as_deref(), (&others, &mut seen), gc)?;
            }
        }
        self.sweep_others(gc, &others, &seen)?;
        let found = gc.paths.split_off(unnamed);
        gc.paths.extend(found.into_iter().filter(|path| !of_window.contains(path)));
        Ok(())
    }

    /// What snapshots that settle write, and no snapshot and no base names.
    fn sweep_own_bases(&self, base: Option<&BaseHandle>, others: &Others, gc: &mut GcState) -> Result<()> {
        let dir = self.disk.layout.base();
        let found = self.disk.env.fs.list(&dir).map_err(Error::io(&dir))?;
        let ours = |id: FileId| id.timeline_tag() == self.timeline.tag || others.made(id);
        let is_ours = |name: &str| name.strip_suffix(".json").and_then(|id| id.parse().ok()).is_some_and(ours);
        let found = found.iter().filter(|entry| is_ours(&entry.name));
        let mut named: HashSet<PathBuf> = self.changes.writing();
        let db = self.disk.layout.db();
        let of_base = base.into_iter().flat_map(|b| b.table_files.values().map(|(file, _)| file).chain([&b.file]));
        named.extend(of_base.map(|file| db.join(&file.file)));
        let unnamed = found.map(|entry| dir.join(&entry.name)).filter(|path| !named.contains(path));
        gc.paths.extend(unnamed.filter(|path| !gc.pins.holds(path)));
        Ok(())
    }

    fn sweep_table(
        &self,
        id: TableId,
        name: &str,
        base: Option<&BaseHandle>,
        (others, seen): (&Others, &mut HashSet<u32>),
        gc: &mut GcState,
    ) -> Result<()> {
        let fs = &self.disk.env.fs;
        let dir = &self.disk.layout.table(name);
        let mut found = Vec::new();
        let dirs = fs.list(dir).map_err(Error::io(dir))?.into_iter().filter(|e| e.kind == FileKind::Dir);
        for entry in dirs.filter(|e| !is_detached_dir(&e.name)) {
            let below = dir.join(&entry.name);
            let files = fs.list(&below).map_err(Error::io(&below))?.into_iter().filter(|e| e.kind == FileKind::File);
            for file in files {
                let Some(id) = id_in_name(&file.name) else { continue };
                if others.made(id) {
                    seen.insert(id.timeline_tag());
                } else if id.timeline_tag() != self.timeline.tag {
                    continue;
                }
                found.push(below.join(&file.name));
            }
        }
        // Asked after the listing, in this order: a file that a change has just named was being written before.
        let ignores = self.disk.has(Planted::GcIgnoresWriting);
        let writing = if ignores { HashSet::new() } else { self.changes.writing() };
        if writing.contains(dir) {
            return Ok(());
        }
        let view = self.view();
        let state = view.state();
        let ignores = self.disk.has(Planted::GcIgnoresDropped);
        let table = if ignores { state.tables.get(id) } else { state.table_with_files(id) };
        let table = table.filter(|t| *t.dir == *name);
        let mut named: HashSet<PathBuf> = table.into_iter().flat_map(|t| t.files()).map(|f| dir.join(f)).collect();
        let bases = base.into_iter().flat_map(|b| b.table_files.values());
        named.extend(bases.map(|(file, _)| self.disk.layout.db().join(&file.file)));
        // A start reads every symbol file that the base names, also of columns and tables that are gone since.
        let symbols = base.into_iter().flat_map(|b| b.symbol_files.iter());
        named.extend(symbols.map(|file| self.disk.layout.db().join(file)));
        let base_seq = base.map_or(Seq::ZERO, |base| base.name.seq);
        named.extend(view.state().files_read_after(base_seq).map(|file| self.disk.layout.db().join(&file.file)));
        named.extend(self.waiting_files(gc));
        if self.disk.has(Planted::GcTakesNamedOfLeft) {
            named.retain(|path| {
                path.file_name().and_then(|n| id_in_name(&n.to_string_lossy())).is_none_or(|id| !others.made(id))
            });
        }
        gc.paths.extend(found.into_iter().filter(|path| !named.contains(path) && !writing.contains(path)));
        if table.is_none() {
            gc.dirs.push_back(dir.to_owned());
        }
        Ok(())
    }

    /// Returns the bytes of the files that would go if no snapshot were open.
    pub(crate) fn waiting_bytes(&self) -> u64 {
        let mut paths: HashSet<PathBuf> = {
            let gc = self.gc.lock().expect("no holder of this lock panics");
            let waiting = self.waiting_files(&gc);
            waiting.into_iter().chain(gc.paths.iter().cloned()).filter(|path| !gc.pins.holds(path)).collect()
        };
        let needed = self.needed_files();
        paths.retain(|path| !needed.contains(path));
        let (live, log) = (self.disk.layout.live(), self.disk.layout.log());
        let sealed = |path: &Path| path.strip_prefix(&live).ok().map(|name| log.join(name));
        let kept: HashSet<PathBuf> =
            paths.iter().filter(|p| sealed(p).is_some_and(|p| !paths.contains(&p))).cloned().collect();
        // A log file may have two names, of which one stays or both go.
        paths.retain(|path| !kept.contains(path));
        let found = paths.iter().filter_map(|path| self.disk.env.fs.metadata(path).ok());
        found.map(|file| (file.inode, file.len_bytes)).collect::<std::collections::HashMap<_, _>>().values().sum()
    }

    /// Files that only past moments need.
    fn files_of_window(&self, gc: &GcState) -> HashSet<PathBuf> {
        let Some(window) = &gc.window else { return HashSet::new() };
        let mut files = window.files();
        files.extend(window.logs().map(|(name, _)| self.disk.layout.log().join(name.to_string())));
        files
    }

    /// Lets go what the restorable window does not hold any more.
    pub(crate) fn take_freed(&self, gc: &mut GcState, freed: Freed) {
        let Freed { paths, logs, dirs } = freed;
        if !paths.is_empty() {
            let needed = self.needed_files();
            gc.paths.extend(paths.into_iter().filter(|path| !needed.contains(path)));
        }
        for name in logs {
            gc.paths.push_back(self.disk.layout.log().join(name.to_string()));
            gc.paths.push_back(self.disk.layout.live().join(name.to_string()));
        }
        gc.dirs.extend(dirs);
    }

    /// Files that left the state in this run and wait until no reader, base or frame that is not durable needs them.
    fn waiting_files(&self, gc: &GcState) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = gc.until_base.iter().flat_map(|(_, files, _)| files.iter().cloned()).collect();
        let head = self.lock_head();
        let garbage = head.garbage.iter().flat_map(|(_, garbage)| garbage.files(&self.disk.layout));
        files.extend(garbage.map(|(path, _)| path));
        files
    }

    fn remove_empty_dirs(&self, gc: &mut GcState) {
        // A snapshot that settles may have to make them anew.
        let mut durable = self.durable_dirs.lock().expect("no holder of this lock panics");
        for dir in std::mem::take(&mut gc.dirs) {
            durable.retain(|known| !known.starts_with(&dir));
            let below = self.disk.env.fs.list(&dir).unwrap_or_default();
            // A directory that holds something is not ours to remove: a file of another timeline, or an operator's.
            for entry in below.iter().filter(|e| e.kind == FileKind::Dir) {
                let _ = self.disk.env.fs.remove_dir(&dir.join(&entry.name));
            }
            let _ = self.disk.env.fs.remove_dir(&dir);
        }
    }

    /// Returns the Seq through which recovery finds everything in the newest base.
    pub fn base_seq(&self) -> Seq {
        let base = self.base.lock().expect("no holder of this lock panics");
        base.handle.as_ref().map_or(Seq::ZERO, |b| b.name.seq)
    }
}

/// Returns the id that a file name carries: `<id>.<ext>` or `<column>.<id>.<ext>`.
fn id_in_name(name: &str) -> Option<FileId> {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let id = stem.rsplit_once('.').map_or(stem, |(_, id)| id);
    id.parse().ok()
}

#[cfg(test)]
mod tests;
