//! The pin: what a snapshot consists of. It stands in the log (the cut's frame) and in `snapshot/<name>.<id>.json`.
//! What has become of a snapshot since its cut is its [`Standing`], which stands in the log and in bases.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use types::{Seq, TimelineId};

/// Version of the pin's format. Version 1 has no lease, owner and `kept`, version 2 no `places` and `settled`, version 3 no
/// `instance_id`.
pub const PIN_FORMAT_VERSION: u32 = 4;

/// A file that must be present with exactly these bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRef {
    /// Relative to `db/`.
    #[serde(deserialize_with = "crate::layout::relative")]
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
    /// Newest base at or before the cut; `None` while the log alone is the whole database, and once it has settled.
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
    /// How long the copying may take from the cut on; `None`: without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_us: Option<i64>,
    /// Kept from the start: it is never open.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept: bool,
    /// The user who took it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// What the configuration called the server; empty: nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instance_id: String,
    /// Other directories that a copy of the root must hold: they lie on other devices, or behind links.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<String>,
    /// The snapshot's own base at the cut: a restore needs it and what it names, and neither `base` nor the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<FileRef>,
}

/// Whether a snapshot is kept, and for how long it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub kept: bool,
    /// What was left of the lease when this was written; 0: it has run out; `None`: it has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_us: Option<i64>,
    /// Its copying was ended before its lease, because the disk was nearly full: it holds the files that it names.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
}

/// A snapshot that is not released: its pin and what has become of it since. In a base it is the pin's object with one
/// more member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    #[serde(flatten)]
    pub pin: Pin,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<Standing>,
}

/// Snapshots that are not released, by name.
pub type Snapshots = BTreeMap<String, Arc<Snapshot>>;

/// The snapshots that a background step has gone over with nothing left to do: while they are the same, it has nothing to
/// do with them.
#[derive(Default)]
pub(crate) struct Seen(Option<Arc<Snapshots>>);

impl Seen {
    /// Returns whether these are the same.
    pub fn is(&self, snapshots: &Arc<Snapshots>) -> bool {
        self.0.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, snapshots))
    }

    /// Notes that nothing is left to do with them.
    pub fn note(&mut self, snapshots: &Arc<Snapshots>) {
        self.0 = Some(snapshots.clone());
    }

    /// Lets the step look at them once more.
    pub fn forget(&mut self) {
        self.0 = None;
    }
}

impl Snapshot {
    /// Returns the snapshot as its cut leaves it.
    pub fn new(pin: Pin) -> Snapshot {
        Snapshot { pin, since: None }
    }

    /// Returns it with another standing.
    pub fn with(&self, standing: Standing) -> Snapshot {
        Snapshot { pin: self.pin.clone(), since: Some(standing) }
    }

    /// Returns it with the same standing and another pin of its cut.
    pub fn with_pin(&self, pin: Pin) -> Snapshot {
        Snapshot { pin, since: self.since }
    }

    /// Returns its standing now.
    pub fn standing(&self) -> Standing {
        self.since.unwrap_or(Standing { kept: self.pin.kept, lease_us: self.pin.lease_us, ended: false })
    }

    /// Returns whether it is kept and has no base of its own yet.
    pub fn is_to_settle(&self) -> bool {
        self.standing().kept && self.pin.settled.is_none()
    }

    /// Returns whether it may be being copied, so that nothing below the root may go.
    pub fn is_open(&self) -> bool {
        let standing = self.standing();
        !standing.kept && !standing.ended && standing.lease_us != Some(0)
    }

    /// Returns whether the lease of its copying has run out.
    pub fn is_expired(&self) -> bool {
        let standing = self.standing();
        !standing.kept && standing.lease_us == Some(0)
    }
}

impl Pin {
    /// Returns the pin of a kept snapshot that has a base of its own, and no need of another one.
    pub fn settled_by(&self, own: FileRef) -> Pin {
        Pin { format: PIN_FORMAT_VERSION, kept: true, base: None, settled: Some(own), ..self.clone() }
    }

    /// Returns whether a pin says the same: former versions named the base that a settled snapshot does not need, too.
    pub fn says_the_same_as(&self, other: &Pin) -> bool {
        let needed = |pin: &Pin| Pin { base: pin.base.clone().filter(|_| pin.settled.is_none()), ..pin.clone() };
        self == other || needed(self) == needed(other)
    }

    /// Returns the name of the pin's file in `snapshot/`.
    pub fn file_name(&self) -> String {
        format!("{}.{}.json", self.name, self.id)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use types::{Seq, TimelineId};

    use super::*;

    /// Returns a pin `a` of a snapshot `kept`, with what every pin has.
    pub(crate) fn kept_pin(timeline: TimelineId, seq: Seq) -> Pin {
        let pin = serde_json::json!({
            "format": 3, "name": "kept", "id": "a", "database_id": "", "timeline": timeline, "seq": seq,
            "created_us": 0, "generation": 1, "first_log": "", "base": null, "timelines": [], "last_log": "",
            "last_log_bytes": 0, "tables": 0, "place_machine": 0, "place_inode": 0,
        });
        serde_json::from_value(pin).expect("a pin of what every pin has")
    }

    fn pin(base: Option<FileRef>, settled: Option<FileRef>) -> Pin {
        Pin { base, settled, ..kept_pin(TimelineId { number: 1, tag: 1 }, Seq(7)) }
    }

    #[test]
    fn the_former_base_of_a_settled_snapshot_makes_no_other_pin_of_it() {
        let file = |name: &str| Some(crate::document::reference(name.to_owned(), name.as_bytes()));
        assert!(pin(file("a"), file("own")).says_the_same_as(&pin(None, file("own"))));
        assert!(pin(file("a"), None).settled_by(file("own").expect("a file")).base.is_none());
        assert!(!pin(file("a"), None).says_the_same_as(&pin(None, None)));
        assert!(!pin(file("a"), None).says_the_same_as(&pin(file("b"), None)));
        assert!(!pin(None, file("own")).says_the_same_as(&pin(None, file("another"))));
    }
}
