//! `cargo xtask campaign --mutants N [--seed N] [--load X]`: does a test fail when a line is wrong?
//!
//! cargo-mutants (`cargo install cargo-mutants --locked`) says what could be wrong in the log, snapshots, restores and gc;
//! a sample of it, as many from each of these rooms, is tried one by one on a tree of its own in `target/mutants`, with the
//! tests of storage and the simulator: a build of storage each. The ledger names those that no test noticed. With `--load`
//! each waits until the machine has less to do than that. `MUTANTS_TARGET` names a target directory that is kept warm.
//!
//! A wrong line may allocate or loop without end: the tests run on one thread and under limits of memory and of time
//! ([`Limits`]), and a mutant that reaches one is noticed.

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
    ("restore", &["restore.rs", "restore/**/*.rs", "timeline.rs", "bring_back.rs", "bring_back/**/*.rs"]),
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

/// Most address space of a process of the tests.
const MAX_ADDRESS_SPACE_KIB: u64 = 4 << 20;

/// What the tests of a mutant may take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Of one process.
    cpu: Duration,
    /// Of all tests, by the clock on the wall: for a mutant that waits without end.
    wall: Duration,
}

impl Limits {
    /// For the tests of the tree as it is, which set the measure.
    const FIRST: Limits = Limits { cpu: Duration::from_secs(3600), wall: Duration::from_secs(4 * 3600) };

    /// Returns the limits where the tree as it is takes so long. Other work on the machine must not look like a mutant.
    fn beside(whole: Duration) -> Limits {
        let spare = Duration::from_secs(60);
        Limits { cpu: whole * 3 + spare, wall: whole * 10 + spare }
    }

    /// Returns the command, run within the limits.
    fn on(self, command: &Command) -> Command {
        let mut limited = Command::new("sh");
        let limits = format!("ulimit -v {MAX_ADDRESS_SPACE_KIB} && ulimit -t {}", self.cpu.as_secs());
        limited
            .args(["-c", &format!("{limits} && exec \"$@\""), "sh"])
            .arg(command.get_program())
            .args(command.get_args());
        limited.current_dir(command.get_current_dir().unwrap_or_else(|| root()));
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => limited.env(key, value),
                None => limited.env_remove(key),
            };
        }
        limited
    }
}

/// Tries so many mutants.
pub fn run(args: &[String], count: usize, seed: u64) -> Result<()> {
    let load: f64 = option(args, "--load").map_or(Ok(f64::MAX), str::parse)?;
    let sample = sample(seed, count)?;
    let tree = root().join("target/mutants/tree");
    fresh_tree(&tree)?;
    let target = std::env::var_os("MUTANTS_TARGET").map_or_else(|| root().join("target/mutants/target"), PathBuf::from);
    let commit = output(Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(root()))?;
    let limits = measured(&tree, &target)?;
    let mut ledger = Ledger::open(root())?;
    let mut survivors = Vec::new();
    let mut tried = 0;
    for (number, mutant) in sample.iter().enumerate() {
        wait_for_load(load)?;
        let began = Instant::now();
        let verdict = mutant.try_on(&tree, &target, limits)?;
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
    println!("{}", rate(tried, survivors.len()));
    survivors.iter().for_each(|name| println!("  no test noticed: {name}"));
    Ok(())
}

/// Returns what part of the mutants the tests noticed, for people.
fn rate(tried: usize, survived: usize) -> String {
    let noticed = tried - survived;
    let percent = 100.0 * noticed as f64 / tried.max(1) as f64;
    format!("mutants: {noticed} of {tried} were noticed: {percent:.1} %")
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
    fn try_on(&self, tree: &Path, target: &Path, limits: Limits) -> Result<Verdict> {
        let path = tree.join(&self.file);
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        std::fs::write(&path, replaced(&text, self.span, &self.replacement)?)?;
        let verdict = tested(tree, target, limits);
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

/// Runs the tests on the tree as it is, and returns the limits that they set.
fn measured(tree: &Path, target: &Path) -> Result<Limits> {
    // The build does not count.
    if !ends_well(&mut test(tree, target, PACKAGES, &["--no-run"]), Limits::FIRST.wall)? {
        return Err("mutants: the tree as it is does not build".into());
    }
    let began = Instant::now();
    if tested(tree, target, Limits::FIRST)? != Verdict::Survived {
        return Err("mutants: the tests fail on the tree as it is: mend that first".into());
    }
    let limits = Limits::beside(began.elapsed());
    println!("mutants: the tests pass on the tree as it is; {limits:?}");
    Ok(limits)
}

/// Builds, and runs the tests: those of storage are quicker, so they come first. The planted faults prove the simulator,
/// not storage, and take longest.
fn tested(tree: &Path, target: &Path, limits: Limits) -> Result<Verdict> {
    if !ends_well(&mut test(tree, target, PACKAGES, &["--no-run"]), Limits::FIRST.wall)? {
        return Ok(Verdict::Unviable);
    }
    for package in PACKAGES {
        let command = test(tree, target, &[package], &["--", "--test-threads=1", "--skip", "planted::"]);
        if !ends_well(&mut limits.on(&command), limits.wall)? {
            return Ok(Verdict::Killed);
        }
    }
    Ok(Verdict::Survived)
}

/// The packages whose tests are asked.
const PACKAGES: &[&str] = &["storage", "sim"];

/// Returns a run of the tests of some packages.
fn test(tree: &Path, target: &Path, packages: &[&str], more: &[&str]) -> Command {
    let mut command = cargo(&["test", "--quiet", "--locked"]);
    command.args(packages.iter().flat_map(|package| ["-p", package]));
    // Quick to build; the names of lines are of no use here.
    for package in PACKAGES {
        command.args(["--config", &format!("profile.dev.package.{package}.opt-level=1")]);
    }
    command.args(more).current_dir(tree).env("CARGO_TARGET_DIR", target).env("CARGO_PROFILE_DEV_DEBUG", "0");
    command
}

/// Runs a command without its words; one that hangs does not end well.
fn ends_well(command: &mut Command, patience: Duration) -> Result<bool> {
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
        if began.elapsed() > patience {
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
    fn a_mutant_that_takes_memory_or_time_without_end_does_not_end_well() {
        let limits = Limits { cpu: Duration::from_secs(1), wall: Duration::from_secs(20) };
        let ends = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]).env("WORD", "as it was").current_dir("/");
            let began = Instant::now();
            let well = ends_well(&mut limits.on(&command), limits.wall).expect("sh runs");
            (well, began.elapsed())
        };
        assert!(ends("test \"$WORD\" = 'as it was' && test \"$PWD\" = /").0);
        assert!(ends(&format!("test $(ulimit -v) = {MAX_ADDRESS_SPACE_KIB}")).0);
        assert!(!ends("false").0);
        let (well, took) = ends("while :; do :; done");
        assert!(!well && took < limits.wall, "{took:?}");
        let limits = Limits { wall: Duration::from_millis(300), ..limits };
        assert!(!ends_well(&mut limits.on(Command::new("sleep").arg("20")), limits.wall).expect("sleep runs"));
    }

    #[test]
    fn the_rate_is_told() {
        assert_eq!(rate(8, 1), "mutants: 7 of 8 were noticed: 87.5 %");
        assert_eq!(rate(0, 0), "mutants: 0 of 0 were noticed: 0.0 %");
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
