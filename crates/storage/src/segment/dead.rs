//! Delete vectors: which rows of a segment are dead. A file beside the segment, a roaring bitmap in its portable format.
//!
//! A vector never changes: more dead rows are a new file, named by the edit that makes them dead. Page: `docs/format/dead.md`.

use std::path::Path;

use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};

use crate::document::read_whole;
use crate::env::Env;
use crate::env::fs::write_all_at;
use crate::{Error, Result};

const REMEDY: &str = "restore from a snapshot; other tables are unaffected";

/// One delete vector, as the edit that added it describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadMeta {
    /// Path below the table's directory, e.g. `2024-01-01/01HK….dead`.
    #[serde(deserialize_with = "crate::layout::relative")]
    pub file: String,
    /// Number of dead rows.
    pub rows: u64,
    pub len_bytes: u64,
    /// Of the whole file.
    pub crc32c: u32,
}

/// Writes the rows to the new file `table_dir/file`. Its content is durable on return, its name is not: the caller syncs
/// the directory.
///
/// # Errors
/// `Io` when the file exists or cannot be written or synced.
pub fn write_dead(env: &Env, table_dir: &Path, file: &str, rows: &RoaringBitmap) -> Result<DeadMeta> {
    let path = table_dir.join(file);
    let mut bytes = Vec::with_capacity(rows.serialized_size());
    rows.serialize_into(&mut bytes).expect("memory takes every byte");
    let out = env.fs.create_new(&path).map_err(Error::io(&path))?;
    write_all_at(&*out, 0, &bytes).map_err(Error::io(&path))?;
    out.sync().map_err(Error::io(&path))?;
    let (len_bytes, crc32c) = (bytes.len() as u64, crc32c::crc32c(&bytes));
    Ok(DeadMeta { file: file.to_owned(), rows: rows.len(), len_bytes, crc32c })
}

/// Reads a delete vector of a segment of `segment_rows` rows.
///
/// # Errors
/// `Io` when it cannot be read; `Corrupt` when it is not what `meta` says.
pub fn read_dead(env: &Env, path: &Path, meta: &DeadMeta, segment_rows: u64) -> Result<RoaringBitmap> {
    let corrupt = |detail: &str| Error::corrupt(path, format!("{detail}; {REMEDY}"));
    let bytes = read_whole(env, path, Some(meta.len_bytes))?;
    if crc32c::crc32c(&bytes) != meta.crc32c {
        return Err(corrupt("checksum of the delete vector differs"));
    }
    let rows = RoaringBitmap::deserialize_from(&bytes[..]).map_err(|e| corrupt(&format!("not understood: {e}")))?;
    if rows.len() != meta.rows || rows.max().is_some_and(|row| u64::from(row) >= segment_rows) {
        return Err(corrupt("the delete vector names other rows than the segment has"));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::super::reader::tests::{DIR, sim};
    use super::*;

    #[test]
    fn a_vector_reads_back_and_every_changed_byte_is_found() {
        let env = sim();
        let rows: RoaringBitmap = (0..5_000).filter(|row| row % 7 != 3).collect();
        let dir = Path::new(DIR);
        let meta = write_dead(&env, dir, "a.dead", &rows).unwrap();
        assert_eq!(read_dead(&env, &dir.join("a.dead"), &meta, 5_000).unwrap(), rows);
        let beyond = read_dead(&env, &dir.join("a.dead"), &meta, 4_000).unwrap_err().to_string();
        assert!(beyond.contains("a.dead") && beyond.contains("other rows"), "{beyond}");
        let bytes = env.fs.read(&dir.join("a.dead")).unwrap();
        for at in 0..bytes.len().min(200) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            let path = dir.join(format!("{at}.dead"));
            let file = env.fs.create_new(&path).unwrap();
            write_all_at(&*file, 0, &damaged).unwrap();
            assert!(matches!(read_dead(&env, &path, &meta, 5_000), Err(Error::Corrupt { .. })), "byte {at}");
        }
    }
}
