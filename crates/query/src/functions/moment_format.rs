//! Moments to text and back by a pattern of letters: to_str, to_timestamp, to_date.

use std::sync::Arc;

use arrow::datatypes::{TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType};
use datafusion::logical_expr::Volatility;

use super::kernel::{Args, Function, column, text_column};
use super::moment::parse_timestamp_ns;
use super::overload::convert;
use super::typed::{Call, Typed};
use super::{Binding, Environment};
use crate::error::SqlError;
use crate::kind::Kind;

pub(crate) mod pattern;

use pattern::Pattern;

/// Returns the binding of a function between moments and text.
pub fn find(name: &str) -> Option<Binding> {
    Some(Binding::Own(match name {
        "to_str" => to_str,
        "to_timestamp" => to_timestamp,
        "to_timestamp_ns" => to_timestamp_ns,
        "to_date" => to_date,
        "to_pg_date" => to_pg_date,
        _ => return None,
    }))
}

fn is_textual(arg: &Typed) -> bool {
    arg.kind.is_text() || matches!(arg.kind, Kind::Char | Kind::Null)
}

/// Returns the pattern that a constant argument holds.
fn constant_pattern(arg: &Typed) -> Result<Pattern, SqlError> {
    match arg.as_text() {
        Some(text) => Ok(Pattern::parse(text)),
        None if arg.is_null_literal() => Err(SqlError::new(arg.position, "format must not be null")),
        None => Err(SqlError::new(arg.position, "the format must be a constant")),
    }
}

fn to_str(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let [at, format] = call.args.as_slice() else { return Err(call.no_match()) };
    let moment = at.kind.is_time() || at.kind.is_integer() || at.kind.is_text() || at.kind == Kind::Null;
    if !moment || !is_textual(format) {
        return Err(call.no_match());
    }
    let pattern = constant_pattern(format)?;
    if at.kind == Kind::TimestampNs {
        let kernel = Arc::new(move |args: &Args| {
            let moments = args.numbers::<TimestampNanosecondType>(0);
            let text = |ns: i64| pattern.format_fine(ns.div_euclid(1_000), ns.rem_euclid(1_000));
            Ok(text_column(args.rows(), |row| moments.get(row).map(text)))
        });
        let function = Function::new("to_str ns", 2, Kind::String, Volatility::Immutable, kernel);
        return function.call(vec![at.clone(), format.clone()], Kind::String, call.position);
    }
    let args = vec![convert(at.clone(), Kind::Timestamp)?, format.clone()];
    let kernel = Arc::new(move |args: &Args| {
        let moments = args.timestamps(0);
        Ok(text_column(args.rows(), |row| moments.get(row).map(|us| pattern.format(us))))
    });
    Function::new("to_str", 2, Kind::String, Volatility::Immutable, kernel).call(args, Kind::String, call.position)
}

fn to_timestamp(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    if call.args.is_empty() || call.args.len() > 2 || !call.args.iter().all(is_textual) {
        return Err(call.no_match());
    }
    let pattern = call.args.get(1).map(constant_pattern).transpose()?;
    let kernel = Arc::new(move |args: &Args| {
        let texts = args.texts(0);
        Ok(column::<TimestampMicrosecondType>(args.rows(), |row| match &pattern {
            Some(pattern) => pattern.read(texts.get(row)?),
            None => texts.get(row)?.parse().ok(),
        }))
    });
    let count = call.args.len();
    let function = Function::new("to_timestamp", count, Kind::Timestamp, Volatility::Immutable, kernel);
    function.call(call.args.clone(), Kind::Timestamp, call.position)
}

fn to_timestamp_ns(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    if call.args.is_empty() || call.args.len() > 2 || !call.args.iter().all(is_textual) {
        return Err(call.no_match());
    }
    let pattern = call.args.get(1).map(constant_pattern).transpose()?;
    let kernel = Arc::new(move |args: &Args| {
        let texts = args.texts(0);
        Ok(column::<TimestampNanosecondType>(args.rows(), |row| match &pattern {
            Some(pattern) => {
                let (us, nanos) = pattern.read_fine(texts.get(row)?)?;
                us.checked_mul(1_000)?.checked_add(nanos)
            }
            None => parse_timestamp_ns(texts.get(row)?),
        }))
    });
    let count = call.args.len();
    let function = Function::new("to_timestamp_ns", count, Kind::TimestampNs, Volatility::Immutable, kernel);
    function.call(call.args.clone(), Kind::TimestampNs, call.position)
}

fn to_date(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let [text, format] = call.args.as_slice() else { return Err(call.no_match()) };
    if !is_textual(text) || !is_textual(format) {
        return Err(call.no_match());
    }
    dates("to_date", constant_pattern(format)?, call)
}

fn to_pg_date(call: &Call, _: &Environment) -> Result<Typed, SqlError> {
    let [text] = call.args.as_slice() else { return Err(call.wrong_count(1)) };
    if !is_textual(text) {
        return Err(call.no_match());
    }
    dates("to_pg_date", Pattern::parse("yyyy-MM-dd"), call)
}

fn dates(name: &str, pattern: Pattern, call: &Call) -> Result<Typed, SqlError> {
    let kernel = Arc::new(move |args: &Args| {
        let texts = args.texts(0);
        Ok(column::<TimestampMillisecondType>(args.rows(), |row| {
            Some(pattern.read(texts.get(row)?)?.div_euclid(1_000))
        }))
    });
    let function = Function::new(name, call.args.len(), Kind::Date, Volatility::Immutable, kernel);
    function.call(call.args.clone(), Kind::Date, call.position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::moment::{parse_timestamp, timestamp_text};

    #[test]
    fn moments_are_written_by_letters() {
        let check = |at: &str, format: &str, expected: &str| {
            assert_eq!(Pattern::parse(format).format(parse_timestamp(at).expect(at)), expected);
        };
        let early = "2024-05-07T00:07:02.003004Z";
        let all = "0 00 12 12 0 24 24 7 07 2 02 3 003 4 004 AM";
        check(early, "H HH h hh K k kk m mm s ss S SSS U UUU a", all);
        let late = "2024-05-07T13:47:12.123456Z";
        check(late, "y yy yyyy M MM MMM MMMM d dd E EE", "2024 24 2024 5 05 May May 7 07 Tue Tuesday");
        check(late, "G-ww Q q Z", "AD-19 Q q Z");
        check(late, "D", "128");
        check(late, "EEEE", "TuesdayTuesday");
        check("2024-02-28", "E, d MMM y", "Wed, 28 Feb 2024");
        check(late, "yyyy-MM-ddTHH:mm:ssZ", "2024-05-07T13:47:12Z");
        check(late, "YYYY-Www", "2024-W19");
        check(late, "", "");
        check(late, "ss.U+ N+ S+", "12.123456 123456 123+");
        let fine = |format: &str, nanos| Pattern::parse(format).format_fine(parse_timestamp(late).expect(late), nanos);
        assert_eq!((fine("s.N+", 7), fine("s.N+", 0)), ("12.123456007".to_owned(), "12.123456000".to_owned()));
    }

    #[test]
    fn text_is_read_by_letters() {
        let check = |text: &str, format: &str, expected: Option<&str>| {
            let us = Pattern::parse(format).read(text);
            assert_eq!(us.map(timestamp_text).as_deref(), expected, "{text} as {format}");
        };
        check("17/05/2024 13:47", "dd/MM/yyyy HH:mm", Some("2024-05-17T13:47:00.000000Z"));
        let micros = Some("2024-05-17T13:47:12.123456Z");
        check("2024-05-17 13:47:12.123456", "yyyy-MM-dd HH:mm:ss.SSSUUU", micros);
        check("20240517", "yyyyMMdd", Some("2024-05-17T00:00:00.000000Z"));
        check("24-5-7", "yy-M-d", Some("2024-05-07T00:00:00.000000Z"));
        check("99-5-7", "y-M-d", Some("2099-05-07T00:00:00.000000Z"));
        check("Mar 5, 2024", "MMM d, yyyy", Some("2024-03-05T00:00:00.000000Z"));
        check("5 march 2024", "d MMMM yyyy", Some("2024-03-05T00:00:00.000000Z"));
        check("12:05 AM", "hh:mm a", Some("1970-01-01T00:05:00.000000Z"));
        check("2024-05-17T13:47:12+02:00", "yyyy-MM-ddTHH:mm:ssZ", Some("2024-05-17T11:47:12.000000Z"));
        check("2024-W20", "YYYY-Www", Some("2024-05-13T00:00:00.000000Z"));
        check("2024-05-17", "yyyy-mm-dd", Some("2024-01-17T00:05:00.000000Z"));
        for (text, pattern, expected) in [
            ("5", "S", Some("500000")),
            ("25", "S", Some("250000")),
            ("05", "S", Some("050000")),
            ("1234", "SSSU", Some("123400")),
            ("5", "U", Some("000500")),
            ("5", "N", Some("000000")),
            ("25", "SSS", None),
            ("12", "U+", Some("120000")),
            ("123456", "U+", Some("123456")),
            ("1234567", "U+", None),
            ("", "U+", None),
            ("12", "N+", Some("120000")),
            ("123456789", "N+", Some("123456")),
            ("5+", "S+", Some("500000")),
            ("1234", "S+", None),
            ("123+", "SSS+", Some("123000")),
            ("5Z", "SZ", Some("005000")),
            ("25Z", "SZ", None),
            ("5Z", "Sz", Some("500000")),
        ] {
            let expected = expected.map(|fraction| format!("2024-05-17T13:47:12.{fraction}Z"));
            let (text, pattern) = (format!("2024-05-17 13:47:12.{text}"), format!("yyyy-MM-dd HH:mm:ss.{pattern}"));
            check(&text, &pattern, expected.as_deref());
        }
        check("2024-05-17 10", "yyyy-MM-dd", None);
        check("2024-05", "yyyy-MM-dd", None);
        check("2024-13-01", "yyyy-MM-dd", None);
    }
}
