//! The whole database at one Seq: [`DbState`]. Commits and recovery change it by the same function, [`DbState::apply`].

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use types::{Seq, TableId, TableName};

use crate::base;
use crate::chunk::Chunk;
use crate::layout::{Disk, Layout};
use crate::record::{Adopted, CatalogChange, Record, ViewChange};
use crate::segment::SegmentHandle;
use crate::snapshot::{FileRef, Snapshot, Snapshots};
use crate::sql_view::SqlView;
use crate::table::TableState;
use crate::{Error, Result};

/// Shards at each of two levels.
const SHARDS: usize = 32;

type Shard = HashMap<TableId, Arc<TableState>>;

/// Tables by id, in two levels of shards, so that a commit after a clone copies a few pointers however many there are.
#[derive(Clone)]
pub struct TableMap {
    shards: Arc<Vec<Arc<Vec<Arc<Shard>>>>>,
    len: usize,
}

impl Default for TableMap {
    fn default() -> TableMap {
        let empty = Arc::new(vec![Arc::default(); SHARDS]);
        TableMap { shards: Arc::new(vec![empty; SHARDS]), len: 0 }
    }
}

impl TableMap {
    fn place(id: TableId) -> (usize, usize) {
        let shard = id.0 as usize % (SHARDS * SHARDS);
        (shard / SHARDS, shard % SHARDS)
    }

    fn shard_mut(&mut self, id: TableId) -> &mut Shard {
        let (upper, lower) = Self::place(id);
        let shards = Arc::make_mut(&mut Arc::make_mut(&mut self.shards)[upper]);
        Arc::make_mut(&mut shards[lower])
    }

    /// Returns the table of that id.
    pub fn get(&self, id: TableId) -> Option<&Arc<TableState>> {
        let (upper, lower) = Self::place(id);
        self.shards[upper][lower].get(&id)
    }

    /// Puts a table in, in place of an older state of it.
    pub fn insert(&mut self, table: TableState) {
        let former = self.shard_mut(table.id).insert(table.id, Arc::new(table));
        self.len += usize::from(former.is_none());
    }

    /// Takes a table out.
    pub fn remove(&mut self, id: TableId) -> Option<Arc<TableState>> {
        let gone = self.shard_mut(id).remove(&id);
        self.len -= usize::from(gone.is_some());
        gone
    }

    /// Returns all tables, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<TableState>> {
        self.shards.iter().flat_map(|shards| shards.iter()).flat_map(|shard| shard.values())
    }

    /// Returns the number of tables.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are no tables.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// What a change took out of the current state; its files go when nothing needs them any more.
#[derive(Clone)]
pub enum Garbage {
    Segment(Arc<SegmentHandle>),
    /// The delete vector of a handle; its segment stays, with another one.
    Dead(Arc<SegmentHandle>),
    Table(Arc<TableState>),
    /// Files below `db/`, with their lengths, that a start still reads until a base is behind the change: symbol files of
    /// columns that are gone, and the list that the frame of a table that comes back names.
    UntilBase(Vec<(String, u64)>),
}

impl Garbage {
    /// Returns the files that nothing but older states needs, with their lengths.
    pub fn files(&self, layout: &Layout) -> Vec<(PathBuf, u64)> {
        let dead = |segment: &SegmentHandle| segment.dead_path().zip(segment.meta().dead.as_ref().map(|d| d.len_bytes));
        let segment = |segment: &SegmentHandle| {
            let own = (segment.path().to_owned(), segment.meta().len_bytes);
            [Some(own), dead(segment)].into_iter().flatten().collect::<Vec<_>>()
        };
        match self {
            Garbage::Segment(handle) => segment(handle),
            Garbage::Dead(former) => dead(former).into_iter().collect(),
            Garbage::UntilBase(files) => {
                files.iter().map(|(file, len_bytes)| (layout.db().join(file), *len_bytes)).collect()
            }
            Garbage::Table(table) => {
                let segments = table.segments.values().flatten().flat_map(|s| segment(s));
                let symbols = table.symbols.values().flat_map(|s| s.files.iter());
                let symbols = symbols.map(|file| (table.path(layout).join(&file.file), file.len_bytes));
                segments.chain(symbols).collect()
            }
        }
    }
}

/// A table that was dropped and may come back. No query sees it.
#[derive(Clone)]
pub struct Dropped {
    pub table: Arc<TableState>,
    /// Seq of the drop.
    pub seq: Seq,
    pub dropped_us: i64,
}

/// The whole database at one Seq. A clone shares everything.
#[derive(Clone, Default)]
pub struct DbState {
    pub seq: Seq,
    /// Commit time of that frame.
    pub commit_us: i64,
    pub tables: TableMap,
    /// Views of SQL, by ids that no table has.
    pub sql_views: Arc<BTreeMap<TableId, Arc<SqlView>>>,
    /// Folded names, of tables and of views.
    pub names: Arc<HashMap<String, TableId>>,
    /// Next table id; above every id ever given out in this root.
    pub next_table: u64,
    /// Grows by one with each cut.
    pub generation: u64,
    /// Snapshots that are not released, by name.
    pub snapshots: Arc<Snapshots>,
    /// Tables that were dropped and may come back.
    pub dropped: Arc<BTreeMap<TableId, Dropped>>,
    /// Files that a replay of this run's and the replayed frames reads, with the Seqs of those frames, oldest first.
    pub read_by_replay: Arc<Vec<(Seq, FileRef)>>,
}

impl DbState {
    /// Returns the files that a replay from a base at that Seq reads.
    pub fn files_read_after(&self, base: Seq) -> impl Iterator<Item = &FileRef> {
        self.read_by_replay.iter().filter(move |(seq, _)| *seq > base).map(|(_, file)| file)
    }

    /// Returns whether a snapshot may be being copied.
    pub fn has_open_snapshot(&self) -> bool {
        self.snapshots.values().any(|snapshot| snapshot.is_open())
    }

    /// Returns the table of that id, also one that was dropped and may come back.
    pub fn table_with_files(&self, id: TableId) -> Option<&Arc<TableState>> {
        self.tables.get(id).or_else(|| self.dropped.get(&id).map(|dropped| &dropped.table))
    }

    /// Returns all tables whose files stay: those that there are, and those that were dropped and may come back.
    pub fn tables_with_files(&self) -> impl Iterator<Item = &Arc<TableState>> {
        self.tables.iter().chain(self.dropped.values().map(|dropped| &dropped.table))
    }

    /// Returns the table of a folded name.
    pub fn table_named(&self, folded: &str) -> Option<&Arc<TableState>> {
        self.names.get(folded).and_then(|id| self.tables.get(*id))
    }

    /// Returns the view of a folded name.
    pub fn sql_view_named(&self, folded: &str) -> Option<&Arc<SqlView>> {
        self.names.get(folded).and_then(|id| self.sql_views.get(id))
    }

    /// Returns who has a folded name: a table or a view.
    pub fn owner_of(&self, folded: &str) -> Option<(TableId, &TableName)> {
        let id = *self.names.get(folded)?;
        let name = self.tables.get(id).map(|table| &table.name);
        name.or_else(|| self.sql_views.get(&id).map(|view| &view.name)).map(|name| (id, name))
    }

    /// Checks that nothing has the name.
    ///
    /// # Errors
    /// [`Error::Exists`] naming what has it.
    pub fn check_free(&self, name: &TableName) -> Result<()> {
        self.check_free_or(name, "")
    }

    /// As [`DbState::check_free`]; the error goes on with what can be done.
    pub fn check_free_or(&self, name: &TableName, remedy: &str) -> Result<()> {
        let Some((id, name)) = self.owner_of(&name.folded()) else { return Ok(()) };
        let kind = if self.sql_views.contains_key(&id) { "view" } else { "table" };
        Err(Error::Exists(format!("{kind} already exists: {name}{remedy}")))
    }

    /// Takes the records of one frame. `garbage` receives what left the state.
    ///
    /// # Errors
    /// A record that does not fit the state. A commit has checked that it does; from a log it is corruption.
    pub fn apply(
        &mut self,
        disk: &Disk,
        records: Vec<Record>,
        seq: Seq,
        commit_us: i64,
        garbage: &mut Vec<Garbage>,
    ) -> Result<()> {
        for record in records {
            self.apply_one(disk, record, (seq, commit_us), garbage)?;
        }
        self.seq = seq;
        self.commit_us = self.commit_us.max(commit_us);
        Ok(())
    }

    fn apply_one(
        &mut self,
        disk: &Disk,
        record: Record,
        (seq, commit_us): (Seq, i64),
        garbage: &mut Vec<Garbage>,
    ) -> Result<()> {
        match record {
            Record::Rows(rows) => {
                let mut table = self.owned(rows.table)?;
                table.append(disk, rows, seq, self.generation)?;
                self.put(table);
            }
            Record::Ready(ready) => {
                let mut table = self.owned(ready.table)?;
                table.append_chunk(
                    Chunk { first_seq: seq, last_seq: seq, generation: self.generation, ..ready.chunk },
                    seq,
                )?;
                self.put(table);
            }
            Record::Catalog(change) => self.apply_catalog(change, seq, garbage)?,
            Record::View(ViewChange::Set { view: id, name, text }) => {
                self.set_view(SqlView { id, name, text, seq, changed_us: commit_us })?;
            }
            Record::View(ViewChange::Drop { view }) => {
                let gone = Arc::make_mut(&mut self.sql_views).remove(&view);
                let gone = gone.ok_or_else(|| Error::Conflict(format!("view {view} does not exist any more")))?;
                Arc::make_mut(&mut self.names).remove(&gone.name.folded());
            }
            Record::Edit(edit) => {
                let mut table = self.owned(edit.table)?;
                let removed = table.edit(disk, &edit, seq)?;
                garbage.extend(removed);
                self.put(table);
            }
            Record::Adopt(adopted) => self.adopt(disk, *adopted, seq, garbage)?,
            Record::Cut(pin) => {
                self.generation = pin.generation;
                Arc::make_mut(&mut self.snapshots).insert(pin.name.clone(), Arc::new(Snapshot::new(*pin)));
            }
            Record::Release { id } => Arc::make_mut(&mut self.snapshots).retain(|_, s| s.pin.id != id),
            Record::Stand { id, standing } => {
                let snapshots = Arc::make_mut(&mut self.snapshots);
                if let Some(snapshot) = snapshots.values_mut().find(|s| s.pin.id == id) {
                    *snapshot = Arc::new(snapshot.with(standing));
                }
            }
            Record::Settle { id, base } => {
                let snapshots = Arc::make_mut(&mut self.snapshots);
                if let Some(snapshot) = snapshots.values_mut().find(|s| s.pin.id == id) {
                    *snapshot = Arc::new(snapshot.with_pin(snapshot.pin.settled_by(base)));
                }
            }
        }
        Ok(())
    }

    fn set_view(&mut self, view: SqlView) -> Result<()> {
        if self.owner_of(&view.name.folded()).is_some_and(|(id, _)| id != view.id) {
            return Err(Error::Conflict(format!("the name of view {} ({}) is taken", view.name, view.id)));
        }
        Arc::make_mut(&mut self.names).insert(view.name.folded(), view.id);
        self.next_table = self.next_table.max(view.id.0 + 1);
        Arc::make_mut(&mut self.sql_views).insert(view.id, Arc::new(view));
        Ok(())
    }

    fn adopt(&mut self, disk: &Disk, adopted: Adopted, seq: Seq, garbage: &mut Vec<Garbage>) -> Result<()> {
        let Adopted { says, ready } = adopted;
        let table = match ready {
            Some(ready) => ready.begun_at(seq),
            None => base::load_adopted(disk, &says, base::Read::Whole)?.begun_at(seq),
        };
        Arc::make_mut(&mut self.read_by_replay).extend(says.files().map(|file| (seq, file)));
        // The next base makes a list of its own.
        garbage.extend(says.segments.map(|list| Garbage::UntilBase(vec![(list.file, list.len_bytes)])));
        Arc::make_mut(&mut self.names).insert(says.name.folded(), says.table);
        self.next_table = self.next_table.max(says.table.0 + 1);
        self.tables.insert(table);
        Ok(())
    }

    fn apply_catalog(&mut self, change: CatalogChange, seq: Seq, garbage: &mut Vec<Garbage>) -> Result<()> {
        match change {
            CatalogChange::Create { table, name, dir, schema } => {
                if self.tables.get(table).is_some() || self.names.contains_key(&name.folded()) {
                    return Err(Error::Conflict(format!("table {name} ({table}) exists already")));
                }
                Arc::make_mut(&mut self.names).insert(name.folded(), table);
                self.next_table = self.next_table.max(table.0 + 1);
                self.tables.insert(TableState::new(table, name, &dir, schema, seq));
            }
            CatalogChange::Drop { table } => {
                let gone = self.tables.remove(table).ok_or_else(|| unknown(table))?;
                Arc::make_mut(&mut self.names).remove(&gone.name.folded());
                garbage.push(Garbage::Table(gone));
            }
            CatalogChange::SetAside { table, dropped_us } => {
                let gone = self.tables.remove(table).ok_or_else(|| unknown(table))?;
                Arc::make_mut(&mut self.names).remove(&gone.name.folded());
                Arc::make_mut(&mut self.dropped).insert(table, Dropped { table: gone, seq, dropped_us });
            }
            CatalogChange::Undrop { table, name } => {
                let back = Arc::make_mut(&mut self.dropped).remove(&table).ok_or_else(|| unknown(table))?;
                Arc::make_mut(&mut self.names).insert(name.folded(), table);
                self.tables.insert(TableState { name, last_seq: seq, ..TableState::clone(&back.table) });
            }
            CatalogChange::Purge { table } => {
                let gone = Arc::make_mut(&mut self.dropped).remove(&table).ok_or_else(|| unknown(table))?;
                garbage.push(Garbage::Table(gone.table));
            }
            CatalogChange::Rename { table, name } => {
                let mut state = self.owned(table)?;
                let names = Arc::make_mut(&mut self.names);
                names.remove(&state.name.folded());
                names.insert(name.folded(), table);
                state.name = name;
                state.last_seq = seq;
                self.tables.insert(state);
            }
            CatalogChange::Alter { table, schema } => {
                let mut state = self.owned(table)?;
                let former = state.symbols.clone();
                state.alter(schema, seq);
                let gone = former.iter().filter(|(column, _)| !state.symbols.contains_key(column));
                let files = gone.flat_map(|(_, symbols)| symbols.files.iter());
                let files: Vec<_> = files.map(|f| (format!("{}/{}", state.dir, f.file), f.len_bytes)).collect();
                if !files.is_empty() {
                    garbage.push(Garbage::UntilBase(files));
                }
                self.tables.insert(state);
            }
            CatalogChange::Expire { table, before_us } => {
                let mut state = self.owned(table)?;
                let removed = state.expire(before_us, seq)?;
                garbage.extend(removed.into_iter().map(Garbage::Segment));
                self.tables.insert(state);
            }
            CatalogChange::Truncate { table } => {
                let mut state = self.owned(table)?;
                let removed = state.truncate(seq);
                garbage.extend(removed.into_iter().map(Garbage::Segment));
                self.tables.insert(state);
            }
        }
        Ok(())
    }

    /// Forgets rows in memory that were too old when a frame before the base was written.
    pub fn expire_memory(&mut self, id: TableId, before_us: i64) -> Result<()> {
        let Some(table) = self.table_with_files(id) else { return Ok(()) };
        let mut table = TableState::clone(table);
        table.expire_memory(before_us)?;
        self.put(table);
        Ok(())
    }

    fn owned(&self, id: TableId) -> Result<TableState> {
        self.table_with_files(id).map(|t| TableState::clone(t)).ok_or_else(|| unknown(id))
    }

    /// Puts a table in the place of its older state.
    fn put(&mut self, table: TableState) {
        if !self.dropped.contains_key(&table.id) {
            return self.tables.insert(table);
        }
        if let Some(dropped) = Arc::make_mut(&mut self.dropped).get_mut(&table.id) {
            dropped.table = Arc::new(table);
        }
    }
}

fn unknown(id: TableId) -> Error {
    Error::Conflict(format!("table {id} does not exist any more"))
}

#[cfg(test)]
mod tests {
    use types::{ColumnDef, ColumnId, ColumnType, PartitionBy, Schema, TableName};

    use super::*;

    fn table(id: u64) -> TableState {
        let columns = vec![ColumnDef::new(ColumnId(1), "v", ColumnType::Long)];
        let schema = Schema::new(columns, None, PartitionBy::None, true);
        TableState::new(TableId(id), TableName::new(&format!("t{id}")).unwrap(), "t", schema, Seq(1))
    }

    #[test]
    fn a_clone_of_a_map_is_not_changed_and_shares_all_other_tables() {
        let mut map = TableMap::default();
        (0..5_000).for_each(|id| map.insert(table(id)));
        let before = map.clone();
        map.insert(table(7));
        map.insert(table(9_999));
        assert!(map.remove(TableId(8)).is_some() && map.remove(TableId(8)).is_none());
        assert_eq!((before.len(), map.len(), map.iter().count()), (5_000, 5_000, 5_000));
        assert!(before.get(TableId(8)).is_some() && before.get(TableId(9_999)).is_none());
        let shared = |id: &u64| Arc::ptr_eq(before.get(TableId(*id)).unwrap(), map.get(TableId(*id)).unwrap());
        assert!(!shared(&7));
        assert!((9..5_000).filter(|id| *id != 8).all(|id| shared(&id)));
    }
}
