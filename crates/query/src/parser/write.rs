//! INSERT, UPDATE, DELETE, and the statements that act on whole tables: DROP, TRUNCATE, RENAME, VACUUM, REINDEX.

use super::ast::{Delete, Expr, Ident, Insert, InsertSource, Query, Statement, Tuple, Update};
use super::create::batch_size;
use super::cursor::Cursor;
use super::expression::expression;
use super::lexer::TokenKind;
use super::select::{is_clause, is_reserved, name, query};
use super::source::{self, table_name};
use super::view;
use crate::error::SqlError;

/// Parses INSERT …, the first word taken; `with` are the CTEs before it.
pub fn insert(cursor: &mut Cursor, with: Vec<(Ident, Query)>) -> Result<Statement, SqlError> {
    let atomic = cursor.take_word("atomic");
    if !atomic && cursor.take_word("batch") {
        batch_size(cursor)?;
    }
    cursor.expect_word("into")?;
    let table = table_name(cursor)?;
    let columns = if cursor.take_sign("(") { column_list(cursor)? } else { Vec::new() };
    if cursor.take_word("values") {
        let tuples = tuples(cursor)?;
        return Ok(Statement::Insert(Insert { atomic, table, columns, source: InsertSource::Values(tuples) }));
    }
    if !cursor.is_word("select") {
        let expected = if columns.is_empty() { "'(' or 'select'" } else { "'select' or 'values'" };
        return Err(if cursor.at_end() {
            cursor.error(format!("{expected} expected"))
        } else {
            cursor.found("'select' or 'values'")
        });
    }
    let mut query = query(cursor)?;
    query.with.splice(0..0, with);
    Ok(Statement::Insert(Insert { atomic, table, columns, source: InsertSource::Query(Box::new(query)) }))
}

fn column_list(cursor: &mut Cursor) -> Result<Vec<Ident>, SqlError> {
    let mut list: Vec<Ident> = Vec::new();
    loop {
        let column = name(cursor)?;
        if list.iter().any(|c| c.name.to_lowercase() == column.name.to_lowercase()) {
            return Err(SqlError::new(column.position, format!("Duplicate column [name={}]", column.name)));
        }
        list.push(column);
        if cursor.take_sign(")") {
            return Ok(list);
        }
        if !cursor.take_sign(",") {
            return Err(cursor.error("',' expected"));
        }
    }
}

fn tuples(cursor: &mut Cursor) -> Result<Vec<Tuple>, SqlError> {
    let mut list = Vec::new();
    loop {
        cursor.expect_sign("(")?;
        let mut values = Vec::new();
        loop {
            if cursor.is_sign(")") {
                return Err(cursor.error("Expression expected"));
            }
            values.push(value(cursor)?);
            if cursor.is_sign(")") {
                break;
            }
            if !cursor.take_sign(",") {
                return Err(cursor.error("',' expected"));
            }
        }
        list.push(Tuple { values, close: cursor.next().position });
        if cursor.at_end() {
            return Ok(list);
        }
        if !cursor.take_sign(",") {
            return Err(cursor.error("',' expected"));
        }
    }
}

fn value(cursor: &mut Cursor) -> Result<Expr, SqlError> {
    if cursor.is_sign("(") && cursor.peek_at(1).is_word("select") {
        return Err(SqlError::new(cursor.peek_at(1).position, "query is not allowed here"));
    }
    expression(cursor)
}

/// Parses UPDATE …, the first word taken; `with` are the CTEs before it, which FROM may name.
pub fn update(cursor: &mut Cursor, with: &[(Ident, Query)]) -> Result<Statement, SqlError> {
    let table = table_name(cursor)?;
    let alias = alias(cursor)?;
    if !cursor.take_word("set") {
        return Err(cursor.error("SET expected"));
    }
    let mut set: Vec<(Ident, Expr)> = Vec::new();
    loop {
        let column = name(cursor)?;
        cursor.expect_sign("=")?;
        if set.iter().any(|(c, _)| c.name.to_lowercase() == column.name.to_lowercase()) {
            let message = format!("Duplicate column [name={}] in SET clause", column.name);
            return Err(SqlError::new(column.position, message));
        }
        if cursor.is_sign("(") && cursor.peek_at(1).is_word("select") {
            return Err(SqlError::new(cursor.peek_at(1).position, "query is not allowed here"));
        }
        set.push((column, expression(cursor)?));
        if !cursor.take_sign(",") {
            break;
        }
    }
    let mut from = if cursor.take_word("from") { Some(source::from(cursor)?) } else { None };
    if let Some(from) = &mut from {
        from.sources_mut().for_each(|source| source.see(with));
    }
    let filter = if cursor.take_word("where") { Some(expression(cursor)?) } else { None };
    if !cursor.at_end() {
        return Err(cursor.error("FROM, WHERE or EOF expected"));
    }
    Ok(Statement::Update(Update { table, alias, set, from, filter }))
}

/// Parses DELETE …, the first word taken.
pub fn delete(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    cursor.expect_word("from")?;
    let table = table_name(cursor)?;
    let alias = alias(cursor)?;
    let filter = if cursor.take_word("where") { Some(expression(cursor)?) } else { None };
    if !cursor.at_end() {
        return Err(cursor.error("WHERE or EOF expected"));
    }
    Ok(Statement::Delete(Delete { table, alias, filter }))
}

/// Parses the alias of the table that a statement changes.
fn alias(cursor: &mut Cursor) -> Result<Option<Ident>, SqlError> {
    cursor.take_word("as");
    let token = cursor.peek();
    match token.kind {
        TokenKind::Word if !token.is_word("set") && !is_reserved(&token.text) && !is_clause(&token.text) => {
            name(cursor).map(Some)
        }
        _ => Ok(None),
    }
}

/// Parses DROP …, the first word taken.
pub fn drop(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    if cursor.take_word("all") {
        cursor.take_word("tables");
        return Ok(Statement::DropAll);
    }
    if !cursor.take_word("table") {
        if cursor.is_word("view") {
            return view::drop(cursor);
        }
        if cursor.take_words(&["materialized", "view", "if", "exists"]) {
            // There is none.
            table_name(cursor)?;
            return Ok(Statement::Accepted);
        }
        if cursor.is_word("materialized") {
            return Err(cursor.error("materialized views are not supported yet"));
        }
        return Err(cursor.error("'table' or 'view' or 'materialized view' or 'all' expected"));
    }
    let if_exists = cursor.take_words(&["if", "exists"]);
    let names = vec![table_name(cursor)?];
    Ok(Statement::DropTable { names, if_exists })
}

/// Parses TRUNCATE …, the first word taken.
pub fn truncate(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    if !cursor.take_word("table") {
        return Err(cursor.error("TABLE expected"));
    }
    let if_exists = cursor.take_words(&["if", "exists"]);
    cursor.take_word("only");
    let mut names = vec![table_name(cursor)?];
    loop {
        if cursor.at_end() {
            break;
        }
        if cursor.take_sign(",") {
            names.push(table_name(cursor)?);
        } else if cursor.take_word("keep") {
            cursor.expect_word("symbol")?;
            cursor.expect_word("maps")?;
            break;
        } else {
            cursor.next();
            return Err(cursor.error("',' or 'keep' expected"));
        }
    }
    Ok(Statement::Truncate { names, if_exists })
}

/// Parses RENAME …, the first word taken.
pub fn rename(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    cursor.expect_word("table")?;
    let from = table_name(cursor)?;
    if !cursor.take_word("to") {
        return Err(cursor.error("'to' expected"));
    }
    let to = table_name(cursor)?;
    Ok(Statement::Rename { from, to })
}

/// Parses CHECK TABLE, the first word taken.
pub fn check(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    if !cursor.take_word("table") {
        return Err(cursor.error("'table' expected"));
    }
    let table = table_name(cursor)?;
    if !cursor.at_end() {
        return Err(cursor.error("end of line or ';' expected"));
    }
    Ok(Statement::Check(table))
}

/// Parses VACUUM and REINDEX, the first word taken.
pub fn maintain(cursor: &mut Cursor, reindex: bool) -> Result<Statement, SqlError> {
    if !(cursor.take_word("table") || !reindex && cursor.take_word("partitions")) {
        return Err(cursor.error("TABLE expected"));
    }
    let table = table_name(cursor)?;
    if reindex {
        while !cursor.at_end() && !cursor.are_words(&["lock", "exclusive"]) {
            cursor.next();
        }
        if !cursor.take_words(&["lock", "exclusive"]) {
            return Err(cursor.error("LOCK EXCLUSIVE expected"));
        }
    } else if !cursor.at_end() {
        return Err(cursor.error("end of line or ';' expected"));
    }
    Ok(Statement::Maintain(table))
}
