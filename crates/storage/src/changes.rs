//! Changes of segments in progress: one mutator per table at a time, the files that no edit names yet, and the gate at
//! which writers of a table wait while its last rows are converted.
//!
//! Flush, UPDATE, DROP PARTITION and their like hold their table's lock; compaction holds none and relies on its edit
//! being refused when another change came first. Whoever writes files does it through [`Outputs`], so that neither a sweep
//! takes them for leftovers nor a failure leaves them behind.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

use types::TableId;

use crate::database::Database;
use crate::env::Env;
use crate::env::fs::FileKind;
use crate::env::sync_later::SyncLater;
use crate::{Error, Result};

/// What the changes of one database share.
#[derive(Default)]
pub(crate) struct Changes {
    locks: Mutex<HashMap<TableId, Arc<Mutex<()>>>>,
    writing: Mutex<HashSet<PathBuf>>,
    /// Tables whose writers wait.
    shut: Mutex<HashSet<TableId>>,
    opened: Condvar,
}

impl Changes {
    /// Returns the lock of a table's mutators.
    pub fn lock_of(&self, id: TableId) -> Arc<Mutex<()>> {
        let mut locks = self.locks.lock().expect("no holder of this lock panics");
        if locks.len() > 1024 {
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
        locks.entry(id).or_default().clone()
    }

    /// Returns the files that are being written and that no edit names yet, and the directories of tables in the making, which
    /// stand for all files below them.
    pub fn writing(&self) -> HashSet<PathBuf> {
        self.writing.lock().expect("no holder of this lock panics").clone()
    }
}

/// Keeps writers of a table waiting while it lives.
pub(crate) struct Gate<'a> {
    database: &'a Database,
    table: TableId,
}

impl Drop for Gate<'_> {
    fn drop(&mut self) {
        let changes = &self.database.changes;
        changes.shut.lock().expect("no holder of this lock panics").remove(&self.table);
        changes.opened.notify_all();
    }
}

impl Database {
    /// Lets the writers of a table wait. Whoever passed before has its commit in the newest state.
    pub(crate) fn shut(&self, table: TableId) -> Gate<'_> {
        let _head = self.lock_head();
        self.changes.shut.lock().expect("no holder of this lock panics").insert(table);
        Gate { database: self, table }
    }

    /// Returns whether writers of one of the tables have to wait; asked under the head lock.
    pub(crate) fn is_shut(&self, tables: &[TableId]) -> bool {
        let shut = self.changes.shut.lock().expect("no holder of this lock panics");
        !shut.is_empty() && tables.iter().any(|table| shut.contains(table))
    }

    /// Waits until no writer of the tables has to.
    pub(crate) fn wait_until_open(&self, tables: &[TableId]) {
        let shut = self.changes.shut.lock().expect("no holder of this lock panics");
        let wait = |shut: &mut HashSet<TableId>| tables.iter().any(|table| shut.contains(table));
        drop(self.changes.opened.wait_while(shut, wait).expect("no holder of this lock panics"));
    }
}

/// Files that one change writes. Dropped before [`Outputs::settle`] says that an edit names them, they are garbage.
pub(crate) struct Outputs<'a> {
    database: &'a Database,
    env: Env,
    /// Notes the syncs of `env`'s files, if they are put off.
    later: Option<Arc<SyncLater>>,
    /// The names of new directories are durable at once all the same.
    shares_dirs: bool,
    paths: RefCell<Vec<PathBuf>>,
    dirs: RefCell<Vec<PathBuf>>,
    /// Directories whose names become durable with what is put off.
    made: RefCell<BTreeSet<PathBuf>>,
}

impl Outputs<'_> {
    pub fn new(database: &Database) -> Outputs<'_> {
        Outputs::through(database, database.disk.env.clone(), None)
    }

    fn through(database: &Database, env: Env, later: Option<Arc<SyncLater>>) -> Outputs<'_> {
        let (shares_dirs, paths, dirs, made) = Default::default();
        Outputs { database, env, later, shares_dirs, paths, dirs, made }
    }

    /// As [`Outputs::new`], for directories that nobody else writes to: nothing is durable before [`Outputs::sync`], which
    /// asks for all of it at once.
    pub fn synced_at_the_end(database: &Database) -> Result<Outputs<'_>> {
        let db = database.disk.layout.db();
        let later = SyncLater::new(database.disk.env.fs.clone(), &db).map_err(Error::io(&db))?;
        let later = Arc::new(later);
        let env = Env { fs: later.clone(), ..database.disk.env.clone() };
        Ok(Outputs::through(database, env, Some(later)))
    }

    /// As [`Outputs::synced_at_the_end`], for directories that others write to as well: new ones are durable at once.
    pub fn of_files_synced_at_the_end(database: &Database) -> Result<Outputs<'_>> {
        let mut outputs = Outputs::synced_at_the_end(database)?;
        outputs.shares_dirs = true;
        Ok(outputs)
    }

    /// Returns what the files are written through.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// Makes a table's directory and one below it, where they are missing. Their names are durable on return, or with what is
    /// put off.
    pub fn make_table_dir(&self, dir: &Path, below: &str) -> Result<()> {
        if self.later.is_none() || self.shares_dirs {
            return self.database.make_table_dir(dir, below);
        }
        let fs = &self.env.fs;
        for (dir, parent) in [(dir.to_owned(), self.database.disk.layout.db()), (dir.join(below), dir.to_owned())] {
            if !self.made.borrow_mut().insert(dir.clone()) {
                continue;
            }
            match fs.create_dir(&dir) {
                // A run that was killed may have made it.
                Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => return Err(Error::io(&dir)(e)),
                _ => {}
            }
            fs.sync_dir(&parent).map_err(Error::io(&parent))?;
        }
        Ok(())
    }

    /// Makes durable what was put off, files and names.
    pub fn sync(&self) -> Result<()> {
        let Some(later) = &self.later else { return Ok(()) };
        later.sync().map_err(|(path, e)| Error::io(&path)(e))?;
        let made = std::mem::take(&mut *self.made.borrow_mut());
        self.database.durable_dirs.lock().expect("no holder of this lock panics").extend(made);
        Ok(())
    }

    /// Notes a file that is about to be written.
    pub fn will_write(&self, path: &Path) {
        self.paths.borrow_mut().push(path.to_owned());
        self.database.changes.writing.lock().expect("no holder of this lock panics").insert(path.to_owned());
    }

    /// Notes the directory of a table that is about to be made. No state knows it; it stands for all that is written or linked
    /// below it, which may be ten thousands of files.
    pub fn will_make(&self, dir: &Path) {
        self.dirs.borrow_mut().push(dir.to_owned());
        self.database.changes.writing.lock().expect("no holder of this lock panics").insert(dir.to_owned());
    }

    /// Notes that a durable edit names some of the files.
    pub fn are_named(&self, paths: &[PathBuf]) {
        self.paths.borrow_mut().retain(|path| !paths.contains(path));
        let mut writing = self.database.changes.writing.lock().expect("no holder of this lock panics");
        paths.iter().for_each(|path| {
            writing.remove(path);
        });
    }

    /// Settles what was written: named by its edit when `outcome` is good, else garbage.
    pub fn settle<T>(self, outcome: Result<T>) -> Result<T> {
        if outcome.is_ok() {
            self.forget();
            self.dirs.borrow_mut().clear();
        }
        outcome
    }

    /// Returns the files of a table's directory, as far as it can be read: a start looks for what is left.
    fn files_below(&self, dir: &Path) -> Vec<PathBuf> {
        let fs = &self.database.disk.env.fs;
        let list = |dir: &Path| {
            fs.list(dir).unwrap_or_else(|e| {
                if e.kind() != std::io::ErrorKind::NotFound {
                    tracing::warn!("{}: {e}: what was written there goes at the next start", dir.display());
                }
                Vec::new()
            })
        };
        let below = list(dir).into_iter().filter(|entry| entry.kind == FileKind::Dir).map(|entry| dir.join(entry.name));
        below.flat_map(|dir| list(&dir).into_iter().map(move |file| dir.join(file.name))).collect()
    }

    fn forget(&self) -> Vec<PathBuf> {
        let paths = std::mem::take(&mut *self.paths.borrow_mut());
        let mut writing = self.database.changes.writing.lock().expect("no holder of this lock panics");
        paths.iter().chain(self.dirs.borrow().iter()).for_each(|path| {
            writing.remove(path);
        });
        paths
    }
}

impl Drop for Outputs<'_> {
    fn drop(&mut self) {
        // When the log has failed, the edit may stand in it: the next start knows which files it names. Until then they count as being
        // written, or gc would take them for leftovers.
        if self.database.write_failure().is_some() {
            return;
        }
        let paths = self.forget();
        let mut gc = self.database.gc.lock().expect("no holder of this lock panics");
        gc.discard(paths);
        for dir in self.dirs.take() {
            gc.discard_dir(self.files_below(&dir), dir);
        }
    }
}
