//! COPY … FROM STDIN: for which columns a client's rows are, and their way into the table as one commit.
//!
//! The rows come ready: who speaks with the client reads them.

use types::{ColumnDef, RowBatch, TableId, TableName};

use super::alter::column_place;
use super::{Lot, Session};
use crate::error::{SqlError, SqlErrorKind};
use crate::parser::ast::Ident;

/// The table of a COPY from a client, and the columns that its rows have, in their order.
pub struct CopyTarget {
    table: TableId,
    name: TableName,
    columns: Vec<ColumnDef>,
    designated: Option<usize>,
}

impl CopyTarget {
    /// Returns the columns of the rows.
    pub fn columns(&self) -> &[ColumnDef] {
        &self.columns
    }

    /// Returns which of the columns is the designated timestamp.
    pub fn designated(&self) -> Option<usize> {
        self.designated
    }

    /// Returns the table's name.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }
}

impl Session {
    /// Finds the table of a COPY and the columns that it names, all of them when it names none.
    ///
    /// # Errors
    /// No such table or column, one twice, none that is the designated timestamp; a user who may only read.
    pub fn copy_target(&self, table: &Ident, names: &[Ident]) -> Result<CopyTarget, SqlError> {
        if self.read_only {
            return Err(SqlError { kind: SqlErrorKind::Denied, ..SqlError::new(0, "Write permission denied") });
        }
        let view = self.table(table)?;
        let schema = view.schema();
        let mut columns: Vec<ColumnDef> = Vec::new();
        for name in names {
            let column = &schema.columns[column_place(&view, name)?];
            if columns.iter().any(|earlier| earlier.id == column.id) {
                return Err(SqlError::new(name.position, format!("Duplicate column [name={}]", name.name)));
            }
            columns.push(column.clone());
        }
        if names.is_empty() {
            columns.clone_from(&schema.columns);
        }
        let designated = columns.iter().position(|column| schema.designated == Some(column.id));
        if schema.designated.is_some() && designated.is_none() {
            return Err(SqlError::new(table.position, "insert statement must populate timestamp"));
        }
        Ok(CopyTarget { table: view.id(), name: view.name().clone(), columns, designated })
    }

    /// Stores the rows of a COPY as one commit, or keeps them for that of the transaction.
    ///
    /// # Errors
    /// What storage refuses: nothing of them is stored then.
    pub async fn store_copied(&mut self, target: &CopyTarget, batches: Vec<RowBatch>) -> Result<(), SqlError> {
        let lot = |batch| Lot { table: target.table, name: target.name.clone(), batch };
        self.append_or_buffer(batches.into_iter().map(lot).collect()).await
    }
}
