//! What stands behind the tables of a WINDOW JOIN: RANGE BETWEEN … AND … [INCLUDE | EXCLUDE PREVAILING].
//!
//! Builds trees; which distances there can be is `planner::window_join`'s to say.

use super::ast::{JoinRange, RangeEnd};
use super::cursor::Cursor;
use super::expression::expression;
use crate::error::SqlError;

/// Parses the range.
pub fn range(cursor: &mut Cursor) -> Result<JoinRange, SqlError> {
    take_or_last(cursor, "range")?;
    take_or_last(cursor, "between")?;
    let (low, _) = end(cursor, "preceding")?;
    take_or_last(cursor, "and")?;
    let (high, direction) = end(cursor, "following")?;
    if !high.following && high.distance.is_some() {
        let start = match (&low.distance, low.following) {
            (None, _) => Some("CURRENT"),
            (Some(_), true) => Some("FOLLOWING"),
            (Some(_), false) => None,
        };
        if let Some(start) = start {
            let message = format!("start row is {start}, end row must not be PRECEDING");
            return Err(SqlError::new(direction, message));
        }
    }
    let exclude = cursor.is_word("exclude");
    if exclude || cursor.is_word("include") {
        cursor.next();
        cursor.expect_word("prevailing")?;
    }
    Ok(JoinRange { low, high, prevailing: !exclude })
}

/// Takes a word; without any the error is at the last one.
fn take_or_last(cursor: &mut Cursor, word: &str) -> Result<(), SqlError> {
    if cursor.take_word(word) { Ok(()) } else { Err(cursor.error_at_last(format!("'{word}' expected"))) }
}

/// Parses an end of the range and returns it with the place of its last word; `outwards` is the direction that UNBOUNDED would have.
fn end(cursor: &mut Cursor, outwards: &str) -> Result<(RangeEnd, usize), SqlError> {
    let position = cursor.peek().position;
    if cursor.take_word("unbounded") {
        if !cursor.is_word(outwards) {
            return Err(cursor.error(format!("'{outwards}' expected")));
        }
        return Err(cursor.error("unbounded preceding/following is not supported in WINDOW joins"));
    }
    if cursor.take_word("current") {
        let row = cursor.peek().position;
        cursor.expect_word("row")?;
        return Ok((RangeEnd { distance: None, unit_ns: None, following: false, position }, row));
    }
    let distance = Some(expression(cursor)?);
    let unit_ns = unit(cursor);
    let direction = cursor.peek().position;
    let following = cursor.take_word("following");
    if !following && !cursor.take_word("preceding") {
        return Err(cursor.error("'preceding' or 'following' expected"));
    }
    Ok((RangeEnd { distance, unit_ns, following, position }, direction))
}

/// Takes a unit of time, one or many, and returns its nanoseconds.
fn unit(cursor: &mut Cursor) -> Option<i64> {
    let word = cursor.peek().text.to_ascii_lowercase();
    let ns = match word.strip_suffix('s').unwrap_or(&word) {
        "nanosecond" => 1,
        "microsecond" => 1_000,
        "millisecond" => 1_000_000,
        "second" => 1_000_000_000,
        "minute" => 60_000_000_000,
        "hour" => 3_600_000_000_000,
        "day" => 86_400_000_000_000,
        _ => return None,
    };
    cursor.next();
    Some(ns)
}
