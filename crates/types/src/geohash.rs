//! Geohashes as numbers of up to 60 bits, their base-32 and binary texts, and the place of a coordinate.

const DIGITS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";

/// Returns the number and its bits of 1 to 12 base-32 characters, in any case; None for any other text.
pub fn parse_chars(text: &str) -> Option<(i64, u8)> {
    if text.is_empty() || text.len() > 12 {
        return None;
    }
    let digit = |c: u8| DIGITS.iter().position(|d| *d == c.to_ascii_lowercase()).map(|d| d as i64);
    let hash = text.bytes().try_fold(0, |hash, c| Some(hash << 5 | digit(c)?))?;
    Some((hash, text.len() as u8 * 5))
}

/// Returns the number and its bits of 1 to 60 binary digits.
pub fn parse_bits(text: &str) -> Option<(i64, u8)> {
    let fits = (1..=60).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'0' | b'1'));
    fits.then(|| i64::from_str_radix(text, 2).ok().map(|hash| (hash, text.len() as u8))).flatten()
}

/// Returns a text as a geohash of so many bits; what the text has beyond them is cut. None when it has fewer.
pub fn parse(text: &str, bits: u8) -> Option<i64> {
    let needed = usize::from(bits.div_ceil(5));
    let (hash, have) = parse_chars(text.get(..needed.min(text.len()))?)?;
    (have >= bits).then(|| hash >> (have - bits))
}

/// Returns the text: characters for a multiple of 5 bits, else binary digits.
pub fn text(hash: i64, bits: u8) -> String {
    if !bits.is_multiple_of(5) {
        return format!("{hash:0width$b}", width = usize::from(bits));
    }
    let digit = |shift: u8| DIGITS[(hash >> shift & 31) as usize] as char;
    (0..bits / 5).rev().map(|i| digit(i * 5)).collect()
}

/// Returns the geohash of a place in degrees; None when it is not on the globe.
pub fn encode(longitude: f64, latitude: f64, bits: u8) -> Option<i64> {
    if !(-180.0..=180.0).contains(&longitude) || !(-90.0..=90.0).contains(&latitude) {
        return None;
    }
    // Each coordinate as 32 bits of its range; the upper end belongs to the last cell.
    let cell = |value: f64, half: f64| ((value + half) / (2.0 * half) * 4_294_967_296.0).min(4_294_967_295.0) as u64;
    let (x, y) = (cell(longitude, 180.0), cell(latitude, 90.0));
    let bit = |i: u8| if i.is_multiple_of(2) { x >> (31 - i / 2) & 1 } else { y >> (31 - i / 2) & 1 };
    Some((0..bits).fold(0, |hash, i| hash << 1 | bit(i)) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_to_their_bits() {
        assert_eq!(parse("U33DC123", 25).map(|h| text(h, 25)).as_deref(), Some("u33dc"));
        assert_eq!(parse("u33", 25), None);
        assert_eq!(parse_chars("ai"), None);
        assert_eq!(parse_bits("0011").map(|(h, bits)| text(h >> 1, bits - 1)).as_deref(), Some("001"));
    }

    #[test]
    fn places_are_those_of_the_reference() {
        let shown = |x, y, bits| encode(x, y, bits).map(|h| text(h, bits)).unwrap();
        assert_eq!(shown(13.4, 52.5, 25), "u33d8");
        assert_eq!(shown(13.4, 52.5, 60), "u33d8vmddtk4");
        assert_eq!(shown(13.4, 52.5, 7), "1101000");
        assert_eq!(shown(-180.0, -90.0, 10), "00");
        assert_eq!(shown(0.0, 0.0, 60), "s00000000000");
        assert_eq!(encode(181.0, 0.0, 5), None);
    }
}
