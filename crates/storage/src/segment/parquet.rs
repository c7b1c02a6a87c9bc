//! Segments as Parquet files: [`write_parquet_segment`] makes one, [`ParquetFile`] decodes a column at its first touch.
//!
//! One row group, so that each column is one stretch of bytes with a checksum of its own, as in an Arrow segment. Page:
//! `docs/format/segment.md`. What was decoded is held with the segment, see [`super::handle`].

use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::Schema;
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::WriterProperties;
use types::{ColumnId, ColumnType};

use super::meta::{ColumnMeta, SEGMENT_VERSION, SEGMENT_VERSION_KEY, SegmentMeta};
use super::writer::{SegmentOrigin, bounds, column_fields, file_metadata};
use crate::arrow_type::{COLUMN_ID_KEY, TYPE_KEY, arrow_type};
use crate::chunk::Chunk;
use crate::env::Env;
use crate::env::fs::Mapped;
use crate::ipc::{IpcColumn, write_file};
use crate::{Error, Result};

/// Rows decoded at once.
const DECODE_ROWS: usize = 64 << 10;

/// A Parquet segment whose layout is known.
pub(super) struct ParquetFile {
    bytes: Bytes,
    metadata: ArrowReaderMetadata,
    /// About what all columns take in memory once they are decoded.
    pub decoded_bytes: u64,
}

struct Owner(Mapped);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl ParquetFile {
    /// Finds the columns in the bytes of a file, whose head and footer were found right.
    pub fn parse(map: Mapped) -> Result<(ParquetFile, Vec<IpcColumn>), String> {
        let bytes = Bytes::from_owner(Owner(map));
        let metadata = ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::new()).map_err(damaged)?;
        let version = metadata.schema().metadata().get(SEGMENT_VERSION_KEY).map_or("none", String::as_str);
        if version != SEGMENT_VERSION {
            return Err(format!("segment format is version {version}, this server reads {SEGMENT_VERSION}"));
        }
        let places = places(metadata.schema(), metadata.metadata())?;
        let rows = metadata.metadata().file_metadata().num_rows().max(0) as u64;
        let held: i64 = metadata.metadata().row_groups().iter().map(|group| group.total_byte_size()).sum();
        let decoded_bytes = held.max(0) as u64 + rows * 8 * places.len() as u64;
        Ok((ParquetFile { bytes, metadata, decoded_bytes }, places))
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.metadata.metadata().file_metadata().num_rows().max(0) as usize
    }

    /// Decodes one column, whose bytes were found right.
    pub fn decode(&self, at: usize, column_type: ColumnType) -> Result<ArrayRef, String> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.bytes.clone(), self.metadata.clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), [at]);
        let reader = builder.with_projection(mask).with_batch_size(DECODE_ROWS).build().map_err(damaged)?;
        let mut pieces = Vec::new();
        for batch in reader {
            pieces.push(batch.map_err(|e| format!("values are damaged: {e}"))?.column(0).clone());
        }
        let pieces: Vec<&dyn Array> = pieces.iter().map(|piece| piece.as_ref()).collect();
        let array = arrow_select::concat::concat(&pieces).map_err(|e| format!("values are damaged: {e}"))?;
        if array.len() != self.rows() || *array.data_type() != arrow_type(column_type) {
            return Err(format!("{} values of {}, expected {}", array.len(), array.data_type(), self.rows()));
        }
        Ok(array)
    }
}

fn damaged(e: ParquetError) -> String {
    format!("not a Parquet file that this server reads: {e}")
}

/// Returns where each column lies.
fn places(schema: &Schema, metadata: &ParquetMetaData) -> Result<Vec<IpcColumn>, String> {
    let [group] = metadata.row_groups() else { return Err("expected 1 row group".to_owned()) };
    if group.num_columns() != schema.fields().len() {
        return Err("columns and fields differ in number".to_owned());
    }
    let place = |(field, chunk): (&Arc<arrow_schema::Field>, &parquet::file::metadata::ColumnChunkMetaData)| {
        let text = |key: &str| field.metadata().get(key).ok_or_else(|| format!("field {} lacks {key}", field.name()));
        let id = text(COLUMN_ID_KEY)?.parse().map_err(|_| format!("field {} has no proper id", field.name()))?;
        let type_name = text(TYPE_KEY)?;
        let column_type = ColumnType::from_name(type_name).ok_or_else(|| format!("unknown type {type_name}"))?;
        let (start, len) = chunk.byte_range();
        Ok(IpcColumn {
            id: ColumnId(id),
            name: field.name().clone(),
            column_type,
            null_count: 0,
            inner: Vec::new(),
            bytes: start as usize..start.saturating_add(len) as usize,
            buffers: Vec::new(),
        })
    };
    schema.fields().iter().zip(group.columns()).map(place).collect()
}

/// As [`super::write_segment`], compressed and encoded as Parquet.
///
/// # Errors
/// As [`super::write_segment`].
pub fn write_parquet_segment(
    env: &Env,
    table_dir: &Path,
    file: &str,
    origin: SegmentOrigin<'_>,
    rows: &Chunk,
) -> Result<SegmentMeta> {
    if rows.rows == 0 || rows.columns.is_empty() || !rows.sorted {
        return Err(Error::Invalid(format!("segment {file} needs sorted rows and at least one")));
    }
    let bytes = encode(origin, rows)
        .map_err(|e| Error::Invalid(format!("rows of table {} cannot be written as Parquet: {e}", origin.table)))?;
    let path = table_dir.join(file);
    write_file(env, &path, &bytes)?;
    let map = env.fs.map(&path).map_err(Error::io(&path))?;
    if map[..] != bytes[..] {
        return Err(Error::corrupt(&path, "reads back otherwise than it was written; check the disk"));
    }
    describe(file, origin.schema.version, rows, map).map_err(|detail| Error::corrupt(&path, detail))
}

fn encode(origin: SegmentOrigin<'_>, rows: &Chunk) -> Result<Vec<u8>, ParquetError> {
    let schema = Arc::new(Schema::new_with_metadata(column_fields(origin, rows), file_metadata(origin, rows)));
    let arrays = rows.columns.iter().map(|(.., array)| array.clone()).collect();
    let batch = RecordBatch::try_new(schema.clone(), arrays)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(Some(rows.rows))
        .set_created_by("stillpoint".to_owned())
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, Some(properties))?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(bytes)
}

fn describe(file: &str, schema_version: u64, rows: &Chunk, map: Mapped) -> Result<SegmentMeta, String> {
    let (_, places) = ParquetFile::parse(map.clone())?;
    let mut columns = Vec::with_capacity(places.len());
    for (place, (id, column_type, array)) in places.iter().zip(&rows.columns) {
        let bounds = bounds(array);
        columns.push(ColumnMeta {
            id: *id,
            column_type: *column_type,
            start: place.bytes.start as u64,
            end: place.bytes.end as u64,
            crc32c: crc32c::crc32c(map.get(place.bytes.clone()).ok_or("a column lies outside the file")?),
            null_count: array.null_count() as u64,
            min: bounds.map(|b| b.0),
            max: bounds.map(|b| b.1),
        });
    }
    if columns.windows(2).any(|w| w[0].end != w[1].start) {
        return Err("columns do not follow each other".to_owned());
    }
    let (start, end) = (columns.first().map_or(0, |c| c.start), columns.last().map_or(0, |c| c.end));
    let head = crc32c::crc32c(&map[..start as usize]);
    Ok(SegmentMeta {
        file: file.to_owned(),
        format: SegmentMeta::PARQUET.to_owned(),
        rows: rows.rows as u64,
        first_seq: rows.first_seq,
        last_seq: rows.last_seq,
        ts_min_us: rows.ts_min,
        ts_max_us: rows.ts_max,
        schema_version,
        len_bytes: map.len() as u64,
        crc32c: crc32c::crc32c(&map),
        envelope_crc32c: crc32c::crc32c_append(head, &map[end as usize..]),
        columns,
        dead: None,
    })
}
