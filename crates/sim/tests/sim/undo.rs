//! Undo of a restore: the end of the timeline that was left is there, after thousands of writes, and however it is cut.

use sim::machine::options;
use sim::step::Step;
use sim::undo_cycle::{restore_in_place, run, undo};

use crate::seeds::{found, history, ok, seeds};

#[test]
fn an_undone_restore_gives_the_end_of_what_was_left_at_every_cut() {
    for seed in seeds(6) {
        if let Err(e) = run(seed, &options("/a")) {
            found("an_undone_restore", seed, &e);
        }
    }
}

#[test]
fn an_undo_finds_everything_after_ten_thousand_further_writes() {
    let mut history = history(11);
    ok(history.append_rows(3_000));
    let first = ok(restore_in_place(&mut history, 40));
    for _ in 0..10 {
        ok(history.append_rows(1_000));
        for step in [Step::Flush, Step::Compact, Step::Base, Step::Gc, Step::Gc] {
            ok(history.step(step));
        }
    }
    ok(history.maybe_restart());
    ok(undo(&mut history, 11, &first));
    ok(history.append_rows(1_000));
    ok(history.maybe_restart());
}
