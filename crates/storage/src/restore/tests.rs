//! What a restore says of times, and which paths it trusts.

use std::path::Path;
use std::sync::Arc;

use super::duration;
use super::undo::of_undo;
use super::validate::require_plain_path;
use crate::env::clock::ManualClock;
use crate::env::rng::SeededRng;
use crate::env::sim_fs::SimFs;
use crate::layout::{Disk, Layout};
use crate::{Env, Error};

#[test]
fn a_time_is_said_in_the_unit_that_an_operator_would_take() {
    let second_us = 1_000_000;
    for (seconds, said) in
        [(0, "0 s"), (59, "59 s"), (60, "1 min"), (7_199, "119 min"), (7_200, "2 h"), (86_400, "24 h")]
    {
        assert_eq!(duration(seconds * second_us), said);
    }
}

#[test]
fn a_path_that_a_document_names_is_of_plain_steps_below_the_data() {
    let fs = SimFs::new(1);
    fs.make_dirs(Path::new("/root/db/t~1/1970-01-01"));
    fs.write_file(Path::new("/root/db/t~1/1970-01-01/a.arrow"), b"rows");
    fs.symlink(Path::new("/elsewhere"), Path::new("/root/db/t~1/link"));
    let env = Env::in_turn(Arc::new(fs), Arc::new(ManualClock::new(1)), Arc::new(SeededRng::new(1)));
    let disk = Disk { env, layout: Layout::new(Path::new("/root")), planted: None };
    require_plain_path(&disk, "t~1/1970-01-01/a.arrow").expect("it is a file");
    for (named, why) in [
        ("", "unsafe path"),
        ("/t~1/1970-01-01/a.arrow", "unsafe path"),
        ("t~1/./1970-01-01/a.arrow", "unsafe path"),
        ("t~1/../t~1/1970-01-01/a.arrow", "unsafe path"),
        ("t~1//a.arrow", "unsafe path"),
        ("t~1/1970-01-01/b.arrow", "is missing"),
        ("t~1/1970-01-01", "is not what the snapshot names"),
        ("t~1/1970-01-01/a.arrow/b", "is not what the snapshot names"),
        ("t~1/link", "link"),
    ] {
        match require_plain_path(&disk, named) {
            Err(Error::Corrupt { detail, .. } | Error::Refused(detail)) => {
                assert!(detail.contains(why), "{named}: {detail}");
            }
            other => panic!("{named}: {other:?}"),
        }
    }
}

#[test]
fn a_file_that_an_undo_lacks_is_told_with_what_is_left_to_do() {
    let met = |kind: std::io::ErrorKind| of_undo(Error::Io { path: "/root/db/file".into(), source: kind.into() });
    match met(std::io::ErrorKind::NotFound) {
        Error::Corrupt { file, detail } => {
            assert!(file == Path::new("/root/db/file") && detail.starts_with("is missing; so the restore cannot be"));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(met(std::io::ErrorKind::PermissionDenied), Error::Io { .. }), "another try may find it");
}
