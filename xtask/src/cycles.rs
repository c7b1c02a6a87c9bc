//! `cargo xtask cycles [--rounds N] [--seed N]`: snapshot under writers → copy → restore, on the real server.
//!
//! A cycle: PREPARE while rows are written and tables change, `cp -a` while they go on, COMPLETE; the copy, restored, is what
//! the ledger says of the cut, over all tables. Then it is written to, compared, and snapshot, copy and restore are
//! done a second time, from the restored root.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::Result;
use crate::cargo::build_server;
use crate::random::{number, seed};
use crate::scratch::{Scratch, copy, put_back};
use crate::server::Server;
use crate::workload::{Mark, Workload};

/// Rounds of a run unless the command line says otherwise.
pub const ROUNDS: u64 = 10;
const ROWS_BETWEEN: u64 = 10_000;

/// Runs the cycles; the first deviation is an error that names the seed.
pub fn run(args: &[String]) -> Result<()> {
    let binary = build_server()?;
    run_with(&binary, number(args, "--rounds", ROUNDS)?, seed(args)?)
}

/// Runs so many cycles with a server that is already built.
pub fn run_with(binary: &Path, rounds: u64, seed: u64) -> Result<()> {
    println!("cycles: {rounds} rounds, seed {seed}");
    let started = Instant::now();
    let mut rows = 0;
    for round in 0..rounds {
        rows += cycle(binary, seed.wrapping_add(round))
            .map_err(|error| format!("cycles: round {round} (--seed {}): {error}", seed.wrapping_add(round)))?;
    }
    println!(
        "cycles: {rounds} snapshots under writers restored twice over in {:.0} s, {rows} rows compared",
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

fn cycle(binary: &Path, seed: u64) -> Result<u64> {
    let scratch = Scratch::new("cycles")?;
    let mut workload = Workload::new(seed);
    let server = Server::start(binary, &scratch.path("first"))?;
    let cut = snapshot(&server, &mut workload, &scratch.path("first"), &scratch.path("copy"), 300)?;
    server.stop()?;

    let second = scratch.path("second");
    let server = restore(binary, &scratch.path("copy"), &second)?;
    let seen =
        workload.check(&mut server.http()?, &cut.0, &cut.1).map_err(|error| format!("first restore: {error}"))?;
    workload.adopt(&seen);

    let cut = snapshot(&server, &mut workload, &second, &scratch.path("copy2"), ROWS_BETWEEN)?;
    let now = workload.acknowledged();
    workload.check(&mut server.http()?, &now, &now).map_err(|error| format!("writing after a restore: {error}"))?;
    server.stop()?;

    let server = restore(binary, &scratch.path("copy2"), &scratch.path("third"))?;
    let seen =
        workload.check(&mut server.http()?, &cut.0, &cut.1).map_err(|error| format!("second restore: {error}"))?;
    server.stop()?;
    Ok(seen.totals().0)
}

/// Writes until `rows` more are acknowledged, then takes a snapshot and a copy under the writers; returns the cut's marks.
pub fn snapshot(
    server: &Server,
    workload: &mut Workload,
    root: &Path,
    target: &Path,
    rows: u64,
) -> Result<(Mark, Mark)> {
    let goal = workload.acknowledged().totals().0 + rows;
    let running = workload.start(server);
    while workload.acknowledged().totals().0 < goal && !running.has_failed() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut http = server.http()?;
    let low = workload.acknowledged();
    http.exec("SNAPSHOT PREPARE")?;
    let high = workload.sent();
    copy(root, target)?;
    http.exec("SNAPSHOT COMPLETE")?;
    running.stop()?;
    Ok((low, high))
}

/// Restores a copy in another place and starts on it.
pub fn restore(binary: &Path, copied: &Path, root: &Path) -> Result<Server> {
    put_back(copied, root)?;
    let server = Server::start(binary, root)?;
    if root.join("_restore").exists() {
        return Err("_restore is still there after the restore".into());
    }
    if server.http()?.number("select count() from snapshots()")? != 0 {
        return Err("a snapshot is open after the restore".into());
    }
    Ok(server)
}
