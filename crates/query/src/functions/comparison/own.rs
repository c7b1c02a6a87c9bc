//! Comparison of the kinds that are no plain numbers, texts or moments: in which kind two of them meet, and arrays.

use std::sync::Arc;

use datafusion::logical_expr::Volatility;

use super::{Comparison, no_operator};
use crate::error::SqlError;
use crate::functions::cell::{self, Cell};
use crate::functions::decimal;
use crate::functions::kernel::{Args, Function, boolean_column};
use crate::functions::typed::Typed;
use crate::kind::Kind;

/// Returns the kind in which two values are compared, Some(None) if they are not; None when neither is of these kinds.
/// `by_value`: they are asked for equality alone, and a text is read as the other's kind.
pub fn common_kind(by_value: bool, l: Kind, r: Kind) -> Option<Option<Kind>> {
    use Kind::*;
    let text = |kind: Kind| kind.is_text();
    Some(match (l, r) {
        (Binary, _) | (_, Binary) | (Array(_), _) | (_, Array(_)) => None,
        (Uuid, Uuid) | (Ipv4, Ipv4) | (Long256, Long256) => Some(l),
        // UUIDs are ordered as their texts are.
        (Uuid, other) | (other, Uuid) if text(other) => Some(if by_value { Uuid } else { String }),
        (Ipv4, other) | (other, Ipv4) if text(other) => Some(Ipv4),
        (Long256, other) | (other, Long256) if text(other) && by_value => Some(Long256),
        (Geohash(l), Geohash(r)) if by_value => (l == r).then_some(Geohash(l)),
        (hash @ Geohash(_), other) | (other, hash @ Geohash(_)) if by_value && (text(other) || other == Char) => {
            Some(hash)
        }
        (Decimal(..), _) | (_, Decimal(..)) => decimal::common_kind(l, r),
        (Uuid | Ipv4 | Long256 | Geohash(_), _) | (_, Uuid | Ipv4 | Long256 | Geohash(_)) => None,
        _ => return None,
    })
}

/// Binds `=` or `!=` of two arrays: shape and values; there is no other comparison, and no bare NULL beside them.
pub fn arrays(op: Comparison, left: Typed, right: Typed, position: usize) -> Result<Typed, SqlError> {
    let (l, r) = (left.kind, right.kind);
    let (Kind::Array(a), Kind::Array(b)) = (l, r) else { return Err(no_operator(op.symbol(), l, r, position)) };
    if a != b || !op.is_equality() {
        return Err(no_operator(op.symbol(), l, r, position));
    }
    let start = left.position;
    let kernel = Arc::new(move |args: &Args| {
        let (left, right) = (cell::reader(args, 0), cell::reader(args, 1));
        Ok(boolean_column(args.rows(), |row| same(&left(row), &right(row)) == (op == Comparison::Eq)))
    });
    let name = format!("arrays {}", op.symbol());
    let answer = Function::new(&name, 2, Kind::Boolean, Volatility::Immutable, kernel);
    Ok(answer.call(vec![left, right], Kind::Boolean, position)?.at(start))
}

fn same(left: &Cell, right: &Cell) -> bool {
    match (left, right) {
        (Cell::Array(shape, values), Cell::Array(other, others)) => {
            let equal =
                |(a, b): (&f64, &f64)| (a.is_nan() && b.is_nan()) || super::doubles(Comparison::Eq, Some(*a), Some(*b));
            shape == other && values.len() == others.len() && values.iter().zip(others).all(equal)
        }
        _ => left == right,
    }
}
