//! What goes, what stays, and what is said of it: the edges of gc.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use storage::env::Fs;
use storage::env::fs::FileKind;
use storage::env::sim_fs::{Fault, FaultPlan, SimFs};
use storage::layout::{BaseName, FileId, Layout};
use storage::{Database, Env, Options};
use types::{Seq, TimelineId};

use crate::support::*;

const HOUR_US: i64 = 3_600_000_000;

fn ask(fs: &SimFs, text: &str) {
    fs.write_file(&Path::new(ROOT).join("_restore"), text.as_bytes());
}

/// Directories of tables, whoever looks.
fn table_dirs(fs: &SimFs) -> Vec<String> {
    let db = Path::new(ROOT).join("db");
    let found = fs.tree_digest(&db).into_iter().filter(|(_, entry)| entry.kind == FileKind::Dir);
    found.map(|(path, _)| path.display().to_string()).filter(|path| path.contains('~')).collect()
}

/// A start that goes back to a kept snapshot and lets go whatever nothing needs.
fn go_back(env: &Env, fs: &SimFs, snapshot: &str) -> Database {
    ask(fs, &format!("snapshot={snapshot}"));
    let db = open(env).unwrap();
    clean_up(&db);
    db
}

/// A kept snapshot `before`, and a row and a segment behind it.
fn lived_on(env: &Env) -> Database {
    let db = open(env).unwrap();
    let id = create(&db, "t");
    fill(&db, 1);
    db.prepare_snapshot_with("before", kept()).unwrap();
    while db.step_settle().unwrap() {}
    fill(&db, 2);
    db.flush_table(id).unwrap();
    db
}

#[test]
fn while_a_snapshot_is_open_others_remove_nothing_below_the_root_either() {
    let db = open(&machine().1).unwrap();
    create(&db, "t");
    assert_eq!(db.unless_snapshot_is_open(|| 7), Some(7));
    db.prepare_snapshot("default").unwrap();
    assert_eq!(db.unless_snapshot_is_open(|| panic!("a snapshot is open")), None::<()>);
    db.complete_snapshot("default").unwrap();
    assert_eq!(db.unless_snapshot_is_open(|| 8), Some(8));
}

#[test]
fn the_directories_of_a_dropped_table_go_with_its_files() {
    for log_retention_us in [None, Some(HOUR_US)] {
        let (fs, env, clock) = machine_with_clock();
        let options = Options { drop_grace_us: 0, log_retention_us, ..Options::new(ROOT) };
        let db = Database::open(env, options).unwrap();
        let id = create(&db, "gone");
        create(&db, "t");
        insert(&db, "gone", &[(DAY_US, Some("a"), 1, None)]);
        db.flush_table(id).unwrap();
        db.drop_table(id).unwrap();
        fill(&db, 1);
        clean_up(&db);
        if log_retention_us.is_some() {
            assert!(table_dirs(&fs).iter().any(|dir| dir.contains("gone~")), "its moments can be restored");
            for day in 2..4 {
                clock.advance_us(2 * HOUR_US);
                fill(&db, day);
                clean_up(&db);
            }
        }
        let left = table_dirs(&fs);
        assert!(!left.iter().any(|dir| dir.contains("gone~")), "retention {log_retention_us:?}: {left:?}");
    }
}

#[test]
fn the_directories_of_a_dropped_table_go_with_the_last_snapshot_that_needs_it() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "gone");
    insert(&db, "gone", &[(DAY_US, Some("a"), 1, None)]);
    db.flush_table(id).unwrap();
    db.prepare_snapshot_with("good", kept()).unwrap();
    while db.step_settle().unwrap() {}
    db.drop_table(id).unwrap();
    clean_up(&db);
    assert!(table_dirs(&fs).iter().any(|dir| dir.contains("gone~")), "the snapshot holds it");
    db.complete_snapshot("good").unwrap();
    clean_up(&db);
    assert!(!table_dirs(&fs).iter().any(|dir| dir.contains("gone~")), "{:?}", table_dirs(&fs));
}

/// The newest state of a table shares its list of segments with older ones.
#[test]
fn the_files_of_a_dropped_table_stay_while_somebody_reads_an_older_state_of_it() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    fill(&db, 1);
    db.flush_table(id).unwrap();
    let reads = db.view();
    fill(&db, 2);
    db.drop_table(id).unwrap();
    clean_up(&db);
    let segments =
        || fs.files_below(Path::new(ROOT)).iter().filter(|p| p.to_string_lossy().contains("1970-01-02/")).count();
    assert_eq!((segments(), rows_of(&reads.table("t").unwrap()).len()), (1, 1));
    drop(reads);
    clean_up(&db);
    assert_eq!(segments(), 0);
}

/// Without it, what a restore left would not be held, and go.
#[test]
fn a_disk_that_fails_for_a_moment_takes_nothing_of_what_an_undo_needs() {
    let (fs, env) = machine();
    let end = rows(&lived_on(&env), "t");
    let fs = Arc::new(fs.kill());
    ask(&fs, "snapshot=before");
    drop(open(&on_arc(&env, fs.clone())).unwrap());
    let mut failures = 0;
    for nth in 1..200 {
        let fs = Arc::new(fs.kill());
        let db = open(&on_arc(&env, fs.clone())).unwrap();
        let at_op = fs.op_count() + nth;
        fs.set_faults(FaultPlan::one(Fault::Fail { at_op, errno: Fault::EIO, times: 1 }));
        let failed = db.step_gc().is_err();
        fs.set_faults(FaultPlan::none());
        if fs.op_count() < at_op {
            break;
        }
        failures += usize::from(failed);
        clean_up(&db);
        drop(db);
        ask(&fs, "timeline=1");
        let db = open(&on(&env, fs.kill())).unwrap_or_else(|e| panic!("call {nth}: {e}"));
        assert_eq!(rows(&db, "t"), end, "call {nth}");
        assert_eq!(rows_at(&db, "before", "t").len(), 1, "call {nth}");
    }
    assert!(failures > 5, "{failures}");
}

#[test]
fn of_two_restores_only_the_one_whose_grace_is_over_can_be_undone_no_longer() {
    let (fs, env, clock) = machine_with_clock();
    drop(lived_on(&env));
    let db = go_back(&on(&env, fs.kill()), &fs, "before");
    clock.advance_us(12 * HOUR_US);
    db.prepare_snapshot_with("again", kept()).unwrap();
    let id = db.view().table("t").unwrap().id();
    fill(&db, 7);
    db.flush_table(id).unwrap();
    let end = rows(&db, "t");
    drop(db);
    let db = go_back(&on(&env, fs.kill()), &fs, "again");
    clock.advance_us(12 * HOUR_US);
    clean_up(&db);
    clean_up(&db);
    drop(db);
    ask(&fs, "timeline=2");
    assert_eq!(rows(&open(&on(&env, fs.kill())).unwrap(), "t"), end);
}

#[test]
fn the_file_of_a_timeline_stays_while_a_later_one_descends_from_it() {
    let (fs, env, clock) = machine_with_clock();
    drop(lived_on(&env));
    let db = go_back(&on(&env, fs.kill()), &fs, "before");
    let now = rows(&db, "t");
    // Nothing of the first timeline but its file is needed from here on.
    db.flush_table(db.view().table("t").unwrap().id()).unwrap();
    clock.advance_us(25 * HOUR_US);
    clean_up(&db);
    drop(db);
    for _ in 0..3 {
        let db = open(&on(&env, fs.kill())).unwrap();
        clean_up(&db);
        assert_eq!(rows(&db, "t"), now);
        let files = fs.files_below(&Layout::new(Path::new(ROOT)).timeline());
        assert_eq!(files.len(), 2, "{files:?}");
    }
}

#[test]
fn the_file_of_a_timeline_goes_with_the_last_that_was_left_of_it() {
    let (fs, env, clock) = machine_with_clock();
    drop(lived_on(&env));
    let db = go_back(&on(&env, fs.kill()), &fs, "before");
    fill(&db, 5);
    db.flush_table(db.view().table("t").unwrap().id()).unwrap();
    drop(db);
    ask(&fs, "timeline=1");
    let db = open(&on(&env, fs.kill())).unwrap();
    let timelines = || fs.files_below(&Layout::new(Path::new(ROOT)).timeline());
    clean_up(&db);
    assert_eq!(timelines().len(), 3, "the restores can be undone");
    clock.advance_us(25 * HOUR_US);
    for _ in 0..3 {
        clean_up(&db);
    }
    assert_eq!(timelines().len(), 3, "it goes behind the files whose names speak of it");
    // The time of this commit tells the next start how much has passed.
    create(&db, "later");
    drop(db);
    clean_up(&open(&on(&env, fs.kill())).unwrap());
    let left = timelines();
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(!left.iter().any(|file| file.to_string_lossy().starts_with("2-")), "none descends from it: {left:?}");
}

/// Files of a run that was killed have ids of the root's own timeline; those of an operator, or of a database whose files
/// were copied here, have not.
#[test]
fn what_a_killed_run_left_goes_and_what_others_made_stays() {
    let (fs, env) = machine();
    let db = filled(&env);
    let own = db.timeline();
    let other = TimelineId { number: 9, tag: own.tag ^ 1 };
    let dir = Layout::new(Path::new(ROOT)).table(db.view().table("t").unwrap().directory());
    drop(db);
    let base = Layout::new(Path::new(ROOT)).base();
    let place = |timeline: TimelineId| -> Vec<PathBuf> {
        let id = FileId::new(&env, timeline);
        let files = vec![dir.join(format!("1970-01-02/{id}.arrow")), base.join(format!("{id}.json"))];
        files.iter().for_each(|path| fs.write_file(path, b"of a flush that was cut short"));
        files
    };
    let (mut gone, stays) = (place(own), place(other));
    let older = BaseName { timeline: own, seq: Seq(1) };
    gone.push(base.join(older.to_string()));
    fs.write_file(&gone[2], b"half a base");
    let db = open(&on(&env, fs.kill())).unwrap();
    while db.step_gc().unwrap() {}
    drop(db);
    gone.iter().for_each(|path| assert!(fs.peek(path).is_none(), "{}", path.display()));
    stays.iter().for_each(|path| assert!(fs.peek(path).is_some(), "{}", path.display()));
}

#[test]
fn the_window_of_moments_weighs_the_log_files_that_only_it_needs() {
    let (fs, env, _) = machine_with_clock();
    let options = Options { log_retention_us: Some(HOUR_US), ..Options::new(ROOT) };
    let db = Database::open(env, options).unwrap();
    create(&db, "t");
    fill(&db, 1);
    // The cut ends the log file, and the base needs it no longer.
    db.prepare_snapshot("default").unwrap();
    db.complete_snapshot("default").unwrap();
    fill(&db, 2);
    let sealed = Layout::new(Path::new(ROOT)).log();
    let logs: u64 =
        fs.list(&sealed).unwrap().iter().map(|e| fs.metadata(&sealed.join(&e.name)).unwrap().len_bytes).sum();
    assert!(logs > 0);
    db.flush_table(db.view().table("t").unwrap().id()).unwrap();
    let before = db.restore_window_bytes();
    clean_up(&db);
    assert!(db.restore_window_bytes() >= before + logs, "{before} and {logs}, now {}", db.restore_window_bytes());
}
