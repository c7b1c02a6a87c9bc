//! `value = ANY (list)`, `value <> ALL (list)` and their like, as PostgreSQL's drivers and tools write them.
//!
//! A list is `ARRAY[…]`, a text in PostgreSQL's form of an array, cast to one or not, or a parameter that holds either.
//! It becomes IN, or one comparison after the other.

use super::scope::{Scope, binary_op};
use crate::error::SqlError;
use crate::functions::operators::{BinaryOp, binary};
use crate::functions::{self, Typed};
use crate::kind::Kind;
use crate::parser::ast::{Binary, Expr as Tree, ExprKind, Unary};

/// Binds a comparison with the elements of a list; None if the right side is none.
pub fn against_list(
    scope: &Scope,
    op: Binary,
    left: &Tree,
    right: &Tree,
    position: usize,
) -> Result<Option<Typed>, SqlError> {
    let ExprKind::Call { name, args, distinct: false } = &right.kind else { return Ok(None) };
    let is_any = name.eq_ignore_ascii_case("any") || name.eq_ignore_ascii_case("some");
    let ([list], true) = (&args[..], is_any || name.eq_ignore_ascii_case("all")) else { return Ok(None) };
    let Some(items) = items(scope, left, list)? else { return Ok(None) };
    match (op, is_any) {
        _ if items.is_empty() => Ok(Some(Typed::boolean(!is_any, position))),
        (Binary::Eq, true) => scope.in_list(left, (&items, true), false, position).map(Some),
        (Binary::Ne, false) => scope.in_list(left, (&items, true), true, position).map(Some),
        _ => {
            let joined = if is_any { BinaryOp::Or } else { BinaryOp::And };
            let mut all: Option<Typed> = None;
            for item in &items {
                let (value, item) = (scope.bind(left)?, scope.bind(item)?);
                let test = binary(binary_op(op), value, item, position)?;
                all = Some(match all {
                    None => test,
                    Some(earlier) => binary(joined, earlier, test, position)?,
                });
            }
            Ok(all)
        }
    }
}

/// Returns the elements of a list as literals for a comparison with `left`; None if it is no list.
fn items(scope: &Scope, left: &Tree, list: &Tree) -> Result<Option<Vec<Tree>>, SqlError> {
    let text = match &list.kind {
        ExprKind::Cast { arg, type_name, .. } if type_name.ends_with("[]") => return items(scope, left, arg),
        ExprKind::Call { name, args, .. } if name == "array" => return Ok(Some(args.clone())),
        ExprKind::Param(number) => {
            let kind = scope.bind(left)?.kind;
            match scope.planner.parameters.list(*number, kind, list.position)? {
                Some(elements) => return literals(elements, kind, list.position).map(Some),
                // Only described: any element tells the kind of the comparison.
                None => return Ok(Some(vec![Tree { kind: ExprKind::Word("null".into()), position: list.position }])),
            }
        }
        ExprKind::Query(_) | ExprKind::Star => return Ok(None),
        _ => scope.bind(list)?,
    };
    let Some(elements) = text.as_text().and_then(elements) else { return Ok(None) };
    literals(elements, scope.bind(left)?.kind, list.position).map(Some)
}

/// Returns the element of a list that is a text, `current_schemas(true)[1]`; None if it is no such list.
pub fn element(list: &Typed, at: &Typed, position: usize) -> Option<Typed> {
    let elements = list.as_text().and_then(elements)?;
    let place = usize::try_from(at.as_integer()?).ok()?.checked_sub(1);
    let found = place.and_then(|place| elements.into_iter().nth(place)).flatten();
    let null = || Typed::literal(Kind::String.null(), Kind::String, position);
    Some(found.map_or_else(null, |text| Typed::text(&text, position).with_kind(Kind::String)))
}

fn literals(elements: Vec<Option<String>>, kind: Kind, position: usize) -> Result<Vec<Tree>, SqlError> {
    let node = |kind: ExprKind| Tree { kind, position };
    let literal = |element: Option<String>| {
        let Some(text) = element else { return Ok(node(ExprKind::Word("null".into()))) };
        if !kind.is_number() {
            return Ok(node(ExprKind::Text(text)));
        }
        let (digits, negative) = text.strip_prefix('-').map_or((&text[..], false), |digits| (digits, true));
        if !digits.starts_with(|c: char| c.is_ascii_digit()) || digits.parse::<f64>().is_err() {
            return Err(SqlError::new(position, format!("inconvertible value: `{text}` [STRING -> {kind}]")));
        }
        let number = node(ExprKind::Number(digits.to_owned()));
        Ok(match negative {
            true => node(ExprKind::Unary { op: Unary::Neg, arg: Box::new(number) }),
            false => number,
        })
    };
    elements.into_iter().map(literal).collect()
}

/// Reads `{a,"b \"c\"",NULL}`; None if it is none, or a list of lists.
pub fn elements(text: &str) -> Option<Vec<Option<String>>> {
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim_start();
    let mut found = Vec::new();
    if rest.is_empty() {
        return Some(found);
    }
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (mut value, mut chars) = (String::new(), quoted.char_indices());
            let end = loop {
                match chars.next()? {
                    (at, '"') => break at + 1,
                    (_, '\\') => value.push(chars.next()?.1),
                    (_, other) => value.push(other),
                }
            };
            found.push(Some(value));
            rest = quoted[end..].trim_start();
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            let value = rest[..end].trim_end();
            if value.is_empty() || value.contains(['{', '}', '"']) {
                return None;
            }
            found.push((!value.eq_ignore_ascii_case("null")).then(|| value.to_owned()));
            rest = &rest[end..];
        }
        match rest.strip_prefix(',') {
            Some(next) => rest = next.trim_start(),
            None if rest.is_empty() => return Some(found),
            None => return None,
        }
    }
}

/// Binds to_regtype(name): the number of a type of PostgreSQL, NULL for one that is not there.
pub fn to_regtype(args: &[Typed], position: usize) -> Typed {
    let number = args.first().and_then(Typed::as_text).and_then(functions::catalog::type_number);
    match number {
        Some(number) => Typed::int(number, position),
        None => Typed::literal(Kind::Int.null(), Kind::Int, position),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_texts_with_or_without_quotes() {
        let read = |text| elements(text).map(|found| found.into_iter().map(|e| e.unwrap_or("∅".into())).collect());
        let some = |list: &[&str]| Some(list.iter().map(ToString::to_string).collect::<Vec<String>>());
        assert_eq!(read("{}"), some(&[]));
        assert_eq!(read("{a, b ,\"c,\\\"d\\\\\" , NULL,\"NULL\"}"), some(&["a", "b", "c,\"d\\", "∅", "NULL"]));
        for bad in ["", "a", "{a", "{a,}", "{,}", "{{a},{b}}", "{\"a}", "{\"a\"b}", "{a}b}"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
