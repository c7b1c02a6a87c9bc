//! JSON files with a checksum as their last member: bases, timelines, pins, table bases.
//!
//! The file is one JSON object on one line; its last member is `"crc32c":"<8 hex digits>"`, the checksum of all
//! bytes before the comma of that member. Page: `docs/format/README.md`.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::env::Env;
use crate::env::fs::{FileKind, write_all_at};
use crate::snapshot::FileRef;
use crate::{Error, Result};

/// Longest file that is read as a whole: 2 GiB of text in a symbol file and its offsets are less.
const MAX_BYTES: u64 = 4 << 30;
const TAIL_BYTES: usize = r#","crc32c":"00000000"}"#.len() + 1;

/// Returns the bytes of a document.
pub fn encode(body: &impl Serialize) -> Vec<u8> {
    encode_long(body, 128)
}

/// As [`encode`], of a document that is about so long, so that it is not moved while it grows.
pub fn encode_long(body: &impl Serialize, expected_bytes: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(expected_bytes);
    serde_json::to_writer(&mut bytes, body).expect("documents have text keys only");
    assert_eq!(bytes.pop(), Some(b'}'), "a document is a JSON object");
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(format!(",\"crc32c\":\"{crc:08x}\"}}\n").as_bytes());
    bytes
}

/// Returns the body of a document whose checksum is right.
///
/// # Errors
/// What is wrong with the bytes, without their file's name.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let split = bytes.len().checked_sub(TAIL_BYTES).ok_or("file is too short")?;
    let (body, tail) = bytes.split_at(split);
    if tail != format!(",\"crc32c\":\"{:08x}\"}}\n", crc32c::crc32c(body)).as_bytes() {
        return Err("checksum differs".to_owned());
    }
    serde_json::from_slice(bytes).map_err(|e| format!("not understood: {e}"))
}

/// Writes a document under a new name. Durable when this returns, except for the name: sync the directory.
///
/// # Errors
/// Of the disk; a file that could not be written is gone again, if the disk lets it go.
pub fn write(env: &Env, path: &Path, bytes: &[u8]) -> Result<()> {
    let file = env.fs.create_new(path).map_err(Error::io(path))?;
    write_all_at(&*file, 0, bytes).and_then(|()| file.sync()).map_err(|e| {
        // What is told is why it could not be written; whoever lists the directory passes over a part of a document.
        let _ = env.fs.unlink(path);
        Error::io(path)(e)
    })
}

/// Reads a whole file: a plain one, of the length that is expected where one is, and never more than a document can have.
///
/// # Errors
/// [`Error::Corrupt`] when it is something else, [`Error::Io`] when it cannot be read.
pub fn read_whole(env: &Env, path: &Path, len_bytes: Option<u64>) -> Result<Vec<u8>> {
    let found = env.fs.metadata(path).map_err(Error::io(path))?;
    if !matches!(found.kind, FileKind::File | FileKind::Symlink) {
        return Err(Error::corrupt(path, "is not a plain file; the copy is not whole, use another copy"));
    }
    if let Some(len_bytes) = len_bytes
        && found.kind == FileKind::File
        && found.len_bytes != len_bytes
    {
        let detail = format!(
            "length or checksum differs from what names it: {} bytes long, {len_bytes} were written",
            found.len_bytes
        );
        return Err(Error::corrupt(path, detail));
    }
    if found.len_bytes > MAX_BYTES {
        return Err(Error::corrupt(path, format!("{} bytes are more than such a file can have", found.len_bytes)));
    }
    env.fs.read(path).map_err(Error::io(path))
}

/// Reads a document.
///
/// # Errors
/// [`Error::Corrupt`] when the checksum differs, [`Error::Io`] when it cannot be read.
pub fn read<T: DeserializeOwned>(env: &Env, path: &Path) -> Result<T> {
    let bytes = read_whole(env, path, None)?;
    decode(&bytes).map_err(|why| Error::corrupt(path, why))
}

/// Reads a document that another one names with length and checksum of all its bytes.
pub fn read_named<T: DeserializeOwned>(env: &Env, path: &Path, named: &FileRef) -> Result<T> {
    let bytes = match read_whole(env, path, Some(named.len_bytes)) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::corrupt(path, "file is missing"));
        }
        read => read?,
    };
    if bytes.len() as u64 != named.len_bytes || crc32c::crc32c(&bytes) != named.crc32c {
        return Err(Error::corrupt(path, "length or checksum differs from what names it"));
    }
    decode(&bytes).map_err(|why| Error::corrupt(path, why))
}

/// Returns how another document names these bytes.
pub fn reference(file: String, bytes: &[u8]) -> FileRef {
    FileRef { file, len_bytes: bytes.len() as u64, crc32c: crc32c::crc32c(bytes) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::env::SimFs;
    use crate::env::clock::ManualClock;
    use crate::env::fs::Fs;
    use crate::env::rng::SeededRng;

    #[test]
    fn what_could_not_be_written_is_gone_again() {
        let fs = Arc::new(SimFs::new(1));
        let env = Env::in_turn(fs.clone(), Arc::new(ManualClock::new(1)), Arc::new(SeededRng::new(1)));
        fs.make_dirs(Path::new("/dir"));
        fs.set_free_bytes(Some(10));
        let path = Path::new("/dir/1.json");
        let refused = write(&env, path, &encode(&serde_json::json!({"a": "more than ten bytes"})));
        assert!(
            matches!(&refused, Err(Error::Unavailable(why)) if why.contains("/dir/1.json cannot be written")),
            "{refused:?}"
        );
        assert!(fs.list(Path::new("/dir")).unwrap().is_empty());
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let body = serde_json::json!({"a": 1, "text": "ä"});
        let bytes = encode(&body);
        assert_eq!(decode::<serde_json::Value>(&bytes).unwrap()["a"], 1);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(decode::<serde_json::Value>(&damaged).is_err(), "byte {at}");
            assert!(decode::<serde_json::Value>(&bytes[..at]).is_err(), "cut at {at}");
        }
        assert!(decode::<serde_json::Value>(&[]).is_err());
    }
}
