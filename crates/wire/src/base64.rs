//! Base64 (RFC 4648 §4 and, with `-` and `_`, §5), with or without padding: [`decode`], [`encode`].

/// Digits of the common alphabet, in order.
pub const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Returns the text of some bytes, with padding.
pub fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, &b| bits << 8 | u32::from(b)) << (8 * (3 - chunk.len()));
        (0..4).for_each(|i| {
            let digit = DIGITS[(bits >> (18 - 6 * i)) as usize & 63] as char;
            out.push(if i <= chunk.len() { digit } else { '=' });
        });
    }
    out
}

/// Returns the bytes that a text stands for, or `None` when it is not base64.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').bytes().map(|byte| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    });
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0u32, 0);
    for digit in digits {
        bits = (bits << 6) | u32::from(digit?);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    // a digit alone holds less than a byte, and what is left over must be zero
    (held < 6 && bits == 0).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn texts_are_decoded_in_both_alphabets_or_refused() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("YWRtaW46cXVlc3Q=", b"admin:quest"),
            ("YWRtaW46cXVlc3Q", b"admin:quest"),
            ("+/8=", b"\xfb\xff"),
            ("-_8", b"\xfb\xff"),
        ] {
            assert_eq!(decode(text).as_deref(), Some(bytes), "{text}");
            assert_eq!(decode(&encode(bytes)).as_deref(), Some(bytes), "{text}");
        }
        for bad in ["a", "YWR!", "YR", "é"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
