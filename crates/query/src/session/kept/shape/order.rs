//! Whether a plan keeps the order of its rows whatever the literals of its conditions are: [`is_kept`].
//!
//! The engine leaves out a sort by what the conditions let one value of through. A plan without it is wrong for other literals.

use super::tree::add_names;
use crate::parser::ast::{Expr as Tree, ExprKind, Item, Limit, Query, Select};

/// The designated timestamp.
#[derive(Clone, Copy)]
pub struct Time<'a> {
    pub name: &'a str,
    /// Conditions on it are ranges of the scan, of which the engine knows no value; else they are conditions like others.
    pub is_ranges: bool,
}

/// Returns whether no sort can have been left out because of the conditions: by what they name no row is sorted.
pub fn is_kept(query: &Query, select: &Select, conditions: &[Tree], time: Option<Time>) -> bool {
    kept(query, select, conditions, time).unwrap_or(false)
}

fn kept(query: &Query, select: &Select, conditions: &[Tree], time: Option<Time>) -> Option<bool> {
    let mut tested = Vec::new();
    conditions.iter().try_for_each(|condition| add_names(condition, &mut tested))?;
    let is_time = |name: &str| time.is_some_and(|time| name.eq_ignore_ascii_case(time.name));
    let is_ranges = time.is_some_and(|time| time.is_ranges);
    tested.retain(|name| !(is_ranges && is_time(name)));
    if tested.is_empty() {
        return Some(true);
    }
    // the last rows are found by a sort by time
    if tested.iter().any(|name| is_time(name)) && query.limit.as_ref().is_some_and(may_be_negative) {
        return Some(false);
    }
    let is_alias = |item: &Item| matches!(item, Item::Expr { alias: Some(alias), .. } if is_time(&alias.name));
    let sorts_by_time = |tree: &Tree| matches!(&tree.kind, ExprKind::Name { qualifier: None, name } if is_time(name));
    match &query.order_by[..] {
        [] => return Some(true),
        [item] if is_ranges && sorts_by_time(&item.expr) && !select.items.iter().any(is_alias) => return Some(true),
        _ => {}
    }
    // a name may be that of a result, which may have been given by nobody
    let mut sorted = Vec::new();
    for item in &select.items {
        match item {
            Item::Expr { expr, .. } => add_names(expr, &mut sorted)?,
            Item::Star { .. } => {}
        }
    }
    let stars = select.items.is_empty() || select.items.iter().any(|item| matches!(item, Item::Star { .. }));
    for item in &query.order_by {
        if stars && !matches!(item.expr.kind, ExprKind::Name { .. }) {
            return Some(false);
        }
        add_names(&item.expr, &mut sorted)?;
    }
    Some(!sorted.iter().any(|name| tested.contains(name)))
}

fn may_be_negative(limit: &Limit) -> bool {
    limit.low.iter().chain(&limit.high).any(|edge| !matches!(edge.kind, ExprKind::Number(_)))
}
