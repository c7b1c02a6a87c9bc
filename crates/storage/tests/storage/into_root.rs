//! `stillpoint restore`: a snapshot of a copy back into a root.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use storage::copy::{self, Facts, Found, How, IntoRoot, Plan, Restored, Watch, Wish};
use storage::env::Fs;
use storage::env::sim_fs::{CopyMode, OpKind, SimFs, Survive};
use storage::restore::Depth;
use storage::{Database, Env, Error, Options, Terms};

use crate::support::*;

const COPY: &str = "/copy";
const NEW: &str = "/new";

fn plan<'a>(env: &Env, to: &'a str, snapshot: Option<&'a str>, depth: Depth) -> storage::Result<IntoRoot<'a>> {
    let (from, to) = (Path::new(COPY), Path::new(to));
    IntoRoot::plan(env, Wish { from, to, snapshot, depth, dry_run: true, grace_us: DAY_US }, &|_| {})
}

fn run(env: &Env, to: &str) -> storage::Result<Restored> {
    let (from, to, stop) = (Path::new(COPY), Path::new(to), AtomicBool::new(false));
    let wish = Wish { from, to, snapshot: None, depth: Depth::Full, dry_run: false, grace_us: DAY_US };
    IntoRoot::plan(env, wish, &|_| {})?.run(&Watch { progress: &|_| {}, stop: &stop }, &|_| {})
}

fn facts(env: &Env, to: &str) -> Facts {
    plan(env, to, None, Depth::Full).unwrap().facts().clone()
}

/// A root with rows in segments, in a base and in the log alone, and a copy of its one snapshot. The root goes on, is
/// stopped, and holds the rows that are returned second.
fn copied() -> (Arc<SimFs>, Env, Vec<String>, Vec<String>) {
    let (fs, env) = machine();
    let db = filled(&env);
    let id = db.view().table("t").unwrap().id();
    fs.make_dirs(Path::new("/root/conf"));
    fs.write_file(Path::new("/root/conf/server.conf"), b"of then");
    db.prepare_snapshot("night").unwrap();
    let cut = rows(&db, "t");
    let how = How { link: false, verify: false, prune: false };
    let night = Plan::new(&env, Path::new(ROOT), "night").unwrap();
    let stop = AtomicBool::new(false);
    copy::to_directory(&night, Path::new(COPY), &how, &Watch { progress: &|_| {}, stop: &stop }).unwrap();
    db.complete_snapshot("night").unwrap();
    fs.remove(Path::new("/root/conf/server.conf"));
    fs.write_file(Path::new("/root/conf/server.conf"), b"of now");
    fill_pair(&db, 5);
    db.flush_table(id).unwrap();
    create(&db, "later");
    fill_pair(&db, 6);
    let newer = rows(&db, "t");
    drop(db);
    fs.sync_all();
    (fs, env, cut, newer)
}

#[test]
fn a_copy_comes_back_into_a_new_root_and_a_plain_start_serves_it() {
    let (fs, env, cut, _) = copied();
    let found = facts(&env, NEW);
    assert_eq!((found.found, found.tables, found.rows, found.new_files), (Found::Empty, 1, 8, found.files));
    assert!(fs.metadata(Path::new(NEW)).is_err(), "a plan changes nothing");
    let restored = run(&env, NEW).unwrap();
    assert_eq!(restored.brought.new_bytes, found.new_bytes);
    assert!(fs.metadata(Path::new("/new/_restore")).is_err());
    assert_eq!(fs.peek(Path::new("/new/conf/server.conf")).unwrap(), b"of then");

    let before = fs.tree_digest(Path::new(NEW));
    assert!(facts(&env, NEW).is_done);
    assert!(run(&env, NEW).unwrap().report.is_none());
    assert_eq!(fs.tree_digest(Path::new(NEW)), before, "a second run changes nothing");

    let db = open_at(&env, NEW).unwrap();
    assert_eq!((rows(&db, "t"), db.snapshots().len()), (cut, 0));
    fill_pair(&db, 9);
    db.prepare_snapshot("next").unwrap();
    drop(db);
    let again = facts(&env, NEW);
    assert!(again.found == Found::Database && !again.is_done && again.left_behind.is_some(), "{again:?}");
}

#[test]
fn a_root_goes_back_without_bytes_and_can_be_undone() {
    let (fs, env, cut, newer) = copied();
    let found = facts(&env, ROOT);
    assert_eq!(found.found, Found::Database);
    assert!(found.lines.iter().any(|line| line.contains("going back from seq")), "{:?}", found.lines);
    assert!(found.lines.iter().any(|line| line == "conf/server.conf stays as it is there"), "{:?}", found.lines);
    let left = found.left_behind.unwrap();
    let restored = run(&env, ROOT).unwrap();
    assert!(restored.brought.new_files <= 2, "its pin, and what gc had removed: {:?}", restored.brought);
    assert_eq!(fs.peek(Path::new("/root/conf/server.conf")).unwrap(), b"of now");
    let db = open(&env).unwrap();
    assert_eq!((rows(&db, "t"), db.view().table("later").is_none()), (cut, true));
    drop(db);
    fs.write_file(Path::new("/root/_restore"), format!("timeline={left}").as_bytes());
    let db = open(&env).unwrap();
    assert_eq!((rows(&db, "t"), db.view().table("later").is_some()), (newer, true));
}

/// Kills at each call: a start is refused or has the cut, the same command ends it, and without its trigger the root is as
/// it was.
fn killed_anywhere(to: &str) {
    let (fs, env, cut, newer) = copied();
    let timelines = |fs: &SimFs| fs.list(&Path::new(to).join("db/_timeline")).map_or(0, |all| all.len());
    let before = timelines(&fs);
    fs.capture_crash_points(true);
    run(&env, to).unwrap();
    let points = fs.take_crash_points();
    assert!(points.len() > 20, "{}", points.len());
    let trigger = Path::new(to).join("_restore");
    let (mut refused, mut served) = (0, 0);
    for (i, point) in points.iter().enumerate() {
        let what = format!("{to}: call {i} of {}: {:?}", points.len(), point.op);
        let after = || if i % 2 == 0 { point.kill() } else { point.power_cut(Survive::Subset(i as u64)) };
        let machine = after();
        let has_trigger = machine.peek(&trigger).is_some();
        let is_published = timelines(&machine) > before.max(1);
        if to == NEW {
            let is_there = machine.metadata(Path::new(to)).is_ok();
            assert!(!is_there || has_trigger || is_published, "{what}: a start would make a new database");
        }
        let is_started = machine.metadata(&Path::new(to).join("db")).is_ok() && (has_trigger || to == ROOT);
        if is_started {
            match open_at(&on(&env, machine), to) {
                Ok(db) if has_trigger || is_published => {
                    assert_eq!(rows(&db, "t"), cut, "{what}");
                    served += 1;
                }
                Ok(db) => assert!(rows(&db, "t") == newer || rows(&db, "t") == cut, "{what}"),
                Err(Error::Refused(_) | Error::Corrupt { .. }) if has_trigger => refused += 1,
                Err(why) => panic!("{what}: {why}"),
            }
        }
        if to == ROOT && has_trigger && !is_published {
            let machine = after();
            machine.remove(&trigger);
            assert_eq!(rows(&open_at(&on(&env, machine), to).unwrap(), "t"), newer, "{what}: given up");
        }
        let env = on(&env, after());
        run(&env, to).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(rows(&open_at(&env, to).unwrap(), "t"), cut, "{what}: gone on");
    }
    assert!(refused > 3 && served > 0, "{refused} starts were refused, {served} served");
}

#[test]
fn a_restore_into_a_new_root_that_was_killed_anywhere_goes_on() {
    killed_anywhere(NEW);
}

#[test]
fn a_restore_of_a_root_that_was_killed_anywhere_goes_on_or_is_given_up() {
    killed_anywhere(ROOT);
}

#[test]
fn no_new_database_is_begun_where_a_restore_was_cut_short() {
    for left in ["/new.partial/_restore", "/new.partial/_restore.partial", "/new/_restore.partial"] {
        let (fs, env, cut, _) = copied();
        fs.make_dirs(Path::new(left).parent().unwrap());
        fs.write_file(Path::new(left), b"#");
        // a server makes its root before it looks
        fs.make_dirs(Path::new(NEW));
        let why = open_at(&env, NEW).map(drop).unwrap_err().to_string();
        assert!(why.contains("run stillpoint restore again"), "{left}: {why}");
        assert!(fs.metadata(&Path::new(NEW).join("db")).is_err(), "{left}");
        run(&env, NEW).unwrap();
        assert_eq!(rows(&open_at(&env, NEW).unwrap(), "t"), cut, "{left}");
    }
    let (fs, env, ..) = copied();
    fs.make_dirs(Path::new("/new.partial/mine"));
    fs.make_dirs(Path::new(NEW));
    assert!(open_at(&env, NEW).unwrap().view().table("t").is_none(), "the folder beside it is somebody else's");
}

/// A server that starts by itself makes its root before it looks. The machine's `/new` was empty, or missing.
fn no_start_begins_a_database(was_there: bool) {
    let (fs, env, cut, _) = copied();
    if was_there {
        fs.make_dirs(Path::new(NEW));
        fs.sync_all();
    }
    let before = fs.fork();
    fs.capture_crash_points(true);
    run(&env, NEW).unwrap();
    let points = fs.take_crash_points();
    let is_untouched = |machine: &SimFs| machine.tree_digest(Path::new("/")) == before.tree_digest(Path::new("/"));
    let mut untouched = 0;
    for (i, point) in points.iter().enumerate() {
        let machine = if i % 2 == 0 { point.kill() } else { point.power_cut(Survive::Subset(i as u64)) };
        untouched += usize::from(is_untouched(&machine));
        if is_untouched(&machine) {
            continue;
        }
        machine.make_dirs(Path::new(NEW));
        match open_at(&on(&env, machine.clone()), NEW) {
            Ok(db) => assert_eq!(rows(&db, "t"), cut, "{i}: {:?}", point.op),
            Err(why) => assert!(why.to_string().contains("run stillpoint restore again"), "{i}: {:?}: {why}", point.op),
        }
        let on = on(&env, machine);
        run(&on, NEW).unwrap_or_else(|e| panic!("{i}: {:?}: {e}", point.op));
        assert_eq!(rows(&open_at(&on, NEW).unwrap(), "t"), cut, "{i}: gone on");
    }
    assert!(untouched <= 4 && points.len() > 30, "{untouched} of {}", points.len());
}

#[test]
fn a_restore_that_was_killed_anywhere_lets_no_start_begin_a_database() {
    no_start_begins_a_database(false);
    no_start_begins_a_database(true);
}

#[test]
fn a_restore_is_announced_before_its_copy_is_proven_and_a_refused_one_leaves_nothing() {
    for was_there in [false, true] {
        let (fs, env, ..) = copied();
        if was_there {
            fs.make_dirs(Path::new(NEW));
        }
        let segment = fs.files_below(Path::new(COPY)).into_iter().find(|f| f.to_string_lossy().contains("1970-01-02"));
        fs.flip_bit(&Path::new(COPY).join(segment.unwrap()), 700, 1);
        let before = fs.tree_digest(Path::new("/"));
        fs.record_trace(true);
        assert!(matches!(run(&env, NEW), Err(Error::Corrupt { .. })));
        assert_eq!(fs.tree_digest(Path::new("/")), before, "{was_there}");
        let trace = fs.take_trace();
        let announced = trace.iter().position(|op| op.site.kind.is_sync());
        let is_read = |kind| matches!(kind, OpKind::Read | OpKind::Map | OpKind::Open);
        let mut ops = trace.iter();
        let read = ops.position(|op| is_read(op.site.kind) && op.path.starts_with("/copy/snapshot"));
        assert!(announced.is_some() && announced < read, "{was_there}: {announced:?} {read:?}");
    }
}

#[test]
fn what_stands_in_the_way_of_a_new_root_is_left_alone() {
    let (fs, env, cut, _) = copied();
    fs.make_dirs(Path::new("/new.partial/mine"));
    let why = run(&env, NEW).unwrap_err().to_string();
    assert!(why.contains("/new.partial is in the way of the restore and holds mine; nothing was touched"), "{why}");
    assert!(fs.metadata(Path::new(NEW)).is_err());
    fs.remove_dir(Path::new("/new.partial/mine")).unwrap();
    run(&env, NEW).unwrap();
    assert_eq!(rows(&open_at(&env, NEW).unwrap(), "t"), cut);
    assert!(fs.metadata(Path::new("/new.partial")).is_err());
}

#[test]
fn a_file_in_the_place_of_a_copy_or_of_a_folder_in_it_is_refused_with_what_to_do() {
    let (fs, env, _, _) = copied();
    let told = |from: &str, to: &str| {
        let (from, to) = (Path::new(from), Path::new(to));
        let wish = Wish { from, to, snapshot: None, depth: Depth::Full, dry_run: true, grace_us: 0 };
        IntoRoot::plan(&env, wish, &|_| {}).map(drop).unwrap_err()
    };
    fs.write_file(Path::new("/file"), b"x");
    fs.make_dirs(Path::new("/half"));
    fs.write_file(Path::new("/half/db"), b"x");
    let refusals = [
        (told("/file", NEW), "/file is not a directory: name a directory that holds a copy of a root"),
        (told("/nothing", NEW), "there is no database in /nothing: name a directory that holds a copy of a root"),
        (
            told(COPY, "/file"),
            "/file is not a directory; nothing was touched. Choose a directory that is empty or missing",
        ),
    ];
    for (error, why) in refusals {
        assert!(matches!(&error, Error::Refused(text) if text.starts_with(why)), "{error:?}");
    }
    let verified = |root: &str, name| {
        storage::restore::verify(&env, Path::new(root), name, &|_| {}).map(drop).unwrap_err().to_string()
    };
    let unknown = verified(COPY, Some("none"));
    assert!(unknown.ends_with("there is no snapshot/none in /copy: it was not copied; name one that is there (night)"));
    assert!(verified("/file", None).contains("/file is not a directory: name a directory"));
    assert!(verified("/nothing", None).contains("there is no database in /nothing: name a directory"));
    let lost = fs.fork();
    lost.remove(Path::new("/copy/db/_stillpoint"));
    let lost = storage::restore::verify(&on(&env, lost), Path::new(COPY), None, &|_| {}).unwrap_err().to_string();
    assert!(lost.contains("_stillpoint: is missing, though the rest of a database is there"), "{lost}");
    let half = told("/half", NEW);
    assert!(matches!(&half, Error::Corrupt { detail, .. } if detail.contains("use another copy")), "{half:?}");
    assert!(fs.metadata(Path::new(NEW)).is_err());
}

#[test]
fn a_start_does_the_rest_of_a_restore_that_has_brought_everything() {
    let (fs, env, cut, _) = copied();
    fs.capture_crash_points(true);
    run(&env, NEW).unwrap();
    let points = fs.take_crash_points();
    let pin = Path::new("/new/snapshot").join(&fs.list(Path::new("/copy/snapshot")).unwrap()[0].name);
    let all_there = points.iter().map(|point| point.kill()).find(|machine| machine.peek(&pin).is_some()).unwrap();
    let env = on(&env, all_there);
    let db = open_at(&env, NEW).unwrap();
    assert_eq!(rows(&db, "t"), cut);
    assert!(db.start_report().restore.is_some());
}

#[test]
fn kept_snapshots_come_along_but_one_that_is_damaged() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    for (day, name) in [(1, "first"), (2, "second")] {
        fill_pair(&db, day);
        db.flush_table(id).unwrap();
        db.prepare_snapshot_with(name, Terms { keep: true, ..Terms::default() }).unwrap();
        while db.step_settle().unwrap() {}
        db.truncate(id).unwrap();
    }
    fill_pair(&db, 3);
    db.prepare_snapshot("night").unwrap();
    let at = |db: &Database, name: &str| rows_of(&db.view_at(name).unwrap().table("t").unwrap());
    let (first, second) = (at(&db, "first"), at(&db, "second"));
    fs.copy_tree(Path::new(ROOT), Path::new(COPY), CopyMode::Copy, &["db/_live"], 1).finish();
    let stop = AtomicBool::new(false);
    let restore = |env: &Env| {
        let planned = plan(env, NEW, Some("night"), Depth::Full).unwrap();
        let facts = planned.facts().clone();
        planned.run(&Watch { progress: &|_| {}, stop: &stop }, &|_| {}).unwrap();
        facts
    };
    let machine = on(&env, fs.fork());
    assert_eq!(restore(&machine).kept, 2);
    let restored = open_at(&machine, NEW).unwrap();
    assert_eq!((at(&restored, "first"), at(&restored, "second")), (first.clone(), second));

    let damaged = fs.fork();
    let files = damaged.files_below(Path::new(COPY));
    let of_second = files.iter().find(|file| file.to_string_lossy().contains("1970-01-03")).unwrap();
    damaged.flip_bit(&Path::new(COPY).join(of_second), 700, 1);
    let machine = on(&env, damaged);
    let facts = restore(&machine);
    assert!(facts.kept == 1 && facts.lines.iter().any(|line| line.contains("kept snapshot second")), "{facts:?}");
    let restored = open_at(&machine, NEW).unwrap();
    assert_eq!((at(&restored, "first"), restored.snapshots().len()), (first, 1));
    assert!(
        matches!(plan(&env, NEW, None, Depth::Full), Err(Error::Refused(why)) if why.contains("first, night, second"))
    );
}

#[test]
fn a_root_that_is_not_its_own_is_refused_untouched() {
    let (fs, env, ..) = copied();
    let refused = |env: &Env, to: &str, fs: &SimFs, part: &str| {
        let before = fs.tree_digest(Path::new("/"));
        match run(env, to) {
            Err(Error::Refused(why)) => assert!(why.contains(part), "{to}: {why}"),
            other => panic!("{to}: {other:?}"),
        }
        assert_eq!(fs.tree_digest(Path::new("/")), before, "{to}: {part}");
    };
    refused(&env, "/copy/inside", &fs, "lie within each other");
    refused(&env, "/", &fs, "lie within each other");
    fs.make_dirs(Path::new("/full/db"));
    fs.write_file(Path::new("/full/notes.txt"), b"mine");
    refused(&env, "/full", &fs, "is not empty (notes.txt)");
    fs.make_dirs(Path::new("/questdb/db"));
    fs.write_file(Path::new("/questdb/db/tables.d.0"), b"theirs");
    refused(&env, "/questdb", &fs, "is not empty (tables.d.0)");
    drop(open_at(&env, "/other").unwrap());
    refused(&env, "/other", &fs, "holds another database");
    let running = open(&env).unwrap();
    refused(&env, ROOT, &fs, "is in use by a server");
    drop(running);
    let other = open_at(&env, "/other").unwrap();
    other.prepare_snapshot("theirs").unwrap();
    fs.copy_tree(Path::new("/other"), Path::new("/copies"), CopyMode::Copy, &["db/_live"], 1).finish();
    refused(&env, "/copies", &fs, "holds another database");
}

#[test]
fn a_directory_of_copies_is_not_made_a_root_and_another_history_is_left_alone() {
    let (fs, env, cut, _) = copied();
    let db = open(&env).unwrap();
    db.prepare_snapshot("noon").unwrap();
    drop(db);
    fs.copy_tree(Path::new(ROOT), Path::new("/copies"), CopyMode::Copy, &["db/_live"], 1).finish();
    assert!(matches!(run(&env, "/copies"), Err(Error::Refused(why)) if why.contains("of snapshot noon too")));
    // A clone that went back and a copy of it: the first root knows nothing of its timeline.
    run(&env, NEW).unwrap();
    let clone = open_at(&env, NEW).unwrap();
    fill_pair(&clone, 20);
    clone.prepare_snapshot("night").unwrap();
    let (from, to) = (Path::new(NEW), Path::new(ROOT));
    let wish = Wish { from, to, snapshot: None, depth: Depth::Full, dry_run: true, grace_us: DAY_US };
    let refused = IntoRoot::plan(&env, wish, &|_| {});
    assert!(matches!(refused, Err(Error::Refused(why)) if why.contains("another history")));
    assert_ne!(rows(&clone, "t"), cut);
}

#[test]
fn a_copy_that_is_damaged_is_refused_before_anything_is_made() {
    let (fs, env, ..) = copied();
    let mut tried = 0;
    for file in fs.files_below(Path::new(COPY)).into_iter().filter(|file| !file.starts_with("conf")) {
        let machine = fs.fork();
        let source: PathBuf = Path::new(COPY).join(&file);
        let len = machine.peek(&source).unwrap().len() as u64;
        let at = if file.extension().is_some_and(|e| e == "wal") { len - 100 } else { len / 2 };
        machine.flip_bit(&source, at, 3);
        match run(&on(&env, machine.clone()), NEW) {
            Err(Error::Corrupt { file, .. }) => assert_eq!(file, source),
            other => panic!("{}: {other:?}", file.display()),
        }
        assert!(machine.metadata(Path::new(NEW)).is_err(), "{}", file.display());
        tried += 1;
    }
    assert!(tried > 8);
}

#[test]
fn a_damaged_file_of_the_root_is_mended_from_the_copy() {
    let (fs, env, cut, _) = copied();
    let files = fs.files_below(Path::new(ROOT));
    let segment = files.iter().find(|file| file.to_string_lossy().contains("1970-01-02")).unwrap();
    fs.flip_bit(&Path::new(ROOT).join(segment), 700, 1);
    assert!(run(&env, ROOT).unwrap().brought.new_files >= 1);
    assert_eq!(rows(&open(&env).unwrap(), "t"), cut);
}

#[test]
fn a_full_disk_is_told_and_the_restore_goes_on() {
    let (fs, env, cut, _) = copied();
    fs.set_free_bytes(Some(12 << 10));
    let planned = facts(&env, NEW).lines;
    assert!(planned.iter().any(|line| line.starts_with("it does not fit on the disk of ")), "{planned:?}");
    match run(&env, NEW) {
        Err(Error::Unavailable(why)) => assert!(why.contains("run the same command again"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(open_at(&env, NEW), Err(Error::Refused(_) | Error::Corrupt { .. })));
    fs.set_free_bytes(None);
    assert!(facts(&env, NEW).lines.iter().all(|line| !line.contains("does not fit")));
    let restored = run(&env, NEW).unwrap();
    assert!(restored.brought.new_files < restored.brought.files);
    assert_eq!(rows(&open_at(&env, NEW).unwrap(), "t"), cut);
}

#[test]
fn a_start_that_may_not_restore_serves_no_root_that_has_come_half() {
    let (_, env, cut, _) = copied();
    let stop = AtomicBool::new(true);
    let stopped = plan(&env, NEW, None, Depth::Full).unwrap().run(&Watch { progress: &|_| {}, stop: &stop }, &|_| {});
    assert!(stopped.is_err_and(|e| e.to_string().contains("stopped")));
    let off = Options { restores: false, ..Options::new(NEW) };
    let refused = Database::open(env.clone(), off).map(drop).unwrap_err().to_string();
    assert!(refused.contains("_restore") && refused.contains("has not ended"), "{refused}");
    run(&env, NEW).unwrap();
    let off = Options { restores: false, ..Options::new(NEW) };
    assert_eq!(rows(&Database::open(env.clone(), off).unwrap(), "t"), cut);
}
