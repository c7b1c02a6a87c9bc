//! One table at one Seq: [`TableState`], immutable; a change makes a new one that shares what it did not touch.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use types::{ColumnId, ColumnType, PartitionKey, Schema, Seq, TableId, TableName, Ttl};

use crate::catalog::Garbage;
use crate::chunk::Chunk;
use crate::dedup::DedupCache;
use crate::layout::{Disk, Layout};
use crate::memtable::Memtable;
use crate::planted::Planted;
use crate::record::{AddedSegment, DeadRows, Edit, EditCause, NewSymbols, Rows};
use crate::segment::{SegmentHandle, SegmentMeta};
use crate::symbols::{Dictionary, SymbolFileMeta};
use crate::{Error, Result, ttl};

/// Segments of a table by partition, within one in the order of their first Seq.
pub type SegmentMap = BTreeMap<PartitionKey, Vec<Arc<SegmentHandle>>>;

/// A symbol column's dictionary as of one Seq.
#[derive(Clone)]
pub struct SymbolState {
    /// Shared by all states of the table; it may already hold codes of later Seqs.
    pub dictionary: Arc<Dictionary>,
    /// Codes below this are known at this Seq.
    pub len: u32,
    /// Codes below this are in `files`.
    pub persisted: u32,
    pub files: Arc<Vec<SymbolFileMeta>>,
    /// Seq of the first frame that brought a code that is not in `files`.
    pub unpersisted_since: Option<Seq>,
}

impl SymbolState {
    fn empty(column: ColumnId) -> SymbolState {
        SymbolState::loaded(Dictionary::new(column), 0, Vec::new())
    }

    /// Returns the state of a column all of whose codes are in files.
    pub fn loaded(dictionary: Dictionary, len: u32, files: Vec<SymbolFileMeta>) -> SymbolState {
        SymbolState {
            dictionary: Arc::new(dictionary),
            len,
            persisted: len,
            files: Arc::new(files),
            unpersisted_since: None,
        }
    }
}

/// A file of a table, as its edits and lists name it.
#[derive(Debug, Clone, Copy)]
pub struct NamedFile<'a> {
    /// Relative to the table's directory.
    pub file: &'a str,
    pub len_bytes: u64,
    /// Of the whole file.
    pub crc32c: u32,
}

/// Returns the files of a table: segments, their delete vectors, symbol files.
pub(crate) fn files_named_by<'a>(
    segments: impl Iterator<Item = &'a SegmentMeta>,
    symbols: impl Iterator<Item = &'a SymbolFileMeta>,
) -> impl Iterator<Item = NamedFile<'a>> {
    let of_segments = segments.flat_map(|meta| {
        let rows = NamedFile { file: &meta.file, len_bytes: meta.len_bytes, crc32c: meta.crc32c };
        let dead = meta.dead.as_ref();
        let dead = dead.map(|dead| NamedFile { file: &dead.file, len_bytes: dead.len_bytes, crc32c: dead.crc32c });
        std::iter::once(rows).chain(dead)
    });
    of_segments.chain(symbols.map(|s| NamedFile { file: &s.file, len_bytes: s.len_bytes, crc32c: s.crc32c }))
}

/// One table at one Seq.
#[derive(Clone)]
pub struct TableState {
    pub id: TableId,
    pub name: TableName,
    /// Name of its directory in `db/`; stays when the table is renamed.
    pub dir: Arc<str>,
    pub schema: Arc<Schema>,
    pub segments: Arc<SegmentMap>,
    pub segment_rows: u64,
    pub memtable: Memtable,
    pub symbols: Arc<BTreeMap<ColumnId, SymbolState>>,
    /// Rows of commits through this Seq are in segments, or gone.
    pub flushed_through: Seq,
    /// Seq of the last truncate, 0 when there was none.
    pub truncate_seq: Seq,
    /// Seq of the last change that a query can see.
    pub last_seq: Seq,
    /// The last expiry of this run and the moment before which rows went: an edit prepared before it must not bring them
    /// back.
    pub expired: (Seq, i64),
    /// Which rows in memory replace which; looked at only where keys were declared.
    pub(crate) dedup: DedupCache,
}

impl TableState {
    /// Returns a table without rows.
    pub fn new(id: TableId, name: TableName, dir: &str, schema: Schema, seq: Seq) -> TableState {
        let mut table = TableState {
            id,
            name,
            dir: dir.into(),
            schema: Arc::new(schema),
            segments: Arc::default(),
            segment_rows: 0,
            memtable: Memtable::default(),
            symbols: Arc::default(),
            // The frame that makes a table may hold its first rows.
            flushed_through: Seq(seq.0.saturating_sub(1)),
            truncate_seq: Seq::ZERO,
            last_seq: seq,
            expired: (Seq::ZERO, i64::MIN),
            dedup: DedupCache::default(),
        };
        table.match_symbols();
        table
    }

    /// Returns the table as the frame of that Seq begins it.
    #[must_use]
    pub fn begun_at(self, seq: Seq) -> TableState {
        TableState { flushed_through: Seq(seq.0.saturating_sub(1)), last_seq: seq, ..self }
    }

    /// Returns the number of rows that a query sees.
    ///
    /// # Errors
    /// In a table with DEDUP keys, as [`SegmentHandle::open`].
    pub fn rows(&self) -> Result<u64> {
        if !self.has_dedup() || self.memtable.rows() == 0 {
            return Ok(self.segment_rows + self.memtable.rows());
        }
        let touched = self.dedup.get(self)?.runs()?;
        let others = self.segments.iter().filter(|(key, _)| !touched.contains_key(key));
        let in_others: u64 = others.flat_map(|(_, of)| of).map(|s| s.meta().live_rows()).sum();
        Ok(in_others + touched.values().flatten().map(|run| run.live_rows() as u64).sum::<u64>())
    }

    /// Returns whether rows in memory may replace others.
    pub fn has_dedup(&self) -> bool {
        !self.schema.dedup.is_empty()
    }

    /// Returns the table's directory.
    pub fn path(&self, layout: &Layout) -> PathBuf {
        layout.table(&self.dir)
    }

    /// Returns the files of the table at this Seq that must exist, relative to its directory.
    pub fn files(&self) -> impl Iterator<Item = String> + '_ {
        self.named_files().map(|named| named.file.to_owned())
    }

    /// As [`TableState::files`], with what their bytes must be.
    pub fn named_files(&self) -> impl Iterator<Item = NamedFile<'_>> {
        let segments = self.segments.values().flatten().map(|segment| &**segment.meta());
        files_named_by(segments, self.symbols.values().flat_map(|symbols| symbols.files.iter()))
    }

    /// Gives each symbol column of the schema a dictionary, and forgets those of dropped columns.
    pub(crate) fn match_symbols(&mut self) {
        let wanted: Vec<ColumnId> =
            self.schema.columns.iter().filter(|c| c.column_type == ColumnType::Symbol).map(|c| c.id).collect();
        if wanted.iter().eq(self.symbols.keys()) {
            return;
        }
        let symbols = Arc::make_mut(&mut self.symbols);
        symbols.retain(|id, _| wanted.contains(id));
        for id in wanted {
            symbols.entry(id).or_insert_with(|| SymbolState::empty(id));
        }
    }

    /// Takes a new schema.
    pub fn alter(&mut self, schema: Schema, seq: Seq) {
        self.schema = Arc::new(schema);
        self.dedup = DedupCache::default();
        self.match_symbols();
        self.last_seq = seq;
    }

    /// Takes the rows of a commit.
    pub fn append(&mut self, disk: &Disk, rows: Rows, seq: Seq, generation: u64) -> Result<()> {
        self.learn(disk, &rows.new_symbols, seq)?;
        if rows.batch.rows > 0 {
            let chunk = Chunk::from_batch(&self.schema, rows.batch, seq, generation)?;
            return self.append_chunk(chunk, seq);
        }
        // A replayed frame may be older than the base that the table comes from.
        self.last_seq = self.last_seq.max(seq);
        Ok(())
    }

    /// Takes the rows of a commit as a chunk.
    pub fn append_chunk(&mut self, chunk: Chunk, seq: Seq) -> Result<()> {
        self.memtable = self.memtable.with(chunk)?;
        self.dedup = self.dedup.next();
        self.last_seq = self.last_seq.max(seq);
        Ok(())
    }

    fn learn(&mut self, disk: &Disk, new_symbols: &[NewSymbols], seq: Seq) -> Result<()> {
        for new in new_symbols {
            // A replayed frame may belong to a column that was dropped since.
            if let Some(state) = Arc::make_mut(&mut self.symbols).get_mut(&new.column) {
                if disk.has(Planted::SymbolsAnew) {
                    new.texts.iter().rev().try_for_each(|text| state.dictionary.intern(text).map(drop))?;
                } else {
                    state.dictionary.append_at(new.first_code as usize, new.texts.iter().map(String::as_str))?;
                }
                state.len = state.len.max(new.first_code + new.texts.len() as u32);
                if state.len > state.persisted {
                    state.unpersisted_since.get_or_insert(seq);
                }
            }
        }
        Ok(())
    }

    /// Forgets all rows; returns the segments that are not part of the table any more.
    pub fn truncate(&mut self, seq: Seq) -> Vec<Arc<SegmentHandle>> {
        let removed = self.segments.values().flatten().cloned().collect();
        self.segments = Arc::default();
        self.segment_rows = 0;
        self.memtable = Memtable::default();
        self.dedup = DedupCache::default();
        self.flushed_through = seq;
        self.truncate_seq = seq;
        self.last_seq = seq;
        removed
    }

    /// Returns the moment before which rows are too old under a TTL, if there are any: here, or in a batch with these bounds
    /// of time. In microseconds.
    pub fn expired_before(&self, ttl: Option<Ttl>, batch: Option<(i64, i64)>, now_us: i64) -> Option<i64> {
        let ttl = ttl?;
        let newest =
            self.segments.last_key_value().into_iter().flat_map(|(_, of)| of.iter().map(|s| s.meta().ts_max_us));
        let parts = self.memtable.parts().iter().map(|p| (p.chunk().ts_min, p.chunk().ts_max));
        let in_memory = parts.chain(batch).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        let newest_us = newest.chain(in_memory.map(|bounds| bounds.1)).max()?;
        let before_us = ttl::expired_before(self.schema.partition_by, ttl, newest_us, now_us)?;
        let oldest = self.segments.first_key_value().map(|(key, _)| key.0);
        oldest.into_iter().chain(in_memory.map(|bounds| bounds.0)).min().filter(|oldest| *oldest < before_us)?;
        Some(before_us)
    }

    /// Forgets the rows before the start of a partition; returns the segments that are not part of the table any more.
    pub fn expire(&mut self, before_us: i64, seq: Seq) -> Result<Vec<Arc<SegmentHandle>>> {
        let segments = Arc::make_mut(&mut self.segments);
        let kept = segments.split_off(&PartitionKey(before_us));
        let removed = std::mem::replace(segments, kept).into_values().flatten().collect();
        self.segment_rows = live_rows(&self.segments);
        self.expire_memory(before_us)?;
        self.expired = (seq, before_us);
        self.last_seq = seq;
        Ok(removed)
    }

    /// Forgets the rows in memory before a moment.
    pub fn expire_memory(&mut self, before_us: i64) -> Result<()> {
        self.memtable = self.memtable.since(before_us)?;
        self.dedup = DedupCache::default();
        Ok(())
    }

    /// Returns an edit of the table that changes nothing yet, prepared against this state: what [`TableState::conflict`] holds
    /// it against is set here and nowhere else.
    pub fn new_edit(&self, cause: EditCause) -> Edit {
        Edit {
            table: self.id,
            cause,
            flushed_through: None,
            truncate_seq: self.truncate_seq,
            expired_seq: self.expired.0,
            removed: Vec::new(),
            added: Vec::new(),
            dead: Vec::new(),
            symbol_files: Vec::new(),
        }
    }

    /// Says why an edit does not fit any more, if so: a truncate or another edit came first.
    pub fn conflict(&self, edit: &Edit) -> Option<String> {
        let (expired_seq, before_us) = self.expired;
        if edit.expired_seq < expired_seq && edit.added.iter().any(|a| a.partition.0 < before_us) {
            return Some(format!("rows of table {} became too old meanwhile", self.name));
        }
        self.misfit(edit)
    }

    /// As [`TableState::conflict`], of an edit that was accepted once. Against expiries it is not held again: bases do not name
    /// them, so a run that began with a base accepted edits that a replay from further back would refuse.
    fn misfit(&self, edit: &Edit) -> Option<String> {
        if edit.truncate_seq != self.truncate_seq {
            return Some(format!("table {} was truncated meanwhile", self.name));
        }
        let removed = edit.removed.iter().map(|r| (r.partition, &r.file, &r.dead));
        let masked = edit.dead.iter().map(|d| (d.partition, &d.file, &d.former));
        let is_same = |(partition, file, dead): &(PartitionKey, &String, &Option<String>)| {
            self.segment(*partition, file).is_some_and(|s| s.meta().dead.as_ref().map(|d| &d.file) == dead.as_ref())
        };
        let gone = removed.chain(masked).find(|named| !is_same(named));
        gone.map(|(_, file, _)| format!("segment {file} of table {} has changed or is gone", self.name))
    }

    fn segment(&self, partition: PartitionKey, file: &str) -> Option<&Arc<SegmentHandle>> {
        self.segments.get(&partition)?.iter().find(|s| s.meta().file == file)
    }

    /// Takes an edit; returns what is not part of the table any more.
    pub fn edit(&mut self, disk: &Disk, edit: &Edit, seq: Seq) -> Result<Vec<Garbage>> {
        if let Some(why) = self.misfit(edit) {
            return Err(Error::Conflict(why));
        }
        let removed = self.edit_segments(disk, edit);
        for file in &edit.symbol_files {
            if let Some(state) = Arc::make_mut(&mut self.symbols).get_mut(&file.column) {
                state.persisted = (file.first_code + file.count) as u32;
                state.dictionary.set_persisted(state.persisted as usize);
                Arc::make_mut(&mut state.files).push(file.clone());
                if state.persisted == state.len {
                    state.unpersisted_since = None;
                }
            }
        }
        if let Some(through) = edit.flushed_through {
            self.memtable = self.memtable.after(through)?;
            self.flushed_through = self.flushed_through.max(through);
        }
        if !edit.cause.only_moves() {
            self.last_seq = seq;
        }
        Ok(removed)
    }

    /// Takes what an edit that fits says of segments; returns what is not part of the table any more.
    pub(crate) fn edit_segments(&mut self, disk: &Disk, edit: &Edit) -> Vec<Garbage> {
        let segments = Arc::make_mut(&mut self.segments);
        let mut removed = Vec::new();
        for gone in &edit.removed {
            let in_partition = segments.get_mut(&gone.partition).expect("misfit() found the segment");
            let at = in_partition.iter().position(|s| s.meta().file == gone.file).expect("misfit() found the segment");
            removed.push(Garbage::Segment(in_partition.remove(at)));
            if in_partition.is_empty() {
                segments.remove(&gone.partition);
            }
        }
        for DeadRows { partition, file, dead, .. } in &edit.dead {
            let in_partition = segments.get_mut(partition).into_iter().flatten();
            let segment =
                in_partition.into_iter().find(|s| s.meta().file == *file).expect("misfit() found the segment");
            let former = std::mem::replace(segment, Arc::new(segment.with_dead(dead.clone())));
            if former.meta().dead.is_some() {
                removed.push(Garbage::Dead(former));
            }
        }
        for AddedSegment { partition, segment } in &edit.added {
            let in_partition = segments.entry(*partition).or_default();
            let at = in_partition.partition_point(|s| s.meta().first_seq <= segment.first_seq);
            let dir = disk.layout.table(&self.dir);
            in_partition.insert(at, Arc::new(SegmentHandle::new(&disk.env, &dir, Arc::new(segment.clone()), true)));
        }
        self.segment_rows = live_rows(segments);
        self.dedup = DedupCache::default();
        removed
    }

    /// Returns whether the first rows that the table holds in memory, and the symbols that no file holds yet, are those of an
    /// older state: what is written of these is then as right for the table.
    pub(crate) fn begins_with_rows_of(&self, older: &TableState) -> bool {
        let persisted = |table: &TableState| -> Vec<(ColumnId, u32)> {
            table.symbols.iter().map(|(column, symbols)| (*column, symbols.persisted)).collect()
        };
        let names = |table: &TableState| -> Vec<(PartitionKey, String, Option<String>)> {
            let all = table.segments.iter().flat_map(|(key, of)| of.iter().map(|s| (*key, s.meta().clone())));
            all.map(|(key, meta)| (key, meta.file.clone(), meta.dead.as_ref().map(|dead| dead.file.clone()))).collect()
        };
        let progress = |table: &TableState| (table.flushed_through, table.truncate_seq, table.expired);
        progress(self) == progress(older)
            && self.schema == older.schema
            && persisted(self) == persisted(older)
            // Rows may replace those of segments.
            && (!self.has_dedup() || Arc::ptr_eq(&self.segments, &older.segments) || names(self) == names(older))
    }
}

/// Returns the number of rows in segments that are not dead.
pub fn live_rows(segments: &SegmentMap) -> u64 {
    segments.values().flatten().map(|s| s.meta().live_rows()).sum()
}
