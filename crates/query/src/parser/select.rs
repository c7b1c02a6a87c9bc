//! Queries: the SELECT skeleton with the peer's clauses between WHERE and GROUP BY.
//!
//! Builds trees only. Next: [`super::source`] for FROM, [`super::sample`] for SAMPLE BY.

use super::ast::{Body, Expr, ExprKind, Ident, Item, Latest, Limit, OrderItem, Query, Select, SetOp};
use super::cursor::Cursor;
use super::expression::expression;
use super::lexer::TokenKind;
use super::{declare, pivot, sample, show, source, window};
use crate::error::SqlError;

/// Words that cannot be a bare alias or table name.
const RESERVED: [&str; 59] = [
    "add",
    "align",
    "all",
    "alter",
    "and",
    "as",
    "asc",
    "asof",
    "begin",
    "between",
    "case",
    "cast",
    "commit",
    "create",
    "cross",
    "declare",
    "delete",
    "desc",
    "distinct",
    "drop",
    "else",
    "end",
    "except",
    "exists",
    "explain",
    "fill",
    "from",
    "full",
    "grant",
    "in",
    "inner",
    "insert",
    "intersect",
    "into",
    "is",
    "isolation",
    "join",
    "latest",
    "left",
    "like",
    "limit",
    "lt",
    "not",
    "null",
    "on",
    "or",
    "order",
    "outer",
    "over",
    "partition",
    "right",
    "sample",
    "select",
    "splice",
    "then",
    "union",
    "when",
    "where",
    "with",
];

/// Returns whether a bare word is a keyword that needs double quotes to be a name.
pub fn is_reserved(word: &str) -> bool {
    RESERVED.iter().any(|r| r.eq_ignore_ascii_case(word))
}

/// Returns the peer's error for a keyword in place of a name, at the next token.
pub fn keyword_error(cursor: &Cursor) -> SqlError {
    let word = cursor.raw();
    cursor.error(format!(
        "table and column names that are SQL keywords have to be enclosed in double quotes, such as \"{word}\""
    ))
}

/// Most UNION, EXCEPT and INTERSECT in a row: each is a level of the plan.
const MAX_SET_OPERATIONS: usize = 500;

/// Parses a query: CTEs, set operations, ORDER BY, LIMIT.
pub fn query(cursor: &mut Cursor) -> Result<Query, SqlError> {
    cursor.deeper(|cursor| {
        let position = cursor.peek().position;
        let known = cursor.known();
        let declared = declare::declarations(cursor)?;
        let with = if cursor.take_word("with") { with_list(cursor)? } else { Vec::new() };
        let mut body = branch(cursor)?;
        let mut operations = 0;
        while let Some(op) = set_operator(cursor) {
            operations += 1;
            if operations > MAX_SET_OPERATIONS {
                return Err(cursor.too_complex());
            }
            cursor.next();
            let all = cursor.take_word("all");
            if !all {
                cursor.take_word("distinct");
            }
            let position = cursor.peek().position;
            let right = Box::new(branch(cursor)?);
            body = Body::Set { op, all, left: Box::new(body), right, position };
        }
        let order_position = cursor.peek().position;
        let order_by = order_by(cursor)?;
        if !order_by.is_empty() && set_operator(cursor).is_some() {
            return Err(SqlError::new(order_position, "unexpected token 'order'"));
        }
        let limit = limit(cursor)?;
        cursor.forget(known);
        Ok(Query { declared, with, body, order_by, limit, position })
    })
}

fn set_operator(cursor: &Cursor) -> Option<SetOp> {
    let token = cursor.peek();
    match token.text.to_ascii_lowercase().as_str() {
        _ if token.kind != TokenKind::Word => None,
        "union" => Some(SetOp::Union),
        "except" => Some(SetOp::Except),
        "intersect" => Some(SetOp::Intersect),
        _ => None,
    }
}

fn with_list(cursor: &mut Cursor) -> Result<Vec<(Ident, Query)>, SqlError> {
    let mut list: Vec<(Ident, Query)> = Vec::new();
    loop {
        let token = cursor.peek();
        if !matches!(token.kind, TokenKind::Word | TokenKind::Quoted) {
            return Err(cursor.error("empty common table expression name"));
        }
        cursor.next();
        if list.iter().any(|(name, _)| name.name.to_lowercase() == token.text.to_lowercase()) {
            return Err(SqlError::new(token.position, "duplicate name"));
        }
        cursor.expect_word("as")?;
        cursor.expect_sign("(")?;
        let inner = query(cursor)?;
        cursor.expect_sign(")")?;
        list.push((Ident { name: token.text.clone(), position: token.position }, inner));
        if !cursor.take_sign(",") {
            break;
        }
    }
    if !(cursor.is_word("select") || cursor.is_word("insert") || cursor.is_word("update")) {
        return Err(cursor.error("'select' | 'update' | 'insert' expected"));
    }
    Ok(list)
}

/// Parses CTEs that stand before INSERT or UPDATE.
pub fn leading_with(cursor: &mut Cursor) -> Result<Vec<(Ident, Query)>, SqlError> {
    if cursor.take_word("with") { with_list(cursor) } else { Ok(Vec::new()) }
}

/// Parses one branch of a set operation.
fn branch(cursor: &mut Cursor) -> Result<Body, SqlError> {
    if cursor.is_word("show") {
        return Ok(Body::Show(show::show(cursor)?));
    }
    if cursor.is_sign("(") && starts_inner_query(cursor) {
        return nested(cursor);
    }
    Ok(Body::Select(Box::new(select(cursor)?)))
}

fn starts_inner_query(cursor: &Cursor) -> bool {
    let mut n = 0;
    while cursor.peek_at(n).is_sign("(") {
        n += 1;
    }
    let token = cursor.peek_at(n);
    ["select", "with", "show", "declare"].iter().any(|w| token.is_word(w)) || token.kind != TokenKind::End
}

/// Parses `(query)` with what may follow a source: alias, joins, WHERE, LATEST ON, SAMPLE BY.
fn nested(cursor: &mut Cursor) -> Result<Body, SqlError> {
    let position = cursor.peek().position;
    let from = source::from(cursor)?;
    let plain = from.joins.is_empty() && from.first.alias.is_none() && from.first.timestamp.is_none();
    let mut select = Select::all(position);
    select.from = Some(from);
    clauses(cursor, &mut select)?;
    if cursor.is_word("pivot") {
        return Ok(Body::Select(Box::new(pivot::pivot(cursor, select)?)));
    }
    let bare = plain && select.filter.is_none() && select.latest.is_none() && select.sample.is_none();
    match select.from {
        Some(super::ast::From {
            first: super::ast::Source { relation: super::ast::RelationRef::Query(query), .. },
            ..
        }) if bare && select.group_by.is_none() => Ok(Body::Nested(query)),
        _ => Ok(Body::Select(Box::new(select))),
    }
}

fn select(cursor: &mut Cursor) -> Result<Select, SqlError> {
    let mut select = Select::all(cursor.peek().position);
    if cursor.take_word("select") {
        select.distinct = cursor.is_word("distinct") && !cursor.peek_at(1).is_sign(",");
        if select.distinct {
            cursor.next();
        }
        select.items = items(cursor)?;
        if !cursor.take_word("from") {
            return without_from(cursor, select);
        }
    } else {
        cursor.take_word("from");
    }
    select.from = Some(source::from(cursor)?);
    clauses(cursor, &mut select)?;
    pivot::pivot(cursor, select)
}

/// Ends `SELECT 1`: it takes no further clause.
fn without_from(cursor: &Cursor, select: Select) -> Result<Select, SqlError> {
    let has_star = select.items.iter().any(|item| matches!(item, Item::Star { .. }));
    if has_star {
        return Err(cursor.error_at_last("'from' expected"));
    }
    for word in ["where", "order", "limit", "group", "sample", "latest"] {
        if cursor.is_word(word) {
            return Err(keyword_error(cursor));
        }
    }
    Ok(select)
}

fn items(cursor: &mut Cursor) -> Result<Vec<Item>, SqlError> {
    let mut items = Vec::new();
    loop {
        let ends = cursor.at_end() || cursor.is_word("from") || cursor.is_sign(")");
        if ends && items.is_empty() {
            let expected = "[distinct] column expected";
            return Err(if cursor.at_end() {
                cursor.error(expected)
            } else {
                cursor.error("column expression expected")
            });
        }
        if ends {
            return Ok(items);
        }
        items.push(item(cursor)?);
        if cursor.take_sign(",") {
            continue;
        }
        let done = cursor.at_end() || cursor.is_word("from") || set_operator(cursor).is_some();
        let keyword = ["where", "order", "limit", "group", "sample", "latest"].iter().any(|w| cursor.is_word(w));
        if !done && !keyword && !cursor.is_sign(")") {
            return Err(cursor.found("',', 'from' or 'over'"));
        }
        return Ok(items);
    }
}

fn item(cursor: &mut Cursor) -> Result<Item, SqlError> {
    let token = cursor.peek();
    if token.is_word("select") {
        return Err(cursor.error("[distinct] column expected"));
    }
    if token.is_sign("*") {
        cursor.next();
        let star = Item::Star { qualifier: None, position: token.position };
        return no_star_alias(cursor, star);
    }
    let qualified = matches!(token.kind, TokenKind::Word | TokenKind::Quoted)
        && cursor.peek_at(1).is_sign(".")
        && cursor.peek_at(2).is_sign("*");
    if qualified {
        cursor.next();
        cursor.next();
        cursor.next();
        let qualifier = Some(Ident { name: token.text.clone(), position: token.position });
        return no_star_alias(cursor, Item::Star { qualifier, position: token.position });
    }
    let expr = expression(cursor)?;
    let alias = item_alias(cursor, &expr)?;
    Ok(Item::Expr { expr, alias })
}

fn no_star_alias(cursor: &Cursor, star: Item) -> Result<Item, SqlError> {
    if cursor.is_word("as") {
        return Err(SqlError::new(cursor.peek_at(1).position, "wildcard cannot have alias"));
    }
    Ok(star)
}

fn item_alias(cursor: &mut Cursor, expr: &Expr) -> Result<Option<Ident>, SqlError> {
    let position = cursor.peek().position;
    let explicit = cursor.take_word("as");
    let token = cursor.peek();
    match token.kind {
        TokenKind::Quoted => {}
        TokenKind::Text if explicit => {}
        // behind a bare name a text is a typed literal's, and behind an operator's operand it is nobody's
        TokenKind::Text if !matches!(expr.kind, ExprKind::Binary { .. } | ExprKind::Unary { .. }) => {}
        TokenKind::Word if explicit && is_reserved(&token.text) => return Err(keyword_error(cursor)),
        TokenKind::Word if !explicit && is_clause(&token.text) => return Ok(None),
        TokenKind::Word if is_reserved(&token.text) => return Err(keyword_error(cursor)),
        TokenKind::Word => {}
        TokenKind::Text => return Err(SqlError::new(expr.position, "impossible type cast, invalid type")),
        TokenKind::Number => return Err(cursor.error("identifier should start with a letter or '_'")),
        _ if explicit => return Err(cursor.error("non-empty identifier expected")),
        _ => return Ok(None),
    }
    if token.is_word("group") && cursor.peek_at(1).is_word("by") {
        return Ok(None);
    }
    cursor.next();
    Ok(Some(Ident { name: token.text.clone(), position }))
}

/// Words behind an expression or a source that begin the next clause instead of being an alias.
pub fn is_clause(word: &str) -> bool {
    const CLAUSES: [&str; 26] = [
        "from",
        "where",
        "order",
        "limit",
        "sample",
        "latest",
        "union",
        "except",
        "intersect",
        "join",
        "inner",
        "left",
        "right",
        "full",
        "cross",
        "asof",
        "lt",
        "splice",
        "on",
        "window",
        "horizon",
        "pivot",
        "fill",
        "align",
        "tolerance",
        "as",
    ];
    CLAUSES.iter().any(|c| c.eq_ignore_ascii_case(word))
}

/// Parses WHERE, LATEST ON, SAMPLE BY, GROUP BY.
fn clauses(cursor: &mut Cursor, select: &mut Select) -> Result<(), SqlError> {
    if cursor.are_words(&["latest", "by"]) {
        cursor.next();
        cursor.next();
        select.latest = Some(Latest { on: None, keys: names(cursor)? });
    }
    if cursor.take_word("where") {
        if cursor.at_end() {
            return Err(cursor.error("empty where clause"));
        }
        select.filter = Some(expression(cursor)?);
    }
    if select.latest.is_some() && cursor.is_word("latest") {
        return Err(cursor.error("mix of new and deprecated 'latest by' syntax"));
    }
    if cursor.take_word("latest") {
        select.latest = Some(latest_on(cursor)?);
        if cursor.is_word("where") {
            return Err(cursor.error("unexpected where clause after 'latest on'"));
        }
    }
    select.group_position = cursor.peek().position;
    if cursor.are_words(&["sample", "by"]) {
        cursor.next();
        cursor.next();
        select.sample = Some(sample::sample(cursor)?);
    }
    if cursor.are_words(&["group", "by"]) {
        if select.sample.is_some() {
            let message = "SELECT query must not contain both GROUP BY and SAMPLE BY";
            return Err(SqlError::new(cursor.peek_at(2).position, message));
        }
        cursor.next();
        cursor.next();
        let mut keys = vec![expression(cursor)?];
        while cursor.take_sign(",") {
            keys.push(expression(cursor)?);
        }
        select.group_by = Some(keys);
    } else if cursor.is_word("group") {
        cursor.next();
        return Err(cursor.error("'by' expected"));
    }
    select.windows = window::named(cursor)?;
    Ok(())
}

fn latest_on(cursor: &mut Cursor) -> Result<Latest, SqlError> {
    if !cursor.take_word("on") {
        return Err(cursor.error("'on' or 'by' expected"));
    }
    let on = Some(name(cursor)?);
    cursor.expect_word("partition")?;
    cursor.expect_word("by")?;
    Ok(Latest { on, keys: names(cursor)? })
}

/// Parses column names with commas between.
pub fn names(cursor: &mut Cursor) -> Result<Vec<Ident>, SqlError> {
    let mut list = vec![name(cursor)?];
    while cursor.take_sign(",") {
        list.push(name(cursor)?);
    }
    Ok(list)
}

/// Parses one name.
pub fn name(cursor: &mut Cursor) -> Result<Ident, SqlError> {
    let token = cursor.peek();
    match token.kind {
        TokenKind::Word | TokenKind::Quoted => {
            cursor.next();
            Ok(Ident { name: token.text.clone(), position: token.position })
        }
        _ => Err(cursor.error("literal expected")),
    }
}

/// Parses ORDER BY and its list, if it stands here.
pub fn order_by(cursor: &mut Cursor) -> Result<Vec<OrderItem>, SqlError> {
    if !cursor.take_word("order") {
        return Ok(Vec::new());
    }
    cursor.expect_word("by")?;
    let mut list = Vec::new();
    loop {
        if cursor.at_end() {
            return Err(cursor.error("Expression expected"));
        }
        let expr = expression(cursor)?;
        let descending = cursor.take_word("desc");
        if !descending {
            cursor.take_word("asc");
        }
        list.push(OrderItem { expr, descending });
        if !cursor.take_sign(",") {
            return Ok(list);
        }
    }
}

fn limit(cursor: &mut Cursor) -> Result<Option<Limit>, SqlError> {
    if !cursor.is_word("limit") {
        return Ok(None);
    }
    let position = cursor.next().position;
    let ends = |cursor: &Cursor| cursor.at_end() || cursor.is_sign(")") || cursor.is_sign(",");
    let low = if ends(cursor) { None } else { Some(expression(cursor)?) };
    let mut high = None;
    if cursor.take_sign(",") && !ends(cursor) {
        high = Some(expression(cursor)?);
    }
    Ok(Some(Limit { low, high, position }))
}
