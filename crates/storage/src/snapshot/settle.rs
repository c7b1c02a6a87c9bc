//! A kept snapshot settles: it gets a base of its own at the cut, and lets the log and the rows in memory go.
//!
//! What the state at the cut holds in memory alone is written as segments and symbol files. Where the table still begins
//! with just these rows, its own edit names the files too, so that nothing is written twice; else, whatever has become of
//! the table since, they are the snapshot's alone. Then, each synced before the next: a file for each table (one that an
//! older settled snapshot has is named again), the base, the pin's new file; a frame publishes them. Until it is durable
//! all of it is garbage, and the snapshot is what it was. Why so: `docs/adr/0007-settled-snapshots.md`.
//!
//! No snapshot settles while one is open: a copy sees each snapshot in one shape, and nothing could be let go.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::{self, BASE_FORMAT_VERSION, Base, TableBase};
use crate::catalog::DbState;
use crate::changes::Outputs;
use crate::database::Database;
use crate::document;
use crate::gc::pins::Released;
use crate::layout::FileId;
use crate::log::writer::Urgency;
use crate::planted::Planted;
use crate::record::{Edit, Record};
use crate::snapshot::open::pin_files;
use crate::snapshot::{FileRef, Pin, Snapshot, content};
use crate::table::TableState;
use crate::{Error, Result};

/// What a snapshot that settles has written so far.
struct Work<'a> {
    database: &'a Database,
    pin: &'a Pin,
    /// Lists, base and pin.
    outputs: Outputs<'a>,
    /// Segments and symbol files that are the snapshot's alone.
    own: Vec<Outputs<'a>>,
    /// The tables' files of an older snapshot, by length and checksum.
    known: HashMap<(u64, u32), FileRef>,
    /// The base's tables, with the files that each names.
    tables: Vec<(FileRef, Vec<(String, u64)>)>,
}

/// Names under which gc knows files until the snapshot holds them under its own.
struct Keys {
    /// Files that others name too and may let go: those of an older snapshot, and those that edits of tables have named.
    borrowed: String,
    settled: String,
    unsettled: String,
}

impl Keys {
    /// Returns names that no other try uses.
    fn new(db: &Database, pin: &Pin) -> Keys {
        let this_try = FileId::new(&db.disk.env, db.timeline);
        let key = |what: &str| format!("{} {what} {this_try}", pin.id);
        Keys { borrowed: key("borrowed"), settled: key("settled"), unsettled: key("unsettled") }
    }
}

impl Database {
    /// Lets the oldest kept snapshot that has not settled do so, unless one is open. Returns whether one did.
    ///
    /// # Errors
    /// Of the disk, and what is wrong with the snapshot's files; the snapshot is what it was.
    pub fn step_settle(&self) -> Result<bool> {
        let snapshots = self.lock_head().state.snapshots.clone();
        if self.gc.lock().expect("no holder of the gc lock panics").settled.is(&snapshots) {
            return Ok(false);
        }
        let unsettled = |s: &&Arc<Snapshot>| s.standing().kept && s.pin.settled.is_none();
        let oldest = snapshots.values().filter(unsettled).min_by_key(|s| (s.pin.timeline.number, s.pin.seq));
        let Some(snapshot) = oldest else {
            self.gc.lock().expect("no holder of the gc lock panics").settled.note(&snapshots);
            return Ok(false);
        };
        if snapshots.values().any(|s| s.is_open()) {
            return Ok(false);
        }
        self.log.wait_durable(snapshot.pin.seq)?;
        let files = pin_files(&self.disk, Some(&snapshot.pin.name))?;
        let files = files.into_iter().filter(|(_, found)| found.as_ref().is_some_and(|pin| pin.id == snapshot.pin.id));
        let former: Vec<PathBuf> = files.map(|(file, _)| self.disk.layout.snapshot().join(file)).collect();
        // PREPARE has not written it yet, or its release has just removed it.
        if former.is_empty() {
            return Ok(false);
        }
        // What the snapshot holds now has to be known, to be let go.
        self.pin_files_of(snapshot)?;
        let Some(state) = self.state_at(snapshot)? else { return Ok(false) };
        let newest = snapshots.values().filter(|s| s.pin.settled.is_some());
        let newest = newest.max_by_key(|s| (s.pin.timeline.number, s.pin.seq)).map(|s| &**s);
        let keys = Keys::new(self, &snapshot.pin);
        let settled = self.settle(&snapshot.pin, &state, newest, &keys);
        drop(state);
        self.hand_over(&snapshot.pin, &keys, settled, former)
    }

    /// Writes everything and publishes it. Durable on return.
    fn settle(&self, pin: &Pin, state: &DbState, newest: Option<&Snapshot>, keys: &Keys) -> Result<()> {
        let known = newest.map(|newest| self.borrow_tables(newest, keys)).transpose()?.unwrap_or_default();
        let outputs = Outputs::new(self);
        let mut work = Work { database: self, pin, outputs, own: Vec::new(), known, tables: Vec::new() };
        let mut tables: Vec<&Arc<TableState>> = state.tables_with_files().collect();
        tables.sort_by_key(|t| t.id);
        for table in tables {
            let body = work.table_at_cut(table, keys)?;
            work.write_table(body)?;
        }
        let base = work.write_base(state)?;
        {
            let mut gc = self.gc.lock().expect("no holder of the gc lock panics");
            gc.pins.add(&keys.settled, [self.held(&base.file, base.len_bytes)]);
            for (table, files) in &work.tables {
                let files = files.iter().map(|(file, len_bytes)| self.held(file, *len_bytes));
                gc.pins.add_list(&keys.settled, &table.file, files);
            }
        }
        work.write_pin(&base)?;
        let record = Record::Settle { id: pin.id.clone(), base };
        let published = self.commit_records(Urgency::Urgent, vec![record], |state| {
            let is_live = state.snapshots.get(&pin.name).is_some_and(|s| s.pin == *pin);
            if !is_live || state.has_open_snapshot() {
                return Err(Error::Conflict(format!("snapshot {} cannot settle now", pin.name)));
            }
            Ok(())
        });
        let published = published?;
        if !self.disk.has(Planted::SettleLetsGoEarly) {
            self.log.wait_durable(published)?;
        }
        work.own.into_iter().chain([work.outputs]).try_for_each(|outputs| outputs.settle(Ok(())))
    }

    /// Lets the files of an older settled snapshot stay until this one has settled; returns its tables' files.
    fn borrow_tables(&self, older: &Snapshot, keys: &Keys) -> Result<HashMap<(u64, u32), FileRef>> {
        self.pin_files_of(older)?;
        let is_held = {
            let mut gc = self.gc.lock().expect("no holder of the gc lock panics");
            gc.pins.add_all_of(&keys.borrowed, &older.pin.id)
        };
        let Some(named) = older.pin.settled.as_ref().filter(|_| is_held) else { return Ok(HashMap::new()) };
        let base = content::own_base(&self.disk, &older.pin, named, &|_| Ok(()))?;
        Ok(base.table_files.into_iter().map(|file| ((file.len_bytes, file.crc32c), file)).collect())
    }

    /// Makes gc know what the snapshot holds now, and what it does not any more.
    fn hand_over(&self, pin: &Pin, keys: &Keys, settled: Result<()>, former: Vec<PathBuf>) -> Result<bool> {
        if self.write_failure().is_some() {
            // The frame may stand in the log: the next start knows what the snapshot names.
            return settled.map(|()| true);
        }
        let mut gc = self.gc.lock().expect("no holder of the gc lock panics");
        gc.let_go(Released { id: keys.borrowed.clone(), cut: None });
        let is_live = self.lock_head().state.snapshots.get(&pin.name).is_some_and(|s| s.pin.id == pin.id);
        if settled.is_err() || !is_live {
            gc.let_go(Released { id: keys.settled.clone(), cut: None });
        } else {
            gc.pins.rename(&pin.id, &keys.unsettled);
            gc.pins.rename(&keys.settled, &pin.id);
            let cut = self.cuts.lock().expect("no holder of this lock panics").remove(&pin.id);
            gc.let_go(Released { id: keys.unsettled.clone(), cut });
            gc.discard(former);
        }
        match settled {
            // Another one is open, or it was completed: it is tried again where it makes sense.
            Err(Error::Conflict(_)) => Ok(false),
            settled => settled.map(|()| true),
        }
    }
}

impl<'a> Work<'a> {
    /// Returns what the base says of a table, all of whose rows and symbols are in files then.
    fn table_at_cut(&mut self, table: &TableState, keys: &Keys) -> Result<TableBase> {
        if base::first_needed_seq_of(table).is_none() {
            return Ok(body(table));
        }
        let db = self.database;
        let lock = db.changes.lock_of(table.id);
        let _one = lock.lock().expect("no mutator panics");
        let outputs = Outputs::new(db);
        let edit = db.write_older(table, &outputs)?;
        let body = body(&with(db, table, &edit));
        let view = db.view();
        let newest = view.state().table_with_files(table.id);
        if newest.is_some_and(|newest| newest.begins_with_rows_of(table)) {
            db.gc
                .lock()
                .expect("no holder of the gc lock panics")
                .pins
                .add(&keys.borrowed, body.files().into_iter().map(|(file, len_bytes)| db.held(&file, len_bytes)));
            match db.commit_edit(edit) {
                Ok(()) => return outputs.settle(Ok(body)),
                // The table was truncated or dropped: the files are the snapshot's alone.
                Err(Error::Conflict(_)) => {}
                Err(e) => return Err(e),
            }
        }
        self.own.push(outputs);
        Ok(body)
    }

    /// Writes the file of a table, unless the older snapshot has it.
    fn write_table(&mut self, body: TableBase) -> Result<()> {
        let bytes = document::encode(&body);
        let reference = document::reference(String::new(), &bytes);
        let known = self.known.get(&(reference.len_bytes, reference.crc32c));
        let disk = &self.database.disk;
        let named = match known {
            Some(known) if is_content(self.database, known, &bytes)? => known.clone(),
            _ => {
                let file = self.new_file();
                document::write(&disk.env, &disk.layout.db().join(&file), &bytes)?;
                FileRef { file, ..reference }
            }
        };
        let mut files = body.files();
        files.push((named.file.clone(), named.len_bytes));
        self.tables.push((named, files));
        Ok(())
    }

    fn write_base(&self, state: &DbState) -> Result<FileRef> {
        let disk = &self.database.disk;
        let base = Base {
            format: BASE_FORMAT_VERSION,
            database_id: self.database.database_id.clone(),
            timeline: self.pin.timeline,
            seq: self.pin.seq,
            commit_us: state.commit_us,
            first_log: self.pin.last_log.clone(),
            next_table: state.next_table,
            generation: state.generation,
            snapshots: Vec::new(),
            tables: Vec::new(),
            snapshot: Some(self.pin.id.clone()),
            table_files: self.tables.iter().map(|(named, _)| named.clone()).collect(),
            dropped: base::dropped(state),
        };
        let bytes = document::encode(&base);
        let file = self.new_file();
        document::write(&disk.env, &disk.layout.db().join(&file), &bytes)?;
        disk.env.fs.sync_dir(&disk.layout.base()).map_err(Error::io(&disk.layout.base()))?;
        Ok(document::reference(file, &bytes))
    }

    fn write_pin(&self, base: &FileRef) -> Result<()> {
        let disk = &self.database.disk;
        let dir = disk.layout.snapshot();
        let path = dir.join(format!("{}.{}.json", self.pin.name, FileId::new(&disk.env, self.database.timeline)));
        self.outputs.will_write(&path);
        document::write(&disk.env, &path, &document::encode(&self.pin.settled_by(base.clone())))?;
        disk.env.fs.sync_dir(&dir).map_err(Error::io(&dir))
    }

    /// Returns the name, relative to `db/`, of a file that is about to be written.
    fn new_file(&self) -> String {
        let disk = &self.database.disk;
        let file = format!("_base/{}.json", FileId::new(&disk.env, self.database.timeline));
        self.outputs.will_write(&disk.layout.db().join(&file));
        file
    }
}

fn body(table: &TableState) -> TableBase {
    let (state, segments) = (Some(base::describe(table)), base::list(&table.segments));
    TableBase { format: BASE_FORMAT_VERSION, table: table.id, state, segments }
}

/// Returns the table as it is when the edit has named all that it held in memory. The dictionaries are those of the newest
/// state: they are not told.
fn with(db: &Database, table: &TableState, edit: &Edit) -> TableState {
    let mut table = TableState::clone(table);
    table.edit_segments(&db.disk, edit);
    for file in &edit.symbol_files {
        if let Some(symbols) = Arc::make_mut(&mut table.symbols).get_mut(&file.column) {
            Arc::make_mut(&mut symbols.files).push(file.clone());
        }
    }
    table.flushed_through = edit.flushed_through.unwrap_or(table.flushed_through);
    table
}

fn is_content(db: &Database, named: &FileRef, bytes: &[u8]) -> Result<bool> {
    let path = db.disk.layout.db().join(&named.file);
    let found = db.disk.env.fs.read(&path).map_err(Error::io(&path))?;
    Ok(found == bytes)
}
