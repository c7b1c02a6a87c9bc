//! CREATE TABLE with columns, AS SELECT, or LIKE another.
//!
//! Builds trees and checks what the peer's parser checks; names already taken are found by the session.

use types::SymbolOptions;

use super::ast::{ColumnDef, CreateTable, Ident, IndexClause, Statement, TableParameters, TableSource, Unkept};
use super::cursor::Cursor;
use super::expression::type_name;
use super::lexer::TokenKind;
use super::postgres_ddl;
use super::select::{is_reserved, keyword_error, name, query};
use super::source::table_name;
use super::table_options::{Parsed, parameter, ttl, upsert_keys};
use super::view;
use crate::error::SqlError;

const MAX_SYMBOL_CAPACITY: u32 = 33_554_432;

/// Parses CREATE …, the first word taken.
pub fn create(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    // Atomic is the only mode there is.
    let atomic = cursor.take_word("atomic");
    let hinted = atomic || cursor.take_word("batch");
    if hinted && !atomic {
        batch_size(cursor)?;
    }
    if !hinted && postgres_ddl::begins_index(cursor) {
        return postgres_ddl::create_index(cursor);
    }
    if !cursor.take_word("table") {
        if !hinted && cursor.is_word("view") {
            return view::create(cursor, false);
        }
        if !hinted && cursor.take_word("or") {
            cursor.expect_word("replace")?;
            return view::create(cursor, true);
        }
        if cursor.is_word("materialized") {
            return Err(cursor.error("materialized views are not supported yet"));
        }
        let expected = match cursor.at_end() {
            true => "'atomic' or 'table' or 'batch' or 'materialized' or 'view' or 'or replace' expected",
            false => postgres_ddl::NO_TABLE,
        };
        return Err(cursor.error(expected));
    }
    let if_not_exists = cursor.take_words(&["if", "not", "exists"]);
    let name = table_name(cursor)?;
    let mut unkept = Vec::new();
    let (source, mut indexed) = source(cursor, &mut unkept)?;
    if hinted && !matches!(source, TableSource::Query { .. }) {
        let message = "'atomic' or 'batch' keywords can only be used in CREATE ... AS SELECT statements.";
        return Err(SqlError::new(cursor.last().position, message));
    }
    while cursor.is_sign(",") && (cursor.peek_at(1).is_word("index") || cursor.peek_at(1).is_word("cast")) {
        cursor.next();
        indexed.push(index_clause(cursor)?);
    }
    let mut table = CreateTable {
        name,
        if_not_exists,
        source,
        timestamp: None,
        partition_by: None,
        wal: None,
        indexed,
        ttl: None,
        parameters: TableParameters::default(),
        dedup: None,
        unkept,
    };
    if !matches!(table.source, TableSource::Like(_)) {
        options(cursor, &mut table)?;
    }
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

fn source(cursor: &mut Cursor, unkept: &mut Vec<Unkept>) -> Result<(TableSource, Vec<IndexClause>), SqlError> {
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
    if cursor.take_word("like") {
        let other = table_name(cursor)?;
        cursor.expect_sign(")")?;
        return Ok((TableSource::Like(other), Vec::new()));
    }
    let mut columns: Vec<ColumnDef> = Vec::new();
    loop {
        if columns.is_empty() || !postgres_ddl::table_rule(cursor, unkept)? {
            let column = column(cursor)?;
            check_column(&column, &columns)?;
            columns.push(column);
            postgres_ddl::column_rules(cursor, unkept)?;
        }
        if cursor.take_sign(")") {
            return Ok((TableSource::Columns(columns), Vec::new()));
        }
        if !cursor.take_sign(",") {
            return Err(cursor.found("',' or ')'"));
        }
    }
}

/// Parses the `, CAST(x AS type)` and `, INDEX(x)` behind a query.
fn casts(cursor: &mut Cursor) -> Result<(Vec<ColumnDef>, Vec<IndexClause>), SqlError> {
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
        let (indexed, symbol) = symbol_options(cursor)?;
        cursor.expect_sign(")")?;
        casts.push(ColumnDef { name, type_name: Ident { name: type_text, position }, indexed, symbol });
    }
    Ok((casts, indexed))
}

/// Parses a column's name, type and symbol options.
pub fn column(cursor: &mut Cursor) -> Result<ColumnDef, SqlError> {
    let token = cursor.peek();
    if token.kind == TokenKind::Word && is_reserved(&token.text) {
        return Err(keyword_error(cursor));
    }
    let name = match token.kind {
        // the peer takes either quotes here
        TokenKind::Text => {
            let name = Ident { name: token.text.clone(), position: token.position };
            cursor.next();
            name
        }
        _ => name(cursor)?,
    };
    definition(cursor, name)
}

/// Parses the type of a column and what may follow it.
pub fn definition(cursor: &mut Cursor, name: Ident) -> Result<ColumnDef, SqlError> {
    let (type_text, position) = postgres_ddl::column_type(cursor)?;
    let (indexed, symbol) = symbol_options(cursor)?;
    if cursor.is_word("not") && cursor.peek_at(1).is_word("null") {
        cursor.next();
        cursor.next();
    } else {
        cursor.take_word("null");
    }
    if cursor.is_word("parquet") {
        return Err(cursor.error("PARQUET(…) of a column is not supported yet"));
    }
    Ok(ColumnDef { name, type_name: Ident { name: type_text, position }, indexed, symbol })
}

/// Parses `[CAPACITY n] [CACHE|NOCACHE] [INDEX [CAPACITY n]]`; returns whether INDEX stood there, and the rest.
fn symbol_options(cursor: &mut Cursor) -> Result<(bool, SymbolOptions), SqlError> {
    let mut options = SymbolOptions::default();
    if !cursor.last().is_word("symbol") {
        return Ok((false, options));
    }
    if cursor.take_word("capacity") {
        options.capacity = Some(symbol_capacity(cursor)?);
    }
    options.nocache = !cursor.take_word("cache") && cursor.take_word("nocache");
    let indexed = cursor.take_word("index");
    if indexed {
        options.index_capacity = index_capacity(cursor)?;
    }
    Ok((indexed, options))
}

/// Parses the number behind SYMBOL CAPACITY, rounded up to a power of two.
pub fn symbol_capacity(cursor: &mut Cursor) -> Result<u32, SqlError> {
    let token = cursor.peek();
    let number = capacity(cursor)?;
    if number < 2 {
        return Err(SqlError::new(token.position, "min symbol capacity is 2"));
    }
    if number > MAX_SYMBOL_CAPACITY {
        return Err(cursor.error(format!("max cached symbol capacity is {MAX_SYMBOL_CAPACITY}")));
    }
    Ok(number.next_power_of_two())
}

/// Parses `[CAPACITY n]` behind INDEX, rounded up to a power of two.
pub fn index_capacity(cursor: &mut Cursor) -> Result<Option<u32>, SqlError> {
    if !cursor.take_word("capacity") {
        return Ok(None);
    }
    let token = cursor.peek();
    match capacity(cursor)? {
        0 | 1 => Err(SqlError::new(token.position, "min index block capacity is 2")),
        number => Ok(Some(number.min(1 << 30).next_power_of_two())),
    }
}

fn capacity(cursor: &mut Cursor) -> Result<u32, SqlError> {
    let token = cursor.peek();
    match token.text.replace('_', "").parse() {
        Ok(number) if token.kind == TokenKind::Number => {
            cursor.next();
            Ok(number)
        }
        _ if cursor.at_end() => Err(cursor.error("bad integer")),
        _ => {
            let raw = cursor.raw();
            Err(cursor.error(format!("found [tok='{raw}', len={}] bad integer", raw.encode_utf16().count())))
        }
    }
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
    match is_column_name(&name.name) {
        true => Ok(()),
        false => Err(SqlError::new(name.position, " new column name contains invalid characters")),
    }
}

/// Returns whether a column may have that name.
pub fn is_column_name(name: &str) -> bool {
    let bad = |c: char| {
        matches!(c, '?' | '.' | ',' | '\'' | '"' | '\\' | '/' | ':' | ')' | '(' | '+' | '-' | '*' | '%' | '~')
            || (c as u32) < 0x10
            || c == '\u{7f}'
            || c == '\u{feff}'
    };
    !name.is_empty() && !name.chars().any(bad)
}

fn index_clause(cursor: &mut Cursor) -> Result<IndexClause, SqlError> {
    cursor.expect_word("index")?;
    cursor.expect_sign("(")?;
    let column = name(cursor)?;
    let capacity = index_capacity(cursor)?;
    cursor.expect_sign(")")?;
    Ok(IndexClause { column, capacity })
}

/// Parses TIMESTAMP(), PARTITION BY, TTL, WAL, WITH, IN VOLUME, DEDUP, in this order.
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
    with_parameters(cursor, &mut table.parameters)?;
    if cursor.take_sign(",") {
        cursor.expect_words_in_volume()?;
    }
    if cursor.is_word("in") {
        cursor.expect_words_in_volume()?;
    }
    if cursor.take_word("dedup") {
        if !table.is_wal() {
            return Err(cursor.error("deduplication is possible only on WAL tables"));
        }
        table.dedup = Some(upsert_keys(cursor)?);
    }
    Ok(())
}

fn partition_options(cursor: &mut Cursor, table: &mut CreateTable) -> Result<(), SqlError> {
    if cursor.take_word("ttl") {
        let ttl = ttl(cursor)?;
        if table.partition_by.as_ref().is_some_and(|unit| unit.name.eq_ignore_ascii_case("none")) {
            return Err(SqlError::new(ttl.position, "cannot set TTL on a non-partitioned table"));
        }
        table.ttl = Some(ttl);
    }
    if cursor.take_word("bypass") {
        cursor.expect_word("wal")?;
        table.wal = Some(false);
    } else if cursor.take_word("wal") {
        table.wal = Some(true);
    }
    Ok(())
}

/// Parses `WITH maxUncommittedRows=n, o3MaxLag=d`.
fn with_parameters(cursor: &mut Cursor, parameters: &mut TableParameters) -> Result<(), SqlError> {
    if !cursor.take_word("with") {
        return Ok(());
    }
    loop {
        match parameter(cursor, parameters)? {
            Parsed::Known => {}
            Parsed::Unknown(name) => {
                return Err(cursor.error(format!(" unrecognized {name} after WITH")));
            }
            Parsed::BadRows { value, .. } => {
                return Err(cursor.error(format!(" could not parse maxUncommittedRows value \"{value}\"")));
            }
            Parsed::BadLag { value, .. } => {
                let position = cursor.peek().position + value.len();
                return Err(SqlError::new(position, format!("expected interval qualifier in {value}")));
            }
        }
        let more = cursor.is_sign(",") && cursor.peek_at(2).is_sign("=");
        if !more {
            return Ok(());
        }
        cursor.next();
    }
}

impl Cursor<'_> {
    /// Refuses IN VOLUME: no volumes are configured.
    fn expect_words_in_volume(&mut self) -> Result<(), SqlError> {
        self.expect_word("in")?;
        self.expect_word("volume")?;
        Err(self.error(format!("volume alias is not allowed [alias={}]", self.peek().text)))
    }
}

impl CreateTable {
    /// Returns whether the table is a WAL one: by default those with partitions are.
    pub fn is_wal(&self) -> bool {
        let partitioned = self.partition_by.as_ref().is_some_and(|unit| !unit.name.eq_ignore_ascii_case("none"));
        self.wal.unwrap_or(partitioned)
    }
}
