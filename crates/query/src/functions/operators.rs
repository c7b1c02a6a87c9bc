//! The operators that a statement can hold, by their names in the syntax tree.

use datafusion::logical_expr::Expr;

use super::arithmetic::{self, Arithmetic};
use super::cast;
use super::comparison::{self, Comparison};
use super::matching::{self, Matching};
use super::place::{self, Containment};
use super::text;
use super::typed::Typed;
use crate::error::SqlError;
use crate::kind::Kind;

/// An operator between two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    Arithmetic(Arithmetic),
    Comparison(Comparison),
    Matching(Matching),
    /// `<<` and its kin on addresses.
    Containment(Containment),
    /// `||`
    Concat,
    And,
    Or,
}

/// An operator before one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    Minus,
    BitNot,
    Not,
}

/// Binds `left op right`; `position` is the operator's.
pub fn binary(op: BinaryOp, left: Typed, right: Typed, position: usize) -> Result<Typed, SqlError> {
    match op {
        BinaryOp::Arithmetic(op) => arithmetic::binary(op, left, right, position),
        BinaryOp::Comparison(op) => comparison::compare(op, left, right, position),
        BinaryOp::Matching(op) => matching::bind(op, left, right, position),
        BinaryOp::Containment(how) => place::contained(how, left, right, position),
        BinaryOp::Concat => {
            let start = left.position;
            Ok(text::concat(vec![left, right], start)?)
        }
        BinaryOp::And => logic(left, right, Expr::and),
        BinaryOp::Or => logic(left, right, Expr::or),
    }
}

/// Binds `op arg`; `position` is the operator's.
pub fn unary(op: UnaryOp, arg: Typed, position: usize) -> Result<Typed, SqlError> {
    match op {
        UnaryOp::Minus => arithmetic::negate(arg, position),
        UnaryOp::BitNot => arithmetic::bit_not(arg, position),
        UnaryOp::Not if matches!(arg.kind, Kind::Boolean | Kind::Null) => {
            let arg = cast::implicit(arg, Kind::Boolean)?;
            Ok(Typed::new(comparison::negate(arg.expr), Kind::Boolean, position))
        }
        UnaryOp::Not => {
            let message =
                format!("argument type mismatch for function `not` at #1 expected: BOOLEAN, actual: {}", arg.kind);
            Err(SqlError::new(arg.position, message))
        }
    }
}

fn logic(left: Typed, right: Typed, join: fn(Expr, Expr) -> Expr) -> Result<Typed, SqlError> {
    let start = left.position;
    let side = |t: Typed| match t.kind {
        Kind::Boolean | Kind::Null => cast::implicit(t, Kind::Boolean),
        kind => {
            let message = format!("expression type mismatch, expected: BOOLEAN, actual: {kind}");
            Err(SqlError::new(t.position, message))
        }
    };
    Ok(Typed::new(join(side(left)?.expr, side(right)?.expr), Kind::Boolean, start))
}
