//! `cargo xtask links [--seed N]`: a copy made of hard links, started beside the server that it was taken from.
//!
//! The two share the inodes of every file that the copy has. Both are written to, changed and snapshotted; neither sees
//! anything of the other, and no byte of a shared file changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::Result;
use crate::cargo::{build_server, output};
use crate::random::seed;
use crate::scratch::{Scratch, files};
use crate::server::Server;
use crate::workload::Workload;

const ROWS_BEFORE: u64 = 500;
const ROWS_AFTER: u64 = 10_000;

/// Builds the server and runs the history.
pub fn run(args: &[String]) -> Result<()> {
    run_with(&build_server()?, seed(args)?)
}

/// Runs the history with a server that is already built.
pub fn run_with(binary: &Path, seed: u64) -> Result<()> {
    history(binary, seed).map_err(|error| format!("links (--seed {seed}): {error}").into())
}

fn history(binary: &Path, seed: u64) -> Result<()> {
    let scratch = Scratch::new("links")?;
    let (root, linked) = (scratch.path("root"), scratch.path("linked"));
    let mut workload = Workload::new(seed);
    let server = Server::start(binary, &root)?;
    let mut http = server.http()?;
    let running = workload.start(&server);
    let reach = |workload: &Workload, rows: u64| {
        while workload.acknowledged().totals().0 < rows && !running.has_failed() {
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    reach(&workload, ROWS_BEFORE);
    let low = workload.acknowledged();
    http.exec("SNAPSHOT PREPARE")?;
    let high = workload.sent();
    output(Command::new("cp").arg("-al").arg(&root).arg(&linked))?;
    http.exec("SNAPSHOT COMPLETE")?;
    let shared = sealed(&linked)?;

    std::fs::write(linked.join("_restore"), "")?;
    let beside = Server::start(binary, &linked)?;
    let mut other = beside.http()?;
    workload.check(&mut other, &low, &high).map_err(|error| format!("the copy beside the server: {error}"))?;
    other.exec("create table own (ts timestamp, s symbol, n long) timestamp(ts) partition by day")?;
    for _ in 0..20 {
        other.exec("insert into own select timestamp_sequence('2024-01-01', 1000000L), 'o' || x % 9, x from long_sequence(500)")?;
        other.exec("update own set n = n + 1")?;
        other.exec("SNAPSHOT PREPARE")?;
        other.exec("SNAPSHOT COMPLETE")?;
    }
    other.exec("drop table lines_a")?;
    reach(&workload, low.totals().0 + ROWS_AFTER);
    running.stop()?;

    let now = workload.acknowledged();
    workload.check(&mut http, &now, &now).map_err(|error| format!("the server beside its copy: {error}"))?;
    if http.number("select count() from tables() where table_name = 'own'")? != 0 {
        return Err("the server has a table that was made in the copy".into());
    }
    beside.stop()?;
    server.stop()?;
    let server = Server::start(binary, &root)?;
    workload.check(&mut server.http()?, &now, &now).map_err(|error| format!("the server started again: {error}"))?;
    server.stop()?;
    let left = unchanged(&shared)?;
    println!("links: server and copy went on side by side, {ROWS_AFTER} rows apart; {left} shared files unchanged");
    Ok(())
}

/// Returns the files of a copy that nobody may write again, with their bytes.
fn sealed(root: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let live = root.join("db/_live");
    let sealed = files(&root.join("db"))?.into_iter().filter(|file| !file.starts_with(&live));
    sealed.map(|file| Ok((file.clone(), std::fs::read(file)?))).collect()
}

/// Compares those that are still there and returns their number.
fn unchanged(shared: &BTreeMap<PathBuf, Vec<u8>>) -> Result<usize> {
    let mut left = 0;
    for (file, bytes) in shared.iter().filter(|(file, _)| file.exists()) {
        if std::fs::read(file)? != *bytes {
            return Err(format!("{} changed after it was copied", file.display()).into());
        }
        left += 1;
    }
    if left == 0 { Err("no shared file is left to compare".into()) } else { Ok(left) }
}
