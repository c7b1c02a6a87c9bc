//! WINDOW JOIN: beside each left row aggregates of the right rows that lie around it in time.
//!
//! A SELECT with WINDOW JOINs is planned here as a whole: its select list and ORDER BY see left columns, which stand as they
//! are, and right ones in aggregates only; WHERE sees left columns and holds before the joins. Each join is a node of
//! [`crate::exec::window_join`] over the one before it. An aggregate without right columns is the first join's.

use std::cell::RefCell;
use std::sync::Arc;

use datafusion::logical_expr::{Expr, LogicalPlan};

use super::group::{self, Aggregate, Grouping};
use super::join::{self, Sides, duplicate, table_name, time_of, with_keys};
use super::relation::{Column, Relation};
use super::scope::Scope;
use super::select::{Input, expand, item_aliases};
use super::{Ctes, Planner, conjuncts, latest, plan_error, window};
use crate::error::SqlError;
use crate::exec::{self, WindowEnd, WindowJoinSpec};
use crate::functions::{Typed, cast};
use crate::kind::Kind;
use crate::parser::ast::{
    Body, Expr as Tree, ExprKind, From, Item, Join, JoinKind, On, OrderItem, Query, RangeEnd, RelationRef, Select,
    Source,
};
use crate::parser::expression_text;

/// Returns whether FROM has a WINDOW JOIN; only others of its kind stand behind one.
pub fn is_one(from: &From) -> bool {
    from.joins.iter().any(|join| join.kind == JoinKind::Window)
}

/// Returns the error of a right column outside of aggregates.
pub fn raw_column(name: &str, position: usize) -> SqlError {
    SqlError::new(position, format!("WINDOW join cannot reference right table non-aggregate column: {name}"))
}

/// Returns the plan of a SELECT whose FROM has WINDOW JOINs.
pub fn select(
    planner: &Planner,
    select: &Select,
    from: &From,
    order_by: &[OrderItem],
    ctes: Ctes,
) -> Result<Relation, SqlError> {
    check_clauses(select)?;
    let first = from.joins.iter().position(|join| join.kind == JoinKind::Window).unwrap_or(from.joins.len());
    let (before, windows) = from.joins.split_at(first);
    let plain = From { first: from.first.clone(), joins: before.to_vec() };
    let mut conditions = select.filter.as_ref().map(conjuncts::split).unwrap_or_default();
    let left = join::from(planner, &plain, &mut conditions, ctes)?;
    let rights = rights(planner, windows, &left, ctes)?;
    if let Some(join) = windows.first() {
        time_of(&left, "left", join.position)?;
    }
    let columns: Vec<Column> =
        left.columns.iter().chain(rights.iter().flat_map(|right| &right.columns)).cloned().collect();
    let aliases = item_aliases(&select.items);
    let all = Scope { ctes, columns: &columns, time: left.time, ..Scope::constants(planner) };
    let left_columns = left.columns.clone();
    let of_left = Scope { columns: &left_columns, ..all };
    conditions.iter().try_for_each(|tree| left_only(&all, tree, left_columns.len()))?;
    let mut left = conjuncts::filter(&of_left, left, &conditions)?;
    if let Some(clause) = &select.latest {
        left = latest::latest(left, clause)?;
    }

    let fields = |right: &Relation| right.columns.iter().map(|column| column.field.clone()).collect();
    let grouping = RefCell::new(Grouping::beside(rights.iter().map(fields).collect()));
    let scope = Scope { aliases: &aliases, time: left.time, grouping: Some(&grouping), ..all };
    check_stars(select, &rights)?;
    let outputs = expand(&scope, &select.items)?;
    let order = group::order_values(&scope, order_by, &outputs, &grouping)?;
    let time = left.time.map(|place| (left.columns[place].typed(0), left.ascending));
    let aggregates = by_join(&mut grouping.borrow_mut(), windows.len());
    let plan = joined(planner, ctes, left, rights, windows, aggregates)?;
    group::finish(&scope, select, outputs, order_by, order, Input { plan, time })
}

/// Refuses what cannot stand beside a WINDOW JOIN.
fn check_clauses(select: &Select) -> Result<(), SqlError> {
    let error = |position: usize, message: &str| Err(SqlError::new(position, message));
    if let Some(key) = select.group_by.as_ref().and_then(|keys| keys.first()) {
        return error(key.position, "GROUP BY cannot be used with WINDOW JOIN");
    }
    if let Some(sample) = &select.sample {
        return error(sample.period.position, "SAMPLE BY cannot be used with WINDOW JOIN");
    }
    let windowed = |item: &Item| match item {
        Item::Expr { expr, .. } => window::first_window(expr),
        Item::Star { .. } => None,
    };
    match select.items.iter().find_map(windowed) {
        Some(position) => error(position, "WINDOW functions are not allowed in WINDOW JOIN queries"),
        None => Ok(()),
    }
}

/// Returns the right sides, which are tables in the order of their timestamps.
fn rights(planner: &Planner, windows: &[Join], left: &Relation, ctes: Ctes) -> Result<Vec<Relation>, SqlError> {
    let mut names: Vec<Option<String>> =
        left.columns.iter().map(|column| column.table.as_ref().map(|table| table.to_lowercase())).collect();
    let mut rights = Vec::new();
    for join in windows {
        let right = planner.source(&join.source, ctes)?;
        let name = table_name(&right);
        if name.is_some() && names.contains(&name) {
            return Err(duplicate(join, &right));
        }
        names.push(name);
        if !is_table(planner, &join.source, ctes) {
            let message = "right side of window join must be a table, not sub-query";
            return Err(SqlError::new(join.position, message));
        }
        time_of(&right, "right", join.position)?;
        rights.push(right);
    }
    Ok(rights)
}

/// Returns whether a source is a table, perhaps under `SELECT *` and nothing else.
fn is_table(planner: &Planner, source: &Source, ctes: Ctes) -> bool {
    let is_whole = |query: &Query, ctes: Ctes| {
        let Some(inner) = whole_source(query) else { return false };
        is_table(planner, inner, ctes)
    };
    match &source.relation {
        RelationRef::Table(name) => match (planner.whole_view(name), ctes.find(&name.name.to_lowercase())) {
            (Some(view), _) => is_whole(&view, Ctes::NONE),
            (None, Some(cte)) => is_whole(cte.query, cte.outer),
            (None, None) => true,
        },
        RelationRef::TableAt { .. } => true,
        RelationRef::Query(query) => is_whole(query, ctes),
        RelationRef::Function(_) => false,
    }
}

/// Returns what `SELECT * FROM source` reads, if the query is no more than that.
fn whole_source(query: &Query) -> Option<&Source> {
    if !query.with.is_empty() || !query.order_by.is_empty() || query.limit.is_some() {
        return None;
    }
    match &query.body {
        Body::Nested(inner) => whole_source(inner),
        Body::Select(select) => {
            let everything = matches!(&select.items[..], [] | [Item::Star { qualifier: None, .. }]);
            let bare = select.filter.is_none() && select.latest.is_none() && select.sample.is_none();
            let from = select.from.as_ref().filter(|from| from.joins.is_empty())?;
            (everything && bare && select.group_by.is_none() && !select.distinct).then_some(&from.first)
        }
        _ => None,
    }
}

/// Refuses right columns in WHERE.
fn left_only(scope: &Scope, tree: &Tree, left_columns: usize) -> Result<(), SqlError> {
    if let ExprKind::Name { qualifier, name } = &tree.kind
        && scope.place(qualifier.as_deref(), name, tree.position)?.is_some_and(|place| place >= left_columns)
    {
        return Err(SqlError::new(tree.position, format!("Invalid column: {}", expression_text(tree))));
    }
    group::children(tree).into_iter().try_for_each(|child| left_only(scope, child, left_columns))
}

/// Refuses stars that a right table is under.
fn check_stars(select: &Select, rights: &[Relation]) -> Result<(), SqlError> {
    let every = [Item::Star { qualifier: None, position: select.position }];
    let items = if select.items.is_empty() { &every[..] } else { &select.items[..] };
    for item in items {
        let Item::Star { qualifier, position } = item else { continue };
        let covered = |right: &&Relation| match qualifier {
            Some(table) => table_name(right) == Some(table.name.to_lowercase()),
            None => true,
        };
        if let Some(column) = rights.iter().find(covered).and_then(|right| right.visible().next()) {
            let table = column.table.as_ref().map_or(String::new(), |table| format!("{table}."));
            return Err(raw_column(&format!("{table}{}", column.name), *position));
        }
    }
    Ok(())
}

/// What a WINDOW JOIN asks of its sides.
struct Asked {
    right: Relation,
    keys: Vec<(Typed, Typed)>,
    /// Conditions that look at the left side, perhaps at both.
    filter: Option<Expr>,
    low: End,
    high: End,
    prevailing: bool,
}

/// One end of the range.
struct End {
    /// Nanoseconds of one.
    unit_ns: i64,
    following: bool,
    distance: Distance,
}

enum Distance {
    Constant(i64),
    /// A LONG of the left row.
    OfRow(Typed),
}

/// Returns the plan with the values of all aggregates behind the left columns.
fn joined(
    planner: &Planner,
    ctes: Ctes,
    left: Relation,
    rights: Vec<Relation>,
    windows: &[Join],
    aggregates: Vec<Vec<Aggregate>>,
) -> Result<LogicalPlan, SqlError> {
    let lost = || SqlError::internal("a window join lost a column");
    let asked = windows.iter().zip(rights).map(|(join, right)| asked(planner, ctes, &left, right, join));
    let asked = asked.collect::<Result<Vec<_>, _>>()?;
    let time = |relation: &Relation| relation.time.map(|place| relation.columns[place].expr()).ok_or_else(lost);
    let left_time = time(&left)?;
    // a left row's values are made once, below all joins
    let values = asked.iter().flat_map(Asked::left_values).cloned().collect();
    let (left, fields) = with_keys(planner, left, values)?;
    let (mut plan, mut fields) = (left.plan, fields.into_iter());
    for (asked, aggregates) in asked.into_iter().zip(aggregates) {
        let mut next = || fields.next().map(Expr::Column).ok_or_else(lost);
        let left_keys = asked.keys.iter().map(|_| next()).collect::<Result<Vec<_>, _>>()?;
        let (low, high) = (asked.low.placed(&mut next)?, asked.high.placed(&mut next)?);
        if aggregates.is_empty() {
            continue;
        }
        let times = (left_time.clone(), time(&asked.right)?);
        let right_keys = asked.keys.into_iter().map(|(_, right)| right).collect();
        let (right, right_keys) = with_keys(planner, asked.right, right_keys)?;
        let keys = left_keys.into_iter().zip(right_keys.into_iter().map(Expr::Column)).collect();
        let output = |aggregate: Aggregate| (aggregate.expr, Arc::new(aggregate.kind.field(&aggregate.field)));
        let aggregates = aggregates.into_iter().map(output).collect();
        let (filter, prevailing) = (asked.filter, asked.prevailing);
        let spec = WindowJoinSpec { times, keys, low, high, prevailing, filter, aggregates };
        plan = exec::window_join(plan, right.plan, spec).map_err(plan_error)?;
    }
    Ok(plan)
}

/// Returns the aggregates of each join; they are no longer in the collection.
fn by_join(grouping: &mut Grouping, joins: usize) -> Vec<Vec<Aggregate>> {
    let mut of_joins: Vec<Vec<Aggregate>> = (0..joins).map(|_| Vec::new()).collect();
    for aggregate in std::mem::take(&mut grouping.aggregates) {
        let place = grouping.joins_of(&aggregate.expr).first().copied().unwrap_or(0);
        of_joins[place].push(aggregate);
    }
    of_joins
}

impl Asked {
    /// Returns the values of the left row that the join needs, in the order in which it takes them.
    fn left_values(&self) -> impl Iterator<Item = &Typed> {
        self.keys.iter().map(|(left, _)| left).chain([&self.low, &self.high].into_iter().filter_map(End::left_value))
    }
}

impl End {
    fn left_value(&self) -> Option<&Typed> {
        match &self.distance {
            Distance::OfRow(value) => Some(value),
            Distance::Constant(_) => None,
        }
    }

    /// Returns how far from the left row's time the end is; None where each row says it.
    fn constant_ns(&self) -> Option<i128> {
        let Distance::Constant(count) = self.distance else { return None };
        let sign = if self.following { 1 } else { -1 };
        Some(i128::from(count) * i128::from(self.unit_ns) * sign)
    }

    /// Returns the end with the left column of its distance, if that is no constant.
    fn placed(self, next: &mut impl FnMut() -> Result<Expr, SqlError>) -> Result<WindowEnd, SqlError> {
        let unit_ns = if self.following { self.unit_ns } else { -self.unit_ns };
        Ok(match self.distance {
            Distance::Constant(count) => WindowEnd::Fixed { ns: i128::from(count) * i128::from(unit_ns) },
            Distance::OfRow(_) => WindowEnd::OfRow { count: next()?, unit_ns },
        })
    }
}

/// Binds ON and the range of a join.
fn asked(planner: &Planner, ctes: Ctes, left: &Relation, right: Relation, join: &Join) -> Result<Asked, SqlError> {
    let Some(range) = &join.range else { return Err(SqlError::internal("a window join lost its range")) };
    let sides = Sides { planner, ctes, left: left.clone(), right, join };
    let columns = sides.columns();
    let scope = sides.scope(&columns, left.time);
    let (mut keys, mut filter, mut of_right) = (Vec::new(), None, None);
    match &join.on {
        None => {}
        Some(On::Columns(names)) => {
            for name in names {
                let equality = sides.same_name(name)?;
                keys.push((equality.left, equality.right));
            }
        }
        Some(On::Predicate(tree)) => {
            for condition in conjuncts::split(tree) {
                // values of other kinds, and floating-point ones, are compared as in WHERE
                let equality = sides.equality(condition).ok().flatten();
                if let Some(equality) = equality.filter(|e| !matches!(e.left.kind, Kind::Float | Kind::Double)) {
                    keys.push((equality.left, equality.right));
                    continue;
                }
                let test = scope.condition(condition)?;
                let of_side = sides.side(&Typed::new(test.clone(), Kind::Boolean, condition.position));
                let tests = if of_side == Some(false) { &mut of_right } else { &mut filter };
                *tests = Some(tests.take().map_or(test.clone(), |earlier: Expr| earlier.and(test)));
            }
        }
    }
    let (low, high) = (end(&scope, left, &range.low)?, end(&scope, left, &range.high)?);
    if let (Some(low), Some(high)) = (low.constant_ns(), high.constant_ns())
        && high < low
    {
        let position = if range.high.distance.is_some() { range.high.position } else { range.low.position };
        return Err(SqlError::new(position, "WINDOW join hi value cannot be less than lo value"));
    }
    let mut right = sides.right;
    if let Some(test) = of_right {
        right = right.filtered(test)?;
    }
    Ok(Asked { right, keys, filter, low, high, prevailing: range.prevailing })
}

/// Binds an end of the range.
///
/// # Errors
/// A constant that is no whole number from 0 on; a value that is no whole number, or of the right side.
fn end(scope: &Scope, left: &Relation, written: &RangeEnd) -> Result<End, SqlError> {
    let is_ns = left.time.is_some_and(|place| left.columns[place].kind == Kind::TimestampNs);
    let unit_ns = written.unit_ns.unwrap_or(if is_ns { 1 } else { 1_000 });
    let following = written.following;
    let Some(tree) = &written.distance else {
        return Ok(End { unit_ns, following, distance: Distance::Constant(0) });
    };
    let error = |message: &str| Err(SqlError::new(tree.position, message));
    let value = scope.bind_wanted(tree, Kind::Long)?;
    let columns = value.expr.column_refs();
    if columns.iter().any(|column| !left.columns.iter().any(|c| c.field == column.name)) {
        return error("RANGE BETWEEN expression must not reference right table columns");
    }
    if columns.is_empty() {
        let text = value.as_text().and_then(|text| text.trim().parse::<i64>().ok());
        let negative = matches!(tree.kind, ExprKind::Unary { .. });
        if let Some(count) = value.as_integer().or(text).filter(|count| *count >= 0) {
            return Ok(End { unit_ns, following, distance: Distance::Constant(count) });
        }
        if value.is_literal() && !matches!(value.kind, Kind::Float | Kind::Double) || negative {
            return error("non-negative integer expression expected");
        }
    }
    if !matches!(value.kind, Kind::Byte | Kind::Short | Kind::Int | Kind::Long) {
        return error("integer expression expected");
    }
    let value = cast::implicit(value, Kind::Long)?;
    Ok(End { unit_ns, following, distance: Distance::OfRow(value) })
}
