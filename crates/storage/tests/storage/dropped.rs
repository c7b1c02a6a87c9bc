//! DROP TABLE keeps a table for a while, and UNDROP TABLE brings it back.

use std::path::Path;
use std::sync::Arc;

use storage::env::clock::{Clock, ManualClock};
use storage::env::rng::SeededRng;
use storage::env::sim_fs::{CopyMode, SimFs, Survive};
use storage::{Database, Env, Error, Options, Terms};
use types::TableName;

use crate::support::{DAY_US, ROOT, create, insert, on, on_arc, rows};

const HOUR_US: i64 = 3_600_000_000;

fn machine_with_clock() -> (Arc<SimFs>, Env, Arc<ManualClock>) {
    let fs = Arc::new(SimFs::new(7));
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let env = Env::in_turn(fs.clone(), clock.clone(), Arc::new(SeededRng::new(7)));
    (fs, env, clock)
}

fn open_at(env: &Env, root: &str) -> Database {
    Database::open(env.clone(), Options { drop_grace_us: 24 * HOUR_US, ..Options::new(root) }).unwrap()
}

/// A day in a segment, another one in memory alone.
fn fill(db: &Database, first: i64) -> Vec<String> {
    let id = create(db, "t");
    insert(db, "t", &[(first, Some("a"), 1, Some("x"))]);
    db.flush_table(id).unwrap();
    insert(db, "t", &[(first + DAY_US, Some("b"), 2, None)]);
    rows(db, "t")
}

fn drop_table(db: &Database) {
    db.drop_table(db.view().table("t").unwrap().id()).unwrap();
}

fn clean_up(db: &Database) {
    db.step_flush().unwrap();
    db.write_base().unwrap();
    while db.step_gc().unwrap() {}
}

fn segments(fs: &SimFs) -> usize {
    let below = fs.files_below(&Path::new(ROOT).join("db"));
    below.iter().filter(|path| path.to_string_lossy().contains("1970-01-")).count()
}

#[test]
fn a_dropped_table_comes_back_with_every_row_and_goes_on() {
    for restarts in [0, 1, 2] {
        let (fs, env, _) = machine_with_clock();
        let mut db = open_at(&env, ROOT);
        let before = fill(&db, 1);
        drop_table(&db);
        assert!(db.view().tables().is_empty() && rows(&db, "t").is_empty());
        if restarts > 0 {
            if restarts == 2 {
                clean_up(&db);
            }
            drop(db);
            fs.power_cut(Survive::Nothing);
            db = open_at(&on(&env, fs.power_up()), ROOT);
            clean_up(&db);
        }
        let found = db.dropped_tables().unwrap().remove(0);
        assert_eq!((found.name.as_str(), found.rows), ("t", 2));
        // The clock of the test goes on with each look at it.
        assert!((0..1_000).contains(&(found.until_us - found.dropped_us - 24 * HOUR_US)), "{found:?}");
        assert_eq!(db.undrop_table("T", None, None).unwrap(), found.id);
        assert_eq!(rows(&db, "t"), before);
        assert!(db.dropped_tables().unwrap().is_empty());
        insert(&db, "t", &[(3 * DAY_US, Some("c"), 3, None)]);
        assert_eq!(rows(&db, "t").len(), 3);
    }
}

#[test]
fn of_several_dropped_tables_the_latest_comes_back_or_the_one_of_an_id() {
    let (_, env, _) = machine_with_clock();
    let db = open_at(&env, ROOT);
    let first = fill(&db, 1);
    let id = db.view().table("t").unwrap().id();
    drop_table(&db);
    let second = fill(&db, 5);
    drop_table(&db);
    fill(&db, 9);
    assert!(matches!(db.undrop_table("t", None, None), Err(Error::Exists(why)) if why.contains("AS another name")));
    db.undrop_table("t", Some(id), Some(&TableName::new("first").unwrap())).unwrap();
    db.undrop_table("t", None, Some(&TableName::new("second").unwrap())).unwrap();
    assert_eq!((rows(&db, "first"), rows(&db, "second")), (first, second));
    assert!(matches!(db.undrop_table("t", None, None), Err(Error::NotFound(_))));
    assert!(matches!(db.undrop_table("first", Some(id), None), Err(Error::NotFound(_))));
}

#[test]
fn a_dropped_table_is_gone_with_its_files_when_the_grace_ends_or_at_once_when_asked() {
    for asked in [false, true] {
        let (fs, env, clock) = machine_with_clock();
        let db = open_at(&env, ROOT);
        fill(&db, 1);
        drop_table(&db);
        db.step_dropped().unwrap();
        clock.advance_us(23 * HOUR_US);
        db.step_dropped().unwrap();
        let until_us = db.dropped_tables().unwrap()[0].until_us;
        assert!((clock.now_us() + HOUR_US - until_us).abs() < 1_000);
        clean_up(&db);
        assert_eq!((db.dropped_tables().unwrap().len(), segments(&fs)), (1, 2), "its rows were flushed meanwhile");
        if asked {
            db.purge_table("T", None).unwrap();
            assert!(matches!(db.purge_table("t", None), Err(Error::NotFound(why)) if why.contains("dropped_tables()")));
        } else {
            clock.advance_us(HOUR_US);
            db.step_dropped().unwrap();
        }
        assert!(matches!(db.undrop_table("t", None, None), Err(Error::NotFound(_))));
        clean_up(&db);
        clean_up(&db);
        assert_eq!(segments(&fs), 0);
    }
}

/// Nor does it end while the wall clock stands still; what passed between two commits before a start counts.
#[test]
fn a_clock_that_is_ahead_for_a_moment_ends_no_grace() {
    let (fs, env, clock) = machine_with_clock();
    let mut db = open_at(&env, ROOT);
    fill(&db, 1);
    drop_table(&db);
    let right_us = clock.now_us();
    for restarts in [false, true] {
        clock.set_wall_us(right_us + 40 * 24 * HOUR_US);
        if restarts {
            drop(db);
            db = open_at(&on(&env, fs.kill()), ROOT);
        }
        db.step_dropped().unwrap();
        clock.set_wall_us(right_us);
        db.step_dropped().unwrap();
        assert_eq!(db.dropped_tables().unwrap().len(), 1);
    }
    clock.advance_us(20 * HOUR_US);
    create(&db, "other");
    drop(db);
    let db = open_at(&on(&env, fs.kill()), ROOT);
    db.step_dropped().unwrap();
    clock.advance_us(3 * HOUR_US);
    db.step_dropped().unwrap();
    assert_eq!(db.dropped_tables().unwrap().len(), 1);
    clock.advance_us(HOUR_US);
    db.step_dropped().unwrap();
    assert!(db.dropped_tables().unwrap().is_empty());
}

/// The commits that follow have its time, which is yet to come when the next start looks.
#[test]
fn a_commit_by_a_clock_that_is_ahead_ends_no_grace() {
    let (fs, env, clock) = machine_with_clock();
    let mut db = open_at(&env, ROOT);
    fill(&db, 1);
    drop_table(&db);
    let right_us = clock.now_us();
    clock.set_wall_us(right_us + 40 * 24 * HOUR_US);
    create(&db, "ahead");
    clock.set_wall_us(right_us);
    for dropped in [1, 2] {
        clock.advance_us(HOUR_US);
        drop(db);
        db = open_at(&on(&env, fs.kill()), ROOT);
        db.step_dropped().unwrap();
        assert_eq!(db.dropped_tables().unwrap().len(), dropped);
        fill(&db, 1);
        drop_table(&db);
    }
    clock.advance_us(22 * HOUR_US);
    drop(db);
    db = open_at(&on(&env, fs.kill()), ROOT);
    db.step_dropped().unwrap();
    assert_eq!(db.dropped_tables().unwrap().len(), 2, "the oldest has had its 24 hours");
}

#[test]
fn a_copy_holds_dropped_tables_whatever_becomes_of_them_later() {
    for settles in [false, true] {
        let (fs, env, _) = machine_with_clock();
        let db = open_at(&env, ROOT);
        let before = fill(&db, 1);
        drop_table(&db);
        let keep = Terms { keep: true, ..Terms::default() };
        db.prepare_snapshot_with("good", keep).unwrap();
        if settles {
            assert!(db.step_settle().unwrap());
        }
        db.purge_table("t", None).unwrap();
        clean_up(&db);
        clean_up(&db);
        fs.copy_tree(Path::new(ROOT), Path::new("/copy"), CopyMode::Copy, &["db/_live", "log"], 1).finish();
        fs.write_file(Path::new("/copy/_restore"), b"");
        let copy = open_at(&on_arc(&env, fs.clone()), "/copy");
        assert!(copy.view().tables().is_empty());
        copy.undrop_table("t", None, None).unwrap();
        assert_eq!(rows(&copy, "t"), before, "settled: {settles}");
    }
}

#[test]
fn without_a_grace_a_table_is_gone_at_once() {
    let (_, env, _) = machine_with_clock();
    let db = crate::support::open(&env).unwrap();
    fill(&db, 1);
    drop_table(&db);
    assert!(db.dropped_tables().unwrap().is_empty());
}

#[test]
fn tables_dropped_by_mistake_stay_while_another_change_of_theirs_ends() {
    let (fs, env, _) = machine_with_clock();
    let db = open_at(&env, ROOT);
    let id = create(&db, "t");
    let keep = || Terms { keep: true, ..Terms::default() };
    insert(&db, "t", &[(1, Some("a"), 1, Some("one"))]);
    db.prepare_snapshot_with("between", keep()).unwrap();
    insert(&db, "t", &[(2, Some("b"), 2, Some("two"))]);
    let before = rows(&db, "t");
    drop_table(&db);
    // Rows on both sides of a cut, in memory when the table goes: a kept snapshot settles, then the table is flushed.
    while db.step_settle().unwrap() {}
    clean_up(&db);
    assert!(db.step_flush().is_ok_and(|flushed| !flushed), "a dropped table holds no log");
    drop(db);
    let db = open_at(&on(&env, fs.kill()), ROOT);
    assert_eq!(db.undrop_table("t", Some(id), None).unwrap(), id);
    assert_eq!(rows(&db, "t"), before);
    db.flush_table(id).unwrap();
    while db.step_compact().unwrap() {}
    assert_eq!(rows(&db, "t"), before);
}

#[test]
fn near_a_full_disk_dropped_tables_go_before_their_time_the_oldest_first() {
    let (fs, env, clock) = machine_with_clock();
    let db = open_at(&env, ROOT);
    let wide: &'static str = String::leak("x".repeat(11 << 20));
    for name in ["first", "second", "third"] {
        let id = create(&db, name);
        insert(&db, name, &[(1, Some("a"), 1, Some(if name == "third" { "small" } else { wide }))]);
        db.flush_table(id).unwrap();
        db.drop_table(id).unwrap();
    }
    clean_up(&db);
    let names = |db: &Database| -> Vec<String> {
        db.dropped_tables().unwrap().into_iter().map(|table| table.name.as_str().to_owned()).collect()
    };
    let tick = || {
        clock.advance_us(1_000_000);
        db.step_guard().unwrap();
        clean_up(&db);
    };
    tick();
    assert_eq!(names(&db), ["third", "second", "first"], "there is room");
    fs.set_free_bytes(Some(40 << 20));
    tick();
    assert_eq!(names(&db), ["third", "second"]);
    (0..3).for_each(|_| tick());
    assert_eq!(names(&db), ["third"], "what would give back next to nothing stays");
}
