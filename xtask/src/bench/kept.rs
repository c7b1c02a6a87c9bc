//! `cargo xtask bench --kept [N]`: what kept snapshots cost, what a table of many segments takes to come back, and a copy
//! beside `cp -a`. It prints; it writes no document.
//!
//! Commits are counted in instructions (callgrind), so that what else the machine does plays no part; times are of three
//! rounds, and say something on a quiet machine only: the load is printed with them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::compare::Probe;
use super::machine;
use super::snapshot::{COMMIT_ROWS, commit};
use crate::Result;
use crate::cargo::{cargo, must, output, root};
use crate::http::Http;
use crate::scratch::Scratch;
use crate::server::Server;

/// Small tables in the root, of which one is written while commits are counted.
const TABLES: usize = 5;
/// Commits before the count begins, and counted ones.
const COMMITS: [u64; 2] = [30, 100];
/// Partitions, each of one segment, of the table that comes back.
const SEGMENTS: u64 = 10_000;
/// Commits of the root that is copied: a bit less than 100 bytes a row in segments and log.
const COPIED_COMMITS: u64 = 8_000;
const ROUNDS: usize = 3;
/// A start under callgrind takes long.
const LIMIT: Duration = Duration::from_secs(900);

/// A root whose files keep their lengths for so long is at rest.
const QUIET: Duration = Duration::from_secs(4);

/// Runs it with that many kept snapshots.
pub fn run(snapshots: u64) -> Result<()> {
    let binary = match std::env::var_os("STILLPOINT") {
        Some(binary) => std::path::absolute(binary)?,
        None => {
            must(&mut cargo(&["build", "--release", "--locked"]))?;
            root().join("target/release/stillpoint")
        }
    };
    let scratch = Scratch::new("kept")?;
    commits(&binary, &scratch, snapshots)?;
    table_comes_back(&binary, &scratch)?;
    copies(&binary, &scratch)
}

/// Counts a commit's instructions without snapshots and with many.
fn commits(binary: &Path, scratch: &Scratch, snapshots: u64) -> Result<()> {
    let with = scratch.path("with");
    let server = Server::start(binary, &with)?;
    let mut http = server.http()?;
    for table in 0..TABLES {
        let name = format!("t{table}");
        http.exec(&format!(
            "create table {name} (ts timestamp, tag symbol, v long, d double) timestamp(ts) partition by day wal"
        ))?;
        http.write(&commit(&name, 0, 0))?;
    }
    server.stop()?;
    let without = scratch.path("without");
    crate::scratch::copy(&with, &without)?;
    let before = Lengths::of(&with)?;
    let server = Server::start(binary, &with)?;
    let mut http = server.http()?;
    let began = Instant::now();
    for number in 0..snapshots {
        http.write(&format!("t0,tag=a v={number}i,d=1 {}\n", 1_704_067_200_000_000_000 + number * 1_000))?;
        http.exec(&format!("snapshot prepare 'k{number}' keep"))?;
    }
    let taken = began.elapsed();
    let unsettled = "select count() from snapshots() where state <> 'settled'";
    while http.number(unsettled)? > 0 {
        std::thread::sleep(Duration::from_millis(100));
    }
    let settled = began.elapsed();
    // What they have let go, and former bases, go behind that.
    let mut after = Lengths::of(&with)?;
    loop {
        std::thread::sleep(QUIET);
        let before_that = std::mem::replace(&mut after, Lengths::of(&with)?);
        if before_that == after {
            break;
        }
    }
    server.stop()?;
    let each = |of: fn(&Lengths) -> u64| of(&after).saturating_sub(of(&before)) / snapshots.max(1);
    println!(
        "kept: {snapshots} snapshots of {TABLES} tables taken in {:.1} s, settled after {:.1} s; by the lengths of files each costs \
         {} bytes ({} in pins, {} in bases and lists of tables; {} are the limit), and {} in segments and symbol files of the row \
         that came with it",
        taken.as_secs_f64(),
        settled.as_secs_f64(),
        each(|l| l.pins + l.bases),
        each(|l| l.pins),
        each(|l| l.bases),
        4096 + 128 * TABLES,
        each(|l| l.tables)
    );
    let [none, beside, idle] = instructions(binary, &without, scratch)?;
    let [many, _, idle_with_many] = instructions(binary, &with, scratch)?;
    let more = |count: u64| 100.0 * (count as f64 / none as f64 - 1.0);
    println!(
        "kept: instructions of an idle second: {idle} without snapshots, {idle_with_many} with {snapshots} kept ones"
    );
    println!(
        "kept: instructions of a commit of {COMMIT_ROWS} rows: {none} without snapshots, {many} ({:+.2} %) with {snapshots} kept \
         ones, {beside} ({:+.2} %) with a PREPARE and a COMPLETE every {} commits",
        more(many),
        more(beside),
        COMMITS[1]
    );
    Ok(())
}

/// Returns the instructions of a commit, of all threads: of commits alone, and with a snapshot in their middle; and of an idle
/// second. What a start has still to find out behind its first answer is no part of them.
fn instructions(binary: &Path, root: &Path, scratch: &Scratch) -> Result<[u64; 3]> {
    let dump = scratch.path("kept.callgrind");
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet"]).arg(format!("--callgrind-out-file={}", dump.display()));
    command.arg(binary).arg("-d").arg(root);
    let server = Server::run(command, root, LIMIT)?;
    let mut probe = Probe::new(server.id(), dump);
    let mut http = Http::connect_for(server.http_port, LIMIT)?;
    let mut operator = Http::connect_for(server.http_port, LIMIT)?;
    // It answers when the files of all snapshots are known.
    operator.exec("select * from snapshots()")?;
    let mut number = 0;
    let mut write = |count: u64| -> Result<()> {
        for _ in 0..count {
            number += 1;
            http.write(&commit("t1", 1, number))?;
        }
        Ok(())
    };
    write(COMMITS[0])?;
    // The first snapshot of a process does what later ones need not.
    for statement in ["snapshot prepare", "snapshot complete"] {
        operator.exec(statement)?;
    }
    let idle = idle_second(&mut probe)?;
    probe.zero()?;
    write(COMMITS[1])?;
    let alone = probe.read()?;
    probe.zero()?;
    operator.exec("snapshot prepare")?;
    write(COMMITS[1])?;
    operator.exec("snapshot complete")?;
    let beside = probe.read()?;
    server.end()?;
    Ok([alone / COMMITS[1], beside / COMMITS[1], idle])
}

/// Returns the instructions of a second without statements, when the one before it did not cost much more.
fn idle_second(probe: &mut Probe) -> Result<u64> {
    let mut last = u64::MAX;
    loop {
        probe.zero()?;
        std::thread::sleep(Duration::from_secs(1));
        let count = probe.read()?;
        if count >= last / 10 * 9 {
            return Ok(count);
        }
        last = count;
    }
}

/// Times RESTORE TABLE of a table with many segments.
fn table_comes_back(binary: &Path, scratch: &Scratch) -> Result<()> {
    let root = scratch.path("segments");
    let server = Server::start(binary, &root)?;
    let mut http = server.http()?;
    http.exec("create table t (ts timestamp, tag symbol, v long) timestamp(ts) partition by hour wal")?;
    let line = |hour: u64| format!("t,tag=a v={hour}i {}\n", 1_704_067_200_000_000_000 + hour * 3_600_000_000_000);
    http.write(&(0..SEGMENTS).map(line).collect::<String>())?;
    http.exec("snapshot prepare 'before' keep")?;
    // To settle is to write what is in memory: a segment for each partition.
    while http.number("select count() from snapshots() where state = 'settled'")? == 0 {
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let began = Instant::now();
        http.exec(&format!("restore table t as t{round} from snapshot 'before'"))?;
        times.push(began.elapsed());
        let rows = http.number(&format!("select count() from t{round}"))?;
        if rows != SEGMENTS {
            return Err(format!("t{round} came back with {rows} rows, not {SEGMENTS}").into());
        }
    }
    println!("kept: RESTORE TABLE of {SEGMENTS} segments: {} ms ({})", said(&times), load()?);
    server.stop()
}

/// Times `cp -a` of a root under a running server, with and without the sync that it leaves to others, beside `snapshot copy`,
/// which proves each file and has all of it on the disk when it ends: a first one and, behind a commit, a second one. Then
/// `verify` of the copy beside `b3sum` of its files, where that is there.
fn copies(binary: &Path, scratch: &Scratch) -> Result<()> {
    let root = scratch.path("copied");
    let server = Server::start(binary, &root)?;
    let mut http = server.http()?;
    for number in 0..COPIED_COMMITS {
        http.write(&commit("t", 0, number))?;
    }
    let url = format!("http://127.0.0.1:{}", server.http_port);
    let [mut plain, mut synced, mut first, mut second, mut verified, mut hashed] = [const { Vec::new() }; 6];
    let mut sent = Vec::new();
    for round in 0..ROUNDS as u64 {
        let (to_plain, to_own) = (scratch.path(&format!("plain{round}")), scratch.path(&format!("own{round}")));
        let settle = || output(Command::new("sync").arg("-f").arg(&root));
        settle()?;
        let began = Instant::now();
        crate::scratch::copy(&root, &to_plain)?;
        plain.push(began.elapsed());
        output(Command::new("sync").arg("-f").arg(&to_plain))?;
        synced.push(began.elapsed());
        remove(&to_plain)?;
        for times in [&mut first, &mut second] {
            settle()?;
            let mut command = Command::new(binary);
            command
                .args(["--json", "snapshot", "copy", "--server", &url, "--from"])
                .arg(&root)
                .arg("--to")
                .arg(&to_own);
            let began = Instant::now();
            let told: serde_json::Value = serde_json::from_str(&output(&mut command)?)?;
            times.push(began.elapsed());
            sent.push(format!("{} of {}", told["new_bytes"], told["bytes"]));
            http.write(&commit("t", 0, COPIED_COMMITS + round))?;
        }
        let began = Instant::now();
        output(Command::new(binary).arg("verify").arg(&to_own))?;
        verified.push(began.elapsed());
        let began = Instant::now();
        let files = format!("find {} -type f -print0 | xargs -0 b3sum", to_own.display());
        if output(Command::new("sh").args(["-c", &files])).is_ok() {
            hashed.push(began.elapsed());
        }
        remove(&to_own)?;
    }
    println!(
        "kept: a root of {} MB: cp -a {} ms, with sync -f {} ms; snapshot copy, durable and proven, {} ms, a second one {} ms \
         (bytes sent: {}); verify {} ms, b3sum of the same files {} ms ({})",
        size_bytes(&root)? >> 20,
        said(&plain),
        said(&synced),
        said(&first),
        said(&second),
        sent.join(", "),
        said(&verified),
        if hashed.is_empty() { "not there".to_owned() } else { said(&hashed) },
        load()?
    );
    server.stop()
}

fn said(times: &[Duration]) -> String {
    times.iter().map(|time| format!("{:.0}", time.as_secs_f64() * 1e3)).collect::<Vec<_>>().join(", ")
}

fn load() -> Result<String> {
    Ok(format!("load {}", machine::load_average()?))
}

fn remove(folder: &PathBuf) -> Result<()> {
    std::fs::remove_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()).into())
}

/// Bytes in a root's files by what they are.
#[derive(Default, PartialEq)]
struct Lengths {
    /// In `snapshot/`.
    pins: u64,
    /// In `db/_base/`: of the database, of snapshots, and of their tables.
    bases: u64,
    /// In the tables' directories.
    tables: u64,
}

impl Lengths {
    fn of(root: &Path) -> Result<Lengths> {
        let mut lengths = Lengths { pins: bytes_below(&root.join("snapshot"))?, ..Lengths::default() };
        for entry in std::fs::read_dir(root.join("db"))? {
            let entry = entry?;
            match entry.file_name().to_string_lossy() {
                name if name == "_base" => lengths.bases += bytes_below(&entry.path())?,
                name if name.starts_with('_') => {}
                _ => lengths.tables += bytes_below(&entry.path())?,
            }
        }
        Ok(lengths)
    }
}

fn bytes_below(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let found = entry.metadata()?;
        bytes += if found.is_dir() { bytes_below(&entry.path())? } else { found.len() };
    }
    Ok(bytes)
}

/// Returns what a root takes on the disk, but for the log's files, whose spares are large.
fn size_bytes(root: &Path) -> Result<u64> {
    let mut command = Command::new("du");
    command.args(["-s", "--block-size=1", "--apparent-size", "--exclude=_live", "--exclude=_log"]).arg(root);
    Ok(output(&mut command)?.split_whitespace().next().unwrap_or_default().parse()?)
}
