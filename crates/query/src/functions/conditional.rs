//! CASE, coalesce, nullif, greatest, least, and the one type that several values have in common.

use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType};
use arrow::datatypes::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType,
};
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{Expr, Volatility};

use super::cast;
use super::cell::{self, Cell};
use super::comparison::{Comparison, compare};
use super::kernel::{Args, Function, column};
use super::typed::{Call, Typed};
use super::{Binding, Environment};
use crate::error::SqlError;
use crate::kind::Kind;

/// Returns the binding of a function that chooses between its arguments.
pub fn find(name: &str) -> Option<Binding> {
    Some(match name {
        "coalesce" => Binding::Own(coalesce),
        "nullif" => Binding::Own(nullif),
        "greatest" => Binding::Own(|call, _| extreme(call, true)),
        "least" => Binding::Own(|call, _| extreme(call, false)),
        _ => return None,
    })
}

/// Returns the wider of two kinds of numbers.
fn wider(l: Kind, r: Kind) -> Kind {
    let rank = |kind: Kind| {
        [Kind::Byte, Kind::Short, Kind::Int, Kind::Long, Kind::Float, Kind::Double].iter().position(|k| *k == kind)
    };
    if rank(l) >= rank(r) { l } else { r }
}

fn is_textual(kind: Kind) -> bool {
    kind.is_text() || kind == Kind::Char
}

/// Returns the kind that the branches of CASE or the arguments of coalesce share; a bare NULL fits everything.
///
/// Numbers widen, texts mix; everything else must be alike. The error stands at the value that does not fit.
pub fn branch_kind<'a>(values: impl IntoIterator<Item = &'a Typed>) -> Result<Kind, SqlError> {
    let mut common = Kind::Null;
    for value in values {
        let kind = value.kind;
        common = match (common, kind) {
            (Kind::Null, Kind::Symbol) => Kind::String,
            (Kind::Null, kind) => kind,
            (common, Kind::Null) => common,
            (l, r) if l.is_number() && r.is_number() => wider(l, r),
            (Kind::Varchar, r) if is_textual(r) => Kind::Varchar,
            (l, Kind::Varchar) if is_textual(l) => Kind::Varchar,
            (Kind::Char, Kind::Char) => Kind::Char,
            (l, r) if is_textual(l) && is_textual(r) => Kind::String,
            (l, r) if l == r => l,
            (l @ (Kind::Uuid | Kind::Ipv4), r) if is_textual(r) => l,
            (l, r @ (Kind::Uuid | Kind::Ipv4)) if is_textual(l) => r,
            (Kind::Timestamp, Kind::TimestampNs) | (Kind::TimestampNs, Kind::Timestamp) => Kind::TimestampNs,
            (l, r) if decimals(l, r).is_some() => decimals(l, r).unwrap_or(l),
            (to, from) => {
                let message = format!("inconvertible types: {from} -> {to} [from={from}, to={to}]");
                return Err(SqlError::new(value.position, message));
            }
        };
    }
    Ok(common)
}

/// Returns the decimal that two kinds share, one of which is a decimal.
fn decimals(l: Kind, r: Kind) -> Option<Kind> {
    let is_decimal = |kind: Kind| matches!(kind, Kind::Decimal(..));
    if is_decimal(l) || is_decimal(r) { super::decimal::common_kind(l, r) } else { None }
}

/// Returns the kind of a UNION column over branches of two kinds; None if they do not go together.
pub fn union_kind(l: Kind, r: Kind) -> Option<Kind> {
    Some(match (l, r) {
        (Kind::Null, kind) | (kind, Kind::Null) => kind,
        (Kind::Symbol, Kind::Symbol) => Kind::String,
        (l, r) if l == r => l,
        (l, r) if l.is_number() && r.is_number() => wider(l, r),
        (Kind::TimestampNs, r) if r.is_time() => Kind::TimestampNs,
        (l, Kind::TimestampNs) if l.is_time() => Kind::TimestampNs,
        (l, r) if l.is_time() && r.is_time() => Kind::Timestamp,
        (Kind::Binary, _) | (_, Kind::Binary) => return None,
        (Kind::Geohash(l), Kind::Geohash(r)) => Kind::Geohash(l.min(r)),
        (hash @ Kind::Geohash(_), r) if r.is_text() => hash,
        (l, hash @ Kind::Geohash(_)) if l.is_text() => hash,
        (Kind::Array(l), Kind::Array(r)) => Kind::Array(l.max(r)),
        (array @ Kind::Array(_), Kind::Double) | (Kind::Double, array @ Kind::Array(_)) => array,
        (l, r) if decimals(l, r).is_some() => return decimals(l, r),
        (Kind::Decimal(..), Kind::Float | Kind::Double) | (Kind::Float | Kind::Double, Kind::Decimal(..)) => {
            Kind::String
        }
        (Kind::Uuid, Kind::Ipv4) | (Kind::Ipv4, Kind::Uuid) => Kind::String,
        (Kind::Symbol | Kind::Char, Kind::Varchar) | (Kind::Varchar, Kind::Symbol | Kind::Char) => Kind::Varchar,
        (l, r) if is_textual(l) && is_textual(r) => Kind::String,
        (l, r) if l.is_text() || r.is_text() => {
            let text = if l.is_text() { l } else { r };
            if text == Kind::Varchar { Kind::Varchar } else { Kind::String }
        }
        (Kind::Boolean, r) if r.is_number() => Kind::String,
        (l, Kind::Boolean) if l.is_number() => Kind::String,
        _ => return None,
    })
}

/// Returns the kind of a column of a UNION, EXCEPT or INTERSECT over branches of two kinds.
pub fn set_kind(left: Kind, right: Kind, column: &str, position: usize) -> Result<Kind, SqlError> {
    union_kind(left, right)
        .ok_or_else(|| SqlError::new(position, format!("unsupported cast [column={column}, from={left}, to={right}]")))
}

/// Binds CASE. With an operand, each branch's first part is a constant that is compared with it, NULL included.
pub fn case(
    operand: Option<Typed>,
    branches: Vec<(Typed, Typed)>,
    otherwise: Option<Typed>,
    position: usize,
) -> Result<Typed, SqlError> {
    let kind = branch_kind(branches.iter().map(|(_, then)| then).chain(otherwise.as_ref()))?;
    let mut seen: Vec<Expr> = Vec::new();
    let mut when_then = Vec::new();
    for (when, then) in branches {
        let condition = match &operand {
            None if when.kind == Kind::Boolean => when.expr,
            None => {
                return Err(SqlError::new(when.position, format!("BOOLEAN expected, found {}", when.kind)));
            }
            Some(_) if !when.is_literal() => return Err(SqlError::new(when.position, "constant expected")),
            Some(_) if seen.contains(&when.expr) => return Err(SqlError::new(when.position, "duplicate branch")),
            Some(operand) => {
                seen.push(when.expr.clone());
                let place = when.position;
                let when = if operand.kind == Kind::Boolean { truth(when) } else { when };
                compare(Comparison::Eq, operand.clone(), when, place)?.expr
            }
        };
        when_then.push((Box::new(condition), Box::new(branch(then, kind)?)));
    }
    let otherwise = match otherwise {
        Some(value) => branch(value, kind)?,
        None => Expr::Literal(kind.null(), None),
    };
    let case = Case { expr: None, when_then_expr: when_then, else_expr: Some(Box::new(otherwise)) };
    Ok(Typed::new(Expr::Case(case), kind, position))
}

/// Returns the boolean that a constant names as PostgreSQL's clients do: `CASE attnotnull WHEN 't'`.
fn truth(value: Typed) -> Typed {
    match value.as_text() {
        Some("t" | "true") => Typed::boolean(true, value.position),
        Some("f" | "false") => Typed::boolean(false, value.position),
        _ => value,
    }
}

fn branch(value: Typed, kind: Kind) -> Result<Expr, SqlError> {
    Ok(cast::implicit(value, kind)?.expr)
}

fn coalesce(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    if call.args.len() < 2 {
        return Err(SqlError::new(call.position, "coalesce can be used with 2 or more arguments"));
    }
    let kind = branch_kind(&call.args)?;
    if kind == Kind::Null {
        return Err(SqlError::new(call.position, "coalesce cannot be used with NULL data type"));
    }
    let mut candidates = Vec::new();
    for arg in call.args.iter().filter(|a| a.kind != Kind::Null) {
        let never_null = !arg.kind.is_nullable() || arg.as_literal().is_some_and(|v| !v.is_null());
        candidates.push(cast::implicit(arg.clone(), kind)?.expr);
        if never_null {
            break;
        }
    }
    let last = candidates.pop().expect("some argument is not the bare NULL");
    if candidates.is_empty() {
        return Ok(Typed::new(last, kind, call.position));
    }
    let when_then_expr =
        candidates.into_iter().map(|c| (Box::new(c.clone().is_not_null()), Box::new(c))).collect::<Vec<_>>();
    let case = Case { expr: None, when_then_expr, else_expr: Some(Box::new(last)) };
    Ok(Typed::new(Expr::Case(case), kind, call.position))
}

fn nullif(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let [value, other] = call.args.as_slice() else {
        return Err(call.no_match());
    };
    let (l, r) = (value.kind, other.kind);
    let raw = |kind: Kind| if kind.is_time() { Kind::Long } else { kind };
    let kind = match (raw(l), raw(r)) {
        (Kind::Boolean, _) | (_, Kind::Boolean) => return Err(call.no_match()),
        (Kind::Decimal(..), r) if matches!(r, Kind::Decimal(..)) || r.is_integer() => {
            return null_where(call, value.clone(), other.clone(), l);
        }
        (Kind::Char | Kind::Null, Kind::Char) | (Kind::Char, Kind::Null) => Kind::Char,
        (l, r) if is_textual(l) && (is_textual(r) || r == Kind::Null) => Kind::String,
        (Kind::Null, r) if is_textual(r) => Kind::String,
        (l, r) if l.is_number() && r.is_number() => wider(Kind::Int, wider(l, r)),
        (l, _) if l.is_number() => wider(Kind::Int, l),
        (_, r) if r.is_number() => wider(Kind::Int, r),
        _ => Kind::String,
    };
    let convert = |arg: &Typed| cast::implicit(arg.clone(), kind);
    null_where(call, convert(value)?, convert(other)?, kind)
}

fn null_where(call: &Call, value: Typed, other: Typed, kind: Kind) -> Result<Typed, SqlError> {
    let equal = compare(Comparison::Eq, value.clone(), other, call.position)?;
    let when_then_expr = vec![(Box::new(equal.expr), Box::new(Expr::Literal(kind.null(), None)))];
    let case = Case { expr: None, when_then_expr, else_expr: Some(Box::new(value.expr)) };
    Ok(Typed::new(Expr::Case(case), kind, call.position))
}

/// Binds greatest or least: NULL arguments are skipped.
fn extreme(call: &Call, greatest: bool) -> Result<Typed, SqlError> {
    if call.args.is_empty() {
        let name = call.name.to_ascii_uppercase();
        return Err(SqlError::new(call.position, format!("at least one argument is required by {name}(V)")));
    }
    let mut kind = Kind::Null;
    for arg in &call.args {
        kind = match (kind, arg.kind) {
            (kind, Kind::Null) => kind,
            (Kind::Null, other @ Kind::Decimal(..)) => other,
            (l, r) if decimals(l, r).is_some() => decimals(l, r).unwrap_or(l),
            (Kind::TimestampNs, r) if r.is_time() => Kind::TimestampNs,
            (l, Kind::TimestampNs) if l.is_time() => Kind::TimestampNs,
            (Kind::Decimal(..), Kind::Float | Kind::Double) | (Kind::Float | Kind::Double, Kind::Decimal(..)) => {
                Kind::Double
            }
            (_, other) if !other.is_number() && !other.is_time() => {
                return Err(SqlError::new(arg.position, format!("unsupported type: {other}")));
            }
            (Kind::Null, other) => other,
            (l, r) if l == r => l,
            (l, r) if l.is_number() && r.is_number() => wider(l, r),
            _ => Kind::Timestamp,
        };
    }
    let kind = if kind == Kind::Null { Kind::Int } else { kind };
    let args = call.args.iter().map(|a| cast::implicit(a.clone(), kind)).collect::<Result<Vec<_>, _>>()?;
    let kernel = Arc::new(move |args: &Args| match kind {
        Kind::Decimal(..) => decimal_extremes(args, kind, greatest),
        kind => Ok(extremes(args, kind, greatest)),
    });
    let name = format!("{} {kind}", if greatest { "greatest" } else { "least" });
    Function::new(&name, args.len(), kind, Volatility::Immutable, kernel).call(args, kind, call.position)
}

fn decimal_extremes(args: &Args, kind: Kind, greatest: bool) -> Result<ArrayRef, SqlError> {
    let columns: Vec<_> = (0..args.len()).map(|i| cell::reader(args, i)).collect();
    cell::build(kind, args.rows(), |row| {
        let values = columns.iter().map(|c| c(row)).collect::<Vec<_>>();
        let numbers = values.iter().map(|v| if let Cell::Decimal(n) = v { Some(*n) } else { None });
        let best = numbers.flatten().reduce(|l, r| if (r > l) == greatest { r } else { l });
        Ok(best.map_or(Cell::Null, Cell::Decimal))
    })
}

fn extremes(args: &Args, kind: Kind, greatest: bool) -> ArrayRef {
    match kind {
        Kind::Byte => extreme_of::<Int8Type>(args, greatest),
        Kind::Short => extreme_of::<Int16Type>(args, greatest),
        Kind::Int => extreme_of::<Int32Type>(args, greatest),
        Kind::Float => extreme_of::<Float32Type>(args, greatest),
        Kind::Double => extreme_of::<Float64Type>(args, greatest),
        Kind::Date => extreme_of::<TimestampMillisecondType>(args, greatest),
        Kind::Timestamp => extreme_of::<TimestampMicrosecondType>(args, greatest),
        Kind::TimestampNs => extreme_of::<TimestampNanosecondType>(args, greatest),
        _ => extreme_of::<Int64Type>(args, greatest),
    }
}

fn extreme_of<T: ArrowPrimitiveType>(args: &Args, greatest: bool) -> ArrayRef {
    let columns: Vec<_> = (0..args.len()).map(|i| args.numbers::<T>(i)).collect();
    column::<T>(args.rows(), |row| {
        columns.iter().filter_map(|c| c.get(row)).reduce(|l, r| if (r > l) == greatest { r } else { l })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::{environment, scalar};

    fn check(name: &str, args: Vec<Typed>, expected: &str) {
        let shown = match scalar(&Call::new(name, 7, args), &environment::fixed()) {
            Ok(typed) => format!("{} {}", typed.kind, typed.expr),
            Err(e) => format!("{} at {}", e.message, e.position),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn branches_agree_on_a_type() {
        let kind = |kinds: &[Kind]| {
            let values: Vec<Typed> = kinds.iter().map(|k| Typed::literal(k.null(), *k, 5)).collect();
            branch_kind(&values).map_err(|e| e.message)
        };
        assert_eq!(kind(&[Kind::Int, Kind::Double]), Ok(Kind::Double));
        assert_eq!(kind(&[Kind::Byte, Kind::Null]), Ok(Kind::Byte));
        assert_eq!(kind(&[Kind::Symbol, Kind::Symbol]), Ok(Kind::String));
        assert_eq!(kind(&[Kind::String, Kind::Varchar, Kind::Symbol]), Ok(Kind::Varchar));
        assert_eq!(kind(&[Kind::Char, Kind::Char]), Ok(Kind::Char));
        let refused = "inconvertible types: STRING -> INT [from=STRING, to=INT]";
        assert_eq!(kind(&[Kind::Int, Kind::String]), Err(refused.to_owned()));
        let refused = "inconvertible types: DATE -> TIMESTAMP [from=DATE, to=TIMESTAMP]";
        assert_eq!(kind(&[Kind::Timestamp, Kind::Date]), Err(refused.to_owned()));
    }

    #[test]
    fn unions_widen() {
        assert_eq!(union_kind(Kind::Int, Kind::Varchar), Some(Kind::Varchar));
        assert_eq!(union_kind(Kind::Symbol, Kind::Varchar), Some(Kind::Varchar));
        assert_eq!(union_kind(Kind::String, Kind::Varchar), Some(Kind::String));
        assert_eq!(union_kind(Kind::Date, Kind::Timestamp), Some(Kind::Timestamp));
        assert_eq!(union_kind(Kind::Int, Kind::Timestamp), None);
        assert_eq!(union_kind(Kind::Long, Kind::Float), Some(Kind::Float));
    }

    #[test]
    fn extremes_skip_null() {
        check("greatest", vec![Typed::int(3, 0), Typed::null(0)], "INT Int32(3)");
        check("greatest", vec![Typed::int(1, 0), Typed::double(2.5, 0)], "DOUBLE Float64(2.5)");
        check("least", vec![Typed::long(-1, 0), Typed::int(5, 0)], "LONG Int64(-1)");
        check("greatest", vec![Typed::text("a", 16)], "unsupported type: CHAR at 16");
        check("greatest", vec![], "at least one argument is required by GREATEST(V) at 7");
    }

    #[test]
    fn coalesce_wants_values() {
        check("coalesce", vec![Typed::int(1, 0)], "coalesce can be used with 2 or more arguments at 7");
        check("coalesce", vec![Typed::null(0), Typed::null(0)], "coalesce cannot be used with NULL data type at 7");
        check("coalesce", vec![Typed::null(0), Typed::int(5, 0)], "INT Int32(5)");
    }
}
