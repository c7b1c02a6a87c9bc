//! ALTER COLUMN TYPE: the values of a column under another type, in the same place and under the same name.
//!
//! The column gets a new id, so nothing ever reads old bytes under the new type. Segments are written anew beside the old
//! ones while rows still come in; for the last of them writers of the table wait a moment, and one frame brings the new
//! segments and the new schema together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_buffer::BooleanBuffer;
use types::{ColumnData, ColumnDef, ColumnId, ColumnType, DedupRule, PartitionKey, Schema, SymbolColumn, TableId};

use crate::arrow_type::absent_column;
use crate::changes::Outputs;
use crate::chunk::{Chunk, ResolvedBatch, to_arrow};
use crate::database::{Database, add_rule};
use crate::log::writer::Urgency;
use crate::read_view::TableView;
use crate::record::{self, AddedSegment, CatalogChange, Edit, EditCause, NewSymbols, Record, RemovedSegment, Rows};
use crate::run::Run;
use crate::segment::SegmentHandle;
use crate::symbols::Dictionary;
use crate::table::TableState;
use crate::{Error, Result};

/// Rounds over what came in meanwhile before writers of the table have to wait.
const OPEN_ROUNDS: usize = 3;

/// Makes the values of the new type: one for each value of the array, which is of the old type.
type Convert<'a> = dyn FnMut(&TableView, &ArrayRef) -> Result<ColumnData> + 'a;

/// A conversion on its way.
struct Conversion<'a> {
    from: ColumnDef,
    to: ColumnDef,
    convert: &'a mut Convert<'a>,
    /// Codes of the new column, when it is a SYMBOL.
    dictionary: Dictionary,
    /// By partition and old segment with its delete vector: what stands for it, nothing when all its rows were dead.
    done: BTreeMap<(PartitionKey, RemovedSegment), Vec<AddedSegment>>,
}

impl Database {
    /// Gives a column another type, as one commit; `convert` makes the values. Durable on return. Rows that come in
    /// meanwhile are converted too.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown column, [`Error::Invalid`] for the designated timestamp, and what `convert`
    /// returns; nothing has changed then.
    pub fn convert_column(
        &self,
        id: TableId,
        column: &str,
        to: ColumnType,
        mut convert: impl FnMut(&TableView, &ArrayRef) -> Result<ColumnData>,
    ) -> Result<()> {
        let lock = self.changes.lock_of(id);
        let _one = lock.lock().expect("no mutator panics");
        let outputs = Outputs::new(self);
        let mut conversion = self.begin_conversion(id, column, to, &mut convert)?;
        for _ in 0..OPEN_ROUNDS {
            self.flush_locked(id)?;
            self.convert_segments(id, &mut conversion, &outputs)?;
        }
        let gate = self.shut(id);
        let outcome = loop {
            let converted = self.flush_locked(id).and_then(|()| self.convert_segments(id, &mut conversion, &outputs));
            match converted.and_then(|()| self.commit_conversion(id, &conversion)) {
                // A compaction came first.
                Err(Error::Conflict(_)) => {}
                outcome => break outcome,
            }
        };
        drop(gate);
        outputs.settle(outcome)
    }

    fn begin_conversion<'a>(
        &self,
        id: TableId,
        column: &str,
        to: ColumnType,
        convert: &'a mut Convert<'a>,
    ) -> Result<Conversion<'a>> {
        let view = self.view().table_by_id(id).ok_or_else(|| gone(id))?;
        let schema = view.schema();
        let from = schema.column(column).ok_or_else(|| Error::NotFound(format!("Invalid column: {column}")))?.clone();
        if schema.designated == Some(from.id) {
            return Err(Error::Invalid("cannot change type of designated timestamp column".to_owned()));
        }
        // Mutators of the table and ADD COLUMN alone give out ids; the commit looks whether this one is still free.
        let new_id = ColumnId(schema.next_column_id);
        let is_symbol = to == ColumnType::Symbol;
        let to = ColumnDef {
            indexed: from.indexed && is_symbol,
            symbol: if is_symbol { from.symbol } else { Default::default() },
            ..ColumnDef::new(new_id, &from.name, to)
        };
        Ok(Conversion { from, to, convert, dictionary: Dictionary::new(new_id), done: BTreeMap::new() })
    }

    /// Writes what stands for the segments that have no counterpart yet.
    fn convert_segments(&self, id: TableId, conversion: &mut Conversion, outputs: &Outputs) -> Result<()> {
        let view = self.view();
        let table = view.state().tables.get(id).ok_or_else(|| gone(id))?;
        let table_view = view.table_by_id(id).ok_or_else(|| gone(id))?;
        let target = TableState { schema: Arc::new(conversion.schema(table)), ..TableState::clone(table) };
        let current = segments_of(table);
        conversion.done.retain(|key, _| current.contains(key));
        for (partition, segments) in table.segments.iter() {
            for segment in segments {
                let key = (*partition, RemovedSegment::of(*partition, segment.meta()));
                if conversion.done.contains_key(&key) {
                    continue;
                }
                let chunk = conversion.chunk(&table_view, table, *partition, segment)?;
                let added = match chunk {
                    None => Vec::new(),
                    Some(chunk) => self.write_partitions(&target, &chunk, outputs)?,
                };
                conversion.done.insert(key, added);
            }
        }
        Ok(())
    }

    fn commit_conversion(&self, id: TableId, conversion: &Conversion) -> Result<()> {
        let texts = conversion.dictionary.texts(0..conversion.dictionary.len());
        let symbol_bytes: usize = texts.iter().map(|text| text.len() + 4).sum();
        let view = self.view();
        let seen = view.state().tables.get(id).ok_or_else(|| gone(id))?;
        let edit_bytes = record::encode(&[Record::Edit(conversion.edit(seen))]).len();
        let room = 8192 + edit_bytes + symbol_bytes + seen.schema.columns.len() * 512;
        let seq = self.commit(Urgency::Ordinary, room, |state| {
            let table = state.tables.get(id).ok_or_else(|| gone(id))?;
            let schema = conversion.next_schema(table, state.seq.next())?;
            let mut records = vec![Record::Catalog(CatalogChange::Alter { table: id, schema })];
            let edit = conversion.edit(table);
            if table.memtable.rows() > 0 || !segments_of(table).iter().eq(conversion.done.keys()) {
                return Err(Error::Conflict(format!("rows of table {} have changed meanwhile", table.name)));
            }
            if !texts.is_empty() {
                let new_symbols = vec![NewSymbols { column: conversion.to.id, first_code: 0, texts: texts.clone() }];
                records.push(Record::Rows(Rows { table: id, new_symbols, batch: ResolvedBatch::default() }));
            }
            records.push(Record::Edit(edit));
            Ok(records)
        })?;
        self.log.wait_durable(seq)
    }
}

impl Conversion<'_> {
    /// Returns the live rows of a segment with the column in its new type.
    fn chunk(
        &mut self,
        view: &TableView,
        table: &TableState,
        partition: PartitionKey,
        segment: &Arc<SegmentHandle>,
    ) -> Result<Option<Chunk>> {
        let meta = segment.meta();
        if meta.live_rows() == 0 {
            return Ok(None);
        }
        let run = Run::of_segment(partition, segment.clone()).open()?;
        let live = run.dead().map(|dead| {
            BooleanArray::new(BooleanBuffer::collect_bool(run.rows(), |row| !dead.contains(row as u32)), None)
        });
        let rows = meta.live_rows() as usize;
        let mut columns = Vec::new();
        for column in table.schema.columns.iter() {
            let present = run.column(column.id)?;
            let present =
                match (present, &live) {
                    (Some(array), Some(live)) => Some(arrow_select::filter::filter(&array, live).map_err(|e| {
                        Error::Invalid(format!("rows of column {} cannot be left out: {e}", column.name))
                    })?),
                    (present, _) => present,
                };
            if column.id == self.from.id {
                let old = present.unwrap_or_else(|| absent_column(column.column_type, rows));
                columns.push((self.to.id, self.to.column_type, self.converted(view, &old)?));
            } else if let Some(array) = present {
                columns.push((column.id, column.column_type, array));
            }
        }
        columns.sort_by_key(|(id, ..)| *id);
        let chunk = Chunk::of_arrays(rows, columns, table.schema.designated, meta.first_seq..=meta.last_seq, 0)?;
        Ok(Some(chunk))
    }

    fn converted(&mut self, view: &TableView, old: &ArrayRef) -> Result<ArrayRef> {
        let data = match (self.convert)(view, old)? {
            ColumnData::Symbol(symbols) => {
                let codes = symbols.values().map(|text| Ok(self.dictionary.intern(text)?.0));
                let codes = codes.collect::<Result<Vec<i32>>>()?;
                let of = |&code: &i32| if code < 0 { SymbolColumn::NULL } else { codes[code as usize] };
                ColumnData::Symbol(SymbolColumn::of_codes(symbols.codes.iter().map(of).collect()))
            }
            data => data,
        };
        if data.len() != old.len() {
            return Err(Error::Invalid(format!("{} of {} values were converted", data.len(), old.len())));
        }
        to_arrow(self.to.column_type, data)
    }

    /// Returns the schema that segments are written with.
    fn schema(&self, table: &TableState) -> Schema {
        let mut schema = Schema::clone(&table.schema);
        if let Some(column) = schema.columns.iter_mut().find(|c| c.id == self.from.id) {
            *column = self.to.clone();
        }
        schema
    }

    fn next_schema(&self, table: &TableState, seq: types::Seq) -> Result<Schema> {
        let mut schema = Schema::clone(&table.schema);
        let changed = || Error::Invalid(format!("column {} was changed meanwhile: try again", self.from.name));
        let at = schema.columns.iter().position(|c| c.id == self.from.id).ok_or_else(changed)?;
        if schema.next_column_id != self.to.id.0 {
            return Err(changed());
        }
        let name = std::mem::take(&mut schema.columns[at].name);
        schema.columns[at] = ColumnDef { name, ..self.to.clone() };
        schema.next_column_id += 1;
        schema.version += 1;
        if schema.dedup_keys().contains(&self.from.id) {
            let follow = |id: &ColumnId| if *id == self.from.id { self.to.id } else { *id };
            let keys = schema.dedup_keys().iter().map(follow).collect();
            add_rule(table, &mut schema, DedupRule { since: seq, keys });
        }
        Ok(schema)
    }

    fn edit(&self, table: &TableState) -> Edit {
        Edit {
            removed: self.done.keys().map(|(_, removed)| removed.clone()).collect(),
            added: self.done.values().flatten().cloned().collect(),
            ..table.new_edit(EditCause::Rewrite)
        }
    }
}

/// Returns the segments of a table as an edit removes them.
fn segments_of(table: &TableState) -> BTreeSet<(PartitionKey, RemovedSegment)> {
    let of = |key: PartitionKey, of: &[Arc<SegmentHandle>]| {
        of.iter().map(|segment| (key, RemovedSegment::of(key, segment.meta()))).collect::<Vec<_>>()
    };
    table.segments.iter().flat_map(|(key, segments)| of(*key, segments)).collect()
}

fn gone(id: TableId) -> Error {
    Error::NotFound(format!("table {id} does not exist any more"))
}
