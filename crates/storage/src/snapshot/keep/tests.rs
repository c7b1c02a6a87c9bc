//! What the background steps look at, and when they need not.

use std::path::Path;
use std::sync::Arc;

use types::{Column, ColumnData, ColumnType, PartitionBy, RowBatch, TableId, TableName};

use super::{LEASE_NOTE_US, Leases, Running};
use crate::env::clock::ManualClock;
use crate::env::fs::Fs;
use crate::env::rng::SeededRng;
use crate::env::sim_fs::SimFs;
use crate::snapshot::{Pin, SnapshotState, Terms, content};
use crate::{Database, Env, Error, NewColumn, NewTable, Options};

const MINUTE_US: i64 = 60_000_000;

fn running(lease_us: Option<i64>) -> Running {
    let mut leases = Leases::default();
    leases.grant("id", lease_us, 1_000);
    leases.running.remove("id").expect("just granted")
}

fn started() -> (Database, Arc<ManualClock>) {
    let (db, clock, _) = started_on_disk();
    (db, clock)
}

fn started_on_disk() -> (Database, Arc<ManualClock>, Arc<SimFs>) {
    let (clock, fs) = (Arc::new(ManualClock::new(1)), Arc::new(SimFs::new(1)));
    let env = Env::in_turn(fs.clone(), clock.clone(), Arc::new(SeededRng::new(1)));
    (Database::open(env, Options::new("/root")).expect("a new root"), clock, fs)
}

fn table(db: &Database, name: &str) -> TableId {
    let columns = vec![NewColumn::new("ts", ColumnType::Timestamp)];
    db.create_table(NewTable::new(TableName::new(name).unwrap(), columns, Some(0), PartitionBy::Day)).unwrap()
}

fn append(db: &Database, table: TableId, ts_us: i64) {
    let column = db.view().state().tables.get(table).unwrap().schema.columns[0].id;
    let column = Column { id: column, data: ColumnData::I64(vec![ts_us]) };
    db.append(vec![(table, RowBatch::new(1, vec![column]).unwrap())]).unwrap();
}

fn keep(db: &Database, name: &str) {
    db.prepare_snapshot_with(name, Terms { keep: true, ..Terms::default() }).unwrap();
}

fn rows_at(db: &Database, name: &str, table: TableId) -> u64 {
    db.view_at(name).unwrap().state().tables.get(table).unwrap().rows().unwrap()
}

fn state(db: &Database, name: &str) -> SnapshotState {
    db.snapshots().into_iter().find(|s| s.name == name).expect("it is there").state
}

#[test]
fn nothing_is_due_before_the_time_that_a_lease_says_and_something_is_then() {
    let warned = |lease_us| Running { warned: true, ..running(lease_us) };
    let noted = |lease_us| Running { noted_us: 1_000 + 5 * LEASE_NOTE_US, ..warned(lease_us) };
    let long = Some(10 * LEASE_NOTE_US);
    for one in [running(long), warned(long), noted(long), running(Some(MINUTE_US)), warned(Some(MINUTE_US))] {
        let next_us = one.next_us();
        assert!(one.due(next_us - 1).is_none() && one.due(next_us).is_some(), "{next_us}");
    }
    assert_eq!(running(Some(MINUTE_US)).next_us(), 1_000 + MINUTE_US * 9 / 10);
    assert_eq!(warned(Some(MINUTE_US)).next_us(), 1_000 + MINUTE_US);
    assert_eq!(running(long).next_us(), 1_000 + LEASE_NOTE_US);
}

#[test]
fn a_lease_without_end_and_one_that_has_ended_ask_for_nothing() {
    for quiet in [running(None), Running { ended: true, ..running(Some(0)) }] {
        assert_eq!(quiet.next_us(), i64::MAX);
        assert!(quiet.due(i64::MAX - 1).is_none());
    }
}

#[test]
fn leases_are_looked_at_again_when_one_is_due_or_a_new_one_begins() {
    let (db, clock) = started();
    let lease = |minutes| Terms { lease_us: Some(minutes * MINUTE_US), ..Terms::default() };
    db.prepare_snapshot_with("long", lease(60)).unwrap();
    db.step_leases().unwrap();
    db.prepare_snapshot_with("short", lease(1)).unwrap();
    db.step_leases().unwrap();
    clock.advance_us(MINUTE_US);
    db.step_leases().unwrap();
    assert_eq!((state(&db, "long"), state(&db, "short")), (SnapshotState::Open, SnapshotState::Expired));
    db.renew_snapshot("short", Some(2 * MINUTE_US)).unwrap();
    db.step_leases().unwrap();
    assert_eq!(state(&db, "short"), SnapshotState::Open);
    clock.advance_us(2 * MINUTE_US);
    db.step_leases().unwrap();
    assert_eq!(state(&db, "short"), SnapshotState::Expired);
    clock.advance_us(57 * MINUTE_US);
    db.step_leases().unwrap();
    assert_eq!(state(&db, "long"), SnapshotState::Expired);
    // What has ended is done with: nobody looks at it until something changes.
    db.step_leases().unwrap();
    assert_eq!(db.leases.lock().unwrap().quiet_until_us, Some(i64::MAX));
}

#[test]
fn what_was_read_of_a_snapshot_that_has_ended_is_forgotten_each_time() {
    let (db, clock, fs) = started_on_disk();
    table(&db, "t");
    db.prepare_snapshot_with("ended", Terms { lease_us: Some(1), ..Terms::default() }).unwrap();
    clock.advance_us(1);
    db.step_leases().unwrap();
    for _ in 0..3 {
        drop(db.view_at("ended").unwrap());
        db.step_gc().unwrap();
        db.step_gc().unwrap();
        assert!(db.cuts.lock().unwrap().is_empty());
    }
    let held = db.view_at("ended").unwrap();
    db.step_gc().unwrap();
    assert!(held.table("t").is_some() && !db.cuts.lock().unwrap().is_empty());
    // Meanwhile what nothing needs goes.
    fs.write_file(Path::new("/root/db/left"), b"by nobody");
    db.gc.lock().unwrap().discard(vec!["/root/db/left".into()]);
    while db.step_gc().unwrap() {}
    assert!(fs.peek(Path::new("/root/db/left")).is_none());
    drop(held);
    db.step_gc().unwrap();
    assert!(db.cuts.lock().unwrap().is_empty());
}

#[test]
fn gc_looks_at_snapshots_again_when_they_changed() {
    let (db, _) = started();
    let are_seen = || {
        let snapshots = db.lock_head().state.snapshots.clone();
        db.gc.lock().unwrap().pinned.is(&snapshots)
    };
    for name in ["one", "two"] {
        keep(&db, name);
        assert!(!are_seen());
        db.step_gc().unwrap();
        assert!(are_seen(), "nothing is left to do with {name}");
    }
}

#[test]
fn a_snapshot_that_is_released_or_has_settled_is_current_no_longer() {
    let (db, _) = started();
    let now = |name: &str| db.view().state().snapshots[name].clone();
    for name in ["settles", "goes"] {
        keep(&db, name);
    }
    let before = [now("settles"), now("goes")];
    assert!(before.iter().all(|snapshot| db.is_current(snapshot)));
    db.complete_snapshot("goes").unwrap();
    while db.step_settle().unwrap() {}
    assert!(!before.iter().any(|snapshot| db.is_current(snapshot)));
    assert!(db.is_current(&now("settles")));
}

#[test]
fn a_settled_snapshot_is_read_from_its_own_base_alone() {
    let (db, _) = started();
    keep(&db, "night");
    while db.step_settle().unwrap() {}
    let pin = db.view().state().snapshots["night"].pin.clone();
    let named = pin.settled.clone().expect("it has settled");
    let read = |pin: &Pin| content::own_base(&db.disk, pin, &named, &|_| Ok(()));
    assert_eq!(read(&pin).unwrap().seq, pin.seq);
    let of_another = Pin { id: "another".to_owned(), ..pin.clone() };
    let of_another_moment = Pin { seq: pin.seq.next(), ..pin };
    for wrong in [of_another, of_another_moment] {
        assert!(matches!(read(&wrong), Err(Error::Corrupt { .. })), "{wrong:?}");
    }
}

#[test]
fn gc_knows_the_files_of_each_snapshot_that_is_taken_after_it_has_looked() {
    let (db, _) = started();
    for name in ["one", "two"] {
        db.step_gc().unwrap();
        db.prepare_snapshot_with(name, Terms { keep: true, ..Terms::default() }).unwrap();
        db.step_gc().unwrap();
        let id = db.view().state().snapshots[name].pin.id.clone();
        assert!(db.gc.lock().unwrap().pins.has(&id));
        while db.step_settle().unwrap() {}
        assert_eq!(state(&db, name), SnapshotState::Settled);
    }
}

#[test]
fn what_is_left_of_a_lease_is_noted_now_and_then_and_its_end_is_told_once_before() {
    let (db, clock) = started();
    db.prepare_snapshot_with("default", Terms { lease_us: Some(30 * MINUTE_US), ..Terms::default() }).unwrap();
    // A reading of the clock takes a microsecond, too.
    let noted = || db.view().state().snapshots["default"].standing().lease_us.map(|us| (us + 1_000) / MINUTE_US);
    clock.advance_us(LEASE_NOTE_US - 1_000);
    db.step_leases().unwrap();
    assert_eq!(noted(), Some(30));
    clock.advance_us(1_000);
    db.step_leases().unwrap();
    assert_eq!(noted(), Some(20));
    clock.advance_us(17 * MINUTE_US);
    db.step_leases().unwrap();
    assert_eq!(noted(), Some(3));
    let is_warned = || db.leases.lock().unwrap().running.values().all(|running| running.warned);
    assert!(!is_warned());
    db.step_leases().unwrap();
    assert!(is_warned() && state(&db, "default") == SnapshotState::Open);
    clock.advance_us(3 * MINUTE_US);
    db.step_leases().unwrap();
    assert_eq!(state(&db, "default"), SnapshotState::Expired);
}

#[test]
fn what_was_read_of_kept_snapshots_stays_for_the_last_few_alone() {
    let (db, clock) = started();
    for n in 0..7 {
        db.prepare_snapshot_with(&format!("k{n}"), Terms { keep: true, ..Terms::default() }).unwrap();
    }
    while db.step_settle().unwrap() {}
    for n in 0..7 {
        clock.advance_us(1);
        db.view_at(&format!("k{n}")).unwrap();
    }
    let id = |n: usize| db.view().state().snapshots[&format!("k{n}")].pin.id.clone();
    let cuts = db.cuts.lock().unwrap();
    let held: Vec<usize> = (0..7).filter(|n| cuts.contains_key(&id(*n))).collect();
    assert_eq!(held, [3, 4, 5, 6]);
}

#[test]
fn a_start_finds_the_files_of_many_that_wait_to_settle_and_holds_none_of_their_states() {
    let (db, clock, fs) = started_on_disk();
    let id = table(&db, "t");
    for n in 0..20 {
        append(&db, id, n);
        keep(&db, &format!("k{n}"));
    }
    drop(db);
    let env = Env::in_turn(Arc::new(fs.kill()), clock, Arc::new(SeededRng::new(2)));
    let db = Database::open(env, Options::new("/root")).unwrap();
    db.step_gc().unwrap();
    let snapshots = db.view().state().snapshots.clone();
    assert!(snapshots.len() == 20 && snapshots.values().all(|s| db.gc.lock().unwrap().pins.has(&s.pin.id)));
    assert!(db.cuts.lock().unwrap().is_empty());
    while db.step_settle().unwrap() {
        assert!(db.cuts.lock().unwrap().len() <= 1);
    }
    for n in 0..20 {
        assert_eq!(state(&db, &format!("k{n}")), SnapshotState::Settled);
        assert_eq!(rows_at(&db, &format!("k{n}"), id), n as u64 + 1);
    }
}

#[test]
fn snapshots_that_wait_settle_together_with_a_few_syncs() {
    let (db, _, fs) = started_on_disk();
    let (filled, quiet) = (table(&db, "filled"), table(&db, "quiet"));
    append(&db, quiet, 0);
    let syncs_of = |count: usize| {
        for n in 0..count {
            append(&db, filled, n as i64);
            keep(&db, &format!("k{count}-{n}"));
        }
        let before = fs.counts().syncs;
        assert!(db.step_settle().unwrap() && !db.step_settle().unwrap());
        fs.counts().syncs - before
    };
    syncs_of(1);
    let (few, many) = (syncs_of(20), syncs_of(100));
    assert!(few <= 16 && many <= 16, "{few} and {many} syncs");
    for count in [20, 100] {
        let before = if count == 20 { 1 } else { 21 };
        for n in 0..count {
            let name = format!("k{count}-{n}");
            assert_eq!(state(&db, &name), SnapshotState::Settled);
            assert_eq!((rows_at(&db, &name, filled), rows_at(&db, &name, quiet)), (before + n as u64 + 1, 1), "{name}");
        }
    }
}

#[test]
fn rows_of_cuts_one_after_another_are_written_a_few_times_in_few_segments() {
    let (db, _, _) = started_on_disk();
    let id = table(&db, "t");
    for n in 0..100 {
        append(&db, id, n);
        keep(&db, &format!("k{n}"));
    }
    let written = || db.counters.written_rows.load(std::sync::atomic::Ordering::Relaxed);
    db.step_settle().unwrap();
    assert!(written() <= 100 * 8, "{} rows were written for 100", written());
    for n in 0..100 {
        let view = db.view_at(&format!("k{n}")).unwrap();
        let segments = view.state().tables.get(id).unwrap().segments.values().map(Vec::len).sum::<usize>();
        assert!(segments <= 4, "{segments} segments at cut {n}");
        assert_eq!(rows_at(&db, &format!("k{n}"), id), n as u64 + 1);
    }
    // The table has its rows in the same files.
    assert_eq!(db.view().state().tables.get(id).unwrap().memtable.rows(), 0);
    let before = written();
    db.flush_table(id).unwrap();
    assert_eq!(written(), before);
}

#[test]
fn one_that_is_completed_while_others_settle_with_it_leaves_nothing() {
    for nth in 0.. {
        let (db, _, fs) = started_on_disk();
        let db = Arc::new(db);
        let id = table(&db, "t");
        for name in ["a", "b", "c"] {
            append(&db, id, 1);
            keep(&db, name);
        }
        // The log makes no file that others would wait for.
        db.step_spare().unwrap();
        let other = db.clone();
        fs.interrupt(nth, move || assert!(other.complete_snapshot("b").unwrap()));
        db.step_settle().unwrap();
        if fs.end_interruption() {
            assert!(nth > 8, "{nth} files");
            return;
        }
        while db.step_settle().unwrap() || db.step_gc().unwrap() {}
        assert_eq!((rows_at(&db, "a", id), rows_at(&db, "c", id)), (1, 3));
        for name in ["a", "c"] {
            assert_eq!(state(&db, name), SnapshotState::Settled);
            db.complete_snapshot(name).unwrap();
        }
        db.write_base().unwrap();
        while db.step_gc().unwrap() {}
        let left = |dir: &str| fs.list(std::path::Path::new(dir)).unwrap();
        assert_eq!((left("/root/snapshot").len(), left("/root/db/_base").len()), (0, 1), "at file {nth}");
    }
}
