//! `cargo xtask test`: everything that must hold, from unit tests to walks through the built server.
//!
//! Cargo's own lines (`test result: ok. n passed`) go to stdout as they are. The parts after them drive the one
//! development build over its ports: [`crate::demo`], [`crate::walk`], [`crate::clients`], [`crate::night`],
//! [`crate::damage`], [`crate::links`], [`crate::cycles`], [`crate::kill`].

use std::path::Path;
use std::time::Instant;

use crate::Result;
use crate::cargo::{build_server, cargo, must};
use crate::random::seed;

type Part = fn(&Path) -> Result<()>;

const PARTS: [(&str, Part); 8] = [
    ("demo", crate::demo::run_with),
    ("walk", crate::walk::run_with),
    ("clients", crate::clients::run_with),
    ("night", crate::night::run_with),
    ("damage", crate::damage::run_with),
    ("links", |binary| crate::links::run_with(binary, seed(&[])?)),
    ("cycles", |binary| crate::cycles::run_with(binary, crate::cycles::ROUNDS, seed(&[])?)),
    ("kill", |binary| crate::kill::run_with(binary, crate::kill::ROUNDS, seed(&[])?)),
];

/// Builds once and runs all tests; a failure of one part does not keep the others from running.
pub fn run() -> Result<()> {
    let binary = build_server()?;
    let mut failures = Vec::new();
    if let Err(error) = must(&mut cargo(&["test", "--workspace", "--locked", "--no-fail-fast"])) {
        failures.push(error.to_string());
    }
    for (name, part) in PARTS {
        let started = Instant::now();
        println!("\ntest: {name}");
        match part(&binary) {
            Ok(()) => println!("test: {name} ok in {:.0} s", started.elapsed().as_secs_f64()),
            Err(error) => {
                println!("test: {name} FAILED: {error}");
                failures.push(format!("{name}: {error}"));
            }
        }
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(format!("{} parts failed:\n{}", failures.len(), failures.join("\n")).into())
    }
}
