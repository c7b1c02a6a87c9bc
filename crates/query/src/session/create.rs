//! CREATE TABLE, with columns or from a query.

use futures::StreamExt;
use storage::{NewColumn, NewTable};
use types::{ColumnDef as StoredColumn, ColumnId, ColumnType, PartitionBy, RowBatch, TableName};

use super::Session;
use super::rows::row_batch;
use super::run::{ordered, stream};
use crate::error::SqlError;
use crate::functions;
use crate::kind::Kind;
use crate::outcome::Outcome;
use crate::parser::ast::{ColumnDef, CreateTable, Ident, Query, TableSource};
use crate::parser::check_column_name;
use crate::planner::Ctes;
use crate::planner::parameters::{Param, Parameters};
use crate::planner::relation::{Column, Relation, unqualified};

impl Session {
    pub(super) async fn create(&self, create: CreateTable, params: &[Param]) -> Result<Outcome, SqlError> {
        let name = table_name(&create.name)?;
        if self.database.view().table(name.as_str()).is_some() {
            return match create.if_not_exists {
                true => Ok(Outcome::Ddl),
                false => Err(SqlError::new(create.name.position, "table already exists")),
            };
        }
        match &create.source {
            TableSource::Columns(columns) => {
                let new = new_table(&create, name, columns)?;
                self.make(&create, new, Vec::new()).await?;
                Ok(Outcome::Ddl)
            }
            TableSource::Query { query, casts } => {
                let rows = self.create_as(&create, name, query, casts, params).await?;
                Ok(Outcome::CreateAs { rows })
            }
        }
    }

    async fn make(&self, create: &CreateTable, new: NewTable, batches: Vec<RowBatch>) -> Result<(), SqlError> {
        let made = self
            .blocking(move |database| match database.create_table_with_rows(new, |_| Ok(batches)) {
                Err(storage::Error::Exists(_)) => Ok(false),
                other => other.map(|_| true),
            })
            .await?;
        if made || create.if_not_exists {
            return Ok(());
        }
        Err(SqlError::new(create.name.position, "table already exists"))
    }

    async fn create_as(
        &self,
        create: &CreateTable,
        name: TableName,
        query: &Query,
        casts: &[ColumnDef],
        params: &[Param],
    ) -> Result<u64, SqlError> {
        let moment = self.moment();
        let (relation, new) = {
            let planner = self.planner(&moment, Parameters::bound(params));
            let relation = ordered(planner.query(query, Ctes::NONE)?)?;
            let relation = cast_columns(relation, casts)?;
            let new = table_of_query(create, name, &relation)?;
            (relation, new)
        };
        let targets: Vec<StoredColumn> = new.columns.iter().enumerate().map(stored_column).collect();
        let targets: Vec<&StoredColumn> = targets.iter().collect();
        let mut stream = stream(&self.state, &relation.plan).await?;
        let (mut batches, mut rows) = (Vec::new(), 0u64);
        while let Some(batch) = stream.next().await {
            let batch = row_batch(&batch.map_err(|e| SqlError::from_datafusion(&e))?, &targets)?;
            rows += batch.rows() as u64;
            batches.push(batch);
        }
        self.make(create, new, batches).await?;
        Ok(rows)
    }
}

/// Returns a table's checked name.
pub fn table_name(ident: &Ident) -> Result<TableName, SqlError> {
    let name = unqualified(&ident.name);
    if let Some(bad) = name.chars().find(|c| matches!(c, '/' | '\\')) {
        let quoted = ident.position + 1;
        return Err(SqlError::new(quoted, format!("'{bad}' is not allowed")));
    }
    if name.contains("..") {
        return Err(SqlError::new(ident.position, "'..' is not allowed"));
    }
    TableName::new(name).map_err(|_| {
        SqlError::new(ident.position, format!("Could not create table, invalid table name [table={name}]"))
    })
}

/// Returns the storable type of a name in DDL.
pub fn column_type(written: &Ident) -> Result<ColumnType, SqlError> {
    let name = match written.name.to_ascii_lowercase().as_str() {
        "integer" => "int",
        "bigint" => "long",
        "smallint" => "short",
        "text" => "string",
        "bytea" => "binary",
        _ => &written.name,
    };
    ColumnType::from_name(name)
        .ok_or_else(|| SqlError::new(written.position, format!("unsupported column type: {}", written.name)))
}

fn stored_column((place, column): (usize, &NewColumn)) -> StoredColumn {
    let id = ColumnId(place as u32);
    StoredColumn { indexed: column.indexed, ..StoredColumn::new(id, &column.name, column.column_type) }
}

fn new_table(create: &CreateTable, name: TableName, columns: &[ColumnDef]) -> Result<NewTable, SqlError> {
    let mut made = Vec::new();
    for column in columns {
        let column_type = column_type(&column.type_name)?;
        let name = column.name.name.clone();
        made.push(NewColumn { indexed: column.indexed, ..NewColumn::new(&name, column_type) });
    }
    index(create, &mut made)?;
    let designated = match &create.timestamp {
        Some(name) => Some(designated(&made, name, "invalid designated timestamp column")?),
        None => None,
    };
    Ok(finish(create, name, made, designated))
}

fn finish(create: &CreateTable, name: TableName, columns: Vec<NewColumn>, designated: Option<usize>) -> NewTable {
    let unit = create.partition_by.as_ref().and_then(|unit| partition_unit(&unit.name));
    let partition_by = unit.unwrap_or(PartitionBy::None);
    let wal = create.wal.unwrap_or(partition_by != PartitionBy::None);
    NewTable { wal, ..NewTable::new(name, columns, designated, partition_by) }
}

fn partition_unit(name: &str) -> Option<PartitionBy> {
    let long = match name.to_ascii_lowercase().as_str() {
        "h" => "HOUR",
        "d" => "DAY",
        "w" => "WEEK",
        "m" => "MONTH",
        "y" => "YEAR",
        _ => return PartitionBy::from_name(&name.to_ascii_uppercase()),
    };
    PartitionBy::from_name(long)
}

fn designated(columns: &[NewColumn], name: &Ident, missing: &str) -> Result<usize, SqlError> {
    let folded = name.name.to_lowercase();
    let found = columns.iter().position(|c| c.name.to_lowercase() == folded);
    let place = found.ok_or_else(|| SqlError::new(name.position, format!("{missing} [name={}]", name.name)))?;
    let column = &columns[place];
    if column.column_type != ColumnType::Timestamp {
        let message = format!("TIMESTAMP column expected [actual={}, columnName={}]", column.column_type, column.name);
        return Err(SqlError::new(name.position, message));
    }
    Ok(place)
}

/// Marks the columns of INDEX clauses.
fn index(create: &CreateTable, columns: &mut [NewColumn]) -> Result<(), SqlError> {
    for name in &create.indexed {
        let folded = name.name.to_lowercase();
        let column = columns.iter_mut().find(|c| c.name.to_lowercase() == folded);
        let column = column.ok_or_else(|| SqlError::new(name.position, format!("Invalid column: {}", name.name)))?;
        if column.column_type != ColumnType::Symbol {
            let message = format!(
                "indexes are supported only for SYMBOL columns [columnName={}, columnType={}]",
                column.name, column.column_type
            );
            return Err(SqlError::new(name.position, message));
        }
        column.indexed = true;
    }
    Ok(())
}

/// Returns the query's relation with the CASTs of the statement done.
fn cast_columns(relation: Relation, casts: &[ColumnDef]) -> Result<Relation, SqlError> {
    if casts.is_empty() {
        return Ok(relation);
    }
    let mut columns = relation.columns.clone();
    let mut exprs: Vec<_> = columns.iter().map(Column::expr).collect();
    for cast in casts {
        let folded = cast.name.name.to_lowercase();
        let missing =
            || SqlError::new(cast.name.position, format!("CAST column doesn't exist [column={}]", cast.name.name));
        let place = columns.iter().position(|c| c.name.to_lowercase() == folded).ok_or_else(missing)?;
        let kind = Kind::from(column_type(&cast.type_name)?);
        let text = |k: Kind| matches!(k, Kind::String | Kind::Symbol | Kind::Varchar | Kind::Char);
        let from = columns[place].kind;
        if text(from) != text(kind) {
            let message = format!("unsupported cast [column={}, from={from}, to={kind}]", cast.name.name);
            return Err(SqlError::new(cast.type_name.position, message));
        }
        let typed = columns[place].typed(cast.name.position);
        exprs[place] = functions::cast::explicit(typed, kind, cast.name.position)?.expr.alias(&columns[place].field);
        columns[place].kind = kind;
    }
    let plan = datafusion::logical_expr::LogicalPlanBuilder::from(relation.plan.clone())
        .project(exprs)
        .and_then(|b| b.build())
        .map_err(|e| SqlError::from_datafusion(&e))?;
    Ok(Relation { plan, columns, ..relation })
}

fn table_of_query(create: &CreateTable, name: TableName, relation: &Relation) -> Result<NewTable, SqlError> {
    let mut columns = Vec::new();
    for (place, column) in relation.columns.iter().enumerate() {
        let ident = Ident { name: column.name.clone(), position: create.name.position };
        check_column_name(&ident).map_err(|_| {
            let message = format!("invalid column name [name={}, position={place}]", column.name);
            SqlError::new(create.name.position, message)
        })?;
        if column.kind == Kind::Null {
            let message = "cannot create NULL-type column, please use type cast, e.g. x::type";
            return Err(SqlError::new(create.name.position, message));
        }
        let column_type = ColumnType::from_name(column.kind.name()).ok_or_else(|| {
            let message = format!("unsupported column type: {}; cast column {}", column.kind, column.name);
            SqlError::new(create.name.position, message)
        })?;
        columns.push(NewColumn::new(&column.name, column_type));
    }
    index(create, &mut columns)?;
    let designated = match &create.timestamp {
        Some(name) => Some(designated(&columns, name, "designated timestamp column doesn't exist")?),
        None => relation.time.filter(|_| relation.ascending),
    };
    if let (Some(unit), None) = (&create.partition_by, designated) {
        let message = "partitioning is possible only on tables with designated timestamps";
        return Err(SqlError::new(unit.position, message));
    }
    Ok(finish(create, name, columns, designated))
}
