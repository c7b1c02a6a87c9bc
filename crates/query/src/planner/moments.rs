//! Times against texts: `ts IN '2024-01'`, `ts = '2024-01-01'`, times against a sub-query.
//!
//! What is said of the designated timestamp becomes plain comparisons with constants, which the table provider turns
//! into ranges of time. Texts are read by [`crate::interval`].

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, Subquery};
use types::TimeRange;

use super::scope::{Scope, binary_op};
use crate::error::SqlError;
use crate::functions::{self, Typed};
use crate::interval::{parse_interval, parse_timestamp, ranges, written_period};
use crate::kind::Kind;
use crate::parser::ast::{Binary, Expr as Tree, ExprKind, Query};

/// Returns the constant of a moment.
pub fn moment(us: i64, position: usize) -> Typed {
    Typed::literal(ScalarValue::TimestampMicrosecond(Some(us), None), Kind::Timestamp, position)
}

/// Returns the constant of the moment that a text names, in the unit of a timestamp's kind.
fn moment_of(text: &str, kind: Kind, position: usize) -> Option<Typed> {
    if kind != Kind::TimestampNs {
        return parse_timestamp(text).map(|us| moment(us, position));
    }
    let ns = functions::moment::parse_timestamp_ns(text)?;
    Some(Typed::literal(ScalarValue::TimestampNanosecond(Some(ns), None), kind, position))
}

/// Binds a comparison of the designated timestamp with a text; `None` when no text is there.
pub fn against_text(op: Binary, left: &Typed, right: &Typed) -> Result<Option<Typed>, SqlError> {
    let (time, text, op) = match (left.as_text(), right.as_text()) {
        (None, Some(_)) => (left, right, op),
        (Some(_), None) => (right, left, mirrored(op)),
        _ => return Ok(None),
    };
    let written = text.as_text().expect("chosen because it is a text");
    let position = text.position;
    match op {
        Binary::Eq => {
            let at = moment_of(written, time.kind, left.position).ok_or_else(|| not_a_moment(written, position))?;
            compare(Binary::Eq, time, at).map(Some)
        }
        Binary::Ne => {
            let range = written_period(written).ok_or_else(|| not_a_moment(written, position))?;
            Ok(Some(within(time, &ranges::complement(&[range]), false, left.position)))
        }
        Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge => {
            let invalid = || SqlError::new(position, format!("Invalid date [str='{written}']"));
            let at = moment_of(written, time.kind, left.position).ok_or_else(invalid)?;
            compare(op, time, at).map(Some)
        }
        _ => Ok(None),
    }
}

fn compare(op: Binary, time: &Typed, at: Typed) -> Result<Typed, SqlError> {
    let position = at.position;
    functions::operators::binary(binary_op(op), time.clone(), at, position)
}

fn not_a_moment(text: &str, position: usize) -> SqlError {
    let message = match parse_interval(text, 0) {
        Ok(_) => "not a timestamp, use IN keyword with intervals",
        Err(_) => "invalid timestamp",
    };
    SqlError::new(position, message)
}

fn mirrored(op: Binary) -> Binary {
    match op {
        Binary::Lt => Binary::Gt,
        Binary::Le => Binary::Ge,
        Binary::Gt => Binary::Lt,
        Binary::Ge => Binary::Le,
        other => other,
    }
}

/// Binds IN for a timestamp or date: one text is an interval, several values are moments. In brackets one text is a moment
/// too, unless it is asked of the designated timestamp or is no moment.
pub fn in_list(
    scope: &Scope,
    value: Typed,
    (list, bracketed): (Vec<Typed>, bool),
    negated: bool,
    is_time: bool,
    position: usize,
) -> Result<Typed, SqlError> {
    if let [one] = &list[..]
        && let Some(text) = one.as_text()
        && (is_time || !bracketed || moment_of(text, value.kind, one.position).is_none())
    {
        // only a variable, `$now` and its kin, means something else each time
        let now_us = if text.contains('$') { scope.planner.environment.ask().now_us } else { 0 };
        let found = parse_interval(text, now_us).map_err(|e| SqlError::new(one.position, e.message))?;
        return Ok(within(&value, &found, negated, value.position));
    }
    let mut moments = Vec::new();
    for item in list {
        moments.push(match item.as_text() {
            Some(text) => {
                let invalid = || SqlError::new(item.position, "Invalid date");
                moment_of(text, value.kind, item.position).ok_or_else(invalid)?
            }
            None => item,
        });
    }
    let instants: Option<Vec<i64>> = moments.iter().map(instant).collect();
    match instants {
        Some(instants) if is_time && value.kind == Kind::Timestamp => {
            let found = ranges::union(instants.iter().map(|us| TimeRange { start_us: *us, end_us: us + 1 }));
            Ok(within(&value, &found, negated, value.position))
        }
        _ => functions::comparison::in_list(value, moments, negated, position),
    }
}

fn instant(value: &Typed) -> Option<i64> {
    match value.as_literal() {
        Some(ScalarValue::TimestampMicrosecond(Some(us), _)) => Some(*us),
        _ => value.as_integer(),
    }
}

/// Returns the constant that a time of a kind is compared with to stand before a microsecond, or not.
pub fn bound_of(kind: Kind, us: i64) -> Expr {
    let value = match kind {
        Kind::TimestampNs => ScalarValue::TimestampNanosecond(Some(us.saturating_mul(1_000)), None),
        Kind::Date => {
            let ms = us.div_euclid(1_000) + i64::from(us.rem_euclid(1_000) > 0);
            ScalarValue::TimestampMillisecond(Some(ms), None)
        }
        _ => ScalarValue::TimestampMicrosecond(Some(us), None),
    };
    Expr::Literal(value, None)
}

/// Returns the test whether a time lies in any of the ranges; NULL lies in none.
pub(super) fn within(time: &Typed, found: &[TimeRange], negated: bool, position: usize) -> Typed {
    let column = time.expr.clone();
    let literal = |us: i64| bound_of(time.kind, us);
    let one = |range: &TimeRange| {
        let above = (range.start_us != i64::MIN).then(|| column.clone().gt_eq(literal(range.start_us)));
        let below = (range.end_us != i64::MAX).then(|| column.clone().lt(literal(range.end_us)));
        match (above, below) {
            (Some(above), Some(below)) => above.and(below),
            (Some(side), None) | (None, Some(side)) => side,
            (None, None) => column.clone().is_not_null(),
        }
    };
    let any = found.iter().filter(|r| !r.is_empty()).map(one).reduce(Expr::or);
    let test = match any {
        Some(test) => test.is_true(),
        None => Expr::Literal(ScalarValue::Boolean(Some(false)), None),
    };
    let test = if negated { functions::comparison::negate(test) } else { test };
    Typed::new(test, Kind::Boolean, position)
}

/// Binds BETWEEN; the texts of a timestamp's bounds are moments.
pub fn between(
    scope: &Scope,
    value: Typed,
    low: Typed,
    high: Typed,
    negated: bool,
    position: usize,
) -> Result<Typed, SqlError> {
    if value.kind != Kind::Timestamp || value.is_literal() {
        return functions::comparison::between(value, low, high, negated, position);
    }
    let _ = scope;
    let read = |bound: Typed| match bound.as_text() {
        Some(text) => match parse_timestamp(text) {
            Some(us) => Ok(moment(us, bound.position)),
            None => Err(SqlError::new(bound.position, "Invalid date")),
        },
        None => Ok(bound),
    };
    let (low, high) = (read(low)?, read(high)?);
    match (instant(&low), instant(&high)) {
        (Some(a), Some(b)) => {
            let range = TimeRange { start_us: a.min(b), end_us: a.max(b).saturating_add(1) };
            let position = value.position;
            Ok(within(&value, &[range], negated, position))
        }
        _ => functions::comparison::between(value, low, high, negated, position),
    }
}

/// Binds a comparison of a timestamp with an uncorrelated sub-query; `None` when there is no sub-query.
pub fn against_query(
    scope: &Scope,
    op: Binary,
    left: &Tree,
    right: &Tree,
    position: usize,
) -> Result<Option<Typed>, SqlError> {
    let compares = matches!(op, Binary::Eq | Binary::Ne | Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge);
    let (value, query, op) = match (&left.kind, &right.kind) {
        (_, ExprKind::Query(query)) if compares => (left, query, op),
        (ExprKind::Query(query), _) if compares => (right, query, mirrored(op)),
        _ => return Ok(None),
    };
    let value = scope.bind(value)?;
    if !matches!(value.kind, Kind::Timestamp | Kind::TimestampNs) {
        let message = format!("left operand must be a TIMESTAMP, found: {}", value.kind);
        return Err(SqlError::new(value.position, message));
    }
    let result = scalar_query(scope, query)?;
    if !matches!(result.kind, Kind::Timestamp | Kind::TimestampNs) {
        return Err(SqlError::new(position, format!("cannot compare TIMESTAMP and {}", result.kind)));
    }
    let position = value.position;
    let test = functions::operators::binary(binary_op(op), value, result.clone(), position)?;
    // An empty or NULL result keeps no row, also for <> and for <= where NULL would equal NULL.
    Ok(Some(Typed::new(test.expr.and(result.expr.is_not_null()), Kind::Boolean, position)))
}

/// Returns the first row's only column of a sub-query.
fn scalar_query(scope: &Scope, query: &Query) -> Result<Typed, SqlError> {
    let relation = scope.planner.query(query, scope.ctes)?.shown()?;
    let [column] = &relation.columns[..] else {
        return Err(SqlError::new(query.position, "select must provide exactly one column"));
    };
    let kind = column.kind;
    let plan = super::build(|b| b.limit(0, Some(1)), relation.plan)?;
    let subquery = Subquery { subquery: plan.into(), outer_ref_columns: Vec::new(), spans: Default::default() };
    Ok(Typed::new(Expr::ScalarSubquery(subquery), kind, query.position))
}
