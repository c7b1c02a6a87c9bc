//! Window functions: calls with OVER are collected while the select list is bound.
//!
//! A [`Windows`] stands in a [`Scope`]; what a call is bound to is a column of the window node that is built at the end
//! below the projection (or below the aggregation, when the call stands inside an aggregate). Rules: spec 04, "window".

use std::cell::RefCell;

use arrow::compute::SortOptions;
use datafusion::common::Column as PlanColumn;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::scope::Scope;
use super::{Planner, build, group, plan_error};
use crate::error::SqlError;
use crate::exec;
use crate::exec::window::{FrameEnd, Smoothing, WindowCall, WindowFrame, WindowFunction};
use crate::functions::{self, Call, Typed, cast};
use crate::kind::Kind;
use crate::parser::ast::{Bound, Expr as Tree, ExprKind, Frame, FrameUnit, Ident, OrderItem, WindowSpec};

/// The error of a window function where no window can be.
pub const NO_WINDOW: &str = "window function called in non-window context, make sure to add OVER clause";

/// The window calls of one SELECT.
pub struct Windows<'s> {
    /// WINDOW w AS (…).
    named: &'s [(Ident, WindowSpec)],
    calls: RefCell<Vec<WindowCall>>,
}

impl<'s> Windows<'s> {
    /// Returns an empty collection for a SELECT with these named windows.
    pub fn new(named: &'s [(Ident, WindowSpec)]) -> Windows<'s> {
        Windows { named, calls: RefCell::new(Vec::new()) }
    }

    /// Returns the plan with the values of all calls among its fields.
    pub fn apply(&self, planner: &Planner, mut plan: LogicalPlan) -> Result<LogicalPlan, SqlError> {
        let mut waiting = self.calls.take();
        while !waiting.is_empty() {
            // A call that reads the value of another one comes a node later.
            let made: Vec<String> = waiting.iter().map(|call| call.output.name().clone()).collect();
            let reads_later = |call: &WindowCall| {
                call.exprs().flat_map(|e| e.column_refs()).any(|column| made.contains(&column.name))
            };
            let ready = waiting.iter().position(reads_later).unwrap_or(waiting.len());
            let later = waiting.split_off(ready);
            plan = node(planner, plan, &waiting)?;
            waiting = later;
        }
        Ok(plan)
    }
}

/// Returns the window node over a projection that makes a column of every expression of the calls.
fn node(planner: &Planner, input: LogicalPlan, calls: &[WindowCall]) -> Result<LogicalPlan, SqlError> {
    let mut exprs: Vec<Expr> = (0..input.schema().fields().len())
        .map(|i| Expr::Column(PlanColumn::from(input.schema().qualified_field(i))))
        .collect();
    let mut made: Vec<(Expr, Expr)> = Vec::new();
    let mut placed = Vec::new();
    for call in calls {
        let columns: Vec<Expr> = call
            .exprs()
            .map(|expr| {
                if matches!(expr, Expr::Column(_)) {
                    return expr.clone();
                }
                if let Some((_, column)) = made.iter().find(|(known, _)| known == expr) {
                    return column.clone();
                }
                let field = planner.new_field("argument");
                let column = Expr::Column(PlanColumn::new_unqualified(&field));
                exprs.push(expr.clone().alias(&field));
                made.push((expr.clone(), column.clone()));
                column
            })
            .collect();
        let call = call.with_exprs(&mut columns.into_iter());
        placed.push(call.ok_or_else(|| SqlError::internal("a window function lost a column"))?);
    }
    let input = if made.is_empty() { input } else { build(|b| b.project(exprs), input)? };
    exec::window(input, placed).map_err(plan_error)
}

/// Returns whether a window call stands in the expression.
pub fn contains_window(tree: &Tree) -> bool {
    first_window(tree).is_some()
}

/// Returns the place of the first window call in the expression.
pub fn first_window(tree: &Tree) -> Option<usize> {
    match &tree.kind {
        ExprKind::Window { .. } => Some(tree.position),
        _ => group::children(tree).into_iter().find_map(first_window),
    }
}

/// Returns whether a window call stands in the expression but in no aggregate of it.
pub fn beside_aggregates(tree: &Tree) -> bool {
    match &tree.kind {
        ExprKind::Window { .. } => true,
        ExprKind::Call { name, .. } if functions::aggregate::is_aggregate(name) => false,
        _ => group::children(tree).into_iter().any(beside_aggregates),
    }
}

/// Binds a call with OVER.
pub fn bind(
    scope: &Scope,
    call: &Tree,
    ignore_nulls: bool,
    spec: &WindowSpec,
    position: usize,
) -> Result<Typed, SqlError> {
    let ExprKind::Call { name, args, distinct } = &call.kind else {
        return Err(SqlError::new(position, "non-window function called in window context"));
    };
    let Some(windows) = scope.windows else {
        return Err(SqlError::new(position, "window function is not allowed in WHERE clause"));
    };
    let inner = Scope { grouping: None, ..*scope };
    let resolved = resolve(spec, windows.named)?;
    if resolved.partition_by.iter().any(|tree| group::contains_aggregate(scope, tree)) {
        return Err(SqlError::new(position, "aggregate functions in partition by are not supported"));
    }
    let args = args.iter().filter(|a| a.kind != ExprKind::Star);
    let args = args.map(|a| inner.bind(a)).collect::<Result<Vec<_>, _>>()?;
    let call = Call::new(name.clone(), position, args);
    if *distinct {
        return Err(SqlError::new(position, "non-window function called in window context"));
    }
    let (function, args, kind) = function(&call, ignore_nulls, !resolved.order_by.is_empty())?;
    let partition = resolved.partition_by.iter().map(|tree| inner.bind(tree).map(|t| t.expr));
    let partition = partition.collect::<Result<Vec<_>, _>>()?;
    let order = resolved.order_by.iter().map(|item| order_column(&inner, item)).collect::<Result<Vec<_>, _>>()?;
    let frame = frame(&inner, resolved.frame, resolved.order_by, position)?;
    let field = scope.planner.new_field("window");
    let output = std::sync::Arc::new(kind.field(&field));
    let args = args.into_iter().map(|a| a.expr).collect();
    windows.calls.borrow_mut().push(WindowCall { function, args, partition, order, frame, output });
    Ok(Typed::new(Expr::Column(PlanColumn::new_unqualified(&field)), kind, position))
}

/// A window with what it takes from a named one.
#[derive(Clone, Copy)]
struct Resolved<'s> {
    partition_by: &'s [Tree],
    order_by: &'s [OrderItem],
    frame: Option<Frame>,
}

fn resolve<'s>(spec: &'s WindowSpec, named: &'s [(Ident, WindowSpec)]) -> Result<Resolved<'s>, SqlError> {
    let own = Resolved { partition_by: &spec.partition_by, order_by: &spec.order_by, frame: spec.frame };
    let Some(base) = &spec.base else { return Ok(own) };
    let folded = base.name.to_lowercase();
    let Some(place) = named.iter().position(|(name, _)| name.name.to_lowercase() == folded) else {
        return Err(SqlError::new(base.position, format!("window '{}' is not defined", base.name)));
    };
    // A named window may refine those before it only, so this ends.
    let base = resolve(&named[place].1, &named[..place])?;
    Ok(Resolved {
        partition_by: base.partition_by,
        order_by: if own.order_by.is_empty() { base.order_by } else { own.order_by },
        frame: own.frame.or(base.frame),
    })
}

/// Binds an ORDER BY item of a window, which is a plain column.
fn order_column(scope: &Scope, item: &OrderItem) -> Result<(Expr, SortOptions), SqlError> {
    let error = |message: String| Err(SqlError::new(item.expr.position, message));
    let tree = &item.expr;
    if !matches!(tree.kind, ExprKind::Name { .. }) {
        if let Some(position) = first_window(tree) {
            let message = "window function is not allowed in ORDER BY clause of window specification";
            return Err(SqlError::new(position, message));
        }
        return error(match &tree.kind {
            ExprKind::Binary { op, .. } => {
                format!("Invalid column: {}", crate::parser::operator_text(*op))
            }
            ExprKind::Call { name, .. } => format!("Invalid column: {name}"),
            _ => format!("Invalid column: {}", crate::parser::expression_text(tree)),
        });
    }
    let value = scope.bind(tree)?;
    let floating = matches!(value.kind, Kind::Float | Kind::Double);
    let how = SortOptions { descending: item.descending, nulls_first: floating == item.descending };
    Ok((value.expr, how))
}

fn frame(
    scope: &Scope,
    frame: Option<Frame>,
    order_by: &[OrderItem],
    position: usize,
) -> Result<WindowFrame, SqlError> {
    let Some(frame) = frame else {
        let end = if order_by.is_empty() { FrameEnd::Unbounded } else { FrameEnd::Current };
        return Ok(WindowFrame { start: FrameEnd::Unbounded, end, by_time: false, exclude_current: false });
    };
    if frame.unit == FrameUnit::Groups {
        return Err(SqlError::new(position, "function not implemented for given window parameters"));
    }
    let end_of = |bound: Bound| match bound {
        Bound::UnboundedPreceding | Bound::UnboundedFollowing => FrameEnd::Unbounded,
        Bound::Preceding(distance) => FrameEnd::Preceding(distance),
        Bound::CurrentRow => FrameEnd::Current,
    };
    let distant = [frame.start, frame.end].iter().any(|bound| matches!(bound, Bound::Preceding(_)));
    let by_time = frame.unit == FrameUnit::Range && distant;
    if by_time {
        let [item] = order_by else {
            let message = "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column";
            return Err(SqlError::new(frame.position, message));
        };
        if item.descending || !scope.is_time(&item.expr) {
            let message = "RANGE is supported only for queries ordered by designated timestamp";
            return Err(SqlError::new(item.expr.position, message));
        }
    }
    let exclude_current = frame.exclude_current;
    Ok(WindowFrame { start: end_of(frame.start), end: end_of(frame.end), by_time, exclude_current })
}

type Function = (WindowFunction, Vec<Typed>, Kind);

/// Returns the function that a call means, its arguments converted, and the kind of its values.
fn function(call: &Call, ignore_nulls: bool, ordered: bool) -> Result<Function, SqlError> {
    let name = call.name.to_ascii_lowercase();
    let ranking = match name.as_str() {
        "row_number" => Some((WindowFunction::RowNumber, Kind::Long)),
        "rank" => Some((WindowFunction::Rank, Kind::Long)),
        "dense_rank" => Some((WindowFunction::DenseRank, Kind::Long)),
        "percent_rank" => Some((WindowFunction::PercentRank, Kind::Double)),
        "cume_dist" => Some((WindowFunction::CumeDist, Kind::Double)),
        _ => None,
    };
    match (ranking, call.args.as_slice()) {
        (Some((function, kind)), []) => return Ok((function, Vec::new(), kind)),
        (Some(_), _) => return Err(call.wrong_count(0)),
        (None, _) => {}
    }
    match (name.as_str(), call.args.as_slice()) {
        ("ntile", [buckets]) => {
            let buckets = positive(buckets, "bucket count must be a positive integer")?;
            Ok((WindowFunction::Ntile(buckets), Vec::new(), Kind::Long))
        }
        ("lag" | "lead", [value, rest @ ..]) if rest.len() <= 2 => neighbour(call, &name, value, rest, ignore_nulls),
        ("first_value", [value]) => own_values(call, value, WindowFunction::First { ignore_nulls }),
        ("last_value", [value]) => own_values(call, value, WindowFunction::Last { ignore_nulls }),
        ("nth_value", [value, n]) => {
            let n = positive(n, "n must be a positive integer")? as usize;
            own_values(call, value, WindowFunction::Nth(n))
        }
        ("min" | "max", [value]) => {
            if value.kind == Kind::Boolean {
                return Err(SqlError::new(call.position, "non-window function called in window context"));
            }
            own_values(call, value, if name == "min" { WindowFunction::Min } else { WindowFunction::Max })
        }
        ("sum", [value]) => Ok((WindowFunction::Sum, vec![number(call, value)?], Kind::Double)),
        ("avg", [value]) => Ok((WindowFunction::Avg, vec![number(call, value)?], Kind::Double)),
        ("ksum", [value]) => Ok((WindowFunction::Ksum, vec![number(call, value)?], Kind::Double)),
        ("avg", [value, kind, parameter, rest @ ..]) if rest.len() <= 1 => {
            if !ordered {
                return Err(SqlError::new(call.position, "avg() requires ORDER BY"));
            }
            let smoothing = smoothing(kind, parameter)?;
            let args = std::iter::once(value).chain(rest).map(|v| number(call, v)).collect::<Result<Vec<_>, _>>()?;
            Ok((WindowFunction::Smooth(smoothing), args, Kind::Double))
        }
        ("count", []) => Ok((WindowFunction::Count, Vec::new(), Kind::Long)),
        ("count", [value]) if value.kind == Kind::Boolean => Err(call.no_match()),
        ("count", [value]) => Ok((WindowFunction::Count, vec![value.clone()], Kind::Long)),
        _ => Err(SqlError::new(call.position, "non-window function called in window context")),
    }
}

fn positive(value: &Typed, message: &str) -> Result<i64, SqlError> {
    value.as_integer().filter(|n| *n > 0).ok_or_else(|| SqlError::new(value.position, message))
}

/// Returns the argument of a sum as DOUBLE.
fn number(call: &Call, value: &Typed) -> Result<Typed, SqlError> {
    if !value.kind.is_number() && value.kind != Kind::Null {
        return Err(SqlError::new(call.position, "non-window function called in window context"));
    }
    cast::implicit(value.clone(), Kind::Double)
}

/// Returns the argument as the kind that its values have in a window: whole numbers are LONG, floating ones DOUBLE.
fn widened(call: &Call, value: &Typed) -> Result<Typed, SqlError> {
    match value.kind {
        Kind::Boolean => Err(call.no_match()),
        Kind::Byte | Kind::Short | Kind::Int => cast::implicit(value.clone(), Kind::Long),
        Kind::Float | Kind::Null => cast::implicit(value.clone(), Kind::Double),
        _ => Ok(value.clone()),
    }
}

fn own_values(call: &Call, value: &Typed, function: WindowFunction) -> Result<Function, SqlError> {
    let value = widened(call, value)?;
    let kind = value.kind;
    Ok((function, vec![value], kind))
}

fn neighbour(call: &Call, name: &str, value: &Typed, rest: &[Typed], ignore_nulls: bool) -> Result<Function, SqlError> {
    let value = widened(call, value)?;
    let kind = value.kind;
    let distance = match rest.first() {
        None => 1,
        Some(offset) => {
            let error = |message: &str| SqlError::new(offset.position, message);
            if !offset.is_literal() && !offset.expr.column_refs().is_empty() {
                return Err(error("offset must be a constant"));
            }
            let distance = whole(offset).and_then(|n| usize::try_from(n).ok());
            distance.ok_or_else(|| error("offset must be a positive integer"))?
        }
    };
    let default = match rest.get(1) {
        None => None,
        Some(default) => {
            let converted = cast::implicit(default.clone(), kind)?;
            let literal = converted.as_literal().or_else(|| default.as_literal());
            let literal = literal.ok_or_else(|| SqlError::new(default.position, "default must be a constant"))?;
            Some(literal.cast_to(&kind.arrow()).map_err(plan_error)?)
        }
    };
    let function = WindowFunction::Neighbour { ahead: name == "lead", distance, default, ignore_nulls };
    Ok((function, vec![value], kind))
}

/// Returns a constant whole number, also one with a minus.
fn whole(value: &Typed) -> Option<i64> {
    match &value.expr {
        Expr::Negative(inner) => Typed::new((**inner).clone(), value.kind, value.position).as_integer().map(|n| -n),
        _ => value.as_integer(),
    }
}

/// Returns how an exponential average weighs: `'alpha', 0.5`, `'period', 10`, `'minute', 5`.
fn smoothing(kind: &Typed, parameter: &Typed) -> Result<Smoothing, SqlError> {
    let unknown = || {
        let message =
            "invalid kind parameter: expected 'alpha', 'period', or a time unit (second, minute, hour, day, week)";
        SqlError::new(kind.position, message)
    };
    let number = match parameter.as_literal() {
        Some(datafusion::common::ScalarValue::Float64(Some(v))) => *v,
        _ => {
            let whole = parameter.as_integer();
            whole.ok_or_else(|| SqlError::new(parameter.position, "parameter value must be a constant"))? as f64
        }
    };
    let word = kind.as_text().ok_or_else(unknown)?.to_ascii_lowercase();
    if word == "alpha" {
        if !(number > 0.0 && number <= 1.0) {
            let message = "alpha must be between 0 (exclusive) and 1 (inclusive)";
            return Err(SqlError::new(parameter.position, message));
        }
        return Ok(Smoothing::Share(number.to_bits()));
    }
    if number <= 0.0 {
        return Err(SqlError::new(parameter.position, "parameter value must be positive"));
    }
    let unit_us = match word.strip_suffix('s').unwrap_or(&word) {
        "period" => return Ok(Smoothing::Share((2.0 / (number + 1.0)).to_bits())),
        "second" => types::time::US_PER_SECOND,
        "minute" => types::time::US_PER_MINUTE,
        "hour" => types::time::US_PER_HOUR,
        "day" => types::time::US_PER_DAY,
        "week" => types::time::US_PER_WEEK,
        _ => return Err(unknown()),
    };
    Ok(Smoothing::Time((number * unit_us as f64).to_bits()))
}
