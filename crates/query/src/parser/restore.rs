//! RESTORE and UNDROP: what was, back in the running server. PURGE: what was dropped, gone for good.

use storage::Moment;
use types::{Seq, TableId};

use super::ast::{Past, Purge, RestoreDatabase, RestoreTable, Statement, Undrop};
use super::cursor::Cursor;
use super::lexer::TokenKind;
use super::snapshot::snapshot_name;
use super::source::table_name;
use crate::error::SqlError;
use crate::interval::parse_timestamp;

/// Parses RESTORE …, the first word taken.
pub fn restore(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    if cursor.take_word("database") {
        return database(cursor);
    }
    if !cursor.take_word("table") {
        return Err(cursor.error("'table' or 'database' expected"));
    }
    let table = table_name(cursor)?;
    let as_name = if cursor.take_word("as") { Some(table_name(cursor)?) } else { None };
    Ok(Statement::RestoreTable(RestoreTable { table, as_name, past: past(cursor)? }))
}

fn database(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    if !cursor.take_words(&["from", "snapshot"]) {
        return Err(cursor.error("'from snapshot' expected"));
    }
    let snapshot = snapshot_name(cursor)?;
    let end = cursor.peek().position;
    let confirmed = if cursor.take_word("confirm") { Some(snapshot_name(cursor)?) } else { None };
    Ok(Statement::RestoreDatabase(RestoreDatabase { snapshot, confirmed, end }))
}

/// Parses UNDROP …, the first word taken.
pub fn undrop(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    cursor.expect_word("table")?;
    let table = table_name(cursor)?;
    let id = if cursor.take_word("id") { Some(table_id(cursor)?) } else { None };
    let as_name = if cursor.take_word("as") { Some(table_name(cursor)?) } else { None };
    Ok(Statement::Undrop(Undrop { table, id, as_name }))
}

/// Parses PURGE …, the first word taken.
pub fn purge(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    cursor.expect_word("table")?;
    let table = table_name(cursor)?;
    let id = if cursor.take_word("id") { Some(table_id(cursor)?) } else { None };
    Ok(Statement::Purge(Purge { table, id }))
}

fn table_id(cursor: &mut Cursor) -> Result<TableId, SqlError> {
    let token = cursor.peek();
    let id = token.text.parse().ok().filter(|_| token.kind == TokenKind::Number);
    let id = id.ok_or_else(|| cursor.error("the table's id expected, as dropped_tables() shows it"))?;
    cursor.next();
    Ok(TableId(id))
}

fn past(cursor: &mut Cursor) -> Result<Past, SqlError> {
    if cursor.take_words(&["from", "snapshot"]) {
        return snapshot_name(cursor).map(Past::Snapshot);
    }
    if cursor.take_words(&["to", "seq"]) {
        let token = cursor.peek();
        let seq = (token.kind == TokenKind::Number).then(|| token.text.parse().ok()).flatten();
        let Some(seq) = seq else {
            return Err(cursor.error("a seq expected: a whole number, as SHOW RESTORE WINDOW gives them"));
        };
        cursor.next();
        return Ok(Past::Moment(Moment::Seq(Seq(seq)), token.position));
    }
    if cursor.take_words(&["to", "timestamp"]) {
        let token = cursor.peek();
        let time_us = (token.kind == TokenKind::Text).then(|| parse_timestamp(&token.text)).flatten();
        let Some(time_us) = time_us else {
            return Err(cursor.error("a timestamp in quotes expected, such as '2026-03-01T09:59:00Z'"));
        };
        cursor.next();
        return Ok(Past::Moment(Moment::Time(time_us), token.position));
    }
    Err(cursor.error("'from snapshot', 'to timestamp' or 'to seq' expected"))
}
