//! A table's columns: [`Schema`] and [`ColumnDef`].

use serde::{Deserialize, Serialize};

use crate::{ColumnId, ColumnType, PartitionBy};

/// One column. Its id never changes; its name may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnDef {
    pub id: ColumnId,
    pub name: String,
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// Declared with INDEX. Kept for SHOW COLUMNS; our symbol columns need none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub indexed: bool,
}

/// The live columns of a table in their order, and how it is partitioned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// Grows by one with each change of this table's schema; 1 at CREATE.
    pub version: u64,
    pub columns: Vec<ColumnDef>,
    /// The designated timestamp; rows come back in its order.
    pub designated: Option<ColumnId>,
    pub partition_by: PartitionBy,
    /// Declared WAL or BYPASS WAL: shown, without effect (every commit goes through the one log).
    pub wal: bool,
    /// Next id that ADD COLUMN hands out; above every id ever used in the table.
    pub next_column_id: u32,
}

impl Schema {
    /// Returns the position of the column of that name, in any case.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.columns
            .iter()
            .position(|c| c.name == name)
            .or_else(|| self.columns.iter().position(|c| c.name.to_lowercase() == name.to_lowercase()))
    }

    /// Returns the column of that name, in any case.
    pub fn column(&self, name: &str) -> Option<&ColumnDef> {
        self.index_of(name).map(|i| &self.columns[i])
    }

    /// Returns the column of that id.
    pub fn column_by_id(&self, id: ColumnId) -> Option<&ColumnDef> {
        self.columns.iter().find(|c| c.id == id)
    }

    /// Returns the position of the designated timestamp.
    pub fn designated_index(&self) -> Option<usize> {
        self.designated.and_then(|id| self.columns.iter().position(|c| c.id == id))
    }
}
