//! A table as it was, back in the running server: [`Database::restore_table`].
//!
//! It comes back as a table of its own. Its files are second names of the immutable files of then in its own directory, so
//! no segment is copied and each table owns what it names; rows of then that were in memory alone are written as segments.
//! All of it is synced at once when it is there; one frame names it. Until then the files are garbage that a sweep removes.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use types::{DedupRule, PartitionKey, Schema, Seq, TableId, TableName};

use crate::base::{Read, load_symbols, new_table_base, write_table_base_as};
use crate::catalog::DbState;
use crate::changes::Outputs;
use crate::database::Database;
use crate::detach::extension;
use crate::layout::{FileId, SYMBOLS_DIR, TABLE_BASE_DIR, table_dir};
use crate::log::writer::Urgency;
use crate::planted::Planted;
use crate::read_view::ReadView;
use crate::record::{self, AddedSegment, Adopted, AdoptedTable, DeadRows, Edit, EditCause, Record};
use crate::segment::{SegmentHandle, SegmentMeta};
use crate::snapshot::FileRef;
use crate::sql_view::Replace;
use crate::symbols::SymbolFileMeta;
use crate::symbols::file::write_symbols;
use crate::table::{SegmentMap, TableState, live_rows};
use crate::{Error, Result};

use self::links::Links;

mod links;
pub(crate) mod whole;

/// What can be done when the name is taken.
const TAKEN: &str = "; bring it back AS another name, or rename or drop that one first";

impl Database {
    /// Makes the table `as_name` of what the table `name` was in a view: rows, columns, keys and rules. Durable on return, in
    /// every commit mode; costs a link a file and no bytes of segments. DROP of the new table undoes it. A view comes back as one.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the view has no table `name`; [`Error::Exists`] when there is a table `as_name` now. Nothing
    /// is changed then.
    pub fn restore_table(&self, from: &ReadView, name: &str, as_name: &TableName) -> Result<TableId> {
        if let Some(then) = from.sql_view(name) {
            let (id, seq) = self.commit_view(as_name, &then.text, Replace::Never, TAKEN)?;
            self.log.wait_durable(seq)?;
            return Ok(id);
        }
        let then = from.state().table_named(&name.to_lowercase());
        let then = then.ok_or_else(|| Error::NotFound(format!("there was no table {name} then")))?;
        self.view().state().check_free_or(as_name, TAKEN)?;
        let outputs = Outputs::synced_at_the_end(self)?;
        let adopted = self.adopt(then, as_name, &outputs).and_then(|adopted| {
            outputs.sync()?;
            let id = adopted.says.table;
            self.commit_adopted(vec![adopted], |state| state.check_free_or(as_name, TAKEN)).map(|()| id)
        });
        outputs.settle(adopted)
    }

    /// Commits tables whose files are there, if `check` finds them in order. Durable on return.
    pub(crate) fn commit_adopted(
        &self,
        tables: Vec<Adopted>,
        check: impl FnOnce(&DbState) -> Result<()>,
    ) -> Result<()> {
        let records: Vec<Record> = tables.into_iter().map(|table| Record::Adopt(Box::new(table))).collect();
        let bytes = record::encode(&records).len();
        let seq = self.commit(Urgency::Ordinary, bytes, |state| check(state).map(|()| records))?;
        self.log.wait_durable(seq)
    }

    /// Gives the files of a table's state second names in the directory of a new table. Files and names are durable once
    /// `outputs` are synced.
    fn adopt(&self, then: &TableState, name: &TableName, outputs: &Outputs) -> Result<Adopted> {
        let id = self.reserve_table_id();
        let mut table = TableState {
            id,
            name: name.clone(),
            dir: table_dir(name, id).into(),
            truncate_seq: Seq::ZERO,
            expired: (Seq::ZERO, i64::MIN),
            ..then.clone()
        };
        outputs.will_make(&table.path(&self.disk.layout));
        let written = self.write_memory(&table, outputs)?;
        let (segments, links) = self.plan_links(then, &table, written, outputs)?;
        let symbol_files = self.link_symbols(then, &table, outputs)?;
        table.schema = Arc::new(settled(&then.schema));
        table.segment_rows = live_rows(&segments);
        table.segments = Arc::new(segments);
        table.memtable = Default::default();
        table.dedup = Default::default();
        table.symbols = Arc::default();
        load_symbols(&self.disk, &mut table, &symbol_files, Read::Whole)?;
        table.match_symbols();
        let segments = self.link_and_list(links, &table, outputs)?;
        let says = AdoptedTable::of(&table, segments);
        Ok(Adopted { says, ready: Some(table) })
    }

    /// Takes an id that no other table will get.
    pub(crate) fn reserve_table_id(&self) -> TableId {
        let mut head = self.lock_head();
        let id = TableId(head.state.next_table);
        head.state.next_table += 1;
        id
    }

    /// Writes rows that are in memory as segments in the table's directory, as a flush does.
    fn write_memory(&self, table: &TableState, outputs: &Outputs) -> Result<Edit> {
        let Some(last) = table.memtable.last_seq() else { return Ok(table.new_edit(EditCause::Flush)) };
        if !table.has_dedup() {
            return self.write_plain(table, last, outputs);
        }
        // Delete vectors of what is linked lie in the directories of the partitions.
        let by = table.schema.partition_by;
        for part in table.memtable.parts() {
            for (key, _) in part.partitions(by)? {
                outputs.make_table_dir(&table.path(&self.disk.layout), &by.partition_name(*key))?;
            }
        }
        self.write_resolved(table, last, outputs)
    }

    /// Returns the segments of the new table, those of then under the second names that are to be given, and what was written
    /// of its memory. Makes the directories.
    fn plan_links(
        &self,
        then: &TableState,
        table: &TableState,
        written: Edit,
        outputs: &Outputs,
    ) -> Result<(SegmentMap, Links)> {
        let dir = table.path(&self.disk.layout);
        let gone: HashSet<String> = written.removed.into_iter().map(|removed| removed.file).collect();
        let mut dead: HashMap<String, DeadRows> = written.dead.into_iter().map(|d| (d.file.clone(), d)).collect();
        let mut found: Vec<(PartitionKey, SegmentMeta)> = Vec::new();
        let count = then.segments.values().map(Vec::len).sum();
        let mut links = Links::new(then.path(&self.disk.layout), dir.clone());
        let mut id = FileId::new(&self.disk.env, self.timeline);
        for (partition, handle) in then.segments.iter().flat_map(|(key, of)| of.iter().map(move |h| (*key, h))) {
            let mut meta = SegmentMeta::clone(handle.meta());
            if gone.contains(&meta.file) {
                continue;
            }
            let more_dead = dead.remove(&meta.file);
            let lane = links.lane(count);
            let mut link = |file: &mut String| {
                id = id.following();
                let name = format!("{}/{id}.{}", links::DIRS[lane], extension(file));
                links.add(lane, std::mem::replace(file, name.clone()), name);
            };
            link(&mut meta.file);
            match (more_dead, &mut meta.dead) {
                (Some(more), dead) => *dead = Some(more.dead),
                (None, Some(dead)) => link(&mut dead.file),
                _ => {}
            }
            found.push((partition, meta));
        }
        for linked in links.dirs() {
            outputs.make_table_dir(&dir, linked)?;
        }
        found.extend(written.added.into_iter().map(|AddedSegment { partition, segment }| (partition, segment)));
        // Of a later past than the database's: all of it comes before what is written from now on.
        let now = self.view().seq();
        let is_later = found.iter().any(|(_, meta)| meta.last_seq > now);
        let mut segments = SegmentMap::new();
        for (partition, mut meta) in found {
            if is_later {
                (meta.first_seq, meta.last_seq) = (now, now);
            }
            let handle = SegmentHandle::new(&self.disk.env, &dir, Arc::new(meta), true);
            segments.entry(partition).or_default().push(Arc::new(handle));
        }
        Ok((segments, links))
    }

    /// Gives segments their second names, and writes the list of a table's segments, which the frame names.
    fn link_and_list(&self, links: Links, table: &TableState, outputs: &Outputs) -> Result<Option<FileRef>> {
        let (env, dir) = (outputs.env(), table.path(&self.disk.layout));
        let file = new_table_base(env, self.timeline);
        if !table.segments.is_empty() {
            outputs.make_table_dir(&dir, TABLE_BASE_DIR)?;
            outputs.will_write(&dir.join(&file));
        }
        let list = || (!table.segments.is_empty()).then(|| write_table_base_as(env, &dir, &file, table)).transpose();
        let listed = Mutex::new(Ok(None));
        let give = || links.work(&*env.fs, 0);
        let list_and_help = || {
            *listed.lock().expect("no other holder") = list();
            links.work(&*env.fs, 1);
        };
        if links.are_many() {
            (self.disk.env.join)(&give, &list_and_help);
        } else {
            give();
            list_and_help();
        }
        let given: Vec<PathBuf> = links.dirs().map(|linked| dir.join(linked)).collect();
        links.outcome()?;
        if !self.disk.has(Planted::AdoptBeforeLinks) {
            given.iter().try_for_each(|linked| env.fs.sync_dir(linked).map_err(Error::io(linked)))?;
        }
        listed.into_inner().expect("no holder of this lock panics")
    }

    /// Returns the symbol files of the new table: links to those of then, and one for the codes that no file held.
    fn link_symbols(&self, then: &TableState, table: &TableState, outputs: &Outputs) -> Result<Vec<SymbolFileMeta>> {
        let (from, dir) = (then.path(&self.disk.layout), table.path(&self.disk.layout));
        let env = outputs.env();
        let mut files = Vec::new();
        for (column, symbols) in then.symbols.iter().filter(|(_, symbols)| symbols.len > 0) {
            outputs.make_table_dir(&dir, SYMBOLS_DIR)?;
            let new_name = || format!("{SYMBOLS_DIR}/{column}.{}.arrow", FileId::new(env, self.timeline));
            for known in symbols.files.iter() {
                let name = new_name();
                let to = dir.join(&name);
                outputs.will_write(&to);
                env.fs.hard_link(&from.join(&known.file), &to).map_err(|e| links::not_linked(&to, e))?;
                files.push(SymbolFileMeta { file: name, ..known.clone() });
            }
            if symbols.len > symbols.persisted {
                let (name, origin) = (new_name(), (table.id, self.timeline));
                outputs.will_write(&dir.join(&name));
                let codes = symbols.persisted as usize..symbols.len as usize;
                files.extend(write_symbols(env, &dir, &name, origin, &symbols.dictionary, codes)?);
            }
        }
        if !files.is_empty() {
            let symbols_dir = dir.join(SYMBOLS_DIR);
            env.fs.sync_dir(&symbols_dir).map_err(Error::io(&symbols_dir))?;
        }
        Ok(files)
    }
}

/// Returns a schema of then for rows that are all in segments: which commits the rules began with does not matter any more.
fn settled(then: &Schema) -> Schema {
    let mut schema = then.clone();
    let last = schema.dedup.pop().filter(|rule| !rule.keys.is_empty());
    schema.dedup = last.into_iter().map(|rule| DedupRule { since: Seq::ZERO, ..rule }).collect();
    schema
}
