//! Number literals: which kind a spelling means.

use arrow::datatypes::i256;
use datafusion::common::ScalarValue;
use types::ColumnType;

use crate::error::SqlError;
use crate::functions::Typed;
use crate::kind::Kind;

/// Returns the constant that a number token is.
///
/// # Errors
/// `invalid constant` for spellings that mean nothing, and for kinds that are not supported yet.
pub fn literal(text: &str, position: usize) -> Result<Typed, SqlError> {
    let invalid = || SqlError::new(position, format!("invalid constant: {text}"));
    let lower = text.to_ascii_lowercase();
    if lower.starts_with("0x") {
        let bytes = types::long256::parse(text).ok_or_else(invalid)?;
        let value = ScalarValue::FixedSizeBinary(32, Some(bytes.to_vec()));
        return Ok(Typed::literal(value, Kind::Long256, position));
    }
    if let Some(hash) = text.strip_prefix('#') {
        let (hash, bits) = geohash(hash).ok_or_else(invalid)?;
        return Ok(Typed::literal(ScalarValue::Int64(Some(hash)), Kind::Geohash(bits), position));
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
        "m" => decimal(digits, position).ok_or_else(invalid),
        _ => Err(invalid()),
    }
}

/// Reads a geohash behind its `#`: characters, cut to so many bits behind `/`, or binary digits behind a second `#`.
fn geohash(text: &str) -> Option<(i64, u8)> {
    if let Some(bits) = text.strip_prefix('#') {
        return types::geohash::parse_bits(bits);
    }
    let Some((chars, bits)) = text.split_once('/') else { return types::geohash::parse_chars(text) };
    let (hash, have) = types::geohash::parse_chars(chars)?;
    let bits: u8 = bits.parse().ok().filter(|bits| (1..=have).contains(bits))?;
    Some((hash >> (have - bits), bits))
}

/// Reads the digits of a DECIMAL; they tell its precision and scale.
pub(super) fn decimal(text: &str, position: usize) -> Option<Typed> {
    if text.contains('_') {
        return None;
    }
    let (digits, scale) = types::decimal::parse(text)?;
    let significant = digits.trim_start_matches('0').len().max(1) as u16;
    let precision =
        u8::try_from(significant.max(scale).max(u16::from(scale > 0 && significant <= scale) * (scale + 1)));
    let (precision, scale) = (precision.ok().filter(|p| *p <= ColumnType::MAX_PRECISION)?, u8::try_from(scale).ok()?);
    let number = i256::from_string(&digits)?;
    let kind = Kind::Decimal(precision, scale);
    Some(Typed::literal(crate::functions::decimal::literal(number, precision, scale), kind, position))
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
    value.is_finite().then(|| Typed::literal(ScalarValue::Float32(Some(value)), Kind::Float, position))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        check("12.30m", Some(Kind::Decimal(4, 2)));
        check("0.000m", Some(Kind::Decimal(4, 3)));
        check("1e3m", Some(Kind::Decimal(4, 0)));
        check("0x0a", Some(Kind::Long256));
        check("#u33d8", Some(Kind::Geohash(25)));
        check("#u33d8/13", Some(Kind::Geohash(13)));
        check("##010", Some(Kind::Geohash(3)));
        for bad in ["1_", "1_000.5", "1_0e2", "1e400", "0xabc", "1.5L", "1h", "#ai", "##012", "#u/6", "1_0m"] {
            check(bad, None);
        }
    }
}
