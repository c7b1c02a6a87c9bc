//! RESTORE TABLE: what was, back in the running server.

use storage::Moment;
use types::Seq;

use super::ast::{Past, RestoreTable, Statement};
use super::cursor::Cursor;
use super::lexer::TokenKind;
use super::snapshot::snapshot_name;
use super::source::table_name;
use crate::error::SqlError;
use crate::interval::parse_timestamp;

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
