//! Table functions: calls that stand where a table may stand.
//!
//! [`rows`] makes small tables in memory; [`sequences`] generates rows as they are asked for; [`meta`] answers what the
//! database knows of its tables and snapshots, [`listing`] which functions there are. Relations of PostgreSQL's catalogue: [`super::catalog`].

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use storage::{Database, ReadView, TableView};

use super::typed::Call;
use super::{Environment, catalog};
use crate::error::SqlError;
use crate::planner::Planner;

mod listing;
pub(super) mod meta;
pub mod rows;
mod sequences;

pub use meta::ttl_in_units;

/// What table functions may look at: one read view of one database.
pub struct Tables<'a> {
    /// Plans views.
    pub planner: &'a Planner<'a>,
    pub database: &'a Arc<Database>,
    pub view: &'a ReadView,
    pub environment: &'a Environment,
}

/// Returns whether a table function of that name exists, in any case.
pub fn is_table_function(name: &str) -> bool {
    find(&name.to_ascii_lowercase()).is_some() || catalog::names(&name.to_ascii_lowercase())
}

type Bind = fn(&Call, &Tables) -> Result<Arc<dyn TableProvider>, SqlError>;

fn find(name: &str) -> Option<Bind> {
    Some(match name {
        "long_sequence" => sequences::long_sequence,
        "generate_series" => sequences::generate_series,
        "tables" => meta::tables,
        "all_tables" => meta::all_tables,
        "table_columns" => meta::table_columns,
        "table_partitions" => meta::table_partitions,
        "table_storage" => meta::table_storage,
        "wal_tables" => meta::wal_tables,
        "checkpoint_status" => meta::checkpoint_status,
        "snapshots" => meta::snapshots,
        "restore_window" => meta::restore_window,
        "dropped_tables" => meta::dropped_tables,
        "query_activity" => meta::query_activity,
        "materialized_views" => meta::materialized_views,
        "views" => meta::views,
        "keywords" => meta::keywords,
        "functions" => listing::functions,
        "reader_pool" => meta::reader_pool,
        "writer_pool" => meta::writer_pool,
        _ => return None,
    })
}

/// Binds a call of a table function; relations of the catalogue may be called as well.
pub fn bind(call: &Call, tables: &Tables) -> Result<Arc<dyn TableProvider>, SqlError> {
    let name = call.name.to_ascii_lowercase();
    if let Some(bind) = find(&name) {
        return bind(call, tables);
    }
    let (schema, relation) = name.split_once('.').unwrap_or(("", &name));
    catalog::relation(schema, relation, tables).ok_or_else(|| {
        let message = format!("unknown function name: {}({})", call.name, call.kinds(","));
        SqlError::new(call.position, message)
    })
}

impl Tables<'_> {
    /// Returns all tables, and the views as tables without rows.
    pub fn all(&self) -> Vec<TableView> {
        self.planner.tables_and_shells()
    }
}

/// Returns the table that the first argument names.
fn named_table(call: &Call, tables: &Tables) -> Result<TableView, SqlError> {
    let [name] = call.args.as_slice() else { return Err(call.no_match()) };
    let Some(text) = name.as_text() else { return Err(call.no_match()) };
    let missing = || SqlError::new(name.position, format!("table does not exist [table={text}]"));
    match (tables.view.table(text), tables.view.sql_view(text)) {
        (Some(table), _) => Ok(table),
        (None, Some(view)) => tables.planner.shell(view),
        (None, None) => Err(missing()),
    }
}

/// Returns the error of a storage call as a statement's.
fn storage_error(error: storage::Error) -> SqlError {
    SqlError { kind: crate::error::SqlErrorKind::Unavailable, ..SqlError::new(0, error.to_string()) }
}

#[cfg(test)]
mod tests;
