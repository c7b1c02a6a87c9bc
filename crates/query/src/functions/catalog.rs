//! PostgreSQL's catalogue and the information schema, as far as clients look at them.
//!
//! Every relation is a small table made anew from the read view. Those that only psql's `\d` joins are always empty.
//! Columns and their order are the peer's, some are added that drivers ask for. Next: [`postgres`], [`information`].

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use storage::ReadView;
use types::ColumnType;

use super::table::Tables;
use super::table::rows::{Column, table};
use crate::error::SqlError;
use crate::kind::Kind;
use crate::planner::relation::unqualified;

mod empty;
mod information;
mod postgres;

/// The columns and rows of a relation.
type Content = (&'static [Column], Vec<Vec<ScalarValue>>);

/// Returns whether a name, with or without its schema, is a relation of the catalogue.
pub fn names(name: &str) -> bool {
    let (schema, relation) = name.split_once('.').unwrap_or(("", name));
    let known = |columns: Option<&[Column]>| columns.is_some();
    match schema {
        "information_schema" => information::NAMES.contains(&relation),
        "" | "pg_catalog" => postgres::NAMES.contains(&relation) || known(empty::columns(relation)),
        _ => false,
    }
}

/// Returns whether a name, with or without its schema, is a relation of the catalogue that never has rows.
pub fn is_empty(name: &str) -> bool {
    empty::columns(&plain_name(name).to_ascii_lowercase()).is_some()
}

/// Returns a name without the schema `pg_catalog`.
pub fn plain_name(name: &str) -> &str {
    match name.split_once('.') {
        Some((schema, plain)) if schema.eq_ignore_ascii_case("pg_catalog") => plain,
        _ => name,
    }
}

/// Returns a relation of the catalogue by its names in lower case; None if there is none.
pub fn relation(schema: &str, relation: &str, tables: &Tables) -> Option<Arc<dyn TableProvider>> {
    let relation = relation.to_ascii_lowercase();
    let content: Option<Content> = match schema.to_ascii_lowercase().as_str() {
        "information_schema" => information::content(&relation, tables),
        "" | "pg_catalog" => postgres::content(&relation, tables)
            .or_else(|| empty::columns(&relation).map(|columns| (columns, Vec::new()))),
        _ => None,
    };
    let (columns, rows) = content?;
    let made: Result<_, SqlError> = table(columns, rows);
    Some(made.expect("every row has a value of its kind for every column"))
}

/// Returns the relation that PostgreSQL's own queries read: more columns than the peer's where those lack some.
pub fn wide_relation(schema: &str, name: &str, tables: &Tables) -> Option<Arc<dyn TableProvider>> {
    let (columns, rows) = match (schema, name) {
        ("information_schema", "columns") => information::wide_columns(tables),
        ("" | "pg_catalog", "pg_namespace") => postgres::wide_namespace(tables),
        ("" | "pg_catalog", "pg_proc") => {
            let columns = empty::columns("pg_proc")?;
            (columns.to_vec(), postgres::functions_of_types(columns))
        }
        _ => return relation(schema, name, tables),
    };
    Some(table(&columns, rows).expect("every row has a value of its kind for every column"))
}

/// Returns the kind of a column of `pg_catalog`; the same name is of one kind wherever it is.
pub fn column_kind(name: &str) -> Option<Kind> {
    let with_rows = postgres::COLUMNS.iter().copied();
    let all = with_rows.chain(empty::RELATIONS.iter().map(|(_, columns)| *columns)).flatten();
    all.copied().find(|(column, _)| *column == name).map(|(_, kind)| kind)
}

/// Returns whether a column of `pg_type` names a function.
pub fn names_function(column: &str) -> bool {
    postgres::names_function(column)
}

/// Returns the number that pg_class has for a relation.
pub fn relation_number(name: &str, view: &ReadView) -> Option<i32> {
    let plain = name.strip_prefix("pg_catalog.").unwrap_or(name).trim_matches('"');
    Some(match plain {
        "pg_type" => 1247,
        "pg_attribute" => 1249,
        "pg_proc" => 1255,
        "pg_class" => 1259,
        "pg_namespace" => 2615,
        "pg_constraint" => 2606,
        "pg_extension" => 3079,
        _ => match view.table(unqualified(plain)) {
            Some(table) => table.id().0 as i32,
            None => view.sql_view(unqualified(plain))?.id.0 as i32,
        },
    })
}

/// Returns the number of a type of PostgreSQL that is known here, by any of its names.
pub fn type_number(name: &str) -> Option<i32> {
    postgres::type_number(name)
}

/// The number, length and names of a type in PostgreSQL.
struct PgType {
    oid: i32,
    length: i16,
    sql_name: &'static str,
}

/// Returns what PostgreSQL's clients are told of a column type.
fn pg_type(column: ColumnType) -> PgType {
    let (oid, length, sql_name) = match column {
        ColumnType::Boolean => (16, 1, "boolean"),
        ColumnType::Byte | ColumnType::Short => (21, 2, "smallint"),
        ColumnType::Int => (23, 4, "integer"),
        ColumnType::Long => (20, 8, "bigint"),
        ColumnType::Float => (700, 4, "real"),
        ColumnType::Double => (701, 8, "double precision"),
        ColumnType::Date | ColumnType::Timestamp | ColumnType::TimestampNs => (1114, 8, "timestamp without time zone"),
        ColumnType::Char => (1042, -1, "character"),
        ColumnType::Uuid => (2950, 16, "uuid"),
        ColumnType::Binary => (17, -1, "bytea"),
        ColumnType::Array(_) => (1022, -1, "double precision[]"),
        ColumnType::Decimal { .. } => (1700, -1, "numeric"),
        ColumnType::String | ColumnType::Varchar | ColumnType::Symbol => (1043, -1, "character varying"),
        ColumnType::Ipv4 | ColumnType::Long256 | ColumnType::Geohash(_) => (1043, -1, "character varying"),
    };
    PgType { oid, length, sql_name }
}
