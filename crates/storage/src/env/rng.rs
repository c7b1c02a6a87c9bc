//! Random bits for file names and timelines, and a seeded source for simulations.

use std::sync::Mutex;

/// A source of random bits. Not for secrets.
pub trait Rng: Send + Sync {
    /// Returns 64 random bits.
    fn next_u64(&self) -> u64;
}

/// The kernel's random source.
pub struct OsRng;

impl Rng for OsRng {
    fn next_u64(&self) -> u64 {
        from_kernel()
    }
}

#[cfg(unix)]
#[expect(clippy::disallowed_methods, reason = "the one place that asks the kernel for random bits")]
fn from_kernel() -> u64 {
    use std::fs::File;
    use std::io::Read;
    use std::sync::OnceLock;
    static SOURCE: OnceLock<File> = OnceLock::new();
    let source = SOURCE.get_or_init(|| File::open("/dev/urandom").expect("every Unix has /dev/urandom"));
    let mut bytes = [0u8; 8];
    (&mut &*source).read_exact(&mut bytes).expect("/dev/urandom never ends");
    u64::from_le_bytes(bytes)
}

/// The keys of a new hasher come from the system, and differ from those of all others of this process.
#[cfg(not(unix))]
fn from_kernel() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0u64)
}

/// The SplitMix64 generator (Steele, Lea, Flood 2014): the same seed gives the same bits.
pub struct SeededRng(Mutex<u64>);

impl SeededRng {
    /// Returns a source that begins at `seed`.
    pub fn new(seed: u64) -> SeededRng {
        SeededRng(Mutex::new(seed))
    }

    /// Returns a number below `bound`, which must not be 0.
    pub fn below(&self, bound: u64) -> u64 {
        self.next_u64() % bound
    }
}

impl Rng for SeededRng {
    fn next_u64(&self) -> u64 {
        let mut state = self.0.lock().expect("no holder of this lock panics");
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
