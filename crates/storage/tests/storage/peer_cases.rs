//! What the peer's own tests of its snapshots expect, as far as it holds for any database, and what it gets wrong.
//!
//! The whole list, with the tests of it that stand elsewhere, is in `docs/proof.md`.

use std::path::Path;
use std::sync::Arc;

use storage::env::sim_fs::{CopyMode, Fault, FaultPlan, OpKind, SimFs};
use storage::{Database, Env, Error};
use types::{ColumnType, PartitionBy, TableName};

use crate::support::*;

const COPY: &str = "/copy";

/// Copies the open root, ends it, and returns the database that the copy restores to.
fn restored(fs: &SimFs, env: &Env, db: Database) -> Database {
    fs.copy_tree(Path::new(ROOT), Path::new(COPY), CopyMode::Copy, &["db/_live", "log"], 1).finish();
    drop(db);
    fs.write_file(&Path::new(COPY).join("_restore"), b"");
    open_at(&on(env, fs.kill()), COPY).unwrap()
}

fn names(db: &Database) -> Vec<String> {
    let mut names: Vec<String> = db.view().tables().iter().map(|t| t.name().as_str().to_owned()).collect();
    names.sort();
    names
}

fn pins(fs: &SimFs) -> usize {
    fs.files_below(&Path::new(ROOT).join("snapshot")).len()
}

#[test]
fn a_completed_snapshot_leaves_no_file() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "t");
    db.prepare_snapshot("default").unwrap();
    assert_eq!(pins(&fs), 1);
    db.complete_snapshot("default").unwrap();
    assert_eq!(pins(&fs), 0);
}

#[test]
fn complete_without_prepare_is_ignored() {
    let (_, env) = machine();
    let db = open(&env).unwrap();
    assert!(!db.complete_snapshot("default").unwrap());
    create(&db, "t");
    assert!(!db.complete_snapshot("default").unwrap());
}

#[test]
fn a_second_prepare_fails_and_the_first_goes_on() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "t");
    db.prepare_snapshot("default").unwrap();
    for _ in 0..2 {
        assert!(matches!(db.prepare_snapshot("default"), Err(Error::Conflict(_))));
        assert_eq!((db.snapshots().len(), pins(&fs)), (1, 1));
    }
    db.complete_snapshot("default").unwrap();
    db.prepare_snapshot("default").unwrap();
}

#[test]
fn an_empty_database_is_snapshot_and_restored() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    db.prepare_snapshot("default").unwrap();
    create(&db, "later");
    let db = restored(&fs, &env, db);
    assert_eq!(names(&db), Vec::<String>::new());
    create(&db, "t");
    insert(&db, "t", &[(1, None, 1, None)]);
}

#[test]
fn strange_files_and_empty_folders_are_no_obstacle_and_are_left_alone() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "t");
    insert(&db, "t", &[(1, Some("a"), 1, None)]);
    fs.make_dirs(Path::new("/root/db/empty"));
    fs.write_file(Path::new("/root/snapshot/notes.txt"), b"tonight at two");
    fs.write_file(Path::new("/root/db/README"), b"do not touch");
    db.prepare_snapshot("default").unwrap();
    let db = restored(&fs, &env, db);
    assert_eq!(rows(&db, "t").len(), 1);
    assert_eq!(fs.peek(Path::new("/copy/snapshot/notes.txt")).as_deref(), Some(&b"tonight at two"[..]));
    assert!(fs.peek(Path::new("/copy/db/README")).is_some());
}

#[test]
fn a_prepare_whose_sync_fails_is_refused_and_leaves_no_snapshot_behind() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "t");
    db.step_spare().unwrap();
    fs.record_trace(true);
    db.prepare_snapshot("rehearsal").unwrap();
    let trace = fs.take_trace();
    let pin_sync = trace.iter().position(|op| op.site.kind == OpKind::Sync && op.site.path_class == "snapshot/*.json");
    db.complete_snapshot("rehearsal").unwrap();
    db.step_spare().unwrap();
    fs.take_trace();
    let at_op = fs.op_count() + 1 + pin_sync.expect("the pin is synced") as u64;
    fs.set_faults(FaultPlan::one(Fault::Fail { at_op, errno: Fault::EIO, times: 1 }));
    db.prepare_snapshot("default").unwrap_err();
    fs.set_faults(FaultPlan::none());
    assert!(db.snapshots().is_empty(), "{:?}", db.snapshots());
    // As at the peer, it works afterwards; here also after a start.
    drop(db);
    let fs = Arc::new(fs.kill());
    let db = open(&on_arc(&env, fs)).unwrap();
    assert!(db.snapshots().is_empty());
    db.prepare_snapshot("default").unwrap();
    db.complete_snapshot("default").unwrap();
}

#[test]
fn a_table_dropped_under_a_snapshot_is_back_with_its_rows() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    insert(&db, "t", &[(1, Some("a"), 1, Some("x"))]);
    db.prepare_snapshot("default").unwrap();
    let cut = rows(&db, "t");
    db.drop_table(id).expect("a snapshot refuses nothing");
    create(&db, "t");
    assert_eq!(rows(&restored(&fs, &env, db), "t"), cut);
}

#[test]
fn a_table_renamed_under_a_snapshot_is_back_under_its_old_name_only() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    db.prepare_snapshot("default").unwrap();
    db.rename_table(id, &TableName::new("renamed").unwrap()).expect("a snapshot refuses nothing");
    assert_eq!(names(&restored(&fs, &env, db)), ["t"]);
}

#[test]
fn a_table_truncated_under_a_snapshot_has_its_rows_again() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    insert(&db, "t", &[(1, Some("a"), 1, Some("x"))]);
    db.flush_table(id).unwrap();
    insert(&db, "t", &[(2, Some("b"), 2, Some("y"))]);
    db.prepare_snapshot("default").unwrap();
    let cut = rows(&db, "t");
    db.truncate(id).expect("a snapshot refuses nothing");
    assert_eq!(rows(&restored(&fs, &env, db), "t"), cut);
}

#[test]
fn a_table_made_under_a_snapshot_is_gone_after_the_restore() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "t");
    db.prepare_snapshot("default").unwrap();
    let id = create(&db, "later");
    insert(&db, "later", &[(1, None, 1, None)]);
    db.flush_table(id).unwrap();
    assert_eq!(names(&restored(&fs, &env, db)), ["t"]);
}

#[test]
fn a_symbol_column_dropped_under_a_snapshot_is_back_with_its_values() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    insert(&db, "t", &[(1, Some("a"), 1, None), (2, None, 2, None), (3, Some("b"), 3, None)]);
    db.flush_table(id).unwrap();
    db.prepare_snapshot("default").unwrap();
    let cut = rows(&db, "t");
    db.drop_column(id, "sym").unwrap();
    db.write_base().unwrap();
    assert_eq!(rows(&restored(&fs, &env, db), "t"), cut);
}

#[test]
fn a_column_added_after_rows_and_one_dropped_before_the_cut_stay_so() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    insert(&db, "t", &[(1, Some("a"), 1, Some("x"))]);
    db.flush_table(id).unwrap();
    db.add_column(id, column("w", ColumnType::Long)).unwrap();
    db.drop_column(id, "note").unwrap();
    db.prepare_snapshot("default").unwrap();
    let cut = rows(&db, "t");
    assert_eq!(cut, ["1 a 1 null"]);
    db.drop_column(id, "w").unwrap();
    let db = restored(&fs, &env, db);
    assert_eq!(rows(&db, "t"), cut);
    let id = db.view().table("t").unwrap().id();
    db.add_column(id, column("more", ColumnType::Varchar)).expect("changes go on after a restore");
}

#[test]
fn rows_and_columns_of_after_the_cut_are_gone_and_their_names_are_free() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    insert(&db, "t", &[(1, Some("a"), 1, None)]);
    db.prepare_snapshot("default").unwrap();
    let cut = rows(&db, "t");
    db.add_column(id, column("later", ColumnType::Symbol)).unwrap();
    insert(&db, "t", &[(2, Some("new symbol"), 2, None)]);
    let db = restored(&fs, &env, db);
    assert_eq!(rows(&db, "t"), cut);
    db.add_column(db.view().table("t").unwrap().id(), column("later", ColumnType::Double)).unwrap();
    insert(&db, "t", &[(2, Some("another symbol"), 2, None)]);
    assert_eq!(column_rows(&db.view().table("t").unwrap(), &["sym", "v"]), ["a 1", "another symbol 2"]);
}

#[test]
fn two_thousand_partitions_are_restored_and_later_rows_are_gone() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    let many: Vec<Row> = (0..2000).map(|day| (day * DAY_US, Some("a"), day, None)).collect();
    insert(&db, "t", &many);
    db.flush_table(id).unwrap();
    db.prepare_snapshot("default").unwrap();
    insert(&db, "t", &many[..40]);
    let view = restored(&fs, &env, db).view().table("t").unwrap();
    assert_eq!(view.row_count().unwrap(), 2000);
    assert_eq!(view.partitions().unwrap().len(), 2000);
}

#[test]
fn a_table_without_partitions_and_one_with_keys_are_restored_alike() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let columns = || vec![column("ts", ColumnType::Timestamp), column("v", ColumnType::Long)];
    let new = |name, by| storage::NewTable::new(TableName::new(name).unwrap(), columns(), Some(0), by);
    db.create_table(new("flat", PartitionBy::None)).unwrap();
    let keyed = create(&db, "keyed");
    db.set_dedup(keyed, Some(&["ts"])).unwrap();
    insert(&db, "keyed", &[(1, Some("a"), 1, None), (1, Some("b"), 2, None)]);
    db.prepare_snapshot("default").unwrap();
    insert(&db, "keyed", &[(1, Some("c"), 3, None)]);
    let db = restored(&fs, &env, db);
    assert_eq!(names(&db), ["flat", "keyed"]);
    assert_eq!(rows(&db, "keyed"), ["1 b 2 null"]);
    insert(&db, "keyed", &[(1, Some("d"), 4, None)]);
    assert_eq!(rows(&db, "keyed"), ["1 d 4 null"], "its keys are in force");
}

#[test]
fn log_files_stay_while_a_snapshot_is_open_and_go_when_it_is_completed() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    db.prepare_snapshot("default").unwrap();
    let sealed = fs.files_below(&Path::new(ROOT).join("db/_log"));
    insert(&db, "t", &[(1, Some("a"), 1, None)]);
    db.flush_table(id).unwrap();
    db.write_base().unwrap();
    while db.step_gc().unwrap() {}
    assert_eq!(fs.files_below(&Path::new(ROOT).join("db/_log")), sealed);
    db.complete_snapshot("default").unwrap();
    db.write_base().unwrap();
    while db.step_gc().unwrap() {}
    let left = fs.files_below(&Path::new(ROOT).join("db/_log"));
    assert!(sealed.iter().all(|file| !left.contains(file)), "{left:?}");
}

#[test]
fn two_tables_written_in_lock_step_come_back_at_one_moment() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "a");
    create(&db, "b");
    for n in 0..50 {
        db.append(vec![batch(&db, "a", &[(n, None, n, None)]), batch(&db, "b", &[(n, None, n, None)])]).unwrap();
        if n == 30 {
            db.prepare_snapshot("default").unwrap();
        }
    }
    let db = restored(&fs, &env, db);
    assert_eq!((rows(&db, "a").len(), rows(&db, "b").len()), (31, 31));
}

#[test]
fn a_snapshot_left_over_by_a_restart_rolls_nothing_back() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "t");
    db.prepare_snapshot("default").unwrap();
    insert(&db, "t", &[(1, None, 1, None)]);
    drop(db);
    let db = open(&on(&env, fs.kill())).unwrap();
    assert_eq!(rows(&db, "t").len(), 1);
    assert_eq!(db.snapshots().len(), 1, "it is still open: a copy may still be running");
}
