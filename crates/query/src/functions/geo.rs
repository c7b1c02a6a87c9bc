//! Distances and areas: on a plane, and between coordinates in degrees as if the earth were flat around them.

use super::array::over;
use super::cast;
use super::cell::Cell;
use super::typed::{Call, Typed};
use super::{Binding, Environment};
use crate::error::SqlError;
use crate::kind::Kind;

/// Metres of a degree of latitude, as the reference counts them.
const METRES_A_DEGREE: f64 = 111_320.0;

/// Returns the binding of such a function.
pub fn find(name: &str) -> Option<Binding> {
    Some(Binding::Own(match name {
        "geo_distance_meters" => geo_distance,
        "geo_within_radius_latlon" => geo_within,
        "within_box" => within_box,
        "within_radius" => within_radius,
        _ => return None,
    }))
}

/// Binds a call of so many DOUBLEs; a NULL among them gives `null`.
fn of_doubles(
    call: &Call,
    count: usize,
    kind: Kind,
    null: Cell,
    f: impl Fn(&[f64]) -> Result<Cell, SqlError> + Send + Sync + 'static,
) -> Result<Typed, SqlError> {
    if call.args.len() != count {
        return Err(call.wrong_count(count));
    }
    let mut args = Vec::with_capacity(count);
    for (i, arg) in call.args.iter().enumerate() {
        if arg.kind.is_text() && arg.kind != Kind::Symbol || arg.kind.is_number() || arg.kind == Kind::Null {
            args.push(cast::implicit(arg.clone(), Kind::Double)?);
            continue;
        }
        let message = format!(
            "argument type mismatch for function `{}` at #{} expected: DOUBLE, actual: {}",
            call.name,
            i + 1,
            arg.kind
        );
        return Err(SqlError::new(arg.position, message));
    }
    over(&call.name.to_ascii_lowercase(), args, kind, call.position, move |cells| {
        let mut numbers = Vec::with_capacity(cells.len());
        for cell in cells {
            let Cell::Double(number) = cell else { return Ok(null.clone()) };
            numbers.push(*number);
        }
        f(&numbers)
    })
}

/// Returns the metres between two places, given as latitude and longitude with the positions of their arguments. A degree of
/// longitude is as long as it is at the latitude `around`.
fn metres(at: &[f64], around: f64, positions: [usize; 4]) -> Result<f64, SqlError> {
    for (i, (degrees, position)) in at.iter().zip(positions).enumerate() {
        let (name, most) = if i % 2 == 0 { ("latitude", 90.0) } else { ("longitude", 180.0) };
        if degrees.abs() > most {
            let message = format!("{name} must be between -{most} and {most} [value={degrees:?}]");
            return Err(SqlError::new(position, message));
        }
    }
    let north = (at[0] - at[2]) * METRES_A_DEGREE;
    let east = (at[1] - at[3]) * METRES_A_DEGREE * around.to_radians().cos();
    Ok((north * north + east * east).sqrt())
}

fn positions(call: &Call) -> [usize; 4] {
    [0, 1, 2, 3].map(|i| call.args.get(i).map_or(call.position, |arg| arg.position))
}

fn geo_distance(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let positions = positions(call);
    of_doubles(call, 4, Kind::Double, Cell::Null, move |at| Ok(Cell::Double(metres(at, at[0], positions)?)))
}

fn geo_within(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let positions = positions(call);
    of_doubles(call, 5, Kind::Boolean, Cell::Boolean(false), move |at| {
        Ok(Cell::Boolean(metres(&at[..4], at[2], positions)? <= at[4]))
    })
}

/// Binds within_box(x, y, least x, least y, most x, most y).
fn within_box(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    of_doubles(call, 6, Kind::Boolean, Cell::Boolean(false), |at| {
        Ok(Cell::Boolean(at[2] <= at[0] && at[0] <= at[4] && at[3] <= at[1] && at[1] <= at[5]))
    })
}

/// Binds within_radius(x, y, centre x, centre y, radius).
fn within_radius(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    of_doubles(call, 5, Kind::Boolean, Cell::Boolean(false), |at| {
        let (x, y) = (at[0] - at[2], at[1] - at[3]);
        Ok(Cell::Boolean(at[4] >= 0.0 && x * x + y * y <= at[4] * at[4]))
    })
}
