//! Faults planted in storage or in its machine must be found by the campaigns.

use std::fmt;

use storage::env::sim_fs::{Fault, FaultPlan};
use storage::planted::Planted;
use storage::{CommitMode, Options};

use crate::crash::{CrashPlan, crash_everywhere};
use crate::machine::options;
use crate::moments::{self, MomentsPlan};
use crate::snapshot_cycle::{self, CyclePlan};
use crate::{damage, meanwhile, removal, stale_log, undo_cycle};

/// A planted fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// None: what is found then is no finding of a planted fault.
    Nothing,
    /// Storage behaves by it.
    Storage(Planted),
    /// Storage leaves out the syncs of that kind of file or directory.
    NoSync(&'static str),
    /// A commit is acknowledged before it is durable.
    AckBeforeSync,
    /// Half a frame is taken for a whole one, as after an ENOSPC that nobody looked at.
    HalfFrame,
}

impl fmt::Display for Plant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Plant::Nothing => f.write_str("nothing"),
            Plant::Storage(planted) => write!(f, "{planted:?}"),
            Plant::NoSync(path_class) => write!(f, "no sync of {path_class}"),
            Plant::AckBeforeSync => f.write_str("ack before the sync"),
            Plant::HalfFrame => f.write_str("half a frame acknowledged"),
        }
    }
}

/// A run of a history by a seed; its error is what was found.
pub type OwnHistory = fn(u64, &Options) -> Result<(), String>;

impl Plant {
    fn in_storage(self) -> Option<Planted> {
        match self {
            Plant::Storage(planted) => Some(planted),
            _ => None,
        }
    }

    fn lies(self, seed: u64) -> FaultPlan {
        match self {
            Plant::NoSync(path_class) => FaultPlan::one(Fault::IgnoreSyncs { path_class }),
            Plant::HalfFrame => FaultPlan::one(Fault::HalfWrite { at_op: 60 + seed * 7, path_class: "_live/*.wal" }),
            _ => FaultPlan::none(),
        }
    }

    /// Looks for faults that only show when something else comes in the middle. That has no seeds.
    ///
    /// # Errors
    /// What was found.
    pub fn find_by_threads(self) -> Result<(), String> {
        let options = Options { planted: self.in_storage(), ..options("/a") };
        match self {
            Plant::Storage(Planted::CutOutsideLock) => meanwhile::cut_under_a_writer(&options),
            Plant::Storage(Planted::TruncateLostToFlush | Planted::GcIgnoresWriting) => meanwhile::run(&options),
            _ => Ok(()),
        }
    }

    /// Looks for the fault with a history of its own where it has one, else with every campaign.
    ///
    /// # Errors
    /// What was found first.
    pub fn find_with(self, seed: u64) -> Result<(), String> {
        match self.own_history() {
            Some(run) => run(seed, &Options { planted: self.in_storage(), ..options("/a") }),
            None => self.find_by_campaigns(seed),
        }
    }

    /// Returns the history that looks for this fault alone. A test runs each of them without any fault, too.
    pub fn own_history(self) -> Option<OwnHistory> {
        let Plant::Storage(planted) = self else { return None };
        Some(match planted {
            Planted::SaltIgnored => stale_log::run,
            Planted::SettleLetsGoEarly => removal::behind_settling,
            Planted::StandingNotDurable => removal::behind_a_standing,
            Planted::UnlinkBeforeFrame => removal::behind_a_truncate,
            Planted::GcIgnoresReader => removal::beside_a_reader,
            Planted::GcIgnoresDropped => removal::beside_a_dropped_table,
            Planted::WholeBackNotDurable => removal::behind_a_restored_database,
            Planted::UndoForgetsKept | Planted::GcIgnoresGrace => undo_cycle::run,
            _ => return None,
        })
    }

    fn find_by_campaigns(self, seed: u64) -> Result<(), String> {
        let mut plan = CrashPlan { nested_every: 100, kill_every: 5, ..CrashPlan::new(seed) };
        plan.options.planted = self.in_storage();
        plan.lies = self.lies(seed);
        if self == Plant::AckBeforeSync {
            plan.options.commit_mode = CommitMode::NoSync;
            plan.relaxed = false;
        }
        crash_everywhere(&plan)?;
        let mut plan = CyclePlan::new(seed);
        plan.options.planted = self.in_storage();
        plan.lies = self.lies(seed);
        plan.cut = true;
        snapshot_cycle::run(&plan)?;
        let mut plan = MomentsPlan::new(seed);
        plan.options.planted = self.in_storage();
        plan.lies = self.lies(seed);
        moments::run(&plan)?;
        damage::spot_check(seed, self.in_storage())
    }
}
