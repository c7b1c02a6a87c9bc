//! `stillpoint import`: tables of one server into another one, over HTTP.
#![expect(clippy::disallowed_methods, reason = "a state file of the user's")]

use std::process::{Command, Output};

use super::client::{Running, new_root};

fn import(source: &Running, target: &Running, more: &[&str]) -> Output {
    let state = target.root.join("state.json");
    Command::new(env!("CARGO_BIN_EXE_stillpoint"))
        .args(["import", &format!("http://{}", source.http), "--to", &format!("http://{}", target.http)])
        .args(["--state", state.to_str().unwrap()])
        .args(more)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn tables_arrive_whole_and_a_second_run_goes_on() {
    let (source, target) = (Running::start(), Running::with(&new_root(), &[]));
    source.exec("create table trades (ts timestamp, sym symbol, price double, n long, note varchar, ok boolean) timestamp(ts) partition by day wal");
    source.exec(
        "insert into trades select timestamp_sequence('2024-01-01', 10000000L), 's' || x % 7, x / 3.0, x, \
         case when x % 5 = 0 then null else 'note, \"' || x || '\"' end, x % 2 = 0 from long_sequence(70000)",
    );
    // many rows of one moment
    source.exec("insert into trades select '2024-01-01', 'same', 1.0, x, 'x', true from long_sequence(30000)");
    source.exec("create table plain (a int, b varchar)");
    source.exec("insert into plain values (1, 'x'), (2, null), (3, '')");
    source.exec("create table empty (a int, ts timestamp) timestamp(ts)");
    let first = import(&source, &target, &["--tables", "trades,plain,empty"]);
    assert!(first.status.success(), "{}", said(&first));
    for (table, rows) in [("trades", 100_000), ("plain", 3), ("empty", 0)] {
        assert!(said(&first).contains(&format!("{table}: {rows} rows, fingerprint ")), "{}", said(&first));
    }
    for sql in [
        "select count(), sum(n), sum(price), count_distinct(sym), count_distinct(note) from trades",
        "plain",
        "show create table trades",
    ] {
        assert_eq!(target.rows(sql), source.rows(sql), "{sql}");
    }
    // nothing is done twice; a table that is new is brought
    source.exec("create table later (a int)");
    source.exec("insert into later values (7)");
    let second = import(&source, &target, &[]);
    assert!(second.status.success() && said(&second).contains("done by an earlier run"), "{}", said(&second));
    assert_eq!(target.rows("select count() from trades"), "[[100000]]");
    assert_eq!(target.rows("later"), "[[7]]");
}

#[test]
fn a_run_that_was_cut_off_after_a_page_does_not_store_it_twice() {
    let (source, target) = (Running::start(), Running::with(&new_root(), &[]));
    source.exec("create table t (ts timestamp, n long) timestamp(ts) partition by day wal");
    source.exec("insert into t select timestamp_sequence('2024-01-01', 1000000L), x from long_sequence(50000)");
    assert!(import(&source, &target, &[]).status.success());
    // the state as a crash between the last page and its line leaves it
    let path = target.root.join("state.json");
    let lines: Vec<String> = std::fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
    assert!(lines.len() > 4, "{lines:?}");
    let kept = lines.len() - 2;
    std::fs::write(&path, format!("{}\n{}", lines[..kept].join("\n"), &lines[kept][..20])).unwrap();
    let resumed = import(&source, &target, &[]);
    assert!(resumed.status.success(), "{}", said(&resumed));
    assert_eq!(target.rows("select count(), sum(n) from t"), source.rows("select count(), sum(n) from t"));
}

#[test]
fn differences_are_found() {
    let (source, target) = (Running::start(), Running::with(&new_root(), &[]));
    source.exec("create table t (ts timestamp, n long) timestamp(ts) partition by day wal");
    source.exec("insert into t values (1, 1), (2, 2)");
    target.exec("create table t (ts timestamp, n long) timestamp(ts) partition by day wal");
    let taken = import(&source, &target, &[]);
    assert!(!taken.status.success() && said(&taken).contains("already exists"), "{}", said(&taken));
    let missing = import(&source, &target, &["--tables", "nope"]);
    assert!(!missing.status.success() && said(&missing).contains("nope"), "{}", said(&missing));
}
