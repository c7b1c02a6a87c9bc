//! `cargo xtask campaign --mutants N [--seed N] [--load X]`: does a test fail when a line is wrong?
//!
//! cargo-mutants (`cargo install cargo-mutants --locked`) says what could be wrong in the log, snapshots, restores and gc;
//! a sample of it, as many from each of these rooms, is tried one by one on a tree of its own in `target/mutants`, with the
//! tests of storage and the simulator: a build of storage each. The ledger names those that no test noticed. With `--load`
//! each waits until the machine has less to do than that. `MUTANTS_TARGET` names a target directory that is kept warm.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::ledger::{Entry, Ledger};
use super::{SECONDS_AN_HOUR, option};
use crate::Result;
use crate::bench::machine::load_average;
use crate::cargo::{cargo, must, output, root};
use crate::random::Random;

/// Name of the part in the ledger.
pub const PART: &str = "mutants";

/// What is mutated, by room: files below `crates/storage/src`.
const ROOMS: [(&str, &[&str]); 4] = [
    ("log", &["log/**/*.rs"]),
    ("snapshot", &["snapshot.rs", "snapshot/**/*.rs"]),
    ("restore", &["restore.rs", "restore/**/*.rs", "timeline.rs", "bring_back.rs"]),
    ("gc", &["gc.rs", "gc/**/*.rs"]),
];

/// What the tests have to say of one mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Killed,
    Survived,
    /// It is no program.
    Unviable,
}

/// One change of one file.
struct Mutant {
    file: String,
    name: String,
    replacement: String,
    /// Line and column of its begin and end, from 1.
    span: [(usize, usize); 2],
}

/// Longest run of the tests; what takes longer hangs, which is noticed too.
const PATIENCE: Duration = Duration::from_secs(1800);

/// Tries so many mutants.
pub fn run(args: &[String], count: usize, seed: u64) -> Result<()> {
    let load: f64 = option(args, "--load").map_or(Ok(f64::MAX), str::parse)?;
    let sample = sample(seed, count)?;
    let tree = root().join("target/mutants/tree");
    fresh_tree(&tree)?;
    let target = std::env::var_os("MUTANTS_TARGET").map_or_else(|| root().join("target/mutants/target"), PathBuf::from);
    let commit = output(Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(root()))?;
    if tested(&tree, &target)? != Verdict::Killed {
        println!("mutants: the tests pass on the tree as it is");
    } else {
        return Err("mutants: the tests fail on the tree as it is: mend that first".into());
    }
    let mut ledger = Ledger::open(root())?;
    let mut survivors = Vec::new();
    let mut tried = 0;
    for (number, mutant) in sample.iter().enumerate() {
        wait_for_load(load)?;
        let began = Instant::now();
        let verdict = mutant.try_on(&tree, &target)?;
        println!("mutants: {} of {}: {verdict:?}: {}", number + 1, sample.len(), mutant.name);
        let survived = verdict == Verdict::Survived;
        tried += usize::from(verdict != Verdict::Unviable);
        survivors.extend(survived.then(|| mutant.name.clone()));
        let seed = seed + number as u64;
        ledger.add(Entry {
            commit: commit.trim().to_owned(),
            part: PART.to_owned(),
            seed_from: seed,
            seed_to: seed,
            count: u64::from(verdict != Verdict::Unviable),
            hours: began.elapsed().as_secs_f64() / SECONDS_AN_HOUR,
            findings: if survived { vec![mutant.name.clone()] } else { Vec::new() },
        })?;
    }
    println!("mutants: {} of {tried} were noticed", tried - survivors.len());
    survivors.iter().for_each(|name| println!("  no test noticed: {name}"));
    Ok(())
}

/// Returns as many mutants of each room as make up the sample.
fn sample(seed: u64, count: usize) -> Result<Vec<Mutant>> {
    let mut random = Random::new(seed);
    let mut rooms = ROOMS.iter().map(|(_, files)| mutants_of(files)).collect::<Result<Vec<_>>>()?;
    let mut sample = Vec::new();
    while sample.len() < count && rooms.iter().any(|room| !room.is_empty()) {
        for room in rooms.iter_mut().filter(|room| !room.is_empty()) {
            let at = random.below(room.len() as u64) as usize;
            sample.push(room.swap_remove(at));
        }
    }
    sample.truncate(count);
    Ok(sample)
}

fn mutants_of(files: &[&str]) -> Result<Vec<Mutant>> {
    let mut command = cargo(&["mutants", "--list", "--json", "--no-config", "-p", "storage"]);
    command.args(files.iter().flat_map(|file| ["--file".to_owned(), format!("crates/storage/src/{file}")]));
    let listed = output(&mut command).map_err(|e| format!("{e}: cargo install cargo-mutants --locked"))?;
    let listed: Vec<Value> = serde_json::from_str(&listed)?;
    Ok(listed.iter().filter_map(Mutant::read).collect())
}

impl Mutant {
    fn read(listed: &Value) -> Option<Mutant> {
        let text = |key: &str| listed[key].as_str().map(str::to_owned);
        let place = |end: &str| {
            let at = |key: &str| usize::try_from(listed["span"][end][key].as_u64()?).ok();
            Some((at("line")?, at("column")?))
        };
        let file = text("file")?;
        let name = text("name").unwrap_or_else(|| format!("{file}: {}", listed["replacement"]));
        Some(Mutant { name, file, replacement: text("replacement")?, span: [place("start")?, place("end")?] })
    }

    /// Changes the tree, lets the tests say what they find, and changes it back.
    fn try_on(&self, tree: &Path, target: &Path) -> Result<Verdict> {
        let path = tree.join(&self.file);
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        std::fs::write(&path, replaced(&text, self.span, &self.replacement)?)?;
        let verdict = tested(tree, target);
        std::fs::write(&path, text)?;
        verdict
    }
}

/// Returns a text with something in the place of what lies between two places.
fn replaced(text: &str, span: [(usize, usize); 2], by: &str) -> Result<String> {
    let offset = |(line, column): (usize, usize)| {
        let begin: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let in_line = text[begin..].char_indices().nth(column - 1).map(|(at, _)| at);
        in_line.map(|at| begin + at).ok_or_else(|| format!("there is no column {column} in line {line}"))
    };
    let (start, end) = (offset(span[0])?, offset(span[1])?);
    Ok(format!("{}{by}{}", &text[..start], &text[end..]))
}

/// Makes the tree that is changed: what is committed.
fn fresh_tree(tree: &Path) -> Result<()> {
    if tree.exists() {
        must(Command::new("git").args(["worktree", "remove", "--force"]).arg(tree).current_dir(root()))?;
    }
    must(Command::new("git").args(["worktree", "add", "--quiet", "--detach"]).arg(tree).arg("HEAD").current_dir(root()))
}

/// Builds, and runs the tests. The planted faults prove the simulator, not storage, and take longest.
fn tested(tree: &Path, target: &Path) -> Result<Verdict> {
    let test = |more: &[&str]| {
        let mut command = cargo(&["test", "--quiet", "--locked", "-p", "storage", "-p", "sim"]);
        // Quick to build; the names of lines are of no use here.
        for package in ["storage", "sim"] {
            command.args(["--config", &format!("profile.dev.package.{package}.opt-level=1")]);
        }
        command.args(more).current_dir(tree).env("CARGO_TARGET_DIR", target).env("CARGO_PROFILE_DEV_DEBUG", "0");
        command
    };
    if !ends_well(&mut test(&["--no-run"]))? {
        return Ok(Verdict::Unviable);
    }
    let passes = ends_well(&mut test(&["--", "--skip", "planted::"]))?;
    Ok(if passes { Verdict::Survived } else { Verdict::Killed })
}

/// Runs a command without its words; one that hangs does not end well.
fn ends_well(command: &mut Command) -> Result<bool> {
    let quiet = std::process::Stdio::null;
    // A test that hangs is a child of cargo's: the whole group is ended.
    std::os::unix::process::CommandExt::process_group(command, 0);
    let mut running =
        command.stdout(quiet()).stderr(quiet()).spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let began = Instant::now();
    loop {
        if let Some(status) = running.try_wait()? {
            return Ok(status.success());
        }
        if began.elapsed() > PATIENCE {
            must(Command::new("kill").args(["-9", "--", &format!("-{}", running.id())]))?;
            running.wait()?;
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn wait_for_load(limit: f64) -> Result<()> {
    while load_average()? >= limit {
        std::thread::sleep(Duration::from_secs(5));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_stands_in_the_place_of_what_it_replaces() {
        let text = "fn f() -> bool {\n    é == b\n}\n";
        assert_eq!(replaced(text, [(2, 7), (2, 9)], "!=").expect("a place"), "fn f() -> bool {\n    é != b\n}\n");
        assert_eq!(replaced(text, [(2, 5), (2, 11)], "true").expect("a place"), "fn f() -> bool {\n    true\n}\n");
        assert!(replaced(text, [(2, 5), (2, 50)], "true").is_err());
    }

    #[test]
    fn what_cargo_mutants_lists_is_read() {
        let listed = serde_json::json!({
            "file": "a.rs", "name": "a.rs:2:7: replace == with != in f", "replacement": "!=",
            "span": {"start": {"line": 2, "column": 7}, "end": {"line": 2, "column": 9}},
        });
        let mutant = Mutant::read(&listed).expect("it is whole");
        assert_eq!((mutant.span, &*mutant.replacement), ([(2, 7), (2, 9)], "!="));
        assert!(Mutant::read(&serde_json::json!({"file": "a.rs"})).is_none());
    }
}
