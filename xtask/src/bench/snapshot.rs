//! Snapshots, and the starts that follow them: PREPARE beside many tables, writers under snapshots, starts and restores,
//! recovery after kill -9.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::options::Part;
use super::peers::{Launch, Running, System};
use super::process::{Processor, written};
use super::statistics::Series;
use super::table::{Cell, Row, Table};
use super::{Bench, report};
use crate::Result;

/// How long writers run in one round with, without and again without snapshots.
const WRITING: Duration = Duration::from_secs(3);
pub(super) const COMMIT_ROWS: u64 = 1_000;
/// Commits before the kill; their log is not flushed yet where the settings say so.
const KILL_COMMITS: u64 = 2_000;

/// Runs the part; it ends and starts the servers of the run.
pub fn run(bench: &mut Bench) -> Result<()> {
    let systems: Vec<System> = bench.peers.servers.iter().map(|server| server.system).collect();
    for tables in bench.options.tables.clone() {
        let title = format!("With {tables} small tables beside the data");
        let mut table = Table::new(title, "ms", 0, systems.clone());
        for server in &mut bench.peers.servers {
            make_tables(server, tables)?;
        }
        std::thread::sleep(Duration::from_secs(2));
        prepare(bench, &mut table)?;
        starts(bench, &mut table)?;
        bench.found.push((Part::Snapshot, table));
    }
    let mut table = Table::new("Writers under snapshots, and recovery", "ms", 0, systems);
    writers(bench, &mut table)?;
    recovery(bench, &mut table)?;
    bench.found.push((Part::Snapshot, table));
    Ok(())
}

fn make_tables(server: &mut Running, count: u64) -> Result<()> {
    let have = server.must("select table_name from tables() where table_name like 'tt%'")?.len() as u64;
    for number in have..count {
        server.must(&format!(
            "create table tt{number:04} (ts timestamp, s symbol, v long, d double) timestamp(ts) partition by day wal"
        ))?;
        server.must(&format!("insert into tt{number:04} values ('2024-01-01', 'a', {number}, 1.0)"))?;
    }
    Ok(())
}

/// SNAPSHOT PREPARE and COMPLETE in turns, and hard links of the whole root for comparison.
fn prepare(bench: &mut Bench, table: &mut Table) -> Result<()> {
    let mut took: BTreeMap<System, [Vec<f64>; 4]> = BTreeMap::new();
    for _ in 0..bench.options.rounds {
        for server in &mut bench.peers.servers {
            let before = written(server.server.id())?;
            let started = Instant::now();
            server.must("snapshot prepare")?;
            let prepared = started.elapsed();
            let bytes = written(server.server.id())? - before;
            let linked = Instant::now();
            let copy = server.root.with_extension("copy");
            crate::cargo::output(Command::new("cp").arg("-al").arg(&server.root).arg(&copy))?;
            let linked = linked.elapsed();
            let started = Instant::now();
            server.must("snapshot complete")?;
            let completed = started.elapsed();
            std::fs::remove_dir_all(&copy).map_err(|error| format!("{}: {error}", copy.display()))?;
            let times = [prepared, linked, completed].map(|time| time.as_secs_f64() * 1e3);
            let series = took.entry(server.system).or_default();
            series[..3].iter_mut().zip(times).for_each(|(series, ms)| series.push(ms));
            series[3].push(bytes as f64);
        }
    }
    let [mut prepared, mut linked, mut completed] =
        ["SNAPSHOT PREPARE", "cp -al of the root", "SNAPSHOT COMPLETE"].map(Row::new);
    let mut said = Vec::new();
    for (system, [prepares, links, completes, bytes]) in took {
        prepared.measured(system, prepares, vec![]);
        linked.measured(system, links, vec![]);
        completed.measured(system, completes, vec![]);
        let bytes = Series::new(bytes).ok_or("no round was run")?;
        said.push(format!("{} {} KiB", system.name(), report::figure(bytes.median() / 1024.0)));
    }
    [prepared, completed, linked].into_iter().for_each(|row| table.push(row));
    table.notes.push(format!(
        "Written to disk by the process during PREPARE, whatever wrote it (median): {}.",
        said.join("; ")
    ));
    Ok(())
}

/// A start after kill -9 with a snapshot open, a start with `_restore`, and the first query behind each.
fn starts(bench: &mut Bench, table: &mut Table) -> Result<()> {
    let names =
        ["start after kill -9", "first query behind it", "start with _restore", "first query after the restore"];
    let mut rows = names.map(Row::new);
    for at in 0..bench.peers.servers.len() {
        let count = bench.peers.servers[at].must("select count() from trades")?;
        bench.peers.servers[at].must("snapshot prepare")?;
        bench.peers.servers[at].server.kill()?;
        let plain = restart(bench, at, &count)?;
        // QuestDB forgets the snapshot in a restart, we keep it open: both are ready for the next one after this.
        bench.peers.servers[at].must("snapshot complete")?;
        bench.peers.servers[at].must("snapshot prepare")?;
        bench.peers.servers[at].server.kill()?;
        let root = bench.peers.servers[at].root.clone();
        std::fs::write(root.join("_restore"), "").map_err(|error| format!("{}/_restore: {error}", root.display()))?;
        let restored = restart(bench, at, &count)?;
        let system = bench.peers.servers[at].system;
        for (rows, start) in rows.chunks_mut(2).zip([plain, restored]) {
            rows[0].measured(system, vec![start.ms], vec![start.processor_ms]);
            rows[1].measured(system, vec![start.query_ms], vec![]);
        }
    }
    rows.into_iter().for_each(|row| table.push(row));
    Ok(())
}

/// What a start took, in milliseconds: to its first answer, of processor time until then, and the first query over the data.
struct Start {
    ms: f64,
    processor_ms: f64,
    query_ms: f64,
}

/// Starts a killed server again.
fn restart(bench: &mut Bench, at: usize, count: &super::answers::Rows) -> Result<Start> {
    let root = bench.peers.servers[at].root.clone();
    bench.peers.servers[at] = bench.launches[at].start(&root, &bench.options.commit_mode, &[])?;
    let server = &mut bench.peers.servers[at];
    let processor_ms = processor_ms(server)?;
    let started = Instant::now();
    let seen = server.must("select count() from trades")?;
    let query_ms = started.elapsed().as_secs_f64() * 1e3;
    if seen != *count {
        return Err(format!("{}: {seen:?} rows after the start, {count:?} before", server.system.name()).into());
    }
    Ok(Start { ms: server.server.started_in.as_secs_f64() * 1e3, processor_ms, query_ms })
}

/// Returns the processor time that a server has used since its start, in milliseconds.
fn processor_ms(server: &Running) -> Result<f64> {
    Ok(server.processor()?.since(&Processor::none()).as_secs_f64() * 1e3)
}

/// Commits of 1,000 rows for some seconds: without snapshots, with one each second, without again; in rounds.
fn writers(bench: &mut Bench, table: &mut Table) -> Result<()> {
    let ways = ["without snapshots", "a snapshot each second", "without again (A/A)"];
    let mut rows: Vec<Row> = ["median", "99.9th percentile", "mean over the round"]
        .iter()
        .flat_map(|what| ways.map(|way| Row::new(format!("commit of 1,000 rows, {way}: {what}"))))
        .collect();
    for server in &mut bench.peers.servers {
        let mut took: Vec<Vec<f64>> = vec![Vec::new(); rows.len()];
        let mut failed = None;
        for round in 0..bench.options.ingest_rounds {
            for way in 0..ways.len() {
                server.drop_table("written")?;
                match write(server, way == 1, round) {
                    Ok(waits) => {
                        let mean = WRITING.as_secs_f64() * 1e3 / waits.len() as f64;
                        let waits = Series::new(waits).ok_or("nothing was committed")?;
                        took[way].push(waits.median());
                        took[ways.len() + way].push(waits.percentile(0.999));
                        took[2 * ways.len() + way].push(mean);
                    }
                    Err(error) => failed = Some(error.to_string()),
                }
            }
        }
        for (row, times) in rows.iter_mut().zip(took) {
            match &failed {
                None => row.measured(server.system, times, vec![]),
                Some(error) => drop(row.cells.insert(server.system, Cell::Refused(error.clone()))),
            }
        }
    }
    rows.into_iter().for_each(|row| table.push(row));
    Ok(())
}

/// Writes for [`WRITING`] and returns how long each commit took, in milliseconds.
fn write(server: &Running, snapshots: bool, round: u64) -> Result<Vec<f64>> {
    let ended = AtomicBool::new(false);
    let (mut writer, mut snapshotter) = (server.connect()?, server.connect()?);
    std::thread::scope(|scope| {
        let beside = scope.spawn(|| -> Result<()> {
            while snapshots && !ended.load(Ordering::Relaxed) {
                snapshotter.exec("snapshot prepare")?;
                std::thread::sleep(Duration::from_millis(300));
                snapshotter.exec("snapshot complete")?;
                std::thread::sleep(Duration::from_millis(700));
            }
            Ok(())
        });
        let started = Instant::now();
        let mut waits = Vec::new();
        let mut wrote = Ok(());
        while started.elapsed() < WRITING && wrote.is_ok() {
            let lines = commit("written", round, waits.len() as u64);
            let sent = Instant::now();
            wrote = writer.write(&lines);
            waits.push(sent.elapsed().as_secs_f64() * 1e3);
        }
        ended.store(true, Ordering::Relaxed);
        beside.join().unwrap_or_else(|_| Err("the snapshots' thread panicked".into()))?;
        wrote.map(|()| waits)
    })
}

/// Returns the lines of one commit; rows and times differ from commit to commit.
pub(super) fn commit(table: &str, round: u64, number: u64) -> String {
    let first = (round * 1_000_000 + number) * COMMIT_ROWS;
    let row =
        |n: u64| format!("{table},tag=t{} v={n}i,d={n}.5 {}\n", n % 100, 1_704_067_200_000_000_000 + n * 1_000_000);
    (first..first + COMMIT_ROWS).map(row).collect()
}

/// Starts after kill -9 behind many commits: as they are set, and with a log that nothing has flushed.
fn recovery(bench: &mut Bench, table: &mut Table) -> Result<()> {
    let mut plain = Row::new(format!("start after kill -9 behind {KILL_COMMITS} commits, all rows seen"));
    let unflushed =
        [("QDB_STORAGE_FLUSH_BYTES", "4g"), ("QDB_STORAGE_BASE_BYTES", "4g"), ("QDB_STORAGE_LOG_FILES", "4096")];
    for launch in &bench.launches {
        let (ms, processor_ms, _) = kill_and_start(bench, launch, KILL_COMMITS, &[])?;
        plain.measured(launch.system, vec![ms], vec![processor_ms]);
    }
    table.push(plain);
    let ours = &bench.launches[0];
    let (ms, processor_ms, log_mb) = kill_and_start(bench, ours, 4 * KILL_COMMITS, &unflushed)?;
    let mut row =
        Row::new(format!("the same behind {} commits, {log_mb} MB of log that nothing has flushed", 4 * KILL_COMMITS));
    row.measured(ours.system, vec![ms], vec![processor_ms]);
    table.push(row);
    Ok(())
}

/// Returns milliseconds from the start to all rows, of processor time until then, and the MB of the root before it.
fn kill_and_start(bench: &Bench, launch: &Launch, commits: u64, keys: &[(&str, &str)]) -> Result<(f64, f64, u64)> {
    let root = bench.folder.join(format!("killed-{}", launch.system.name()));
    let mut running = launch.start(&root, &bench.options.commit_mode, keys)?;
    let mut http = running.connect()?;
    for number in 0..commits {
        http.write(&commit("written", 0, number))?;
    }
    running.server.kill()?;
    let size_mb = size_mb(&root)?;
    let started = Instant::now();
    let mut running = launch.start(&root, &bench.options.commit_mode, keys)?;
    running.wait_for_rows("written", commits * COMMIT_ROWS)?;
    let ms = started.elapsed().as_secs_f64() * 1e3;
    let processor_ms = processor_ms(&running)?;
    running.server.end()?;
    std::fs::remove_dir_all(&root).map_err(|error| format!("{}: {error}", root.display()))?;
    Ok((ms, processor_ms, size_mb))
}

fn size_mb(root: &Path) -> Result<u64> {
    let said = crate::cargo::output(Command::new("du").arg("-sm").arg(root))?;
    Ok(said.split_whitespace().next().unwrap_or_default().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_never_repeat_a_row() {
        let (first, second) = (commit("t", 0, 0), commit("t", 0, 1));
        assert_eq!((first.lines().count(), second.lines().count()), (1_000, 1_000));
        assert!(first.ends_with("v=999i,d=999.5 1704067200999000000\n") && second.starts_with("t,tag=t0 v=1000i"));
        assert!(!commit("t", 1, 0).starts_with("t,tag=t0 v=0i"));
    }
}
