//! Rows in: lines over HTTP in batches small and large, late, of many symbols, synced; CSV files; tables made of tables.
//!
//! After each load the sums of the table are compared with those of the data. Times are per million rows: to the
//! acknowledgement of the last batch, and until queries see every row (QuestDB applies its log behind the
//! acknowledgement). DuckDB has no lines; it takes part where a file or a table is copied.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

use super::data::{Batches, Rows, Shape, Trades, piece, trades};
use super::peers::{Peers, Running, System};
use super::table::{Cell, Row, Table, noise_row};
use super::{Bench, MILLION};
use crate::Result;

const LARGE: usize = 4 << 20;
const SMALL: usize = 64 << 10;
/// Rows of a piece of a load that is not measured: 3 GB of files.
const PIECE_ROWS: u64 = 20_000_000;

/// How lines are sent.
struct Way {
    name: &'static str,
    batch: usize,
    connections: usize,
}

const PLAIN: Way = Way { name: "4 MB batches", batch: LARGE, connections: 1 };
const WAYS: [Way; 2] = [
    Way { name: "64 KB batches", batch: SMALL, connections: 1 },
    Way { name: "4 MB batches, 2 connections", batch: LARGE, connections: 2 },
];

/// What one load took, in milliseconds per million rows.
struct Load {
    acknowledged: f64,
    visible: f64,
    cpu: f64,
}

/// Loads the plain rows of a size in rounds; the last round's tables stay.
pub fn plain(bench: &mut Bench, rows: &Rows, rounds: u64, table: &mut Table) -> Result<()> {
    let mut again = Vec::new();
    let mut first = Vec::new();
    let loads = in_turns(&mut bench.peers, rounds, |server, _| {
        let load = lines(server, rows, &PLAIN)?;
        if server.system == System::Stillpoint {
            first.push(load.visible);
            // A second time for the row of noise; what stays is the same.
            again.push(lines(server, rows, &PLAIN)?.visible);
        }
        Ok(load)
    });
    push(table, PLAIN.name, loads);
    if !again.is_empty() {
        table.push(noise_row("A/A: 4 MB batches, Stillpoint beside itself", first, again, Vec::new())?);
    }
    Ok(())
}

/// Loads the plain rows of a size once, unmeasured, for those parts that only read them: in pieces, so that their files
/// need no more of the disk than the roots.
pub fn once(bench: &mut Bench, rows: u64) -> Result<()> {
    let mut rows = Trades::new(rows, Shape::Plain);
    let mut sent: Option<Rows> = None;
    loop {
        let piece = piece(&bench.folder, "trades", &mut rows, PIECE_ROWS)?;
        if piece.count > 0 {
            for server in &mut bench.peers.servers {
                if sent.is_none() {
                    make(server, "trades", &piece)?;
                }
                post(server, &piece, &PLAIN)?;
            }
            if let Some(duck) = &mut bench.peers.duck {
                duck.load("trades", &piece.csv, sent.is_none())?;
            }
        }
        piece.remove()?;
        match &mut sent {
            _ if piece.count == 0 => break,
            Some(sent) => sent.add(&piece),
            None => sent = Some(piece),
        }
    }
    let sent = sent.ok_or("no rows were asked for")?;
    for server in &mut bench.peers.servers {
        server.wait_for_rows("trades", sent.count)?;
        sent.check(&server.must(&format!("{} trades", Rows::SUMS))?)?;
    }
    Ok(())
}

/// All other ways in, each with data of its own.
pub fn variants(bench: &mut Bench, rows: &Rows, rounds: u64, table: &mut Table) -> Result<()> {
    for way in &WAYS {
        let loads = in_turns(&mut bench.peers, rounds, |server, _| lines(server, rows, way));
        push(table, way.name, loads);
    }
    for (name, shape) in [("4 MB batches, 10 % late", Shape::Late), ("4 MB batches, 1 M symbols", Shape::ManySymbols)] {
        let other = trades(&bench.folder, "other", rows.count, shape)?;
        let loads = in_turns(&mut bench.peers, rounds, |server, _| lines(server, &other, &PLAIN));
        push(table, name, loads);
        other.remove()?;
    }
    synced(bench, rows, rounds, table)?;
    csv(bench, rows, rounds, table)
}

/// The same as [`PLAIN`] on servers that acknowledge when the rows are on disk.
fn synced(bench: &mut Bench, rows: &Rows, rounds: u64, table: &mut Table) -> Result<()> {
    let mut peers = bench.start_servers("synced", "sync")?;
    let loads = in_turns(&mut peers, rounds, |server, _| lines(server, rows, &PLAIN));
    push(table, "4 MB batches, on disk before the acknowledgement", loads);
    let roots: Vec<_> = peers.servers.iter().map(|server| server.root.clone()).collect();
    peers.end()?;
    for root in roots {
        std::fs::remove_dir_all(&root).map_err(|error| format!("{}: {error}", root.display()))?;
    }
    Ok(())
}

fn csv(bench: &mut Bench, rows: &Rows, rounds: u64, table: &mut Table) -> Result<()> {
    let load = |server: &mut Running| {
        make(server, "imported", rows)?;
        let before = server.processor()?;
        let started = Instant::now();
        let answer = server.connect()?.upload("/imp?name=imported&fmt=json&forceHeader=true", &rows.csv)?;
        let acknowledged = started.elapsed().as_secs_f64();
        if answer.status != 200 || !answer.body.contains("\"status\":\"OK\"") {
            return Err(format!("/imp answered {}: {:.300}", answer.status, answer.body).into());
        }
        let load = finish(server, "imported", rows, started, acknowledged, &before)?;
        server.drop_table("imported")?;
        Ok(load)
    };
    let csv = rows.csv.display();
    let sql = format!("create or replace table imported as select * from read_csv('{csv}', header = true)");
    table.push(with_duck("CSV file over /imp", bench, rows, rounds, load, &sql)?);
    Ok(())
}

/// `CREATE TABLE AS SELECT` of the whole table, and `INSERT` of it into an empty one.
pub fn copied(bench: &mut Bench, rows: &Rows, rounds: u64, table: &mut Table) -> Result<()> {
    let create = "create table copied as (select * from trades) timestamp(timestamp) partition by day wal";
    for (name, statement) in
        [("CREATE TABLE AS SELECT", create), ("INSERT … SELECT", "insert into copied select * from trades")]
    {
        let load = |server: &mut Running| {
            if statement == create {
                server.drop_table("copied")?
            } else {
                make(server, "copied", rows)?
            }
            let before = server.processor()?;
            let started = Instant::now();
            server.must(statement)?;
            let acknowledged = started.elapsed().as_secs_f64();
            let load = finish(server, "copied", rows, started, acknowledged, &before)?;
            server.drop_table("copied")?;
            Ok(load)
        };
        let duck = if statement == create {
            "create or replace table copied as select * from trades"
        } else {
            "create or replace table copied as select * from trades limit 0; insert into copied select * from trades"
        };
        table.push(with_duck(name, bench, rows, rounds, load, duck)?);
    }
    Ok(())
}

/// Returns a row of loads in which DuckDB takes its turn with a statement of its own.
fn with_duck(
    name: &str,
    bench: &mut Bench,
    rows: &Rows,
    rounds: u64,
    mut load: impl FnMut(&mut Running) -> Result<Load>,
    sql: &str,
) -> Result<Row> {
    let mut row = Row::new(name);
    let mut took: BTreeMap<System, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    let each = MILLION / rows.count as f64;
    for _ in 0..rounds {
        for (system, loads) in in_turns(&mut bench.peers, 1, |server, _| load(server)) {
            match loads {
                Ok(loads) => {
                    let (walls, cpus) = took.entry(system).or_default();
                    walls.extend(loads.iter().map(|load| load.visible));
                    cpus.extend(loads.iter().map(|load| load.cpu));
                }
                Err(error) => drop(row.cells.insert(system, Cell::Refused(error.to_string()))),
            }
        }
        if let Some(duck) = &mut bench.peers.duck {
            let before = duck.processor()?;
            let told = duck.run(sql)?;
            let (walls, cpus) = took.entry(System::DuckDb).or_default();
            walls.push(told.ms * each);
            cpus.push(duck.processor()?.since(&before).as_secs_f64() * 1e3 * each);
        }
    }
    if let Some(duck) = &mut bench.peers.duck {
        duck.run("drop table if exists imported; drop table if exists copied")?;
    }
    for (system, (walls, cpus)) in took {
        if !row.cells.contains_key(&system) {
            row.measured(system, walls, cpus);
        }
    }
    Ok(row)
}

type Loads = Vec<(System, Result<Vec<Load>>)>;

/// Runs one load of each server after the other, round by round; a server that fails is out.
fn in_turns(peers: &mut Peers, rounds: u64, mut load: impl FnMut(&mut Running, u64) -> Result<Load>) -> Loads {
    let mut loads: Loads = peers.servers.iter().map(|server| (server.system, Ok(Vec::new()))).collect();
    for round in 0..rounds {
        for (server, (_, loads)) in peers.servers.iter_mut().zip(&mut loads) {
            let Ok(done) = loads else { continue };
            match load(server, round) {
                Ok(load) => done.push(load),
                Err(error) => *loads = Err(error),
            }
        }
    }
    loads
}

fn push(table: &mut Table, name: &str, loads: Loads) {
    let mut acknowledged = Row::new(format!("{name}: acknowledged"));
    let mut visible = Row::new(format!("{name}: seen by queries"));
    for (system, loads) in loads {
        match loads {
            Ok(loads) => {
                let cpu: Vec<f64> = loads.iter().map(|load| load.cpu).collect();
                acknowledged.measured(system, loads.iter().map(|load| load.acknowledged).collect(), cpu.clone());
                visible.measured(system, loads.iter().map(|load| load.visible).collect(), cpu);
            }
            Err(error) => {
                let refused = || Cell::Refused(error.to_string());
                acknowledged.cells.insert(system, refused());
                visible.cells.insert(system, refused());
            }
        }
    }
    table.push(acknowledged);
    table.push(visible);
}

fn make(server: &mut Running, table: &str, rows: &Rows) -> Result<()> {
    let capacity = if rows.shape == Shape::ManySymbols { 1_048_576 } else { 1_024 };
    server.drop_table(table)?;
    server.must(&format!(
        "create table {table} (symbol symbol capacity {capacity}, side symbol, price double, amount double, \
         account long, timestamp timestamp) timestamp(timestamp) partition by day wal"
    ))?;
    Ok(())
}

/// Makes the table `trades` anew and sends a file of lines to it.
fn lines(server: &mut Running, rows: &Rows, way: &Way) -> Result<Load> {
    make(server, "trades", rows)?;
    let before = server.processor()?;
    let started = Instant::now();
    post(server, rows, way)?;
    let acknowledged = started.elapsed().as_secs_f64();
    finish(server, "trades", rows, started, acknowledged, &before)
}

/// Sends a file of lines and waits until queries see the rows of its table, unmeasured.
pub fn send(server: &mut Running, rows: &Rows, table: &str) -> Result<()> {
    post(server, rows, &PLAIN)?;
    server.wait_for_rows(table, rows.count)
}

fn post(server: &Running, rows: &Rows, way: &Way) -> Result<()> {
    let mut clients = (0..way.connections).map(|_| server.connect()).collect::<Result<Vec<_>>>()?;
    let batches = Mutex::new(Batches::open(&rows.lines, way.batch)?);
    std::thread::scope(|scope| {
        let send = |http: &mut crate::http::Http| -> Result<()> {
            loop {
                let batch = batches.lock().map_err(|_| "another client panicked")?.next()?;
                let Some(batch) = batch else { return Ok(()) };
                let answer = http.post("/write", &batch)?;
                if answer.status != 204 {
                    return Err(format!("/write answered {}: {:.300}", answer.status, answer.body).into());
                }
            }
        };
        let clients: Vec<_> = clients.iter_mut().map(|http| scope.spawn(move || send(http))).collect();
        clients.into_iter().try_for_each(|client| client.join().unwrap_or_else(|_| Err("a client panicked".into())))
    })
}

/// Waits until queries see every row, takes the times, and compares the sums.
fn finish(
    server: &mut Running,
    table: &str,
    rows: &Rows,
    started: Instant,
    acknowledged: f64,
    before: &super::process::Processor,
) -> Result<Load> {
    server.wait_for_rows(table, rows.count)?;
    let visible = started.elapsed().as_secs_f64();
    let cpu = server.processor()?.since(before).as_secs_f64();
    rows.check(&server.must(&format!("{} {table}", Rows::SUMS))?)?;
    let each = 1e3 * MILLION / rows.count as f64;
    Ok(Load { acknowledged: acknowledged * each, visible: visible * each, cpu: cpu * each })
}
