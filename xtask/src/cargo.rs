//! Cargo as the tasks call it, always for the whole workspace, and the order of a CI run.
//!
//! The demo's server and the tests share one build: see `tidy/one_build.rs` for the check that it stays so.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::{Result, tidy};

/// Returns the root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies one level below the root")
}

/// Returns a `cargo` command that runs in the root of the repository.
pub fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    // `cargo run` hands its own package's variables on; build scripts must not see them change between callers.
    for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("CARGO_PKG_") || key == "CARGO_MANIFEST_DIR") {
        command.env_remove(key);
    }
    command
}

/// Runs a command with the terminal of the task; a failure names it.
pub fn must(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed with {status}").into()) }
}

/// Returns what a command prints; a failure shows its stderr.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Builds the development server and returns the path of its binary, or the one that `STILLPOINT` names.
pub fn build_server() -> Result<PathBuf> {
    if let Some(binary) = std::env::var_os("STILLPOINT") {
        return Ok(std::path::absolute(binary)?);
    }
    must(&mut cargo(&["build", "--workspace", "--locked"]))?;
    let metadata = output(&mut cargo(&["metadata", "--no-deps", "--format-version", "1", "--locked"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let target = metadata["target_directory"].as_str().ok_or("cargo metadata names no target directory")?;
    Ok(Path::new(target).join("debug/stillpoint"))
}

/// Runs everything that a change must pass.
pub fn ci() -> Result<()> {
    let started = Instant::now();
    step("format", || must(&mut cargo(&["fmt", "--all", "--check"])))?;
    step("tidy", tidy::run)?;
    step("lint", || must(&mut cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])))?;
    step("test", crate::test::run)?;
    println!("ci: all green in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn step(name: &str, run: impl FnOnce() -> Result<()>) -> Result<()> {
    let started = Instant::now();
    println!("ci: {name}");
    run().map_err(|error| format!("ci: {name}: {error}"))?;
    println!("ci: {name} took {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}
