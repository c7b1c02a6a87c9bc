//! Floors, parts and differences of moments, with the answers that the reference gives.

use super::*;
use crate::functions::{cast, environment, scalar};

fn check(name: &str, args: Vec<Typed>, expected: &str) {
    let shown = match scalar(&Call::new(name, 7, args.clone()), &environment::fixed()) {
        Ok(t) => cast::value_text(t.as_literal().expect("constants fold"), t.kind).unwrap_or("null".to_owned()),
        Err(e) => format!("{} at {}", e.message, e.position),
    };
    let expected = if expected.len() == 10 && expected.as_bytes()[4] == b'-' {
        format!("{expected}T00:00:00.000000Z")
    } else {
        expected.to_owned()
    };
    assert_eq!(shown, expected, "{name} {args:?}");
}

fn text(value: &str) -> Typed {
    Typed::text(value, 15)
}

#[test]
fn months_are_clamped_and_years_are_not() {
    let check = |unit: &str, count: i32, at: &str, expected: &str| {
        check("dateadd", vec![text(unit), Typed::int(count, 20), text(at)], expected);
    };
    check("M", 1, "2024-01-31", "2024-02-29");
    check("M", -1, "2024-03-31", "2024-02-29");
    check("M", 12, "2024-02-29", "2025-02-28");
    check("y", 1, "2024-02-29", "2025-03-01");
    check("y", -1, "2024-02-29", "2023-03-01");
    check("m", 90, "2024-02-28T23:00", "2024-02-29T00:30:00.000000Z");
    check("n", 1500, "2024-02-29", "2024-02-29T00:00:00.000001Z");
    check("w", -1, "2024-02-29", "2024-02-22");
    check("q", 1, "2024-02-29", "invalid time period [unit=q] at 15");
}

#[test]
fn differences_count_whole_units_in_either_order() {
    let check = |unit: &str, from: &str, to: &str, expected: &str| {
        check("datediff", vec![text(unit), text(from), text(to)], expected);
    };
    check("d", "2024-02-28", "2024-03-01", "2");
    check("d", "2024-03-01", "2024-02-28", "2");
    check("M", "2024-01-31", "2024-02-29", "0");
    check("M", "2024-01-31", "2024-03-31", "2");
    check("y", "2020-02-29", "2024-02-28", "3");
    check("w", "2024-01-01", "2024-02-01", "4");
    check("n", "2024-02-29", "2024-02-29T00:00:01", "1000000000");
    check("q", "2024-02-29", "2025-02-28", "null");
}

#[test]
fn words_cut_to_calendar_units() {
    let check = |unit: &str, at: &str, expected: &str| check("date_trunc", vec![text(unit), text(at)], expected);
    check("week", "2024-02-29", "2024-02-26");
    check("quarter", "2024-02-29", "2024-01-01");
    check("decade", "2024-05-17", "2020-01-01");
    check("century", "2000-05-17", "1901-01-01");
    check("century", "2024-05-17", "2001-01-01");
    check("millennium", "2024-05-17", "2001-01-01");
    check("milliseconds", "2024-05-17T13:47:12.3456", "2024-05-17T13:47:12.345000Z");
    check("MONTH", "2024-05-17", "invalid unit 'MONTH' at 15");
}

#[test]
fn strides_are_counted_from_an_origin() {
    let check =
        |stride: &str, at: &str, expected: &str| check("timestamp_floor", vec![text(stride), text(at)], expected);
    check("7d", "2024-02-28", "2024-02-22");
    check("2w", "2024-02-28", "2024-02-26");
    check("3M", "2024-02-28", "2024-01-01");
    check("10y", "2024-05-17", "2020-01-01");
    check("1M", "1965-07-04", "1965-07-01");
    check("90s", "2024-05-17T13:47:12", "2024-05-17T13:46:30.000000Z");
    check("15U", "2024-05-17T13:47:12.999999", "2024-05-17T13:47:12.999990Z");
    check("hour", "2024-05-17", "invalid unit 'hour' at 15");
    check("0d", "2024-05-17", "invalid unit '0d' at 15");
    let from = |stride: &str, at: &str, from: &str, expected: &str| {
        super::tests::check("timestamp_floor", vec![text(stride), text(at), text(from)], expected);
    };
    from("1M", "2024-02-28", "2024-01-15", "2024-02-15");
    from("3d", "2024-02-28T23:00", "2024-02-28T12:00", "2024-02-28T12:00:00.000000Z");
    from("1y", "2024-02-28", "2023-07-01", "2023-07-01");
    from("1d", "1970-01-01", "2024-01-01", "2024-01-01");
}

#[test]
fn zones_make_the_answer_local() {
    let args = |from: &str, offset: &str, zone: &str| {
        let from = if from.is_empty() { Typed::null(0) } else { text(from) };
        let zone = if zone.is_empty() { Typed::null(0) } else { text(zone) };
        vec![text("1d"), text("2024-03-31T22:00"), from, text(offset), zone]
    };
    check("timestamp_floor", args("", "00:00", "Europe/Berlin"), "2024-04-01");
    check("timestamp_floor", args("", "06:00", ""), "2024-03-31T06:00:00.000000Z");
    let utc = |local: &str, expected: &str| check("to_utc", vec![text(local), text("Europe/Berlin")], expected);
    utc("2024-10-27T02:30", "2024-10-27T00:30:00.000000Z");
    utc("2024-03-31T02:30", "2024-03-31T01:30:00.000000Z");
    check("to_timezone", vec![text("2024-07-01"), text("+02:00")], "2024-07-01T02:00:00.000000Z");
    check("to_timezone", vec![text("2024-07-01"), text("Oslo")], "invalid timezone: Oslo at 15");
}

#[test]
fn the_ceiling_is_always_the_next_start() {
    let check = |unit: &str, at: &str, expected: &str| check("timestamp_ceil", vec![text(unit), text(at)], expected);
    check("d", "2024-05-17", "2024-05-18");
    check("M", "2024-05-17", "2024-06-01");
    check("T", "2024-05-17T00:00:00.0005", "2024-05-17T00:00:00.001000Z");
    check("5m", "2024-05-17", "inconvertible value: `5m` [STRING -> CHAR] at 0");
}
