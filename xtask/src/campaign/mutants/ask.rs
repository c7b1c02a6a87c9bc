//! What the tests say of a mutant: those that come by it, the quickest first, each in a process of its own.
//!
//! A wrong line may allocate or loop without end: a test runs on one thread and within limits of memory and of time
//! ([`Limits`]), and a mutant that reaches one is noticed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::Result;
use crate::cargo::{must, output};
use crate::scratch::Scratch;

/// One test, as it went on the tree as it is.
pub struct Test {
    pub name: String,
    binary: PathBuf,
    took: Duration,
    /// The mutants that it comes by.
    reached: BTreeSet<usize>,
}

/// What the tests have to say of one mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// By the test of that place in the list.
    Noticed(usize),
    Survived,
    /// No test comes by.
    Unreached,
}

/// Most address space of a process.
const MAX_ADDRESS_SPACE_KIB: u64 = 4 << 20;

/// What a test may take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Of the processor.
    cpu: Duration,
    /// By the clock on the wall: for a mutant that waits without end.
    wall: Duration,
}

impl Limits {
    /// For the tree as it is, which sets the measure.
    const FIRST: Limits = Limits { cpu: Duration::from_secs(1800), wall: Duration::from_secs(3600) };

    /// Returns the limits where the tree as it is takes so long. Other work on the machine must not look like a mutant.
    fn beside(whole: Duration) -> Limits {
        Limits { cpu: whole * 3 + Duration::from_secs(10), wall: whole * 10 + Duration::from_secs(300) }
    }

    /// Returns the command, run within the limits and behind whatever else the machine has to do.
    fn on(self, program: &Path) -> Command {
        let mut limited = Command::new("sh");
        let limits = format!("ulimit -v {MAX_ADDRESS_SPACE_KIB} && ulimit -t {}", self.cpu.as_secs());
        limited.args(["-c", &format!("{limits} && exec nice -n 10 \"$@\""), "sh"]).arg(program);
        limited
    }
}

/// Runs each test once on the tree as it is, and returns them with what they come by, the quickest first.
pub fn measured(tree: &Path, binaries: &[PathBuf], scratch: &Scratch) -> Result<Vec<Test>> {
    let mut names = Vec::new();
    for binary in binaries {
        let listed = output(Command::new(binary).args(["--list", "--format", "terse"]))?;
        names.extend(listed.lines().filter_map(|line| Some((binary, line.strip_suffix(": test")?.to_owned()))));
    }
    let mut tests = two_at_a_time(&names, |&(binary, ref name)| {
        let reached = scratch.path(&format!("reached-{}", name.replace(':', "-")));
        let mut command = test(binary, name, tree, scratch, Limits::FIRST);
        let began = Instant::now();
        if !ends_well(command.env("MUTANTS_REACHED", &reached), Limits::FIRST.wall)? {
            return Err(format!("mutants: {name} fails on the tree as it is: mend that first").into());
        }
        let took = began.elapsed();
        let reached = if reached.exists() { std::fs::read_to_string(&reached)? } else { String::new() };
        let reached = reached.lines().map(str::parse).collect::<std::result::Result<_, _>>()?;
        Ok(Test { name: name.clone(), binary: binary.clone(), took, reached })
    })?;
    tests.sort_by_key(|test| test.took);
    let whole: Duration = tests.iter().map(|test| test.took).sum();
    println!("mutants: {} tests pass on the tree as it is, in {:.0} s", tests.len(), whole.as_secs_f64());
    Ok(tests)
}

/// Asks the tests of a mutant.
pub fn ask(number: usize, tests: &[Test], tree: &Path, scratch: &Scratch) -> Result<Verdict> {
    let mut verdict = Verdict::Unreached;
    for (at, asked) in tests.iter().enumerate().filter(|(_, test)| test.reached.contains(&number)) {
        verdict = Verdict::Survived;
        let limits = Limits::beside(asked.took);
        let mut command = test(&asked.binary, &asked.name, tree, scratch, limits);
        if !ends_well(command.env("MUTANT", number.to_string()), limits.wall)? {
            return Ok(Verdict::Noticed(at));
        }
    }
    Ok(verdict)
}

fn test(binary: &Path, name: &str, tree: &Path, scratch: &Scratch, limits: Limits) -> Command {
    let mut command = limits.on(binary);
    command.args([name, "--exact", "--test-threads=1"]);
    command.current_dir(tree.join("crates/storage")).env("TMPDIR", scratch.path(""));
    command
}

/// Does something with each of some things, two at a time, and returns what comes of it in their order.
pub fn two_at_a_time<T: Sync, R: Send>(things: &[T], work: impl Fn(&T) -> Result<R> + Sync) -> Result<Vec<R>> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let worker = || -> Result<()> {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(thing) = things.get(at) else { return Ok(()) };
            let result = work(thing)?;
            done.lock().expect("no holder panics").push((at, result));
        }
    };
    std::thread::scope(|scope| {
        let workers = [scope.spawn(worker), scope.spawn(worker)];
        workers.into_iter().try_for_each(|worker| worker.join().expect("no worker panics"))
    })?;
    let mut done = done.into_inner().expect("no holder panicked");
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

/// Runs a command without its words; one that hangs does not end well.
fn ends_well(command: &mut Command, patience: Duration) -> Result<bool> {
    // What it starts ends with it: the whole group is ended.
    std::os::unix::process::CommandExt::process_group(command, 0);
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = quiet.spawn().map_err(|error| format!("{command:?}: {error}"))?;
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
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_that_takes_memory_or_time_without_end_does_not_end_well() {
        let limits = Limits { cpu: Duration::from_secs(1), wall: Duration::from_secs(300) };
        let ends = |script: &str, limits: Limits| {
            let mut command = limits.on(Path::new("sh"));
            command.args(["-c", script]).env("WORD", "as it was").current_dir("/");
            ends_well(&mut command, limits.wall).expect("sh runs")
        };
        assert!(ends("test \"$WORD\" = 'as it was' && test \"$PWD\" = /", limits));
        assert!(ends(&format!("test $(ulimit -v) = {MAX_ADDRESS_SPACE_KIB} && test $(ulimit -t) = 1"), limits));
        assert!(!ends("false", limits));
        assert!(!ends("while :; do :; done", limits));
        assert!(!ends("sleep 20", Limits { wall: Duration::from_millis(300), ..limits }));
    }

    #[test]
    fn what_is_done_two_at_a_time_comes_in_order() {
        let doubled = two_at_a_time(&[3, 1, 2], |n| Ok(n * 2)).expect("none fails");
        assert_eq!(doubled, [6, 2, 4]);
        let error = two_at_a_time(&[3, 1, 2], |n| if *n == 1 { Err("one".into()) } else { Ok(()) });
        assert_eq!(error.expect_err("one fails").to_string(), "one");
    }

    #[test]
    fn the_tests_that_come_by_a_mutant_are_asked_of_it() {
        let scratch = Scratch::new("ask").expect("a folder");
        let tree = scratch.path("tree");
        std::fs::create_dir_all(tree.join("crates/storage")).expect("a folder");
        // The shell stands in for a binary of tests, and a script for each of its tests.
        let test = |name: &str, script: &str, reached: &[usize]| {
            std::fs::write(tree.join("crates/storage").join(name), script).expect("a script");
            let reached = reached.iter().copied().collect();
            Test { name: name.to_owned(), binary: "sh".into(), took: Duration::ZERO, reached }
        };
        let tests = [test("a", "false", &[7]), test("b", "true", &[1, 2]), test("c", "test $MUTANT != 1", &[1, 2])];
        let verdicts = [1, 2, 3].map(|number| ask(number, &tests, &tree, &scratch).expect("sh runs"));
        assert_eq!(verdicts, [Verdict::Noticed(2), Verdict::Survived, Verdict::Unreached]);
    }
}
