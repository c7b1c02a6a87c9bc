//! The server: listeners, configuration, start and stop. What it serves is `query`'s and `storage`'s.
//!
//! Reading order: [`start`] (what happens from the command line to the first client), [`config`], [`server`] (engine and
//! listeners of one root), [`live`] and [`reload`] (what may change meanwhile), [`http`], [`ilp_tcp`] and [`ilp_write`],
//! [`import`], [`pg`], [`health`], [`watch`] and [`metrics`] (what probes are told), [`signals`], `lines` (what an operator is told); commands beside the server: [`migrate`],
//! [`snapshot`], [`restore`].

#![deny(clippy::print_stdout, clippy::print_stderr)]

#[macro_use]
mod lines;

mod bar;
pub mod config;
pub mod copy;
pub mod health;
pub mod http;
pub mod ilp_tcp;
pub mod ilp_write;
pub mod import;
pub mod live;
pub mod memory;
pub mod metrics;
pub mod migrate;
pub mod pg;
pub mod reload;
pub mod restore;
pub mod server;
pub mod signals;
pub mod snapshot;
pub mod start;
pub mod watch;

pub use config::Config;
pub use server::Server;
