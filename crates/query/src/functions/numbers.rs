//! Text forms of numbers: how the peer prints them and what it reads.

/// Returns the shortest text that reads back as `value`: `0.1`, `1.0E10`, `1.0E-4`.
///
/// Plain from 0.001 up to 10 million, else with an exponent; at least one digit behind the point.
pub fn double_text(value: f64) -> String {
    shortest(value.is_finite(), value, value.abs(), format!("{value:e}"))
}

/// Returns the shortest text that reads back as `value`.
pub fn float_text(value: f32) -> String {
    shortest(value.is_finite(), f64::from(value), f64::from(value.abs()), format!("{value:e}"))
}

fn shortest(finite: bool, value: f64, size: f64, scientific: String) -> String {
    if !finite {
        return if value.is_nan() { "NaN" } else { "Infinity" }.to_owned();
    }
    if size == 0.0 {
        return if value.is_sign_negative() { "-0.0" } else { "0.0" }.to_owned();
    }
    let (mantissa, exponent) = scientific.split_once('e').expect("{:e} always writes an exponent");
    let exponent: i32 = exponent.parse().expect("an exponent is a small whole number");
    if !(1e-3..1e7).contains(&size) {
        let point = if mantissa.contains('.') { "" } else { ".0" };
        return format!("{mantissa}{point}E{exponent}");
    }
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |m| ("-", m));
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    if exponent < 0 {
        return format!("{sign}0.{}{digits}", "0".repeat((-exponent - 1) as usize));
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        return format!("{sign}{digits}{}.0", "0".repeat(whole - digits.len()));
    }
    format!("{sign}{}.{}", &digits[..whole], &digits[whole..])
}

/// Reads an INT: an optional minus sign and digits; None if it is no such text or does not fit.
pub fn parse_int(text: &str) -> Option<i32> {
    parse_whole(text).and_then(|v| i32::try_from(v).ok()).filter(|v| *v != i32::MIN)
}

/// Reads a LONG, also with the suffix `L`; None if it is no such text or does not fit.
pub fn parse_long(text: &str) -> Option<i64> {
    let digits = text.strip_suffix(['L', 'l']).unwrap_or(text);
    parse_whole(digits).filter(|v| *v != i64::MIN)
}

fn parse_whole(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit() || b == b'_') || digits.starts_with('_') {
        return None;
    }
    if digits.contains('_') { text.replace('_', "").parse().ok() } else { text.parse().ok() }
}

/// Reads a DOUBLE, blanks around it ignored; NaN, infinities and numbers beyond the range are NULL, hence None.
pub fn parse_double(text: &str) -> Option<f64> {
    read_double(text).filter(|v| v.is_finite())
}

/// Returns whether a text is a DOUBLE, though it may be one that stands for NULL.
pub fn is_double(text: &str) -> bool {
    read_double(text).is_some()
}

fn read_double(text: &str) -> Option<f64> {
    let text = text.trim_matches(|c: char| c <= ' ');
    let number =
        text.strip_suffix(['d', 'D', 'f', 'F']).filter(|t| t.ends_with(|c: char| c.is_ascii_digit() || c == '.'));
    let number = number.unwrap_or(text);
    match number.trim_start_matches(['-', '+']) {
        "NaN" | "Infinity" => Some(f64::NAN),
        digits if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') => number.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_print_as_the_peer_prints_them() {
        let check = |value: f64, text: &str| assert_eq!(double_text(value), text);
        check(100000.0, "100000.0");
        check(9999999.0, "9999999.0");
        check(10000000.0, "1.0E7");
        check(0.001, "0.001");
        check(0.0001, "1.0E-4");
        check(1e21, "1.0E21");
        check(-0.0, "-0.0");
        check(123456.789, "123456.789");
        check(1.7976931348623157e308, "1.7976931348623157E308");
        check(-1e-300, "-1.0E-300");
        check(21.25, "21.25");
        assert_eq!(float_text(0.1), "0.1");
        assert_eq!(float_text(16777216.0), "1.6777216E7");
        assert_eq!(float_text(std::f32::consts::PI), "3.1415927");
    }

    #[test]
    fn numbers_are_read_strictly() {
        assert_eq!(parse_int("12"), Some(12));
        assert_eq!(parse_int(" 5"), None);
        assert_eq!(parse_int("1.5"), None);
        assert_eq!(parse_int("2147483648"), None);
        assert_eq!(parse_int("-2147483648"), None);
        assert_eq!(parse_long("12L"), Some(12));
        assert_eq!(parse_double(" 1.5"), Some(1.5));
        assert_eq!(parse_double("1e3"), Some(1000.0));
        assert_eq!(parse_double(""), None);
        assert_eq!(parse_double("NaN"), None);
        assert!(is_double("NaN") && !is_double("abc") && !is_double("inf"));
    }
}
