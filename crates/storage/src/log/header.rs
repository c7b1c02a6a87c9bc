//! The head of a log file: whose it is, where it was written, and which file comes before it.

use types::{Seq, TimelineId};

use super::frame::{u32_at, u64_at};
use crate::layout::LogName;

/// The header stands twice, in two pages, so that a torn write harms one copy at most.
pub const HEADER_COPY_OFFSETS: [u64; 2] = [0, 4096];
/// Where the first frame begins.
pub const FIRST_FRAME_OFFSET: u64 = 8192;
/// Length of one copy.
pub const HEADER_BYTES: usize = 192;

const MAGIC: &[u8; 8] = b"SPlog\0\0\x01";
/// Version of the log format: file layout, frames and records.
pub const LOG_FORMAT_VERSION: u32 = 1;

/// Where a process ran: tells a copy from the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Hash of the machine's id.
    pub machine: u64,
    /// Inode of the root directory.
    pub inode: u64,
}

/// The file before this one in the log, cut where this one takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Predecessor {
    pub name: LogName,
    /// Bytes of it that count; what lies behind is superseded.
    pub used_bytes: u64,
    /// Seq of the last frame in those bytes.
    pub last_seq: Seq,
}

/// The head of a log file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogHeader {
    pub database_id: u128,
    pub name: LogName,
    /// Seeds the checksums of this file's frames.
    pub salt: u32,
    pub first_seq: Seq,
    /// Every Seq up to this one was synced when the header was written (frames copied by a start included).
    pub durable_seq: Seq,
    pub created_us: i64,
    pub place: Place,
    /// `None` only in the first file of a database.
    pub predecessor: Option<Predecessor>,
}

/// What the first bytes of a log file turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum HeaderRead {
    Good(LogHeader),
    /// A spare, or a file whose header never became whole: it is not part of the log.
    Absent,
    /// Written by a newer version of the format.
    Newer(u32),
}

/// Returns one copy of the header.
pub fn encode(header: &LogHeader) -> [u8; HEADER_BYTES] {
    let mut out = Vec::with_capacity(HEADER_BYTES);
    let put_name = |out: &mut Vec<u8>, name: &LogName| {
        out.extend_from_slice(&name.timeline.number.to_le_bytes());
        out.extend_from_slice(&name.timeline.tag.to_le_bytes());
        out.extend_from_slice(&name.number.to_le_bytes());
    };
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&LOG_FORMAT_VERSION.to_le_bytes());
    out.extend_from_slice(&header.salt.to_le_bytes());
    out.extend_from_slice(&header.database_id.to_le_bytes());
    put_name(&mut out, &header.name);
    out.extend_from_slice(&header.first_seq.0.to_le_bytes());
    out.extend_from_slice(&header.durable_seq.0.to_le_bytes());
    out.extend_from_slice(&header.created_us.to_le_bytes());
    out.extend_from_slice(&header.place.machine.to_le_bytes());
    out.extend_from_slice(&header.place.inode.to_le_bytes());
    out.extend_from_slice(&u64::from(header.predecessor.is_some()).to_le_bytes());
    if let Some(p) = &header.predecessor {
        put_name(&mut out, &p.name);
        out.extend_from_slice(&p.used_bytes.to_le_bytes());
        out.extend_from_slice(&p.last_seq.0.to_le_bytes());
    }
    out.resize(HEADER_BYTES - 4, 0);
    let crc = crc32c::crc32c(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out.try_into().expect("the fields and the checksum make up the header's length")
}

/// Returns the header of a file from its first bytes (8 KiB are enough), from whichever copy is whole.
pub fn decode(bytes: &[u8]) -> HeaderRead {
    let mut newer = None;
    for at in HEADER_COPY_OFFSETS {
        let Some(copy) = bytes.get(at as usize..at as usize + HEADER_BYTES) else { continue };
        if &copy[..8] != MAGIC || crc32c::crc32c(&copy[..HEADER_BYTES - 4]) != u32_at(copy, HEADER_BYTES - 4) {
            continue;
        }
        match u32_at(copy, 8) {
            LOG_FORMAT_VERSION => return HeaderRead::Good(decode_copy(copy)),
            version => newer = Some(version),
        }
    }
    newer.map_or(HeaderRead::Absent, HeaderRead::Newer)
}

fn decode_copy(copy: &[u8]) -> LogHeader {
    let name_at = |at: usize| LogName {
        timeline: TimelineId { number: u32_at(copy, at), tag: u32_at(copy, at + 4) },
        number: u64_at(copy, at + 8),
    };
    let id = u128::from(u64_at(copy, 16)) | u128::from(u64_at(copy, 24)) << 64;
    let predecessor = (u64_at(copy, 88) == 1).then(|| Predecessor {
        name: name_at(96),
        used_bytes: u64_at(copy, 112),
        last_seq: Seq(u64_at(copy, 120)),
    });
    LogHeader {
        database_id: id,
        name: name_at(32),
        salt: u32_at(copy, 12),
        first_seq: Seq(u64_at(copy, 48)),
        durable_seq: Seq(u64_at(copy, 56)),
        created_us: u64_at(copy, 64) as i64,
        place: Place { machine: u64_at(copy, 72), inode: u64_at(copy, 80) },
        predecessor,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> LogHeader {
        let name = |number| LogName { timeline: TimelineId { number: 2, tag: 0xabcd }, number };
        LogHeader {
            database_id: 0x0123_4567_89ab_cdef_0011_2233_4455_6677,
            name: name(9),
            salt: 77,
            first_seq: Seq(100),
            durable_seq: Seq(99),
            created_us: 5,
            place: Place { machine: 1, inode: 2 },
            predecessor: Some(Predecessor { name: name(8), used_bytes: 9000, last_seq: Seq(99) }),
        }
    }

    #[test]
    fn one_whole_copy_is_enough() {
        let header = sample();
        let mut bytes = vec![0; FIRST_FRAME_OFFSET as usize];
        assert_eq!(decode(&bytes), HeaderRead::Absent);
        for at in HEADER_COPY_OFFSETS {
            bytes[at as usize..at as usize + HEADER_BYTES].copy_from_slice(&encode(&header));
        }
        assert_eq!(decode(&bytes), HeaderRead::Good(header.clone()));
        bytes[20] ^= 1;
        assert_eq!(decode(&bytes), HeaderRead::Good(header.clone()));
        bytes[4096 + 20] ^= 1;
        assert_eq!(decode(&bytes), HeaderRead::Absent);
        assert_eq!(decode(&encode(&header)), HeaderRead::Good(header));
    }

    #[test]
    fn a_newer_version_is_told_apart_from_damage() {
        let mut copy = encode(&sample());
        copy[8..12].copy_from_slice(&2u32.to_le_bytes());
        let crc = crc32c::crc32c(&copy[..HEADER_BYTES - 4]);
        copy[HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(decode(&copy), HeaderRead::Newer(2));
    }
}
