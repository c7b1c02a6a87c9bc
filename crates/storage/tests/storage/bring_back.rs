//! A table as it was comes back into the running server.

use std::path::Path;
use std::sync::Arc;

use storage::Env;
use storage::env::Fs;
use storage::env::sim_fs::{CopyMode, Fault, FaultPlan, OpKind, SimFs, Survive};
use storage::{Database, Error, Options, Terms};
use types::{TableId, TableName};

use crate::support::*;

fn keep(db: &Database, name: &str) {
    db.prepare_snapshot_with(name, Terms { keep: true, ..Terms::default() }).unwrap();
}

fn bring_back(db: &Database, snapshot: &str, table: &str, to: &str) -> storage::Result<TableId> {
    db.restore_table(&db.view_at(snapshot).unwrap(), table, &TableName::new(to).unwrap())
}

fn files_of(fs: &SimFs, table: &str) -> usize {
    let below = fs.files_below(&Path::new(ROOT).join("db"));
    let is_of_table = |path: &Path| path.iter().any(|step| step.to_string_lossy().starts_with(&format!("{table}~")));
    below.iter().filter(|path| is_of_table(path)).count()
}

/// Keys, two days in segments, a third day in memory alone: a replaced row, a new symbol.
fn filled(db: &Database) -> Vec<String> {
    let id = create(db, "t");
    db.set_dedup(id, Some(&["ts", "sym"])).unwrap();
    insert(db, "t", &[(1, Some("a"), 1, Some("x")), (DAY_US, Some("b"), 2, None), (DAY_US + 1, Some("a"), 3, None)]);
    insert(db, "t", &[(DAY_US + 2, Some("c"), 3, None)]);
    db.flush_table(id).unwrap();
    insert(db, "t", &[(DAY_US, Some("b"), 4, None)]);
    db.flush_table(id).unwrap();
    insert(db, "t", &[(2 * DAY_US, Some("new"), 5, None), (DAY_US + 1, Some("a"), 6, None), (5, None, 7, None)]);
    insert(db, "t", &[(1, Some("a"), 8, Some("y"))]);
    rows(db, "t")
}

#[test]
fn a_table_comes_back_as_it_was_at_the_cut_and_goes_its_own_way() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let cut = filled(&db);
    keep(&db, "good");
    let id = db.view().table("t").unwrap().id();
    insert(&db, "t", &[(7, Some("later"), 9, None)]);
    let now = rows(&db, "t");
    assert_ne!(bring_back(&db, "good", "T", "t2").unwrap(), id);
    assert_eq!((rows(&db, "t2"), rows(&db, "t")), (cut, now.clone()));
    // Each has its own symbols, and its keys.
    insert(&db, "t2", &[(8, Some("own"), 10, None), (9, Some("later"), 11, None), (1, Some("a"), 12, None)]);
    assert_eq!(rows(&db, "t"), now);
    let back = rows(&db, "t2");
    assert!(back[0].starts_with("1 a 12 ") && back.iter().any(|row| row == "8 own 10 null"), "{back:?}");
    // A linked segment gets dead rows of its own.
    db.flush_table(db.view().table("t2").unwrap().id()).unwrap();
    assert_eq!((rows(&db, "t2"), rows(&db, "t")), (back.clone(), now));
    db.drop_table(id).unwrap();
    db.complete_snapshot("good").unwrap();
    clean_up(&db);
    drop(db);
    fs.power_cut(Survive::Nothing);
    let db = open(&on(&env, fs.power_up())).unwrap();
    assert_eq!(rows(&db, "t2"), back);
    db.view().table("t2").unwrap().check_files().unwrap();
}

#[test]
fn no_byte_of_a_segment_is_copied_and_the_calls_grow_with_the_files_alone() {
    let mut calls = Vec::new();
    for days in [10, 20] {
        let (fs, env) = machine();
        let db = open(&env).unwrap();
        let id = create(&db, "t");
        let note = "0123456789".repeat(100).leak();
        for day in 0..days {
            insert(&db, "t", &(0..50).map(|i| (day * DAY_US + i, Some("a"), i, Some(&*note))).collect::<Vec<_>>());
        }
        db.flush_table(id).unwrap();
        keep(&db, "good");
        let then = db.view_at("good").unwrap();
        db.step_spare().unwrap();
        let before = fs.counts();
        db.restore_table(&then, "t", &TableName::new("t2").unwrap()).unwrap();
        let after = fs.counts();
        assert!(after.written_bytes - before.written_bytes < 40_000, "{before:?} {after:?}");
        calls.push((after.calls - before.calls, after.syncs - before.syncs));
        assert_eq!(db.view().table("t2").unwrap().row_count().unwrap(), 50 * days as u64);
    }
    assert_eq!(calls[1].0 - calls[0].0, 10, "a link a segment: {calls:?}");
    assert_eq!(calls[1].1, calls[0].1, "no more syncs: {calls:?}");
    assert!(calls[0].1 <= 8, "{calls:?}");
}

/// Two workers link them, in two directories.
#[test]
fn a_table_of_very_many_segments_comes_back_whole() {
    let (fs, env) = machine();
    let env = Env { join: storage::env::join::at_once, ..env };
    let db = Database::open(env.clone(), Options::new(ROOT)).unwrap();
    let id = create(&db, "t");
    insert(&db, "t", &(0..1_500).map(|day| (day * DAY_US, Some("a"), day, None)).collect::<Vec<_>>());
    db.flush_table(id).unwrap();
    // In a third of the partitions a row dies: each has a delete vector to be linked.
    db.set_dedup(id, Some(&["ts"])).unwrap();
    insert(&db, "t", &(0..500).map(|n| (n * 3 * DAY_US, Some("b"), n, None)).collect::<Vec<_>>());
    db.flush_table(id).unwrap();
    let cut = rows(&db, "t");
    keep(&db, "good");
    let then = db.view_at("good").unwrap();
    db.step_spare().unwrap();
    let before = fs.counts();
    db.restore_table(&then, "t", &TableName::new("t2").unwrap()).unwrap();
    assert!(fs.counts().syncs - before.syncs <= 9);
    let linked = |dir: &str| fs.list(&Path::new(ROOT).join("db/t2~2").join(dir)).unwrap().len();
    assert!(linked("_linked") > 600 && linked("_linked2") > 600);
    db.drop_table(id).unwrap();
    drop(db);
    fs.power_cut(Survive::Nothing);
    let db = open(&on(&env, fs.power_up())).unwrap();
    assert_eq!(rows(&db, "t2"), cut);
    db.view().table("t2").unwrap().check_files().unwrap();
}

/// At every call but the links, and at some of these: at each of 530 there is nothing new to see.
#[test]
fn a_cut_while_very_many_files_are_linked_leaves_the_whole_table_or_none() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    insert(&db, "t", &(0..530).map(|day| (day * DAY_US, Some("a"), day, None)).collect::<Vec<_>>());
    db.flush_table(id).unwrap();
    let cut = rows(&db, "t");
    keep(&db, "good");
    clean_up(&db);
    fs.capture_crash_points(true);
    bring_back(&db, "good", "t", "back").unwrap();
    let points = fs.take_crash_points();
    let (links, others): (Vec<_>, Vec<_>) = points.iter().partition(|point| point.op.site.kind == OpKind::HardLink);
    let made: Vec<_> = others.iter().filter(|point| point.op.site.kind == OpKind::CreateDir).collect();
    assert!(made.iter().any(|point| point.op.path.ends_with("_linked2")) && links.len() > 512);
    let (mut came, mut did_not) = (0, 0);
    for point in others.into_iter().chain(links.into_iter().step_by(100)) {
        for survive in [Survive::Nothing, Survive::Subset(point.op.number), Survive::EntriesLost(point.op.number)] {
            let fs = Arc::new(point.power_cut(survive));
            let db = open(&on_arc(&env, fs.clone())).unwrap();
            clean_up(&db);
            clean_up(&db);
            let is_there = db.view().table("back").is_some();
            if is_there {
                assert_eq!(rows(&db, "back"), cut, "{}", point.op.site);
                db.view().table("back").unwrap().check_files().unwrap();
                came += 1;
            } else {
                assert_eq!(files_of(&fs, "back"), 0, "{}", point.op.site);
                did_not += 1;
            }
            assert_eq!(rows(&db, "t").len(), cut.len());
        }
    }
    assert!(came > 0 && did_not > 20, "{came} {did_not}");
}

#[test]
fn a_table_whose_files_cannot_be_linked_does_not_come_back() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    filled(&db);
    keep(&db, "good");
    db.step_spare().unwrap();
    fs.record_trace(true);
    bring_back(&db, "good", "t", "t2").unwrap();
    // Symbol files come first, segments behind them.
    let link = fs.take_trace().iter().rposition(|op| op.site.kind == OpKind::HardLink).expect("segments are linked");
    let at_op = fs.op_count() + 1 + link as u64;
    fs.set_faults(FaultPlan::one(Fault::Fail { at_op, errno: Fault::EIO, times: 1 }));
    let error = bring_back(&db, "good", "t", "t3").unwrap_err().to_string();
    assert!(error.contains("_linked"), "{error}");
    assert!(db.view().table("t3").is_none());
    // The fault is over.
    bring_back(&db, "good", "t", "t3").unwrap();
    assert_eq!(rows(&db, "t3"), rows(&db, "t2"));
}

#[test]
fn a_dropped_table_comes_back_under_its_own_name_and_dropping_it_undoes_that() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let cut = filled(&db);
    keep(&db, "good");
    match bring_back(&db, "good", "t", "t") {
        Err(Error::Exists(why)) => assert!(why.contains("AS another name"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(bring_back(&db, "good", "u", "u"), Err(Error::NotFound(_))));
    db.drop_table(db.view().table("t").unwrap().id()).unwrap();
    clean_up(&db);
    let then = files_of(&fs, "t");
    let back = bring_back(&db, "good", "t", "t").unwrap();
    assert_eq!(rows(&db, "t"), cut);
    clean_up(&db);
    assert!(files_of(&fs, "t") > then);
    db.drop_table(back).unwrap();
    clean_up(&db);
    clean_up(&db);
    assert_eq!(files_of(&fs, "t"), then, "{:#?}", fs.files_below(Path::new(ROOT)));
    assert_eq!(rows_of(&db.view_at("good").unwrap().table("t").unwrap()), cut);
}

/// A copy's replay passes the frame that made the table and the one that dropped it, and reads what the first one names.
#[test]
fn a_copy_from_between_bases_restores_although_a_table_came_back_and_went() {
    for keeps in [false, true] {
        let (fs, env) = machine();
        let db = open(&env).unwrap();
        let cut = filled(&db);
        db.flush_table(db.view().table("t").unwrap().id()).unwrap();
        db.write_base().unwrap();
        keep(&db, "good");
        let back = bring_back(&db, "good", "t", "t2").unwrap();
        insert(&db, "t2", &[(8, Some("own"), 10, None)]);
        if keeps {
            bring_back(&db, "good", "t", "t3").unwrap();
        }
        db.drop_table(back).unwrap();
        while db.step_gc().unwrap() {}
        keep(&db, "later");
        let (fs, db) = if keeps {
            (fs, db)
        } else {
            drop(db);
            let fs = Arc::new(fs.kill());
            let db = open(&on_arc(&env, fs.clone())).unwrap();
            (fs, db)
        };
        clean_up(&db);
        clean_up(&db);
        restores_from_a_copy(&fs, &on_arc(&env, fs.clone()), keeps, &cut);
    }
}

fn restores_from_a_copy(fs: &SimFs, env: &storage::Env, keeps: bool, cut: &[String]) {
    fs.copy_tree(Path::new(ROOT), Path::new("/copy"), CopyMode::Copy, &["db/_live", "log"], 1).finish();
    fs.write_file(Path::new("/copy/_restore"), b"snapshot=later");
    let copy = open_at(env, "/copy").unwrap();
    assert_eq!(rows(&copy, "t"), cut);
    assert!(copy.view().table("t2").is_none());
    assert_eq!(rows(&copy, "t3"), if keeps { cut.to_vec() } else { Vec::new() });
}

#[test]
fn a_crash_before_the_frame_leaves_files_that_the_next_run_removes() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    filled(&db);
    keep(&db, "good");
    clean_up(&db);
    fs.capture_crash_points(true);
    bring_back(&db, "good", "t", "t2").unwrap();
    let (mut came, mut did_not) = (0, 0);
    for point in fs.take_crash_points() {
        let fs = Arc::new(point.kill());
        let db = open(&on_arc(&env, fs.clone())).unwrap();
        clean_up(&db);
        clean_up(&db);
        let is_there = db.view().table("t2").is_some();
        assert_eq!(files_of(&fs, "t2") > 0, is_there, "{}: {:?}", point.op.site, fs.files_below(Path::new(ROOT)));
        if is_there { came += 1 } else { did_not += 1 }
    }
    assert!(came > 0 && did_not > 10, "{came} {did_not}");
}

#[test]
fn the_first_tidying_of_a_start_takes_no_folder_of_a_table_that_comes_back() {
    let mut met = 0;
    for nth in 0.. {
        let (fs, env) = machine();
        let cut = filled(&open(&env).unwrap());
        let fs = Arc::new(fs.kill());
        let db = Arc::new(open(&on_arc(&env, fs.clone())).unwrap());
        keep(&db, "good");
        let tidies = db.clone();
        fs.interrupt(nth, move || clean_up(&tidies));
        bring_back(&db, "good", "t", "back").unwrap();
        if fs.end_interruption() {
            break;
        }
        met += 1;
        assert_eq!(rows(&db, "back"), cut, "tidied before file {nth}");
        clean_up(&db);
        drop(db);
        assert_eq!(rows(&open(&on_arc(&env, Arc::new(fs.kill()))).unwrap(), "back"), cut, "tidied before file {nth}");
    }
    assert!(met > 2, "too few files were written");
}
