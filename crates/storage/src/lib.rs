//! A root directory: log, segments, bases, snapshots, restore. No SQL, no sockets, no DataFusion.

pub mod arrow_type;
pub mod chunk;
pub mod env;
mod error;
mod ipc;
pub mod layout;
pub mod log;
pub mod merge;
pub mod run;
pub mod segment;
pub mod symbols;
mod window;

pub use arrow_type::arrow_type;
pub use env::Env;
pub use error::{Error, Result};
pub use merge::TableScan;
pub use run::Run;
