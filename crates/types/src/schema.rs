//! A table's columns and rules: [`Schema`], [`ColumnDef`], [`Ttl`].

use serde::{Deserialize, Serialize};

use crate::{ColumnId, ColumnType, PartitionBy, Seq};

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
    /// What else a SYMBOL was declared with. Kept for SHOW CREATE TABLE, without effect.
    #[serde(default, skip_serializing_if = "SymbolOptions::is_default")]
    pub symbol: SymbolOptions,
}

/// Options of a SYMBOL column that are shown and have no effect: dictionaries grow by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SymbolOptions {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nocache: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index_capacity: Option<u32>,
}

impl SymbolOptions {
    fn is_default(&self) -> bool {
        *self == SymbolOptions::default()
    }
}

/// DEDUP UPSERT KEYS of the commits from one Seq on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DedupRule {
    pub since: Seq,
    /// The designated timestamp among them; empty when every row is kept.
    pub keys: Vec<ColumnId>,
}

/// How long a table keeps its rows: a partition goes when all of it is older.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ttl {
    Hours(u32),
    /// By the calendar.
    Months(u32),
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
    /// By which keys rows replace each other, from which commit on; the last rule is in force. Rows that are not in
    /// segments yet keep the rule that they were committed under.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dedup: Vec<DedupRule>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Ttl>,
    /// Declared for the table, shown, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_uncommitted_rows: Option<u32>,
    /// Declared for the table in microseconds, shown, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub o3_max_lag_us: Option<i64>,
}

impl ColumnDef {
    /// Returns a column without options.
    pub fn new(id: ColumnId, name: impl Into<String>, column_type: ColumnType) -> ColumnDef {
        ColumnDef { id, name: name.into(), column_type, indexed: false, symbol: SymbolOptions::default() }
    }
}

impl Schema {
    /// Returns the first version of a schema.
    pub fn new(columns: Vec<ColumnDef>, designated: Option<ColumnId>, partition_by: PartitionBy, wal: bool) -> Schema {
        let next_column_id = columns.iter().map(|c| c.id.0 + 1).max().unwrap_or(0);
        Schema {
            version: 1,
            columns,
            designated,
            partition_by,
            wal,
            next_column_id,
            dedup: Vec::new(),
            ttl: None,
            max_uncommitted_rows: None,
            o3_max_lag_us: None,
        }
    }

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

    /// Returns the columns by which rows replace each other now, the designated timestamp among them; none when every row
    /// is kept.
    pub fn dedup_keys(&self) -> &[ColumnId] {
        self.dedup.last().map_or(&[], |rule| &rule.keys)
    }
}
