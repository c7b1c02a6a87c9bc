//! Stretches of time that functions give: `today()`, `yesterday()`, `tomorrow()`, `interval(from, to)`, and what is asked of them.
//!
//! A stretch is its first and its last moment while a statement is planned: it has no type of its own, and is shown as a text.

use datafusion::common::ScalarValue;
use types::TimeRange;
use types::time::US_PER_DAY;

use super::moments::{moment, within};
use super::scope::Scope;
use crate::error::SqlError;
use crate::functions::comparison::Comparison;
use crate::functions::moment::parse_timestamp;
use crate::functions::operators::{BinaryOp, UnaryOp, binary, unary};
use crate::functions::{self, Call, Typed, cast};
use crate::interval::zone::Zone;
use crate::kind::Kind;
use crate::parser::ast::{Expr as Tree, ExprKind};

/// The first and the last moment of a stretch of time.
struct Stretch {
    first: Typed,
    last: Typed,
}

/// Returns the value of a call that gives a stretch, or one end of it; `None` for any other function.
pub fn call(scope: &Scope, name: &str, args: &[Tree], position: usize) -> Result<Option<Typed>, SqlError> {
    if let "interval_start" | "interval_end" = name
        && let [arg] = args
    {
        let Some(found) = stretch(scope, arg)? else {
            let kind = scope.bind(arg)?.kind;
            let message =
                format!("argument type mismatch for function `{name}` at #1 expected: INTERVAL, actual: {kind}");
            return Err(SqlError::new(arg.position, message));
        };
        let end = if name == "interval_start" { found.first } else { found.last };
        return Ok(Some(end.at(position)));
    }
    let Some(found) = of_call(scope, name, args, position)? else { return Ok(None) };
    shown(scope, found, position).map(Some)
}

/// Binds `value IN (stretch, …)`; `None` when the list has none.
pub fn in_list(
    scope: &Scope,
    value: &Typed,
    list: &[Tree],
    negated: bool,
    position: usize,
) -> Result<Option<Typed>, SqlError> {
    let mut stretches = Vec::new();
    for tree in list {
        match stretch(scope, tree)? {
            Some(stretch) => stretches.push(stretch),
            None => return Ok(None),
        }
    }
    if stretches.is_empty() {
        return Ok(None);
    }
    if !value.kind.is_time() {
        let message = format!("cannot compare {} with type INTERVAL", value.kind);
        return Err(SqlError::new(list.first().map_or(position, |tree| tree.position), message));
    }
    let constant = |moment: &Typed| match moment.as_literal() {
        Some(ScalarValue::TimestampMicrosecond(us, _)) => Some(*us),
        _ => None,
    };
    let constants: Option<Vec<_>> = stretches.iter().map(|s| Some((constant(&s.first)?, constant(&s.last)?))).collect();
    if let Some(constants) = constants {
        // one end that is NULL: nothing lies in it
        let known = constants.into_iter().filter_map(|(first, last)| Some((first?, last?)));
        let ranges = known.map(|(start_us, last_us)| TimeRange { start_us, end_us: last_us.saturating_add(1) });
        return Ok(Some(within(value, &crate::interval::ranges::union(ranges), negated, value.position)));
    }
    let compared = |op: Comparison, bound: Typed| binary(BinaryOp::Comparison(op), value.clone(), bound, position);
    let mut any: Option<Typed> = None;
    for Stretch { first, last } in stretches {
        let one = binary(BinaryOp::And, compared(Comparison::Ge, first)?, compared(Comparison::Le, last)?, position)?;
        any = Some(match any {
            None => one,
            Some(others) => binary(BinaryOp::Or, others, one, position)?,
        });
    }
    let Some(any) = any else { return Ok(None) };
    if negated { unary(UnaryOp::Not, any, position).map(Some) } else { Ok(Some(any)) }
}

fn stretch(scope: &Scope, tree: &Tree) -> Result<Option<Stretch>, SqlError> {
    match &tree.kind {
        ExprKind::Call { name, args, .. } => of_call(scope, &name.to_ascii_lowercase(), args, tree.position),
        _ => Ok(None),
    }
}

fn of_call(scope: &Scope, name: &str, args: &[Tree], position: usize) -> Result<Option<Stretch>, SqlError> {
    let days = match name {
        "yesterday" => -1,
        "today" => 0,
        "tomorrow" => 1,
        "interval" => return between(scope, args, position).map(Some),
        _ => return Ok(None),
    };
    let args = args.iter().map(|arg| scope.bind(arg)).collect::<Result<Vec<_>, _>>()?;
    let zone = match args.as_slice() {
        [] => Some(Zone::parse("UTC")),
        [zone] => zone.as_text().map(Zone::parse),
        _ => None,
    };
    let Some(zone) = zone else { return Err(Call::new(name, position, args).no_match()) };
    let day = zone.map(|zone| {
        let local_us = zone.to_local(scope.planner.environment.ask().now_us);
        let start_us = local_us - local_us.rem_euclid(US_PER_DAY) + days * US_PER_DAY;
        (zone.to_utc(start_us), zone.to_utc(start_us + US_PER_DAY) - 1)
    });
    // a zone that nobody knows: no day
    let null = || Typed::literal(ScalarValue::TimestampMicrosecond(None, None), Kind::Timestamp, position);
    Ok(Some(match day {
        Some((first, last)) => Stretch { first: moment(first, position), last: moment(last, position) },
        None => Stretch { first: null(), last: null() },
    }))
}

/// Binds interval(from, to).
fn between(scope: &Scope, args: &[Tree], position: usize) -> Result<Stretch, SqlError> {
    let args = args.iter().map(|arg| scope.bind(arg)).collect::<Result<Vec<_>, _>>()?;
    let [first, last] = args.as_slice() else { return Err(Call::new("interval", position, args).wrong_count(2)) };
    let (first, last) = (bound(first)?, bound(last)?);
    let us = |typed: &Typed| match typed.as_literal() {
        Some(ScalarValue::TimestampMicrosecond(us, _)) => *us,
        _ => None,
    };
    if let (Some(first), Some(last)) = (us(&first), us(&last))
        && first > last
    {
        return Err(SqlError::new(position, "invalid interval boundaries"));
    }
    Ok(Stretch { first, last })
}

/// Returns an end of an interval as a TIMESTAMP.
fn bound(arg: &Typed) -> Result<Typed, SqlError> {
    if let Some(us) = arg.as_text().and_then(parse_timestamp) {
        return Ok(moment(us, arg.position));
    }
    match arg.kind {
        Kind::Timestamp => Ok(arg.clone()),
        Kind::Int | Kind::Long if arg.as_integer().is_some() => Ok(moment(arg.as_integer().unwrap_or(0), arg.position)),
        Kind::Date | Kind::TimestampNs | Kind::Long | Kind::Int | Kind::Null | Kind::String | Kind::Varchar => {
            cast::explicit(arg.clone(), Kind::Timestamp, arg.position)
        }
        kind => {
            let message = format!("expression type mismatch, expected: TIMESTAMP, actual: {kind}");
            Err(SqlError::new(arg.position, message))
        }
    }
}

/// Returns a stretch as its text: both ends with their milliseconds.
fn shown(scope: &Scope, found: Stretch, position: usize) -> Result<Typed, SqlError> {
    let text = |moment: Typed| {
        let date = cast::explicit(moment, Kind::Date, position)?;
        cast::explicit(date, Kind::String, position)
    };
    let quoted = |text: &str| Typed::text(text, position).with_kind(Kind::String);
    let (first, last) = (found.first, found.last);
    let is_null = |moment: Typed| binary(BinaryOp::Comparison(Comparison::Eq), moment, Typed::null(position), position);
    let none = binary(BinaryOp::Or, is_null(first.clone())?, is_null(last.clone())?, position)?;
    let parts = vec![quoted("('"), text(first)?, quoted("', '"), text(last)?, quoted("')")];
    let whole = functions::scalar(&Call::new("concat", position, parts), scope.planner.environment)?;
    functions::conditional::case(None, vec![(none, Typed::null(position))], Some(whole), position)
}
