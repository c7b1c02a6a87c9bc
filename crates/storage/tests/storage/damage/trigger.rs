//! The trigger itself, and which snapshot it means.

use std::path::Path;

use storage::env::sim_fs::CopyMode;

use super::{COPY, Copy, GOOD, contents};
use crate::support::*;

#[test]
fn a_trigger_of_nonsense_is_refused_and_says_what_may_stand_in_it() {
    for text in
        ["please restore", "snapshot", "verify=maybe", "snapshot: default", "\u{0}\u{1}\u{2}", "snapshoot=default"]
    {
        let copy = Copy::new();
        copy.ask(text);
        copy.is_refused(&["/copy/_restore", "does not understand", "snapshot=<name>"]);
        copy.ask("");
        copy.restores();
    }
}

#[test]
fn a_trigger_written_on_windows_or_by_hand_is_understood() {
    for text in ["snapshot=default\r\nverify=full\r\n", "# for tonight\n\n  snapshot = default  \n", "\r\n", "\n\n"] {
        let copy = Copy::new();
        copy.ask(text);
        copy.restores();
    }
}

#[test]
fn a_trigger_that_names_an_unknown_snapshot_is_refused_by_that_name() {
    let copy = Copy::new();
    copy.ask("snapshot=nightly\n");
    copy.is_refused(&["snapshot/nightly", "/copy/_restore"]);
    copy.ask("snapshot=default");
    copy.restores();
}

/// A copy with pins of two cuts; the first call of `names` is the name of the earlier one.
fn with_two(names: [&str; 2]) -> (Copy, [Vec<String>; 2]) {
    let (fs, env) = machine();
    let db = open(&env).unwrap();
    create(&db, "t");
    let mut cuts = Vec::new();
    for (day, name) in [1, 2].into_iter().zip(names) {
        insert(&db, "t", &[(day * DAY_US, Some("a"), day, None)]);
        db.prepare_snapshot(name).unwrap();
        cuts.push(contents(&db));
        fs.copy_tree(Path::new(ROOT), Path::new(COPY), CopyMode::Copy, &["db/_live", "log"], 1).finish();
        if names[0] == names[1] {
            db.complete_snapshot(name).unwrap();
        }
    }
    fs.copy_tree(Path::new(COPY), Path::new(GOOD), CopyMode::Copy, &[], 1).finish();
    drop(db);
    let copy = Copy { fs: std::sync::Arc::new(fs.kill()), env, cut: cuts[1].clone() };
    copy.ask("");
    (copy, cuts.try_into().unwrap())
}

#[test]
fn of_two_snapshots_of_one_name_in_a_copy_the_later_cut_is_restored() {
    // The second copy went over the first, and the tool removed nothing.
    let (copy, _) = with_two(["default", "default"]);
    assert_eq!(copy.files("snapshot/default.").len(), 2);
    copy.restores();
}

#[test]
fn an_empty_trigger_beside_a_later_snapshot_of_another_name_is_refused_with_a_list() {
    let (copy, [_, nightly]) = with_two(["default", "nightly"]);
    copy.is_refused(&["default, nightly", "snapshot=<name>", "/copy/_restore"]);
    copy.ask("snapshot=nightly");
    let db = copy.open().unwrap();
    assert_eq!(contents(&db), nightly);
    assert!(db.snapshots().is_empty());
    db.prepare_snapshot("default").expect("no snapshot is open after a restore");
}

#[test]
fn a_trigger_that_names_the_earlier_snapshot_is_served_exactly() {
    let (copy, [default, _]) = with_two(["default", "nightly"]);
    copy.ask("snapshot=default");
    assert_eq!(contents(&copy.open().unwrap()), default);
}

#[test]
fn an_empty_trigger_means_default_if_no_other_cut_is_later() {
    let (copy, [_, default]) = with_two(["nightly", "default"]);
    assert_eq!(contents(&copy.open().unwrap()), default);
}

#[test]
fn a_damaged_pin_beside_a_good_one_is_refused_because_it_may_be_the_one_that_is_meant() {
    let (copy, [_, default]) = with_two(["nightly", "default"]);
    let nightly = copy.file("snapshot/nightly.");
    copy.cut_short(&nightly);
    copy.is_refused(&["nightly.", "checksum", "copy"]);
    copy.remove(&nightly);
    assert_eq!(contents(&copy.open().unwrap()), default);
}
