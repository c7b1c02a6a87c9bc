//! A database on a simulated machine: [`Machine`].
//!
//! Owns how a process is started on a `SimFs`: environment, options and the place of the root.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use storage::env::clock::ManualClock;
use storage::env::fs::Space;
use storage::env::rng::SeededRng;
use storage::env::{Env, SimFs};
use storage::{Database, Options};

/// When the simulated clock starts: 2026-01-01T00:00Z.
const CLOCK_US: i64 = 1_767_225_600_000_000;

/// A process that may open a database, and the clock that it sees.
#[derive(Clone)]
pub struct Machine {
    pub fs: SimFs,
    pub clock: Arc<ManualClock>,
    seed: u64,
    starts: u64,
}

impl Machine {
    /// Returns a machine with durable, empty directories `/a` and `/b`.
    pub fn new(seed: u64) -> Machine {
        let fs = SimFs::new(seed);
        fs.make_dirs(Path::new("/a"));
        fs.make_dirs(Path::new("/b"));
        fs.sync_all();
        Machine { fs, clock: Arc::new(ManualClock::new(CLOCK_US)), seed, starts: 0 }
    }

    /// Returns a machine around a process.
    pub fn on(fs: SimFs, seed: u64) -> Machine {
        Machine { fs, clock: Arc::new(ManualClock::new(CLOCK_US + 3_600_000_000)), seed, starts: 1_000 }
    }

    /// Starts a database in a root.
    pub fn open(&mut self, options: &Options) -> storage::Result<Database> {
        self.starts += 1;
        Database::open(self.env(), options.clone())
    }

    /// Returns what a process on the machine works with.
    pub fn env(&self) -> Env {
        let rng = SeededRng::new(self.seed.wrapping_mul(1_000_003).wrapping_add(self.starts));
        Env::in_turn(Arc::new(self.fs.clone()), self.clock.clone(), Arc::new(rng))
    }

    /// Does something, a second later, while the disk says that it is full. It says it of so small a disk that every byte is
    /// worth giving back.
    pub fn with_full_disk<T>(&self, done: impl FnOnce() -> T) -> T {
        self.clock.advance_us(1_000_000);
        self.fs.say_space(Some(Space { free_bytes: 0, total_bytes: 100 }));
        let outcome = done();
        self.fs.say_space(None);
        outcome
    }

    /// Ends the process and begins another.
    pub fn kill(&mut self) {
        self.fs = self.fs.kill();
    }
}

/// Returns options under which small histories flush, write bases and rotate.
pub fn options(root: impl Into<PathBuf>) -> Options {
    let mut options = Options::new(root);
    options.flush_bytes = 4_000;
    options.base_bytes = 40_000;
    options.log_files_max = 6;
    options.compact_fan_in = 2;
    options.snapshot_shed_free = 1;
    options
}

/// Returns the root that most histories use.
pub fn root() -> PathBuf {
    PathBuf::from("/a")
}
