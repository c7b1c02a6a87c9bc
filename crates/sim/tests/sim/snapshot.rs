//! R3: snapshots under writes, restored, twice.

use sim::snapshot_cycle::{CyclePlan, run};

use crate::seeds::{found, seeds};

#[test]
fn a_restored_copy_equals_the_cut_and_lives_on() {
    for seed in seeds(290) {
        if let Err(e) = run(&CyclePlan::new(seed)) {
            found("a_restored_copy", seed, &e);
        }
    }
}
