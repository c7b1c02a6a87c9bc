//! md5, sha1 and sha256 of texts and bytes, in hexadecimal: RFC 1321, RFC 3174, FIPS 180-4.

use std::sync::LazyLock;

use super::Binding;
use super::array::over;
use super::cell::Cell;
use super::typed::{Call, Typed};
use crate::error::SqlError;
use crate::kind::Kind;

const TWO_TO_32: f64 = 4_294_967_296.0;

/// Returns the binding of such a function.
pub fn find(name: &str) -> Option<Binding> {
    Some(Binding::Own(match name {
        "md5" => |call, _| bind(call, md5),
        "sha1" => |call, _| bind(call, sha1),
        "sha256" => |call, _| bind(call, sha256),
        _ => return None,
    }))
}

fn bind(call: &Call, digest: fn(&[u8]) -> Vec<u8>) -> Result<Typed, SqlError> {
    let [arg] = call.args.as_slice() else { return Err(call.no_match()) };
    if !(arg.kind.is_text() || matches!(arg.kind, Kind::Char | Kind::Binary | Kind::Null)) {
        return Err(call.no_match());
    }
    over(&call.name.to_ascii_lowercase(), vec![arg.clone()], Kind::Varchar, call.position, move |cells| {
        let bytes = match &cells[0] {
            Cell::Text(text) => text.as_bytes(),
            Cell::Binary(bytes) => bytes,
            _ => return Ok(Cell::Null),
        };
        Ok(Cell::Text(digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()))
    })
}

/// Returns the blocks of a message with its padding and its length in bits.
fn blocks(message: &[u8], length: [u8; 8]) -> Vec<[u8; 64]> {
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend(length);
    padded.as_chunks::<64>().0.to_vec()
}

fn bits(message: &[u8]) -> u64 {
    (message.len() as u64).wrapping_mul(8)
}

fn words(block: &[u8; 64], read: fn([u8; 4]) -> u32) -> impl Iterator<Item = u32> + '_ {
    block.as_chunks::<4>().0.iter().map(move |bytes| read(*bytes))
}

fn md5(message: &[u8]) -> Vec<u8> {
    const TURNS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
    let mut state = [0x6745_2301u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    for block in blocks(message, bits(message).to_le_bytes()) {
        let words: Vec<u32> = words(&block, u32::from_le_bytes).collect();
        let [mut a, mut b, mut c, mut d] = state;
        for i in 0..64 {
            let (mix, word) = match i / 16 {
                0 => ((b & c) | (!b & d), i),
                1 => ((d & b) | (!d & c), (5 * i + 1) % 16),
                2 => (b ^ c ^ d, (3 * i + 5) % 16),
                _ => (c ^ (b | !d), 7 * i % 16),
            };
            let sine = (((i + 1) as f64).sin().abs() * TWO_TO_32) as u32;
            let sum = mix.wrapping_add(a).wrapping_add(sine).wrapping_add(words[word]);
            (a, d, c) = (d, c, b);
            b = b.wrapping_add(sum.rotate_left(TURNS[i / 16][i % 4]));
        }
        add(&mut state, [a, b, c, d]);
    }
    state.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn sha1(message: &[u8]) -> Vec<u8> {
    let mut state = [0x6745_2301u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in blocks(message, bits(message).to_be_bytes()) {
        let mut words: Vec<u32> = words(&block, u32::from_be_bytes).collect();
        for i in 16..80 {
            words.push((words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16]).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (i, word) in words.iter().enumerate() {
            let (mix, constant) = match i / 20 {
                0 => ((b & c) | (!b & d), 0x5a82_7999u32),
                1 => (b ^ c ^ d, 0x6ed9_eba1),
                2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6),
            };
            let next = a.rotate_left(5).wrapping_add(mix).wrapping_add(e).wrapping_add(constant).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        add(&mut state, [a, b, c, d, e]);
    }
    state.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn sha256(message: &[u8]) -> Vec<u8> {
    let (mut state, constants) = *ROOTS;
    for block in blocks(message, bits(message).to_be_bytes()) {
        let mut words: Vec<u32> = words(&block, u32::from_be_bytes).collect();
        for i in 16..64 {
            let (near, far) = (words[i - 15], words[i - 2]);
            let small = near.rotate_right(7) ^ near.rotate_right(18) ^ (near >> 3);
            let large = far.rotate_right(17) ^ far.rotate_right(19) ^ (far >> 10);
            words.push(words[i - 16].wrapping_add(small).wrapping_add(words[i - 7]).wrapping_add(large));
        }
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
        for (word, constant) in words.iter().zip(constants) {
            let large = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let chosen = (e & f) ^ (!e & g);
            let first = h.wrapping_add(large).wrapping_add(chosen).wrapping_add(constant).wrapping_add(*word);
            let small = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let second = small.wrapping_add((a & b) ^ (a & c) ^ (b & c));
            (h, g, f, e, d, c, b, a) = (g, f, e, d.wrapping_add(first), c, b, a, first.wrapping_add(second));
        }
        add(&mut state, [a, b, c, d, e, f, g, h]);
    }
    state.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn add<const N: usize>(state: &mut [u32; N], other: [u32; N]) {
    state.iter_mut().zip(other).for_each(|(word, other)| *word = word.wrapping_add(other));
}

/// Returns the first 32 bits behind the point: a double has enough of them behind the roots of these primes.
fn fraction(root: f64) -> u32 {
    (root.fract() * TWO_TO_32) as u32
}

/// What sha256 begins with, and what it adds in each of its rounds: square and cube roots of the first primes.
static ROOTS: LazyLock<([u32; 8], [u32; 64])> = LazyLock::new(|| {
    let primes = (2u32..).filter(|n| (2..*n).all(|divisor| n % divisor != 0));
    let (mut squares, mut cubes) = ([0; 8], [0; 64]);
    squares.iter_mut().zip(primes.clone()).for_each(|(word, prime)| *word = fraction(f64::from(prime).sqrt()));
    cubes.iter_mut().zip(primes).for_each(|(word, prime)| *word = fraction(f64::from(prime).cbrt()));
    (squares, cubes)
});

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(digest: fn(&[u8]) -> Vec<u8>, message: &str, expected: &str) {
        let hex: String = digest(message.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected, "{message}");
    }

    /// Vectors of the standards, and messages around the length of a block.
    #[test]
    fn digests_are_those_of_their_standards() {
        check(md5, "", "d41d8cd98f00b204e9800998ecf8427e");
        check(md5, "message digest", "f96b697d7cb7938d525a2f31aaf161d0");
        let long = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        check(md5, long, "8215ef0796a20bcaaae116d3876c664a");
        check(sha1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d");
        check(sha1, long, "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
        check(sha256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        check(sha256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        check(sha256, long, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    }
}
