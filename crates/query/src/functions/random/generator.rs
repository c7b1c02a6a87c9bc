//! A xorshift128+ generator (Sebastiano Vigna) and the values drawn from it.

/// A generator of one call.
pub struct Generator {
    state: (u64, u64),
}

impl Generator {
    /// Returns the generator of the call at `place` in a statement with these seeds.
    pub fn new(seeds: (u64, u64), place: u64) -> Generator {
        let mut generator = Generator { state: (seeds.0 ^ place.wrapping_mul(0x9E37_79B9_7F4A_7C15), seeds.1) };
        if generator.state == (0, 0) {
            generator.state = (1, 1);
        }
        // The first numbers after small seeds are small themselves.
        for _ in 0..16 {
            generator.next();
        }
        generator
    }

    /// Returns the next 64 bits.
    pub fn next(&mut self) -> u64 {
        let (mut x, y) = self.state;
        x ^= x << 23;
        let z = x ^ y ^ (x >> 17) ^ (y >> 26);
        self.state = (y, z);
        z.wrapping_add(y)
    }

    /// Returns a number of `low..=high`.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = (high.wrapping_sub(low) as u64).wrapping_add(1);
        let drawn = if width == 0 { self.next() } else { self.next() % width };
        low.wrapping_add(drawn as i64)
    }

    /// Returns a place in a list of so many.
    pub fn below(&mut self, count: usize) -> usize {
        (self.next() % count.max(1) as u64) as usize
    }

    /// Returns a number from 0 up to before 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn boolean(&mut self) -> bool {
        self.next() >> 63 == 1
    }

    /// Returns a letter of A to Z.
    pub fn letter(&mut self) -> char {
        char::from(b'A' + (self.next() % 26) as u8)
    }

    /// Returns a text of so many characters; `wide` ones come from all of the basic plane's letters.
    pub fn text(&mut self, shortest: i64, longest: i64, wide: bool) -> String {
        let count = self.between(shortest, longest);
        (0..count).map(|_| if wide { self.wide_letter() } else { self.letter() }).collect()
    }

    fn wide_letter(&mut self) -> char {
        const BLOCKS: [(u32, u32); 4] = [(0x21, 0x7E), (0xA1, 0x24F), (0x391, 0x3A1), (0x4E00, 0x9FFF)];
        let (low, high) = BLOCKS[self.below(BLOCKS.len())];
        let code = self.between(i64::from(low), i64::from(high)) as u32;
        char::from_u32(code).unwrap_or('?')
    }

    /// Returns a value, or NULL at the rate: never at 0, always at 1, else once in so many.
    pub fn unless_null<T>(&mut self, rate: u64, value: impl FnOnce(&mut Generator) -> T) -> Option<T> {
        if rate > 0 && self.next().is_multiple_of(rate) { None } else { Some(value(self)) }
    }
}
