//! `snapshot copy`: what the snapshot names, proven on the way, into a directory or a tar stream.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use storage::copy::{self, How, IntoRoot, Plan, Report, Watch, Wish};
use storage::env::Fs;
use storage::env::sim_fs::{Fault, FaultPlan, Op, OpKind, SimFs, Survive};
use storage::restore::Depth;
use storage::{Database, Env, Error, Options, SnapshotState, Terms};

use crate::support::*;

const COPY: &str = "/copy";

const HOW: How = How { link: false, verify: false, prune: false };

fn try_copy(env: &Env, name: &str, how: How) -> storage::Result<Report> {
    let plan = Plan::new(env, Path::new(ROOT), name)?;
    let stop = AtomicBool::new(false);
    copy::to_directory(&plan, Path::new(COPY), &how, &Watch { progress: &|_| {}, stop: &stop })
}

fn copied(env: &Env, name: &str) -> Report {
    try_copy(env, name, HOW).unwrap()
}

fn restored(env: &Env, fs: &SimFs) -> Database {
    fs.write_file(&Path::new(COPY).join("_restore"), b"");
    open_at(env, COPY).unwrap()
}

fn conf(fs: &SimFs, text: &str) {
    fs.make_dirs(Path::new("/root/conf"));
    fs.write_file(Path::new("/root/conf/server.conf"), text.as_bytes());
}

/// Before each file that the copy makes, what it has made so far is lost on the way to the disk, and another sync of the file
/// system is told of it first.
#[test]
fn a_failed_write_back_that_another_sync_was_told_of_stops_the_copy() {
    let mut stopped = 0;
    for nth in 1.. {
        let (fs, env) = machine();
        let db = filled(&env);
        db.prepare_snapshot("night").unwrap();
        let another = fs.file_system_of(Path::new("/")).unwrap();
        let fails = fs.clone();
        fs.interrupt(nth, move || {
            let unsynced: Vec<_> = fails.files_below(Path::new(COPY));
            let partial = unsynced.iter().filter(|path| path.extension().is_some_and(|end| end == "partial"));
            let lost: Vec<_> = partial.map(|path| Path::new(COPY).join(path)).collect();
            lost.iter().for_each(|path| fails.fail_write_back(path));
            assert_eq!(another.sync().is_err(), !lost.is_empty());
        });
        let copied = try_copy(&env, "night", HOW);
        if fs.end_interruption() {
            copied.unwrap();
            break;
        }
        if copied.is_err() {
            stopped += 1;
            try_copy(&env, "night", HOW).unwrap();
        }
        fs.power_cut(Survive::Nothing);
        let fs = fs.power_up();
        storage::restore::verify(&on(&env, fs), Path::new(COPY), None, &|_| {}).unwrap();
    }
    assert!(stopped > 4, "{stopped}");
}

/// The base that the restore went on from names segments that have left the state since.
#[test]
fn a_copy_after_the_restore_of_a_settled_snapshot_needs_no_table_that_is_gone() {
    let (fs, env) = machine();
    let db = filled(&env);
    create(&db, "stays");
    insert(&db, "stays", &[(DAY_US, Some("a"), 1, None)]);
    db.prepare_snapshot_with("kept", Terms { keep: true, ..Terms::default() }).unwrap();
    while db.step_settle().unwrap() {}
    drop(db);
    fs.write_file(&Path::new(ROOT).join("_restore"), b"snapshot=kept");
    let env = on(&env, fs.kill());
    let db = Database::open(env.clone(), Options { restore_grace_us: 0, ..Options::new(ROOT) }).unwrap();
    db.drop_table(db.view().table("t").unwrap().id()).unwrap();
    db.purge_table("t", None).unwrap();
    while db.step_gc().unwrap() {}
    db.prepare_snapshot("night").unwrap();
    copied(&env, "night");
    storage::restore::verify(&env, Path::new(COPY), None, &|_| {}).unwrap();
    let wish = Wish {
        from: Path::new(COPY),
        to: Path::new("/back"),
        snapshot: None,
        depth: Depth::Full,
        dry_run: true,
        grace_us: 0,
    };
    IntoRoot::plan(&env, wish, &|_| {}).unwrap();
    env.fs.create_new(&Path::new(COPY).join("_restore")).unwrap();
    let restored = open_at(&env, COPY).unwrap();
    assert_eq!(rows(&restored, "stays"), rows(&db, "stays"));
    assert!(restored.view().table("t").is_none());
}

#[test]
fn a_copy_made_under_changes_is_the_cut() {
    let (fs, env) = machine();
    let db = filled(&env);
    conf(&fs, "http.enabled=true");
    let dropped = create(&db, "dropped");
    insert(&db, "dropped", &[(0, Some("kept"), 1, None)]);
    db.prepare_snapshot("night").unwrap();
    let cut = (rows(&db, "t"), rows(&db, "dropped"));
    let id = db.view().table("t").unwrap().id();
    let plan = Plan::new(&env, Path::new(ROOT), "night").unwrap();
    // Each piece of the copy is followed by a change of the database.
    let turn = AtomicU64::new(0);
    let progress = |_| match turn.fetch_add(1, Ordering::Relaxed) {
        0 => fill_pair(&db, 5),
        1 => db.flush_table(id).unwrap(),
        2 => drop(db.step_compact().unwrap()),
        3 => db.drop_table(dropped).unwrap(),
        4 => db.write_base().unwrap(),
        5 => db.truncate(id).map(drop).unwrap(),
        _ => drop(db.step_gc().unwrap()),
    };
    let stop = AtomicBool::new(false);
    let report = copy::to_directory(&plan, Path::new(COPY), &HOW, &Watch { progress: &progress, stop: &stop }).unwrap();
    assert!(turn.load(Ordering::Relaxed) > 6, "all changes were made");
    db.complete_snapshot("night").unwrap();
    assert_eq!((report.new_files, report.new_bytes), (report.files, report.bytes));
    assert_eq!(report.files, plan.total_files() as u64);
    assert_eq!(fs.files_below(Path::new(COPY)).len() as u64, report.files, "nothing else was copied");
    let lines = storage::restore::verify(&env, Path::new(COPY), None, &|_| {}).unwrap();
    assert_eq!((lines[0].tables, lines[0].rows), (2, 9));
    let copy = restored(&env, &fs);
    assert_eq!((rows(&copy, "t"), rows(&copy, "dropped")), cut);
    assert_eq!(fs.peek(Path::new("/copy/conf/server.conf")).unwrap(), b"http.enabled=true");
    fill_pair(&copy, 9);
}

#[test]
fn a_second_copy_sends_what_is_new_and_the_latest_is_restored() {
    let (fs, env) = machine();
    let db = filled(&env);
    db.prepare_snapshot("night").unwrap();
    let first = copied(&env, "night");
    let again = copied(&env, "night");
    assert_eq!((again.new_files, again.new_bytes), (0, 0));
    db.complete_snapshot("night").unwrap();
    let id = db.view().table("t").unwrap().id();
    fill_pair(&db, 8);
    db.flush_table(id).unwrap();
    db.prepare_snapshot("night").unwrap();
    let cut = rows(&db, "t");
    let second = copied(&env, "night");
    assert!(second.new_files < second.files && second.new_bytes < first.bytes, "{second:?}");
    assert_eq!(fs.list(Path::new("/copy/snapshot")).unwrap().len(), 2, "both can be restored");
    assert_eq!(storage::restore::verify(&env, Path::new(COPY), None, &|_| {}).unwrap().len(), 2);
    assert_eq!(rows(&restored(&env, &fs), "t"), cut);
}

#[test]
fn verify_reads_what_several_snapshots_share_once() {
    let (fs, env) = machine();
    let db = filled(&env);
    let id = db.view().table("t").unwrap().id();
    db.flush_table(id).unwrap();
    for name in ["first", "second"] {
        db.prepare_snapshot(name).unwrap();
        copied(&env, name);
        db.complete_snapshot(name).unwrap();
        fill_pair(&db, 8);
    }
    fs.record_trace(true);
    let files_read = |name: Option<&str>, snapshots: usize| {
        let whole = storage::restore::verify(&env, Path::new(COPY), name, &|_| {}).unwrap();
        assert_eq!(whole.len(), snapshots);
        let reads = |op: &Op| matches!(op.site.kind, OpKind::Open | OpKind::Read | OpKind::Map);
        let mut files: Vec<_> = fs.take_trace().into_iter().filter(reads).map(|op| op.path).collect();
        files.retain(|path| path.extension().is_some_and(|e| e == "arrow"));
        files.sort();
        files
    };
    let of_one = files_read(Some("second"), 1);
    assert!(of_one.len() > 2, "{of_one:?}");
    assert_eq!(files_read(None, 2), of_one);
}

#[test]
fn prune_leaves_what_a_snapshot_of_the_directory_names() {
    let (fs, env) = machine();
    let db = filled(&env);
    db.prepare_snapshot("month").unwrap();
    copied(&env, "month");
    db.complete_snapshot("month").unwrap();
    let id = db.view().table("t").unwrap().id();
    let others = [("/copy/db/notes.txt", "mine"), ("/copy/db/t~1/1970-01-02/readme.arrow", "mine")];
    for (path, text) in others {
        fs.write_file(Path::new(path), text.as_bytes());
    }
    for day in [10, 11] {
        db.truncate(id).unwrap();
        fill_pair(&db, day);
        db.flush_table(id).unwrap();
        db.write_base().unwrap();
        db.prepare_snapshot("night").unwrap();
        assert_eq!(copied(&env, "night").removed_files, 0);
        db.complete_snapshot("night").unwrap();
    }
    db.prepare_snapshot("night").unwrap();
    let cut = rows(&db, "t");
    let report = try_copy(&env, "night", How { prune: true, ..HOW }).unwrap();
    assert!(report.removed_files > 3 && report.removed_bytes > 0, "{report:?}");
    let whole = storage::restore::verify(&env, Path::new(COPY), None, &|_| {}).unwrap();
    assert_eq!(whole.len(), 2, "{whole:?}");
    assert!(others.iter().all(|(path, text)| fs.peek(Path::new(path)).as_deref() == Some(text.as_bytes())));
    let none = try_copy(&env, "night", How { prune: true, ..HOW }).unwrap();
    assert_eq!((none.new_files, none.removed_files), (0, 0));
    fs.write_file(Path::new("/copy/_restore"), b"snapshot=night");
    assert_eq!(rows(&open_at(&env, COPY).unwrap(), "t"), cut);
}

#[test]
fn a_copy_that_was_killed_anywhere_is_refused_and_goes_on() {
    let (fs, env) = machine();
    let db = filled(&env);
    db.prepare_snapshot("night").unwrap();
    let cut = rows(&db, "t");
    fs.sync_all();
    fs.capture_crash_points(true);
    let all = copied(&env, "night");
    let points = fs.take_crash_points();
    assert!(points.len() > 40, "{}", points.len());
    let pin = Path::new("/copy/snapshot").join(&fs.list(Path::new("/copy/snapshot")).unwrap()[0].name);
    let mut kept = 0;
    for (i, point) in points.iter().enumerate() {
        let killed =
            if i % 2 == 0 { point.kill() } else { point.power_cut(storage::env::sim_fs::Survive::Subset(i as u64)) };
        let on = on(&env, killed.clone());
        if killed.peek(&pin).is_some() {
            storage::restore::verify(&on, Path::new(COPY), None, &|_| {}).unwrap_or_else(|e| panic!("{i}: {e}"));
        } else {
            assert!(storage::restore::verify(&on, Path::new(COPY), None, &|_| {}).is_err(), "{i}");
        }
        let report = try_copy(&on, "night", HOW).unwrap_or_else(|e| panic!("{i}: {:?}: {e}", point.op));
        assert_eq!(report.files, all.files);
        kept = kept.max(all.new_files - report.new_files);
        let left: Vec<_> = killed
            .files_below(Path::new(COPY))
            .into_iter()
            .filter(|p| p.to_string_lossy().contains("partial"))
            .collect();
        assert!(left.is_empty(), "{i}: {left:?}");
        assert_eq!(rows(&restored(&on, &killed), "t"), cut, "{i}: {:?}", point.op);
    }
    assert!(kept > all.files / 2, "a copy that went on sent files again: {kept} of {}", all.files);
}

#[test]
fn a_flipped_byte_of_any_file_of_the_source_is_found() {
    let (fs, env) = machine();
    let db = filled(&env);
    db.prepare_snapshot("night").unwrap();
    copied(&env, "night");
    let mut tried = 0;
    for file in fs.files_below(Path::new(COPY)) {
        let source = Path::new(ROOT).join(&file);
        let len = fs.peek(&source).unwrap().len() as u64;
        // The middle of a log file's head is in none of its two copies.
        let at = if file.extension().is_some_and(|e| e == "wal") { len - 100 } else { len / 2 };
        let machine = fs.fork();
        machine.remove(Path::new(COPY));
        machine.flip_bit(&source, at, 3);
        let on = on(&env, machine.clone());
        match try_copy(&on, "night", HOW) {
            Err(Error::Corrupt { file, detail }) => assert_eq!(file, source, "{detail}"),
            other => panic!("{}: {:?}", file.display(), other.map(|r| r.lines())),
        }
        assert!(storage::restore::verify(&on, Path::new(COPY), None, &|_| {}).is_err(), "{}", file.display());
        tried += 1;
    }
    assert!(tried > 8);
}

#[test]
fn verify_finds_a_flipped_byte_of_an_earlier_copy_and_sends_the_file_again() {
    let (fs, env) = machine();
    let db = filled(&env);
    db.prepare_snapshot("night").unwrap();
    copied(&env, "night");
    let files = fs.files_below(Path::new(COPY));
    let segment = files.iter().find(|f| f.to_string_lossy().contains("1970-01-02")).unwrap();
    let path = Path::new(COPY).join(segment);
    fs.flip_bit(&path, 700, 1);
    assert_eq!(copied(&env, "night").new_files, 0, "lengths alone do not tell");
    let report = try_copy(&env, "night", How { verify: true, ..HOW }).unwrap();
    assert_eq!((report.new_files, report.removed_files), (1, 0));
    assert_eq!(fs.peek(&path), fs.peek(&Path::new(ROOT).join(segment)));
}

#[test]
fn a_full_disk_is_told_and_what_is_there_stays() {
    let (fs, env) = machine();
    let db = filled(&env);
    db.prepare_snapshot("night").unwrap();
    fs.set_free_bytes(Some(40 << 10));
    match try_copy(&env, "night", HOW) {
        Err(Error::Unavailable(why)) => assert!(why.contains("disk full: /copy has room for "), "{why}"),
        other => panic!("{:?}", other.map(|r| r.lines())),
    }
    assert!(storage::restore::verify(&env, Path::new(COPY), None, &|_| {}).is_err());
    fs.set_free_bytes(None);
    let report = copied(&env, "night");
    assert!(report.new_files < report.files, "{report:?}");
    assert_eq!(rows(&restored(&env, &fs), "t"), rows(&db, "t"));
}

#[test]
fn a_failed_sync_fails_the_copy() {
    let (fs, env) = machine();
    let db = filled(&env);
    db.prepare_snapshot("night").unwrap();
    fs.record_trace(true);
    let before = fs.fork();
    copied(&env, "night");
    let syncs: Vec<u64> = fs.take_trace().iter().filter(|op| op.site.kind.is_sync()).map(|op| op.number).collect();
    for at_op in syncs {
        let machine = before.fork();
        machine.set_faults(FaultPlan::one(Fault::Fail { at_op, errno: Fault::EIO, times: 1 }));
        assert!(try_copy(&on(&env, machine.clone()), "night", HOW).is_err(), "{at_op}");
    }
}

#[test]
fn links_and_clones_write_no_bytes_of_segments() {
    let (fs, env) = machine();
    let db = filled(&env);
    db.prepare_snapshot("night").unwrap();
    let linked = try_copy(&env, "night", How { link: true, ..HOW }).unwrap();
    assert!(linked.linked_files > 5 && linked.cloned_files == 0, "{linked:?}");
    fs.remove(Path::new(COPY));
    fs.set_clones(true);
    let before = fs.counts().written_bytes;
    let cloned = copied(&env, "night");
    assert!(cloned.cloned_files == linked.linked_files && cloned.linked_files == 0, "{cloned:?}");
    assert!(fs.counts().written_bytes - before < 8192);
    assert_eq!(rows(&restored(&env, &fs), "t"), rows(&db, "t"));
}

#[test]
fn a_directory_that_holds_something_else_is_refused_untouched() {
    let (fs, env) = machine();
    let db = filled(&env);
    db.prepare_snapshot("night").unwrap();
    let refused = |make: &dyn Fn(&SimFs), why: &str| {
        let machine = fs.fork();
        make(&machine);
        let before = machine.tree_digest(Path::new(COPY));
        match try_copy(&on(&env, machine.clone()), "night", HOW) {
            Err(Error::Refused(text)) => assert!(text.contains(why), "{why}: {text}"),
            other => panic!("{why}: {:?}", other.map(|r| r.lines())),
        }
        assert_eq!(machine.tree_digest(Path::new(COPY)), before, "{why}");
    };
    let file = |path: &'static str| {
        move |fs: &SimFs| {
            fs.make_dirs(Path::new(path).parent().unwrap());
            fs.write_file(Path::new(path), b"mine");
        }
    };
    refused(&file("/copy/photo.jpg"), "is not empty (photo.jpg)");
    refused(&file("/copy/db/tables.d"), "is not empty (tables.d)");
    refused(&|fs| drop(open_at(&on(&env, fs.clone()), COPY).unwrap()), "another database");
    let serve = |fs: &SimFs| {
        let on = on(&env, fs.clone());
        copied(&on, "night");
        drop(restored(&on, fs));
    };
    refused(&serve, "a server's own log");
    refused(
        &|fs| {
            fs.make_dirs(Path::new("/elsewhere"));
            fs.make_dirs(Path::new(COPY));
            fs.symlink(Path::new("/elsewhere"), Path::new("/copy/db"));
        },
        "symbolic link",
    );
    let plan = Plan::new(&env, Path::new(ROOT), "night").unwrap();
    let stop = AtomicBool::new(false);
    let within = copy::to_directory(&plan, Path::new("/root/copy"), &HOW, &Watch { progress: &|_| {}, stop: &stop });
    assert!(within.is_err_and(|e| e.to_string().contains("within each other")));
    assert!(matches!(Plan::new(&env, Path::new(ROOT), "none"), Err(Error::Refused(_))));
}

#[test]
fn a_copy_is_stopped_between_two_pieces() {
    let (fs, env) = machine();
    let db = filled(&env);
    db.prepare_snapshot("night").unwrap();
    let plan = Plan::new(&env, Path::new(ROOT), "night").unwrap();
    let stop = AtomicBool::new(false);
    let progress = |p: copy::Progress| {
        stop.fetch_or(p.done_bytes > 4_000, Ordering::Relaxed);
    };
    let stopped = copy::to_directory(&plan, Path::new(COPY), &HOW, &Watch { progress: &progress, stop: &stop });
    assert!(stopped.is_err_and(|e| e.to_string().contains("stopped")));
    assert!(fs.list(Path::new("/copy/snapshot")).unwrap().is_empty());
}

#[test]
fn a_tar_stream_holds_the_same_files_and_the_pin_last() {
    let (fs, env) = machine();
    let db = filled(&env);
    db.prepare_snapshot("night").unwrap();
    copied(&env, "night");
    let plan = Plan::new(&env, Path::new(ROOT), "night").unwrap();
    let stop = AtomicBool::new(false);
    let mut bytes = Vec::new();
    let report = copy::to_tar(&plan, &mut bytes, &Watch { progress: &|_| {}, stop: &stop }).unwrap();
    let mut members = Vec::new();
    let mut at = 0;
    while bytes[at] != 0 {
        let text = |range: std::ops::Range<usize>| {
            String::from_utf8_lossy(&bytes[at..][range]).trim_end_matches(['\0', ' ']).to_owned()
        };
        let len = usize::from_str_radix(&text(124..136), 8).unwrap();
        let sum: u32 = (0..512).map(|i| if (148..156).contains(&i) { 32 } else { u32::from(bytes[at + i]) }).sum();
        assert_eq!(u32::from_str_radix(&text(148..154), 8).unwrap(), sum);
        members.push((text(0..100), bytes[at + 512..at + 512 + len].to_vec()));
        at += 512 + len.next_multiple_of(512);
    }
    assert_eq!(bytes.len(), at + 1024);
    assert_eq!(members.len() as u64, report.files);
    assert!(members.last().unwrap().0.starts_with("snapshot/night."));
    for (path, bytes) in members {
        assert_eq!(fs.peek(&Path::new(COPY).join(&path)).unwrap(), bytes, "{path}");
    }
}

/// Two kept snapshots that have settled, and behind them other rows.
fn settled(env: &Env) -> Database {
    let db = open(env).unwrap();
    let id = create(&db, "t");
    for (day, name) in [(1, "first"), (2, "second")] {
        fill_pair(&db, day);
        db.prepare_snapshot_with(name, Terms { keep: true, ..Terms::default() }).unwrap();
        while db.step_settle().unwrap() {}
        db.truncate(id).unwrap();
    }
    fill_pair(&db, 3);
    db
}

/// Whatever settles when somebody takes a snapshot to copy has ended, one way or the other, before the copy begins.
#[test]
fn a_root_that_is_copied_while_kept_snapshots_were_about_to_settle_is_whole() {
    for nth in 0.. {
        let (fs, env) = machine();
        let db = Arc::new(open(&env).unwrap());
        create(&db, "t");
        for (day, name) in [(1, "first"), (2, "second")] {
            fill_pair(&db, day);
            db.prepare_snapshot_with(name, Terms { keep: true, ..Terms::default() }).unwrap();
        }
        // The log makes no file that others would wait for.
        db.step_spare().unwrap();
        let (other, watched) = (db.clone(), db.clone());
        let (told, prepared) = std::sync::mpsc::channel();
        fs.interrupt(nth, move || {
            std::thread::spawn(move || told.send(other.prepare_snapshot("night")));
            while state(&watched, "night").is_none() {
                std::thread::yield_now();
            }
        });
        db.step_settle().unwrap();
        if fs.end_interruption() {
            assert!(nth > 6, "{nth} files");
            return;
        }
        prepared.recv().unwrap().unwrap();
        let whole = storage::restore::verify(&env, Path::new(ROOT), None, &|_| {});
        assert_eq!(whole.unwrap_or_else(|e| panic!("file {nth}: {e}")).len(), 3);
        assert_eq!(fs.list(&Path::new(ROOT).join("snapshot")).unwrap().len(), 3, "file {nth}");
        db.complete_snapshot("night").unwrap();
        while db.step_settle().unwrap() || db.step_gc().unwrap() {}
        assert_eq!(state(&db, "second"), Some(SnapshotState::Settled));
        assert_eq!(storage::restore::verify(&env, Path::new(ROOT), None, &|_| {}).unwrap().len(), 2);
    }
}

/// A copy may be made between the two: the former file goes behind what it named.
#[test]
fn the_former_file_of_a_settled_snapshot_makes_no_copy_bad() {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "t");
    fill_pair(&db, 1);
    db.prepare_snapshot_with("kept", Terms { keep: true, ..Terms::default() }).unwrap();
    let pins = Path::new(ROOT).join("snapshot");
    let former = fs.files_below(&pins).remove(0);
    let former = (pins.join(&former), fs.peek(&pins.join(&former)).unwrap());
    while db.step_settle().unwrap() {}
    fill_pair(&db, 2);
    clean_up(&db);
    assert!(fs.peek(&former.0).is_none(), "its former file is gone");
    let verify = |name: Option<&str>| storage::restore::verify(&env, Path::new(ROOT), name, &|_| {});
    let whole = verify(None).unwrap();
    fs.write_file(&former.0, &former.1);
    assert_eq!(verify(None).unwrap(), whole);
    assert_eq!(verify(Some("kept")).unwrap(), whole);
    let by_file = former.0.file_stem().unwrap().to_str();
    assert!(verify(by_file).is_err(), "asked for by its file, it is missing what it names");
}

#[test]
fn a_settled_snapshot_is_copied_without_any_log_and_restored() {
    let (fs, env) = machine();
    let db = settled(&env);
    let cut = rows_of(&db.view_at("first").unwrap().table("t").unwrap());
    copied(&env, "first");
    assert!(fs.files_below(Path::new(COPY)).iter().all(|file| !file.starts_with("db/_log")), "it needs no log");
    assert_eq!(copied(&env, "first").new_files, 0);
    storage::restore::verify(&env, Path::new(COPY), None, &|_| {}).unwrap();
    let copy = restored(&env, &fs);
    assert_eq!(rows(&copy, "t"), cut);
    fill_pair(&copy, 9);
}

#[test]
fn kept_snapshots_go_along_when_asked_and_else_are_counted() {
    let (fs, env) = machine();
    let db = settled(&env);
    let first = rows_of(&db.view_at("first").unwrap().table("t").unwrap());
    db.prepare_snapshot("night").unwrap();
    let report = copied(&env, "night");
    assert_eq!((report.kept.along, report.kept.left_out), (0, 2));
    assert!(
        report.lines().iter().any(|line| line.contains("2 kept snapshots did not go along")),
        "{:?}",
        report.lines()
    );
    let plan = Plan::new(&env, Path::new(ROOT), "night").unwrap().with_kept(Depth::Fast).unwrap();
    let stop = AtomicBool::new(false);
    let report = copy::to_directory(&plan, Path::new(COPY), &HOW, &Watch { progress: &|_| {}, stop: &stop }).unwrap();
    assert_eq!((report.kept.along, report.kept.left_out), (2, 0));
    assert_eq!(storage::restore::verify(&env, Path::new(COPY), None, &|_| {}).unwrap().len(), 3);
    fs.write_file(Path::new("/copy/_restore"), b"snapshot=night");
    let copy = open_at(&env, COPY).unwrap();
    assert_eq!(rows_of(&copy.view_at("first").unwrap().table("t").unwrap()), first);
    let states: Vec<_> = copy.snapshots().into_iter().map(|s| s.state).collect();
    assert_eq!(states, [SnapshotState::Settled, SnapshotState::Settled]);
}

/// Nothing but the kept snapshot named the files that went.
#[test]
fn a_kept_snapshot_that_is_completed_in_the_middle_of_a_copy_is_left_out_and_said() {
    for into_tar in [false, true] {
        let (fs, env) = machine();
        let db = settled(&env);
        let second = rows_of(&db.view_at("second").unwrap().table("t").unwrap());
        keep_now(&db, "night");
        let plan = Plan::new(&env, Path::new(ROOT), "night").unwrap().with_kept(Depth::Fast).unwrap();
        db.complete_snapshot("first").unwrap();
        while db.step_gc().unwrap() {}
        let stop = AtomicBool::new(false);
        let watch = Watch { progress: &|_| {}, stop: &stop };
        let report = if into_tar {
            let mut archive = Vec::new();
            let report = copy::to_tar(&plan, &mut archive, &watch).unwrap();
            assert!(!String::from_utf8_lossy(&archive).contains("snapshot/first."));
            report
        } else {
            copy::to_directory(&plan, Path::new(COPY), &HOW, &watch).unwrap()
        };
        assert_eq!((report.kept.along, report.kept.left_out), (1, 1));
        let said = "kept snapshot first was completed while it was copied: it did not go along";
        assert!(report.lines().iter().any(|line| line == said), "{:?}", report.lines());
        if into_tar {
            continue;
        }
        assert_eq!(storage::restore::verify(&env, Path::new(COPY), None, &|_| {}).unwrap().len(), 2);
        fs.write_file(Path::new("/copy/_restore"), b"snapshot=night");
        let copy = open_at(&env, COPY).unwrap();
        assert_eq!(rows_of(&copy.view_at("second").unwrap().table("t").unwrap()), second);
    }
}

/// Takes a snapshot that holds nothing else up.
fn keep_now(db: &Database, name: &str) {
    db.prepare_snapshot_with(name, Terms { keep: true, ..Terms::default() }).unwrap();
    while db.step_settle().unwrap() {}
}

fn copy_all(env: &Env, name: &str) -> Report {
    let plan = Plan::new(env, Path::new(ROOT), name).unwrap().with_kept(Depth::Fast).unwrap();
    let stop = AtomicBool::new(false);
    let how = How { prune: true, ..HOW };
    copy::to_directory(&plan, Path::new(COPY), &how, &Watch { progress: &|_| {}, stop: &stop }).unwrap()
}

fn names_in_copy(env: &Env) -> Vec<String> {
    let whole = storage::restore::verify(env, Path::new(COPY), None, &|_| {}).unwrap();
    let mut names: Vec<String> = whole.into_iter().map(|found| found.snapshot).collect();
    names.sort_unstable();
    names
}

#[test]
fn prune_leaves_one_file_of_a_snapshot_that_has_settled_since_and_kept_ones_that_the_source_has_no_more() {
    let (_, env) = machine();
    let db = settled(&env);
    db.prepare_snapshot("night").unwrap();
    db.prepare_snapshot_with("third", Terms { keep: true, ..Terms::default() }).unwrap();
    assert_eq!(copy_all(&env, "third").kept.along, 2);
    assert_eq!(names_in_copy(&env), ["first", "second", "third"]);
    for name in ["night", "first"] {
        db.complete_snapshot(name).unwrap();
    }
    while db.step_settle().unwrap() {}
    db.prepare_snapshot("night").unwrap();
    assert_eq!(copy_all(&env, "night").kept.along, 2);
    assert_eq!(names_in_copy(&env), ["first", "night", "second", "third"]);
}

#[test]
fn a_tar_stream_that_is_stopped_does_not_say_that_it_goes_on() {
    let (_, env) = machine();
    let db = filled(&env);
    db.prepare_snapshot("night").unwrap();
    let plan = Plan::new(&env, Path::new(ROOT), "night").unwrap();
    let stop = AtomicBool::new(true);
    let stopped = copy::to_tar(&plan, &mut Vec::new(), &Watch { progress: &|_| {}, stop: &stop });
    let why = stopped.unwrap_err().to_string();
    assert!(why.contains("the copy was stopped") && why.contains("begins anew"), "{why}");
}

#[test]
fn what_does_not_fit_is_said_before_it_is_copied() {
    let (fs, env) = machine();
    let db = filled(&env);
    db.prepare_snapshot("night").unwrap();
    let plan = Plan::new(&env, Path::new(ROOT), "night").unwrap();
    assert_eq!(copy::lacking(&plan, Path::new(COPY)).unwrap(), None);
    let total_bytes = plan.total_bytes();
    fs.set_free_bytes(Some(total_bytes - 1));
    let why = copy::lacking(&plan, Path::new(COPY)).unwrap().unwrap();
    let numbers = format!("{total_bytes} bytes are to come, {} are free, so 1 are lacking", total_bytes - 1);
    assert!(why.starts_with("it does not fit on the disk of /copy: ") && why.contains(&numbers), "{why}");
    fs.set_free_bytes(None);
    copied(&env, "night");
    fs.set_free_bytes(Some(0));
    assert_eq!(copy::lacking(&plan, Path::new(COPY)).unwrap(), None, "it is all there");
}
