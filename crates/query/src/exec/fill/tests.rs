//! FILL over batches of buckets: every kind of value, keys, FROM and TO, empty inputs, memory.

use super::*;
use crate::bucket::Stride;
use crate::exec::testing::{batch, double, explained, long, run, run_within, table, text, ts};
use datafusion::logical_expr::{LogicalPlanBuilder, col, ident};

const MINUTE: i64 = 60_000_000;

fn plain(rows: &[(i64, Option<i64>, Option<f64>)]) -> LogicalPlan {
    let times: Vec<Option<i64>> = rows.iter().map(|r| Some(r.0 * MINUTE)).collect();
    let longs: Vec<Option<i64>> = rows.iter().map(|r| r.1).collect();
    let doubles: Vec<Option<f64>> = rows.iter().map(|r| r.2).collect();
    table("t", vec![batch(vec![("ts", ts(&times)), ("n", long(&longs)), ("v", double(&doubles))])])
}

fn keyed(rows: &[(i64, Option<&str>, Option<i64>)]) -> LogicalPlan {
    let times: Vec<Option<i64>> = rows.iter().map(|r| Some(r.0 * MINUTE)).collect();
    let keys: Vec<Option<&str>> = rows.iter().map(|r| r.1).collect();
    let longs: Vec<Option<i64>> = rows.iter().map(|r| r.2).collect();
    table("t", vec![batch(vec![("k", text(&keys)), ("ts", ts(&times)), ("n", long(&longs))])])
}

fn spec(fills: Vec<(usize, FillWith)>) -> FillSpec {
    let bucket = Grid::calendar(Stride::from_floor("3m").expect("a stride"));
    FillSpec { time: 0, keys: vec![], fills, bucket, since_first: false, from_us: None, to_us: None }
}

fn keyed_spec(with: FillWith) -> FillSpec {
    FillSpec { time: 1, keys: vec![0], ..spec(vec![(2, with)]) }
}

fn constant(n: i64) -> FillWith {
    FillWith::Constant(ScalarValue::Int64(Some(n)))
}

fn check(input: LogicalPlan, spec: FillSpec, expected: &str) {
    let plan = fill(input, spec).expect("a plan");
    assert_eq!(run(&plan).replace(":00 ", " "), expected);
}

#[test]
fn each_column_is_filled_its_own_way() {
    let rows = || plain(&[(30, Some(7), Some(2.5)), (33, Some(3), None), (42, Some(2), Some(3.5))]);
    check(
        rows(),
        spec(vec![(1, constant(0)), (2, FillWith::Prev)]),
        "00:30 7 2.5, 00:33 3 -, 00:36 0 -, 00:39 0 -, 00:42 2 3.5",
    );
    check(
        rows(),
        spec(vec![(1, FillWith::Prev), (2, FillWith::Null)]),
        "00:30 7 2.5, 00:33 3 -, 00:36 3 -, 00:39 3 -, 00:42 2 3.5",
    );
}

#[test]
fn lines_run_between_neighbours_and_whole_numbers_are_cut() {
    check(
        plain(&[(0, Some(9), Some(131.5)), (6, Some(4), None), (9, Some(-1), Some(1.0)), (18, Some(-6), Some(4.0))]),
        spec(vec![(1, FillWith::Linear), (2, FillWith::Linear)]),
        "00:00 9 131.5, 00:03 6 -, 00:06 4 -, 00:09 -1 1.0, 00:12 -2 2.0, 00:15 -4 3.0, 00:18 -6 4.0",
    );
}

#[test]
fn every_key_has_every_bucket() {
    let rows = || keyed(&[(0, Some("c"), Some(9)), (6, Some("c"), Some(4)), (6, None, Some(10)), (9, None, Some(13))]);
    check(
        rows(),
        keyed_spec(FillWith::Prev),
        "c 00:00 9, - 00:00 -, c 00:03 9, - 00:03 -, c 00:06 4, - 00:06 10, c 00:09 4, - 00:09 13",
    );
    check(
        rows(),
        keyed_spec(constant(0)),
        "c 00:00 9, - 00:00 0, c 00:03 0, - 00:03 0, c 00:06 4, - 00:06 10, c 00:09 0, - 00:09 13",
    );
    check(
        rows(),
        keyed_spec(FillWith::Linear),
        "c 00:00 9, - 00:00 4, c 00:03 6, - 00:03 7, c 00:06 4, - 00:06 10, c 00:09 2, - 00:09 13",
    );
}

#[test]
fn from_and_to_name_the_buckets_whatever_has_rows() {
    let bounds =
        |from: i64, to: i64, fills| FillSpec { from_us: Some(from * MINUTE), to_us: Some(to * MINUTE), ..spec(fills) };
    let rows = || plain(&[(6, Some(1), Some(1.0)), (12, Some(3), Some(3.0))]);
    check(
        rows(),
        bounds(3, 18, vec![(1, FillWith::Prev), (2, FillWith::Linear)]),
        "00:03 - -, 00:06 1 1.0, 00:09 1 2.0, 00:12 3 3.0, 00:15 3 -",
    );
    check(plain(&[]), bounds(0, 6, vec![(1, constant(0)), (2, FillWith::Null)]), "00:00 0 -, 00:03 0 -");
    check(plain(&[]), bounds(6, 6, vec![(1, constant(0)), (2, FillWith::Null)]), "");
    check(plain(&[]), FillSpec { from_us: Some(0), ..spec(vec![(1, constant(0)), (2, FillWith::Null)]) }, "");
}

#[test]
fn empty_inputs_and_single_rows_have_nothing_to_fill() {
    check(plain(&[]), spec(vec![(1, FillWith::Prev), (2, FillWith::Null)]), "");
    check(keyed(&[]), keyed_spec(FillWith::Prev), "");
    check(plain(&[(3, None, None)]), spec(vec![(1, FillWith::Prev), (2, FillWith::Linear)]), "00:03 - -");
}

#[test]
fn calendar_months_are_stepped_by_the_calendar() {
    let day = 24 * 60;
    let bucket = Grid::calendar(Stride::from_floor("1M").expect("a stride"));
    let input = plain(&[(0, Some(1), None), (90 * day, Some(2), None)]);
    let plan =
        fill(input, FillSpec { bucket, ..spec(vec![(1, FillWith::Prev), (2, FillWith::Null)]) }).expect("a plan");
    let months =
        LogicalPlanBuilder::from(plan).project([col("n")]).and_then(LogicalPlanBuilder::build).expect("a plan");
    assert_eq!(run(&months), "1, 1, 1, 2", "January, February, March, and April from day 90");
}

#[test]
fn buckets_since_the_first_row_keep_its_day_and_time() {
    let day = 24 * 60;
    let bucket = Grid::calendar(Stride::from_floor("1M").expect("a stride"));
    let input = plain(&[(30 * day + 600, Some(1), None), (150 * day + 600, Some(3), None)]);
    let fills = vec![(1, constant(0)), (2, FillWith::Null)];
    let plan = fill(input, FillSpec { bucket, since_first: true, ..spec(fills) }).expect("a plan");
    assert_eq!(
        run(&plan),
        "10:00:00 1 -, 10:00:00 0 -, 10:00:00 0 -, 10:00:00 0 -, 10:00:00 3 -",
        "31 January to 31 May"
    );
}

#[test]
fn unordered_buckets_are_sorted_and_filled_rows_are_rows_without_their_values() {
    let input = plain(&[(9, Some(3), None), (0, Some(1), None)]);
    let plan = fill(input, spec(vec![(1, FillWith::Prev), (2, FillWith::Null)])).expect("a plan");
    let times =
        LogicalPlanBuilder::from(plan).project([ident("ts")]).and_then(LogicalPlanBuilder::build).expect("a plan");
    assert_eq!(run(&times), "00:00:00, 00:03:00, 00:06:00, 00:09:00");
    assert!(explained(&times).contains("SortExec"));
}

#[test]
fn a_limit_ends_a_filling_that_would_not_end() {
    let bucket = Grid::calendar(Stride::from_floor("1U").expect("a stride"));
    let input = plain(&[(0, Some(1), None), (90 * 24 * 60, Some(2), None)]);
    let plan =
        fill(input, FillSpec { bucket, ..spec(vec![(1, FillWith::Null), (2, FillWith::Null)]) }).expect("a plan");
    let few = LogicalPlanBuilder::from(plan).limit(0, Some(2)).and_then(LogicalPlanBuilder::build).expect("a plan");
    assert_eq!(run(&few), "00:00:00 1 -, 00:00:00.000001 - -");
}

#[test]
fn wrong_values_and_small_pools_are_errors() {
    let rows = || keyed(&[(0, Some("a"), Some(1)), (9, Some("a"), Some(2))]);
    let text_line = FillSpec { time: 1, keys: vec![2], ..spec(vec![(0, FillWith::Linear)]) };
    let error = fill(rows(), text_line).expect_err("no line through text").to_string();
    assert!(error.contains("support for LINEAR fill is not yet implemented"), "{error}");
    assert!(fill(rows(), keyed_spec(FillWith::Constant(ScalarValue::Float64(Some(1.0))))).is_err());
    assert!(fill(rows(), spec(vec![(2, FillWith::Null)])).is_err(), "a column is named by nobody");
    let error =
        run_within(&fill(rows(), keyed_spec(FillWith::Null)).expect("a plan"), 200).expect_err("tiny").to_string();
    assert!(error.contains("Resources exhausted"), "{error}");
}
