//! Bases: the whole state of the database at one Seq in a file, so that recovery need not read the log from its start.
//!
//! Written in the background, never by a commit; a base counts only when it is complete (its checksum is right). The
//! partitions and segments of a table stand in a file of their own, which later bases name again while it is true.
//! Page: `docs/format/base.md`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use types::{ColumnId, Schema, Seq, TableId, TableName, TimelineId};

use crate::catalog::DbState;
use crate::document;
use crate::layout::{BaseName, Disk, FileId, LogName, TABLE_BASE_DIR};
use crate::record::AddedSegment;
use crate::segment::{SegmentHandle, SegmentMeta};
use crate::snapshot::{FileRef, Snapshot};
use crate::symbols::{SymbolFileMeta, file::load as load_dictionary};
use crate::table::{SegmentMap, SymbolState, TableState, live_rows};
use crate::{Error, Result};

/// Version of the format of bases and table bases. In version 1 every snapshot is open and has no lease.
pub const BASE_FORMAT_VERSION: u32 = 2;

/// Content of `db/_base/<timeline>-<seq>.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Base {
    pub format: u32,
    pub database_id: String,
    pub timeline: TimelineId,
    pub seq: Seq,
    pub commit_us: i64,
    /// First log file that holds rows or symbols that the base lacks.
    pub first_log: String,
    pub next_table: u64,
    pub generation: u64,
    pub snapshots: Vec<Snapshot>,
    pub tables: Vec<BaseTable>,
}

/// One table in a base.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BaseTable {
    pub id: TableId,
    pub name: TableName,
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

/// Content of `db/<table>/_base/<id>.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TableBase {
    pub format: u32,
    pub table: TableId,
    pub segments: Vec<AddedSegment>,
}

/// What the newest base is made of.
#[derive(Clone)]
pub struct BaseHandle {
    pub name: BaseName,
    pub file: FileRef,
    pub first_log: LogName,
    /// Table bases that it names, with the segments that they list.
    pub table_files: HashMap<TableId, (FileRef, Arc<SegmentMap>)>,
    /// Symbol files that it names, relative to `db/`.
    pub symbol_files: HashSet<String>,
}

/// Returns the symbol files that a base names, relative to `db/`.
pub fn symbol_files(base: &Base) -> HashSet<String> {
    let of_table = |t: &BaseTable| t.symbol_files.iter().map(|f| format!("{}/{}", t.dir, f.file)).collect::<Vec<_>>();
    base.tables.iter().flat_map(of_table).collect()
}

/// Returns the Seq of the first frame that recovery needs from the log beside a base at this state.
pub fn first_needed_seq(state: &DbState) -> Seq {
    state.tables.iter().filter_map(|table| first_needed_seq_of(table)).min().unwrap_or(state.seq.next())
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
    let mut tables = Vec::with_capacity(state.tables.len());
    let mut by_id: Vec<&Arc<TableState>> = state.tables.iter().collect();
    by_id.sort_by_key(|t| t.id);
    for table in by_id {
        let known = former.and_then(|f| f.table_files.get(&table.id));
        let segments = match known {
            _ if table.segments.is_empty() => None,
            Some((file, segments)) if Arc::ptr_eq(segments, &table.segments) => Some(file.clone()),
            _ => Some(write_table_base(disk, timeline, table, make_dir)?),
        };
        if let Some(file) = &segments {
            table_files.insert(table.id, (file.clone(), table.segments.clone()));
        }
        tables.push(BaseTable {
            id: table.id,
            name: table.name.clone(),
            dir: table.dir.to_string(),
            schema: Schema::clone(&table.schema),
            flushed_through: table.flushed_through,
            truncate_seq: table.truncate_seq,
            last_seq: table.last_seq,
            symbol_files: table.symbols.values().flat_map(|s| s.files.iter().cloned()).collect(),
            segments,
        });
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
    };
    let name = BaseName { timeline, seq: state.seq };
    let bytes = document::encode(&base);
    document::write(&disk.env, &disk.layout.base().join(name.to_string()), &bytes)?;
    disk.env.fs.sync_dir(&disk.layout.base()).map_err(Error::io(&disk.layout.base()))?;
    let file = document::reference(format!("_base/{name}"), &bytes);
    Ok(BaseHandle { name, file, first_log, table_files, symbol_files: symbol_files(&base) })
}

fn write_table_base(
    disk: &Disk,
    timeline: TimelineId,
    table: &TableState,
    make_dir: &dyn Fn(&Path) -> Result<()>,
) -> Result<FileRef> {
    let segments = table.segments.iter();
    let body = TableBase {
        format: BASE_FORMAT_VERSION,
        table: table.id,
        segments: segments
            .flat_map(|(partition, handles)| handles.iter().map(move |h| (partition, h)))
            .map(|(partition, h)| AddedSegment { partition: *partition, segment: SegmentMeta::clone(h.meta()) })
            .collect(),
    };
    let table_dir = table.path(&disk.layout);
    let dir = table_dir.join(TABLE_BASE_DIR);
    make_dir(&table_dir)?;
    let file = format!("{}.json", FileId::new(&disk.env, timeline));
    let bytes = document::encode(&body);
    document::write(&disk.env, &dir.join(&file), &bytes)?;
    disk.env.fs.sync_dir(&dir).map_err(Error::io(&dir))?;
    Ok(document::reference(format!("{}/{TABLE_BASE_DIR}/{file}", table.dir), &bytes))
}

/// Reads a base that its directory lists, and how a timeline would name it.
pub fn read(disk: &Disk, name: BaseName) -> Result<(Base, FileRef)> {
    let file = format!("_base/{name}");
    let path = disk.layout.db().join(&file);
    let bytes = disk.env.fs.read(&path).map_err(Error::io(&path))?;
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
    let mut state = DbState {
        seq: base.seq,
        commit_us: base.commit_us,
        next_table: base.next_table,
        generation: base.generation,
        ..DbState::default()
    };
    let mut table_files = HashMap::new();
    let mut names = HashMap::new();
    for table in &base.tables {
        let segments = Arc::new(load_segments(disk, table)?);
        if let Some(file) = &table.segments {
            table_files.insert(table.id, (file.clone(), segments.clone()));
        }
        names.insert(table.name.folded(), table.id);
        state.tables.insert(load_table(disk, table, segments)?);
    }
    state.names = Arc::new(names);
    state.snapshots = Arc::new(base.snapshots.iter().map(|s| (s.pin.name.clone(), Arc::new(s.clone()))).collect());
    let name = BaseName { timeline: base.timeline, seq: base.seq };
    Ok((state, BaseHandle { name, file: bytes, first_log, table_files, symbol_files: symbol_files(base) }))
}

fn load_segments(disk: &Disk, table: &BaseTable) -> Result<SegmentMap> {
    let mut map = SegmentMap::new();
    let Some(named) = &table.segments else { return Ok(map) };
    let dir = disk.layout.table(&table.dir);
    let path = disk.layout.db().join(&named.file);
    let file: TableBase = document::read_named(&disk.env, &path, named)?;
    check_version(&path, file.format)?;
    for AddedSegment { partition, segment } in file.segments {
        map.entry(partition).or_default().push(Arc::new(SegmentHandle::new(&disk.env, &dir, Arc::new(segment), true)));
    }
    Ok(map)
}

fn load_table(disk: &Disk, table: &BaseTable, segments: Arc<SegmentMap>) -> Result<TableState> {
    let mut state = TableState::new(table.id, table.name.clone(), &table.dir, table.schema.clone(), table.last_seq);
    state.flushed_through = table.flushed_through;
    state.truncate_seq = table.truncate_seq;
    state.segment_rows = live_rows(&segments);
    state.segments = segments;
    let mut by_column: BTreeMap<ColumnId, Vec<SymbolFileMeta>> = BTreeMap::new();
    for file in &table.symbol_files {
        by_column.entry(file.column).or_default().push(file.clone());
    }
    let symbols = Arc::make_mut(&mut state.symbols);
    for (column, files) in by_column {
        let dictionary = load_dictionary(&disk.env, &disk.layout.table(&table.dir), column, &files)?;
        let len = dictionary.len() as u32;
        symbols.insert(column, SymbolState::loaded(dictionary, len, files));
    }
    Ok(state)
}
