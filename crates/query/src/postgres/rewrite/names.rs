//! Names of results: those that PostgreSQL gives, each only once in a list.

use datafusion::sql::sqlparser::ast::{Expr, SelectItem, SelectItemQualifiedWildcardKind, SetExpr};

use super::super::TWIN;
use super::super::expressions::function_name;
use super::types::type_name;
use super::{bare, ident};

/// Gives an item of a list the name that PostgreSQL gives it, each only once.
pub fn named(item: &mut SelectItem, taken: &mut Vec<String>) {
    match item {
        SelectItem::UnnamedExpr(expr) if is_column(expr) => {}
        SelectItem::UnnamedExpr(expr) => {
            let name = own_name(expr).unwrap_or_else(|| "?column?".to_owned());
            let unique = if taken.contains(&name) { format!("{name}{TWIN}{}", taken.len()) } else { name.clone() };
            taken.push(name);
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: ident(&unique) };
        }
        SelectItem::ExprWithAlias { alias, .. } => {
            let name = alias.value.clone();
            if taken.contains(&name) {
                *alias = ident(&format!("{name}{TWIN}{}", taken.len()));
            }
            taken.push(name);
        }
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) if name.0.len() > 1 => {
            name.0.drain(..name.0.len() - 1);
        }
        _ => {}
    }
}

/// Returns the name that PostgreSQL gives an expression; None if it has none.
pub fn own_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(name) => Some(name.value.to_ascii_lowercase()),
        Expr::CompoundIdentifier(names) => names.last().map(|name| name.value.to_ascii_lowercase()),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => own_name(inner),
        Expr::Function(function) => Some(function_name(function)),
        Expr::Cast { expr, data_type, .. } => own_name(expr).or_else(|| Some(type_name(data_type))),
        Expr::Case { else_result, .. } => else_result.as_deref().and_then(own_name).or_else(|| Some("case".to_owned())),
        Expr::Array(_) => Some("array".to_owned()),
        Expr::Exists { .. } => Some("exists".to_owned()),
        Expr::Subquery(query) => match query.body.as_ref() {
            SetExpr::Select(select) => match select.projection.first()? {
                SelectItem::UnnamedExpr(expr) => own_name(expr),
                SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// Returns whether an expression is a column, which keeps its name.
pub fn is_column(expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(name) => name.quote_style.is_some() || bare(&name.value).is_none(),
        Expr::CompoundIdentifier(_) => true,
        _ => false,
    }
}

/// Returns the name of an item that is a column.
pub fn column_name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(expr) if is_column(expr) => own_name(expr),
        _ => None,
    }
}
