//! Whole numbers of 10^-scale: [`rescale`], and what arithmetic on decimals needs.

use arrow::datatypes::i256;
use datafusion::common::ScalarValue;
use types::ColumnType;

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
