//! Statements that take too much: stopped where they do, by name.

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use datafusion::physical_plan::displayable;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::*;

async fn plan(sql: &str, memory_bytes: usize) -> String {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    let column = || Arc::new(Int64Array::from_iter_values(0..1_000)) as ArrayRef;
    for name in ["a", "b"] {
        let rows = RecordBatch::try_from_iter([("k", column()), ("v", column())]).expect("two columns");
        context.register_batch(name, rows).expect("a new name");
    }
    let plan = context.sql(sql).await.expect("it plans").create_physical_plan().await.expect("it plans");
    let plan = Bounded { memory_bytes }.optimize(plan, &ConfigOptions::new()).expect("it stays valid");
    let rows = datafusion::physical_plan::collect(plan.clone(), context.task_ctx()).await.expect("it runs");
    let rows: usize = rows.iter().map(RecordBatch::num_rows).sum();
    format!("{rows}\n{}", displayable(plan.as_ref()).indent(false))
}

#[tokio::test]
async fn a_join_that_keeps_too_much_is_merged_and_gives_the_same_rows() {
    let sql = "select a.v, b.v from a join b on a.k = b.k where a.v > b.v - 1";
    let (small, large) = (plan(sql, 1 << 30).await, plan(sql, 1 << 10).await);
    assert!(small.starts_with("1000\n") && small.contains("HashJoinExec"), "{small}");
    assert!(large.starts_with("1000\n") && large.contains("SortMergeJoinExec"), "{large}");
    assert!(!large.contains("HashJoinExec") && large.contains("CooperativeExec"), "{large}");
}
