//! Hashes of short texts, for tables that look them up once a row: [`TextHasher`].
//!
//! Keyed anew in each table: clients choose the texts, and must not be able to choose collisions. The hash is the folded
//! product of two words, as in wyhash; it never leaves the process.

use std::hash::{BuildHasher, RandomState};

/// Hashes texts under one random key.
#[derive(Debug, Clone)]
pub struct TextHasher {
    key: [u64; 2],
}

impl Default for TextHasher {
    fn default() -> TextHasher {
        let random = RandomState::new();
        TextHasher { key: [random.hash_one(0u8), random.hash_one(1u8)] }
    }
}

/// Odd, with as many ones as zeros.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

impl TextHasher {
    /// Returns the hash of a text; every bit of it depends on every byte.
    pub fn hash(&self, text: &[u8]) -> u64 {
        let len = text.len();
        let (mut state, mut rest) = (self.key[0], text);
        while rest.len() > 16 {
            state = fold(word(rest) ^ state, word(&rest[8..]) ^ self.key[1]);
            rest = &rest[16..];
        }
        let (first, second) = match rest.len() {
            8.. => (word(rest), word(&rest[rest.len() - 8..])),
            4.. => (half(rest), half(&rest[rest.len() - 4..])),
            0 => (0, 0),
            n => (u64::from(rest[0]) << 8 | u64::from(rest[n / 2]), u64::from(rest[n - 1])),
        };
        fold(fold(first ^ state, second ^ self.key[1]) ^ len as u64, FACTOR)
    }
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]])
}

fn half(bytes: &[u8]) -> u64 {
    u64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn texts_that_differ_little_have_hashes_that_differ() {
        let hasher = TextHasher::default();
        let mut texts: Vec<Vec<u8>> = (0..100_000).map(|i| format!("S{i:04}").into_bytes()).collect();
        for len in 0..50 {
            texts.push(vec![b'a'; len]);
            texts.extend((0..len).map(|at| [vec![b'a'; at], vec![b'b'], vec![b'a'; len - at]].concat()));
        }
        let distinct: HashSet<&Vec<u8>> = texts.iter().collect();
        // 100,000 texts share about one pair of 32-bit halves by chance
        let halves: HashSet<u32> = distinct.iter().map(|text| hasher.hash(text) as u32).collect();
        assert!(distinct.len() - halves.len() < 20, "{} of {}", halves.len(), distinct.len());
        assert_eq!(hasher.hash(b"same"), hasher.hash(b"same"));
        assert_ne!(hasher.hash(b"same"), TextHasher::default().hash(b"same"));
    }
}
