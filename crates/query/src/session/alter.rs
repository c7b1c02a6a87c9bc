//! DROP, TRUNCATE, RENAME, ALTER: changes of tables and partitions.

use arrow::array::{AsArray, RecordBatch, TimestampMicrosecondArray};
use datafusion::common::DFSchema;
use storage::{NewColumn, TableView};
use types::{PartitionBy, PartitionKey, TimestampUs};

use super::Session;
use super::create::{column_type, table_name};
use crate::error::SqlError;
use crate::kind::Kind;
use crate::outcome::Outcome;
use crate::parser::ast::{Alter, AlterAction, ColumnDef, Expr as Tree, Ident, Statement};
use crate::planner::parameters::Parameters;
use crate::planner::relation::{Column, unqualified};
use crate::planner::scope::Scope;

impl Session {
    pub(super) async fn change_tables(&mut self, statement: Statement) -> Result<Outcome, SqlError> {
        match statement {
            Statement::DropTable { names, if_exists } => {
                for table in self.tables_named(&names, if_exists)? {
                    self.blocking(move |database| gone_is_fine(database.drop_table(table.id()))).await?;
                }
            }
            Statement::DropAll => {
                for table in self.database.view().tables() {
                    self.blocking(move |database| gone_is_fine(database.drop_table(table.id()))).await?;
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
                Err(_) if if_exists => {}
                Err(error) => return Err(error),
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
        match alter.action {
            AlterAction::AddColumns { columns, if_not_exists } => {
                self.add_columns(&table, columns, if_not_exists).await
            }
            AlterAction::DropColumns(names) => self.drop_columns(&table, names).await,
            AlterAction::RenameColumns(pairs) => self.rename_columns(&table, pairs).await,
            AlterAction::DropPartitionList { names, position } => {
                self.drop_partition_list(&table, &names, position).await
            }
            AlterAction::DropPartitionWhere { filter, position } => {
                self.drop_partition_where(&table, &filter, position).await
            }
            AlterAction::TuneColumn(name) => column_place(&table, &name).map(drop),
            AlterAction::TuneTable => Ok(()),
        }
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
                None => new.push(NewColumn { indexed: column.indexed, ..NewColumn::new(&column.name.name, wanted) }),
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
        let id = table.id();
        self.blocking(move |database| new.into_iter().try_for_each(|column| database.add_column(id, column).map(drop)))
            .await
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
        let id = table.id();
        self.blocking(move |database| names.iter().try_for_each(|name| database.drop_column(id, &name.name))).await
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
        let id = table.id();
        self.blocking(move |database| {
            pairs.iter().try_for_each(|(from, to)| database.rename_column(id, &from.name, &to.name))
        })
        .await
    }

    async fn drop_partition_list(&self, table: &TableView, names: &[Ident], position: usize) -> Result<(), SqlError> {
        let unit = partitioned(table, position)?;
        let present = partitions(table)?;
        let mut keys = Vec::new();
        for name in names {
            let key = unit.parse_partition_name(&name.name).map_err(|_| {
                let message = format!("'{}' expected, found [ts={}]", name_format(unit), name.name);
                SqlError::new(name.position, message)
            })?;
            if present.contains(&key) {
                keys.push(key);
            } else if !table.schema().wal {
                let start = TimestampUs(unit.range(key).start_us);
                let message = format!(
                    "could not remove partition [table={}, partitionTimestamp={start}, partitionBy={}]",
                    table.name(),
                    unit.name()
                );
                return Err(SqlError::new(name.position, message));
            }
        }
        self.drop_partitions(table, keys).await
    }

    async fn drop_partition_where(&self, table: &TableView, filter: &Tree, position: usize) -> Result<(), SqlError> {
        let unit = partitioned(table, position)?;
        let place = table.schema().designated_index().expect("a partitioned table has a designated timestamp");
        let present = partitions(table)?;
        let starts: Vec<i64> = present.iter().map(|key| unit.range(*key).start_us).collect();
        let chosen = self.chosen(&table.schema().columns[place].name, filter, starts)?;
        let keys: Vec<PartitionKey> = present.into_iter().zip(chosen).filter(|(_, c)| *c).map(|(key, _)| key).collect();
        if keys.is_empty() && !table.schema().wal {
            return Err(SqlError::new(filter.position, "no partitions matched WHERE clause"));
        }
        self.drop_partitions(table, keys).await
    }

    /// Returns for each partition start whether the filter on the designated timestamp lets it through.
    fn chosen(&self, time: &str, filter: &Tree, starts: Vec<i64>) -> Result<Vec<bool>, SqlError> {
        let moment = self.moment();
        let planner = self.planner(&moment, Parameters::bound(&[]));
        let field = Kind::Timestamp.field("time").with_nullable(false);
        let columns = [Column {
            table: None,
            name: time.to_owned(),
            kind: Kind::Timestamp,
            field: "time".to_owned(),
            visible: true,
        }];
        let scope = Scope { columns: &columns, time: Some(0), ..Scope::constants(&planner) };
        let test = scope.condition(filter)?;
        let evaluate = || {
            let schema = std::sync::Arc::new(arrow::datatypes::Schema::new(vec![field]));
            let array = std::sync::Arc::new(TimestampMicrosecondArray::from(starts));
            let batch = RecordBatch::try_new(schema.clone(), vec![array])?;
            let physical = self.state.create_physical_expr(test, &DFSchema::try_from(schema)?)?;
            physical.evaluate(&batch)?.into_array(batch.num_rows())
        };
        let found = evaluate().map_err(|e| SqlError::from_datafusion(&e))?;
        Ok(found.as_boolean().iter().map(|b| b == Some(true)).collect())
    }

    async fn drop_partitions(&self, table: &TableView, keys: Vec<PartitionKey>) -> Result<(), SqlError> {
        let id = table.id();
        if keys.is_empty() {
            return Ok(());
        }
        self.blocking(move |database| database.drop_partitions(id, &keys)).await
    }
}

fn gone_is_fine(result: storage::Result<()>) -> storage::Result<()> {
    match result {
        Err(storage::Error::NotFound(_)) => Ok(()),
        other => other,
    }
}

fn column_place(table: &TableView, name: &Ident) -> Result<usize, SqlError> {
    let found = table.schema().index_of(&name.name);
    found.ok_or_else(|| SqlError::new(name.position, format!("Invalid column: {}", name.name)))
}

fn partitioned(table: &TableView, position: usize) -> Result<PartitionBy, SqlError> {
    match table.schema().partition_by {
        PartitionBy::None => Err(SqlError::new(position, "table is not partitioned")),
        unit => Ok(unit),
    }
}

fn partitions(table: &TableView) -> Result<Vec<PartitionKey>, SqlError> {
    let list = table.partitions().map_err(|e| SqlError::from_storage(&e))?;
    Ok(list.into_iter().map(|p| p.key).collect())
}

fn name_format(unit: PartitionBy) -> &'static str {
    match unit {
        PartitionBy::Hour => "yyyy-MM-ddTHH",
        PartitionBy::Week => "YYYY-Www",
        PartitionBy::Month => "yyyy-MM",
        PartitionBy::Year => "yyyy",
        _ => "yyyy-MM-dd",
    }
}
