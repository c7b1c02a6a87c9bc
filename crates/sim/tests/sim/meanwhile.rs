//! Others in the middle of background work, and a cut under a writer.

use sim::machine::options;
use sim::meanwhile::{cut_under_a_writer, run};

use crate::seeds::ok;

#[test]
fn what_happens_in_the_middle_of_background_work_is_neither_lost_nor_undone() {
    ok(run(&options("/a")));
}

#[test]
fn a_cut_under_a_writer_is_one_moment_of_all_tables() {
    ok(cut_under_a_writer(&options("/a")));
}
