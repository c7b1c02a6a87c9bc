//! Proves that a copy is whole without serving it: [`verify`]. Nothing is changed, no trigger is needed.

use std::fmt;
use std::path::Path;

use types::{Seq, TimestampUs};

use super::validate::{require_plain_path, verify_tables};
use super::{PinFile, read_pins};
use crate::env::Env;
use crate::layout::{Disk, Layout};
use crate::root;
use crate::snapshot::content;
use crate::{Error, Result};

/// A snapshot that is whole, in a copy or a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    pub snapshot: String,
    pub seq: Seq,
    pub created_us: i64,
    pub tables: usize,
    pub rows: u64,
    pub bytes: u64,
    pub files: usize,
}

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Whole { snapshot, seq, created_us, tables, rows, bytes, files } = self;
        let time = TimestampUs(*created_us);
        write!(f, "snapshot {snapshot} of {time} (seq {seq}) is whole: ")?;
        write!(f, "{tables} tables, {rows} rows, {bytes} bytes in {files} files")
    }
}

/// Reads every byte of a copy's snapshots (or of those with that name) and returns what each holds.
///
/// # Errors
/// [`Error::Refused`] when there is no such snapshot or no database; [`Error::Corrupt`] naming the file that is missing or
/// damaged.
pub fn verify(env: &Env, root: &Path, name: Option<&str>, progress: &dyn Fn(&str)) -> Result<Vec<Whole>> {
    let disk = Disk { env: env.clone(), layout: Layout::new(root), planted: None };
    root::refuse_symlink(&disk, &disk.layout.db())?;
    let marker_path = disk.layout.marker();
    if !disk.env.fs.exists(&marker_path).map_err(Error::io(&marker_path))? {
        return Err(Error::Refused(format!("there is no database in {}", root.display())));
    }
    let marker = root::read_marker(&disk)?;
    root::refuse_symlink(&disk, &disk.layout.snapshot())?;
    let mut pins = read_pins(&disk)?;
    pins.retain(|found| name.is_none_or(|name| name == found.pin.name));
    pins.sort_by_key(|found| (found.pin.timeline.number, found.pin.seq));
    if pins.is_empty() {
        let name = name.unwrap_or("*");
        return Err(Error::Refused(format!("there is no snapshot/{name} in {}: it was not copied", root.display())));
    }
    pins.iter().map(|found| verify_one(&disk, found, &marker.database_id, progress).map_err(Error::of_copy)).collect()
}

fn verify_one(disk: &Disk, found: &PinFile, database_id: &str, progress: &dyn Fn(&str)) -> Result<Whole> {
    let PinFile { path, pin } = found;
    if pin.database_id != database_id {
        return Err(Error::corrupt(path, "the snapshot is of another database than db/_stillpoint"));
    }
    let state = content::read(disk, pin, path, &|file: &str| require_plain_path(disk, file))?;
    verify_tables(disk, &state, progress)?;
    let files = content::files(disk, pin, path, &state)?;
    let mut rows = 0;
    for table in state.tables.iter() {
        rows += table.rows()?;
    }
    Ok(Whole {
        snapshot: pin.name.clone(),
        seq: pin.seq,
        created_us: pin.created_us,
        tables: state.tables.len(),
        rows,
        bytes: files.iter().map(|(_, len_bytes)| len_bytes).sum(),
        files: files.len(),
    })
}
