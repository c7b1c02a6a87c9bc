//! `ARRAY[…]`, subscripts and slices of arrays, `WITHIN`.
//!
//! All become calls of functions that no name in a statement reaches: [`ARRAY`], [`INDEX`], [`SLICE`], [`WITHIN`], [`FIELD`].

use super::{expression, node};
use crate::error::SqlError;
use crate::parser::ast::{Expr, ExprKind};
use crate::parser::cursor::Cursor;

/// The function that makes an array of its arguments.
pub const ARRAY: &str = "array";
/// The function that takes an element or a part: the array, then an index or a [`SLICE`] for each dimension.
pub const INDEX: &str = "[]";
/// Two bounds within [`INDEX`]; the upper one may be missing.
pub const SLICE: &str = ":";
/// The function that tests prefixes of a geohash.
pub const WITHIN: &str = "within";

/// The function that takes a field of a composite value: the value, then the name.
pub const FIELD: &str = ".";

fn call(name: &str, args: Vec<Expr>, position: usize) -> Expr {
    node(ExprKind::Call { name: name.to_owned(), args, distinct: false }, position)
}

/// Parses `ARRAY[1, 2]`; a bracket within it begins an array too.
pub fn literal(cursor: &mut Cursor) -> Result<Expr, SqlError> {
    let position = cursor.next().position;
    elements(cursor, position)
}

fn elements(cursor: &mut Cursor, position: usize) -> Result<Expr, SqlError> {
    cursor.next();
    let mut args = Vec::new();
    while !cursor.take_sign("]") {
        if !args.is_empty() && !cursor.take_sign(",") {
            return Err(cursor.error("',' expected"));
        }
        args.push(match cursor.is_sign("[") {
            true => {
                let position = cursor.peek().position;
                cursor.deeper(|cursor| elements(cursor, position))?
            }
            false => expression(cursor)?,
        });
    }
    Ok(call(ARRAY, args, position))
}

/// Parses `[i, lo:hi, …]` behind an operand.
pub fn subscript(cursor: &mut Cursor, left: Expr) -> Result<Expr, SqlError> {
    let position = cursor.next().position;
    let mut args = vec![left];
    loop {
        let index = expression(cursor)?;
        args.push(match cursor.is_sign(":") {
            false => index,
            true => {
                let at = cursor.next().position;
                let open = cursor.is_sign("]") || cursor.is_sign(",");
                let bounds = if open { vec![index] } else { vec![index, expression(cursor)?] };
                call(SLICE, bounds, at)
            }
        });
        if cursor.take_sign("]") {
            return Ok(call(INDEX, args, position));
        }
        if !cursor.take_sign(",") {
            return Err(cursor.error("']' expected"));
        }
    }
}

/// Parses `.n` behind a value in brackets: drivers ask so for the columns of an index, of which there are none.
pub fn field(cursor: &mut Cursor, left: Expr) -> Result<Expr, SqlError> {
    let position = cursor.next().position;
    let name = cursor.next();
    let name_tree = node(ExprKind::Text(name.text.clone()), name.position);
    Ok(call(FIELD, vec![left, name_tree], position))
}

/// Parses `WITHIN (a, b)` behind an operand.
pub fn within(cursor: &mut Cursor, left: Expr) -> Result<Expr, SqlError> {
    let position = cursor.next().position;
    if !cursor.take_sign("(") {
        return Err(cursor.error("'(' expected"));
    }
    let mut args = vec![left, expression(cursor)?];
    while cursor.take_sign(",") {
        args.push(expression(cursor)?);
    }
    if !cursor.take_sign(")") {
        return Err(cursor.error("')' expected"));
    }
    Ok(call(WITHIN, args, position))
}
