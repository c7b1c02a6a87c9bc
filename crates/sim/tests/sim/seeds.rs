//! Which seeds a campaign runs, and how a failure is told.

use std::ops::Range;

use sim::generate::Generator;
use sim::history::History;
use sim::machine::options;

/// Returns the seeds: the one of `SIM_SEED`, or `SIM_RUNS` (else `default`) of them from `SIM_FROM` (else 0) on.
pub fn seeds(default: u64) -> Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    match number("SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let from = number("SIM_FROM").unwrap_or(0);
            from..from + number("SIM_RUNS").unwrap_or(default)
        }
    }
}

/// Returns whether the seeds are those of every run of the tests, so that what they reach can be asserted.
pub fn is_default() -> bool {
    ["SIM_SEED", "SIM_RUNS", "SIM_FROM"].iter().all(|name| std::env::var_os(name).is_none())
}

/// Fails with the command that repeats what was found.
pub fn found(test: &str, seed: u64, difference: &str) -> ! {
    panic!("{difference}\nrepeat with: SIM_SEED={seed} cargo test -p sim {test} -- --nocapture")
}

/// Returns a started history in `/a` whose generator prepares no snapshots.
pub fn history(seed: u64) -> History {
    let mut history = History::new(seed, options("/a"), Generator::new(seed, false));
    ok(history.start());
    history
}

/// Returns the value; a difference from the model fails the test.
#[track_caller]
pub fn ok<T>(result: Result<T, String>) -> T {
    result.unwrap_or_else(|difference| panic!("{difference}"))
}
