//! Rows as a Parquet file that is written while it is sent: a row group at a time is in memory ([`answer`]).
//!
//! Columns keep their Arrow types; what QuestDB knows of them beyond that (`GEOHASH(4c)`, `IPv4`) stands in the file's key
//! `questdb` and in each field's metadata. Only texts have dictionaries: to look for numbers that come again costs more than
//! all else of the file, and makes little of it smaller.

use std::io;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use axum::body::Body;
use axum::response::Response;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion};
use parquet::schema::types::ColumnPath;
use query::{SqlError, SqlErrorKind};

use super::super::parameters::Parameters;
use super::super::rows::RowStream;
use super::super::window::Window;
use super::attachment;

const CONTENT_TYPE: &str = "application/vnd.apache.parquet";
const CODECS: &str = "uncompressed, snappy, gzip, brotli, zstd, lz4_raw";
/// Rows of a row group, where the request does not say.
const ROW_GROUP_ROWS: usize = 100_000;
/// Largest row group: it is held in memory.
const MAX_ROW_GROUP_ROWS: usize = 10_000_000;
/// Bytes of a page, where the request does not say.
const PAGE_BYTES: usize = 1 << 20;

/// Checks the parameters, in the peer's words where they cannot be read.
pub fn check(parameters: &Parameters) -> Result<(), String> {
    if let Some(unit) = parameters.get("partition_by") {
        return Err(format!("partitionBy is temporarily not supported:{unit}"));
    }
    properties(parameters).map(drop)
}

fn number(parameters: &Parameters, name: &str, what: &str, default: usize) -> Result<usize, String> {
    match parameters.get(name) {
        None | Some("") => Ok(default),
        Some(text) => text.parse().ok().filter(|&n| n > 0).ok_or_else(|| format!("invalid {what}:{text}")),
    }
}

fn properties(parameters: &Parameters) -> Result<WriterPropertiesBuilder, String> {
    let level = match parameters.get("compression_level") {
        None | Some("") => None,
        Some(text) => Some(text.parse::<i32>().map_err(|_| format!("invalid compression level:{text}"))?),
    };
    let codec = parameters.get("compression_codec").filter(|c| !c.is_empty()).unwrap_or("lz4_raw").to_ascii_lowercase();
    let compression = match codec.as_str() {
        "uncompressed" => Compression::UNCOMPRESSED,
        "snappy" => Compression::SNAPPY,
        "lz4_raw" => Compression::LZ4_RAW,
        // a level that a codec does not have is brought into its range
        "zstd" => {
            let level = ZstdLevel::try_new(level.unwrap_or(9).clamp(1, 22)).unwrap_or_default();
            Compression::ZSTD(level)
        }
        "gzip" => {
            let level = u32::try_from(level.unwrap_or(6).clamp(0, 9)).unwrap_or(6);
            Compression::GZIP(GzipLevel::try_new(level).unwrap_or_default())
        }
        "brotli" => return Err("compression codec brotli is not supported here; use zstd".to_owned()),
        _ => {
            let asked = parameters.get("compression_codec").unwrap_or("");
            return Err(format!("invalid compression codec[{asked}], expected one of: {CODECS}"));
        }
    };
    let version = match parameters.get("parquet_version") {
        None | Some("" | "2") => WriterVersion::PARQUET_2_0,
        Some("1") => WriterVersion::PARQUET_1_0,
        Some(other) => return Err(format!("invalid parquet version: {other}, supported versions: 1, 2")),
    };
    let rows = number(parameters, "row_group_size", "row group size", ROW_GROUP_ROWS)?.min(MAX_ROW_GROUP_ROWS);
    let statistics = match parameters.get("statistics_enabled") {
        Some(text) if text.eq_ignore_ascii_case("false") => EnabledStatistics::None,
        _ => EnabledStatistics::Chunk,
    };
    Ok(WriterProperties::builder()
        .set_created_by(format!("Stillpoint {}", env!("CARGO_PKG_VERSION")))
        .set_compression(compression)
        .set_writer_version(version)
        .set_max_row_group_row_count(Some(rows))
        .set_data_page_size_limit(number(parameters, "data_page_size", "data page size", PAGE_BYTES)?)
        .set_statistics_enabled(statistics)
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::PLAIN))
}

/// Returns the properties with what is due to the columns' types.
fn of_columns(properties: WriterPropertiesBuilder, is_version_1: bool, schema: &Schema) -> WriterProperties {
    let of_column = |properties: WriterPropertiesBuilder, field: &Arc<Field>| {
        let path = ColumnPath::new(vec![field.name().clone()]);
        match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => {
                properties.set_column_dictionary_enabled(path, true)
            }
            // most rise from row to row; readers of version 1 may not know the encoding
            DataType::Timestamp(..) if !is_version_1 => {
                properties.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED)
            }
            _ => properties,
        }
    };
    schema.fields().iter().fold(properties, of_column).build()
}

/// Returns the answer that writes the file.
///
/// # Errors
/// A result that Parquet cannot hold.
pub fn answer(
    rows: RowStream,
    first: Option<RecordBatch>,
    parameters: &Parameters,
    name: &str,
) -> Result<Response, SqlError> {
    let failed = |why: String| SqlError { message: why, position: 0, kind: SqlErrorKind::Internal };
    let properties = properties(parameters).map_err(|why| SqlError::new(0, why))?;
    let is_version_1 = parameters.get("parquet_version") == Some("1");
    let fields = rows.columns.iter().zip(rows.schema.fields()).map(|(column, field)| {
        let metadata = [("type".to_owned(), column.kind.shown().name())].into();
        // a bare NULL is a text
        let data_type = match field.data_type() {
            DataType::Null => DataType::Utf8View,
            data_type => data_type.clone(),
        };
        Field::new(&column.name, data_type, true).with_metadata(metadata)
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let properties = of_columns(properties, is_version_1, &schema);
    let writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties));
    let writer = writer.map_err(|e| failed(format!("a result cannot be written as Parquet: {e}")))?;
    let file =
        File { rows, first, window: Window::of_exp(parameters.get("limit")), seen: 0, schema, writer: Some(writer) };
    let chunks = futures::stream::unfold(file, |mut file| async {
        let chunk = file.next_chunk().await?;
        Some((chunk, file))
    });
    Ok(attachment(CONTENT_TYPE, Body::from_stream(chunks), name))
}

/// A file under way.
struct File {
    rows: RowStream,
    first: Option<RecordBatch>,
    window: Window,
    /// Rows that came so far.
    seen: u64,
    schema: Arc<Schema>,
    /// `None` behind the end.
    writer: Option<ArrowWriter<Vec<u8>>>,
}

impl File {
    /// Returns more bytes, `None` at the end, or an error that cuts the file off: without its end nobody takes it for whole.
    async fn next_chunk(&mut self) -> Option<io::Result<Vec<u8>>> {
        loop {
            let mut writer = self.writer.take()?;
            let batch = match self.first.take() {
                _ if self.seen >= self.window.stop => None,
                Some(batch) => Some(batch),
                None => match self.rows.next().await {
                    Ok(batch) => batch,
                    Err(error) => return Some(Err(io::Error::other(error))),
                },
            };
            let end = batch.is_none();
            let written = match batch {
                None => writer.finish().map(drop),
                Some(batch) => {
                    let shown = self.window.of_batch(self.seen, batch.num_rows());
                    self.seen += batch.num_rows() as u64;
                    self.shaped(&batch.slice(shown.start, shown.len())).and_then(|batch| {
                        // compresses a whole row group now and then
                        tokio::task::block_in_place(|| writer.write(&batch))
                    })
                }
            };
            if let Err(error) = written.and_then(|()| writer.sync().map_err(ParquetError::from)) {
                return Some(Err(io::Error::other(error)));
            }
            let bytes = std::mem::take(writer.inner_mut());
            if !end {
                self.writer = Some(writer);
            }
            if end || !bytes.is_empty() {
                return Some(Ok(bytes));
            }
        }
    }

    /// Returns the batch under the file's schema.
    fn shaped(&self, batch: &RecordBatch) -> Result<RecordBatch, ParquetError> {
        let columns = batch.columns().iter().zip(self.schema.fields());
        let columns: Vec<ArrayRef> = columns
            .map(|(array, field)| match array.data_type() {
                DataType::Null => arrow::array::new_null_array(field.data_type(), array.len()),
                _ => array.clone(),
            })
            .collect();
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }
}
