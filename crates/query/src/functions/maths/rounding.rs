//! Rounding of doubles to a decimal scale.
//!
//! A value is brought to the scale by a power of ten, made whole and multiplied back by the inverse power, so that answers
//! carry the same last digit as the peer's.

/// The scales beyond which there is no answer.
const SCALES: std::ops::RangeInclusive<i32> = -17..=15;

/// Returns the nearest whole number, halves upwards.
pub fn half_up(value: f64) -> f64 {
    let floor = value.floor();
    if value - floor >= 0.5 { floor + 1.0 } else { floor }
}

/// Returns the value rounded to `scale` digits, halves away from zero; at scale 0 halves go up.
pub fn half_away(value: f64, scale: i32) -> Option<f64> {
    if scale == 0 {
        return Some(half_up(value));
    }
    at_scale(value, scale, |size| half_up(size + slack(size)))
}

/// Returns the value rounded to `scale` digits, halves to the even neighbour.
pub fn half_even(value: f64, scale: i32) -> Option<f64> {
    at_scale(value, scale, f64::round_ties_even)
}

/// Returns the value cut to `scale` digits.
pub fn down(value: f64, scale: i32) -> Option<f64> {
    at_scale(value, scale, |size| (size + slack(size)).trunc())
}

/// Returns the value rounded away from zero to `scale` digits.
pub fn up(value: f64, scale: i32) -> Option<f64> {
    at_scale(value, scale, |size| (size - slack(size)).ceil())
}

/// Returns how far a product may lie beside the number that it looks like: 1.005 * 100 is a little less than 100.5.
fn slack(size: f64) -> f64 {
    size * 8.0 * f64::EPSILON
}

fn at_scale(value: f64, scale: i32, whole: impl Fn(f64) -> f64) -> Option<f64> {
    if !SCALES.contains(&scale) {
        return None;
    }
    let size = whole(value.abs() * power(scale)) * power(-scale);
    Some(size.copysign(value))
}

fn power(exponent: i32) -> f64 {
    const POSITIVE: [f64; 18] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17];
    const NEGATIVE: [f64; 18] = [
        1e0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12, 1e-13, 1e-14, 1e-15, 1e-16,
        1e-17,
    ];
    let table = if exponent >= 0 { POSITIVE } else { NEGATIVE };
    table[exponent.unsigned_abs() as usize]
}
