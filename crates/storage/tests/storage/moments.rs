//! Moments that `log.retention` keeps: looked at, one table brought back from them, and the whole database.

use std::path::Path;
use std::sync::Arc;

use storage::env::clock::ManualClock;
use storage::env::rng::SeededRng;
use storage::env::sim_fs::{SimFs, Survive};
use storage::env::{Clock, Fs};
use storage::{Database, Env, Error, Moment, Options, Terms};
use types::{Seq, TableName, TimestampUs};

use crate::support::*;

const SECOND_US: i64 = 1_000_000;
const HOUR_US: i64 = 3_600 * SECOND_US;
/// Where the frames of a log file begin.
const LOG_FRAMES: usize = storage::log::header::FIRST_FRAME_OFFSET as usize;

fn machine_with_clock() -> (Arc<SimFs>, Env, Arc<ManualClock>) {
    let fs = Arc::new(SimFs::new(7));
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let env = Env::in_turn(fs.clone(), clock.clone(), Arc::new(SeededRng::new(7)));
    (fs, env, clock)
}

/// Keeps the moments of an hour.
fn options() -> Options {
    Options { log_retention_us: Some(HOUR_US), ..Options::new(ROOT) }
}

fn start(env: &Env) -> storage::Result<Database> {
    Database::open(env.clone(), options())
}

fn ask(fs: &SimFs, text: &str) {
    fs.write_file(&Path::new(ROOT).join("_restore"), text.as_bytes());
}

fn clean_up(db: &Database) {
    db.write_base().unwrap();
    while db.step_gc().unwrap() {}
}

fn refusal<T>(result: storage::Result<T>) -> String {
    match result {
        Err(Error::Refused(text) | Error::Invalid(text)) => text,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("not refused"),
    }
}

fn rows_at(db: &Database, moment: Moment, table: &str) -> Vec<String> {
    db.view_at_moment(moment).unwrap().table(table).map(|view| rows_of(&view)).unwrap_or_default()
}

/// What a table was, when and at which Seq.
struct Past {
    seq: Seq,
    at_us: i64,
    rows: Vec<String>,
}

fn note(db: &Database, clock: &ManualClock) -> Past {
    let past = Past { seq: db.view().seq(), at_us: clock.now_us(), rows: rows(db, "t") };
    clock.advance_us(60 * SECOND_US);
    past
}

/// A table in segments and in memory, with bases between, whose rows of the first day go in the end.
fn live(db: &Database, clock: &ManualClock) -> Vec<Past> {
    let id = create(db, "t");
    let mut past = vec![note(db, clock)];
    for day in 1..5 {
        insert(db, "t", &[(day * DAY_US, Some(["a", "b", "c", "d", "e"][day as usize]), day, Some("x"))]);
        past.push(note(db, clock));
        if day % 2 == 0 {
            db.flush_table(id).unwrap();
            clean_up(db);
            past.push(note(db, clock));
        }
    }
    db.truncate(id).unwrap();
    clean_up(db);
    past.push(note(db, clock));
    insert(db, "t", &[(9 * DAY_US, Some("new"), 9, None)]);
    past.push(note(db, clock));
    past
}

/// Lets the window move on past what was.
fn move_on(db: &Database, clock: &ManualClock) {
    clock.advance_us(2 * HOUR_US);
    clean_up(db);
    insert(db, "t", &[(DAY_US, None, 1, None)]);
    clean_up(db);
}

#[test]
fn a_table_comes_back_as_it_was_after_a_seq_or_at_a_time() {
    let (fs, env, clock) = machine_with_clock();
    let db = start(&env).unwrap();
    let past = live(&db, &clock);
    for restarts in [false, true] {
        let db = if restarts { &start(&on(&env, fs.kill())).unwrap() } else { &db };
        for (number, Past { seq, at_us, rows: then }) in past.iter().enumerate() {
            for (how, moment) in [("seq", Moment::Seq(*seq)), ("time", Moment::Time(*at_us))] {
                let name = format!("{how}{number}");
                let view = db.view_at_moment(moment).unwrap();
                db.restore_table(&view, "t", &TableName::new(&name).unwrap()).unwrap();
                assert_eq!(&rows(db, &name), then, "{moment}");
                db.drop_table(db.view().table(&name).unwrap().id()).unwrap();
            }
        }
        clean_up(db);
        assert_eq!(rows(db, "t"), past.last().unwrap().rows);
    }
}

#[test]
fn what_came_back_from_the_past_is_part_of_the_past_too() {
    let (fs, env, clock) = machine_with_clock();
    let db = start(&env).unwrap();
    let past = live(&db, &clock);
    let then = db.view_at_moment(Moment::Seq(past[3].seq)).unwrap();
    let id = db.restore_table(&then, "t", &TableName::new("back").unwrap()).unwrap();
    drop(then);
    let came = db.view().seq();
    clean_up(&db);
    insert(&db, "back", &[(1, Some("own"), 1, None)]);
    db.flush_table(id).unwrap();
    let went_on = (db.view().seq(), rows(&db, "back"));
    db.drop_table(id).unwrap();
    db.purge_table("back", None).unwrap();
    clean_up(&db);
    insert(&db, "t", &[(DAY_US, None, 1, None)]);
    for restarts in [false, true] {
        let db = if restarts { &start(&on(&env, fs.kill())).unwrap() } else { &db };
        assert_eq!(rows_at(db, Moment::Seq(came), "back"), past[3].rows);
        assert_eq!(rows_at(db, Moment::Seq(went_on.0), "back"), went_on.1);
        assert!(db.view_at_moment(Moment::Seq(db.view().seq())).unwrap().table("back").is_none());
        clean_up(db);
    }
    // When the window has moved on, nothing of it is left.
    clock.advance_us(2 * HOUR_US);
    let db = start(&on(&env, fs.kill())).unwrap();
    insert(&db, "t", &[(DAY_US, None, 2, None)]);
    (0..3).for_each(|_| clean_up(&db));
    let left = fs.files_below(Path::new(ROOT));
    assert!(!left.iter().any(|path| path.to_string_lossy().contains("back~")), "{left:#?}");
}

#[test]
fn a_moment_outside_of_the_window_is_refused_with_what_the_window_is() {
    let db = open(&machine().1).unwrap();
    assert!(refusal(db.view_at_moment(Moment::Seq(Seq(1)))).contains("log.retention is 0"));
    assert_eq!(db.restore_window().unwrap(), []);
    let (_, env, clock) = machine_with_clock();
    let db = start(&env).unwrap();
    let past = live(&db, &clock);
    move_on(&db, &clock);
    let window = db.restore_window().unwrap();
    let [only] = &window[..] else { panic!("{window:?}") };
    assert!(only.gap.is_none() && only.from_seq > past[3].seq && only.to_seq == db.view().seq(), "{only:?}");
    let whole = format!(
        "the restorable window begins at {} (seq {}) and ends at {} (seq {})",
        TimestampUs(only.from_us),
        only.from_seq,
        TimestampUs(only.to_us),
        only.to_seq
    );
    let (early, later) = (past[2].at_us, clock.now_us() + HOUR_US);
    let cases = [
        (Moment::Seq(past[2].seq), format!("seq {} is not kept: {whole}", past[2].seq)),
        (Moment::Time(early), format!("{} is not kept: {whole}", TimestampUs(early))),
        (Moment::Seq(Seq(999)), format!("seq 999 is not there yet: {whole}")),
        (Moment::Time(later), format!("{} is not over yet: {whole}", TimestampUs(later))),
    ];
    for (moment, why) in cases {
        assert_eq!(refusal(db.view_at_moment(moment)), why);
    }
}

#[test]
fn a_crash_while_a_table_comes_back_from_a_moment_brings_all_of_it_or_nothing() {
    let (fs, env, clock) = machine_with_clock();
    let db = start(&env).unwrap();
    let past = live(&db, &clock);
    fs.capture_crash_points(true);
    let then = db.view_at_moment(Moment::Seq(past[4].seq)).unwrap();
    db.restore_table(&then, "t", &TableName::new("back").unwrap()).unwrap();
    let (mut came, mut did_not) = (0, 0);
    for point in fs.take_crash_points() {
        for survive in [Survive::Nothing, Survive::Subset(point.op.number), Survive::NamesOnly] {
            let fs = Arc::new(point.power_cut(survive));
            let db = start(&on_arc(&env, fs.clone())).unwrap();
            clean_up(&db);
            assert_eq!(rows_at(&db, Moment::Seq(past[4].seq), "t"), past[4].rows);
            assert_eq!(rows(&db, "t"), past.last().unwrap().rows);
            match db.view().table("back") {
                Some(view) => {
                    assert_eq!(rows_of(&view), past[4].rows);
                    view.check_files().unwrap();
                    came += 1;
                }
                None => {
                    let left = fs.files_below(Path::new(ROOT));
                    assert!(!left.iter().any(|path| path.to_string_lossy().contains("back~")), "{left:#?}");
                    did_not += 1;
                }
            }
        }
    }
    assert!(came > 0 && did_not > 10, "{came} {did_not}");
}

#[test]
fn the_whole_database_goes_back_to_a_seq_or_a_time_and_on_from_there() {
    let (fs, env, clock) = machine_with_clock();
    let db = start(&env).unwrap();
    let past = live(&db, &clock);
    create(&db, "later");
    drop(db);
    let fs = fs.kill();
    for (number, Past { seq, at_us, rows: then }) in past.iter().enumerate() {
        let fs = Arc::new(fs.fork());
        match number % 2 {
            0 => ask(&fs, &format!("seq={seq}\n")),
            _ => ask(&fs, &format!("# back\ntimestamp={}\nverify=fast", TimestampUs(*at_us))),
        }
        let db = start(&on_arc(&env, fs.clone())).unwrap();
        assert_eq!((&rows(&db, "t"), db.view().table("later").is_none()), (then, true));
        let report = db.start_report().restore.clone().unwrap();
        assert!(
            report.lines[0].starts_with("restored the database as it was after the last commit of 20"),
            "{report:?}"
        );
        assert!(report.lines[1].contains("are left behind on timeline 1-"), "{report:?}");
        assert!(report.lines[2].contains("this can be undone: write timeline=1 into"), "{report:?}");
        insert(&db, "t", &[(20 * DAY_US, Some("on"), 20, None)]);
        clean_up(&db);
        let on_from_there = rows(&db, "t");
        assert_eq!(on_from_there.len(), then.len() + 1);
        drop(db);
        let fs = Arc::new(fs.kill());
        assert_eq!(rows(&start(&on_arc(&env, fs.clone())).unwrap(), "t"), on_from_there);
        // And it is undone like any other.
        ask(&fs, "timeline=1");
        let db = start(&on(&env, fs.kill())).unwrap();
        assert_eq!(rows(&db, "t"), past.last().unwrap().rows);
        assert!(db.view().table("later").is_some());
    }
}

/// Restores a moment, and does it again after a power cut at each call of it.
fn restored_after_any_cut(fs: &SimFs, env: &Env, text: &str, expected: &[String]) {
    let fs = Arc::new(fs.kill());
    ask(&fs, text);
    fs.sync_all();
    fs.capture_crash_points(true);
    assert_eq!(rows(&start(&on_arc(env, fs.clone())).unwrap(), "t"), expected, "{text}");
    let points = fs.take_crash_points();
    assert!(points.len() > 10, "{}", points.len());
    for point in points {
        for survive in [Survive::Nothing, Survive::Subset(point.op.number), Survive::NamesOnly] {
            let db = start(&on(env, point.power_cut(survive))).unwrap();
            assert_eq!(rows(&db, "t"), expected, "{text}, cut at {}, {survive:?}", point.op.site);
            clean_up(&db);
            assert_eq!(rows(&db, "t"), expected);
        }
    }
}

#[test]
fn a_restore_of_a_moment_is_retried_to_the_right_end_after_a_power_cut_at_any_call() {
    let (fs, env, clock) = machine_with_clock();
    let db = start(&env).unwrap();
    let past = live(&db, &clock);
    drop(db);
    restored_after_any_cut(&fs, &env, &format!("seq={}", past[4].seq), &past[4].rows);
}

#[test]
fn a_restore_behind_the_begin_of_the_timeline_in_force_is_retried_to_the_right_end_too() {
    let (fs, env, clock) = machine_with_clock();
    let db = start(&env).unwrap();
    let past = live(&db, &clock);
    drop(db);
    let fs = Arc::new(fs.kill());
    ask(&fs, &format!("seq={}", past[5].seq));
    let env = on_arc(&env, fs.clone());
    let db = start(&env).unwrap();
    let gone_back = note(&db, &clock);
    assert_eq!((gone_back.seq, &gone_back.rows), (past[5].seq, &past[5].rows));
    // It moves rows only, so that there is nothing to undo.
    db.flush_table(db.view().table("t").unwrap().id()).unwrap();
    assert!(db.view().seq() > gone_back.seq);
    drop(db);
    restored_after_any_cut(&fs, &env, &format!("timestamp={}", TimestampUs(gone_back.at_us)), &past[5].rows);
}

#[test]
fn a_restore_without_room_for_the_log_behind_it_is_refused_and_changes_nothing() {
    let (fs, env, clock) = machine_with_clock();
    let db = start(&env).unwrap();
    let past = live(&db, &clock);
    drop(db);
    let fs = Arc::new(fs.kill());
    ask(&fs, &format!("seq={}", past[4].seq));
    fs.set_free_bytes(Some(60_000));
    let before = fs.tree_digest(Path::new(ROOT));
    let why = refusal(start(&on_arc(&env, fs.clone())));
    assert!(why.starts_with("disk full: 60000 bytes are free in /root"), "{why}");
    assert_eq!(fs.tree_digest(Path::new(ROOT)), before);
    fs.set_free_bytes(None);
    let db = start(&on_arc(&env, fs)).unwrap();
    assert_eq!(rows(&db, "t"), past[4].rows);
    assert!(db.start_report().restore.is_some());
}

#[test]
fn a_restore_of_a_moment_that_is_not_kept_is_refused_with_the_window_and_changes_nothing() {
    let (fs, env, clock) = machine_with_clock();
    let db = start(&env).unwrap();
    let past = live(&db, &clock);
    move_on(&db, &clock);
    let last = db.restore_window().unwrap()[0].clone();
    drop(db);
    let fs = Arc::new(fs.kill());
    let begins = "the restorable window begins at 20";
    let ends = format!("and ends at {} (seq {})", TimestampUs(last.to_us), last.to_seq);
    let later = TimestampUs(clock.now_us() + HOUR_US);
    for (asked, why) in [
        (format!("seq={}", past[4].seq), "it is not kept"),
        (format!("timestamp={}", TimestampUs(past[5].at_us)), "it is not kept"),
        (format!("seq={}\nverify=fast", past[6].seq), "it is not kept"),
        ("seq=4000".to_owned(), "it is not there"),
        (format!("timestamp={later}"), "it is not over yet"),
    ] {
        ask(&fs, &asked);
        let before = fs.tree_digest(Path::new(ROOT));
        let text = refusal(start(&on_arc(&env, fs.clone())));
        for part in [asked.lines().next().unwrap(), why, begins, &ends, "remove _restore"] {
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
        assert_eq!(fs.tree_digest(Path::new(ROOT)), before);
    }
    for nonsense in ["seq=last", "timestamp=monday", "seq=1\ntimestamp=2026-01-01T00:00:00Z", "seq=1\nsnapshot=x"] {
        ask(&fs, nonsense);
        let text = refusal(start(&on_arc(&env, fs.clone())));
        assert!(text.contains("does not understand") && text.contains("timestamp=2026"), "{text}");
    }
}

#[test]
fn a_refusal_names_the_end_of_the_window_also_where_only_the_log_knows_it() {
    let (fs, env, clock) = machine_with_clock();
    let db = start(&env).unwrap();
    live(&db, &clock);
    for _ in 0..3 {
        fill(&db, 1);
    }
    let last = db.restore_window().unwrap()[0].clone();
    drop(db);
    let fs = Arc::new(fs.kill());
    ask(&fs, "seq=4000");
    let text = refusal(start(&on_arc(&env, fs)));
    let ends = format!("and ends at {} (seq {})", TimestampUs(last.to_us), last.to_seq);
    assert!(text.contains(&ends), "{ends:?} is not in {text:?}");
}

#[test]
fn a_moment_whose_files_are_damaged_is_refused_and_changes_nothing() {
    let (fs, env, clock) = machine_with_clock();
    let db = start(&env).unwrap();
    let past = live(&db, &clock);
    drop(db);
    // The present needs another log file than the past.
    let fs = fs.kill();
    let db = start(&on(&env, fs.another_process())).unwrap();
    insert(&db, "t", &[(10 * DAY_US, None, 10, None)]);
    clean_up(&db);
    let now = rows(&db, "t");
    drop(db);
    let fs = Arc::new(fs.kill());
    let below = fs.files_below(Path::new(ROOT));
    let find = |part: &str| Path::new(ROOT).join(below.iter().find(|p| p.to_string_lossy().contains(part)).unwrap());
    let (segment, log) = (find("1970-01-02/"), find("_log/"));
    for (file, damage) in [(&segment, None), (&segment, Some(3)), (&log, None), (&log, Some(LOG_FRAMES + 40))] {
        let fs = Arc::new(fs.fork());
        match damage {
            None => fs.unlink(file).unwrap(),
            Some(at) => {
                let mut bytes = fs.peek(file).unwrap();
                bytes[at] ^= 1;
                fs.write_file(file, &bytes);
            }
        }
        ask(&fs, &format!("seq={}", past[4].seq));
        let before = fs.tree_digest(Path::new(ROOT));
        match start(&on_arc(&env, fs.clone())) {
            Err(why @ (Error::Corrupt { .. } | Error::Refused(_))) => {
                let why = why.to_string();
                assert!(why.contains("remove") && why.contains("to start without restoring"), "{why}");
                let is_named =
                    why.contains(&*file.file_name().unwrap().to_string_lossy()) && !why.contains("is not kept");
                assert!(is_named || damage != Some(3), "its moment is kept: {why}");
            }
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("{} is damaged", file.display()),
        }
        assert_eq!(fs.tree_digest(Path::new(ROOT)), before);
        fs.unlink(&Path::new(ROOT).join("_restore")).unwrap();
        assert_eq!(rows(&start(&on(&env, fs.kill())).unwrap(), "t"), now);
    }
}

#[test]
fn a_restore_that_went_back_leaves_a_gap_that_is_shown_and_refused() {
    let (fs, env, clock) = machine_with_clock();
    let db = start(&env).unwrap();
    let past = live(&db, &clock);
    drop(db);
    clock.advance_us(60 * SECOND_US);
    ask(&fs, &format!("seq={}", past[3].seq));
    let db = start(&on(&env, fs.kill())).unwrap();
    clock.advance_us(SECOND_US);
    insert(&db, "t", &[(20 * DAY_US, Some("on"), 20, None)]);
    let window = db.restore_window().unwrap();
    let [before, after] = &window[..] else { panic!("{window:?}") };
    let gap = after.gap.unwrap();
    assert!(before.gap.is_none());
    assert_eq!((before.to_seq, after.from_seq, after.to_seq), (past[3].seq, past[3].seq.next(), db.view().seq()));
    assert!(
        gap.from_us == before.to_us && gap.to_us == after.from_us && gap.to_us - gap.from_us > 60 * SECOND_US,
        "{window:?}"
    );
    let lost = past[5].at_us;
    let why = refusal(db.view_at_moment(Moment::Time(lost)));
    assert!(
        why.contains(&format!("{} lies in a gap", TimestampUs(lost))) && why.contains("the last moment before it"),
        "{why}"
    );
    assert_eq!(rows_at(&db, Moment::Time(past[1].at_us), "t"), past[1].rows);
    assert_eq!(rows_at(&db, Moment::Time(clock.now_us()), "t"), rows(&db, "t"));
    // As for a start that is to restore it.
    drop(db);
    let fs = Arc::new(fs.kill());
    ask(&fs, &format!("timestamp={}", TimestampUs(lost)));
    let why = refusal(start(&on_arc(&env, fs.clone())));
    assert!(why.contains("lies in a gap") && why.contains("remove _restore"), "{why}");
    ask(&fs, &format!("timestamp={}", TimestampUs(past[1].at_us)));
    assert_eq!(rows(&start(&on(&env, fs.kill())).unwrap(), "t"), past[1].rows);
}

#[test]
fn a_start_that_keeps_no_moments_restores_none() {
    let (fs, env, clock) = machine_with_clock();
    let db = start(&env).unwrap();
    let past = live(&db, &clock);
    drop(db);
    let fs = Arc::new(fs.kill());
    ask(&fs, &format!("seq={}", past[3].seq));
    let text = refusal(open(&on_arc(&env, fs.clone())));
    assert!(text.contains("log.retention is 0, so no moment is kept") && text.contains("remove _restore"), "{text}");
    assert_eq!(rows(&start(&on(&env, fs.kill())).unwrap(), "t"), past[3].rows);
}

/// Nothing is committed between a restore and its undo.
#[test]
fn gaps_of_restores_that_were_undone_do_not_overlap() {
    let (fs, env, clock) = machine_with_clock();
    let db = start(&env).unwrap();
    let past = live(&db, &clock);
    let mut now = (fs, db);
    for seq in [past[3].seq, past[2].seq] {
        for undo in [false, true] {
            let (fs, db) = now;
            let left = db.timeline().number;
            drop(db);
            clock.advance_us(60 * SECOND_US);
            let fs = Arc::new(fs.kill());
            // The first restore of a pair leaves one timeline, its undo goes back to that.
            let text = if undo { format!("timeline={}", left - 1) } else { format!("seq={seq}") };
            ask(&fs, &text);
            let db = start(&on_arc(&env, fs.clone())).unwrap();
            clock.advance_us(60 * SECOND_US);
            now = (fs, db);
        }
    }
    let (_, db) = now;
    assert_eq!(rows(&db, "t"), past.last().unwrap().rows);
    let window = db.restore_window().unwrap();
    let mut until_us = 0;
    for stretch in &window {
        if let Some(gap) = stretch.gap {
            assert!(until_us <= gap.from_us && gap.from_us <= gap.to_us, "{window:?}");
            until_us = gap.to_us;
        }
        assert!(until_us <= stretch.from_us && stretch.from_us <= stretch.to_us, "{window:?}");
        until_us = stretch.to_us;
        for time_us in [stretch.from_us, stretch.to_us] {
            db.view_at_moment(Moment::Time(time_us)).unwrap_or_else(|e| panic!("{e}: {window:?}"));
        }
    }
}

#[test]
fn moments_around_a_restored_snapshot_are_shown_and_restored() {
    let (fs, env, clock) = machine_with_clock();
    let db = start(&env).unwrap();
    let past = live(&db, &clock);
    db.prepare_snapshot_with("kept", Terms { keep: true, ..Terms::default() }).unwrap();
    while db.step_settle().unwrap() {}
    insert(&db, "t", &[(10 * DAY_US, None, 10, None)]);
    clean_up(&db);
    drop(db);
    clock.advance_us(SECOND_US);
    ask(&fs, "snapshot=kept");
    let db = start(&on(&env, fs.kill())).unwrap();
    let cut = (db.view().seq(), rows(&db, "t"));
    clock.advance_us(SECOND_US);
    insert(&db, "t", &[(20 * DAY_US, Some("on"), 20, None)]);
    let after = (db.view().seq(), rows(&db, "t"));
    clean_up(&db);
    assert_eq!(rows_at(&db, Moment::Seq(cut.0), "t"), cut.1);
    assert_eq!(rows_at(&db, Moment::Seq(after.0), "t"), after.1);
    assert_eq!(rows_at(&db, Moment::Seq(past[2].seq), "t"), past[2].rows);
    drop(db);
    let fs = Arc::new(fs.kill());
    for (seq, then) in [&after, &cut, &(past[2].seq, past[2].rows.clone())] {
        let fs = Arc::new(fs.fork());
        ask(&fs, &format!("seq={seq}"));
        let db = start(&on_arc(&env, fs.clone())).unwrap();
        assert_eq!(&rows(&db, "t"), then, "seq {seq}");
        insert(&db, "t", &[(30 * DAY_US, None, 30, None)]);
        clean_up(&db);
        drop(db);
        assert_eq!(rows(&start(&on(&env, fs.kill())).unwrap(), "t").len(), then.len() + 1);
    }
}

/// Keeps a snapshot, goes on, restores it when it has settled, and edits what it wrote: the snapshot's rows in memory became
/// segments of its own, and edits behind the restore name those.
fn restored_when_settled(
    db: Database,
    (fs, env, clock): (&SimFs, &Env, &ManualClock),
    options: Options,
) -> (Arc<SimFs>, Database) {
    db.prepare_snapshot_with("kept", Terms { keep: true, ..Terms::default() }).unwrap();
    insert(&db, "t", &[(10 * DAY_US, None, 10, None)]);
    db.truncate(db.view().table("t").unwrap().id()).unwrap();
    while db.step_settle().unwrap() {}
    drop(db);
    clock.advance_us(SECOND_US);
    ask(fs, "snapshot=kept");
    let fs = Arc::new(fs.kill());
    let db = Database::open(on_arc(env, fs.clone()), options).unwrap();
    let t = db.view().table("t").unwrap().id();
    db.flush_table(t).unwrap();
    db.drop_partitions(t, &[types::PartitionBy::Day.key(9 * DAY_US)]).unwrap();
    (fs, db)
}

#[test]
fn moments_before_a_restored_settled_snapshot_outlive_a_start() {
    let (fs, env, clock) = machine_with_clock();
    let db = start(&env).unwrap();
    let past = live(&db, &clock);
    let (fs, db) = restored_when_settled(db, (&fs, &env, &clock), options());
    let after = (db.view().seq(), rows(&db, "t"));
    for _ in 0..2 {
        drop(db.view());
        let fs = Arc::new(fs.kill());
        let db = start(&on_arc(&env, fs.clone())).unwrap();
        clean_up(&db);
        for Past { seq, rows: then, .. } in &past {
            assert_eq!(&rows_at(&db, Moment::Seq(*seq), "t"), then, "seq {seq}");
        }
        assert_eq!(rows_at(&db, Moment::Seq(after.0), "t"), after.1);
    }
}

/// Bases that stand close to one another go, but not the one that later frames build on.
#[test]
fn the_own_base_that_a_restore_went_on_from_stays_however_near_the_base_before_it_is() {
    let (fs, env, clock) = machine_with_clock();
    let no_grace = || Options { restore_grace_us: 0, ..options() };
    let db = Database::open(env.clone(), no_grace()).unwrap();
    let past = live(&db, &clock);
    insert(&db, "t", &[(9 * DAY_US, None, 9, None)]);
    db.write_base().unwrap();
    let (fs, db) = restored_when_settled(db, (&fs, &env, &clock), no_grace());
    db.restore_window().unwrap();
    db.complete_snapshot("kept").unwrap();
    clean_up(&db);
    drop(db);
    let db = Database::open(on(&env, fs.kill()), no_grace()).unwrap();
    for Past { seq, rows: then, .. } in &past {
        assert_eq!(&rows_at(&db, Moment::Seq(*seq), "t"), then, "seq {seq}");
    }
}

#[test]
fn near_a_full_disk_the_oldest_moments_are_given_up_before_writers_suffer() {
    let (fs, env, clock) = machine_with_clock();
    let db = start(&env).unwrap();
    let id = create(&db, "t");
    let text: &'static str = String::leak("x".repeat(11 << 20));
    insert(&db, "t", &[(DAY_US, Some("a"), 1, Some(text))]);
    db.flush_table(id).unwrap();
    let then = db.view().seq();
    db.truncate(id).unwrap();
    clean_up(&db);
    assert!(db.restore_window_bytes() > 11 << 20);
    assert_eq!(rows_at(&db, Moment::Seq(then), "t").len(), 1);
    fs.set_free_bytes(Some(40 << 20));
    for _ in 0..3 {
        clock.advance_us(SECOND_US);
        db.step_guard().unwrap();
        while db.step_gc().unwrap() {}
    }
    assert!(refusal(db.view_at_moment(Moment::Seq(then))).contains("is not kept"));
    assert!(!fs.files_below(Path::new(ROOT)).iter().any(|p| p.to_string_lossy().contains("1970-01-02/")));
    insert(&db, "t", &[(DAY_US, Some("a"), 1, None)]);
}

#[test]
fn what_was_let_go_before_the_retention_began_is_no_obstacle_to_tidying_up() {
    let (fs, env, _) = machine_with_clock();
    let db = open(&env).unwrap();
    let id = create(&db, "t");
    insert(&db, "t", &[(DAY_US, Some("a"), 1, None)]);
    db.flush_table(id).unwrap();
    db.prepare_snapshot_with("s", Terms { keep: true, ..Terms::default() }).unwrap();
    db.restore_table(&db.view_at("s").unwrap(), "t", &TableName::new("back").unwrap()).unwrap();
    db.complete_snapshot("s").unwrap();
    let came = db.view().seq();
    // The list that the frame names goes, and the log stays.
    insert(&db, "t", &[(DAY_US, Some("a"), 2, None)]);
    clean_up(&db);
    drop(db);
    let db = start(&on(&env, fs.kill())).unwrap();
    clean_up(&db);
    let window = db.restore_window().unwrap();
    assert!(window[0].from_seq > came, "{window:?}");
    assert!(refusal(db.view_at_moment(Moment::Seq(came))).contains("is not kept"));
    let now = (db.view().seq(), rows(&db, "back"));
    insert(&db, "back", &[(DAY_US, Some("b"), 3, None)]);
    db.drop_table(db.view().table("back").unwrap().id()).unwrap();
    clean_up(&db);
    assert_eq!(rows_at(&db, Moment::Seq(now.0), "back"), now.1);
}

#[test]
fn an_expiry_that_a_base_has_passed_over_does_not_end_the_window() {
    let (fs, env, clock) = machine_with_clock();
    let db = start(&env).unwrap();
    let id = create(&db, "t");
    insert(&db, "t", &[(5 * DAY_US, Some("a"), 1, None)]);
    let past = note(&db, &clock);
    db.set_ttl(id, Some(types::Ttl::Hours(48))).unwrap();
    insert(&db, "t", &[(DAY_US, Some("b"), 2, None), (5 * DAY_US, Some("c"), 3, None)]);
    db.flush_table(id).unwrap();
    clean_up(&db);
    drop(db);
    // This run begins with the base, which knows nothing of the expiry: rows of that day may be flushed again.
    let db = start(&on(&env, fs.kill())).unwrap();
    db.set_ttl(id, None).unwrap();
    insert(&db, "t", &[(DAY_US, Some("d"), 4, None)]);
    db.flush_table(id).unwrap();
    assert_eq!(rows_at(&db, Moment::Seq(past.seq), "t"), past.rows);
    drop(db);
    let db = start(&on(&env, fs.kill())).unwrap();
    assert_eq!(rows_at(&db, Moment::Seq(past.seq), "t"), past.rows);
    assert_eq!(rows_at(&db, Moment::Time(past.at_us), "t"), past.rows);
}

#[test]
fn a_view_of_an_older_base_that_is_dropped_later_does_not_end_the_window() {
    let (fs, env, clock) = machine_with_clock();
    let db = start(&env).unwrap();
    create(&db, "t");
    let view = TableName::new("v").unwrap();
    clock.advance_us(60 * SECOND_US);
    db.set_view(&view, "select 1", storage::Replace::Never).unwrap();
    db.write_base().unwrap();
    clock.advance_us(2 * HOUR_US);
    insert(&db, "t", &[(DAY_US, Some("a"), 1, None)]);
    let past = note(&db, &clock);
    db.drop_view(&view).unwrap();
    clean_up(&db);
    drop(db);
    // The look for older moments begins with the older base, and meets the frame that drops its view.
    let db = start(&on(&env, fs.kill())).unwrap();
    let then = db.view_at_moment(Moment::Seq(past.seq)).unwrap();
    assert_eq!(rows_of(&then.table("t").unwrap()), past.rows);
    assert_eq!(then.sql_view("v").map(|view| view.text.clone()).as_deref(), Some("select 1"));
    assert!(db.view().sql_view("v").is_none());
}

#[test]
fn a_base_at_the_very_moment_shows_and_restores_it_also_where_its_log_begins_behind_it() {
    let (fs, env, clock) = machine_with_clock();
    let db = start(&env).unwrap();
    let past = live(&db, &clock);
    drop(db);
    ask(&fs, &format!("seq={}", past[4].seq));
    let db = start(&on(&env, fs.kill())).unwrap();
    assert_eq!(db.view().seq(), past[4].seq);
    clean_up(&db);
    clock.advance_us(SECOND_US);
    insert(&db, "t", &[(20 * DAY_US, Some("on"), 20, None)]);
    let look_back = |db: &Database| {
        for Past { seq, rows, .. } in [&past[4], &past[2]] {
            assert_eq!(&rows_at(db, Moment::Seq(*seq), "t"), rows);
        }
    };
    look_back(&db);
    drop(db);
    look_back(&start(&on(&env, fs.kill())).unwrap());
    ask(&fs, &format!("seq={}", past[4].seq));
    let db = start(&on(&env, fs.kill())).unwrap();
    assert_eq!(rows(&db, "t"), past[4].rows);
    insert(&db, "t", &[(30 * DAY_US, Some("once more"), 30, None)]);
    let once_more = rows(&db, "t");
    drop(db);
    for _ in 0..2 {
        let db = start(&on(&env, fs.kill())).unwrap();
        assert_eq!(rows(&db, "t"), once_more);
        assert_eq!(rows_at(&db, Moment::Seq(past[4].seq), "t"), past[4].rows);
        clean_up(&db);
    }
}

/// What was published and never started is as if it had not been asked for.
#[test]
fn a_restore_that_was_cut_short_hinders_none_to_another_moment() {
    let (fs, env, clock) = machine_with_clock();
    let db = start(&env).unwrap();
    let past = live(&db, &clock);
    drop(db);
    let fs = Arc::new(fs.kill());
    ask(&fs, &format!("seq={}", past[2].seq));
    fs.sync_all();
    fs.capture_crash_points(true);
    drop(start(&on_arc(&env, fs.clone())).unwrap());
    let points = fs.take_crash_points();
    let trigger = Path::new(ROOT).join("_restore");
    let mut published = 0;
    for point in points {
        let fs = Arc::new(point.kill());
        if fs.peek(&trigger).is_none() {
            continue;
        }
        let timelines = fs.files_below(&Path::new(ROOT).join("db/_timeline")).len();
        let later = &past[6];
        ask(&fs, &format!("seq={}", later.seq));
        let db = start(&on_arc(&env, fs)).unwrap_or_else(|e| panic!("killed at {}: {e}", point.op.site));
        assert_eq!(rows(&db, "t"), later.rows, "killed at {}", point.op.site);
        published += usize::from(timelines > 1);
    }
    assert!(published > 1, "{published}");
}

#[test]
fn a_moment_whose_base_lies_behind_a_link_is_refused() {
    let (fs, env, clock) = machine_with_clock();
    let db = start(&env).unwrap();
    let past = live(&db, &clock);
    drop(db);
    let fs = Arc::new(fs.kill());
    let root = Path::new(ROOT);
    let mut links = 0;
    for file in fs.files_below(root).into_iter().filter(|path| path.to_string_lossy().contains("_base/")) {
        let fs = Arc::new(fs.fork());
        let path = root.join(file);
        fs.write_file(Path::new("/elsewhere"), &fs.peek(&path).unwrap());
        fs.remove(&path);
        fs.symlink(Path::new("/elsewhere"), &path);
        let at_all: Vec<String> = past.iter().map(|then| format!("seq={}", then.seq)).collect();
        let refused = at_all.iter().filter(|asked| {
            let fs = Arc::new(fs.fork());
            ask(&fs, asked);
            start(&on_arc(&env, fs)).is_err()
        });
        links += usize::from(refused.count() > 0);
    }
    assert!(links > 1, "{links}");
}
