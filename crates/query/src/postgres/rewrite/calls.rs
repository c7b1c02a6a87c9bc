//! Calls in the engine's words.

use datafusion::sql::sqlparser::ast::{Expr, Function, FunctionArguments, Ident, ObjectNamePart};

use super::super::expressions::{arguments, constant_text, elements, function_name, null_of, number, read, text};
use super::bare;
use super::values::{aggregated, listed};
use crate::kind::Kind;

/// Returns what a call is in the engine's words; takes the schema off a name.
pub fn called(function: &mut Function) -> Option<Expr> {
    let name = function_name(function);
    match (name.as_str(), &function.args) {
        ("array", FunctionArguments::Subquery(query)) => return listed(query),
        ("array_agg", _) => return aggregated(function),
        ("unnest" | "generate_subscripts" | "_pg_expandarray" | "aclexplode", _) => {
            return Some(null_of(Some(Kind::Int)));
        }
        ("array_upper" | "array_length" | "cardinality", _) => {
            let list = elements(arguments(function).first()?);
            return Some(list.map_or_else(|| null_of(Some(Kind::Int)), |list| number(&list.len().to_string())));
        }
        ("array_lower", _) => return Some(number("1")),
        ("user" | "current_role", FunctionArguments::None) => return bare("user"),
        ("format", _) => return formatted(&arguments(function)),
        _ => {}
    }
    if function.name.0.len() > 1 {
        function.name.0 = vec![ObjectNamePart::Identifier(Ident::new(name))];
    }
    None
}

/// Returns format('… %s …', …) as texts behind each other.
pub fn formatted(args: &[&Expr]) -> Option<Expr> {
    let (template, mut args) = (constant_text(args.first()?)?, args.iter().skip(1));
    let mut parts = template.split('%');
    let mut joined = text(parts.next()?).to_string();
    for part in parts {
        let (kind, rest) = part.split_at_checked(1)?;
        let arg = match kind {
            "s" => format!("coalesce(CAST({} AS VARCHAR), '')", args.next()?),
            "I" => format!("quote_ident(CAST({} AS VARCHAR))", args.next()?),
            _ => return None,
        };
        joined = format!("{joined} || {arg} || {}", text(rest));
    }
    read(&format!("({joined})"))
}
