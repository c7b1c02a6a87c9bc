//! Whole numbers of 10^-scale: [`rescale`], and what arithmetic on decimals needs.

use std::sync::Arc;

use arrow::datatypes::i256;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Volatility;
use types::ColumnType;

use super::arithmetic::Arithmetic;
use super::cell::{self, Cell};
use super::kernel::{Args, Function};
use super::typed::Typed;
use crate::error::SqlError;
use crate::kind::Kind;

pub mod rounding;

/// Returns a number's precision and scale as a decimal; None for kinds that are none.
fn digits_of(kind: Kind) -> Option<(u8, u8)> {
    Some(match kind {
        Kind::Decimal(precision, scale) => (precision, scale),
        Kind::Byte => (3, 0),
        Kind::Short => (5, 0),
        Kind::Int => (10, 0),
        Kind::Long => (19, 0),
        _ => return None,
    })
}

/// Returns the decimal kind that holds the values of two kinds; None if one is neither a decimal nor a whole number.
pub fn common_kind(l: Kind, r: Kind) -> Option<Kind> {
    let ((lp, ls), (rp, rs)) = (digits_of(l)?, digits_of(r)?);
    let scale = ls.max(rs);
    Some(Kind::Decimal((lp - ls).max(rp - rs).saturating_add(scale).min(ColumnType::MAX_PRECISION), scale))
}

/// Binds `left op right`, one of which is a decimal; None if the other is neither a decimal nor a whole number.
pub fn arithmetic(op: Arithmetic, left: Typed, right: Typed, position: usize) -> Option<Result<Typed, SqlError>> {
    let digits = |t: &Typed| match t.as_integer() {
        // A constant counts its own digits.
        Some(n) if t.kind.is_integer() => Some((n.unsigned_abs().to_string().len() as u8, 0)),
        _ => digits_of(t.kind),
    };
    let ((lp, ls), (rp, rs)) = (digits(&left)?, digits(&right)?);
    let scale = ls.max(rs);
    let whole = (lp - ls).max(rp - rs);
    let most = ColumnType::MAX_PRECISION;
    let kind = match op {
        Arithmetic::Add | Arithmetic::Sub => Kind::Decimal((whole + scale + 1).min(most), scale),
        Arithmetic::Mul | Arithmetic::Div => Kind::Decimal(most, (ls + rs).min(most)),
        Arithmetic::Mod => Kind::Decimal((whole + scale).min(most), scale),
        _ => return None,
    };
    let start = left.position;
    let scales = (ls, rs);
    let is_zero = right.as_literal().is_some_and(|value| match value {
        ScalarValue::Decimal128(Some(n), ..) => *n == 0,
        ScalarValue::Decimal256(Some(n), ..) => *n == i256::ZERO,
        _ => right.as_integer() == Some(0),
    });
    let failed = move |why: &str, at: usize| SqlError::new(at, format!("'{}' operation failed: {why}", op.symbol()));
    if is_zero && matches!(op, Arithmetic::Div | Arithmetic::Mod) {
        return Some(Err(failed("Division by zero", position)));
    }
    let at = position;
    let kernel = Arc::new(move |args: &Args| {
        let (l, r) = (cell::reader(args, 0), cell::reader(args, 1));
        cell::build(kind, args.rows(), |row| {
            let (Some(l), Some(r)) = (number(l(row)), number(r(row))) else { return Ok(Cell::Null) };
            if r == i256::ZERO && matches!(op, Arithmetic::Div | Arithmetic::Mod) {
                return Err(failed("Division by zero", at));
            }
            let Kind::Decimal(precision, scale) = kind else { return Ok(Cell::Null) };
            let answer = calculate(op, l, r, scales, scale).filter(|n| fits(*n, precision));
            answer.map(Cell::Decimal).ok_or_else(|| failed("Overflow", at))
        })
    });
    let name = format!("decimal {} {kind} {scales:?}", op.symbol());
    let answer = Function::new(&name, 2, kind, Volatility::Immutable, kernel);
    Some(answer.call(vec![left, right], kind, position).map(|t| t.at(start)))
}

/// Returns the number of a decimal or whole value.
fn number(value: Cell) -> Option<i256> {
    match value {
        Cell::Decimal(n) => Some(n),
        Cell::Whole(n) => Some(i256::from(n)),
        _ => None,
    }
}

fn calculate(op: Arithmetic, l: i256, r: i256, (ls, rs): (u8, u8), scale: u8) -> Option<i256> {
    let up = |n: i256, from: u8| n.checked_mul(power_of_ten(scale - from));
    match op {
        Arithmetic::Add => up(l, ls)?.checked_add(up(r, rs)?),
        Arithmetic::Sub => up(l, ls)?.checked_sub(up(r, rs)?),
        Arithmetic::Mul => l.checked_mul(r),
        // l / 10^ls over r / 10^rs, in units of 10^-scale where scale is ls + rs.
        Arithmetic::Div => divide_half_even(l.checked_mul(power_of_ten(scale + rs - ls))?, r),
        Arithmetic::Mod => up(l, ls)?.checked_rem(up(r, rs)?),
        _ => None,
    }
}

/// Returns the constant of so many digits and so many behind the point.
pub fn literal(number: i256, precision: u8, scale: u8) -> ScalarValue {
    match number.to_i128() {
        Some(narrow) if precision <= ColumnType::MAX_PRECISION_128 => {
            ScalarValue::Decimal128(Some(narrow), precision, scale as i8)
        }
        _ => ScalarValue::Decimal256(Some(number), precision, scale as i8),
    }
}

/// Returns 10^n; n is at most 76.
pub fn power_of_ten(n: u8) -> i256 {
    i256::from(10).checked_pow(n.into()).expect("76 digits fit 256 bits")
}

/// Returns whether a number has at most so many digits.
pub fn fits(number: i256, precision: u8) -> bool {
    number < power_of_ten(precision) && number > i256::ZERO - power_of_ten(precision)
}

/// Returns a number of 10^-from as a number of 10^-to; None when digits that are not 0 would be lost, or it has more than
/// `precision` digits.
pub fn rescale(number: i256, from: u8, precision: u8, to: u8) -> Option<i256> {
    let number = if to >= from {
        number.checked_mul(power_of_ten((to - from).min(76)))?
    } else {
        let unit = power_of_ten(from - to);
        (number % unit == i256::ZERO).then(|| number / unit)?
    };
    fits(number, precision).then_some(number)
}

/// Returns the quotient rounded half to even; None for a divisor of 0.
pub fn divide_half_even(number: i256, divisor: i256) -> Option<i256> {
    if divisor == i256::ZERO {
        return None;
    }
    let (quotient, rest) = (number.checked_div(divisor)?, number.checked_rem(divisor)?);
    let twice = rest.wrapping_abs().checked_mul(i256::from(2))?;
    let half = divisor.wrapping_abs();
    let is_odd = quotient % i256::from(2) != i256::ZERO;
    if twice < half || (twice == half && !is_odd) {
        return Some(quotient);
    }
    let away = if (number < i256::ZERO) == (divisor < i256::ZERO) { i256::ONE } else { i256::MINUS_ONE };
    quotient.checked_add(away)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_digit_is_lost() {
        let n = |n: i64| i256::from(n);
        assert_eq!(rescale(n(1_230), 2, 5, 1), Some(n(123)));
        assert_eq!(rescale(n(1_234), 2, 5, 1), None);
        assert_eq!(rescale(n(12), 0, 4, 2), Some(n(1_200)));
        assert_eq!(rescale(n(123), 0, 4, 2), None);
        assert_eq!(divide_half_even(n(25), n(10)), Some(n(2)));
        assert_eq!(divide_half_even(n(-35), n(10)), Some(n(-4)));
        assert_eq!(divide_half_even(n(26), n(-10)), Some(n(-3)));
        assert_eq!(divide_half_even(n(1), n(0)), None);
    }
}
