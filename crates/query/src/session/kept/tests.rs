//! A statement said again: what is kept of it, and what is not.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::LogicalPlan;

use super::*;
use crate::provider::AbsentTable;
use crate::session::tests::Server;

#[test]
fn texts_are_kept_when_they_come_again_and_only_so_many() {
    let kept = Kept::default();
    let one = kept.statement("select 1").expect("it parses");
    assert!(one.plan.is_none(), "said once");
    let again = kept.statement("select 1").expect("it parses");
    assert!(again.plan.is_some() && Arc::ptr_eq(&again, &kept.statement("select 1").expect("it parses")));
    for i in 0..2 * MOST {
        for _ in 0..2 {
            kept.statement(&format!("select {i}")).expect("it parses");
        }
        assert!(Arc::ptr_eq(&again, &kept.statement("select 1").expect("it parses")), "it was said just now");
    }
    assert_eq!(kept.lock().by_text.len(), MOST);
    let long = format!("select '{}'", "x".repeat(LONGEST_BYTES));
    for _ in 0..3 {
        assert!(kept.statement(&long).expect("it parses").plan.is_none());
    }
    kept.statement("select ] from").map(drop).expect_err("no statement");
}

/// Returns whether a plan is kept of a query that was said three times.
async fn is_kept(server: &Server, sql: &str) -> bool {
    for _ in 0..3 {
        server.longs(sql).await.expect(sql);
    }
    server.settings.kept.statement(sql).expect(sql).plan().is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_plan_reads_the_rows_of_its_own_moment() {
    let server = Server::new(64 << 20, 1 << 20);
    server.run("create table t (n long, ts timestamp) timestamp(ts) partition by day").await;
    let sql = "select n from t where n > 0 order by n";
    for n in 1..5 {
        server.run(&format!("insert into t values ({n}, {n})")).await;
        assert_eq!(server.longs(sql).await.expect(sql), (1..=n).collect::<Vec<i64>>());
    }
    assert!(is_kept(&server, sql).await);
    server.run("alter table t add column m long").await;
    assert_eq!(server.longs(sql).await.expect(sql).len(), 4);
    let all = "select * from t";
    assert!(is_kept(&server, all).await);
    server.run("alter table t drop column n").await;
    server.longs(sql).await.expect_err("the column is gone");
    server.run("drop table t").await;
    server.longs(sql).await.expect_err("the table is gone");
    server.run("create table t (n long)").await;
    server.run("insert into t values (9)").await;
    assert_eq!(server.longs(sql).await.expect(sql), [9]);
    server.run("rename table t to other").await;
    server.longs(sql).await.expect_err("the name is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_depends_on_the_moment_is_planned_each_time() {
    let server = Server::new(64 << 20, 1 << 20);
    server.run("create table t (n long, ts timestamp) timestamp(ts) partition by day").await;
    server.run("insert into t values (1, 1)").await;
    server.run("snapshot prepare 'before'").await;
    for sql in [
        "select n from t at snapshot 'before'",
        "select n from t where ts < now()",
        "select n from t where ts < systimestamp()",
        "select n from t where ts in '$today'",
        "select n + rnd_long(0, 5, 0) from t",
        "select timestamp_sequence(0, n)::long from t",
        "select n from t where current_user() = 'admin'",
        "select x from long_sequence(3)",
        "select count() from tables()",
        "select n from t where ts = (select max(ts) from t)",
        "select count() from pg_class where oid = 't'::regclass",
    ] {
        assert!(!is_kept(&server, sql).await, "{sql}");
    }
    for sql in
        ["select n from t where ts in '1970'", "select count() from t", "select n from t latest on ts partition by n"]
    {
        assert!(is_kept(&server, sql).await, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_plan_holds_no_rows() {
    let server = Server::new(64 << 20, 1 << 20);
    server.run("create table t (n long, ts timestamp) timestamp(ts) partition by day").await;
    server.run("insert into t values (1, 1)").await;
    assert!(is_kept(&server, "select n from t").await);
    let entry = server.settings.kept.statement("select n from t").expect("it parses");
    let plan = entry.plan().expect("it is kept");
    let mut absent = 0;
    let walked = plan.plan().apply(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let provider = source_as_provider(&scan.source)?;
            assert!(provider.downcast_ref::<AbsentTable>().is_some(), "the table itself is in the plan");
            absent += 1;
        }
        Ok(TreeNodeRecursion::Continue)
    });
    walked.expect("nothing fails");
    assert_eq!(absent, 1);
}
