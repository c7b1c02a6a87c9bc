//! What functions may know about the statement and its session: the clock, the user, chance.

use std::sync::Arc;

use storage::env::Clock;

/// The surroundings of one statement.
#[derive(Clone)]
pub struct Environment {
    /// The moment at which the statement began: what `now()` answers throughout.
    pub now_us: i64,
    /// The machine's clock, for `systimestamp()`.
    pub clock: Arc<dyn Clock>,
    /// The name of the connected user.
    pub user: String,
    /// Two seeds for the random functions; those of `long_sequence(n, seed, seed)` make a statement repeatable.
    pub seeds: (u64, u64),
    /// When the server started, in microseconds since 1970.
    pub started_us: i64,
}

/// Returns surroundings that never change, for tests.
#[cfg(test)]
pub fn fixed() -> Environment {
    Environment {
        now_us: 1_700_000_000_000_000,
        clock: Arc::new(storage::env::clock::ManualClock::new(1_700_000_000_000_000)),
        user: "admin".to_owned(),
        seeds: (1, 2),
        started_us: 1_600_000_000_000_000,
    }
}
