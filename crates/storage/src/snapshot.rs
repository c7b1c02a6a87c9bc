//! Snapshots: named, durable pins, each on one Seq of the whole database.
//!
//! [`pin`] is the file and the record of one; [`open`] is PREPARE and COMPLETE, `keep` KEEP, RENEW and what time does to a
//! snapshot; `settle` gives a kept one a base of its own; `guard` looks after the disk; `content` is which files it names and the state that they give. Restoring from one: [`crate::restore`].
//! Page: `docs/format/snapshot.md`.

pub(crate) mod content;
pub(crate) mod guard;
pub(crate) mod keep;
pub mod open;
pub mod pin;
pub(crate) mod settle;

use crate::{Error, Result};

pub use keep::{SnapshotInfo, SnapshotState};
pub use open::Terms;
pub(crate) use pin::Seen;
pub use pin::{FileRef, Pin, Snapshot, Snapshots, Standing};

/// Longest name of a snapshot.
const MAX_NAME_BYTES: usize = 64;

/// Returns whether a name in `snapshot/` is a pin's: `<name>.<file id>.json`.
pub fn is_pin_name(file: &str) -> bool {
    pin_name(file).is_some()
}

/// Returns the name of the snapshot that a pin's file is of.
fn pin_name(file: &str) -> Option<&str> {
    let (name, id) = file.strip_suffix(".json")?.rsplit_once('.')?;
    (!name.is_empty() && id.parse::<crate::layout::FileId>().is_ok()).then_some(name)
}

/// Checks that a snapshot may have that name, which becomes part of a file's.
///
/// # Errors
/// [`Error::Invalid`] saying what a name may hold.
pub fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.starts_with('.') || !name.chars().all(is_of_name) {
        return Err(Error::Invalid(format!(
            "a snapshot's name has 1 to {MAX_NAME_BYTES} letters, digits, '_', '-' and '.', and does not begin with '.'"
        )));
    }
    Ok(())
}

/// Returns whether a snapshot's name, or its file's, may hold it.
pub(crate) fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}
