//! Kept snapshots settle: their own bases, what they let go, and what restores find.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use storage::env::sim_fs::{CopyMode, SimFs, Survive};
use storage::{Database, Env, Error, Options, SnapshotState};
use types::memory::Budget;

use crate::support::*;

const EXCLUDED: [&str; 2] = ["db/_live", "log"];

fn fill(db: &Database, table: &str, day: i64, symbol: &'static str) {
    insert(db, table, &[(day * DAY_US, Some(symbol), day, Some("x")), (day * DAY_US, None, day, None)]);
}

fn id(db: &Database, table: &str) -> types::TableId {
    db.view().table(table).unwrap().id()
}

fn segments_of(db: &Database, table: &str) -> usize {
    db.view().table(table).unwrap().runs(types::TimeRange::ALL).unwrap().len()
}

fn settle(db: &Database, name: &str) {
    while db.step_settle().unwrap() {}
    assert_eq!(state(db, name), Some(SnapshotState::Settled), "{name}");
}

fn files(fs: &SimFs) -> BTreeSet<PathBuf> {
    let all = fs.files_below(Path::new(ROOT)).into_iter();
    all.filter(|path| !path.starts_with("db/_live")).collect()
}

fn copy(fs: &SimFs, to: &str) {
    fs.copy_tree(Path::new(ROOT), Path::new(to), CopyMode::Copy, &EXCLUDED, 1).finish();
}

fn restore(fs: &SimFs, env: &Env, root: &str, trigger: &str) -> Database {
    fs.write_file(&Path::new(root).join("_restore"), trigger.as_bytes());
    open_at(env, root).unwrap()
}

#[test]
fn a_settled_snapshot_needs_no_log_and_restores_from_its_base_alone() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    for table in ["flushed", "fresh", "dropped", "truncated", "empty"] {
        create(&db, table);
    }
    fill(&db, "flushed", 1, "a");
    db.flush_table(id(&db, "flushed")).unwrap();
    for table in ["fresh", "dropped", "truncated"] {
        fill(&db, table, 2, table);
    }
    db.prepare_snapshot_with("kept", kept()).unwrap();
    let tables = ["flushed", "fresh", "dropped", "truncated", "empty"];
    let cut: Vec<_> = tables.iter().map(|table| rows(&db, table)).collect();
    db.drop_table(id(&db, "dropped")).unwrap();
    db.truncate(id(&db, "truncated")).unwrap();
    db.drop_column(id(&db, "fresh"), "note").unwrap();
    clean_up(&db);
    assert_eq!(state(&db, "kept"), Some(SnapshotState::Kept));
    let logs = || files(&fs).into_iter().filter(|path| path.starts_with("db/_log")).collect::<BTreeSet<_>>();
    let of_cut = logs();
    settle(&db, "kept");
    for table in ["fresh", "truncated"] {
        db.flush_table(id(&db, table)).unwrap();
    }
    clean_up(&db);
    assert!(of_cut.len() == 1 && logs().is_disjoint(&of_cut), "{:#?}", files(&fs));
    assert_eq!(files(&fs).iter().filter(|path| path.starts_with("snapshot")).count(), 1);
    let check = |db: &Database, name: &str| {
        for (table, cut) in tables.iter().zip(&cut) {
            assert_eq!(rows_at(db, name, table), *cut, "{table}");
        }
    };
    check(&db, "kept");
    drop(db);
    let env = on(&env, fs.kill());
    let db = open(&env).unwrap();
    clean_up(&db);
    check(&db, "kept");
    copy(&fs, "/copy");
    let lines = storage::restore::verify(&env, Path::new("/copy"), None, &|_| {}).unwrap();
    assert_eq!((lines[0].tables, lines[0].rows), (5, 8));
    let restored = restore(&fs, &env, "/copy", "snapshot=kept");
    for (table, cut) in tables.iter().zip(&cut) {
        assert_eq!(rows(&restored, table), *cut, "{table}");
    }
    assert!(restored.snapshots().is_empty());
}

#[test]
fn a_restored_settled_snapshot_goes_on_with_writes_restarts_and_snapshots() {
    for bases in [false, true] {
        let (fs, env) = machine();
        let db = open(&env).unwrap();
        create(&db, "t");
        fill(&db, "t", 1, "a");
        db.prepare_snapshot_with("kept", kept()).unwrap();
        let cut = rows(&db, "t");
        fill(&db, "t", 2, "b");
        settle(&db, "kept");
        clean_up(&db);
        copy(&fs, "/copy");
        let restored = restore(&fs, &env, "/copy", "");
        assert_eq!(rows(&restored, "t"), cut);
        drop(restored);
        // Nothing was written yet, and no base says what the restore gave.
        let env = on(&env, fs.another_process());
        let restored = open_at(&env, "/copy").unwrap();
        assert_eq!(rows(&restored, "t"), cut);
        fill(&restored, "t", 3, "c");
        if bases {
            clean_up(&restored);
        }
        restored.prepare_snapshot("default").unwrap();
        fill(&restored, "t", 4, "d");
        let newest = rows(&restored, "t");
        fs.copy_tree(Path::new("/copy"), Path::new("/again"), CopyMode::Copy, &EXCLUDED, 1).finish();
        drop(restored);
        let restored = open_at(&on(&env, fs.another_process()), "/copy").unwrap();
        assert_eq!(rows(&restored, "t"), newest);
        let again = restore(&fs, &on(&env, fs.another_process()), "/again", "snapshot=default");
        assert_eq!(rows(&again, "t").len(), cut.len() + 2);
    }
}

#[test]
fn a_flush_never_mixes_generations_that_a_kept_snapshot_separates() {
    let (_, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    for day in 1..5 {
        fill(&db, "t", 1, "a");
        db.prepare_snapshot_with(&format!("kept{day}"), kept()).unwrap();
    }
    fill(&db, "t", 1, "a");
    db.flush_table(id).unwrap();
    let segments = || segments_of(&db, "t");
    assert_eq!(segments(), 5, "one for each cut, and one behind the last");
    while db.step_settle().unwrap() {}
    fill(&db, "t", 1, "a");
    fill(&db, "t", 1, "a");
    db.flush_table(id).unwrap();
    assert_eq!(segments(), 6, "settled snapshots separate nothing any more");
    for day in 1..5 {
        assert_eq!(rows_at(&db, &format!("kept{day}"), "t").len(), 2 * day);
    }
}

#[test]
fn what_a_settled_snapshot_writes_is_the_tables_own_while_it_fits() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "t");
    fill(&db, "t", 1, "a");
    db.prepare_snapshot_with("kept", kept()).unwrap();
    fill(&db, "t", 1, "b");
    settle(&db, "kept");
    let segments = || files(&fs).iter().filter(|p| p.to_string_lossy().contains("1970-01-02/")).count();
    assert_eq!(segments(), 1);
    db.flush_table(id(&db, "t")).unwrap();
    assert_eq!((segments(), segments_of(&db, "t")), (2, 2));
    // What comes behind it finds its tables' files true.
    db.prepare_snapshot_with("second", kept()).unwrap();
    settle(&db, "second");
    let before = files(&fs);
    db.prepare_snapshot_with("third", kept()).unwrap();
    settle(&db, "third");
    clean_up(&db);
    let new: Vec<_> = files(&fs).difference(&before).filter(|p| !p.starts_with("db/_log")).cloned().collect();
    assert_eq!(new.len(), 4, "a pin and its base, and two bases of the database: {new:#?}");
    assert_eq!(segments(), 2);
    assert_eq!((rows_at(&db, "kept", "t").len(), rows_at(&db, "third", "t").len()), (2, 4));
}

#[test]
fn what_settled_snapshots_hold_comes_back_to_the_last_file() {
    let (fs, env) = machine();
    let mut db = open(&env).unwrap();
    create(&db, "t");
    clean_up(&db);
    let empty = files(&fs).len();
    for (n, name) in ["one", "two", "three"].into_iter().enumerate() {
        fill(&db, "t", 1, name);
        db.prepare_snapshot_with(name, kept()).unwrap();
        if n == 1 {
            // Not the table's own: it is truncated before the snapshot settles.
            db.truncate(id(&db, "t")).unwrap();
        }
        settle(&db, name);
    }
    db.truncate(id(&db, "t")).unwrap();
    clean_up(&db);
    for (restart, name) in [(false, "two"), (true, "one"), (true, "three")] {
        if restart {
            drop(db);
            db = open(&on(&env, fs.kill())).unwrap();
            clean_up(&db);
        }
        let view = db.view_at(name).unwrap();
        db.complete_snapshot(name).unwrap();
        clean_up(&db);
        assert!(!rows_of(&view.table("t").unwrap()).is_empty(), "a reader outlives the snapshot");
        drop(view);
        while db.step_gc().unwrap() {}
    }
    db.drop_table(id(&db, "t")).unwrap();
    clean_up(&db);
    // Another log file or two, one less table base.
    assert!(files(&fs).len() <= empty + 2, "{:#?}", files(&fs));
    assert_eq!(fs.files_below(Path::new("/root/snapshot")).len(), 0);
}

#[test]
fn settled_snapshots_outlive_a_restore_to_a_later_cut_and_not_to_an_earlier_one() {
    for late_settles in [false, true] {
        let (fs, env) = machine();
        let db = open(&env).unwrap();
        create(&db, "t");
        let mut cuts = Vec::new();
        for name in ["one", "two", "late", "after"] {
            fill(&db, "t", 1, name);
            if name == "late" && !late_settles {
                db.prepare_snapshot(name).unwrap();
            } else {
                db.prepare_snapshot_with(name, kept()).unwrap();
            }
            cuts.push(rows(&db, "t"));
            // While `late` is open nothing settles.
            while db.step_settle().unwrap() {}
        }
        clean_up(&db);
        copy(&fs, "/copy");
        copy(&fs, "/early");
        let restored = restore(&fs, &env, "/copy", "snapshot=late");
        assert_eq!(rows(&restored, "t"), cuts[2]);
        let names = |db: &Database| db.snapshots().into_iter().map(|s| s.name).collect::<Vec<_>>();
        assert_eq!(names(&restored), ["one", "two"], "late settles: {late_settles}");
        fill(&restored, "t", 1, "more");
        drop(restored);
        let env = on(&env, fs.another_process());
        let restored = open_at(&env, "/copy").unwrap();
        assert_eq!(names(&restored), ["one", "two"]);
        restored.complete_snapshot("one").unwrap();
        clean_up(&restored);
        assert_eq!(rows_at(&restored, "two", "t"), cuts[1]);
        drop(restored);
        let restored = open_at(&on(&env, fs.another_process()), "/copy").unwrap();
        assert_eq!(names(&restored), ["two"]);
        assert_eq!(rows_at(&restored, "two", "t"), cuts[1]);
        let early = restore(&fs, &on(&env, fs.another_process()), "/early", "snapshot=one");
        assert_eq!((rows(&early, "t"), names(&early)), (cuts[0].clone(), Vec::new()));
    }
}

#[test]
fn a_power_cut_while_a_snapshot_settles_leaves_it_whole() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "t");
    fill(&db, "t", 1, "a");
    db.prepare_snapshot_with("kept", kept()).unwrap();
    fill(&db, "t", 1, "b");
    let (cut, newest) = (rows_at(&db, "kept", "t"), rows(&db, "t"));
    // Both settle in one step.
    db.prepare_snapshot_with("later", kept()).unwrap();
    fs.capture_crash_points(true);
    settle(&db, "kept");
    clean_up(&db);
    let mut states = BTreeSet::new();
    for point in fs.take_crash_points() {
        for survive in [Survive::Nothing, Survive::Subset(point.op.number), Survive::NamesOnly] {
            let after = point.power_cut(survive);
            let copied = after.fork();
            let db = open(&on(&env, after.clone())).unwrap();
            assert_eq!((rows(&db, "t"), rows_at(&db, "kept", "t")), (newest.clone(), cut.clone()), "{}", point.op.site);
            states.insert(state(&db, "kept").unwrap().name());
            while db.step_settle().unwrap() {}
            clean_up(&db);
            assert_eq!(rows_at(&db, "kept", "t"), cut, "{}", point.op.site);
            assert_eq!(rows_at(&db, "later", "t"), newest, "{}", point.op.site);
            assert_eq!(after.files_below(Path::new("/root/snapshot")).len(), 2, "{}", point.op.site);
            // In place, from what the cut has left: like at a PREPARE a pin that is half written is refused.
            copied.write_file(Path::new("/root/_restore"), b"snapshot=kept");
            match open(&on(&env, copied)) {
                Ok(db) => assert_eq!(rows(&db, "t"), cut, "{}", point.op.site),
                Err(Error::Corrupt { file, .. }) => assert!(file.starts_with("/root/snapshot"), "{}", file.display()),
                Err(e) => panic!("{}: {e}", point.op.site),
            }
        }
    }
    assert_eq!(states.into_iter().collect::<Vec<_>>(), ["kept", "settled"]);
}

#[test]
fn one_whose_files_are_damaged_does_not_keep_later_ones_from_settling() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "t");
    let base_of = |db: &Database| {
        db.write_base().unwrap();
        let bases = fs.files_below(&Path::new(ROOT).join("db/_base"));
        Path::new(ROOT).join("db/_base").join(bases.last().unwrap())
    };
    fill(&db, "t", 1, "a");
    let first_base = base_of(&db);
    db.prepare_snapshot_with("one", kept()).unwrap();
    fill(&db, "t", 2, "a");
    assert_ne!(base_of(&db), first_base);
    for name in ["two", "three"] {
        db.prepare_snapshot_with(name, kept()).unwrap();
        fill(&db, "t", 3, "a");
    }
    let cuts = ["two", "three"].map(|name| rows_at(&db, name, "t"));
    drop(db);
    let fs = fs.kill();
    fs.flip_bit(&first_base, 100, 1);
    let db = open(&on(&env, fs)).unwrap();
    let end = std::iter::repeat_with(|| db.step_settle()).find(|settled| !matches!(settled, Ok(true))).unwrap();
    assert!(matches!(&end, Err(Error::Corrupt { file, .. }) if *file == first_base), "{end:?}");
    assert_eq!(state(&db, "one"), Some(SnapshotState::Kept));
    for (name, cut) in ["two", "three"].into_iter().zip(cuts) {
        assert_eq!((state(&db, name), rows_at(&db, name, "t")), (Some(SnapshotState::Settled), cut), "{name}");
    }
}

#[test]
fn nothing_settles_while_a_copy_may_be_made() {
    let (_, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "t");
    fill(&db, "t", 1, "a");
    db.prepare_snapshot_with("kept", kept()).unwrap();
    db.prepare_snapshot("copy").unwrap();
    assert!(!db.step_settle().unwrap());
    db.complete_snapshot("copy").unwrap();
    settle(&db, "kept");
}

#[test]
fn kept_snapshots_settle_also_after_a_restart() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "t");
    let mut cuts = Vec::new();
    for (day, name) in [(1, "one"), (2, "two")] {
        fill(&db, "t", day, name);
        db.prepare_snapshot_with(name, kept()).unwrap();
        cuts.push((name, rows(&db, "t")));
    }
    drop(db);
    // No state of this run is that of a cut: each is read from files.
    let db = open(&on(&env, fs.kill())).unwrap();
    for (name, cut) in cuts {
        settle(&db, name);
        assert_eq!(rows_at(&db, name, "t"), cut);
    }
}

#[test]
fn rows_that_only_a_snapshot_holds_in_memory_count_until_it_settles() {
    let (_, env) = machine();
    let memory = Budget::new(1 << 30);
    let mut options = Options::new(ROOT);
    options.memory = memory.clone();
    let db = Database::open(env, options).unwrap();
    create(&db, "t");
    for _ in 0..100 {
        fill(&db, "t", 1, "a");
    }
    db.prepare_snapshot_with("kept", kept()).unwrap();
    db.truncate(id(&db, "t")).unwrap();
    db.step_memory().unwrap();
    let held = memory.used_bytes();
    assert!(held > 1_000, "{held}");
    settle(&db, "kept");
    while db.step_gc().unwrap() {}
    db.step_memory().unwrap();
    assert!(memory.used_bytes() < held / 2, "{} of {held}", memory.used_bytes());
}

#[test]
fn a_thousand_settled_snapshots_cost_little_more_than_what_changed() {
    const TABLES: u64 = 5;
    const SNAPSHOTS: u64 = 1_000;
    const LIMIT: u64 = 4096 + 128 * TABLES;
    let kept_each = |name: &str, change: &dyn Fn(&Database, u64), settles: &dyn Fn(u64) -> bool| {
        let (fs, env) = machine();
        let db = open(&env).unwrap();
        for n in 0..TABLES {
            create(&db, &format!("t{n}"));
            fill(&db, &format!("t{n}"), 1, "a");
        }
        let prepare = |n: u64| {
            change(&db, n);
            db.prepare_snapshot_with(&format!("kept{n}"), kept()).unwrap();
            while settles(n) && (db.step_settle().unwrap() || db.step_compact().unwrap()) {}
            if settles(n) && n.is_multiple_of(50) {
                clean_up(&db);
            }
        };
        prepare(0);
        while db.step_settle().unwrap() {}
        clean_up(&db);
        // Segments and symbol files are what changed; all else is what a snapshot costs.
        let is_data = |path: &Path| path.extension().is_some_and(|kind| kind == "arrow");
        let bytes = || -> u64 {
            let digest = fs.tree_digest(Path::new(ROOT));
            let files = digest.iter().filter(|(path, _)| !path.starts_with("db/_live") && !is_data(path));
            files.map(|(_, entry)| entry.len_bytes).sum()
        };
        let before = bytes();
        (1..=SNAPSHOTS).for_each(prepare);
        while db.step_settle().unwrap() {
            while db.step_compact().unwrap() {}
        }
        // The log that rows in memory need is not the snapshots'.
        db.flush_table(id(&db, "t0")).unwrap();
        clean_up(&db);
        assert!(db.snapshots().iter().all(|s| s.state == SnapshotState::Settled));
        assert_eq!(db.snapshots().len() as u64, SNAPSHOTS + 1);
        let each = (bytes() - before) / SNAPSHOTS;
        println!("{each} bytes a snapshot of {TABLES} tables, {name}; {LIMIT} are the limit");
        assert!(each <= LIMIT, "{each} bytes a snapshot, {name}");
    };
    let row = |db: &Database, _| fill(db, "t0", 1, "a");
    kept_each("none of which changed", &|_, _| {}, &|_| true);
    kept_each("one of which got two rows, settled one by one", &row, &|_| true);
    kept_each("one of which got two rows, settled together", &row, &|n| n == 0);
}
