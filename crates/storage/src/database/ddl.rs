//! Statements that change what tables there are: each is one frame. Next: [`super::alter`], which changes how they look.

use types::{
    ColumnDef, ColumnId, ColumnType, DedupRule, PartitionBy, RowBatch, Schema, Seq, SymbolOptions, TableId, TableName,
    Ttl,
};

use super::Database;
use super::alter::{check_dedup_keys, check_ttl};
use super::append::{Resolver, check, payload_bytes};
use crate::catalog::DbState;
use crate::layout::table_dir;
use crate::log::writer::Urgency;
use crate::record::{CatalogChange, Record};
use crate::table::TableState;
use crate::{Error, Result};

/// A column to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewColumn {
    pub name: String,
    pub column_type: ColumnType,
    pub indexed: bool,
    pub symbol: SymbolOptions,
}

impl NewColumn {
    /// Returns a column without options.
    pub fn new(name: &str, column_type: ColumnType) -> NewColumn {
        NewColumn { name: name.to_owned(), column_type, indexed: false, symbol: SymbolOptions::default() }
    }
}

/// A table to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTable {
    pub name: TableName,
    pub columns: Vec<NewColumn>,
    /// Position of the designated timestamp.
    pub designated: Option<usize>,
    pub partition_by: PartitionBy,
    pub wal: bool,
    /// Positions of the DEDUP UPSERT KEYS; empty when every row is kept.
    pub dedup_keys: Vec<usize>,
    pub ttl: Option<Ttl>,
    pub max_uncommitted_rows: Option<u32>,
    pub o3_max_lag_us: Option<i64>,
}

impl NewTable {
    /// Returns a table without options.
    pub fn new(
        name: TableName,
        columns: Vec<NewColumn>,
        designated: Option<usize>,
        partition_by: PartitionBy,
    ) -> NewTable {
        NewTable {
            name,
            columns,
            designated,
            partition_by,
            wal: true,
            dedup_keys: Vec::new(),
            ttl: None,
            max_uncommitted_rows: None,
            o3_max_lag_us: None,
        }
    }

    /// Returns the schema of the table.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a bad column name, one name twice, or a designated column that is not a TIMESTAMP.
    pub fn schema(&self) -> Result<Schema> {
        let mut columns: Vec<ColumnDef> = Vec::with_capacity(self.columns.len());
        for (i, new) in self.columns.iter().enumerate() {
            check_column_name(&new.name)?;
            if columns.iter().any(|c| c.name.to_lowercase() == new.name.to_lowercase()) {
                return Err(Error::Invalid(format!("duplicate column name: {}", new.name)));
            }
            columns.push(column(ColumnId(i as u32), new));
        }
        let designated = match self.designated {
            None if self.partition_by == PartitionBy::None => None,
            None => {
                return Err(Error::Invalid(
                    "partitioning is possible only on tables with designated timestamps".into(),
                ));
            }
            Some(i) => match columns.get(i) {
                Some(c) if c.column_type.is_timestamp() => Some(c.id),
                _ => return Err(Error::Invalid("designated timestamp must be a TIMESTAMP column".into())),
            },
        };
        let mut schema = Schema {
            ttl: self.ttl,
            max_uncommitted_rows: self.max_uncommitted_rows,
            o3_max_lag_us: self.o3_max_lag_us,
            ..Schema::new(columns, designated, self.partition_by, self.wal)
        };
        check_ttl(&schema)?;
        if !self.dedup_keys.is_empty() {
            let id = |&at: &usize| schema.columns.get(at).map(|c| c.id);
            let keys = self.dedup_keys.iter().map(id).collect::<Option<Vec<_>>>();
            let keys = keys.ok_or_else(|| Error::Invalid("deduplicate key column is not in the table".into()))?;
            check_dedup_keys(&schema, &keys)?;
            schema.dedup.push(DedupRule { since: Seq::ZERO, keys });
        }
        Ok(schema)
    }
}

pub(super) fn column(id: ColumnId, new: &NewColumn) -> ColumnDef {
    ColumnDef { id, name: new.name.clone(), column_type: new.column_type, indexed: new.indexed, symbol: new.symbol }
}

/// Characters that no column name may hold, as the peer has it.
pub(super) fn check_column_name(name: &str) -> Result<()> {
    let bad = |c: char| "?.,'\"\\/:()+-*%~".contains(c) || (c as u32) < 0x20 || c == '\u{7f}' || c == '\u{feff}';
    if name.is_empty() || name.len() > TableName::MAX_BYTES || name.chars().any(bad) {
        return Err(Error::Invalid(format!("invalid column name: {name:?}")));
    }
    Ok(())
}

impl Database {
    /// Makes a table. Durable on return, as the commit mode says.
    ///
    /// # Errors
    /// [`Error::Exists`] when the name is taken, [`Error::Invalid`] as [`NewTable::schema`].
    pub fn create_table(&self, new: NewTable) -> Result<TableId> {
        self.create_table_with_rows(new, |_| Ok(Vec::new()))
    }

    /// Makes a table with rows in it, as one commit: a reader sees both or nothing.
    pub fn create_table_with_rows(
        &self,
        new: NewTable,
        rows: impl FnOnce(&Schema) -> Result<Vec<RowBatch>>,
    ) -> Result<TableId> {
        let schema = new.schema()?;
        let batches = rows(&schema)?;
        let max_bytes = 1024 + schema.columns.len() * 256 + batches.iter().map(payload_bytes).sum::<usize>();
        let mut id = TableId(0);
        self.commit(Urgency::Ordinary, max_bytes, |state| {
            state.check_free(&new.name)?;
            id = TableId(state.next_table);
            let dir = table_dir(&new.name, id);
            // The rows are resolved against the table that the first record makes.
            let table = TableState::new(id, new.name.clone(), &dir, schema.clone(), state.seq.next());
            batches.iter().try_for_each(|batch| check(&table, batch))?;
            let mut records =
                vec![Record::Catalog(CatalogChange::Create { table: id, name: new.name.clone(), dir, schema })];
            let mut resolver = Resolver::default();
            for batch in batches {
                records.push(Record::Rows(resolver.resolve(&table, batch)?));
            }
            Ok(records)
        })?;
        Ok(id)
    }

    /// Removes all rows of a table.
    pub fn truncate(&self, id: TableId) -> Result<()> {
        let change = CatalogChange::Truncate { table: id };
        self.commit_records(Urgency::Urgent, vec![Record::Catalog(change)], |state| table(state, id).map(drop))?;
        Ok(())
    }

    /// Gives a table another name.
    ///
    /// # Errors
    /// [`Error::Exists`] when another table has that name.
    pub fn rename_table(&self, id: TableId, name: &TableName) -> Result<()> {
        let change = CatalogChange::Rename { table: id, name: name.clone() };
        self.commit_records(Urgency::Ordinary, vec![Record::Catalog(change)], |state| {
            table(state, id)?;
            match state.owner_of(&name.folded()) {
                Some((owner, _)) if owner == id => Ok(()),
                _ => state.check_free(name),
            }
        })?;
        Ok(())
    }
}

pub(super) fn table(state: &DbState, id: TableId) -> Result<&TableState> {
    state.tables.get(id).map(|t| &**t).ok_or_else(|| gone(id))
}

pub(super) fn gone(id: TableId) -> Error {
    Error::NotFound(format!("table {id} does not exist any more"))
}
