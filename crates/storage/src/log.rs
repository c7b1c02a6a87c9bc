//! The write-ahead log of the whole database: the only commit point.
//!
//! Reading order: [`frame`] (one record of the log), [`header`] (one file of it and its predecessor), [`chain`] (files
//! read back from the newest, and where the log ends), [`writer`] (append, group sync, rotation, seal).
//! Page: `docs/format/log.md`. What frames mean is the business of [`crate::record`].

pub mod chain;
pub mod frame;
pub mod header;
mod syncs;
pub mod writer;

pub use frame::{Frame, FrameKind};
pub use header::{LogHeader, Place, Predecessor};
pub use writer::{LogWriter, Placement};
