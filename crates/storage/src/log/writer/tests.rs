//! Who waits for which sync, and in which order spares are used.

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::*;
use crate::env::clock::ManualClock;
use crate::env::fs::FsFile;
use crate::env::rng::SeededRng;
use crate::env::sim_fs::SimFs;
use crate::log::header::FIRST_FRAME_OFFSET;

const TIMELINE: TimelineId = TimelineId { number: 1, tag: 1 };

fn log_that_begins_with(next_number: u64) -> LogWriter {
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let env = Env::in_turn(Arc::new(SimFs::new(7)), clock, Arc::new(SeededRng::new(7)));
    let layout = Layout::new(Path::new("/root"));
    for dir in [layout.root().to_owned(), layout.db(), layout.live()] {
        env.fs.create_dir(&dir).unwrap();
    }
    let place = Place { machine: 1, inode: 1 };
    let identity = RunIdentity { database_id: 1, timeline: TIMELINE, place };
    let start =
        LogStart { identity, predecessor: None, next_number, carried: Vec::new(), chain: Vec::new(), planted: None };
    LogWriter::start(env, layout, start).unwrap()
}

#[test]
fn a_spare_in_the_making_is_no_leftover() {
    let log = log_that_begins_with(5);
    let former = |number| log.is_of_former_run(&LogName { timeline: TIMELINE, number });
    assert!(former(4));
    // 5 is active; 6 may be a spare whose bytes are still being written, which is in no list yet.
    assert!(!former(5) && !former(6));
}

/// A file whose syncs are counted, wait for a permit and fail when it says so.
struct Watched {
    file: Arc<dyn FsFile>,
    syncs: std::sync::mpsc::Sender<()>,
    permits: Mutex<std::sync::mpsc::Receiver<std::io::Result<()>>>,
}

impl FsFile for Watched {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write_at(offset, bytes)
    }
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.file.read_at(offset, bytes)
    }
    fn len_bytes(&self) -> std::io::Result<u64> {
        self.file.len_bytes()
    }
    fn set_len(&self, len_bytes: u64) -> std::io::Result<()> {
        self.file.set_len(len_bytes)
    }
    fn sync(&self) -> std::io::Result<()> {
        self.syncs.send(()).unwrap();
        self.permits.lock().unwrap().recv().unwrap()
    }
}

type Permits = std::sync::mpsc::Sender<std::io::Result<()>>;

/// Watches the syncs of the active file: returns what they are told by, and what lets them go on.
fn watch_syncs(log: &LogWriter) -> (std::sync::mpsc::Receiver<()>, Permits) {
    let ((syncs, told), (permits, asked)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
    let mut io = log.io.lock().unwrap();
    let active = io.active.as_mut().unwrap();
    active.file = Arc::new(Watched { file: active.file.clone(), syncs, permits: Mutex::new(asked) });
    (told, permits)
}

fn push(log: &LogWriter, seq: u64) {
    push_long(log, seq, 100);
}

fn push_long(log: &LogWriter, seq: u64, payload_bytes: usize) {
    let payload = vec![1; payload_bytes];
    let placement = log.place(payload.len(), Urgency::Ordinary).unwrap();
    let frame = Frame { kind: frame::FrameKind::Commit, seq: Seq(seq), commit_us: 0, durable_seq: Seq::ZERO, payload };
    log.push(frame, placement, false);
}

#[test]
fn who_needs_no_sync_waits_for_none() {
    let log = log_that_begins_with(1);
    let (syncs, permits) = watch_syncs(&log);
    push(&log, 1);
    std::thread::scope(|scope| {
        let durable = scope.spawn(|| log.wait_durable(Seq(1)));
        syncs.recv().unwrap();
        push(&log, 2);
        log.wait_written(Seq(2)).unwrap();
        assert_eq!((log.progress().written_seq, log.progress().durable_seq), (Seq(2), Seq::ZERO));
        permits.send(Ok(())).unwrap();
        durable.join().unwrap().unwrap();
    });
    // what was written behind the sync's begin is not taken for durable
    assert_eq!(log.progress().durable_seq, Seq(1));
    assert!(log.progress().unsynced_bytes > 0);
    permits.send(Ok(())).unwrap();
    log.wait_durable(Seq(2)).unwrap();
    assert_eq!((log.progress().durable_seq, log.progress().unsynced_bytes), (Seq(2), 0));
}

#[test]
fn nothing_is_durable_behind_a_failed_sync() {
    let log = log_that_begins_with(1);
    let (syncs, permits) = watch_syncs(&log);
    push(&log, 1);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| log.wait_durable(Seq(1)));
        syncs.recv().unwrap();
        push(&log, 2);
        log.wait_written(Seq(2)).unwrap();
        let second = scope.spawn(|| log.wait_durable(Seq(2)));
        permits.send(Err(std::io::Error::other("lost"))).unwrap();
        assert!(first.join().unwrap().is_err() && second.join().unwrap().is_err());
    });
    assert!(syncs.try_recv().is_err(), "a sync was repeated");
    assert!(log.failure().is_some_and(|why| why.contains("lost")));
    let io = log.io.lock().unwrap();
    assert!(log.syncs.sync(&*io.active.as_ref().unwrap().file, Seq(2)).is_err());
    assert!(syncs.try_recv().is_err(), "a sync was repeated");
}

#[test]
fn spares_made_at_once_are_used_in_the_order_of_their_numbers() {
    let log = log_that_begins_with(1);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..5).for_each(|_| log.add_spare(0).unwrap()));
        }
    });
    let numbers: Vec<u64> = log.lock_queue().spares.iter().map(|spare| spare.name.number).collect();
    assert_eq!(numbers, (2..22).collect::<Vec<u64>>());
}

/// Returns where the longest frame stands that has a place.
fn longest(log: &LogWriter, urgency: Urgency) -> (usize, Placement) {
    let (mut fits, mut too_long) = (0, 4 << 20);
    while too_long - fits > 1 {
        let middle = usize::midpoint(fits, too_long);
        if log.place(middle, urgency).is_some() { fits = middle } else { too_long = middle }
    }
    (fits, log.place(fits, urgency).expect("it was just found"))
}

#[test]
fn the_last_room_of_active_file_and_spares_is_for_what_frees_space() {
    let log = log_that_begins_with(1);
    assert_eq!(longest(&log, Urgency::Ordinary).1.end_bytes, MIN_FILE_BYTES - URGENT_BYTES);
    let (payload_bytes, placement) = longest(&log, Urgency::Urgent);
    assert_eq!(placement.end_bytes, MIN_FILE_BYTES);
    let payload = vec![1; payload_bytes];
    let frame = Frame { kind: frame::FrameKind::Commit, seq: Seq(1), commit_us: 0, durable_seq: Seq::ZERO, payload };
    log.push(frame, placement, false);
    assert!(log.place(0, Urgency::Urgent).is_none() && !log.has_room_behind(0, 0));
    // Twice as long as what the last one needed.
    log.add_spare(0).unwrap();
    let spare_bytes = 2 * MIN_FILE_BYTES;
    assert_eq!(longest(&log, Urgency::Ordinary).1.end_bytes, spare_bytes - URGENT_BYTES);
    assert_eq!(longest(&log, Urgency::Urgent).1.end_bytes, spare_bytes);
    assert!(!log.has_room_behind(0, 0), "a frame that begins the only spare leaves none behind it");
    log.add_spare(0).unwrap();
    let (most, _) = longest(&log, Urgency::Ordinary);
    assert!(most > 0 && log.has_room_behind(0, payload_bytes));
    let spare_room = usize::try_from(spare_bytes - URGENT_BYTES - FIRST_FRAME_OFFSET).unwrap();
    let fits = spare_room - frame::FRAME_HEADER_BYTES;
    assert!(log.has_room_behind(0, fits) && !log.has_room_behind(0, fits + 1));
}

#[test]
fn what_is_written_together_counts_whole_also_where_it_goes_on_in_another_file() {
    let log = log_that_begins_with(1);
    log.env.fs.create_dir(&log.layout.log()).unwrap();
    log.add_spare(0).unwrap();
    let first = log.chain();
    let long = usize::try_from(MIN_FILE_BYTES).unwrap() * 3 / 4;
    push(&log, 1);
    push_long(&log, 2, long);
    log.wait_written(Seq(2)).unwrap();
    let before = log.progress().written_bytes;
    push(&log, 3);
    push_long(&log, 4, long);
    log.wait_written(Seq(4)).unwrap();
    assert_ne!(log.chain(), first, "the fourth frame begins a file");
    let written = (frame::frame_bytes(100) + frame::frame_bytes(long)) as u64;
    assert_eq!((before, log.progress().written_bytes - before), (written, written));
}
