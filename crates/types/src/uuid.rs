//! The text of a UUID: 8-4-4-4-12 hex digits.

/// Returns the bytes of a UUID in any case; None for any other text.
pub fn parse(text: &str) -> Option<[u8; 16]> {
    let text = text.as_bytes();
    if text.len() != 36 || [8, 13, 18, 23].iter().any(|&dash| text[dash] != b'-') {
        return None;
    }
    let digits = text.iter().enumerate().filter(|(i, _)| ![8, 13, 18, 23].contains(i)).map(|(_, c)| *c as char);
    let mut bytes = [0; 16];
    for (i, digit) in digits.enumerate() {
        bytes[i / 2] = bytes[i / 2] << 4 | digit.to_digit(16)? as u8;
    }
    Some(bytes)
}

/// Returns the text, in lower case.
pub fn text(bytes: &[u8; 16]) -> String {
    let hex: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
    [&hex[..4], &hex[4..6], &hex[6..8], &hex[8..10], &hex[10..]].map(|part| part.concat()).join("-")
}

#[cfg(test)]
mod tests {
    #[test]
    fn text_comes_back_in_lower_case() {
        let bytes = super::parse("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11").unwrap();
        assert_eq!(super::text(&bytes), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
        assert_eq!((bytes[0], bytes[4], bytes[15]), (0xa0, 0x9c, 0x11));
        for bad in [
            "",
            "a0eebc99",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g",
            "a0eebc999c0b-4ef8-bb6d-6bb9bd380a111-",
            "éé111111-2222-3333-4444-5555555555",
        ] {
            assert_eq!(super::parse(bad), None, "{bad}");
        }
    }
}
