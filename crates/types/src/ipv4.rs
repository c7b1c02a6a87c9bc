//! The text of an IPv4 address and of a net of them.

/// Returns the number of an address; 0.0.0.0 is 0, which is NULL. None for any other text.
pub fn parse(text: &str) -> Option<u32> {
    let mut parts = text.split('.');
    let mut address = 0;
    for _ in 0..4 {
        let part = parts.next()?;
        if part.is_empty() || part.len() > 3 || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        address = address << 8 | u32::from(part.parse::<u8>().ok()?);
    }
    parts.next().is_none().then_some(address)
}

/// Returns address and mask of a net like `10.0.0.0/8`; an address alone has all bits in its mask.
pub fn parse_net(text: &str) -> Option<(u32, u32)> {
    let Some((address, bits)) = text.split_once('/') else { return parse(text).map(|a| (a, u32::MAX)) };
    let bits: u32 = bits.parse().ok().filter(|b| *b <= 32)?;
    let mask = if bits == 0 { 0 } else { u32::MAX << (32 - bits) };
    // The last parts of the address may be left out.
    let missing = 3usize.checked_sub(address.matches('.').count())?;
    parse(&format!("{address}{}", ".0".repeat(missing))).map(|a| (a & mask, mask))
}

/// Returns the text, e.g. `10.0.0.1`.
pub fn text(address: u32) -> String {
    core::net::Ipv4Addr::from_bits(address).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_nets_are_numbers() {
        assert_eq!(parse("10.0.200.7").map(text).as_deref(), Some("10.0.200.7"));
        for bad in ["", "1.2.3", "1.2.3.4.5", "256.0.0.1", "1.2.3.-4", "a.b.c.d", "1..2.3", "0001.2.3.4", "+1.2.3.4"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(parse_net("10.1.2.3/8"), Some((10 << 24, 0xff00_0000)));
        assert_eq!(parse_net("1.2.3.4"), Some((0x0102_0304, u32::MAX)));
        assert_eq!(parse_net("10.0.0.0/33"), None);
    }
}
