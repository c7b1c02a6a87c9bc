//! CREATE TABLE, with columns, from a query or like another table.

use storage::{Database, NewColumn, NewTable};
use types::{ColumnDef as StoredColumn, ColumnId, ColumnType, PartitionBy, Schema, SymbolOptions, TableName, Ttl};

use super::Session;
use super::alter::column_place;
use crate::error::SqlError;
use crate::functions;
use crate::kind::{self, Kind};
use crate::outcome::Outcome;
use crate::parser::ast::{ColumnDef, CreateIndex, CreateTable, Ident, TableSource, TtlClause};
use crate::parser::check_column_name;
use crate::planner::parameters::Param;
use crate::planner::relation::{Column, Relation, unqualified};

impl Session {
    pub(super) async fn create(&self, create: CreateTable, params: &[Param]) -> Result<Outcome, SqlError> {
        if let Some(first) = create.unkept.first().filter(|_| !self.over_postgres) {
            return Err(first.refusal.clone());
        }
        let name = table_name(&create.name)?;
        if self.database.view().sql_view(name.as_str()).is_some() {
            let message = "view or materialized view with the requested name already exists";
            return Err(SqlError::new(create.name.position, message));
        }
        if self.database.view().table(name.as_str()).is_some() {
            return match create.if_not_exists {
                true => Ok(Outcome::Ddl),
                false => Err(SqlError::new(create.name.position, "table already exists")),
            };
        }
        match &create.source {
            TableSource::Columns(columns) => {
                let new = new_table(&create, name, columns)?;
                self.make(&create, move |database| database.create_table(new).map(drop)).await?;
                Ok(match create.unkept.is_empty() {
                    true => Outcome::Ddl,
                    false => Outcome::Noticed(unkept(create.unkept.iter().map(|unkept| unkept.rule).collect())),
                })
            }
            TableSource::Query { query, casts } => {
                let rows = self.create_as(&create, name, query, casts, params).await?;
                Ok(Outcome::CreateAs { rows })
            }
            TableSource::Like(other) => {
                let mut new = like(name, self.table_or_shell(other)?.schema());
                if self.is_view(other) {
                    new.columns.iter_mut().for_each(|column| column.symbol = SymbolOptions::default());
                }
                self.make(&create, move |database| database.create_table(new).map(drop)).await?;
                Ok(Outcome::Ddl)
            }
        }
    }

    pub(super) fn create_index(&self, index: &CreateIndex) -> Result<Outcome, SqlError> {
        if !self.over_postgres {
            return Err(index.refusal.clone());
        }
        let table = self.table(&index.table)?;
        for column in &index.columns {
            column_place(&table, column)?;
        }
        let mut notice = "no index is made: none is needed to find rows".to_owned();
        if index.unique {
            notice = format!("{notice}; {}", unkept(vec!["UNIQUE"]));
        }
        Ok(Outcome::Noticed(notice))
    }

    /// Makes the table, unless another one has taken its name by then.
    pub(super) async fn make(
        &self,
        create: &CreateTable,
        make: impl FnOnce(&Database) -> storage::Result<()> + Send + 'static,
    ) -> Result<(), SqlError> {
        let made = self
            .blocking(move |database| match make(database) {
                Err(storage::Error::Exists(_)) => Ok(false),
                other => other.map(|()| true),
            })
            .await?;
        if made || create.if_not_exists {
            return Ok(());
        }
        Err(SqlError::new(create.name.position, "table already exists"))
    }
}

/// Returns what a client should know of the rules that it gave.
fn unkept(mut rules: Vec<&str>) -> String {
    rules.sort_unstable();
    rules.dedup();
    let rules = rules.join(", ");
    format!(
        "{rules}: known, not kept to; rows that break it are stored (DEDUP UPSERT KEYS replaces rows with equal keys)"
    )
}

/// Returns a table's checked name.
pub fn table_name(ident: &Ident) -> Result<TableName, SqlError> {
    let name = unqualified(&ident.name);
    if let Some((at, bad)) = name.char_indices().find(|(_, c)| matches!(c, '/' | '\\')) {
        let before = name[..at].encode_utf16().count();
        return Err(SqlError::new(ident.position + before, format!("'{bad}' is not allowed")));
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
    let lower = written.name.to_ascii_lowercase();
    let numeric = kind::decimal_of_numeric(&lower);
    let name = match lower.as_str() {
        "integer" | "int4" => "int",
        "bigint" | "int8" => "long",
        "smallint" | "int2" => "short",
        "float4" => "float",
        "float8" => "double",
        "bool" => "boolean",
        "timestamptz" => "timestamp",
        "text" => "string",
        "bytea" => "binary",
        "serial" | "bigserial" | "smallserial" => {
            let message = "no numbers are made here as SERIAL does: declare an INT or a LONG and give its values";
            return Err(SqlError::new(written.position, message));
        }
        "numeric" => {
            let message = "NUMERIC needs its digits here: NUMERIC(precision, scale)";
            return Err(SqlError::new(written.position, message));
        }
        _ => numeric.as_deref().unwrap_or(&written.name),
    };
    if let Some(element) = name.strip_suffix("[]")
        && ColumnType::from_name(name).is_none()
    {
        let element = element.trim_end_matches("[]").to_ascii_uppercase();
        let message = format!("unsupported array element type [type={element}]");
        return Err(SqlError::new(written.position, message));
    }
    ColumnType::from_name(name)
        .ok_or_else(|| SqlError::new(written.position, format!("unsupported column type: {}", written.name)))
}

pub(super) fn stored_column((place, column): (usize, &NewColumn)) -> StoredColumn {
    let id = ColumnId(place as u32);
    StoredColumn { indexed: column.indexed, ..StoredColumn::new(id, &column.name, column.column_type) }
}

fn new_table(create: &CreateTable, name: TableName, columns: &[ColumnDef]) -> Result<NewTable, SqlError> {
    let mut made = Vec::new();
    for column in columns {
        let column_type = column_type(&column.type_name)?;
        let name = column.name.name.clone();
        made.push(NewColumn { indexed: column.indexed, symbol: column.symbol, ..NewColumn::new(&name, column_type) });
    }
    index(create, &mut made)?;
    let designated = match &create.timestamp {
        Some(name) => Some(designated(&made, name, "invalid designated timestamp column")?),
        None => None,
    };
    finish(create, name, made, designated)
}

fn finish(
    create: &CreateTable,
    name: TableName,
    columns: Vec<NewColumn>,
    designated: Option<usize>,
) -> Result<NewTable, SqlError> {
    let unit = create.partition_by.as_ref().and_then(|unit| partition_unit(&unit.name));
    let partition_by = unit.unwrap_or(PartitionBy::None);
    let ttl = create.ttl.map(|clause| ttl_that_fits(clause, partition_by)).transpose()?.flatten();
    let dedup_keys = match &create.dedup {
        Some(keys) => {
            let names: Vec<(&str, ColumnType)> = columns.iter().map(|c| (c.name.as_str(), c.column_type)).collect();
            upsert_keys(keys, &names, designated, true)?
        }
        None => Vec::new(),
    };
    Ok(NewTable {
        wal: create.is_wal(),
        ttl,
        dedup_keys,
        max_uncommitted_rows: create.parameters.max_uncommitted_rows,
        o3_max_lag_us: create.parameters.o3_max_lag_us,
        ..NewTable::new(name, columns, designated, partition_by)
    })
}

/// Returns a table with the columns and settings of another one.
fn like(name: TableName, schema: &Schema) -> NewTable {
    let column =
        |c: &StoredColumn| NewColumn { indexed: c.indexed, symbol: c.symbol, ..NewColumn::new(&c.name, c.column_type) };
    let columns: Vec<NewColumn> = schema.columns.iter().map(column).collect();
    let is_key = |c: &StoredColumn| schema.dedup_keys().contains(&c.id);
    NewTable {
        wal: schema.wal,
        ttl: schema.ttl,
        dedup_keys: (0..columns.len()).filter(|i| is_key(&schema.columns[*i])).collect(),
        max_uncommitted_rows: schema.max_uncommitted_rows,
        o3_max_lag_us: schema.o3_max_lag_us,
        ..NewTable::new(name, columns, schema.designated_index(), schema.partition_by)
    }
}

/// Returns the TTL of a clause.
///
/// # Errors
/// A TTL that is no whole number of partitions; any for a table without partitions.
pub fn ttl_that_fits(clause: TtlClause, partition_by: PartitionBy) -> Result<Option<Ttl>, SqlError> {
    let fits = match (partition_by, clause.ttl) {
        (PartitionBy::None, _) => {
            return Err(SqlError::new(clause.position, "cannot set TTL on a non-partitioned table"));
        }
        (_, None) | (PartitionBy::Hour, _) | (PartitionBy::Day | PartitionBy::Month, Some(Ttl::Months(_))) => true,
        (PartitionBy::Day, Some(Ttl::Hours(hours))) => hours % 24 == 0,
        (PartitionBy::Week, Some(Ttl::Hours(hours))) => hours % 168 == 0,
        (PartitionBy::Year, Some(Ttl::Months(months))) => months % 12 == 0,
        _ => false,
    };
    match fits {
        true => Ok(clause.ttl),
        false => Err(SqlError::new(clause.position, "TTL value must be an integer multiple of partition size")),
    }
}

/// Returns the places of the DEDUP UPSERT KEYS, the columns given by name and type; `strict` is how CREATE checks.
///
/// # Errors
/// An unknown column, one twice, none that is the designated timestamp.
pub fn upsert_keys(
    keys: &[Ident],
    columns: &[(&str, ColumnType)],
    designated: Option<usize>,
    strict: bool,
) -> Result<Vec<usize>, SqlError> {
    let mut places = Vec::new();
    for key in keys {
        let error = |message: String| SqlError::new(key.position, message);
        let folded = key.name.to_lowercase();
        let place = columns.iter().position(|(name, _)| name.to_lowercase() == folded);
        let place = place.ok_or_else(|| error(format!("deduplicate key column not found [column={}]", key.name)))?;
        let (name, column_type) = columns[place];
        if strict && places.contains(&place) {
            return Err(error(format!("duplicate dedup column [column={}]", key.name)));
        }
        if column_type.to_string().ends_with("[]") {
            let message = format!("dedup key columns cannot include ARRAY [column={name}, type={column_type}]");
            return Err(error(message));
        }
        places.push(place);
    }
    if !designated.is_some_and(|time| places.contains(&time)) {
        let position = keys.first().map_or(0, |key| key.position);
        return Err(SqlError::new(position, "deduplicate key list must include dedicated timestamp column"));
    }
    places.sort_unstable();
    places.dedup();
    Ok(places)
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
    if !column.column_type.is_timestamp() {
        let message = format!("TIMESTAMP column expected [actual={}, columnName={}]", column.column_type, column.name);
        return Err(SqlError::new(name.position, message));
    }
    Ok(place)
}

/// Marks the columns of INDEX clauses.
fn index(create: &CreateTable, columns: &mut [NewColumn]) -> Result<(), SqlError> {
    for clause in &create.indexed {
        let name = &clause.column;
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
        column.symbol.index_capacity = clause.capacity;
    }
    Ok(())
}

/// Returns the query's relation with the CASTs of the statement done.
pub(super) fn cast_columns(relation: Relation, casts: &[ColumnDef]) -> Result<Relation, SqlError> {
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

pub(super) fn table_of_query(
    create: &CreateTable,
    name: TableName,
    relation: &Relation,
    casts: &[ColumnDef],
) -> Result<NewTable, SqlError> {
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
        let column_type = column.kind.column_type().ok_or_else(|| {
            let message = format!("unsupported column type: {}; cast column {}", column.kind, column.name);
            SqlError::new(create.name.position, message)
        })?;
        let named = |name: &Ident| name.name.to_lowercase() == column.name.to_lowercase();
        let mut new = NewColumn::new(&column.name, column_type);
        if let Some(cast) = casts.iter().find(|cast| named(&cast.name)) {
            (new.indexed, new.symbol) = (cast.indexed, cast.symbol);
        }
        // As the peer does it: a symbol that an index or DEDUP names is not cached here.
        let tuned = create.indexed.iter().map(|c| &c.column).chain(create.dedup.iter().flatten()).any(named);
        new.symbol.nocache |= tuned && column_type == ColumnType::Symbol;
        columns.push(new);
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
    finish(create, name, columns, designated)
}
