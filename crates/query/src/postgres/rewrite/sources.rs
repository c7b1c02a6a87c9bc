//! What stands in FROM: relations of the catalogue, rows of constant lists, nothing for other functions.

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, ObjectName, ObjectNamePart, Select, Subscript, TableAlias, TableAliasColumnDef, TableFactor,
};

use super::super::expressions::{elements, read, read_query};
use super::{Rewriter, ident};
use crate::functions::catalog;
use crate::planner::relation::unqualified;

impl Rewriter<'_> {
    /// Takes out of FROM what is one constant list, whose elements the query then asks for by their places.
    pub(super) fn lists_of(&mut self, select: &mut Select) {
        if select.from.len() < 2 {
            return;
        }
        let lists = &mut self.lists;
        select.from.retain(|source| {
            let TableFactor::Table { name, args: Some(args), alias: Some(alias), .. } = &source.relation else {
                return true;
            };
            let call = args.args.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let found = read(&format!("{name}({call})")).and_then(|list| elements(&list));
            let Some(found) = found.filter(|_| source.joins.is_empty()) else { return true };
            lists.insert(alias.name.value.to_ascii_lowercase(), found);
            false
        });
    }

    /// Returns an element of a list that FROM names, by an expression for its place.
    pub(super) fn listed_element(&self, root: &Expr, chain: &[AccessExpr]) -> Option<Expr> {
        let (Expr::Identifier(name), [AccessExpr::Subscript(Subscript::Index { index })]) = (root, chain) else {
            return None;
        };
        let list = self.lists.get(&name.value.to_ascii_lowercase())?;
        let branches = list.iter().enumerate().map(|(i, element)| format!(" WHEN {} THEN {element}", i + 1));
        read(&format!("CASE {index}{} END", branches.collect::<Vec<_>>().concat()))
    }

    /// Looks at what stands in FROM; None if it is not of the catalogue.
    pub(super) fn source(&self, factor: &mut TableFactor) -> Option<()> {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                let parts: Vec<String> = name
                    .0
                    .iter()
                    .map(|part| Some(part.as_ident()?.value.to_ascii_lowercase()))
                    .collect::<Option<_>>()?;
                let full = parts.join(".");
                if self.ctes.contains(&full) {
                    return Some(());
                }
                let stored = self.tables.view.table(unqualified(&full)).is_some();
                if stored || !catalog::names(&full) {
                    return None;
                }
                // a name that is qualified by its schema in the list is so no longer: `Expr::CompoundIdentifier`
                alias.get_or_insert_with(|| aliased(parts.last().map_or("", String::as_str)));
                Some(())
            }
            TableFactor::Table { name, alias, args: Some(args), .. } => {
                let function = name.0.last()?.as_ident()?.value.to_ascii_lowercase();
                if function == "generate_series" {
                    if let Some(alias) = alias.as_mut().filter(|alias| alias.columns.is_empty()) {
                        let name = alias.name.clone();
                        alias.columns.push(TableAliasColumnDef { name, data_type: None });
                    }
                    return Some(());
                }
                if catalog::names(&function) && args.args.is_empty() {
                    *factor = relation(&function, alias.take());
                    return Some(());
                }
                *factor = nothing(&function, alias.take())?;
                Some(())
            }
            TableFactor::Function { name, alias, .. } => {
                let function = name.0.last()?.as_ident()?.value.to_ascii_lowercase();
                *factor = nothing(&function, alias.take())?;
                Some(())
            }
            TableFactor::UNNEST { alias, array_exprs, .. } => {
                *factor = match &array_exprs[..] {
                    [list] => match elements(list) {
                        Some(found) if !found.is_empty() => rows(&found, alias.take())?,
                        _ => nothing("unnest", alias.take())?,
                    },
                    _ => nothing("unnest", alias.take())?,
                };
                Some(())
            }
            TableFactor::Derived { .. } | TableFactor::NestedJoin { .. } => Some(()),
            _ => None,
        }
    }
}

/// Returns a relation of the catalogue in FROM.
pub fn relation(name: &str, alias: Option<TableAlias>) -> TableFactor {
    TableFactor::Table {
        name: ObjectName(vec![ObjectNamePart::Identifier(ident(name))]),
        alias: Some(alias.unwrap_or_else(|| aliased(name))),
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

pub fn derived(sql: &str, alias: TableAlias) -> Option<TableFactor> {
    Some(TableFactor::Derived { lateral: false, subquery: read_query(sql)?, alias: Some(alias), sample: None })
}

/// Returns what a function over a list in FROM is where the list has no elements.
pub fn nothing(function: &str, alias: Option<TableAlias>) -> Option<TableFactor> {
    let alias = alias.unwrap_or_else(|| aliased(function));
    let columns = match alias.columns.len() {
        0 => format!("CAST(NULL AS INTEGER) AS {}", ident(&alias.name.value)),
        count => (0..count).map(|i| format!("CAST(NULL AS INTEGER) AS c{i}")).collect::<Vec<_>>().join(", "),
    };
    derived(&format!("SELECT {columns} WHERE false"), alias)
}

/// Returns the elements of a list as rows.
pub fn rows(elements: &[Expr], alias: Option<TableAlias>) -> Option<TableFactor> {
    let mut alias = alias.unwrap_or_else(|| aliased("unnest"));
    if alias.columns.is_empty() {
        let name = alias.name.clone();
        alias.columns.push(TableAliasColumnDef { name, data_type: None });
    }
    let values: Vec<String> = elements.iter().map(|element| format!("({element})")).collect();
    derived(&format!("VALUES {}", values.join(", ")), alias)
}

pub fn aliased(name: &str) -> TableAlias {
    TableAlias { explicit: true, name: ident(name), columns: Vec::new(), at: None }
}
