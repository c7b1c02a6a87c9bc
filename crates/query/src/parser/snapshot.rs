//! SNAPSHOT and CHECKPOINT: PREPARE, COMPLETE, KEEP, RENEW.

use super::ast::{Ident, Lease, Snapshot, SnapshotStep, Spelling, Statement};
use super::cursor::Cursor;
use super::lexer::TokenKind;
use crate::error::SqlError;

/// Longest lease: a hundred years.
const MAX_LEASE_US: i64 = 100 * 366 * 86_400 * 1_000_000;

/// Parses what stands behind SNAPSHOT or CHECKPOINT. Only SNAPSHOT has names, leases and KEEP.
pub fn snapshot(cursor: &mut Cursor, spelled_snapshot: bool) -> Result<Statement, SqlError> {
    if !spelled_snapshot {
        let step = if cursor.take_word("create") {
            SnapshotStep::Prepare { lease: None, keep: false, sync: false }
        } else if cursor.take_word("release") {
            SnapshotStep::Complete
        } else {
            return Err(cursor.error("'create' or 'release' expected"));
        };
        return Ok(Statement::Snapshot(Snapshot { name: None, spelling: Spelling::Checkpoint, step }));
    }
    let (name, step) = if cursor.take_word("prepare") {
        let name = optional_name(cursor)?;
        let lease = if cursor.take_word("lease") { Some(lease(cursor)?) } else { None };
        let keep = cursor.take_word("keep");
        (name, SnapshotStep::Prepare { lease, keep, sync: cursor.take_word("sync") })
    } else if cursor.take_word("complete") {
        (optional_name(cursor)?, SnapshotStep::Complete)
    } else if cursor.take_word("keep") {
        let name = snapshot_name(cursor)?;
        let time = if cursor.take_word("for") { Some(lease(cursor)?) } else { None };
        (Some(name), SnapshotStep::Keep(time))
    } else if cursor.take_word("renew") {
        let name = snapshot_name(cursor)?;
        cursor.expect_word("lease")?;
        (Some(name), SnapshotStep::Renew(lease(cursor)?))
    } else {
        return Err(cursor.error("'prepare', 'complete', 'keep' or 'renew' expected"));
    };
    Ok(Statement::Snapshot(Snapshot { name, spelling: Spelling::Snapshot, step }))
}

fn optional_name(cursor: &mut Cursor) -> Result<Option<Ident>, SqlError> {
    if cursor.peek().kind == TokenKind::Text { snapshot_name(cursor).map(Some) } else { Ok(None) }
}

/// Parses a snapshot's name in quotes.
pub fn snapshot_name(cursor: &mut Cursor) -> Result<Ident, SqlError> {
    let token = cursor.peek();
    if token.kind != TokenKind::Text {
        return Err(cursor.error("the snapshot's name in quotes expected"));
    }
    storage::check_name(&token.text).map_err(|e| SqlError::new(token.position, e.to_string()))?;
    cursor.next();
    Ok(Ident { name: token.text.clone(), position: token.position })
}

/// Parses `NONE` or a time in quotes, such as '2h'.
fn lease(cursor: &mut Cursor) -> Result<Lease, SqlError> {
    if cursor.take_word("none") {
        return Ok(Lease { us: None });
    }
    let token = cursor.peek();
    let us = (token.kind == TokenKind::Text).then(|| lease_us(&token.text)).flatten();
    let Some(us) = us else {
        return Err(cursor
            .error("a time in quotes expected: a whole number and s, m, h, d or w, such as '2h', of 36600d at most"));
    };
    cursor.next();
    Ok(Lease { us: Some(us) })
}

fn lease_us(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let seconds = match unit.to_ascii_lowercase() {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    let count: i64 = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()?;
    count.checked_mul(seconds * 1_000_000).filter(|us| (1..=MAX_LEASE_US).contains(us))
}
