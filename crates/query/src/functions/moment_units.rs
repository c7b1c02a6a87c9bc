//! Moments moved, measured and cut by units of time: dateadd, datediff, date_trunc, timestamp_floor, timestamp_ceil.
//!
//! Days and shorter units are fixed numbers of microseconds; months and years follow the calendar. Next: [`units`].

use std::sync::Arc;

use arrow::datatypes::{Int64Type, TimestampMicrosecondType, TimestampNanosecondType};
use datafusion::logical_expr::Volatility;

use super::kernel::{Args, Function, column};
use super::overload::convert;
use super::typed::{Call, Typed};
use super::{Binding, Environment};
use crate::bucket;
use crate::error::SqlError;
use crate::kind::Kind;

pub mod units;
pub mod zones;

use units::{Stride, Trunc, Unit};

/// Returns the binding of a function over units of time.
pub fn find(name: &str) -> Option<Binding> {
    Some(Binding::Own(match name {
        "dateadd" => dateadd,
        "datediff" => datediff,
        "date_trunc" => date_trunc,
        "timestamp_floor" => timestamp_floor,
        "timestamp_ceil" => timestamp_ceil,
        "to_timezone" => |call, _| to_zone(call, true),
        "to_utc" => |call, _| to_zone(call, false),
        "now" => now,
        "now_ns" => now_ns,
        "systimestamp_ns" => systimestamp_ns,
        "systimestamp" => systimestamp,
        "sysdate" => sysdate,
        _ => return None,
    }))
}

/// Returns a TIMESTAMP function of `args`; the kernel computes a row from the moment in argument `moment`.
fn over_moments(
    name: &str,
    args: Vec<Typed>,
    moment: usize,
    position: usize,
    f: impl Fn(&Args, usize, i64) -> Option<i64> + Send + Sync + 'static,
) -> Result<Typed, SqlError> {
    let kernel = Arc::new(move |args: &Args| {
        let moments = args.timestamps(moment);
        Ok(column::<TimestampMicrosecondType>(args.rows(), |row| f(args, row, moments.get(row)?)))
    });
    let count = args.len();
    Function::new(name, count, Kind::Timestamp, Volatility::Immutable, kernel).call(args, Kind::Timestamp, position)
}

/// Returns an argument as a moment; None if it cannot be one.
fn moment(arg: &Typed) -> Option<Result<Typed, SqlError>> {
    let fits = arg.kind.is_time() || arg.kind.is_text() || arg.kind.is_integer() || arg.kind == Kind::Null;
    fits.then(|| convert(arg.clone(), Kind::Timestamp))
}

fn dateadd(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let (unit, count, at) = match call.args.as_slice() {
        [unit, count, at] | [unit, count, at, _] => (unit, count, at),
        _ => return Err(call.no_match()),
    };
    let whole =
        count.kind.is_text() || matches!(count.kind, Kind::Byte | Kind::Short | Kind::Int | Kind::Char | Kind::Null);
    let (true, true, Some(at)) = (matches!(unit.kind, Kind::Char | Kind::Null), whole, moment(at)) else {
        return Err(call.no_match());
    };
    let letter = match unit.as_literal() {
        Some(_) => unit.as_text().and_then(|t| t.chars().next()).unwrap_or(' '),
        None => return Err(SqlError::new(unit.position, "the unit of dateadd must be a constant")),
    };
    let Some(of) = Unit::from_letter(letter) else {
        return Err(SqlError::new(unit.position, format!("invalid time period [unit={letter}]")));
    };
    if count.is_null_literal() {
        return Err(SqlError::new(count.position, "`null` is not a valid stride"));
    }
    let mut args = vec![unit.clone(), convert(count.clone(), Kind::Int)?, at?];
    let zone = match call.args.get(3) {
        Some(zone) => {
            args.push(zone.clone());
            Some(zones::constant(zone)?)
        }
        None => None,
    };
    over_moments("dateadd", args, 2, call.position, move |args, row, us| {
        let count = i64::from(args.ints(1).get(row)?);
        Some(match &zone {
            None => of.add(us, count),
            Some(zone) => zones::to_utc(zone, of.add(zone.to_local(us), count)),
        })
    })
}

fn datediff(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let [unit, from, to] = call.args.as_slice() else { return Err(call.wrong_count(3)) };
    let (Kind::Char | Kind::Null, Some(from), Some(to)) = (unit.kind, moment(from), moment(to)) else {
        return Err(call.no_match());
    };
    let of = unit.as_text().and_then(|t| t.chars().next()).and_then(Unit::from_letter);
    let Some(of) = of else {
        return Ok(Typed::literal(Kind::Timestamp.null(), Kind::Timestamp, call.position));
    };
    let args = vec![unit.clone(), from?, to?];
    let kernel = Arc::new(move |args: &Args| {
        let (from, to) = (args.timestamps(1), args.timestamps(2));
        Ok(column::<Int64Type>(args.rows(), |row| Some(of.between(from.get(row)?, to.get(row)?))))
    });
    Function::new("datediff", 3, Kind::Long, Volatility::Immutable, kernel).call(args, Kind::Long, call.position)
}

fn date_trunc(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let [unit, at] = call.args.as_slice() else { return Err(call.wrong_count(2)) };
    let textual = unit.kind.is_text() || matches!(unit.kind, Kind::Char | Kind::Null);
    let (true, Some(at)) = (textual, moment(at)) else { return Err(call.no_match()) };
    let name = unit.as_text().unwrap_or("null").to_owned();
    let Some(of) = Trunc::from_name(&name) else {
        return Err(SqlError::new(unit.position, format!("invalid unit '{name}'")));
    };
    let at = at?;
    if let Some(stride) = of.stride_text().filter(|_| !at.is_literal()) {
        return bucketed(stride, at, call.position);
    }
    over_moments("date_trunc", vec![unit.clone(), at], 1, call.position, move |_, _, us| Some(of.floor(us)))
}

/// Binds timestamp_floor(stride, moment [, from [, offset, zone]]); with a zone the answer is local time.
fn timestamp_floor(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    if !matches!(call.args.len(), 2 | 3 | 5) {
        return Err(call.no_match());
    }
    let (stride, at) = (&call.args[0], &call.args[1]);
    let textual = stride.kind.is_text() || matches!(stride.kind, Kind::Char | Kind::Null);
    let (true, Some(at)) = (textual, moment(at)) else { return Err(call.no_match()) };
    let text = stride.as_text().unwrap_or("null").to_owned();
    let Some(by) = Stride::parse(&text) else {
        return Err(SqlError::new(stride.position, format!("invalid unit '{text}'")));
    };
    let at = at?;
    if call.args.len() == 2 && !at.is_literal() {
        return bucketed(&text, at, call.position);
    }
    let mut args = vec![stride.clone(), at];
    let mut from = None;
    if let Some(arg) = call.args.get(2) {
        let arg = moment(arg).ok_or_else(|| call.no_match())??;
        if let Some(datafusion::common::ScalarValue::TimestampMicrosecond(us, _)) = arg.as_literal() {
            from = *us;
        } else {
            return Err(SqlError::new(arg.position, "the start of timestamp_floor must be a constant"));
        }
        args.push(arg);
    }
    let (offset_us, zone) = match (call.args.get(3), call.args.get(4)) {
        (Some(offset), Some(zone)) => {
            args.extend([offset.clone(), zone.clone()]);
            let text = offset.as_text().unwrap_or("00:00");
            let us = zones::offset_us(text)
                .ok_or_else(|| SqlError::new(offset.position, format!("invalid offset: {text}")))?;
            let zone = if zone.is_null_literal() { None } else { Some(zones::constant(zone)?) };
            (us, zone)
        }
        _ => (0, None),
    };
    over_moments("timestamp_floor", args, 1, call.position, move |_, _, us| {
        let local = zone.as_ref().map_or(us, |zone| zone.to_local(us));
        Some(by.floor_from(local, from, offset_us))
    })
}

/// Returns the start of the stride that a moment lies in, as the function that the optimizer can see through.
fn bucketed(stride: &str, at: Typed, position: usize) -> Result<Typed, SqlError> {
    let stride = bucket::Stride::from_floor(stride).map_err(|message| SqlError::new(position, message))?;
    Ok(Typed::new(bucket::bucket_expr(at.expr, bucket::Grid::calendar(stride)), Kind::Timestamp, position))
}

fn timestamp_ceil(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let [unit, at] = call.args.as_slice() else { return Err(call.wrong_count(2)) };
    let Some(at) = moment(at) else { return Err(call.no_match()) };
    if unit.kind.is_text() {
        let text = unit.as_text().unwrap_or_default();
        return Err(SqlError::new(0, format!("inconvertible value: `{text}` [{} -> CHAR]", unit.kind)));
    }
    let letter = unit.as_text().and_then(|t| t.chars().next()).unwrap_or(' ');
    let Some(of) = Unit::from_letter(letter) else {
        return Err(SqlError::new(unit.position, format!("invalid unit '{letter}'")));
    };
    over_moments("timestamp_ceil", vec![unit.clone(), at?], 1, call.position, move |_, _, us| Some(of.next(us)))
}

/// Binds to_timezone (UTC to local) or to_utc (local to UTC).
fn to_zone(call: &Call, local: bool) -> Result<Typed, SqlError> {
    let [at, zone] = call.args.as_slice() else { return Err(call.wrong_count(2)) };
    let Some(at) = moment(at) else { return Err(call.no_match()) };
    if !zone.kind.is_text() && !matches!(zone.kind, Kind::Char | Kind::Null) {
        return Err(call.no_match());
    }
    let name = if local { "to_timezone" } else { "to_utc" };
    let shift = move |zone: &zones::Zone, us: i64| if local { zone.to_local(us) } else { zones::to_utc(zone, us) };
    let args = vec![at?, zone.clone()];
    if zone.is_literal() {
        let constant = zones::constant(zone)?;
        return over_moments(name, args, 0, call.position, move |_, _, us| Some(shift(&constant, us)));
    }
    over_moments(name, args, 0, call.position, move |args, row, us| {
        let zone = args.texts(1).get(row).and_then(zones::Zone::parse);
        Some(zone.map_or(us, |zone| shift(&zone, us)))
    })
}

fn no_arguments(call: &Call) -> Result<(), SqlError> {
    if call.args.is_empty() { Ok(()) } else { Err(call.wrong_count(0)) }
}

fn now(call: &Call, environment: &Environment) -> Result<Typed, SqlError> {
    no_arguments(call)?;
    let value = datafusion::common::ScalarValue::TimestampMicrosecond(Some(environment.ask().now_us), None);
    Ok(Typed::literal(value, Kind::Timestamp, call.position))
}

fn now_ns(call: &Call, environment: &Environment) -> Result<Typed, SqlError> {
    no_arguments(call)?;
    let now_ns = environment.ask().now_us.checked_mul(1_000);
    let value = datafusion::common::ScalarValue::TimestampNanosecond(now_ns, None);
    Ok(Typed::literal(value, Kind::TimestampNs, call.position))
}

fn systimestamp_ns(call: &Call, environment: &Environment) -> Result<Typed, SqlError> {
    no_arguments(call)?;
    let clock = environment.ask().clock.clone();
    let kernel = Arc::new(move |args: &Args| {
        Ok(column::<TimestampNanosecondType>(args.rows(), |_| clock.now_us().checked_mul(1_000)))
    });
    let function = Function::new("systimestamp_ns", 0, Kind::TimestampNs, Volatility::Volatile, kernel);
    function.call(Vec::new(), Kind::TimestampNs, call.position)
}

fn systimestamp(call: &Call, environment: &Environment) -> Result<Typed, SqlError> {
    no_arguments(call)?;
    let clock = environment.ask().clock.clone();
    let kernel =
        Arc::new(move |args: &Args| Ok(column::<TimestampMicrosecondType>(args.rows(), |_| Some(clock.now_us()))));
    let function = Function::new("systimestamp", 0, Kind::Timestamp, Volatility::Volatile, kernel);
    function.call(Vec::new(), Kind::Timestamp, call.position)
}

fn sysdate(call: &Call, environment: &Environment) -> Result<Typed, SqlError> {
    no_arguments(call)?;
    let clock = environment.ask().clock.clone();
    let kernel = Arc::new(move |args: &Args| {
        let now = || Some(clock.now_us().div_euclid(1_000));
        Ok(column::<arrow::datatypes::TimestampMillisecondType>(args.rows(), |_| now()))
    });
    Function::new("sysdate", 0, Kind::Date, Volatility::Volatile, kernel).call(Vec::new(), Kind::Date, call.position)
}

#[cfg(test)]
mod tests;
