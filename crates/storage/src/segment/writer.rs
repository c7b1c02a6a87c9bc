//! From sorted rows to a segment file: [`write_segment`].
//!
//! It writes and syncs one file. It makes no directory and syncs none, and says nothing to the log. Next: [`super::reader`].

use std::collections::HashMap;
use std::path::Path;

use arrow_array::types::*;
use arrow_array::{ArrayRef, ArrowPrimitiveType, PrimitiveArray, cast::AsArray};
use arrow_schema::{DataType, Field, TimeUnit};
use types::{ColumnId, Schema, TableId, TimelineId};

use super::meta::{ColumnMeta, SEGMENT_VERSION, SEGMENT_VERSION_KEY, SegmentMeta};
use super::zones;
use crate::arrow_type::arrow_field;
use crate::chunk::Chunk;
use crate::env::Env;
use crate::ipc::{IpcFile, write_columns};
use crate::{Error, Result};

/// Where a segment's rows come from; kept in the file's metadata, for people.
#[derive(Debug, Clone, Copy)]
pub struct SegmentOrigin<'a> {
    pub table: TableId,
    /// Gives the columns' names and the schema's version.
    pub schema: &'a Schema,
    pub timeline: TimelineId,
}

/// Writes the rows of one partition to the new file `table_dir/file` and returns what an edit says about it.
///
/// The file's content is durable on return, its name is not: the caller makes the partition's directory before, and after it syncs that
/// directory (and, when it is new, the table's).
///
/// # Errors
/// `Invalid` for rows that are not sorted or none at all; `Io` when the file exists or cannot be written, synced or mapped; what was
/// written stays, unnamed. `Corrupt` when it reads back otherwise.
pub fn write_segment(
    env: &Env,
    table_dir: &Path,
    file: &str,
    origin: SegmentOrigin<'_>,
    rows: &Chunk,
) -> Result<SegmentMeta> {
    if rows.rows == 0 || rows.columns.is_empty() || !rows.sorted {
        return Err(Error::Invalid(format!("segment {file} needs sorted rows and at least one")));
    }
    let fields = column_fields(origin, rows);
    let arrays = rows.columns.iter().map(|(.., array)| array.clone()).collect();
    let zones = zones::stored::encode(rows.rows, &rows.columns);
    let path = table_dir.join(file);
    let (len, crc) = write_columns(env, &path, fields, file_metadata(origin, rows), arrays, &zones)?;
    // What was handed to the file is compared with what it now holds, and read as a query will read it: a file that
    // nobody could read is never named.
    let map = env.fs.map(&path).map_err(Error::io(&path))?;
    if map.len() as u64 != len || crc32c::crc32c(&map) != crc {
        return Err(Error::corrupt(&path, "reads back otherwise than it was written; check the disk"));
    }
    describe(file, origin.schema.version, rows, &map).map_err(|detail| Error::corrupt(&path, detail))
}

/// Returns the fields of a segment's columns.
pub(super) fn column_fields(origin: SegmentOrigin<'_>, rows: &Chunk) -> Vec<Field> {
    rows.columns.iter().map(|(id, t, _)| arrow_field(*id, &column_name(origin.schema, *id), *t)).collect()
}

/// Returns a column's name; a column that was dropped while its rows were in memory is named by its id.
fn column_name(schema: &Schema, id: ColumnId) -> String {
    schema.column_by_id(id).map_or_else(|| format!("dropped_{id}"), |c| c.name.clone())
}

pub(super) fn file_metadata(origin: SegmentOrigin<'_>, rows: &Chunk) -> HashMap<String, String> {
    let pairs = [
        (SEGMENT_VERSION_KEY, SEGMENT_VERSION.to_owned()),
        ("table_id", origin.table.to_string()),
        ("schema_version", origin.schema.version.to_string()),
        ("timeline", origin.timeline.to_string()),
        ("first_seq", rows.first_seq.to_string()),
        ("last_seq", rows.last_seq.to_string()),
        ("rows", rows.rows.to_string()),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Returns the meta of a file's bytes.
fn describe(file: &str, schema_version: u64, rows: &Chunk, bytes: &[u8]) -> Result<SegmentMeta, String> {
    let layout = IpcFile::parse(bytes)?;
    let mut columns = Vec::with_capacity(layout.columns.len());
    for (column, (id, column_type, array)) in layout.columns.iter().zip(&rows.columns) {
        debug_assert_eq!(column.id, *id);
        let bounds = bounds(array);
        columns.push(ColumnMeta {
            id: *id,
            column_type: *column_type,
            start: column.bytes.start as u64,
            end: column.bytes.end as u64,
            crc32c: crc32c::crc32c(&bytes[column.bytes.clone()]),
            null_count: column.null_count as u64,
            min: bounds.map(|b| b.0),
            max: bounds.map(|b| b.1),
        });
    }
    Ok(SegmentMeta {
        file: file.to_owned(),
        format: SegmentMeta::ARROW.to_owned(),
        rows: rows.rows as u64,
        first_seq: rows.first_seq,
        last_seq: rows.last_seq,
        ts_min_us: rows.ts_min,
        ts_max_us: rows.ts_max,
        schema_version,
        len_bytes: bytes.len() as u64,
        crc32c: crc32c::crc32c(bytes),
        envelope_crc32c: envelope_crc32c(bytes, &layout),
        columns,
        dead: None,
    })
}

/// Returns the checksum of everything but the columns.
pub(super) fn envelope_crc32c(bytes: &[u8], layout: &IpcFile) -> u32 {
    let body = layout.body();
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..body.start]), &bytes[body.end..])
}

/// Returns least and greatest value of a column of integers, times, addresses, geohashes or symbol codes.
pub(super) fn bounds(array: &ArrayRef) -> Option<(i64, i64)> {
    fn of<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>) -> Option<(i64, i64)>
    where
        T::Native: Into<i64> + Ord,
    {
        let start = array.iter().flatten().next()?;
        let (min, max) = array.iter().flatten().fold((start, start), |(lo, hi), v| (lo.min(v), hi.max(v)));
        Some((min.into(), max.into()))
    }
    match array.data_type() {
        DataType::Int8 => of(array.as_primitive::<Int8Type>()),
        DataType::Int16 => of(array.as_primitive::<Int16Type>()),
        DataType::UInt16 => of(array.as_primitive::<UInt16Type>()),
        DataType::Int32 => of(array.as_primitive::<Int32Type>()),
        DataType::UInt32 => of(array.as_primitive::<UInt32Type>()),
        DataType::Int64 => of(array.as_primitive::<Int64Type>()),
        DataType::Timestamp(TimeUnit::Millisecond, _) => of(array.as_primitive::<TimestampMillisecondType>()),
        DataType::Timestamp(TimeUnit::Microsecond, _) => of(array.as_primitive::<TimestampMicrosecondType>()),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => of(array.as_primitive::<TimestampNanosecondType>()),
        _ => None,
    }
}
