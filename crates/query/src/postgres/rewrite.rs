//! What the engine's SQL lacks of PostgreSQL's, said in other words: [`rewrite`].
//!
//! Lists are texts here, `{a,b}`, and those that the catalogue's relations have are of things that do not exist (keys,
//! indexes, privileges): nothing comes out of one. A sub-query that stands for a value is the greatest of its one value,
//! since the engine wants an aggregate in one that looks outwards.

mod calls;
mod lists;
mod names;
mod sources;
mod types;
mod values;

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Ident, Query, Select, Statement, TableFactor, Value, VisitMut,
    VisitorMut, visit_expressions_mut,
};

use super::expressions::{constant_text, null_of, number, read, text};
use super::{Ctes, bridge};
use crate::functions::catalog;
use crate::functions::table::Tables;
use crate::kind::Kind;
use calls::called;
use lists::{against_list, field, joined};
use names::{column_name, named};
use types::{plain_type, type_name};
use values::{counted, never_has_rows, one_value};

/// Schemas that a name may begin with.
const SCHEMAS: [&str; 2] = ["pg_catalog", "information_schema"];

/// Words that are functions without brackets.
const BARE: [&str; 6] = ["current_schema", "current_catalog", "current_user", "session_user", "current_role", "user"];

/// Rewrites a query; None if it reads anything but the catalogue.
pub fn rewrite(statement: &mut Statement, tables: &Tables) -> Option<()> {
    let mut rewriter = Rewriter { tables, ctes: Ctes::default(), lists: HashMap::new() };
    let rewritten: ControlFlow<()> = statement.visit(&mut rewriter);
    rewritten.is_continue().then_some(())
}

struct Rewriter<'a> {
    tables: &'a Tables<'a>,
    ctes: Ctes,
    /// Constant lists that FROM names.
    lists: HashMap<String, Vec<Expr>>,
}

impl VisitorMut for Rewriter<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        query.locks.clear();
        if let Some(with) = &query.with {
            self.ctes.extend(with.cte_tables.iter().map(|cte| cte.alias.name.value.to_ascii_lowercase()));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        self.lists_of(select);
        let mut taken: Vec<String> = select.projection.iter().filter_map(column_name).collect();
        for item in &mut select.projection {
            named(item, &mut taken);
            // in a list EXISTS is a count: the engine has it in conditions only
            let counted = visit_expressions_mut(item, |expr| {
                if let Expr::Exists { subquery, negated } = expr
                    && let Some(count) = counted(subquery, *negated)
                {
                    *expr = count;
                }
                ControlFlow::<()>::Continue(())
            });
            counted?;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        match self.source(factor) {
            Some(()) => ControlFlow::Continue(()),
            None => ControlFlow::Break(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(found) = against_list(expr).or_else(|| relation_oid(expr)) {
            *expr = found;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match self.replacement(expr) {
            Ok(Some(other)) => *expr = other,
            Ok(None) => {}
            Err(Unknown) => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }
}

/// What a name means is not known.
struct Unknown;

impl Rewriter<'_> {
    fn replacement(&self, expr: &mut Expr) -> Result<Option<Expr>, Unknown> {
        Ok(match expr {
            Expr::Collate { expr, .. } => Some((**expr).clone()),
            Expr::Array(array) => Some(text(&format!("{{{}}}", joined(&array.elem)))),
            Expr::CompoundFieldAccess { root, access_chain } => {
                Some(self.listed_element(root, access_chain).unwrap_or_else(|| field(root, access_chain)))
            }
            Expr::CompoundIdentifier(names)
                if names.len() == 2 && names[0].value.eq_ignore_ascii_case("pg_catalog") =>
            {
                bare(&names[1].value)
            }
            Expr::CompoundIdentifier(names) => {
                let is_schema = |name: &Ident| SCHEMAS.iter().any(|schema| name.value.eq_ignore_ascii_case(schema));
                (names.len() > 2 && is_schema(&names[0])).then(|| Expr::CompoundIdentifier(names[1..].to_vec()))
            }
            Expr::Identifier(name) if name.quote_style.is_none() => bare(&name.value),
            Expr::BinaryOp { left, op: BinaryOperator::PGCustomBinaryOperator(names), right } => {
                let op = match names.last().map(String::as_str) {
                    Some("~") => BinaryOperator::PGRegexMatch,
                    Some("~*") => BinaryOperator::PGRegexIMatch,
                    Some("!~") => BinaryOperator::PGRegexNotMatch,
                    Some("!~*") => BinaryOperator::PGRegexNotIMatch,
                    Some("=") => BinaryOperator::Eq,
                    Some("<>" | "!=") => BinaryOperator::NotEq,
                    _ => return Err(Unknown),
                };
                Some(Expr::BinaryOp { left: left.clone(), op, right: right.clone() })
            }
            Expr::BinaryOp { left, op: BinaryOperator::Eq | BinaryOperator::NotEq, right } => {
                flagged(left, right);
                flagged(right, left);
                by_name(left, right);
                by_name(right, left);
                None
            }
            Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
                if let Some(Value::SingleQuotedString(escape)) = escape_char.take().map(|value| value.value) {
                    escaped_by(pattern, &escape);
                }
                None
            }
            Expr::Subquery(query) if never_has_rows(query) => Some(null_of(None)),
            Expr::Subquery(query) => {
                one_value(query);
                None
            }
            Expr::Function(function) => called(function),
            Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr: value, data_type, .. } => {
                match self.cast(value, data_type)? {
                    Some(other) => Some(other),
                    None => {
                        plain_type(data_type);
                        None
                    }
                }
            }
            _ => None,
        })
    }

    /// Returns what a cast to a registry type is.
    fn cast(&self, value: &Expr, data_type: &DataType) -> Result<Option<Expr>, Unknown> {
        let of = |sql: String| read(&sql).ok_or(Unknown).map(Some);
        match type_name(data_type).as_str() {
            "regclass" => match constant_text(value) {
                Some(name) => match name.parse::<i64>() {
                    Ok(_) => Ok(Some(number(&name))),
                    Err(_) => catalog::relation_number(&name, self.tables.view)
                        .ok_or(Unknown)
                        .map(|n| Some(number(&n.to_string()))),
                },
                None => of(format!("{}(CAST({value} AS INTEGER))", bridge::REGCLASS_NAME)),
            },
            "regtype" => match constant_text(value) {
                Some(name) => {
                    catalog::type_number(&name).ok_or(Unknown).map(|number_of| Some(number(&number_of.to_string())))
                }
                None => of(format!("format_type({value}, -1)")),
            },
            "regnamespace" => match constant_text(value) {
                Some(name) => {
                    of(format!("(SELECT max(n.oid) FROM pg_namespace AS n WHERE n.nspname = {})", text(&name)))
                }
                None => of(format!("(SELECT max(n.nspname) FROM pg_namespace AS n WHERE n.oid = {value})")),
            },
            "regrole" => of(format!("pg_get_userbyid({value})")),
            "regproc" | "regprocedure" if constant_text(value).is_some() => Ok(Some(null_of(Some(Kind::Int)))),
            _ => Ok(None),
        }
    }
}

fn ident(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

/// Returns `text::regclass::oid` of a text that is no constant; None for other expressions.
fn relation_oid(expr: &Expr) -> Option<Expr> {
    let Expr::Cast { expr: inner, data_type, .. } = expr else { return None };
    let Expr::Cast { expr: value, data_type: registry, .. } = inner.as_ref() else { return None };
    let is_oid = matches!(type_name(data_type).as_str(), "oid" | "int" | "integer" | "int8" | "bigint");
    if !is_oid || type_name(registry) != "regclass" || constant_text(value).is_some() {
        return None;
    }
    read(&match value.as_ref() {
        // a number already
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => format!("CAST({value} AS INTEGER)"),
        text => format!("{}({text})", bridge::REGCLASS_NUMBER),
    })
}

fn bare(name: &str) -> Option<Expr> {
    let lower = name.to_ascii_lowercase();
    let function = if matches!(lower.as_str(), "user" | "current_role") { "current_user" } else { &lower };
    BARE.contains(&lower.as_str()).then(|| read(&format!("\"{function}\"()"))).flatten()
}

/// Puts a flag where one is compared with its text.
fn flagged(column: &Expr, value: &mut Expr) {
    let kind = column_of(column).and_then(|name| catalog::column_kind(&name.value.to_ascii_lowercase()));
    if kind == Some(Kind::Boolean)
        && let Some(text) = constant_text(value)
    {
        *value = Expr::value(Value::Boolean(matches!(text.as_str(), "t" | "true")));
    }
}

/// Puts the name of a function for its number where that is compared with a function of a type: `p.oid = t.typinput`.
fn by_name(number: &mut Expr, function: &Expr) {
    if !column_of(function).is_some_and(|name| catalog::names_function(&name.value)) {
        return;
    }
    if let Expr::CompoundIdentifier(names) = number
        && let Some(name) = names.last_mut().filter(|name| name.value.eq_ignore_ascii_case("oid"))
    {
        *name = Ident::new("proname");
    }
}

fn column_of(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(names) => names.last(),
        _ => None,
    }
}

/// Puts the engine's own escape where a pattern has another one.
fn escaped_by(pattern: &mut Expr, escape: &str) {
    let replaced = visit_expressions_mut(pattern, |expr| {
        if let Some(found) = constant_text(expr).filter(|_| matches!(expr, Expr::Value(_))) {
            *expr = text(&found.replace('\\', "\\\\").replace(escape, "\\"));
        }
        ControlFlow::<()>::Continue(())
    });
    debug_assert!(replaced.is_continue());
}
