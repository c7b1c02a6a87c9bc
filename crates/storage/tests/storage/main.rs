//! Histories over a whole root in the simulated machine: what was acknowledged is there, whatever happens.

mod bring_back;
mod compaction;
mod convert;
mod copy;
mod damage;
mod dedup;
mod dropped;
mod faults;
mod fixture;
mod foreign_copies;
mod guard;
mod hostile;
mod instance;
mod into_root;
mod life;
mod many_snapshots;
mod moments;
mod partitions;
mod peer_cases;
mod settle;
mod snapshots;
mod support;
mod ttl;
mod undo;
mod whole_back;
mod writes;
