//! Relations of `pg_catalog` that have rows.

use datafusion::common::ScalarValue;
use storage::TableView;
use types::Schema;

use super::super::table::Tables;
use super::super::table::meta::KEYWORDS;
use super::super::table::rows::{Column, flag, int, long, short, text, text_or_null, timestamp};
use super::{Content, pg_type};
use crate::kind::Kind;

/// The names of the relations here.
pub const NAMES: &[&str] = &[
    "pg_class",
    "pg_attribute",
    "pg_namespace",
    "pg_type",
    "pg_database",
    "pg_roles",
    "pg_extension",
    "pg_get_keywords",
    "pg_tables",
    "pg_settings",
    "pg_user",
];

/// The columns of the relations here.
pub const COLUMNS: &[&[Column]] =
    &[CLASS, ATTRIBUTE, NAMESPACE, TYPE, DATABASE, ROLES, EXTENSION, WORDS, TABLES, SETTINGS, USERS];

/// Returns the columns and rows of a relation.
pub fn content(relation: &str, tables: &Tables) -> Option<Content> {
    Some(match relation {
        "pg_class" => (CLASS, class(&tables.all())),
        "pg_attribute" => {
            (ATTRIBUTE, tables.all().iter().flat_map(|t| attributes(t.id().0 as i32, t.schema())).collect())
        }
        "pg_namespace" => (NAMESPACE, vec![namespace("pg_catalog", CATALOG), namespace("public", PUBLIC)]),
        "pg_type" => (TYPE, TYPES.iter().map(pg_type_row).collect()),
        "pg_database" => (DATABASE, vec![database()]),
        "pg_roles" => (ROLES, vec![role(&tables.environment.ask().user)]),
        "pg_extension" => (EXTENSION, vec![extension()]),
        "pg_tables" => (TABLES, tables.all().iter().map(|t| listed(t, &tables.environment.ask().user)).collect()),
        "pg_settings" => (SETTINGS, SET.iter().map(|(name, value)| setting(name, value)).collect()),
        "pg_user" => (USERS, vec![user(&tables.environment.ask().user)]),
        "pg_get_keywords" => (WORDS, KEYWORDS.iter().map(|word| keyword(word)).collect()),
        _ => return None,
    })
}

const CATALOG: i32 = 11;
const PUBLIC: i32 = 2200;

const CLASS: &[Column] = &[
    ("oid", Kind::Int),
    ("relname", Kind::String),
    ("relnamespace", Kind::Int),
    ("reltype", Kind::Int),
    ("reloftype", Kind::Int),
    ("relowner", Kind::Int),
    ("relam", Kind::Int),
    ("relfilenode", Kind::Int),
    ("reltablespace", Kind::Int),
    ("relpages", Kind::Boolean),
    ("reltuples", Kind::Float),
    ("relallvisible", Kind::Int),
    ("reltoastrelid", Kind::Int),
    ("relhasindex", Kind::Boolean),
    ("relisshared", Kind::Boolean),
    ("relpersistence", Kind::Char),
    ("relkind", Kind::Char),
    ("relnatts", Kind::Short),
    ("relchecks", Kind::Short),
    ("relhasrules", Kind::Boolean),
    ("relhastriggers", Kind::Boolean),
    ("relhassubclass", Kind::Boolean),
    ("relrowsecurity", Kind::Boolean),
    ("relforcerowsecurity", Kind::Boolean),
    ("relispopulated", Kind::Boolean),
    ("relreplident", Kind::Char),
    ("relispartition", Kind::Boolean),
    ("relrewrite", Kind::Int),
    ("relfrozenxid", Kind::Long),
    ("relminmxid", Kind::Long),
    ("relacl", Kind::String),
    ("reloptions", Kind::String),
    ("relpartbound", Kind::String),
    ("relhasoids", Kind::Boolean),
    ("xmin", Kind::Long),
    ("tableoid", Kind::Int),
];

/// What pg_class says of itself.
const PG_CLASS: i32 = 1259;
const PG_ATTRIBUTE: i32 = 1249;

fn class(tables: &[TableView]) -> Vec<Vec<ScalarValue>> {
    let own = class_row(PG_CLASS, "pg_class", CATALOG, "u", false);
    let tables = tables.iter().map(|t| class_row(t.id().0 as i32, t.name().as_str(), PUBLIC, "p", true));
    std::iter::once(own).chain(tables).collect()
}

fn class_row(oid: i32, name: &str, namespace: i32, persistence: &str, populated: bool) -> Vec<ScalarValue> {
    let mut row = vec![int(oid), text(name), int(namespace)];
    row.extend((0..6).map(|_| int(0)));
    row.extend([flag(false), ScalarValue::Float32(Some(-1.0)), int(0), int(0), flag(false), flag(false)]);
    row.extend([text(persistence), text("r"), short(0), short(0)]);
    row.extend((0..5).map(|_| flag(false)));
    row.extend([flag(populated), text("d"), flag(false), int(0), long(0), long(0)]);
    row.extend((0..3).map(|_| text_or_null(None)));
    row.extend([flag(false), long(0), int(PG_CLASS)]);
    row
}

const ATTRIBUTE: &[Column] = &[
    ("attrelid", Kind::Int),
    ("attname", Kind::String),
    ("attnum", Kind::Short),
    ("atttypid", Kind::Int),
    ("attnotnull", Kind::Boolean),
    ("atttypmod", Kind::Int),
    ("attlen", Kind::Short),
    ("attidentity", Kind::Char),
    ("attisdropped", Kind::Boolean),
    ("atthasdef", Kind::Boolean),
    ("attcollation", Kind::Int),
    ("attgenerated", Kind::Char),
    ("attstorage", Kind::Char),
    ("attstattarget", Kind::Int),
    ("attndims", Kind::Int),
    ("attinhcount", Kind::Int),
    ("attislocal", Kind::Boolean),
    ("atthasmissing", Kind::Boolean),
    ("attacl", Kind::String),
    ("attoptions", Kind::String),
    ("attfdwoptions", Kind::String),
    ("attcompression", Kind::Char),
    ("xmin", Kind::Long),
    ("tableoid", Kind::Int),
];

fn attributes(table: i32, schema: &Schema) -> Vec<Vec<ScalarValue>> {
    let row = |(i, column): (usize, &types::ColumnDef)| {
        let pg = pg_type(column.column_type);
        vec![
            int(table),
            text(&column.name),
            short(i as i16 + 1),
            int(pg.oid),
            flag(false),
            int(-1),
            short(pg.length),
            text_or_null(None),
            flag(false),
            flag(false),
            int(0),
            text_or_null(None),
            text("p"),
            int(-1),
            int(0),
            int(0),
            flag(true),
            flag(false),
            text_or_null(None),
            text_or_null(None),
            text_or_null(None),
            text_or_null(None),
            long(0),
            int(PG_ATTRIBUTE),
        ]
    };
    schema.columns.iter().enumerate().map(row).collect()
}

const NAMESPACE: &[Column] =
    &[("nspname", Kind::String), ("oid", Kind::Int), ("xmin", Kind::Long), ("nspowner", Kind::Int)];

fn namespace(name: &str, oid: i32) -> Vec<ScalarValue> {
    vec![text(name), int(oid), long(0), int(1)]
}

/// Returns the columns and rows of pg_namespace with the privileges that nobody was given.
pub fn wide_namespace(tables: &Tables) -> (Vec<Column>, Vec<Vec<ScalarValue>>) {
    let (columns, mut rows) = content("pg_namespace", tables).unwrap_or_default();
    rows.iter_mut().for_each(|row| row.push(text_or_null(None)));
    (columns.iter().copied().chain([("nspacl", Kind::String)]).collect(), rows)
}

const TYPE: &[Column] = &[
    ("oid", Kind::Int),
    ("typname", Kind::String),
    ("typbasetype", Kind::Int),
    ("typarray", Kind::Int),
    ("typnamespace", Kind::Int),
    ("typnotnull", Kind::Boolean),
    ("typtypmod", Kind::Int),
    ("typtype", Kind::Char),
    ("typcategory", Kind::Char),
    ("typrelid", Kind::Int),
    ("typelem", Kind::Int),
    ("typreceive", Kind::String),
    ("typdelim", Kind::String),
    ("typinput", Kind::String),
    ("typowner", Kind::Int),
    ("typlen", Kind::Short),
    ("typbyval", Kind::Boolean),
    ("typispreferred", Kind::Boolean),
    ("typisdefined", Kind::Boolean),
    ("typalign", Kind::Char),
    ("typstorage", Kind::Char),
    ("typndims", Kind::Int),
    ("typcollation", Kind::Int),
    ("typdefault", Kind::String),
    ("typsend", Kind::String),
    ("typoutput", Kind::String),
    ("typacl", Kind::String),
];

struct Type(i32, &'static str, &'static str, i32, &'static str, i32, i16, Option<&'static str>);

/// Number, name, what the names of its input and output functions begin with, number of its array type, category, element
/// type, length, default. Those behind `_varchar` are of no column: clients look up what they send.
const TYPES: &[Type] = &[
    Type(1043, "varchar", "varchar", 1015, "S", 0, -1, None),
    Type(1114, "timestamp", "timestamp_", 1115, "D", 0, 8, None),
    Type(701, "float8", "float8", 1022, "N", 0, 8, None),
    Type(700, "float4", "float4", 1021, "N", 0, 4, None),
    Type(23, "int4", "int4", 1007, "N", 0, 4, None),
    Type(21, "int2", "int2", 1005, "N", 0, 2, Some("0")),
    Type(1042, "bpchar", "bpchar", 0, "Z", 0, 2, Some("0")),
    Type(20, "int8", "int8", 1016, "N", 0, 8, None),
    Type(16, "bool", "bool", 1000, "B", 0, 1, Some("false")),
    Type(17, "binary", "bytea", 0, "U", 0, -1, None),
    Type(1082, "date", "date_", 0, "D", 0, 8, None),
    Type(2950, "uuid", "uuid_", 0, "U", 0, 16, None),
    Type(2281, "internal", "internal_", 0, "P", 0, 8, None),
    Type(26, "oid", "oid", 0, "N", 0, 4, None),
    Type(1022, "_float8", "array_", 0, "A", 701, -1, None),
    Type(1700, "numeric", "numeric_", 0, "N", 0, -1, None),
    Type(1015, "_varchar", "array_", 0, "A", 1043, -1, None),
    Type(25, "text", "text", 1009, "S", 0, -1, None),
    Type(19, "name", "name", 1003, "S", 0, 64, None),
    Type(18, "char", "char", 1002, "Z", 0, 1, None),
    Type(1184, "timestamptz", "timestamptz_", 1185, "D", 0, 8, None),
];

/// Returns the number of a type by its name in pg_type or in SQL.
pub fn type_number(name: &str) -> Option<i32> {
    let lower = name.trim().to_ascii_lowercase();
    let name = match lower.strip_prefix("pg_catalog.").unwrap_or(&lower) {
        "boolean" => "bool",
        "smallint" => "int2",
        "integer" | "int" => "int4",
        "bigint" => "int8",
        "real" => "float4",
        "double precision" => "float8",
        "character varying" => "varchar",
        "timestamp without time zone" => "timestamp",
        other => other,
    };
    TYPES.iter().find(|of| of.1 == name).map(|of| of.0)
}

/// Returns the name of a type in pg_type.
pub fn type_name(oid: i32) -> Option<&'static str> {
    TYPES.iter().find(|of| of.0 == oid).map(|of| of.1)
}

fn pg_type_row(of: &Type) -> Vec<ScalarValue> {
    let Type(oid, name, io, array, category, element, length, default) = of;
    let io = |what: &str| text(format!("{io}{what}"));
    let mut row = vec![int(*oid), text(*name), int(0), int(*array), int(CATALOG), flag(false), int(0), text("b")];
    row.extend([text(*category), int(0), int(*element), io("recv"), text(","), io("in"), int(0), short(*length)]);
    row.extend([flag(false), flag(false), flag(true), text("c"), text("p"), int(0), int(0), text_or_null(*default)]);
    row.extend([io("send"), io("out"), text_or_null(None)]);
    row
}

/// The columns of pg_type that name a function, with what those names end with.
const TYPE_FUNCTIONS: [(&str, &str); 4] =
    [("typinput", "in"), ("typoutput", "out"), ("typreceive", "recv"), ("typsend", "send")];

/// Returns whether a column of pg_type names a function.
pub fn names_function(column: &str) -> bool {
    TYPE_FUNCTIONS.iter().any(|(name, _)| column.eq_ignore_ascii_case(name))
}

/// Returns rows of pg_proc for the functions that pg_type names.
pub fn functions_of_types(columns: &[Column]) -> Vec<Vec<ScalarValue>> {
    let mut names: Vec<String> = TYPES
        .iter()
        .flat_map(|Type(_, _, io, ..)| TYPE_FUNCTIONS.iter().map(move |(_, what)| format!("{io}{what}")))
        .collect();
    names.sort();
    names.dedup();
    let row = |(number, name): (i32, String)| {
        let value = |(column, kind): &Column| match *column {
            "oid" => int(FIRST_FUNCTION + number),
            "proname" => text(name.clone()),
            "pronamespace" => int(CATALOG),
            "prokind" => text("f"),
            _ => kind.null(),
        };
        columns.iter().map(value).collect()
    };
    (0..).zip(names).map(row).collect()
}

/// The number of the first function of a type, behind those of all types.
const FIRST_FUNCTION: i32 = 10_000;

const DATABASE: &[Column] = &[
    ("oid", Kind::Int),
    ("datname", Kind::String),
    ("datdba", Kind::Int),
    ("encoding", Kind::Int),
    ("datcollate", Kind::String),
    ("datctype", Kind::String),
    ("datistemplate", Kind::Boolean),
    ("datallowconn", Kind::Boolean),
    ("datconnlimit", Kind::Int),
    ("datlastsysoid", Kind::Int),
    ("datfrozenxid", Kind::Long),
    ("datminmxid", Kind::Long),
    ("dattablespace", Kind::Int),
    ("datacl", Kind::String),
];

fn database() -> Vec<ScalarValue> {
    let mut row = vec![int(1), text("qdb"), int(2), int(6), text("en_US.UTF-8"), text("en_US.UTF-8"), flag(false)];
    row.extend([flag(true), int(-1), int(1), long(-1), long(0), int(3), text("")]);
    row
}

const ROLES: &[Column] = &[
    ("rolname", Kind::String),
    ("rolsuper", Kind::Boolean),
    ("rolinherit", Kind::Boolean),
    ("rolcreaterole", Kind::Boolean),
    ("rolcreatedb", Kind::Boolean),
    ("rolcanlogin", Kind::Boolean),
    ("rolreplication", Kind::Boolean),
    ("rolconnlimit", Kind::Int),
    ("rolpassword", Kind::String),
    ("rolvaliduntil", Kind::Timestamp),
    ("rolbypassrls", Kind::Boolean),
    ("rolconfig", Kind::String),
    ("oid", Kind::Int),
];

fn role(name: &str) -> Vec<ScalarValue> {
    let mut row = vec![text(name), flag(true), flag(true), flag(true), flag(true), flag(true), flag(false), int(-1)];
    row.extend([text_or_null(None), timestamp(None), flag(true), text_or_null(None), int(1)]);
    row
}

const EXTENSION: &[Column] = &[
    ("oid", Kind::String),
    ("extname", Kind::String),
    ("extowner", Kind::String),
    ("extnamespace", Kind::String),
    ("extrelocatable", Kind::Boolean),
    ("extversion", Kind::String),
    ("extconfig", Kind::String),
    ("extcondition", Kind::String),
];

fn extension() -> Vec<ScalarValue> {
    let (one, version) = (|| text("1"), env!("CARGO_PKG_VERSION"));
    vec![one(), text("questdb"), one(), one(), flag(false), text(version), text_or_null(None), text_or_null(None)]
}

const TABLES: &[Column] = &[
    ("schemaname", Kind::String),
    ("tablename", Kind::String),
    ("tableowner", Kind::String),
    ("tablespace", Kind::String),
    ("hasindexes", Kind::Boolean),
    ("hasrules", Kind::Boolean),
    ("hastriggers", Kind::Boolean),
    ("rowsecurity", Kind::Boolean),
];

fn listed(of: &TableView, owner: &str) -> Vec<ScalarValue> {
    let mut row = vec![text("public"), text(of.name().as_str()), text(owner), text_or_null(None)];
    row.extend((0..4).map(|_| flag(false)));
    row
}

const WORDS: &[Column] = &[
    ("word", Kind::String),
    ("catcode", Kind::String),
    ("barelabel", Kind::Boolean),
    ("catdesc", Kind::String),
    ("baredesc", Kind::String),
];

fn keyword(word: &str) -> Vec<ScalarValue> {
    vec![text(word), text_or_null(None), flag(false), text_or_null(None), text_or_null(None)]
}

const SETTINGS: &[Column] = &[
    ("name", Kind::String),
    ("setting", Kind::String),
    ("unit", Kind::String),
    ("category", Kind::String),
    ("short_desc", Kind::String),
    ("context", Kind::String),
    ("vartype", Kind::String),
    ("source", Kind::String),
    ("boot_val", Kind::String),
    ("reset_val", Kind::String),
];

/// What drivers look up.
const SET: &[(&str, &str)] = &[
    ("client_encoding", "UTF8"),
    ("integer_datetimes", "on"),
    ("max_identifier_length", "127"),
    ("max_index_keys", "32"),
    ("server_encoding", "UTF8"),
    ("server_version", "12.3"),
    ("server_version_num", "120003"),
    ("standard_conforming_strings", "on"),
    ("TimeZone", "GMT"),
];

fn setting(name: &str, value: &str) -> Vec<ScalarValue> {
    let mut row = vec![text(name), text(value), text_or_null(None), text("Preset Options"), text("")];
    row.extend([text("internal"), text("string"), text("default"), text(value), text(value)]);
    row
}

const USERS: &[Column] = &[
    ("usename", Kind::String),
    ("usesysid", Kind::Int),
    ("usecreatedb", Kind::Boolean),
    ("usesuper", Kind::Boolean),
    ("userepl", Kind::Boolean),
    ("usebypassrls", Kind::Boolean),
    ("passwd", Kind::String),
    ("valuntil", Kind::Timestamp),
    ("useconfig", Kind::String),
];

fn user(name: &str) -> Vec<ScalarValue> {
    let mut row = vec![text(name), int(1), flag(true), flag(true), flag(false), flag(true)];
    row.extend([text_or_null(None), timestamp(None), text_or_null(None)]);
    row
}
