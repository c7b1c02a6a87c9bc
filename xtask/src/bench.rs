//! `cargo xtask bench [PART…]`: Stillpoint beside QuestDB and DuckDB, on the same data, in one run.
//!
//! Each answer is checked before its time counts; the peers take turns, round by round; medians and ranges go into
//! `docs/benchmarks.md`, curves of time over rows beside it. `cargo xtask bench --compare REV` counts instructions instead
//! ([`compare`]); `--kept` is about kept snapshots ([`kept`]). Read [`questions`] for what is asked and [`ingest`] for how rows come in; [`report`] is what comes out.

mod answers;
mod cold;
mod compare;
mod data;
mod ingest;
mod kept;
mod limits;
pub mod machine;
mod options;
mod out;
mod peers;
mod plot;
mod process;
mod queries;
mod questions;
mod report;
mod small;
mod snapshot;
mod statistics;
mod table;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Result;
use crate::cargo::{cargo, must, root};
use crate::scratch::Scratch;
use data::Shape;
use options::{Options, Part};
use peers::{Launch, Peers, System, duckdb::Duck, questdb};
use process::Memory;
use table::Table;

const MILLION: f64 = 1e6;
const DUCK_FILE: &str = "bench.duckdb";
/// Most rows of the ways of ingestion beside the plain one: each takes rounds of its own.
const VARIANTS_ROWS: u64 = 5_000_000;
/// Most rows of measured loads, for which files of all rows are kept.
const INGESTED_ROWS: u64 = 20_000_000;
/// Most rows of a table of the joins.
const JOINED_ROWS: u64 = 1_000_000;

/// A run: what takes part, where its files are, and what it has found.
struct Bench {
    options: Options,
    folder: PathBuf,
    launches: Vec<Launch>,
    peers: Peers,
    /// Why a peer is not there.
    absent: Vec<String>,
    found: Vec<(Part, Table)>,
    started: Instant,
    // Dropped last: the servers are gone by then.
    _scratch: Scratch,
}

/// Runs the task.
pub fn run(args: &[String]) -> Result<()> {
    if let Some(at) = args.iter().position(|arg| arg == "--compare") {
        return compare::run(args.get(at + 1).ok_or("--compare needs a revision")?, args);
    }
    if let Some(at) = args.iter().position(|arg| arg == "--kept") {
        return kept::run(args.get(at + 1).map_or(Ok(1_000), |count| count.parse())?);
    }
    let options = Options::read(args)?;
    machine::refuse_small_disk(&std::env::temp_dir(), options.largest(), options.has(Part::Ingest))?;
    let mut bench = Bench::start(options)?;
    let before = machine::Machine::look(&bench.folder)?;
    println!("bench: {}\nbench: {}", before.text(), before.limits.text());
    // What was measured before a failure is worth its page.
    let done = bench.parts();
    let after = limits::Limits::measure(&bench.folder, before.cores)?;
    bench.write(&before, &after)?;
    done
}

/// Builds the server that users run, or takes the one that `STILLPOINT` names.
fn release_server() -> Result<PathBuf> {
    if let Some(binary) = std::env::var_os("STILLPOINT") {
        return Ok(std::path::absolute(binary)?);
    }
    must(&mut cargo(&["build", "--release", "--locked"]))?;
    Ok(root().join("target/release/stillpoint"))
}

impl Bench {
    fn start(options: Options) -> Result<Bench> {
        let scratch = Scratch::new("bench")?;
        let folder = scratch.path("");
        let mut launches = vec![Launch::stillpoint(release_server()?)];
        let mut absent = Vec::new();
        let mut out = |system: System, reason: String| {
            println!("bench: {} SKIPPED: {reason}", system.name());
            absent.push(format!("{} is left out: {reason:.300}", system.name()));
        };
        let cores = std::thread::available_parallelism()?.get();
        match options.wants(System::QuestDb).and_then(|()| questdb::launch()) {
            Ok(launch) => launches.push(launch),
            Err(reason) => out(System::QuestDb, reason.to_string()),
        }
        let duck = options.wants(System::DuckDb).and_then(|()| Duck::start(&scratch.path(DUCK_FILE), cores));
        let duck = duck.map_err(|reason| out(System::DuckDb, reason.to_string())).ok();
        let peers = Peers { servers: Vec::new(), duck };
        let started = Instant::now();
        let mut bench =
            Bench { options, folder, launches, peers, absent, found: Vec::new(), started, _scratch: scratch };
        let mode = bench.options.commit_mode.clone();
        bench.peers.servers = bench.start_servers("root", &mode)?.servers;
        Ok(bench)
    }

    /// Starts every server on a new root.
    fn start_servers(&self, name: &str, mode: &str) -> Result<Peers> {
        let start = |launch: &Launch| {
            launch.start(&self.folder.join(format!("{name}-{}", launch.system.name().to_lowercase())), mode, &[])
        };
        Ok(Peers { servers: self.launches.iter().map(start).collect::<Result<_>>()?, duck: None })
    }

    fn parts(&mut self) -> Result<()> {
        self.sizes()?;
        if self.options.has(Part::Snapshot) {
            self.say(Part::Snapshot.title());
            snapshot::run(self)?;
        }
        self.say("all parts are done");
        Ok(())
    }

    /// Shows what begins, and how long all before it took.
    fn say(&self, what: &str) {
        println!("\nbench: after {:.1} min: {what}", self.started.elapsed().as_secs_f64() / 60.0);
    }

    /// Runs the parts that stand on loaded data, size after size.
    fn sizes(&mut self) -> Result<()> {
        let start = small::start(self)?;
        let sizes = self.options.sizes();
        let varied = *sizes.iter().rfind(|size| **size <= VARIANTS_ROWS).unwrap_or(&sizes[0]);
        for (at, rows) in sizes.iter().copied().enumerate() {
            let last = at + 1 == sizes.len();
            self.say(&format!("{} rows come in", report::figure(rows as f64)));
            if self.options.has(Part::Ingest) && rows <= INGESTED_ROWS {
                self.load(rows, rows == varied)?;
            } else {
                ingest::once(self, rows)?;
            }
            // What a server still does behind its acknowledgements is not the next part's.
            std::thread::sleep(Duration::from_secs(3));
            for part in Part::ALL {
                match part {
                    _ if !self.options.has(part) => {}
                    Part::Queries => self.queries(rows)?,
                    Part::Joins => self.joins(rows)?,
                    Part::Cold if last => cold::run(self, rows)?,
                    Part::Small if last => small::run(self, &start)?,
                    Part::Out if last => out::run(self, rows)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Loads the rows of a size in every way, measured.
    fn load(&mut self, rows: u64, variants: bool) -> Result<()> {
        let data = data::trades(&self.folder, "trades", rows, Shape::Plain)?;
        let rounds = self.options.ingest_rounds;
        let title = format!("{} rows in", report::figure(data.count as f64));
        let mut table = Table::new(title, "ms per million rows", data.count, self.peers.systems());
        if variants {
            ingest::variants(self, &data, rounds, &mut table)?;
        }
        ingest::plain(self, &data, rounds, &mut table)?;
        if let Some(duck) = &mut self.peers.duck {
            duck.load("trades", &data.csv, true)?;
        }
        ingest::copied(self, &data, rounds, &mut table)?;
        table.notes.push(self.footprint(data.count)?);
        self.found.push((Part::Ingest, table));
        data.remove()
    }

    fn queries(&mut self, rows: u64) -> Result<()> {
        let title = format!("Queries over {} rows", report::figure(rows as f64));
        self.say(&title);
        let mut table = Table::new(title, "ms", rows, self.peers.systems());
        queries::run(&questions::QUERIES, &mut self.peers, self.options.rounds, &mut table)?;
        table.notes.push(self.memory()?);
        self.found.push((Part::Queries, table));
        Ok(())
    }

    fn joins(&mut self, rows: u64) -> Result<()> {
        let joined = JOINED_ROWS.min(rows / 4);
        if self.found.iter().any(|(part, table)| *part == Part::Joins && table.size == joined) {
            return Ok(());
        }
        let title = format!("Joins and windows over {} rows", report::figure(joined as f64));
        self.say(&title);
        let mut table = Table::new(title, "ms", joined, self.peers.systems());
        for (data, name) in data::joined(&self.folder, rows, joined)?.iter().zip(["tq", "quotes"]) {
            for server in &mut self.peers.servers {
                server.drop_table(name)?;
                ingest::send(server, data, name)?;
            }
            if let Some(duck) = &mut self.peers.duck {
                duck.load(name, &data.csv, true)?;
            }
            data.remove()?;
        }
        queries::run(&questions::JOINS, &mut self.peers, self.options.rounds, &mut table)?;
        self.found.push((Part::Joins, table));
        Ok(())
    }

    /// Returns what the servers hold in memory, as a sentence.
    fn memory(&self) -> Result<String> {
        let say = |server: &peers::Running| -> Result<String> {
            let memory = Memory::of(server.server.id())?;
            let Memory { resident_mb, own_mb, peak_mb } = memory;
            Ok(format!("{} {resident_mb} MB, {own_mb} of its own, at most {peak_mb}", server.system.name()))
        };
        let said = self.peers.servers.iter().map(say).collect::<Result<Vec<_>>>()?;
        Ok(format!("Resident memory (with mapped files) afterwards: {}.", said.join("; ")))
    }

    /// Returns what a loaded row takes on disk, as a sentence.
    fn footprint(&self, rows: u64) -> Result<String> {
        let say = |server: &peers::Running| -> Result<String> {
            let said = crate::cargo::output(Command::new("du").arg("-sk").arg(&server.root))?;
            let kilobytes: u64 = said.split_whitespace().next().unwrap_or_default().parse()?;
            Ok(format!("{} {}", server.system.name(), report::figure(kilobytes as f64 * 1024.0 / rows as f64)))
        };
        let said = self.peers.servers.iter().map(say).collect::<Result<Vec<_>>>()?;
        Ok(format!("Bytes of the root per row right after the load, logs included: {}.", said.join("; ")))
    }

    /// Prints everything, writes it into the document, and fails where Stillpoint had no right answer.
    fn write(&self, before: &machine::Machine, after: &limits::Limits) -> Result<()> {
        let mut failures = Vec::new();
        let mut document = self.options.document()?;
        for part in Part::ALL {
            let tables: Vec<&Table> = self.found.iter().filter(|(of, _)| *of == part).map(|(_, table)| table).collect();
            if tables.is_empty() {
                continue;
            }
            let mut text = format!("## {}\n\n{}\n", part.title(), self.circumstances(before, after));
            let panels = plot::panels(&tables);
            if let Some(picture) = plot::svg(part.title(), &panels) {
                self.options.write_picture(part, &picture)?;
                text.push_str(&format!("\n![{} over rows](benchmarks/{}.svg)\n", part.title(), part.name()));
            }
            for table in tables {
                text.push_str(&format!("\n{}", report::markdown(table)));
                failures.extend(table.failures());
            }
            println!("\n{text}");
            document = report::replace(&document, part.name(), &text)?;
        }
        self.options.write_document(&document)?;
        if failures.is_empty() {
            Ok(())
        } else {
            Err(format!("bench: {} rows without a right answer:\n{}", failures.len(), failures.join("\n")).into())
        }
    }

    fn circumstances(&self, before: &machine::Machine, after: &limits::Limits) -> String {
        let mut versions = vec![before.stillpoint()];
        if self.launches.iter().any(|launch| launch.system == System::QuestDb) {
            versions.push(format!("QuestDB {}", questdb::VERSION));
        }
        if let Some(duck) = &self.peers.duck {
            versions.push(format!("DuckDB {}", duck.version));
        }
        let mut text = format!(
            "`{}`, {}; {}; commit mode {}; {} rounds of queries, {} of ingestion.\n\nMachine: {}.\n\nIts limits before: {}. \
             After: {}.\n",
            self.options.command,
            before.date,
            versions.join(", "),
            self.options.commit_mode,
            self.options.rounds,
            self.options.ingest_rounds,
            before.text(),
            before.limits.text(),
            after.text(),
        );
        for absent in &self.absent {
            text.push_str(&format!("\n**{absent}**\n"));
        }
        text
    }
}
