//! PREPARE, copy, COMPLETE, restore.

use std::path::Path;
use std::sync::Arc;

use storage::env::Fs;
use storage::env::sim_fs::{CopyMode, SimFs};
use storage::{Database, Env, Error, Terms};

use crate::support::*;

const COPY: &str = "/copy";

/// Copies the root as the guide says, without what a restore does not need.
fn copy(fs: &SimFs, mode: CopyMode) {
    fs.copy_tree(Path::new(ROOT), Path::new(COPY), mode, &["db/_live", "log"], 1).finish();
}

fn restore(env: &Env, fs: &SimFs) -> storage::Result<Database> {
    fs.write_file(&Path::new(COPY).join("_restore"), b"");
    open_at(env, COPY)
}

fn fill(db: &Database, day: i64) {
    insert(db, "t", &[(day * DAY_US, Some("a"), day, Some("x")), (day * DAY_US, Some("b"), -day, None)]);
}

#[test]
fn a_copy_restores_to_the_cut_across_tables() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    let dropped = create(&db, "dropped");
    fill(&db, 1);
    db.flush_table(id).unwrap();
    db.write_base().unwrap();
    fill(&db, 2);
    insert(&db, "dropped", &[(0, Some("kept"), 1, None)]);
    db.prepare_snapshot("default").unwrap();
    let cut = (rows(&db, "t"), rows(&db, "dropped"));
    // Everything that may happen while the copy is made.
    fill(&db, 3);
    let later = create(&db, "later");
    insert(&db, "later", &[(0, None, 1, None)]);
    db.flush_table(later).unwrap();
    db.drop_table(dropped).unwrap();
    db.flush_table(id).unwrap();
    db.write_base().unwrap();
    db.truncate(id).unwrap();
    db.rename_table(id, &types::TableName::new("renamed").unwrap()).unwrap();
    assert!(!db.step_gc().unwrap(), "nothing is unlinked while a snapshot is open");
    copy(&fs, CopyMode::Copy);
    db.complete_snapshot("default").unwrap();
    db.complete_snapshot("default").unwrap();

    let copied = restore(&env, &fs).unwrap();
    let report = copied.start_report().restore.clone().unwrap();
    assert_eq!(report.snapshot.as_deref(), Some("default"));
    assert_eq!((rows(&copied, "t"), rows(&copied, "dropped")), cut);
    assert_eq!(copied.view().tables().len(), 2);
    assert!(copied.snapshots().is_empty());
    assert!(!fs.exists(&Path::new(COPY).join("_restore")).unwrap());
    // It goes on: rows, a table with a new id, a snapshot of its own, a restart.
    fill(&copied, 9);
    assert!(create(&copied, "new") > later, "ids of tables that were left behind are not reused");
    copied.prepare_snapshot("default").unwrap();
    copied.complete_snapshot("default").unwrap();
    let after = rows(&copied, "t");
    drop(copied);
    let copied = open_at(&on(&env, fs.another_process()), COPY).unwrap();
    assert_eq!(rows(&copied, "t"), after);
}

#[test]
fn a_snapshot_outlives_the_process_and_protects_its_files() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    fill(&db, 1);
    db.prepare_snapshot("default").unwrap();
    let cut = rows(&db, "t");
    drop(db);
    fs.power_cut(storage::env::sim_fs::Survive::Nothing);
    let fs = Arc::new(fs.power_up());
    let env = on_arc(&env, fs.clone());
    let db = open(&env).unwrap();
    assert_eq!(db.snapshots().len(), 1);
    assert!(matches!(db.prepare_snapshot("default"), Err(Error::Conflict(_))));
    db.truncate(id).unwrap();
    db.write_base().unwrap();
    assert!(!db.step_gc().unwrap());
    copy(&fs, CopyMode::Copy);
    assert_eq!(rows(&restore(&env, &fs).unwrap(), "t"), cut);
    db.complete_snapshot("default").unwrap();
    assert!(db.snapshots().is_empty());
}

#[test]
fn a_plain_start_on_a_copy_is_refused_and_says_what_to_do() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "t");
    db.prepare_snapshot("default").unwrap();
    copy(&fs, CopyMode::Copy);
    let before = fs.tree_digest(Path::new(COPY));
    match open_at(&env, COPY) {
        Err(Error::Refused(text)) => assert!(text.contains("touch /copy/_restore"), "{text}"),
        other => panic!("{:?}", other.err()),
    }
    assert_eq!(fs.tree_digest(Path::new(COPY)), before);
}

#[test]
fn prepare_makes_four_syncs_at_any_number_of_tables() {
    for tables in [1, 1000] {
        let (fs, env) = machine();
        let db = open(&env).unwrap();
        for i in 0..tables {
            create(&db, &format!("t{i}"));
        }
        insert(&db, "t0", &[(0, Some("a"), 1, None)]);
        db.step_spare().unwrap();
        let before = fs.counts();
        db.prepare_snapshot("default").unwrap();
        let after = fs.counts();
        assert_eq!(after.syncs - before.syncs, 4, "at {tables} tables");
        assert!(after.written_bytes - before.written_bytes <= 8192, "at {tables} tables");
    }
}

#[test]
fn a_root_without_a_snapshot_is_not_restored() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "t");
    drop(db);
    fs.write_file(&Path::new(ROOT).join("_restore"), b"");
    match open(&env) {
        Err(Error::Refused(text)) => assert!(text.contains("snapshot/default"), "{text}"),
        other => panic!("{:?}", other.err()),
    }
    fs.remove(&Path::new(ROOT).join("_restore"));
    assert!(open(&env).is_ok());
}

#[test]
fn a_snapshot_tells_when_its_lease_ends() {
    let (_, env, clock) = machine_with_clock();
    let db = open(&env).unwrap();
    let minute_us = 60_000_000;
    let prepared_us = env.clock.now_us();
    db.prepare_snapshot_with("leased", leased(60 * minute_us)).unwrap();
    db.prepare_snapshot_with("without-end", Terms { lease_us: None, ..Terms::default() }).unwrap();
    let lease_end_us = |name: &str| db.snapshots().into_iter().find(|s| s.name == name).unwrap().lease_end_us;
    for _ in 0..2 {
        let off_us = lease_end_us("leased").unwrap() - prepared_us - 60 * minute_us;
        assert!(off_us.abs() < 1_000, "{off_us}");
        assert_eq!(lease_end_us("without-end"), None);
        clock.advance_us(minute_us);
    }
}

#[test]
fn a_cut_whose_words_fill_more_than_a_log_file_gets_a_longer_one() {
    let (fs, env) = machine();
    let db = filled(&env);
    let owner = "o".repeat(3 << 20);
    db.prepare_snapshot_with("night", Terms { owner: owner.clone(), ..kept() }).unwrap();
    let cut = rows(&db, "t");
    fill_pair(&db, 5);
    drop(db);
    let db = open(&on(&env, fs.kill())).unwrap();
    assert!(db.snapshots()[0].owner == owner && rows_at(&db, "night", "t") == cut);
    assert_eq!(rows(&db, "t").len(), cut.len() + 2);
}
