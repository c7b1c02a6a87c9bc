//! The nouns of the database, without I/O: ids, times, column types, schemas, partitions, row batches, and the count
//! of the memory that all share.
//!
//! Reading order: [`ids`], [`time`], [`column_type`], [`partition`], [`schema`], [`row_batch`], [`memory`]; then the texts of values:
//! [`uuid`], [`ipv4`], [`long256`], [`geohash`], [`decimal`], [`array_text`], and their hashes: [`text_hash`].
//! Nothing here reads a file, a clock or a random source; every crate may use it.

pub mod array_text;
pub mod column_type;
pub mod decimal;
pub mod geohash;
pub mod ids;
pub mod ipv4;
pub mod long256;
pub mod memory;
pub mod partition;
pub mod row_batch;
pub mod schema;
pub mod text_hash;
pub mod time;
pub mod uuid;

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
