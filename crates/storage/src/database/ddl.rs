//! Statements that change what tables there are and how they look: each is one frame.

use types::{ColumnDef, ColumnId, ColumnType, PartitionBy, RowBatch, Schema, TableId, TableName};

use super::Database;
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
}

impl NewTable {
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
                Some(c) if c.column_type == ColumnType::Timestamp => Some(c.id),
                _ => return Err(Error::Invalid("designated timestamp must be a TIMESTAMP column".into())),
            },
        };
        let next_column_id = columns.len() as u32;
        Ok(Schema { version: 1, columns, designated, partition_by: self.partition_by, wal: self.wal, next_column_id })
    }
}

fn column(id: ColumnId, new: &NewColumn) -> ColumnDef {
    ColumnDef { id, name: new.name.clone(), column_type: new.column_type, indexed: new.indexed }
}

/// Characters that no column name may hold, as the peer has it.
fn check_column_name(name: &str) -> Result<()> {
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
            if state.table_named(&new.name.folded()).is_some() {
                return Err(Error::Exists(format!("table already exists: {}", new.name)));
            }
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

    /// Drops a table. Its files go when no snapshot and no reader needs them.
    pub fn drop_table(&self, id: TableId) -> Result<()> {
        let change = CatalogChange::Drop { table: id };
        self.commit_records(Urgency::Urgent, vec![Record::Catalog(change)], |state| table(state, id).map(drop))?;
        Ok(())
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
            match state.table_named(&name.folded()) {
                Some(other) if other.id != id => Err(Error::Exists(format!("table already exists: {name}"))),
                _ => Ok(()),
            }
        })?;
        Ok(())
    }

    /// Adds a column; rows that are there have NULL (false, 0) in it.
    ///
    /// # Errors
    /// [`Error::Exists`] when the table has a column of that name.
    pub fn add_column(&self, id: TableId, new: NewColumn) -> Result<ColumnId> {
        let mut added = ColumnId(0);
        self.alter(id, |schema| {
            check_column_name(&new.name)?;
            if schema.column(&new.name).is_some() {
                return Err(Error::Exists(format!("column '{}' already exists", new.name)));
            }
            added = ColumnId(schema.next_column_id);
            schema.next_column_id += 1;
            schema.columns.push(column(added, &new));
            Ok(())
        })?;
        Ok(added)
    }

    /// Drops a column.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Invalid`] for the designated timestamp and the last column.
    pub fn drop_column(&self, id: TableId, name: &str) -> Result<()> {
        self.alter(id, |schema| {
            let at = position(schema, name)?;
            if schema.designated == Some(schema.columns[at].id) {
                return Err(Error::Invalid("cannot remove designated timestamp column".into()));
            }
            if schema.columns.len() == 1 {
                return Err(Error::Invalid(format!("cannot remove the last column: {name}; drop the table instead")));
            }
            schema.columns.remove(at);
            Ok(())
        })
    }

    /// Gives a column another name.
    pub fn rename_column(&self, id: TableId, from: &str, to: &str) -> Result<()> {
        self.alter(id, |schema| {
            check_column_name(to)?;
            let at = position(schema, from)?;
            if schema.index_of(to).is_some_and(|other| other != at) {
                return Err(Error::Exists(format!("column '{to}' already exists")));
            }
            schema.columns[at].name = to.to_owned();
            Ok(())
        })
    }

    fn alter(&self, id: TableId, change: impl FnOnce(&mut Schema) -> Result<()>) -> Result<()> {
        let known = self.view().table_by_id(id).ok_or_else(|| gone(id))?;
        let max_bytes = 4096 + (known.schema().columns.len() + 16) * 512;
        self.commit(Urgency::Ordinary, max_bytes, |state| {
            let mut schema = Schema::clone(&table(state, id)?.schema);
            change(&mut schema)?;
            schema.version += 1;
            Ok(vec![Record::Catalog(CatalogChange::Alter { table: id, schema })])
        })?;
        Ok(())
    }
}

fn position(schema: &Schema, name: &str) -> Result<usize> {
    schema.index_of(name).ok_or_else(|| Error::NotFound(format!("Invalid column: {name}")))
}

fn table(state: &DbState, id: TableId) -> Result<&TableState> {
    state.tables.get(id).map(|t| &**t).ok_or_else(|| gone(id))
}

fn gone(id: TableId) -> Error {
    Error::NotFound(format!("table {id} does not exist any more"))
}
