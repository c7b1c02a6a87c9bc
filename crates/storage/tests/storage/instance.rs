//! A restore without a trigger, by a changed instance id, and starts that are not to restore at all.

use std::path::Path;
use std::sync::Arc;

use storage::env::Fs;
use storage::env::sim_fs::{CopyMode, SimFs, Survive};
use storage::{Database, Env, Error, Options, Terms};

use crate::support::*;

const COPY: &str = "/copy";

fn open_as(env: &Env, root: &str, instance_id: &str) -> storage::Result<Database> {
    Database::open(env.clone(), Options { instance_id: instance_id.to_owned(), ..Options::new(root) })
}

/// A root of server `a` whose snapshots have these names, and to which a row came after each. Returns the rows of the last
/// cut, and those of now.
fn taken(names: &[(&str, bool)]) -> (Arc<SimFs>, Env, Vec<String>, Vec<String>) {
    let (fs, env) = machine();
    let db = open_as(&env, ROOT, "a").unwrap();
    create(&db, "t");
    insert(&db, "t", &[(0, Some("x"), 0, None)]);
    let mut cut = Vec::new();
    for (i, (name, keep)) in names.iter().enumerate() {
        cut = rows(&db, "t");
        db.prepare_snapshot_with(name, Terms { keep: *keep, ..Terms::default() }).unwrap();
        insert(&db, "t", &[(i as i64 * DAY_US, Some("later"), i as i64, None)]);
    }
    let now = rows(&db, "t");
    drop(db);
    (fs, env, cut, now)
}

fn copy(fs: &SimFs, without: &[&str]) {
    fs.copy_tree(Path::new(ROOT), Path::new(COPY), CopyMode::Copy, without, 1).finish();
    fs.sync_all();
}

#[test]
fn a_copy_elsewhere_that_is_started_under_another_id_is_restored_once() {
    let (fs, env, cut, _) = taken(&[("default", false)]);
    copy(&fs, &[]);
    let db = open_as(&env, COPY, "b").unwrap();
    assert_eq!((rows(&db, "t"), db.snapshots().len()), (cut, 0));
    let report = db.start_report().restore.clone().unwrap();
    assert!(report.lines[0].contains("cairo.snapshot.instance.id is b"), "{:?}", report.lines);
    insert(&db, "t", &[(DAY_US, Some("goes on"), 1, None)]);
    db.prepare_snapshot("default").unwrap();
    insert(&db, "t", &[(DAY_US, Some("goes on"), 2, None)]);
    let now = rows(&db, "t");
    drop(db);
    for id in ["b", "c", "a", ""] {
        assert_eq!(rows(&open_as(&env, COPY, id).unwrap(), "t"), now, "started again as {id:?}");
    }
}

#[test]
fn a_copy_elsewhere_that_is_started_under_the_same_id_or_none_is_not_restored() {
    let (fs, env, _, now) = taken(&[("default", false)]);
    for id in ["a", ""] {
        let fs = fs.fork();
        copy(&fs, &[]);
        let db = open_as(&on(&env, fs), COPY, id).unwrap();
        assert_eq!(rows(&db, "t"), now, "{id:?}");
        assert!(db.start_report().restore.is_none());
    }
}

#[test]
fn a_changed_id_rolls_no_live_root_back_and_the_log_says_so() {
    let (fs, env, _, now) = taken(&[("default", false)]);
    let env = on(&env, fs.kill());
    let db = open_as(&env, ROOT, "b").unwrap();
    assert_eq!((rows(&db, "t"), db.snapshots().len()), (now, 1));
    let notices = &db.start_report().notices;
    assert_eq!(notices.iter().filter(|line| line.contains("nothing is rolled back")).count(), 1, "{notices:?}");
}

#[test]
fn a_changed_id_goes_back_to_a_kept_snapshot_only_where_the_live_log_was_not_copied() {
    let (fs, env, cut, now) = taken(&[("month", true)]);
    let machine = fs.fork();
    copy(&machine, &[]);
    assert_eq!(rows(&open_as(&on(&env, machine), COPY, "b").unwrap(), "t"), now);
    copy(&fs, &["db/_live"]);
    assert!(matches!(open_as(&env, COPY, "a"), Err(Error::Refused(why)) if why.contains("_restore")));
    assert_eq!(rows(&open_as(&env, COPY, "b").unwrap(), "t"), cut);
}

#[test]
fn a_changed_id_and_several_open_snapshots_are_refused_with_a_list() {
    let (fs, env, ..) = taken(&[("default", false), ("night", false)]);
    copy(&fs, &[]);
    let before = fs.tree_digest(Path::new(COPY));
    match open_as(&env, COPY, "b") {
        Err(Error::Refused(why)) => {
            assert!(why.contains("(default, night)") && why.contains("snapshot=<name>"), "{why}")
        }
        other => panic!("{:?}", other.map(|db| rows(&db, "t"))),
    }
    assert_eq!(fs.tree_digest(Path::new(COPY)), before);
}

#[test]
fn a_restore_by_a_changed_id_that_was_cut_anywhere_is_retried_to_the_cut() {
    let (fs, env, cut, _) = taken(&[("default", false)]);
    copy(&fs, &[]);
    fs.capture_crash_points(true);
    drop(open_as(&env, COPY, "b").unwrap());
    let points = fs.take_crash_points();
    assert!(points.len() > 8);
    for (i, point) in points.iter().enumerate() {
        let machine = if i % 2 == 0 { point.kill() } else { point.power_cut(Survive::Subset(i as u64)) };
        let db = open_as(&on(&env, machine), COPY, "b").unwrap_or_else(|e| panic!("{i}: {:?}: {e}", point.op));
        assert_eq!((rows(&db, "t"), db.snapshots().len()), (cut.clone(), 0), "{i}: {:?}", point.op);
    }
}

#[test]
fn a_damaged_copy_that_a_changed_id_would_restore_is_refused_untouched() {
    let (fs, env, ..) = taken(&[("default", false)]);
    copy(&fs, &[]);
    let pin = Path::new(COPY).join("snapshot").join(&fs.list(Path::new("/copy/snapshot")).unwrap()[0].name);
    fs.flip_bit(&pin, 40, 1);
    let before = fs.tree_digest(Path::new(COPY));
    assert!(matches!(open_as(&env, COPY, "b"), Err(Error::Corrupt { file, .. }) if file == pin));
    assert_eq!(fs.tree_digest(Path::new(COPY)), before);
}

#[test]
fn where_recovery_is_switched_off_the_trigger_stays_and_nothing_is_restored() {
    let (fs, env, cut, now) = taken(&[("default", false)]);
    copy(&fs, &[]);
    fs.write_file(Path::new("/copy/_restore"), b"");
    let off = Options { restores: false, instance_id: "b".to_owned(), ..Options::new(COPY) };
    let db = Database::open(env.clone(), off).unwrap();
    assert_eq!(rows(&db, "t"), now);
    assert!(db.start_report().notices.iter().any(|line| line.contains("nothing is restored")));
    assert!(fs.exists(Path::new("/copy/_restore")).unwrap());
    drop(db);
    assert_eq!(rows(&open_at(&env, COPY).unwrap(), "t"), cut, "switched on again");
}
