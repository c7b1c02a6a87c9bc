//! Segments: immutable Arrow IPC or Parquet files of the rows of one partition. Page: `docs/format/segment.md`.
//!
//! [`meta`] is what edits and bases say about one, [`writer`] makes one, [`reader`] maps one and hands out columns without
//! copying, [`zones`] what is known of short stretches, [`last_rows`] of codes, [`dead`] which rows are dead. Directories, the log and the question which segments count belong to flush and table.

pub mod dead;
pub mod handle;
pub mod last_rows;
pub mod meta;
mod parquet;
pub mod reader;
pub mod writer;
pub mod zones;

pub use dead::{DeadMeta, read_dead, write_dead};
pub use handle::SegmentHandle;
pub use last_rows::LastRows;
pub use meta::{ColumnMeta, SegmentMeta};
pub use parquet::write_parquet_segment;
pub use reader::{Segment, verify_whole};
pub use writer::{SegmentOrigin, write_segment};
pub use zones::{Zone, Zones};
