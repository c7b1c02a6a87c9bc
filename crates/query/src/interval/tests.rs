//! Interval texts with the windows that the reference names for them.

use types::TimestampUs;

use super::*;

/// 2024-06-05T10:00:00Z, a Wednesday.
const NOW_US: i64 = 1_717_581_600_000_000;

fn shown(ranges: &[TimeRange]) -> String {
    let short = |us: i64| TimestampUs(us).to_string().replace(".000000Z", "").replace("T00:00:00", "").replace('Z', "");
    let shown: Vec<String> = ranges.iter().map(|r| format!("{}..{}", short(r.start_us), short(r.end_us))).collect();
    shown.join(" ")
}

/// `expected` holds half-open ranges, without a time where it is midnight.
fn check(text: &str, expected: &str) {
    match parse_interval(text, NOW_US) {
        Ok(ranges) => assert_eq!(shown(&ranges), expected, "{text}"),
        Err(error) => panic!("{text}: {error}"),
    }
}

fn check_error(text: &str, expected: &str) {
    assert_eq!(parse_interval(text, NOW_US).map(|r| shown(&r)), Err(IntervalError::new(expected.to_owned())), "{text}");
}

#[test]
fn a_timestamp_covers_its_written_period() {
    check("2024", "2024-01-01..2025-01-01");
    check("2024-02", "2024-02-01..2024-03-01");
    check("2024-02-29", "2024-02-29..2024-03-01");
    check("2024-01-01T00", "2024-01-01..2024-01-01T01:00:00");
    check("2024-02-29T12:30:15.123", "2024-02-29T12:30:15.123000..2024-02-29T12:30:15.124000");
    check("2024-W22", "2024-05-27..2024-06-03");
    check("2024-05-17 13:47", "2024-05-17T13:47:00..2024-05-17T13:47:00.000001");
    check("2024-01-01T10:00:00Z", "2024-01-01T10:00:00..2024-01-01T10:00:00.000001");
}

#[test]
fn a_duration_counts_from_the_start() {
    check("2024-01-01T00:00;1h", "2024-01-01..2024-01-01T01:00:00");
    check("2024-02-29T12:30;1h", "2024-02-29T12:30:00..2024-02-29T13:30:00");
    check("2024-06;1d", "2024-06-01..2024-06-02");
    check("2024;3M", "2024-01-01..2024-04-01");
    check("2024-01-31;1M", "2024-01-31..2024-02-29");
    check("2024-01-31;1M1d", "2024-01-31..2024-03-01");
    check("2024-05-29T09:30;6h30m", "2024-05-29T09:30:00..2024-05-29T16:00:00");
    check("2024-01-01;", "");
    check("2024-01-01;900n", "");
    check("2024-01-01;2000n", "2024-01-01..2024-01-01.000002");
}

#[test]
fn windows_repeat_by_their_period() {
    check(
        "2024-05-27;8h;1d;3",
        "2024-05-27..2024-05-27T08:00:00 2024-05-28..2024-05-28T08:00:00 2024-05-29..2024-05-29T08:00:00",
    );
    check("2024-06-08T12:00;12h;-1d;2", "2024-06-07T12:00:00..2024-06-08 2024-06-08T12:00:00..2024-06-09");
    check(
        "2024-01-31;1h;1M;3",
        "2024-01-31..2024-01-31T01:00:00 2024-02-29..2024-02-29T01:00:00 2024-03-29..2024-03-29T01:00:00",
    );
    check("2024-01-01;1d;1d;3", "2024-01-01..2024-01-04");
    check("2024-01-01;1d;1d;0", "2024-01-01..2024-01-02");
}

#[test]
fn brackets_expand_to_every_combination() {
    check(
        "2024-05-[28,30..31]T[00..01]",
        "2024-05-28..2024-05-28T02:00:00 2024-05-30..2024-05-30T02:00:00 2024-05-31..2024-05-31T02:00:00",
    );
    check("[2024-05-27,2024-06-09]", "2024-05-27..2024-05-28 2024-06-09..2024-06-10");
    check(
        "2024-[05,06]-[01,27];7h",
        "2024-05-01..2024-05-01T07:00:00 2024-05-27..2024-05-27T07:00:00 \
         2024-06-01..2024-06-01T07:00:00 2024-06-27..2024-06-27T07:00:00",
    );
    check(
        "2024-05-29T[01:00,15:00];30m",
        "2024-05-29T01:00:00..2024-05-29T01:30:00 2024-05-29T15:00:00..2024-05-29T15:30:00",
    );
    check(
        "[2024-05-27,2024-05-28]T09:30",
        "2024-05-27T09:30:00..2024-05-27T09:31:00 2024-05-28T09:30:00..2024-05-28T09:31:00",
    );
    check(
        "[2024-05-27,2024-05-28T10]T09:30",
        "2024-05-27T09:30:00..2024-05-27T09:31:00 2024-05-28T10:00:00..2024-05-28T11:00:00",
    );
    check("2024-W22-[1..2]", "2024-05-27..2024-05-29");
}

#[test]
fn day_filters_look_at_local_dates() {
    check(
        "2024-06-[01..09]#weekend;6h",
        "2024-06-01..2024-06-01T06:00:00 2024-06-02..2024-06-02T06:00:00 2024-06-08..2024-06-08T06:00:00 2024-06-09..2024-06-09T06:00:00",
    );
    check("2024-06-[01..05]#Mon,wednesday", "2024-06-03..2024-06-04 2024-06-05..2024-06-06");
    check("2024-W23#wd", "2024-06-03..2024-06-08");
}

#[test]
fn zones_turn_local_windows_into_utc() {
    check("2024-06-01@Asia/Tokyo", "2024-05-31T15:00:00..2024-06-01T15:00:00");
    check(
        "2024-10-[26..28]T02:30@Europe/Berlin;1h",
        "2024-10-26T00:30:00..2024-10-26T01:30:00 2024-10-27T00:30:00..2024-10-27T02:30:00 \
         2024-10-28T01:30:00..2024-10-28T02:30:00",
    );
    check("2024-03-31T02:30@Europe/Berlin", "2024-03-31T01:00:00..2024-03-31T01:01:00");
    check("2024-05-31T09:30@America/New_York#workday;6h30m", "2024-05-31T13:30:00..2024-05-31T20:00:00");
}

#[test]
fn variables_follow_the_clock() {
    check("$today", "2024-06-05..2024-06-06");
    check("$YESTERDAY", "2024-06-04..2024-06-05");
    check("$now", "2024-06-05T10:00:00..2024-06-05T10:00:00.000001");
    check("$now - 2h..$now", "2024-06-05T08:00:00..2024-06-05T10:00:00.000001");
    check("$today-1d..$tomorrow", "2024-06-04..2024-06-07");
    check("$now;1h", "2024-06-05T10:00:00..2024-06-05T11:00:00");
    check("$today..$today+3bd", "2024-06-05..2024-06-08 2024-06-10..2024-06-11");
    check(
        "[$today,$tomorrow]T09:30",
        "2024-06-05T09:30:00..2024-06-05T09:31:00 2024-06-06T09:30:00..2024-06-06T09:31:00",
    );
    check("$tomorrow..$today", "");
    check("$today+1x", "");
}

#[test]
fn errors_are_those_of_the_reference() {
    check_error("2024-13", "Invalid date: 2024-13");
    check_error("2024-02-29;1d;7d", "Invalid interval format: 2024-02-29;1d;7d");
    check_error("2024;1d;1d;1;1", "Invalid interval format (too many semicolons): 2024;1d;1d;1;1");
    check_error("2024-02-29;-1d", "Expected number before unit '-'");
    check_error("2024-02-29;1x", "Invalid duration unit: x");
    check_error("2024-02-29;1", "Missing unit at end of duration");
    check_error("2024-02-29;1d;1w;2", "Unknown period: w at 1");
    check_error("2024-02-29;1d;xd;2", "Period not a number");
    check_error("2024-02-29;1d;1d;x", "Count not a number");
    check_error("2024-06-[05..01]", "Range must be ascending: 5..1");
    check_error("2024-06-[29..31]", "Invalid date: 2024-06-31");
    check_error("2024-06-[x]", "Expected number in bracket expansion");
    check_error("2024-06-[1,,2]", "Expected number in bracket expansion");
    check_error("2024-06-[01]x", "Invalid date: 2024-06-01x");
    check_error("2024-06-[29", "Unclosed '[' in interval");
    check_error("2024-06-[]", "Empty bracket expansion");
    check_error("[2024-06-01,,2024-06-02]", "Empty element in date list");
    check_error("2024-06-01#XNYS", "Invalid day name: XNYS");
    check_error("2024-06-01@Oslo", "invalid timezone: Oslo");
    check_error("$x", "Unknown date variable: $x");
    check_error("2024-01T09:30", "Invalid date: 2024-01T09:30");
    check_error("", "Invalid date: ");
    check_error("2024-01-01;1s;1s;2000000", "too many windows: 2000000, at most 1000000");
}
