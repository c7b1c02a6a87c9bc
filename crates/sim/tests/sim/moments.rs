//! Every moment of the restorable window is as the model was then.

use sim::moments::{self, MomentsPlan};

use crate::seeds::{found, seeds};

#[test]
fn every_moment_of_the_window_is_as_it_was() {
    for seed in seeds(8) {
        if let Err(e) = moments::run(&MomentsPlan::new(seed)) {
            found("every_moment", seed, &e);
        }
    }
}
