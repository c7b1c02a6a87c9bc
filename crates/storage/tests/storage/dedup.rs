//! DEDUP UPSERT KEYS: rows replace each other in memory and in segments alike, through flushes, bases and restarts.

use std::sync::Arc;

use storage::env::rng::SeededRng;
use storage::env::sim_fs::SimFs;
use storage::{ColumnChange, Database};

use crate::support::*;

const T: i64 = DAY_US;

fn upserting(keys: &[&str]) -> (Arc<SimFs>, storage::Env, Database) {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    db.set_dedup(id, Some(keys)).unwrap();
    (fs, env, db)
}

fn flush(db: &Database) {
    db.flush_table(db.view().table("t").unwrap().id()).unwrap();
}

/// Values of `sym` and `v` of all rows, in order.
fn pairs(db: &Database) -> Vec<String> {
    let view = db.view().table("t").unwrap();
    let lines = column_rows(&view, &["sym", "v"]);
    assert_eq!(lines.len() as u64, view.partitions().unwrap().iter().map(|p| p.rows).sum::<u64>());
    lines
}

/// Runs the same inserts with a flush behind each, behind none and behind some: all must show the same.
fn check(commits: &[&[Row]], expected: &[&str]) {
    for flushes in 0..1_u32 << commits.len() {
        let (_, _, db) = upserting(&["ts", "sym"]);
        for (n, rows) in commits.iter().enumerate() {
            insert(&db, "t", rows);
            if flushes >> n & 1 == 1 {
                flush(&db);
            }
        }
        assert_eq!(pairs(&db), expected, "flushes {flushes:b}");
    }
}

#[test]
fn the_last_row_of_a_key_counts_and_stands_where_the_first_stood() {
    check(&[&[(T, Some("a"), 1, None), (T, Some("b"), 2, None)], &[(T, Some("a"), 3, None)]], &["a 3", "b 2"]);
    check(
        &[&[(T, Some("b"), 1, None)], &[(T, Some("a"), 2, None)], &[(T, Some("b"), 3, None), (T, None, 4, None)]],
        &["b 3", "a 2", "null 4"],
    );
    // Another moment, another partition: nothing is replaced.
    check(
        &[&[(T, Some("a"), 1, None), (T + 1, Some("a"), 2, None)], &[(T + DAY_US, Some("a"), 3, None)]],
        &["a 1", "a 2", "a 3"],
    );
}

#[test]
fn a_reader_sees_no_replaced_row_from_the_first_read_on() {
    let (_, _, db) = upserting(&["ts", "sym"]);
    insert(&db, "t", &[(T, Some("a"), 1, None)]);
    flush(&db);
    let before = db.view().table("t").unwrap();
    insert(&db, "t", &[(T, Some("a"), 2, None)]);
    assert_eq!(pairs(&db), ["a 2"]);
    flush(&db);
    assert_eq!(pairs(&db), ["a 2"]);
    assert_eq!(column_rows(&before, &["v"]), ["1"], "a view that is open keeps what it saw");
}

#[test]
fn enabling_keeps_duplicates_and_the_next_upsert_replaces_each_of_them() {
    for flushed in [false, true] {
        let (_, env) = machine();
        let db = open(&env).unwrap();
        let id = create(&db, "t");
        insert(&db, "t", &[(T, Some("a"), 1, None), (T, Some("a"), 2, None)]);
        if flushed {
            flush(&db);
        }
        db.set_dedup(id, Some(&["ts", "sym"])).unwrap();
        assert_eq!(pairs(&db), ["a 1", "a 2"]);
        insert(&db, "t", &[(T, Some("a"), 3, None)]);
        assert_eq!(pairs(&db), ["a 3", "a 3"]);
        db.set_dedup(id, None).unwrap();
        insert(&db, "t", &[(T, Some("a"), 4, None)]);
        assert_eq!(pairs(&db), ["a 3", "a 3", "a 4"]);
        flush(&db);
        assert_eq!(pairs(&db), ["a 3", "a 3", "a 4"]);
    }
}

#[test]
fn rows_in_memory_keep_the_keys_that_they_came_under() {
    let (_, _, db) = upserting(&["ts", "sym", "v"]);
    let id = db.view().table("t").unwrap().id();
    insert(&db, "t", &[(T, Some("a"), 1, None), (T, Some("a"), 2, None)]);
    db.alter_columns(id, &[ColumnChange::Drop("v".into())]).unwrap();
    assert_eq!(db.view().table("t").unwrap().row_count().unwrap(), 2);
    flush(&db);
    assert_eq!(db.view().table("t").unwrap().row_count().unwrap(), 2);
}

/// Rows of the model, in order: (ts, sym, v).
#[derive(Default)]
struct Model(Vec<(i64, usize, i64)>);

impl Model {
    fn commit(&mut self, rows: &[(i64, usize, i64)], keyed: bool) {
        if !keyed {
            self.0.extend(rows);
        } else {
            let mut last: Vec<(i64, usize, i64)> = Vec::new();
            for row in rows {
                last.retain(|r| (r.0, r.1) != (row.0, row.1));
                last.push(*row);
            }
            // Symbols get their codes in this order, see `SYMBOLS`.
            last.sort_by_key(|r| (r.0, r.1));
            for row in last {
                let mut replaced = false;
                for old in self.0.iter_mut().filter(|r| (r.0, r.1) == (row.0, row.1)) {
                    old.2 = row.2;
                    replaced = true;
                }
                if !replaced {
                    self.0.push(row);
                }
            }
        }
        self.0.sort_by_key(|r| r.0);
    }
}

const SYMBOLS: [Option<&str>; 5] = [None, Some("a"), Some("b"), Some("c"), Some("d")];

/// Random commits, flushes, bases, restarts and changes of the keys against a list of rows.
#[test]
fn random_histories_equal_the_model() {
    for seed in 0..150 {
        let rng = SeededRng::new(seed);
        let (mut fs, mut env, mut db) = upserting(&["ts", "sym"]);
        // Codes in the order of the list.
        let all: Vec<Row> = (1..5).map(|s| (0, SYMBOLS[s], 0, None)).collect();
        insert(&db, "t", &all);
        let mut model = Model::default();
        model.commit(&(1..5).map(|s| (0, s, 0)).collect::<Vec<_>>(), true);
        let mut keyed = true;
        for step in 0..40 {
            match rng.below(12) {
                0..=6 => {
                    let rows: Vec<(i64, usize, i64)> = (0..1 + rng.below(12))
                        .map(|n| {
                            (
                                rng.below(3) as i64 * DAY_US + rng.below(4) as i64,
                                rng.below(5) as usize,
                                step * 100 + n as i64,
                            )
                        })
                        .collect();
                    insert(&db, "t", &rows.iter().map(|r| (r.0, SYMBOLS[r.1], r.2, None)).collect::<Vec<_>>());
                    model.commit(&rows, keyed);
                }
                7 | 8 => flush(&db),
                9 => {
                    db.write_base().unwrap();
                    while db.step_gc().unwrap() {}
                }
                10 => {
                    keyed = !keyed;
                    let keys: &[&str] = &["ts", "sym"];
                    db.set_dedup(db.view().table("t").unwrap().id(), keyed.then_some(keys)).unwrap();
                }
                _ => {
                    drop(db);
                    fs = Arc::new(fs.kill());
                    env = on_arc(&env, fs.clone());
                    db = open(&env).unwrap();
                }
            }
            if rng.below(3) == 0 {
                let expected: Vec<String> =
                    model.0.iter().map(|r| format!("{} {} {}", r.0, SYMBOLS[r.1].unwrap_or("null"), r.2)).collect();
                let view = db.view().table("t").unwrap();
                assert_eq!(column_rows(&view, &["ts", "sym", "v"]), expected, "seed {seed} step {step}");
            }
        }
    }
}
