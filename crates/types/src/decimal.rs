//! The text of a decimal: digits with a point.

/// Returns the text of a whole number (as text, with its sign) of `10^-scale`, e.g. `-5` and 2 give `-0.05`.
pub fn text(number: &str, scale: u8) -> String {
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |digits| ("-", digits));
    let scale = usize::from(scale);
    if scale == 0 {
        return number.to_owned();
    }
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, rest) = padded.split_at(padded.len() - scale);
    format!("{sign}{whole}.{rest}")
}

/// Returns the digits of a text like `-12.30`, `1e3` or `.5` (with their sign, without the point) and how many of them
/// stand behind the point; None for any other text, and for more than 400 digits.
pub fn parse(text: &str) -> Option<(String, u16)> {
    let (number, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (sign, number) = match number.as_bytes().first()? {
        b'-' => ("-", &number[1..]),
        b'+' => ("", &number[1..]),
        _ => ("", number),
    };
    let (whole, rest) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{rest}");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) || exponent.abs() > 200 || digits.len() > 200 {
        return None;
    }
    let scale = rest.len() as i32 - exponent;
    let zeros = "0".repeat(usize::try_from(-scale).unwrap_or(0));
    Some((format!("{sign}{digits}{zeros}"), u16::try_from(scale).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_point_stands_at_its_scale() {
        assert_eq!(text("-5", 2), "-0.05");
        assert_eq!(text("1230", 2), "12.30");
        assert_eq!(text("7", 0), "7");
        let parsed = |t: &str| parse(t).map(|(digits, scale)| format!("{digits}/{scale}"));
        assert_eq!(parsed("-12.30").as_deref(), Some("-1230/2"));
        assert_eq!(parsed("1e3").as_deref(), Some("1000/0"));
        assert_eq!(parsed(".5e-1").as_deref(), Some("5/2"));
        assert_eq!(parsed("1.2.3"), None);
        assert_eq!(parsed("-"), None);
    }
}
