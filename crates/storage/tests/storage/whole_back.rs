//! The whole database goes back to a snapshot in the running server, and forward again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use storage::env::Fs;
use storage::env::sim_fs::Survive;
use storage::{Database, Difference, Error, Options, SnapshotState, TableChange, Terms};
use types::TableName;

use crate::support::*;

type Tables = BTreeMap<String, Vec<String>>;

fn keep(db: &Database, name: &str) {
    db.prepare_snapshot_with(name, Terms { keep: true, ..Terms::default() }).unwrap();
}

fn clean_up(db: &Database) {
    while db.step_settle().unwrap() {}
    db.write_base().unwrap();
    while db.step_gc().unwrap() {}
}

fn tables(db: &Database) -> Tables {
    db.view().tables().iter().map(|table| (table.name().as_str().to_owned(), rows_of(table))).collect()
}

/// Tables that will stay, change, change their name and go: each with rows in a segment and in memory.
fn filled(db: &Database) -> Tables {
    for name in ["stays", "changes", "moves", "goes"] {
        let id = create(db, name);
        db.set_dedup(id, Some(&["ts", "sym"])).unwrap();
        insert(db, name, &[(1, Some("a"), 1, Some(name)), (DAY_US, Some("b"), 2, None)]);
        db.flush_table(id).unwrap();
        insert(db, name, &[(1, Some("a"), 3, Some("again")), (2, Some("c"), 4, None)]);
    }
    tables(db)
}

fn change(db: &Database) -> Tables {
    let id = |name: &str| db.view().table(name).unwrap().id();
    insert(db, "changes", &[(3, Some("later"), 5, None)]);
    db.flush_table(id("changes")).unwrap();
    insert(db, "changes", &[(4, Some("in memory"), 6, None)]);
    db.rename_table(id("moves"), &TableName::new("moved").unwrap()).unwrap();
    db.drop_table(id("goes")).unwrap();
    create(db, "made");
    insert(db, "made", &[(7, None, 7, None)]);
    tables(db)
}

#[test]
fn the_database_goes_back_to_a_snapshot_and_forward_again() {
    for restarts in [false, true] {
        let (fs, env) = machine();
        let mut db = open(&env).unwrap();
        let then = filled(&db);
        keep(&db, "good");
        let now = change(&db);
        let stays = db.view().table("stays").unwrap().id();
        if restarts {
            clean_up(&db);
        }
        assert_eq!(db.restore_database("good", "admin").unwrap().as_deref(), Some("before-restore"));
        assert_eq!(tables(&db), then);
        assert_eq!(db.view().table("stays").unwrap().id(), stays, "what did not change stays where it is");
        if restarts {
            drop(db);
            fs.power_cut(Survive::Nothing);
            db = open(&on(&env, fs.power_up())).unwrap();
            clean_up(&db);
            assert_eq!(tables(&db), then);
        }
        insert(&db, "changes", &[(9, Some("on the other way"), 9, None)]);
        let other = tables(&db);
        assert_eq!(db.restore_database("before-restore", "admin").unwrap().as_deref(), Some("before-restore-2"));
        assert_eq!(tables(&db), now);
        let kept: Vec<_> = db.snapshots().into_iter().map(|s| (s.name, s.owner, s.lease_end_us.is_some())).collect();
        let way_back = |name: &str| (name.to_owned(), "admin".to_owned(), true);
        assert_eq!(kept[..2], [way_back("before-restore"), way_back("before-restore-2")]);
        assert_eq!(db.restore_database("before-restore-2", "admin").unwrap().as_deref(), Some("before-restore-3"));
        assert_eq!(tables(&db), other);
        for snapshot in db.snapshots() {
            db.complete_snapshot(&snapshot.name).unwrap();
        }
        clean_up(&db);
        db.view().tables().iter().for_each(|table| assert!(table.check_files().unwrap() > 0));
        assert_eq!(tables(&db), other);
    }
}

#[test]
fn it_says_before_what_a_restore_of_the_database_would_take_and_bring() {
    let (_, env) = machine();
    let db = open(&env).unwrap();
    filled(&db);
    keep(&db, "good");
    let same = db.difference_to("good").unwrap();
    assert_eq!((same.changes.len(), same.unchanged), (0, 4));
    change(&db);
    assert_eq!(
        db.difference_to("good").unwrap().to_string(),
        "going back to snapshot good: 1 tables change (changes from 5 to 3 rows), 2 go (made with 1 rows, moved with 3 \
         rows), 2 come back (goes with 3 rows, moves with 3 rows), 1 stay as they are; what is there now is kept for 24 h \
         as a snapshot"
    );
    for wrong in ["never", ""] {
        assert!(matches!(db.difference_to(wrong), Err(Error::NotFound(_))));
        assert!(matches!(db.restore_database(wrong, "admin"), Err(Error::NotFound(_))));
    }
    assert_eq!(db.snapshots().len(), 1);
}

#[test]
fn what_a_restore_of_the_database_took_away_goes_when_its_grace_is_over() {
    for grace_us in [0, 60_000_000] {
        let (_, env) = machine();
        let options = Options { restore_grace_us: grace_us, drop_grace_us: 0, ..Options::new(ROOT) };
        let db = Database::open(env.clone(), options).unwrap();
        let then = filled(&db);
        keep(&db, "good");
        change(&db);
        let way_back = db.restore_database("good", "admin").unwrap();
        assert_eq!((way_back.is_some(), tables(&db)), (grace_us > 0, then));
        if grace_us > 0 {
            let kept = db.snapshots().into_iter().find(|s| s.name == "before-restore").unwrap();
            assert_eq!(kept.state, SnapshotState::Kept);
            db.keep_snapshot("before-restore", Some(-1)).unwrap();
            db.step_leases().unwrap();
        }
        assert_eq!(db.snapshots().len(), 1);
        clean_up(&db);
    }
}

#[test]
fn no_row_is_copied_when_the_database_goes_back() {
    let (_, env) = machine();
    let db = open(&env).unwrap();
    let note = "0123456789".repeat(100).leak();
    for name in ["one", "two"] {
        let id = create(&db, name);
        for day in 0..20 {
            insert(&db, name, &(0..50).map(|i| (day * DAY_US + i, Some("a"), i, Some(&*note))).collect::<Vec<_>>());
        }
        db.flush_table(id).unwrap();
    }
    keep(&db, "good");
    for table in db.view().tables() {
        db.truncate(table.id()).unwrap();
    }
    let written = |db: &Database| (db.status().written_segments, db.status().written_segment_bytes);
    let before = written(&db);
    db.restore_database("good", "admin").unwrap();
    assert_eq!(written(&db), before);
    assert!(db.view().tables().iter().all(|table| table.row_count().unwrap() == 1_000));
}

/// Rows in segments and in memory, symbols, a list for each table: all of it durable by one call.
#[test]
fn the_syncs_of_a_restore_of_the_database_do_not_grow_with_its_tables() {
    let mut syncs = Vec::new();
    for count in [6, 40] {
        let (fs, env) = machine();
        let db = open(&env).unwrap();
        for n in 0..count {
            let name = format!("t{n}");
            let id = create(&db, &name);
            insert(&db, &name, &[(1, Some("a"), n, None), (DAY_US, Some("b"), n, None)]);
            db.flush_table(id).unwrap();
            insert(&db, &name, &[(2 * DAY_US, Some("c"), n, None)]);
        }
        let then = tables(&db);
        keep(&db, "good");
        db.view().tables().iter().for_each(|table| db.truncate(table.id()).map(drop).unwrap());
        db.step_spare().unwrap();
        let before = fs.counts();
        db.restore_database("good", "admin").unwrap();
        syncs.push(fs.counts().syncs - before.syncs);
        drop(db);
        fs.power_cut(Survive::Nothing);
        assert_eq!(tables(&open(&on(&env, fs.power_up())).unwrap()), then);
    }
    assert!(syncs[0] == syncs[1] && syncs[0] <= 8, "{syncs:?}");
}

/// Each acknowledged row is in the way back, or in the table that came.
#[test]
fn no_row_is_lost_that_comes_while_the_database_goes_back() {
    let (_, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "t");
    insert(&db, "t", &[(1, Some("a"), 1, None)]);
    keep(&db, "good");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut stored = 0;
            while !done.load(Ordering::Relaxed) {
                let append = || db.append(vec![batch(&db, "t", &[(2 + stored as i64, None, 2, None)])]);
                match append() {
                    // The table went since its rows were made; who looks again finds the one in its place.
                    Err(Error::Conflict(_)) => drop(append().unwrap()),
                    appended => drop(appended.unwrap()),
                }
                stored += 1;
            }
            stored
        });
        let ending = Ending(&done);
        let some_are_stored = || {
            while rows(&db, "t").len() < 20 {
                assert!(!writer.is_finished(), "the writer failed");
                std::thread::yield_now();
            }
        };
        some_are_stored();
        let undo = db.restore_database("good", "admin").unwrap().unwrap();
        some_are_stored();
        drop(ending);
        let stored = writer.join().unwrap();
        let before = db.view_at(&undo).unwrap().table("t").unwrap().row_count().unwrap();
        let after = db.view().table("t").unwrap().row_count().unwrap();
        assert_eq!(before - 1 + after - 1, stored as u64);
    });
}

#[test]
fn what_going_back_would_do_names_some_tables_and_says_where_there_are_more() {
    let gone =
        |n: u64| TableChange { name: TableName::new(&format!("t{n}")).unwrap(), rows_now: Some(n), rows_then: None };
    let told = |count: u64| {
        let changes = (1..=count).map(gone).collect();
        Difference { snapshot: "good".to_owned(), changes, unchanged: 1, views: Vec::new(), grace_us: 0 }.to_string()
    };
    let five = "t1 with 1 rows, t2 with 2 rows, t3 with 3 rows, t4 with 4 rows, t5 with 5 rows";
    let rest = "0 come back, 1 stay as they are; what is there now is lost (restore.grace is 0)";
    assert_eq!(told(5), format!("going back to snapshot good: 0 tables change, 5 go ({five}), {rest}"));
    assert_eq!(told(6), format!("going back to snapshot good: 0 tables change, 6 go ({five}, …), {rest}"));
    assert_eq!(told(7), format!("going back to snapshot good: 0 tables change, 7 go ({five}, …), {rest}"));
}
