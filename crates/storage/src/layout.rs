//! Where everything lies under a root, and what file names mean: [`Layout`], [`LogName`], [`FileId`].
//!
//! Names are parsed strictly: anything that is not exactly of our pattern is not ours and is left alone.
//! Page: `docs/format/README.md`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use types::{Invalid, Seq, TableId, TableName, TimelineId};

use crate::env::Env;
use crate::env::fs::DirEntry;
use crate::planted::Planted;
use crate::{Error, Result};

/// Directory in a table's directory that lists its partitions and segments.
pub const TABLE_BASE_DIR: &str = "_base";
/// Directory in a table's directory that holds its symbol files.
pub const SYMBOLS_DIR: &str = "_symbols";

/// Paths below one root.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Returns the layout of a root; nothing is touched.
    pub fn new(root: &Path) -> Layout {
        Layout { root: root.to_owned() }
    }
    /// Returns the root itself.
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// Returns `ROOT/db`.
    pub fn db(&self) -> PathBuf {
        self.root.join("db")
    }
    /// Returns the file that marks a root as ours: format version and database id.
    pub fn marker(&self) -> PathBuf {
        self.db().join("_stillpoint")
    }
    /// Returns the directory of the active log file and its spare.
    pub fn live(&self) -> PathBuf {
        self.db().join("_live")
    }
    /// Returns the directory of sealed log files.
    pub fn log(&self) -> PathBuf {
        self.db().join("_log")
    }
    /// Returns the directory of bases.
    pub fn base(&self) -> PathBuf {
        self.db().join("_base")
    }
    /// Returns the directory of timelines.
    pub fn timeline(&self) -> PathBuf {
        self.db().join("_timeline")
    }
    /// Returns the directory of snapshot pins.
    pub fn snapshot(&self) -> PathBuf {
        self.root.join("snapshot")
    }
    /// Returns the file whose presence asks for a restore.
    pub fn restore_trigger(&self) -> PathBuf {
        self.root.join("_restore")
    }
    /// Returns a table's directory.
    pub fn table(&self, dir: &str) -> PathBuf {
        self.db().join(dir)
    }
    /// Returns the path in a form that messages show: relative to the root.
    pub fn relative<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }
}

/// A root and the machine that it lies on.
#[derive(Clone)]
pub struct Disk {
    pub env: Env,
    pub layout: Layout,
    /// A fault to behave by, in tests of the simulator.
    pub planted: Option<Planted>,
}

impl Disk {
    /// Returns whether that fault is planted.
    pub fn has(&self, fault: Planted) -> bool {
        self.planted == Some(fault)
    }
}

/// Returns the names in a directory; none when it is not there.
pub fn list_or_none(disk: &Disk, dir: &Path) -> Result<Vec<DirEntry>> {
    match disk.env.fs.list(dir) {
        Ok(entries) => Ok(entries),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(Error::io(dir)(e)),
    }
}

/// Returns the directory name of a table: `<name>~<id>`; it stays when the table is renamed.
pub fn table_dir(name: &TableName, id: TableId) -> String {
    // A name may hold '=', which makes readers of partitioned folders invent a column.
    format!("{}~{id}", name.as_str().replace('=', "_"))
}

/// Returns the id in a table's directory name, if it is one.
pub fn parse_table_dir(dir: &str) -> Option<TableId> {
    let (name, id) = dir.rsplit_once('~')?;
    let number: u64 = id.parse().ok()?;
    (!name.is_empty() && id == number.to_string()).then_some(TableId(number))
}

/// Most steps of a path that a document names: a table's directory, a folder in it, a file.
const MAX_STEPS: usize = 3;
/// Longest step of such a path: what file systems take.
const MAX_STEP_BYTES: usize = 255;

/// Checks a path that a document or a frame names and that becomes one below `db/`: relative, of few plain steps, none of
/// which leads up or holds what some system reads as more than a letter. A document is hostile input until this was asked.
///
/// # Errors
/// A sentence that shows the path.
pub fn check_relative(path: &str) -> Result<(), Invalid> {
    let is_plain = |step: &str| {
        !matches!(step, "" | "." | "..")
            && step.len() <= MAX_STEP_BYTES
            && !step.chars().any(|c| c.is_ascii_control() || matches!(c, '\\' | ':'))
    };
    if path.split('/').count() <= MAX_STEPS && path.split('/').all(is_plain) {
        return Ok(());
    }
    let shown: String = path.chars().take(100).collect();
    Err(Invalid(format!("an unsafe path: {shown:?}")))
}

/// Reads a path of [`check_relative`]; stands at each member of a document that becomes one.
pub(crate) fn relative<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let path = String::deserialize(deserializer)?;
    check_relative(&path).map_err(D::Error::custom)?;
    Ok(path)
}

/// Reads the name of a table's directory.
pub(crate) fn relative_table_dir<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let dir = relative(deserializer)?;
    if dir.contains('/') || parse_table_dir(&dir).is_none() {
        return Err(D::Error::custom(format!("not a table's directory: {dir:?}")));
    }
    Ok(dir)
}

/// Name of a log file: `<timeline>-<number>.wal`, the number with at least six digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogName {
    pub timeline: TimelineId,
    pub number: u64,
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:06}.wal", self.timeline, self.number)
    }
}

impl FromStr for LogName {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<LogName, Invalid> {
        let bad = || Invalid(format!("not a log file name: {text:?}"));
        let stem = text.strip_suffix(".wal").ok_or_else(bad)?;
        let (timeline, number) = stem.rsplit_once('-').ok_or_else(bad)?;
        let name = LogName { timeline: timeline.parse()?, number: number.parse().map_err(|_| bad())? };
        if name.to_string() == text { Ok(name) } else { Err(bad()) }
    }
}

/// Name of a base: `<timeline>-<seq>.json`, the Seq with at least twelve digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BaseName {
    pub timeline: TimelineId,
    pub seq: Seq,
}

impl fmt::Display for BaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:012}.json", self.timeline, self.seq.0)
    }
}

impl FromStr for BaseName {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<BaseName, Invalid> {
        let bad = || Invalid(format!("not a base file name: {text:?}"));
        let stem = text.strip_suffix(".json").ok_or_else(bad)?;
        let (timeline, seq) = stem.rsplit_once('-').ok_or_else(bad)?;
        let name = BaseName { timeline: timeline.parse()?, seq: Seq(seq.parse().map_err(|_| bad())?) };
        if name.to_string() == text { Ok(name) } else { Err(bad()) }
    }
}

/// A ULID whose first 32 random bits are the tag of the timeline that made it, so that a file's name tells whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(ulid::Ulid);

/// The bits of an id that are random; above them stands the timeline's tag.
const RANDOM_BITS: u128 = (1 << 48) - 1;

impl FileId {
    /// Returns a new id.
    pub fn new(env: &Env, timeline: TimelineId) -> FileId {
        let time_ms = (env.clock.now_us().max(0) / 1_000) as u64;
        let random = (u128::from(timeline.tag) << 48) | (u128::from(env.rng.next_u64()) & RANDOM_BITS);
        FileId(ulid::Ulid::from_parts(time_ms, random))
    }

    /// Returns the next id of many that are made at once: the last bits count on, so that the machine is asked for random
    /// ones once.
    #[must_use]
    pub fn following(self) -> FileId {
        let (time_ms, random) = (self.0.timestamp_ms(), self.0.random());
        let drawn = RANDOM_BITS & random.wrapping_add(1);
        FileId(ulid::Ulid::from_parts(time_ms, (random & !RANDOM_BITS) | drawn))
    }

    /// Returns the tag of the timeline that made the id.
    pub fn timeline_tag(&self) -> u32 {
        (self.0.random() >> 48) as u32
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for FileId {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<FileId, Invalid> {
        let bad = || Invalid(format!("not a file id: {text:?}"));
        let id = ulid::Ulid::from_string(text).map_err(|_| bad())?;
        if id.to_string() == text { Ok(FileId(id)) } else { Err(bad()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_names_are_ours() {
        let name: LogName = "3-0000beef-000012.wal".parse().unwrap();
        assert_eq!((name.timeline.number, name.number), (3, 12));
        assert_eq!("3-0000beef-1234567.wal".parse::<LogName>().unwrap().number, 1_234_567);
        for foreign in [".3-0000beef-000012.wal.Xa12", "3-0000beef-12.wal", "3-0000beef-000012.wal.partial", "x.wal"] {
            assert!(foreign.parse::<LogName>().is_err(), "{foreign}");
        }
        assert_eq!("1-00000001-000000000007.json".parse::<BaseName>().unwrap().seq, Seq(7));
        assert!("1-00000001-7.json".parse::<BaseName>().is_err());
        assert_eq!(parse_table_dir("a~b~12"), Some(TableId(12)));
        assert_eq!(parse_table_dir("a~012"), None);
        assert_eq!(parse_table_dir("~12"), None);
    }
}
