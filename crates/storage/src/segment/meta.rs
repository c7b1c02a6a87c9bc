//! What edits and bases say about a segment: [`SegmentMeta`]. Page: `docs/format/segment.md`.

use serde::{Deserialize, Serialize, Serializer};
use types::{ColumnId, ColumnType, Seq};

use super::dead::DeadMeta;

/// Version of the segment format; stands in the file's schema metadata.
pub const SEGMENT_VERSION: &str = "1";
/// Key of that version.
pub const SEGMENT_VERSION_KEY: &str = "stillpoint.segment";

/// Most bytes before the first and behind the last column: a head and a footer of thousands of columns are a few megabytes.
const MAX_ENVELOPE_BYTES: u64 = 64 << 20;

/// One segment, as the edit that added it describes it. Written as an array in the order of the fields; read also as the
/// object that it was up to version 4 of bases.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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
    #[serde(default)]
    pub dead: Option<DeadMeta>,
}

/// One column of a segment; written and read as [`SegmentMeta`] is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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
    #[serde(default)]
    pub min: Option<i64>,
    #[serde(default)]
    pub max: Option<i64>,
}

/// Lists of segments are written anew with every change of a table, and by each snapshot of a table that changed: names of
/// members would be most of their bytes.
impl Serialize for SegmentMeta {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let SegmentMeta { file, format, rows, first_seq, last_seq, ts_min_us: min, ts_max_us: max, .. } = self;
        let SegmentMeta {
            schema_version: version, len_bytes, crc32c, envelope_crc32c: envelope, columns, dead, ..
        } = self;
        (file, format, rows, first_seq, last_seq, min, max, version, len_bytes, crc32c, envelope, columns, dead)
            .serialize(to)
    }
}

impl Serialize for ColumnMeta {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let ColumnMeta { id, column_type, start, end, crc32c, null_count, min, max } = self;
        (id, column_type, start, end, crc32c, null_count, min, max).serialize(to)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_written_as_an_array_and_read_as_the_object_that_it_was_too() {
        let column = |id, min: Option<i64>| ColumnMeta {
            id: ColumnId(id),
            column_type: if min.is_some() { ColumnType::Long } else { ColumnType::Double },
            start: 640,
            end: 704,
            crc32c: 6,
            null_count: 1,
            min,
            max: min.map(|min| min + 2),
        };
        let dead = DeadMeta { file: "2024-01-01/b.dead".to_owned(), rows: 1, len_bytes: 18, crc32c: 7 };
        let meta = SegmentMeta {
            file: "2024-01-01/a.arrow".to_owned(),
            format: SegmentMeta::ARROW.to_owned(),
            rows: 3,
            first_seq: Seq(4),
            last_seq: Seq(5),
            ts_min_us: -1,
            ts_max_us: 9,
            schema_version: 2,
            len_bytes: 1024,
            crc32c: 11,
            envelope_crc32c: 12,
            columns: vec![column(0, Some(-5)), column(1, None)],
            dead: Some(dead),
        };
        let array = serde_json::to_string(&meta).unwrap();
        let expected = concat!(
            r#"["2024-01-01/a.arrow","arrow",3,4,5,-1,9,2,1024,11,12,"#,
            r#"[[0,"LONG",640,704,6,1,-5,-3],[1,"DOUBLE",640,704,6,1,null,null]],"#,
            r#"{"file":"2024-01-01/b.dead","rows":1,"len_bytes":18,"crc32c":7}]"#
        );
        assert_eq!(array, expected);
        assert_eq!(serde_json::from_str::<SegmentMeta>(&array).unwrap(), meta);
        let object = r#"{"file":"2024-01-01/a.arrow","format":"arrow","rows":3,"first_seq":4,"last_seq":5,"ts_min_us":-1,
            "ts_max_us":9,"schema_version":2,"len_bytes":1024,"crc32c":11,"envelope_crc32c":12,"columns":[
            {"id":0,"type":"LONG","start":640,"end":704,"crc32c":6,"null_count":1,"min":-5,"max":-3},
            {"id":1,"type":"DOUBLE","start":640,"end":704,"crc32c":6,"null_count":1}],
            "dead":{"file":"2024-01-01/b.dead","rows":1,"len_bytes":18,"crc32c":7}}"#;
        assert_eq!(serde_json::from_str::<SegmentMeta>(object).unwrap(), meta);
        for wrong in ["[]", &array.replace(",12,[[", ",[["), &array.replacen("[\"2024", "[0,\"2024", 1)] {
            assert!(serde_json::from_str::<SegmentMeta>(wrong).is_err(), "{wrong}");
        }
    }
}
