//! Undo of a restore: the end of the timeline that was left is there, after thousands of writes, and however it is cut.

use std::path::Path;

use sim::compare::compare;
use sim::history::History;
use sim::machine::Machine;
use sim::model::Model;
use sim::step::Step;
use storage::env::sim_fs::Survive;

use crate::seeds::{history, ok, seeds};

/// Returns what an undo makes of a state: no snapshot is open, kept ones go on.
fn without_open(model: &Model) -> Model {
    let mut model = model.clone();
    model.snapshots.retain(|_, snapshot| snapshot.kept);
    model
}

/// Goes back to the cut of a snapshot in place; returns what was left, with its timeline.
fn restore_in_place(history: &mut History, steps: usize) -> (u32, Model) {
    ok(history.step(Step::Prepare("default".to_owned())));
    let cut = (*history.model.snapshots["default"].cut).clone();
    ok(history.step(Step::PrepareKept(format!("kept{}", history.db().timeline().number))));
    ok(history.steps(steps));
    let left = (history.db().timeline().number, without_open(&history.model));
    history.kill();
    let root = history.options.root.clone();
    history.ask_for_restore(&root, &cut);
    history.machine.fs.write_file(&root.join("_restore"), b"snapshot=default");
    ok(history.start());
    left
}

/// Goes back to the end of a timeline, cutting the power at every call on the way.
fn undo(history: &mut History, seed: u64, (timeline, end): &(u32, Model)) -> (u32, Model) {
    let left = (history.db().timeline().number, without_open(&history.model));
    history.kill();
    let root = history.options.root.clone();
    history.ask_for_restore(&root, end);
    history.machine.fs.write_file(&root.join("_restore"), format!("timeline={timeline}").as_bytes());
    history.machine.fs.sync_all();
    history.machine.fs.capture_crash_points(true);
    ok(history.start().map_err(|e| format!("seed {seed}, back to {timeline}: {e}")));
    let points = history.machine.fs.take_crash_points();
    history.machine.fs.capture_crash_points(false);
    assert!(history.machine.fs.peek(Path::new("/a/_restore")).is_none());
    for point in &points {
        let seed = seed ^ point.op.number;
        for survive in [Survive::Nothing, Survive::Subset(seed), Survive::EntriesLost(seed), Survive::NamesOnly] {
            let mut machine = Machine::on(point.power_cut(survive), seed);
            let db = machine.open(&history.options).map_err(|e| format!("the start was refused: {e}"));
            let op = &point.op;
            ok(db.and_then(|db| compare(end, &db)).map_err(|e| {
                format!(
                    "back to {timeline}, cut at {} ({}, {}), {survive:?}: {e}",
                    op.number,
                    op.site,
                    op.path.display()
                )
            }));
        }
    }
    left
}

#[test]
fn an_undone_restore_gives_the_end_of_what_was_left_at_every_cut() {
    for seed in seeds(6) {
        let mut history = history(seed);
        ok(history.steps(40));
        let first = restore_in_place(&mut history, 30);
        ok(history.steps(60));
        ok(history.maybe_restart());
        ok(history.steps(30));
        let second = undo(&mut history, seed, &first);
        ok(history.steps(40));
        ok(history.maybe_restart());
        let third = undo(&mut history, seed, &second);
        ok(history.steps(40));
        undo(&mut history, seed, &third);
        ok(history.steps(20));
        history.power_cut(Survive::Subset(seed));
        ok(history.start());
    }
}

#[test]
fn an_undo_finds_everything_after_ten_thousand_further_writes() {
    let mut history = history(11);
    ok(history.append_rows(3_000));
    let first = restore_in_place(&mut history, 40);
    for _ in 0..10 {
        ok(history.append_rows(1_000));
        for step in [Step::Flush, Step::Compact, Step::Base, Step::Gc, Step::Gc] {
            ok(history.step(step));
        }
    }
    ok(history.maybe_restart());
    undo(&mut history, 11, &first);
    ok(history.append_rows(1_000));
    ok(history.maybe_restart());
}
