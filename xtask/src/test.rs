//! `cargo xtask test`: everything that must hold, from unit tests to walks through the built server.
//!
//! Cargo's own lines (`test result: ok. n passed`) go to stdout as they are.

use crate::Result;
use crate::cargo::{build_server, cargo, must};

/// Builds once and runs all tests.
pub fn run() -> Result<()> {
    build_server()?;
    must(&mut cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]))?;
    Ok(())
}
