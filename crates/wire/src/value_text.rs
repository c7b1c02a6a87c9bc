//! Texts of values that are not plain numbers: UUID, IPv4, LONG256, GEOHASH, CHAR. `None` says that a text is none.
//!
//! UUIDs and addresses are read by `types`, as everywhere. LONG256 and GEOHASH are read as lines and files may spell them,
//! which is more than SQL's literals allow: an odd number of digits, and characters beyond the bits.

use std::fmt::{self, Write};

use crate::number_text;

/// Reads `0x1f`, up to 64 hexadecimal digits, also an odd number of them.
pub fn read_long256(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?.as_bytes();
    if digits.is_empty() || digits.len() > 64 {
        return None;
    }
    let mut out = [0; 32];
    for (i, digit) in digits.iter().rev().enumerate() {
        out[31 - i / 2] |= hex(*digit)? << (4 * (i % 2));
    }
    Some(out)
}

/// Reads a geohash of at least `bits` bits; what it has beyond them is cut off.
pub fn read_geohash(text: &str, bits: u8) -> Option<i64> {
    let mut hash = 0i64;
    let mut held = 0;
    for byte in text.bytes() {
        let digit = geo_digit(byte)?;
        if held < 60 {
            hash = hash << 5 | digit;
            held += 5;
        }
    }
    (held >= bits && held > 0).then(|| hash >> (held - bits))
}

/// Reads what [`write_geohash`] writes: bits where they make no whole characters.
pub fn read_written_geohash(text: &str, bits: u8) -> Option<i64> {
    if !bits.is_multiple_of(5) && text.len() == usize::from(bits) && text.bytes().all(|b| matches!(b, b'0' | b'1')) {
        return i64::from_str_radix(text, 2).ok();
    }
    read_geohash(text, bits)
}

/// Reads one UTF-16 unit; an empty text is NULL, which is 0.
pub fn read_char(text: &str) -> Option<u16> {
    let mut units = text.encode_utf16();
    match (units.next(), units.next()) {
        (None, _) => Some(0),
        (Some(unit), None) => Some(unit),
        _ => None,
    }
}

/// Writes 16 bytes as `11111111-2222-3333-4444-555555555555`.
pub fn write_uuid(out: &mut impl Write, bytes: &[u8]) -> fmt::Result {
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (i, byte) in bytes.iter().take(16).enumerate() {
        at += usize::from(matches!(i, 4 | 6 | 8 | 10));
        text[at..at + 2].copy_from_slice(&hex_digits(*byte));
        at += 2;
    }
    out.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
}

/// Writes `10.0.0.1`.
pub fn write_ipv4(out: &mut impl Write, address: u32) -> fmt::Result {
    let [a, b, c, d] = address.to_be_bytes().map(|part| number_text::integer(part.into()));
    for part in [a.as_str(), ".", b.as_str(), ".", c.as_str(), "."] {
        out.write_str(part)?;
    }
    out.write_str(d.as_str())
}

/// Writes 32 big-endian bytes as `0x1f`: whole bytes, without those of zero before them.
pub fn write_long256(out: &mut impl Write, bytes: &[u8]) -> fmt::Result {
    let start = bytes.iter().position(|&b| b != 0).unwrap_or(bytes.len().saturating_sub(1));
    out.write_str("0x")?;
    bytes[start..]
        .iter()
        .try_for_each(|byte| out.write_str(std::str::from_utf8(&hex_digits(*byte)).unwrap_or_default()))
}

/// Returns the two hexadecimal digits of a byte.
pub fn hex_digits(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

/// Writes a geohash as characters where its bits make whole ones, else as bits.
pub fn write_geohash(out: &mut impl Write, hash: i64, bits: u8) -> fmt::Result {
    if !bits.is_multiple_of(5) {
        return (0..bits).rev().try_for_each(|bit| out.write_char(if hash >> bit & 1 == 1 { '1' } else { '0' }));
    }
    let mut digits = (0..bits / 5).rev().map(|i| GEO_DIGITS[(hash >> (5 * i)) as usize & 31]);
    digits.try_for_each(|digit| out.write_char(digit as char))
}

const GEO_DIGITS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|d| d as u8)
}

fn geo_digit(byte: u8) -> Option<i64> {
    GEO_DIGITS.iter().position(|&d| d == byte.to_ascii_lowercase()).map(|d| d as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        fn shown(write: impl FnOnce(&mut String) -> std::fmt::Result) -> String {
            let mut out = String::new();
            write(&mut out).unwrap();
            out
        }
        let uuid = "11111111-2222-3333-4444-5555555555af";
        assert_eq!(shown(|out| write_uuid(out, &types::uuid::parse(uuid).unwrap())), uuid);
        assert_eq!(shown(|out| write_ipv4(out, 0x0a00_00ff)), "10.0.0.255");
        for text in ["0x1f", "0x00", "0x0100", &format!("0x{}", "ab".repeat(32))] {
            assert_eq!(shown(|out| write_long256(out, &read_long256(text).unwrap())), text);
        }
        assert_eq!(shown(|out| write_geohash(out, read_geohash("u33d", 20).unwrap(), 20)), "u33d");
        assert_eq!(shown(|out| write_geohash(out, 0b010_1101, 7)), "0101101");
        assert_eq!(read_written_geohash("0101101", 7), Some(0b010_1101));
        assert_eq!(read_written_geohash("u33d", 7), read_geohash("u33d", 7));
    }

    #[test]
    fn texts_are_read_or_refused() {
        assert_eq!(read_long256("0x1f").map(|b| (b[30], b[31])), Some((0, 0x1f)));
        assert_eq!(read_long256(&format!("0x{}", "f".repeat(64))), Some([0xff; 32]));
        for bad in ["", "0x", "1f", "0xg", &format!("0x{}", "f".repeat(65))] {
            assert_eq!(read_long256(bad), None, "{bad}");
        }
        assert_eq!(read_geohash("u33d", 20), Some(0b11010_00011_00011_01100));
        assert_eq!(read_geohash("u33d", 5), Some(0b11010));
        assert_eq!(read_geohash("u33d", 3), Some(0b110));
        assert!(read_geohash("u33dc0000000zz", 60).is_some());
        for (bad, bits) in [("", 5), ("u3", 11), ("a", 5), ("!", 1)] {
            assert_eq!(read_geohash(bad, bits), None, "{bad}");
        }
        assert_eq!((read_char("x"), read_char(""), read_char("xy"), read_char("😀")), (Some(120), Some(0), None, None));
    }
}
