//! What no snapshot of a directory of copies names any more: [`prune`].

use std::collections::HashSet;
use std::path::PathBuf;
use std::str::FromStr;

use types::TimelineId;

use super::Plan;
use super::target::{PARTIAL, Target};
use crate::env::fs::FileKind;
use crate::layout::{BaseName, Disk, FileId, LogName, list_or_none, parse_table_dir};
use crate::restore::{PinFile, read_pins, require_plain_path};
use crate::snapshot::{Pin, content};
use crate::{Error, Result};

/// Removes earlier snapshots of the name that was just copied and former files of snapshots that have settled since, then files
/// of our patterns that no snapshot names, and returns how many files and bytes went. A snapshot that cannot be read keeps
/// everything.
///
/// # Errors
/// [`Error::Corrupt`] naming what a snapshot lacks: then nothing of its files was removed.
pub(super) fn prune(target: &Target<'_>, plan: &Plan) -> Result<(u64, u64)> {
    let (disk, newest) = (&target.disk, &plan.found.pin);
    let is_earlier = |pin: &Pin| pin.name == newest.name && pin.id != newest.id;
    let goes = |found: &PinFile| is_earlier(&found.pin) || plan.has_settled(found);
    let (past, kept): (Vec<_>, Vec<_>) = read_pins(disk)?.into_iter().partition(goes);
    let mut named = HashSet::from([disk.layout.marker()]);
    for found in &kept {
        let check = |file: &str| require_plain_path(disk, file);
        let state = content::read_files(disk, &found.pin, &found.path, &check)?;
        let files = content::named_files(disk, &found.pin, &found.path, &state)?;
        let timelines = found.pin.timelines.iter().map(|named| &named.file);
        named.extend(files.iter().map(|named| &named.file).chain(timelines).map(|file| disk.layout.db().join(file)));
    }
    let mut removed = Removed { disk, files: 0, bytes: 0 };
    // The pins first, and durably: a pin without its files would be a copy that is not whole.
    for found in &past {
        removed.file(found.path.clone())?;
    }
    target.sync_pins()?;
    for path in candidates(disk)?.into_iter().filter(|path| !named.contains(path)) {
        removed.file(path)?;
    }
    Ok((removed.files, removed.bytes))
}

struct Removed<'a> {
    disk: &'a Disk,
    files: u64,
    bytes: u64,
}

impl Removed<'_> {
    fn file(&mut self, path: PathBuf) -> Result<()> {
        let fs = &self.disk.env.fs;
        self.bytes += fs.metadata(&path).map_err(Error::io(&path))?.len_bytes;
        fs.unlink(&path).map_err(Error::io(&path))?;
        self.files += 1;
        Ok(())
    }
}

/// Plain files below `db/` whose names are of our patterns, and what copies left that were cut short.
fn candidates(disk: &Disk) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut of = |dir: PathBuf, is_ours: &dyn Fn(&str) -> bool| -> Result<()> {
        for entry in list_or_none(disk, &dir)?.into_iter().filter(|e| e.kind == FileKind::File) {
            if is_ours(entry.name.strip_suffix(PARTIAL).unwrap_or(&entry.name)) {
                found.push(dir.join(entry.name));
            }
        }
        Ok(())
    };
    of(disk.layout.log(), &is::<LogName>)?;
    of(disk.layout.base(), &is::<BaseName>)?;
    of(disk.layout.timeline(), &|name| name.strip_suffix(".json").is_some_and(is::<TimelineId>))?;
    for table in list_or_none(disk, &disk.layout.db())?.into_iter().filter(|e| e.kind == FileKind::Dir) {
        if parse_table_dir(&table.name).is_none() {
            continue;
        }
        let table = disk.layout.table(&table.name);
        for dir in list_or_none(disk, &table)?.into_iter().filter(|e| e.kind == FileKind::Dir) {
            of(table.join(dir.name), &is_of_table)?;
        }
    }
    Ok(found)
}

fn is<T: FromStr>(name: &str) -> bool {
    name.parse::<T>().is_ok()
}

/// `<id>.arrow`, `<id>.parquet`, `<id>.dead`, `<id>.json`, `<column>.<id>.arrow`.
fn is_of_table(name: &str) -> bool {
    let Some((stem, ending)) = name.rsplit_once('.') else { return false };
    ["arrow", "parquet", "dead", "json"].contains(&ending) && stem.rsplit('.').next().is_some_and(is::<FileId>)
}
