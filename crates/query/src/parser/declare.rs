//! DECLARE @a := expression, …: names for expressions, put in their place while the rest is parsed.

use super::ast::{Declared, Expr, ExprKind};
use super::cursor::Cursor;
use super::expression::{self, expression};
use super::lexer::TokenKind;
use super::select;
use crate::error::SqlError;

/// Parses DECLARE and its list, if it stands here; the caller ends the variables' scope with [`Cursor::forget`].
pub fn declarations(cursor: &mut Cursor) -> Result<Vec<Declared>, SqlError> {
    // Only what the whole text of a view declares can be overridden.
    let outside = cursor.take_overrides();
    let mut declared = Vec::new();
    if !cursor.take_word("declare") {
        return Ok(declared);
    }
    loop {
        let overridable = cursor.take_word("overridable");
        let name = cursor.peek();
        if name.kind != TokenKind::Variable {
            return Err(cursor.error("function, literal or constant is expected"));
        }
        cursor.next();
        let position = cursor.peek().position;
        if !cursor.take_sign(":=") {
            let message = format!("unexpected token [{}] - expected variable assignment operator `:=`", cursor.raw());
            return Err(cursor.error(message));
        }
        if cursor.is_sign("[") {
            let message = format!(
                "unexpected token [{}] - unexpected bind expression - bracket lists are not supported",
                name.text
            );
            return Err(SqlError::new(name.position, message));
        }
        let own = Declared { name: name.text.to_lowercase(), value: value(cursor)?, position };
        let other = outside.iter().find(|other| other.name == own.name);
        if let Some(other) = other.filter(|_| !overridable) {
            return Err(SqlError::new(other.position, format!("variable is not overridable: {}", own.name)));
        }
        let taken = other.cloned().unwrap_or(own);
        cursor.declare(&taken.name, taken.value.clone());
        declared.push(taken);
        // The peer takes a list without its commas, too, where the next one is overridable.
        if !cursor.take_sign(",") && !cursor.is_word("overridable") {
            return Ok(declared);
        }
    }
}

fn value(cursor: &mut Cursor) -> Result<Expr, SqlError> {
    if cursor.is_sign("(") && expression::starts_query_at(cursor, 1) {
        let position = cursor.peek_at(1).position;
        cursor.next();
        let query = select::query(cursor)?;
        cursor.expect_sign(")")?;
        return Ok(Expr { kind: ExprKind::Query(Box::new(query)), position });
    }
    expression(cursor)
}
