//! Proves, before anything is changed, that what a restore would serve is there: lengths, bytes, and that no link leads
//! out of the root.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::catalog::DbState;
use crate::env::fs::FileKind;
use crate::env::join::{self, in_turn};
use crate::layout::Disk;
use crate::segment::{self, SegmentHandle};
use crate::symbols::file::SymbolFileMeta;
use crate::table::TableState;
use crate::{Error, Result, root, symbols};

/// Below so many bytes a table is read before a second thread is there.
const WORTH_TWO_BYTES: u64 = 1 << 20;

/// Looks whether files below `db/` are there in these lengths.
pub fn verify_lengths(disk: &Disk, files: &[(String, u64)]) -> Result<()> {
    for (file, len_bytes) in files {
        require_plain_path(disk, file)?;
        let path = disk.layout.db().join(file);
        let found = disk.env.fs.metadata(&path).map_err(Error::io(&path))?.len_bytes;
        if found != *len_bytes {
            return Err(Error::corrupt(&path, format!("{found} bytes long, {len_bytes} were written")));
        }
    }
    Ok(())
}

/// Files that were read whole, or are about to be: what several snapshots share is read once. Good as long as a fault in one
/// of them ends it all.
#[derive(Default)]
pub struct Proven(Mutex<HashSet<Proof>>);

/// What is said of a file that its bytes were held against.
#[derive(PartialEq, Eq, Hash)]
enum Proof {
    Segment { file: String, len_bytes: u64, crc32c: u32 },
    Symbols { table_dir: String, said: SymbolFileMeta },
}

impl Proven {
    /// Returns whether that is still to be proven, and takes it as proven from now on.
    fn wants(&self, proof: Proof) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(proof)
    }
}

/// Reads every segment and symbol file whole, those of a table by two workers.
pub fn verify_tables(disk: &Disk, state: &DbState, progress: &dyn Fn(&str)) -> Result<()> {
    verify_unproven(disk, state, &Proven::default(), progress)
}

/// As [`verify_tables`], but for what another state's tables had proven.
pub fn verify_unproven(disk: &Disk, state: &DbState, proven: &Proven, progress: &dyn Fn(&str)) -> Result<()> {
    let mut tables: Vec<_> = state.tables_with_files().collect();
    tables.sort_by_key(|t| t.id);
    let total = tables.len();
    for (i, table) in tables.into_iter().enumerate() {
        let segments = table.segments.values().flatten().map(|segment| FileOf::Segment(segment));
        let symbols = table.symbols.values().flat_map(|s| s.files.iter()).map(FileOf::Symbols);
        let files: Vec<FileOf<'_>> = segments.chain(symbols).collect();
        let bytes: u64 = table.named_files().map(|named| named.len_bytes).sum();
        let join = if bytes >= WORTH_TWO_BYTES { disk.env.join } else { in_turn };
        join::each(join, &files, |file| file.verify(disk, table, proven))?;
        progress(&format!("restore: verified table {} ({} of {total})", table.name, i + 1));
    }
    Ok(())
}

/// A file of a table.
enum FileOf<'a> {
    Segment(&'a SegmentHandle),
    Symbols(&'a SymbolFileMeta),
}

impl FileOf<'_> {
    fn verify(&self, disk: &Disk, table: &TableState, proven: &Proven) -> Result<()> {
        let dir = table.path(&disk.layout);
        match self {
            FileOf::Segment(segment) => {
                let meta = segment.meta();
                let file = format!("{}/{}", table.dir, meta.file);
                require_plain_path(disk, &file)?;
                if proven.wants(Proof::Segment { file, len_bytes: meta.len_bytes, crc32c: meta.crc32c }) {
                    segment::verify_whole(&disk.env, &dir.join(&meta.file), meta)?;
                }
                if let Some(dead) = &meta.dead {
                    require_plain_path(disk, &format!("{}/{}", table.dir, dead.file))?;
                    segment.dead()?;
                }
                Ok(())
            }
            FileOf::Symbols(file) => {
                require_plain_path(disk, &format!("{}/{}", table.dir, file.file))?;
                let proof = Proof::Symbols { table_dir: table.dir.to_string(), said: (*file).clone() };
                if proven.wants(proof) {
                    symbols::file::verify_whole(&disk.env, &dir.join(&file.file), file)?;
                }
                Ok(())
            }
        }
    }
}

/// Checks that each step of a path below `db` is a directory and the last one a file, none of them a link.
pub fn require_plain_path(disk: &Disk, relative: &str) -> Result<()> {
    let mut path = disk.layout.db();
    let mut steps = relative.split('/').peekable();
    while let Some(step) = steps.next() {
        if step.is_empty() || step == "." || step == ".." {
            return Err(Error::corrupt(&path, format!("a document names an unsafe path: {relative:?}")));
        }
        path.push(step);
        let wanted = if steps.peek().is_some() { FileKind::Dir } else { FileKind::File };
        match disk.env.fs.metadata(&path) {
            Ok(m) if m.kind == wanted => {}
            Ok(m) if m.kind == FileKind::Symlink => root::refuse_symlink(disk, &path)?,
            Ok(_) => return Err(Error::corrupt(&path, "is not what the snapshot names; use another copy")),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::corrupt(&path, "is missing, the snapshot needs it; copy again or use another copy"));
            }
            Err(e) => return Err(Error::io(&path)(e)),
        }
    }
    Ok(())
}
