//! Number literals: which kind a spelling means.

use crate::error::SqlError;
use crate::functions::Typed;

/// Returns the constant that a number token is.
///
/// # Errors
/// `invalid constant` for spellings that mean nothing, and for kinds that are not supported yet.
pub fn literal(text: &str, position: usize) -> Result<Typed, SqlError> {
    let invalid = || SqlError::new(position, format!("invalid constant: {text}"));
    let lower = text.to_ascii_lowercase();
    if let Some(hex) = lower.strip_prefix("0x") {
        return Err(match hex.len().is_multiple_of(2) && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            true => SqlError::new(position, format!("LONG256 is not supported yet: {text}")),
            false => invalid(),
        });
    }
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let suffix = &lower[digits.len()..];
    let whole = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    if whole && (digits.starts_with('_') || digits.ends_with('_')) {
        return Err(invalid());
    }
    match suffix {
        "" if whole => Ok(integer(digits, position)),
        "l" if whole => digits.replace('_', "").parse().map(|v| Typed::long(v, position)).map_err(|_| invalid()),
        "" | "d" => double(digits, position).ok_or_else(invalid),
        "f" => float(digits, position).ok_or_else(invalid),
        "m" => Err(SqlError::new(position, format!("DECIMAL is not supported yet: {text}"))),
        _ => Err(invalid()),
    }
}

fn integer(digits: &str, position: usize) -> Typed {
    let digits = digits.replace('_', "");
    if let Ok(value) = digits.parse::<i32>() {
        return Typed::int(value, position);
    }
    match digits.parse::<i64>() {
        Ok(value) => Typed::long(value, position),
        Err(_) => Typed::double(digits.parse().expect("digits are a float"), position),
    }
}

fn double(text: &str, position: usize) -> Option<Typed> {
    if text.contains('_') {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    value.is_finite().then(|| Typed::double(value, position))
}

fn float(text: &str, position: usize) -> Option<Typed> {
    if text.contains('_') {
        return None;
    }
    let value: f32 = text.parse().ok()?;
    let scalar = datafusion::common::ScalarValue::Float32(Some(value));
    value.is_finite().then(|| Typed::literal(scalar, crate::kind::Kind::Float, position))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;

    fn check(text: &str, kind: Option<Kind>) {
        assert_eq!(literal(text, 0).ok().map(|t| t.kind), kind, "{text}");
    }

    #[test]
    fn spellings_have_the_peers_kinds() {
        check("123", Some(Kind::Int));
        check("1_000_000", Some(Kind::Int));
        check("2147483648", Some(Kind::Long));
        check("9223372036854775808", Some(Kind::Double));
        check("3l", Some(Kind::Long));
        check("1_000L", Some(Kind::Long));
        check("1.5", Some(Kind::Double));
        check(".5", Some(Kind::Double));
        check("5.", Some(Kind::Double));
        check("1e-3", Some(Kind::Double));
        check("1D", Some(Kind::Double));
        check("1.5f", Some(Kind::Float));
        for bad in ["1_", "1_000.5", "1_0e2", "1e400", "0xabc", "1.5L", "1h"] {
            check(bad, None);
        }
    }
}
