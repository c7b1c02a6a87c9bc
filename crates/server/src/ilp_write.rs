//! The rows of one ILP request into storage: [`write`].
//!
//! Reads and checks everything against one view of the database, then makes what is missing, then appends all tables in
//! one commit. When another client changed a table meanwhile it looks again and starts over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use storage::{Database, NewColumn, NewTable};
use types::{ColumnId, RowBatch, TableId};
use wire::ilp::{LineError, Options, TableRows, Unit, read_request};

/// How often a request starts over because of others before it is given back.
const ATTEMPTS: usize = 10;

/// Why nothing was written.
#[derive(Debug)]
pub enum WriteError {
    /// A line cannot be taken.
    Line(LineError),
    /// The client went away before the commit.
    Abandoned,
    Storage(storage::Error),
}

/// Lets one request at a time make tables and columns: of many clients that bring the same new one, the others then
/// find it made.
#[derive(Debug, Default)]
pub struct Making(Mutex<()>);

/// One request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub body: &'a [u8],
    pub unit: Unit,
    /// The time of rows that have none.
    pub now_us: i64,
    pub options: Options,
    /// Set when nobody waits for the answer any more.
    pub gone: &'a AtomicBool,
}

/// Stores the rows of a request: all of them or none. Blocks.
///
/// # Errors
/// The first bad line, or what storage refuses.
pub fn write(database: &Database, making: &Making, request: Request<'_>) -> Result<(), WriteError> {
    let mut turn = None;
    for attempt in 1.. {
        let view = database.view();
        let find = |name: &str| view.table(name).map(|table| (table.name().clone(), table.schema().clone()));
        let tables = read_request(request.body, request.unit, request.now_us, request.options, find)
            .map_err(WriteError::Line)?;
        if tables.is_empty() {
            return Ok(());
        }
        if turn.is_none() && tables.iter().any(|table| !table.new_columns.is_empty()) {
            // a panic while it was held left nothing half made: each step is a commit of its own
            turn = Some(making.0.lock().unwrap_or_else(PoisonError::into_inner));
            continue;
        }
        if request.gone.load(Ordering::Relaxed) {
            return Err(WriteError::Abandoned);
        }
        match commit(database, &view, tables, request.options) {
            Ok(()) => return Ok(()),
            Err(error) if attempt < ATTEMPTS && is_change_by_others(&error) => {}
            Err(error) => return Err(WriteError::Storage(error)),
        }
    }
    unreachable!("the last attempt returns")
}

fn is_change_by_others(error: &storage::Error) -> bool {
    matches!(error, storage::Error::Exists(_) | storage::Error::Conflict(_) | storage::Error::NotFound(_))
}

fn commit(
    database: &Database,
    view: &storage::ReadView,
    tables: Vec<TableRows>,
    options: Options,
) -> storage::Result<()> {
    let mut batches = Vec::with_capacity(tables.len());
    for table in tables {
        batches.push(prepare(database, view, table, options)?);
    }
    database.append(batches)?;
    Ok(())
}

/// Makes what the table lacks and returns its rows as a batch.
fn prepare(
    database: &Database,
    view: &storage::ReadView,
    table: TableRows,
    options: Options,
) -> storage::Result<(TableId, RowBatch)> {
    let new_column = |column: &wire::ilp::NewColumn| NewColumn::new(&column.name, column.column_type);
    let vanished = || storage::Error::NotFound(format!("table does not exist [table={}]", table.name));
    let (id, new_ids): (TableId, Vec<ColumnId>) = if table.schema.is_some() {
        let id = view.table(table.name.as_str()).ok_or_else(vanished)?.id();
        let ids: storage::Result<_> =
            table.new_columns.iter().map(|column| database.add_column(id, new_column(column))).collect();
        (id, ids?)
    } else {
        let id = database.create_table(NewTable::new(
            table.name.clone(),
            table.new_columns.iter().map(new_column).collect(),
            table.new_designated,
            options.partition_by,
        ))?;
        let made = database.view().table_by_id(id).ok_or_else(vanished)?;
        let id_of = |column: &wire::ilp::NewColumn| {
            made.schema()
                .column(&column.name)
                .map(|made| made.id)
                .ok_or_else(|| storage::Error::Conflict(format!("column {} of {} is gone", column.name, table.name)))
        };
        (id, table.new_columns.iter().map(id_of).collect::<storage::Result<_>>()?)
    };
    let batch = table.into_batch(&new_ids).map_err(|e| storage::Error::Invalid(e.to_string()))?;
    Ok((id, batch))
}
