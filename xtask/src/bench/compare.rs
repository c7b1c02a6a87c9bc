//! `cargo xtask bench --compare REV`: what the working tree costs beside another revision, in instructions, not seconds.
//!
//! Both servers run under valgrind's callgrind on the same few rows. Instructions do not depend on what else the machine
//! does; threads and hash seeds leave a noise of some hundredths in short questions, so the least of seven counts is
//! taken. More than `--allow` percent above the revision is a failure. Waiting is not seen: that is the bench's.

mod build;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::data::{self, Shape};
use super::questions::{JOINS, QUERIES, Question};
use super::report::figure;
use crate::Result;
use crate::cargo::output;
use crate::http::Http;
use crate::scratch::Scratch;
use crate::server::Server;

/// Enough for several batches of every operator, few enough for a machine that is fifty times slower.
const ROWS: u64 = 20_000;
const COUNTS: usize = 7;
const BATCH: usize = 256 << 10;
const LIMIT: Duration = Duration::from_secs(900);

/// What was counted of one binary: name and instructions.
type Counts = Vec<(String, u64)>;

/// Runs the task.
pub fn run(revision: &str, args: &[String]) -> Result<()> {
    if let Err(reason) = build::valgrind() {
        println!("bench --compare SKIPPED: {reason}");
        return Ok(());
    }
    let allow = crate::random::number(args, "--allow", 10)? as f64 / 100.0;
    let profile = if args.iter().any(|arg| arg == "--dev") { "dev" } else { "release" };
    let scratch = Scratch::new("compare")?;
    let [base, ours] = build::both(revision, args, profile)?;
    println!("compare: {profile} profile, {revision} is {}, this is {}", base.display(), ours.display());
    let files = Files::make(&scratch)?;
    let before = count(&base, &scratch, "base", &files)?;
    let after = count(&ours, &scratch, "ours", &files)?;
    println!("\ninstructions on {} rows, {profile} profile: {revision}, working tree, ratio", figure(ROWS as f64));
    let (text, worse) = verdict(&before, &after, allow);
    println!("{text}");
    if worse.is_empty() {
        Ok(())
    } else {
        Err(format!("more than {:.0} % above {revision}: {}", allow * 100.0, worse.join(", ")).into())
    }
}

/// Returns the table, and the names of what costs more than is allowed.
fn verdict(before: &Counts, after: &Counts, allow: f64) -> (String, Vec<String>) {
    let (mut text, mut worse, mut ratios) = (String::new(), Vec::new(), Vec::new());
    for (name, now) in after {
        let Some((_, then)) = before.iter().find(|(other, _)| other == name) else {
            text.push_str(&format!("  {name:38} {:>16} {:>16}      new\n", "–", figure(*now as f64)));
            continue;
        };
        let ratio = *now as f64 / (*then).max(1) as f64;
        ratios.push(ratio);
        let mark = if ratio > 1.0 + allow { "  WORSE" } else { "" };
        text.push_str(&format!(
            "  {name:38} {:>16} {:>16} {ratio:8.3}{mark}\n",
            figure(*then as f64),
            figure(*now as f64)
        ));
        if !mark.is_empty() {
            worse.push(format!("{name} ({ratio:.2})"));
        }
    }
    if let Some(mean) = super::statistics::geometric_mean(&ratios) {
        text.push_str(&format!("  geometric mean of {} ratios: {mean:.3}", ratios.len()));
    }
    (text, worse)
}

/// The rows that both binaries get.
struct Files {
    trades: PathBuf,
    joined: [PathBuf; 2],
}

impl Files {
    fn make(scratch: &Scratch) -> Result<Files> {
        let folder = scratch.path("");
        let [tq, quotes] = data::joined(&folder, ROWS, ROWS / 4)?;
        let trades = data::trades(&folder, "trades", ROWS, Shape::Plain)?;
        Ok(Files { trades: trades.lines, joined: [tq.lines, quotes.lines] })
    }
}

/// Runs a binary under callgrind and counts each scenario.
fn count(binary: &Path, scratch: &Scratch, name: &str, files: &Files) -> Result<Counts> {
    let mut command = Command::new("valgrind");
    let dump = scratch.path(&format!("{name}.callgrind"));
    command.args(["--tool=callgrind", "--quiet"]).arg(format!("--callgrind-out-file={}", dump.display()));
    let root = scratch.path(name);
    std::fs::create_dir_all(&root)?;
    command.arg(binary).arg("-d").arg(&root).env("QDB_QUERY_TIMEOUT", "900s");
    let server = Server::run(command, &root, LIMIT)?;
    let mut probe = Probe::new(server.id(), dump);
    let mut http = Http::connect_for(server.http_port, LIMIT)?;
    let mut counts = vec![(format!("load {ROWS} lines"), load(&mut http, &mut probe, files)?)];
    for question in QUERIES.iter().chain(&JOINS) {
        match asked(&mut http, &mut probe, question) {
            Ok(count) => counts.push((question.name.to_owned(), count)),
            Err(error) => println!("compare: {name}: {}: {error}", question.name),
        }
    }
    server.end()?;
    println!("compare: {name}: {} scenarios counted", counts.len());
    Ok(counts)
}

/// Counts the load of the trades; the tables of the joins come uncounted.
fn load(http: &mut Http, probe: &mut Probe, files: &Files) -> Result<u64> {
    let mut post = |path: &Path| -> Result<()> {
        let mut batches = data::Batches::open(path, BATCH)?;
        while let Some(batch) = batches.next()? {
            http.write(&String::from_utf8(batch)?)?;
        }
        Ok(())
    };
    files.joined.iter().try_for_each(|path| post(path))?;
    probe.zero()?;
    post(&files.trades)?;
    probe.read()
}

/// Counts one statement, the least of some times, after one that warms up.
fn asked(http: &mut Http, probe: &mut Probe, question: &Question) -> Result<u64> {
    http.exec(&question.sql(0))?;
    let mut least = u64::MAX;
    for k in 1..=COUNTS as u64 {
        probe.zero()?;
        http.exec(&question.sql(k))?;
        least = least.min(probe.read()?);
    }
    Ok(least)
}

/// The counters of a process under callgrind.
pub(super) struct Probe {
    process: u32,
    dump: PathBuf,
    dumps: u32,
}

impl Probe {
    pub fn new(process: u32, dump: PathBuf) -> Probe {
        Probe { process, dump, dumps: 0 }
    }

    pub fn zero(&self) -> Result<()> {
        self.control("zero").map(drop)
    }

    /// Returns the instructions since the counters were last zero.
    pub fn read(&mut self) -> Result<u64> {
        self.control("dump")?;
        self.dumps += 1;
        let path = PathBuf::from(format!("{}.{}", self.dump.display(), self.dumps));
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        std::fs::remove_file(&path)?;
        Ok(total(&text).ok_or_else(|| format!("{}: no totals", path.display()))?)
    }

    fn control(&self, word: &str) -> Result<String> {
        output(Command::new("vgdb").arg(format!("--pid={}", self.process)).arg(word))
    }
}

/// Returns the sum of a dump: all its threads, whatever part of the program.
fn total(dump: &str) -> Option<u64> {
    let line = dump.lines().find_map(|line| line.strip_prefix("totals:").or_else(|| line.strip_prefix("summary:")))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(&str, u64)]) -> Counts {
        of.iter().map(|(name, count)| (name.to_string(), *count)).collect()
    }

    #[test]
    fn what_costs_more_than_allowed_is_named() {
        let (text, worse) =
            verdict(&counts(&[("a", 1000), ("b", 1000)]), &counts(&[("a", 1040), ("b", 1100), ("c", 5)]), 0.05);
        assert_eq!(worse, ["b (1.10)"]);
        assert!(text.contains("1.040\n") && text.contains("1.100  WORSE\n") && text.contains("new\n"), "{text}");
        assert!(text.contains("geometric mean of 2 ratios: 1.070"), "{text}");
    }

    #[test]
    fn the_total_of_a_dump_is_read() {
        assert_eq!(total("version: 1\nevents: Ir\n\nsummary: 1234\n\nfn=(1)\ntotals: 1234\n"), Some(1234));
        assert_eq!(total("nothing"), None);
    }
}
