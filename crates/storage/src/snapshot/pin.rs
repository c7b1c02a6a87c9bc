//! The pin: what a snapshot consists of. It stands in the log (the cut's frame) and in `snapshot/<name>.<id>.json`.

use serde::{Deserialize, Serialize};
use types::{Seq, TimelineId};

/// Version of the pin's format.
pub const PIN_FORMAT_VERSION: u32 = 1;

/// A file that must be present with exactly these bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRef {
    /// Relative to `db/`.
    pub file: String,
    pub len_bytes: u64,
    pub crc32c: u32,
}

/// Everything a restore needs to know to begin: the rest follows from the files named here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    pub format: u32,
    pub name: String,
    /// File id of the pin; tells two snapshots of one name apart.
    pub id: String,
    /// The database's id, 32 hex digits.
    pub database_id: String,
    pub timeline: TimelineId,
    /// The cut: the state through this frame, which is the cut's own.
    pub seq: Seq,
    pub created_us: i64,
    pub generation: u64,
    /// Newest base at or before the cut; `None` while the log alone is the whole database.
    pub base: Option<FileRef>,
    /// Every timeline from the first to this one.
    pub timelines: Vec<FileRef>,
    /// First log file that a restore needs, in `db/_log/`.
    pub first_log: String,
    /// Log file that ends with the cut's frame, in `db/_log/`.
    pub last_log: String,
    /// Its length.
    pub last_log_bytes: u64,
    /// Number of tables at the cut.
    pub tables: u64,
    pub place_machine: u64,
    pub place_inode: u64,
}

impl Pin {
    /// Returns the name of the pin's file in `snapshot/`.
    pub fn file_name(&self) -> String {
        format!("{}.{}.json", self.name, self.id)
    }
}
