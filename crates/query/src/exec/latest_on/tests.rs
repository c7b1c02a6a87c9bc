//! LATEST ON over batches: ties, NULL keys, order of the output, memory.

use super::*;
use crate::exec::testing::{batch, explained, long, run, run_within, table, text, ts};
use datafusion::logical_expr::{LogicalPlanBuilder, col, ident, lit};

const S: i64 = 1_000_000;

fn rows(rows: &[(Option<i64>, Option<&str>, i64)]) -> arrow::record_batch::RecordBatch {
    let times: Vec<Option<i64>> = rows.iter().map(|r| r.0.map(|s| s * S)).collect();
    let keys: Vec<Option<&str>> = rows.iter().map(|r| r.1).collect();
    let values: Vec<Option<i64>> = rows.iter().map(|r| Some(r.2)).collect();
    batch(vec![("ts", ts(&times)), ("k", text(&keys)), ("v", long(&values))])
}

fn check(batches: Vec<arrow::record_batch::RecordBatch>, keys: Vec<usize>, expected: &str) {
    let plan = latest_on(table("t", batches), 0, keys).expect("a plan");
    assert_eq!(run(&plan), expected);
}

#[test]
fn the_last_row_of_each_key_comes_out_by_time() {
    let first = rows(&[(Some(1), Some("a"), 1), (Some(2), Some("b"), 2), (Some(3), None, 3)]);
    let second = rows(&[(Some(4), Some("a"), 4), (Some(5), Some(""), 5), (Some(6), None, 6)]);
    check(vec![first, second], vec![1], "00:00:02 b 2, 00:00:04 a 4, 00:00:05  5, 00:00:06 - 6");
}

#[test]
fn among_equal_times_the_last_to_arrive_wins_and_arrival_orders_the_output() {
    let one =
        rows(&[(Some(5), Some("b"), 1), (Some(5), Some("a"), 2), (Some(5), Some("b"), 3), (Some(5), Some("c"), 4)]);
    check(vec![one], vec![1], "00:00:05 a 2, 00:00:05 b 3, 00:00:05 c 4");
}

#[test]
fn an_unordered_input_gives_the_greatest_time() {
    let one = rows(&[
        (Some(9), Some("a"), 1),
        (Some(2), Some("b"), 2),
        (Some(4), Some("a"), 3),
        (None, Some("b"), 4),
        (None, Some("n"), 5),
    ]);
    check(vec![one], vec![1], "- n 5, 00:00:02 b 2, 00:00:09 a 1");
}

#[test]
fn several_keys_empty_inputs_and_single_rows() {
    let one = rows(&[(Some(1), Some("a"), 1), (Some(2), Some("a"), 2), (Some(3), Some("a"), 1)]);
    check(vec![one], vec![1, 2], "00:00:02 a 2, 00:00:03 a 1");
    check(vec![rows(&[])], vec![1], "");
    check(vec![rows(&[(Some(1), None, 7)])], vec![1], "00:00:01 - 7");
    check(vec![rows(&[(Some(1), None, 7), (Some(2), Some("x"), 8)])], vec![], "00:00:02 x 8");
}

#[test]
fn a_filter_on_other_columns_stays_above_and_unused_columns_go() {
    let one = rows(&[(Some(1), Some("a"), 1), (Some(2), Some("a"), 2), (Some(3), Some("b"), 1)]);
    let latest = latest_on(table("t", vec![one]), 0, vec![1]).expect("a plan");
    let filtered = |by: datafusion::logical_expr::Expr| {
        LogicalPlanBuilder::from(latest.clone())
            .filter(by)
            .and_then(|b| b.project([ident("v")]))
            .and_then(LogicalPlanBuilder::build)
            .expect("a plan")
    };
    assert_eq!(run(&filtered(col("v").eq(lit(1i64)))), "1");
    let by_key = filtered(col("k").eq(lit("a")));
    assert_eq!(run(&by_key), "2");
    let shown = explained(&by_key);
    assert!(shown.find("FilterExec") > shown.find("LatestOnExec"), "the key's filter runs below:\n{shown}");
    let ordered = LogicalPlanBuilder::from(latest)
        .sort([col("ts").sort(true, true)])
        .and_then(LogicalPlanBuilder::build)
        .expect("a plan");
    assert!(!explained(&ordered).contains("SortExec"), "the output is ordered by time");
}

#[test]
fn a_pool_that_is_too_small_is_an_error_that_names_the_operator() {
    let keys: Vec<String> = (0..1_000).map(|n| format!("key number {n:020}")).collect();
    let many: Vec<_> = keys.iter().enumerate().map(|(n, k)| (Some(n as i64), Some(k.as_str()), 1)).collect();
    let plan = latest_on(table("t", vec![rows(&many)]), 0, vec![1]).expect("a plan");
    let error = run_within(&plan, 20_000).expect_err("more than 20 KB").to_string();
    assert!(error.contains("Resources exhausted") && error.contains("LatestOnExec"), "{error}");
}
