//! Small expressions of the engine's SQL: constants, lists, what is written as text.

use datafusion::sql::sqlparser::ast::{Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Query, Value};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::kind::Kind;
use crate::planner::lists;

/// Returns a text.
pub fn text(value: &str) -> Expr {
    Expr::value(Value::SingleQuotedString(value.to_owned()))
}

/// Returns a number.
pub fn number(digits: &str) -> Expr {
    Expr::value(Value::Number(digits.to_owned(), false))
}

/// Returns the NULL of a kind.
pub fn null_of(kind: Option<Kind>) -> Expr {
    let type_name = match kind {
        Some(Kind::Int) => "INTEGER",
        Some(Kind::Long) => "BIGINT",
        Some(Kind::Boolean) => "BOOLEAN",
        _ => "VARCHAR",
    };
    read(&format!("CAST(NULL AS {type_name})")).unwrap_or_else(|| Expr::value(Value::Null))
}

/// Reads an expression.
pub fn read(sql: &str) -> Option<Expr> {
    Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).and_then(|mut parser| parser.parse_expr()).ok()
}

/// Reads a query.
pub fn read_query(sql: &str) -> Option<Box<Query>> {
    Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).and_then(|mut parser| parser.parse_query()).ok()
}

/// Returns a name as the last part of a function's, in lower case.
pub fn function_name(function: &Function) -> String {
    let last = function.name.0.last().and_then(|part| part.as_ident());
    last.map(|name| name.value.to_ascii_lowercase()).unwrap_or_default()
}

/// Returns the plain arguments of a function.
pub fn arguments(function: &Function) -> Vec<&Expr> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    let plain = |arg| match arg {
        &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref expr)) => Some(expr),
        _ => None,
    };
    list.args.iter().filter_map(plain).collect()
}

/// Returns the text of a constant; settings that tools split into lists are constants too.
pub fn constant_text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text.clone()),
            Value::DollarQuotedString(text) => Some(text.value.clone()),
            _ => None,
        },
        Expr::Cast { expr, .. } | Expr::Nested(expr) => constant_text(expr),
        Expr::Function(function) if function_name(function) == "current_setting" => {
            let name = constant_text(arguments(function).first()?)?;
            (name == "search_path").then(|| "public, pg_catalog".to_owned())
        }
        _ => None,
    }
}

/// Returns the elements of a list: `ARRAY[…]`, `'{…}'`, what splits a text; None for a list that is not constant.
pub fn elements(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Array(array) => Some(array.elem.clone()),
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => elements(inner),
        Expr::Value(value) if value.value == Value::Null => Some(Vec::new()),
        Expr::Value(_) => {
            let found = lists::elements(&constant_text(expr)?)?;
            Some(found.into_iter().flatten().map(|element| text(&element)).collect())
        }
        Expr::Function(function) => match (function_name(function).as_str(), &arguments(function)[..]) {
            ("current_schemas", _) => Some(vec![text("pg_catalog"), text("public")]),
            ("string_to_array" | "regexp_split_to_array", [list, separator]) => {
                let (list, separator) = (constant_text(list)?, constant_text(separator)?);
                Some(list.split(separator.trim()).map(|part| text(part.trim())).collect())
            }
            _ => None,
        },
        _ => None,
    }
}
