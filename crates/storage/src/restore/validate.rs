//! Proves, before anything is changed, that what a restore would serve is there: lengths, bytes, and that no link leads
//! out of the root.

use crate::catalog::DbState;
use crate::env::fs::FileKind;
use crate::layout::Disk;
use crate::root;
use crate::{Error, Result};

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

/// Reads every segment and symbol file whole.
pub fn verify_tables(disk: &Disk, state: &DbState, progress: &dyn Fn(&str)) -> Result<()> {
    let mut tables: Vec<_> = state.tables_with_files().collect();
    tables.sort_by_key(|t| t.id);
    let total = tables.len();
    for (i, table) in tables.into_iter().enumerate() {
        let dir = table.path(&disk.layout);
        for segment in table.segments.values().flatten() {
            require_plain_path(disk, &format!("{}/{}", table.dir, segment.meta().file))?;
            crate::segment::verify_whole(&disk.env, &dir.join(&segment.meta().file), segment.meta())?;
            if let Some(dead) = &segment.meta().dead {
                require_plain_path(disk, &format!("{}/{}", table.dir, dead.file))?;
                segment.dead()?;
            }
        }
        for file in table.symbols.values().flat_map(|s| s.files.iter()) {
            require_plain_path(disk, &format!("{}/{}", table.dir, file.file))?;
            crate::symbols::file::verify_whole(&disk.env, &dir.join(&file.file), file)?;
        }
        progress(&format!("restore: verified table {} ({} of {total})", table.name, i + 1));
    }
    Ok(())
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
