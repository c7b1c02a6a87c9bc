//! Snapshots with names: several at once, their leases, and those that are kept.

use std::path::Path;

use storage::env::Fs;
use storage::env::sim_fs::{CopyMode, SimFs};
use storage::{Env, Error, SnapshotState};

use crate::support::*;

const HOUR_US: i64 = 3_600_000_000;

fn count_files(fs: &SimFs) -> usize {
    fs.files_below(Path::new(ROOT)).into_iter().filter(|path| !path.starts_with("db/_live")).count()
}

#[test]
fn each_of_several_snapshots_restores_to_its_own_cut() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    fill(&db, 1);
    db.prepare_snapshot("default").unwrap();
    let first = rows(&db, "t");
    fill(&db, 2);
    db.prepare_snapshot("nightly").unwrap();
    let second = rows(&db, "t");
    assert!(matches!(db.prepare_snapshot("nightly"), Err(Error::Conflict(_))));
    fill(&db, 3);
    db.complete_snapshot("default").unwrap();
    db.truncate(id).unwrap();
    db.write_base().unwrap();
    assert!(!db.step_gc().unwrap(), "nightly is open");
    fs.copy_tree(Path::new(ROOT), Path::new("/copy"), CopyMode::Copy, &["db/_live", "log"], 1).finish();
    db.prepare_snapshot("default").unwrap();
    assert_eq!(db.snapshots().len(), 2);

    fs.write_file(Path::new("/copy/_restore"), b"");
    match open_at(&env, "/copy") {
        Err(Error::Refused(text)) => assert!(text.contains("default, nightly"), "{text}"),
        other => panic!("{:?}", other.err()),
    }
    for (name, expected) in [("default", first), ("nightly", second)] {
        let place = format!("/{name}");
        fs.copy_tree(Path::new("/copy"), Path::new(&place), CopyMode::Copy, &[], 1).finish();
        fs.write_file(&Path::new(&place).join("_restore"), format!("snapshot={name}\n").as_bytes());
        assert_eq!(rows(&open_at(&env, &place).unwrap(), "t"), expected, "{name}");
    }
}

#[test]
fn a_lease_ends_by_the_monotonic_clock_and_a_restart_adds_little() {
    let (fs, env, clock) = machine_with_clock();
    let db = open(&env).unwrap();
    create(&db, "t");
    db.prepare_snapshot_with("copy", leased(2 * HOUR_US)).unwrap();
    let end_us = db.snapshots()[0].lease_end_us.unwrap();
    clock.set_wall_us(1_800_000_000_000_000);
    db.step_leases().unwrap();
    assert_eq!(state(&db, "copy"), Some(SnapshotState::Open), "the wall clock does not count");
    assert!(db.snapshots()[0].lease_end_us.unwrap() > end_us);
    clock.advance_us(HOUR_US + HOUR_US / 2);
    db.step_leases().unwrap();
    drop(db);
    let db = open(&on(&env, fs.kill())).unwrap();
    clock.advance_us(HOUR_US / 4);
    db.step_leases().unwrap();
    assert_eq!(state(&db, "copy"), Some(SnapshotState::Open));
    clock.advance_us(HOUR_US / 4 + HOUR_US / 6);
    db.step_leases().unwrap();
    assert_eq!(state(&db, "copy"), Some(SnapshotState::Expired));
    db.renew_snapshot("copy", Some(HOUR_US)).unwrap();
    assert_eq!(state(&db, "copy"), Some(SnapshotState::Open));
    clock.advance_us(2 * HOUR_US);
    db.step_leases().unwrap();
    // It stays expired over a restart, and makes way for one of its name.
    drop(db);
    let db = open(&on(&env, fs.kill())).unwrap();
    assert_eq!(state(&db, "copy"), Some(SnapshotState::Expired));
    db.prepare_snapshot("copy").unwrap();
    assert_eq!(state(&db, "copy"), Some(SnapshotState::Open));
    assert!(matches!(db.renew_snapshot("other", None), Err(Error::NotFound(_))));
}

#[test]
fn an_expired_snapshot_holds_the_files_that_it_names_and_no_others() {
    let (fs, env, clock) = machine_with_clock();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    fill(&db, 1);
    db.flush_table(id).unwrap();
    db.prepare_snapshot_with("copy", leased(HOUR_US)).unwrap();
    let cut = rows(&db, "t");
    fill(&db, 1);
    db.flush_table(id).unwrap();
    let segments =
        || fs.files_below(Path::new(ROOT)).iter().filter(|p| p.to_string_lossy().contains("1970-01-02/")).count();
    assert_eq!(segments(), 2);
    db.truncate(id).unwrap();
    db.write_base().unwrap();
    assert!(!db.step_gc().unwrap());
    clock.advance_us(HOUR_US);
    db.step_leases().unwrap();
    clean_up(&db);
    assert_eq!(segments(), 1, "the one that came after the cut is gone");
    fs.copy_tree(Path::new(ROOT), Path::new("/copy"), CopyMode::Copy, &["db/_live", "log"], 1).finish();
    fs.write_file(Path::new("/copy/_restore"), b"");
    assert_eq!(rows(&open_at(&env, "/copy").unwrap(), "t"), cut);
}

#[test]
fn a_kept_snapshot_is_read_at_its_cut_also_when_its_rows_were_never_flushed() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    fill(&db, 1);
    db.flush_table(id).unwrap();
    fill(&db, 2);
    db.prepare_snapshot_with("before", kept()).unwrap();
    let cut = rows(&db, "t");
    fill(&db, 3);
    db.drop_table(id).unwrap();
    clean_up(&db);
    assert_eq!(rows_at(&db, "before", "t"), cut);
    drop(db);
    let env = on(&env, fs.kill());
    let db = open(&env).unwrap();
    assert!(db.view().table("t").is_none());
    clean_up(&db);
    assert_eq!(rows_at(&db, "before", "t"), cut);
    let info = db.snapshots().remove(0);
    assert_eq!((info.state, &*info.owner, info.tables), (SnapshotState::Kept, "admin", 1));
    assert!(info.held_bytes > 0);
}

#[test]
fn what_a_kept_snapshot_holds_comes_back_when_it_is_completed_and_nobody_reads_it() {
    for restarts in [false, true] {
        let (fs, env) = machine();
        let mut db = open(&env).unwrap();
        let id = create(&db, "t");
        clean_up(&db);
        let empty = count_files(&fs);
        fill(&db, 1);
        db.flush_table(id).unwrap();
        db.prepare_snapshot("kept").unwrap();
        db.keep_snapshot("kept", None).unwrap();
        db.truncate(id).unwrap();
        clean_up(&db);
        if restarts {
            drop(db);
            db = open(&on(&env, fs.kill())).unwrap();
            clean_up(&db);
        }
        assert!(count_files(&fs) > empty + 3);
        let view = db.view_at("kept").unwrap();
        db.complete_snapshot("kept").unwrap();
        clean_up(&db);
        assert_eq!(rows_of(&view.table("t").unwrap()).len(), 1, "a reader outlives the snapshot");
        drop(view);
        db.drop_table(id).unwrap();
        clean_up(&db);
        // One more log file and one less table.
        assert!(count_files(&fs) <= empty + 2, "{:#?}", fs.files_below(Path::new(ROOT)));
        assert_eq!(fs.files_below(Path::new("/root/snapshot")).len(), 0);
    }
}

#[test]
fn a_kept_snapshot_outlives_a_restore_to_a_later_cut_and_not_to_an_earlier_one() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    fill(&db, 1);
    db.prepare_snapshot("early").unwrap();
    fill(&db, 2);
    db.prepare_snapshot_with("kept", kept()).unwrap();
    let cut = rows(&db, "t");
    fill(&db, 3);
    db.truncate(id).unwrap();
    db.prepare_snapshot("late").unwrap();
    fs.copy_tree(Path::new(ROOT), Path::new("/copy"), CopyMode::Copy, &["db/_live", "log"], 1).finish();
    fs.copy_tree(Path::new(ROOT), Path::new("/again"), CopyMode::Copy, &["db/_live", "log"], 1).finish();
    fs.write_file(Path::new("/copy/_restore"), b"snapshot=late");
    let late = open_at(&env, "/copy").unwrap();
    assert!(rows(&late, "t").is_empty());
    assert_eq!(late.snapshots().len(), 1);
    assert_eq!(rows_at(&late, "kept", "t"), cut);
    clean_up(&late);
    drop(late);
    let late = open_at(&on(&env, fs.another_process()), "/copy").unwrap();
    assert_eq!(rows_at(&late, "kept", "t"), cut);
    fs.write_file(Path::new("/again/_restore"), b"snapshot=early");
    assert!(open_at(&env, "/again").unwrap().snapshots().is_empty());
}

#[test]
fn a_name_that_is_no_file_name_is_refused() {
    let (_, env) = machine();
    let db = open(&env).unwrap();
    for name in ["", "a/b", "..", "../x", ".hidden", "a b", "ä", &"x".repeat(65)] {
        assert!(matches!(db.prepare_snapshot(name), Err(Error::Invalid(_))), "{name}");
    }
    db.prepare_snapshot("before-7.1_x").unwrap();
}

/// Makes a copy with two snapshots and rows in a segment; returns the segment's path.
fn copy_with_two(fs: &SimFs, env: &Env) -> std::path::PathBuf {
    let db = open(env).unwrap();
    let id = create(&db, "t");
    fill(&db, 1);
    db.prepare_snapshot("first").unwrap();
    fill(&db, 2);
    db.flush_table(id).unwrap();
    db.prepare_snapshot("second").unwrap();
    fs.copy_tree(Path::new(ROOT), Path::new("/copy"), CopyMode::Copy, &["db/_live", "log"], 1).finish();
    let files = fs.files_below(Path::new("/copy"));
    let segment = files.into_iter().find(|path| path.to_string_lossy().contains("1970-01-03/")).unwrap();
    Path::new("/copy").join(segment)
}

#[test]
fn a_copy_is_proven_whole_without_a_restore_and_nothing_changes() {
    let (fs, env) = machine();
    let segment = copy_with_two(&fs, &env);
    let before = fs.tree_digest(Path::new("/copy"));
    let verify = |name| storage::restore::verify(&env, Path::new("/copy"), name, &|_| {});
    let lines = verify(None).unwrap();
    let [first, second] = &lines[..] else { panic!("{lines:?}") };
    assert!(
        first.to_string().contains("snapshot first of") && first.to_string().contains("1 tables, 1 rows"),
        "{first}"
    );
    assert_eq!((&*second.snapshot, second.tables, second.rows), ("second", 1, 2));
    assert_eq!(verify(Some("first")).unwrap(), lines[..1]);
    assert!(matches!(verify(Some("third")), Err(Error::Refused(_))));
    assert_eq!(fs.tree_digest(Path::new("/copy")), before);
    let mut bytes = fs.read(&segment).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs.remove(&segment);
    fs.write_file(&segment, &bytes);
    match verify(None) {
        Err(Error::Corrupt { file, .. }) => assert_eq!(file, segment),
        other => panic!("{other:?}"),
    }
    assert!(verify(Some("first")).is_ok(), "it does not name the damaged file");
}

/// Rows in the log are counted without their values where that can be: not where rows replace others or become too old.
#[test]
fn rows_of_a_copy_are_counted_as_a_query_counts_them() {
    let (_, env) = machine();
    let db = open(&env).unwrap();
    let count = |snapshot: &str| {
        db.prepare_snapshot(snapshot).unwrap();
        let found = storage::restore::verify(&env, Path::new(ROOT), Some(snapshot), &|_| {}).unwrap()[0].rows;
        let seen: u64 = db.view().tables().iter().map(|table| table.row_count().unwrap()).sum();
        assert_eq!(found, seen, "{snapshot}");
        found
    };
    let id = create(&db, "t");
    (1..5).for_each(|day| fill_pair(&db, day));
    assert_eq!(count("in_memory"), 8);
    db.flush_table(id).unwrap();
    (5..8).for_each(|day| fill_pair(&db, day));
    assert_eq!(count("flushed"), 14);
    // Rows before the base that were not flushed are in its log.
    db.write_base().unwrap();
    fill_pair(&db, 8);
    assert_eq!(count("behind_a_base"), 16);
    db.truncate(id).unwrap();
    fill_pair(&db, 1);
    assert_eq!(count("truncated"), 2);
    db.set_ttl(id, Some(types::Ttl::Hours(48))).unwrap();
    fill_pair(&db, 9);
    assert_eq!(count("expired"), 2);
    let keyed = create(&db, "keyed");
    db.set_dedup(keyed, Some(&["ts"])).unwrap();
    for v in 0..3 {
        insert(&db, "keyed", &[(DAY_US, Some("a"), v, None)]);
    }
    assert_eq!(count("replaced"), 3);
    db.drop_table(id).unwrap();
    assert_eq!(count("dropped"), 1);
}

#[test]
fn a_fast_restore_reads_no_segment_and_still_misses_no_file() {
    let (fs, env) = machine();
    let segment = copy_with_two(&fs, &env);
    fs.copy_tree(Path::new("/copy"), Path::new("/lacking"), CopyMode::Copy, &[], 1).finish();
    fs.write_file(Path::new("/copy/_restore"), b"snapshot=second\nverify=fast\n");
    assert_eq!(rows(&open_at(&env, "/copy").unwrap(), "t").len(), 2);
    fs.remove(&Path::new("/lacking").join(segment.strip_prefix("/copy").unwrap()));
    fs.write_file(Path::new("/lacking/_restore"), b"verify=fast\nsnapshot=second");
    assert!(matches!(open_at(&env, "/lacking"), Err(Error::Corrupt { .. })));
    fs.write_file(Path::new("/lacking/_restore"), b"verify=never");
    match open_at(&env, "/lacking") {
        Err(Error::Refused(text)) => assert!(text.contains("verify=fast"), "{text}"),
        other => panic!("{:?}", other.err()),
    }
}
