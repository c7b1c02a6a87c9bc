//! Compaction: segments become fewer, and nothing else changes.

use storage::env::Fs;
use storage::env::sim_fs::SimFs;
use storage::{Database, Options};

use crate::support::*;

/// Commits and flushes rows, so that each call makes a segment a partition.
fn segment(db: &Database, rows: &[Row]) {
    insert(db, "t", rows);
    db.flush_table(db.view().table("t").unwrap().id()).unwrap();
}

fn merge_all(db: &Database) -> usize {
    (0..1_000).take_while(|_| db.step_compact().unwrap()).count()
}

/// Files of segments on the disk, and their bytes.
fn segments(fs: &SimFs, db: &Database) -> Vec<u64> {
    let dir = std::path::Path::new(ROOT).join("db").join(db.view().table("t").unwrap().directory());
    let mut sizes = Vec::new();
    for partition in fs.list(&dir).unwrap().iter().filter(|e| !e.name.starts_with('_')) {
        for file in fs.list(&dir.join(&partition.name)).unwrap().iter().filter(|e| e.name.ends_with(".arrow")) {
            sizes.push(fs.metadata(&dir.join(&partition.name).join(&file.name)).unwrap().len_bytes);
        }
    }
    sizes
}

#[test]
fn merged_segments_hold_the_same_rows_in_the_same_order() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "t");
    let syms = ["a", "b", "c", "d"];
    for (n, sym) in syms.into_iter().enumerate() {
        // Ties, late rows and a column that some rows lack.
        let late = 10 - n as i64;
        segment(&db, &[(5, Some(sym), n as i64, None), (late, None, 10, Some("x")), (DAY_US, Some(sym), 7, None)]);
    }
    let before = rows(&db, "t");
    assert_eq!(segments(&fs, &db).len(), 8);
    assert_eq!(merge_all(&db), 2);
    assert_eq!(rows(&db, "t"), before);
    while db.step_gc().unwrap() {}
    assert_eq!(segments(&fs, &db).len(), 2);
    drop(db);
    let db = open(&on(&env, fs.kill())).unwrap();
    assert_eq!(rows(&db, "t"), before);
    assert_eq!(merge_all(&db), 0);
}

#[test]
fn dead_rows_are_dropped() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    db.set_dedup(id, Some(&["ts"])).unwrap();
    segment(&db, &(0..100).map(|i| (i, Some("old"), i, None)).collect::<Vec<Row>>());
    segment(&db, &(0..40).map(|i| (i, Some("new"), i, None)).collect::<Vec<Row>>());
    let before = rows(&db, "t");
    assert_eq!((before.len(), merge_all(&db)), (100, 1));
    assert_eq!(rows(&db, "t"), before);
    while db.step_gc().unwrap() {}
    let dead =
        fs.tree_digest(std::path::Path::new(ROOT)).keys().filter(|p| p.to_string_lossy().contains(".dead")).count();
    assert_eq!(dead, 0);
    // Rows that come later still find those that they replace.
    insert(&db, "t", &[(50, Some("newest"), 1, None)]);
    assert_eq!(rows(&db, "t")[50], "50 newest 1 null");
    assert_eq!(rows(&db, "t").len(), 100);
}

#[test]
fn nothing_is_merged_while_a_snapshot_is_open() {
    let (_, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "t");
    (0..4).for_each(|n| segment(&db, &[(n, None, n, None)]));
    db.prepare_snapshot("default").unwrap();
    assert_eq!(merge_all(&db), 0);
    db.complete_snapshot("default").unwrap();
    assert_eq!(merge_all(&db), 1);
}

/// A day of rows in small flushes, late ones among them, copied once a day: what the second copy sends is what was new.
#[test]
fn an_incremental_copy_after_a_day_of_compaction_sends_little_more_than_the_new_rows() {
    let (fs, env) = machine();
    let mut options = Options::new(ROOT);
    options.base_bytes = u64::MAX;
    let db = Database::open(env.clone(), options).unwrap();
    create(&db, "t");
    let day = |day: i64| {
        for flush in 0..96 {
            let at = day * DAY_US + flush * DAY_US / 96;
            let mut rows: Vec<Row> = (0..1_000).map(|i| (at + i, Some("a"), i, Some("some text of a row"))).collect();
            // A tenth is up to an hour late, which reaches into the day before.
            rows.iter_mut().step_by(10).for_each(|row| row.0 -= 3_600_000_000);
            segment(&db, &rows);
            merge_all(&db);
            while db.step_gc().unwrap() {}
        }
    };
    day(10);
    let first = files(&fs);
    day(11);
    let second = files(&fs);
    let sent: u64 = second.iter().filter(|(name, _)| !first.contains_key(*name)).map(|(_, bytes)| bytes).sum();
    let new = second.values().sum::<u64>() - first.values().sum::<u64>();
    println!("sent {sent} bytes for {new} new ones: {:.2}", sent as f64 / new as f64);
    assert!(sent * 10 <= new * 13, "sent {sent} bytes for {new} new ones");
}

fn files(fs: &SimFs) -> std::collections::BTreeMap<std::path::PathBuf, u64> {
    let db = std::path::Path::new(ROOT).join("db");
    let files = fs.tree_digest(&db).into_keys().map(|path| db.join(path));
    let segments = files.filter(|path| path.extension().is_some_and(|e| e == "arrow"));
    segments.map(|path| (path.clone(), fs.metadata(&path).unwrap().len_bytes)).collect()
}
