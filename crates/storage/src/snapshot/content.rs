//! What a snapshot consists of, found from its pin alone: [`read`] gives the state at the cut, [`files`] the files that must
//! stay, for which [`read_files`] is enough. Nothing is found by listing what happens to lie there.

use std::collections::HashMap;
use std::path::Path;

use types::Seq;

use crate::base::{self, Base};
use crate::catalog::DbState;
use crate::document;
use crate::layout::{Disk, LogName};
use crate::log::chain::{self, ChainEnd, Link, LogFiles, LogFrom};
use crate::recovery::Replay;
use crate::snapshot::{FileRef, Pin};
use crate::timeline::{History, Timeline};
use crate::{Error, Result};

/// Told of each file, relative to `db/`, before it is read.
pub type Check<'a> = &'a dyn Fn(&str) -> Result<()>;

/// Returns the state at a pin's cut; segments and symbol files behind the base are not looked at.
///
/// # Errors
/// [`Error::Corrupt`] naming what is missing or damaged; `pin_path` is what is blamed for the pin.
pub fn read(disk: &Disk, pin: &Pin, pin_path: &Path, check: Check<'_>) -> Result<DbState> {
    read_as(disk, pin, pin_path, check, Rows::Read)
}

/// As [`read`], without rows that stand in the log alone and symbols that they brought: what a copy, or gc, asks for. The
/// checksum and the structure of their records are looked at, and no more.
///
/// # Errors
/// As [`read`].
pub fn read_files(disk: &Disk, pin: &Pin, pin_path: &Path, check: Check<'_>) -> Result<DbState> {
    read_as(disk, pin, pin_path, check, Rows::PassedOver)
}

/// What becomes of rows in the log.
#[derive(Debug, Clone, Copy)]
pub enum Rows {
    Read,
    /// Counted, as far as that goes without their values.
    PassedOver,
}

/// What [`read_each`] finds of a snapshot.
pub struct AtCut {
    pub state: DbState,
    /// Rows that a query would see; `None` where values would have to be looked at.
    pub rows: Option<u64>,
}

/// Returns whether the log up to a later snapshot's cut begins with the whole log of this one, so that [`read_each`] reads it
/// once for both.
pub fn goes_on(pin: &Pin, later: &Pin) -> bool {
    let log = |pin: &Pin| (pin.timeline, pin.base.clone(), pin.first_log.clone());
    pin.settled.is_none() && later.settled.is_none() && log(pin) == log(later) && pin.timelines == later.timelines
}

fn read_as(disk: &Disk, pin: &Pin, pin_path: &Path, check: Check<'_>, rows: Rows) -> Result<DbState> {
    let found = read_each(disk, &[(pin, pin_path)], check, rows)?;
    Ok(found.into_iter().next().expect("there is one for each pin").state)
}

/// As [`read`] or [`read_files`], of snapshots each of which [`goes_on`] from the one before.
///
/// # Errors
/// As [`read`].
pub fn read_each(disk: &Disk, pins: &[(&Pin, &Path)], check: Check<'_>, rows: Rows) -> Result<Vec<AtCut>> {
    let Some((pin, pin_path)) = pins.first() else { return Ok(Vec::new()) };
    let history = history(disk, pin, pin_path, check)?;
    if let Some(named) = &pin.settled {
        let base = own_base(disk, pin, named, check)?;
        let (state, _) = base::load(disk, &base, named.clone())?;
        let rows = Some(state.tables.iter().map(|table| table.segment_rows).sum());
        return Ok(vec![AtCut { state, rows }]);
    }
    let (state, from_base) = begin(disk, pin, check)?;
    let mut replay = match rows {
        Rows::Read => Replay::new(disk, state, &history),
        Rows::PassedOver => Replay::of_files(disk, state, &history),
    };
    let mut found = Vec::new();
    let mut done = None;
    for (pin, pin_path) in pins {
        let links = links(disk, pin, pin_path)?;
        let first = log_name(&pin.first_log, pin_path)?;
        let fits = match from_base {
            None => true,
            Some(LogFrom::File(name)) => name == first,
            Some(LogFrom::Behind(name)) => {
                links.first().and_then(|l| l.header.predecessor).is_some_and(|p| p.name == name)
            }
        };
        if !fits {
            return Err(Error::corrupt(pin_path, "the snapshot and its base name different log files"));
        }
        let behind =
            done.map_or(0, |done| links.iter().position(|link| link.name == done).map_or(links.len(), |at| at + 1));
        for link in &links[behind..] {
            check(&format!("_log/{}", link.name))?;
            replay.file(link, Seq::ZERO)?;
        }
        done = links.last().map(|link| link.name);
        let state = replay.state();
        if state.seq != pin.seq || !state.snapshots.values().any(|s| s.pin.id == pin.id) {
            return Err(Error::corrupt(pin_path, "the log holds no cut of this snapshot at its seq"));
        }
        state.read_by_replay.iter().try_for_each(|(_, file)| check(&file.file))?;
        let rows = if let Rows::PassedOver = rows { replay.row_count() } else { None };
        found.push(AtCut { state: state.clone(), rows });
    }
    Ok(found)
}

/// Returns the state where the log of a snapshot begins, and that log's file as the base names it.
fn begin(disk: &Disk, pin: &Pin, check: Check<'_>) -> Result<(DbState, Option<LogFrom>)> {
    let Some(named) = &pin.base else { return Ok((DbState::default(), None)) };
    check(&named.file)?;
    let base = base::read_named(disk, named)?;
    for table in base.tables.iter().filter_map(|t| t.segments.as_ref()).chain(&base.table_files) {
        check(&table.file)?;
    }
    for file in base::symbol_files(base.tables.iter()) {
        check(&file)?;
    }
    let (state, handle) = base::load(disk, &base, named.clone())?;
    Ok((state, Some(handle.log)))
}

/// Returns the files below `db/` that a pin and the state at its cut name and that gc could remove, with their lengths.
pub fn files(disk: &Disk, pin: &Pin, pin_path: &Path, state: &DbState) -> Result<Vec<(String, u64)>> {
    let mut files = Vec::new();
    if let Some(named) = &pin.settled {
        let base = own_base(disk, pin, named, &|_| Ok(()))?;
        files.push((named.file.clone(), named.len_bytes));
        for table in &base.table_files {
            files.extend(files_of_table(disk, table)?);
        }
        files.sort();
        files.dedup_by(|a, b| a.0 == b.0);
        return Ok(files);
    }
    let mut base_seq = Seq::ZERO;
    if let Some(named) = &pin.base {
        let base = base::read_named(disk, named)?;
        base_seq = base.seq;
        files.push((named.file.clone(), named.len_bytes));
        let tables = base.tables.iter().filter_map(|t| t.segments.as_ref());
        files.extend(tables.map(|file| (file.file.clone(), file.len_bytes)));
        for file in base::symbol_files(base.tables.iter()) {
            let len_bytes = len_of(disk, &file)?;
            files.push((file, len_bytes));
        }
        // After a restore of a settled snapshot. Segments may have left the state since.
        for named in &base.table_files {
            files.push((named.file.clone(), named.len_bytes));
            for file in base::symbol_files(base::read_table(disk, named)?.state.iter()) {
                let len_bytes = len_of(disk, &file)?;
                files.push((file, len_bytes));
            }
        }
    }
    for link in links(disk, pin, pin_path)? {
        let file = format!("_log/{}", link.name);
        let len_bytes = len_of(disk, &file)?;
        files.push((file, len_bytes));
    }
    files.extend(state.files_read_after(base_seq).map(|file| (file.file.clone(), file.len_bytes)));
    files.extend(table_files(state));
    files.sort();
    files.dedup_by(|a, b| a.0 == b.0);
    Ok(files)
}

/// Returns the files below `db/` that the tables of a state name, with their lengths.
pub fn table_files(state: &DbState) -> Vec<(String, u64)> {
    let mut files = Vec::new();
    for table in state.tables_with_files() {
        files.extend(table.named_files().map(|named| (format!("{}/{}", table.dir, named.file), named.len_bytes)));
    }
    files
}

/// A file that a snapshot names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// Relative to `db/`.
    pub file: String,
    pub len_bytes: u64,
    /// Of the whole file; `None` of a log file, whose frames have their own.
    pub crc32c: Option<u32>,
}

/// As [`files`], with what their bytes must be.
pub fn named_files(disk: &Disk, pin: &Pin, pin_path: &Path, state: &DbState) -> Result<Vec<NamedFile>> {
    let mut known: HashMap<String, u32> = HashMap::new();
    for named in pin.settled.iter().chain(&pin.base) {
        // Only one of the two may still be there.
        if pin.settled.is_some() && pin.settled.as_ref() != Some(named) {
            continue;
        }
        known.insert(named.file.clone(), named.crc32c);
        let base = base::read_named(disk, named)?;
        let mut tables = base.tables.clone();
        for named in &base.table_files {
            known.insert(named.file.clone(), named.crc32c);
            tables.extend(base::read_table(disk, named)?.state);
        }
        for table in &tables {
            known.extend(table.segments.iter().map(|named| (named.file.clone(), named.crc32c)));
            known.extend(table.symbol_files.iter().map(|f| (format!("{}/{}", table.dir, f.file), f.crc32c)));
        }
    }
    for table in state.tables_with_files() {
        known.extend(table.named_files().map(|named| (format!("{}/{}", table.dir, named.file), named.crc32c)));
    }
    known.extend(state.read_by_replay.iter().map(|(_, named)| (named.file.clone(), named.crc32c)));
    let files = files(disk, pin, pin_path, state)?.into_iter();
    Ok(files.map(|(file, len_bytes)| NamedFile { crc32c: known.get(&file).copied(), file, len_bytes }).collect())
}

/// Reads the own base of a settled snapshot.
pub fn own_base(disk: &Disk, pin: &Pin, named: &FileRef, check: Check<'_>) -> Result<Base> {
    check(&named.file)?;
    let base = base::read_named(disk, named)?;
    if base.snapshot.as_ref() != Some(&pin.id) || (base.timeline, base.seq) != (pin.timeline, pin.seq) {
        let path = disk.layout.db().join(&named.file);
        return Err(Error::corrupt(&path, format!("is not the base of snapshot {}; use another copy", pin.name)));
    }
    base.table_files.iter().try_for_each(|table| check(&table.file))?;
    Ok(base)
}

/// Returns the file of a table that a snapshot's base names, and what that names, with their lengths.
pub fn files_of_table(disk: &Disk, named: &FileRef) -> Result<Vec<(String, u64)>> {
    let mut files = base::read_table(disk, named)?.files();
    files.push((named.file.clone(), named.len_bytes));
    Ok(files)
}

fn len_of(disk: &Disk, file: &str) -> Result<u64> {
    let path = disk.layout.db().join(file);
    disk.env.fs.metadata(&path).map(|m| m.len_bytes).map_err(Error::io(&path))
}

/// Returns the sealed log files from the first that the pin names to the one that ends with its cut.
fn links(disk: &Disk, pin: &Pin, pin_path: &Path) -> Result<Vec<Link>> {
    let files = LogFiles { live: Default::default(), sealed: LogFiles::list(disk)?.sealed };
    let id = u128::from_str_radix(&pin.database_id, 16).unwrap_or_default();
    let end = ChainEnd { name: log_name(&pin.last_log, pin_path)?, end: Some((pin.last_log_bytes, pin.seq)) };
    chain::links(disk, &files, id, end, Some(LogFrom::File(log_name(&pin.first_log, pin_path)?)))
}

fn log_name(name: &str, pin_path: &Path) -> Result<LogName> {
    name.parse().map_err(|e: types::Invalid| Error::corrupt(pin_path, e.0))
}

/// Returns the history of the snapshot's timeline.
pub fn history(disk: &Disk, pin: &Pin, pin_path: &Path, check: Check<'_>) -> Result<History> {
    let mut history: Option<History> = None;
    for named in &pin.timelines {
        check(&named.file)?;
        let path = disk.layout.db().join(&named.file);
        let line: Timeline = document::read_named(&disk.env, &path, named)?;
        let parent = line.parent.as_ref().map(|parent| parent.timeline);
        if parent != history.as_ref().map(|before| before.current().timeline) {
            return Err(Error::corrupt(
                &path,
                "the timeline inside does not go on from the one that the snapshot names before it",
            ));
        }
        let bytes = document::encode(&line);
        history = Some(match history {
            None => History::begin(line, &bytes),
            Some(before) => before.continued(line, &bytes),
        });
    }
    match history {
        Some(history) if history.current().timeline == pin.timeline => Ok(history),
        _ => Err(Error::corrupt(pin_path, "the snapshot does not name its own timeline")),
    }
}
