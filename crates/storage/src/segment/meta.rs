//! What edits and bases say about a segment: [`SegmentMeta`]. Page: `docs/format/segment.md`.

use serde::{Deserialize, Serialize};
use types::{ColumnId, ColumnType, Seq};

use super::dead::DeadMeta;

/// Version of the segment format; stands in the file's schema metadata.
pub const SEGMENT_VERSION: &str = "1";
/// Key of that version.
pub const SEGMENT_VERSION_KEY: &str = "stillpoint.segment";

/// Most bytes before the first and behind the last column: a head and a footer of thousands of columns are a few megabytes.
const MAX_ENVELOPE_BYTES: u64 = 64 << 20;

/// One segment, as the edit that added it describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentMeta {
    /// Path below the table's directory, e.g. `2024-01-01/01HK….arrow`.
    #[serde(deserialize_with = "crate::layout::relative")]
    pub file: String,
    /// How the rows are stored: `arrow` or `parquet`.
    pub format: String,
    pub rows: u64,
    pub first_seq: Seq,
    pub last_seq: Seq,
    /// Bounds of the designated timestamp, rounded down to microseconds; the whole range of i64 when the table has none.
    pub ts_min_us: i64,
    pub ts_max_us: i64,
    /// Version of the table's schema when the segment was written.
    pub schema_version: u64,
    pub len_bytes: u64,
    /// Of the whole file.
    pub crc32c: u32,
    /// Of all bytes before the first and behind the last column.
    pub envelope_crc32c: u32,
    /// In the order of ids.
    pub columns: Vec<ColumnMeta>,
    /// Which rows are dead; absent when none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead: Option<DeadMeta>,
}

/// One column of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnMeta {
    pub id: ColumnId,
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// Bytes of the column within the file: `start..end`.
    pub start: u64,
    pub end: u64,
    pub crc32c: u32,
    pub null_count: u64,
    /// Least and greatest value of integers, times, CHAR, IPv4, GEOHASH and of the codes of SYMBOL; absent when all rows are NULL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
}

impl SegmentMeta {
    /// Stands in [`SegmentMeta::format`] of Arrow IPC segments.
    pub const ARROW: &str = "arrow";
    /// Stands in [`SegmentMeta::format`] of Parquet segments.
    pub const PARQUET: &str = "parquet";

    /// Checks what no segment that was written here can be; a document or a frame is hostile input until this was asked.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        let wrong = |why: &str| Err(format!("segment {:?}: {why}", self.file));
        if self.rows > u64::from(u32::MAX) {
            return wrong("more rows than a segment can have");
        }
        if self.dead.as_ref().is_some_and(|dead| dead.rows > self.rows) {
            return wrong("more dead rows than rows");
        }
        if !self.columns.is_sorted_by(|a, b| a.id < b.id) {
            return wrong("its columns are not in the order of their ids");
        }
        if self.columns.iter().any(|c| c.start > c.end || c.end > self.len_bytes) {
            return wrong("a column lies outside of the file");
        }
        let (start, end) = (self.columns.first().map_or(0, |c| c.start), self.columns.last().map_or(0, |c| c.end));
        if start.saturating_add(self.len_bytes.saturating_sub(end)) > MAX_ENVELOPE_BYTES {
            return wrong("more bytes around its columns than a head and a footer take");
        }
        Ok(())
    }

    /// Returns the number of rows that are not dead.
    pub fn live_rows(&self) -> u64 {
        self.rows - self.dead.as_ref().map_or(0, |dead| dead.rows)
    }

    /// Returns the files of the segment, relative to the table's directory.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&*self.file).chain(self.dead.as_ref().map(|dead| &*dead.file))
    }

    /// Returns whether the rows are stored as Parquet.
    pub fn is_parquet(&self) -> bool {
        self.format == SegmentMeta::PARQUET
    }

    /// Returns what is known of a column; None when the segment lacks it.
    pub fn column(&self, id: ColumnId) -> Option<&ColumnMeta> {
        self.columns.binary_search_by_key(&id, |c| c.id).ok().map(|at| &self.columns[at])
    }
}
