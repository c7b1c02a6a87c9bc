//! `cargo xtask campaign --mutants N [--seed N]`: does a test fail when a line is wrong?
//!
//! cargo-mutants (`cargo install cargo-mutants --locked`) says what could be wrong in the log, snapshots, restores and gc; a
//! sample of it is drawn, as many from each of these rooms. All of it is built at once, into a copy of the tree in which an
//! environment variable chooses what is wrong; then storage's tests are asked of each. The ledger names those that no
//! test noticed.
//!
//! Reading order: [`list`] (what could be wrong), [`switched`] (how a file holds it all), [`build`], [`ask`].

use std::time::Instant;

use super::SECONDS_AN_HOUR;
use super::ledger::{Entry, Ledger};
use crate::Result;
use crate::cargo::{output, root};
use crate::scratch::Scratch;
use ask::{Test, Verdict};
use list::Mutant;

mod ask;
mod build;
mod list;
mod switched;

/// Name of the part in the ledger.
pub const PART: &str = "mutants";

/// Tries so many mutants, less those that are no programs.
pub fn run(count: usize, seed: u64) -> Result<()> {
    let began = Instant::now();
    let commit = output(std::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(root()))?;
    let tree = build::fresh_tree()?;
    let sample = list::sample(&tree, seed, count)?;
    let (binaries, unviable) = build::build(&tree, &sample)?;
    let scratch = Scratch::new(PART)?;
    let tests = ask::measured(&tree, &binaries, &scratch)?;
    let numbers: Vec<usize> = (1..=sample.len()).filter(|number| !unviable.contains(number)).collect();
    let verdicts = ask::two_at_a_time(&numbers, |number| {
        let verdict = ask::ask(*number, &tests, &tree, &scratch)?;
        println!("mutants: {number}: {}: {}", verdict.told(&tests), sample[number - 1].name);
        Ok(verdict)
    })?;
    let left = numbers.iter().zip(&verdicts).filter(|(_, verdict)| !matches!(verdict, Verdict::Noticed(_)));
    let left: Vec<(&Mutant, &Verdict)> = left.map(|(number, verdict)| (&sample[number - 1], verdict)).collect();
    left.iter().for_each(|(mutant, verdict)| println!("  {}: {}", verdict.told(&tests), mutant.name));
    println!("mutants: {} of seed {seed} are no programs; {}", unviable.len(), rate(numbers.len(), left.len()));
    Ledger::open(root())?.add(Entry {
        commit: commit.trim().to_owned(),
        part: PART.to_owned(),
        seed_from: seed,
        seed_to: seed,
        count: numbers.len() as u64,
        hours: began.elapsed().as_secs_f64() / SECONDS_AN_HOUR,
        findings: left.iter().map(|(mutant, _)| mutant.name.clone()).collect(),
    })
}

impl Verdict {
    fn told(&self, tests: &[Test]) -> String {
        match self {
            Verdict::Noticed(test) => format!("noticed by {}", tests[*test].name),
            Verdict::Survived => "no test noticed".to_owned(),
            Verdict::Unreached => "no test comes by".to_owned(),
        }
    }
}

/// Returns what part of the mutants the tests noticed, for people, and the interval that holds the part of all mutants
/// with 95 % (Wilson's).
fn rate(tried: usize, left: usize) -> String {
    const Z: f64 = 1.96;
    let n = tried.max(1) as f64;
    let share = (tried - left) as f64 / n;
    let middle = (share + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let (low, high) = (100.0 * (middle - half), 100.0 * (middle + half));
    format!("{} of {tried} were noticed: {:.1} % (95 %: {low:.1} to {high:.1})", tried - left, 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_told_with_its_interval() {
        assert_eq!(rate(107, 17), "90 of 107 were noticed: 84.1 % (95 %: 76.0 to 89.8)");
        assert_eq!(rate(10, 0), "10 of 10 were noticed: 100.0 % (95 %: 72.2 to 100.0)");
    }
}
