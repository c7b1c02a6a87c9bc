//! A kept snapshot settles: it gets a base of its own at the cut, and lets the log and the rows in memory go.
//!
//! What the state at the cut holds in memory alone is written as segments and symbol files. Where the table still begins
//! with just these rows, its own edit names the files too, so that nothing is written twice; else, whatever has become of
//! the table since, they are the snapshot's alone. Then, each synced before the next: a file for each table (one that an
//! older settled snapshot has is named again) and the base, the pin's new file; a frame publishes them. Until it is durable
//! all of it is garbage, and the snapshot is what it was. Why so: `docs/adr/0007-settled-snapshots.md`.
//!
//! Snapshots that wait settle together, with these syncs once for all of them, and of rows that a table held in memory at
//! several cuts most are written once ([`rows`]).
//!
//! No snapshot settles while one is open: a copy sees each snapshot in one shape, and nothing could be let go.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use types::TableId;

use self::rows::RowsInFiles;
use crate::base::{self, BASE_FORMAT_VERSION, Base, TableBase};
use crate::catalog::DbState;
use crate::changes::Outputs;
use crate::database::Database;
use crate::document;
use crate::gc::pins::Released;
use crate::layout::FileId;
use crate::log::writer::Urgency;
use crate::planted::Planted;
use crate::record::{self, Record};
use crate::snapshot::open::pin_files;
use crate::snapshot::{FileRef, Pin, Snapshot, content};
use crate::table::TableState;
use crate::{Error, Result};

mod rows;

/// So many snapshots settle at once.
const MOST_AT_ONCE: usize = 128;

/// A snapshot that settles, and what is written for it.
struct Settling {
    pin: Pin,
    state: Arc<DbState>,
    /// Files of its pin as it was.
    former: Vec<PathBuf>,
    keys: Keys,
    base: Option<FileRef>,
    new_pin: Option<PathBuf>,
}

/// Names under which gc knows files until the snapshot holds them under its own.
struct Keys {
    settled: String,
    unsettled: String,
}

/// What is written for snapshots that settle together.
struct Work<'a> {
    database: &'a Database,
    outputs: Outputs<'a>,
    /// Tables' files by length and checksum: of an older snapshot, and what was written so far.
    known: HashMap<(u64, u32), FileRef>,
    /// Each table as the last of the snapshots needs it.
    tables: HashMap<TableId, Listed>,
}

/// A table at a cut, with the file that lists all of it.
struct Listed {
    table: Arc<TableState>,
    rows: Option<RowsInFiles>,
    list: FileRef,
}

impl Database {
    /// Lets the oldest kept snapshots that have not settled do so, unless one is open; those with files that are damaged stay
    /// behind. Returns whether any did.
    ///
    /// # Errors
    /// Of the disk, and what is wrong with the files of the oldest one when no other can settle; the snapshots are what they
    /// were.
    pub fn step_settle(&self) -> Result<bool> {
        let _to_the_end = self.settling.lock().expect("nobody panics while snapshots settle");
        let snapshots = self.lock_head().state.snapshots.clone();
        if self.gc.lock().expect("no holder of the gc lock panics").settled.is(&snapshots) {
            return Ok(false);
        }
        let mut unsettled: Vec<&Arc<Snapshot>> = snapshots.values().filter(|s| s.is_to_settle()).collect();
        if unsettled.is_empty() {
            self.gc.lock().expect("no holder of the gc lock panics").settled.note(&snapshots);
            return Ok(false);
        }
        if snapshots.values().any(|s| s.is_open()) {
            return Ok(false);
        }
        let by_cut = |s: &Snapshot| (s.pin.timeline.number, s.pin.seq);
        unsettled.sort_by_key(|s| by_cut(s));
        let (mut batch, mut damaged) = (Vec::new(), None);
        for snapshot in unsettled {
            // States that are read from files share no rows: one at a time is held.
            let shares = self.is_in_memory(snapshot);
            if !shares && !batch.is_empty() {
                break;
            }
            match self.begin_to_settle(snapshot) {
                Ok(begun) => batch.extend(begun),
                // The others need not wait for it: a step that finds none of them says what is wrong.
                Err(e) if !e.may_pass() => {
                    damaged.get_or_insert(e);
                }
                Err(e) if batch.is_empty() => return Err(e),
                // The next step begins with it.
                Err(_) => break,
            }
            if batch.len() == MOST_AT_ONCE || !shares && !batch.is_empty() {
                break;
            }
        }
        if batch.is_empty() {
            return damaged.map_or(Ok(false), Err);
        }
        let newest = snapshots.values().filter(|s| s.pin.settled.is_some()).max_by_key(|s| by_cut(s));
        let borrowed = format!("borrowed {}", FileId::new(&self.disk.env, self.timeline));
        let settled = self.settle(&mut batch, newest.map(|s| &**s), &borrowed);
        self.hand_over(batch, borrowed, settled)
    }

    /// Returns whether the state at a snapshot's cut is one of this run.
    fn is_in_memory(&self, snapshot: &Snapshot) -> bool {
        let cuts = self.cuts.lock().expect("no holder of this lock panics");
        cuts.get(&snapshot.pin.id).is_some_and(|cut| !cut.loaded)
    }

    /// Finds what there is of a snapshot. `None`: not now.
    fn begin_to_settle(&self, snapshot: &Snapshot) -> Result<Option<Settling>> {
        self.log.wait_durable(snapshot.pin.seq)?;
        let files = pin_files(&self.disk, Some(&snapshot.pin.name))?;
        let files = files.into_iter().filter(|(_, found)| found.as_ref().is_some_and(|pin| pin.id == snapshot.pin.id));
        let former: Vec<PathBuf> = files.map(|(file, _)| self.disk.layout.snapshot().join(file)).collect();
        // PREPARE has not written it yet, or its release has just removed it.
        if former.is_empty() {
            return Ok(None);
        }
        // What the snapshot holds now has to be known, to be let go.
        self.pin_files_of(snapshot)?;
        let Some(state) = self.state_at(snapshot)? else { return Ok(None) };
        // No other try uses these names.
        let this_try = FileId::new(&self.disk.env, self.timeline);
        let key = |what: &str| format!("{} {what} {this_try}", snapshot.pin.id);
        let keys = Keys { settled: key("settled"), unsettled: key("unsettled") };
        let pin = snapshot.pin.clone();
        Ok(Some(Settling { pin, state, former, keys, base: None, new_pin: None }))
    }

    /// Writes everything and publishes it. Durable on return.
    fn settle(&self, batch: &mut [Settling], newest: Option<&Snapshot>, borrowed: &str) -> Result<()> {
        let known = newest.map(|newest| self.borrow_tables(newest, borrowed)).transpose()?.unwrap_or_default();
        // One call makes one file system durable: what lies elsewhere is synced file by file.
        let is_one = self.find_places()?.is_empty();
        let outputs = if is_one { Outputs::of_files_synced_at_the_end(self)? } else { Outputs::new(self) };
        let mut work = Work { database: self, outputs, known, tables: HashMap::new() };
        batch.iter_mut().try_for_each(|one| self.go_on_settling().and_then(|()| work.write_base(one)))?;
        work.sync(self.disk.layout.base())?;
        work.tell_tables()?;
        batch.iter_mut().try_for_each(|one| self.go_on_settling().and_then(|()| work.write_pin(one)))?;
        work.sync(self.disk.layout.snapshot())?;
        self.publish_settled(batch)?;
        work.outputs.settle(Ok(()))
    }

    /// Gives up where somebody wants to copy: who takes a snapshot waits for the end of this.
    fn go_on_settling(&self) -> Result<()> {
        match self.lock_head().state.has_open_snapshot() {
            true => Err(not_now()),
            false => Ok(()),
        }
    }

    /// Commits the bases of those that are still there.
    fn publish_settled(&self, batch: &[Settling]) -> Result<()> {
        let record_of = |one: &Settling| {
            let base = one.base.clone()?;
            Some((one.pin.clone(), Record::Settle { id: one.pin.id.clone(), base }))
        };
        let (pins, records): (Vec<Pin>, Vec<Record>) = batch.iter().filter_map(record_of).unzip();
        let bytes = record::encode(&records).len();
        let published = self.commit(Urgency::Urgent, bytes, |state| {
            let is_live = |pin: &Pin| state.snapshots.get(&pin.name).is_some_and(|s| s.pin == *pin);
            let records: Vec<Record> =
                pins.iter().zip(records).filter(|(pin, _)| is_live(pin)).map(|(_, record)| record).collect();
            if records.is_empty() || state.has_open_snapshot() {
                return Err(not_now());
            }
            Ok(records)
        })?;
        if self.disk.has(Planted::SettleLetsGoEarly) { Ok(()) } else { self.log.wait_durable(published) }
    }

    /// Lets the files of an older settled snapshot stay until these have settled; returns its tables' files.
    fn borrow_tables(&self, older: &Snapshot, borrowed: &str) -> Result<HashMap<(u64, u32), FileRef>> {
        self.pin_files_of(older)?;
        let is_held = {
            let mut gc = self.gc.lock().expect("no holder of the gc lock panics");
            gc.pins.add_all_of(borrowed, &older.pin.id)
        };
        let Some(named) = older.pin.settled.as_ref().filter(|_| is_held) else { return Ok(HashMap::new()) };
        let base = content::own_base(&self.disk, &older.pin, named, &|_| Ok(()))?;
        Ok(base.table_files.into_iter().map(|file| ((file.len_bytes, file.crc32c), file)).collect())
    }

    /// Makes gc know what the snapshots hold now, and what they do not any more.
    fn hand_over(&self, batch: Vec<Settling>, borrowed: String, settled: Result<()>) -> Result<bool> {
        if self.write_failure().is_some() {
            // The frame may stand in the log: the next start knows what the snapshots name.
            return settled.map(|()| true);
        }
        let mut gone = Vec::new();
        let mut gc = self.gc.lock().expect("no holder of the gc lock panics");
        gc.let_go(Released { id: borrowed, cut: None });
        let snapshots = self.lock_head().state.snapshots.clone();
        for Settling { pin, former, keys, new_pin, state, .. } in batch {
            drop(state);
            let is_live = snapshots.get(&pin.name).is_some_and(|s| s.pin.id == pin.id);
            if settled.is_err() || !is_live {
                gc.let_go(Released { id: keys.settled, cut: None });
                gone.extend(new_pin);
            } else {
                gc.pins.rename(&pin.id, &keys.unsettled);
                gc.pins.rename(&keys.settled, &pin.id);
                let cut = self.cuts.lock().expect("no holder of this lock panics").remove(&pin.id);
                gc.let_go(Released { id: keys.unsettled, cut });
                gone.extend(former);
            }
        }
        drop(gc);
        self.remove_pins(gone);
        match settled {
            // Another one is open, or all were completed: it is tried again where it makes sense.
            Err(Error::Conflict(_)) => Ok(false),
            settled => settled.map(|()| true),
        }
    }

    /// Removes files of pins at once: a copy that found one later would lack what it names.
    fn remove_pins(&self, paths: Vec<PathBuf>) {
        for path in paths {
            match self.disk.env.fs.unlink(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    tracing::debug!("{}: not removed yet: {e}", path.display());
                    self.gc.lock().expect("no holder of the gc lock panics").discard_pins(vec![path]);
                }
                _ => {}
            }
        }
    }
}

impl Work<'_> {
    /// Makes durable what was written so far, with the names in a directory.
    fn sync(&self, dir: PathBuf) -> Result<()> {
        self.outputs.env().fs.sync_dir(&dir).map_err(Error::io(&dir))?;
        self.outputs.sync()
    }

    /// Writes the base of a snapshot, and the tables that it names.
    fn write_base(&mut self, one: &mut Settling) -> Result<()> {
        let mut tables: Vec<&Arc<TableState>> = one.state.tables_with_files().collect();
        tables.sort_by_key(|t| t.id);
        let lists = tables.into_iter().map(|table| self.list_of(table, &one.keys)).collect::<Result<Vec<FileRef>>>()?;
        let base = Base {
            format: BASE_FORMAT_VERSION,
            database_id: self.database.database_id.clone(),
            timeline: one.pin.timeline,
            seq: one.pin.seq,
            commit_us: one.state.commit_us,
            first_log: one.pin.last_log.clone(),
            next_table: one.state.next_table,
            generation: one.state.generation,
            snapshots: Vec::new(),
            tables: Vec::new(),
            snapshot: Some(one.pin.id.clone()),
            table_files: lists,
            dropped: base::dropped(&one.state),
            views: base::views(&one.state),
        };
        let named = self.write(&document::encode(&base))?;
        let mut gc = self.database.gc.lock().expect("no holder of the gc lock panics");
        gc.pins.add(&one.keys.settled, [self.database.held(&named.file, named.len_bytes)]);
        one.base = Some(named);
        Ok(())
    }

    /// Returns the file that lists a table at the cut, all of whose rows and symbols are in files then.
    fn list_of(&mut self, table: &Arc<TableState>, keys: &Keys) -> Result<FileRef> {
        let db = self.database;
        let (listed, files) = match self.tables.remove(&table.id) {
            Some(same) if Arc::ptr_eq(&same.table, table) => (same, Vec::new()),
            former => self.list_anew(table, former.and_then(|former| former.rows))?,
        };
        let list = listed.list.clone();
        self.tables.insert(table.id, listed);
        let mut gc = db.gc.lock().expect("no holder of the gc lock panics");
        gc.pins.add_list(&keys.settled, &list.file, files.iter().map(|(file, len_bytes)| db.held(file, *len_bytes)));
        Ok(list)
    }

    /// Writes what is not in files yet, and the file of the table, unless an older snapshot has it. Returns all files with
    /// their lengths.
    fn list_anew(
        &mut self,
        table: &Arc<TableState>,
        former: Option<RowsInFiles>,
    ) -> Result<(Listed, Vec<(String, u64)>)> {
        let db = self.database;
        let has_rest = base::first_needed_seq_of(table).is_some();
        let rows = has_rest.then(|| RowsInFiles::write(db, table, former, &self.outputs)).transpose()?;
        let body = rows.as_ref().map_or_else(|| body(table), |rows| body(&rows.table(db)));
        let bytes = document::encode(&body);
        let by_content = document::reference(String::new(), &bytes);
        let by_content = (by_content.len_bytes, by_content.crc32c);
        let list = match self.known.get(&by_content) {
            Some(known) if is_content(db, known, &bytes)? => known.clone(),
            _ => self.write(&bytes)?,
        };
        self.known.insert(by_content, list.clone());
        let mut files = body.files();
        files.push((list.file.clone(), list.len_bytes));
        Ok((Listed { table: table.clone(), rows, list }, files))
    }

    /// Lets tables that still begin with the rows of the last cut know that they are in files now.
    fn tell_tables(&self) -> Result<()> {
        let db = self.database;
        for rows in self.tables.values().filter_map(|listed| listed.rows.as_ref()) {
            let lock = db.changes.lock_of(rows.of().id);
            let _one = lock.lock().expect("no mutator panics");
            let view = db.view();
            let newest = view.state().table_with_files(rows.of().id);
            if newest.is_none_or(|newest| !newest.begins_with_rows_of(rows.of())) {
                continue;
            }
            match db.commit_edit(rows.edit().clone()) {
                Ok(()) => self.outputs.are_named(&rows.paths(db)),
                // The table was truncated or dropped: the files are the snapshots' alone.
                Err(Error::Conflict(_)) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn write_pin(&self, one: &mut Settling) -> Result<()> {
        let disk = &self.database.disk;
        let Some(base) = one.base.clone() else { return Ok(()) };
        let name = format!("{}.{}.json", one.pin.name, FileId::new(&disk.env, self.database.timeline));
        let path = disk.layout.snapshot().join(name);
        self.outputs.will_write(&path);
        document::write(self.outputs.env(), &path, &document::encode(&one.pin.settled_by(base)))?;
        one.new_pin = Some(path);
        Ok(())
    }

    /// Writes a file below `db/` under a new name. Returns how another one names it.
    fn write(&self, bytes: &[u8]) -> Result<FileRef> {
        let disk = &self.database.disk;
        let file = format!("_base/{}.json", FileId::new(&disk.env, self.database.timeline));
        let path = disk.layout.db().join(&file);
        self.outputs.will_write(&path);
        document::write(self.outputs.env(), &path, bytes)?;
        Ok(document::reference(file, bytes))
    }
}

fn not_now() -> Error {
    Error::Conflict("no snapshot can settle now".to_owned())
}

fn body(table: &TableState) -> TableBase {
    let (state, segments) = (Some(base::describe(table)), base::list(&table.segments));
    TableBase { format: BASE_FORMAT_VERSION, table: table.id, state, segments }
}

fn is_content(db: &Database, named: &FileRef, bytes: &[u8]) -> Result<bool> {
    let path = db.disk.layout.db().join(&named.file);
    let found = db.disk.env.fs.read(&path).map_err(Error::io(&path))?;
    Ok(found == bytes)
}
