//! Rows from clients into the log: checked against the newest schema, symbols resolved to codes.

use std::collections::BTreeMap;

use types::{ColumnData, ColumnId, ColumnType, RowBatch, Seq, SymbolColumn, TableId};

use super::Database;
use super::ready::Waiting;
use crate::catalog::DbState;
use crate::chunk::{ResolvedBatch, ResolvedColumn};
use crate::counters::add;
use crate::log::writer::Urgency;
use crate::record::{CatalogChange, NewSymbols, Record, Rows};
use crate::table::{SymbolState, TableState};
use crate::{Error, Result};

/// Rows for one or more tables that are committed together.
pub type RowsByTable = Vec<(TableId, RowBatch)>;

impl Database {
    /// Appends rows to tables as one commit. Visible on return; durable as the commit mode says.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a designated timestamp that is NULL or before 1970; [`Error::Conflict`] when a table or a
    /// column is not there any more (look again and retry); nothing of the commit was stored.
    pub fn append(&self, rows: RowsByTable) -> Result<Seq> {
        let max_bytes = rows.iter().map(|(_, batch)| payload_bytes(batch)).sum();
        let now_us = self.disk.env.clock.now_us();
        let tables: Vec<TableId> = rows.iter().map(|(table, _)| *table).collect();
        self.hold_back(&tables)?;
        let count: usize = rows.iter().map(|(_, batch)| batch.rows()).sum();
        let view = self.view();
        let ready = |(id, batch)| Waiting::of(view.state().tables.get(id), batch).map(|waiting| (id, waiting));
        let rows = rows.into_iter().map(ready).collect::<Result<Vec<_>>>()?;
        let seq = self.commit_when_open(&tables, max_bytes, rows, |state, rows| {
            if let Some(gone) = tables.iter().find(|id| state.tables.get(**id).is_none()) {
                let name = view.state().tables.get(*gone).map(|table| &table.name);
                return Err(Error::Conflict(match name {
                    Some(name) => format!("table {name} was dropped, or another one is in its place: try again"),
                    None => format!("table {gone} does not exist any more"),
                }));
            }
            rows.iter().try_for_each(|(table, rows)| rows.check(table_of(state, *table)?))?;
            let mut expired = Vec::new();
            for (id, rows) in &rows {
                expired.extend(expiry(table_of(state, *id)?, rows, state.commit_us.max(now_us)));
            }
            let mut resolver = Resolver::default();
            let mut resolve = |(id, rows): (TableId, Waiting)| rows.record(table_of(state, id)?, &mut resolver);
            let mut records = rows.into_iter().map(&mut resolve).collect::<Result<Vec<_>>>()?;
            records.extend(expired);
            Ok(records)
        })?;
        self.charge(max_bytes);
        self.count_rows(count);
        Ok(seq)
    }

    /// Commits what `build` makes of `input`, when no writer of the tables has to wait. Readers see what made it fail, so that
    /// who looks again and tries again does not meet the same.
    pub(super) fn commit_when_open<T>(
        &self,
        tables: &[TableId],
        max_bytes: usize,
        input: T,
        build: impl FnOnce(&mut DbState, T) -> Result<Vec<Record>>,
    ) -> Result<Seq> {
        let mut work = Some((input, build));
        loop {
            self.wait_until_open(tables);
            let committed = self.commit(Urgency::Ordinary, max_bytes, |state| {
                if self.is_shut(tables) {
                    return Err(Error::Conflict("the table is being changed".to_owned()));
                }
                let (input, build) = work.take().expect("a commit that failed is not tried again");
                build(state, input)
            });
            if work.is_none() || !matches!(committed, Err(Error::Conflict(_))) {
                if matches!(committed, Err(Error::Conflict(_) | Error::Exists(_) | Error::NotFound(_))) {
                    self.show_newest()?;
                }
                return committed;
            }
        }
    }

    /// Counts a commit of rows.
    pub(crate) fn count_rows(&self, rows: usize) {
        add(&self.counters.commits, 1);
        add(&self.counters.committed_rows, rows as u64);
    }

    /// Writers that outrun the background flush do its work themselves, so that memory stays bounded. They do it before
    /// their commit: what was committed must not be answered with the error of a flush.
    pub(super) fn hold_back(&self, tables: &[TableId]) -> Result<()> {
        let view = self.view();
        for id in tables {
            let held_bytes = view.state().tables.get(*id).map_or(0, |t| t.memtable.bytes());
            let most_bytes =
                if self.is_memory_full() { self.options.flush_bytes / 4 } else { 4 * self.options.flush_bytes };
            if held_bytes >= most_bytes {
                self.flush_table(*id)?;
            }
        }
        Ok(())
    }
}

fn table_of(state: &DbState, id: TableId) -> Result<&TableState> {
    state.tables.get(id).map(|t| &**t).ok_or_else(|| Error::Conflict(format!("table {id} does not exist any more")))
}

/// Checks that a batch fits its table.
pub(crate) fn check(table: &TableState, batch: &RowBatch) -> Result<()> {
    for column in batch.columns() {
        let known = table.schema.column_by_id(column.id);
        if !known.is_some_and(|c| column.data.is_of(c.column_type)) {
            return Err(Error::Conflict(format!("column {} of table {} has changed", column.id, table.name)));
        }
    }
    let Some(designated) = table.schema.designated else { return Ok(()) };
    let Some(ColumnData::I64(times)) = batch.column(designated) else {
        return if batch.rows() == 0 { Ok(()) } else { Err(missing_timestamp()) };
    };
    match times.iter().find(|&&t| t < 0) {
        None => Ok(()),
        Some(&i64::MIN) => Err(missing_timestamp()),
        Some(_) => Err(Error::Invalid("designated timestamp before 1970-01-01 is not allowed".to_owned())),
    }
}

/// Returns what the table's TTL drops in the commit of the rows.
pub(super) fn expiry(table: &TableState, rows: &Waiting, now_us: i64) -> Option<Record> {
    let times = table.schema.ttl.and_then(|_| rows.times(table));
    let before_us = table.expired_before(table.schema.ttl, times, now_us)?;
    Some(Record::Catalog(CatalogChange::Expire { table: table.id, before_us }))
}

/// Least and greatest designated timestamp of a batch in microseconds.
pub(super) fn times_of(table: &TableState, batch: &RowBatch) -> Option<(i64, i64)> {
    let id = table.schema.designated?;
    let Some(ColumnData::I64(times)) = batch.column(id) else { return None };
    let is_nanos = table.schema.column_by_id(id).is_some_and(|c| c.column_type == ColumnType::TimestampNs);
    let micros = |time: &i64| if is_nanos { time.div_euclid(1_000) } else { *time };
    Some((micros(times.iter().min()?), micros(times.iter().max()?)))
}

fn missing_timestamp() -> Error {
    Error::Invalid("designated timestamp column cannot be NULL".to_owned())
}

/// An upper bound of the bytes that a batch takes in a frame.
pub(crate) fn payload_bytes(batch: &RowBatch) -> usize {
    64 + batch.columns().iter().map(|c| c.data.size_bytes() + 32).sum::<usize>() + UNLOGGED_SYMBOL_BYTES
}

/// Room for codes that an earlier, failed commit gave out and that the next one lists.
const UNLOGGED_SYMBOL_BYTES: usize = 4 << 10;

/// Returns everything behind the last listed code: also what a commit that failed in between gave out.
pub(super) fn unlisted(state: &SymbolState, column: ColumnId, first_code: u32) -> Option<NewSymbols> {
    let len = state.dictionary.len() as u32;
    let texts = || state.dictionary.texts(first_code as usize..len as usize);
    (len > first_code).then(|| NewSymbols { column, first_code, texts: texts() })
}

/// Gives symbols their codes, over several batches of one commit.
#[derive(Default)]
pub(crate) struct Resolver {
    /// Codes that this commit already lists, by table and column.
    listed: BTreeMap<(TableId, ColumnId), u32>,
}

impl Resolver {
    /// Replaces the batch's own symbol codes by those of the table's dictionaries and lists the codes that are new.
    pub fn resolve(&mut self, table: &TableState, batch: RowBatch) -> Result<Rows> {
        let rows = batch.rows();
        let mut new_symbols = Vec::new();
        let mut columns = Vec::with_capacity(batch.columns().len());
        for column in batch.into_columns() {
            let known = table.schema.column_by_id(column.id);
            let column_type = known.expect("check() has found the column").column_type;
            let data = match column.data {
                ColumnData::Symbol(symbols) => {
                    let (codes, new) = self.symbols(table, column.id, symbols)?;
                    new_symbols.extend(new);
                    codes
                }
                other => other,
            };
            columns.push(ResolvedColumn { id: column.id, column_type, data });
        }
        Ok(Rows { table: table.id, new_symbols, batch: ResolvedBatch { rows, columns } })
    }

    fn symbols(
        &mut self,
        table: &TableState,
        column: ColumnId,
        symbols: SymbolColumn,
    ) -> Result<(ColumnData, Option<NewSymbols>)> {
        let state = &table.symbols[&column];
        let of_local = state.dictionary.intern_all(symbols.values())?;
        let first_code = self.listed.get(&(table.id, column)).copied().unwrap_or(state.len);
        let new = unlisted(state, column, first_code);
        let len = new.as_ref().map_or(first_code, |new| new.first_code + new.texts.len() as u32);
        self.listed.insert((table.id, column), len);
        Ok((ColumnData::Symbol(symbols.with_codes(&of_local)), new))
    }
}
