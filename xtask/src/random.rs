//! Random numbers from a printed seed (xorshift64*), so that a run can be repeated.

/// A stream of random numbers.
pub struct Random(u64);

impl Random {
    /// Returns the stream of a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Returns a number below `limit`, which must not be 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    /// Returns one of some things.
    pub fn pick<'a, T>(&mut self, things: &'a [T]) -> Option<&'a T> {
        if things.is_empty() { None } else { things.get(self.below(things.len() as u64) as usize) }
    }
}

/// Returns the seed that `--seed N` gives, else one from the clock.
pub fn seed(args: &[String]) -> crate::Result<u64> {
    match args.iter().position(|arg| arg == "--seed") {
        Some(at) => Ok(args.get(at + 1).ok_or("--seed needs a number")?.parse()?),
        None => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
            Ok(u64::from(now.subsec_nanos()) ^ now.as_secs())
        }
    }
}

/// Returns the number that an option such as `--rounds` gives, else `default`.
pub fn number(args: &[String], option: &str, default: u64) -> crate::Result<u64> {
    match args.iter().position(|arg| arg == option) {
        Some(at) => Ok(args.get(at + 1).ok_or_else(|| format!("{option} needs a number"))?.parse()?),
        None => Ok(default),
    }
}
