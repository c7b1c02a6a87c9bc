//! CREATE TABLE with columns or AS SELECT.
//!
//! Builds trees and checks what the peer's parser checks; names already taken are found by the session.

use super::ast::{ColumnDef, CreateTable, Ident, Statement, TableSource};
use super::cursor::Cursor;
use super::expression::type_name;
use super::lexer::TokenKind;
use super::select::{is_reserved, keyword_error, name, query};
use super::source::table_name;
use crate::error::SqlError;

/// Parses CREATE …, the first word taken.
pub fn create(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    if cursor.take_word("atomic") {
        // the only mode there is
    } else if cursor.take_word("batch") {
        batch_size(cursor)?;
    }
    if !cursor.take_word("table") {
        for kind in ["view", "materialized"] {
            if cursor.is_word(kind) {
                return Err(cursor.error("views are not supported yet"));
            }
        }
        let expected = match cursor.at_end() {
            true => "'atomic' or 'table' or 'batch' or 'materialized' or 'view' or 'or replace' expected",
            false => "'atomic' or 'table' or 'batch' expected",
        };
        return Err(cursor.error(expected));
    }
    let if_not_exists = cursor.take_words(&["if", "not", "exists"]);
    let name = table_name(cursor)?;
    let (source, mut indexed) = source(cursor)?;
    while cursor.is_sign(",") && (cursor.peek_at(1).is_word("index") || cursor.peek_at(1).is_word("cast")) {
        cursor.next();
        indexed.push(index_clause(cursor)?);
    }
    let mut table =
        CreateTable { name, if_not_exists, source, timestamp: None, partition_by: None, wal: None, indexed };
    options(cursor, &mut table)?;
    Ok(Statement::CreateTable(table))
}

/// Parses `n [o3MaxLag duration]` behind BATCH: without effect, since every insert is one commit.
pub fn batch_size(cursor: &mut Cursor) -> Result<(), SqlError> {
    if cursor.peek().kind != TokenKind::Number {
        return Err(cursor.error("positive integer literal expected as batch size"));
    }
    cursor.next();
    if cursor.take_word("o3MaxLag") {
        cursor.next();
    }
    Ok(())
}

fn source(cursor: &mut Cursor) -> Result<(TableSource, Vec<Ident>), SqlError> {
    if cursor.take_word("as") {
        cursor.expect_sign("(")?;
        let query = query(cursor)?;
        if !cursor.take_sign(")") {
            return Err(if cursor.at_end() { cursor.error("')' expected") } else { cursor.unexpected() });
        }
        let (casts, indexed) = casts(cursor)?;
        return Ok((TableSource::Query { query, casts }, indexed));
    }
    if !cursor.take_sign("(") {
        return Err(cursor.error("'(' or 'as' expected"));
    }
    if cursor.is_word("like") && cursor.peek_at(2).is_sign(")") {
        return Err(cursor.error("CREATE TABLE … (LIKE …) is not supported yet"));
    }
    let mut columns: Vec<ColumnDef> = Vec::new();
    loop {
        let column = column(cursor)?;
        check_column(&column, &columns)?;
        columns.push(column);
        if cursor.take_sign(")") {
            return Ok((TableSource::Columns(columns), Vec::new()));
        }
        if !cursor.take_sign(",") {
            return Err(cursor.found("',' or ')'"));
        }
    }
}

/// Parses the `, CAST(x AS type)` and `, INDEX(x)` behind a query.
fn casts(cursor: &mut Cursor) -> Result<(Vec<ColumnDef>, Vec<Ident>), SqlError> {
    let (mut casts, mut indexed) = (Vec::new(), Vec::new());
    while cursor.take_sign(",") {
        if cursor.is_word("index") {
            indexed.push(index_clause(cursor)?);
            continue;
        }
        cursor.expect_word("cast")?;
        cursor.expect_sign("(")?;
        let name = name(cursor)?;
        cursor.expect_word("as")?;
        let (type_text, position) = type_name(cursor)?;
        let indexed = symbol_options(cursor)?;
        cursor.expect_sign(")")?;
        casts.push(ColumnDef { name, type_name: Ident { name: type_text, position }, indexed });
    }
    Ok((casts, indexed))
}

/// Parses a column's name, type and symbol options.
pub fn column(cursor: &mut Cursor) -> Result<ColumnDef, SqlError> {
    let token = cursor.peek();
    if token.kind == TokenKind::Word && is_reserved(&token.text) {
        return Err(keyword_error(cursor));
    }
    let name = name(cursor)?;
    let (type_text, position) = type_name(cursor)?;
    let indexed = symbol_options(cursor)?;
    if cursor.is_word("not") && cursor.peek_at(1).is_word("null") {
        cursor.next();
        cursor.next();
    } else {
        cursor.take_word("null");
    }
    if cursor.is_word("parquet") {
        return Err(cursor.error("PARQUET(…) of a column is not supported yet"));
    }
    Ok(ColumnDef { name, type_name: Ident { name: type_text, position }, indexed })
}

/// Parses `[CAPACITY n] [CACHE|NOCACHE] [INDEX [CAPACITY n]]`; returns whether INDEX stood there.
fn symbol_options(cursor: &mut Cursor) -> Result<bool, SqlError> {
    if !cursor.last().is_word("symbol") {
        return Ok(false);
    }
    capacity(cursor)?;
    let _cache = cursor.take_word("cache") || cursor.take_word("nocache");
    let indexed = cursor.take_word("index");
    if indexed {
        capacity(cursor)?;
    }
    Ok(indexed)
}

fn capacity(cursor: &mut Cursor) -> Result<(), SqlError> {
    if cursor.take_word("capacity") {
        if cursor.peek().kind != TokenKind::Number {
            return Err(cursor.error("numeric capacity expected"));
        }
        let token = cursor.next();
        if token.text.parse::<u32>().is_err() {
            return Err(SqlError::new(token.position, "bad integer"));
        }
    }
    Ok(())
}

fn check_column(column: &ColumnDef, earlier: &[ColumnDef]) -> Result<(), SqlError> {
    let folded = column.name.name.to_lowercase();
    if earlier.iter().any(|c| c.name.name.to_lowercase() == folded) {
        let message = format!("Duplicate column [name={}]", column.name.name);
        return Err(SqlError::new(column.name.position, message));
    }
    check_column_name(&column.name)
}

/// Refuses characters that a column name cannot have.
pub fn check_column_name(name: &Ident) -> Result<(), SqlError> {
    let bad = |c: char| {
        matches!(c, '?' | '.' | ',' | '\'' | '"' | '\\' | '/' | ':' | ')' | '(' | '+' | '-' | '*' | '%' | '~')
            || (c as u32) < 0x10
            || c == '\u{7f}'
            || c == '\u{feff}'
    };
    if name.name.is_empty() || name.name.chars().any(bad) {
        return Err(SqlError::new(name.position, " new column name contains invalid characters"));
    }
    Ok(())
}

fn index_clause(cursor: &mut Cursor) -> Result<Ident, SqlError> {
    cursor.expect_word("index")?;
    cursor.expect_sign("(")?;
    let name = name(cursor)?;
    capacity(cursor)?;
    cursor.expect_sign(")")?;
    Ok(name)
}

/// Parses TIMESTAMP(), PARTITION BY, TTL, WAL, WITH, DEDUP.
fn options(cursor: &mut Cursor, table: &mut CreateTable) -> Result<(), SqlError> {
    if cursor.take_word("timestamp") {
        cursor.expect_sign("(")?;
        table.timestamp = Some(name(cursor)?);
        cursor.expect_sign(")")?;
    }
    if cursor.take_word("partition") {
        cursor.expect_word("by")?;
        let is_query = matches!(table.source, TableSource::Query { .. });
        if table.timestamp.is_none() && !is_query {
            return Err(cursor.error("partitioning is possible only on tables with designated timestamps"));
        }
        let unit = cursor.peek();
        let known = ["none", "hour", "day", "week", "month", "year", "h", "d", "w", "m", "y"];
        if !known.iter().any(|k| unit.is_word(k)) {
            return Err(cursor.error("'NONE', 'HOUR', 'DAY', 'WEEK', 'MONTH' or 'YEAR' expected"));
        }
        cursor.next();
        table.partition_by = Some(Ident { name: unit.text.clone(), position: unit.position });
        partition_options(cursor, table)?;
    }
    with_parameters(cursor)?;
    if cursor.take_sign(",") {
        cursor.expect_words_in_volume()?;
    }
    if cursor.is_word("in") {
        cursor.expect_words_in_volume()?;
    }
    if cursor.is_word("dedup") {
        return Err(cursor.error("DEDUP UPSERT KEYS is not supported yet"));
    }
    Ok(())
}

fn partition_options(cursor: &mut Cursor, table: &mut CreateTable) -> Result<(), SqlError> {
    if cursor.is_word("ttl") {
        return Err(cursor.error("TTL is not supported yet"));
    }
    if cursor.take_word("bypass") {
        cursor.expect_word("wal")?;
        table.wal = Some(false);
    } else if cursor.take_word("wal") {
        table.wal = Some(true);
    }
    Ok(())
}

/// Parses `WITH maxUncommittedRows=n, o3MaxLag=d`: checked, without effect.
fn with_parameters(cursor: &mut Cursor) -> Result<(), SqlError> {
    if !cursor.take_word("with") {
        return Ok(());
    }
    loop {
        parameter(cursor)?;
        let more = cursor.is_sign(",") && cursor.peek_at(2).is_sign("=");
        if !more {
            return Ok(());
        }
        cursor.next();
    }
}

/// Parses `name = value` of the two table parameters.
pub fn parameter(cursor: &mut Cursor) -> Result<(), SqlError> {
    let token = cursor.peek();
    if !token.is_word("maxUncommittedRows") && !token.is_word("o3MaxLag") {
        return Err(cursor.error(format!("unknown parameter '{}'", token.text)));
    }
    cursor.next();
    cursor.expect_sign("=")?;
    cursor.next();
    Ok(())
}

impl Cursor<'_> {
    /// Refuses IN VOLUME: no volumes are configured.
    fn expect_words_in_volume(&mut self) -> Result<(), SqlError> {
        self.expect_word("in")?;
        self.expect_word("volume")?;
        Err(self.error(format!("volume alias is not allowed [alias={}]", self.peek().text)))
    }
}
