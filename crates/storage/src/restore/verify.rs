//! Proves that a copy is whole without serving it: [`verify`]. Nothing is changed, no trigger is needed.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use types::{Seq, TimestampUs};

use super::validate::{Proven, require_plain_path, verify_unproven};
use super::{PinFile, missing_file, read_pins};
use crate::catalog::DbState;
use crate::env::Env;
use crate::env::fs::FileKind;
use crate::layout::{Disk, Layout};
use crate::root::{self, Marker};
use crate::snapshot::Pin;
use crate::snapshot::content::{self, Rows};
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

/// Reads every byte of a copy's snapshots (or of those with that name) and returns what each holds. Segments, symbol
/// files and log files that several of them share are read once.
///
/// # Errors
/// [`Error::Refused`] when there is no such snapshot or no database; [`Error::Corrupt`] naming the file that is missing or
/// damaged.
pub fn verify(env: &Env, root: &Path, name: Option<&str>, progress: &(dyn Fn(&str) + Sync)) -> Result<Vec<Whole>> {
    let disk = Disk { env: env.clone(), layout: Layout::new(root), planted: None };
    let marker = marker_of_copy(&disk)?;
    let mut pins = read_pins(&disk)?;
    let mut there: Vec<&str> = pins.iter().map(|found| &*found.pin.name).collect();
    there.sort_unstable();
    there.dedup();
    let there = there.join(", ");
    pins.retain(|found| name.is_none_or(|name| found.is_called(name)));
    // Of one that has just settled the former file may lie there too, and what that named may be gone.
    let settled: HashSet<String> =
        pins.iter().filter(|found| found.pin.settled.is_some()).map(|found| found.pin.id.clone()).collect();
    pins.retain(|found| found.pin.settled.is_some() || !settled.contains(&found.pin.id));
    pins.sort_by_key(|found| (found.pin.timeline.number, found.pin.seq));
    if pins.is_empty() {
        let remedy = match there.is_empty() {
            true => "take one with SNAPSHOT PREPARE and copy the root before SNAPSHOT COMPLETE".to_owned(),
            false => format!("name one that is there ({there})"),
        };
        let (name, root) = (name.unwrap_or("*"), root.display());
        return Err(Error::Refused(format!("there is no snapshot/{name} in {root}: it was not copied; {remedy}")));
    }
    let proven = Proven::default();
    let mut whole = Vec::new();
    for run in pins.chunk_by(|one, later| content::goes_on(&one.pin, &later.pin)) {
        let verified = |run: &[PinFile]| verify_run(&disk, run, &marker.database_id, &proven, progress);
        let is_whole = |run: &[PinFile]| verified(run).is_ok();
        whole.extend(verified(run).map_err(|error| beside_default(&disk, &pins, error.of_copy(), is_whole))?);
    }
    Ok(whole)
}

/// Says what is whole of a copy in which something is missing: a snapshot that was taken while the copy was being made is named there,
/// and need not be in it.
fn beside_default(disk: &Disk, pins: &[PinFile], error: Error, is_whole: impl Fn(&[PinFile]) -> bool) -> Error {
    let (Some(_), Error::Corrupt { file, detail }) = (missing_file(disk, &error), &error) else { return error };
    let at = pins.iter().rposition(|found| found.pin.name == "default");
    let Some((default, later)) = at.map(|at| (&pins[at..=at], &pins[at + 1..])).filter(|(_, later)| !later.is_empty())
    else {
        return error;
    };
    if !is_whole(default) {
        return error;
    }
    let mut names: Vec<&str> = later.iter().map(|found| &*found.pin.name).collect();
    names.dedup();
    let detail = format!(
        "{detail}; snapshot default is whole, and what was taken later ({}) may not have been copied: `--snapshot default` looks at it alone",
        names.join(", ")
    );
    Error::Corrupt { file: file.clone(), detail }
}

/// Verifies snapshots each of whose logs begins with that of the one before.
fn verify_run(
    disk: &Disk,
    run: &[PinFile],
    database_id: &str,
    proven: &Proven,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Vec<Whole>> {
    if let Some(other) = run.iter().find(|found| found.pin.database_id != database_id) {
        return Err(Error::corrupt(&other.path, "the snapshot is of another database than db/_stillpoint"));
    }
    let pins: Vec<(&Pin, &Path)> = run.iter().map(|found| (&found.pin, &*found.path)).collect();
    let check = |file: &str| require_plain_path(disk, file);
    let at_cuts = content::read_each(disk, &pins, &check, Rows::PassedOver)?;
    for at_cut in &at_cuts {
        verify_unproven(disk, &at_cut.state, proven, &|line| progress(line))?;
    }
    let rows = match at_cuts.iter().map(|at_cut| at_cut.rows).collect() {
        Some(rows) => rows,
        None => rows_by_values(disk, &pins)?,
    };
    let found = pins.into_iter().zip(at_cuts).zip(rows);
    found.map(|(((pin, path), at_cut), rows)| whole(disk, pin, path, &at_cut.state, rows)).collect()
}

/// Reads what the log says up to each cut, every row of it, and returns how many rows there are.
fn rows_by_values(disk: &Disk, pins: &[(&Pin, &Path)]) -> Result<Vec<u64>> {
    let at_cuts = content::read_each(disk, pins, &|file: &str| require_plain_path(disk, file), Rows::Read)?;
    at_cuts.iter().map(|at_cut| at_cut.state.tables.iter().map(|table| table.rows()).sum()).collect()
}

fn whole(disk: &Disk, pin: &Pin, path: &Path, on_disk: &DbState, rows: u64) -> Result<Whole> {
    let files = content::files(disk, pin, path, on_disk)?;
    Ok(Whole {
        snapshot: pin.name.clone(),
        seq: pin.seq,
        created_us: pin.created_us,
        tables: on_disk.tables.len(),
        rows,
        bytes: files.iter().map(|(_, len_bytes)| len_bytes).sum(),
        files: files.len(),
    })
}

/// Returns the marker of a root that is to be copied, or of a copy.
pub(crate) fn marker_of_copy(disk: &Disk) -> Result<Marker> {
    let root = disk.layout.root();
    if disk.env.fs.metadata(root).is_ok_and(|found| !matches!(found.kind, FileKind::Dir | FileKind::Symlink)) {
        return Err(Error::Refused(format!(
            "{} is not a directory: name a directory that holds a copy of a root",
            root.display()
        )));
    }
    for dir in [disk.layout.db(), disk.layout.snapshot()] {
        root::refuse_symlink(disk, &dir)?;
    }
    let path = disk.layout.marker();
    if !disk.env.fs.exists(&path).map_err(Error::io(&path))? {
        root::refuse_without_marker(disk)?;
        return Err(Error::Refused(format!(
            "there is no database in {}: name a directory that holds a copy of a root",
            root.display()
        )));
    }
    require_plain_path(disk, "_stillpoint")?;
    root::read_marker(disk)
}
