//! Snapshots: a named, durable pin on one Seq of the whole database.
//!
//! [`pin`] is the file and the record of one; [`open`] is PREPARE and COMPLETE. Restoring from one: [`crate::restore`].
//! Page: `docs/format/snapshot.md`.

pub mod open;
pub mod pin;

pub use open::SnapshotInfo;
pub use pin::{FileRef, Pin};

/// Returns whether a name in `snapshot/` is a pin's: `<name>.<file id>.json`.
pub fn is_pin_name(file: &str) -> bool {
    let id = file.strip_suffix(".json").and_then(|stem| stem.rsplit_once('.'));
    id.is_some_and(|(name, id)| !name.is_empty() && id.parse::<crate::layout::FileId>().is_ok())
}
