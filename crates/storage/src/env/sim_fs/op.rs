//! What a process asked the machine for: [`Op`], its [`OpKind`] and its [`Site`].
//!
//! Owns the naming of calls, so that faults can be counted by the place that they hit. Next: `fault`.

use std::fmt;
use std::path::{Path, PathBuf};

/// A call of `Fs` or `FsFile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OpKind {
    CreateNew,
    Open,
    Read,
    Map,
    List,
    Metadata,
    CreateDir,
    HardLink,
    CloneFile,
    Rename,
    SetAccess,
    Unlink,
    RemoveDir,
    SyncDir,
    SyncFileSystem,
    LockDir,
    WriteAt,
    ReadAt,
    Len,
    SetLen,
    Sync,
}

impl OpKind {
    /// Returns whether the call changes what is seen or what is durable.
    pub fn changes(self) -> bool {
        use OpKind::*;
        matches!(self, CreateNew | CreateDir | HardLink | CloneFile | Rename | Unlink | RemoveDir | WriteAt | SetLen)
            || self.is_sync()
    }

    /// Returns whether the call makes something durable.
    pub fn is_sync(self) -> bool {
        matches!(self, OpKind::Sync | OpKind::SyncDir | OpKind::SyncFileSystem)
    }
}

/// Where a call comes from: what the caller said it was doing, what kind of path it touched, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site {
    pub label: &'static str,
    pub path_class: &'static str,
    pub kind: OpKind,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?} {}", self.label, self.kind, self.path_class)
    }
}

/// One numbered call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Op {
    pub number: u64,
    pub site: Site,
    pub path: PathBuf,
}

/// Returns the kind of file or directory that a path of a root names; directories end with `/`.
pub(super) fn path_class(path: &Path) -> &'static str {
    let mut from_end = path.iter().rev().map(|part| part.to_str().unwrap_or(""));
    let name = from_end.next().unwrap_or("");
    let parent = from_end.next().unwrap_or("");
    let grandparent = from_end.next().unwrap_or("");
    match (parent, name) {
        ("_live", _) => "_live/*.wal",
        ("_log", _) => "_log/*.wal",
        ("_base", _) if grandparent.contains('~') => "table/_base/*.json",
        ("_base", _) => "_base/*.json",
        ("_timeline", _) => "_timeline/*.json",
        ("_symbols", _) => "table/_symbols/*.arrow",
        ("snapshot", _) => "snapshot/*.json",
        (_, "_live") => "_live/",
        (_, "_log") => "_log/",
        (_, "_base") if parent.contains('~') => "table/_base/",
        (_, "_base") => "_base/",
        (_, "_timeline") => "_timeline/",
        (_, "_symbols") => "table/_symbols/",
        (_, "_stillpoint") => "_stillpoint",
        (_, "_restore") => "_restore",
        (_, "db") => "db/",
        (_, "snapshot") => "snapshot/",
        (_, "conf" | "log" | "public" | "import") => "other root dir/",
        _ if name.ends_with(".arrow") => "table/partition/*.arrow",
        _ if name.ends_with(".dead") => "table/partition/*.dead",
        (_, "_linked" | "_linked2") => "table/_linked/",
        ("db", _) if name.contains('~') => "table/",
        _ if parent.contains('~') => "table/partition/",
        _ => "other",
    }
}
