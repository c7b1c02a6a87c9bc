//! `cargo xtask kill [--rounds N] [--seed N]`: kill -9 of the real server under writers, changes of tables and snapshots.
//!
//! Each round starts the server, lets the writers of [`crate::workload`] go on for a moment, kills it, starts it again and
//! compares everything with the ledger, which lives in this process. Every tenth round begins a new history. When the
//! kill met an open snapshot, the snapshot must still be open after the start, and now and then the dead root is copied
//! and restored: it must be what it was at PREPARE. Two histories in three flush and write bases after a few commits.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::Result;
use crate::cargo::build_server;
use crate::http::Http;
use crate::random::{Random, number, seed};
use crate::scratch::{Scratch, put_back};
use crate::server::Server;
use crate::workload::{Mark, Running, Workload};

/// Rounds of a run unless the command line says otherwise.
pub const ROUNDS: u64 = 100;
const ROUNDS_A_HISTORY: u64 = 10;

/// What the rounds came across, for the last line.
#[derive(Default)]
struct Tally {
    kills: u64,
    open_at_kill: u64,
    restored: u64,
    slowest_start: Duration,
    rows: u64,
    statements: usize,
}

/// Runs the rounds; the first deviation is an error that names the seed.
pub fn run(args: &[String]) -> Result<()> {
    let binary = build_server()?;
    run_with(&binary, number(args, "--rounds", ROUNDS)?, seed(args)?)
}

/// Runs so many rounds with a server that is already built.
pub fn run_with(binary: &Path, rounds: u64, seed: u64) -> Result<()> {
    println!("kill: {rounds} rounds, seed {seed}");
    let started = Instant::now();
    let mut tally = Tally::default();
    let mut random = Random::new(seed);
    while tally.kills < rounds {
        history(binary, rounds, &mut random, &mut tally)
            .map_err(|error| format!("kill: after {} kills (--seed {seed}): {error}", tally.kills))?;
    }
    println!(
        "kill: {} kills survived in {:.0} s: {} rows in pairs, {} changes of tables, {} snapshots open at the kill, {} of them restored; slowest start {:.2} s",
        tally.kills,
        started.elapsed().as_secs_f64(),
        tally.rows,
        tally.statements,
        tally.open_at_kill,
        tally.restored,
        tally.slowest_start.as_secs_f64()
    );
    Ok(())
}

/// One root over several kills.
fn history(binary: &Path, rounds: u64, random: &mut Random, tally: &mut Tally) -> Result<()> {
    let scratch = Scratch::new("kill")?;
    let root = scratch.path("root");
    let mut workload = Workload::new(random.below(u64::MAX));
    if random.below(3) > 0 {
        configure_small(&root)?;
    }
    let mut server = Server::start(binary, &root)?;
    let last = (tally.kills + ROUNDS_A_HISTORY).min(rounds);
    while tally.kills < last {
        let snapshots = Snapshots::start(server.http_port, &workload, random.below(u64::MAX))?;
        let running = workload.start(&server);
        std::thread::sleep(Duration::from_millis(50 + random.below(500)));
        let open = kill(&mut server, running, snapshots, &workload)?;
        tally.kills += 1;
        let (low, high) = (workload.acknowledged(), workload.sent());
        let copied = match &open {
            Open::Yes(cut_low, cut_high) if random.below(3) == 0 => Some((cut_low.clone(), cut_high.clone())),
            _ => None,
        };
        if copied.is_some() {
            crate::scratch::copy(&root, &scratch.path("copy"))?;
        }
        server = Server::start(binary, &root)?;
        tally.slowest_start = tally.slowest_start.max(server.started_in);
        let mut http = server.http()?;
        let seen = workload.check(&mut http, &low, &high)?;
        tally.open_at_kill += u64::from(still_open(&mut http, &open)?);
        if let Some((cut_low, cut_high)) = copied {
            restored(binary, &scratch, &workload, &cut_low, &cut_high)?;
            tally.restored += 1;
        }
        workload.adopt(&seen);
    }
    let (rows, statements) = workload.acknowledged().totals();
    tally.rows += rows;
    tally.statements += statements;
    server.stop()
}

/// Lets the kills meet flushes, compactions, bases and what these free: by default a history is too short for one of them.
fn configure_small(root: &Path) -> Result<()> {
    std::fs::create_dir_all(root.join("conf"))?;
    let settings = "storage.flush.bytes=32k\nstorage.base.bytes=128k\n";
    Ok(std::fs::write(root.join("conf/server.conf"), settings)?)
}

/// Kills the server in the middle of everything and returns what is known of the snapshot.
fn kill(server: &mut Server, running: Running, snapshots: Snapshots, workload: &Workload) -> Result<Open> {
    running.expect_the_end();
    snapshots.quiet.store(true, Ordering::SeqCst);
    server.kill()?;
    let open = snapshots.end();
    running.stop()?;
    // A writer that never got an answer at all would make every check pass.
    if workload.sent().totals().0 == 0 {
        return Err("the writers sent nothing".into());
    }
    open
}

/// Compares the open snapshots with what is known, ends them, and tells whether one was open.
fn still_open(http: &mut Http, open: &Open) -> Result<bool> {
    let count = http.number("select count() from snapshots()")?;
    match (open, count) {
        (Open::Yes(..), 0) => return Err("the snapshot that was open at the kill is gone".into()),
        (Open::No, 1..) => {
            return Err("a snapshot is open that was completed, or never asked for, before the kill".into());
        }
        (_, 2..) => return Err(format!("{count} snapshots are open").into()),
        _ => {}
    }
    http.exec("SNAPSHOT COMPLETE")?;
    Ok(count == 1)
}

/// Restores the copy of the dead root and compares it with the ledger at PREPARE.
fn restored(binary: &Path, scratch: &Scratch, workload: &Workload, low: &Mark, high: &Mark) -> Result<()> {
    let target = scratch.path("restored");
    put_back(&scratch.path("copy"), &target)?;
    let server = Server::start(binary, &target).map_err(|error| format!("restore of the dead root: {error}"))?;
    workload.check(&mut server.http()?, low, high).map_err(|error| format!("restore of the dead root: {error}"))?;
    server.stop()?;
    std::fs::remove_dir_all(scratch.path("copy"))?;
    Ok(std::fs::remove_dir_all(target)?)
}

/// What is known of the snapshot `default` at a kill.
enum Open {
    No,
    /// PREPARE was answered; its cut lies between the marks.
    Yes(Mark, Mark),
    /// A statement was under way.
    Unknown,
}

/// A thread that goes on taking and completing snapshots.
struct Snapshots {
    quiet: Arc<AtomicBool>,
    state: Arc<Mutex<Open>>,
    thread: JoinHandle<Result<()>>,
}

impl Snapshots {
    fn start(http_port: u16, workload: &Workload, seed: u64) -> Result<Snapshots> {
        let (quiet, state) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Open::No)));
        let thread = {
            let (quiet, state, marks) = (quiet.clone(), state.clone(), workload.ledgers());
            let mut random = Random::new(seed);
            let mut http = Http::connect(http_port)?;
            std::thread::spawn(move || {
                let set = |open| *state.lock().expect("no thread panics while it sets the state") = open;
                while !quiet.load(Ordering::SeqCst) {
                    let low = marks.acknowledged();
                    set(Open::Unknown);
                    http.exec("SNAPSHOT PREPARE")?;
                    set(Open::Yes(low, marks.sent()));
                    std::thread::sleep(Duration::from_millis(random.below(200)));
                    if quiet.load(Ordering::SeqCst) {
                        break; // killed while the copy would run: the snapshot must stay open
                    }
                    set(Open::Unknown);
                    http.exec("SNAPSHOT COMPLETE")?;
                    set(Open::No);
                    std::thread::sleep(Duration::from_millis(random.below(60)));
                }
                Ok(())
            })
        };
        Ok(Snapshots { quiet, state, thread })
    }

    /// Waits for the thread after the kill.
    fn end(self) -> Result<Open> {
        // It fails because the server is gone: its state says how far it came.
        let _ = self.thread.join().map_err(|_| "the thread of snapshots panicked")?;
        let mut state = self.state.lock().map_err(|_| "the thread of snapshots panicked")?;
        Ok(std::mem::replace(&mut *state, Open::Unknown))
    }
}
