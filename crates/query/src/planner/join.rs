//! Joins: null-safe keys, the left side's order, and time joins.
//!
//! INNER and LEFT are planned with their sides swapped: the engine streams its right side, so the rows come in the order
//! of the query's left side. Fields are found by name, so nobody sees the swap.

use datafusion::common::{Column as PlanColumn, JoinType, NullEquality, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, when};

use super::latest::plan_place;
use super::order::kept_in_order;
use super::relation::{Column, Relation};
use super::scope::Scope;
use super::select::replaced;
use super::{Ctes, Planner, build, conjuncts, plan_error, unnest};
use crate::error::SqlError;
use crate::exec::{self, AsofSpec};
use crate::functions::Typed;
use crate::functions::cast;
use crate::kind::Kind;
use crate::parser::ast::{Binary, Expr as Tree, ExprKind, From, Ident, Join, JoinKind, On, RelationRef, Source};
use crate::parser::expression_text;

/// Returns the relation of FROM; equalities of WHERE that join a comma's or CROSS join's sides are taken out of `conditions`.
pub fn from(planner: &Planner, from: &From, conditions: &mut Vec<&Tree>, ctes: Ctes) -> Result<Relation, SqlError> {
    let mut left = match unnest::arguments(&from.first) {
        Some(args) => unnest::unnest(planner, super::select::one_row()?, &from.first, args, ctes)?,
        None => planner.source(&from.first, ctes)?,
    };
    let mut names = vec![table_name(&left)];
    for join in &from.joins {
        if let (JoinKind::Cross, Some(args)) = (join.kind, unnest::arguments(&join.source)) {
            left = kept_in_order(left)?;
            left = unnest::unnest(planner, left, &join.source, args, ctes)?;
            continue;
        }
        let mut right = planner.source(&join.source, ctes)?;
        if !is_by_time(join.kind) {
            (left, right) = (kept_in_order(left)?, kept_in_order(right)?);
        }
        let name = table_name(&right);
        if name.is_some() && names.contains(&name) {
            return Err(duplicate(join, &right));
        }
        names.push(name);
        left = Sides { planner, ctes, left, right, join }.joined(conditions)?;
    }
    Ok(left)
}

/// Returns whether a join asks of both sides that they be in the order of time.
fn is_by_time(kind: JoinKind) -> bool {
    matches!(kind, JoinKind::Asof | JoinKind::Lt | JoinKind::Splice)
}

/// Returns the error of a table or an alias that FROM has already.
pub(super) fn duplicate(join: &Join, right: &Relation) -> SqlError {
    let position = join.source.alias.as_ref().map_or(join.source.position, |a| a.position);
    let shown = right.columns.first().and_then(|c| c.table.clone()).unwrap_or_default();
    SqlError::new(position, format!("Duplicate table or alias: {shown}"))
}

/// Returns every row of `left` beside each row of `right` that meets the condition, or beside NULLs.
pub fn left(planner: &Planner, left: Relation, right: Relation, on: Option<&Tree>) -> Result<Relation, SqlError> {
    let nowhere = Ident { name: String::new(), position: 0 };
    let source = Source::plain(RelationRef::Table(nowhere), 0);
    let on = on.map(|tree| On::Predicate(tree.clone()));
    let join = Join { kind: JoinKind::Left, source, on, tolerance: None, range: None, position: 0 };
    Sides { planner, ctes: Ctes::NONE, left, right, join: &join }.joined(&mut Vec::new())
}

pub(super) fn table_name(relation: &Relation) -> Option<String> {
    relation.columns.first().and_then(|c| c.table.as_ref()).map(|t| t.to_lowercase())
}

/// The two sides of one join.
pub(super) struct Sides<'a> {
    pub planner: &'a Planner<'a>,
    pub ctes: Ctes<'a>,
    pub left: Relation,
    pub right: Relation,
    pub join: &'a Join,
}

/// A condition that joins one value of each side by equality.
pub(super) struct Equality {
    pub left: Typed,
    pub right: Typed,
}

impl Sides<'_> {
    fn joined(self, conditions: &mut Vec<&Tree>) -> Result<Relation, SqlError> {
        if is_by_time(self.join.kind) {
            return self.time_joined();
        }
        let mut equalities = Vec::new();
        let mut rest = Vec::new();
        match &self.join.on {
            Some(On::Columns(names)) => {
                for name in names {
                    equalities.push(self.same_name(name)?);
                }
            }
            Some(On::Predicate(tree)) => {
                for condition in conjuncts::split(tree) {
                    match self.equality(condition)? {
                        Some(equality) => equalities.push(equality),
                        None => rest.push(condition),
                    }
                }
            }
            None => {
                let mut kept = Vec::new();
                for condition in conditions.drain(..) {
                    match self.equality(condition).ok().flatten() {
                        Some(equality) => equalities.push(equality),
                        None => kept.push(condition),
                    }
                }
                *conditions = kept;
            }
        }
        self.plan(equalities, &rest)
    }

    pub fn columns(&self) -> Vec<Column> {
        self.left.columns.iter().chain(&self.right.columns).cloned().collect()
    }

    pub fn scope<'s>(&'s self, columns: &'s [Column], time: Option<usize>) -> Scope<'s> {
        Scope { ctes: self.ctes, columns, time, ..Scope::constants(self.planner) }
    }

    pub fn same_name(&self, name: &Ident) -> Result<Equality, SqlError> {
        let folded = name.name.to_lowercase();
        // Of several tables on the left the first one that has the name counts.
        let find = |relation: &Relation| {
            let column = relation.visible().find(|c| c.name.to_lowercase() == folded);
            let table = relation.columns.first().and_then(|c| c.table.clone());
            let shown = table.map_or(name.name.clone(), |table| format!("{table}.{}", name.name));
            let column = column.ok_or_else(|| SqlError::new(name.position, format!("Invalid column: {shown}")))?;
            Ok::<Typed, SqlError>(column.typed(name.position))
        };
        let equality = Equality { left: find(&self.left)?, right: find(&self.right)? };
        of_one_kind(equality, name.position)
    }

    /// Returns the two sides of `a = b` when one is of the left relation only and the other of the right only.
    pub fn equality(&self, tree: &Tree) -> Result<Option<Equality>, SqlError> {
        let ExprKind::Binary { op: Binary::Eq, left, right } = &tree.kind else { return Ok(None) };
        let columns = self.columns();
        let scope = self.scope(&columns, self.left.time);
        let (Ok(a), Ok(b)) = (scope.bind(left), scope.bind(right)) else { return Ok(None) };
        let equality = match (self.side(&a), self.side(&b)) {
            (Some(true), Some(false)) => Equality { left: a, right: b },
            (Some(false), Some(true)) => Equality { left: b, right: a },
            _ => return Ok(None),
        };
        of_one_kind(equality, right.position).map(Some)
    }

    /// Returns whether a value is of the left side only (true), the right side only (false), or neither.
    pub fn side(&self, value: &Typed) -> Option<bool> {
        let refs = value.expr.column_refs();
        let of = |relation: &Relation| {
            refs.iter().all(|r| relation.columns.iter().any(|c| c.field == r.name)) && !refs.is_empty()
        };
        match (of(&self.left), of(&self.right)) {
            (true, false) => Some(true),
            (false, true) => Some(false),
            _ => None,
        }
    }

    fn plan(self, equalities: Vec<Equality>, rest: &[&Tree]) -> Result<Relation, SqlError> {
        let columns = self.columns();
        let scope = self.scope(&columns, self.left.time);
        let filter = rest.iter().map(|tree| scope.condition(tree)).collect::<Result<Vec<_>, _>>()?;
        let filter = filter.into_iter().reduce(Expr::and);
        let (left_keys, right_keys): (Vec<Typed>, Vec<Typed>) =
            equalities.into_iter().map(|e| (e.left, e.right)).unzip();
        let (planner, kind) = (self.planner, self.join.kind);
        let (left, left_keys) = with_keys(planner, self.left, left_keys)?;
        let (right, right_keys) = with_keys(planner, self.right, right_keys)?;
        let (outer, keeps_time) = match kind {
            JoinKind::Left => (JoinType::Right, true),
            JoinKind::Right => (JoinType::Left, false),
            JoinKind::Full => (JoinType::Full, false),
            _ => (JoinType::Inner, true),
        };
        let filter = match (&outer, left_keys.is_empty()) {
            (JoinType::Inner, _) | (_, false) => filter,
            // The engine wants a condition of an outer join.
            _ => filter.or_else(|| Some(datafusion::logical_expr::lit(true))),
        };
        let keys = (right_keys, left_keys);
        let builder = LogicalPlanBuilder::from(right.plan.clone());
        let plan = match (keys.0.is_empty(), &filter) {
            (true, None) if outer == JoinType::Inner => builder.cross_join(left.plan.clone()),
            _ => builder.join_detailed(left.plan.clone(), outer, keys, filter, NullEquality::NullEqualsNull),
        };
        let plan = plan.and_then(|b| b.build()).map_err(plan_error)?;
        let time = left.time.filter(|_| keeps_time);
        let ascending = left.ascending && keeps_time;
        let first_right = left.columns.len();
        let columns = left.columns.into_iter().chain(right.columns).collect();
        let relation = Relation { plan, columns, time, ascending, is_table: false, is_sorted: false };
        match kind {
            JoinKind::Left => with_defaults(planner, relation, |i| i >= first_right),
            JoinKind::Right => with_defaults(planner, relation, |i| i < first_right),
            JoinKind::Full => with_defaults(planner, relation, |_| true),
            _ => Ok(relation),
        }
    }

    fn time_joined(self) -> Result<Relation, SqlError> {
        let position = self.join.position;
        let left_time = time_of(&self.left, "left", position)?;
        let right_time = time_of(&self.right, "right", position)?;
        let mut keys = Vec::new();
        for equality in self.time_keys()? {
            let left = named_place(&self.left, &equality.left)?;
            let right = named_place(&self.right, &equality.right)?;
            keys.push((left, right));
        }
        let first_right = self.left.columns.len();
        if self.join.kind == JoinKind::Splice {
            let (left, right) = (self.left.plan.clone(), self.right.plan.clone());
            let plan = exec::splice_join(left, right, (left_time, right_time), &keys).map_err(plan_error)?;
            let columns = self.columns();
            let relation = Relation { plan, columns, time: None, ascending: false, is_table: false, is_sorted: false };
            return with_defaults(self.planner, relation, |_| true);
        }
        let strict = self.join.kind == JoinKind::Lt;
        let tolerance_us = self.join.tolerance.as_ref().map(|t| tolerance(t, strict)).transpose()?;
        let spec = AsofSpec { left_time, right_time, keys, strict, tolerance_us };
        let plan = exec::asof_join(self.left.plan.clone(), self.right.plan.clone(), spec).map_err(plan_error)?;
        let (time, ascending) = (self.left.time, self.left.ascending);
        let relation = Relation { plan, columns: self.columns(), time, ascending, is_table: false, is_sorted: false };
        with_defaults(self.planner, relation, |i| i >= first_right)
    }

    fn time_keys(&self) -> Result<Vec<Equality>, SqlError> {
        let mut list = Vec::new();
        match &self.join.on {
            None => {}
            Some(On::Columns(names)) => {
                for name in names {
                    list.push(self.same_name(name)?);
                }
            }
            Some(On::Predicate(tree)) => {
                for condition in conjuncts::split(tree) {
                    let word = match self.join.kind {
                        JoinKind::Lt => "LT",
                        JoinKind::Splice => "SPLICE",
                        _ => "ASOF",
                    };
                    let unsupported = || {
                        let text = expression_text(condition);
                        SqlError::new(condition.position, format!("unsupported {word} join expression [expr='{text}']"))
                    };
                    let equality = self.equality(condition)?.ok_or_else(unsupported)?;
                    let plain = |v: &Typed| matches!(v.expr, Expr::Column(_));
                    if !plain(&equality.left) || !plain(&equality.right) {
                        return Err(unsupported());
                    }
                    list.push(equality);
                }
            }
        }
        Ok(list)
    }
}

/// Returns keys that can be compared, moments in nanoseconds where one is.
///
/// # Errors
/// Keys of kinds that do not meet.
fn of_one_kind(equality: Equality, position: usize) -> Result<Equality, SqlError> {
    let text = |k: Kind| matches!(k, Kind::Symbol | Kind::String | Kind::Varchar);
    let Equality { left, right } = equality;
    match (left.kind, right.kind) {
        (a, b) if a == b || text(a) && text(b) => Ok(Equality { left, right }),
        (Kind::Timestamp, Kind::TimestampNs) => Ok(Equality { left: cast::implicit(left, Kind::TimestampNs)?, right }),
        (Kind::TimestampNs, Kind::Timestamp) => Ok(Equality { left, right: cast::implicit(right, Kind::TimestampNs)? }),
        _ => Err(SqlError::new(position, "join column type mismatch")),
    }
}

/// Returns the relation with the key values among its fields.
pub(super) fn with_keys(
    planner: &Planner,
    relation: Relation,
    keys: Vec<Typed>,
) -> Result<(Relation, Vec<PlanColumn>), SqlError> {
    let mut columns = Vec::new();
    let mut added = Vec::new();
    for key in keys {
        match key.expr {
            Expr::Column(column) => columns.push(column),
            expr => {
                let field = planner.field("key");
                added.push(expr.alias(&field));
                columns.push(PlanColumn::new_unqualified(field));
            }
        }
    }
    if added.is_empty() {
        return Ok((relation, columns));
    }
    let exprs: Vec<Expr> = relation.columns.iter().map(Column::expr).chain(added).collect();
    let plan = build(|b| b.project(exprs), relation.plan.clone())?;
    Ok((relation.with_plan(plan), columns))
}

/// Returns what a missing row shows in a column of a kind without NULL.
pub fn default_of(kind: Kind) -> Option<ScalarValue> {
    match kind {
        Kind::Boolean => Some(ScalarValue::Boolean(Some(false))),
        Kind::Byte => Some(ScalarValue::Int8(Some(0))),
        Kind::Short => Some(ScalarValue::Int16(Some(0))),
        _ => None,
    }
}

/// Returns the value with the kind's default in place of NULL.
pub fn or_default(value: Expr, kind: Kind) -> Expr {
    match default_of(kind) {
        Some(default) => when(value.clone().is_null(), Expr::Literal(default, None))
            .otherwise(value)
            .expect("a CASE with one branch is complete"),
        None => value,
    }
}

fn with_defaults(
    planner: &Planner,
    relation: Relation,
    may_miss: impl Fn(usize) -> bool,
) -> Result<Relation, SqlError> {
    let wanted = |i: usize, column: &Column| may_miss(i) && default_of(column.kind).is_some();
    if !relation.columns.iter().enumerate().any(|(i, c)| wanted(i, c)) {
        return Ok(relation);
    }
    replaced(planner, relation, |i, column| wanted(i, column).then(|| or_default(column.expr(), column.kind)))
}

pub(super) fn time_of(relation: &Relation, side: &str, position: usize) -> Result<usize, SqlError> {
    let Some(time) = relation.time else {
        return Err(SqlError::new(position, format!("{side} side of time series join has no timestamp")));
    };
    if !relation.ascending {
        let message = format!("{side} side of time series join doesn't have ASC timestamp order");
        return Err(SqlError::new(position, message));
    }
    plan_place(relation, &relation.columns[time])
}

fn named_place(relation: &Relation, value: &Typed) -> Result<usize, SqlError> {
    match &value.expr {
        Expr::Column(column) => relation.plan.schema().index_of_column(column).map_err(plan_error),
        _ => Err(SqlError::new(value.position, "a column is expected as the key of a time series join")),
    }
}

/// Returns the microseconds of a TOLERANCE.
fn tolerance(written: &Ident, strict: bool) -> Result<i64, SqlError> {
    let text = written.name.as_str();
    let error = |message: &str| SqlError::new(written.position, message);
    let word = if strict { "LT" } else { "ASOF" };
    if text.starts_with('-') {
        return Err(error(&format!("{word} JOIN TOLERANCE must be positive")));
    }
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let unit = &text[digits.len()..];
    let count: i64 = digits.parse().map_err(|_| error("expected interval qualifier"))?;
    let us = match unit {
        "" => return Err(error("expected interval qualifier")),
        "U" => 1,
        "T" => 1_000,
        "s" => types::time::US_PER_SECOND,
        "m" => types::time::US_PER_MINUTE,
        "h" => types::time::US_PER_HOUR,
        "d" => types::time::US_PER_DAY,
        "w" => types::time::US_PER_WEEK,
        "n" => return Ok(count / 1_000),
        _ if unit.chars().count() > 1 => return Err(error("expected single letter qualifier")),
        _ => return Err(error(&format!("unsupported TOLERANCE unit [unit={unit}]"))),
    };
    if count == 0 {
        return Err(error("zero is not a valid tolerance value"));
    }
    count.checked_mul(us).ok_or_else(|| error("tolerance is too large"))
}
