//! Cuts and failures at every call.

use sim::crash::{CrashPlan, crash_everywhere};
use sim::io_error::fail_everywhere;
use sim::report::Report;

use crate::seeds::{found, is_default, seeds};

/// Cuts that one run of the tests makes at least.
const CUTS: u64 = 5_000;

#[test]
fn a_power_cut_at_any_call_loses_and_invents_nothing() {
    let mut total = Report::default();
    for seed in seeds(12) {
        match crash_everywhere(&CrashPlan::new(seed)) {
            Ok(report) => total.merge(report),
            Err(e) => found("a_power_cut", seed, &e),
        }
    }
    println!("power cuts: {total}");
    if is_default() {
        assert!(total.fault_count() >= CUTS, "only {} cuts", total.fault_count());
    }
}

#[test]
fn a_failure_of_any_call_loses_and_invents_nothing() {
    let mut total = Report::default();
    for seed in seeds(6) {
        match fail_everywhere(seed, 30) {
            Ok(report) => total.merge(report),
            Err(e) => found("a_failure_of_any_call", seed, &e),
        }
    }
    println!("failures: {total}");
    if is_default() {
        assert_eq!(total.never_hit(), [], "every call site that is passed must have failed");
    }
}
