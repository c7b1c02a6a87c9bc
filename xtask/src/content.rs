//! What is in a database, column by column: number of rows and a hash over every value in the order of the rows.
//!
//! Two databases with equal contents answered `select *` with the same values in the same order.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Result;
use crate::http::Http;

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnContent {
    pub name: String,
    pub column_type: String,
    pub hash: u64,
}

/// A table: its rows and its columns in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableContent {
    pub rows: usize,
    pub columns: Vec<ColumnContent>,
}

/// Returns the content of one table.
pub fn of_table(http: &mut Http, table: &str) -> Result<TableContent> {
    let answer = http.rows(&format!("select * from \"{table}\""))?;
    let columns = answer.columns.iter().zip(&answer.types).enumerate().map(|(at, (name, column_type))| ColumnContent {
        name: name.clone(),
        column_type: column_type.clone(),
        hash: hash(answer.rows.iter().map(|row| &row[at])),
    });
    Ok(TableContent { rows: answer.rows.len(), columns: columns.collect() })
}

/// Returns the content of some tables by name.
pub fn of_tables(http: &mut Http, tables: &[&str]) -> Result<BTreeMap<String, TableContent>> {
    tables.iter().map(|table| Ok((table.to_string(), of_table(http, table)?))).collect()
}

/// Returns a hash (FNV-1a, 64 bits) over values and where each ends.
pub fn hash<'a>(values: impl Iterator<Item = &'a Value>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for value in values {
        for byte in value.to_string().bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

/// Returns one line for each table or column that differs.
pub fn differences(want: &BTreeMap<String, TableContent>, seen: &BTreeMap<String, TableContent>) -> Vec<String> {
    let mut lines = Vec::new();
    for (table, want) in want {
        let Some(seen) = seen.get(table) else {
            lines.push(format!("{table}: missing"));
            continue;
        };
        if want.rows != seen.rows {
            lines.push(format!("{table}: {} rows, not {}", seen.rows, want.rows));
        }
        let shape = |content: &TableContent| -> Vec<String> {
            content.columns.iter().map(|column| format!("{} {}", column.name, column.column_type)).collect()
        };
        if shape(want) != shape(seen) {
            lines.push(format!("{table}: columns {:?}, not {:?}", shape(seen), shape(want)));
        }
        let pairs = want.columns.iter().zip(&seen.columns);
        lines.extend(
            pairs
                .filter(|(want, seen)| want.hash != seen.hash)
                .map(|(want, seen)| format!("{table}.{}: hash {:016x}, not {:016x}", want.name, seen.hash, want.hash)),
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tables(rows: &[Value]) -> BTreeMap<String, TableContent> {
        let column = ColumnContent { name: "v".to_owned(), column_type: "LONG".to_owned(), hash: hash(rows.iter()) };
        [("t".to_owned(), TableContent { rows: rows.len(), columns: vec![column] })].into()
    }

    #[test]
    fn one_value_or_its_place_makes_a_difference() {
        let want = tables(&[json!(1), json!("a"), json!(null)]);
        assert_eq!(differences(&want, &want), Vec::<String>::new());
        for other in [vec![json!(1), json!("b"), json!(null)], vec![json!("a"), json!(1), json!(null)]] {
            assert!(differences(&want, &tables(&other))[0].starts_with("t.v: hash "));
        }
        assert_eq!(differences(&want, &tables(&[json!(1)])).len(), 2);
        assert_eq!(differences(&want, &BTreeMap::new()), ["t: missing"]);
    }
}
