//! Statements that touch a row or none, one client and many; what a start costs; what an idle server holds.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Bench;
use super::answers::difference;
use super::options::Part;
use super::peers::{Launch, Peers, Running, System};
use super::process::Memory;
use super::statistics::Series;
use super::table::{Cell, Row, Table};
use crate::Result;
use crate::http::{Http, encode};
use crate::pg::Pg;

/// Rounds of each row, the peers in turns.
const ROUNDS: u64 = 3;
const CLIENTS: usize = 64;

/// Which protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Http,
    PgWire,
}

/// A connection through either door.
enum Client {
    Http(Http),
    PgWire(Pg),
}

impl Client {
    fn connect(server: &Running, door: Door) -> Result<Client> {
        Ok(match door {
            Door::Http => Client::Http(server.connect()?),
            Door::PgWire => Client::PgWire(server.pg()?),
        })
    }

    fn ask(&mut self, sql: &str) -> Result<()> {
        match self {
            Client::Http(http) => {
                let answer = http.get(&format!("/exec?query={}", encode(sql)))?;
                if answer.status != 200 {
                    return Err(format!("{sql}: {} {:.200}", answer.status, answer.body).into());
                }
            }
            Client::PgWire(pg) => drop(pg.query(sql)?),
        }
        Ok(())
    }
}

/// A statement: its name, its text for the n-th time, how often a client asks it in a round, how many clients ask.
struct Statement {
    name: &'static str,
    sql: fn(u64) -> String,
    times: u64,
    clients: usize,
}

const STATEMENTS: [Statement; 5] = [
    Statement { name: "select a number", sql: |n| format!("select {n}"), times: 500, clients: 1 },
    Statement { name: "insert a row", sql: insert, times: 300, clients: 1 },
    Statement { name: "insert a row, 32 clients", sql: insert, times: 40, clients: 32 },
    Statement { name: "point query", sql: point, times: 100, clients: 1 },
    Statement { name: "point query, 64 clients", sql: |n| point(10_000 + n), times: 50, clients: CLIENTS },
];

fn insert(n: u64) -> String {
    format!("insert into ins values ({n}, {})", 1_704_067_200_000_000 + n)
}

/// Another one for every `n` below 36,000.
fn point(n: u64) -> String {
    let (symbol, day, hour, minute) = (500 + n % 100, 2 + n % 5, n % 24, n / 600 % 60);
    format!(
        "select * from trades where symbol = 'S{symbol:04}' and timestamp in '2024-01-{day:02}T{hour:02}:{minute:02}'"
    )
}

/// Measures cold starts and what idle servers hold; the servers of the run have just been started.
pub fn start(bench: &mut Bench) -> Result<Table> {
    let systems = bench.peers.servers.iter().map(|server| server.system).collect();
    let mut table = Table::new("Start and size", "ms, MB", 0, systems);
    if !bench.options.has(Part::Small) {
        return Ok(table);
    }
    let (mut cold, mut idle) = (Row::new("cold start to the first answer, ms"), Row::new("idle: resident memory, MB"));
    let mut own = Row::new("idle: of it the process's own, MB");
    for server in &bench.peers.servers {
        let memory = Memory::of(server.server.id())?;
        idle.measured(server.system, vec![memory.resident_mb as f64], vec![]);
        own.measured(server.system, vec![memory.own_mb as f64], vec![]);
    }
    let mut starts: BTreeMap<System, Vec<f64>> = BTreeMap::new();
    for round in 0..ROUNDS {
        for launch in &bench.launches {
            starts.entry(launch.system).or_default().push(cold_start(bench, launch, round)?);
        }
    }
    starts.into_iter().for_each(|(system, times)| cold.measured(system, times, vec![]));
    table.push(cold);
    table.push(idle);
    table.push(own);
    Ok(table)
}

/// Starts one more server on an empty root and returns the milliseconds to its first answer.
fn cold_start(bench: &Bench, launch: &Launch, round: u64) -> Result<f64> {
    let root = bench.folder.join(format!("cold-{}-{round}", launch.system.name()));
    let running = launch.start(&root, "nosync", &[])?;
    let took = running.server.started_in.as_secs_f64() * 1e3;
    running.server.end()?;
    std::fs::remove_dir_all(&root).map_err(|error| format!("{}: {error}", root.display()))?;
    Ok(took)
}

/// Runs all statements through both doors.
pub fn run(bench: &mut Bench, start: &Table) -> Result<()> {
    let systems: Vec<System> = bench.peers.servers.iter().map(|server| server.system).collect();
    for server in &mut bench.peers.servers {
        server.drop_table("ins")?;
        server.must("create table ins (v long, ts timestamp) timestamp(ts) partition by day wal")?;
    }
    let mut table = Table::new("Small statements, each", "ms", 0, systems);
    for statement in &STATEMENTS {
        for door in [Door::Http, Door::PgWire] {
            for row in compare(statement, door, &mut bench.peers)? {
                table.push(row);
            }
        }
    }
    let inserted: u64 = STATEMENTS
        .iter()
        .filter(|statement| statement.name.starts_with("insert"))
        .map(|statement| statement.times * statement.clients as u64 * ROUNDS * 2)
        .sum();
    for server in &mut bench.peers.servers {
        server.wait_for_rows("ins", inserted)?;
    }
    bench.found.push((Part::Small, table));
    bench.found.push((Part::Small, start.clone()));
    Ok(())
}

/// Returns a row of the time per statement and, of many clients that ask, rows of how long one of them waits.
fn compare(statement: &Statement, door: Door, peers: &mut Peers) -> Result<Vec<Row>> {
    let name = format!("{}, {}", statement.name, if door == Door::Http { "HTTP" } else { "PGWire" });
    let (mut each, mut half, mut most) =
        (Row::new(&name), Row::new(format!("{name}: median wait")), Row::new(format!("{name}: 99th percentile")));
    if let Some(reason) = disagreement(statement, peers)? {
        each.cells.insert(System::Stillpoint, Cell::Wrong(reason));
        return Ok(vec![each]);
    }
    let mut took: BTreeMap<System, [Vec<f64>; 4]> = BTreeMap::new();
    let asked = statement.times * statement.clients as u64;
    for round in 0..ROUNDS {
        // no door asks what the other one did
        let first = (round * 2 + u64::from(door == Door::PgWire)) * asked;
        for server in &peers.servers {
            let Asked { waits, wall, cpu } = ask_all(statement, door, server, first)?;
            let [wall, cpu] = [wall, cpu].map(|time| time.as_secs_f64() * 1e3 / asked as f64);
            let series = took.entry(server.system).or_default();
            let waits = [wall, cpu, waits.median(), waits.percentile(0.99)];
            series.iter_mut().zip(waits).for_each(|(series, value)| series.push(value));
        }
    }
    for (system, [walls, cpus, halves, mosts]) in took {
        each.measured(system, walls, cpus);
        half.measured(system, halves, vec![]);
        most.measured(system, mosts, vec![]);
    }
    Ok(if statement.clients == CLIENTS { vec![each, half, most] } else { vec![each] })
}

/// Returns where the servers' answers to a query differ, before any of them is timed.
fn disagreement(statement: &Statement, peers: &mut Peers) -> Result<Option<String>> {
    let sql = (statement.sql)(7);
    if !sql.starts_with("select") {
        return Ok(None);
    }
    let answers = peers.servers.iter_mut().map(|server| server.must(&sql)).collect::<Result<Vec<_>>>()?;
    Ok(answers.iter().skip(1).find_map(|other| difference(&answers[0], other)))
}

/// What a round of asking took: each asking in milliseconds, all of it, and the server's processor time.
struct Asked {
    waits: Series,
    wall: Duration,
    cpu: Duration,
}

/// Connects all clients and lets each ask one statement after the other.
fn ask_all(statement: &Statement, door: Door, server: &Running, first: u64) -> Result<Asked> {
    let clients = (0..statement.clients).map(|_| Client::connect(server, door)).collect::<Result<Vec<_>>>()?;
    let before = server.processor()?;
    let started = Instant::now();
    let waits = std::thread::scope(|scope| -> Result<Vec<f64>> {
        let clients: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(at, client)| {
                scope.spawn(move || ask_in_turn(statement, client, first + at as u64 * statement.times))
            })
            .collect();
        let mut waits = Vec::new();
        for client in clients {
            waits.extend(client.join().unwrap_or_else(|_| Err("a client panicked".into()))?);
        }
        Ok(waits)
    })?;
    let wall = started.elapsed();
    let cpu = server.processor()?.since(&before);
    Ok(Asked { waits: Series::new(waits).ok_or("nobody asked")?, wall, cpu })
}

fn ask_in_turn(statement: &Statement, mut client: Client, first: u64) -> Result<Vec<f64>> {
    let ask = |n| {
        let started = Instant::now();
        client.ask(&(statement.sql)(n))?;
        Ok(started.elapsed().as_secs_f64() * 1e3)
    };
    (first..first + statement.times).map(ask).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_point_query_is_asked_twice() {
        let points = || STATEMENTS.iter().filter(|statement| statement.name.starts_with("point"));
        let asked = |statement: &Statement| statement.times * statement.clients as u64 * ROUNDS * 2;
        let texts: std::collections::BTreeSet<String> =
            points().flat_map(|statement| (0..asked(statement)).map(|n| (statement.sql)(n))).collect();
        assert_eq!(texts.len() as u64, points().map(asked).sum::<u64>());
    }
}
