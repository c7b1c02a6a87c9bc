//! GROUP BY, explicit and implicit: keys and aggregates are collected while the select list is bound.
//!
//! A [`Grouping`] stands in a [`Scope`]; every expression bound there asks it first. What it hands out are columns of
//! the aggregate node that is built at the end. SAMPLE BY adds a bucket as the first key: see [`super::sample`].

use std::cell::RefCell;

use datafusion::common::Column as PlanColumn;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::order::kept_in_order;
use super::outputs::{Origin, Output};
use super::relation::Relation;
use super::scope::Scope;
use super::select::{Input, expand, ordinal, project};
use super::{Planner, build, plan_error, sample, window};
use crate::error::SqlError;
use crate::functions::{self, Call, Typed};
use crate::kind::Kind;
use crate::parser::ast::{Expr as Tree, ExprKind, Item, OrderItem, Select};
use crate::parser::expression_text;

/// A value that rows are grouped by.
pub struct Key {
    pub value: Typed,
    pub field: String,
}

/// An aggregate of the groups.
pub struct Aggregate {
    pub expr: Expr,
    pub kind: Kind,
    pub field: String,
}

/// What a grouped SELECT has been found to need.
pub struct Grouping {
    pub keys: Vec<Key>,
    pub aggregates: Vec<Aggregate>,
    /// Whether GROUP BY was written, so that no further key may join.
    explicit: bool,
    /// After SAMPLE BY the designated timestamp, and what stands for it: the bucket, which is the first key.
    bucket_of: Option<(Expr, Expr)>,
    /// The right columns of each WINDOW JOIN: its aggregates are of the right rows of one left row, whose own columns stand beside them.
    right_fields: Vec<Vec<String>>,
}

impl Grouping {
    /// Returns a grouping whose first key is the bucket of `time`, which is `shown` for it.
    pub fn by_bucket(time: Expr, shown: Expr, bucket: Key) -> Grouping {
        Grouping { keys: vec![bucket], bucket_of: Some((time, shown)), ..Grouping::new() }
    }

    /// Returns a grouping without keys yet.
    fn new() -> Grouping {
        Grouping {
            keys: Vec::new(),
            aggregates: Vec::new(),
            explicit: false,
            bucket_of: None,
            right_fields: Vec::new(),
        }
    }

    /// Returns a collection of the aggregates of WINDOW JOINs with these right columns.
    pub fn beside(right_fields: Vec<Vec<String>>) -> Grouping {
        Grouping { right_fields, ..Grouping::new() }
    }

    /// Returns the places of the WINDOW JOINs that have one of the columns.
    pub fn joins_of(&self, expr: &Expr) -> Vec<usize> {
        let columns = expr.column_refs();
        let has = |fields: &Vec<String>| columns.iter().any(|column| fields.contains(&column.name));
        self.right_fields.iter().enumerate().filter(|(_, fields)| has(fields)).map(|(place, _)| place).collect()
    }

    fn key(&self, value: &Typed) -> Option<Typed> {
        let key = self.keys.iter().find(|k| k.value.expr == value.expr)?;
        Some(Typed::new(column(&key.field), key.value.kind, value.position))
    }

    fn add_key(&mut self, planner: &Planner, value: Typed) -> Typed {
        if let Some(found) = self.key(&value) {
            return found;
        }
        let field = planner.field("key");
        let typed = Typed::new(column(&field), value.kind, value.position);
        self.keys.push(Key { value, field });
        typed
    }
}

fn column(field: &str) -> Expr {
    Expr::Column(PlanColumn::new_unqualified(field))
}

/// Returns whether a SELECT groups its rows.
pub fn is_grouped(scope: &Scope, select: &Select) -> bool {
    let has_aggregate = select.items.iter().any(|item| match item {
        Item::Expr { expr, .. } => contains_aggregate(scope, expr),
        Item::Star { .. } => false,
    });
    has_aggregate || select.group_by.is_some() || select.sample.is_some()
}

/// Returns whether an aggregate stands in the expression itself or behind an alias that it uses.
pub fn contains_aggregate(scope: &Scope, tree: &Tree) -> bool {
    match &tree.kind {
        ExprKind::Name { qualifier, name } => {
            let is_column = scope.place(qualifier.as_deref(), name, 0).map_or(true, |p| p.is_some());
            if is_column || qualifier.is_some() {
                return false;
            }
            let inner = Scope { aliases: &[], ..*scope };
            scope.alias(name).is_some_and(|t| contains_aggregate(&inner, t)) || name.eq_ignore_ascii_case("count")
        }
        ExprKind::Call { name, args, .. } => {
            functions::aggregate::is_aggregate(&name.to_ascii_lowercase())
                || args.iter().any(|a| contains_aggregate(scope, a))
        }
        _ => children(tree).into_iter().any(|child| contains_aggregate(scope, child)),
    }
}

/// Returns the expressions that stand in an expression.
pub fn children(tree: &Tree) -> Vec<&Tree> {
    match &tree.kind {
        ExprKind::Unary { arg, .. } | ExprKind::Cast { arg, .. } | ExprKind::IsNull { arg, .. } => vec![arg],
        ExprKind::Binary { left, right, .. } => vec![left, right],
        ExprKind::Call { args, .. } => args.iter().collect(),
        ExprKind::Case { operand, branches, otherwise } => {
            let mut list: Vec<&Tree> = operand.iter().map(|o| &**o).collect();
            list.extend(branches.iter().flat_map(|(c, r)| [c, r]));
            list.extend(otherwise.iter().map(|o| &**o));
            list
        }
        ExprKind::In { value, list, .. } => {
            let mut all: Vec<&Tree> = vec![value];
            all.extend(list);
            all
        }
        ExprKind::Between { value, low, high, .. } => vec![value, low, high],
        ExprKind::Filtered { call, .. } => vec![call],
        ExprKind::Window { call, spec, .. } => {
            children(call).into_iter().chain(&spec.partition_by).chain(spec.order_by.iter().map(|o| &o.expr)).collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the value of an expression after grouping, or `None` when its parts must be looked at one by one.
pub fn grouped(scope: &Scope, grouping: &RefCell<Grouping>, tree: &Tree) -> Result<Option<Typed>, SqlError> {
    if contains_aggregate(scope, tree) {
        return Ok(None);
    }
    let value = Scope { grouping: None, ..*scope }.bind(tree)?;
    let columns = value.expr.column_refs();
    if columns.is_empty() {
        return Ok(Some(value));
    }
    let mut grouping = grouping.borrow_mut();
    if !grouping.right_fields.is_empty() {
        return beside(&grouping, tree, value);
    }
    if let Some(found) = grouping.key(&value) {
        return Ok(Some(found));
    }
    if let Some((Expr::Column(time), shown)) = &grouping.bucket_of
        && columns.iter().all(|c| *c == time)
    {
        return Ok(Some(of_bucket(&value, time, shown)?));
    }
    if !matches!(tree.kind, ExprKind::Name { .. }) {
        return Ok(None);
    }
    if grouping.explicit {
        return Err(SqlError::new(tree.position, "column must appear in GROUP BY clause or aggregate function"));
    }
    Ok(Some(grouping.add_key(scope.planner, value)))
}

/// Returns a value that stands beside the aggregates of a WINDOW JOIN, or `None` when its parts must be looked at one by one.
fn beside(grouping: &Grouping, tree: &Tree, value: Typed) -> Result<Option<Typed>, SqlError> {
    if grouping.joins_of(&value.expr).is_empty() {
        return Ok(Some(value));
    }
    match &tree.kind {
        ExprKind::Name { .. } => Err(super::window_join::raw_column(&expression_text(tree), tree.position)),
        _ => Ok(None),
    }
}

/// Returns the value with the bucket in place of the timestamp.
fn of_bucket(value: &Typed, time: &PlanColumn, shown: &Expr) -> Result<Typed, SqlError> {
    let replace = |expr: Expr| match &expr {
        Expr::Column(found) if found == time => Ok(Transformed::new(shown.clone(), true, TreeNodeRecursion::Jump)),
        _ => Ok(Transformed::no(expr)),
    };
    let expr = value.expr.clone().transform(replace).map_err(plan_error)?.data;
    Ok(Typed::new(expr, value.kind, value.position))
}

/// Binds a call of an aggregate, over the rows that pass `test` if there is one.
///
/// # Errors
/// Where no aggregate may stand, also inside another one.
pub fn aggregate(
    scope: &Scope,
    name: &str,
    args: &[Tree],
    distinct: bool,
    test: Option<Expr>,
    position: usize,
) -> Result<Typed, SqlError> {
    let Some(grouping) = scope.grouping else {
        return Err(SqlError::new(position, "Aggregate function cannot be passed as an argument"));
    };
    let inner = Scope { grouping: None, ..*scope };
    let args = args.iter().filter(|a| a.kind != ExprKind::Star);
    let args = inner.arguments(&name.to_ascii_lowercase(), args)?;
    let bound = functions::aggregate::bind(&Call::new(name, position, args), distinct)?;
    if grouping.borrow().joins_of(&bound.expr).len() > 1 {
        let message = "WINDOW join aggregate function cannot reference columns from multiple models";
        return Err(SqlError::new(position, message));
    }
    let mut found: Option<Expr> = None;
    let field = scope.planner.field("aggregate");
    let mut grouping = grouping.borrow_mut();
    let expr = bound.expr.transform(|expr| match expr {
        Expr::AggregateFunction(mut call) => {
            call.params.filter = test.clone().map(Box::new);
            let expr = Expr::AggregateFunction(call);
            let known = grouping.aggregates.iter().find(|a| a.expr == expr).map(|a| a.field.clone());
            let own = known.unwrap_or_else(|| {
                found = Some(expr);
                field.clone()
            });
            Ok(Transformed::new(column(&own), true, TreeNodeRecursion::Jump))
        }
        other => Ok(Transformed::no(other)),
    });
    let expr = expr.map_err(plan_error)?.data;
    if let Some(expr) = found {
        grouping.aggregates.push(Aggregate { expr, kind: bound.kind, field });
    }
    Ok(Typed::new(expr, bound.kind, position))
}

/// Returns the plan of a SELECT that groups.
pub fn select(
    scope: &Scope,
    select: &Select,
    order_by: &[OrderItem],
    relation: Relation,
) -> Result<Relation, SqlError> {
    let beside = |item: &Item| matches!(item, Item::Expr { expr, .. } if window::beside_aggregates(expr));
    if select.items.iter().any(beside) {
        return Err(SqlError::new(0, "Window function is not allowed in context of aggregation. Use sub-query."));
    }
    let relation = kept_in_order(relation)?;
    if let Some(sample) = &select.sample {
        return sample::select(scope, select, sample, order_by, relation);
    }
    let grouping = RefCell::new(Grouping::new());
    if let Some(keys) = &select.group_by {
        if select.items.is_empty() || select.items.iter().any(|i| matches!(i, Item::Star { .. })) {
            return Err(SqlError::new(0, "not enough columns in group by"));
        }
        explicit_keys(scope, keys, &select.items, &grouping)?;
        grouping.borrow_mut().explicit = true;
    }
    let outputs = outputs(scope, select, &grouping)?;
    let order = order_values(scope, order_by, &outputs, &grouping)?;
    let plan = match scope.windows {
        Some(windows) => windows.apply(scope.planner, relation.plan)?,
        None => relation.plan,
    };
    let plan = node(plan, &grouping.borrow())?;
    finish(scope, select, outputs, order_by, order, Input { plan, time: None })
}

fn explicit_keys(scope: &Scope, keys: &[Tree], items: &[Item], grouping: &RefCell<Grouping>) -> Result<(), SqlError> {
    for tree in keys {
        let mut tree = tree;
        if let Some(number) = ordinal(tree) {
            let place = usize::try_from(number).ok().and_then(|n| n.checked_sub(1)).and_then(|n| items.get(n));
            let Some(Item::Expr { expr, .. }) = place else {
                let message = format!("GROUP BY position {number} is not in select list");
                return Err(SqlError::new(tree.position, message));
            };
            tree = expr;
        } else if let ExprKind::Name { qualifier: None, name } = &tree.kind {
            tree = scope.alias(name).unwrap_or(tree);
        }
        if contains_aggregate(scope, tree) {
            return Err(SqlError::new(tree.position, "aggregate functions are not allowed in GROUP BY"));
        }
        if let Some(position) = window::first_window(tree) {
            return Err(SqlError::new(position, "window functions are not allowed in GROUP BY"));
        }
        let value = scope.bind(tree)?;
        grouping.borrow_mut().add_key(scope.planner, value);
    }
    Ok(())
}

/// Binds the select list; without GROUP BY every item that holds no aggregate becomes a key.
pub fn outputs(scope: &Scope, select: &Select, grouping: &RefCell<Grouping>) -> Result<Vec<Output>, SqlError> {
    let implicit = !grouping.borrow().explicit;
    let bucket = grouping.borrow().bucket_of.clone();
    if implicit {
        for item in &select.items {
            let Item::Expr { expr, .. } = item else { continue };
            if contains_aggregate(scope, expr) {
                continue;
            }
            let value = scope.bind(expr)?;
            let columns = value.expr.column_refs();
            let is_time = |c: &&PlanColumn| matches!(&bucket, Some((Expr::Column(time), _)) if time == *c);
            if !columns.is_empty() && !columns.iter().any(is_time) {
                grouping.borrow_mut().add_key(scope.planner, value);
            }
        }
    }
    let star = select.items.iter().any(|i| matches!(i, Item::Star { .. }));
    let inner = Scope { grouping: Some(grouping), ..*scope };
    let mut list = expand(&inner, &select.items)?;
    if star {
        for output in list.iter_mut().filter(|o| matches!(o.origin, Origin::Star)) {
            output.value = grouping.borrow_mut().add_key(scope.planner, output.value.clone());
        }
    }
    Ok(list)
}

/// Binds the ORDER BY items that are not outputs: aggregates and expressions over keys.
pub fn order_values(
    scope: &Scope,
    order_by: &[OrderItem],
    outputs: &[Output],
    grouping: &RefCell<Grouping>,
) -> Result<Vec<Option<Typed>>, SqlError> {
    let names = super::outputs::names(outputs);
    grouping.borrow_mut().explicit = true;
    let inner = Scope { grouping: Some(grouping), ..*scope };
    let mut list = Vec::new();
    for item in order_by {
        let is_output = match &item.expr.kind {
            ExprKind::Name { qualifier: None, name } => names.iter().any(|n| n.to_lowercase() == name.to_lowercase()),
            _ => ordinal(&item.expr).is_some(),
        };
        list.push(match is_output {
            true => None,
            false => Some(inner.bind(&item.expr).map_err(|error| match error.message.as_str() {
                "column must appear in GROUP BY clause or aggregate function" => super::order::not_selected(&item.expr),
                _ => error,
            })?),
        });
    }
    Ok(list)
}

/// Returns the aggregate node.
pub fn node(input: LogicalPlan, grouping: &Grouping) -> Result<LogicalPlan, SqlError> {
    let keys: Vec<Expr> = grouping.keys.iter().map(|k| k.value.expr.clone().alias(&k.field)).collect();
    let aggregates: Vec<Expr> = grouping.aggregates.iter().map(|a| a.expr.clone().alias(&a.field)).collect();
    build(|b| b.aggregate(keys, aggregates), input)
}

/// Projects and orders what was grouped.
pub fn finish(
    scope: &Scope,
    select: &Select,
    outputs: Vec<Output>,
    order_by: &[OrderItem],
    order: Vec<Option<Typed>>,
    input: Input,
) -> Result<Relation, SqlError> {
    let bound: Vec<(usize, Typed)> =
        order_by.iter().zip(order).filter_map(|(item, value)| Some((item.expr.position, value?))).collect();
    let values = super::select::OrderValues(&bound);
    project(scope, select, outputs, order_by, input, Some(values))
}
