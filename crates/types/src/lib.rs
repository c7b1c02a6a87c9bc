//! The nouns of the database, without I/O: ids, times, column types, schemas, partitions, row batches.
//!
//! Reading order: [`ids`], [`time`], [`column_type`], [`partition`], [`schema`], [`row_batch`].
//! Nothing here reads a file, a clock or a random source; every crate may use it.

pub mod column_type;
pub mod ids;
pub mod partition;
pub mod row_batch;
pub mod schema;
pub mod time;

pub use column_type::ColumnType;
pub use ids::{ColumnId, Seq, TableId, TableName, TimelineId};
pub use partition::{PartitionBy, PartitionKey};
pub use row_batch::{ArrayColumn, BinaryColumn, Column, ColumnData, RowBatch, StrColumn, SymbolColumn};
pub use schema::{ColumnDef, DedupRule, Schema, SymbolOptions, Ttl};
pub use time::{TimeRange, TimestampUs};

/// A value that breaks a rule of the types in this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);
