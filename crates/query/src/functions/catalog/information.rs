//! The information schema: tables, columns, and the constraints that no table has.

use datafusion::common::ScalarValue;
use storage::{SqlView, TableView};

use super::super::table::Tables;
use super::super::table::rows::{Column, flag, int, text, text_or_null};
use super::postgres;
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
    "routines",
    "sequences",
    "triggers",
    "views",
    "check_constraints",
    "constraint_column_usage",
    "table_privileges",
    "role_table_grants",
    "column_privileges",
    "parameters",
    "domains",
    "element_types",
    "collations",
    "character_sets",
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
    Some(match relation {
        "tables" => (TABLES, tables.all().iter().map(table).collect()),
        "columns" => (COLUMNS, tables.all().iter().flat_map(|t| columns(t, false)).collect()),
        // No table has constraints.
        "key_column_usage" => (KEYS, Vec::new()),
        "table_constraints" => (CONSTRAINTS, Vec::new()),
        "referential_constraints" => (REFERENCES, Vec::new()),
        "schemata" => {
            (SCHEMATA, ["pg_catalog", "public"].map(|name| vec![text("qdb"), text(name), text("public")]).into())
        }
        "routines" => (ROUTINES, Vec::new()),
        "sequences" => (SEQUENCES, Vec::new()),
        "triggers" => (TRIGGERS, Vec::new()),
        "views" => (VIEWS, tables.view.sql_views().map(|of| view(of)).collect()),
        "check_constraints" => (CHECKS, Vec::new()),
        "constraint_column_usage" => (USAGE, Vec::new()),
        "table_privileges" | "role_table_grants" | "column_privileges" => (PRIVILEGES, Vec::new()),
        "parameters" => (ARGUMENTS, Vec::new()),
        "domains" | "element_types" | "collations" | "character_sets" => (NAMED, Vec::new()),
        "questdb_columns" => (COLUMNS, tables.all().iter().flat_map(|t| columns(t, true)).collect()),
        _ => return None,
    })
}

fn table(of: &TableView) -> Vec<ScalarValue> {
    let mut row = vec![text("qdb"), text("public"), text(of.name().as_str()), text("BASE TABLE")];
    row.extend((0..5).map(|_| text_or_null(None)));
    row.extend([flag(true), flag(false), text_or_null(None)]);
    row
}

fn view(of: &SqlView) -> Vec<ScalarValue> {
    ["qdb", "public", of.name.as_str(), &of.text, "NONE", "NO"].map(text).into()
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

const ROUTINES: &[Column] = &[
    ("specific_catalog", Kind::String),
    ("specific_schema", Kind::String),
    ("specific_name", Kind::String),
    ("routine_catalog", Kind::String),
    ("routine_schema", Kind::String),
    ("routine_name", Kind::String),
    ("routine_type", Kind::String),
    ("data_type", Kind::String),
    ("routine_body", Kind::String),
    ("routine_definition", Kind::String),
];

const SEQUENCES: &[Column] = &[
    ("sequence_catalog", Kind::String),
    ("sequence_schema", Kind::String),
    ("sequence_name", Kind::String),
    ("data_type", Kind::String),
    ("start_value", Kind::String),
    ("minimum_value", Kind::String),
    ("maximum_value", Kind::String),
    ("increment", Kind::String),
    ("cycle_option", Kind::String),
];

const TRIGGERS: &[Column] = &[
    ("trigger_catalog", Kind::String),
    ("trigger_schema", Kind::String),
    ("trigger_name", Kind::String),
    ("event_manipulation", Kind::String),
    ("event_object_schema", Kind::String),
    ("event_object_table", Kind::String),
    ("action_statement", Kind::String),
    ("action_timing", Kind::String),
];

const CHECKS: &[Column] = &[
    ("constraint_catalog", Kind::String),
    ("constraint_schema", Kind::String),
    ("constraint_name", Kind::String),
    ("check_clause", Kind::String),
];

const USAGE: &[Column] = &[
    ("table_catalog", Kind::String),
    ("table_schema", Kind::String),
    ("table_name", Kind::String),
    ("column_name", Kind::String),
    ("constraint_catalog", Kind::String),
    ("constraint_schema", Kind::String),
    ("constraint_name", Kind::String),
];

const PRIVILEGES: &[Column] = &[
    ("grantor", Kind::String),
    ("grantee", Kind::String),
    ("table_catalog", Kind::String),
    ("table_schema", Kind::String),
    ("table_name", Kind::String),
    ("column_name", Kind::String),
    ("privilege_type", Kind::String),
    ("is_grantable", Kind::String),
];

const ARGUMENTS: &[Column] = &[
    ("specific_catalog", Kind::String),
    ("specific_schema", Kind::String),
    ("specific_name", Kind::String),
    ("ordinal_position", Kind::Int),
    ("parameter_mode", Kind::String),
    ("parameter_name", Kind::String),
    ("data_type", Kind::String),
    ("udt_name", Kind::String),
];

/// What domains, collations and character sets are called; element types are found by their object.
const NAMED: &[Column] = &[
    ("domain_catalog", Kind::String),
    ("domain_schema", Kind::String),
    ("domain_name", Kind::String),
    ("collation_schema", Kind::String),
    ("collation_name", Kind::String),
    ("character_set_name", Kind::String),
    ("object_catalog", Kind::String),
    ("object_schema", Kind::String),
    ("object_name", Kind::String),
    ("object_type", Kind::String),
    ("collection_type_identifier", Kind::String),
    ("data_type", Kind::String),
    ("udt_name", Kind::String),
];

const VIEWS: &[Column] = &[
    ("table_catalog", Kind::String),
    ("table_schema", Kind::String),
    ("table_name", Kind::String),
    ("view_definition", Kind::String),
    ("check_option", Kind::String),
    ("is_updatable", Kind::String),
];

/// Columns of `columns` that PostgreSQL has and the peer has not.
const MORE: &[Column] = &[
    ("character_maximum_length", Kind::Int),
    ("character_octet_length", Kind::Int),
    ("numeric_precision", Kind::Int),
    ("numeric_precision_radix", Kind::Int),
    ("numeric_scale", Kind::Int),
    ("datetime_precision", Kind::Int),
    ("interval_type", Kind::String),
    ("character_set_name", Kind::String),
    ("collation_name", Kind::String),
    ("domain_name", Kind::String),
    ("domain_schema", Kind::String),
    ("udt_catalog", Kind::String),
    ("udt_schema", Kind::String),
    ("udt_name", Kind::String),
    ("is_identity", Kind::String),
    ("identity_generation", Kind::String),
    ("is_generated", Kind::String),
    ("generation_expression", Kind::String),
    ("is_updatable", Kind::String),
];

/// Returns the columns and rows of `columns` with all that PostgreSQL tells of a column.
pub fn wide_columns(tables: &Tables) -> (Vec<Column>, Vec<Vec<ScalarValue>>) {
    let rows = tables.all().into_iter().flat_map(|of| {
        let told = columns(&of, false).into_iter().zip(&of.schema().columns);
        told.map(|(row, column)| row.into_iter().chain(more(column.column_type)).collect()).collect::<Vec<_>>()
    });
    (COLUMNS.iter().chain(MORE).copied().collect(), rows.collect())
}

fn more(of: types::ColumnType) -> Vec<ScalarValue> {
    let none = || text_or_null(None);
    let number = |value| ScalarValue::Int32(value);
    let pg = pg_type(of);
    let (precision, radix, scale) = match of {
        types::ColumnType::Decimal { precision, scale } => {
            (Some(i32::from(precision)), Some(10), Some(i32::from(scale)))
        }
        _ => match pg.oid {
            21 => (Some(16), Some(2), Some(0)),
            23 => (Some(32), Some(2), Some(0)),
            20 => (Some(64), Some(2), Some(0)),
            700 => (Some(24), Some(2), None),
            701 => (Some(53), Some(2), None),
            _ => (None, None, None),
        },
    };
    let moment = (pg.oid == 1114).then_some(6);
    let mut row = vec![number(None), number(None), number(precision), number(radix), number(scale), number(moment)];
    row.extend([none(), none(), none(), none(), none(), text("qdb"), text("pg_catalog")]);
    row.extend([text_or_null(postgres::type_name(pg.oid)), text("NO"), none(), text("NEVER"), none(), text("YES")]);
    row
}
