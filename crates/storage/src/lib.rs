//! A root directory: log, segments, bases, snapshots, restore. No SQL, no sockets, no DataFusion.

pub mod env;
pub mod layout;
pub mod log;
mod error;

pub use env::Env;
pub use error::{Error, Result};
