//! SHOW as a relation: what the catalogue knows, and the settings that PostgreSQL clients ask for.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int32Array, RecordBatch, StringViewArray};
use arrow::datatypes::Schema as ArrowSchema;
use datafusion::datasource::MemTable;
use storage::{ReadView, TableView};
use types::ColumnType;

use super::relation::{Relation, missing_table, unqualified};
use super::{Planner, plan_error};
use crate::error::SqlError;
use crate::functions::{self, Call, Typed};
use crate::kind::Kind;
use crate::parser::ast::{Ident, Setting, Show};

/// Rows of an index block where none were asked for.
const INDEX_CAPACITY: u32 = 256;

/// Returns the relation of a SHOW.
pub fn relation(planner: &Planner, show: &Show) -> Result<Relation, SqlError> {
    match show {
        Show::Tables => tables(planner, planner.view()),
        Show::TablesAt(snapshot) => tables(planner, &planner.view_at(snapshot)?),
        Show::Columns(name) => of_table(planner, name, "table_columns"),
        Show::Partitions(name) => of_table(planner, name, "table_partitions"),
        Show::CreateTable(name) => {
            let table = table(planner, name)?;
            rows(planner, vec![("ddl", Kind::Varchar, texts([Some(create_text(&table, planner.is_view(&table)))]))])
        }
        Show::CreateView(name) => {
            let view = planner.view().sql_view(unqualified(&name.name)).ok_or_else(|| no_view(planner.view(), name))?;
            let text = format!("CREATE VIEW '{}' AS ( \n{}\n);", view.name, view.text);
            rows(planner, vec![("ddl", Kind::Varchar, texts([Some(text)]))])
        }
        Show::Parameters => parameters(planner),
        Show::RestoreWindow => {
            planner.scan(functions::table::bind(&Call::new("restore_window", 0, Vec::new()), &planner.tables())?, 0)
        }
        Show::Setting(setting) => {
            let (name, value) = setting_value(*setting);
            let column = match setting {
                Setting::MaxIdentifierLength => (name, Kind::Int, Arc::new(Int32Array::from(vec![63])) as ArrayRef),
                _ => (name, Kind::String, texts([Some(value.to_owned())])),
            };
            rows(planner, vec![column])
        }
    }
}

/// Returns a table, or a view as a table without rows.
fn table(planner: &Planner, name: &Ident) -> Result<TableView, SqlError> {
    let named = unqualified(&name.name);
    match (planner.view().table(named), planner.view().sql_view(named)) {
        (Some(table), _) => Ok(table),
        (None, Some(view)) => planner.shell(view),
        (None, None) => Err(missing_table(name)),
    }
}

fn no_view(read: &ReadView, name: &Ident) -> SqlError {
    match read.table(unqualified(&name.name)) {
        Some(_) => SqlError::new(name.position, "view name expected, got table name"),
        None => SqlError::new(name.position, format!("view does not exist [view={}]", name.name)),
    }
}

fn of_table(planner: &Planner, name: &Ident, function: &str) -> Result<Relation, SqlError> {
    let table = table(planner, name)?;
    let args = vec![Typed::text(table.name().as_str(), name.position)];
    let call = Call::new(function, name.position, args);
    let provider = functions::table::bind(&call, &planner.tables())?;
    planner.scan(provider, name.position)
}

fn texts(values: impl IntoIterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<StringViewArray>())
}

/// Returns a relation that holds these columns.
fn rows(planner: &Planner, columns: Vec<(&str, Kind, ArrayRef)>) -> Result<Relation, SqlError> {
    let fields: Vec<_> = columns.iter().map(|(name, kind, _)| kind.field(name)).collect();
    let schema = Arc::new(ArrowSchema::new(fields));
    let arrays = columns.into_iter().map(|(_, _, array)| array).collect();
    let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(|e| plan_error(e.into()))?;
    let table = MemTable::try_new(schema, vec![vec![batch]]).map_err(plan_error)?;
    planner.scan(Arc::new(table), 0)
}

fn tables(planner: &Planner, view: &ReadView) -> Result<Relation, SqlError> {
    let tables = view.tables().into_iter().map(|table| (table.id(), table.name().clone()));
    let views = view.sql_views().map(|view| (view.id, view.name.clone()));
    let mut all: Vec<_> = tables.chain(views).collect();
    all.sort_by_key(|(id, _)| *id);
    let names = all.into_iter().map(|(_, name)| Some(name.as_str().to_owned()));
    rows(planner, vec![("table_name", Kind::String, texts(names))])
}

fn parameters(planner: &Planner) -> Result<Relation, SqlError> {
    let list = planner.settings.parameters.get();
    let text = |get: fn(&crate::settings::Parameter) -> &str| texts(list.iter().map(|p| Some(get(p).to_owned())));
    let flag = |get: fn(&crate::settings::Parameter) -> bool| {
        Arc::new(BooleanArray::from(list.iter().map(get).collect::<Vec<_>>())) as ArrayRef
    };
    rows(
        planner,
        vec![
            ("property_path", Kind::String, text(|p| &p.path)),
            ("env_var_name", Kind::String, text(|p| &p.env_var)),
            ("value", Kind::String, text(|p| if p.sensitive { "****" } else { &p.value })),
            ("value_source", Kind::String, text(|p| &p.source)),
            ("sensitive", Kind::Boolean, flag(|p| p.sensitive)),
            ("reloadable", Kind::Boolean, flag(|p| p.reloadable)),
        ],
    )
}

/// Returns the statement that makes such a table, in the peer's layout.
fn create_text(table: &TableView, is_view: bool) -> String {
    let schema = table.schema();
    let mut text = format!("CREATE TABLE '{}' ( \n", table.name());
    for (i, column) in schema.columns.iter().enumerate() {
        let end = if i + 1 < schema.columns.len() { ",\n" } else { "\n" };
        let indexed = column.column_type == ColumnType::Symbol && column.indexed;
        let cache = if column.symbol.nocache { " NOCACHE" } else { "" };
        let index = match indexed {
            true => format!(" INDEX CAPACITY {}", column.symbol.index_capacity.unwrap_or(INDEX_CAPACITY)),
            false => String::new(),
        };
        text.push_str(&format!("\t{} {}{cache}{index}{end}", column.name, column.column_type));
    }
    text.push(')');
    if let Some(place) = schema.designated_index() {
        text.push_str(&format!(" timestamp({})", schema.columns[place].name));
        text.push_str(&format!(" PARTITION BY {}", if is_view { "N/A" } else { schema.partition_by.name() }));
        if let Some(ttl) = schema.ttl {
            let (value, unit) = functions::table::ttl_in_units(Some(ttl));
            let plural = if value == 1 { "" } else { "S" };
            text.push_str(&format!(" TTL {value} {unit}{plural}"));
        }
        if !schema.wal {
            text.push_str(" BYPASS WAL");
        }
        let keys: Vec<&str> =
            schema.columns.iter().filter(|c| schema.dedup_keys().contains(&c.id)).map(|c| c.name.as_str()).collect();
        if !keys.is_empty() {
            text.push_str(&format!("\nDEDUP UPSERT KEYS({})", keys.join(",")));
        }
    }
    text.push(';');
    text
}

fn setting_value(setting: Setting) -> (&'static str, &'static str) {
    match setting {
        Setting::ServerVersion => ("server_version", "12.3 (questdb)"),
        Setting::ServerVersionNum => ("server_version_num", "123000"),
        Setting::TransactionIsolation => ("transaction_isolation", "read committed"),
        Setting::MaxIdentifierLength => ("max_identifier_length", "63"),
        Setting::StandardConformingStrings => ("standard_conforming_strings", "on"),
        Setting::SearchPath => ("search_path", "\"$user\", public"),
        Setting::DateStyle => ("DateStyle", "ISO,YMD"),
        Setting::TimeZone => ("TimeZone", "UTC"),
        Setting::DefaultTransactionReadOnly => ("default_transaction_read_only", "off"),
        Setting::TransactionReadOnly => ("transaction_read_only", "off"),
        Setting::ClientEncoding => ("client_encoding", "UTF8"),
        Setting::ServerEncoding => ("server_encoding", "UTF8"),
        Setting::IntegerDatetimes => ("integer_datetimes", "on"),
    }
}
