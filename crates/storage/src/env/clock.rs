//! Wall clock and monotonic clock, and a clock that a test turns by hand.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

/// A source of time.
pub trait Clock: Send + Sync {
    /// Returns microseconds since 1970-01-01T00:00Z. May jump in either direction.
    fn now_us(&self) -> i64;
    /// Returns microseconds since some fixed moment of this process. Never goes back.
    fn monotonic_us(&self) -> i64;
}

/// The machine's clocks.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now_us(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |d| d.as_micros() as i64)
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    fn monotonic_us(&self) -> i64 {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed().as_micros() as i64
    }
}

/// A clock that moves only when it is told to, plus one microsecond a reading so that readings differ.
pub struct ManualClock {
    now_us: AtomicI64,
    monotonic_us: AtomicI64,
}

impl ManualClock {
    /// Returns a clock that shows `now_us`.
    pub fn new(now_us: i64) -> ManualClock {
        ManualClock { now_us: AtomicI64::new(now_us), monotonic_us: AtomicI64::new(0) }
    }

    /// Lets time pass.
    pub fn advance_us(&self, us: i64) {
        self.now_us.fetch_add(us, Ordering::Relaxed);
        self.monotonic_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Sets the wall clock, as an operator or NTP may; the monotonic clock does not notice.
    pub fn set_wall_us(&self, us: i64) {
        self.now_us.store(us, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now_us(&self) -> i64 {
        self.now_us.fetch_add(1, Ordering::Relaxed)
    }

    fn monotonic_us(&self) -> i64 {
        self.monotonic_us.fetch_add(1, Ordering::Relaxed)
    }
}
