//! CREATE, ALTER, DROP and COMPILE VIEW; and the text of a view, read where it is named.
//!
//! A view is kept as the text between its parentheses, blanks and comments included. It is parsed here once for its errors,
//! and again each time that a query names it: then variables that it lets override have the values of that query.

use super::ast::{Declared, Ident, Query, Statement, ViewStatement, ViewText};
use super::cursor::Cursor;
use super::lexer::{self, TokenKind};
use super::select;
use super::source::table_name;
use crate::error::SqlError;

/// Parses what stands behind CREATE and, where it stands there, OR REPLACE; the word VIEW is next.
pub fn create(cursor: &mut Cursor, or_replace: bool) -> Result<Statement, SqlError> {
    cursor.expect_word("view")?;
    let if_not_exists = cursor.take_word("if");
    if if_not_exists && !(cursor.take_word("not") && cursor.take_word("exists")) {
        return Err(cursor.error("'if not exists' expected"));
    }
    if cursor.at_end() {
        return Err(cursor.error("view name or 'if' expected"));
    }
    let name = table_name(cursor)?;
    let text = text(cursor)?;
    Ok(Statement::View(ViewStatement::Create { name, if_not_exists, or_replace, text }))
}

/// Parses ALTER VIEW, the first word taken.
pub fn alter(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    let name = name(cursor)?;
    let text = text(cursor)?;
    Ok(Statement::View(ViewStatement::Alter { name, text }))
}

/// Parses DROP VIEW, the first word taken.
pub fn drop(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    cursor.expect_word("view")?;
    let if_exists = cursor.take_words(&["if", "exists"]);
    if cursor.at_end() {
        return Err(cursor.error("expected [IF EXISTS] view-name"));
    }
    Ok(Statement::View(ViewStatement::Drop { name: table_name(cursor)?, if_exists }))
}

/// Parses COMPILE VIEW, the first word taken.
pub fn compile(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    if !cursor.is_word("view") {
        return Err(cursor.error("'view' expected"));
    }
    name(cursor).map(ViewStatement::Compile).map(Statement::View)
}

fn name(cursor: &mut Cursor) -> Result<Ident, SqlError> {
    cursor.expect_word("view")?;
    if cursor.at_end() {
        return Err(cursor.error("view name expected"));
    }
    table_name(cursor)
}

/// Parses AS and the query, in parentheses or without.
fn text(cursor: &mut Cursor) -> Result<ViewText, SqlError> {
    cursor.expect_word("as")?;
    if cursor.at_end() {
        return Err(cursor.error("'(' or 'with' or 'select' expected"));
    }
    let before = cursor.last();
    let (mut start, mut position) = (before.end, before.position + 2);
    let inside = cursor.is_sign("(");
    if inside {
        let open = cursor.next();
        (start, position) = (open.end, open.position + 1);
    } else if let Some(blank) = cursor.sql[start..].chars().next().filter(|c| c.is_whitespace()) {
        start += blank.len_utf8();
        position += blank.len_utf16();
    }
    if cursor.is_sign(")") {
        return Err(cursor.error("table name expected"));
    }
    select::query(cursor)?;
    let text = cursor.sql[start..cursor.peek().start].to_owned();
    if lexer::tokenize(&text)?.iter().any(|token| token.kind == TokenKind::Param) {
        return Err(SqlError::new(position, "bind variable service is not provided"));
    }
    if inside && !cursor.take_sign(")") {
        return Err(if cursor.at_end() { cursor.error("')' expected") } else { cursor.unexpected() });
    }
    Ok(ViewText { text, position })
}

/// Returns the query of a view. A variable that its own DECLARE lets override has the value that `outside` gives to its name;
/// of two there the first counts.
///
/// # Errors
/// A variable of that name that may not be overridden, where the query says it.
pub fn query_of(text: &str, outside: Vec<Declared>) -> Result<Query, SqlError> {
    let tokens = lexer::tokenize(text)?;
    let mut cursor = Cursor::new(text, &tokens);
    cursor.override_with(outside);
    let query = select::query(&mut cursor)?;
    if cursor.peek().kind == TokenKind::End { Ok(query) } else { Err(cursor.unexpected()) }
}
