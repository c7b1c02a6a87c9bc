//! SAMPLE BY with FROM, TO, FILL and ALIGN TO.
//!
//! Builds trees only; units and fill values are checked by `planner::sample`.

use super::ast::{Align, Expr, ExprKind, Ident, Sample};
use super::cursor::Cursor;
use super::expression::expression;
use super::lexer::TokenKind;
use crate::error::SqlError;

/// Parses what follows SAMPLE BY.
pub fn sample(cursor: &mut Cursor) -> Result<Sample, SqlError> {
    let token = cursor.peek();
    let name = match token.kind {
        TokenKind::Number | TokenKind::Word | TokenKind::Text => token.text.clone(),
        TokenKind::Variable => match cursor.variable()?.kind {
            ExprKind::Number(text) | ExprKind::Text(text) => text,
            _ => return Err(cursor.error("time interval unit expected")),
        },
        _ => return Err(cursor.error("time interval unit expected")),
    };
    cursor.next();
    let period = Ident { name, position: token.position };
    let position = cursor.last().position;
    let from = if cursor.take_word("from") { Some(expression(cursor)?) } else { None };
    let to = if cursor.take_word("to") { Some(expression(cursor)?) } else { None };
    let fill_position = cursor.peek().position;
    let fill = if cursor.take_word("fill") { fill(cursor)? } else { Vec::new() };
    let align = align(cursor)?;
    Ok(Sample { period, from, to, fill, fill_position, align, position })
}

fn fill(cursor: &mut Cursor) -> Result<Vec<Expr>, SqlError> {
    cursor.expect_sign("(")?;
    let mut list = Vec::new();
    loop {
        let token = cursor.peek();
        let word = ["prev", "none", "linear"].iter().any(|w| token.is_word(w));
        if word {
            cursor.next();
            list.push(Expr { kind: ExprKind::Word(token.text.to_ascii_lowercase()), position: token.position });
            if cursor.take_sign("(") {
                while !cursor.at_end() && !cursor.take_sign(")") {
                    cursor.next();
                }
            }
        } else if cursor.is_sign(")") {
            return Err(cursor.error("'none', 'prev', 'mid', 'null' or number expected"));
        } else {
            list.push(expression(cursor)?);
        }
        if !cursor.take_sign(",") {
            break;
        }
    }
    cursor.expect_sign(")")?;
    Ok(list)
}

fn align(cursor: &mut Cursor) -> Result<Align, SqlError> {
    if !cursor.is_word("align") {
        return Ok(Align::Calendar { zone: None, offset: None });
    }
    cursor.next();
    cursor.expect_word("to")?;
    if cursor.take_word("first") {
        cursor.expect_word("observation")?;
        // The peer points behind the clause.
        return Ok(Align::FirstObservation { position: cursor.peek().position });
    }
    if !cursor.take_word("calendar") {
        return Err(cursor.error("'calendar' or 'first observation' expected"));
    }
    let zone = if cursor.take_words(&["time", "zone"]) { Some(expression(cursor)?) } else { None };
    let offset = if cursor.take_words(&["with", "offset"]) { Some(expression(cursor)?) } else { None };
    Ok(Align::Calendar { zone, offset })
}
