//! One frame of the log: its bytes, how they are checked, and whether bytes at a place are a frame at all.

use types::Seq;

/// Frames begin at multiples of this; the gap behind a frame is zero and covered by its checksum.
pub const ALIGN_BYTES: usize = 64;
/// Length of what stands before the payload.
pub const FRAME_HEADER_BYTES: usize = 48;
/// Longest payload, so that a damaged length never asks for more than a file can hold.
pub const MAX_PAYLOAD_BYTES: usize = 1 << 30;

const MAGIC: u32 = u32::from_le_bytes(*b"SPfr");

/// What a frame is for, readable without its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// Records that change what a query sees, or edits.
    Commit = 1,
    /// Nothing: it only carries `durable_seq` (after an idle second, at a clean stop).
    Mark = 2,
}

/// A frame as read or about to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: FrameKind,
    pub seq: Seq,
    /// Commit time in microseconds since 1970; never goes back within a timeline.
    pub commit_us: i64,
    /// Highest Seq that was known to be synced when the frame was written.
    pub durable_seq: Seq,
    pub payload: Vec<u8>,
}

/// A frame in the bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRef<'a> {
    pub kind: FrameKind,
    pub seq: Seq,
    pub commit_us: i64,
    pub durable_seq: Seq,
    pub payload: &'a [u8],
}

impl FrameRef<'_> {
    /// Returns the frame with a payload of its own.
    pub fn to_owned(self) -> Frame {
        let FrameRef { kind, seq, commit_us, durable_seq, payload } = self;
        Frame { kind, seq, commit_us, durable_seq, payload: payload.to_vec() }
    }
}

/// Returns how many bytes of a file a frame with that payload takes, padding included.
pub fn frame_bytes(payload_bytes: usize) -> usize {
    (FRAME_HEADER_BYTES + payload_bytes).next_multiple_of(ALIGN_BYTES)
}

/// Appends the frame's bytes, padding included. The checksum is seeded with the file's salt, so that a frame left
/// over from another file is never taken for one of this file.
pub fn encode(frame: &Frame, salt: u32, out: &mut Vec<u8>) {
    debug_assert!(frame.payload.len() <= MAX_PAYLOAD_BYTES);
    let start = out.len();
    let length = (FRAME_HEADER_BYTES + frame.payload.len()) as u32;
    out.extend_from_slice(&MAGIC.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&[frame.kind as u8, 0, 0, 0]);
    out.extend_from_slice(&frame.seq.0.to_le_bytes());
    out.extend_from_slice(&frame.commit_us.to_le_bytes());
    out.extend_from_slice(&frame.durable_seq.0.to_le_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&frame.payload);
    out.resize(start + frame_bytes(frame.payload.len()), 0);
    let crc = crc32c::crc32c_append(salt, &out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

/// Returns the length with padding that the frame at `offset` says it has, if it begins like one and does not go beyond the
/// bytes; nothing else of it is checked.
pub fn length_at(bytes: &[u8], offset: usize) -> Option<usize> {
    let rest = bytes.get(offset..)?;
    if rest.len() < FRAME_HEADER_BYTES || u32_at(rest, 0) != MAGIC {
        return None;
    }
    let length = u32_at(rest, 8) as usize;
    let is_possible = (FRAME_HEADER_BYTES..=FRAME_HEADER_BYTES + MAX_PAYLOAD_BYTES).contains(&length);
    let padded = length.next_multiple_of(ALIGN_BYTES);
    (is_possible && padded <= rest.len()).then_some(padded)
}

/// Returns the frame that begins at `offset` and its length with padding, or `None` when the bytes there are no
/// whole, unharmed frame of this file.
pub fn decode(bytes: &[u8], offset: usize, salt: u32) -> Option<(FrameRef<'_>, usize)> {
    let padded = length_at(bytes, offset)?;
    let whole = &bytes[offset..offset + padded];
    let length = u32_at(whole, 8) as usize;
    if crc32c::crc32c_append(salt, &whole[8..]) != u32_at(whole, 4) {
        return None;
    }
    let padding_is_zero = whole[length..].iter().all(|&b| b == 0);
    let reserved_is_zero = whole[13..16].iter().chain(&whole[40..48]).all(|&b| b == 0);
    let kind = match whole[12] {
        1 => FrameKind::Commit,
        2 => FrameKind::Mark,
        _ => return None,
    };
    if !padding_is_zero || !reserved_is_zero {
        return None;
    }
    let frame = FrameRef {
        kind,
        seq: Seq(u64_at(whole, 16)),
        commit_us: u64_at(whole, 24) as i64,
        durable_seq: Seq(u64_at(whole, 32)),
        payload: &whole[FRAME_HEADER_BYTES..length],
    };
    Some((frame, whole.len()))
}

/// Returns the little-endian number at an offset, which must lie within.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes were sliced"))
}

/// Returns the little-endian number at an offset, which must lie within.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes were sliced"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(payload: &[u8]) -> Frame {
        Frame {
            kind: FrameKind::Commit,
            seq: Seq(7),
            commit_us: 1_700_000_000_000_000,
            durable_seq: Seq(6),
            payload: payload.to_vec(),
        }
    }

    #[test]
    fn frames_round_trip_at_aligned_places() {
        let mut bytes = Vec::new();
        for len in [0, 1, 15, 16, 17, 1000] {
            let at = bytes.len();
            let frame = sample(&vec![0xab; len]);
            encode(&frame, 42, &mut bytes);
            assert_eq!(bytes.len() % ALIGN_BYTES, 0);
            let (found, taken) = decode(&bytes, at, 42).unwrap();
            assert_eq!((found.to_owned(), taken), (frame, bytes.len() - at));
            assert_eq!(decode(&bytes, at, 43), None, "a frame of another file");
        }
    }

    /// Whoever writes something there knows more than this version does.
    #[test]
    fn a_frame_with_something_in_its_unused_bytes_is_none_though_its_checksum_is_right() {
        let mut whole = Vec::new();
        encode(&sample(b"twenty bytes of data"), 42, &mut whole);
        for at in [13, 15, 40, 47, FRAME_HEADER_BYTES + 20, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[at] = 1;
            let crc = crc32c::crc32c_append(42, &bytes[8..]);
            bytes[4..8].copy_from_slice(&crc.to_le_bytes());
            assert_eq!(decode(&bytes, 0, 42), None, "byte {at}");
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let mut bytes = Vec::new();
        encode(&sample(b"twenty bytes of data"), 42, &mut bytes);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bytes, 0, 42), None, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(decode(&bytes, 0, 42).is_some());
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut], 0, 42), None, "cut at {cut}");
        }
    }
}
