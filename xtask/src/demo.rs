//! `cargo xtask demo`: the main job on real data, from an empty directory to a restored database, each step with its time.
//!
//! Load weather and flights, ask questions, snapshot and copy while a writer goes on, wreck the root, put the copy back,
//! compare. [`load`] is the data, [`questions`] what is asked.

mod load;
mod questions;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::Result;
use crate::cargo::build_server;
use crate::content::{TableContent, differences, of_tables};
use crate::random::Random;
use crate::scratch::{Scratch, copy, files, put_back};
use crate::server::Server;
use crate::table::aligned;
use crate::workload::pair::{Pair, Way};

/// The tables that nobody writes to while the snapshot is taken.
const QUIET: [&str; 4] = ["weather", "flights", "airports", "airlines"];

/// What was true when the copy was made.
struct Cut {
    contents: BTreeMap<String, TableContent>,
    writer: Arc<Pair>,
    /// Rows of the writer that were acknowledged before PREPARE was sent, and sent when it had been answered.
    at_least: u64,
    at_most: u64,
}

/// Runs the demo; any difference is an error.
pub fn run() -> Result<()> {
    let binary = step("build the server (the development build, which the tests share)", build_server)?;
    run_with(&binary)
}

/// Runs the demo with a server that is already built.
pub fn run_with(binary: &Path) -> Result<()> {
    let scratch = Scratch::new("demo")?;
    let (root, backup) = (scratch.path("root"), scratch.path("backup"));
    let mut server = step(&format!("start it on a fresh root, {}", root.display()), || Server::start(binary, &root))?;
    println!(
        "    answered after {:.3} s; HTTP on {}, PostgreSQL's protocol on {}",
        server.started_in.as_secs_f64(),
        server.http_port,
        server.pg_port
    );
    step("load the weather and the flights of New York", || load::all(&server))?;
    step("ask a dozen questions", || questions::ask_all(&server))?;
    let cut = step("take a snapshot and copy the root while a writer goes on", || snapshot(&server, &root, &backup))?;
    step("kill the server and wreck its database", || {
        server.kill()?;
        wreck(&root.join("db"))
    })?;
    step("put the copy back: rm -rf ROOT; cp -a BACKUP ROOT; touch ROOT/_restore", || {
        std::fs::remove_dir_all(&root)?;
        put_back(&backup, &root)
    })?;
    let server = step("start it again", || Server::start(binary, &root))?;
    println!("    answered after {:.3} s", server.started_in.as_secs_f64());
    step("compare with what was there at SNAPSHOT PREPARE", || compare(&server, &root, &cut))?;
    step("stop it", || server.stop())?;
    println!(
        "\nEverything is as it was at SNAPSHOT PREPARE.\n\
         To start a server of your own:  cargo build --release && target/release/stillpoint -d ~/stillpoint\n\
         The guide:                      docs/guide/getting-started.md"
    );
    Ok(())
}

/// Runs one step and prints what it is and how long it took.
fn step<T>(what: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("\n== {what}");
    let started = Instant::now();
    let done = run().map_err(|error| format!("the demo failed at \"{what}\": {error}"))?;
    println!("   [{:.2} s]", started.elapsed().as_secs_f64());
    Ok(done)
}

fn snapshot(server: &Server, root: &Path, backup: &Path) -> Result<Cut> {
    let mut http = server.http()?;
    let writer = Arc::new(Pair::new("live", Way::Lines));
    let stop = Arc::new(AtomicBool::new(false));
    let thread = {
        let (writer, stop, http_port, pg_port) = (writer.clone(), stop.clone(), server.http_port, server.pg_port);
        std::thread::spawn(move || writer.run(http_port, pg_port, &stop, Random::new(1)))
    };
    while writer.acknowledged() < 1000 && !thread.is_finished() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let at_least = writer.acknowledged();
    timed("SNAPSHOT PREPARE", || http.exec("SNAPSHOT PREPARE").map(drop))?;
    let at_most = writer.sent();
    timed("cp -a ROOT BACKUP", || copy(root, backup))?;
    let contents = of_tables(&mut http, &QUIET)?;
    timed("SNAPSHOT COMPLETE", || http.exec("SNAPSHOT COMPLETE").map(drop))?;
    stop.store(true, Ordering::SeqCst);
    thread.join().map_err(|_| "the writer panicked")??;
    println!("    the writer: {at_least} rows acknowledged before PREPARE, {} by the end", writer.acknowledged());
    Ok(Cut { contents, writer, at_least, at_most })
}

/// Runs a part of a step and prints its time.
fn timed(what: &str, run: impl FnOnce() -> Result<()>) -> Result<()> {
    let started = Instant::now();
    run()?;
    println!("    {what:<20} {:8.1} ms", started.elapsed().as_secs_f64() * 1000.0);
    Ok(())
}

/// Deletes every second file and spoils the others, as a failing disk might.
fn wreck(db: &Path) -> Result<()> {
    let (mut deleted, mut spoilt) = (0, 0);
    for (at, file) in files(db)?.into_iter().enumerate() {
        if at % 2 == 0 {
            std::fs::remove_file(file)?;
            deleted += 1;
        } else {
            std::fs::write(file, "wrecked")?;
            spoilt += 1;
        }
    }
    println!("    {deleted} files deleted, {spoilt} overwritten");
    Ok(())
}

fn compare(server: &Server, root: &Path, cut: &Cut) -> Result<()> {
    let mut http = server.http()?;
    let seen = of_tables(&mut http, &QUIET)?;
    let mut rows = Vec::new();
    for (table, content) in &cut.contents {
        for column in &content.columns {
            let now = seen.get(table).and_then(|t| t.columns.iter().find(|c| c.name == column.name)).map(|c| c.hash);
            rows.push(vec![
                table.clone(),
                column.name.clone(),
                content.rows.to_string(),
                format!("{:016x}", column.hash),
                now.map_or("missing".to_owned(), |hash| format!("{hash:016x}")),
            ]);
        }
    }
    let columns = ["table", "column", "rows", "hash at PREPARE", "hash after restore"].map(str::to_owned);
    print!("{}", aligned(&columns, &rows));
    let differences = differences(&cut.contents, &seen);
    if !differences.is_empty() {
        return Err(format!("the restored database differs: {}", differences.join("; ")).into());
    }
    let live = cut.writer.check(&mut http, cut.at_least, cut.at_most)?;
    println!(
        "    live_a and live_b: the same {live} rows without a hole ({} acknowledged before PREPARE, {} sent when it was answered)",
        cut.at_least, cut.at_most
    );
    if root.join("_restore").exists() {
        return Err("_restore is still there after the restore".into());
    }
    Ok(())
}
