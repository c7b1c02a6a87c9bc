//! What stands around the data: the marker, timelines, links, rights.

use std::path::{Path, PathBuf};

use serde_json::json;
use storage::env::fs::FileKind;
use storage::env::sim_fs::{Fault, FaultPlan, OpKind};

use super::{COPY, Copy, rewritten};

const EACCES: i32 = 13;

fn marker() -> PathBuf {
    Path::new(COPY).join("db/_stillpoint")
}

#[test]
fn a_missing_marker_is_refused() {
    let copy = Copy::new();
    copy.remove(&marker());
    copy.is_refused_until_mended(&marker(), "missing");
}

#[test]
fn a_marker_of_garbage_is_refused() {
    let copy = Copy::new();
    copy.write(&marker(), &[0xff; 60]);
    copy.is_refused_until_mended(&marker(), "checksum");
}

#[test]
fn a_marker_of_a_newer_format_is_refused_and_both_versions_are_told() {
    let copy = Copy::new();
    copy.write(&marker(), &rewritten(&copy.read(&marker()), "format", json!(99)));
    copy.is_refused(&["/copy", "format 99", "this server reads", "newer server"]);
    copy.mend();
    copy.restores();
}

#[test]
fn a_missing_database_is_refused() {
    let copy = Copy::new();
    copy.remove(&Path::new(COPY).join("db"));
    copy.is_refused(&["/copy", "no database", "whole copy"]);
    copy.mend();
    copy.restores();
}

#[test]
fn a_missing_timeline_is_refused_whether_it_is_the_last_or_its_parent() {
    for at in 0..2 {
        let copy = Copy::new();
        let timeline = copy.files("db/_timeline/")[at].clone();
        copy.remove(&timeline);
        copy.is_refused_until_mended(&timeline, "missing");
    }
}

#[test]
fn a_timeline_of_garbage_is_refused_whether_it_is_the_last_or_its_parent() {
    for at in 0..2 {
        let copy = Copy::new();
        let timeline = copy.files("db/_timeline/")[at].clone();
        copy.write(&timeline, b"garbage");
        copy.is_refused_until_mended(&timeline, "differs");
    }
}

#[test]
fn a_timeline_of_a_later_time_in_place_of_the_copy_is_left_behind() {
    let copy = Copy::new();
    let last = copy.files("db/_timeline/")[1].clone();
    copy.write(&last.with_file_name("7-0000beef.json"), b"half a timeline");
    copy.restores();
}

/// Puts a link in the place of something that is moved elsewhere.
#[track_caller]
fn check_link(below: &str) {
    let copy = Copy::new();
    let path = Path::new(COPY).join(below);
    copy.remove(&path);
    copy.fs.symlink(&Path::new(super::GOOD).join(below), &path);
    copy.is_refused(&[path.to_str().unwrap(), "symbolic link", "copy what it points to"]);
    assert_eq!(copy.fs.tree_digest(Path::new(COPY))[Path::new(below)].kind, FileKind::Symlink);
    copy.remove(&path);
    copy.mend();
    copy.restores();
}

#[test]
fn a_link_in_place_of_the_database_is_refused() {
    check_link("db");
}

#[test]
fn a_link_in_place_of_the_snapshots_is_refused() {
    check_link("snapshot");
}

#[test]
fn a_link_in_place_of_a_table_is_refused() {
    check_link("db/t~1");
}

#[test]
fn a_link_in_place_of_the_log_is_refused() {
    check_link("db/_log");
}

#[test]
fn a_link_in_place_of_a_segment_is_refused() {
    let copy = Copy::new();
    let segment = copy.file("db/t~1/1970-01-02/");
    check_link(segment.strip_prefix(COPY).unwrap().to_str().unwrap());
}

/// Lets the calls of a restore from the first of a kind on fail for want of a right.
fn forbid(copy: &Copy, kind: OpKind, name: &str) {
    let twin = copy.fs.fork();
    twin.record_trace(true);
    let env = crate::support::on(&copy.env, twin.another_process());
    crate::support::open_at(&env, COPY).expect("nothing is wrong with the copy");
    let trace = twin.take_trace();
    let op = trace.iter().find(|op| op.site.kind == kind && op.path.to_str().unwrap().contains(name));
    let at_op = op.unwrap_or_else(|| panic!("no {kind:?} of {name}")).number;
    copy.fs.set_faults(FaultPlan::one(Fault::Fail { at_op, errno: EACCES, times: 1 }));
}

#[test]
fn a_copy_that_may_not_be_read_is_refused_and_nothing_is_changed() {
    for (kind, name) in [
        (OpKind::Read, "snapshot/default."),
        (OpKind::Read, "db/_stillpoint"),
        (OpKind::Read, "db/_base/"),
        (OpKind::Read, "db/_timeline/"),
        (OpKind::Open, "db/_log/"),
        (OpKind::List, "db/_log"),
        (OpKind::List, "snapshot"),
    ] {
        let copy = Copy::new();
        forbid(&copy, kind, name);
        copy.is_refused(&["/copy", name, "no right", "start as its owner"]);
        copy.fs.set_faults(FaultPlan::none());
        copy.restores();
    }
}

#[test]
fn a_copy_that_may_not_be_written_is_refused_and_nothing_is_changed() {
    let copy = Copy::new();
    forbid(&copy, OpKind::CreateDir, "db/_live");
    copy.is_refused(&["/copy", "no right", "give the user of this server all rights"]);
    copy.fs.set_faults(FaultPlan::none());
    copy.restores();
}

#[test]
fn a_trigger_that_cannot_be_removed_ends_the_start_and_is_served_again() {
    let copy = Copy::new();
    forbid(&copy, OpKind::Unlink, "/copy/_restore");
    let error = copy.open().map(drop).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, storage::Error::Refused(_)), "{error:?}");
    for words in ["/copy/_restore could not be removed", "each start would go back", "make it removable"] {
        assert!(text.contains(words), "{text}");
    }
    assert!(copy.fs.peek(&Path::new(COPY).join("_restore")).is_some());
    assert_eq!(copy.files("snapshot/default.").len(), 1, "the snapshot is not released while the trigger is there");
    copy.fs.set_faults(FaultPlan::none());
    copy.restores();
}
