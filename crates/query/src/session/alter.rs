//! DROP, TRUNCATE, RENAME, ALTER: changes of whole tables and their columns. Next: [`super::partitions`].

use storage::{ColumnChange, NewColumn, TableView};
use types::ColumnType;

use super::Session;
use super::create::{column_type, table_name, ttl_that_fits, upsert_keys};
use super::view::NO_TABLE;
use crate::error::SqlError;
use crate::outcome::Outcome;
use crate::parser::ast::{Alter, AlterAction, ColumnDef, Ident, Statement, TableParameters};
use crate::planner::relation::unqualified;

impl Session {
    pub(super) async fn change_tables(&mut self, statement: Statement) -> Result<Outcome, SqlError> {
        match statement {
            Statement::DropTable { names, if_exists } => {
                let view = self.database.view();
                if let Some(name) = names.iter().find(|name| view.sql_view(unqualified(&name.name)).is_some()) {
                    return Err(SqlError::new(name.position, NO_TABLE));
                }
                for table in self.tables_named(&names, if_exists)? {
                    self.blocking(move |database| gone_is_fine(database.drop_table(table.id()))).await?;
                }
            }
            Statement::DropAll => {
                let view = self.database.view();
                for table in view.tables() {
                    self.blocking(move |database| gone_is_fine(database.drop_table(table.id()))).await?;
                }
                for name in view.sql_views().map(|view| view.name.clone()) {
                    self.blocking(move |database| gone_is_fine(database.drop_view(&name))).await?;
                }
            }
            Statement::Truncate { names, if_exists } => {
                for table in self.tables_named(&names, if_exists)? {
                    self.blocking(move |database| database.truncate(table.id())).await?;
                }
            }
            Statement::Rename { from, to } => self.rename(&from, &to).await?,
            Statement::Alter(alter) => self.alter(alter).await?,
            _ => return Err(SqlError::internal("a statement reached the wrong place")),
        }
        Ok(Outcome::Ddl)
    }

    fn tables_named(&self, names: &[Ident], if_exists: bool) -> Result<Vec<TableView>, SqlError> {
        let mut tables = Vec::new();
        for name in names {
            match self.table(name) {
                Ok(table) => tables.push(table),
                Err(error) if !if_exists || self.is_view(name) => return Err(error),
                Err(_) => {}
            }
        }
        Ok(tables)
    }

    async fn rename(&self, from: &Ident, to: &Ident) -> Result<(), SqlError> {
        let table = self.table(from)?;
        let name = table_name(to)?;
        let target = name.clone();
        let id = table.id();
        let renamed = self
            .blocking(move |database| match database.rename_table(id, &target) {
                Err(storage::Error::Exists(_)) => Ok(false),
                other => other.map(|()| true),
            })
            .await?;
        if renamed {
            return Ok(());
        }
        let message = match table.schema().wal {
            true => format!(
                "cannot rename table, new name is already in use [table={}, toTableName={}]",
                unqualified(&from.name),
                name
            ),
            false => "Rename target exists".to_owned(),
        };
        Err(SqlError::new(0, message))
    }

    async fn alter(&self, alter: Alter) -> Result<(), SqlError> {
        let table = self.table(&alter.table)?;
        let id = table.id();
        match alter.action {
            AlterAction::AddColumns { columns, if_not_exists } => {
                self.add_columns(&table, columns, if_not_exists).await
            }
            AlterAction::DropColumns(names) => self.drop_columns(&table, names).await,
            AlterAction::RenameColumns(pairs) => self.rename_columns(&table, pairs).await,
            AlterAction::Partitions { action, chosen, position } => {
                self.alter_partitions(&table, action, &chosen, position).await
            }
            AlterAction::ColumnType { column, definition } => {
                let place = column_place(&table, &column)?;
                self.retype(&table, place, &column, &definition).await
            }
            AlterAction::Index { .. } | AlterAction::Cache { .. } | AlterAction::SymbolCapacity { .. } => {
                self.tune_column(&table, alter.table.position, alter.action).await
            }
            AlterAction::Dedup(keys) => self.set_dedup(&table, keys).await,
            AlterAction::Ttl(clause) => {
                let ttl = ttl_that_fits(clause, table.schema().partition_by)?;
                self.blocking(move |database| database.set_ttl(id, ttl)).await
            }
            AlterAction::Parameter(TableParameters { max_uncommitted_rows, o3_max_lag_us }) => {
                self.blocking(move |database| database.set_params(id, max_uncommitted_rows, o3_max_lag_us)).await
            }
            // The peer changes it at its next start; here the word has no effect.
            AlterAction::WalType(_) | AlterAction::Upkeep => Ok(()),
            AlterAction::Refused { message, position } => Err(SqlError::new(position, message)),
        }
    }

    async fn tune_column(&self, table: &TableView, position: usize, action: AlterAction) -> Result<(), SqlError> {
        let (name, refusal) = match &action {
            AlterAction::Index { column, .. } => (column, "indexes are only supported for symbol type"),
            AlterAction::Cache { column, .. } => (column, "cache is only supported for symbol type"),
            AlterAction::SymbolCapacity { column, .. } => (column, ""),
            _ => return Err(SqlError::internal("a statement reached the wrong place")),
        };
        let column = &table.schema().columns[column_place(table, name)?];
        if column.column_type != ColumnType::Symbol {
            let message = match refusal {
                "" => format!("column '{}' is not of symbol type", name.name),
                _ => format!("{refusal} [column={}, type={}]", name.name, column.column_type),
            };
            return Err(SqlError::new(name.position, message));
        }
        let (mut options, is_indexed) = (column.symbol, column.indexed);
        // the peer finds out behind the answer where the table has a write-ahead log
        let is_told = !table.schema().wal;
        let mut changes = Vec::new();
        let column = column.name.clone();
        match action {
            AlterAction::Index { on: true, .. } if is_indexed && is_told => {
                let message = format!("column is already indexed [column={column}]");
                return Err(SqlError::new(position, message));
            }
            AlterAction::Index { column: named, on: false, .. } if !is_indexed && is_told => {
                return Err(SqlError::new(named.position, format!("column is not indexed [column={column}]")));
            }
            AlterAction::Index { on, capacity, .. } => {
                options.index_capacity = capacity.filter(|_| on);
                changes.push(ColumnChange::Index { column: column.clone(), indexed: on });
            }
            AlterAction::Cache { on, .. } => options.nocache = !on,
            AlterAction::SymbolCapacity { capacity, .. } => options.capacity = Some(capacity),
            _ => {}
        }
        changes.push(ColumnChange::Symbol { column, options });
        self.change_columns(table, changes).await
    }

    async fn set_dedup(&self, table: &TableView, keys: Option<Vec<Ident>>) -> Result<(), SqlError> {
        let (id, schema) = (table.id(), table.schema());
        let Some(keys) = keys else {
            return self.blocking(move |database| database.set_dedup(id, None)).await;
        };
        if !schema.wal {
            return Err(SqlError::new(0, "deduplication is only supported for WAL tables"));
        }
        let columns: Vec<(&str, ColumnType)> =
            schema.columns.iter().map(|c| (c.name.as_str(), c.column_type)).collect();
        let places = upsert_keys(&keys, &columns, schema.designated_index(), false)?;
        let names: Vec<String> = places.into_iter().map(|place| schema.columns[place].name.clone()).collect();
        self.blocking(move |database| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            database.set_dedup(id, Some(&names))
        })
        .await
    }

    /// Makes all changes of a statement as one commit.
    async fn change_columns(&self, table: &TableView, changes: Vec<ColumnChange>) -> Result<(), SqlError> {
        let id = table.id();
        if changes.is_empty() {
            return Ok(());
        }
        self.blocking(move |database| database.alter_columns(id, &changes)).await
    }

    async fn add_columns(
        &self,
        table: &TableView,
        columns: Vec<ColumnDef>,
        if_not_exists: bool,
    ) -> Result<(), SqlError> {
        let mut new = Vec::new();
        for column in columns {
            let wanted = column_type(&column.type_name)?;
            let position = column.name.position;
            match table.schema().column(&column.name.name) {
                None => new.push(ColumnChange::Add(NewColumn {
                    indexed: column.indexed,
                    symbol: column.symbol,
                    ..NewColumn::new(&column.name.name, wanted)
                })),
                Some(known) if if_not_exists && known.column_type == wanted => {}
                Some(known) if if_not_exists => {
                    let message = format!(
                        "column already exists with a different column type [current type={}, requested type={wanted}]",
                        known.column_type
                    );
                    return Err(SqlError::new(column.type_name.position, message));
                }
                Some(_) => {
                    let message = format!("column '{}' already exists", column.name.name);
                    return Err(SqlError::new(position, message));
                }
            }
        }
        self.change_columns(table, new).await
    }

    async fn drop_columns(&self, table: &TableView, names: Vec<Ident>) -> Result<(), SqlError> {
        for name in &names {
            let place = column_place(table, name)?;
            if table.schema().designated_index() == Some(place) {
                let column = &table.schema().columns[place].name;
                let message =
                    format!("cannot remove designated timestamp column [table={}, column={column}]", table.name());
                return Err(SqlError::new(0, message));
            }
        }
        self.change_columns(table, names.into_iter().map(|name| ColumnChange::Drop(name.name)).collect()).await
    }

    async fn rename_columns(&self, table: &TableView, pairs: Vec<(Ident, Ident)>) -> Result<(), SqlError> {
        for (from, to) in &pairs {
            let place = column_place(table, from)?;
            if table.schema().designated_index() == Some(place) {
                let column = &table.schema().columns[place].name;
                let message =
                    format!("cannot rename designated timestamp column [table={}, column={column}]", table.name());
                return Err(SqlError::new(0, message));
            }
            if table.schema().index_of(&to.name).is_some_and(|other| other != place) {
                return Err(SqlError::new(to.position, " column already exists"));
            }
        }
        let rename = |(from, to): (Ident, Ident)| ColumnChange::Rename { from: from.name, to: to.name };
        self.change_columns(table, pairs.into_iter().map(rename).collect()).await
    }
}

fn gone_is_fine(result: storage::Result<()>) -> storage::Result<()> {
    match result {
        Err(storage::Error::NotFound(_)) => Ok(()),
        other => other,
    }
}

/// Returns the place of a column in a table.
pub(super) fn column_place(table: &TableView, name: &Ident) -> Result<usize, SqlError> {
    let found = table.schema().index_of(&name.name);
    found.ok_or_else(|| SqlError::new(name.position, format!("Invalid column: {}", name.name)))
}
