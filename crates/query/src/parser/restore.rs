//! RESTORE TABLE: what was, back in the running server.

use super::ast::{Past, RestoreTable, Statement};
use super::cursor::Cursor;
use super::snapshot::snapshot_name;
use super::source::table_name;
use crate::error::SqlError;

/// Parses RESTORE …, the first word taken.
pub fn restore(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    if !cursor.take_word("table") {
        return Err(cursor.error("'table' expected"));
    }
    let table = table_name(cursor)?;
    let as_name = if cursor.take_word("as") { Some(table_name(cursor)?) } else { None };
    Ok(Statement::RestoreTable(RestoreTable { table, as_name, past: past(cursor)? }))
}

fn past(cursor: &mut Cursor) -> Result<Past, SqlError> {
    if cursor.take_words(&["from", "snapshot"]) {
        return snapshot_name(cursor).map(Past::Snapshot);
    }
    Err(cursor.error("'from snapshot' expected"))
}
