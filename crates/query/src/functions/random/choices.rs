//! Symbols of which some come oftener than others: rnd_symbol_weighted, rnd_symbol_zipf.

use super::super::Environment;
use super::super::cast;
use super::super::typed::{Call, Typed};
use super::{text_column, volatile};
use crate::error::SqlError;
use crate::kind::Kind;

/// The most symbols that `rnd_symbol_zipf(count, alpha)` makes.
const MOST: i64 = 1_000_000;

/// Binds rnd_symbol_weighted(symbol, weight, symbol, weight, …).
pub fn weighted(call: &Call, environment: &Environment) -> Result<Typed, SqlError> {
    if call.args.is_empty() {
        return Err(SqlError::new(call.position, "expected at least one symbol-weight pair"));
    }
    let (pairs, rest) = call.args.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(SqlError::new(call.position, "expected even number of arguments (symbol-weight pairs)"));
    }
    let mut choices = Vec::new();
    for [name, weight] in pairs {
        let wrong = |message: &str| SqlError::new(weight.position, message);
        let share = number(weight)?.ok_or_else(|| wrong("constant weight expected"))?;
        if share < 0.0 {
            return Err(wrong("weight must be non-negative"));
        }
        choices.push((symbol(name)?, share));
    }
    if choices.iter().all(|(_, share)| *share == 0.0) {
        return Err(SqlError::new(call.position, "total weight must be positive"));
    }
    drawn(call, environment, choices)
}

/// Binds rnd_symbol_zipf(symbol, symbol, …, alpha) or rnd_symbol_zipf(count, alpha): the n-th comes as often as 1 / n^alpha.
pub fn zipf(call: &Call, environment: &Environment) -> Result<Typed, SqlError> {
    let Some((last, names)) = call.args.split_last().filter(|(_, names)| !names.is_empty()) else {
        let message = "expected at least 2 arguments: symbol list and alpha parameter";
        return Err(SqlError::new(call.position, message));
    };
    let wrong = |message: &str| SqlError::new(last.position, message);
    let alpha = number(last)?.ok_or_else(|| wrong("constant alpha expected"))?;
    if alpha <= 0.0 {
        return Err(wrong("alpha must be positive"));
    }
    let names: Vec<String> = match names {
        [count] if count.kind.is_integer() => {
            let wrong = |message: &str| SqlError::new(count.position, message);
            let count = count.as_integer().ok_or_else(|| wrong("constant expected"))?;
            if !(1..=MOST).contains(&count) {
                return Err(wrong(if count < 1 { "symbol count must be positive" } else { "too many symbols" }));
            }
            (0..count).map(|i| format!("sym{i}")).collect()
        }
        names => names.iter().map(symbol).collect::<Result<_, _>>()?,
    };
    let choices = names.into_iter().enumerate().map(|(i, name)| (name, (i as f64 + 1.0).powf(-alpha))).collect();
    drawn(call, environment, choices)
}

fn symbol(arg: &Typed) -> Result<String, SqlError> {
    arg.as_text().map(str::to_owned).ok_or_else(|| SqlError::new(arg.position, "STRING constant expected"))
}

/// Returns the number that a constant argument is; None for anything else.
fn number(arg: &Typed) -> Result<Option<f64>, SqlError> {
    if !arg.is_literal() || !arg.kind.is_number() {
        return Ok(None);
    }
    Ok(match cast::implicit(arg.clone(), Kind::Double)?.as_literal() {
        Some(datafusion::common::ScalarValue::Float64(value)) => *value,
        _ => None,
    })
}

/// Returns symbols of the choices, each with its share.
fn drawn(call: &Call, environment: &Environment, choices: Vec<(String, f64)>) -> Result<Typed, SqlError> {
    let mut sum = 0.0;
    let ends: Vec<f64> = choices
        .iter()
        .map(|(_, share)| {
            sum += share;
            sum
        })
        .collect();
    volatile(call, environment, Kind::Symbol, move |g, rows| {
        text_column(rows, |_| {
            let at = g.unit() * sum;
            let place = ends.partition_point(|end| *end <= at);
            choices.get(place).or(choices.last()).map(|(name, _)| name.as_str())
        })
    })
}
