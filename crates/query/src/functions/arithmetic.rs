//! Arithmetic and bit operators: types as the peer promotes them, NULL where it has no number.
//!
//! A result that equals the sentinel of its type, a division by zero, NaN and infinities are NULL; integers wrap.
//! Nothing here fails while rows flow but text that is no number.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::TimestampNanosecondType;
use arrow::datatypes::{Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Volatility;

use super::cast;
use super::decimal;
use super::kernel::{Args, Function, Numbers, column};
use super::typed::Typed;
use crate::error::SqlError;
use crate::kind::Kind;

mod own;

/// An operator between two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    BitAnd,
    BitOr,
    BitXor,
}

impl Arithmetic {
    /// Returns the operator as written.
    pub fn symbol(self) -> &'static str {
        match self {
            Arithmetic::Add => "+",
            Arithmetic::Sub => "-",
            Arithmetic::Mul => "*",
            Arithmetic::Div => "/",
            Arithmetic::Mod => "%",
            Arithmetic::BitAnd => "&",
            Arithmetic::BitOr => "|",
            Arithmetic::BitXor => "^",
        }
    }

    fn is_bitwise(self) -> bool {
        matches!(self, Arithmetic::BitAnd | Arithmetic::BitOr | Arithmetic::BitXor)
    }
}

/// The kinds in which an operation is done: both operands are `operand`, the answer is `result`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    left: Kind,
    right: Kind,
    result: Kind,
}

impl Plan {
    fn same(kind: Kind) -> Plan {
        Plan { left: kind, right: kind, result: kind }
    }
}

/// Binds `left op right`; `position` is the operator's.
pub fn binary(op: Arithmetic, left: Typed, right: Typed, position: usize) -> Result<Typed, SqlError> {
    if let Some(constant) = between_int_constants(op, &left, &right) {
        return Ok(constant);
    }
    if let Some(kind) = beside_null(op, left.kind, right.kind) {
        return Ok(Typed::literal(kind.null(), kind, left.position));
    }
    let is_decimal = |t: &Typed| matches!(t.kind, Kind::Decimal(..));
    if (is_decimal(&left) || is_decimal(&right))
        && let Some(bound) = decimal::arithmetic(op, left.clone(), right.clone(), position)
    {
        return bound;
    }
    if let Some(bound) = own::binary(op, &left, &right, position) {
        return bound;
    }
    let Some(plan) = plan(op, &left, &right) else {
        let (symbol, l, r) = (op.symbol(), left.kind, right.kind);
        let message = format!("there is no matching operator `{symbol}` with the argument types: {l} {symbol} {r}");
        return Err(SqlError::new(position, message));
    };
    let start = left.position;
    let args = vec![cast::implicit(left, plan.left)?, cast::implicit(right, plan.right)?];
    let name = format!("{} {}", op.symbol(), plan.result);
    let kernel = Arc::new(move |args: &Args| Ok(run(op, plan.result, args)));
    let answer = Function::new(&name, 2, plan.result, Volatility::Immutable, kernel);
    Ok(answer.call(args, plan.result, position)?.at(start))
}

/// Returns the kind of a DECIMAL or an array beside the word NULL.
fn beside_null(op: Arithmetic, left: Kind, right: Kind) -> Option<Kind> {
    let takes_null = |kind: Kind| matches!(kind, Kind::Decimal(..) | Kind::Array(_)) && !op.is_bitwise();
    match (left, right) {
        (kind, Kind::Null) | (Kind::Null, kind) if takes_null(kind) => Some(kind),
        _ => None,
    }
}

/// Returns the answer of two constants that fit INT: LONG if it does not fit INT, NULL if it is the sentinel.
fn between_int_constants(op: Arithmetic, left: &Typed, right: &Typed) -> Option<Typed> {
    let is_int = |t: &Typed| matches!(t.kind, Kind::Byte | Kind::Short | Kind::Int);
    if !is_int(left) || !is_int(right) || op.is_bitwise() {
        return None;
    }
    let (l, r) = (left.as_integer()?, right.as_integer()?);
    let value = match op {
        Arithmetic::Add => l + r,
        Arithmetic::Sub => l - r,
        Arithmetic::Mul => l * r,
        _ => return None,
    };
    Some(match i32::try_from(value) {
        Ok(i32::MIN) => Typed::literal(ScalarValue::Int32(None), Kind::Int, left.position),
        Ok(int) => Typed::int(int, left.position),
        Err(_) if value as i32 == i32::MIN => Typed::literal(ScalarValue::Int32(None), Kind::Int, left.position),
        Err(_) => Typed::long(value, left.position),
    })
}

/// Returns in which kinds `left op right` is done; None if the operator does not take them.
fn plan(op: Arithmetic, left: &Typed, right: &Typed) -> Option<Plan> {
    let (l, r) = (left.kind, right.kind);
    let none = |kind: Kind| kind == Kind::Boolean || !(kind.is_number() || kind.is_time() || is_textual(kind));
    if none(l) || none(r) {
        return None;
    }
    if op.is_bitwise() {
        let (l, r) = (bits_beside(l, r), bits_beside(r, l));
        return bitwise(l, r).map(Plan::same);
    }
    if l.is_time() || r.is_time() {
        return Some(with_moment(op, left, right));
    }
    Some(Plan::same(promote(op, number_beside(op, l, r), number_beside(op, r, l))))
}

fn is_textual(kind: Kind) -> bool {
    kind.is_text() || matches!(kind, Kind::Char | Kind::Null)
}

/// Returns what an operand is read as: text as the number beside it, or as a DOUBLE beside other text.
fn number_beside(op: Arithmetic, kind: Kind, other: Kind) -> Kind {
    match (kind, other) {
        (Kind::Char, Kind::Char | Kind::Null) => Kind::Int,
        (Kind::Char, _) if other.is_number() => other,
        (Kind::Char, _) => Kind::Double,
        _ if !kind.is_text() => kind,
        (_, Kind::Byte | Kind::Short) if matches!(op, Arithmetic::Mul | Arithmetic::Div) => Kind::Long,
        _ if other.is_number() => other,
        _ => Kind::Double,
    }
}

/// Returns what an operand of a bit operation is read as.
fn bits_beside(kind: Kind, other: Kind) -> Kind {
    match (kind, other) {
        (Kind::Char, _) => Kind::Int,
        (_, Kind::Int) if kind.is_text() => Kind::Int,
        _ if kind.is_text() => Kind::Long,
        _ => kind,
    }
}

/// Returns the kind of two numbers.
fn promote(op: Arithmetic, l: Kind, r: Kind) -> Kind {
    use Kind::*;
    match (l, r) {
        (Double, _) | (_, Double) => Double,
        (Float, _) | (_, Float) if op == Arithmetic::Sub => Double,
        (Float, Long) | (Long, Float) => Double,
        (Float, _) | (_, Float) => Float,
        (Long, _) | (_, Long) => Long,
        _ => Int,
    }
}

/// Returns the kinds of an operation on a moment: raw numbers, and a TIMESTAMP only where a constant is taken from it or
/// anything whole is added to it.
fn with_moment(op: Arithmetic, left: &Typed, right: &Typed) -> Plan {
    let (l, r) = (left.kind, right.kind);
    if l == Kind::Double || r == Kind::Double || l == Kind::Float || r == Kind::Float {
        return Plan::same(Kind::Double);
    }
    let moment = match op {
        Arithmetic::Add => l.is_time(),
        Arithmetic::Sub => l.is_time() && right.is_literal(),
        _ => false,
    };
    if !moment {
        return Plan::same(Kind::Long);
    }
    let of_ns = l == Kind::TimestampNs || (l, r) == (Kind::Timestamp, Kind::TimestampNs);
    let moment = if of_ns { l } else { Kind::Timestamp };
    Plan { left: moment, right: Kind::Long, result: moment }
}

/// Returns the kind of a bit operation; None if an operand has no bits.
fn bitwise(l: Kind, r: Kind) -> Option<Kind> {
    let width = |kind: Kind| match kind {
        Kind::Null => Some(Kind::Null),
        Kind::Byte | Kind::Short | Kind::Int => Some(Kind::Int),
        Kind::Long | Kind::Date | Kind::Timestamp | Kind::TimestampNs => Some(Kind::Long),
        _ => None,
    };
    match (width(l)?, width(r)?) {
        (Kind::Long, _) | (_, Kind::Long) => Some(Kind::Long),
        _ => Some(Kind::Int),
    }
}

fn run(op: Arithmetic, kind: Kind, args: &Args) -> ArrayRef {
    match kind {
        Kind::Int => pairs::<Int32Type, Int32Type>(args, |l, r| int(op, l, r)),
        Kind::Long => pairs::<Int64Type, Int64Type>(args, |l, r| long(op, l, r)),
        Kind::Float => pairs::<Float32Type, Float32Type>(args, |l, r| {
            Some(float(op, f64::from(l), f64::from(r)) as f32).filter(|v| v.is_finite())
        }),
        Kind::Timestamp => moments::<TimestampMicrosecondType>(op, args),
        Kind::TimestampNs => moments::<TimestampNanosecondType>(op, args),
        _ => doubles(op, args),
    }
}

/// One loop an operation, so that the compiler makes each a wide one.
fn doubles(op: Arithmetic, args: &Args) -> ArrayRef {
    match op {
        Arithmetic::Add => wide_doubles(args, |l, r| l + r),
        Arithmetic::Sub => wide_doubles(args, |l, r| l - r),
        Arithmetic::Mul => wide_doubles(args, |l, r| l * r),
        Arithmetic::Div => wide_doubles(args, |l, r| l / r),
        _ => pairs::<Float64Type, Float64Type>(args, |l, r| Some(float(op, l, r)).filter(|v| v.is_finite())),
    }
}

/// As [`pairs`] of doubles, with NULL for what is not finite.
fn wide_doubles(args: &Args, f: impl Fn(f64, f64) -> f64) -> ArrayRef {
    let (values, nulls): (Vec<f64>, Option<NullBuffer>) = match (args.doubles(0), args.doubles(1)) {
        (Numbers::Array(left), Numbers::Array(right)) => {
            let values = left.values().iter().zip(right.values()).map(|(l, r)| f(*l, *r)).collect();
            (values, NullBuffer::union(left.nulls(), right.nulls()))
        }
        (Numbers::Array(left), Numbers::One(Some(right))) => {
            (left.values().iter().map(|l| f(*l, right)).collect(), left.nulls().cloned())
        }
        (Numbers::One(Some(left)), Numbers::Array(right)) => {
            (right.values().iter().map(|r| f(left, *r)).collect(), right.nulls().cloned())
        }
        (left, right) => return column::<Float64Type>(args.rows(), |row| finite(f(left.get(row)?, right.get(row)?))),
    };
    // what stands where NULL is may be anything
    if values.iter().fold(true, |all, value| all & value.is_finite()) {
        return Arc::new(PrimitiveArray::<Float64Type>::new(values.into(), nulls));
    }
    let finite = NullBuffer::from(BooleanBuffer::collect_bool(values.len(), |row| values[row].is_finite()));
    let nulls = NullBuffer::union(nulls.as_ref(), Some(&finite)).filter(|nulls| nulls.null_count() > 0);
    Arc::new(PrimitiveArray::<Float64Type>::new(values.into(), nulls))
}

fn finite(value: f64) -> Option<f64> {
    Some(value).filter(|value| value.is_finite())
}

/// Returns a column of `f` over the pairs of argument 0 and 1; a NULL in either is NULL.
fn pairs<I: ArrowPrimitiveType, O: ArrowPrimitiveType>(
    args: &Args,
    f: impl Fn(I::Native, I::Native) -> Option<O::Native>,
) -> ArrayRef {
    let (left, right) = (args.numbers::<I>(0), args.numbers::<I>(1));
    column::<O>(args.rows(), |row| f(left.get(row)?, right.get(row)?))
}

/// Adds whole units to moments, or takes them away.
fn moments<T: ArrowPrimitiveType<Native = i64>>(op: Arithmetic, args: &Args) -> ArrayRef {
    let raw = |i: usize| {
        arrow::compute::cast(&args.array(i), &arrow::datatypes::DataType::Int64)
            .expect("moments and whole numbers are 64 bits wide")
    };
    let values = [raw(0), raw(1)].map(datafusion::logical_expr::ColumnarValue::Array);
    pairs::<Int64Type, T>(&Args::new(&values, args.rows()), |l, r| long(op, l, r))
}

fn int(op: Arithmetic, l: i32, r: i32) -> Option<i32> {
    let value = match op {
        Arithmetic::Add => l.wrapping_add(r),
        Arithmetic::Sub => l.wrapping_sub(r),
        Arithmetic::Mul => l.wrapping_mul(r),
        Arithmetic::Div => l.checked_div(r)?,
        Arithmetic::Mod => l.checked_rem(r)?,
        Arithmetic::BitAnd => l & r,
        Arithmetic::BitOr => l | r,
        Arithmetic::BitXor => l ^ r,
    };
    (value != i32::MIN).then_some(value)
}

fn long(op: Arithmetic, l: i64, r: i64) -> Option<i64> {
    let value = match op {
        Arithmetic::Add => l.wrapping_add(r),
        Arithmetic::Sub => l.wrapping_sub(r),
        Arithmetic::Mul => l.wrapping_mul(r),
        Arithmetic::Div => l.checked_div(r)?,
        Arithmetic::Mod => l.checked_rem(r)?,
        Arithmetic::BitAnd => l & r,
        Arithmetic::BitOr => l | r,
        Arithmetic::BitXor => l ^ r,
    };
    (value != i64::MIN).then_some(value)
}

fn float(op: Arithmetic, l: f64, r: f64) -> f64 {
    match op {
        Arithmetic::Add => l + r,
        Arithmetic::Sub => l - r,
        Arithmetic::Mul => l * r,
        Arithmetic::Div => l / r,
        Arithmetic::Mod => l % r,
        Arithmetic::BitAnd | Arithmetic::BitOr | Arithmetic::BitXor => f64::NAN,
    }
}

/// Binds unary minus; `position` is the operator's.
pub fn negate(arg: Typed, position: usize) -> Result<Typed, SqlError> {
    if arg.kind == Kind::Null {
        return Ok(arg.at(position));
    }
    if matches!(arg.kind, Kind::Decimal(..) | Kind::Array(_)) {
        return own::negate(arg, position);
    }
    let kind = match arg.kind {
        Kind::Byte | Kind::Short | Kind::Int | Kind::Long | Kind::Float | Kind::Double => arg.kind,
        Kind::Date | Kind::Timestamp | Kind::TimestampNs => Kind::Long,
        Kind::String | Kind::Symbol | Kind::Varchar => Kind::Double,
        Kind::Null | Kind::Char => Kind::Int,
        Kind::Boolean | Kind::Uuid | Kind::Ipv4 | Kind::Long256 | Kind::Binary => {
            return Err(no_unary("-", arg.kind, position));
        }
        Kind::Geohash(_) | Kind::Array(_) | Kind::Decimal(..) => return Err(no_unary("-", arg.kind, position)),
    };
    unary("negate", arg, kind, position, move |args| match kind {
        Kind::Byte => singles::<Int8Type>(args, |v| Some(v.wrapping_neg())),
        Kind::Short => singles::<Int16Type>(args, |v| Some(v.wrapping_neg())),
        Kind::Int => singles::<Int32Type>(args, |v| Some(v.wrapping_neg())),
        Kind::Long => singles::<Int64Type>(args, |v| Some(v.wrapping_neg())),
        Kind::Float => singles::<Float32Type>(args, |v| Some(-v)),
        _ => singles::<Float64Type>(args, |v| Some(-v)),
    })
}

/// Binds `~`; `position` is the operator's.
pub fn bit_not(arg: Typed, position: usize) -> Result<Typed, SqlError> {
    if arg.kind == Kind::Ipv4 {
        return own::ipv4_not(arg, position);
    }
    let bits = if arg.kind == Kind::Null { Kind::Long } else { bits_beside(arg.kind, arg.kind) };
    let kind = bitwise(bits, bits).ok_or_else(|| no_unary("~", arg.kind, position))?;
    unary("~", arg, kind, position, move |args| match kind {
        Kind::Int => singles::<Int32Type>(args, |v| Some(!v).filter(|v| *v != i32::MIN)),
        _ => singles::<Int64Type>(args, |v| Some(!v).filter(|v| *v != i64::MIN)),
    })
}

fn no_unary(symbol: &str, kind: Kind, position: usize) -> SqlError {
    SqlError::new(position, format!("there is no matching operator `{symbol}` with the argument type: {kind}"))
}

fn unary(
    name: &str,
    arg: Typed,
    kind: Kind,
    position: usize,
    kernel: impl Fn(&Args) -> ArrayRef + Send + Sync + 'static,
) -> Result<Typed, SqlError> {
    let arg = cast::implicit(arg, kind)?;
    let name = format!("{name} {kind}");
    let kernel = Arc::new(move |args: &Args| Ok(kernel(args)));
    Function::new(&name, 1, kind, Volatility::Immutable, kernel).call(vec![arg], kind, position)
}

fn singles<T: ArrowPrimitiveType>(args: &Args, f: impl Fn(T::Native) -> Option<T::Native>) -> ArrayRef {
    let values = args.numbers::<T>(0);
    column::<T>(args.rows(), |row| f(values.get(row)?))
}
