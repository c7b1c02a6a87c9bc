//! `$1` … `$n` of a query of the catalogue: constants while it runs, NULLs of likely types while it is described.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Statement, Value, visit_expressions, visit_expressions_mut};

use super::Bound;
use super::expressions::{null_of, number, text};
use crate::functions::catalog;
use crate::kind::Kind;
use crate::planner::parameters::Param;

/// Most parameters of a query of the catalogue.
const MOST: usize = 1_000;

/// Puts constants where parameters stand and returns the kinds of all; None where a value is missing.
pub fn bind(statement: &mut Statement, bound: Bound) -> Option<Vec<Kind>> {
    let mut kinds = found(statement)?;
    if let Bound::Hints(hints) = bound {
        for (kind, hint) in kinds.iter_mut().zip(hints) {
            *kind = hint.or(*kind);
        }
    }
    let replaced = visit_expressions_mut(statement, |expr| {
        let Some(place) = place(expr) else { return ControlFlow::Continue(()) };
        let constant = match bound {
            Bound::Values(values) => values.get(place).and_then(|value| constant(value, kinds[place])),
            Bound::Hints(_) => Some(null_of(kinds[place])),
        };
        match constant {
            Some(constant) => *expr = constant,
            None => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    });
    let known = kinds.into_iter().map(|kind| kind.unwrap_or(Kind::Varchar)).collect();
    replaced.is_continue().then_some(known)
}

/// Returns the place of a parameter among all; None for other expressions.
fn place(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => name.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1),
            _ => None,
        },
        Expr::Nested(inner) => place(inner),
        _ => None,
    }
}

/// Returns what the places of the parameters tell of their kinds; None if there are too many.
fn found(statement: &Statement) -> Option<Vec<Option<Kind>>> {
    let mut kinds: Vec<Option<Kind>> = Vec::new();
    let mut tell = |place: usize, kind: Option<Kind>| {
        if place < MOST && kinds.len() <= place {
            kinds.resize(place + 1, None);
        }
        if let Some(known) = kinds.get_mut(place) {
            *known = known.or(kind);
        }
        if place < MOST { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let visited = visit_expressions(statement, |expr| match expr {
        Expr::Cast { expr, data_type, .. } => match place(expr) {
            Some(place) => tell(place, of_type(&data_type.to_string())),
            None => ControlFlow::Continue(()),
        },
        Expr::BinaryOp { left, right, .. } => {
            for (param, other) in [(left, right), (right, left)] {
                if let Some(place) = place(param) {
                    tell(place, of_column(other))?;
                }
            }
            ControlFlow::Continue(())
        }
        other => match place(other) {
            Some(place) => tell(place, None),
            None => ControlFlow::Continue(()),
        },
    });
    visited.is_continue().then_some(kinds)
}

fn of_type(name: &str) -> Option<Kind> {
    let lower = name.to_ascii_lowercase();
    Some(match lower.trim_start_matches("pg_catalog.") {
        "oid" | "int" | "integer" | "int4" | "smallint" | "int2" => Kind::Int,
        "bigint" | "int8" => Kind::Long,
        "boolean" | "bool" => Kind::Boolean,
        _ => return None,
    })
}

/// Returns the kind of a column by its name, which is the same wherever the catalogue has it.
fn of_column(expr: &Expr) -> Option<Kind> {
    let name = match expr {
        Expr::Identifier(name) => name,
        Expr::CompoundIdentifier(names) => names.last()?,
        Expr::Nested(inner) => return of_column(inner),
        _ => return None,
    };
    catalog::column_kind(&name.value.to_ascii_lowercase()).filter(|kind| !kind.is_text())
}

/// Returns the constant that a value is.
fn constant(value: &Param, kind: Option<Kind>) -> Option<Expr> {
    Some(match value {
        Param::Null => null_of(kind),
        Param::Bool(value) => Expr::value(Value::Boolean(*value)),
        Param::Int(value) | Param::Long(value) => number(&value.to_string()),
        Param::Float(value) => number(&value.to_string()),
        Param::Decimal(digits) => number(digits),
        Param::Text(value) => text(value),
        Param::Array(shape, values) if shape.len() == 1 => {
            let elements: Vec<String> = values.iter().map(f64::to_string).collect();
            text(&format!("{{{}}}", elements.join(",")))
        }
        Param::TimestampUs(_) | Param::Bytes(_) | Param::Array(..) => return None,
    })
}
