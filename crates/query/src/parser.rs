//! QuestDB statements as syntax trees with source positions.
//!
//! Own lexer and own parser (docs/adr: none of sqlparser's dialects has the peer's order of operators, tokens or
//! positions). Checks grammar only; names and types are the planner's. Reading order: `ast`, `lexer`, `cursor`,
//! `expression`, `window`, `select`, `declare`, `pivot`, `source`, `sample`, `table_options`, `create`, `postgres_ddl`, `view`, `alter`, `write`, `snapshot`, `restore`, `show`, `text`; `varying`, `form` for what is said again.

mod alter;
pub mod ast;
mod copy;
mod create;
mod cursor;
mod declare;
mod expression;
mod form;
mod lexer;
mod pivot;
mod postgres_ddl;
mod restore;
mod sample;
mod select;
mod show;
mod snapshot;
mod source;
mod table_options;
mod text;
mod varying;
mod view;
mod window;
mod window_join;
mod write;

use std::ops::Range;

use self::ast::{Query, QueryId, Statement, Transaction};
use self::cursor::Cursor;
use crate::error::SqlError;

pub use self::create::{check_column_name, is_column_name};
pub use self::expression::operator_text;
pub use self::form::form;
pub use self::text::expression_text;
pub use self::varying::{Varying, varying};
pub use self::view::query_of;

/// Returns whether a text holds nothing but blanks, comments and `;`.
pub fn is_blank(sql: &str) -> Result<bool, SqlError> {
    let first = sql.trim_start().bytes().next();
    if first.is_some_and(|byte| byte.is_ascii_alphabetic()) {
        return Ok(false);
    }
    Ok(lexer::tokenize(sql)?.iter().all(|t| t.kind == lexer::TokenKind::End))
}

/// Returns the one statement of a text, a closing `;` allowed.
///
/// # Errors
/// `empty query` for blanks and comments; whatever the peer's parser refuses, with its text and place.
pub fn parse(sql: &str) -> Result<Statement, SqlError> {
    let tokens = lexer::tokenize(sql)?;
    let mut cursor = Cursor::new(sql, &tokens);
    if cursor.at_end() && !cursor.is_sign(";") {
        return Err(SqlError::new(0, "empty query"));
    }
    let statement = statement(&mut cursor)?;
    cursor.take_sign(";");
    if cursor.peek().kind != lexer::TokenKind::End {
        return Err(cursor.unexpected());
    }
    Ok(statement)
}

/// Returns the byte ranges of the statements of a text, without their `;`; empty ones are left out.
///
/// # Errors
/// An unclosed quote.
pub fn split(sql: &str) -> Result<Vec<Range<usize>>, SqlError> {
    let mut ranges = Vec::new();
    let mut open: Option<Range<usize>> = None;
    for token in lexer::tokenize(sql)? {
        if token.is_sign(";") || token.kind == lexer::TokenKind::End {
            ranges.extend(open.take());
        } else {
            open = Some(open.map_or(token.start, |r| r.start)..token.end);
        }
    }
    Ok(ranges)
}

fn statement(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    let word = cursor.peek();
    let bare = word.kind == lexer::TokenKind::Word;
    let name = if bare { word.text.to_ascii_lowercase() } else { String::new() };
    match name.as_str() {
        "explain" => explain(cursor),
        "create" => after(cursor, create::create),
        "alter" => after(cursor, alter::alter),
        "insert" => after(cursor, |c| write::insert(c, Vec::new())),
        "update" => after(cursor, |c| write::update(c, &[])),
        "delete" => after(cursor, write::delete),
        "drop" => after(cursor, write::drop),
        "truncate" => after(cursor, write::truncate),
        "rename" => after(cursor, write::rename),
        "vacuum" => after(cursor, |c| write::maintain(c, false)),
        "reindex" => after(cursor, |c| write::maintain(c, true)),
        "check" => after(cursor, write::check),
        "snapshot" | "checkpoint" => after(cursor, |c| snapshot::snapshot(c, name == "snapshot")),
        "restore" if ["table", "database"].iter().any(|what| cursor.peek_at(1).is_word(what)) => {
            after(cursor, restore::restore)
        }
        "undrop" if cursor.peek_at(1).is_word("table") => after(cursor, restore::undrop),
        "purge" if cursor.peek_at(1).is_word("table") => after(cursor, restore::purge),
        "begin" | "commit" | "rollback" => after(cursor, |c| Ok(transaction(c, &name))),
        "set" | "reset" | "discard" | "deallocate" | "close" | "unlisten" => Ok(accepted(cursor)),
        "compile" => after(cursor, view::compile),
        "cancel" => after(cursor, cancel),
        "backup" => Err(SqlError::new(
            0,
            "incremental backup is supported in QuestDB enterprise version only, please use SNAPSHOT backup",
        )),
        "copy" => after(cursor, copy::copy),
        "with" => with(cursor),
        _ => select::query(cursor).map(Statement::Query),
    }
}

fn after(
    cursor: &mut Cursor,
    parse: impl FnOnce(&mut Cursor) -> Result<Statement, SqlError>,
) -> Result<Statement, SqlError> {
    cursor.next();
    parse(cursor)
}

/// Parses WITH … SELECT, INSERT or UPDATE.
fn with(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    let position = cursor.peek().position;
    let with = select::leading_with(cursor)?;
    if cursor.take_word("insert") {
        return write::insert(cursor, with);
    }
    if cursor.take_word("update") {
        return write::update(cursor, &with);
    }
    let query = select::query(cursor)?;
    Ok(Statement::Query(Query { with, position, ..query }))
}

fn explain(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    cursor.next();
    let known = ["create", "insert", "update", "select", "with", "declare"];
    if !known.iter().any(|w| cursor.is_word(w)) {
        return Err(cursor.error("'create', 'format', 'insert', 'update', 'select' or 'with' expected"));
    }
    Ok(Statement::Explain(Box::new(statement(cursor)?)))
}

/// Parses CANCEL QUERY id; a closing quote too many stands in the peer's text.
fn cancel(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    if !cursor.take_word("query") {
        return Err(cursor.error_at_last("'QUERY' expected'"));
    }
    let token = cursor.peek();
    let value = token.text.parse().ok().filter(|_| token.kind == lexer::TokenKind::Number);
    let Some(value) = value else {
        return Err(cursor.error_at_last("non-negative integer literal expected as query id"));
    };
    cursor.next();
    Ok(Statement::CancelQuery(QueryId { value, position: token.position }))
}

fn transaction(cursor: &mut Cursor, word: &str) -> Statement {
    cursor.take_word("transaction");
    Statement::Transaction(match word {
        "begin" => Transaction::Begin,
        "commit" => Transaction::Commit,
        _ => Transaction::Rollback,
    })
}

/// Takes a session statement to its end: accepted for PostgreSQL clients, without effect.
fn accepted(cursor: &mut Cursor) -> Statement {
    while !cursor.at_end() {
        cursor.next();
    }
    Statement::Accepted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks `position|message|statement` lines, recorded from the reference server (`⏎` is a line break).
    #[test]
    fn refuses_what_the_peer_refuses_with_its_text_and_place() {
        let golden = include_str!("../tests/golden/parse_errors.txt");
        let mut wrong = Vec::new();
        for line in golden.lines().filter(|l| !l.starts_with('#')) {
            let parts: Vec<_> = line.splitn(3, '|').collect();
            let sql = parts[2].replace('⏎', "\n");
            let got = match parse(&sql) {
                Ok(_) => "parsed".to_owned(),
                Err(e) => format!("{}|{}", e.position, e.message),
            };
            if got != format!("{}|{}", parts[0], parts[1]) {
                wrong.push(format!("{sql}\n    want {}|{}\n    got  {got}", parts[0], parts[1]));
            }
        }
        assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
    }

    /// Checks that statements which the reference server carries out are parsed.
    #[test]
    fn parses_what_the_peer_parses() {
        let golden = include_str!("../tests/golden/parse_ok.txt");
        let mut wrong = Vec::new();
        for line in golden.lines().filter(|l| !l.starts_with('#')) {
            let sql = line.replace('⏎', "\n");
            if let Err(e) = parse(&sql) {
                wrong.push(format!("{sql}\n    {}|{}", e.position, e.message));
            }
        }
        assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
    }

    #[test]
    fn names_columns_as_the_peer_does() {
        let golden = include_str!("../tests/golden/column_names.txt");
        let mut wrong = Vec::new();
        for line in golden.lines().filter(|l| !l.starts_with('#')) {
            let (name, sql) = line.split_once(" <- ").expect("name <- expression");
            let got = match parse(&format!("select {sql} from t")) {
                Ok(Statement::Query(Query { body: ast::Body::Select(select), .. })) => match &select.items[0] {
                    ast::Item::Expr { expr, .. } => expression_text(expr),
                    ast::Item::Star { .. } => "*".to_owned(),
                },
                Ok(_) => "not a query".to_owned(),
                Err(e) => e.to_string(),
            };
            if got != name {
                wrong.push(format!("{sql}\n    want {name}\n    got  {got}"));
            }
        }
        assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
    }

    #[test]
    fn splits_scripts_and_skips_empty_statements() {
        let sql = "select ';' ; ; -- no\n begin;commit";
        let parts: Vec<_> = split(sql).unwrap().into_iter().map(|r| &sql[r]).collect();
        assert_eq!(parts, ["select ';'", "begin", "commit"]);
    }
}
