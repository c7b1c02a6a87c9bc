//! Arrow IPC files with one record batch: [`write_columns`] and [`encode`] make them, [`IpcFile::parse`] finds each column's buffers in
//! them. Segments and symbol files are such files.
//!
//! Values are never looked at here, and damaged bytes give an error, not a panic. Next: [`crate::segment`].

use std::collections::HashMap;
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use arrow_ipc::{Block, MetadataVersion};
use arrow_schema::{ArrowError, Field, Schema};
use types::{ColumnId, ColumnType};

use crate::arrow_type::{COLUMN_ID_KEY, TYPE_KEY};
use crate::env::Env;
use crate::env::fs::{FsFile, write_all_at};
use crate::{Error, Result};

/// Buffers begin at multiples of this, in the file and so in the mapped memory.
pub const ALIGNMENT: usize = 64;
/// Bytes handed to one write.
pub const IO_BYTES: usize = 1 << 20;
/// Bytes asked of one read whose checksum is taken: they stay in a core's cache between the two.
const READ_BYTES: usize = 256 << 10;
const MAGIC_LEN: usize = 6;
/// Footer length and magic.
const TRAILER_LEN: usize = 4 + MAGIC_LEN;
/// Continuation mark and length before a message.
const MESSAGE_PREFIX: usize = 8;
/// What a message would begin with, and no message: a stream ends there.
const END_OF_STREAM: [u8; MESSAGE_PREFIX] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
/// In the footer: first and last byte but one of what was written beside the columns.
const BESIDE_KEY: &str = "stillpoint.zones";

/// Where everything lies in the bytes of a file.
#[derive(Debug)]
pub struct IpcFile {
    pub rows: usize,
    /// Metadata of the schema.
    pub metadata: HashMap<String, String>,
    pub columns: Vec<IpcColumn>,
    /// What was written of the columns beside them; empty when nothing was.
    pub beside: Range<usize>,
}

/// One column in the bytes of a file.
#[derive(Debug)]
pub struct IpcColumn {
    pub id: ColumnId,
    /// Name when the file was written.
    pub name: String,
    pub column_type: ColumnType,
    pub null_count: usize,
    /// Number of values and of NULLs at each level of lists below the column.
    pub inner: Vec<(usize, usize)>,
    /// All bytes of the column, with the zeros that fill up to the next.
    pub bytes: Range<usize>,
    /// Validity (empty when nothing is NULL), then values, or offsets and bytes of text; of lists validity and offsets
    /// of each level, then those of the values.
    pub buffers: Vec<Range<usize>>,
}

/// Returns the bytes of a file that holds the columns in one uncompressed record batch.
pub fn encode(fields: Vec<Field>, metadata: HashMap<String, String>, columns: Vec<ArrayRef>) -> Result<Vec<u8>> {
    encode_to(Vec::new(), fields, metadata, columns, &[]).map_err(not_an_arrow_file)
}

/// A file's bytes, as they come.
trait Target: Write {
    /// Returns how many came before.
    fn position(&self) -> u64;
}

impl Target for Vec<u8> {
    fn position(&self) -> u64 {
        self.len() as u64
    }
}

fn encode_to<W: Target>(
    target: W,
    fields: Vec<Field>,
    metadata: HashMap<String, String>,
    columns: Vec<ArrayRef>,
    beside: &[u8],
) -> Result<W, ArrowError> {
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
    let batch = RecordBatch::try_new(schema.clone(), columns)?;
    let options = IpcWriteOptions::try_new(ALIGNMENT, false, MetadataVersion::V5)?;
    let mut writer = FileWriter::try_new_with_options(target, &schema, options)?;
    writer.write(&batch)?;
    if !beside.is_empty() {
        // Behind an end of the stream, for those that read the file as one; those that begin with the footer are not led there.
        writer.get_mut().write_all(&END_OF_STREAM)?;
        let start = writer.get_ref().position();
        writer.get_mut().write_all(beside)?;
        writer.write_metadata(BESIDE_KEY, format!("{start}..{}", start + beside.len() as u64));
    }
    writer.finish()?;
    writer.into_inner()
}

fn not_an_arrow_file(e: ArrowError) -> Error {
    Error::Invalid(format!("rows cannot be written as an Arrow file: {e}"))
}

/// Writes a new file that holds the columns in one uncompressed record batch, and beside them some bytes that say more of them, piece by
/// piece, and syncs it. Returns its length and crc32c. Its name is durable once the caller has synced the directory.
pub fn write_columns(
    env: &Env,
    path: &Path,
    fields: Vec<Field>,
    metadata: HashMap<String, String>,
    columns: Vec<ArrayRef>,
    beside: &[u8],
) -> Result<(u64, u32)> {
    let file = env.fs.create_new(path).map_err(Error::io(path))?;
    let pieces = Pieces { file: file.as_ref(), piece: Vec::with_capacity(IO_BYTES), offset: 0, crc: 0 };
    let written = encode_to(pieces, fields, metadata, columns, beside).map_err(|e| match e {
        ArrowError::IoError(_, source) => Error::io(path)(source),
        other => not_an_arrow_file(other),
    })?;
    file.sync().map_err(Error::io(path))?;
    Ok((written.offset, written.crc))
}

/// Writes to a file from its beginning on, in pieces of [`IO_BYTES`].
struct Pieces<'a> {
    file: &'a dyn FsFile,
    piece: Vec<u8>,
    /// Bytes handed to the file, and their checksum.
    offset: u64,
    crc: u32,
}

impl Pieces<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        write_all_at(self.file, self.offset, bytes)?;
        self.offset += bytes.len() as u64;
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        Ok(())
    }
}

impl Target for Pieces<'_> {
    fn position(&self) -> u64 {
        self.offset + self.piece.len() as u64
    }
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.is_empty() && bytes.len() >= IO_BYTES {
            self.put(&bytes[..IO_BYTES])?;
            return Ok(IO_BYTES);
        }
        let taken = bytes.len().min(IO_BYTES - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == IO_BYTES {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut piece = std::mem::take(&mut self.piece);
        self.put(&piece)?;
        piece.clear();
        self.piece = piece;
        Ok(())
    }
}

/// Writes a new file and syncs it; its name is durable once the caller has synced the directory.
pub fn write_file(env: &Env, path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> io::Result<()> {
        let file = env.fs.create_new(path)?;
        for (i, piece) in bytes.chunks(IO_BYTES).enumerate() {
            write_all_at(file.as_ref(), (i * IO_BYTES) as u64, piece)?;
        }
        file.sync()
    };
    write().map_err(Error::io(path))
}

/// Returns length and crc32c of a whole file, reading it piece by piece.
pub fn checksum_file(env: &Env, path: &Path) -> Result<(u64, u32)> {
    let file = env.fs.open(path).map_err(Error::io(path))?;
    checksum_pieces(&*file, path, u64::MAX, &mut |_, _| Ok(()))
}

/// As [`checksum_file`] of one that is open, of which each piece is handed on with its place. A file that is longer than
/// expected is read no further than the piece that shows it.
pub(crate) fn checksum_pieces(
    file: &dyn FsFile,
    path: &Path,
    expected_bytes: u64,
    take: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
) -> Result<(u64, u32)> {
    let buffer_bytes =
        usize::try_from(expected_bytes).map_or(READ_BYTES, |bytes| READ_BYTES.min(bytes.saturating_add(1)));
    let mut buffer = vec![0u8; buffer_bytes];
    let (mut len, mut crc) = (0u64, 0u32);
    while len <= expected_bytes {
        match file.read_at(len, &mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                crc = crc32c::crc32c_append(crc, &buffer[..n]);
                take(len, &buffer[..n])?;
                len += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::io(path)(e)),
        }
    }
    Ok((len, crc))
}

impl IpcFile {
    /// Finds the columns in the bytes of a file.
    ///
    /// # Errors
    /// A sentence about bytes that are no such file; every range returned lies within the bytes.
    pub fn parse(bytes: &[u8]) -> Result<IpcFile, String> {
        let footer_bytes = footer(bytes)?;
        let footer = arrow_ipc::root_as_footer(footer_bytes).map_err(|e| format!("footer is damaged: {e}"))?;
        let schema = footer.schema().ok_or("footer has no schema")?;
        if footer.dictionaries().is_some_and(|d| !d.is_empty()) {
            return Err("dictionaries inside the file are not supported".to_owned());
        }
        let blocks = footer.recordBatches().ok_or("footer lists no record batch")?;
        if blocks.len() != 1 {
            return Err(format!("expected 1 record batch, found {}", blocks.len()));
        }
        let (rows, placed) = record_batch(bytes, blocks.get(0))?;

        let mut columns = Vec::new();
        let mut buffers = placed.buffers.into_iter();
        let mut nodes = placed.nodes.into_iter();
        for field in schema.fields().into_iter().flatten() {
            let (id, column_type) = identity(&field)?;
            let (len, null_count) = nodes.next().ok_or("record batch has too few columns")?;
            if len != rows {
                return Err(format!("column {id} has {len} rows, the file {rows}"));
            }
            let levels = if let ColumnType::Array(dims) = column_type { dims as usize } else { 0 };
            let inner: Vec<(usize, usize)> = nodes.by_ref().take(levels).collect();
            if inner.len() != levels {
                return Err("record batch has too few columns".to_owned());
            }
            let count = if is_variable(column_type) { 3 } else { 2 * (1 + levels) };
            let buffers: Vec<Range<usize>> = buffers.by_ref().take(count).collect();
            if buffers.len() != count || buffers.windows(2).any(|w| w[0].end > w[1].start) {
                return Err(format!("column {id} has no proper buffers"));
            }
            let bytes = buffers[0].start..placed.end;
            let name = field.name().unwrap_or_default().to_owned();
            columns.push(IpcColumn { id, name, column_type, null_count, inner, bytes, buffers });
        }
        if nodes.next().is_some() || buffers.next().is_some() || columns.is_empty() {
            return Err("record batch and schema disagree".to_owned());
        }
        for i in 1..columns.len() {
            let next = columns[i].bytes.start;
            if columns[i - 1].buffers.last().is_some_and(|b| b.end > next) {
                return Err(format!("columns {} and {} overlap", columns[i - 1].id, columns[i].id));
            }
            columns[i - 1].bytes.end = next;
        }
        let metadata = key_values(schema.custom_metadata());
        let beside = match key_values(footer.custom_metadata()).get(BESIDE_KEY) {
            Some(said) => beside(said, placed.end, bytes.len() - footer_bytes.len() - TRAILER_LEN)?,
            None => 0..0,
        };
        Ok(IpcFile { rows, metadata, columns, beside })
    }

    /// Returns the bytes of all columns together.
    pub fn body(&self) -> Range<usize> {
        let start = self.columns.first().map_or(0, |c| c.bytes.start);
        let end = self.columns.last().map_or(start, |c| c.bytes.end);
        start..end
    }
}

/// Returns the bytes beside the columns, which lie behind these and before the footer.
fn beside(said: &str, body_end: usize, footer_start: usize) -> Result<Range<usize>, String> {
    let range = said.split_once("..").and_then(|(start, end)| Some(start.parse().ok()?..end.parse().ok()?));
    let lies = |range: &Range<usize>| body_end <= range.start && range.start <= range.end && range.end <= footer_start;
    range.filter(lies).ok_or_else(|| format!("{BESIDE_KEY} is damaged: {said:?}"))
}

fn is_variable(column_type: ColumnType) -> bool {
    matches!(column_type, ColumnType::String | ColumnType::Varchar | ColumnType::Binary)
}

/// Checks the offsets of text, bytes or lists: they rise from 0 and stay within the values.
pub fn check_offsets(offsets: &[i32], values_len: usize) -> Result<(), String> {
    let inside = offsets.last().is_some_and(|&last| usize::try_from(last).is_ok_and(|last| last <= values_len));
    let rising = offsets.first() == Some(&0) && offsets.is_sorted();
    if rising && inside { Ok(()) } else { Err("offsets are damaged".to_owned()) }
}

/// Returns the bytes of the footer.
fn footer(bytes: &[u8]) -> Result<&[u8], String> {
    let too_short = || format!("{} bytes are too few for an Arrow file", bytes.len());
    let trailer_start = bytes.len().checked_sub(TRAILER_LEN).ok_or_else(too_short)?;
    let trailer = bytes[trailer_start..].try_into().map_err(|_| too_short())?;
    let len = arrow_ipc::reader::read_footer_length(trailer).map_err(|e| format!("end of file is damaged: {e}"))?;
    let start = trailer_start.checked_sub(len).ok_or_else(too_short)?;
    Ok(&bytes[start..trailer_start])
}

/// Lengths, null counts and buffers of a record batch, as ranges of the file.
struct Placed {
    nodes: Vec<(usize, usize)>,
    buffers: Vec<Range<usize>>,
    end: usize,
}

fn record_batch(bytes: &[u8], block: &Block) -> Result<(usize, Placed), String> {
    let outside = || "record batch lies outside the file".to_owned();
    let number = |n: i64| usize::try_from(n).map_err(|_| outside());
    let start = number(block.offset())?;
    let body = start.checked_add(number(i64::from(block.metaDataLength()))?).ok_or_else(outside)?;
    let end = body.checked_add(number(block.bodyLength())?).filter(|&e| e <= bytes.len()).ok_or_else(outside)?;
    let message_start = start.checked_add(MESSAGE_PREFIX).ok_or_else(outside)?;
    let message = bytes.get(message_start..body).ok_or_else(outside)?;
    let message = arrow_ipc::root_as_message(message).map_err(|e| format!("record batch is damaged: {e}"))?;
    let batch = message.header_as_record_batch().ok_or("record batch is something else")?;
    if batch.compression().is_some() {
        return Err("compressed record batches are not supported".to_owned());
    }
    let rows = number(batch.length())?;
    let mut placed = Placed { nodes: Vec::new(), buffers: Vec::new(), end };
    for node in batch.nodes().into_iter().flatten() {
        placed.nodes.push((number(node.length())?, number(node.null_count())?));
    }
    for buffer in batch.buffers().into_iter().flatten() {
        let start = body.checked_add(number(buffer.offset())?).ok_or_else(outside)?;
        let stop = start.checked_add(number(buffer.length())?).filter(|&e| e <= end).ok_or_else(outside)?;
        if start % ALIGNMENT != 0 {
            return Err(format!("a buffer begins at {start}, which is not a multiple of {ALIGNMENT}"));
        }
        placed.buffers.push(start..stop);
    }
    Ok((rows, placed))
}

/// Returns id and type of a field, from its metadata.
fn identity(field: &arrow_ipc::Field) -> Result<(ColumnId, ColumnType), String> {
    let metadata = key_values(field.custom_metadata());
    let text = |key: &str| metadata.get(key).ok_or_else(|| format!("a field lacks {key}"));
    let id = text(COLUMN_ID_KEY)?.parse().map_err(|_| "a field has no proper column_id".to_owned())?;
    let name = text(TYPE_KEY)?;
    let column_type = ColumnType::from_name(name).ok_or_else(|| format!("column {id} has unknown type {name}"))?;
    Ok((ColumnId(id), column_type))
}

type KeyValues<'a> = arrow_ipc::r#gen::Schema::KeyValue<'a>;

fn key_values<'a>(pairs: Option<impl IntoIterator<Item = KeyValues<'a>>>) -> HashMap<String, String> {
    let owned = |kv: KeyValues| Some((kv.key()?.to_owned(), kv.value()?.to_owned()));
    pairs.into_iter().flatten().filter_map(owned).collect()
}
