//! The text of a LONG256: `0x` and an even number of hex digits.

/// Returns the big-endian bytes of 2 to 64 hex digits, an even number of them, without `0x`; None for any other text.
pub fn parse_digits(digits: &str) -> Option<[u8; 32]> {
    let count = digits.len();
    if count == 0 || count > 64 || !count.is_multiple_of(2) || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (i, pair) in digits.as_bytes().chunks(2).enumerate() {
        let pair = std::str::from_utf8(pair).ok()?;
        bytes[32 - count / 2 + i] = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}

/// Returns the big-endian bytes of a text that begins with `0x`.
pub fn parse(text: &str) -> Option<[u8; 32]> {
    parse_digits(text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?)
}

/// Returns the text without leading zeros, but an even number of digits.
pub fn text(bytes: &[u8; 32]) -> String {
    let first = bytes.iter().position(|b| *b != 0).unwrap_or(31);
    bytes[first..].iter().fold("0x".to_owned(), |text, b| text + &format!("{b:02x}"))
}

/// Returns the sum, without what is carried out of 256 bits.
pub fn add(l: &[u8; 32], r: &[u8; 32]) -> [u8; 32] {
    let (mut sum, mut carry) = ([0; 32], 0u16);
    for i in (0..32).rev() {
        let digit = u16::from(l[i]) + u16::from(r[i]) + carry;
        (sum[i], carry) = (digit as u8, digit >> 8);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_even_and_zeros_are_dropped() {
        assert_eq!(text(&parse("0x000a").unwrap()), "0x0a");
        assert_eq!(text(&parse("0x00").unwrap()), "0x00");
        assert_eq!(text(&add(&parse("0xff").unwrap(), &parse("0x01").unwrap())), "0x0100");
        for bad in ["0x", "0xa", "ff", "0xgg", &format!("0x{}", "00".repeat(33))] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
