//! `cargo xtask campaign [--hours N] [--seed N] [--parts a,b]`: what the tests do at their numbers per run, with fresh
//! seeds for as long as it is given, and a ledger of it.
//!
//! The parts take turns, a portion each. After each portion the ledger ([`ledger`]) is written, so that a campaign can be
//! ended at any time. What is found is printed with the command that repeats it and noted; the campaign goes on, and fails
//! at its end. `SIM_TESTS` names a built test binary of the simulator, as `STILLPOINT` does a server.
//!
//! `--mutants N` and `--coverage` look at the tests instead: [`mutants`], [`coverage`].

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Result;
use crate::cargo::{build_server, cargo, output, root};
use ledger::{Entry, Ledger};

pub mod coverage;
mod ledger;
mod live;
mod mutants;

const SECONDS_AN_HOUR: f64 = 3600.0;

/// What the portions of a part run.
enum Way {
    /// A test of the simulator, and the word behind the number that it prints of what it did.
    Sim { test: &'static str, counted: &'static str },
    /// A task of this program: it is told a number of rounds and a seed.
    Real(fn(&Path, u64, u64) -> Result<()>),
}

/// A part of the campaign.
struct Part {
    name: &'static str,
    /// What is counted, for people.
    counts: &'static str,
    /// Seeds, or rounds of the real server, of one portion.
    portion: u64,
    way: Way,
}

const PARTS: [Part; 6] = [
    Part {
        name: "cuts",
        counts: "simulated power cuts and kills",
        portion: 4,
        way: Way::Sim { test: "crash::a_power_cut_at_any_call_loses_and_invents_nothing", counted: " faults, " },
    },
    Part {
        name: "errors",
        counts: "simulated I/O errors",
        portion: 2,
        way: Way::Sim { test: "crash::a_failure_of_any_call_loses_and_invents_nothing", counted: " faults, " },
    },
    Part {
        name: "cycles",
        counts: "simulated histories of two snapshots, copies and restores",
        portion: 40,
        way: Way::Sim { test: "snapshot::a_restored_copy_equals_the_cut_and_lives_on", counted: " histories" },
    },
    Part {
        name: "damage",
        counts: "changed bytes, cuts and missing files of copies that were refused",
        portion: 1,
        way: Way::Sim { test: "damage::no_fault_in_a_copy_is_served", counted: " refused" },
    },
    Part { name: "kill", counts: "kill -9 of the real server", portion: 10, way: Way::Real(crate::kill::run_with) },
    Part {
        name: "live",
        counts: "snapshots of the real server under writers, copied, restored, compared",
        portion: live::PORTION,
        way: Way::Real(live::run_with),
    },
];

/// Runs the campaign.
pub fn run(args: &[String]) -> Result<()> {
    let hours: f64 = option(args, "--hours").map_or(Ok(1.0), str::parse)?;
    let first_seed: u64 = match option(args, "--seed") {
        Some(seed) => seed.parse()?,
        None => std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs(),
    };
    if args.iter().any(|arg| arg == "--coverage") {
        return coverage::run();
    }
    if let Some(count) = option(args, "--mutants") {
        return mutants::run(count.parse()?, first_seed);
    }
    let parts: Vec<&Part> = match option(args, "--parts") {
        None => PARTS.iter().collect(),
        Some(names) => names.split(',').map(part_of_name).collect::<Result<_>>()?,
    };
    let binary = build_server()?;
    let sim = std::env::var_os("SIM_TESTS").map(std::path::absolute).transpose()?;
    let mut ledger = Ledger::open(root())?;
    let commit = output(Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(root()))?;
    let started = Instant::now();
    let mut found = 0;
    for portion in 0.. {
        for part in &parts {
            if started.elapsed().as_secs_f64() >= hours * SECONDS_AN_HOUR {
                println!("{}", ledger.summary()?);
                return if found == 0 { Ok(()) } else { Err(format!("campaign: {found} findings, see above").into()) };
            }
            let seeds = (first_seed + portion * part.portion, part.portion);
            let began = Instant::now();
            let done = part.run(&binary, sim.as_deref(), seeds);
            let entry = entry(part, commit.trim(), seeds, began.elapsed(), &done);
            if let Err(error) = done {
                found += 1;
                println!("campaign: FOUND by {}: {error}\nrepeat with: {}", part.name, part.repeat(seeds));
            }
            ledger.add(entry)?;
        }
    }
    unreachable!("the loop ends by its clock")
}

fn option<'a>(args: &'a [String], name: &str) -> Option<&'a str> {
    let at = args.iter().position(|arg| arg == name)?;
    args.get(at + 1).map(String::as_str)
}

fn part_of_name(name: &str) -> Result<&'static Part> {
    let names = || PARTS.iter().map(|part| part.name).collect::<Vec<_>>().join(", ");
    PARTS.iter().find(|part| part.name == name).ok_or_else(|| format!("there is no part {name}: {}", names()).into())
}

fn entry(part: &Part, commit: &str, (from, count): (u64, u64), took: Duration, done: &Result<u64>) -> Entry {
    Entry {
        commit: commit.to_owned(),
        part: part.name.to_owned(),
        seed_from: from,
        seed_to: from + count - 1,
        count: *done.as_ref().unwrap_or(&0),
        hours: took.as_secs_f64() / SECONDS_AN_HOUR,
        findings: done.as_ref().err().map(|error| brief(&error.to_string())).into_iter().collect(),
    }
}

/// Returns the line that says most: the simulator's tests print much before it.
fn brief(error: &str) -> String {
    let telling = error.lines().find(|line| line.contains("seed ") || line.contains("--seed"));
    telling.unwrap_or(error).chars().take(400).collect()
}

impl Part {
    /// Runs a portion and returns how much was done.
    fn run(&self, binary: &Path, sim: Option<&Path>, (from, count): (u64, u64)) -> Result<u64> {
        match &self.way {
            Way::Real(run) => run(binary, count, from).map(|()| count),
            Way::Sim { test, counted } => {
                let done = simulate(sim, test, counted, from, count)?;
                println!("campaign: {} from seed {from}: {done} {}", self.name, self.counts);
                Ok(done)
            }
        }
    }

    fn repeat(&self, (from, count): (u64, u64)) -> String {
        match &self.way {
            Way::Sim { test, .. } => {
                format!("SIM_FROM={from} SIM_RUNS={count} cargo test -p sim {test} -- --exact --nocapture")
            }
            Way::Real(_) if self.name == "kill" => format!("cargo xtask kill --rounds {count} --seed {from}"),
            Way::Real(_) => format!("cargo xtask campaign --hours 0.01 --parts {} --seed {from}", self.name),
        }
    }
}

/// Runs a test of the simulator over some seeds and returns the number that it prints.
fn simulate(sim: Option<&Path>, test: &str, counted: &str, from: u64, count: u64) -> Result<u64> {
    let mut command = match sim {
        Some(binary) => Command::new(binary),
        None => cargo(&["test", "--workspace", "--locked", "--test", "sim", "--"]),
    };
    command.args([test, "--exact", "--nocapture"]);
    command.env("SIM_FROM", from.to_string()).env("SIM_RUNS", count.to_string()).env_remove("SIM_SEED");
    let said = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    if !said.status.success() {
        return Err(text.into());
    }
    number_before(&text, counted).ok_or_else(|| format!("{test} says no number of{counted}: {text}").into())
}

/// Returns the sum of the numbers that stand before a text.
fn number_before(said: &str, text: &str) -> Option<u64> {
    let numbers = said.match_indices(text).filter_map(|(at, _)| {
        let digits = said[..at].rsplit(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse::<u64>().ok()
    });
    numbers.reduce(|a, b| a + b)
}

/// Returns what a part counts, for people.
fn counts_of(name: &str) -> &str {
    if name == mutants::PART {
        return "lines made wrong (mutants) in log, snapshots, restores and gc; findings: those that no test noticed";
    }
    PARTS.iter().find(|part| part.name == name).map_or(name, |part| part.counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_what_the_tests_print() {
        let said = "running 1 test\npower cuts: 5321 faults, 900 starts after one\nok. 1 passed";
        assert_eq!(number_before(said, " faults, "), Some(5321));
        assert_eq!(number_before("damage: 10 refused\ndamage: 5 refused\n", " refused"), Some(15));
        assert_eq!(number_before("nothing", " refused"), None);
    }

    #[test]
    fn a_finding_is_told_by_its_seed() {
        assert_eq!(brief("running\nseed 7: step 3: lost\nmore"), "seed 7: step 3: lost");
        assert_eq!(brief("no number"), "no number");
    }
}
