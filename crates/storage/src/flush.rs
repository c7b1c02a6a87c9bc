//! From memtable to segments: [`Database::step_flush`].
//!
//! Order on disk: the log is durable through the flushed rows; directories, segments and symbol files are written and
//! synced; then one edit names them. Until the edit is there, everything written is garbage that a later start removes.

use std::path::Path;

use roaring::RoaringBitmap;
use types::{PartitionKey, Seq, TableId};

use crate::arrow_type::absent_column;
use crate::base;
use crate::catalog::DbState;
use crate::changes::Outputs;
use crate::chunk::Chunk;
use crate::counters::add;
use crate::database::Database;
use crate::env::Env;
use crate::layout::{FileId, SYMBOLS_DIR};
use crate::log::writer::Urgency;
use crate::partition_format::PartitionFormat;
use crate::planted::Planted;
use crate::record::{AddedSegment, DeadRows, Edit, EditCause, Record, RemovedSegment};
use crate::segment::{SegmentMeta, SegmentOrigin, write_dead, write_parquet_segment, write_segment};
use crate::symbols::{SymbolFileMeta, file::write_symbols};
use crate::table::{SymbolState, TableState};
use crate::{Error, Result};

type WriteSegment = fn(&Env, &Path, &str, SegmentOrigin<'_>, &Chunk) -> Result<SegmentMeta>;

/// So many times as many log files may there be while a snapshot settles; one whose files are damaged never does.
const WHILE_ONE_SETTLES: usize = 4;
/// A segment holds no more rows than this.
const MAX_SEGMENT_ROWS: usize = 4 << 20;

impl Database {
    /// Flushes the tables whose memtables are large, or all whose rows hold old log files when there are many.
    /// Returns whether there was something to do.
    pub fn step_flush(&self) -> Result<bool> {
        let state = self.view().state().clone();
        let mut due: Vec<TableId> = Vec::new();
        let too_many_files = self.has_too_many_log_files(&state);
        let total: u64 = state.tables.iter().map(|t| t.memtable.bytes()).sum();
        // Nobody adds to a dropped table, and it must not hold the log for as long as it may come back.
        let dropped = state.dropped.values().map(|dropped| &dropped.table);
        for table in state.tables.iter().filter(|t| base::first_needed_seq_of(t).is_some()) {
            let large = table.memtable.bytes() >= self.options.flush_bytes;
            if large || too_many_files || total >= 4 * self.options.flush_bytes {
                due.push(table.id);
            }
        }
        due.sort();
        due.extend(dropped.filter(|table| base::first_needed_seq_of(table).is_some()).map(|table| table.id));
        for id in &due {
            self.flush_table(*id)?;
        }
        Ok(!due.is_empty())
    }

    /// Returns whether a flush is due for the number of log files. Snapshots that are about to settle hold the log anyway, and
    /// write these rows in fewer segments than a flush, which makes one for each of them.
    fn has_too_many_log_files(&self, state: &DbState) -> bool {
        let (files, most) = (self.log.chain_len(), self.options.log_files_max);
        let waits = || !state.has_open_snapshot() && state.snapshots.values().any(|s| s.is_to_settle());
        files > most && (files > most * WHILE_ONE_SETTLES || !waits())
    }

    /// Flushes all rows of a table that are visible now, in as many segments as live snapshots ask for.
    pub fn flush_table(&self, id: TableId) -> Result<()> {
        let lock = self.changes.lock_of(id);
        let _one = lock.lock().expect("no mutator panics");
        self.flush_locked(id)
    }

    /// As [`Database::flush_table`], under the table's lock, which the caller holds.
    pub(crate) fn flush_locked(&self, id: TableId) -> Result<()> {
        let visible = self.view().seq();
        loop {
            let view = self.view();
            let Some(table) = view.state().table_with_files(id) else { return Ok(()) };
            let Some(last) = table.memtable.last_seq() else { return self.save_symbols(table) };
            // Rows that came since are not waited for: they could come as fast as they are written.
            if table.memtable.first_seq().is_some_and(|first| first > visible) {
                return Ok(());
            }
            let through = end_of_group(view.state(), table, last);
            let outputs = Outputs::new(self);
            let flushed = self.flush_through(table, through, &outputs);
            match outputs.settle(flushed) {
                Ok(()) if through < last => {}
                Ok(()) => return Ok(()),
                // A truncate, a drop, an expiry or a compaction came first: the output is garbage. Look again.
                Err(Error::Conflict(_)) => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Writes symbols that are in the log alone, of a table that has no rows in memory.
    fn save_symbols(&self, table: &TableState) -> Result<()> {
        if table.symbols.values().all(|symbols| symbols.len == symbols.persisted) {
            return Ok(());
        }
        self.log.wait_durable(table.last_seq)?;
        let outputs = Outputs::new(self);
        let mut edit = self.flush_edit(table, table.flushed_through);
        let saved = self.write_symbol_files(table, &outputs).and_then(|files| {
            edit.symbol_files = files;
            self.commit_edit(edit)
        });
        match outputs.settle(saved) {
            // The table was truncated, dropped or altered: whoever flushes it next looks again.
            Err(Error::Conflict(_)) => Ok(()),
            saved => saved,
        }
    }

    fn flush_through(&self, table: &TableState, through: Seq, outputs: &Outputs) -> Result<()> {
        self.log.wait_durable(through)?;
        let mut edit = if table.has_dedup() {
            self.write_resolved(table, through, outputs)?
        } else {
            self.write_plain(table, through, outputs)?
        };
        edit.symbol_files = self.write_symbol_files(table, outputs)?;
        self.commit_edit(edit)?;
        add(&self.counters.flushes, 1);
        Ok(())
    }

    /// Writes the rows in memory of an older state of a table, and the symbols that no file of it holds. Returns the edit that
    /// would name them.
    pub(crate) fn write_older(&self, older: &TableState, outputs: &Outputs) -> Result<Edit> {
        let mut edit = match older.memtable.last_seq() {
            None => self.flush_edit(older, older.flushed_through),
            Some(last) if older.has_dedup() => self.write_resolved(older, last, outputs)?,
            Some(last) => self.write_plain(older, last, outputs)?,
        };
        edit.symbol_files = self.write_symbols_from(older, |symbols| symbols.persisted as usize, outputs)?;
        Ok(edit)
    }

    /// Writes the rows in memory as they came.
    pub(crate) fn write_plain(&self, table: &TableState, through: Seq, outputs: &Outputs) -> Result<Edit> {
        let mut edit = self.flush_edit(table, through);
        let chunks = table.memtable.through(through)?;
        let chunks: Vec<Chunk> = chunks.into_iter().map(|c| without_dropped(table, c)).collect();
        for group in Chunk::groups_that_fit(&chunks.iter().collect::<Vec<_>>()) {
            let rows = Chunk::concat(group)?.sorted()?;
            edit.added.extend(self.write_partitions(table, &rows, outputs)?);
        }
        Ok(edit)
    }

    /// Writes the rows in memory of a table with DEDUP keys, and which rows of its segments they replace.
    pub(crate) fn write_resolved(&self, table: &TableState, through: Seq, outputs: &Outputs) -> Result<Edit> {
        let mut edit = self.flush_edit(table, through);
        let resolved = if table.memtable.last_seq().is_some_and(|last| last > through) {
            // Parts that a start has put together may reach over the cut that the flush ends at.
            let memtable = table.memtable.until(through)?;
            let head = TableState { memtable, dedup: Default::default(), ..TableState::clone(table) };
            head.dedup.get(&head)?
        } else {
            table.dedup.get(table)?
        };
        for flushed in resolved.flushed()? {
            for (at, dead) in flushed.dead {
                let wrong = usize::from(self.disk.has(Planted::DeadOfOtherSegment));
                let at = (at + wrong) % table.segments[&flushed.partition].len();
                let segment = table.segments[&flushed.partition][at].meta();
                if dead.len() == segment.rows {
                    edit.removed.push(RemovedSegment::of(flushed.partition, segment));
                } else {
                    edit.dead.push(self.write_dead_rows(table, flushed.partition, segment, &dead, outputs)?);
                }
            }
            if let Some(rows) = flushed.rows {
                edit.added.extend(self.write_partitions(table, &without_dropped(table, rows), outputs)?);
            }
        }
        Ok(edit)
    }

    /// Writes a delete vector of a segment. File and name are durable on return, unless `outputs` puts that off.
    pub(crate) fn write_dead_rows(
        &self,
        table: &TableState,
        partition: PartitionKey,
        segment: &SegmentMeta,
        dead: &RoaringBitmap,
        outputs: &Outputs,
    ) -> Result<DeadRows> {
        let partition_dir = table.schema.partition_by.partition_name(partition);
        let dir = table.path(&self.disk.layout);
        let file = format!("{partition_dir}/{}.dead", FileId::new(&self.disk.env, self.timeline));
        if !segment.file.starts_with(&partition_dir) {
            // The segment is a second name of another table's: nothing may lie in the partition's own directory yet.
            outputs.make_table_dir(&dir, &partition_dir)?;
        }
        outputs.will_write(&dir.join(&file));
        let meta = write_dead(outputs.env(), &dir, &file, dead)?;
        let parent = dir.join(&partition_dir);
        outputs.env().fs.sync_dir(&parent).map_err(Error::io(&parent))?;
        let former = segment.dead.as_ref().map(|dead| dead.file.clone());
        Ok(DeadRows { partition, file: segment.file.clone(), former, dead: meta })
    }

    /// Returns the edit of a flush that has written nothing yet.
    fn flush_edit(&self, table: &TableState, through: Seq) -> Edit {
        Edit {
            flushed_through: Some(match self.disk.planted {
                Some(Planted::FlushedThroughLess) => Seq(through.0 - 1),
                Some(Planted::FlushedThroughMore) => through.next(),
                _ => through,
            }),
            ..table.new_edit(EditCause::Flush)
        }
    }

    /// Commits an edit if it still fits. Durable on return, in every commit mode.
    pub(crate) fn commit_edit(&self, mut edit: Edit) -> Result<()> {
        if self.disk.has(Planted::TruncateLostToFlush)
            && let Some(newest) = self.view().state().tables.get(edit.table)
        {
            edit.truncate_seq = newest.truncate_seq;
        }
        let seq = self.commit_records(Urgency::Urgent, vec![Record::Edit(edit.clone())], |state| {
            let gone = || Error::Conflict(format!("table {} was dropped", edit.table));
            // A dropped table may come back: what only moves its rows is done all the same.
            let table =
                if edit.cause.only_moves() { state.table_with_files(edit.table) } else { state.tables.get(edit.table) };
            let table = table.ok_or_else(gone)?;
            table.conflict(&edit).map_or(Ok(()), |why| Err(Error::Conflict(why)))
        })?;
        self.log.wait_durable(seq)
    }

    /// Writes sorted rows as segments of their partitions, in the format that each has. Files and names are durable on
    /// return, unless `outputs` puts that off.
    pub(crate) fn write_partitions(
        &self,
        table: &TableState,
        rows: &Chunk,
        outputs: &Outputs,
    ) -> Result<Vec<AddedSegment>> {
        self.write_partitions_as(table, None, rows, outputs)
    }

    /// As [`Database::write_partitions`], in a given format.
    pub(crate) fn write_partitions_as(
        &self,
        table: &TableState,
        format: Option<PartitionFormat>,
        rows: &Chunk,
        outputs: &Outputs,
    ) -> Result<Vec<AddedSegment>> {
        let mut added = Vec::new();
        for (partition, range) in rows.partitions(table.schema.partition_by)? {
            let format = format.unwrap_or_else(|| PartitionFormat::of(table, partition));
            let mut start = range.start;
            while start < range.end {
                let end = range.end.min(start + MAX_SEGMENT_ROWS);
                let mut part = rows.slice(start..end)?;
                part.sorted = true;
                let segment = self.write_one(table, partition, format, &part, outputs)?;
                added.push(AddedSegment { partition, segment });
                start = end;
            }
        }
        Ok(added)
    }

    fn write_one(
        &self,
        table: &TableState,
        partition: PartitionKey,
        format: PartitionFormat,
        rows: &Chunk,
        outputs: &Outputs,
    ) -> Result<SegmentMeta> {
        let partition_dir = table.schema.partition_by.partition_name(partition);
        let dir = table.path(&self.disk.layout);
        outputs.make_table_dir(&dir, &partition_dir)?;
        let (extension, write): (_, WriteSegment) = match format {
            PartitionFormat::Native => ("arrow", write_segment),
            PartitionFormat::Parquet => ("parquet", write_parquet_segment),
        };
        let file = format!("{partition_dir}/{}.{extension}", FileId::new(&self.disk.env, self.timeline));
        outputs.will_write(&dir.join(&file));
        let origin = SegmentOrigin { table: table.id, schema: &table.schema, timeline: self.timeline };
        let meta = write(outputs.env(), &dir, &file, origin, &with_a_column(table, rows))?;
        let parent = dir.join(&partition_dir);
        outputs.env().fs.sync_dir(&parent).map_err(Error::io(&parent))?;
        add(&self.counters.written_segments, 1);
        add(&self.counters.written_segment_bytes, meta.len_bytes);
        add(&self.counters.written_rows, meta.rows);
        Ok(meta)
    }

    /// Makes a table's directory and one below it, where they are missing. Their names are durable on return.
    pub(crate) fn make_table_dir(&self, dir: &Path, below: &str) -> Result<()> {
        let fs = &self.disk.env.fs;
        let mut durable = self.durable_dirs.lock().expect("no holder of this lock panics");
        for (dir, parent) in [(dir.to_owned(), self.disk.layout.db()), (dir.join(below), dir.to_owned())] {
            if durable.contains(&dir) {
                continue;
            }
            if self.lost_dirs.lock().expect("no holder of this lock panics").contains(&dir) {
                let why = format!("{} could not be synced: check the disk and restart", dir.display());
                return Err(Error::Unavailable(why));
            }
            match fs.create_dir(&dir) {
                Ok(()) => {}
                // A run that was killed may have made it without syncing its name.
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::io(&dir)(e)),
            }
            if let Err(e) = fs.sync_dir(&parent) {
                // A failed sync is never tried again: the name is given up, and made anew the next time.
                if fs.remove_dir(&dir).is_err() {
                    self.lost_dirs.lock().expect("no holder of this lock panics").insert(dir);
                }
                return Err(Error::io(&parent)(e));
            }
            durable.insert(dir);
        }
        Ok(())
    }

    /// Writes the codes that rows of this state may use and that no file holds yet. Durable on return.
    pub(crate) fn write_symbol_files(&self, table: &TableState, outputs: &Outputs) -> Result<Vec<SymbolFileMeta>> {
        // Not those of the state: a reader's may lag behind.
        self.write_symbols_from(table, |symbols| symbols.dictionary.persisted(), outputs)
    }

    fn write_symbols_from(
        &self,
        table: &TableState,
        first_code: impl Fn(&SymbolState) -> usize,
        outputs: &Outputs,
    ) -> Result<Vec<SymbolFileMeta>> {
        let mut files = Vec::new();
        let dir = table.path(&self.disk.layout);
        for (column, symbols) in table.symbols.iter().filter(|(_, s)| s.len > s.persisted) {
            outputs.make_table_dir(&dir, SYMBOLS_DIR)?;
            let file = format!("{SYMBOLS_DIR}/{column}.{}.arrow", FileId::new(&self.disk.env, self.timeline));
            outputs.will_write(&dir.join(&file));
            let origin = (table.id, self.timeline);
            let codes = first_code(symbols)..symbols.len as usize;
            files.extend(write_symbols(outputs.env(), &dir, &file, origin, &symbols.dictionary, codes)?);
        }
        if !files.is_empty() {
            let symbols_dir = dir.join(SYMBOLS_DIR);
            outputs.env().fs.sync_dir(&symbols_dir).map_err(Error::io(&symbols_dir))?;
        }
        Ok(files)
    }
}

/// The last Seq that may share segments with the memtable's first rows: a cut of a live snapshot lies behind it.
fn end_of_group(state: &DbState, table: &TableState, last: Seq) -> Seq {
    let first = table.memtable.first_seq().unwrap_or(last);
    let unsettled = state.snapshots.values().filter(|s| s.pin.settled.is_none());
    let cuts = unsettled.map(|s| s.pin.seq).filter(|cut| *cut >= first);
    cuts.min().map_or(last, |cut| cut.min(last))
}

/// Rows may have no column at all: every value is missing, or its column was dropped. A file needs one to count them.
fn with_a_column(table: &TableState, rows: &Chunk) -> Chunk {
    let mut rows = rows.clone();
    if rows.columns.is_empty() {
        let first = &table.schema.columns[0];
        rows.columns.push((first.id, first.column_type, absent_column(first.column_type, rows.rows)));
    }
    rows
}

/// Rows of columns that were dropped since they came are not written.
fn without_dropped(table: &TableState, mut chunk: Chunk) -> Chunk {
    chunk.columns.retain(|(id, ..)| table.schema.column_by_id(*id).is_some());
    chunk
}
