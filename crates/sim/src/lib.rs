//! Seeded histories over a simulated machine, and the model database they are compared with.
//!
//! Reading order: [`model`] and [`value`] (what must be there), [`step`] (what can be done), [`generate`] (which step comes
//! next), [`compare`] (a database against its model), [`machine`] (a process on a `SimFs`), [`history`] (all of it
//! together).
//!
//! The campaigns:
//!
//! - [`crash`]: the power goes at every call; [`io_error`]: every call fails;
//! - [`snapshot_cycle`]: a copy under writes, restored, written on, and again; [`undo_cycle`]: restores undone;
//! - [`damage`]: copies that are not whole; [`stale_log`]: what another run left behind the log's end;
//! - [`meanwhile`]: other threads in the middle of background work;
//! - [`moments`]: every past moment; [`removal`]: which files may go, and when.
//!
//! [`planted`] proves that they find what is wrong, [`report`] counts what they met. Only tests use this crate.

pub mod compare;
pub mod crash;
pub mod damage;
pub mod generate;
pub mod history;
pub mod io_error;
pub mod machine;
pub mod meanwhile;
pub mod model;
pub mod moments;
pub mod planted;
pub mod removal;
pub mod report;
pub mod snapshot_cycle;
pub mod stale_log;
pub mod step;
pub mod undo_cycle;
pub mod value;
