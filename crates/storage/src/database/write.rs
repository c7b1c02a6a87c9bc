//! Rows together with the tables and columns that they bring into being, as one commit: [`Database::write`].
//!
//! Who reads lines or files looks at one view, finds out what is missing, and hands over both; a reader sees the table
//! with its rows or neither. Reading order: [`Write`], then [`super::append`].

use std::collections::BTreeMap;
use std::sync::Arc;

use types::{ColumnId, RowBatch, Schema, Seq, TableId, TableName};

use super::Database;
use super::append::{Resolver, expiry, payload_bytes};
use super::ddl::{self, NewColumn, NewTable};
use super::ready::Waiting;
use crate::catalog::DbState;
use crate::layout::table_dir;
use crate::record::{CatalogChange, Record};
use crate::table::TableState;
use crate::{Error, Result};

/// Rows of one table.
#[derive(Debug, Clone)]
pub struct Write {
    pub target: Target,
    pub batch: RowBatch,
}

/// Where rows go.
#[derive(Debug, Clone)]
pub enum Target {
    /// A table that had this name and this schema when the rows were made for it.
    Table { id: TableId, name: TableName, schema: Arc<Schema>, new_columns: Vec<NewColumn> },
    /// A table that is to be made.
    New(NewTable),
    /// A table that is to be made in the place of another one of its name.
    Instead { id: TableId, new: NewTable },
}

impl Target {
    /// Returns the ids that the new columns will have, in their order: the batch is made with them.
    pub fn new_ids(&self) -> Vec<ColumnId> {
        let (first, count) = match self {
            Target::Table { schema, new_columns, .. } => (schema.next_column_id, new_columns.len()),
            Target::New(new) | Target::Instead { new, .. } => (0, new.columns.len()),
        };
        (first..).take(count).map(ColumnId).collect()
    }
}

impl Database {
    /// Makes what the rows need and appends them, all as one commit. Visible on return; durable as the commit mode says.
    ///
    /// # Errors
    /// [`Error::Exists`] when a table to be made is there by now, [`Error::Conflict`] when a table has another name or
    /// other columns by now (look again and retry), [`Error::Invalid`] for names and values that break a rule. Nothing
    /// of the commit was stored, and nothing was made.
    pub fn write(&self, writes: Vec<Write>) -> Result<Seq> {
        let rows: usize = writes.iter().map(|write| write.batch.rows()).sum();
        let known = writes.iter().filter_map(|write| match &write.target {
            Target::Table { id, .. } => Some(*id),
            Target::New(_) | Target::Instead { .. } => None,
        });
        let known: Vec<TableId> = known.collect();
        self.hold_back(&known)?;
        let mut max_bytes = 0;
        for write in &writes {
            max_bytes += payload_bytes(&write.batch)
                + match &write.target {
                    Target::Table { new_columns, .. } if new_columns.is_empty() => 0,
                    Target::Table { schema, new_columns, .. } => {
                        4096 + (schema.columns.len() + new_columns.len() + 16) * 512
                    }
                    Target::New(new) | Target::Instead { new, .. } => 4096 + new.columns.len() * 512,
                };
        }
        let now_us = self.disk.env.clock.now_us();
        let view = self.view();
        let ready = |Write { target, batch }| {
            let table = match &target {
                Target::Table { id, new_columns, .. } if new_columns.is_empty() => view.state().tables.get(*id),
                _ => None,
            };
            Waiting::of(table, batch).map(|rows| (target, rows))
        };
        let writes = writes.into_iter().map(ready).collect::<Result<Vec<_>>>()?;
        let build = |state: &mut DbState, writes| records(state, writes, now_us);
        let seq = self.commit_when_open(&known, max_bytes, writes, build)?;
        self.charge(max_bytes);
        self.count_rows(rows);
        Ok(seq)
    }
}

/// Returns what the frame says.
fn records(state: &DbState, writes: Vec<(Target, Waiting)>, now_us: i64) -> Result<Vec<Record>> {
    let mut made: BTreeMap<TableId, TableState> = BTreeMap::new();
    let mut records = Vec::with_capacity(writes.len());
    let mut places = Vec::with_capacity(writes.len());
    let mut expired = Vec::new();
    // Everything is checked before the first symbol gets its code.
    for (target, rows) in &writes {
        let (id, change) = match target {
            Target::New(new) | Target::Instead { new, .. } => {
                let replaced = match target {
                    Target::Instead { id, .. } => Some(*id),
                    _ => None,
                };
                if let Some(table) = replaced {
                    place(state, &made, table)?;
                    records.push(Record::Catalog(CatalogChange::Drop { table }));
                }
                let (table, change) = create(state, &made, new, replaced)?;
                let id = table.id;
                made.insert(id, table);
                (id, Some(change))
            }
            Target::Table { id, name, schema, new_columns } => {
                let change = known(state, *id, name, schema, new_columns, &mut made)?;
                (*id, change)
            }
        };
        records.extend(change.map(Record::Catalog));
        let table = place(state, &made, id)?;
        rows.check(table)?;
        expired.extend(expiry(table, rows, state.commit_us.max(now_us)));
        places.push(id);
    }
    let mut resolver = Resolver::default();
    for ((_, rows), id) in writes.into_iter().zip(&places) {
        records.push(rows.record(place(state, &made, *id)?, &mut resolver)?);
    }
    records.extend(expired);
    Ok(records)
}

fn place<'a>(state: &'a DbState, made: &'a BTreeMap<TableId, TableState>, id: TableId) -> Result<&'a TableState> {
    made.get(&id)
        .or_else(|| state.tables.get(id).map(|t| &**t))
        .ok_or_else(|| Error::Conflict(format!("table {id} does not exist any more")))
}

fn create(
    state: &DbState,
    made: &BTreeMap<TableId, TableState>,
    new: &NewTable,
    replaced: Option<TableId>,
) -> Result<(TableState, CatalogChange)> {
    let folded = new.name.folded();
    if let Some(view) = state.sql_view_named(&folded) {
        return Err(Error::Invalid(format!("cannot modify view [view={}]", view.name)));
    }
    let taken = state.owner_of(&folded).is_some_and(|(owner, _)| Some(owner) != replaced);
    if taken || made.values().any(|t| t.name.folded() == folded) {
        return Err(Error::Exists(format!("table already exists: {}", new.name)));
    }
    let schema = new.schema()?;
    let newest = made.keys().next_back().map_or(0, |id| id.0 + 1);
    let id = TableId(newest.max(state.next_table));
    let dir = table_dir(&new.name, id);
    let table = TableState::new(id, new.name.clone(), &dir, schema.clone(), state.seq.next());
    Ok((table, CatalogChange::Create { table: id, name: new.name.clone(), dir, schema }))
}

/// Checks that a table is still what the rows were made for, and adds the columns that it lacks.
fn known(
    state: &DbState,
    id: TableId,
    name: &TableName,
    seen: &Schema,
    new_columns: &[NewColumn],
    made: &mut BTreeMap<TableId, TableState>,
) -> Result<Option<CatalogChange>> {
    let gone = |_| Error::Conflict(format!("table {name} was dropped, or another one is in its place: try again"));
    let table = place(state, made, id).map_err(gone)?;
    if table.name.folded() != name.folded() {
        // A row that is acknowledged after the rename belongs into the table that has the old name from then on.
        return Err(Error::Conflict(format!("table {name} was renamed to {}", table.name)));
    }
    if new_columns.is_empty() {
        return Ok(None);
    }
    if table.schema.version != seen.version {
        return Err(Error::Conflict(format!("the columns of table {name} have changed")));
    }
    let mut schema = Schema::clone(&table.schema);
    for new in new_columns {
        ddl::check_column_name(&new.name)?;
        if schema.column(&new.name).is_some() {
            return Err(Error::Exists(format!("column '{}' already exists", new.name)));
        }
        let id = ColumnId(schema.next_column_id);
        schema.next_column_id += 1;
        schema.columns.push(ddl::column(id, new));
    }
    schema.version += 1;
    let mut altered = table.clone();
    altered.alter(schema.clone(), state.seq.next());
    made.insert(id, altered);
    Ok(Some(CatalogChange::Alter { table: id, schema }))
}
