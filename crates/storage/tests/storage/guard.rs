//! Snapshots on a disk that fills, and those that make whole file systems durable.

use std::path::Path;

use storage::env::Clock;
use storage::env::clock::ManualClock;
use storage::env::sim_fs::{CopyMode, OpKind};
use storage::{Database, Env, Error, Options, SnapshotState, Terms};

use crate::support::*;

const SECOND_US: i64 = 1_000_000;
/// A hundredth of the simulated disk, and more.
const WIDE_BYTES: usize = 11 << 20;

/// Stores a row that is worth removing, in a segment.
fn store_much(db: &Database) {
    let text: &'static str = String::leak("x".repeat(WIDE_BYTES));
    insert(db, "t", &[(DAY_US, Some("a"), 1, Some(text))]);
    db.flush_table(db.view().table("t").unwrap().id()).unwrap();
}

fn states(db: &Database) -> Vec<(String, SnapshotState)> {
    db.snapshots().into_iter().map(|s| (s.name, s.state)).collect()
}

fn tick(db: &Database, clock: &ManualClock) {
    clock.advance_us(SECOND_US);
    db.step_guard().unwrap();
    while db.step_gc().unwrap() {}
}

#[test]
fn near_a_full_disk_expired_snapshots_go_and_then_copying_ends_that_stays_good() {
    let (fs, env, clock) = machine_with_clock();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    insert(&db, "t", &[(DAY_US, Some("a"), 7, Some("at the cut"))]);
    db.prepare_snapshot_with("old", leased(60 * SECOND_US)).unwrap();
    clock.advance_us(60 * SECOND_US);
    db.step_leases().unwrap();
    db.prepare_snapshot_with("copy", leased(3_600 * SECOND_US)).unwrap();
    let cut = rows(&db, "t");
    store_much(&db);
    db.truncate(id).unwrap();
    db.write_base().unwrap();
    tick(&db, &clock);
    use SnapshotState::{Ended, Expired, Open};
    assert_eq!(states(&db), [("copy".to_owned(), Open), ("old".to_owned(), Expired)], "there is room");
    let held = db.snapshots()[0].held_bytes;
    let lease_end_us = || db.snapshots()[0].lease_end_us.unwrap();
    let granted_us = lease_end_us();
    assert!((granted_us - clock.now_us() - 3_600 * SECOND_US).abs() <= 2 * SECOND_US, "an hour and no more");
    assert!(held >= WIDE_BYTES as u64, "{held}");

    fs.set_free_bytes(Some(40 << 20));
    tick(&db, &clock);
    assert_eq!(states(&db), [("copy".to_owned(), Open)], "the expired one goes first");
    tick(&db, &clock);
    assert_eq!(states(&db), [("copy".to_owned(), Ended)]);
    assert!((lease_end_us() - granted_us).abs() < 1_000, "its lease runs on");
    assert!(!fs.files_below(Path::new(ROOT)).iter().any(|p| p.to_string_lossy().contains("1970-01-02/")));
    // It is durable, is not released, and what it names is all there.
    drop(db);
    let env = on(&env, fs.kill());
    let db = open(&env).unwrap();
    (0..5).for_each(|_| tick(&db, &clock));
    assert_eq!(states(&db), [("copy".to_owned(), Ended)]);
    fs.set_free_bytes(None);
    fs.copy_tree(Path::new(ROOT), Path::new("/copy"), CopyMode::Copy, &["db/_live", "log"], 1).finish();
    fs.write_file(Path::new("/copy/_restore"), b"");
    assert_eq!(rows(&open_at(&env, "/copy").unwrap(), "t"), cut);
    db.renew_snapshot("copy", Some(60 * SECOND_US)).unwrap();
    assert_eq!(states(&db), [("copy".to_owned(), Open)]);
    clock.advance_us(60 * SECOND_US);
    db.step_leases().unwrap();
    assert_eq!(states(&db), [("copy".to_owned(), Expired)]);
}

#[test]
fn near_a_full_disk_the_next_snapshot_waits_for_what_the_last_one_gives_back() {
    let (fs, env, clock) = machine_with_clock();
    let db = open(&env).unwrap();
    create(&db, "t");
    for name in ["first", "second"] {
        db.prepare_snapshot_with(name, leased(60 * SECOND_US)).unwrap();
        insert(&db, "t", &[(DAY_US, Some("a"), 7, Some(name))]);
    }
    clock.advance_us(60 * SECOND_US);
    db.step_leases().unwrap();
    fs.set_free_bytes(Some(1 << 20));
    let guard = || {
        clock.advance_us(SECOND_US);
        db.step_guard().unwrap();
        states(&db).len()
    };
    assert_eq!((guard(), guard(), guard()), (1, 1, 1), "what the first one held is on its way out");
    while db.step_gc().unwrap() {}
    assert_eq!(guard(), 0);
}

#[test]
fn near_a_full_disk_prepare_says_which_snapshot_to_complete() {
    let (fs, env, clock) = machine_with_clock();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    store_much(&db);
    db.prepare_snapshot_with("large", Terms { keep: true, ..Terms::default() }).unwrap();
    db.prepare_snapshot_with("small", Terms { keep: true, ..Terms::default() }).unwrap();
    db.truncate(id).unwrap();
    while db.step_settle().unwrap() {}
    fs.set_free_bytes(Some(40 << 20));
    tick(&db, &clock);
    assert_eq!(states(&db).len(), 2, "what is kept is never released");
    match db.prepare_snapshot("default") {
        Err(Error::Unavailable(why)) => {
            assert!(why.contains("complete snapshot") && why.contains("bytes are free"), "{why}")
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(db.status().warnings.len(), 1);
    insert(&db, "t", &[(DAY_US, Some("a"), 1, None)]);
    for name in ["large", "small"] {
        db.complete_snapshot(name).unwrap();
    }
    tick(&db, &clock);
    db.prepare_snapshot("default").unwrap();
    assert_eq!(db.status().warnings, Vec::<String>::new());
}

#[test]
fn what_open_and_kept_snapshots_hold_is_added_up() {
    let (_, env) = machine();
    let db = open(&env).unwrap();
    for (table, name, terms) in [("t", "kept", kept()), ("u", "open", Terms::default())] {
        let id = create(&db, table);
        insert(&db, table, &[(DAY_US, Some("a"), 1, Some("x"))]);
        db.flush_table(id).unwrap();
        db.prepare_snapshot_with(name, terms).unwrap();
        db.truncate(id).unwrap();
        clean_up(&db);
    }
    let held: Vec<u64> = db.snapshots().into_iter().map(|s| s.held_bytes).collect();
    assert!(held.len() == 2 && held.iter().all(|bytes| *bytes > 0), "{held:?}");
    assert_eq!(db.status().pinned_bytes, held.iter().sum::<u64>());
}

#[test]
fn snapshots_that_hold_much_of_the_disk_are_told_of() {
    let (_, env, clock) = machine_with_clock();
    let mut options = Options::new(ROOT);
    options.snapshot_warn_share = 1;
    let db = Database::open(env, options).unwrap();
    let id = create(&db, "t");
    store_much(&db);
    db.prepare_snapshot("default").unwrap();
    tick(&db, &clock);
    assert_eq!(db.status().warnings, Vec::<String>::new());
    db.truncate(id).unwrap();
    clock.advance_us(60 * SECOND_US);
    tick(&db, &clock);
    let status = db.status();
    assert!(status.warnings[0].contains("more than 1 percent"), "{:?}", status.warnings);
    assert!(status.pinned_bytes >= WIDE_BYTES as u64);
}

#[test]
fn prepare_with_sync_makes_one_call_for_each_file_system() {
    let (fs, env, _) = machine_with_clock();
    let db = open(&env).unwrap();
    for n in 0..10 {
        create(&db, &format!("t{n}"));
    }
    fs.record_trace(true);
    let syncs = || fs.take_trace().iter().filter(|op| op.site.kind == OpKind::SyncFileSystem).count();
    db.prepare_snapshot("without").unwrap();
    assert_eq!(syncs(), 0);
    db.prepare_snapshot_with("with", Terms { sync: true, ..Terms::default() }).unwrap();
    assert_eq!(syncs(), 1);
    assert!(db.snapshots()[0].places.is_empty());
    assert!(!db.syncs_usually(), "unless it is configured so");
    let options = Options { snapshot_syncfs: true, ..Options::new("/other") };
    assert!(Database::open(env, options).unwrap().syncs_usually());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test lays out the root as an operator does")]
fn a_table_behind_a_link_is_told_as_a_place_that_a_copy_must_hold() {
    let root = std::env::temp_dir().join(format!("stillpoint-places-{}", std::process::id()));
    let elsewhere = std::env::temp_dir().join(format!("stillpoint-elsewhere-{}", std::process::id()));
    std::fs::create_dir_all(&root).unwrap();
    std::fs::create_dir_all(&elsewhere).unwrap();
    {
        let db = Database::open(Env::os(), Options::new(&root)).unwrap();
        let id = create(&db, "t");
        insert(&db, "t", &[(DAY_US, Some("a"), 1, None)]);
        db.flush_table(id).unwrap();
        let dir = root.join("db").join(db.view().table("t").unwrap().directory());
        let moved = elsewhere.join("t");
        std::fs::rename(&dir, &moved).unwrap();
        std::os::unix::fs::symlink(&moved, &dir).unwrap();
        db.prepare_snapshot_with("default", Terms { sync: true, ..Terms::default() }).unwrap();
        assert_eq!(db.snapshots()[0].places, [dir.display().to_string()]);
    }
    std::fs::remove_dir_all(&root).unwrap();
    std::fs::remove_dir_all(&elsewhere).unwrap();
}
