//! OVER (…) behind a call, and WINDOW w AS (…) behind GROUP BY.
//!
//! Builds trees and refuses the frames that the peer refuses. Next: `planner::window`.

use super::ast::{Bound, Expr, ExprKind, Frame, FrameUnit, Ident, WindowSpec};
use super::cursor::Cursor;
use super::expression::expression;
use super::lexer::TokenKind;
use super::select;
use crate::error::SqlError;

/// Parses `[IGNORE|RESPECT NULLS] OVER …` behind a call; returns the call itself when there is none.
pub fn over(cursor: &mut Cursor, call: Expr) -> Result<Expr, SqlError> {
    let nulls = (cursor.is_word("ignore") || cursor.is_word("respect")) && cursor.peek_at(1).is_word("nulls");
    let ignore_nulls = nulls && cursor.is_word("ignore");
    if nulls {
        cursor.next();
        cursor.next();
        if !cursor.is_word("over") {
            return Err(cursor.error("'over' expected"));
        }
    }
    if !cursor.take_word("over") {
        return Ok(call);
    }
    let position = call.position;
    let spec = match cursor.take_sign("(") {
        true => spec(cursor)?,
        false => WindowSpec { base: Some(select::name(cursor)?), ..WindowSpec::default() },
    };
    let kind = ExprKind::Window { call: Box::new(call), ignore_nulls, spec: Box::new(spec) };
    Ok(Expr { kind, position })
}

/// Parses `WINDOW a AS (…), b AS (…)`, if it stands here.
pub fn named(cursor: &mut Cursor) -> Result<Vec<(Ident, WindowSpec)>, SqlError> {
    let mut list: Vec<(Ident, WindowSpec)> = Vec::new();
    if !cursor.is_word("window") || cursor.peek_at(1).is_word("join") {
        return Ok(list);
    }
    cursor.next();
    loop {
        let name = select::name(cursor)?;
        if list.iter().any(|(n, _)| n.name.to_lowercase() == name.name.to_lowercase()) {
            return Err(SqlError::new(name.position, "duplicate window name"));
        }
        cursor.expect_word("as")?;
        cursor.expect_sign("(")?;
        list.push((name, spec(cursor)?));
        if !cursor.take_sign(",") {
            return Ok(list);
        }
    }
}

/// Parses a window up to its closing bracket, the opening one taken.
fn spec(cursor: &mut Cursor) -> Result<WindowSpec, SqlError> {
    let mut spec = WindowSpec::default();
    let clause = ["partition", "order", "rows", "range", "groups", "cumulative"].iter().any(|w| cursor.is_word(w));
    if matches!(cursor.peek().kind, TokenKind::Word | TokenKind::Quoted) && !clause {
        spec.base = Some(select::name(cursor)?);
    }
    if spec.base.is_some() && cursor.is_word("partition") {
        return Err(cursor.error("PARTITION BY not allowed in window referencing another window"));
    }
    if cursor.take_word("partition") {
        if !cursor.take_word("by") {
            return Err(cursor.error("'by' expected after 'partition'"));
        }
        spec.partition_by.push(expression(cursor)?);
        while cursor.take_sign(",") {
            spec.partition_by.push(expression(cursor)?);
        }
    }
    if cursor.is_word("order") {
        if !cursor.peek_at(1).is_word("by") {
            cursor.next();
            return Err(cursor.error("'by' expected after 'order'"));
        }
        spec.order_by = select::order_by(cursor)?;
    }
    spec.frame = frame(cursor, !spec.order_by.is_empty() || spec.base.is_some())?;
    if !cursor.take_sign(")") {
        return Err(cursor.error("'rows', 'range', 'groups', 'cumulative' or ')' expected"));
    }
    Ok(spec)
}

fn frame(cursor: &mut Cursor, ordered: bool) -> Result<Option<Frame>, SqlError> {
    let position = cursor.peek().position;
    if cursor.take_word("cumulative") {
        if !ordered {
            return Err(SqlError::new(position, "CUMULATIVE requires an ORDER BY clause"));
        }
        let (start, end) = (Bound::UnboundedPreceding, Bound::CurrentRow);
        return Ok(Some(Frame { unit: FrameUnit::Rows, start, end, exclude_current: exclude(cursor)?, position }));
    }
    let unit = match cursor.peek().text.to_ascii_lowercase().as_str() {
        "rows" => FrameUnit::Rows,
        "range" => FrameUnit::Range,
        "groups" => FrameUnit::Groups,
        _ => return Ok(None),
    };
    cursor.next();
    let (start, end) =
        if cursor.take_word("between") { between(cursor)? } else { (single(cursor)?, Bound::CurrentRow) };
    let place = cursor.peek().position;
    let exclude_current = exclude(cursor)?;
    if exclude_current && end == Bound::UnboundedFollowing {
        let message = "EXCLUDE CURRENT ROW not supported with UNBOUNDED FOLLOWING frame boundary";
        return Err(SqlError::new(place, message));
    }
    Ok(Some(Frame { unit, start, end, exclude_current, position }))
}

const START_UNBOUNDED: &str = "frame start cannot be UNBOUNDED FOLLOWING, use UNBOUNDED PRECEDING";

/// Parses the only end of a frame.
fn single(cursor: &mut Cursor) -> Result<Bound, SqlError> {
    let (start, place) = bound(cursor)?;
    match start {
        Some(Bound::UnboundedFollowing) => Err(SqlError::new(place, START_UNBOUNDED)),
        Some(start) => Ok(start),
        None => {
            let message = "single-bound frame specification requires PRECEDING, use BETWEEN for FOLLOWING";
            Err(SqlError::new(place, message))
        }
    }
}

/// Parses both ends behind BETWEEN.
fn between(cursor: &mut Cursor) -> Result<(Bound, Bound), SqlError> {
    let (start, start_place) = bound(cursor)?;
    if start == Some(Bound::UnboundedFollowing) {
        return Err(SqlError::new(start_place, START_UNBOUNDED));
    }
    cursor.expect_word("and")?;
    let (end, end_place) = bound(cursor)?;
    let error = |place: usize, message: &str| Err(SqlError::new(place, message));
    match (start, end) {
        (None, None | Some(Bound::UnboundedFollowing)) => {
            let message = "frame start supports UNBOUNDED PRECEDING, _number_ PRECEDING and CURRENT ROW only";
            error(start_place, message)
        }
        (None, Some(_)) => error(end_place, "frame starting from FOLLOWING must end with FOLLOWING"),
        (Some(_), None | Some(Bound::UnboundedPreceding)) => {
            error(end_place, "frame end supports _number_ PRECEDING and CURRENT ROW only")
        }
        (Some(Bound::CurrentRow), Some(Bound::Preceding(_))) => {
            error(end_place, "frame starting from CURRENT ROW must end with CURRENT ROW or FOLLOWING")
        }
        (Some(start), Some(Bound::UnboundedFollowing)) if start != Bound::UnboundedPreceding => {
            let message = "frame end supports UNBOUNDED FOLLOWING only when frame start is UNBOUNDED PRECEDING";
            error(end_place, message)
        }
        (Some(start), Some(end)) => Ok((start, end)),
    }
}

/// Parses one end of a frame; None is a number of FOLLOWING. The place is that of its last word.
fn bound(cursor: &mut Cursor) -> Result<(Option<Bound>, usize), SqlError> {
    if cursor.take_word("current") {
        let place = cursor.peek().position;
        cursor.expect_word("row")?;
        return Ok((Some(Bound::CurrentRow), place));
    }
    let unbounded = cursor.take_word("unbounded");
    let distance = if unbounded { 0 } else { distance(cursor)? };
    let place = cursor.peek().position;
    let preceding = cursor.take_word("preceding");
    if !preceding && !cursor.take_word("following") {
        return Err(cursor.error("'preceding' or 'following' expected"));
    }
    let bound = match (unbounded, preceding) {
        (true, true) => Some(Bound::UnboundedPreceding),
        (true, false) => Some(Bound::UnboundedFollowing),
        (false, true) => Some(Bound::Preceding(distance)),
        (false, false) => None,
    };
    Ok((bound, place))
}

/// Parses `3`, `'10' SECOND`, `1 minute`.
fn distance(cursor: &mut Cursor) -> Result<i64, SqlError> {
    let token = cursor.peek();
    let not_a_number = SqlError::new(token.position, "non-negative integer expression expected");
    if !matches!(token.kind, TokenKind::Number | TokenKind::Text) {
        return Err(not_a_number);
    }
    cursor.next();
    let number: i64 = token.text.replace('_', "").parse().map_err(|_| not_a_number.clone())?;
    let unit = cursor.peek().text.to_ascii_lowercase();
    let us = match unit.strip_suffix('s').unwrap_or(&unit) {
        "microsecond" => 1,
        "millisecond" => 1_000,
        "second" => 1_000_000,
        "minute" => 60_000_000,
        "hour" => 3_600_000_000,
        "day" => 86_400_000_000,
        _ => return Ok(number),
    };
    cursor.next();
    number.checked_mul(us).ok_or(not_a_number)
}

fn exclude(cursor: &mut Cursor) -> Result<bool, SqlError> {
    let position = cursor.peek().position;
    if !cursor.take_word("exclude") {
        return Ok(false);
    }
    if cursor.take_words(&["current", "row"]) {
        return Ok(true);
    }
    if cursor.take_words(&["no", "others"]) {
        return Ok(false);
    }
    Err(SqlError::new(position, "only EXCLUDE NO OTHERS and EXCLUDE CURRENT ROW exclusion modes are supported"))
}
