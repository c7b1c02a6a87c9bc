//! FROM: tables, sub-queries and functions, their aliases, and joins.
//!
//! Builds trees only. Next: `planner::relation` and `planner::join`.

use super::ast::{Expr, ExprKind, From, Ident, Join, JoinKind, On, RelationRef, Source};
use super::cursor::Cursor;
use super::expression::expression;
use super::lexer::TokenKind;
use super::select::{self, is_clause, is_reserved, keyword_error};
use super::snapshot::snapshot_name;
use super::window_join;
use crate::error::SqlError;

/// Most joins of one FROM: each is a level of the plan.
const MAX_JOINS: usize = 200;

/// Parses what stands behind FROM, joins included.
pub fn from(cursor: &mut Cursor) -> Result<From, SqlError> {
    let (first, mut joins) = match is_group_of_joins(cursor) {
        true => group_of_joins(cursor)?,
        false => (source(cursor, NO_WORD)?, Vec::new()),
    };
    while let Some(join) = join(cursor)? {
        let after_window = joins.last().is_some_and(|last: &Join| last.kind == JoinKind::Window);
        if after_window && join.kind != JoinKind::Window {
            return Err(SqlError::new(join.position, "no other join types allowed after window join"));
        }
        joins.push(join);
        if joins.len() > MAX_JOINS {
            return Err(cursor.too_complex());
        }
    }
    Ok(From { first, joins })
}

/// Parses `(a JOIN b …)` in front of further joins, as ODBC drivers write them: the same as without parentheses.
fn group_of_joins(cursor: &mut Cursor) -> Result<(Source, Vec<Join>), SqlError> {
    cursor.next();
    let From { first, joins } = from(cursor)?;
    cursor.expect_sign(")")?;
    Ok((first, joins))
}

/// Returns whether `(a JOIN b …) JOIN` follows: no query of its own, and no alias that would hide the tables' names.
fn is_group_of_joins(cursor: &Cursor) -> bool {
    let opening = (0..MAX_JOINS).take_while(|n| cursor.peek_at(*n).is_sign("(")).count();
    let first = cursor.peek_at(opening);
    if opening == 0 || opening == MAX_JOINS || ["select", "with", "declare"].iter().any(|word| first.is_word(word)) {
        return false;
    }
    let (mut depth, mut has_join, mut n) = (0, false, 0);
    loop {
        let token = cursor.peek_at(n);
        match token.kind {
            TokenKind::End => return false,
            TokenKind::Sign if token.is_sign("(") => depth += 1,
            TokenKind::Sign if token.is_sign(")") && depth == 1 => break,
            TokenKind::Sign if token.is_sign(")") => depth -= 1,
            TokenKind::Word if depth == 1 && token.is_word("join") => has_join = true,
            TokenKind::Word if depth == 1 && ENDS_A_FROM.iter().any(|word| token.is_word(word)) => return false,
            _ => {}
        }
        n += 1;
    }
    let next = cursor.peek_at(n + 1);
    has_join && (next.is_word("join") || JOIN_WORDS.iter().any(|(words, _)| next.is_word(words[0])))
}

/// What stands behind a FROM belongs to a query.
const ENDS_A_FROM: [&str; 9] = ["where", "order", "limit", "sample", "latest", "group", "union", "except", "intersect"];

/// No word but those of every clause ends a source.
const NO_WORD: &str = "";

/// Parses a source; the word `next` behind it begins what follows, and is no alias.
fn source(cursor: &mut Cursor, next: &str) -> Result<Source, SqlError> {
    let position = cursor.peek().position;
    let relation = relation(cursor)?;
    let is_function = matches!(relation, RelationRef::Function(_));
    let ordinality = is_function && cursor.take_words(&["with", "ordinality"]);
    let alias = alias(cursor, next)?;
    let columns = if alias.is_some() && is_function { column_aliases(cursor)? } else { Vec::new() };
    let mut timestamp = None;
    if cursor.is_word("timestamp") && cursor.peek_at(1).is_sign("(") {
        cursor.next();
        cursor.next();
        timestamp = Some(select::name(cursor)?);
        cursor.expect_sign(")")?;
    }
    Ok(Source { relation, alias, timestamp, columns, ordinality, position })
}

fn relation(cursor: &mut Cursor) -> Result<RelationRef, SqlError> {
    let token = cursor.peek();
    match token.kind {
        TokenKind::Sign if token.is_sign("(") => {
            cursor.next();
            if cursor.is_sign(")") {
                return Err(cursor.error("'select', 'with', 'declare' or table name expected expected"));
            }
            let query = select::query(cursor)?;
            if !cursor.take_sign(")") {
                return Err(if cursor.at_end() { cursor.error("')' expected") } else { cursor.unexpected() });
            }
            Ok(RelationRef::Query(Box::new(query)))
        }
        TokenKind::Variable => variable(cursor),
        TokenKind::Word if token.is_word("select") => Ok(RelationRef::Query(Box::new(select::query(cursor)?))),
        TokenKind::Word if starts_call(cursor) && !is_reserved(&token.text) => match expression(cursor)? {
            call @ Expr { kind: ExprKind::Call { .. }, .. } => Ok(RelationRef::Function(call)),
            other => Err(SqlError::new(other.position, "table name or sub-query expected")),
        },
        TokenKind::Word | TokenKind::Quoted | TokenKind::Text => {
            let table = table_name(cursor)?;
            // The web console calls the information schema's relations.
            if table.name.to_ascii_lowercase().starts_with("information_schema.") && cursor.is_sign("(") {
                cursor.next();
                cursor.expect_sign(")")?;
            }
            Ok(match at_snapshot(cursor)? {
                Some(snapshot) => RelationRef::TableAt { table, snapshot },
                None => RelationRef::Table(table),
            })
        }
        _ if cursor.at_end() => Err(cursor.error("table name or sub-query expected")),
        _ => Err(cursor.error("table name or sub-query expected")),
    }
}

/// Parses AT SNAPSHOT 'name', if it follows.
pub fn at_snapshot(cursor: &mut Cursor) -> Result<Option<Ident>, SqlError> {
    if !cursor.take_words(&["at", "snapshot"]) {
        return Ok(None);
    }
    snapshot_name(cursor).map(Some)
}

/// Parses a variable that stands for a table or a sub-query.
fn variable(cursor: &mut Cursor) -> Result<RelationRef, SqlError> {
    let value = cursor.variable()?;
    let position = cursor.next().position;
    match value.kind {
        ExprKind::Query(query) => Ok(RelationRef::Query(query)),
        ExprKind::Name { qualifier: None, name } | ExprKind::Text(name) => {
            Ok(RelationRef::Table(Ident { name, position }))
        }
        ExprKind::Call { .. } => Ok(RelationRef::Function(value)),
        _ => Err(SqlError::new(position, "table name or sub-query expected")),
    }
}

/// Returns whether `name(` or `pg_catalog.name(` follows.
fn starts_call(cursor: &Cursor) -> bool {
    let schema = cursor.is_word("pg_catalog") && cursor.peek_at(1).is_sign(".");
    cursor.peek_at(if schema { 3 } else { 1 }).is_sign("(")
}

/// Parses a table name: bare, in single, double or back quotes; with dots.
pub fn table_name(cursor: &mut Cursor) -> Result<Ident, SqlError> {
    let token = cursor.peek();
    match token.kind {
        TokenKind::Word if is_reserved(&token.text) => return Err(keyword_error(cursor)),
        TokenKind::Word | TokenKind::Quoted | TokenKind::Text => {}
        _ => return Err(cursor.error("table name expected")),
    }
    cursor.next();
    let mut name = token.text.clone();
    while cursor.is_sign(".") && matches!(cursor.peek_at(1).kind, TokenKind::Word | TokenKind::Quoted) {
        cursor.next();
        name.push('.');
        name.push_str(&cursor.next().text);
    }
    Ok(Ident { name, position: token.position })
}

/// Parses `(a, b)` behind the alias of a function, which counts for UNNEST only: others keep their columns' names.
fn column_aliases(cursor: &mut Cursor) -> Result<Vec<Ident>, SqlError> {
    let mut names = Vec::new();
    if cursor.is_sign("(") && matches!(cursor.peek_at(1).kind, TokenKind::Word | TokenKind::Quoted) {
        cursor.next();
        while !cursor.at_end() && !cursor.take_sign(")") {
            let token = cursor.next();
            if matches!(token.kind, TokenKind::Word | TokenKind::Quoted) {
                names.push(Ident { name: token.text.clone(), position: token.position });
            }
        }
    }
    Ok(names)
}

fn alias(cursor: &mut Cursor, clause: &str) -> Result<Option<Ident>, SqlError> {
    let explicit = cursor.take_word("as");
    let token = cursor.peek();
    let is_alias = match token.kind {
        TokenKind::Quoted => true,
        TokenKind::Word if explicit => true,
        TokenKind::Word => {
            let next = cursor.peek_at(1);
            let clause = token.is_word(clause)
                || is_clause(&token.text)
                || token.is_word("timestamp") && next.is_sign("(")
                || token.is_word("group");
            !clause && !is_reserved(&token.text)
        }
        _ => false,
    };
    if !is_alias {
        return Ok(None);
    }
    cursor.next();
    Ok(Some(Ident { name: token.text.clone(), position: token.position }))
}

const JOIN_WORDS: [(&[&str], JoinKind); 14] = [
    (&["inner", "join"], JoinKind::Inner),
    (&["left", "join"], JoinKind::Left),
    (&["left", "outer", "join"], JoinKind::Left),
    (&["right", "join"], JoinKind::Right),
    (&["right", "outer", "join"], JoinKind::Right),
    (&["full", "join"], JoinKind::Full),
    (&["full", "outer", "join"], JoinKind::Full),
    (&["cross", "join"], JoinKind::Cross),
    (&["asof", "join"], JoinKind::Asof),
    (&["lt", "join"], JoinKind::Lt),
    (&["splice", "join"], JoinKind::Splice),
    (&["window", "join"], JoinKind::Window),
    (&["join"], JoinKind::Inner),
    (&["outer", "join"], JoinKind::Left),
];

fn join(cursor: &mut Cursor) -> Result<Option<Join>, SqlError> {
    let position = cursor.peek().position;
    if cursor.take_sign(",") {
        let source = source(cursor, NO_WORD)?;
        return Ok(Some(Join { kind: JoinKind::Cross, source, on: None, tolerance: None, range: None, position }));
    }
    if cursor.are_words(&["horizon", "join"]) {
        return Err(cursor.error("HORIZON JOIN is not supported yet"));
    }
    let Some((_, kind)) = JOIN_WORDS.iter().find(|(words, _)| cursor.take_words(words)) else {
        let word = cursor.peek();
        let half = ["inner", "left", "right", "full", "cross", "asof", "lt", "splice"].iter().any(|w| word.is_word(w));
        // WINDOW w AS (…) is a clause
        if half || word.is_word("window") && !cursor.peek_at(2).is_word("as") {
            return Err(cursor.error("'join' expected"));
        }
        return Ok(None);
    };
    let is_window = *kind == JoinKind::Window;
    let source = source(cursor, if is_window { "range" } else { NO_WORD })?;
    let on = on(cursor, *kind)?;
    if is_window {
        let range = Some(Box::new(window_join::range(cursor)?));
        return Ok(Some(Join { kind: *kind, source, on, tolerance: None, range, position }));
    }
    let tolerance = tolerance(cursor, *kind)?;
    Ok(Some(Join { kind: *kind, source, on, tolerance, range: None, position }))
}

fn on(cursor: &mut Cursor, kind: JoinKind) -> Result<Option<On>, SqlError> {
    if !cursor.is_word("on") {
        let optional =
            matches!(kind, JoinKind::Cross | JoinKind::Asof | JoinKind::Lt | JoinKind::Splice | JoinKind::Window);
        return if optional { Ok(None) } else { Err(cursor.error_at_last("'on' expected")) };
    }
    if kind == JoinKind::Cross {
        return Err(cursor.error("Cross joins cannot have join clauses"));
    }
    cursor.next();
    if cursor.at_end() {
        return Err(cursor.error("Expression expected"));
    }
    if let Some(columns) = column_list(cursor) {
        return Ok(Some(On::Columns(columns)));
    }
    let predicate = expression(cursor)?;
    Ok(Some(match predicate.kind {
        ExprKind::Name { qualifier: None, name } => On::Columns(vec![Ident { name, position: predicate.position }]),
        _ => On::Predicate(predicate),
    }))
}

/// Parses `(a, b)`; leaves the cursor alone when it is anything else.
fn column_list(cursor: &mut Cursor) -> Option<Vec<Ident>> {
    let mut n = 1;
    let mut names = Vec::new();
    if !cursor.is_sign("(") {
        return None;
    }
    loop {
        let token = cursor.peek_at(n);
        if !matches!(token.kind, TokenKind::Word | TokenKind::Quoted) {
            return None;
        }
        names.push(Ident { name: token.text.clone(), position: token.position });
        n += 2;
        if cursor.peek_at(n - 1).is_sign(")") {
            break;
        }
        if !cursor.peek_at(n - 1).is_sign(",") {
            return None;
        }
    }
    (0..n).for_each(|_| {
        cursor.next();
    });
    Some(names)
}

fn tolerance(cursor: &mut Cursor, kind: JoinKind) -> Result<Option<Ident>, SqlError> {
    if !cursor.is_word("tolerance") {
        return Ok(None);
    }
    if !matches!(kind, JoinKind::Asof | JoinKind::Lt) {
        return Err(cursor.error("TOLERANCE is only supported for ASOF and LT joins"));
    }
    cursor.next();
    let token = cursor.next();
    let negative = token.is_sign("-");
    let name = if negative { format!("-{}", cursor.next().text) } else { token.text.clone() };
    let position = if negative { cursor.last().position } else { token.position };
    Ok(Some(Ident { name, position }))
}
