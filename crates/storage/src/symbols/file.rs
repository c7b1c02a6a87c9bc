//! Symbol files: [`write_symbols`] saves the texts that are not on disk yet, [`load`] reads a dictionary back.
//!
//! A file is written once and synced; its directory is made and synced by the caller. Page: `docs/format/symbols.md`.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::StringArray;
use arrow_buffer::Buffer;
use serde::{Deserialize, Serialize};
use types::{ColumnId, ColumnType, TableId, TimelineId};

use super::Dictionary;
use crate::arrow_type::arrow_field;
use crate::document::read_whole;
use crate::env::Env;
use crate::ipc::{IpcFile, check_offsets, encode, write_file};
use crate::{Error, Result};

const VERSION_KEY: &str = "stillpoint.symbols";
const VERSION: &str = "1";
const REMEDY: &str = "restore from a snapshot; other tables are unaffected";

/// One symbol file, as the edit that added it describes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SymbolFileMeta {
    /// Path below the table's directory, e.g. `_symbols/3.01HK….arrow`.
    #[serde(deserialize_with = "crate::layout::relative")]
    pub file: String,
    pub column: ColumnId,
    /// Code of the first text.
    pub first_code: u64,
    /// Number of texts.
    pub count: u64,
    pub len_bytes: u64,
    /// Of the whole file.
    pub crc32c: u32,
}

/// Writes the texts of some codes to the new file `table_dir/file`; None when there are none. The dictionary is not told: call [`Dictionary::set_persisted`] once an edit names the file.
///
/// The file's content is durable on return, its name is not: the caller makes and syncs the directory.
///
/// # Errors
/// `Io` when the file exists or cannot be written or synced; `Invalid` when it would hold 2 GiB of text.
pub fn write_symbols(
    env: &Env,
    table_dir: &Path,
    file: &str,
    origin: (TableId, TimelineId),
    dictionary: &Dictionary,
    codes: Range<usize>,
) -> Result<Option<SymbolFileMeta>> {
    if codes.is_empty() {
        return Ok(None);
    }
    let first_code = codes.start;
    let texts = dictionary.texts(codes);
    if texts.iter().map(String::len).sum::<usize>() > i32::MAX as usize {
        return Err(Error::Invalid(format!("symbol file {file} would hold 2 GiB of text")));
    }
    let column = dictionary.column();
    let metadata = [
        (VERSION_KEY, VERSION.to_owned()),
        ("table_id", origin.0.to_string()),
        ("timeline", origin.1.to_string()),
        ("column_id", column.to_string()),
        ("first_code", first_code.to_string()),
        ("count", texts.len().to_string()),
    ];
    let metadata: HashMap<String, String> = metadata.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    let field = arrow_field(column, "text", ColumnType::Varchar);
    let bytes = encode(vec![field], metadata, vec![Arc::new(StringArray::from_iter_values(&texts))])?;
    write_file(env, &table_dir.join(file), &bytes)?;
    Ok(Some(SymbolFileMeta {
        file: file.to_owned(),
        column,
        first_code: first_code as u64,
        count: texts.len() as u64,
        len_bytes: bytes.len() as u64,
        crc32c: crc32c::crc32c(&bytes),
    }))
}

/// Returns the dictionary of a column from its files, in any order. The text-to-code side is made later, when it is needed.
///
/// # Errors
/// `Io` when a file cannot be read; `Corrupt` when one is not what its meta says or the codes have a gap.
pub fn load(env: &Env, table_dir: &Path, column: ColumnId, files: &[SymbolFileMeta]) -> Result<Dictionary> {
    let mut files: Vec<&SymbolFileMeta> = files.iter().collect();
    files.sort_by_key(|f| f.first_code);
    let dictionary = Dictionary::new(column);
    let mut inner = dictionary.write();
    for meta in files {
        let path = table_dir.join(&meta.file);
        let corrupt = |detail: String| Error::corrupt(&path, format!("{detail}; {REMEDY}"));
        if meta.column != column || meta.first_code != inner.texts.len() as u64 {
            let have = inner.texts.len();
            return Err(corrupt(format!(
                "symbols of column {column} go on at {have}, the file at {}",
                meta.first_code
            )));
        }
        let bytes = read_whole(env, &path, Some(meta.len_bytes))?;
        let (block, ends) = decode(bytes, meta).map_err(corrupt)?;
        inner.texts.push_block(block, ends);
    }
    let count = inner.texts.len();
    drop(inner);
    dictionary.set_persisted(count);
    Ok(dictionary)
}

/// Reads a file whole and checks it.
///
/// # Errors
/// `Io` when it cannot be read; `Corrupt` when it is not what its meta says.
pub fn verify_whole(env: &Env, path: &Path, meta: &SymbolFileMeta) -> Result<()> {
    let bytes = read_whole(env, path, Some(meta.len_bytes))?;
    decode(bytes, meta).map(drop).map_err(|detail| Error::corrupt(path, format!("{detail}; {REMEDY}")))
}

/// Checks a file's bytes and returns its text and the end of each text in it.
fn decode(bytes: Vec<u8>, meta: &SymbolFileMeta) -> Result<(Buffer, Vec<usize>), String> {
    if bytes.len() as u64 != meta.len_bytes {
        return Err(format!("{} bytes long, {} were written", bytes.len(), meta.len_bytes));
    }
    if crc32c::crc32c(&bytes) != meta.crc32c {
        return Err("checksum of the file differs".to_owned());
    }
    let layout = IpcFile::parse(&bytes)?;
    let said = |key: &str| layout.metadata.get(key).map_or("none", String::as_str);
    if said(VERSION_KEY) != VERSION {
        return Err(format!("symbol format is version {}, this server reads {VERSION}", said(VERSION_KEY)));
    }
    let [column] = layout.columns.as_slice() else { return Err("more than one column".to_owned()) };
    let same = column.id == meta.column
        && said("first_code") == meta.first_code.to_string()
        && layout.rows as u64 == meta.count
        && column.null_count == 0
        && column.buffers.len() == 3;
    if !same {
        return Err("its texts are not those that the edit names".to_owned());
    }
    let offsets: Vec<i32> = bytes[column.buffers[1].clone()]
        .chunks_exact(4)
        .take(layout.rows + 1)
        .map(|b| i32::from_le_bytes(b.try_into().expect("chunks of four bytes")))
        .collect();
    if offsets.len() != layout.rows + 1 {
        return Err("fewer texts than rows".to_owned());
    }
    let text = column.buffers[2].clone();
    check_offsets(&offsets, text.len())?;
    let chars = std::str::from_utf8(&bytes[text.clone()]).map_err(|e| format!("text is not UTF-8: {e}"))?;
    if !offsets.iter().all(|&o| chars.is_char_boundary(o as usize)) {
        return Err("a text ends within a character".to_owned());
    }
    let block = Buffer::from_vec(bytes).slice_with_length(text.start, text.len());
    Ok((block, offsets[1..].iter().map(|&o| o as usize).collect()))
}
