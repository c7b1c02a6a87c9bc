//! The campaigns of the simulator at their numbers per run, and single tests of what is easily forgotten.
//! `SIM_SEED=n cargo test -p sim NAME -- --nocapture` repeats one seed; `SIM_RUNS=n` and
//! `SIM_FROM=n` make a longer campaign with other seeds (`cargo xtask campaign`).

mod copies;
mod crash;
mod damage;
mod found;
mod meanwhile;
mod moments;
mod planted;
mod prepare;
mod removal;
mod seeds;
mod snapshot;
mod space;
mod tail;
mod undo;
mod whole_back;
