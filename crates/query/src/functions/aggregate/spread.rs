//! Variance, covariance, correlation, regression and weighted means: one pass, by Welford's updates.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;

use super::super::typed::{Call, Typed};
use super::as_double;
use super::fold::{self, Fold, double_at, doubles, saved_double};
use crate::error::SqlError;
use crate::kind::Kind;

/// What is made of the spread of one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OfOne {
    sample: bool,
    root: bool,
}

/// Binds stddev or variance, of a sample or of everything.
pub fn of_one(name: &str, call: &Call, arg: &Typed) -> Result<Typed, SqlError> {
    let Some(double) = as_double(arg) else {
        let message =
            format!("argument type mismatch for function `{}` at #1 expected: DOUBLE, actual: {}", call.name, arg.kind);
        return Err(SqlError::new(arg.position, message));
    };
    let of = OfOne { sample: !name.ends_with("_pop"), root: name.starts_with("stddev") };
    Ok(fold::call(name, Spread(of), vec![double?], Kind::Double, call.position))
}

/// Count, mean and sum of squared differences.
#[derive(Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn push(&mut self, value: f64) {
        self.count += 1.0;
        let difference = value - self.mean;
        self.mean += difference / self.count;
        self.squares += difference * (value - self.mean);
    }

    fn merge(&mut self, later: Moments) {
        if later.count == 0.0 {
            return;
        }
        // as it is: the square of its mean may be too large for a double
        if self.count == 0.0 {
            *self = later;
            return;
        }
        let count = self.count + later.count;
        let difference = later.mean - self.mean;
        self.squares += later.squares + difference * difference * self.count * later.count / count;
        self.mean += difference * later.count / count;
        self.count = count;
    }
}

struct Spread(OfOne);

impl Fold for Spread {
    const ORDERED: bool = false;

    type State = Moments;
    type Columns<'a> = &'a Float64Array;

    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> &'a Float64Array {
        doubles(&arrays[0])
    }

    fn add(&self, state: &mut Moments, column: &&Float64Array, row: usize) {
        if column.is_valid(row) {
            state.push(column.value(row));
        }
    }

    fn merge(&self, state: &mut Moments, later: Moments) {
        state.merge(later);
    }

    fn answers(&self, states: Vec<Moments>) -> ArrayRef {
        let answer = |s: &Moments| {
            let divisor = if self.0.sample { s.count - 1.0 } else { s.count };
            let variance = (divisor > 0.0).then(|| s.squares / divisor)?;
            Some(if self.0.root { variance.sqrt() } else { variance })
        };
        column(states.iter().map(answer))
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![DataType::Float64; 3]
    }

    fn save(&self, s: &Moments) -> Vec<ScalarValue> {
        [s.count, s.mean, s.squares].map(|v| ScalarValue::Float64(Some(v))).to_vec()
    }

    fn load(&self, saved: &[ScalarValue]) -> Moments {
        Moments { count: saved_double(&saved[0]), mean: saved_double(&saved[1]), squares: saved_double(&saved[2]) }
    }
}

/// Returns a DOUBLE column without NaN and infinities.
fn column(values: impl Iterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(values.map(|v| v.filter(|v| v.is_finite())).collect::<Float64Array>())
}

/// What is made of two columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OfPairs {
    CovarPop,
    CovarSamp,
    Corr,
    Slope,
    Intercept,
    /// The mean of the first, weighted by the second; without a weight other than 0 there is none.
    WeightedAvg,
    /// The same, only positive weights count.
    Vwap,
}

/// Binds a function of pairs; a pair with a NULL does not count.
pub fn of_pairs(name: &str, call: &Call) -> Result<Typed, SqlError> {
    let of = match name {
        "covar_pop" => OfPairs::CovarPop,
        "covar_samp" => OfPairs::CovarSamp,
        "corr" => OfPairs::Corr,
        "regr_slope" => OfPairs::Slope,
        "regr_intercept" => OfPairs::Intercept,
        "weighted_avg" => OfPairs::WeightedAvg,
        _ => OfPairs::Vwap,
    };
    let mut args = Vec::new();
    for arg in &call.args {
        let message = || format!("expression type mismatch, expected: DOUBLE, actual: {}", arg.kind);
        args.push(as_double(arg).ok_or_else(|| SqlError::new(arg.position, message()))??);
    }
    Ok(match of {
        OfPairs::WeightedAvg | OfPairs::Vwap => fold::call(name, Weighted(of), args, Kind::Double, call.position),
        _ => fold::call(name, Pairs(of), args, Kind::Double, call.position),
    })
}

/// The moments of both columns, first y then x, and the sum of products of differences.
#[derive(Default)]
struct Joint {
    y: Moments,
    x: Moments,
    products: f64,
}

impl Joint {
    fn push(&mut self, y: f64, x: f64) {
        let difference = x - self.x.mean;
        self.x.push(x);
        self.y.push(y);
        self.products += difference * (y - self.y.mean);
    }

    fn answer(&self, of: OfPairs) -> Option<f64> {
        let count = self.x.count;
        let slope = || (count > 1.0 && self.x.squares > 0.0).then(|| self.products / self.x.squares);
        match of {
            OfPairs::CovarPop => (count > 0.0).then(|| self.products / count),
            OfPairs::CovarSamp => (count > 1.0).then(|| self.products / (count - 1.0)),
            OfPairs::Corr => Some(self.products / (self.x.squares.sqrt() * self.y.squares.sqrt())),
            OfPairs::Slope => slope(),
            _ => slope().map(|slope| self.y.mean - slope * self.x.mean),
        }
    }
}

struct Pairs(OfPairs);

impl Fold for Pairs {
    const ORDERED: bool = false;

    type State = Joint;
    type Columns<'a> = (&'a Float64Array, &'a Float64Array);

    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> Self::Columns<'a> {
        (doubles(&arrays[0]), doubles(&arrays[1]))
    }

    fn add(&self, state: &mut Joint, (y, x): &Self::Columns<'_>, row: usize) {
        if let (Some(y), Some(x)) = (double_at(y, row), double_at(x, row)) {
            state.push(y, x);
        }
    }

    fn merge(&self, state: &mut Joint, later: Joint) {
        let (left, right) = (state.x.count, later.x.count);
        if right == 0.0 {
            return;
        }
        if left == 0.0 {
            *state = later;
            return;
        }
        let (dx, dy) = (later.x.mean - state.x.mean, later.y.mean - state.y.mean);
        state.products += later.products + dx * dy * left * right / (left + right);
        state.x.merge(later.x);
        state.y.merge(later.y);
    }

    fn answers(&self, states: Vec<Joint>) -> ArrayRef {
        column(states.iter().map(|s| s.answer(self.0)))
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![DataType::Float64; 6]
    }

    fn save(&self, s: &Joint) -> Vec<ScalarValue> {
        let values = [s.x.count, s.y.mean, s.y.squares, s.x.mean, s.x.squares, s.products];
        values.map(|v| ScalarValue::Float64(Some(v))).to_vec()
    }

    fn load(&self, saved: &[ScalarValue]) -> Joint {
        let value = |i: usize| saved_double(&saved[i]);
        Joint {
            y: Moments { count: value(0), mean: value(1), squares: value(2) },
            x: Moments { count: value(0), mean: value(3), squares: value(4) },
            products: value(5),
        }
    }
}

struct Weighted(OfPairs);

impl Fold for Weighted {
    const ORDERED: bool = false;

    type State = (f64, f64);
    type Columns<'a> = (&'a Float64Array, &'a Float64Array);

    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> Self::Columns<'a> {
        (doubles(&arrays[0]), doubles(&arrays[1]))
    }

    fn add(&self, state: &mut (f64, f64), (values, weights): &Self::Columns<'_>, row: usize) {
        let (Some(value), Some(weight)) = (double_at(values, row), double_at(weights, row)) else { return };
        if self.0 == OfPairs::WeightedAvg || weight > 0.0 {
            *state = (state.0 + value * weight, state.1 + weight);
        }
    }

    fn merge(&self, state: &mut (f64, f64), later: (f64, f64)) {
        *state = (state.0 + later.0, state.1 + later.1);
    }

    fn answers(&self, states: Vec<(f64, f64)>) -> ArrayRef {
        column(states.into_iter().map(|(sum, weight)| Some(sum / weight)))
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![DataType::Float64; 2]
    }

    fn save(&self, state: &(f64, f64)) -> Vec<ScalarValue> {
        vec![ScalarValue::Float64(Some(state.0)), ScalarValue::Float64(Some(state.1))]
    }

    fn load(&self, saved: &[ScalarValue]) -> (f64, f64) {
        (saved_double(&saved[0]), saved_double(&saved[1]))
    }
}

/// Binds the standard deviation of values that weigh differently: how often each occurred (`_freq`), or how much it is to be
/// relied on.
pub fn weighted(name: &str, call: &Call) -> Result<Typed, SqlError> {
    if call.args.len() != 2 {
        return Err(call.wrong_count(2));
    }
    let mut args = Vec::new();
    for arg in &call.args {
        let message = || format!("expression type mismatch, expected: DOUBLE, actual: {}", arg.kind);
        args.push(as_double(arg).ok_or_else(|| SqlError::new(arg.position, message()))??);
    }
    let fold = WeightedSpread { by_frequency: name == "weighted_stddev_freq" };
    Ok(fold::call(name, fold, args, Kind::Double, call.position))
}

struct WeightedSpread {
    by_frequency: bool,
}

/// The moments in which a weight stands for the count, and the sum of the weights' squares.
#[derive(Default)]
struct WeightedMoments {
    moments: Moments,
    squared_weights: f64,
}

impl Fold for WeightedSpread {
    const ORDERED: bool = false;

    type State = WeightedMoments;
    type Columns<'a> = (&'a Float64Array, &'a Float64Array);

    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> Self::Columns<'a> {
        (doubles(&arrays[0]), doubles(&arrays[1]))
    }

    fn add(&self, state: &mut WeightedMoments, (values, weights): &Self::Columns<'_>, row: usize) {
        let (Some(value), Some(weight)) = (double_at(values, row), double_at(weights, row)) else { return };
        if weight == 0.0 {
            return;
        }
        let moments = &mut state.moments;
        moments.count += weight;
        let difference = value - moments.mean;
        moments.mean += difference * weight / moments.count;
        moments.squares += weight * difference * (value - moments.mean);
        state.squared_weights += weight * weight;
    }

    fn merge(&self, state: &mut WeightedMoments, later: WeightedMoments) {
        state.moments.merge(later.moments);
        state.squared_weights += later.squared_weights;
    }

    fn answers(&self, states: Vec<WeightedMoments>) -> ArrayRef {
        let answer = |state: &WeightedMoments| {
            let weight = state.moments.count;
            let divisor = if self.by_frequency { weight - 1.0 } else { weight - state.squared_weights / weight };
            (weight > 0.0 && divisor > 0.0).then(|| (state.moments.squares / divisor).sqrt())
        };
        column(states.iter().map(answer))
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![DataType::Float64; 4]
    }

    fn save(&self, state: &WeightedMoments) -> Vec<ScalarValue> {
        let Moments { count, mean, squares } = state.moments;
        [count, mean, squares, state.squared_weights].map(|v| ScalarValue::Float64(Some(v))).to_vec()
    }

    fn load(&self, saved: &[ScalarValue]) -> WeightedMoments {
        let value = |i: usize| saved_double(&saved[i]);
        let moments = Moments { count: value(0), mean: value(1), squares: value(2) };
        WeightedMoments { moments, squared_weights: value(3) }
    }
}
