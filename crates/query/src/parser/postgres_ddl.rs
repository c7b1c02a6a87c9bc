//! What PostgreSQL's tools write into CREATE TABLE beyond names and types: sizes, keys, checks, defaults, CREATE INDEX.
//!
//! A rule that would only refuse rows is read and remembered, so that a client of PostgreSQL's protocol is told that nothing keeps
//! to it, and any other one is refused as the reference refuses it. What would change the values of rows is refused here.

use super::ast::{CreateIndex, Ident, Statement, Unkept};
use super::cursor::Cursor;
use super::expression::type_name;
use super::lexer::TokenKind;
use super::select::name;
use super::source::table_name;
use crate::error::SqlError;

/// Behind CREATE.
pub const NO_TABLE: &str = "'atomic' or 'table' or 'batch' expected";

/// Parses the type of a column, with the size that PostgreSQL gives texts and moments: texts of any length are stored.
pub fn column_type(cursor: &mut Cursor) -> Result<(String, usize), SqlError> {
    let token = cursor.peek();
    let sized = |name: &str| token.is_word(name) && cursor.peek_at(1).is_sign("(");
    if sized("timestamp") || sized("timestamptz") {
        cursor.next();
        size(cursor)?;
        let zone: [&[&str]; 2] = [&["with", "time", "zone"], &["without", "time", "zone"]];
        let _ = zone.iter().any(|words| cursor.take_words(words));
        return Ok(("timestamp".to_owned(), token.position));
    }
    if sized("char") || sized("character") {
        cursor.next();
        let name = if size(cursor)? == 1 { "char" } else { "varchar" };
        return Ok((name.to_owned(), token.position));
    }
    let (name, position) = type_name(cursor)?;
    if cursor.is_sign("(") && name.eq_ignore_ascii_case("varchar") {
        size(cursor)?;
    }
    Ok((name, position))
}

/// Takes `(n)`.
fn size(cursor: &mut Cursor) -> Result<u32, SqlError> {
    cursor.expect_sign("(")?;
    let token = cursor.next();
    let size = token.text.parse().ok().filter(|_| token.kind == TokenKind::Number);
    let size = size.ok_or_else(|| SqlError::new(token.position, "a size in whole digits expected"))?;
    cursor.expect_sign(")")?;
    Ok(size)
}

/// Takes the rules behind a column's type; those that nothing keeps to go into `unkept`.
pub fn column_rules(cursor: &mut Cursor, unkept: &mut Vec<Unkept>) -> Result<(), SqlError> {
    loop {
        let refusal = cursor.found("',' or ')'");
        let mut unkept = |rule| unkept.push(Unkept { rule, refusal: refusal.clone() });
        if cursor.is_word("constraint") {
            cursor.next();
            name(cursor)?;
        }
        if cursor.take_words(&["not", "null"]) || cursor.take_word("null") || cursor.take_words(&["default", "null"]) {
            continue;
        }
        if cursor.take_words(&["primary", "key"]) {
            unkept("PRIMARY KEY");
        } else if cursor.take_word("unique") {
            unkept("UNIQUE");
        } else if cursor.is_word("check") && cursor.peek_at(1).is_sign("(") {
            cursor.next();
            bracketed(cursor)?;
            unkept("CHECK");
        } else if cursor.take_word("references") {
            referenced(cursor)?;
            unkept("FOREIGN KEY");
        } else if cursor.is_word("default") {
            return Err(cursor.error("a column has no DEFAULT here: give its value in each INSERT"));
        } else if cursor.is_word("generated") {
            return Err(cursor.error("values are not GENERATED here: give them in each INSERT"));
        } else {
            return Ok(());
        }
    }
}

/// Takes a rule of the whole table, if one comes next.
pub fn table_rule(cursor: &mut Cursor, unkept: &mut Vec<Unkept>) -> Result<bool, SqlError> {
    let begins = |cursor: &Cursor, at: usize| {
        let (first, second) = (cursor.peek_at(at), cursor.peek_at(at + 1));
        (first.is_word("primary") || first.is_word("foreign")) && second.is_word("key")
            || (first.is_word("unique") || first.is_word("check")) && second.is_sign("(")
    };
    let refusal = unsupported_type(cursor);
    if cursor.is_word("constraint") && begins(cursor, 2) {
        cursor.next();
        name(cursor)?;
    } else if !begins(cursor, 0) {
        return Ok(false);
    }
    let first = cursor.next();
    cursor.take_word("key");
    bracketed(cursor)?;
    let rule = match first.text.to_ascii_lowercase().as_str() {
        "primary" => "PRIMARY KEY",
        "unique" => "UNIQUE",
        "check" => "CHECK",
        _ => {
            cursor.expect_word("references")?;
            referenced(cursor)?;
            "FOREIGN KEY"
        }
    };
    unkept.push(Unkept { rule, refusal });
    Ok(true)
}

/// A rule read as a column: its second word is the type.
fn unsupported_type(cursor: &Cursor) -> SqlError {
    let found = cursor.peek_at(1);
    SqlError::new(found.position, format!("unsupported column type: {}", found.text))
}

/// Takes `table (columns) ON DELETE … DEFERRABLE …`.
fn referenced(cursor: &mut Cursor) -> Result<(), SqlError> {
    table_name(cursor)?;
    if cursor.is_sign("(") {
        bracketed(cursor)?;
    }
    loop {
        if cursor.take_word("on") {
            cursor.next();
            let twice = cursor.take_word("set") || cursor.take_word("no");
            let one = !twice && (cursor.take_word("cascade") || cursor.take_word("restrict"));
            if !one {
                cursor.next();
            }
        } else if cursor.take_word("match") || cursor.take_word("initially") {
            cursor.next();
        } else if !cursor.take_word("deferrable") && !cursor.take_words(&["not", "deferrable"]) {
            return Ok(());
        }
    }
}

/// Takes what stands in brackets, whatever it is.
fn bracketed(cursor: &mut Cursor) -> Result<(), SqlError> {
    cursor.expect_sign("(")?;
    let mut depth = 1;
    while depth > 0 {
        if cursor.at_end() {
            return Err(cursor.error("')' expected"));
        }
        let token = cursor.next();
        depth += i32::from(token.is_sign("(")) - i32::from(token.is_sign(")"));
    }
    Ok(())
}

/// Returns whether `[UNIQUE] INDEX` comes next.
pub fn begins_index(cursor: &Cursor) -> bool {
    cursor.is_word("index") || cursor.are_words(&["unique", "index"])
}

/// Parses `[UNIQUE] INDEX [CONCURRENTLY] [IF NOT EXISTS] [name] ON table [USING method] (columns)` behind CREATE.
pub fn create_index(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    let refusal = cursor.error(NO_TABLE);
    let unique = cursor.take_word("unique");
    cursor.expect_word("index")?;
    cursor.take_word("concurrently");
    cursor.take_words(&["if", "not", "exists"]);
    if !cursor.is_word("on") {
        name(cursor)?;
    }
    cursor.expect_word("on")?;
    let table = table_name(cursor)?;
    if cursor.take_word("using") {
        name(cursor)?;
    }
    cursor.expect_sign("(")?;
    let mut columns: Vec<Ident> = Vec::new();
    loop {
        columns.push(name(cursor)?);
        let _ = cursor.take_word("asc") || cursor.take_word("desc");
        if cursor.take_sign(")") {
            return Ok(Statement::CreateIndex(CreateIndex { table, columns, unique, refusal }));
        }
        if !cursor.take_sign(",") {
            return Err(cursor.found("',' or ')'"));
        }
    }
}
