//! Expressions, by the peer's order of operators (spec 03 §9), which no dialect of sqlparser has.
//!
//! Builds trees only; names, types and folding are the planner's. Next: [`super::select`].

use super::ast::{Binary, CastSpelling, Expr, ExprKind, Unary};
use super::cursor::Cursor;
use super::lexer::{Token, TokenKind};
use super::{select, window};
use crate::error::SqlError;

mod array;

/// How tightly operators bind; larger is tighter.
mod binding {
    pub const OR: u8 = 1;
    pub const AND: u8 = 2;
    pub const NOT: u8 = 3;
    pub const EQUALITY: u8 = 4;
    pub const ORDER: u8 = 5;
    pub const MEMBERSHIP: u8 = 6;
    pub const BIT_OR: u8 = 7;
    pub const BIT_XOR: u8 = 8;
    pub const BIT_AND: u8 = 9;
    pub const CONCAT: u8 = 10;
    /// `<<` and its kin on addresses.
    pub const CONTAINMENT: u8 = 11;
    pub const ADD: u8 = 12;
    pub const MULTIPLY: u8 = 13;
    pub const UNARY: u8 = 14;
    pub const CAST: u8 = 15;
    pub const SUBSCRIPT: u8 = 16;
}

/// Parses an expression.
pub fn expression(cursor: &mut Cursor) -> Result<Expr, SqlError> {
    tighter(cursor, 0)
}

/// Parses what may stand before IN.
pub fn operand_of_in(cursor: &mut Cursor) -> Result<Expr, SqlError> {
    tighter(cursor, binding::MEMBERSHIP)
}

/// Most levels of a tree; each operator in a row is one. Whoever walks a tree needs stack for them.
const MAX_HEIGHT: usize = 2_000;

/// What an operand became.
enum Infix {
    /// The left side of an operator.
    Taken(Expr),
    /// Nothing: no operator follows that binds tighter.
    None(Expr),
}

/// Parses operators that bind tighter than `floor`.
fn tighter(cursor: &mut Cursor, floor: u8) -> Result<Expr, SqlError> {
    cursor.deeper(|cursor| {
        // what is parsed within this call raises the cursor's height again
        let outside = std::mem::take(&mut cursor.height);
        let mut left = operand(cursor)?;
        let mut height = cursor.height + 1;
        loop {
            cursor.height = 0;
            match infix(cursor, left, floor)? {
                Infix::Taken(next) => left = next,
                Infix::None(whole) => {
                    cursor.height = height.max(outside);
                    return Ok(whole);
                }
            }
            height = height.max(cursor.height) + 1;
            if height > MAX_HEIGHT {
                return Err(cursor.too_complex());
            }
        }
    })
}

fn node(kind: ExprKind, position: usize) -> Expr {
    Expr { kind, position }
}

/// Parses one infix operator and its right side, if one that binds tighter than `floor` follows.
fn infix(cursor: &mut Cursor, left: Expr, floor: u8) -> Result<Infix, SqlError> {
    let token = cursor.peek();
    // PostgreSQL's name of LIKE, as `postgres_fdw` sends it.
    let tilde = cursor.peek_at(1);
    if (token.is_sign("~") || token.is_sign("!~")) && tilde.is_sign("~") && token.end == tilde.start {
        if binding::EQUALITY <= floor {
            return Ok(Infix::None(left));
        }
        let op = if token.is_sign("~") { Binary::Like } else { Binary::NotLike };
        cursor.next();
        return binary(cursor, left, op, binding::EQUALITY).map(Infix::Taken);
    }
    if let Some((op, level)) = binary_operator(token) {
        return if level > floor { binary(cursor, left, op, level).map(Infix::Taken) } else { Ok(Infix::None(left)) };
    }
    if token.is_word("operator") && cursor.peek_at(1).is_sign("(") {
        return named_operator(cursor, left, floor);
    }
    if token.is_sign("[") && binding::SUBSCRIPT > floor {
        return array::subscript(cursor, left).map(Infix::Taken);
    }
    if token.is_word("within") && cursor.peek_at(1).is_sign("(") && binding::MEMBERSHIP > floor {
        return array::within(cursor, left).map(Infix::Taken);
    }
    if token.is_sign("::") {
        return if binding::CAST > floor { colon_cast(cursor, left).map(Infix::Taken) } else { Ok(Infix::None(left)) };
    }
    if token.is_word("is") && binding::EQUALITY > floor {
        return is_null(cursor, left).map(Infix::Taken);
    }
    let negated = token.is_word("not");
    let word = cursor.peek_at(usize::from(negated));
    if (word.is_word("in") || word.is_word("between")) && binding::MEMBERSHIP > floor {
        if negated {
            cursor.next();
        }
        return membership(cursor, left, negated).map(Infix::Taken);
    }
    if negated && (word.is_word("like") || word.is_word("ilike")) && binding::EQUALITY > floor {
        cursor.next();
        let op = if word.is_word("like") { Binary::NotLike } else { Binary::NotILike };
        return binary(cursor, left, op, binding::EQUALITY).map(Infix::Taken);
    }
    Ok(Infix::None(left))
}

/// Parses `OPERATOR(pg_catalog.~)`, as psql writes operators.
fn named_operator(cursor: &mut Cursor, left: Expr, floor: u8) -> Result<Infix, SqlError> {
    let schema = cursor.peek_at(2).is_word("pg_catalog") && cursor.peek_at(3).is_sign(".");
    let place = if schema { 4 } else { 2 };
    let token = cursor.peek_at(place);
    let Some((op, level)) = binary_operator(token).filter(|_| cursor.peek_at(place + 1).is_sign(")")) else {
        return Err(cursor.unexpected());
    };
    if level <= floor {
        return Ok(Infix::None(left));
    }
    // The bracket that closes stands for the operator: the right side follows it.
    for _ in 0..=place {
        cursor.next();
    }
    binary(cursor, left, op, level).map(Infix::Taken)
}

fn binary_operator(token: &Token) -> Option<(Binary, u8)> {
    if token.kind == TokenKind::Word {
        return Some(match token.text.to_ascii_lowercase().as_str() {
            "and" => (Binary::And, binding::AND),
            "or" => (Binary::Or, binding::OR),
            "like" => (Binary::Like, binding::EQUALITY),
            "ilike" => (Binary::ILike, binding::EQUALITY),
            _ => return None,
        });
    }
    if token.kind != TokenKind::Sign {
        return None;
    }
    Some(match token.text.as_str() {
        "*" => (Binary::Mul, binding::MULTIPLY),
        "/" => (Binary::Div, binding::MULTIPLY),
        "%" => (Binary::Mod, binding::MULTIPLY),
        "+" => (Binary::Add, binding::ADD),
        "-" => (Binary::Sub, binding::ADD),
        "||" => (Binary::Concat, binding::CONCAT),
        "<<" => (Binary::Inside, binding::CONTAINMENT),
        "<<=" => (Binary::InsideOrEqual, binding::CONTAINMENT),
        ">>" => (Binary::Holds, binding::CONTAINMENT),
        ">>=" => (Binary::HoldsOrEqual, binding::CONTAINMENT),
        "&" => (Binary::BitAnd, binding::BIT_AND),
        "^" => (Binary::BitXor, binding::BIT_XOR),
        "|" => (Binary::BitOr, binding::BIT_OR),
        "<" => (Binary::Lt, binding::ORDER),
        "<=" => (Binary::Le, binding::ORDER),
        ">" => (Binary::Gt, binding::ORDER),
        ">=" => (Binary::Ge, binding::ORDER),
        "=" => (Binary::Eq, binding::EQUALITY),
        "!=" | "<>" => (Binary::Ne, binding::EQUALITY),
        "~" => (Binary::Match, binding::EQUALITY),
        "!~" => (Binary::NotMatch, binding::EQUALITY),
        _ => return None,
    })
}

fn binary(cursor: &mut Cursor, left: Expr, op: Binary, level: u8) -> Result<Expr, SqlError> {
    let token = cursor.next();
    if !starts_operand(cursor) {
        if cursor.is_word("from") {
            return Err(select::keyword_error(cursor));
        }
        let message = format!("too few arguments for '{}' [found=1,expected=2]", operator_text(op));
        return Err(SqlError::new(token.position, message));
    }
    let right = tighter(cursor, level)?;
    Ok(node(ExprKind::Binary { op, left: Box::new(left), right: Box::new(right) }, token.position))
}

/// Returns the operator as the peer prints it.
pub fn operator_text(op: Binary) -> &'static str {
    match op {
        Binary::Add => "+",
        Binary::Sub => "-",
        Binary::Mul => "*",
        Binary::Div => "/",
        Binary::Mod => "%",
        Binary::BitAnd => "&",
        Binary::BitOr => "|",
        Binary::BitXor => "^",
        Binary::Concat => "||",
        Binary::Inside => "<<",
        Binary::InsideOrEqual => "<<=",
        Binary::Holds => ">>",
        Binary::HoldsOrEqual => ">>=",
        Binary::Eq => "=",
        Binary::Ne => "!=",
        Binary::Lt => "<",
        Binary::Le => "<=",
        Binary::Gt => ">",
        Binary::Ge => ">=",
        Binary::And => "and",
        Binary::Or => "or",
        Binary::Like | Binary::NotLike => "like",
        Binary::ILike | Binary::NotILike => "ilike",
        Binary::Match => "~",
        Binary::NotMatch => "!~",
    }
}

fn colon_cast(cursor: &mut Cursor, arg: Expr) -> Result<Expr, SqlError> {
    let position = cursor.next().position;
    let (type_name, type_position) = type_name(cursor)?;
    let arg = Box::new(arg);
    Ok(node(ExprKind::Cast { arg, type_name, type_position, spelling: CastSpelling::Colons }, position))
}

/// Parses a type name with its parameters, as written.
pub fn type_name(cursor: &mut Cursor) -> Result<(String, usize), SqlError> {
    let token = cursor.peek();
    if token.kind != TokenKind::Word && token.kind != TokenKind::Quoted {
        return Err(cursor.error("literal expected"));
    }
    cursor.next();
    if token.is_word("pg_catalog") && cursor.take_sign(".") {
        return type_name(cursor);
    }
    let mut name = token.text.clone();
    if token.is_word("double") && cursor.is_word("precision") {
        cursor.next();
    } else if token.is_word("timestamp") && cursor.are_words(&["with", "time", "zone"]) {
        cursor.take_words(&["with", "time", "zone"]);
    } else if token.is_word("timestamp") && cursor.take_words(&["without", "time", "zone"]) {
        // Every TIMESTAMP is without one.
    } else if token.is_word("character") && cursor.take_word("varying") {
        "varchar".clone_into(&mut name);
    } else if token.is_word("float") && cursor.is_sign("(") {
        name = sized_float(cursor)?.to_owned();
    } else if matches!(token.text.to_ascii_lowercase().as_str(), "decimal" | "geohash" | "numeric")
        && cursor.is_sign("(")
    {
        let start = cursor.peek().start;
        while !cursor.at_end() && !cursor.take_sign(")") {
            cursor.next();
        }
        name.push_str(&cursor.sql[start..cursor.last().end]);
    }
    while cursor.is_sign("[") && cursor.peek_at(1).is_sign("]") {
        cursor.next();
        cursor.next();
        name.push_str("[]");
    }
    Ok((name, token.position))
}

/// Parses `(53)` behind FLOAT, the binary digits that the type must have; returns its name here.
fn sized_float(cursor: &mut Cursor) -> Result<&'static str, SqlError> {
    cursor.expect_sign("(")?;
    let digits = cursor.next().text.parse::<u8>();
    let name = match digits {
        Ok(1..=24) => "float",
        Ok(25..=53) => "double",
        _ => return Err(SqlError::new(cursor.last().position, "FLOAT has 1 to 53 binary digits")),
    };
    cursor.expect_sign(")")?;
    Ok(name)
}

fn is_null(cursor: &mut Cursor, arg: Expr) -> Result<Expr, SqlError> {
    let position = cursor.next().position;
    let negated = cursor.take_word("not");
    let word = cursor.peek();
    if word.is_word("null") {
        cursor.next();
        let kind = ExprKind::IsNull { arg: Box::new(arg), negated, word: word.text.clone() };
        return Ok(node(kind, position));
    }
    if word.is_word("true") || word.is_word("false") {
        cursor.next();
        let right = Box::new(node(ExprKind::Word(word.text.clone()), word.position));
        let op = if negated { Binary::Ne } else { Binary::Eq };
        return Ok(node(ExprKind::Binary { op, left: Box::new(arg), right }, position));
    }
    let not = if negated { "NOT " } else { "" };
    Err(SqlError::new(position, format!("IS {not}must be followed by NULL, TRUE or FALSE")))
}

/// Parses IN and BETWEEN behind an optional NOT.
fn membership(cursor: &mut Cursor, value: Expr, negated: bool) -> Result<Expr, SqlError> {
    let word = cursor.next();
    let value = Box::new(value);
    if word.is_word("between") {
        let too_few = SqlError::new(word.position, "too few arguments for 'between' [found=2,expected=3]");
        let low = Box::new(tighter(cursor, binding::MEMBERSHIP)?);
        if !cursor.take_word("and") || !starts_operand(cursor) {
            return Err(too_few);
        }
        let high = Box::new(tighter(cursor, binding::MEMBERSHIP)?);
        return Ok(node(ExprKind::Between { value, low, high, negated }, word.position));
    }
    if !cursor.is_sign("(") {
        if !starts_operand(cursor) {
            return Err(SqlError::new(word.position, "too few arguments for 'in'"));
        }
        let list = vec![tighter(cursor, binding::MEMBERSHIP)?];
        return Ok(node(ExprKind::In { value, list, bracketed: false, negated }, word.position));
    }
    let open = cursor.next();
    if starts_query(cursor) {
        let query = select::query(cursor)?;
        close(cursor, open)?;
        let list = vec![node(ExprKind::Query(Box::new(query)), open.position)];
        return Ok(node(ExprKind::In { value, list, bracketed: true, negated }, word.position));
    }
    if cursor.take_sign(")") {
        return Err(SqlError::new(word.position, "too few arguments for 'in'"));
    }
    let list = arguments(cursor)?;
    close(cursor, open)?;
    Ok(node(ExprKind::In { value, list, bracketed: true, negated }, word.position))
}

fn close(cursor: &mut Cursor, open: &Token) -> Result<(), SqlError> {
    if cursor.take_sign(")") {
        return Ok(());
    }
    if cursor.at_end() {
        return Err(SqlError::new(open.position, "unbalanced ("));
    }
    Err(cursor.unexpected())
}

fn arguments(cursor: &mut Cursor) -> Result<Vec<Expr>, SqlError> {
    let mut list = vec![expression(cursor)?];
    while cursor.take_sign(",") {
        list.push(expression(cursor)?);
    }
    Ok(list)
}

fn starts_query(cursor: &Cursor) -> bool {
    starts_query_at(cursor, 0)
}

/// Returns whether the token `n` behind the next one begins a query.
pub fn starts_query_at(cursor: &Cursor, n: usize) -> bool {
    let token = cursor.peek_at(n);
    token.is_word("select") || token.is_word("with") || token.is_word("declare")
}

/// Words that end an expression, so that an operand is missing where one of them stands.
const ENDING: [&str; 24] = [
    "from",
    "where",
    "order",
    "group",
    "limit",
    "sample",
    "latest",
    "union",
    "except",
    "intersect",
    "on",
    "as",
    "and",
    "or",
    "asc",
    "desc",
    "then",
    "when",
    "else",
    "end",
    "join",
    "fill",
    "align",
    "between",
];

fn starts_operand(cursor: &Cursor) -> bool {
    let token = cursor.peek();
    match token.kind {
        TokenKind::End => false,
        TokenKind::Sign => matches!(token.text.as_str(), "(" | "-" | "~"),
        TokenKind::Word => !ENDING.iter().any(|w| token.is_word(w)),
        _ => true,
    }
}

fn operand(cursor: &mut Cursor) -> Result<Expr, SqlError> {
    let token = cursor.peek();
    match token.kind {
        TokenKind::Number => {
            cursor.next();
            Ok(node(ExprKind::Number(token.text.clone()), token.position))
        }
        TokenKind::Text => {
            cursor.next();
            Ok(node(ExprKind::Text(token.text.clone()), token.position))
        }
        TokenKind::Param => {
            cursor.next();
            let number =
                token.text[1..].parse().map_err(|_| SqlError::new(token.position, "invalid bind variable index"))?;
            Ok(node(ExprKind::Param(number), token.position))
        }
        TokenKind::Variable => {
            let value = cursor.variable()?;
            cursor.next();
            Ok(Expr { position: token.position, ..value })
        }
        TokenKind::Sign => sign_operand(cursor),
        TokenKind::Word => word_operand(cursor),
        TokenKind::Quoted => name(cursor),
        TokenKind::End => Err(cursor.error("Expression expected")),
    }
}

fn sign_operand(cursor: &mut Cursor) -> Result<Expr, SqlError> {
    let token = cursor.peek();
    match token.text.as_str() {
        "(" => {
            cursor.next();
            if starts_query(cursor) {
                let position = cursor.peek().position;
                let query = select::query(cursor)?;
                close(cursor, token)?;
                return Ok(node(ExprKind::Query(Box::new(query)), position));
            }
            let inner = expression(cursor)?;
            close(cursor, token)?;
            let names_field = cursor.is_sign(".") && cursor.peek_at(1).kind == TokenKind::Word;
            if names_field { array::field(cursor, inner) } else { Ok(inner) }
        }
        "-" | "~" => {
            cursor.next();
            if !starts_operand(cursor) {
                let message = format!("too few arguments for '{}' [found=0,expected=1]", token.text);
                return Err(SqlError::new(token.position, message));
            }
            let op = if token.text == "-" { Unary::Neg } else { Unary::BitNot };
            let arg = Box::new(tighter(cursor, binding::UNARY)?);
            Ok(node(ExprKind::Unary { op, arg }, token.position))
        }
        "+" => Err(cursor.error("too few arguments for '+' [found=1,expected=2]")),
        _ => Err(cursor.unexpected()),
    }
}

fn word_operand(cursor: &mut Cursor) -> Result<Expr, SqlError> {
    let token = cursor.peek();
    let following = cursor.peek_at(1);
    match token.text.to_ascii_lowercase().as_str() {
        "not" => {
            cursor.next();
            let arg = Box::new(tighter(cursor, binding::NOT - 1)?);
            Ok(node(ExprKind::Unary { op: Unary::Not, arg }, token.position))
        }
        "true" | "false" | "null" | "nan" if !following.is_sign("(") && !following.is_sign(".") => {
            cursor.next();
            Ok(node(ExprKind::Word(token.text.clone()), token.position))
        }
        "case" => case(cursor),
        "cast" if following.is_sign("(") => call_cast(cursor),
        "extract" if following.is_sign("(") => extract(cursor),
        word if ENDING.contains(&word) && word != "on" && word != "end" => Err(cursor.error("Expression expected")),
        "array" if following.is_sign("[") => array::literal(cursor),
        _ if following.kind == TokenKind::Text => prefix_cast(cursor),
        _ => name(cursor),
    }
}

/// Parses `timestamp '2024-01-01'`.
fn prefix_cast(cursor: &mut Cursor) -> Result<Expr, SqlError> {
    let word = cursor.next();
    let known = crate::kind::Kind::from_cast_name(&word.text).is_some();
    if !known {
        return Err(SqlError::new(word.position, "impossible type cast, invalid type"));
    }
    let text = cursor.next();
    let arg = Box::new(node(ExprKind::Text(text.text.clone()), text.position));
    let (type_name, type_position) = (word.text.clone(), word.position);
    let kind = ExprKind::Cast { arg, type_name, type_position, spelling: CastSpelling::Prefix };
    Ok(node(kind, word.position))
}

/// Parses a column name or a call.
fn name(cursor: &mut Cursor) -> Result<Expr, SqlError> {
    let first = cursor.next();
    if cursor.is_sign("(") && first.kind == TokenKind::Word {
        return call(cursor, first, &first.text);
    }
    if !cursor.is_sign(".") {
        return Ok(node(ExprKind::Name { qualifier: None, name: first.text.clone() }, first.position));
    }
    let mut parts = vec![first.text.clone()];
    while cursor.take_sign(".") {
        let part = cursor.peek();
        if part.kind != TokenKind::Word && part.kind != TokenKind::Quoted {
            return Err(cursor.error(if part.is_sign("*") {
                "invalid table alias"
            } else {
                "'*' or column name expected"
            }));
        }
        cursor.next();
        parts.push(part.text.clone());
    }
    let name = parts.pop().expect("at least two parts");
    if cursor.is_sign("(") {
        return call(cursor, first, &name);
    }
    Ok(node(ExprKind::Name { qualifier: Some(parts.join(".")), name }, first.position))
}

/// Parses the arguments of a call; `first` is the first token of its name, the schema included.
fn call(cursor: &mut Cursor, first: &Token, name: &str) -> Result<Expr, SqlError> {
    let open = cursor.next();
    let (position, mut distinct, mut args) = (first.position, false, Vec::new());
    if cursor.is_sign("*") && cursor.peek_at(1).is_sign(")") {
        args.push(node(ExprKind::Star, cursor.next().position));
    } else if starts_query(cursor) {
        args.push(node(ExprKind::Query(Box::new(select::query(cursor)?)), position));
    } else if !cursor.is_sign(")") {
        distinct = cursor.is_word("distinct") && !cursor.peek_at(1).is_sign(",") && !cursor.peek_at(1).is_sign(")");
        if distinct {
            cursor.next();
        }
        args = arguments(cursor)?;
    }
    close(cursor, open)?;
    window::over(cursor, node(ExprKind::Call { name: name.to_owned(), args, distinct }, position))
}

fn case(cursor: &mut Cursor) -> Result<Expr, SqlError> {
    let position = cursor.next().position;
    let unbalanced = || SqlError::new(position, "unbalanced 'case'");
    let operand = if cursor.is_word("when") { None } else { Some(Box::new(expression(cursor)?)) };
    let mut branches = Vec::new();
    while cursor.take_word("when") {
        let condition = expression(cursor)?;
        if !cursor.take_word("then") {
            return Err(if cursor.at_end() { unbalanced() } else { SqlError::new(position, "'then' expected") });
        }
        branches.push((condition, expression(cursor)?));
    }
    if branches.is_empty() {
        return Err(SqlError::new(position, "'when' expected"));
    }
    let otherwise = if cursor.take_word("else") { Some(Box::new(expression(cursor)?)) } else { None };
    if !cursor.take_word("end") {
        return Err(unbalanced());
    }
    Ok(node(ExprKind::Case { operand, branches, otherwise }, position))
}

fn call_cast(cursor: &mut Cursor) -> Result<Expr, SqlError> {
    let position = cursor.next().position;
    let open = cursor.next();
    let arg = Box::new(expression(cursor)?);
    if !cursor.take_word("as") {
        return Err(cursor.error("'as' missing"));
    }
    let (type_name, type_position) = type_name(cursor)?;
    close(cursor, open)?;
    Ok(node(ExprKind::Cast { arg, type_name, type_position, spelling: CastSpelling::Call }, position))
}

/// Parses `extract(unit from ts)` into the call `extract('unit', ts)`, which may also be written.
fn extract(cursor: &mut Cursor) -> Result<Expr, SqlError> {
    let name = cursor.next();
    if cursor.peek_at(1).kind == TokenKind::Text && cursor.peek_at(2).is_sign(",") {
        return call(cursor, name, &name.text);
    }
    let open = cursor.next();
    let unit = cursor.next();
    if !cursor.take_word("from") {
        return Err(cursor.error("'from' expected"));
    }
    let value = expression(cursor)?;
    close(cursor, open)?;
    let args = vec![node(ExprKind::Text(unit.text.clone()), unit.position), value];
    Ok(node(ExprKind::Call { name: name.text.clone(), args, distinct: false }, name.position))
}
