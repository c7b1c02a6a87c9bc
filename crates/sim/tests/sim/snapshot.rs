//! Snapshots under writes, restored, twice.

use sim::snapshot_cycle::{CyclePlan, run};

use crate::seeds::{found, seeds};

#[test]
fn a_restored_copy_equals_the_cut_and_lives_on() {
    let seeds = seeds(290);
    for seed in seeds.clone() {
        if let Err(e) = run(&CyclePlan::new(seed)) {
            found("a_restored_copy", seed, &e);
        }
    }
    println!("cycles: {} histories", seeds.count());
}
