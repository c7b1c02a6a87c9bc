//! `cargo xtask campaign --coverage`: which lines of the log, snapshots, restores and gc no test runs.
//!
//! The tests of storage and the simulator once more, built by a compiler that counts (`target/coverage`; dependencies are
//! not counted); `rustup component add llvm-tools` brings what reads the counts. Prints each file's share and the lines
//! that nothing ran.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::Result;
use crate::cargo::{cargo, must, output, root};

/// What is looked at, below `crates/storage/src`.
const ROOMS: [&str; 10] = [
    "log/",
    "snapshot/",
    "snapshot.rs",
    "restore/",
    "restore.rs",
    "gc/",
    "gc.rs",
    "timeline.rs",
    "bring_back.rs",
    "bring_back/",
];

/// Lines of a file that could run, and those of them that nothing ran.
struct Covered {
    file: String,
    lines: u64,
    missed: Vec<u64>,
}

/// Runs the tests and prints what they reached.
pub fn run() -> Result<()> {
    let target = root().join("target/coverage");
    let counts = target.join("counts");
    if counts.exists() {
        std::fs::remove_dir_all(&counts)?;
    }
    let counted = |args: &[&str]| {
        let mut command = cargo(&["test", "--locked", "-p", "storage", "-p", "sim"]);
        command.args(args).env("CARGO_TARGET_DIR", &target);
        // Only what is ours is counted: dependencies are built as ever.
        command.env("RUSTC_WORKSPACE_WRAPPER", std::env::current_exe().unwrap_or_default());
        command.env("LLVM_PROFILE_FILE", counts.join("%p-%m.profraw"));
        command
    };
    let built = output(&mut counted(&["--no-run", "--message-format", "json"]))?;
    must(&mut counted(&[]))?;
    let binaries: Vec<PathBuf> = built.lines().filter_map(test_binary).collect();
    let all = counts.join("all.profdata");
    let profiles = crate::scratch::files(&counts)?;
    must(Command::new(tool("llvm-profdata")?).args(["merge", "-sparse", "-o"]).arg(&all).args(&profiles))?;
    let mut command = Command::new(tool("llvm-cov")?);
    command.args(["export", "-format=text", "-instr-profile"]).arg(&all).arg(&binaries[0]);
    command.args(binaries[1..].iter().flat_map(|binary| [Path::new("-object"), binary]));
    let exported: Value = serde_json::from_str(&output(&mut command)?)?;
    print(&covered(&exported));
    Ok(())
}

/// As cargo calls it in the place of the compiler: the compiler, counting.
pub fn compile(args: &[String]) -> Result<()> {
    let (compiler, args) = args.split_first().ok_or("there is no compiler to call")?;
    must(Command::new(compiler).args(args).args(["-C", "instrument-coverage"]))
}

/// Returns the test that a line of cargo's says it has built.
pub fn test_binary(line: &str) -> Option<PathBuf> {
    let said: Value = serde_json::from_str(line).ok()?;
    let is_test = said["profile"]["test"] == true;
    said["executable"].as_str().filter(|_| is_test).map(PathBuf::from)
}

fn tool(name: &str) -> Result<PathBuf> {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = output(Command::new(compiler).args(["--print", "target-libdir"]).current_dir(root()))?;
    let tool = Path::new(said.trim()).with_file_name("bin").join(name);
    if tool.exists() {
        Ok(tool)
    } else {
        Err(format!("{} is missing: rustup component add llvm-tools", tool.display()).into())
    }
}

/// Returns the files of the rooms, without their tests.
fn covered(exported: &Value) -> Vec<Covered> {
    let files = exported["data"][0]["files"].as_array().into_iter().flatten();
    let below = |file: &Value| {
        let name = file["filename"].as_str()?.split_once("crates/storage/src/")?.1.to_owned();
        let is_looked_at = ROOMS.iter().any(|room| name.starts_with(room)) && !name.ends_with("tests.rs");
        is_looked_at.then_some(name)
    };
    let read = |file: &Value| {
        let name = below(file)?;
        let text = std::fs::read_to_string(root().join("crates/storage/src").join(&name)).unwrap_or_default();
        let tests = text.lines().position(|line| line.trim() == "#[cfg(test)]").map_or(u64::MAX, |at| at as u64);
        let (lines, missed) = lines(file["segments"].as_array()?, tests);
        Some(Covered { file: name, lines, missed })
    };
    files.filter_map(read).collect()
}

/// Returns how many lines before `end` could run, and which of them did not. A segment is
/// `[line, column, count, has a count, …]`, in their order: it holds up to the next one.
fn lines(segments: &[Value], end: u64) -> (u64, Vec<u64>) {
    let mut best: std::collections::BTreeMap<u64, u64> = std::collections::BTreeMap::new();
    let number = |segment: &Value, at: usize| segment[at].as_u64().unwrap_or(0);
    for pair in segments.windows(2).filter(|pair| pair[0][3] == true) {
        let (first, last) = (number(&pair[0], 0), number(&pair[1], 0));
        // What ends at the begin of a line has nothing in it.
        let last = if number(&pair[1], 1) <= 1 && last > first { last - 1 } else { last };
        for line in (first..=last).filter(|line| *line < end) {
            let count = best.entry(line).or_default();
            *count = (*count).max(number(&pair[0], 2));
        }
    }
    let missed = best.iter().filter(|(_, count)| **count == 0).map(|(line, _)| *line).collect();
    (best.len() as u64, missed)
}

fn print(files: &[Covered]) {
    let (mut lines, mut missed) = (0, 0);
    for file in files {
        lines += file.lines;
        missed += file.missed.len() as u64;
        let share = 100.0 * (file.lines - file.missed.len() as u64) as f64 / file.lines.max(1) as f64;
        println!("coverage: {share:5.1} % of {:4} lines of {}; not run: {:?}", file.lines, file.file, file.missed);
    }
    println!("coverage: {:.1} % of {lines} lines", 100.0 * (lines - missed) as f64 / lines.max(1) as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_counts_as_run_when_a_part_of_it_was() {
        // Lines 1 to 2 ran, a part of line 3 did not, line 4 did not.
        let segments = serde_json::json!([
            [1, 1, 5, true, true],
            [3, 1, 5, true, true],
            [3, 9, 0, true, true],
            [4, 7, 0, false, false],
        ]);
        let segments = segments.as_array().expect("a list");
        assert_eq!(lines(segments, u64::MAX), (4, vec![4]));
        assert_eq!(lines(segments, 4), (3, vec![]));
    }
}
