//! What goes wrong and when: [`Fault`], [`FaultPlan`].
//!
//! Owns the plan; `machine` asks it at each call. Next: `crash` for what a power cut leaves.

use rustix::io::Errno;

use super::crash::Survive;
use super::op::{OpKind, Site};

/// One thing that goes wrong. Calls are numbered from 1 over the life of the machine ([`super::SimFs::op_count`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The power goes in the middle of a call.
    Crash { at_op: u64, survive: Survive },
    /// That many calls in a row fail, the first at `at_op`, and do nothing. A sync that fails also drops what it
    /// should have made durable: that stays visible, but no later sync keeps it.
    Fail { at_op: u64, errno: i32, times: u64 },
    /// A read or write takes only half of the bytes (at least one); other calls are not changed.
    Short { at_op: u64 },
    /// Every sync of files or directories of that [`super::Site::path_class`] answers well and does nothing: as if the
    /// program had left it out.
    IgnoreSyncs { path_class: &'static str },
    /// The first write of a file of that class at or behind `at_op` stores half of its bytes and answers that all were.
    HalfWrite { at_op: u64, path_class: &'static str },
}

impl Fault {
    /// Input/output error.
    pub const EIO: i32 = Errno::IO.raw_os_error();
    /// No space left on device.
    pub const ENOSPC: i32 = Errno::NOSPC.raw_os_error();
    /// Too many open files.
    pub const EMFILE: i32 = Errno::MFILE.raw_os_error();
    /// Interrupted call.
    pub const EINTR: i32 = Errno::INTR.raw_os_error();
}

/// What goes wrong in a run.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan {
    faults: Vec<Fault>,
}

/// What the plan does to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Work,
    Short,
    /// Answer well and do nothing, or half.
    Lie,
    Fail(i32),
    Crash(Survive),
}

impl FaultPlan {
    /// Returns a plan in which nothing goes wrong.
    pub fn none() -> FaultPlan {
        FaultPlan::default()
    }

    /// Returns a plan of one fault.
    pub fn one(fault: Fault) -> FaultPlan {
        FaultPlan { faults: vec![fault] }
    }

    /// Adds a fault. Where several meet one call, the first that was added counts.
    pub fn and(mut self, fault: Fault) -> FaultPlan {
        self.faults.push(fault);
        self
    }

    pub(super) fn verdict(&mut self, number: u64, site: Site) -> Verdict {
        for fault in &mut self.faults {
            match *fault {
                Fault::IgnoreSyncs { path_class } if path_class == site.path_class && site.kind.is_sync() => {
                    return Verdict::Lie;
                }
                Fault::HalfWrite { at_op, path_class }
                    if number >= at_op && path_class == site.path_class && site.kind == OpKind::WriteAt =>
                {
                    // Once is enough.
                    *fault = Fault::HalfWrite { at_op: u64::MAX, path_class };
                    return Verdict::Lie;
                }
                Fault::Crash { at_op, survive } if at_op == number => return Verdict::Crash(survive),
                Fault::Fail { at_op, errno, times } if number >= at_op && number - at_op < times => {
                    return Verdict::Fail(errno);
                }
                Fault::Short { at_op } if at_op == number => return Verdict::Short,
                _ => {}
            }
        }
        Verdict::Work
    }
}
