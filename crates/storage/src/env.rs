//! The outside world as storage sees it: files ([`fs`]), time ([`clock`]), randomness ([`rng`]), work on two threads ([`join`]),
//! where threads run ([`processor`]) and what the allocator keeps ([`allocator`]).
//!
//! Everything below a root goes through an [`Env`], so that the simulator can stand in for the machine. No other
//! module of this crate opens a file, reads a clock or draws a random number; `clippy.toml` and `xtask tidy` see to it.
//! Next: [`fs`] for the contract of files, `docs/format/durability.md` for what survives a power cut.

use std::sync::Arc;

pub mod allocator;
pub mod clock;
pub mod fs;
pub mod join;
pub mod os_fs;
pub mod processor;
pub mod rng;
#[cfg(unix)]
pub mod sim_fs;
pub(crate) mod sync_later;

pub use clock::Clock;
pub use fs::{Fs, FsFile};
pub use join::Join;
pub use os_fs::OsFs;
pub use rng::Rng;
#[cfg(unix)]
pub use sim_fs::SimFs;

/// Files, clock, random source and threads of one process or one simulation.
#[derive(Clone)]
pub struct Env {
    pub fs: Arc<dyn Fs>,
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
    /// How independent work runs, as two syncs or two halves of what is to be read.
    pub join: Join,
}

impl Env {
    /// Returns the environment of the real machine.
    pub fn os() -> Env {
        Env {
            fs: Arc::new(os_fs::OsFs::new()),
            clock: Arc::new(clock::SystemClock),
            rng: Arc::new(rng::OsRng),
            join: join::at_once,
        }
    }

    /// Returns an environment in which nothing starts a thread: what is done in it can be repeated step by step.
    pub fn in_turn(fs: Arc<dyn Fs>, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>) -> Env {
        Env { fs, clock, rng, join: join::in_turn }
    }
}
