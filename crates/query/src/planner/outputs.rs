//! Names of output columns: aliases, texts of expressions, numbers behind repeats.

use std::collections::HashSet;

use super::relation::Column;
use crate::functions::Typed;
use crate::parser::ast::{Expr as Tree, ExprKind};
use crate::parser::expression_text;

/// Longest generated name, in characters, and the longest that is put into quotes.
const MAX_LENGTH: usize = 64;
const MAX_QUOTED: usize = 61;

/// Where an output column comes from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// Expanded from a star.
    Star,
    /// A select item.
    Item { tree: Tree, alias: Option<String> },
}

/// One output column before it is named.
#[derive(Debug, Clone)]
pub struct Output {
    pub value: Typed,
    pub origin: Origin,
    /// The name that the column itself has, for a star.
    pub own_name: String,
}

/// Returns the names of the outputs, all different when case is ignored.
pub fn names(outputs: &[Output]) -> Vec<String> {
    let mut taken: HashSet<String> = HashSet::new();
    for output in outputs {
        if let Origin::Item { alias: Some(alias), .. } = &output.origin {
            taken.insert(wrapped(alias).to_lowercase());
        }
    }
    let mut names: Vec<Option<String>> = vec![None; outputs.len()];
    for (i, output) in outputs.iter().enumerate() {
        names[i] = match &output.origin {
            Origin::Star => None,
            Origin::Item { alias: Some(alias), .. } => Some(wrapped(alias)),
            Origin::Item { tree, alias: None } => Some(unique(&generated(tree), &mut taken, 2, "_")),
        };
    }
    let mut seen: HashSet<String> = HashSet::new();
    let mut result = Vec::new();
    for (i, output) in outputs.iter().enumerate() {
        let name = names[i].take().unwrap_or_else(|| output.own_name.clone());
        result.push(unique(&name, &mut seen, 1, ""));
    }
    result
}

/// Returns the name with the first number that makes it new, and remembers it.
fn unique(name: &str, taken: &mut HashSet<String>, first: usize, joint: &str) -> String {
    let mut candidate = name.to_owned();
    let mut number = first;
    while !taken.insert(candidate.to_lowercase()) {
        candidate = match name.strip_suffix('"').filter(|n| n.starts_with('"')) {
            Some(open) => format!("{open}{joint}{number}\""),
            None => format!("{name}{joint}{number}"),
        };
        number += 1;
    }
    candidate
}

/// Returns the name of an item without an alias.
fn generated(tree: &Tree) -> String {
    match &tree.kind {
        ExprKind::Name { name, .. } => wrapped(name),
        _ => {
            let text = expression_text(tree);
            let limit = if text.contains('.') { MAX_QUOTED } else { MAX_LENGTH };
            wrapped(&text.chars().take(limit).collect::<String>())
        }
    }
}

/// Returns the name in double quotes when it holds a dot, as the peer shows it.
fn wrapped(name: &str) -> String {
    if name.contains('.') { format!("\"{name}\"") } else { name.to_owned() }
}

/// Returns a result column.
pub fn column(name: String, value: &Typed, field: String) -> Column {
    Column { table: None, name, kind: value.kind, field, visible: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser::ast::{Body, Item, Statement};

    fn check(sql: &str, star: &[&str], expected: &[&str]) {
        let Ok(Statement::Query(query)) = crate::parser::parse(sql) else { panic!("{sql}") };
        let Body::Select(select) = query.body else { panic!("{sql}") };
        let mut outputs = Vec::new();
        for item in select.items {
            match item {
                Item::Star { .. } => outputs.extend(star.iter().map(|name| Output {
                    value: Typed::null(0),
                    origin: Origin::Star,
                    own_name: (*name).to_owned(),
                })),
                Item::Expr { expr, alias } => outputs.push(Output {
                    value: Typed::null(0),
                    origin: Origin::Item { tree: expr, alias: alias.map(|a| a.name) },
                    own_name: String::new(),
                }),
            }
        }
        assert_eq!(names(&outputs), expected, "{sql}");
    }

    #[test]
    fn repeats_are_numbered_as_the_peer_numbers_them() {
        check("select temp, temp, TEMP, hum temp from r", &[], &["temp_2", "temp_3", "TEMP_4", "temp"]);
        check("select hum h, *, hum from r", &["ts", "hum"], &["h", "ts", "hum", "hum1"]);
        check("select id, *, id from r", &["id", "x"], &["id", "id1", "x", "id_2"]);
        check("select count(), count() from r", &[], &["count()", "count()_2"]);
        check("select avg(q.bid), 1.5 from q", &[], &["\"avg(q.bid)\"", "\"1.5\""]);
    }

    #[test]
    fn long_names_are_cut_as_the_peer_cuts_them() {
        let sum = (2..30).map(|n| format!(" + {n}")).collect::<String>();
        let cut = |first: &str, length: usize| format!("{first}{sum}")[..length].to_owned();
        check(&format!("select 1{sum}"), &[], &[&cut("1", 64)]);
        check(&format!("select 1.5{sum}"), &[], &[&format!("\"{}\"", cut("1.5", 61))]);
    }
}
