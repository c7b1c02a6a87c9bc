//! PIVOT (aggregates FOR column IN (values)): rewritten here to a SELECT with an aggregate for each value.
//!
//! Each aggregate sees only the rows of its value ([`ExprKind::Filtered`]); rows of no value are not in the query at all.

use super::ast::{Binary, Body, Expr, ExprKind, From, Ident, Item, Query, RelationRef, Select, Source};
use super::cursor::Cursor;
use super::expression::{self, expression};
use super::lexer::TokenKind;
use super::select;
use super::text::expression_text;
use crate::error::SqlError;
use crate::functions::aggregate::is_aggregate;

/// Columns that one PIVOT may make.
const MAX_COLUMNS: usize = 5000;

/// An expression and its alias.
struct Named {
    expr: Expr,
    alias: Option<String>,
}

/// `expr IN (value AS alias, …)`.
struct Choice {
    expr: Expr,
    values: Vec<Named>,
    position: usize,
}

/// Parses PIVOT (…) behind the sources and WHERE of `select`, if it stands here; returns the SELECT over its result.
pub fn pivot(cursor: &mut Cursor, mut select: Select) -> Result<Select, SqlError> {
    let position = cursor.peek().position;
    if !(cursor.is_word("pivot") && cursor.peek_at(1).is_sign("(")) {
        return Ok(select);
    }
    cursor.next();
    cursor.next();
    let aggregates = aggregates(cursor)?;
    let choices = choices(cursor)?;
    let mut keys = Vec::new();
    if cursor.take_word("group") {
        cursor.expect_word("by")?;
        loop {
            if cursor.peek().kind == TokenKind::Number {
                return Err(cursor.error("cannot use positional group by inside `PIVOT`"));
            }
            keys.push(expression(cursor)?);
            if !cursor.take_sign(",") {
                break;
            }
        }
    }
    cursor.expect_sign(")")?;
    let explicit = cursor.take_word("as");
    let named = explicit || cursor.peek().kind == TokenKind::Word && !select::is_clause(&cursor.peek().text);
    let alias = if named { Some(select::name(cursor)?) } else { None };

    let mut inner = Select { from: select.from.take(), filter: select.filter.take(), ..Select::all(position) };
    inner.items = keys.iter().map(|key| Item::Expr { expr: key.clone(), alias: None }).collect();
    inner.items.extend(columns(&aggregates, &choices, position)?);
    for choice in choices {
        let list = choice.values.into_iter().map(|value| value.expr).collect();
        let kind = ExprKind::In { value: Box::new(choice.expr), list, bracketed: true, negated: false };
        let test = Expr { kind, position: choice.position };
        inner.filter = Some(match inner.filter.take() {
            Some(filter) => binary(Binary::And, filter, test),
            None => test,
        });
    }
    if !keys.is_empty() {
        inner.group_by = Some(keys);
    }
    let body = Body::Select(Box::new(inner));
    let query = Query::plain(body, position);
    let first = Source { alias, ..Source::plain(RelationRef::Query(Box::new(query)), position) };
    select.from = Some(From { first, joins: Vec::new() });
    Ok(select)
}

fn binary(op: Binary, left: Expr, right: Expr) -> Expr {
    let position = left.position;
    Expr { kind: ExprKind::Binary { op, left: Box::new(left), right: Box::new(right) }, position }
}

fn alias(cursor: &mut Cursor) -> Result<Option<String>, SqlError> {
    let explicit = cursor.take_word("as");
    let bare = matches!(cursor.peek().kind, TokenKind::Word | TokenKind::Quoted) && !cursor.is_word("for");
    if explicit || bare { select::name(cursor).map(|name| Some(name.name)) } else { Ok(None) }
}

fn aggregates(cursor: &mut Cursor) -> Result<Vec<Named>, SqlError> {
    let mut list = Vec::new();
    loop {
        let expr = expression(cursor)?;
        if !has_aggregate(&expr) {
            let message = format!("expected aggregate function [col={}]", expression_text(&expr));
            return Err(SqlError::new(expr.position, message));
        }
        list.push(Named { expr, alias: alias(cursor)? });
        if !cursor.take_sign(",") {
            break;
        }
    }
    if !cursor.take_word("for") {
        return Err(cursor.error("expected FOR"));
    }
    Ok(list)
}

fn has_aggregate(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Call { name, args, .. } => is_aggregate(name) || args.iter().any(has_aggregate),
        ExprKind::Binary { left, right, .. } => has_aggregate(left) || has_aggregate(right),
        ExprKind::Unary { arg, .. } | ExprKind::Cast { arg, .. } => has_aggregate(arg),
        _ => false,
    }
}

fn choices(cursor: &mut Cursor) -> Result<Vec<Choice>, SqlError> {
    let mut list = Vec::new();
    while !cursor.is_sign(")") && !cursor.is_word("group") {
        let expr = expression::operand_of_in(cursor)?;
        let position = cursor.peek().position;
        if !cursor.take_word("in") {
            return Err(cursor.error("'in' expected"));
        }
        cursor.expect_sign("(")?;
        if expression::starts_query_at(cursor, 0) {
            return Err(cursor.error("a sub-query in PIVOT … IN is not supported yet; list the values"));
        }
        let mut values: Vec<Named> = Vec::new();
        loop {
            let value = expression(cursor)?;
            if values.iter().any(|known| known.expr.kind == value.kind) {
                let message = format!("duplicate value in PIVOT IN list: {}", expression_text(&value));
                return Err(SqlError::new(value.position, message));
            }
            values.push(Named { expr: value, alias: alias(cursor)? });
            if !cursor.take_sign(",") {
                break;
            }
        }
        cursor.expect_sign(")")?;
        list.push(Choice { expr, values, position });
    }
    if list.is_empty() {
        return Err(cursor.error("'in' expected"));
    }
    Ok(list)
}

/// Returns the columns: for every combination of values every aggregate.
fn columns(aggregates: &[Named], choices: &[Choice], position: usize) -> Result<Vec<Item>, SqlError> {
    let count = choices.iter().try_fold(aggregates.len(), |n, choice| n.checked_mul(choice.values.len()));
    if count.is_none_or(|n| n > MAX_COLUMNS) {
        return Err(SqlError::new(position, format!("PIVOT makes too many columns [max={MAX_COLUMNS}]")));
    }
    let mut combinations: Vec<(String, Option<Expr>)> = vec![(String::new(), None)];
    for choice in choices {
        let mut longer = Vec::new();
        for (name, test) in &combinations {
            for value in &choice.values {
                let shown = value.alias.clone().unwrap_or_else(|| value_text(&value.expr));
                let name = if test.is_some() { format!("{name}_{shown}") } else { shown };
                let own = binary(Binary::Eq, choice.expr.clone(), value.expr.clone());
                let test = test.clone().map_or(own.clone(), |test| binary(Binary::And, test, own));
                longer.push((name, Some(test)));
            }
        }
        combinations = longer;
    }
    let mut items = Vec::new();
    for (name, test) in &combinations {
        for aggregate in aggregates {
            let suffix = match &aggregate.alias {
                Some(alias) => Some(alias.clone()),
                None => (aggregates.len() > 1).then(|| expression_text(&aggregate.expr)),
            };
            let name = suffix.map_or(name.clone(), |suffix| format!("{name}_{suffix}"));
            let expr = test.as_ref().map_or(aggregate.expr.clone(), |test| filtered(&aggregate.expr, test));
            items.push(Item::Expr { expr, alias: Some(Ident { name, position }) });
        }
    }
    Ok(items)
}

fn value_text(value: &Expr) -> String {
    match &value.kind {
        ExprKind::Text(text) => text.clone(),
        ExprKind::Word(word) if word.eq_ignore_ascii_case("null") => "null".to_owned(),
        _ => expression_text(value),
    }
}

/// Returns the expression with each aggregate of it over the rows that pass the test.
fn filtered(expr: &Expr, test: &Expr) -> Expr {
    let deeper = |inner: &Expr| Box::new(filtered(inner, test));
    let kind = match &expr.kind {
        ExprKind::Call { name, .. } if is_aggregate(name) => {
            ExprKind::Filtered { call: Box::new(expr.clone()), test: Box::new(test.clone()) }
        }
        ExprKind::Call { name, args, distinct } => ExprKind::Call {
            name: name.clone(),
            args: args.iter().map(|arg| filtered(arg, test)).collect(),
            distinct: *distinct,
        },
        ExprKind::Binary { op, left, right } => ExprKind::Binary { op: *op, left: deeper(left), right: deeper(right) },
        ExprKind::Unary { op, arg } => ExprKind::Unary { op: *op, arg: deeper(arg) },
        ExprKind::Cast { arg, type_name, type_position, spelling } => ExprKind::Cast {
            arg: deeper(arg),
            type_name: type_name.clone(),
            type_position: *type_position,
            spelling: *spelling,
        },
        other => other.clone(),
    };
    Expr { kind, position: expr.position }
}
