//! Comparisons with lists, and their elements.

use datafusion::sql::sqlparser::ast::{AccessExpr, BinaryOperator, Expr, Subscript, Value};

use super::super::expressions::{constant_text, elements, null_of};
use crate::kind::Kind;

/// Returns a comparison with ANY or ALL of a list; None for other expressions.
pub fn against_list(expr: &Expr) -> Option<Expr> {
    let (left, op, right, all) = match expr {
        Expr::AnyOp { left, compare_op, right, .. } => (left, compare_op, right, false),
        Expr::AllOp { left, compare_op, right } => (left, compare_op, right, true),
        _ => return None,
    };
    let negated = match (op, all) {
        (BinaryOperator::Eq, false) => false,
        (BinaryOperator::NotEq, true) => true,
        _ => return None,
    };
    if let Expr::Subquery(subquery) = right.as_ref() {
        return Some(Expr::InSubquery { expr: left.clone(), subquery: subquery.clone(), negated });
    }
    Some(match elements(right) {
        Some(list) if !list.is_empty() => Expr::InList { expr: left.clone(), list, negated },
        // no list of the catalogue has elements
        _ => Expr::value(Value::Boolean(negated)),
    })
}

/// Returns an element or a field of a list or record.
pub fn field(root: &Expr, chain: &[AccessExpr]) -> Expr {
    let element = match chain {
        [AccessExpr::Subscript(Subscript::Index { index })] => {
            let place = index.to_string().parse::<usize>().ok().and_then(|place| place.checked_sub(1));
            elements(root).zip(place).and_then(|(list, place)| list.get(place).cloned())
        }
        _ => None,
    };
    element.unwrap_or_else(|| null_of(Some(Kind::Int)))
}

pub fn joined(elements: &[Expr]) -> String {
    let texts = elements.iter().map(|element| constant_text(element).unwrap_or_else(|| element.to_string()));
    texts.collect::<Vec<_>>().join(",")
}
