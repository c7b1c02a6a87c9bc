//! The information schema: tables, columns, and the constraints that no table has.

use datafusion::common::ScalarValue;
use storage::TableView;

use super::super::table::Tables;
use super::super::table::rows::{Column, flag, int, text, text_or_null};
use super::{Content, pg_type};
use crate::kind::Kind;

/// The names of the relations here.
pub const NAMES: &[&str] = &[
    "tables",
    "columns",
    "questdb_columns",
    "key_column_usage",
    "table_constraints",
    "referential_constraints",
    "schemata",
];

const TABLES: &[Column] = &[
    ("table_catalog", Kind::String),
    ("table_schema", Kind::String),
    ("table_name", Kind::String),
    ("table_type", Kind::String),
    ("self_referencing_column_name", Kind::String),
    ("reference_generation", Kind::String),
    ("user_defined_type_catalog", Kind::String),
    ("user_defined_type_schema", Kind::String),
    ("user_defined_type_name", Kind::String),
    ("is_insertable_into", Kind::Boolean),
    ("is_typed", Kind::Boolean),
    ("commit_action", Kind::String),
];

const COLUMNS: &[Column] = &[
    ("table_catalog", Kind::String),
    ("table_schema", Kind::String),
    ("table_name", Kind::String),
    ("column_name", Kind::String),
    ("ordinal_position", Kind::Int),
    ("column_default", Kind::String),
    ("is_nullable", Kind::String),
    ("data_type", Kind::String),
];

const KEYS: &[Column] = &[
    ("constraint_catalog", Kind::String),
    ("constraint_schema", Kind::String),
    ("constraint_name", Kind::String),
    ("table_catalog", Kind::String),
    ("table_schema", Kind::String),
    ("table_name", Kind::String),
    ("column_name", Kind::String),
    ("ordinal_position", Kind::Int),
    ("position_in_unique_constraint", Kind::Int),
];

const CONSTRAINTS: &[Column] = &[
    ("constraint_catalog", Kind::String),
    ("constraint_schema", Kind::String),
    ("constraint_name", Kind::String),
    ("table_catalog", Kind::String),
    ("table_schema", Kind::String),
    ("table_name", Kind::String),
    ("constraint_type", Kind::String),
    ("is_deferrable", Kind::String),
    ("initially_deferred", Kind::String),
    ("enforced", Kind::String),
    ("nulls_distinct", Kind::String),
];

const REFERENCES: &[Column] = &[
    ("constraint_catalog", Kind::String),
    ("constraint_schema", Kind::String),
    ("constraint_name", Kind::String),
    ("unique_constraint_catalog", Kind::String),
    ("unique_constraint_schema", Kind::String),
    ("unique_constraint_name", Kind::String),
    ("match_option", Kind::String),
    ("update_rule", Kind::String),
    ("delete_rule", Kind::String),
];

const SCHEMATA: &[Column] =
    &[("catalog_name", Kind::String), ("schema_name", Kind::String), ("schema_owner", Kind::String)];

/// Returns the columns and rows of a relation.
pub fn content(relation: &str, tables: &Tables) -> Option<Content> {
    let all = tables.view.tables();
    Some(match relation {
        "tables" => (TABLES, all.iter().map(table).collect()),
        "columns" => (COLUMNS, all.iter().flat_map(|t| columns(t, false)).collect()),
        // No table has constraints.
        "key_column_usage" => (KEYS, Vec::new()),
        "table_constraints" => (CONSTRAINTS, Vec::new()),
        "referential_constraints" => (REFERENCES, Vec::new()),
        "schemata" => {
            (SCHEMATA, ["pg_catalog", "public"].map(|name| vec![text("qdb"), text(name), text("public")]).into())
        }
        "questdb_columns" => (COLUMNS, all.iter().flat_map(|t| columns(t, true)).collect()),
        _ => return None,
    })
}

fn table(of: &TableView) -> Vec<ScalarValue> {
    let mut row = vec![text("qdb"), text("public"), text(of.name().as_str()), text("BASE TABLE")];
    row.extend((0..5).map(|_| text_or_null(None)));
    row.extend([flag(true), flag(false), text_or_null(None)]);
    row
}

fn columns(of: &TableView, own_names: bool) -> Vec<Vec<ScalarValue>> {
    let row = |(i, column): (usize, &types::ColumnDef)| {
        let own_name = column.column_type.to_string();
        let of_type = if own_names { &own_name } else { pg_type(column.column_type).sql_name };
        let mut row = vec![text("qdb"), text("public"), text(of.name().as_str()), text(&column.name), int(i as i32)];
        row.extend([text_or_null(None), text("yes"), text(of_type)]);
        row
    };
    of.schema().columns.iter().enumerate().map(row).collect()
}
