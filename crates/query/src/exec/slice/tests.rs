//! LIMIT with bounds from the end, over batches of uneven length.

use super::*;
use crate::exec::testing::{batch, long, run, run_within, table};

fn numbers(lengths: &[i64]) -> LogicalPlan {
    let mut next = 0;
    let batches = lengths.iter().map(|length| {
        let values: Vec<Option<i64>> = (next..next + length).map(|n| Some(n + 1)).collect();
        next += length;
        batch(vec![("x", long(&values))])
    });
    table("t", batches.collect())
}

fn check(lo: Option<i64>, hi: Option<i64>, expected: &str) {
    for lengths in [&[8][..], &[1, 0, 3, 2, 2], &[1, 1, 1, 1, 1, 1, 1, 1], &[7, 1]] {
        let plan = slice(numbers(lengths), lo, hi).expect("a plan");
        assert_eq!(run(&plan), expected, "limit {lo:?},{hi:?} over batches of {lengths:?}");
    }
}

#[test]
fn one_bound_counts_from_the_front_or_the_end() {
    check(None, Some(2), "1, 2");
    check(None, Some(-2), "7, 8");
    check(None, Some(0), "");
    check(None, Some(-100), "1, 2, 3, 4, 5, 6, 7, 8");
    check(None, None, "1, 2, 3, 4, 5, 6, 7, 8");
    check(Some(-2), None, "7, 8");
}

#[test]
fn two_bounds_take_what_the_reference_takes() {
    check(Some(2), Some(4), "3, 4");
    check(Some(4), Some(2), "3, 4");
    check(Some(-3), Some(-1), "6, 7");
    check(Some(-1), Some(-3), "6, 7");
    check(Some(-20), Some(-7), "1");
    check(Some(-2), Some(-2), "");
    check(Some(1), Some(-6), "2");
    check(Some(3), Some(-7), "");
    check(Some(0), Some(3), "1, 2, 3");
    check(Some(3), Some(0), "1, 2, 3");
    check(Some(-3), Some(0), "6, 7, 8");
    check(Some(0), Some(-3), "6, 7, 8");
}

#[test]
fn from_the_end_to_the_front_is_refused() {
    let error = slice(numbers(&[3]), Some(-2), Some(3)).expect_err("an error").to_string();
    assert!(error.contains("LIMIT <negative>, <positive> is not allowed"), "{error}");
}

#[test]
fn an_empty_input_stays_empty() {
    assert_eq!(run(&slice(numbers(&[0]), None, Some(-3)).expect("a plan")), "");
    assert_eq!(run(&slice(numbers(&[0]), Some(1), Some(-3)).expect("a plan")), "");
}

#[test]
fn the_waiting_rows_are_charged_to_the_pool() {
    let plan = slice(numbers(&[1_000, 1_000, 1_000]), None, Some(-2_000)).expect("a plan");
    let error = run_within(&plan, 9_000).expect_err("16 KB wait").to_string();
    assert!(error.contains("SliceExec"), "{error}");
    let plan = slice(numbers(&[1_000, 1_000, 1_000]), None, Some(-2)).expect("a plan");
    assert_eq!(run_within(&plan, 30_000).expect("three batches at most"), "2999, 3000");
}
