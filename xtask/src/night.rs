//! `cargo xtask night`: what operators do around a nightly copy, and what they rightly expect of it.
//!
//! Two histories from public reports about databases of this kind: a clean-up after the copy that stopped a table from
//! recording (questdb/questdb#4060), and backups that lacked their newest rows (influxdata/influxdb#23817).

use std::path::Path;

use serde_json::json;

use crate::Result;
use crate::cargo::build_server;
use crate::http::Http;
use crate::scratch::{Scratch, copy, put_back};
use crate::server::Server;

/// 2024-05-01T00:00:00Z.
const MAY_US: i64 = 1_714_521_600_000_000;
/// 2024-06-01T00:00:00Z.
const JUNE_US: i64 = 1_717_200_000_000_000;
const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;

/// Builds the server and runs both histories.
pub fn run() -> Result<()> {
    run_with(&build_server()?)
}

/// Runs both histories with a server that is already built.
pub fn run_with(binary: &Path) -> Result<()> {
    clean_up_after_the_copy(binary).map_err(|error| format!("night: clean-up after the copy: {error}"))?;
    newest_rows_are_in_the_copy(binary).map_err(|error| format!("night: the newest rows: {error}"))?;
    println!("night: clean-ups left every table recording; three copies held all that was acknowledged before PREPARE");
    Ok(())
}

/// Three nights of copy and clean-up, most of which match nothing: rows go on coming in, no table is suspended.
fn clean_up_after_the_copy(binary: &Path) -> Result<()> {
    const TABLES: [&str; 2] = ["ok_log", "failed_log"];
    let scratch = Scratch::new("night")?;
    let root = scratch.path("root");
    let server = Server::start(binary, &root)?;
    let mut http = server.http()?;
    http.exec("create table ok_log (ts timestamp, code int) timestamp(ts) partition by day wal")?;
    http.exec("create table failed_log (ts timestamp, code int) timestamp(ts) partition by month wal")?;
    let mut total = 0;
    for night in 0..3 {
        let day = MAY_US + night * DAY_US;
        write_codes(&mut http, &TABLES, 500, |i| day + i * 60_000_000)?;
        total += 500;
        http.exec("SNAPSHOT PREPARE")?;
        copy(&root, &scratch.path(&format!("copy{night}")))?;
        http.exec("SNAPSHOT COMPLETE")?;
        for table in TABLES {
            // Nothing is that old: OK and a clear error are both right, a table that stops recording is not.
            let _ = http.exec(&format!("alter table {table} drop partition where ts < '2024-03-01'"));
        }
        let _ = http.exec("alter table ok_log drop partition list '2019-01-01'");
        write_codes(&mut http, &TABLES, 100, |i| day + DAY_US / 2 + i * 1000)?;
        total += 100;
        for table in TABLES {
            expect(&mut http, &format!("select count() from {table}"), json!([[total]]))?;
            expect(&mut http, &format!("select suspended from wal_tables() where name = '{table}'"), json!([[false]]))?;
        }
    }
    http.exec("alter table ok_log drop partition where ts < '2024-05-02'")?;
    expect(&mut http, "select count(), min(ts) from ok_log", json!([[total - 600, "2024-05-02T00:00:00.000000Z"]]))?;
    server.stop()?;

    let second = scratch.path("second");
    put_back(&scratch.path("copy1"), &second)?;
    let server = Server::start(binary, &second)?;
    let mut http = server.http()?;
    for table in TABLES {
        expect(&mut http, &format!("select count() from {table}"), json!([[1100]]))?;
    }
    server.stop()
}

fn write_codes(http: &mut Http, tables: &[&str], rows: i64, at_us: impl Fn(i64) -> i64) -> Result<()> {
    let lines = tables.iter().flat_map(|table| (0..rows).map(move |i| (table, i)));
    http.write(&lines.map(|(table, i)| format!("{table} code={i}i {}000\n", at_us(i))).collect::<String>())
}

/// Many small writes up to a moment before PREPARE: into new and old partitions, with new symbols, into new tables.
fn newest_rows_are_in_the_copy(binary: &Path) -> Result<()> {
    let scratch = Scratch::new("night")?;
    let root = scratch.path("root");
    let server = Server::start(binary, &root)?;
    let (mut http, mut pg) = (server.http()?, server.pg()?);
    pg.query("create table meter (id int, site symbol, v double, ts timestamp) timestamp(ts) partition by hour wal")?;
    pg.query(
        "create table plain (id int, site symbol, v double, ts timestamp) timestamp(ts) partition by day bypass wal",
    )?;
    let mut total = 0;
    for round in 0..3i64 {
        for hour in 0..20 {
            let at = JUNE_US + (round * 24 + hour) * HOUR_US;
            http.write(&meter_lines(50, |j| (format!("s{round}_{j}"), total + j, at + j)))?;
            total += 50;
        }
        http.write(&meter_lines(50, |j| (format!("late{round}"), total + j, JUNE_US - (100 + j) * HOUR_US)))?;
        total += 50;
        let fresh: String = (0..10).map(|j| format!("fresh{round},kind=k{j} id={j}i {}000\n", JUNE_US + j)).collect();
        http.write(&fresh)?;
        let day = JUNE_US + round * DAY_US;
        let plain: Vec<String> = (0..200).map(|j| format!("({j}, 'p{round}', {j}, {})", day + j)).collect();
        pg.query(&format!("insert into plain values {}", plain.join(", ")))?;
        pg.query(&format!("insert into meter values (-{}, 'last', 0, {})", round + 1, day + 23 * HOUR_US))?;
        total += 1;
        pg.query("SNAPSHOT PREPARE")?;
        copy(&root, &scratch.path(&format!("copy{round}")))?;
        pg.query("SNAPSHOT COMPLETE")?;
        the_copy_has_it_all(binary, &scratch, round, total)?;
    }
    server.stop()
}

fn meter_lines(rows: i64, row: impl Fn(i64) -> (String, i64, i64)) -> String {
    let line = |j| {
        let (site, id, at_us) = row(j);
        format!("meter,site={site} id={id}i,v={j}.5 {at_us}000\n")
    };
    (0..rows).map(line).collect()
}

fn the_copy_has_it_all(binary: &Path, scratch: &Scratch, round: i64, total: i64) -> Result<()> {
    let root = scratch.path(&format!("restored{round}"));
    put_back(&scratch.path(&format!("copy{round}")), &root)?;
    let server = Server::start(binary, &root)?;
    let mut http = server.http()?;
    expect(&mut http, "select count() from meter", json!([[total]]))?;
    expect(&mut http, "select count() from plain", json!([[200 * (round + 1)]]))?;
    expect(&mut http, &format!("select count() from fresh{round}"), json!([[10]]))?;
    expect(&mut http, &format!("select count() from meter where site = 'late{round}'"), json!([[50]]))?;
    let last = format!("select count() from meter where id = -{} and site = 'last'", round + 1);
    expect(&mut http, &last, json!([[1]]))?;
    server.stop()
}

fn expect(http: &mut Http, sql: &str, want: serde_json::Value) -> Result<()> {
    let seen = http.rows(sql)?.rows;
    if json!(seen) == want { Ok(()) } else { Err(format!("{sql}: {seen:?}, not {want}").into()) }
}
