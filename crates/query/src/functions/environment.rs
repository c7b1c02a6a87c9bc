//! What functions may know about the statement and its session: the clock, the user, chance.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use storage::env::{Clock, Rng};

use crate::activity::Activity;
use crate::settings::Reload;

/// The surroundings of one statement.
#[derive(Clone)]
pub struct Environment {
    surroundings: Surroundings,
    asked: Arc<AtomicBool>,
}

/// What there is to know.
#[derive(Clone)]
pub struct Surroundings {
    /// The moment at which the statement began: what `now()` answers throughout.
    pub now_us: i64,
    /// The machine's clock, for `systimestamp()`.
    pub clock: Arc<dyn Clock>,
    /// The name of the connected user.
    pub user: String,
    /// What `reload_config()` does.
    pub reload: Option<Reload>,
    /// The seeds of the random functions.
    pub seeds: Seeds,
    /// When the server started, in microseconds since 1970.
    pub started_us: i64,
    /// The statements that run now.
    pub activity: Arc<Activity>,
}

impl Environment {
    /// Returns an environment that nobody has asked yet.
    pub fn new(surroundings: Surroundings) -> Environment {
        Environment { surroundings, asked: Arc::default() }
    }

    /// Returns what there is to know. A plan that was made with it is this statement's alone, and never kept.
    pub fn ask(&self) -> &Surroundings {
        self.asked.store(true, Ordering::Relaxed);
        &self.surroundings
    }

    /// Returns whether anything was asked.
    pub fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

/// Two seeds for the random functions of one statement; `long_sequence(n, seed, seed)` replaces them while binding.
#[derive(Clone)]
pub struct Seeds {
    rng: Arc<dyn Rng>,
    drawn: Arc<Mutex<Option<(u64, u64)>>>,
}

impl Seeds {
    /// Returns seeds that are drawn when somebody wants them: few statements do, and the system's source is a call into the
    /// kernel.
    pub fn of(rng: Arc<dyn Rng>) -> Seeds {
        Seeds { rng, drawn: Arc::default() }
    }

    /// Returns the seeds that hold now.
    pub fn get(&self) -> (u64, u64) {
        *self.place().get_or_insert_with(|| (self.rng.next_u64(), self.rng.next_u64()))
    }

    /// Replaces the seeds for what is bound from now on.
    pub fn set(&self, first: u64, second: u64) {
        *self.place() = Some((first, second));
    }

    fn place(&self) -> MutexGuard<'_, Option<(u64, u64)>> {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns surroundings that never change, for tests.
#[cfg(test)]
pub fn fixed() -> Environment {
    Environment::new(Surroundings {
        now_us: 1_700_000_000_000_000,
        clock: Arc::new(storage::env::clock::ManualClock::new(1_700_000_000_000_000)),
        user: "admin".to_owned(),
        reload: None,
        seeds: Seeds::of(Arc::new(storage::env::rng::SeededRng::new(1))),
        started_us: 1_600_000_000_000_000,
        activity: Arc::default(),
    })
}
