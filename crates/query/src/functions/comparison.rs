//! Comparison, IN and BETWEEN without three-valued logic.
//!
//! `=` is true for two NULLs, `<` and `>` are false beside a NULL, `<=` and `>=` are true for two. What leaves here is
//! never NULL. Plain operators are kept visible inside, and [`in_filter`] brings them to the surface where only true
//! matters, so that a scan can prune by them.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr::{InList, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, ScalarUDF, Volatility};

use super::cast;
use super::kernel::{Args, Function, boolean_column};
use super::typed::Typed;
use crate::error::SqlError;
use crate::kind::Kind;

mod own;

/// A comparison of two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Comparison {
    /// Returns the operator as error texts write it.
    pub fn symbol(self) -> &'static str {
        match self {
            Comparison::Eq => "=",
            Comparison::Ne => "!=",
            Comparison::Lt => "<",
            Comparison::Le => "<=",
            Comparison::Gt => ">",
            Comparison::Ge => ">=",
        }
    }

    fn is_equality(self) -> bool {
        matches!(self, Comparison::Eq | Comparison::Ne)
    }

    fn operator(self) -> Operator {
        match self {
            Comparison::Eq => Operator::IsNotDistinctFrom,
            Comparison::Ne => Operator::IsDistinctFrom,
            Comparison::Lt => Operator::Lt,
            Comparison::Le => Operator::LtEq,
            Comparison::Gt => Operator::Gt,
            Comparison::Ge => Operator::GtEq,
        }
    }
}

/// Binds `left op right`; `position` is the operator's.
pub fn compare(op: Comparison, left: Typed, right: Typed, position: usize) -> Result<Typed, SqlError> {
    let start = left.position;
    let shapeless = |t: &Typed| matches!(t.kind, Kind::Array(_));
    if shapeless(&left) || shapeless(&right) {
        return own::arrays(op, left, right, position);
    }
    if left.is_null_literal() && left.kind == Kind::Null || right.is_null_literal() && right.kind == Kind::Null {
        return beside_null(op, left, right, start);
    }
    if let (Kind::Geohash(l), Kind::Geohash(r)) = (left.kind, right.kind)
        && l != r
        && op.is_equality()
    {
        return Ok(Typed::boolean(op == Comparison::Ne, start));
    }
    // A column of texts may hold what is no UUID: the two are compared as texts then.
    let is_free = |text: &Typed, other: &Typed| other.kind == Kind::Uuid && text.kind.is_text() && !text.is_literal();
    let by_value = op.is_equality() && !is_free(&left, &right) && !is_free(&right, &left);
    let own_kind = own::common_kind(by_value, left.kind, right.kind);
    let Some(kind) = own_kind.unwrap_or_else(|| common_kind(op, &left, &right)) else {
        return Err(no_operator(op.symbol(), left.kind, right.kind, position));
    };
    let never_equal = op.is_equality() && (is_no(&left, right.kind) || is_no(&right, left.kind));
    let (left, right) = match (cast::implicit(left, kind), cast::implicit(right, kind)) {
        (Ok(left), Ok(right)) => (left, right),
        (Err(_), _) | (_, Err(_)) if never_equal => return Ok(Typed::boolean(op == Comparison::Ne, start)),
        (Err(e), _) | (_, Err(e)) => return Err(e),
    };
    if kind == Kind::Double {
        return compare_doubles(op, left, right, start);
    }
    Ok(Typed::new(ordered(op, left, right), Kind::Boolean, start))
}

/// Returns whether a constant text that cannot be read as `other` equals none of it instead of being an error: any text
/// beside INT, a CHAR beside LONG and moments.
fn is_no(text: &Typed, other: Kind) -> bool {
    let narrow = matches!(other, Kind::Byte | Kind::Short | Kind::Int);
    match text.kind {
        _ if !text.is_literal() => false,
        Kind::Char => narrow || other == Kind::Long || other.is_time(),
        kind => kind.is_text() && (narrow || other == Kind::Uuid),
    }
}

/// Returns the error of an operator that does not take such operands.
pub fn no_operator(symbol: &str, left: Kind, right: Kind, position: usize) -> SqlError {
    let message = format!("there is no matching operator `{symbol}` with the argument types: {left} {symbol} {right}");
    SqlError::new(position, message)
}

/// Returns the kind in which two values are compared.
fn common_kind(op: Comparison, left: &Typed, right: &Typed) -> Option<Kind> {
    let (l, r) = (left.kind, right.kind);
    if l == Kind::Boolean || r == Kind::Boolean {
        // drivers write 't' and 'f' for a flag
        let letter = |value: &Typed| value.as_text().is_some_and(|text| matches!(text, "t" | "T" | "f" | "F"));
        let truth = |value: &Typed| value.kind == Kind::Boolean || value.kind == Kind::Char && letter(value);
        return (truth(left) && truth(right) && op.is_equality()).then_some(Kind::Boolean);
    }
    let text = |kind: Kind| kind.is_text() || kind == Kind::Char;
    Some(match (l, r) {
        _ if text(l) && text(r) => Kind::String,
        (Kind::Date, Kind::Date) => Kind::Date,
        (Kind::TimestampNs, r) if r.is_time() => Kind::TimestampNs,
        (l, Kind::TimestampNs) if l.is_time() => Kind::TimestampNs,
        _ if l.is_time() && r.is_time() => Kind::Timestamp,
        _ if l.is_time() || r.is_time() => {
            let (moment, other) = if l.is_time() { (l, r) } else { (r, l) };
            if matches!(other, Kind::Float | Kind::Double) { Kind::Double } else { moment }
        }
        // an integer is the text that it has, and a fraction has more than one
        (Kind::Symbol, n) | (n, Kind::Symbol) if n.is_integer() && op.is_equality() => Kind::String,
        (Kind::Symbol, Kind::Float | Kind::Double) | (Kind::Float | Kind::Double, Kind::Symbol) => return None,
        _ if text(l) => wider(r, r),
        _ if text(r) => wider(l, l),
        _ => wider(l, r),
    })
}

/// Returns the wider of two kinds of numbers: INT, LONG or DOUBLE.
fn wider(l: Kind, r: Kind) -> Kind {
    match (l, r) {
        (Kind::Float | Kind::Double, _) | (_, Kind::Float | Kind::Double) => Kind::Double,
        (Kind::Long, _) | (_, Kind::Long) => Kind::Long,
        _ => Kind::Int,
    }
}

/// Returns a comparison with the bare NULL: two NULLs are equal, and neither is less.
fn beside_null(op: Comparison, left: Typed, right: Typed, position: usize) -> Result<Typed, SqlError> {
    let value = if left.kind == Kind::Null { right } else { left };
    let null_is_true = matches!(op, Comparison::Eq | Comparison::Le | Comparison::Ge);
    let constant = match &value.expr {
        Expr::Literal(literal, _) => Some(literal.is_null()),
        _ if !value.kind.is_nullable() => Some(false),
        _ => None,
    };
    Ok(match (op, constant) {
        (Comparison::Lt | Comparison::Gt, _) => Typed::boolean(false, position),
        (_, Some(is_null)) => Typed::boolean(is_null == null_is_true, position),
        (Comparison::Ne, None) => Typed::new(value.expr.is_not_null(), Kind::Boolean, position),
        (_, None) => Typed::new(value.expr.is_null(), Kind::Boolean, position),
    })
}

/// Returns whether a value is surely not NULL.
fn never_null(value: &Typed) -> bool {
    match value.as_literal() {
        Some(literal) => !literal.is_null(),
        None => !value.kind.is_nullable(),
    }
}

/// Returns a comparison of two values of one kind that is never NULL.
fn ordered(op: Comparison, left: Typed, right: Typed) -> Expr {
    if let (Some(l), Some(r)) = (left.as_literal(), right.as_literal())
        && let Some(value) = constants(op, l, r)
    {
        return Expr::Literal(ScalarValue::Boolean(Some(value)), None);
    }
    let (left_sure, right_sure) = (never_null(&left), never_null(&right));
    let (l, r) = (Box::new(left.expr), Box::new(right.expr));
    let plain = Expr::BinaryExpr(BinaryExpr { left: l.clone(), op: op.operator(), right: r.clone() });
    match op {
        Comparison::Eq | Comparison::Ne => plain,
        _ if left_sure && right_sure => plain,
        Comparison::Lt | Comparison::Gt => Expr::IsTrue(Box::new(plain)),
        _ if left_sure || right_sure => Expr::IsTrue(Box::new(plain)),
        Comparison::Le | Comparison::Ge => Expr::IsTrue(Box::new(plain)).or(l.is_null().and(r.is_null())),
    }
}

fn constants(op: Comparison, left: &ScalarValue, right: &ScalarValue) -> Option<bool> {
    use std::cmp::Ordering::*;
    if left.is_null() || right.is_null() {
        let both = left.is_null() && right.is_null();
        return Some(match op {
            Comparison::Eq | Comparison::Le | Comparison::Ge => both,
            Comparison::Ne => !both,
            Comparison::Lt | Comparison::Gt => false,
        });
    }
    let order = left.partial_cmp(right)?;
    Some(match op {
        Comparison::Eq => order == Equal,
        Comparison::Ne => order != Equal,
        Comparison::Lt => order == Less,
        Comparison::Le => order != Greater,
        Comparison::Gt => order == Greater,
        Comparison::Ge => order != Less,
    })
}

/// Doubles that differ by no more than this are equal, and neither is less.
const DOUBLE_TOLERANCE: f64 = 1e-10;

/// Returns what a comparison of two doubles says; None is NULL.
#[inline]
pub fn doubles(op: Comparison, left: Option<f64>, right: Option<f64>) -> bool {
    let (Some(l), Some(r)) = (left, right) else {
        let both = left.is_none() && right.is_none();
        return match op {
            Comparison::Eq | Comparison::Le | Comparison::Ge => both,
            Comparison::Ne => !both,
            Comparison::Lt | Comparison::Gt => false,
        };
    };
    let (equal, less) = ((l - r).abs() <= DOUBLE_TOLERANCE, l < r);
    match op {
        Comparison::Eq => equal,
        Comparison::Ne => !equal,
        Comparison::Lt => !equal && less,
        Comparison::Le => equal || less,
        Comparison::Gt => !equal && !less,
        Comparison::Ge => equal || !less,
    }
}

fn compare_doubles(op: Comparison, left: Typed, right: Typed, position: usize) -> Result<Typed, SqlError> {
    double_comparison(op).call(vec![left, right], Kind::Boolean, position)
}

fn double_comparison(op: Comparison) -> Function {
    let kernel = Arc::new(move |args: &Args| {
        let (left, right) = (args.doubles(0), args.doubles(1));
        Ok(boolean_column(args.rows(), |row| doubles(op, left.get(row), right.get(row))))
    });
    Function::new(&format!("double {}", op.symbol()), 2, Kind::Boolean, Volatility::Immutable, kernel)
}

/// Returns which comparison of doubles the function of that name is; None for other functions.
pub fn comparison_of_doubles(name: &str) -> Option<Comparison> {
    Some(match name.strip_prefix("double ")? {
        "=" => Comparison::Eq,
        "!=" => Comparison::Ne,
        "<" => Comparison::Lt,
        "<=" => Comparison::Le,
        ">" => Comparison::Gt,
        ">=" => Comparison::Ge,
        _ => return None,
    })
}

/// Returns the comparison of doubles that is true where a call of one is false; None for other functions.
fn opposite_of_doubles(call: &ScalarFunction) -> Option<Expr> {
    let opposite = match comparison_of_doubles(call.func.name())? {
        Comparison::Eq => Comparison::Ne,
        Comparison::Ne => Comparison::Eq,
        Comparison::Lt => Comparison::Ge,
        Comparison::Le => Comparison::Gt,
        Comparison::Gt => Comparison::Le,
        Comparison::Ge => Comparison::Lt,
    };
    let udf = Arc::new(ScalarUDF::new_from_impl(double_comparison(opposite)));
    Some(Expr::ScalarFunction(ScalarFunction::new_udf(udf, call.args.clone())))
}

/// Binds `value [NOT] IN (list)`; `position` is the word IN.
///
/// A NULL in the list finds NULL. For TIMESTAMP and DATE every item is an instant: `IN 'interval'` is the planner's.
pub fn in_list(value: Typed, list: Vec<Typed>, negated: bool, position: usize) -> Result<Typed, SqlError> {
    let start = value.position;
    if list.is_empty() {
        return Err(SqlError::new(position, "too few arguments for 'in'"));
    }
    if value.kind == Kind::Boolean {
        let message = "there is no matching operator `in` with the argument type: BOOLEAN";
        return Err(SqlError::new(position, message));
    }
    let mut constants = Vec::new();
    let mut tests: Vec<Expr> = Vec::new();
    for item in list {
        check_item(&value, &item)?;
        let test = compare(Comparison::Eq, value.clone(), item, position)?;
        match test.expr {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::IsNotDistinctFrom, right })
                if *left == value.expr && matches!(&*right, Expr::Literal(v, _) if !v.is_null()) =>
            {
                constants.push(*right);
            }
            other => tests.push(other),
        }
    }
    match constants.len() {
        0 => {}
        1 => tests.insert(0, equals(value.expr.clone(), constants.remove(0))),
        _ => {
            let list = InList { expr: Box::new(value.expr.clone()), list: constants, negated: false };
            tests.insert(0, never_null_test(Expr::InList(list), &value));
        }
    }
    let any = tests.into_iter().reduce(Expr::or).expect("the list is not empty");
    let expr = if negated { negate(any) } else { any };
    Ok(Typed::new(expr, Kind::Boolean, start))
}

/// Refuses an item that IN does not compare with the value.
fn check_item(value: &Typed, item: &Typed) -> Result<(), SqlError> {
    let shown = if value.kind.is_integer() { Kind::Long } else { value.kind };
    let text = |kind: Kind| kind.is_text() || kind == Kind::Char;
    let fits = match value.kind {
        _ if item.kind == Kind::Null => true,
        kind if kind.is_integer() => item.kind.is_integer() || item.kind.is_text(),
        Kind::Float | Kind::Double => item.kind.is_number() || item.kind.is_text(),
        kind if text(kind) => text(item.kind),
        _ => item.kind != Kind::Boolean && item.kind != Kind::Char,
    };
    if !fits && value.kind == Kind::Symbol {
        return Err(SqlError::new(item.position, "STRING constant expected"));
    }
    if !fits {
        return Err(SqlError::new(item.position, format!("cannot compare {shown} with type {}", item.kind)));
    }
    if text(value.kind) && !item.is_literal() {
        return Err(SqlError::new(item.position, "constant expected"));
    }
    let number = value.kind.is_integer() && item.is_literal();
    if number && cast::implicit(item.clone(), Kind::Long).is_err() {
        let text = item.as_text().unwrap_or_default();
        return Err(SqlError::new(item.position, format!("invalid LONG value [{text}]")));
    }
    Ok(())
}

fn equals(left: Expr, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr { left: Box::new(left), op: Operator::IsNotDistinctFrom, right: Box::new(right) })
}

fn never_null_test(test: Expr, value: &Typed) -> Expr {
    if never_null(value) { test } else { Expr::IsTrue(Box::new(test)) }
}

/// Returns NOT of a test that is never NULL.
pub fn negate(test: Expr) -> Expr {
    match test {
        Expr::Literal(ScalarValue::Boolean(Some(value)), _) => Expr::Literal(ScalarValue::Boolean(Some(!value)), None),
        Expr::Not(inner) => *inner,
        other => Expr::Not(Box::new(other)),
    }
}

/// Binds `value [NOT] BETWEEN low AND high`; the bounds may stand in either order.
pub fn between(value: Typed, low: Typed, high: Typed, negated: bool, position: usize) -> Result<Typed, SqlError> {
    let start = value.position;
    let moment = value.kind.is_time();
    let takes = |t: &Typed| matches!(t.kind, Kind::Int | Kind::Long | Kind::Null) || t.kind.is_time();
    let takes_bound = |t: &Typed| takes(t) || moment && t.kind.is_text();
    let mut misfits = String::new();
    if !takes(&value) || !takes_bound(&low) || !takes_bound(&high) {
        for (i, arg) in [&value, &low, &high].into_iter().enumerate() {
            if !(arg.kind.is_time() || moment && arg.kind.is_text()) {
                misfits.push_str(&format!(" at #{} expected: TIMESTAMP, actual: {}", i + 1, arg.kind));
            }
        }
    }
    if !misfits.is_empty() {
        let message = format!("argument type mismatch for function `between`{misfits}");
        return Err(SqlError::new(high.position, message));
    }
    let any_null = [&value, &low, &high].iter().any(|t| t.is_null_literal());
    if any_null {
        return Ok(Typed::boolean(negated, start));
    }
    let moments = [&value, &low, &high].iter().any(|t| t.kind.is_time());
    let narrow = [&value, &low, &high].iter().all(|t| t.kind == Kind::Int);
    let kind = if [&value, &low, &high].iter().any(|t| t.kind == Kind::TimestampNs) {
        Kind::TimestampNs
    } else if moments {
        Kind::Timestamp
    } else if narrow {
        Kind::Int
    } else {
        Kind::Long
    };
    let (low, high) = (cast::implicit(low, kind)?, cast::implicit(high, kind)?);
    let value = cast::implicit(value, kind)?;
    let within = |low: Typed, high: Typed| -> Result<Expr, SqlError> {
        let above = compare(Comparison::Ge, value.clone(), low, position)?;
        Ok(above.expr.and(compare(Comparison::Le, value.clone(), high, position)?.expr))
    };
    let expr = match (low.as_literal(), high.as_literal()) {
        (Some(l), Some(h)) => {
            let swapped = l.partial_cmp(h) == Some(std::cmp::Ordering::Greater);
            if swapped { within(high, low)? } else { within(low, high)? }
        }
        _ => {
            let bounds = low.expr.clone().is_not_null().and(high.expr.clone().is_not_null());
            let either = within(low.clone(), high.clone())?.or(within(high, low)?);
            either.and(bounds).and(value.expr.clone().is_not_null())
        }
    };
    // As one test: NOT BETWEEN keeps NULL even where NOT of a comparison does not.
    let expr = Expr::IsTrue(Box::new(expr));
    Ok(Typed::new(if negated { negate(expr) } else { expr }, Kind::Boolean, start))
}

/// Returns a condition with each fraction that is compared with a FLOAT as the nearest FLOAT, as the peer's filters have it:
/// `f = 0.1` is meant to find it.
fn beside_floats(condition: Expr) -> Expr {
    let widened = format!("cast {} {} ", Kind::Float, Kind::Double);
    let is_float = |expr: &Expr| matches!(expr, Expr::ScalarFunction(call) if call.func.name().starts_with(&widened));
    let nearest = |expr: &Expr| match expr {
        Expr::Literal(ScalarValue::Float64(Some(value)), _) => Some(f64::from(*value as f32)).filter(|v| v.is_finite()),
        _ => None,
    };
    let nearer = |expr: Expr| {
        let Expr::ScalarFunction(call) = &expr else { return Ok(Transformed::no(expr)) };
        let (Some(_), [left, right]) = (comparison_of_doubles(call.func.name()), call.args.as_slice()) else {
            return Ok(Transformed::no(expr));
        };
        let literal = |value: f64| Expr::Literal(ScalarValue::Float64(Some(value)), None);
        let args = match (nearest(left), nearest(right)) {
            (None, Some(value)) if is_float(left) => vec![left.clone(), literal(value)],
            (Some(value), None) if is_float(right) => vec![literal(value), right.clone()],
            _ => return Ok(Transformed::no(expr)),
        };
        Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(call.func.clone(), args))))
    };
    let done = condition.clone().transform_up(nearer);
    done.map_or(condition, |done| done.data)
}

/// Returns a condition that keeps exactly the rows that `condition` is true for, with plain operators on the surface.
///
/// NOT moves inwards and turns comparisons round, as the peer does in WHERE: `NOT (n > 0)` is `n <= 0`, which leaves
/// NULL out. Use it for WHERE, HAVING and ON only: elsewhere the answer for NULL would differ.
pub fn in_filter(condition: Expr) -> Expr {
    plain(beside_floats(condition))
}

fn plain(condition: Expr) -> Expr {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let (left, right) = (Box::new(plain(*left)), Box::new(plain(*right)));
            Expr::BinaryExpr(BinaryExpr { left, op, right })
        }
        Expr::IsTrue(inner) => plain(*inner),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::IsNotDistinctFrom, right })
            if is_value(&left) || is_value(&right) =>
        {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right })
        }
        Expr::Not(inner) => turned_round(*inner),
        other => other,
    }
}

fn is_value(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value, _) if !value.is_null())
}

/// Returns NOT `condition` for a filter.
fn turned_round(condition: Expr) -> Expr {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => turned_round(*left).or(turned_round(*right)),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => turned_round(*left).and(turned_round(*right)),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::IsNotDistinctFrom, right }) => {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::IsDistinctFrom, right })
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::IsDistinctFrom, right }) => {
            plain(Expr::BinaryExpr(BinaryExpr { left, op: Operator::IsNotDistinctFrom, right }))
        }
        Expr::IsTrue(inner) => match *inner {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if op.negate().is_some() && !is_logic(op) => {
                let op = op.negate().expect("checked by the guard");
                Expr::BinaryExpr(BinaryExpr { left, op, right })
            }
            other => Expr::Not(Box::new(Expr::IsTrue(Box::new(other)))),
        },
        Expr::IsNull(inner) => Expr::IsNotNull(inner),
        Expr::IsNotNull(inner) => Expr::IsNull(inner),
        Expr::Not(inner) => plain(*inner),
        Expr::ScalarFunction(call) => opposite_of_doubles(&call).unwrap_or_else(|| negate(Expr::ScalarFunction(call))),
        other => negate(other),
    }
}

fn is_logic(op: Operator) -> bool {
    matches!(op, Operator::And | Operator::Or)
}

#[cfg(test)]
mod tests {
    use datafusion::common::Column;

    use super::*;

    fn qty() -> Typed {
        Typed::column(Column::new_unqualified("qty"), Kind::Int, 0)
    }

    fn check(op: Comparison, left: Typed, right: Typed, expected: &str) {
        let shown = match compare(op, left, right, 4) {
            Ok(typed) => typed.expr.to_string(),
            Err(e) => format!("{} at {}", e.message, e.position),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn nothing_is_ever_unknown() {
        check(Comparison::Eq, qty(), Typed::int(5, 6), "qty IS NOT DISTINCT FROM Int32(5)");
        check(Comparison::Gt, qty(), Typed::int(0, 6), "qty > Int32(0) IS TRUE");
        check(Comparison::Ge, qty(), qty(), "qty >= qty IS TRUE OR qty IS NULL AND qty IS NULL");
        check(Comparison::Eq, qty(), Typed::null(6), "qty IS NULL");
        check(Comparison::Lt, qty(), Typed::null(6), "Boolean(false)");
        check(Comparison::Ge, Typed::null(0), Typed::null(6), "Boolean(true)");
        check(Comparison::Eq, Typed::boolean(true, 0), Typed::null(6), "Boolean(false)");
    }

    #[test]
    fn constants_of_different_types_meet() {
        let truth = |value: bool| format!("Boolean({value})");
        check(Comparison::Eq, Typed::int(1, 0), Typed::double(1.0, 4), &truth(true));
        check(Comparison::Eq, Typed::int(1, 0), Typed::text("x", 4), &truth(false));
        check(Comparison::Eq, Typed::double(1.5, 0), Typed::text("1.5", 4), &truth(true));
        check(Comparison::Eq, Typed::double(1e-11, 0), Typed::int(0, 4), &truth(true));
        check(Comparison::Eq, Typed::double(1.0000000001, 0), Typed::int(1, 4), &truth(false));
        check(Comparison::Lt, Typed::text("10", 0), Typed::text("9", 4), &truth(true));
    }

    #[test]
    fn unlike_types_are_refused_at_the_operator() {
        check(
            Comparison::Eq,
            Typed::boolean(true, 0),
            Typed::int(1, 6),
            "there is no matching operator `=` with the argument types: BOOLEAN = INT at 4",
        );
    }

    #[test]
    fn an_integer_beside_a_symbol_is_its_text() {
        let symbol = || Typed::new(datafusion::prelude::ident("s"), Kind::Symbol, 0);
        check(Comparison::Eq, symbol(), Typed::int(-5, 6), "s IS NOT DISTINCT FROM Utf8View(\"-5\")");
        check(Comparison::Ne, Typed::long(5, 0), symbol(), "Utf8View(\"5\") IS DISTINCT FROM s");
        let greater = compare(Comparison::Gt, symbol(), Typed::int(5, 6), 4).expect("its text as a number");
        assert_eq!(greater.kind, Kind::Boolean);
        let refused = "there is no matching operator `=` with the argument types: SYMBOL = DOUBLE at 4";
        check(Comparison::Eq, symbol(), Typed::double(5.0, 6), refused);
        let refused = "there is no matching operator `<` with the argument types: DOUBLE < SYMBOL at 4";
        check(Comparison::Lt, Typed::double(5.0, 0), symbol(), refused);
        let listed = in_list(symbol(), vec![Typed::int(5, 9)], false, 4).map(drop).expect_err("texts are expected");
        assert_eq!((listed.message.as_str(), listed.position), ("STRING constant expected", 9));
    }

    #[test]
    fn filters_show_plain_operators() {
        let filter = |typed: Typed| in_filter(typed.expr).to_string();
        let greater = compare(Comparison::Gt, qty(), Typed::int(0, 6), 4).expect("numbers compare");
        assert_eq!(filter(greater.clone()), "qty > Int32(0)");
        let not = Typed::new(negate(greater.expr), Kind::Boolean, 0);
        assert_eq!(filter(not), "qty <= Int32(0)");
        let within = between(qty(), Typed::int(9, 6), Typed::int(1, 6), false, 4).expect("numbers compare");
        assert_eq!(filter(within), "qty >= Int32(1) AND qty <= Int32(9)");
        let outside = between(qty(), Typed::int(1, 6), Typed::int(9, 6), true, 4).expect("numbers compare");
        assert_eq!(filter(outside), "NOT qty >= Int32(1) IS TRUE AND qty <= Int32(9) IS TRUE IS TRUE");
    }

    #[test]
    fn lists_find_null_and_refuse_other_types() {
        let shown = |list: Vec<Typed>, negated: bool| match in_list(qty(), list, negated, 4) {
            Ok(typed) => typed.expr.to_string(),
            Err(e) => format!("{} at {}", e.message, e.position),
        };
        let (one, null) = (Typed::int(1, 8), Typed::null(11));
        assert_eq!(shown(vec![one.clone(), null], false), "qty IS NOT DISTINCT FROM Int32(1) OR qty IS NULL");
        assert_eq!(shown(vec![one.clone(), Typed::int(2, 9)], true), "NOT qty IN ([Int32(1), Int32(2)]) IS TRUE");
        assert_eq!(shown(vec![one.clone(), Typed::text("two", 9)], false), "invalid LONG value [two] at 9");
        assert_eq!(shown(vec![one, Typed::double(2.5, 9)], false), "cannot compare LONG with type DOUBLE at 9");
    }
}
