//! SAMPLE BY: groups by calendar buckets of the designated timestamp, with the empty buckets filled in.

use std::cell::RefCell;

use datafusion::common::Spans;
use datafusion::functions_aggregate::expr_fn::min;
use datafusion::logical_expr::{Expr, LogicalPlan, SortExpr, Subquery};

use super::group::{self, Aggregate, Grouping, Key};
use super::moments::bound_of;
use super::relation::Relation;
use super::scope::Scope;
use super::select::Input;
use super::{build, plan_error};
use crate::bucket::{Grid, Stride, bucket_expr, bucket_since_expr};
use crate::error::SqlError;
use crate::exec::{self, FillSpec, FillWith};
use crate::functions::{self, Typed};
use crate::interval::parse_timestamp;
use crate::interval::zone::Zone;
use crate::kind::Kind;
use crate::parser::ast::{Align, Expr as Tree, ExprKind, Item, OrderItem, Sample, Select};

/// Returns the plan of a SELECT with SAMPLE BY; its rows ascend by bucket.
pub fn select(
    scope: &Scope,
    select: &Select,
    sample: &Sample,
    order_by: &[OrderItem],
    relation: Relation,
) -> Result<Relation, SqlError> {
    check(scope, select, sample, &relation)?;
    let time = relation.time.expect("checked");
    let buckets = buckets(scope, sample)?;
    let time = relation.columns[time].typed(0);
    if time.kind == Kind::TimestampNs && buckets.grid.stride().is_finer() {
        let message = "SAMPLE BY of a TIMESTAMP_NS counts whole microseconds";
        return Err(SqlError::new(sample.period.position, message));
    }
    let input = bounded(relation, &time, buckets.from_us, buckets.to_us)?;

    // Buckets are counted and filled in microseconds; those of a TIMESTAMP_NS are turned into it where they are shown.
    let field = scope.planner.field("bucket");
    let at = if time.kind == Kind::TimestampNs { functions::nanos::floor(&time)?.expr } else { time.expr.clone() };
    let start = match buckets.since_first {
        true => bucket_since_expr(at.clone(), first_moment(&input, &at)?, buckets.grid.stride()),
        false => bucket_expr(at, buckets.grid),
    };
    let bucket = Typed::new(start, Kind::Timestamp, sample.period.position);
    let bucket_column = Typed::new(datafusion::logical_expr::ident(&field), Kind::Timestamp, 0);
    let shown = functions::cast::explicit(bucket_column, time.kind, 0)?;
    let grouping = RefCell::new(Grouping::by_bucket(time.expr, shown.expr.clone(), Key { value: bucket, field }));
    let outputs = group::outputs(scope, select, &grouping)?;
    let order = group::order_values(scope, order_by, &outputs, &grouping)?;
    let grouping = grouping.into_inner();
    if (buckets.from_us.is_some() || buckets.to_us.is_some()) && grouping.keys.len() > 1 {
        return Err(SqlError::new(0, "FROM-TO intervals are not supported for keyed SAMPLE BY queries"));
    }
    let plan = group::node(input, &grouping)?;
    let plan = filled(scope, sample, plan, &grouping, &buckets)?;
    let input = Input { plan, time: Some((shown, true)) };
    group::finish(scope, select, outputs, order_by, order, input)
}

fn check(scope: &Scope, select: &Select, sample: &Sample, relation: &Relation) -> Result<(), SqlError> {
    for item in &select.items {
        if let Item::Star { position, .. } = item {
            return Err(SqlError::new(*position, "wildcard column select is not allowed in sample-by queries"));
        }
    }
    let has_aggregate = |item: &Item| match item {
        Item::Expr { expr, .. } => group::contains_aggregate(scope, expr),
        Item::Star { .. } => false,
    };
    if !select.items.iter().any(has_aggregate) {
        let message = "at least one aggregation function must be present in 'select' clause";
        return Err(SqlError::new(sample.position, message));
    }
    if relation.time.is_none() {
        return Err(SqlError::new(0, "base query does not provide designated TIMESTAMP column"));
    }
    if !relation.ascending {
        return Err(SqlError::new(0, "base query does not provide ASC order over designated TIMESTAMP column"));
    }
    Ok(())
}

/// Which buckets a SAMPLE BY has.
struct Buckets {
    grid: Grid,
    /// Whether the first row's time is the origin instead of the grid's.
    since_first: bool,
    from_us: Option<i64>,
    to_us: Option<i64>,
}

/// Returns the buckets; FROM and TO are wall times where there is a zone.
fn buckets(scope: &Scope, sample: &Sample) -> Result<Buckets, SqlError> {
    let position = sample.period.position;
    let stride = Stride::from_sample_by(&sample.period.name).map_err(|message| SqlError::new(position, message))?;
    let (from_us, to_us) = (bound(scope, sample.from.as_ref())?, bound(scope, sample.to.as_ref())?);
    let grid = Grid::calendar(stride);
    let grid = from_us.map_or(grid, |us| grid.with_origin(us));
    let (zone, offset) = match &sample.align {
        Align::FirstObservation { position } if from_us.is_some() || to_us.is_some() => {
            let message = "ALIGN TO FIRST OBSERVATION is incompatible with FROM-TO";
            return Err(SqlError::new(*position, message));
        }
        Align::FirstObservation { .. } => return Ok(Buckets { grid, since_first: true, from_us, to_us }),
        Align::Calendar { zone, offset } => (zone, offset),
    };
    let zone = zone.as_ref().map(|zone| time_zone(scope, zone)).transpose()?.unwrap_or(Zone::UTC);
    let offset_us = offset.as_ref().map(|offset| offset_us(scope, offset)).transpose()?.flatten();
    // As in the peer, FROM with FILL names the first bucket whatever the offset.
    let offset_us = offset_us.filter(|_| from_us.is_none() || sample.fill.is_empty()).unwrap_or(0);
    let (from_us, to_us) = (from_us.map(|us| zone.to_utc(us)), to_us.map(|us| zone.to_utc(us)));
    Ok(Buckets { grid: grid.with_offset(offset_us).with_zone(zone), since_first: false, from_us, to_us })
}

fn time_zone(scope: &Scope, tree: &Tree) -> Result<Zone, SqlError> {
    let value = Scope::constants(scope.planner).bind_wanted(tree, Kind::Varchar)?;
    if value.is_null_literal() {
        if scope.planner.parameters.is_described() && matches!(tree.kind, ExprKind::Param(_)) {
            return Ok(Zone::UTC);
        }
        return Err(SqlError::new(tree.position, "timezone must not be null"));
    }
    let text = value.as_text().unwrap_or_default();
    Zone::parse(text).ok_or_else(|| SqlError::new(tree.position, format!("invalid timezone: {text}")))
}

/// Returns the time of the first row as a sub-query.
fn first_moment(input: &LogicalPlan, time: &Expr) -> Result<Expr, SqlError> {
    let plan = build(|b| b.aggregate(Vec::<Expr>::new(), vec![min(time.clone())]), input.clone())?;
    Ok(Expr::ScalarSubquery(Subquery { subquery: plan.into(), outer_ref_columns: Vec::new(), spans: Spans::new() }))
}

/// Returns the microseconds of `'+HH:mm'`; NULL is none.
fn offset_us(scope: &Scope, tree: &Tree) -> Result<Option<i64>, SqlError> {
    let value = Scope::constants(scope.planner).bind_wanted(tree, Kind::Varchar)?;
    if value.is_null_literal() {
        return Ok(None);
    }
    let text = value.as_text().unwrap_or_default();
    let invalid = || SqlError::new(tree.position, format!("invalid offset: {text}"));
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (hours, minutes) = digits.split_once(':').ok_or_else(invalid)?;
    if hours.len() != 2 || minutes.len() != 2 {
        return Err(invalid());
    }
    let (hours, minutes): (i64, i64) = (hours.parse().map_err(|_| invalid())?, minutes.parse().map_err(|_| invalid())?);
    if hours > 23 || minutes > 59 {
        return Err(invalid());
    }
    Ok(Some(sign * (hours * 60 + minutes) * types::time::US_PER_MINUTE))
}

/// Returns the moment of FROM or TO.
fn bound(scope: &Scope, tree: Option<&Tree>) -> Result<Option<i64>, SqlError> {
    let Some(tree) = tree else { return Ok(None) };
    let value = Scope::constants(scope.planner).bind_wanted(tree, Kind::Timestamp)?;
    if let Some(text) = value.as_text() {
        let us = parse_timestamp(text);
        let message = format!("Invalid date [str='{text}']");
        return us.map(Some).ok_or_else(|| SqlError::new(tree.position, message));
    }
    match value.as_literal() {
        Some(datafusion::common::ScalarValue::TimestampMicrosecond(us, _)) => Ok(*us),
        _ => Err(SqlError::new(tree.position, "FROM and TO expect constant timestamps")),
    }
}

fn bounded(
    relation: Relation,
    time: &Typed,
    from_us: Option<i64>,
    to_us: Option<i64>,
) -> Result<LogicalPlan, SqlError> {
    let mut relation = relation;
    if let Some(us) = from_us {
        relation = relation.filtered(time.expr.clone().gt_eq(bound_of(time.kind, us)))?;
    }
    if let Some(us) = to_us {
        relation = relation.filtered(time.expr.clone().lt(bound_of(time.kind, us)))?;
    }
    Ok(relation.plan)
}

/// Returns the groups in the order of their buckets, with the missing ones made by FILL.
fn filled(
    scope: &Scope,
    sample: &Sample,
    plan: LogicalPlan,
    grouping: &Grouping,
    buckets: &Buckets,
) -> Result<LogicalPlan, SqlError> {
    let fills = fills(scope, sample, grouping)?;
    if fills.is_empty() {
        let bucket = datafusion::logical_expr::ident(&grouping.keys[0].field);
        return build(|b| b.sort(vec![SortExpr::new(bucket, true, false)]), plan);
    }
    let keys = (1..grouping.keys.len()).collect();
    let Buckets { grid, since_first, from_us, to_us } = *buckets;
    let spec = FillSpec { time: 0, keys, fills, bucket: grid, since_first, from_us, to_us };
    let plan = exec::fill(plan, spec).map_err(plan_error)?;
    without_nulls(plan, grouping)
}

/// Returns the plan with false and 0 for the NULLs that FILL made in columns that know none.
fn without_nulls(plan: LogicalPlan, grouping: &Grouping) -> Result<LogicalPlan, SqlError> {
    let aggregates = grouping.aggregates.iter().map(|a| (&a.field, a.kind));
    let fields = grouping.keys.iter().map(|k| (&k.field, k.value.kind)).chain(aggregates);
    let exprs: Vec<_> = fields
        .map(|(field, kind)| {
            let column = datafusion::logical_expr::ident(field);
            match super::join::default_of(kind) {
                Some(_) => super::join::or_default(column, kind).alias(field),
                None => column,
            }
        })
        .collect();
    build(|b| b.project(exprs), plan)
}

/// Returns how each aggregate is filled; empty for FILL(NONE) and without FILL.
fn fills(scope: &Scope, sample: &Sample, grouping: &Grouping) -> Result<Vec<(usize, FillWith)>, SqlError> {
    let count = grouping.aggregates.len();
    let Some(first) = sample.fill.first() else { return Ok(Vec::new()) };
    let word = |tree: &Tree| match &tree.kind {
        ExprKind::Word(word) => word.to_ascii_lowercase(),
        _ => String::new(),
    };
    let single = sample.fill.len() == 1;
    if single && word(first) == "none" {
        return Ok(Vec::new());
    }
    let for_all = single && matches!(word(first).as_str(), "null" | "prev" | "linear");
    if !for_all && sample.fill.len() < count {
        if single && grouping.keys.len() == 1 {
            return Err(SqlError::new(0, "not enough fill values"));
        }
        let given = sample.fill.len();
        let last = sample.fill.last().expect("not empty");
        let message =
            format!("insufficient fill values for SAMPLE BY FILL: expected {count} values but only {given} provided");
        return Err(SqlError::new(last.position, message));
    }
    let mut list = Vec::new();
    for (i, aggregate) in grouping.aggregates.iter().enumerate() {
        let tree = if for_all { first } else { &sample.fill[i] };
        let with = match word(tree).as_str() {
            "null" => FillWith::Null,
            "prev" => FillWith::Prev,
            "none" => return Err(SqlError::new(tree.position, "invalid fill value: none")),
            "linear" if single || grouping.keys.len() == 1 => {
                check_linear(tree, aggregate)?;
                FillWith::Linear
            }
            "linear" => {
                let message =
                    "linear interpolation is not supported when using fill values for keyed sample by expression";
                return Err(SqlError::new(tree.position, message));
            }
            _ if !single && matches!(tree.kind, ExprKind::Unary { .. }) => {
                return Err(SqlError::new(tree.position, "invalid fill value: -"));
            }
            _ => FillWith::Constant(constant(scope, tree, aggregate.kind)?),
        };
        list.push((grouping.keys.len() + i, with));
    }
    Ok(list)
}

fn check_linear(tree: &Tree, aggregate: &Aggregate) -> Result<(), SqlError> {
    let name = aggregate.expr.schema_name();
    match aggregate.kind {
        Kind::Byte | Kind::Short | Kind::Int | Kind::Long | Kind::Float | Kind::Double => Ok(()),
        _ => {
            let message = format!("support for LINEAR fill is not yet implemented [function={name}]");
            Err(SqlError::new(tree.position, message))
        }
    }
}

fn constant(scope: &Scope, tree: &Tree, kind: Kind) -> Result<datafusion::common::ScalarValue, SqlError> {
    let value = Scope::constants(scope.planner).bind_wanted(tree, kind)?;
    if let (Some(text), true) = (value.as_text(), matches!(kind, Kind::Timestamp | Kind::Date)) {
        return Err(SqlError::new(tree.position, format!("invalid fill value: '{text}'")));
    }
    let value = functions::cast::explicit(value, kind, tree.position)?;
    match value.as_literal() {
        Some(literal) => Ok(literal.clone()),
        None => Err(SqlError::new(tree.position, "invalid fill value: a constant is expected")),
    }
}
