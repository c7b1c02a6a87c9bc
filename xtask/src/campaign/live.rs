//! Many snapshots of one running server: PREPARE under writers, a copy while they go on, COMPLETE; a second server on the
//! copy must show what the ledger says of the cut. Every fifth is copied and restored once more from there.
//!
//! One server serves a whole portion, so a cycle costs a small copy and one start.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::Result;
use crate::cargo::output;
use crate::cycles::restore;
use crate::random::Random;
use crate::scratch::{Scratch, copy};
use crate::server::Server;
use crate::workload::{Mark, Workload};

/// Cycles of one server.
pub const PORTION: u64 = 25;
/// Rows that are acknowledged between two snapshots.
const ROWS: u64 = 60;

/// Runs so many cycles.
pub fn run_with(binary: &Path, cycles: u64, seed: u64) -> Result<()> {
    let started = Instant::now();
    let mut random = Random::new(seed);
    let scratch = Scratch::new("live")?;
    let root = scratch.path("root");
    if random.below(3) > 0 {
        // Flushes, compactions and bases under the copies, which so few rows would not bring by themselves.
        std::fs::create_dir_all(root.join("conf"))?;
        std::fs::write(root.join("conf/server.conf"), "storage.flush.bytes=16k\nstorage.base.bytes=64k\n")?;
    }
    let mut workload = Workload::new(random.below(u64::MAX));
    let server = Server::start(binary, &root)?;
    for cycle in 0..cycles {
        one(binary, &scratch, (&server, &root), &mut workload, &mut random, cycle)
            .map_err(|error| format!("live: cycle {cycle} (--seed {seed}): {error}"))?;
    }
    let now = workload.acknowledged();
    workload
        .check(&mut server.http()?, &now, &now)
        .map_err(|error| format!("live: the source (--seed {seed}): {error}"))?;
    server.stop()?;
    println!("live: {cycles} cycles from seed {seed} in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn one(
    binary: &Path,
    scratch: &Scratch,
    (server, root): (&Server, &Path),
    workload: &mut Workload,
    random: &mut Random,
    cycle: u64,
) -> Result<()> {
    let name = *random.pick(&["default", "nightly", "before-7.1"]).ok_or("no name")?;
    let hard_links = random.below(4) == 0;
    let copied = scratch.path("copy");
    let (low, high) = snapshot(server, workload, root, &copied, name, hard_links)?;
    let target = scratch.path("restored");
    let restored = if hard_links {
        // In the copy's own place, beside the server that shares its files.
        std::fs::write(copied.join("_restore"), format!("snapshot={name}\n"))?;
        started(binary, &copied)?
    } else {
        restore(binary, &copied, &target)?
    };
    workload.check(&mut restored.http()?, &low, &high)?;
    let of_restored = if hard_links { &copied } else { &target };
    if cycle % 5 == 4 {
        again(binary, scratch, (&restored, of_restored), workload, (&low, &high))?;
    }
    restored.stop()?;
    for path in [copied, target].iter().filter(|path| path.exists()) {
        std::fs::remove_dir_all(path)?;
    }
    Ok(())
}

/// Takes a snapshot and a copy under the writers, and returns the cut's marks.
fn snapshot(
    server: &Server,
    workload: &mut Workload,
    root: &Path,
    target: &Path,
    name: &str,
    hard_links: bool,
) -> Result<(Mark, Mark)> {
    let goal = workload.acknowledged().totals().0 + ROWS;
    let running = workload.start(server);
    while workload.acknowledged().totals().0 < goal && !running.has_failed() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let mut http = server.http()?;
    let low = workload.acknowledged();
    http.exec(&format!("SNAPSHOT PREPARE '{name}' LEASE '1h'"))?;
    let high = workload.sent();
    if hard_links {
        output(Command::new("cp").arg("-al").arg(root).arg(target))?;
    } else {
        copy(root, target)?;
    }
    http.exec(&format!("SNAPSHOT COMPLETE '{name}'"))?;
    running.stop()?;
    Ok((low, high))
}

fn started(binary: &Path, root: &Path) -> Result<Server> {
    let server = Server::start(binary, root)?;
    if root.join("_restore").exists() {
        return Err("_restore is still there after the restore".into());
    }
    Ok(server)
}

/// Copies and restores what was restored.
fn again(
    binary: &Path,
    scratch: &Scratch,
    (server, root): (&Server, &PathBuf),
    workload: &Workload,
    (low, high): (&Mark, &Mark),
) -> Result<()> {
    server.http()?.exec("SNAPSHOT PREPARE")?;
    copy(root, &scratch.path("copy2"))?;
    server.http()?.exec("SNAPSHOT COMPLETE")?;
    let third = restore(binary, &scratch.path("copy2"), &scratch.path("third"))?;
    workload.check(&mut third.http()?, low, high).map_err(|error| format!("restored a second time: {error}"))?;
    third.stop()?;
    for name in ["copy2", "third"] {
        std::fs::remove_dir_all(scratch.path(name))?;
    }
    Ok(())
}
