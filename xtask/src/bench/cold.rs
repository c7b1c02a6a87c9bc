//! Questions of which nothing is in memory: each to servers that were just started, with the system's cache emptied.
//!
//! The servers first answer the same questions over a small table of their own, so that their code is there and only the
//! data are missing. Their processes must be new ones: what a process has mapped stays in the cache.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::Command;
use std::time::Instant;

use super::answers::Rows;
use super::options::Part;
use super::peers::{System, duckdb::Duck};
use super::questions::{COLD, QUERIES, Question};
use super::table::{Cell, Row, Table};
use super::{Bench, queries, report};
use crate::Result;
use crate::cargo::output;

const CACHES: &str = "/proc/sys/vm/drop_caches";
/// Rows of the table by which servers warm up.
const WARM_ROWS: u64 = 10_000;
const READ_BYTES: usize = 256 << 20;

/// Asks every question once a round, after a start; says why where the cache cannot be emptied.
pub fn run(bench: &mut Bench, rows: u64) -> Result<()> {
    if let Err(reason) = drop_caches() {
        println!("bench: cold queries SKIPPED: {reason}");
        return Ok(());
    }
    let title = format!("Cold queries over {} rows", report::figure(rows as f64));
    bench.say(&title);
    let mut table = Table::new(title, "ms", rows, bench.peers.systems());
    for server in &mut bench.peers.servers {
        server.drop_table("warm")?;
        server.must(&format!(
            "create table warm as (select * from trades limit {WARM_ROWS}) timestamp(timestamp) partition by day wal"
        ))?;
        server.wait_for_rows("warm", WARM_ROWS.min(rows))?;
    }
    if let Some(duck) = &mut bench.peers.duck {
        duck.run(&format!(
            "create or replace table warm as select * from trades order by timestamp limit {WARM_ROWS}"
        ))?;
    }
    for question in QUERIES.iter().filter(|question| COLD.contains(&question.name)) {
        table.push(compare(bench, question)?);
    }
    table.notes.push(format!("The disk gives a file that is not in memory at {:.0} MB/s.", disk_read_mb_s(bench)?));
    bench.found.push((Part::Cold, table));
    Ok(())
}

fn compare(bench: &mut Bench, question: &Question) -> Result<Row> {
    let mut row = Row::new(question.name);
    let mut times: BTreeMap<System, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    for round in 0..bench.options.ingest_rounds {
        restart(bench)?;
        for system in bench.peers.systems() {
            for k in 0..2 {
                queries::ask(&mut bench.peers, system, &question.over("warm"), 50 + k, true)?;
            }
        }
        drop_caches()?;
        let mut answers: BTreeMap<System, Rows> = BTreeMap::new();
        for system in bench.peers.systems() {
            let before = bench.peers.processor(system)?;
            let asked = queries::ask(&mut bench.peers, system, question, round, true);
            let cpu = bench.peers.processor(system)?.since(&before).as_secs_f64() * 1e3;
            match asked.and_then(|asked| asked.map(|asked| Ok((asked.ms, asked.answer.rows()?))).transpose()) {
                Ok(Some((ms, rows))) => {
                    let (walls, cpus) = times.entry(system).or_default();
                    walls.push(ms);
                    cpus.push(cpu);
                    answers.insert(system, rows);
                }
                Ok(None) => {}
                Err(error) => drop(row.cells.insert(system, Cell::Refused(error.to_string()))),
            }
        }
        for (system, reason) in queries::odd_ones(&answers) {
            row.cells.insert(system, Cell::Wrong(format!("round {round}: {reason}")));
        }
    }
    for (system, (walls, cpus)) in times {
        if !row.cells.contains_key(&system) {
            row.measured(system, walls, cpus);
        }
    }
    Ok(row)
}

/// Ends every system as an operator does, and starts it again on its data.
fn restart(bench: &mut Bench) -> Result<()> {
    for at in 0..bench.peers.servers.len() {
        let running = bench.peers.servers.remove(at);
        let root = running.root.clone();
        running.server.end()?;
        let running = bench.launches[at].start(&root, &bench.options.commit_mode, &[])?;
        bench.peers.servers.insert(at, running);
    }
    if let Some(duck) = bench.peers.duck.take() {
        duck.end()?;
        let cores = std::thread::available_parallelism()?.get();
        bench.peers.duck = Some(Duck::start(&bench.folder.join(super::DUCK_FILE), cores)?);
    }
    Ok(())
}

/// Writes what is dirty, and lets go of every page of a file that no process has mapped.
fn drop_caches() -> Result<()> {
    output(&mut Command::new("sync"))?;
    Ok(std::fs::write(CACHES, "3\n").map_err(|error| format!("{CACHES}: {error}; only root may write there"))?)
}

/// Returns how fast one thread reads a file from the disk.
fn disk_read_mb_s(bench: &Bench) -> Result<f64> {
    let path = bench.folder.join("read");
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut piece = vec![1u8; 1 << 20];
    let mut file = std::fs::File::create(&path).map_err(failed)?;
    for number in 0..READ_BYTES >> 20 {
        piece.fill(number as u8);
        file.write_all(&piece).map_err(failed)?;
    }
    drop(file);
    drop_caches()?;
    let mut file = std::fs::File::open(&path).map_err(failed)?;
    let started = Instant::now();
    while file.read(&mut piece).map_err(failed)? > 0 {}
    let took = started.elapsed();
    std::fs::remove_file(&path).map_err(failed)?;
    Ok(READ_BYTES as f64 / took.as_secs_f64() / 1e6)
}
