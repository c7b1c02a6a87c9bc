//! What the simulated machine promises, one promise a test.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::*;
use crate::env::fs::write_all_at;

const PAGE: usize = 4096;
const SEEDS: std::ops::Range<u64> = 0..64;

fn p(path: &str) -> PathBuf {
    PathBuf::from(path)
}

/// Returns a machine on which `/d` is durable and empty.
fn machine() -> SimFs {
    let fs = SimFs::new(7);
    fs.create_dir(&p("/d")).expect("made");
    fs.sync_dir(&p("/")).expect("synced");
    fs
}

/// Makes a file whose name and bytes are durable.
fn durable_file(fs: &SimFs, path: &str, bytes: &[u8]) -> Box<dyn FsFile> {
    let file = fs.create_new(&p(path)).expect("created");
    write_all_at(&*file, 0, bytes).expect("written");
    file.sync().expect("synced");
    fs.sync_dir(p(path).parent().expect("has a parent")).expect("synced");
    file
}

/// Returns what a file holds after a power cut, over many seeds.
fn outcomes(fs: &SimFs, path: &str, survive: impl Fn(u64) -> Survive) -> BTreeSet<Option<Vec<u8>>> {
    let read = |seed| {
        let fs = fs.fork();
        fs.power_cut(survive(seed));
        fs.power_up().read(&p(path)).ok()
    };
    SEEDS.map(read).collect()
}

fn errno(result: io::Result<impl Sized>) -> i32 {
    result.err().and_then(|e| e.raw_os_error()).expect("refused by the system")
}

#[test]
fn what_was_written_is_seen_at_once() {
    let fs = machine();
    let file = fs.create_new(&p("/d/f")).expect("created");
    write_all_at(&*file, 4094, b"abcd").expect("written");
    let mut expected = vec![0; 4094];
    expected.extend(b"abcd");
    assert_eq!(fs.read(&p("/d/f")).expect("read"), expected);
    let map = fs.map(&p("/d/f")).expect("mapped");
    assert_eq!(&map[..], expected);
    assert_eq!(map.as_ptr() as usize % 64, 0, "maps are aligned as Arrow wants them");
    file.write_at(0, b"x").expect("written");
    assert_eq!(fs.map(&p("/d/f")).expect("mapped")[0], b'x');
    fs.hard_link(&p("/d/f"), &p("/d/g")).expect("linked");
    file.set_len(4095).expect("cut");
    file.set_len(4096).expect("grown");
    assert_eq!(&fs.read(&p("/d/g")).expect("read")[4094..], b"a\0");
    let names: Vec<_> = fs.list(&p("/d")).expect("listed").into_iter().map(|e| e.name).collect();
    assert_eq!(names, ["f", "g"]);
}

#[test]
fn misuse_gets_the_errors_of_the_system() {
    let fs = machine();
    drop(durable_file(&fs, "/d/f", b"x"));
    fs.create_dir(&p("/d/sub")).expect("made");
    drop(durable_file(&fs, "/d/sub/g", b"y"));
    let is = |error: Errno| error.raw_os_error();
    assert_eq!(errno(fs.create_new(&p("/d/f"))), is(Errno::EXIST));
    assert_eq!(errno(fs.create_new(&p("/e/f"))), is(Errno::NOENT));
    assert_eq!(errno(fs.open(&p("/d/f/g"))), is(Errno::NOTDIR));
    assert_eq!(errno(fs.read(&p("/d"))), is(Errno::ISDIR));
    assert_eq!(errno(fs.unlink(&p("/d/sub"))), is(Errno::ISDIR));
    assert_eq!(errno(fs.remove_dir(&p("/d/sub"))), is(Errno::NOTEMPTY));
    assert_eq!(errno(fs.hard_link(&p("/d/f"), &p("/d/sub"))), is(Errno::EXIST));
    assert_eq!(errno(fs.open(&p("/d/f")).expect("opened").write_at(0, b"x")), is(Errno::BADF));
    assert_eq!(fs.metadata(&p("/nothing")).expect_err("refused").kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_file_needs_a_sync_of_its_bytes_and_of_its_directory() {
    let fs = machine();
    let file = fs.create_new(&p("/d/f")).expect("created");
    file.write_at(0, b"abc").expect("written");
    file.sync().expect("synced");
    assert_eq!(outcomes(&fs, "/d/f", |_| Survive::Nothing), [None].into(), "the name is not durable yet");
    fs.sync_dir(&p("/d")).expect("synced");
    assert_eq!(outcomes(&fs, "/d/f", |_| Survive::Nothing), [Some(b"abc".to_vec())].into());
    file.write_at(0, b"xyz").expect("written");
    assert_eq!(outcomes(&fs, "/d/f", |_| Survive::Nothing), [Some(b"abc".to_vec())].into());
}

#[test]
fn a_directory_sync_keeps_its_entries_but_not_its_own_name() {
    let fs = SimFs::new(1);
    fs.create_dir(&p("/d")).expect("made");
    drop(fs.create_new(&p("/d/f")).expect("created"));
    fs.sync_dir(&p("/d")).expect("synced");
    assert_eq!(outcomes(&fs, "/d/f", |_| Survive::Nothing), [None].into());
    fs.sync_dir(&p("/")).expect("synced");
    assert_eq!(outcomes(&fs, "/d/f", |_| Survive::Nothing), [Some(vec![])].into());
}

#[test]
fn any_subset_of_pages_survives_in_any_of_their_versions() {
    let fs = machine();
    let file = durable_file(&fs, "/d/f", &[0; 2 * PAGE]);
    for version in [1, 2] {
        file.write_at(0, &[version; 2 * PAGE]).expect("written");
    }
    let found = outcomes(&fs, "/d/f", Survive::Subset);
    let firsts: BTreeSet<_> = found.iter().flatten().map(|b| (b[0], b[PAGE])).collect();
    assert_eq!(firsts.len(), 9, "each of three versions for each of two pages: {firsts:?}");
    assert!(found.iter().flatten().any(|b| b[..512] != b[512..1024]), "a page can be a mix of sectors");
}

#[test]
fn a_length_survives_without_bytes_and_never_bytes_without_the_length() {
    let fs = machine();
    let file = durable_file(&fs, "/d/f", b"ab");
    file.write_at(2, &[7; 3 * PAGE]).expect("written");
    let found = outcomes(&fs, "/d/f", Survive::Subset);
    let is_zero = |b: &Vec<u8>| b.len() == 2 + 3 * PAGE && b[PAGE..2 * PAGE].iter().all(|x| *x == 0);
    assert!(found.iter().flatten().any(is_zero), "the length without the bytes");
    assert!(found.contains(&Some(b"ab".to_vec())), "the old length");
    let lengths: BTreeSet<_> = found.iter().flatten().map(Vec::len).collect();
    assert!(lengths.is_subset(&[2, PAGE, 2 * PAGE, 3 * PAGE, 2 + 3 * PAGE].into()), "{lengths:?}");
    let mut zeros = b"ab".to_vec();
    zeros.resize(2 + 3 * PAGE, 0);
    assert_eq!(outcomes(&fs, "/d/f", |_| Survive::NamesOnly), [Some(zeros)].into());
}

#[test]
fn a_file_made_shorter_may_come_back_at_either_length() {
    let fs = machine();
    let file = durable_file(&fs, "/d/f", &[1; 2 * PAGE]);
    file.set_len(10).expect("cut");
    let lengths: BTreeSet<_> = outcomes(&fs, "/d/f", Survive::Subset).into_iter().flatten().map(|b| b.len()).collect();
    assert_eq!(lengths, [10, 2 * PAGE].into());
}

#[test]
fn bytes_cut_off_and_never_written_again_do_not_come_back_beyond_the_end() {
    let fs = machine();
    let file = durable_file(&fs, "/d/f", &[1; PAGE]);
    file.set_len(10).expect("cut");
    file.set_len(PAGE as u64).expect("grown");
    file.sync().expect("synced");
    let found = outcomes(&fs, "/d/f", Survive::Subset);
    assert_eq!(found.len(), 1);
    let bytes = found.into_iter().next().flatten().expect("there");
    assert_eq!((bytes.len(), &bytes[..10], &bytes[10..20]), (PAGE, &[1; 10][..], &[0; 10][..]));
}

#[test]
fn the_last_write_is_torn_at_a_sector_or_page_and_all_before_it_stays() {
    let fs = machine();
    let file = durable_file(&fs, "/d/f", &[0; 4 * PAGE]);
    file.write_at(0, &[1; 100]).expect("written");
    file.write_at(1024, &[2; 2 * PAGE]).expect("written");
    let found = outcomes(&fs, "/d/f", Survive::TornTail);
    assert!(found.len() > 8, "{} tears", found.len());
    for bytes in found.iter().flatten() {
        assert_eq!(&bytes[..100], &[1; 100], "the write before the last one stays whole");
        assert!(bytes[1024..].chunks(512).all(|sector| sector.iter().all(|b| *b == sector[0])), "torn within a sector");
        assert!(bytes[1024..1024 + 2 * PAGE].iter().any(|b| *b != 2), "the last write is never whole");
    }
}

#[test]
fn a_torn_append_does_not_touch_what_stood_before_it() {
    let fs = machine();
    let file = durable_file(&fs, "/d/f", &[1; 700]);
    file.write_at(700, &[2; 5000]).expect("written");
    for bytes in outcomes(&fs, "/d/f", Survive::TornTail).into_iter().flatten() {
        assert_eq!(&bytes[..700], &[1; 700]);
        assert!(bytes.len() >= 700 && bytes.len() <= 5700);
    }
}

#[test]
fn names_are_lost_and_reordered_until_their_directory_is_synced() {
    let fs = machine();
    drop(durable_file(&fs, "/d/old", b"o"));
    fs.unlink(&p("/d/old")).expect("unlinked");
    for name in ["/d/a", "/d/b"] {
        let file = fs.create_new(&p(name)).expect("created");
        file.write_at(0, b"n").expect("written");
    }
    let sets: BTreeSet<Vec<String>> = SEEDS
        .map(|seed| {
            let fs = fs.fork();
            fs.power_cut(Survive::EntriesLost(seed));
            let fs = fs.power_up();
            for name in fs.list(&p("/d")).expect("listed") {
                let bytes = fs.read(&p("/d").join(&name.name)).expect("read");
                assert_eq!(bytes, if name.name == "old" { b"o" } else { b"n" }, "bytes are all there in this mode");
            }
            fs.list(&p("/d")).expect("listed").into_iter().map(|e| e.name).collect()
        })
        .collect();
    assert_eq!(sets.len(), 8, "every subset of three changes: {sets:?}");
}

#[test]
fn an_unlinked_file_can_come_back_with_its_durable_bytes_only() {
    let fs = machine();
    let file = durable_file(&fs, "/d/f", b"old");
    file.write_at(0, b"new").expect("written");
    fs.unlink(&p("/d/f")).expect("unlinked");
    assert_eq!(outcomes(&fs, "/d/f", |_| Survive::Nothing), [Some(b"old".to_vec())].into());
    fs.sync_dir(&p("/d")).expect("synced");
    assert_eq!(outcomes(&fs, "/d/f", |_| Survive::Nothing), [None].into());
}

#[test]
fn a_failed_sync_loses_the_pages_for_good_though_they_stay_visible() {
    let fs = machine();
    let file = durable_file(&fs, "/d/f", &[1; 2 * PAGE]);
    file.write_at(0, &[2; PAGE]).expect("written");
    fs.set_faults(FaultPlan::one(Fault::Fail { at_op: fs.op_count() + 1, errno: Fault::EIO, times: 1 }));
    assert_eq!(errno(file.sync()), Fault::EIO);
    file.write_at(PAGE as u64, &[3; PAGE]).expect("written");
    file.sync().expect("the second sync answers well, as Linux does");
    assert_eq!(fs.read(&p("/d/f")).expect("read")[0], 2, "still visible");
    let found = outcomes(&fs, "/d/f", Survive::Subset);
    assert_eq!(found.len(), 1);
    let bytes = found.into_iter().next().flatten().expect("there");
    assert_eq!((bytes[0], bytes[PAGE]), (1, 3), "lost for good");
}

#[test]
fn a_failed_directory_sync_loses_the_names_for_good() {
    let fs = machine();
    drop(fs.create_new(&p("/d/f")).expect("created"));
    fs.set_faults(FaultPlan::one(Fault::Fail { at_op: fs.op_count() + 1, errno: Fault::ENOSPC, times: 1 }));
    assert_eq!(errno(fs.sync_dir(&p("/d"))), Fault::ENOSPC);
    fs.sync_dir(&p("/d")).expect("the second sync answers well");
    assert!(fs.exists(&p("/d/f")).expect("asked"));
    assert_eq!(outcomes(&fs, "/d/f", Survive::EntriesLost), [None].into());
}

#[test]
fn the_power_goes_in_the_middle_of_the_planned_call_and_all_later_ones_fail() {
    let fs = machine();
    let file = durable_file(&fs, "/d/f", b"old");
    let lock = fs.lock_dir(&p("/d")).expect("locked");
    fs.set_faults(FaultPlan::one(Fault::Crash { at_op: fs.op_count() + 2, survive: Survive::EntriesLost(0) }));
    file.write_at(0, b"new").expect("written");
    assert!(file.sync().is_err(), "the power goes before the sync has done anything for certain");
    assert!(fs.is_off() && fs.read(&p("/d/f")).is_err() && file.write_at(0, b"x").is_err());
    let after = fs.power_up();
    assert_eq!(after.read(&p("/d/f")).expect("read"), b"new", "this mode keeps all bytes");
    assert!(fs.read(&p("/d/f")).is_err() && file.sync().is_err(), "the old process stays dead");
    let again = after.lock_dir(&p("/d")).expect("the lock died with its process");
    drop(lock);
    assert!(after.is_locked(&p("/d")), "dropping the dead process's guard frees nothing");
    drop(again);
    assert!(!after.is_locked(&p("/d")));
}

#[test]
fn a_directory_gets_another_name_that_is_free_with_what_is_in_it() {
    let fs = machine();
    fs.make_dirs(&p("/d/begun"));
    durable_file(&fs, "/d/begun/f", b"x");
    fs.sync_all();
    fs.make_dirs(&p("/d/taken"));
    assert!(fs.rename(&p("/d/begun"), &p("/d/taken")).is_err());
    fs.rename(&p("/d/begun"), &p("/d/whole")).expect("renamed");
    assert_eq!(fs.read(&p("/d/whole/f")).expect("read"), b"x");
    fs.sync_dir(&p("/d")).expect("synced");
    fs.power_cut(Survive::Nothing);
    let fs = fs.power_up();
    assert_eq!(fs.read(&p("/d/whole/f")).expect("read"), b"x");
    assert!(fs.list(&p("/d")).expect("listed").iter().all(|entry| entry.name != "begun"));
}

#[test]
fn a_kill_loses_nothing_and_frees_the_lock() {
    let fs = machine();
    let file = fs.create_new(&p("/d/f")).expect("created");
    file.write_at(0, b"abc").expect("written");
    let other = fs.another_process();
    let _lock = fs.lock_dir(&p("/d")).expect("locked");
    assert_eq!(errno(other.lock_dir(&p("/d"))), Errno::WOULDBLOCK.raw_os_error());
    let after = fs.kill();
    assert!(fs.read(&p("/d/f")).is_err() && file.write_at(0, b"x").is_err());
    assert_eq!(other.read(&p("/d/f")).expect("another process goes on"), b"abc");
    assert!(after.lock_dir(&p("/d")).is_ok());
}

#[test]
fn planned_calls_fail_with_the_planned_errors_and_do_nothing() {
    let fs = machine();
    let file = durable_file(&fs, "/d/f", b"abcdef");
    let next = fs.op_count() + 1;
    fs.set_faults(
        FaultPlan::one(Fault::Fail { at_op: next, errno: Fault::EINTR, times: 2 })
            .and(Fault::Short { at_op: next + 3 })
            .and(Fault::Fail { at_op: next + 4, errno: Fault::EMFILE, times: 1 })
            .and(Fault::Short { at_op: next + 5 }),
    );
    write_all_at(&*file, 0, b"ABCDEF").expect("the third attempt works"); // calls 0, 1, 2
    assert_eq!(file.write_at(0, b"xyz").expect("written"), 2); // call 3
    assert_eq!(errno(fs.open(&p("/d/f"))), Fault::EMFILE); // call 4
    let mut bytes = [0; 6];
    assert_eq!(file.read_at(0, &mut bytes).expect("read"), 3); // call 5
    assert_eq!(fs.read(&p("/d/f")).expect("read"), b"xyCDEF");
}

#[test]
fn a_planted_lie_answers_well_and_does_nothing_or_half() {
    let fs = machine();
    fs.set_faults(
        FaultPlan::one(Fault::IgnoreSyncs { path_class: "table/partition/*.arrow" })
            .and(Fault::HalfWrite { at_op: 0, path_class: "_live/*.wal" }),
    );
    fs.make_dirs(&p("/db/t~1/day"));
    fs.make_dirs(&p("/db/_live"));
    fs.sync_all();
    let (left_out, kept) = (fs.create_new(&p("/db/t~1/day/x.arrow")), fs.create_new(&p("/db/_live/1.wal")));
    let (left_out, kept) = (left_out.expect("created"), kept.expect("created"));
    for file in [&left_out, &kept] {
        assert_eq!(file.write_at(0, b"abcdef").expect("written"), 6);
        file.sync().expect("synced");
    }
    kept.write_at(6, b"g").expect("written");
    fs.sync_dir(&p("/db/t~1/day")).expect("synced");
    fs.sync_dir(&p("/db/_live")).expect("synced");
    assert_eq!(outcomes(&fs, "/db/t~1/day/x.arrow", |_| Survive::Nothing), [Some(vec![])].into());
    assert_eq!(outcomes(&fs, "/db/_live/1.wal", |_| Survive::Nothing), [Some(b"abc".to_vec())].into());
}

#[test]
fn space_runs_out_and_comes_back() {
    let fs = machine();
    let file = durable_file(&fs, "/d/f", &[0; PAGE]);
    fs.set_free_bytes(Some(PAGE as u64));
    assert_eq!(file.write_at(PAGE as u64, &[1; 2 * PAGE]).expect("a part fits"), PAGE);
    assert_eq!(errno(file.write_at(2 * PAGE as u64, &[1])), Fault::ENOSPC);
    file.write_at(0, &[2; PAGE]).expect("space that is taken already can be written");
    fs.unlink(&p("/d/f")).expect("unlinked");
    let other = fs.create_new(&p("/d/g")).expect("created");
    assert_eq!(other.write_at(0, &[1; 3 * PAGE]).expect("written"), 2 * PAGE);
    other.set_len(0).expect("cut");
    assert_eq!(other.write_at(0, &[1; 3 * PAGE]).expect("written"), 2 * PAGE);
}

#[test]
fn open_files_are_counted_and_limited() {
    let fs = machine();
    let file = durable_file(&fs, "/d/f", b"x");
    fs.set_max_open_files(Some(1));
    assert_eq!(errno(fs.open(&p("/d/f"))), Fault::EMFILE);
    let map = fs.map(&p("/d/f")).expect("a map holds no file open");
    drop(file);
    assert_eq!((fs.open_files(), &map[..]), (0, &b"x"[..]));
    assert!(fs.open(&p("/d/f")).is_ok());
}

#[test]
fn calls_are_counted_named_and_traced() {
    let fs = machine();
    let before = fs.counts();
    fs.record_trace(true);
    fs.set_label("flush");
    fs.make_dirs(&p("/r/db/trades~1/2024-01-01"));
    let file = fs.create_new(&p("/r/db/trades~1/2024-01-01/x.arrow")).expect("created");
    file.write_at(0, &[1; 100]).expect("written");
    file.sync().expect("synced");
    fs.sync_dir(&p("/r/db")).expect("synced");
    fs.read(&p("/r/db/trades~1/2024-01-01/x.arrow")).expect("read");
    let sites: Vec<String> = fs.take_trace().iter().map(|op| op.site.to_string()).collect();
    let expected = [
        "flush: CreateNew table/partition/*.arrow",
        "flush: WriteAt table/partition/*.arrow",
        "flush: Sync table/partition/*.arrow",
        "flush: SyncDir db/",
        "flush: Read table/partition/*.arrow",
    ];
    assert_eq!(sites, expected);
    let after = fs.counts();
    let calls = (after.calls - before.calls, after.syncs - before.syncs, after.writes - before.writes);
    let bytes = (after.written_bytes - before.written_bytes, after.read_bytes - before.read_bytes);
    assert_eq!((calls, bytes), ((5, 2, 1), (100, 100)));
}

#[test]
fn every_change_is_a_crash_point_with_its_effect_in_memory_only() {
    let fs = machine();
    fs.capture_crash_points(true);
    let file = fs.create_new(&p("/d/f")).expect("created");
    file.write_at(0, b"abc").expect("written");
    file.sync().expect("synced");
    fs.read(&p("/d/f")).expect("read");
    fs.sync_dir(&p("/d")).expect("synced");
    let points = fs.take_crash_points();
    let kinds: Vec<OpKind> = points.iter().map(|point| point.op.site.kind).collect();
    assert_eq!(kinds, [OpKind::CreateNew, OpKind::WriteAt, OpKind::Sync, OpKind::SyncDir]);
    let read = |survive| points.iter().map(|c| c.power_cut(survive).read(&p("/d/f")).ok()).collect::<Vec<_>>();
    let abc = || Some(b"abc".to_vec());
    assert_eq!(read(Survive::Nothing), [None, None, None, None]);
    let names: BTreeSet<_> = SEEDS.map(|seed| read(Survive::EntriesLost(seed))[2].clone()).collect();
    assert_eq!(names, [None, abc()].into(), "in the middle of the sync the name may be there or not");
    assert_eq!(read(Survive::NamesOnly), [Some(vec![]), Some(vec![0; 3]), Some(vec![0; 3]), abc()]);
    let killed = points.iter().map(|c| c.kill().read(&p("/d/f")).ok()).collect::<Vec<_>>();
    assert_eq!(killed, [Some(vec![]), abc(), abc(), abc()]);
    assert_eq!(fs.read(&p("/d/f")).expect("the run itself goes on"), b"abc");
}

#[test]
fn forks_live_their_own_lives() {
    let fs = machine();
    let file = durable_file(&fs, "/d/f", b"abc");
    let fork = fs.fork();
    file.write_at(0, b"x").expect("written");
    fork.unlink(&p("/d/f")).expect("unlinked");
    assert_eq!(fs.read(&p("/d/f")).expect("read"), b"xbc");
    assert!(fork.read(&p("/d/f")).is_err());
}

#[test]
fn the_digest_is_of_what_is_durable_and_the_same_for_the_same_bytes() {
    let fs = machine();
    let file = durable_file(&fs, "/d/f", b"abc");
    let before = fs.durable_digest();
    file.write_at(0, b"x").expect("written");
    assert_eq!(fs.durable_digest(), before);
    file.sync().expect("synced");
    assert_ne!(fs.durable_digest(), before);
    let other = SimFs::new(99);
    other.make_dirs(&p("/d"));
    other.write_file(&p("/d/f"), b"xbc");
    other.sync_all();
    assert_eq!(fs.durable_digest(), other.durable_digest());
}

#[test]
fn a_copy_goes_step_by_step_with_new_or_shared_inodes() {
    let fs = machine();
    fs.make_dirs(&p("/d/sub"));
    fs.make_dirs(&p("/d/skip"));
    fs.write_file(&p("/d/sub/a"), &vec![5; 200_000]);
    fs.write_file(&p("/d/skip/b"), b"no");
    fs.symlink(&p("sub/a"), &p("/d/link"));
    let mut copy = fs.copy_tree(&p("/d"), &p("/copy"), CopyMode::Copy, &["skip"], 1);
    let mut steps = 0;
    while copy.step() {
        steps += 1;
    }
    assert!(steps > 5 && copy.vanished().is_empty(), "{steps} steps");
    assert!(fs.copy_tree(&p("/d"), &p("/links"), CopyMode::HardLink, &["skip"], 1).finish().is_empty());
    let (source, copy, links) = (fs.tree_digest(&p("/d")), fs.tree_digest(&p("/copy")), fs.tree_digest(&p("/links")));
    for path in ["sub", "sub/a", "link"] {
        let (s, c, l) = (&source[Path::new(path)], &copy[Path::new(path)], &links[Path::new(path)]);
        assert_eq!((s.kind, s.hash), (c.kind, c.hash), "{path}");
        assert_eq!((s.kind, s.hash), (l.kind, l.hash), "{path}");
        assert_ne!(s.inode, c.inode, "{path}");
    }
    assert_eq!(source[Path::new("sub/a")].inode, links[Path::new("sub/a")].inode);
    assert_eq!((copy.len(), links.len()), (3, 3));
    fs.unlink(&p("/d/sub/a")).expect("unlinked");
    assert_eq!(fs.read(&p("/links/sub/a")).expect("the second name keeps it").len(), 200_000);
}

#[test]
fn a_file_that_goes_before_its_turn_is_reported() {
    let fs = machine();
    fs.write_file(&p("/d/a"), b"a");
    let mut copy = fs.copy_tree(&p("/d"), &p("/copy"), CopyMode::Copy, &[], 1);
    copy.step();
    fs.unlink(&p("/d/a")).expect("unlinked");
    assert_eq!(copy.finish(), [p("/d/a")]);
}

#[test]
fn files_can_be_damaged_by_hand() {
    let fs = machine();
    fs.make_dirs(&p("/d/e"));
    fs.write_file(&p("/d/e/f"), b"abc");
    fs.flip_bit(&p("/d/e/f"), 1, 0);
    assert_eq!(fs.peek(&p("/d/e/f")).expect("there"), b"acc");
    fs.truncate_file(&p("/d/e/f"), 1);
    assert_eq!(fs.peek(&p("/d/e/f")).expect("there"), b"a");
    assert_eq!(fs.files_below(&p("/d")), [p("e/f")]);
    fs.remove(&p("/d/e"));
    assert!(fs.list(&p("/d")).expect("listed").is_empty());
}

#[test]
fn links_are_followed_on_the_way_and_not_by_metadata() {
    let fs = machine();
    fs.make_dirs(&p("/x"));
    fs.write_file(&p("/x/f"), b"abc");
    fs.symlink(&p("/x"), &p("/d/l"));
    assert_eq!(fs.metadata(&p("/d/l")).expect("there").kind, FileKind::Symlink);
    assert_eq!(fs.read(&p("/d/l/f")).expect("read"), b"abc");
    assert_eq!(fs.list(&p("/d/l")).expect("listed").len(), 1);
    fs.symlink(&p("loop"), &p("/d/loop"));
    assert_eq!(errno(fs.read(&p("/d/loop"))), Errno::LOOP.raw_os_error());
}

#[test]
fn the_same_seed_gives_the_same_machine() {
    let run = |seed| {
        let fs = SimFs::new(seed);
        fs.create_dir(&p("/d")).expect("made");
        let file = fs.create_new(&p("/d/f")).expect("created");
        file.write_at(0, &[1; 20 * PAGE]).expect("written");
        fs.power_cut(Survive::Subset(3));
        fs.power_up().durable_digest()
    };
    assert_eq!(run(5), run(5));
    assert!((0..20).map(run).collect::<BTreeSet<_>>().len() > 3, "other seeds, other machines");
}
