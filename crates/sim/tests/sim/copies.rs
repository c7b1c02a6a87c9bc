//! Copies in the hands of operators: beside the live server, poisoned, put over another root, over generations.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sim::history::History;
use sim::model::Model;
use sim::snapshot_cycle::EXCLUDED;
use sim::step::Step;
use storage::env::sim_fs::{CopyMode, TreeEntry};

use crate::seeds::{history, ok};

/// Takes a snapshot, copies it and returns what it holds.
fn copy(history: &mut History, to: &str, mode: CopyMode, excluded: &[&str]) -> Model {
    ok(history.step(Step::Prepare("default".to_owned())));
    let cut = (*history.model.snapshots["default"].cut).clone();
    let root = history.options.root.clone();
    assert!(history.machine.fs.copy_tree(&root, Path::new(to), mode, excluded, 1).finish().is_empty());
    ok(history.step(Step::Complete("default".to_owned())));
    cut
}

#[test]
fn a_copy_after_a_kill_and_a_start_needs_neither_live_log_nor_text_log() {
    let mut history = history(1);
    ok(history.append_rows(300));
    history.kill();
    ok(history.start());
    let cut = copy(&mut history, "/copy", CopyMode::Copy, &EXCLUDED);
    history.kill();
    history.ask_for_restore(Path::new("/copy"), &cut);
    ok(history.start());
}

#[test]
fn a_hard_link_copy_shares_nothing_that_changes_while_both_sides_run() {
    let mut left = history(2);
    ok(left.append_rows(2_000));
    let cut = copy(&mut left, "/links", CopyMode::HardLink, &EXCLUDED);
    let before = left.machine.fs.tree_digest(Path::new("/links"));
    let mut right = History::new(3, left.options.clone(), sim::generate::Generator::new(33, false).names_from(10_000));
    right.machine.fs = left.machine.fs.another_process();
    right.ask_for_restore(Path::new("/links"), &cut);
    ok(right.start());
    for round in 0..5 {
        for side in [&mut left, &mut right] {
            ok(side.append_rows(1_000));
            ok(side.step(Step::Prepare("default".to_owned())));
            ok(side.steps(10));
            ok(side.step(Step::Complete("default".to_owned())));
            if round % 2 == 0 {
                side.kill();
                ok(side.start());
            }
        }
    }
    check_unchanged(&before, &left.machine.fs.tree_digest(Path::new("/links")));
}

/// Checks that no inode has changed; the server on the copy may have taken names away.
fn check_unchanged(before: &BTreeMap<PathBuf, TreeEntry>, now: &BTreeMap<PathBuf, TreeEntry>) {
    let mut compared = 0;
    for (path, entry) in before {
        if let Some(found) = now.get(path) {
            assert_eq!((found.inode, found.hash), (entry.inode, entry.hash), "{}", path.display());
            compared += 1;
        }
    }
    assert!(compared > 5, "{compared} files were compared");
}

#[test]
fn a_poisoned_copy_is_restored_by_what_the_snapshot_names_alone() {
    for poison in [half_log, headerless_log, later_base, foreign_segment, stray_names] {
        let mut history = history(4);
        ok(history.steps(60));
        let cut = copy(&mut history, "/copy", CopyMode::Copy, &["log"]);
        poison(&history);
        history.kill();
        history.ask_for_restore(Path::new("/copy"), &cut);
        ok(history.start());
        ok(history.append_rows(500));
        ok(history.maybe_restart());
    }
}

/// Returns the paths of the copy whose name ends so.
fn of_copy(history: &History, directory: &str) -> Vec<PathBuf> {
    let files = history.machine.fs.files_below(Path::new("/copy"));
    files.into_iter().filter(|path| path.starts_with(directory)).map(|path| Path::new("/copy").join(path)).collect()
}

fn next_log_name(path: &Path) -> PathBuf {
    let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
    let (timeline, number) = name.rsplit_once('-').expect("a log file's name");
    let number: u64 = number.parse().expect("a number");
    Path::new("/copy/db/_live").join(format!("{timeline}-{:06}.wal", number + 3))
}

fn half_log(history: &History) {
    let newest = of_copy(history, "db/_live").pop().expect("a log file");
    let bytes = history.machine.fs.peek(&newest).expect("there");
    history.machine.fs.write_file(&next_log_name(&newest), &bytes[..bytes.len() / 2]);
}

fn headerless_log(history: &History) {
    let newest = of_copy(history, "db/_live").pop().expect("a log file");
    history.machine.fs.write_file(&next_log_name(&newest), &[0; 100_000]);
}

fn later_base(history: &History) {
    history.machine.fs.make_dirs(Path::new("/copy/db/_base"));
    let log = of_copy(history, "db/_log").pop().expect("a sealed log file");
    let name = log.file_stem().expect("a name").to_string_lossy().into_owned();
    let timeline = name.rsplit_once('-').expect("a log file's name").0;
    let path = PathBuf::from(format!("/copy/db/_base/{timeline}-{:012}.json", 999_999));
    let bytes = of_copy(history, "db/_base").pop().and_then(|base| history.machine.fs.peek(&base));
    history.machine.fs.write_file(&path, &bytes.unwrap_or_else(|| b"{}".to_vec()));
}

fn foreign_segment(history: &History) {
    let segment = of_copy(history, "db").into_iter().find(|path| path.extension().is_some_and(|e| e == "arrow"));
    let segment = segment.expect("a segment");
    let bytes = history.machine.fs.peek(&segment).expect("there");
    history.machine.fs.write_file(&segment.with_file_name("01ARZ3NDEKTSV4RRFFQ69G5FAV.arrow"), &bytes);
}

fn stray_names(history: &History) {
    for name in [".fuse_hidden0001", "db/lost+found", "db/_log/.x.wal.Ab12Cd", "db/notes.txt", "snapshot/x.partial"] {
        history.machine.fs.write_file(&Path::new("/copy").join(name), b"stray");
    }
}

#[test]
fn a_copy_over_a_root_with_later_timelines_goes_back_all_the_same() {
    let mut history = history(5);
    ok(history.steps(40));
    let early = copy(&mut history, "/early", CopyMode::Copy, &EXCLUDED);
    let mut second = None;
    for generation in 1..=5 {
        ok(history.append_rows(1_000));
        ok(history.steps(20));
        let to = format!("/generation{generation}");
        let cut = copy(&mut history, &to, CopyMode::Copy, &EXCLUDED);
        ok(history.steps(10));
        history.kill();
        let root = history.options.root.clone();
        history.machine.fs.remove(&root);
        history.machine.fs.copy_tree(Path::new(&to), &root, CopyMode::Copy, &[], 1).finish();
        history.ask_for_restore(&root, &cut);
        ok(history.start().map_err(|e| format!("generation {generation}: {e}")));
        if generation == 2 {
            second = Some(cut);
        }
    }
    for (from, cut) in [("/generation2", second.expect("kept")), ("/early", early)] {
        ok(history.append_rows(500));
        history.kill();
        let root = history.options.root.clone();
        history.machine.fs.copy_tree(Path::new(from), &root, CopyMode::Copy, &[], 1).finish();
        history.ask_for_restore(&root, &cut);
        ok(history.start().map_err(|e| format!("{from} over the fifth generation: {e}")));
        ok(history.steps(30));
        ok(history.maybe_restart());
    }
}

#[test]
fn a_second_empty_trigger_after_a_finished_restore_is_refused_and_changes_nothing() {
    let mut history = history(6);
    ok(history.steps(40));
    let cut = copy(&mut history, "/copy", CopyMode::Copy, &EXCLUDED);
    history.kill();
    history.ask_for_restore(Path::new("/copy"), &cut);
    ok(history.start());
    ok(history.steps(20));
    history.kill();
    let trigger = Path::new("/copy/_restore");
    history.machine.fs.write_file(trigger, b"");
    let before = history.machine.fs.tree_digest(Path::new("/copy"));
    let why = ok(history.start_refused());
    assert!(why.contains("snapshot/default"), "{why}");
    assert_eq!(history.machine.fs.tree_digest(Path::new("/copy")), before);
    history.machine.fs.remove(trigger);
    ok(history.start());
}

#[test]
fn a_plain_start_on_a_copy_says_what_to_do_and_changes_nothing() {
    let mut history = history(7);
    ok(history.steps(40));
    copy(&mut history, "/copy", CopyMode::Copy, &EXCLUDED);
    history.kill();
    history.options.root = PathBuf::from("/copy");
    let before = history.machine.fs.tree_digest(Path::new("/copy"));
    let why = ok(history.start_refused());
    assert!(why.contains("touch /copy/_restore"), "{why}");
    let now = history.machine.fs.tree_digest(Path::new("/copy"));
    let files =
        |tree: &BTreeMap<PathBuf, TreeEntry>| tree.clone().into_iter().filter(|(_, e)| e.hash != 0).collect::<Vec<_>>();
    assert_eq!(files(&now), files(&before));
}
