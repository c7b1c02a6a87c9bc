//! twap and haversine_dist_deg: what lies between one row of a group and the next.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::ScalarValue;

use super::super::cast;
use super::super::typed::{Call, Typed};
use super::as_double;
use super::fold::{self, Fold, double_at, doubles, saved_double, saved_long};
use crate::error::SqlError;
use crate::kind::Kind;

/// Kilometres from the middle of the earth to its surface, as the reference counts them.
const EARTH_RADIUS_KM: f64 = 6_371.088;

/// Binds twap: the mean of a value that holds until the next one comes.
pub fn twap(call: &Call) -> Result<Typed, SqlError> {
    let [value, moment] = call.args.as_slice() else { return Err(call.wrong_count(2)) };
    let wrong = |arg: &Typed, kind: Kind| {
        SqlError::new(arg.position, format!("expression type mismatch, expected: {kind}, actual: {}", arg.kind))
    };
    let value = as_double(value).ok_or_else(|| wrong(value, Kind::Double))??;
    let moment = moment_of(moment)?.ok_or_else(|| wrong(moment, Kind::Timestamp))?;
    Ok(fold::call("twap", Twap, vec![value, moment], Kind::Double, call.position))
}

/// Returns a moment as its count since 1970 in whatever unit: only proportions matter.
fn moment_of(arg: &Typed) -> Result<Option<Typed>, SqlError> {
    match arg.kind {
        kind if kind.is_time() || kind.is_integer() || kind == Kind::Null => {
            cast::explicit(arg.clone(), Kind::Long, arg.position).map(Some)
        }
        Kind::String | Kind::Varchar => {
            let moment = cast::implicit(arg.clone(), Kind::Timestamp)?;
            cast::explicit(moment, Kind::Long, arg.position).map(Some)
        }
        _ => Ok(None),
    }
}

/// Values with how long they held, the first row and the last.
#[derive(Default, Clone, Copy)]
struct Held {
    rows: i64,
    sum: f64,
    /// For rows that are all of one moment.
    plain_sum: f64,
    first: i64,
    last: i64,
    value: f64,
}

struct Twap;

impl Fold for Twap {
    type State = Held;
    type Columns<'a> = (&'a Float64Array, &'a Int64Array);

    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> Self::Columns<'a> {
        (doubles(&arrays[0]), arrays[1].as_primitive::<Int64Type>())
    }

    fn add(&self, state: &mut Held, (values, moments): &Self::Columns<'_>, row: usize) {
        let Some(value) = double_at(values, row).filter(|_| moments.is_valid(row)) else { return };
        let at = moments.value(row);
        let one = Held { rows: 1, sum: 0.0, plain_sum: value, first: at, last: at, value };
        self.merge(state, one);
    }

    fn merge(&self, state: &mut Held, later: Held) {
        if state.rows == 0 || later.rows == 0 {
            if state.rows == 0 {
                *state = later;
            }
            return;
        }
        let between = later.first.wrapping_sub(state.last) as f64;
        *state = Held {
            rows: state.rows + later.rows,
            sum: state.sum + state.value * between + later.sum,
            plain_sum: state.plain_sum + later.plain_sum,
            first: state.first,
            last: later.last,
            value: later.value,
        };
    }

    fn answers(&self, states: Vec<Held>) -> ArrayRef {
        let answer = |held: &Held| {
            let time = held.last.wrapping_sub(held.first) as f64;
            let mean = if time > 0.0 { held.sum / time } else { held.plain_sum / held.rows as f64 };
            mean.is_finite().then_some(mean)
        };
        Arc::new(states.iter().map(answer).collect::<Float64Array>())
    }

    fn saved_types(&self) -> Vec<DataType> {
        let (whole, double) = (DataType::Int64, DataType::Float64);
        vec![whole.clone(), double.clone(), double.clone(), whole.clone(), whole, double]
    }

    fn save(&self, held: &Held) -> Vec<ScalarValue> {
        let (whole, double) = (|v| ScalarValue::Int64(Some(v)), |v| ScalarValue::Float64(Some(v)));
        let Held { rows, sum, plain_sum, first, last, value } = *held;
        vec![whole(rows), double(sum), double(plain_sum), whole(first), whole(last), double(value)]
    }

    fn load(&self, saved: &[ScalarValue]) -> Held {
        Held {
            rows: saved_long(&saved[0]),
            sum: saved_double(&saved[1]),
            plain_sum: saved_double(&saved[2]),
            first: saved_long(&saved[3]),
            last: saved_long(&saved[4]),
            value: saved_double(&saved[5]),
        }
    }
}

/// Binds haversine_dist_deg: the kilometres of the way through all places, given in degrees.
pub fn haversine(call: &Call) -> Result<Typed, SqlError> {
    let [latitude, longitude, moment] = call.args.as_slice() else { return Err(call.wrong_count(3)) };
    let wrong = |arg: &Typed, place: usize, kind: Kind| {
        let message = format!(
            "argument type mismatch for function `{}` at #{place} expected: {kind}, actual: {}",
            call.name, arg.kind
        );
        SqlError::new(arg.position, message)
    };
    let args = vec![
        as_double(latitude).ok_or_else(|| wrong(latitude, 1, Kind::Double))??,
        as_double(longitude).ok_or_else(|| wrong(longitude, 2, Kind::Double))??,
        moment_of(moment)?.ok_or_else(|| wrong(moment, 3, Kind::Timestamp))?,
    ];
    Ok(fold::call("haversine_dist_deg", Haversine, args, Kind::Double, call.position))
}

/// The first place of a way, its last, and what lies between.
#[derive(Default, Clone, Copy)]
struct Way {
    is_begun: bool,
    km: f64,
    first: (f64, f64),
    last: (f64, f64),
}

struct Haversine;

/// Returns the kilometres between two places, by the formula of haversines.
fn distance_km(from: (f64, f64), to: (f64, f64)) -> f64 {
    let half = |from: f64, to: f64| ((to - from).to_radians() / 2.0).sin();
    let (north, east) = (half(from.0, to.0), half(from.1, to.1));
    let chord = north * north + from.0.to_radians().cos() * to.0.to_radians().cos() * east * east;
    2.0 * EARTH_RADIUS_KM * chord.sqrt().asin()
}

impl Fold for Haversine {
    type State = Way;
    type Columns<'a> = (&'a Float64Array, &'a Float64Array, &'a ArrayRef);

    fn columns<'a>(&self, arrays: &'a [ArrayRef]) -> Self::Columns<'a> {
        (doubles(&arrays[0]), doubles(&arrays[1]), &arrays[2])
    }

    fn add(&self, state: &mut Way, (latitudes, longitudes, moments): &Self::Columns<'_>, row: usize) {
        let place = (double_at(latitudes, row), double_at(longitudes, row));
        if let ((Some(latitude), Some(longitude)), true) = (place, moments.is_valid(row)) {
            let place = (latitude, longitude);
            self.merge(state, Way { is_begun: true, km: 0.0, first: place, last: place });
        }
    }

    fn merge(&self, state: &mut Way, later: Way) {
        match (state.is_begun, later.is_begun) {
            (false, _) => *state = later,
            (true, false) => {}
            (true, true) => {
                state.km += distance_km(state.last, later.first) + later.km;
                state.last = later.last;
            }
        }
    }

    fn answers(&self, states: Vec<Way>) -> ArrayRef {
        Arc::new(states.iter().map(|way| Some(way.km)).collect::<Float64Array>())
    }

    fn saved_types(&self) -> Vec<DataType> {
        [vec![DataType::Boolean], vec![DataType::Float64; 5]].concat()
    }

    fn save(&self, way: &Way) -> Vec<ScalarValue> {
        let numbers = [way.km, way.first.0, way.first.1, way.last.0, way.last.1];
        let numbers = numbers.map(|number| ScalarValue::Float64(Some(number)));
        [ScalarValue::Boolean(Some(way.is_begun))].into_iter().chain(numbers).collect()
    }

    fn load(&self, saved: &[ScalarValue]) -> Way {
        let number = |i: usize| saved_double(&saved[i]);
        Way {
            is_begun: fold::saved_flag(&saved[0]),
            km: number(1),
            first: (number(2), number(3)),
            last: (number(4), number(5)),
        }
    }
}
