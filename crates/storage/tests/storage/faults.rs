//! Faults of real machines: full disks, failing syncs, too few descriptors, clocks that jump, damaged bytes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use storage::env::Fs;
use storage::env::clock::ManualClock;
use storage::env::fs::FileKind;
use storage::env::sim_fs::{Fault, FaultPlan, Op, OpKind, SimFs, Survive};
use storage::{Database, Error, SnapshotState};

use crate::support::*;

const ROW: Row = (DAY_US, Some("a"), 1, Some("text"));

/// A table with flushed rows, and everything quiet.
fn flushed(env: &storage::Env) -> Database {
    let db = open(env).unwrap();
    let id = create(&db, "t");
    insert(&db, "t", &[ROW, (2 * DAY_US, Some("b"), 2, None)]);
    db.flush_table(id).unwrap();
    db.step_spare().unwrap();
    db
}

/// Inserts until the disk takes no more; returns the refusal and how many rows went in.
fn fill(db: &Database) -> (String, usize) {
    for n in 0..100_000 {
        match db.append(vec![batch(db, "t", &[ROW])]) {
            Ok(_) => {}
            Err(Error::Unavailable(why)) => return (why, n),
            Err(other) => panic!("{other}"),
        }
    }
    panic!("the disk was never full");
}

#[test]
fn a_full_disk_refuses_writes_and_serves_reads_until_there_is_room() {
    let (fs, env) = machine();
    let db = flushed(&env);
    fs.set_free_bytes(Some(0));
    let (why, taken) = fill(&db);
    assert!(why.contains("disk full") && why.contains("/root/db") && why.contains("free space"), "{why}");
    assert_eq!(rows(&db, "t").len(), 2 + taken, "reads go on");
    assert_eq!(db.write_failure(), None, "a full disk is no broken log");
    let refused = (0..1_000).find_map(|n| {
        let name = types::TableName::new(format!("more{n}").as_str()).unwrap();
        let columns = vec![column("v", types::ColumnType::Long)];
        db.create_table(storage::NewTable::new(name, columns, None, types::PartitionBy::None)).err()
    });
    assert!(matches!(refused, Some(Error::Unavailable(_))), "{refused:?}");

    fs.set_free_bytes(Some(64 << 20));
    insert(&db, "t", &[ROW]);
    assert_eq!(rows(&db, "t").len(), 3 + taken, "writes resume by themselves");
    drop(db);
    let db = open(&on(&env, fs.kill())).unwrap();
    assert_eq!(rows(&db, "t").len(), 3 + taken);
}

#[test]
fn a_full_disk_lets_a_snapshot_end_and_tables_go() {
    let (fs, env) = machine();
    let db = flushed(&env);
    db.prepare_snapshot("default").unwrap();
    db.step_spare().unwrap();
    fs.set_free_bytes(Some(0));
    fill(&db);
    db.complete_snapshot("default").unwrap();
    assert!(db.snapshots().is_empty());
    let id = db.view().table("t").unwrap().id();
    // the rows in memory are of 1970-01-02
    let before = rows(&db, "t").len();
    db.drop_partitions(id, &[types::PartitionBy::Day.key(2 * DAY_US)]).unwrap();
    assert_eq!(rows(&db, "t").len(), before - 1);
    db.drop_table(id).unwrap();
    assert!(db.view().table("t").is_none());
    while db.step_gc().unwrap() {}
    db.step_spare().expect_err("a spare needs more than the dropped segments gave back");
    fs.set_free_bytes(Some(64 << 20));
    db.step_spare().unwrap();
    create(&db, "t");
    insert(&db, "t", &[ROW]);
}

/// The cut ends its log file, and the rest of that is of no use to what ends the snapshot.
#[test]
fn a_cut_on_a_nearly_full_disk_leaves_room_for_its_end() {
    let mut prepared = Vec::new();
    for free_bytes in [0, 50 << 10, 100 << 10, 900 << 10, 3 << 20] {
        let (fs, env) = machine();
        let db = flushed(&env);
        db.prepare_snapshot("before").unwrap();
        // It begins the spare, and there is no other one.
        db.complete_snapshot("before").unwrap();
        fs.set_free_bytes(Some(free_bytes));
        match db.prepare_snapshot("default") {
            Ok(()) => prepared.push(free_bytes),
            Err(Error::Unavailable(why)) if why.contains("disk full") => {}
            Err(other) => panic!("{other}"),
        }
        fill(&db);
        fs.set_free_bytes(Some(0));
        db.complete_snapshot("default").unwrap();
        let id = db.view().table("t").unwrap().id();
        db.truncate(id).unwrap();
        db.drop_table(id).unwrap();
        assert!(db.snapshots().is_empty() && db.view().table("t").is_none());
        drop(db);
        let env = on(&env, fs.kill());
        assert!(matches!(open(&env), Err(Error::Unavailable(_))), "a run begins a log file");
        fs.set_free_bytes(Some(100 << 10));
        open(&env).unwrap();
    }
    assert_eq!(prepared, [100 << 10, 900 << 10, 3 << 20]);
}

#[test]
fn a_flush_on_a_full_disk_leaves_nothing_and_is_tried_again() {
    let (fs, env) = machine();
    let db = flushed(&env);
    let id = db.view().table("t").unwrap().id();
    insert(&db, "t", &[ROW]);
    let files = files_below(&fs, Path::new(ROOT));
    fs.set_free_bytes(Some(10));
    let error = db.flush_table(id).unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)) && error.to_string().contains("disk full"), "{error}");
    while db.step_gc().unwrap() {}
    assert_eq!(files_below(&fs, Path::new(ROOT)), files, "what was begun is removed");
    assert_eq!(rows(&db, "t").len(), 3);
    fs.set_free_bytes(None);
    db.flush_table(id).unwrap();
    assert_eq!(rows(&db, "t").len(), 3);
}

/// Does a bit of everything; returns how many rows of `t` were acknowledged. Whatever is refused is refused for the disk.
fn work_on_a_filling_disk(db: &Database) -> usize {
    let id = db.view().table("t").unwrap().id();
    let mut acknowledged = 0;
    let look = |what: &str, outcome: Result<(), Error>| match outcome {
        Ok(()) => true,
        Err(Error::Unavailable(why)) if why.contains("disk full") => false,
        Err(other) => panic!("{what}: {other}"),
    };
    for round in 0..4 {
        for _ in 0..20 {
            let stored = look("insert", db.append(vec![batch(db, "t", &[ROW])]).map(drop));
            acknowledged += usize::from(stored);
        }
        let opened = look("prepare", db.prepare_snapshot("default"));
        look("flush", db.flush_table(id));
        look("base", db.write_base());
        look("spare", db.step_spare());
        if opened {
            db.complete_snapshot("default").expect("COMPLETE works on a full disk");
        }
        look("gc", db.step_gc().map(drop));
        if round == 2 {
            db.drop_table(db.view().table("large").unwrap().id()).expect("DROP works on a full disk");
        }
    }
    acknowledged
}

#[test]
fn a_disk_that_fills_at_any_point_loses_nothing_and_recovers() {
    const STEP_BYTES: u64 = 96 << 10;
    for free_bytes in (0..60).map(|n| n * STEP_BYTES) {
        let (fs, env) = machine();
        let db = flushed(&env);
        let large = create(&db, "large");
        insert(&db, "large", &[ROW; 2_000]);
        db.flush_table(large).unwrap();
        db.step_spare().unwrap();
        fs.set_free_bytes(Some(free_bytes));
        let acknowledged = work_on_a_filling_disk(&db);
        assert_eq!(rows(&db, "t").len(), 2 + acknowledged, "{free_bytes} bytes were free");
        assert_eq!(db.write_failure(), None, "{free_bytes} bytes were free");
        fs.set_free_bytes(None);
        insert(&db, "t", &[ROW]);
        let expected = rows(&db, "t");
        assert_eq!(expected.len(), 3 + acknowledged);
        drop(db);
        let db = open(&on(&env, fs.kill())).unwrap();
        assert_eq!(rows(&db, "t"), expected, "{free_bytes} bytes were free");
        assert!(db.view().table("large").is_none() && db.snapshots().is_empty());
    }
}

#[test]
fn a_root_that_cannot_be_written_is_refused_in_a_sentence() {
    const EROFS: i32 = 30;
    const EACCES: i32 = 13;
    for (errno, words) in [(EROFS, ["read-only", "mount it for writing"]), (EACCES, ["no right", "start as its owner"])]
    {
        let (fs, env) = machine();
        drop(flushed(&env));
        let fs = Arc::new(fs.kill());
        fs.set_faults(FaultPlan::one(Fault::Fail { at_op: fs.op_count() + 4, errno, times: u64::MAX }));
        let error = open(&on_arc(&env, fs)).map(drop).unwrap_err();
        assert!(matches!(error, Error::Refused(_)), "{error}");
        for word in words.into_iter().chain(["/root", "-d"]) {
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}

#[test]
fn a_failed_sync_is_never_acknowledged_and_never_repeated() {
    let (fs, env) = machine();
    let db = flushed(&env);
    fs.record_trace(true);
    insert(&db, "t", &[ROW]);
    let trace = fs.take_trace();
    let sync = trace.iter().position(|op| op.site.kind == OpKind::Sync).expect("a commit syncs");
    fs.record_trace(false);

    let before = rows(&db, "t");
    let at_op = fs.op_count() + 1 + sync as u64;
    fs.set_faults(FaultPlan::one(Fault::Fail { at_op, errno: Fault::EIO, times: 1 }));
    let error = db.append(vec![batch(&db, "t", &[ROW])]).unwrap_err();
    assert!(matches!(&error, Error::Unavailable(why) if why.contains("writing has stopped")), "{error}");
    assert_eq!(rows(&db, "t"), before, "the row is not shown");
    assert!(db.write_failure().is_some_and(|why| why.contains("check the disk and restart")));

    fs.record_trace(true);
    db.append(vec![batch(&db, "t", &[ROW])]).unwrap_err();
    db.close().unwrap_err();
    assert!(fs.take_trace().iter().all(|op| op.site.kind != OpKind::Sync), "a sync is not tried again");
    assert_eq!(rows(&db, "t"), before, "reads go on");
    drop(db);
    let db = open(&on(&env, fs.kill())).unwrap();
    let after = rows(&db, "t").len();
    assert!(after == before.len() || after == before.len() + 1, "{after}");
    insert(&db, "t", &[ROW]);
}

/// The edit may stand in the log, and then the next start needs what it names: gc must not take it for a leftover.
#[test]
fn files_of_an_edit_whose_sync_failed_stay() {
    let flush = |fault: Option<u64>| {
        let (fs, env) = machine();
        drop(flushed(&env));
        let fs = Arc::new(fs.kill());
        let db = open(&on_arc(&env, fs.clone())).unwrap();
        insert(&db, "t", &[ROW]);
        fs.record_trace(true);
        let plan = |at_op| FaultPlan::one(Fault::Fail { at_op, errno: Fault::EIO, times: 1 });
        fs.set_faults(fault.map_or(FaultPlan::none(), plan));
        let flushed = db.flush_table(db.view().table("t").unwrap().id());
        (fs, env, db, flushed)
    };
    let (fs, ..) = flush(None);
    let is_of_log = |op: &Op| op.site.kind == OpKind::Sync && op.path.starts_with("/root/db/_live");
    let sync = fs.take_trace().into_iter().find(is_of_log).expect("the edit is made durable").number;
    let (fs, env, db, flushed) = flush(Some(sync));
    flushed.unwrap_err();
    assert!(db.write_failure().is_some());
    let before = rows(&db, "t");
    while db.step_gc().unwrap() {}
    drop(db);
    assert_eq!(rows(&open(&on_arc(&env, Arc::new(fs.kill()))).unwrap(), "t"), before);
}

#[test]
fn too_few_descriptors_delay_a_flush_and_break_nothing() {
    let (fs, env) = machine();
    let db = flushed(&env);
    let id = db.view().table("t").unwrap().id();
    insert(&db, "t", &[ROW]);
    fs.set_max_open_files(Some(fs.open_files()));
    let error = db.flush_table(id).unwrap_err();
    assert!(error.to_string().to_lowercase().contains("too many open files"), "{error}");
    assert_eq!(rows(&db, "t").len(), 3);
    insert(&db, "t", &[ROW]);
    fs.set_max_open_files(None);
    db.flush_table(id).unwrap();
    assert_eq!(rows(&db, "t").len(), 4);
}

#[test]
fn a_clock_that_jumps_moves_no_commit_back() {
    const TEN_YEARS_US: i64 = 10 * 365 * DAY_US;
    let start_us = 1_700_000_000_000_000;
    let clock = Arc::new(ManualClock::new(start_us));
    let (fs, env) = machine();
    let env = storage::Env { clock: clock.clone(), ..env };
    let db = flushed(&env);
    let taken = |db: &Database| {
        db.prepare_snapshot("default").unwrap();
        let created_us = db.snapshots()[0].created_us;
        db.complete_snapshot("default").unwrap();
        created_us
    };
    let first = taken(&db);
    clock.set_wall_us(start_us - TEN_YEARS_US);
    let second = taken(&db);
    assert!(second >= first, "{second} < {first}");
    clock.set_wall_us(start_us + TEN_YEARS_US);
    let third = taken(&db);
    assert!(third >= start_us + TEN_YEARS_US);
    clock.set_wall_us(start_us);
    db.close().unwrap();
    drop(db);
    let env = storage::Env { clock, ..on(&env, fs.kill()) };
    let db = open(&env).unwrap();
    assert!(taken(&db) >= third, "nor across a restart");
    assert_eq!(rows(&db, "t").len(), 2);
}

#[test]
fn a_damaged_segment_fails_whoever_needs_it_and_a_check_finds_it() {
    let (fs, env) = machine();
    let db = flushed(&env);
    let other = create(&db, "other");
    insert(&db, "other", &[ROW]);
    db.flush_table(other).unwrap();
    db.close().unwrap();
    drop(db);
    let segment = files_below(&fs, Path::new(ROOT))
        .into_iter()
        .find(|file| file.to_string_lossy().contains("/t~") && file.to_string_lossy().contains("1970-01-03"))
        .unwrap();
    let len = fs.metadata(&segment).unwrap().len_bytes;
    fs.flip_bit(&segment, len / 2, 3);
    let db = open(&on(&env, fs.kill())).unwrap();
    let view = db.view();
    let table = view.table("t").unwrap();
    let checks = table.files_to_check();
    assert!(checks.len() >= 3, "two segments and symbols");
    let bad: Vec<_> = checks.iter().filter_map(|check| Some((check, check.run().err()?))).collect();
    let [(check, error)] = bad.as_slice() else { panic!("{} files are damaged", bad.len()) };
    assert_eq!(check.path(), segment);
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    assert!(table.check_files().is_err());
    assert!(view.table("other").unwrap().check_files().unwrap() > 0);
    assert_eq!(rows(&db, "other").len(), 1, "other tables are served");
}

/// Does something while a write-back fails of what it has written so far, before each of its files, and another sync of the
/// file system is told of it first; it has to fail, and then a power cut must not show that it began.
fn is_told_of_failed_write_backs(
    prepare: impl Fn(&Database),
    act: impl Fn(&Database) -> storage::Result<()>,
    check: impl Fn(&Database),
) {
    let mut lost = 0;
    for nth in 1.. {
        let (fs, env) = machine();
        let db = open(&env).unwrap();
        prepare(&db);
        let db_dir = Path::new(ROOT).join("db");
        let new_files = {
            let (fs, dir) = (fs.clone(), db_dir.clone());
            let before = fs.files_below(&dir);
            // Log files are synced each by itself.
            let is_log = |path: &Path| path.starts_with("_live") || path.starts_with("_log");
            move || fs.files_below(&dir).into_iter().filter(|path| !before.contains(path) && !is_log(path)).collect()
        };
        let another = fs.file_system_of(Path::new(ROOT)).unwrap();
        let fails = fs.clone();
        fs.interrupt(nth, move || {
            let written: Vec<PathBuf> = new_files();
            written.iter().for_each(|path| fails.fail_write_back(&db_dir.join(path)));
            assert_eq!(another.sync().is_err(), !written.is_empty());
        });
        let acted = act(&db);
        if fs.end_interruption() {
            acted.unwrap();
            break;
        }
        if acted.is_ok() {
            // What was written before the last sync is durable; the rest was nothing yet.
            continue;
        }
        lost += 1;
        check(&db);
        drop(db);
        fs.power_cut(Survive::Nothing);
        let db = open(&on(&env, fs.power_up())).unwrap();
        check(&db);
        act(&db).unwrap();
    }
    assert!(lost > 2, "{lost}");
}

#[test]
fn a_failed_write_back_that_another_sync_was_told_of_stops_a_snapshot_that_settles() {
    let names: Vec<String> = (0..10).map(|n| format!("t{n}")).collect();
    let at_cut = |db: &Database| -> Vec<_> { names.iter().map(|name| rows_at(db, "kept", name)).collect() };
    let prepare = |db: &Database| {
        for name in &names {
            create(db, name);
            insert(db, name, &[ROW]);
        }
        db.prepare_snapshot_with("kept", kept()).unwrap();
    };
    let settle = |db: &Database| db.step_settle().map(drop);
    is_told_of_failed_write_backs(prepare, settle, |db| {
        assert_eq!(state(db, "kept"), Some(SnapshotState::Kept));
        assert!(at_cut(db).iter().all(|rows| rows.len() == 1));
    });
}

#[test]
fn a_failed_write_back_that_another_sync_was_told_of_stops_a_table_that_comes_back() {
    let prepare = |db: &Database| {
        create(db, "t");
        // A segment for each day of what is in memory alone.
        insert(db, "t", &(0..30).map(|day| (day * DAY_US, Some("a"), day, None)).collect::<Vec<_>>());
        db.prepare_snapshot_with("kept", kept()).unwrap();
    };
    let restore = |db: &Database| {
        let name = types::TableName::new("back").unwrap();
        db.restore_table(&db.view_at("kept").unwrap(), "t", &name).map(drop)
    };
    is_told_of_failed_write_backs(prepare, restore, |db| assert!(db.view().table("back").is_none()));
}

fn files_below(fs: &SimFs, dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs.list(dir).unwrap() {
        let path = dir.join(&entry.name);
        match entry.kind {
            FileKind::Dir => files.extend(files_below(fs, &path)),
            _ => files.push(path),
        }
    }
    files
}
