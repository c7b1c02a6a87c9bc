//! Options of tables that CREATE and ALTER share: TTL, DEDUP UPSERT KEYS, parameters.

use types::Ttl;

use super::ast::{Ident, TableParameters, TtlClause};
use super::cursor::Cursor;
use super::lexer::{Token, TokenKind};
use super::select::names;
use crate::error::SqlError;

/// Parses `n unit` or `12h` behind TTL.
pub fn ttl(cursor: &mut Cursor) -> Result<TtlClause, SqlError> {
    let token = cursor.peek();
    if cursor.at_end() {
        return Err(cursor.error("missing argument, should be <number> <unit> or <number_with_unit>"));
    }
    if token.kind != TokenKind::Number {
        return Err(cursor.error(format!("invalid syntax, should be <number> <unit> but was {}", cursor.raw())));
    }
    cursor.next();
    let position = token.position;
    let digits = token.text.find(|c: char| !c.is_ascii_digit()).unwrap_or(token.text.len());
    let (number, suffix) = token.text.split_at(digits);
    let out_of_range = || SqlError::new(position, format!("value out of range: {}", token.text));
    let number: u32 = number.parse().map_err(|_| out_of_range())?;
    let (months, factor) = match suffix {
        "" => unit_word(cursor)?,
        _ => unit_letter(token, suffix)?,
    };
    let value = number.checked_mul(factor).filter(|n| *n <= i32::MAX as u32).ok_or_else(out_of_range)?;
    let ttl = if months { Ttl::Months(value) } else { Ttl::Hours(value) };
    Ok(TtlClause { ttl: (value > 0).then_some(ttl), position })
}

/// Returns whether a unit counts months, and how many months or hours it has.
fn unit_letter(token: &Token, suffix: &str) -> Result<(bool, u32), SqlError> {
    Ok(match suffix {
        "h" | "H" => (false, 1),
        "d" | "D" => (false, 24),
        "w" | "W" => (false, 168),
        "m" | "M" => (true, 1),
        "y" | "Y" => (true, 12),
        _ => {
            let position = token.position + token.text.len() - suffix.len();
            let message = format!("invalid time unit, expecting 'H', 'D', 'W', 'M' or 'Y', but was '{suffix}'");
            return Err(SqlError::new(position, message));
        }
    })
}

fn unit_word(cursor: &mut Cursor) -> Result<(bool, u32), SqlError> {
    const UNITS: &str = "'HOUR(S)', 'DAY(S)', 'WEEK(S)', 'MONTH(S)' or 'YEAR(S)'";
    if cursor.at_end() {
        return Err(cursor.error(format!("missing unit, {UNITS} expected")));
    }
    let token = cursor.peek();
    let unit = match token.text.as_str() {
        "M" => (true, 1),
        text => match text.to_ascii_lowercase().as_str() {
            "h" | "hour" | "hours" => (false, 1),
            "d" | "day" | "days" => (false, 24),
            "w" | "week" | "weeks" => (false, 168),
            "month" | "months" => (true, 1),
            "y" | "year" | "years" => (true, 12),
            _ => return Err(cursor.error(format!("invalid unit, expected {UNITS}, but was '{}'", cursor.raw()))),
        },
    };
    cursor.next();
    Ok(unit)
}

/// Parses `UPSERT KEYS(a, b)` behind DEDUP.
pub fn upsert_keys(cursor: &mut Cursor) -> Result<Vec<Ident>, SqlError> {
    if !cursor.take_word("upsert") {
        return Err(cursor.error_at_last("expected 'upsert'"));
    }
    if !cursor.take_word("keys") {
        return Err(cursor.error_at_last("expected 'keys'"));
    }
    cursor.expect_sign("(")?;
    let keys = names(cursor)?;
    cursor.expect_sign(")")?;
    Ok(keys)
}

/// What stood where `name = value` is due.
pub enum Parsed {
    Known,
    Unknown(String),
    BadRows { value: String, position: usize },
    BadLag { value: String, position: usize },
}

/// Parses `name = value` of the two table parameters; places are those of the name.
pub fn parameter(cursor: &mut Cursor, parameters: &mut TableParameters) -> Result<Parsed, SqlError> {
    let name = cursor.next();
    cursor.expect_sign("=")?;
    let value = cursor.next().text.clone();
    let position = name.position;
    if name.is_word("maxUncommittedRows") {
        let Ok(rows) = value.replace('_', "").parse::<i32>() else { return Ok(Parsed::BadRows { value, position }) };
        parameters.max_uncommitted_rows = u32::try_from(rows).ok();
        return Ok(Parsed::Known);
    }
    if name.is_word("o3MaxLag") {
        let Some(us) = lag_us(&value) else { return Ok(Parsed::BadLag { value, position }) };
        parameters.o3_max_lag_us = Some(us);
        return Ok(Parsed::Known);
    }
    Ok(Parsed::Unknown(name.text.clone()))
}

fn lag_us(text: &str) -> Option<i64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let unit_us = match &text[digits..] {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    text[..digits].parse::<i64>().ok()?.checked_mul(unit_us)
}
