//! The rows of line protocol into storage: [`write`] for a request, [`write_stream`] for what a stream has brought.
//!
//! Reads and checks everything against one view of the database, then hands rows, missing columns and missing tables
//! over as one commit. When another client changed a table meanwhile it looks again and starts over, so a row always
//! goes to the table that has its name when it is acknowledged.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use storage::{Database, NewColumn, NewTable, ReadView, Target, Write};
use types::{Schema, TableName};
use wire::ilp::{LineError, Options, Stream, TableRows, Unit, read_request, read_stream};

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

/// One request, or what a stream has brought.
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

/// What became of the bytes of a stream.
#[derive(Debug)]
pub struct Streamed {
    /// Bytes that are done with.
    pub consumed: usize,
    /// Lines that were not taken.
    pub errors: Vec<LineError>,
    /// Reading stopped at an error.
    pub stopped: bool,
    /// The end of the last bad line has not come yet.
    pub in_bad_line: bool,
}

/// Stores the rows of a request: all of them or none. Blocks.
///
/// # Errors
/// The first bad line, or what storage refuses.
pub fn write(database: &Database, making: &Making, request: Request<'_>) -> Result<(), WriteError> {
    commit(database, making, request, |view| {
        let tables = read_request(request.body, request.unit, request.now_us, request.options, find(view));
        tables.map(|tables| (tables, ())).map_err(WriteError::Line)
    })
}

/// Stores the rows of the whole lines that a stream has brought, as one commit. Blocks.
///
/// # Errors
/// What storage refuses; bad lines are no error here.
pub fn write_stream(
    database: &Database,
    making: &Making,
    request: Request<'_>,
    stop_at_error: bool,
) -> Result<Streamed, WriteError> {
    commit(database, making, request, |view| {
        let Request { body, unit, now_us, options, .. } = request;
        let Stream { tables, consumed, errors, stopped, in_bad_line } =
            read_stream(body, unit, now_us, options, stop_at_error, find(view));
        Ok((tables, Streamed { consumed, errors, stopped, in_bad_line }))
    })
}

fn find(view: &ReadView) -> impl Fn(&str) -> Option<(TableName, std::sync::Arc<Schema>)> + '_ {
    |name| view.table(name).map(|table| (table.name().clone(), table.schema().clone()))
}

/// Commits what `read` makes of the bytes, reading them again when another client was quicker.
fn commit<T>(
    database: &Database,
    making: &Making,
    request: Request<'_>,
    read: impl Fn(&ReadView) -> Result<(Vec<TableRows>, T), WriteError>,
) -> Result<T, WriteError> {
    let mut turn = None;
    for attempt in 1.. {
        let view = database.view();
        let (tables, done) = read(&view)?;
        if tables.is_empty() {
            return Ok(done);
        }
        if turn.is_none() && tables.iter().any(|table| !table.new_columns.is_empty()) {
            // a panic while it was held left nothing half made
            turn = Some(making.0.lock().unwrap_or_else(PoisonError::into_inner));
            continue;
        }
        if request.gone.load(Ordering::Relaxed) {
            return Err(WriteError::Abandoned);
        }
        let writes = tables.into_iter().map(|table| prepare(&view, table, request.options)).collect();
        match Result::and_then(writes, |writes| database.write(writes)) {
            Ok(_) => return Ok(done),
            Err(error) if attempt < ATTEMPTS && is_change_by_others(&error) => {}
            Err(error) => return Err(WriteError::Storage(error)),
        }
    }
    unreachable!("the last attempt returns")
}

fn is_change_by_others(error: &storage::Error) -> bool {
    matches!(error, storage::Error::Exists(_) | storage::Error::Conflict(_) | storage::Error::NotFound(_))
}

/// Returns the rows of a table with what it lacks.
fn prepare(view: &ReadView, table: TableRows, options: Options) -> storage::Result<Write> {
    let new_columns = table.new_columns.iter().map(|column| NewColumn::new(&column.name, column.column_type));
    let target = match &table.schema {
        Some(schema) => {
            let name = table.name.clone();
            let vanished = || storage::Error::NotFound(format!("table does not exist [table={name}]"));
            let id = view.table(name.as_str()).ok_or_else(vanished)?.id();
            Target::Table { id, name, schema: schema.clone(), new_columns: new_columns.collect() }
        }
        None => Target::New(NewTable::new(
            table.name.clone(),
            new_columns.collect(),
            table.new_designated,
            options.partition_by,
        )),
    };
    let batch = table.into_batch(&target.new_ids()).map_err(|e| storage::Error::Invalid(e.to_string()))?;
    Ok(Write { target, batch })
}
