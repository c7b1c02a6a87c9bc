//! Aggregate functions: their types, null rules and names.
//!
//! `count` is DataFusion's own, so that statistics may answer it. All others are [`fold::Fold`]s: what is kept for one
//! group, and how a row changes it. Rows arrive in the order of the designated timestamp, which first and last rely on.
//! Next: [`fold`] ([`groups`]: its other form, [`dense`]: for few groups), then [`sums`], [`extremes`], [`ends`], [`spread`], [`paths`], [`percentiles`], [`tallies`], [`bits`].

use datafusion::common::ScalarValue;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::AggregateFunction;

use super::cast;
use super::overload::convert;
use super::typed::{Call, Typed};
use crate::error::SqlError;
use crate::kind::Kind;

mod bits;
pub mod dense;
mod ends;
mod extremes;
mod fold;
pub mod groups;
mod paths;
mod percentiles;
mod reduce;
mod spread;
mod sums;
mod tallies;

/// The names of all aggregate functions, lower case.
pub(super) const NAMES: &[&str] = &[
    "count",
    "count_distinct",
    "sum",
    "avg",
    "min",
    "max",
    "first",
    "last",
    "first_not_null",
    "last_not_null",
    "ksum",
    "nsum",
    "stddev",
    "stddev_samp",
    "stddev_pop",
    "variance",
    "var_samp",
    "var_pop",
    "covar_pop",
    "covar_samp",
    "corr",
    "regr_slope",
    "regr_intercept",
    "geomean",
    "weighted_avg",
    "vwap",
    "mode",
    "string_agg",
    "string_distinct_agg",
    "approx_count_distinct",
    "approx_percentile",
    "approx_median",
    "twap",
    "haversine_dist_deg",
    "weighted_stddev",
    "weighted_stddev_freq",
    "weighted_stddev_rel",
    "bool_and",
    "bool_or",
    "bit_and",
    "bit_or",
    "bit_xor",
    "arg_min",
    "arg_max",
    "isordered",
];

/// Returns whether an aggregate function of that name exists, in any case.
pub fn is_aggregate(name: &str) -> bool {
    NAMES.iter().any(|n| n.eq_ignore_ascii_case(name))
}

/// Binds a call of an aggregate function; count(*) has no arguments.
///
/// The expression is an `Expr::AggregateFunction` over arguments of exact types.
pub fn bind(call: &Call, distinct: bool) -> Result<Typed, SqlError> {
    let name = call.name.to_ascii_lowercase();
    if distinct && !matches!(name.as_str(), "count" | "string_agg") {
        return Err(SqlError::new(call.position, format!("DISTINCT is not supported in {name}")));
    }
    if name == "count" && !distinct {
        return count(call);
    }
    let Some(first) = call.args.first() else { return Err(call.no_match()) };
    match (name.as_str(), call.args.len()) {
        ("count" | "count_distinct", 1) => count_distinct(call),
        ("count", _) => Err(Call { name: "count_distinct".to_owned(), ..call.clone() }.no_match()),
        ("sum" | "avg" | "ksum" | "nsum" | "geomean", 1) => sums::bind(&name, call, first),
        ("min" | "max", 1) => extremes::bind(name == "max", call, first),
        ("first" | "last" | "first_not_null" | "last_not_null", 1) => ends::bind(&name, call, first),
        ("stddev" | "stddev_samp" | "stddev_pop" | "variance" | "var_samp" | "var_pop", 1) => {
            spread::of_one(&name, call, first)
        }
        ("covar_pop" | "covar_samp" | "corr" | "regr_slope" | "regr_intercept" | "weighted_avg" | "vwap", 2) => {
            spread::of_pairs(&name, call)
        }
        ("weighted_stddev" | "weighted_stddev_freq" | "weighted_stddev_rel", _) => spread::weighted(&name, call),
        ("approx_percentile" | "approx_median", _) => percentiles::bind(&name, call),
        ("twap", _) => paths::twap(call),
        ("haversine_dist_deg", _) => paths::haversine(call),
        ("mode", 1) => tallies::mode(call, first),
        ("approx_count_distinct", 1 | 2) => approx_count_distinct(call, first),
        ("string_agg" | "string_distinct_agg", 2) => {
            tallies::string_agg(call, distinct || name == "string_distinct_agg")
        }
        ("bool_and" | "bool_or", 1) => bits::of_booleans(&name, call, first),
        ("bit_and" | "bit_or" | "bit_xor", 1) => bits::of_integers(&name, call, first),
        ("isordered", 1) => extremes::is_ordered(call, first),
        ("arg_min" | "arg_max", 2) => extremes::arg(name == "arg_max", call),
        _ => Err(call.no_match()),
    }
}

/// Returns the call of DataFusion's count over one argument.
fn counted(arg: Expr, distinct: bool, position: usize) -> Typed {
    let count = AggregateFunction::new_udf(count_udaf(), vec![arg], distinct, None, vec![], None);
    Typed::new(Expr::AggregateFunction(count), Kind::Long, position)
}

fn count(call: &Call) -> Result<Typed, SqlError> {
    let every_row = Expr::Literal(ScalarValue::Int64(Some(1)), None);
    match call.args.as_slice() {
        [] => Ok(counted(every_row, false, call.position)),
        [arg] if matches!(arg.kind, Kind::Boolean | Kind::Binary | Kind::Array(_)) => Err(call.no_match()),
        [arg] if !arg.kind.is_nullable() => Ok(counted(every_row, false, call.position)),
        [arg] => Ok(counted(arg.expr.clone(), false, call.position)),
        _ => Err(call.no_match()),
    }
}

fn count_distinct(call: &Call) -> Result<Typed, SqlError> {
    Ok(counted(call.args[0].expr.clone(), true, call.position))
}

/// Binds approx_count_distinct: counted exactly, which is within any error that it promises.
fn approx_count_distinct(call: &Call, arg: &Typed) -> Result<Typed, SqlError> {
    if matches!(arg.kind, Kind::Boolean | Kind::Float | Kind::Double) {
        return Err(call.no_match());
    }
    if let Some(precision) = call.args.get(1) {
        match precision.as_integer() {
            Some(4..=18) => {}
            None if !precision.is_null_literal() => return Err(call.no_match()),
            _ => return Err(SqlError::new(call.position, "precision must be between 4 and 18")),
        }
    }
    Ok(counted(arg.expr.clone(), true, call.position))
}

/// Converts a number, or text that holds one, to DOUBLE; None if the argument is neither. A SYMBOL is none.
fn as_double(arg: &Typed) -> Option<Result<Typed, SqlError>> {
    let text = matches!(arg.kind, Kind::String | Kind::Varchar);
    let fits = arg.kind.is_number() || arg.kind.is_time() || text || arg.kind == Kind::Null;
    fits.then(|| match arg.kind.is_text() {
        true => cast::reduced(arg.clone(), Kind::Double),
        false => convert(arg.clone(), Kind::Double),
    })
}

#[cfg(test)]
mod tests;
