//! Bases: the whole state of the database at one Seq in a file, so that recovery need not read the log from its start.
//!
//! Written in the background, never by a commit; a base counts only when it is complete (its checksum is right). The
//! partitions and segments of a table stand in a file of their own, which later bases name again while it is true.
//! Page: `docs/format/base.md`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use types::{ColumnId, PartitionKey, Schema, Seq, TableId, TableName, TimelineId};

use crate::catalog::{DbState, Dropped};
use crate::document;
use crate::env::Env;
use crate::layout::{BaseName, Disk, FileId, LogName, TABLE_BASE_DIR};
use crate::log::chain::LogFrom;
use crate::record::{AddedSegment, AdoptedTable};
use crate::segment::{SegmentHandle, SegmentMeta};
use crate::snapshot::{FileRef, Snapshot};
use crate::sql_view::SqlView;
use crate::symbols::{Dictionary, SymbolFileMeta, file::load as load_dictionary};
use crate::table::{SegmentMap, SymbolState, TableState, files_named_by, live_rows};
use crate::{Error, Result};

/// Version of the format of bases and table bases. In version 1 every snapshot is open and has no lease, in version 2 no
/// snapshot has a base of its own, up to version 3 no dropped table comes back, up to version 4 segments are objects, and up to
/// version 5 there are no views.
pub const BASE_FORMAT_VERSION: u32 = 6;

/// Content of `db/_base/<timeline>-<seq>.json`, and of a snapshot's own base `db/_base/<id>.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Base {
    pub format: u32,
    pub database_id: String,
    pub timeline: TimelineId,
    pub seq: Seq,
    pub commit_us: i64,
    /// First log file that holds rows or symbols that the base lacks. A snapshot's own base lacks none: the log goes on
    /// behind this file, which ended with the cut.
    pub first_log: String,
    pub next_table: u64,
    pub generation: u64,
    pub snapshots: Vec<Snapshot>,
    pub tables: Vec<BaseTable>,
    /// The id of the snapshot's pin, in a snapshot's own base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// In a snapshot's own base in place of `tables`: a file for each table, shared by the bases of all snapshots between
    /// which the table did not change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub table_files: Vec<FileRef>,
    /// Which of the tables were dropped and may come back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<BaseDropped>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<SqlView>,
}

/// A table of a base that was dropped and may come back.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct BaseDropped {
    pub table: TableId,
    pub seq: Seq,
    pub dropped_us: i64,
}

/// One table in a base.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BaseTable {
    pub id: TableId,
    pub name: TableName,
    #[serde(deserialize_with = "crate::layout::relative_table_dir")]
    pub dir: String,
    pub schema: Schema,
    pub flushed_through: Seq,
    pub truncate_seq: Seq,
    pub last_seq: Seq,
    /// Symbol files by column, in the order of their codes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub symbol_files: Vec<SymbolFileMeta>,
    /// The file that lists the segments; `None` when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments: Option<FileRef>,
}

/// Content of `db/<table>/_base/<id>.json`, and of a table's file `db/_base/<id>.json` that bases of snapshots name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TableBase {
    pub format: u32,
    pub table: TableId,
    /// Everything else that a base says of the table, where a snapshot's base names the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<BaseTable>,
    pub segments: Vec<AddedSegment>,
}

/// As [`TableBase`], of a table whose segments are ten thousands, perhaps, and are only written.
#[derive(Serialize)]
struct ListOf<'a> {
    format: u32,
    table: TableId,
    segments: Vec<Listed<'a>>,
}

#[derive(Serialize)]
struct Listed<'a> {
    partition: PartitionKey,
    segment: &'a SegmentMeta,
}

impl TableBase {
    /// Returns the segments, delete vectors and symbol files that it names, relative to `db/`, with their lengths.
    pub fn files(&self) -> Vec<(String, u64)> {
        let Some(table) = &self.state else { return Vec::new() };
        let named = files_named_by(self.segments.iter().map(|added| &added.segment), table.symbol_files.iter());
        named.map(|named| (format!("{}/{}", table.dir, named.file), named.len_bytes)).collect()
    }
}

/// How much of a table is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// All that a query needs.
    Whole,
    /// Which files there are: dictionaries stay empty.
    Files,
}

/// What the newest base is made of.
#[derive(Clone)]
pub struct BaseHandle {
    pub name: BaseName,
    pub commit_us: i64,
    pub file: FileRef,
    /// Where the log goes on that a recovery needs beside the base.
    pub log: LogFrom,
    /// Table bases that it names, with the segments that they list.
    pub table_files: HashMap<TableId, (FileRef, Arc<SegmentMap>)>,
    /// Symbol files that it names, relative to `db/`.
    pub symbol_files: HashSet<String>,
}

/// Returns the symbol files that tables of a base name, relative to `db/`.
pub fn symbol_files<'a>(tables: impl Iterator<Item = &'a BaseTable>) -> HashSet<String> {
    let of_table = |t: &BaseTable| t.symbol_files.iter().map(|f| format!("{}/{}", t.dir, f.file)).collect::<Vec<_>>();
    tables.flat_map(of_table).collect()
}

/// Returns the Seq of the first frame that recovery needs from the log beside a base at this state.
pub fn first_needed_seq(state: &DbState) -> Seq {
    state.tables_with_files().filter_map(|table| first_needed_seq_of(table)).min().unwrap_or(state.seq.next())
}

/// Returns the Seq of the first frame that holds rows or symbols of a table that no file holds yet.
pub fn first_needed_seq_of(table: &TableState) -> Option<Seq> {
    let symbols = table.symbols.values().filter_map(|s| s.unpersisted_since);
    table.memtable.first_seq().into_iter().chain(symbols).min()
}

/// Writes a base of the state; `make_dir` makes `_base` in a table's directory. Durable when this returns; the log must be durable through the state's Seq before.
pub fn write(
    disk: &Disk,
    database_id: &str,
    timeline: TimelineId,
    state: &DbState,
    first_log: LogName,
    former: Option<&BaseHandle>,
    make_dir: &dyn Fn(&Path) -> Result<()>,
) -> Result<BaseHandle> {
    let mut table_files = HashMap::new();
    let mut tables = Vec::new();
    let mut by_id: Vec<&Arc<TableState>> = state.tables_with_files().collect();
    by_id.sort_by_key(|t| t.id);
    for table in by_id {
        let known = former.and_then(|f| f.table_files.get(&table.id));
        let segments = match known {
            _ if table.segments.is_empty() => None,
            Some((file, segments)) if Arc::ptr_eq(segments, &table.segments) => Some(file.clone()),
            _ => Some(write_table_base(disk, timeline, table, make_dir, &|_| {})?),
        };
        if let Some(file) = &segments {
            table_files.insert(table.id, (file.clone(), table.segments.clone()));
        }
        tables.push(BaseTable { segments, ..describe(table) });
    }
    let base = Base {
        format: BASE_FORMAT_VERSION,
        database_id: database_id.to_owned(),
        timeline,
        seq: state.seq,
        commit_us: state.commit_us,
        first_log: first_log.to_string(),
        next_table: state.next_table,
        generation: state.generation,
        snapshots: state.snapshots.values().map(|s| Snapshot::clone(s)).collect(),
        tables,
        snapshot: None,
        table_files: Vec::new(),
        dropped: dropped(state),
        views: views(state),
    };
    let name = BaseName { timeline, seq: state.seq };
    let bytes = document::encode(&base);
    document::write(&disk.env, &disk.layout.base().join(name.to_string()), &bytes)?;
    disk.env.fs.sync_dir(&disk.layout.base()).map_err(Error::io(&disk.layout.base()))?;
    let file = document::reference(format!("_base/{name}"), &bytes);
    let log = LogFrom::File(first_log);
    let commit_us = base.commit_us;
    Ok(BaseHandle { name, commit_us, file, log, table_files, symbol_files: symbol_files(base.tables.iter()) })
}

/// Returns what a base says of the tables that were dropped and may come back.
pub fn dropped(state: &DbState) -> Vec<BaseDropped> {
    let says = |of: &Dropped| BaseDropped { table: of.table.id, seq: of.seq, dropped_us: of.dropped_us };
    state.dropped.values().map(says).collect()
}

/// Returns what a base says of the views.
pub fn views(state: &DbState) -> Vec<SqlView> {
    state.sql_views.values().map(|view| SqlView::clone(view)).collect()
}

/// Returns what a base says of a table beside its segments.
pub fn describe(table: &TableState) -> BaseTable {
    BaseTable {
        id: table.id,
        name: table.name.clone(),
        dir: table.dir.to_string(),
        schema: Schema::clone(&table.schema),
        flushed_through: table.flushed_through,
        truncate_seq: table.truncate_seq,
        last_seq: table.last_seq,
        symbol_files: table.symbols.values().flat_map(|s| s.files.iter().cloned()).collect(),
        segments: None,
    }
}

/// Returns the segments as a table base lists them.
pub fn list(segments: &SegmentMap) -> Vec<AddedSegment> {
    all_of(segments).map(|(partition, meta)| AddedSegment { partition, segment: meta.clone() }).collect()
}

fn all_of(segments: &SegmentMap) -> impl Iterator<Item = (PartitionKey, &SegmentMeta)> {
    segments.iter().flat_map(|(partition, handles)| handles.iter().map(|handle| (*partition, &**handle.meta())))
}

/// Writes the file that lists the segments of a table; `will_write` is told its path before. File and name are durable on
/// return.
pub(crate) fn write_table_base(
    disk: &Disk,
    timeline: TimelineId,
    table: &TableState,
    make_dir: &dyn Fn(&Path) -> Result<()>,
    will_write: &dyn Fn(&Path),
) -> Result<FileRef> {
    let table_dir = table.path(&disk.layout);
    make_dir(&table_dir)?;
    let file = new_table_base(&disk.env, timeline);
    will_write(&table_dir.join(&file));
    write_table_base_as(&disk.env, &table_dir, &file, table)
}

/// Returns a new name for a file that lists the segments of a table, relative to its directory.
pub(crate) fn new_table_base(env: &Env, timeline: TimelineId) -> String {
    format!("{TABLE_BASE_DIR}/{}.json", FileId::new(env, timeline))
}

/// As [`write_table_base`], under a name in a directory that is there. Durable as `env` says.
pub(crate) fn write_table_base_as(env: &Env, table_dir: &Path, file: &str, table: &TableState) -> Result<FileRef> {
    let segments: Vec<Listed> =
        all_of(&table.segments).map(|(partition, segment)| Listed { partition, segment }).collect();
    let expected_bytes = segments.iter().map(|listed| 256 + 80 * listed.segment.columns.len()).sum();
    let body = ListOf { format: BASE_FORMAT_VERSION, table: table.id, segments };
    let bytes = document::encode_long(&body, expected_bytes);
    document::write(env, &table_dir.join(file), &bytes)?;
    let dir = table_dir.join(TABLE_BASE_DIR);
    env.fs.sync_dir(&dir).map_err(Error::io(&dir))?;
    Ok(document::reference(format!("{}/{file}", table.dir), &bytes))
}

/// Reads a base that its directory lists, and how a timeline would name it.
pub fn read(disk: &Disk, name: BaseName) -> Result<(Base, FileRef)> {
    let file = format!("_base/{name}");
    let path = disk.layout.db().join(&file);
    let bytes = document::read_whole(&disk.env, &path, None)?;
    let base: Base = document::decode(&bytes).map_err(|why| Error::corrupt(&path, why))?;
    check_version(&path, base.format)?;
    Ok((base, document::reference(file, &bytes)))
}

/// Reads a base that a pin or a timeline names by its checksum.
pub fn read_named(disk: &Disk, named: &FileRef) -> Result<Base> {
    let path = disk.layout.db().join(&named.file);
    let base: Base = document::read_named(&disk.env, &path, named)?;
    check_version(&path, base.format)?;
    Ok(base)
}

/// Reads the file of a table that a base names.
pub fn read_table(disk: &Disk, named: &FileRef) -> Result<TableBase> {
    let path = disk.layout.db().join(&named.file);
    let file: TableBase = document::read_named(&disk.env, &path, named)?;
    check_version(&path, file.format)?;
    let mut files = HashSet::new();
    for AddedSegment { segment, .. } in &file.segments {
        segment.check().map_err(|why| Error::corrupt(&path, why))?;
        if !files.insert(&segment.file) {
            return Err(Error::corrupt(&path, format!("segment {:?} stands there twice", segment.file)));
        }
    }
    Ok(file)
}

fn check_version(path: &Path, format: u32) -> Result<()> {
    if (1..=BASE_FORMAT_VERSION).contains(&format) {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "{} has format {format}, this server reads {BASE_FORMAT_VERSION}: start it with the newer server that wrote it",
        path.display()
    )))
}

/// Returns the state that a base holds and its handle. Reads the table bases, not the segments.
///
/// # Errors
/// [`Error::Corrupt`] naming a file that is missing or damaged.
pub fn load(disk: &Disk, base: &Base, bytes: FileRef) -> Result<(DbState, BaseHandle)> {
    let path = disk.layout.db().join(&bytes.file);
    let first_log = base.first_log.parse().map_err(|e| Error::corrupt(&path, format!("{e}")))?;
    let log = if base.snapshot.is_some() { LogFrom::Behind(first_log) } else { LogFrom::File(first_log) };
    let mut state = DbState {
        seq: base.seq,
        commit_us: base.commit_us,
        next_table: base.next_table,
        generation: base.generation,
        ..DbState::default()
    };
    let own = tables_of(disk, base)?;
    let symbol_files = symbol_files(own.iter().map(|(table, _)| table));
    let mut of_dropped = of_dropped(base);
    let (mut table_files, mut names) = (HashMap::new(), HashMap::new());
    let (mut dirs, mut ids) = (HashSet::new(), HashSet::new());
    for (table, segments) in own {
        if let Some(file) = &table.segments {
            table_files.insert(table.id, (file.clone(), segments.clone()));
        }
        let says = of_dropped.remove(&table.id);
        let has_name = says.is_none() && names.insert(table.name.folded(), table.id).is_some();
        if has_name || !dirs.insert(table.dir.clone()) || !ids.insert(table.id) {
            let detail = format!(
                "table {} ({}, {}) stands there twice, by name, directory or id",
                table.name, table.id, table.dir
            );
            return Err(Error::corrupt(&path, detail));
        }
        take_in(&mut state, load_table(disk, &table, segments, Read::Whole)?, says);
    }
    if let Some(id) = of_dropped.keys().min() {
        return Err(Error::corrupt(&path, format!("says that table {id} was dropped, which is not in it")));
    }
    for view in &base.views {
        if names.insert(view.name.folded(), view.id).is_some() || !ids.insert(view.id) {
            let detail = format!("view {} ({}) stands there twice, by name or id", view.name, view.id);
            return Err(Error::corrupt(&path, detail));
        }
    }
    state.sql_views = views_of(base);
    state.names = Arc::new(names);
    state.snapshots = Arc::new(base.snapshots.iter().map(|s| (s.pin.name.clone(), Arc::new(s.clone()))).collect());
    let name = BaseName { timeline: base.timeline, seq: base.seq };
    let commit_us = base.commit_us;
    Ok((state, BaseHandle { name, commit_us, file: bytes, log, table_files, symbol_files }))
}

/// Returns the tables, segments and symbol files of a base: a state that tells which files there are, and has no dictionary.
/// Views are there as well, because later frames change them.
pub fn load_files(disk: &Disk, base: &Base) -> Result<DbState> {
    let mut state =
        DbState { seq: base.seq, commit_us: base.commit_us, sql_views: views_of(base), ..DbState::default() };
    let mut of_dropped = of_dropped(base);
    for (table, segments) in tables_of(disk, base)? {
        let says = of_dropped.remove(&table.id);
        take_in(&mut state, load_table(disk, &table, segments, Read::Files)?, says);
    }
    Ok(state)
}

/// Returns what a base says of the views, by their ids.
fn views_of(base: &Base) -> Arc<BTreeMap<TableId, Arc<SqlView>>> {
    Arc::new(base.views.iter().map(|view| (view.id, Arc::new(view.clone()))).collect())
}

/// Returns what a base says of the tables in it that were dropped.
fn of_dropped(base: &Base) -> HashMap<TableId, BaseDropped> {
    base.dropped.iter().map(|of| (of.table, *of)).collect()
}

/// Puts a table of a base into the state, among the dropped ones where the base says so.
fn take_in(state: &mut DbState, table: TableState, dropped: Option<BaseDropped>) {
    match dropped {
        None => state.tables.insert(table),
        Some(BaseDropped { table: id, seq, dropped_us }) => {
            Arc::make_mut(&mut state.dropped).insert(id, Dropped { table: Arc::new(table), seq, dropped_us });
        }
    }
}

/// Returns what a base says of its tables, each with the file that lists its segments, and the segments.
fn tables_of(disk: &Disk, base: &Base) -> Result<Vec<(BaseTable, Arc<SegmentMap>)>> {
    let mut own = Vec::with_capacity(base.table_files.len() + base.tables.len());
    for named in &base.table_files {
        let file = read_table(disk, named)?;
        let what = "is not a table's file that a snapshot's base names; use another copy";
        let table = file.state.ok_or_else(|| Error::corrupt(&disk.layout.db().join(&named.file), what))?;
        let segments = Arc::new(segment_map(disk, &table.dir, file.segments));
        own.push((BaseTable { segments: Some(named.clone()), ..table }, segments));
    }
    for table in &base.tables {
        let segments = Arc::new(load_segments(disk, &table.dir, table.segments.as_ref())?);
        own.push((table.clone(), segments));
    }
    Ok(own)
}

/// Returns the table that a frame names by its files.
///
/// # Errors
/// As [`load`].
pub(crate) fn load_adopted(disk: &Disk, says: &AdoptedTable, read: Read) -> Result<TableState> {
    let segments = load_segments(disk, &says.dir, says.segments.as_ref())?;
    let mut table = TableState::new(says.table, says.name.clone(), &says.dir, says.schema.clone(), Seq::ZERO);
    table.segment_rows = live_rows(&segments);
    table.segments = Arc::new(segments);
    load_symbols(disk, &mut table, &says.symbol_files, read)?;
    Ok(table)
}

fn load_segments(disk: &Disk, table_dir: &str, named: Option<&FileRef>) -> Result<SegmentMap> {
    let file = named.map(|named| read_table(disk, named)).transpose()?;
    Ok(segment_map(disk, table_dir, file.map_or_else(Vec::new, |file| file.segments)))
}

fn segment_map(disk: &Disk, table_dir: &str, segments: Vec<AddedSegment>) -> SegmentMap {
    let mut map = SegmentMap::new();
    let dir = disk.layout.table(table_dir);
    for AddedSegment { partition, segment } in segments {
        map.entry(partition).or_default().push(Arc::new(SegmentHandle::new(&disk.env, &dir, Arc::new(segment), true)));
    }
    map
}

fn load_table(disk: &Disk, table: &BaseTable, segments: Arc<SegmentMap>, read: Read) -> Result<TableState> {
    let mut state = TableState::new(table.id, table.name.clone(), &table.dir, table.schema.clone(), table.last_seq);
    state.flushed_through = table.flushed_through;
    state.truncate_seq = table.truncate_seq;
    state.segment_rows = live_rows(&segments);
    state.segments = segments;
    load_symbols(disk, &mut state, &table.symbol_files, read)?;
    Ok(state)
}

/// Reads the dictionaries of a table.
pub(crate) fn load_symbols(disk: &Disk, table: &mut TableState, files: &[SymbolFileMeta], read: Read) -> Result<()> {
    let dir = table.path(&disk.layout);
    let mut by_column: BTreeMap<ColumnId, Vec<SymbolFileMeta>> = BTreeMap::new();
    for file in files {
        by_column.entry(file.column).or_default().push(file.clone());
    }
    let symbols = Arc::make_mut(&mut table.symbols);
    for (column, files) in by_column {
        let dictionary = match read {
            Read::Whole => load_dictionary(&disk.env, &dir, column, &files)?,
            Read::Files => Dictionary::new(column),
        };
        let len = dictionary.len() as u32;
        symbols.insert(column, SymbolState::loaded(dictionary, len, files));
    }
    Ok(())
}
