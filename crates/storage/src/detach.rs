//! DETACH PARTITION and ATTACH PARTITION: rows leave a table and lie beside it, and come back.
//!
//! `<partition>.detached/` holds the segments under second names and a list of them with what it takes to read them: the
//! columns and the texts of symbols. It is whole once that list is; only then an edit takes the segments out of the table.
//! An operator renames the directory to `<partition>.attachable` to have it attached: the files get new names in the
//! table, each is compared with its checksum, and an edit names them. gc never looks into these directories.
//! Page: `docs/format/detached.md`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use types::{ColumnDef, ColumnId, PartitionBy, PartitionKey, Seq, TableId};

use crate::changes::Outputs;
use crate::database::Database;
use crate::document;
use crate::env::fs::FileKind;
use crate::layout::{FileId, list_or_none};
use crate::record::{AddedSegment, EditCause, RemovedSegment};
use crate::segment::{SegmentMeta, verify_whole};
use crate::table::TableState;
use crate::{Error, Result};

/// Ends the name of a directory with a partition that was detached.
const DETACHED: &str = ".detached";
/// Ends the name of a directory that may be attached.
const ATTACHABLE: &str = ".attachable";
/// Begins the name of the list in such a directory.
const LIST_PREFIX: &str = "_partition.";
const FORMAT_VERSION: u32 = 1;

/// Returns whether a directory below a table's holds rows that are not part of the table.
pub(crate) fn is_detached_dir(name: &str) -> bool {
    name.ends_with(DETACHED) || name.ends_with(ATTACHABLE)
}

/// A partition that lies beside its table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachedPartition {
    pub key: PartitionKey,
    /// Name of its directory, e.g. `2024-04-01.detached`.
    pub name: String,
    pub rows: u64,
    pub size_bytes: u64,
    /// Bounds of the designated timestamp in microseconds.
    pub time_bounds: (i64, i64),
    /// ATTACH PARTITION takes it.
    pub attachable: bool,
}

/// Content of `<partition>.detached/_partition.<id>.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct PartitionList {
    format: u32,
    database_id: String,
    table: TableId,
    partition: PartitionKey,
    columns: Vec<ColumnDef>,
    symbols: Vec<SymbolTexts>,
    /// `file` and the delete vector's are names in the directory.
    segments: Vec<SegmentMeta>,
}

/// The texts of a symbol column by code, as far as the segments use them.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct SymbolTexts {
    column: ColumnId,
    texts: Vec<String>,
}

impl Database {
    /// Takes partitions out of a table, as one commit, and keeps their files beside it. Durable on return.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the newest partition and a table without partitions; [`Error::NotFound`] for a partition
    /// that is not there (nothing to do in a WAL table); [`Error::Exists`] when it is detached already.
    pub fn detach_partitions(&self, id: TableId, keys: &[PartitionKey]) -> Result<()> {
        let lock = self.changes.lock_of(id);
        let _one = lock.lock().expect("no mutator panics");
        loop {
            self.flush_locked(id)?;
            let view = self.view();
            let table = view.state().tables.get(id).ok_or_else(|| dropped(id))?;
            let mut present = Vec::new();
            for key in keys {
                if table.segments.last_key_value().is_some_and(|(newest, _)| newest == key)
                    || table.schema.partition_by == PartitionBy::None
                {
                    return Err(Error::Invalid(refusal(table, "detach", "DETACH_ERR_ACTIVE", *key)));
                }
                if table.segments.contains_key(key) {
                    present.push(*key);
                } else if !table.schema.wal {
                    return Err(Error::NotFound(refusal(table, "detach", "DETACH_ERR_MISSING_PARTITION", *key)));
                }
            }
            present.sort();
            present.dedup();
            let mut edit = table.new_edit(EditCause::Detach);
            for key in present {
                self.keep_beside(table, key)?;
                let segments = table.segments[&key].iter();
                edit.removed.extend(segments.map(|segment| RemovedSegment::of(key, segment.meta())));
            }
            if edit.removed.is_empty() {
                return Ok(());
            }
            match self.commit_edit(edit) {
                Err(Error::Conflict(_)) => {}
                outcome => return outcome,
            }
        }
    }

    /// Gives the files of a partition second names in its `.detached` directory. Durable on return.
    fn keep_beside(&self, table: &TableState, key: PartitionKey) -> Result<()> {
        let list = self.partition_list(table, key)?;
        let table_dir = table.path(&self.disk.layout);
        let name = format!("{}{DETACHED}", table.schema.partition_by.partition_name(key));
        let dir = table_dir.join(&name);
        // An attempt that was cut short has left a part of it; another list is another day's.
        if self.read_list(&dir)?.is_some_and(|found| found.segments != list.segments) {
            return Err(Error::Exists(refusal(table, "detach", "DETACH_ERR_ALREADY_DETACHED", key)));
        }
        self.make_table_dir(&table_dir, &name)?;
        for segment in &table.segments[&key] {
            let meta = segment.meta();
            for file in meta.files() {
                let to = dir.join(file_name(file));
                match self.disk.env.fs.hard_link(&table_dir.join(file), &to) {
                    Ok(()) => {}
                    Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                    Err(e) => return Err(Error::io(&to)(e)),
                }
            }
        }
        let file = format!("{LIST_PREFIX}{}.json", FileId::new(&self.disk.env, self.timeline));
        document::write(&self.disk.env, &dir.join(file), &document::encode(&list))?;
        self.disk.env.fs.sync_dir(&dir).map_err(Error::io(&dir))
    }

    fn partition_list(&self, table: &TableState, key: PartitionKey) -> Result<PartitionList> {
        let segments: Vec<SegmentMeta> =
            table.segments[&key].iter().map(|s| with_names(s.meta(), |file| file_name(file).to_owned())).collect();
        let mut symbols = Vec::new();
        for (column, state) in table.symbols.iter() {
            let codes = segments.iter().filter_map(|s| s.column(*column)?.max).max().map_or(0, |max| max as usize + 1);
            symbols.push(SymbolTexts { column: *column, texts: state.dictionary.texts(0..codes) });
        }
        Ok(PartitionList {
            format: FORMAT_VERSION,
            database_id: self.database_id.clone(),
            table: table.id,
            partition: key,
            columns: table.schema.columns.clone(),
            symbols,
            segments,
        })
    }

    /// Returns the newest whole list in a directory.
    fn read_list(&self, dir: &Path) -> Result<Option<PartitionList>> {
        let entries = list_or_none(&self.disk, dir)?;
        for entry in entries.iter().rev().filter(|e| e.kind == FileKind::File && e.name.starts_with(LIST_PREFIX)) {
            match document::read::<PartitionList>(&self.disk.env, &dir.join(&entry.name)) {
                Ok(list) if list.format == FORMAT_VERSION => return Ok(Some(list)),
                Ok(list) => {
                    return Err(Error::Invalid(format!(
                        "{} has format {}, this server reads {FORMAT_VERSION}",
                        dir.join(&entry.name).display(),
                        list.format
                    )));
                }
                // Its writing was cut short: it never counted.
                Err(Error::Corrupt { .. }) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(None)
    }

    /// Brings the rows of `<partition>.attachable` back into a table, as one commit. Durable on return.
    ///
    /// # Errors
    /// [`Error::NotFound`] when nothing was prepared to be attached; [`Error::Exists`] when the table has rows in the
    /// partition; [`Error::Invalid`] when the rows are another table's or no longer fit; [`Error::Corrupt`] for a
    /// damaged file. Nothing is changed then.
    pub fn attach_partition(&self, id: TableId, key: PartitionKey) -> Result<()> {
        let lock = self.changes.lock_of(id);
        let _one = lock.lock().expect("no mutator panics");
        loop {
            self.flush_locked(id)?;
            let view = self.view();
            let table = view.state().tables.get(id).ok_or_else(|| dropped(id))?;
            if table.segments.contains_key(&key) {
                return Err(Error::Exists(refusal(table, "attach", "ATTACH_ERR_PARTITION_EXISTS", key)));
            }
            let name = table.schema.partition_by.partition_name(key);
            let dir = table.path(&self.disk.layout).join(format!("{name}{ATTACHABLE}"));
            let missing = || Error::NotFound(refusal(table, "attach", "ATTACH_ERR_MISSING_PARTITION", key));
            let list = self.read_list(&dir)?.ok_or_else(missing)?;
            self.check_list(table, key, &list, &dir)?;
            let outputs = Outputs::new(self);
            let attached = self.take_in(table, &list, &dir, view.seq(), &outputs);
            match outputs.settle(attached) {
                Err(Error::Conflict(_)) => {}
                Ok(()) => return self.forget_attached(&dir),
                Err(e) => return Err(e),
            }
        }
    }

    /// Checks that detached rows mean in the table what they meant when they left it.
    fn check_list(&self, table: &TableState, key: PartitionKey, list: &PartitionList, dir: &Path) -> Result<()> {
        let refuse = |why: String| Err(Error::Invalid(format!("could not attach {}: {why}", dir.display())));
        if list.database_id != self.database_id || list.table != table.id || list.partition != key {
            return refuse("it is a partition of another table".to_owned());
        }
        for then in &list.columns {
            let same_name = table.schema.column(&then.name);
            if let Some(now) = same_name.filter(|now| now.id != then.id)
                && table.schema.column_by_id(then.id).is_none()
            {
                return refuse(format!("column {} was {} and is {} now", then.name, then.column_type, now.column_type));
            }
        }
        for SymbolTexts { column, texts } in &list.symbols {
            let Some(state) = table.symbols.get(column) else { continue };
            let known = state.dictionary.len().min(texts.len());
            if known < texts.len() || state.dictionary.texts(0..known) != *texts {
                return refuse(format!("symbols of column {column} have other codes since the table was restored"));
            }
        }
        Ok(())
    }

    fn take_in(&self, table: &TableState, list: &PartitionList, dir: &Path, now: Seq, outputs: &Outputs) -> Result<()> {
        let table_dir = table.path(&self.disk.layout);
        let partition_dir = table.schema.partition_by.partition_name(list.partition);
        self.make_table_dir(&table_dir, &partition_dir)?;
        let range = table.schema.partition_by.range(list.partition);
        let mut edit = table.new_edit(EditCause::Attach);
        // Of a later past than the table's: all of it comes before what is written from now on.
        let is_later = list.segments.iter().any(|segment| segment.last_seq > now);
        for segment in &list.segments {
            let from = dir.join(&segment.file);
            verify_whole(&self.disk.env, &from, segment)?;
            if !range.contains(segment.ts_min_us) || !range.contains(segment.ts_max_us) {
                return Err(Error::corrupt(&from, "holds rows of another partition"));
            }
            let id = FileId::new(&self.disk.env, self.timeline);
            let mut meta = with_names(segment, |file| format!("{partition_dir}/{id}.{}", extension(file)));
            if is_later {
                (meta.first_seq, meta.last_seq) = (now, now);
            }
            let names = segment.files().map(str::to_owned).zip(meta.files().map(str::to_owned));
            for (old, new) in names.collect::<Vec<_>>() {
                let to = table_dir.join(new);
                outputs.will_write(&to);
                self.disk.env.fs.hard_link(&dir.join(old), &to).map_err(Error::io(&to))?;
            }
            edit.added.push(AddedSegment { partition: list.partition, segment: meta });
        }
        let partition_dir = table_dir.join(partition_dir);
        self.disk.env.fs.sync_dir(&partition_dir).map_err(Error::io(&partition_dir))?;
        self.commit_edit(edit)
    }

    /// Hands a directory whose files are in the table again to gc.
    fn forget_attached(&self, dir: &Path) -> Result<()> {
        let files = list_or_none(&self.disk, dir)?.into_iter().map(|entry| dir.join(entry.name));
        let files: Vec<PathBuf> = files.collect();
        self.gc.lock().expect("no holder of this lock panics").discard_dir(files, dir.to_owned());
        Ok(())
    }

    /// Returns the partitions that lie beside a table, in the order of their names.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a table that is not there; those of reading the directories.
    pub fn detached_partitions(&self, id: TableId) -> Result<Vec<DetachedPartition>> {
        let view = self.view();
        let table = view.state().tables.get(id).ok_or_else(|| dropped(id))?;
        let table_dir = table.path(&self.disk.layout);
        let mut found = Vec::new();
        for entry in list_or_none(&self.disk, &table_dir)? {
            if entry.kind != FileKind::Dir || !is_detached_dir(&entry.name) {
                continue;
            }
            let Some(list) = self.read_list(&table_dir.join(&entry.name))? else { continue };
            let bounds = list.segments.iter().map(|s| (s.ts_min_us, s.ts_max_us));
            found.push(DetachedPartition {
                key: list.partition,
                attachable: entry.name.ends_with(ATTACHABLE),
                name: entry.name,
                rows: list.segments.iter().map(SegmentMeta::live_rows).sum(),
                size_bytes: list.segments.iter().map(|s| s.len_bytes).sum(),
                time_bounds: bounds.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or_default(),
            });
        }
        Ok(found)
    }
}

fn with_names(meta: &SegmentMeta, name: impl Fn(&str) -> String) -> SegmentMeta {
    let mut named = meta.clone();
    named.file = name(&meta.file);
    if let Some(dead) = &mut named.dead {
        dead.file = name(&dead.file);
    }
    named
}

fn file_name(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}

pub(crate) fn extension(file: &str) -> &str {
    file.rsplit('.').next().unwrap_or(file)
}

/// Says why a partition is not detached or attached, as QuestDB does.
fn refusal(table: &TableState, verb: &str, status: &str, key: PartitionKey) -> String {
    let time = chrono::DateTime::from_timestamp_micros(key.0).unwrap_or_default().format("%Y-%m-%dT%H:%M:%S%.6fZ");
    let by = table.schema.partition_by.name();
    format!(
        "could not {verb} partition [table={}, detachStatus={status}, partitionTimestamp={time}, partitionBy={by}]",
        table.name
    )
}

fn dropped(id: TableId) -> Error {
    Error::NotFound(format!("table {id} does not exist any more"))
}
