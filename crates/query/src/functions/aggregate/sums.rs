//! sum, avg, ksum, nsum, geomean.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, Int64Array};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::ScalarValue;
use storage::segment::zones::Part;

use super::super::cast;
use super::super::typed::{Call, Typed};
use super::as_double;
use super::dense::Dense;
use super::fold::{self, Fold, double_at, doubles, saved_double, saved_long};
use super::reduce;
use crate::error::SqlError;
use crate::exec::direct::block::BlockZones;
use crate::kind::Kind;

mod decimals;

/// Binds a sum of one argument.
pub fn bind(name: &str, call: &Call, arg: &Typed) -> Result<Typed, SqlError> {
    let at = call.position;
    let whole = arg.kind.is_integer() || arg.kind.is_time();
    match (name, arg.kind) {
        ("sum", Kind::Decimal(precision, scale)) => {
            // Summed in the next wider number: of 64, 128 or 256 bits.
            let digits = match precision {
                0..=9 => 18,
                10..=18 => 38,
                _ => 76,
            };
            let kind = Kind::Decimal(digits.max(precision), scale);
            Ok(fold::call("sum", decimals::Sum { mean: false, kind }, vec![arg.clone()], kind, at))
        }
        ("avg", kind @ Kind::Decimal(..)) => {
            Ok(fold::call("avg", decimals::Sum { mean: true, kind }, vec![arg.clone()], kind, at))
        }
        ("sum", _) if whole => {
            let arg = cast::implicit(arg.clone(), Kind::Long)?;
            Ok(fold::call("sum", WrappingSum, vec![arg], Kind::Long, at))
        }
        ("avg", _) if whole => {
            let arg = cast::implicit(arg.clone(), Kind::Long)?;
            Ok(fold::call("avg", WholeMean, vec![arg], Kind::Double, at))
        }
        ("avg", Kind::Boolean) => Ok(fold::call("avg", Share, vec![arg.clone()], Kind::Double, at)),
        _ => {
            let Some(double) = as_double(arg) else { return Err(call.no_match()) };
            let args = vec![double?];
            Ok(match (name, arg.kind) {
                ("sum", Kind::Float) => fold::call("sum", Reals(Finish::FloatSum), args, Kind::Float, at),
                ("sum", _) => fold::call("sum", Reals(Finish::Sum), args, Kind::Double, at),
                ("avg", _) => fold::call("avg", Reals(Finish::Mean), args, Kind::Double, at),
                ("geomean", _) => fold::call("geomean", Geometric, args, Kind::Double, at),
                (name, _) => fold::call(name, Compensated { neumaier: name == "nsum" }, args, Kind::Double, at),
            })
        }
    }
}

/// Returns a DOUBLE column without NaN and infinities.
fn finite(values: impl Iterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(values.map(|v| v.filter(|v| v.is_finite())).collect::<Float64Array>())
}

/// A sum of whole numbers that wraps in 64 bits; the sentinel and no values are NULL.
struct WrappingSum;

impl Fold for WrappingSum {
    const ORDERED: bool = false;
    const ZONED: bool = true;

    type State = Option<i64>;
    type Columns<'a> = &'a Int64Array;

    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> &'a Int64Array {
        arrays[0].as_primitive::<Int64Type>()
    }

    fn add(&self, state: &mut Option<i64>, column: &&Int64Array, row: usize) {
        if column.is_valid(row) {
            *state = Some(state.unwrap_or(0).wrapping_add(column.value(row)));
        }
    }

    fn add_stretch(&self, state: &mut Option<i64>, column: &&Int64Array, rows: Range<usize>) {
        reduce::valid_stretches(column, rows, |values| {
            if !values.is_empty() {
                *state = Some(state.unwrap_or(0).wrapping_add(reduce::wrapping_sum(values)));
            }
        });
    }

    fn add_zoned(&self, state: &mut Option<i64>, column: &&Int64Array, zones: &BlockZones, rows: Range<usize>) {
        zones.parts::<i64>(rows, |part| match part {
            Part::Zone(zone) if zone.valid == 0 => {}
            Part::Zone(zone) => *state = Some(state.unwrap_or(0).wrapping_add(zone.sum)),
            Part::Rows(rows) => self.add_stretch(state, column, rows),
        });
    }

    fn merge(&self, state: &mut Option<i64>, later: Option<i64>) {
        if let Some(later) = later {
            *state = Some(state.unwrap_or(0).wrapping_add(later));
        }
    }

    fn answers(&self, states: Vec<Option<i64>>) -> ArrayRef {
        Arc::new(states.into_iter().map(|s| s.filter(|v| *v != i64::MIN)).collect::<Int64Array>())
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![DataType::Int64]
    }

    fn save(&self, state: &Option<i64>) -> Vec<ScalarValue> {
        vec![ScalarValue::Int64(*state)]
    }

    fn load(&self, saved: &[ScalarValue]) -> Option<i64> {
        match saved {
            [ScalarValue::Int64(value)] => *value,
            _ => None,
        }
    }
}

/// The mean of whole numbers, summed in 128 bits.
struct WholeMean;

impl Fold for WholeMean {
    const ORDERED: bool = false;
    const ZONED: bool = true;

    type State = (i128, i64);
    type Columns<'a> = &'a Int64Array;

    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> &'a Int64Array {
        arrays[0].as_primitive::<Int64Type>()
    }

    fn add(&self, state: &mut (i128, i64), column: &&Int64Array, row: usize) {
        if column.is_valid(row) {
            *state = (state.0 + i128::from(column.value(row)), state.1 + 1);
        }
    }

    fn add_stretch(&self, state: &mut (i128, i64), column: &&Int64Array, rows: Range<usize>) {
        reduce::valid_stretches(column, rows, |values| {
            *state = (state.0 + reduce::wide_sum(values), state.1 + values.len() as i64);
        });
    }

    fn add_zoned(&self, state: &mut (i128, i64), column: &&Int64Array, zones: &BlockZones, rows: Range<usize>) {
        zones.parts::<i64>(rows, |part| match part {
            Part::Zone(zone) => *state = (state.0 + i128::from(zone.sum), state.1 + i64::from(zone.valid)),
            Part::Rows(rows) => self.add_stretch(state, column, rows),
        });
    }

    fn merge(&self, state: &mut (i128, i64), later: (i128, i64)) {
        *state = (state.0 + later.0, state.1 + later.1);
    }

    fn answers(&self, states: Vec<(i128, i64)>) -> ArrayRef {
        finite(states.into_iter().map(|(sum, count)| (count > 0).then(|| sum as f64 / count as f64)))
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![DataType::Decimal128(38, 0), DataType::Int64]
    }

    fn save(&self, state: &(i128, i64)) -> Vec<ScalarValue> {
        vec![ScalarValue::Decimal128(Some(state.0), 38, 0), ScalarValue::Int64(Some(state.1))]
    }

    fn load(&self, saved: &[ScalarValue]) -> (i128, i64) {
        match saved {
            [ScalarValue::Decimal128(Some(sum), _, _), count] => (*sum, saved_long(count)),
            _ => (0, 0),
        }
    }
}

/// The share of rows that are true.
struct Share;

impl Fold for Share {
    const ORDERED: bool = false;

    type State = (i64, i64);
    type Columns<'a> = &'a BooleanArray;

    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> &'a BooleanArray {
        arrays[0].as_boolean()
    }

    fn add(&self, state: &mut (i64, i64), column: &&BooleanArray, row: usize) {
        *state = (state.0 + i64::from(column.is_valid(row) && column.value(row)), state.1 + 1);
    }

    fn merge(&self, state: &mut (i64, i64), later: (i64, i64)) {
        *state = (state.0 + later.0, state.1 + later.1);
    }

    fn answers(&self, states: Vec<(i64, i64)>) -> ArrayRef {
        finite(states.into_iter().map(|(sum, count)| (count > 0).then(|| sum as f64 / count as f64)))
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![DataType::Int64, DataType::Int64]
    }

    fn save(&self, state: &(i64, i64)) -> Vec<ScalarValue> {
        vec![ScalarValue::Int64(Some(state.0)), ScalarValue::Int64(Some(state.1))]
    }

    fn load(&self, saved: &[ScalarValue]) -> (i64, i64) {
        (saved_long(&saved[0]), saved_long(&saved[1]))
    }
}

enum Finish {
    Sum,
    FloatSum,
    Mean,
}

/// The sum or mean of doubles, added one after the other.
struct Reals(Finish);

impl Fold for Reals {
    const ORDERED: bool = false;
    const ZONED: bool = true;
    const DENSE: bool = true;

    type State = (f64, i64);
    type Columns<'a> = &'a Float64Array;

    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> &'a Float64Array {
        doubles(&arrays[0])
    }

    fn add(&self, state: &mut (f64, i64), column: &&Float64Array, row: usize) {
        if column.is_valid(row) {
            *state = (state.0 + column.value(row), state.1 + 1);
        }
    }

    fn add_stretch(&self, state: &mut (f64, i64), column: &&Float64Array, rows: Range<usize>) {
        reduce::valid_stretches(column, rows, |values| {
            *state = (state.0 + reduce::sum(values), state.1 + values.len() as i64);
        });
    }

    fn add_zoned(&self, state: &mut (f64, i64), column: &&Float64Array, zones: &BlockZones, rows: Range<usize>) {
        zones.parts::<f64>(rows, |part| match part {
            Part::Zone(zone) => *state = (state.0 + zone.sum, state.1 + i64::from(zone.valid)),
            Part::Rows(rows) => self.add_stretch(state, column, rows),
        });
    }

    fn add_each(&self, states: &mut [(f64, i64)], column: &&Float64Array, groups: &[u32]) {
        if column.null_count() > 0 {
            return groups.iter().enumerate().for_each(|(row, g)| self.add(&mut states[*g as usize], column, row));
        }
        for (value, group) in column.values().iter().zip(groups) {
            let state = &mut states[*group as usize];
            *state = (state.0 + value, state.1 + 1);
        }
    }

    fn add_dense(&self, states: &mut [(f64, i64)], column: &&Float64Array, rows: Range<usize>, dense: &Dense<'_>) {
        if column.null_count() > 0 {
            return rows.zip(dense.of_rows()).for_each(|(row, group)| self.add(&mut states[group], column, row));
        }
        let sums = dense.sums(&column.values()[rows]);
        for (slot, group, count) in dense.groups() {
            let state = &mut states[group];
            *state = (state.0 + sums[slot], state.1 + i64::from(count));
        }
    }

    fn merge(&self, state: &mut (f64, i64), later: (f64, i64)) {
        *state = (state.0 + later.0, state.1 + later.1);
    }

    fn answers(&self, states: Vec<(f64, i64)>) -> ArrayRef {
        let any = |(sum, count): (f64, i64)| (count > 0).then_some(sum);
        match self.0 {
            Finish::Sum => finite(states.into_iter().map(any)),
            Finish::Mean => finite(states.into_iter().map(|s| any(s).map(|sum| sum / s.1 as f64))),
            Finish::FloatSum => {
                let floats = states.into_iter().map(|s| any(s).map(|sum| sum as f32).filter(|v| v.is_finite()));
                Arc::new(floats.collect::<Float32Array>())
            }
        }
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![DataType::Float64, DataType::Int64]
    }

    fn save(&self, state: &(f64, i64)) -> Vec<ScalarValue> {
        vec![ScalarValue::Float64(Some(state.0)), ScalarValue::Int64(Some(state.1))]
    }

    fn load(&self, saved: &[ScalarValue]) -> (f64, i64) {
        (saved_double(&saved[0]), saved_long(&saved[1]))
    }
}

/// A sum that carries what rounding lost: Kahan's, or Neumaier's, which also holds when a value exceeds the sum.
struct Compensated {
    neumaier: bool,
}

#[derive(Default)]
struct Carried {
    sum: f64,
    lost: f64,
    count: i64,
}

impl Compensated {
    fn push(&self, state: &mut Carried, value: f64) {
        if self.neumaier {
            let sum = state.sum + value;
            let larger_sum = state.sum.abs() >= value.abs();
            state.lost += if larger_sum { (state.sum - sum) + value } else { (value - sum) + state.sum };
            state.sum = sum;
        } else {
            let value = value - state.lost;
            let sum = state.sum + value;
            state.lost = (sum - state.sum) - value;
            state.sum = sum;
        }
    }
}

impl Fold for Compensated {
    const ORDERED: bool = false;

    type State = Carried;
    type Columns<'a> = &'a Float64Array;

    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> &'a Float64Array {
        doubles(&arrays[0])
    }

    fn add(&self, state: &mut Carried, column: &&Float64Array, row: usize) {
        if let Some(value) = double_at(column, row) {
            self.push(state, value);
            state.count += 1;
        }
    }

    fn merge(&self, state: &mut Carried, later: Carried) {
        self.push(state, later.sum);
        self.push(state, if self.neumaier { later.lost } else { -later.lost });
        state.count += later.count;
    }

    fn answers(&self, states: Vec<Carried>) -> ArrayRef {
        let sum = |s: &Carried| if self.neumaier { s.sum + s.lost } else { s.sum };
        finite(states.iter().map(|s| (s.count > 0).then(|| sum(s))))
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![DataType::Float64, DataType::Float64, DataType::Int64]
    }

    fn save(&self, s: &Carried) -> Vec<ScalarValue> {
        vec![ScalarValue::Float64(Some(s.sum)), ScalarValue::Float64(Some(s.lost)), ScalarValue::Int64(Some(s.count))]
    }

    fn load(&self, saved: &[ScalarValue]) -> Carried {
        Carried { sum: saved_double(&saved[0]), lost: saved_double(&saved[1]), count: saved_long(&saved[2]) }
    }
}

/// The geometric mean; a value that is not above zero leaves none.
struct Geometric;

impl Fold for Geometric {
    const ORDERED: bool = false;

    type State = (f64, i64);
    type Columns<'a> = &'a Float64Array;

    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> &'a Float64Array {
        doubles(&arrays[0])
    }

    fn add(&self, state: &mut (f64, i64), column: &&Float64Array, row: usize) {
        if let Some(value) = double_at(column, row) {
            *state = (state.0 + if value > 0.0 { value.ln() } else { f64::NAN }, state.1 + 1);
        }
    }

    fn merge(&self, state: &mut (f64, i64), later: (f64, i64)) {
        *state = (state.0 + later.0, state.1 + later.1);
    }

    fn answers(&self, states: Vec<(f64, i64)>) -> ArrayRef {
        finite(states.into_iter().map(|(logs, count)| (count > 0).then(|| (logs / count as f64).exp())))
    }

    fn saved_types(&self) -> Vec<DataType> {
        vec![DataType::Float64, DataType::Int64]
    }

    fn save(&self, state: &(f64, i64)) -> Vec<ScalarValue> {
        vec![ScalarValue::Float64(Some(state.0)), ScalarValue::Int64(Some(state.1))]
    }

    fn load(&self, saved: &[ScalarValue]) -> (f64, i64) {
        (saved_double(&saved[0]), saved_long(&saved[1]))
    }
}
