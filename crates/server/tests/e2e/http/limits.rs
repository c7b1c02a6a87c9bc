//! What statements may take: memory, spill space, time; and what ends them.
#![expect(clippy::disallowed_methods, reason = "the tests wait for a server, which lives by the real clock")]

use std::io::Write;
use std::time::{Duration, Instant};

use server::Server;
use storage::Env;

use super::client::{Answer, Running, config, connect, encode, new_root, read_answer};

/// Waits until no statement runs but the one that looks.
fn wait_until_idle(server: &Running) {
    let began = Instant::now();
    while server.rows("select count() from query_activity()") != "[[1]]" {
        assert!(began.elapsed() < Duration::from_secs(10), "a statement still runs");
    }
}

#[test]
fn a_client_that_leaves_ends_its_statement() {
    let server = Running::start();
    let endless = encode("select count() from long_sequence(1000000) a cross join long_sequence(1000000000) b");
    let mut socket = connect(server.http);
    write!(socket, "GET /exec?query={endless} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    while server.rows("select count() from query_activity()") != "[[2]]" {}
    drop(socket);
    wait_until_idle(&server);
}

#[test]
fn a_spill_folder_inside_the_root_is_refused() {
    let root = new_root();
    let inside = root.join("spill").display().to_string();
    let config = config(&root, &[("spill.dir", &inside)]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let started = runtime.block_on(Server::start(config, Env::os(), Vec::new(), Box::new(|_| {})));
    let Err(refusal) = started else { panic!("it started") };
    assert!(refusal.to_string().contains("lies inside the root"), "{refusal}");
    assert!(!root.exists(), "a refused start leaves nothing");
}

/// Statements of every kind of operator; each holds several times the pool unless it spills.
const LARGE: [&str; 8] = [
    "select x from long_sequence(800000) order by -x limit 700000,700001",
    "select count_distinct(x) from long_sequence(800000)",
    "select count() from (select x % 700000 k, sum(x) from long_sequence(800000))",
    "select count() from long_sequence(800000) a join long_sequence(800000) b on a.x = b.x where a.x + b.x > 0",
    "select length(string_distinct_agg('some text ' || x, ',')) from long_sequence(800000)",
    "select count() from (select distinct x from long_sequence(800000))",
    "select mode(x) from long_sequence(800000)",
    "select x from long_sequence(800000) limit -700000,-699999",
];

/// Runs a statement however long it takes on a busy machine.
fn patient(server: &Running, sql: &str) -> Answer {
    let mut socket = connect(server.http);
    socket.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    write!(socket, "GET /exec?query={} HTTP/1.0\r\n\r\n", encode(sql)).unwrap();
    read_answer(&mut socket)
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// R11 in small: many statements at a time, each larger than the pool. The full size: `cargo xtask memory`.
#[test]
fn statements_beyond_the_pool_fail_one_by_one_and_the_server_lives() {
    let server = Running::with(&new_root(), &[("memory.limit", "16m")]);
    let before = resident_bytes();
    let worst = std::thread::scope(|scope| {
        let run = |first: usize| {
            let server = &server;
            move || {
                let mut worst = 0;
                for i in 0..4 {
                    let sql = LARGE[(first * 2 + i) % LARGE.len()];
                    let answer = patient(server, sql);
                    let refused = answer.status == 400 && answer.body.contains("memory.limit=16.0 MB");
                    assert!(answer.status == 200 || refused, "{sql}: {} {}", answer.status, answer.body);
                    worst = worst.max(resident_bytes());
                }
                worst
            }
        };
        let threads: Vec<_> = (0..4).map(|first| scope.spawn(run(first))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).max().unwrap()
    });
    wait_until_idle(&server);
    assert_eq!(server.rows("select count() from long_sequence(1000000)"), "[[1000000]]");
    let grown = worst.saturating_sub(before) >> 20;
    assert!(grown < 400, "{grown} MB more than before for a pool of 16 MB");
}
