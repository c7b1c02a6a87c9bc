//! Functions of moments over TIMESTAMP_NS: the calendar works in microseconds, what is finer is carried along.

use std::sync::Arc;

use arrow::datatypes::{Int64Type, TimestampMicrosecondType, TimestampNanosecondType};
use datafusion::logical_expr::Volatility;
use types::time::{US_PER_DAY, US_PER_HOUR, US_PER_MINUTE, US_PER_SECOND};

use super::arithmetic::{self, Arithmetic};
use super::array::over;
use super::cast;
use super::cell::Cell;
use super::kernel::{Args, Function, column};
use super::typed::{Call, Typed};
use super::{Environment, scalar};
use crate::bucket::Stride;
use crate::error::SqlError;
use crate::kind::Kind;

/// Functions whose answer is a moment of the kind that they are given.
const KEEPS_KIND: [&str; 6] =
    ["dateadd", "date_trunc", "timestamp_floor", "timestamp_ceil", "timestamp_floor_utc", "to_utc"];

/// Returns whether a call has a TIMESTAMP_NS where the calendar's microseconds are needed.
pub fn takes(call: &Call) -> bool {
    let name = call.name.to_ascii_lowercase();
    let has_nanos = call.args.iter().any(|a| a.kind == Kind::TimestampNs);
    has_nanos
        && (KEEPS_KIND.contains(&name.as_str())
            || matches!(name.as_str(), "nanos" | "datediff" | "to_timezone" | "extract"))
}

/// Binds such a call.
pub fn bind(call: &Call, environment: &Environment) -> Result<Typed, SqlError> {
    let name = call.name.to_ascii_lowercase();
    let position = call.position;
    if name == "nanos" {
        return over("nanos", call.args.clone(), Kind::Int, position, |cells| match cells {
            [Cell::Whole(ns)] => Ok(Cell::Whole(ns.rem_euclid(1_000))),
            _ => Ok(Cell::Null),
        });
    }
    if let Some(answer) = by_nanos(&name, call) {
        return answer;
    }
    if let ("timestamp_floor", [stride, at]) = (name.as_str(), &call.args[..])
        && let Some(Ok(stride)) = stride.as_text().map(Stride::from_floor)
        && stride.is_finer()
    {
        return floor_to(stride.count(), at, position);
    }
    let micros = |arg: &Typed| match arg.kind {
        Kind::TimestampNs => floor(arg),
        _ => Ok(arg.clone()),
    };
    let args = call.args.iter().map(micros).collect::<Result<Vec<_>, _>>()?;
    let answer = scalar(&Call { args, ..call.clone() }, environment)?;
    if answer.kind != Kind::Timestamp {
        return Ok(answer);
    }
    let answer = cast::explicit(answer, Kind::TimestampNs, position)?;
    let moment = call.args.iter().find(|a| a.kind == Kind::TimestampNs);
    match (name.as_str(), moment) {
        ("dateadd" | "to_timezone" | "to_utc", Some(moment)) => {
            let rest = rest(moment)?;
            Ok(arithmetic::binary(Arithmetic::Add, answer, rest, position)?.at(position))
        }
        _ => Ok(answer),
    }
}

/// Binds a call that counts nanoseconds, or asks for what follows a microsecond; None for every other one.
fn by_nanos(name: &str, call: &Call) -> Option<Result<Typed, SqlError>> {
    let unit = call.args.first()?.as_text()?;
    let position = call.position;
    Some(match (name, unit, &call.args[1..]) {
        ("dateadd", "n", [count, at]) if count.kind.is_integer() && !count.is_null_literal() => {
            cast::implicit(count.clone(), Kind::Long)
                .and_then(|count| arithmetic::binary(Arithmetic::Add, at.clone(), count, position))
        }
        ("datediff", unit, [from, to]) => nanos_between(from, to, fixed_ns(unit)?, position),
        ("date_trunc", "nanosecond" | "nanoseconds", [at]) => Ok(at.clone()),
        ("extract", unit, [at]) if unit.eq_ignore_ascii_case("nanoseconds") => nanos_of_second(at, position),
        ("timestamp_ceil", "n", [at]) => Ok(at.clone()),
        ("timestamp_ceil", "u" | "U", [at]) => floor(at)
            .and_then(|us| cast::explicit(us, Kind::TimestampNs, position))
            .and_then(|ns| arithmetic::binary(Arithmetic::Add, ns, Typed::long(1_000, position), position)),
        _ => return None,
    })
}

/// Returns the nanoseconds of a unit of datediff; None for those of the calendar, whose days are whole microseconds.
fn fixed_ns(unit: &str) -> Option<i64> {
    Some(match unit {
        "n" => 1,
        "u" | "U" => 1_000,
        "T" => 1_000_000,
        "s" => US_PER_SECOND * 1_000,
        "m" => US_PER_MINUTE * 1_000,
        "h" => US_PER_HOUR * 1_000,
        "d" => US_PER_DAY * 1_000,
        "w" => 7 * US_PER_DAY * 1_000,
        _ => return None,
    })
}

/// Returns how many whole units lie between two moments.
fn nanos_between(from: &Typed, to: &Typed, unit_ns: i64, position: usize) -> Result<Typed, SqlError> {
    let args = vec![cast::implicit(from.clone(), Kind::TimestampNs)?, cast::implicit(to.clone(), Kind::TimestampNs)?];
    let kernel = Arc::new(move |args: &Args| {
        let (from, to) = (args.numbers::<TimestampNanosecondType>(0), args.numbers::<TimestampNanosecondType>(1));
        let between = |row| Some(to.get(row)?.wrapping_sub(from.get(row)?).wrapping_abs() / unit_ns);
        Ok(column::<Int64Type>(args.rows(), between))
    });
    let name = format!("units of {unit_ns}ns between");
    Function::new(&name, 2, Kind::Long, Volatility::Immutable, kernel).call(args, Kind::Long, position)
}

/// Returns the nanoseconds behind the second, an INT.
fn nanos_of_second(moment: &Typed, position: usize) -> Result<Typed, SqlError> {
    over("nanos of second", vec![moment.clone()], Kind::Int, position, |cells| match cells {
        [Cell::Whole(ns)] => Ok(Cell::Whole(ns.rem_euclid(US_PER_SECOND * 1_000))),
        _ => Ok(Cell::Null),
    })
}

/// Returns the start of the so many nanoseconds in which a TIMESTAMP_NS lies.
fn floor_to(count_ns: i64, moment: &Typed, position: usize) -> Result<Typed, SqlError> {
    let kernel = Arc::new(move |args: &Args| {
        let moments = args.numbers::<TimestampNanosecondType>(0);
        let of = |row| moments.get(row).map(|ns| ns.wrapping_sub(ns.rem_euclid(count_ns)));
        Ok(column::<TimestampNanosecondType>(args.rows(), of))
    });
    let (name, kind) = (format!("floor to {count_ns}ns"), Kind::TimestampNs);
    Function::new(&name, 1, kind, Volatility::Immutable, kernel).call(vec![moment.clone()], kind, position)
}

/// Returns the microsecond in which a TIMESTAMP_NS lies.
pub fn floor(moment: &Typed) -> Result<Typed, SqlError> {
    let kernel = Arc::new(|args: &Args| {
        let moments = args.numbers::<TimestampNanosecondType>(0);
        let of = |row| Some(moments.get(row)?.div_euclid(1_000));
        Ok(column::<TimestampMicrosecondType>(args.rows(), of))
    });
    let (position, kind) = (moment.position, Kind::Timestamp);
    Function::new("micros of", 1, kind, Volatility::Immutable, kernel).call(vec![moment.clone()], kind, position)
}

/// Returns the nanoseconds behind the microsecond.
fn rest(moment: &Typed) -> Result<Typed, SqlError> {
    over("nanos behind", vec![moment.clone()], Kind::Long, moment.position, |cells| match cells {
        [Cell::Whole(ns)] => Ok(Cell::Whole(ns.rem_euclid(1_000))),
        _ => Ok(Cell::Null),
    })
}
