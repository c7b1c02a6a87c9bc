//! DECLARE @a := expression, …: names for expressions, put in their place while the rest is parsed.

use super::ast::{Expr, ExprKind};
use super::cursor::Cursor;
use super::expression::{self, expression};
use super::lexer::TokenKind;
use super::select;
use crate::error::SqlError;

/// Parses DECLARE and its list, if it stands here; the caller ends the variables' scope with [`Cursor::forget`].
pub fn declarations(cursor: &mut Cursor) -> Result<(), SqlError> {
    if !cursor.take_word("declare") {
        return Ok(());
    }
    loop {
        // OVERRIDABLE means something in a view only.
        cursor.take_word("overridable");
        let name = cursor.peek();
        if name.kind != TokenKind::Variable {
            return Err(cursor.error("function, literal or constant is expected"));
        }
        cursor.next();
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
        let value = value(cursor)?;
        cursor.declare(&name.text, value);
        if !cursor.take_sign(",") {
            return Ok(());
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
