//! Operators on IPv4 addresses, LONG256 and arrays.

use std::sync::Arc;

use datafusion::logical_expr::Volatility;
use types::long256;

use super::{Arithmetic, float};
use crate::error::SqlError;
use crate::functions::cast;
use crate::functions::cell::{self, Cell};
use crate::functions::kernel::{Args, Function};
use crate::functions::typed::Typed;
use crate::kind::Kind;

/// Binds `left op right` of these kinds; None when neither is of them, or the operator does not take them.
pub fn binary(op: Arithmetic, left: &Typed, right: &Typed, position: usize) -> Option<Result<Typed, SqlError>> {
    use Arithmetic::*;
    let (l, r) = (left.kind, right.kind);
    let whole = |kind: Kind| matches!(kind, Kind::Byte | Kind::Short | Kind::Int);
    Some(match (op, l, r) {
        (Add | Sub, Kind::Ipv4, r) if whole(r) => {
            pairs(op, left, right, Kind::Ipv4, position, move |l, r| match (l, r) {
                (Cell::Ipv4(a), Cell::Whole(n)) => {
                    let moved = i64::from(a).checked_add(if op == Add { n } else { -n });
                    Ok(moved.and_then(|a| u32::try_from(a).ok()).map_or(Cell::Null, Cell::Ipv4))
                }
                _ => Ok(Cell::Null),
            })
        }
        (Add, l, Kind::Ipv4) if whole(l) => return binary(op, right, left, position),
        (Sub, Kind::Ipv4, Kind::Ipv4) => pairs(op, left, right, Kind::Long, position, |l, r| match (l, r) {
            (Cell::Ipv4(a), Cell::Ipv4(b)) => Ok(Cell::Whole(i64::from(a) - i64::from(b))),
            _ => Ok(Cell::Null),
        }),
        (BitAnd | BitOr, Kind::Ipv4, Kind::Ipv4) => {
            pairs(op, left, right, Kind::Ipv4, position, move |l, r| match (l, r) {
                (Cell::Ipv4(a), Cell::Ipv4(b)) => Ok(Cell::Ipv4(if op == BitAnd { a & b } else { a | b })),
                _ => Ok(Cell::Null),
            })
        }
        (Add, Kind::Long256, Kind::Long256) => pairs(op, left, right, l, position, |l, r| match (l, r) {
            (Cell::Long256(a), Cell::Long256(b)) => Ok(Cell::Long256(long256::add(&a, &b))),
            _ => Ok(Cell::Null),
        }),
        (Add | Sub | Mul | Div, Kind::Array(a), Kind::Array(b)) => {
            pairs(op, left, right, Kind::Array(a.max(b)), position, move |l, r| match (l, r) {
                (Cell::Array(s, v), Cell::Array(t, w)) => broadcast(op, (s, v), (t, w), position),
                _ => Ok(Cell::Null),
            })
        }
        (Add | Sub | Mul | Div, Kind::Array(_), r) if r.is_number() => {
            let right = cast::implicit(right.clone(), Kind::Double);
            right.and_then(|right| {
                pairs(op, left, &right, l, position, move |l, r| match (l, r) {
                    (Cell::Array(shape, values), Cell::Double(x)) => {
                        Ok(Cell::Array(shape, values.into_iter().map(|v| float(op, v, x)).collect()))
                    }
                    (Cell::Array(shape, values), _) => Ok(Cell::Array(shape, vec![f64::NAN; values.len()])),
                    _ => Ok(Cell::Null),
                })
            })
        }
        (Add | Sub | Mul | Div, l, Kind::Array(_)) if l.is_number() => {
            let left = cast::implicit(left.clone(), Kind::Double);
            left.and_then(|left| {
                pairs(op, &left, right, r, position, move |l, r| match (l, r) {
                    (Cell::Double(x), Cell::Array(shape, values)) => {
                        Ok(Cell::Array(shape, values.into_iter().map(|v| float(op, x, v)).collect()))
                    }
                    (_, Cell::Array(shape, values)) => Ok(Cell::Array(shape, vec![f64::NAN; values.len()])),
                    _ => Ok(Cell::Null),
                })
            })
        }
        _ => return None,
    })
}

fn pairs(
    op: Arithmetic,
    left: &Typed,
    right: &Typed,
    kind: Kind,
    position: usize,
    f: impl Fn(Cell, Cell) -> Result<Cell, SqlError> + Send + Sync + 'static,
) -> Result<Typed, SqlError> {
    let kernel = Arc::new(move |args: &Args| {
        let (l, r) = (cell::reader(args, 0), cell::reader(args, 1));
        cell::build(kind, args.rows(), |row| f(l(row), r(row)))
    });
    let name = format!("{} {} {}", op.symbol(), left.kind, right.kind);
    let start = left.position;
    let answer = Function::new(&name, 2, kind, Volatility::Immutable, kernel);
    Ok(answer.call(vec![left.clone(), right.clone()], kind, position)?.at(start))
}

type Shaped = (Vec<u32>, Vec<f64>);

/// Combines two arrays element by element; a dimension of one element meets every element of the other.
fn broadcast(op: Arithmetic, (mut s, v): Shaped, (mut t, w): Shaped, position: usize) -> Result<Cell, SqlError> {
    let dims = s.len().max(t.len());
    for shape in [&mut s, &mut t] {
        while shape.len() < dims {
            shape.insert(0, 1);
        }
    }
    let mut shape = Vec::with_capacity(dims);
    for (a, b) in s.iter().zip(&t) {
        if a != b && *a != 1 && *b != 1 {
            let message = format!("arrays have incompatible shapes [leftShape={s:?}, rightShape={t:?}]");
            return Err(SqlError::new(position, message));
        }
        shape.push(if *a == 1 { *b } else { *a });
    }
    let count: usize = shape.iter().map(|n| *n as usize).product();
    let place = |own: &[u32], mut at: usize| {
        let (mut place, mut step) = (0, 1);
        for (len, own_len) in shape.iter().zip(own).rev() {
            let index = at % (*len as usize).max(1);
            at /= (*len as usize).max(1);
            place += if *own_len == 1 { 0 } else { index * step };
            step *= *own_len as usize;
        }
        place
    };
    let values = (0..count).map(|at| float(op, v[place(&s, at)], w[place(&t, at)])).collect();
    Ok(Cell::Array(shape, values))
}

/// Binds unary minus of a decimal or an array.
pub fn negate(arg: Typed, position: usize) -> Result<Typed, SqlError> {
    let kind = arg.kind;
    let kernel = Arc::new(move |args: &Args| {
        let value = cell::reader(args, 0);
        cell::build(kind, args.rows(), |row| {
            Ok(match value(row) {
                Cell::Decimal(n) => Cell::Decimal(n.wrapping_neg()),
                Cell::Array(shape, values) => Cell::Array(shape, values.into_iter().map(|v| -v).collect()),
                other => other,
            })
        })
    });
    Function::new(&format!("negate {kind}"), 1, kind, Volatility::Immutable, kernel).call(vec![arg], kind, position)
}

/// Binds `~` of an address.
pub fn ipv4_not(arg: Typed, position: usize) -> Result<Typed, SqlError> {
    let kernel = Arc::new(move |args: &Args| {
        let value = cell::reader(args, 0);
        cell::build(Kind::Ipv4, args.rows(), |row| match value(row) {
            Cell::Ipv4(address) => Ok(Cell::Ipv4(!address)),
            other => Ok(other),
        })
    });
    let answer = Function::new("~ IPv4", 1, Kind::Ipv4, Volatility::Immutable, kernel);
    answer.call(vec![arg], Kind::Ipv4, position)
}
