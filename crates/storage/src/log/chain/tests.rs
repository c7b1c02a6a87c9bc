//! A file that is read ahead by two threads gives what it gives frame by frame.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::env::clock::ManualClock;
use crate::env::join::{at_once, in_turn};
use crate::env::rng::SeededRng;
use crate::env::sim_fs::{Fault, FaultPlan, SimFs};
use crate::layout::Layout;
use crate::log::header::Place;
use crate::log::{Frame, FrameKind};

const SALT: u32 = 77;
/// More than is read ahead at once.
const FRAMES: u64 = 300;
const PAYLOAD_BYTES: usize = 64 << 10;

fn disk(fs: &SimFs) -> Disk {
    disk_with(fs, in_turn)
}

fn disk_with(fs: &SimFs, join: Join) -> Disk {
    let env = Env::in_turn(Arc::new(fs.clone()), Arc::new(ManualClock::new(1)), Arc::new(SeededRng::new(1)));
    Disk { env: Env { join, ..env }, layout: Layout::new(Path::new("/root")), planted: None }
}

fn link(end: Option<(u64, Seq)>) -> Link {
    let name: LogName = "1-00000001-000001.wal".parse().expect("a name of a log file");
    let header = LogHeader {
        database_id: 1,
        name,
        salt: SALT,
        first_seq: Seq(1),
        durable_seq: Seq::ZERO,
        created_us: 0,
        place: Place { machine: 1, inode: 1 },
        predecessor: None,
    };
    Link { name, path: PathBuf::from("/file.wal"), header, end }
}

/// Returns a file of frames, the last byte of which says its number.
fn file_of_frames() -> Vec<u8> {
    let mut bytes = vec![0; FIRST_FRAME_OFFSET as usize];
    for number in 1..=FRAMES {
        let payload = vec![number as u8; PAYLOAD_BYTES];
        let frame = Frame { kind: FrameKind::Commit, seq: Seq(number), commit_us: 0, durable_seq: Seq::ZERO, payload };
        frame::encode(&frame, SALT, &mut bytes);
    }
    bytes.resize(bytes.len() + 5_000, 0);
    bytes
}

/// Returns the Seqs that were visited, and the end.
fn read(bytes: &[u8], link: &Link, join: Join) -> (Vec<u64>, Result<FileEnd>) {
    let fs = SimFs::new(1);
    fs.write_file(&link.path, bytes);
    let mut seen = Vec::new();
    let prepare = |frame: FrameRef<'_>| u64::from(frame.payload[0]);
    let end = replay_prepared(&disk_with(&fs, join), link, Seq::ZERO, prepare, |frame, prepared| {
        assert_eq!(prepared, frame.seq.0 & 0xff);
        seen.push(frame.seq.0);
        Ok(())
    });
    (seen, end)
}

fn offset(number: u64) -> usize {
    FIRST_FRAME_OFFSET as usize + (number as usize - 1) * frame::frame_bytes(PAYLOAD_BYTES)
}

#[test]
fn frames_that_two_threads_read_come_in_their_order() {
    let bytes = file_of_frames();
    for join in [in_turn, at_once] as [Join; 2] {
        let (seen, end) = read(&bytes, &link(None), join);
        assert_eq!(seen, (1..=FRAMES).collect::<Vec<_>>());
        let end = end.expect("the end of the frames is the end");
        assert_eq!((end.last_seq, end.used_bytes as usize), (Seq(FRAMES), offset(FRAMES + 1)));
    }
}

/// Each thread decodes about half of the bytes.
#[test]
fn two_threads_that_read_ahead_have_as_much_to_do() {
    let fs = SimFs::new(1);
    let link = link(None);
    fs.write_file(&link.path, &file_of_frames());
    let (here, caller) = (Mutex::new(0), std::thread::current().id());
    let prepare = |_: FrameRef<'_>| *here.lock().unwrap() += u64::from(std::thread::current().id() == caller);
    replay_prepared(&disk_with(&fs, at_once), &link, Seq::ZERO, prepare, |_, ()| Ok(())).unwrap();
    let here = here.into_inner().unwrap();
    assert!((FRAMES / 3..=FRAMES * 2 / 3).contains(&here), "{here} of {FRAMES} frames in the caller's thread");
}

#[test]
fn a_file_ends_where_its_successor_says_and_with_the_frame_it_says() {
    let bytes = file_of_frames();
    let (used_bytes, last_seq) = (offset(FRAMES + 1) as u64, Seq(FRAMES));
    assert!(read(&bytes, &link(Some((used_bytes, last_seq))), in_turn).1.is_ok());
    for wrong in [(used_bytes, last_seq.next()), (used_bytes + 16, last_seq)] {
        let (_, end) = read(&bytes, &link(Some(wrong)), in_turn);
        assert!(matches!(end, Err(Error::Corrupt { .. })), "{wrong:?}: {end:?}");
    }
}

#[test]
fn a_header_that_a_failing_disk_keeps_back_is_an_error_and_an_interrupted_read_is_none() {
    let fs = SimFs::new(1);
    let path = Path::new("/file.wal");
    fs.write_file(path, &file_of_frames());
    let env = disk(&fs).env;
    let outcome = |errno| {
        // The call behind the one that opens the file.
        fs.set_faults(FaultPlan::one(Fault::Fail { at_op: fs.op_count() + 2, errno, times: 1 }));
        read_header(&env, path)
    };
    assert!(matches!(outcome(Fault::EIO), Err(Error::Io { .. })));
    assert!(outcome(Fault::EINTR).is_ok());
}

#[test]
fn a_damaged_frame_is_the_end_wherever_it_stands_in_what_was_read_ahead() {
    let bytes = file_of_frames();
    for damaged in [1, 2, 100, 127, 128, 129, 200, 255, 256, 257, FRAMES] {
        let mut bytes = bytes.clone();
        bytes[offset(damaged) + 1_000] ^= 1;
        for join in [in_turn, at_once] as [Join; 2] {
            let (seen, end) = read(&bytes, &link(None), join);
            assert_eq!(seen, (1..damaged).collect::<Vec<_>>());
            assert_eq!(end.expect("nothing there was durable").used_bytes as usize, offset(damaged));
            let named = link(Some((offset(FRAMES + 1) as u64, Seq(FRAMES))));
            let (seen, end) = read(&bytes, &named, join);
            assert_eq!(seen.len() as u64, damaged - 1);
            assert!(matches!(end, Err(Error::Corrupt { .. })), "{end:?}");
        }
    }
}

#[test]
fn a_frame_out_of_turn_and_a_length_that_leads_astray_are_the_end() {
    let mut bytes = file_of_frames();
    let (one, len) = (offset(100), frame::frame_bytes(PAYLOAD_BYTES));
    let again = bytes[offset(50)..offset(50) + len].to_vec();
    bytes[one..one + len].copy_from_slice(&again);
    let (seen, _) = read(&bytes, &link(None), at_once);
    assert_eq!(seen, (1..100).collect::<Vec<_>>());
    for length in [0u32, 47, 100, 70_000, u32::MAX] {
        let mut bytes = file_of_frames();
        bytes[one + 8..one + 12].copy_from_slice(&length.to_le_bytes());
        let (seen, end) = read(&bytes, &link(None), at_once);
        assert_eq!((seen.len(), end.expect("nothing there was durable").used_bytes as usize), (99, one));
    }
}

#[test]
fn an_error_of_a_visit_ends_the_reading() {
    let fs = SimFs::new(1);
    let (bytes, link) = (file_of_frames(), link(None));
    fs.write_file(&link.path, &bytes);
    let mut seen = 0;
    let read = replay(&disk(&fs), &link, Seq::ZERO, |_| {
        seen += 1;
        if seen == 7 { Err(Error::Invalid("seven".to_owned())) } else { Ok(()) }
    });
    assert!(matches!(read, Err(Error::Invalid(_))) && seen == 7);
}

#[test]
fn a_log_file_of_a_newer_format_is_refused_and_one_without_a_header_is_none() {
    let fs = SimFs::new(1);
    let path = Path::new("/file.wal");
    let mut copy = header::encode(&link(None).header).to_vec();
    fs.write_file(path, &copy);
    let env = disk(&fs).env;
    assert_eq!(read_header(&env, path).expect("it is read"), Some(link(None).header));
    copy[8] += 1;
    let len = copy.len();
    let crc = crc32c::crc32c(&copy[..len - 4]);
    copy[len - 4..].copy_from_slice(&crc.to_le_bytes());
    fs.write_file(path, &copy);
    match read_header(&env, path) {
        Err(Error::Refused(why)) => assert!(why.contains("/file.wal has log format 2, this server reads 1"), "{why}"),
        other => panic!("{other:?}"),
    }
    fs.write_file(path, &copy[..10]);
    assert_eq!(read_header(&env, path).expect("it is read"), None);
}
