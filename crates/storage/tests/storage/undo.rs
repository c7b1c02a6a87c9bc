//! What a restore leaves behind: how long it stays, how to go back to it, and that it goes in the end.

use std::collections::BTreeMap;
use std::path::Path;

use storage::env::Fs;
use storage::env::clock::Clock;
use storage::env::sim_fs::{SimFs, Survive};
use storage::{Database, Env, Error, Options, StartStep, Terms};

use crate::support::*;

const HOUR_US: i64 = 3_600_000_000;

fn ask(fs: &SimFs, text: &str) {
    fs.write_file(&Path::new(ROOT).join("_restore"), text.as_bytes());
}

fn refusal(result: storage::Result<Database>) -> String {
    match result {
        Err(Error::Refused(text)) => text,
        other => panic!("{:?}", other.err()),
    }
}

/// Rows in a segment, a cut, then rows in a segment and in the log, and a table that the cut lacks. Returns the rows at
/// the cut and at the end.
fn live_through_a_cut(env: &Env) -> (Vec<String>, Vec<String>) {
    let db = open(env).unwrap();
    let id = create(&db, "t");
    fill(&db, 1);
    db.flush_table(id).unwrap();
    db.prepare_snapshot_with("before", Terms { keep: true, ..Terms::default() }).unwrap();
    let cut = rows(&db, "t");
    fill(&db, 2);
    db.flush_table(id).unwrap();
    let later = create(&db, "later");
    insert(&db, "later", &[(0, Some("b"), 1, None)]);
    db.flush_table(later).unwrap();
    clean_up(&db);
    fill(&db, 3);
    (cut, rows(&db, "t"))
}

/// Goes back to the cut, writes, and lets go whatever nothing needs.
fn restore_and_go_on(env: &Env, fs: &SimFs, cut: &[String]) -> Database {
    ask(fs, "snapshot=before");
    let db = open(env).unwrap();
    assert_eq!(rows(&db, "t"), cut);
    let id = db.view().table("t").unwrap().id();
    db.truncate(id).unwrap();
    fill(&db, 7);
    db.flush_table(id).unwrap();
    clean_up(&db);
    db
}

#[test]
fn a_restore_is_undone_within_its_grace_and_not_after_it() {
    let (fs, env, clock) = machine_with_clock();
    let (cut, end) = live_through_a_cut(&env);
    let db = restore_and_go_on(&on(&env, fs.kill()), &fs, &cut);
    let report = db.start_report().restore.clone().unwrap();
    assert!(report.lines[1].contains("are left behind on timeline 1-"), "{report:?}");
    assert!(
        report.lines[2].starts_with("for 24 h this can be undone: write timeline=1 into /root/_restore"),
        "{report:?}"
    );
    drop(db);
    clock.advance_us(23 * HOUR_US);

    let late = fs.fork();
    ask(&fs, "timeline=1\n");
    let db = open(&on(&env, fs.kill())).unwrap();
    assert_eq!(rows(&db, "t"), end);
    assert_eq!(rows(&db, "later").len(), 1);
    let report = db.start_report().restore.clone().unwrap();
    assert!(report.lines[0].starts_with("restored the end of timeline 1-"), "{report:?}");
    assert!(report.lines[1].contains("are left behind on timeline 2-"), "{report:?}");
    fill(&db, 4);
    clean_up(&db);
    assert_eq!(rows(&db, "t").len(), 4);

    clock.advance_us(HOUR_US);
    let fs = late;
    ask(&fs, "timeline=1\n");
    let before = fs.tree_digest(Path::new(ROOT));
    let why = refusal(open(&on(&env, fs.another_process())));
    assert!(why.contains("24 h (restore.grace)") && why.contains("remove _restore"), "{why}");
    assert_eq!(fs.tree_digest(Path::new(ROOT)), before);
}

#[test]
fn what_was_left_behind_goes_when_the_grace_is_over_also_while_the_server_runs() {
    for restarts in [false, true] {
        let (fs, env, clock) = machine_with_clock();
        let (cut, _) = live_through_a_cut(&env);
        let mut db = restore_and_go_on(&on(&env, fs.kill()), &fs, &cut);
        let of_first = || -> Vec<_> {
            let files = fs.files_below(Path::new(ROOT)).into_iter();
            files.filter(|path| path.to_string_lossy().contains("/1-")).collect()
        };
        assert!(of_first().len() > 2, "{:#?}", of_first());
        let held = fs.files_below(Path::new(ROOT)).len();
        clock.advance_us(24 * HOUR_US);
        if restarts {
            // The time of this commit tells the next start how much has passed.
            create(&db, "other");
            drop(db);
            db = open(&on(&env, fs.kill())).unwrap();
        }
        clean_up(&db);
        clean_up(&db);
        let rest = of_first();
        assert_eq!(rest.len(), 1, "the timeline itself is an ancestor: {rest:#?}");
        let files = fs.files_below(Path::new(ROOT));
        assert!(files.len() + 5 < held, "{held} files, now {files:#?}");
        assert!(!files.iter().any(|path| path.to_string_lossy().contains("later~")), "{files:#?}");
        assert_eq!(rows(&db, "t").len(), 1);
        drop(db);
        assert_eq!(rows(&open(&on(&env, fs.kill())).unwrap(), "t").len(), 1);
    }
}

/// Wherever the start was cut: some start says how to go back, and it is gone back to.
#[test]
fn a_restore_that_is_cut_short_anywhere_can_be_undone_and_says_so() {
    let (fs, env, _) = machine_with_clock();
    let (cut, end) = live_through_a_cut(&env);
    ask(&fs, "snapshot=before");
    let fs = fs.kill();
    fs.sync_all();
    fs.capture_crash_points(true);
    drop(open(&on(&env, fs.another_process())).unwrap());
    let points = fs.take_crash_points();
    let logged = points.iter().position(|p| p.op.path.starts_with("/root/db/_live")).unwrap();
    let published = points.iter().position(|p| p.op.path.starts_with("/root/db/_timeline")).unwrap();
    assert!(published + 3 < logged);
    for (at, point) in points[..logged].iter().enumerate() {
        for survive in [Survive::Nothing, Survive::Subset(point.op.number), Survive::NamesOnly] {
            let fs = point.power_cut(survive);
            let db = open(&on(&env, fs.another_process())).unwrap();
            assert_eq!(rows(&db, "t"), cut);
            let report = db.start_report();
            let lines = report.restore.iter().flat_map(|restore| &restore.lines).chain(&report.notices);
            assert!(lines.into_iter().any(|line| line.contains("write timeline=1 into")), "call {at}: {report:?}");
            drop(db);
            ask(&fs, "timeline=1");
            assert_eq!(rows(&open(&on(&env, fs.kill())).unwrap(), "t"), end, "call {at}");
        }
    }
}

/// So a start that ends behind it has told it, and one that ends before it leaves that to the next.
#[test]
fn what_a_restore_did_is_told_before_the_log_of_its_timeline_begins() {
    let (fs, env, _) = machine_with_clock();
    live_through_a_cut(&env);
    ask(&fs, "snapshot=before");
    let fs = fs.kill();
    let told = std::sync::Mutex::new(Vec::new());
    let hears = |step: StartStep| {
        if let StartStep::Done(line) = step {
            let begun = fs.files_below(Path::new("/root/db/_live"));
            assert!(!begun.iter().any(|path| path.to_string_lossy().starts_with("2-")), "{begun:?}");
            told.lock().unwrap().push(line.to_owned());
        }
    };
    let db = Database::open_with_progress(on(&env, fs.another_process()), Options::new(ROOT), &hears).unwrap();
    let begun = fs.files_below(Path::new("/root/db/_live"));
    assert!(begun.iter().any(|path| path.to_string_lossy().starts_with("2-")), "{begun:?}");
    assert_eq!(*told.lock().unwrap(), db.start_report().restore.as_ref().unwrap().lines);
}

#[test]
fn a_clock_that_is_ahead_for_a_moment_takes_no_undo_away() {
    for restarts in [false, true] {
        let (fs, env, clock) = machine_with_clock();
        let (cut, end) = live_through_a_cut(&env);
        let mut db = restore_and_go_on(&on(&env, fs.kill()), &fs, &cut);
        let right_us = clock.now_us();
        clock.set_wall_us(right_us + 40 * 24 * HOUR_US);
        if restarts {
            drop(db);
            db = open(&on(&env, fs.kill())).unwrap();
        }
        clean_up(&db);
        clean_up(&db);
        drop(db);
        clock.set_wall_us(right_us);
        ask(&fs, "timeline=1");
        assert_eq!(rows(&open(&on(&env, fs.kill())).unwrap(), "t"), end);
    }
}

#[test]
fn an_undo_that_has_lost_its_log_is_refused_and_changes_nothing() {
    let (fs, env, _) = machine_with_clock();
    let (cut, _) = live_through_a_cut(&env);
    drop(restore_and_go_on(&on(&env, fs.kill()), &fs, &cut));
    let of_first = fs.files_below(Path::new(ROOT)).into_iter().filter(|path| {
        let path = path.to_string_lossy();
        path.contains("/1-") && !path.contains("_timeline/")
    });
    let lost: Vec<_> = of_first.collect();
    assert!(lost.len() > 1, "{lost:?}");
    lost.iter().for_each(|path| fs.remove(&Path::new(ROOT).join(path)));
    ask(&fs, "timeline=1");
    let before = fs.tree_digest(Path::new(ROOT));
    match open(&on(&env, fs.kill())) {
        Err(Error::Corrupt { file, detail }) => {
            assert!(file.ends_with("_log") && detail.contains("no log file of timeline 1-"), "{detail}");
            assert!(detail.contains("cannot be undone"), "{detail}");
        }
        other => panic!("{:?}", other.err()),
    }
    assert_eq!(fs.tree_digest(Path::new(ROOT)), before);
}

#[test]
fn an_undo_is_undone_and_undone_again() {
    let (fs, env, _) = machine_with_clock();
    let (cut, end) = live_through_a_cut(&env);
    let db = restore_and_go_on(&on(&env, fs.kill()), &fs, &cut);
    let restored = rows(&db, "t");
    drop(db);
    let mut ends = BTreeMap::from([(1, end), (2, restored)]);
    for timeline in [1, 2, 1, 3, 4, 5, 3] {
        ask(&fs, &format!("timeline={timeline}"));
        let db = open(&on(&env, fs.kill())).unwrap();
        assert_eq!(rows(&db, "t"), ends[&timeline], "timeline {timeline}");
        let kept = if db.view().table("later").is_some() { vec!["before".to_owned()] } else { Vec::new() };
        assert_eq!(db.snapshots().into_iter().map(|s| s.name).collect::<Vec<_>>(), kept, "timeline {timeline}");
        kept.iter().for_each(|name| assert_eq!(rows_of(&db.view_at(name).unwrap().table("t").unwrap()), cut));
        fill(&db, 20);
        clean_up(&db);
        ends.insert(db.timeline().number, rows(&db, "t"));
    }
}

#[test]
fn only_a_timeline_that_a_restore_left_can_be_gone_back_to() {
    let (fs, env, _) = machine_with_clock();
    live_through_a_cut(&env);
    let env = on(&env, fs.kill());
    for (text, reason) in [
        ("timeline=1", "no restore has left"),
        ("timeline=9", "db/_timeline holds 1-"),
        ("timeline=", "snapshot=<name>, timeline=<number>, seq=<number>, timestamp="),
        ("snapshot=before\nsnapshot=after", "snapshot more than once"),
        ("snapshot=other", "which holds before (seq"),
        ("recover=1", "does not understand"),
    ] {
        ask(&fs, text);
        let why = refusal(open(&env));
        assert!(why.contains(reason) && why.contains("/root/_restore"), "{text}: {why}");
    }
}

#[test]
fn a_snapshot_is_asked_for_on_its_timeline() {
    let (fs, env, _) = machine_with_clock();
    let (cut, _) = live_through_a_cut(&env);
    let db = restore_and_go_on(&on(&env, fs.kill()), &fs, &cut);
    let cut = rows(&db, "t");
    db.prepare_snapshot("again").unwrap();
    fill(&db, 8);
    drop(db);
    ask(&fs, "timeline=1\nsnapshot=again");
    let why = refusal(open(&on(&env, fs.kill())));
    assert!(why.contains("no snapshot/again on timeline 1-") && why.contains("on timeline 2-"), "{why}");
    ask(&fs, "timeline=2\nsnapshot=again\nverify=fast");
    assert_eq!(rows(&open(&on(&env, fs.kill())).unwrap(), "t"), cut);
}

#[test]
fn after_a_crash_behind_the_trigger_no_snapshot_is_open_and_prepare_works() {
    let (fs, env, _) = machine_with_clock();
    let db = open(&env).unwrap();
    create(&db, "t");
    fill(&db, 1);
    db.prepare_snapshot("default").unwrap();
    db.prepare_snapshot("nightly").unwrap();
    let cut = rows(&db, "t");
    drop(db);
    ask(&fs, "snapshot=nightly");
    let fs = fs.kill();
    fs.sync_all();
    fs.capture_crash_points(true);
    drop(open(&on(&env, fs.another_process())).unwrap());
    let points = fs.take_crash_points();
    let gone = points.iter().position(|p| p.op.path.ends_with("_restore")).unwrap();
    assert!(points.len() > gone + 5);
    let logged = points.iter().position(|p| p.op.path.starts_with("/root/db/_live")).unwrap();
    assert!(logged > gone + 2, "{gone}, {logged}");
    for (at, point) in points.iter().enumerate().skip(gone) {
        for survive in [Survive::Nothing, Survive::Subset(point.op.number), Survive::NamesOnly] {
            let db = open(&on(&env, point.power_cut(survive))).unwrap();
            assert_eq!(rows(&db, "t"), cut);
            assert!(db.snapshots().is_empty());
            let report = db.start_report();
            let told = report.notices.iter().any(|line| line.contains("has been restored as timeline"));
            assert!(at >= logged || told != report.restore.is_some(), "call {at}: {report:?}");
            db.prepare_snapshot("default").unwrap();
            assert_eq!(db.snapshots().len(), 1);
        }
    }
}

#[test]
fn an_undo_of_what_is_damaged_is_refused_and_changes_nothing() {
    let (fs, env, _) = machine_with_clock();
    let (cut, _) = live_through_a_cut(&env);
    drop(restore_and_go_on(&on(&env, fs.kill()), &fs, &cut));
    let files = fs.files_below(Path::new(ROOT));
    let segment = files.iter().find(|path| path.to_string_lossy().contains("1970-01-03/")).unwrap();
    let segment = Path::new(ROOT).join(segment);
    let whole = fs.another_process().read(&segment).unwrap();
    let mut bytes = whole.clone();
    *bytes.last_mut().unwrap() ^= 1;
    ask(&fs, "timeline=1");
    for damaged in [Some(bytes), None] {
        fs.remove(&segment);
        if let Some(bytes) = damaged {
            fs.write_file(&segment, &bytes);
        }
        let before = fs.tree_digest(Path::new(ROOT));
        match open(&on(&env, fs.another_process())) {
            Err(Error::Corrupt { file, .. }) => assert_eq!(file, segment),
            other => panic!("{:?}", other.err()),
        }
        assert_eq!(fs.tree_digest(Path::new(ROOT)), before);
    }
    fs.write_file(&segment, &whole);
    assert!(open(&on(&env, fs.another_process())).is_ok());
}

#[test]
fn a_restore_that_leaves_nothing_behind_holds_nothing() {
    let (fs, env, _) = machine_with_clock();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    fill(&db, 1);
    db.prepare_snapshot("default").unwrap();
    // Moves the rows of before the cut, and changes none.
    db.flush_table(id).unwrap();
    drop(db);
    ask(&fs, "");
    let db = open(&on(&env, fs.kill())).unwrap();
    let report = db.start_report().restore.clone().unwrap();
    assert_eq!(report.lines.len(), 1, "{report:?}");
    db.truncate(id).unwrap();
    clean_up(&db);
    let files = fs.files_below(Path::new(ROOT));
    assert!(!files.iter().any(|path| path.to_string_lossy().contains("1970-01-02/")), "{files:#?}");
}

#[test]
fn an_undo_gives_each_settled_snapshot_back() {
    let (fs, env, _) = machine_with_clock();
    let db = open(&env).unwrap();
    create(&db, "t");
    let mut cuts = Vec::new();
    for (day, name) in [(1, "one"), (2, "two")] {
        fill(&db, day);
        db.prepare_snapshot_with(name, kept()).unwrap();
        cuts.push((name, rows(&db, "t")));
        while db.step_settle().unwrap() {}
    }
    drop(db);
    ask(&fs, "snapshot=one");
    let db = open(&on(&env, fs.kill())).unwrap();
    assert_eq!(rows(&db, "t"), cuts[0].1);
    drop(db);
    ask(&fs, "timeline=1");
    let db = open(&on(&env, fs.kill())).unwrap();
    assert_eq!(db.snapshots().into_iter().map(|s| s.name).collect::<Vec<_>>(), ["one", "two"]);
    for (name, cut) in cuts {
        assert_eq!(rows_at(&db, name, "t"), cut);
    }
}

/// A table that lived in the log alone leaves no directory that would tell its number.
#[test]
fn a_table_that_a_restore_left_behind_gives_its_number_to_no_other() {
    let (fs, env, _) = machine_with_clock();
    let db = open(&env).unwrap();
    create(&db, "t");
    fill(&db, 1);
    db.prepare_snapshot_with("before", kept()).unwrap();
    let later = (0..3).map(|n| create(&db, &format!("later{n}"))).max().unwrap();
    drop(db);
    ask(&fs, "snapshot=before");
    let db = open(&on(&env, fs.kill())).unwrap();
    assert!(create(&db, "other") > later);
}
