//! The text of an expression as the peer names an unaliased output column.
//!
//! Only the brackets that are needed, one blank around operators; names and literals keep their case. Next:
//! `planner::outputs` numbers the repeats.

use super::ast::{Binary, CastSpelling, Expr, ExprKind, Unary};
use super::expression::operator_text;
use crate::kind::Kind;

/// Returns the text of an expression.
pub fn expression_text(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Name { qualifier: None, name } => name.clone(),
        ExprKind::Name { qualifier: Some(table), name } => format!("{table}.{name}"),
        ExprKind::Number(text) | ExprKind::Word(text) => text.clone(),
        ExprKind::Text(text) => format!("'{}'", text.replace('\'', "''")),
        ExprKind::Param(n) => format!("${n}"),
        ExprKind::Star => "*".to_owned(),
        ExprKind::Unary { op, arg } => {
            let name = match op {
                Unary::Neg => "-",
                Unary::Not => "not",
                Unary::BitNot => "~",
            };
            format!("{name}({})", expression_text(arg))
        }
        ExprKind::Binary { op, left, right } => binary_text(*op, left, right),
        ExprKind::Call { name, args, distinct } => call_text(name, args, *distinct),
        ExprKind::Case { operand, branches, otherwise } => {
            case_text(operand.as_deref(), branches, otherwise.as_deref())
        }
        ExprKind::Cast { arg, type_name, spelling, .. } => {
            format!("{}::{}", operand_text(arg, CAST), cast_type_text(type_name, *spelling))
        }
        ExprKind::In { value, list, negated, .. } => {
            let value = operand_text(value, MEMBERSHIP);
            let text = match &list[..] {
                [one] => format!("{value} in {}", expression_text(one)),
                many => format!("{value} in ({})", join(many)),
            };
            negate(text, *negated)
        }
        ExprKind::Between { value, low, high, negated } => {
            let bounds = format!("{}, {}", expression_text(low), expression_text(high));
            negate(format!("{} between ({bounds})", operand_text(value, MEMBERSHIP)), *negated)
        }
        ExprKind::IsNull { arg, negated, word } => {
            format!("{} {} {word}", operand_text(arg, EQUALITY), if *negated { "!=" } else { "=" })
        }
        ExprKind::Query(_) => "(select)".to_owned(),
        ExprKind::Window { call, .. } | ExprKind::Filtered { call, .. } => expression_text(call),
    }
}

fn negate(text: String, negated: bool) -> String {
    if negated { format!("not({text})") } else { text }
}

fn join(list: &[Expr]) -> String {
    list.iter().map(expression_text).collect::<Vec<_>>().join(", ")
}

const CAST: u8 = 2;
const MEMBERSHIP: u8 = 11;
const EQUALITY: u8 = 13;
const OPERAND: u8 = 0;

/// The peer's level of an operator: 2 binds tightest.
fn level(op: Binary) -> u8 {
    match op {
        Binary::Mul | Binary::Div | Binary::Mod => 4,
        Binary::Add | Binary::Sub => 5,
        Binary::Inside | Binary::InsideOrEqual | Binary::Holds | Binary::HoldsOrEqual => 6,
        Binary::Concat => 7,
        Binary::BitAnd => 8,
        Binary::BitXor => 9,
        Binary::BitOr => 10,
        Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge => 12,
        Binary::And => 15,
        Binary::Or => 16,
        _ => EQUALITY,
    }
}

fn expression_level(expr: &Expr) -> u8 {
    match &expr.kind {
        ExprKind::Binary { op: Binary::Concat | Binary::NotLike | Binary::NotILike, .. } => OPERAND,
        ExprKind::Binary { op, .. } => level(*op),
        ExprKind::In { negated: false, .. } | ExprKind::Between { negated: false, .. } => MEMBERSHIP,
        ExprKind::IsNull { .. } => EQUALITY,
        _ => OPERAND,
    }
}

fn operand_text(expr: &Expr, parent: u8) -> String {
    let text = expression_text(expr);
    if expression_level(expr) > parent { format!("({text})") } else { text }
}

fn binary_text(op: Binary, left: &Expr, right: &Expr) -> String {
    if op == Binary::Concat {
        let mut parts = Vec::new();
        concat_parts(left, &mut parts);
        concat_parts(right, &mut parts);
        return format!("concat({})", parts.join(", "));
    }
    let own = level(op);
    let right_text = match expression_level(right) == own {
        true => format!("({})", expression_text(right)),
        false => operand_text(right, own),
    };
    let text = format!("{} {} {right_text}", operand_text(left, own), operator_text(op));
    negate(text, matches!(op, Binary::NotLike | Binary::NotILike))
}

fn concat_parts(expr: &Expr, parts: &mut Vec<String>) {
    match &expr.kind {
        ExprKind::Binary { op: Binary::Concat, left, right } => {
            concat_parts(left, parts);
            concat_parts(right, parts);
        }
        _ => parts.push(expression_text(expr)),
    }
}

fn call_text(name: &str, args: &[Expr], distinct: bool) -> String {
    match args {
        _ if name == "array" && args.is_empty() => "ARRAY".to_owned(),
        _ if name == "array" => format!("ARRAY[{}]", join(args)),
        [value, rest @ ..] if name == "[]" => format!("{}[{}]", operand_text(value, CAST), join(rest)),
        [low] if name == ":" => format!("{}:", expression_text(low)),
        [low, high] if name == ":" => format!("{}:{}", expression_text(low), expression_text(high)),
        [value, rest @ ..] if name == "within" => {
            format!("{} within ({})", operand_text(value, MEMBERSHIP), join(rest))
        }
        [Expr { kind: ExprKind::Star, .. }] => format!("{name}()"),
        _ if distinct && name.eq_ignore_ascii_case("count") => format!("count_distinct({})", join(args)),
        _ => format!("{name}({})", join(args)),
    }
}

fn cast_type_text(name: &str, spelling: CastSpelling) -> String {
    let lower = name.to_ascii_lowercase();
    match lower.as_str() {
        "float" if spelling == CastSpelling::Colons => "DOUBLE".to_owned(),
        "int2" => "SHORT".to_owned(),
        "int4" => "INT".to_owned(),
        "int8" => "LONG".to_owned(),
        "float8" => "DOUBLE".to_owned(),
        "float4" => "FLOAT".to_owned(),
        _ if Kind::from_cast_name(name).is_some() => name.to_owned(),
        _ => name.to_owned(),
    }
}

/// Returns the text of CASE: one column against constants is the peer's `switch`.
fn case_text(operand: Option<&Expr>, branches: &[(Expr, Expr)], otherwise: Option<&Expr>) -> String {
    let switch = match operand {
        Some(operand) => Some((operand.clone(), branches.to_vec())),
        None => switch_of(branches),
    };
    if let Some((column, pairs)) = switch {
        let mut parts = vec![expression_text(&column)];
        for (value, result) in &pairs {
            parts.push(expression_text(value));
            parts.push(expression_text(result));
        }
        parts.extend(otherwise.map(expression_text));
        return format!("switch({})", parts.join(", "));
    }
    let mut text = "case".to_owned();
    for (condition, result) in branches {
        text.push_str(&format!(" when {} then {}", expression_text(condition), expression_text(result)));
    }
    if let Some(otherwise) = otherwise {
        text.push_str(&format!(" else {}", expression_text(otherwise)));
    }
    text.push_str(" end");
    text
}

fn switch_of(branches: &[(Expr, Expr)]) -> Option<(Expr, Vec<(Expr, Expr)>)> {
    let mut column: Option<&Expr> = None;
    let mut pairs = Vec::new();
    for (condition, result) in branches {
        let ExprKind::Binary { op: Binary::Eq, left, right } = &condition.kind else { return None };
        let (name, value) = match (&left.kind, &right.kind) {
            (ExprKind::Name { .. }, ExprKind::Number(_) | ExprKind::Text(_)) => (left, right),
            (ExprKind::Number(_) | ExprKind::Text(_), ExprKind::Name { .. }) => (right, left),
            _ => return None,
        };
        if column.is_some_and(|c| c.kind != name.kind) {
            return None;
        }
        column = Some(name);
        pairs.push(((**value).clone(), result.clone()));
    }
    column.map(|c| (c.clone(), pairs))
}
