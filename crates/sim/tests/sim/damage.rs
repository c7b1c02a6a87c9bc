//! Every fault in a copy is refused by the file's name, or harmless.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sim::damage::{Copy, Damage, Outcome};

use crate::seeds::{found, seeds};

#[test]
fn no_fault_in_a_copy_is_served() {
    for seed in seeds(1) {
        let copy = crate::seeds::ok(Copy::new(seed, None));
        let mut outcomes: BTreeMap<PathBuf, Outcome> = BTreeMap::new();
        for (file, len_bytes) in copy.files() {
            let outcome = outcomes.entry(file.clone()).or_default();
            for damage in damages(len_bytes) {
                match copy.check(&file, damage) {
                    Ok(one) => {
                        outcome.refused += one.refused;
                        outcome.harmless += one.harmless;
                    }
                    Err(e) => found("no_fault_in_a_copy", seed, &e),
                }
            }
        }
        for (file, outcome) in &outcomes {
            println!("{}: {} refused, {} harmless", file.display(), outcome.refused, outcome.harmless);
        }
        let total: u64 = outcomes.values().map(|o| o.refused).sum();
        println!("damage: {total} refused");
        assert!(total > 1_000, "{total} faults were refused");
    }
}

/// Returns every fault of a file: missing, zeros, a stray beside it, cut in many places, one bit of every byte.
fn damages(len_bytes: u64) -> Vec<Damage> {
    let mut damages = vec![Damage::Missing, Damage::Zeros, Damage::Extra];
    let cuts = (0..len_bytes).filter(|at| *at < 4 || at % 509 == 0 || at + 1 == len_bytes);
    damages.extend(cuts.map(|len_bytes| Damage::Cut { len_bytes }));
    // The head of a log file stands twice: a flip in one copy is harmless, and a few of them are enough.
    let bytes = (0..len_bytes).filter(|at| {
        if len_bytes < 8_192 {
            true
        } else if *at < 8_192 {
            at % 7 == 0
        } else {
            at % 2 == 0
        }
    });
    damages.extend(bytes.map(|byte| Damage::Flip { byte, bit: (byte % 8) as u8 }));
    damages
}
