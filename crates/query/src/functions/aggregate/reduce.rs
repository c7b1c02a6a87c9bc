//! Whole stretches of numbers in loops that the compiler turns into vector instructions: several lanes, joined at the
//! end.

use arrow::array::{Array, ArrowPrimitiveType, PrimitiveArray};

const LANES: usize = 16;

/// Returns the sum of doubles.
pub fn sum(values: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest: f64 = chunks.remainder().iter().sum();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    lanes.iter().sum::<f64>() + rest
}

/// Returns the sum of whole numbers, which wraps.
pub fn wrapping_sum(values: &[i64]) -> i64 {
    values.iter().fold(0, |sum: i64, value| sum.wrapping_add(*value))
}

/// Returns the exact sum of whole numbers.
pub fn wide_sum(values: &[i64]) -> i128 {
    // so few at a time that neither half can overflow
    let halves = values.chunks(1 << 30).map(|chunk| {
        let high = chunk.iter().fold(0i64, |sum, value| sum + (value >> 32));
        let low = chunk.iter().fold(0i64, |sum, value| sum + (value & 0xffff_ffff));
        (i128::from(high) << 32) + i128::from(low)
    });
    halves.sum()
}

/// Returns the extreme of `first` and the values: what `better(value, best)` prefers.
pub fn extreme<V: Copy>(first: V, values: &[V], better: impl Fn(V, V) -> bool) -> V {
    let pick = |best: V, value: V| if better(value, best) { value } else { best };
    let mut lanes = [first; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder().iter().copied().fold(first, &pick);
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = pick(*lane, *value);
        }
    }
    lanes.into_iter().fold(rest, &pick)
}

/// Calls `each` with stretches of values that are not NULL, in their order.
pub fn valid_stretches<T: ArrowPrimitiveType>(
    column: &PrimitiveArray<T>,
    rows: std::ops::Range<usize>,
    mut each: impl FnMut(&[T::Native]),
) {
    let values = &column.values()[rows.clone()];
    match column.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => each(values),
        Some(nulls) => {
            for (start, end) in nulls.slice(rows.start, rows.len()).valid_slices() {
                each(&values[start..end]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_one_value_after_the_other() {
        for length in [0, 1, 15, 16, 17, 100] {
            let values: Vec<f64> = (0..length).map(|v| f64::from(v) - 3.0).collect();
            assert_eq!(sum(&values), values.iter().sum::<f64>());
            let values: Vec<i64> = (0..length).map(|v| i64::MAX - i64::from(v) * 7).collect();
            assert_eq!(wrapping_sum(&values), values.iter().fold(0i64, |s, v| s.wrapping_add(*v)));
            assert_eq!(wide_sum(&values), values.iter().map(|v| i128::from(*v)).sum());
            let values: Vec<i64> = (0..length).map(|v| i64::MIN + i64::from(v) * 7).collect();
            assert_eq!(wide_sum(&values), values.iter().map(|v| i128::from(*v)).sum());
        }
    }

    #[test]
    fn an_extreme_is_found_at_any_place() {
        for at in 0..70 {
            let mut values = vec![1.5; 70];
            values[at] = 9.0;
            assert_eq!(extreme(values[0], &values, |a, b| a > b), 9.0);
            values[at] = -9.0;
            assert_eq!(extreme(values[0], &values, |a, b| a < b), -9.0);
        }
    }
}
