//! `cargo xtask memory [--runs N] [--pool MB] [--seed N]`: statements larger than the pool, many at a time.
//!
//! R11: each run sorts, groups, joins, counts or fills several times what `memory.limit` allows, while rows come in over
//! `/write`. It must succeed (by spilling) or fail with the error that names the limit; the process lives, and what it holds
//! resident stays below twice the pool beside what an idle server holds.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::cargo::build_server;
use crate::random::{Random, number, seed};
use crate::scratch::Scratch;
use crate::server::Server;
use crate::{Result, brief};

/// Runs of a task unless the command line says otherwise.
pub const RUNS: u64 = 1_000;
/// The pool, in MB.
pub const POOL_MB: u64 = 64;
const CLIENTS: u64 = 8;

/// Statements over `n` rows; `n` takes the place of the sign.
const STATEMENTS: [&str; 12] = [
    "select x from long_sequence(#) order by -x limit 1000, 1010",
    "select sum(c) from (select count() c from (select x % # k from long_sequence(#)) group by k)",
    "select count_distinct(x) from long_sequence(#)",
    "select count() from long_sequence(#) a join long_sequence(#) b on a.x = b.x where a.x + b.x > 0",
    "select count() from (select distinct x, x + 1 from long_sequence(#))",
    "select length(string_distinct_agg('some text ' || x, ',')) from long_sequence(#)",
    "select mode(x) from long_sequence(#)",
    "select count() from (select x, sum(x) over (partition by x % 10) s from long_sequence(#))",
    "select x from long_sequence(#) limit -1000000, -999990",
    "select count() from (select * from m latest on timestamp partition by tag)",
    "select timestamp, tag, max(v) from m sample by 1s fill(prev) order by tag, timestamp limit 5",
    "select count() from (select a.v, b.v w from m a asof join m b on tag)",
];

/// Runs the task with the development build.
pub fn run(args: &[String]) -> Result<()> {
    let (runs, pool_mb) = (number(args, "--runs", RUNS)?, number(args, "--pool", POOL_MB)?);
    run_with(&build_server()?, runs, pool_mb, seed(args)?)
}

/// Runs so many statements against a server with so large a pool.
pub fn run_with(binary: &Path, runs: u64, pool_mb: u64, seed: u64) -> Result<()> {
    println!("memory: {runs} runs, a pool of {pool_mb} MB, seed {seed}");
    let scratch = Scratch::new("memory")?;
    let root = scratch.path("root");
    std::fs::create_dir_all(root.join("conf"))?;
    std::fs::write(root.join("conf/server.conf"), format!("memory.limit={pool_mb}m\n"))?;
    let server = Server::start(binary, &root)?;
    let idle_mb = resident_mb(&server)?;
    // the first statement may ask for the table before the writer has made it
    let made = server.http()?.post("/write", b"m,tag=t0 v=0 1700000000000000000\n")?;
    if made.status != 204 {
        return Err(format!("/write answered {}: {}", made.status, made.body).into());
    }
    let (next, refused, worst_mb) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(idle_mb));
    let ended = AtomicBool::new(false);
    let started = Instant::now();
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| -> Result<()> {
            while !ended.load(Ordering::Relaxed) {
                worst_mb.fetch_max(resident_mb(&server)?, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        });
        let writer = scope.spawn(|| write(&server, &ended));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (server, next, refused) = (&server, &next, &refused);
                scope.spawn(move || ask(server, runs, pool_mb, seed ^ client, next, refused))
            })
            .collect();
        let mut asked: Result<()> = Ok(());
        for client in clients {
            asked = asked.and(client.join().unwrap_or_else(|_| Err("a client panicked".into())));
        }
        ended.store(true, Ordering::Relaxed);
        let watched = watch.join().unwrap_or_else(|_| Err("the watch panicked".into()));
        let written = writer.join().unwrap_or_else(|_| Err("the writer panicked".into()));
        asked.and(watched).and(written)
    })
    .map_err(|error| format!("{error} (--seed {seed}): {}", server.output()))?;
    let (refused, worst_mb) = (refused.into_inner(), worst_mb.into_inner());
    server.stop()?;
    println!(
        "memory: {} answered, {refused} refused by the limit in {:.0} s; resident {idle_mb} MB idle, {worst_mb} MB at most",
        runs - refused,
        started.elapsed().as_secs_f64()
    );
    if worst_mb > idle_mb + 2 * pool_mb {
        return Err(format!("{worst_mb} MB resident: more than {idle_mb} MB idle and twice the pool").into());
    }
    Ok(())
}

/// Asks statements until all runs are done; an answer that is neither rows nor a refusal by the limit is an error.
fn ask(server: &Server, runs: u64, pool_mb: u64, seed: u64, next: &AtomicU64, refused: &AtomicU64) -> Result<()> {
    let mut random = Random::new(seed);
    let mut http = server.http()?;
    while next.fetch_add(1, Ordering::Relaxed) < runs {
        // a row of one LONG is 8 bytes: from half of the pool to four times as much
        let rows = (pool_mb << 17) / 2 + random.below((pool_mb << 17) * 7 / 2);
        let Some(statement) = random.pick(&STATEMENTS) else { continue };
        let sql = statement.replace('#', &rows.to_string());
        if let Err(error) = http.exec(&sql) {
            let error = error.to_string();
            let by_limit =
                ["memory.limit=", "spill.limit=", "timeout, query aborted"].iter().any(|l| error.contains(l));
            if !by_limit {
                return Err(format!("{}: {error}", brief(&sql)).into());
            }
            refused.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Writes rows until the end; 503 makes it come again, as it makes clients.
fn write(server: &Server, ended: &AtomicBool) -> Result<()> {
    let mut http = server.http()?;
    let mut number = 0u64;
    while !ended.load(Ordering::Relaxed) {
        let mut lines = String::new();
        for _ in 0..1_000 {
            number += 1;
            let nanos = 1_700_000_000_000_000_000 + number * 1_000_000;
            lines.push_str(&format!("m,tag=t{} v={number} {nanos}\n", number % 997));
        }
        let answer = http.post("/write", lines.as_bytes())?;
        if !matches!(answer.status, 204 | 503) {
            return Err(format!("/write answered {}: {}", answer.status, answer.body).into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Returns what the process holds in memory of its own; maps of files are the page cache's, which the system takes back.
fn resident_mb(server: &Server) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("no RssAnon: the server is gone")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? / 1024)
}
