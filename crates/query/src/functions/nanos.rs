//! Functions of moments over TIMESTAMP_NS: the calendar works in microseconds, what is finer is carried along.

use std::sync::Arc;

use arrow::datatypes::{TimestampMicrosecondType, TimestampNanosecondType};
use datafusion::logical_expr::Volatility;

use super::arithmetic::{self, Arithmetic};
use super::array::over;
use super::cast;
use super::cell::Cell;
use super::kernel::{Args, Function, column};
use super::typed::{Call, Typed};
use super::{Environment, scalar};
use crate::error::SqlError;
use crate::kind::Kind;

/// Functions whose answer is a moment of the kind that they are given.
const KEEPS_KIND: [&str; 6] =
    ["dateadd", "date_trunc", "timestamp_floor", "timestamp_ceil", "timestamp_floor_utc", "to_utc"];

/// Returns whether a call has a TIMESTAMP_NS where the calendar's microseconds are needed.
pub fn takes(call: &Call) -> bool {
    let name = call.name.to_ascii_lowercase();
    let has_nanos = call.args.iter().any(|a| a.kind == Kind::TimestampNs);
    has_nanos && (KEEPS_KIND.contains(&name.as_str()) || matches!(name.as_str(), "nanos" | "datediff" | "to_timezone"))
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
