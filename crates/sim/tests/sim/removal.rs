//! What goes, goes when nothing needs it any more.

use sim::machine::options;
use sim::removal;

use crate::seeds::{ok, seeds};

#[test]
fn a_power_cut_behind_settling_takes_nothing_of_the_snapshot() {
    for seed in seeds(12) {
        ok(removal::behind_settling(seed, &options("/a")));
    }
}

#[test]
fn what_becomes_of_a_snapshot_is_durable_when_the_statement_answers() {
    for seed in seeds(6) {
        ok(removal::behind_a_standing(seed, &options("/a")));
    }
}

#[test]
fn segments_of_a_truncated_table_stay_until_the_truncate_is_durable() {
    for seed in seeds(3) {
        ok(removal::behind_a_truncate(seed, &options("/a")));
    }
}

#[test]
fn a_reader_reads_what_it_holds_also_when_it_was_truncated() {
    for seed in seeds(3) {
        ok(removal::beside_a_reader(seed, &options("/a")));
    }
}

#[test]
fn a_dropped_table_comes_back_after_starts_and_gc() {
    for seed in seeds(6) {
        ok(removal::beside_a_dropped_table(seed, &options("/a")));
    }
}

#[test]
fn a_restored_database_is_durable_when_the_statement_answers() {
    for seed in seeds(6) {
        ok(removal::behind_a_restored_database(seed, &options("/a")));
    }
}

#[test]
fn a_full_disk_takes_the_table_that_was_dropped_first_and_no_other() {
    for seed in seeds(6) {
        ok(removal::on_a_full_disk(seed, &options("/a")));
    }
}
