//! Whether the bytes of a table are those that were written: one [`FileCheck`] for each file of a view.
//!
//! Reads files whole, whatever was verified before: a disk may have lost them since. Changes nothing; the caller may run
//! checks side by side, and the view that they come from keeps every file where it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::env::Env;
use crate::read_view::TableView;
use crate::segment::{DeadMeta, SegmentHandle, read_dead, verify_whole};
use crate::symbols::SymbolFileMeta;
use crate::{Error, Result, symbols};

/// One file of a table, and how it is checked.
pub struct FileCheck {
    env: Env,
    path: PathBuf,
    /// Path below the table's directory.
    name: String,
    what: What,
}

enum What {
    Segment(Arc<SegmentHandle>),
    /// A delete vector of a segment of so many rows.
    Dead(DeadMeta, u64),
    Symbols(SymbolFileMeta),
}

impl FileCheck {
    /// Returns the file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the file's path below the table's directory.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the file whole and compares it with what the log says of it; returns its bytes.
    ///
    /// # Errors
    /// `Corrupt` when it differs, `Io` when it cannot be read.
    pub fn run(&self) -> Result<u64> {
        match &self.what {
            What::Segment(segment) => {
                verify_whole(&self.env, &self.path, segment.meta())?;
                Ok(segment.meta().len_bytes)
            }
            What::Dead(meta, segment_rows) => {
                read_dead(&self.env, &self.path, meta, *segment_rows)?;
                Ok(meta.len_bytes)
            }
            What::Symbols(meta) => {
                symbols::file::verify_whole(&self.env, &self.path, meta)?;
                Ok(meta.len_bytes)
            }
        }
    }
}

impl TableView {
    /// Returns the files of the table, segments first.
    pub fn files_to_check(&self) -> Vec<FileCheck> {
        let dir = self.table.path(&self.disk.layout);
        let check = |name: &str, what| FileCheck {
            env: self.disk.env.clone(),
            path: dir.join(name),
            name: name.to_owned(),
            what,
        };
        let mut checks = Vec::new();
        for segment in self.table.segments.values().flatten() {
            let meta = segment.meta();
            checks.push(check(&meta.file, What::Segment(segment.clone())));
            checks.extend(meta.dead.as_ref().map(|dead| check(&dead.file, What::Dead(dead.clone(), meta.rows))));
        }
        let symbols = self.table.symbols.values().flat_map(|s| s.files.iter());
        checks.extend(symbols.map(|meta| check(&meta.file, What::Symbols(meta.clone()))));
        checks
    }

    /// Checks the table's files one after the other; returns the bytes read.
    ///
    /// # Errors
    /// The first file that is not what was written.
    pub fn check_files(&self) -> Result<u64, Error> {
        self.files_to_check().iter().map(FileCheck::run).sum()
    }
}
