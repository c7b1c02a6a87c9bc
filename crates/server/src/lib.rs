//! The server: listeners, configuration, start and stop. What it serves is `query`'s and `storage`'s.

pub mod config;
pub mod health;
pub mod signals;
