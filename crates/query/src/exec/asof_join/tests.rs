//! ASOF and LT joins over batches: ties, keys, NULL, tolerance, batch borders, memory.

use super::*;
use crate::exec::testing::{batch, explained, long, run, run_within, table, text, ts};
use arrow::record_batch::RecordBatch;
use datafusion::logical_expr::{LogicalPlanBuilder, col};

const S: i64 = 1_000_000;

fn rows(names: [&str; 3], rows: &[(Option<i64>, Option<&str>, i64)]) -> RecordBatch {
    let times: Vec<Option<i64>> = rows.iter().map(|r| r.0.map(|s| s * S)).collect();
    let keys: Vec<Option<&str>> = rows.iter().map(|r| r.1).collect();
    let values: Vec<Option<i64>> = rows.iter().map(|r| Some(r.2)).collect();
    batch(vec![(names[0], ts(&times)), (names[1], text(&keys)), (names[2], long(&values))])
}

fn left(rows_: &[(Option<i64>, Option<&str>, i64)]) -> RecordBatch {
    rows(["lt", "lk", "lv"], rows_)
}

fn right(rows_: &[(Option<i64>, Option<&str>, i64)]) -> RecordBatch {
    rows(["rt", "rk", "rv"], rows_)
}

fn spec(keyed: bool, strict: bool, tolerance_s: Option<i64>) -> AsofSpec {
    let keys = if keyed { vec![(1, 1)] } else { vec![] };
    AsofSpec { left_time: 0, right_time: 0, keys, strict, tolerance_us: tolerance_s.map(|s| s * S) }
}

/// Shows left value and right value of each row.
fn check(left: Vec<RecordBatch>, right: Vec<RecordBatch>, spec: AsofSpec, expected: &str) {
    let join = asof_join(table("l", left), table("r", right), spec).expect("a plan");
    let plan = LogicalPlanBuilder::from(join).project([col("lv"), col("rv")]).and_then(LogicalPlanBuilder::build);
    assert_eq!(run(&plan.expect("a plan")), expected);
}

fn quotes() -> Vec<RecordBatch> {
    vec![
        right(&[(Some(1), Some("a"), 10), (Some(2), Some("b"), 20), (Some(2), Some("a"), 11)]),
        right(&[]),
        right(&[(Some(2), Some("a"), 12), (Some(5), None, 50), (Some(6), Some(""), 60)]),
        right(&[(Some(9), Some("a"), 90)]),
    ]
}

#[test]
fn without_keys_the_last_of_the_newest_time_is_taken() {
    let trades = vec![
        left(&[(Some(0), None, 1), (Some(2), None, 2)]),
        left(&[(Some(2), None, 3), (Some(7), None, 4), (Some(99), None, 5)]),
    ];
    check(trades.clone(), quotes(), spec(false, false, None), "1 -, 2 12, 3 12, 4 60, 5 90");
    check(trades, quotes(), spec(false, true, None), "1 -, 2 10, 3 10, 4 60, 5 90");
}

#[test]
fn keys_are_values_null_meets_null_and_the_empty_text_itself() {
    let trades = vec![left(&[
        (Some(2), Some("a"), 1),
        (Some(4), Some("b"), 2),
        (Some(4), None, 3),
        (Some(6), None, 4),
        (Some(6), Some(""), 5),
        (Some(8), Some("zzz"), 6),
        (Some(8), Some("a"), 7),
    ])];
    check(trades.clone(), quotes(), spec(true, false, None), "1 12, 2 20, 3 -, 4 50, 5 60, 6 -, 7 12");
    check(trades, quotes(), spec(true, true, None), "1 10, 2 20, 3 -, 4 50, 5 -, 6 -, 7 12");
}

#[test]
fn a_match_exactly_as_old_as_the_tolerance_counts() {
    let trades = vec![left(&[
        (Some(3), Some("a"), 1),
        (Some(4), Some("a"), 2),
        (Some(5), Some("a"), 3),
        (Some(9), Some("a"), 4),
    ])];
    check(trades.clone(), quotes(), spec(true, false, Some(2)), "1 12, 2 12, 3 -, 4 90");
    check(trades, quotes(), spec(true, true, Some(2)), "1 12, 2 12, 3 -, 4 -");
}

#[test]
fn null_times_match_nothing_and_empty_sides_keep_the_left_rows() {
    let trades = vec![left(&[(None, Some("a"), 1), (Some(9), Some("a"), 2)])];
    let nulls = vec![right(&[(None, Some("a"), 1)])];
    check(trades.clone(), nulls, spec(true, false, None), "1 -, 2 -");
    check(trades, vec![right(&[])], spec(false, false, None), "1 -, 2 -");
    check(vec![left(&[])], quotes(), spec(false, false, None), "");
}

#[test]
fn inputs_out_of_order_are_sorted_below() {
    let trades = vec![left(&[(Some(9), Some("a"), 2), (Some(1), Some("a"), 1)])];
    let late = vec![right(&[(Some(9), Some("a"), 90), (Some(1), Some("a"), 10)])];
    check(trades, late, spec(true, false, None), "1 10, 2 90");
}

#[test]
fn only_columns_that_are_used_are_read() {
    let join = asof_join(table("l", vec![left(&[])]), table("r", quotes()), spec(false, false, None)).expect("a plan");
    let plan = LogicalPlanBuilder::from(join).project([col("rv")]).and_then(LogicalPlanBuilder::build).expect("a plan");
    let shown = explained(&plan);
    assert!(!shown.contains("lk") && !shown.contains("rk"), "{shown}");
}

#[test]
fn keys_of_two_types_are_refused() {
    let spec = AsofSpec { left_time: 0, right_time: 0, keys: vec![(1, 2)], strict: false, tolerance_us: None };
    let error = asof_join(table("l", vec![left(&[])]), table("r", quotes()), spec).expect_err("text and number");
    assert!(error.to_string().contains("key lk is Utf8View, rv is Int64"), "{error}");
}

/// 100,000 right rows of two keys pass through a pool that could not hold a tenth of them.
#[test]
fn memory_holds_one_row_a_key() {
    let batches: Vec<RecordBatch> = (0..100)
        .map(|n| {
            let rows: Vec<_> =
                (0..1_000).map(|m| (Some(n * 1_000 + m), Some(if m % 2 == 0 { "a" } else { "b" }), m)).collect();
            right(&rows)
        })
        .collect();
    let size: usize = batches.iter().map(RecordBatch::get_array_memory_size).sum();
    let trades = vec![left(&[(Some(99_999), Some("a"), 1), (Some(200_000), Some("b"), 2)])];
    // Run directly: a MemTable does not say that it is ordered, and a sort would need more than the join.
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        use datafusion::datasource::memory::MemorySourceConfig;
        use datafusion::execution::runtime_env::RuntimeEnvBuilder;
        let source = |batches: Vec<RecordBatch>| -> Arc<dyn ExecutionPlan> {
            let schema = batches[0].schema();
            MemorySourceConfig::try_new_exec(&[batches], schema, None).expect("one schema")
        };
        let join = AsofJoinExec::new(source(trades), source(batches), spec(true, false, None)).expect("a plan");
        let runtime = RuntimeEnvBuilder::new().with_memory_limit(size / 10, 1.0).build_arc().expect("a runtime");
        let context = datafusion::execution::TaskContext::default().with_runtime(runtime);
        let rows = datafusion::physical_plan::collect(Arc::new(join), Arc::new(context)).await.expect("fits");
        assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
    });
}

#[test]
fn a_pool_that_is_too_small_is_an_error_that_names_the_operator() {
    let join = asof_join(table("l", vec![left(&[(Some(9), None, 1)])]), table("r", quotes()), spec(true, false, None));
    let error = run_within(&join.expect("a plan"), 100).expect_err("more than 100 bytes").to_string();
    assert!(error.contains("Resources exhausted"), "{error}");
}
