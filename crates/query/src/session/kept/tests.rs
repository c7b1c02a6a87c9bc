//! A statement said again: what is kept of it, and what is not.

use arrow::array::AsArray;
use arrow::datatypes::{Int32Type, Int64Type};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, displayable};

use super::*;
use crate::provider::AbsentTable;
use crate::session::tests::Server;
use crate::{Outcome, Param, Settings};

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
async fn a_kept_plan_over_a_view_is_one_of_the_views_text() {
    let server = Server::new(64 << 20, 1 << 20);
    server.run("create table t (n long, ts timestamp) timestamp(ts) partition by day").await;
    server.run("insert into t values (1, 1), (2, 2), (3, 3), (4, 4), (5, 5)").await;
    server.run("create view v as (select n, ts from t where n > 1)").await;
    server.run("create view w as (select n from v)").await;
    let both = ["select n from v order by n", "select n from w order by n"];
    for sql in both {
        assert!(is_kept(&server, sql).await, "{sql}");
    }
    // The condition of the view stays, whatever the literals of the query are.
    for below in [4, 5, 6, 5, 4, 6] {
        for _ in 0..2 {
            let sql = format!("select n from v where n < {below}");
            assert_eq!(server.longs(&sql).await.expect(&sql), (2..below).collect::<Vec<i64>>());
        }
    }
    server.run("alter view v as (select n, ts from t where n > 3)").await;
    for sql in both {
        assert_eq!(server.longs(sql).await.expect(sql), [4, 5], "{sql}");
    }
    assert_eq!(server.longs("select n from v where n < 5").await.expect("the view is there"), [4]);
    server.run("drop view v").await;
    for sql in both {
        server.longs(sql).await.expect_err("the view is gone");
    }
    server.run("create table v (n long)").await;
    server.run("insert into v values (9)").await;
    for sql in both {
        assert_eq!(server.longs(sql).await.expect(sql), [9], "{sql}");
    }
    // A view hides an expression of its name, from when it is there.
    let named = "with c as (select n from t where n = 1) select n from c";
    assert!(is_kept(&server, named).await);
    server.run("create view c as (select n from t where n = 2)").await;
    assert_eq!(server.longs(named).await.expect(named), [2]);
    server.run("drop view c").await;
    assert_eq!(server.longs(named).await.expect(named), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_through_views() {
    let server = Server::new(64 << 20, 1 << 20);
    server.run("create table t (n long, s symbol, ts timestamp) timestamp(ts) partition by day").await;
    server.run("create view v as (select * from t where n > 1)").await;
    server.run("create view w as (declare overridable @s := 'a' select ts, n from v where s = @s)").await;
    let session = server.session();
    for (over_view, over_table) in [
        ("select ts, count() from v sample by 1h", "select ts, count() from t where n > 1 sample by 1h"),
        ("select s, sum(n) from v", "select s, sum(n) from t where n > 1"),
        (
            "select * from v latest on ts partition by s",
            "select * from (select * from t where n > 1) latest on ts partition by s",
        ),
        ("select ts, max(n) from w sample by 1h", "select ts, max(n) from t where n > 1 and s = 'a' sample by 1h"),
    ] {
        let mut names = Vec::new();
        for sql in [over_view, over_table] {
            let plan = session.physical_plan(sql).await.expect(sql);
            let shown = displayable(plan.as_ref()).indent(false).to_string();
            let name = |line: &str| line.trim().split(':').next().unwrap_or_default().to_owned();
            names.push(shown.lines().map(name).collect::<Vec<_>>());
        }
        assert_eq!(names[0], names[1], "{over_view}");
        assert!(names[0].iter().any(|name| name.starts_with("Direct")), "{names:?}");
    }
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
    let source = plan.source().expect("the physical plan is kept too");
    assert_eq!((source.view().row_count().ok(), source.view().name().as_str()), (Some(0), "t"));
    let grouped = "select n, count() from t group by n";
    assert!(is_kept(&server, grouped).await);
    let plan = server.settings.kept.statement(grouped).expect("it parses").plan().expect("it is kept");
    assert_eq!(plan.source().expect("it is run again").view().row_count().ok(), Some(0));
}

const SHAPES_TABLE: [&str; 2] = [
    "create table t (s symbol, v double, f float, n int, l long, x varchar, c char, u uuid, d date, b boolean, ts timestamp) \
     timestamp(ts) partition by day",
    "insert into t select case when x % 3 = 0 then 'a' when x % 3 = 1 then 'b' else 'it''s' end, x / 4.0, x / 8.0, x, \
     x * 1000000, 'x' || x, 'q', '11111111-1111-1111-1111-111111111111', x * 3600000, x % 2 = 0, timestamp_sequence(0, 3600000000) from long_sequence(100)",
];

impl Server {
    /// Returns the same database under plans of the engine alone, none of which is kept.
    pub fn plain(&self) -> Server {
        let mut settings = Settings::new(self.settings.env.clone());
        settings.plain = true;
        Server { database: self.database.clone(), settings: settings.shared() }
    }
}

pub async fn server_of_shapes() -> Server {
    let server = Server::new(64 << 20, 1 << 20);
    for sql in SHAPES_TABLE {
        server.run(sql).await;
    }
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn other_literals_make_the_plan_that_the_whole_text_makes() {
    let server = server_of_shapes().await;
    let session = server.session();
    let mut not_kept = Vec::new();
    for (shape, literals) in [
        ("select * from t where s = ?", &["'a'", "'b'", "'it''s'", "'none'", "''", "E'a'"][..]),
        ("select n, v from t where n = ?", &["5", "6", "7L", "8.0", "1_0", "99999999999", "'9'", "1e2"]),
        ("select n a, v b, v + 1 from t where v > ? limit 3", &["5", "6.5", "7", "0", "1e300"]),
        ("select l from t where l <> ?", &["5", "1000000", "3000000000", "'7'"]),
        ("select x from t where x = ?", &["'x1'", "'x2'", "'it''s'", "''"]),
        ("select c from t where c != ?", &["'q'", "'r'", "'s'"]),
        ("select u, d from t where d > ?", &["'1970-01-02'", "'1970-01-03'", "'1970-01-04T05'"]),
        ("select * from t where ts in ?", &["'1970-01-01'", "'1970-01-02'", "'1970-01-01T05;2h'", "'1970'", "'2030'"]),
        ("select n from t where ts = ?", &["'1970-01-01'", "'1970-01-02T03'", "'1970-01-03'", "7200000000"]),
        (
            "select n from t where s = 'a' and ts >= ? and ts < '1970-01-04' order by ts desc limit 2",
            &["'1970-01-01'", "'1970-01-02'", "'1970-01-03T04'", "3600000000"],
        ),
        ("select n from t where ts between ? and '1970-01-03'", &["'1970-01-01'", "'1970-01-02'", "'1970-01-04'"]),
        ("select s, n from t where s in (?, 'b')", &["'a'", "'c'", "'it''s'"]),
        ("select s, n from t where n >= ? and v < 90 latest on ts partition by s", &["5", "60", "0", "70.5"]),
        ("select count(), min(ts), last(n) from t where ts > ?", &["'1970-01-01'", "'1970-01-02'", "'1970-01-03'"]),
        ("select s, count(), avg(v) from t where n > ? order by s", &["5", "6", "7", "90"]),
        ("select s, n % 3 k, sum(l) from t where s in (?, 'b')", &["'a'", "'c'", "'it''s'"]),
        ("select count() c, max(v) from t where s = ? and ts in '1970-01-02'", &["'a'", "'b'", "'it''s'"]),
        ("select ts, first(v), last(n) from t where s = ? sample by 1h", &["'a'", "'b'", "'it''s'"]),
        ("select ts, s, max(n) from t where n < ? sample by 1d order by ts", &["50", "60", "70"]),
        ("select ts, avg(v), max(n) from t where s = ? sample by 1h fill(linear)", &["'a'", "'b'", "'it''s'"]),
        ("select distinct s from t where ts >= ?", &["'1970-01-02'", "'1970-01-03'", "'1970-01-04'"]),
        ("select q.v from t q where q.v < ? and q.s = 'a'", &["5", "6", "7.5", "0"]),
        ("select q.f from t q where q.f < ? limit 4", &["5", "6", "7.5", "0"]),
        ("select n from t where n = ? or s = 'a' or v > 20", &["5", "6", "7", "100"]),
        ("select n from t where not (n < ? and (s = 'b' or v > 2))", &["5", "6", "70", "-3"]),
        ("select n from t where n > -? and l <> -5 and abs(v - ?) < 3", &["5", "6", "7"]),
        ("select n from t where ts > dateadd('h', ?, '1970-01-02') and length(x) > 2", &["5", "6", "7"]),
        ("select n from t where date_trunc('day', ts) = ?", &["'1970-01-01'", "'1970-01-02'", "'1970-01-04'"]),
        ("select n from t where s like ?", &["'a%'", "'it%'", "'%b'", "'b'"]),
        ("select n from t where case when n > ? then v else 0 end > 3", &["5", "6", "7"]),
        ("select n from t where n::double > ? and s is not null", &["5", "6", "7.5"]),
    ] {
        let said = |literal: &str| shape.replace('?', literal);
        for literal in &literals[..2] {
            server.rows(&said(literal)).await.expect(shape);
        }
        let mut fitting = 0;
        for sql in literals[2..].iter().map(|literal| said(literal)) {
            // a number in the place of a text is another shape, and what is always false is planned as a whole
            let Ok(Known::Shape(shape, varying)) = server.settings.kept.known(&sql, true) else { continue };
            let Some(ready) = session.shaped(&shape, &varying.literals, &[]) else { continue };
            fitting += 1;
            let whole = session.physical_plan(&sql).await.expect(&sql);
            let show = |plan: &Arc<dyn ExecutionPlan>| displayable(plan.as_ref()).indent(true).to_string();
            assert_eq!(show(&ready.physical), show(&whole), "{sql}");
            assert_eq!(ready.physical.schema(), whole.schema(), "{sql}");
        }
        if fitting == 0 {
            not_kept.push(shape);
        }
    }
    assert!(not_kept.is_empty(), "no shape is kept of {not_kept:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_of_one_shape_answer_as_they_do_alone() {
    let server = server_of_shapes().await;
    let plain = server.plain();
    let operands = [
        "5",
        "'a'",
        "'it''s'",
        "''",
        "7L",
        "2.5",
        "1e400",
        "1_",
        "0x1f",
        "#u33",
        "99999999999999999999",
        "'1970-01-02'",
        "'1970-13-02'",
        "'$now'",
        "'1970-01-01;1h;1d;2'",
        "'x'",
        "'5'",
        "5f",
        "5m",
        "E'a\\n'",
        "'é'",
        "'NaN'",
    ];
    for shape in [
        "select s, n from t where s = ? limit 3",
        "select s, n from t where n > ? and v < ? order by ts desc limit 4",
        "select n from t where ts in ? order by n",
        "select n, ts from t where ts > ? limit 2",
        "select n from t where c = ? limit 1",
        "select n from t where b = ? limit 1",
        "select n from t where u = ? limit 1",
        "select n from t where d between ? and ? limit 2",
        "select s, n from t where l in (?, ?) latest on ts partition by s",
        "select nothing from t where n = ?",
        "select count() from t where x < ?",
        "select count() from t where ts < ?",
        "select n from t where n = ? or s = ? limit 5",
        "select s, count() from t where v > ? order by s",
        "select s, count() from t where s = ? or n < ? order by s",
        "select s, n from t where s in (?, ?) order by s desc, n limit 3",
        "select ts, sum(n) from t where n <> ? sample by 6h",
        "select ts, sum(n) from t where ts in ? sample by 6h",
        "select ts, sum(n) from t where ts in ? sample by 6h from '1970-01-02' to '1970-01-03'",
        "select ts, s, sum(n) from t where s = ? sample by 1d order by ts, s",
        "select ts, sum(n) from t where ts > ? sample by 6h align to first observation",
        "select ts, sum(n) from t where ts > ? sample by 6h fill(prev) align to first observation",
        "select ts, s, sum(n), max(v) from t where n < ? sample by 5h fill(7, null)",
        "select s, first(n), last(v) from t where ts > ? and v > -?",
        "select n from t where not (v < ? or n > ?) limit 5",
        "select n from t where v > -? and abs(n) < ? limit 5",
        "select n from t q where q.f < ? and q.x <> ? limit 5",
        "select n from t where x || 'a' = ? or length(x) > ? limit 5",
        "select n from t where dateadd('h', ?, ts) > ? limit 5",
        "select n from t where x like ? limit 5",
    ] {
        for operand in operands.iter().chain(&operands) {
            let sql = shape.replace('?', operand);
            assert_eq!(server.rows(&sql).await, plain.rows(&sql).await, "{sql}");
        }
    }
    assert!(shared(&server.settings.kept.shapes).by_text.len() > 8, "shapes were used");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_of_a_known_shape_is_planned_for_itself_when_it_comes_often() {
    let server = server_of_shapes().await;
    let said = |n: i64| format!("select l from t where n = {n} limit 3");
    for n in 1..4 {
        server.longs(&said(n)).await.expect("it answers");
    }
    for _ in 0..OFTEN {
        assert!(matches!(server.settings.kept.known(&said(9), true), Ok(Known::Shape(..))));
    }
    for _ in 0..2 {
        assert_eq!(server.longs(&said(9)).await, Ok(vec![9_000_000]));
    }
    assert!(server.settings.kept.has_plan(&said(9)));
}

#[tokio::test(flavor = "multi_thread")]
async fn literals_that_leave_one_value_decide_over_no_order() {
    let server = server_of_shapes().await;
    let said = |low: i64, high: i64| format!("select l from t where n between {low} and {high} order by n desc");
    for n in 1..4 {
        assert_eq!(server.longs(&said(n, n)).await, Ok(vec![n * 1_000_000]));
    }
    assert_eq!(server.longs(&said(4, 6)).await, Ok(vec![6_000_000, 5_000_000, 4_000_000]));
    let first = |low: i64, high: i64| format!("{} limit 2", said(low, high));
    for n in 1..4 {
        assert_eq!(server.longs(&first(n, n)).await, Ok(vec![n * 1_000_000]));
    }
    assert_eq!(server.longs(&first(4, 6)).await, Ok(vec![6_000_000, 5_000_000]));
    let said =
        |a: &str, b: &str| format!("select n::long from t where s in ('{a}', '{b}') and n < 4 order by s, ts desc");
    for _ in 0..2 {
        assert_eq!(server.longs(&said("a", "a")).await, Ok(vec![3]));
        assert_eq!(server.longs(&said("b", "b")).await, Ok(vec![1]));
    }
    assert_eq!(server.longs(&said("b", "a")).await, Ok(vec![3, 1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn literals_that_are_equal_once_go_to_their_own_places() {
    let server = server_of_shapes().await;
    let said = |a: i64, b: i64| format!("select n::long from t where (n = {a} or l = {b}000000) and v >= 0");
    for _ in 0..2 {
        assert_eq!(server.longs(&said(5, 5)).await, Ok(vec![5]));
    }
    assert_eq!(server.longs(&said(6, 9)).await, Ok(vec![6, 9]));
    let extract = |unit: &str, n: i64| format!("select n::long from t where extract({unit} from ts) = {n} and n < {n}");
    for (unit, n, expected) in [("hour", 3, vec![]), ("hour", 4, vec![]), ("hour", 5, vec![]), ("day", 3, vec![])] {
        assert_eq!(server.longs(&extract(unit, n)).await, Ok(expected), "{unit} {n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nanoseconds_keep_their_order_whatever_one_instant_let_through() {
    let server = Server::new(64 << 20, 1 << 20);
    server.run("create table t (n long, ts timestamp_ns) timestamp(ts) partition by day").await;
    for n in 1..10 {
        server.run(&format!("insert into t values ({n}, '1970-01-01T00:00:00.{:09}')", n * 1500)).await;
    }
    let plain = server.plain();
    for shape in [
        "select n from t where ts in ?",
        "select n from t where ts >= ? and ts < '1970-01-01T00:00:00.000010500'",
        "select n from t where ts = ? order by ts desc",
        "select n from t where ts in ? order by ts desc",
        "select n from t where ts >= ? limit -2",
        "select n from t where ts in ? limit -2",
        "select n from t where n > ? order by ts desc limit 2",
    ] {
        let instants = ["'1970-01-01T00:00:00.000004500'", "'1970-01-01T00:00:00.000003'", "'1970-01-01'", "3", "'x'"];
        for operand in instants.iter().chain(&instants) {
            let sql = shape.replace('?', operand);
            assert_eq!(server.rows(&sql).await, plain.rows(&sql).await, "{sql}");
        }
    }
    assert!(shared(&server.settings.kept.shapes).by_text.len() > 3, "shapes were used");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_beside_the_conditions_must_be_what_it_was() {
    let server = server_of_shapes().await;
    let sql = "select n + $2 from t where n >= $1 and n <> $3 limit $4";
    let mut session = server.session();
    for [least, added, without, limit] in
        [[5, 10, 6, 2], [8, 10, 8, 2], [8, 10, 9, 3], [8, 20, 9, 3], [5, 10, 6, 2], [7, 10, 7, 2]]
    {
        let params = [least, added, without, limit].map(Param::Int);
        let Ok(Outcome::Rows(mut rows)) = session.execute(sql, &params).await else { panic!("it has rows") };
        let batch = rows.next().await.expect("no error").expect("rows");
        let seen: Vec<i64> =
            batch.column(0).as_primitive::<Int32Type>().values().iter().map(|n| i64::from(*n)).collect();
        let expected =
            (least..).filter(|n| *n != without).map(|n| n + added).take(usize::try_from(limit).expect("small"));
        assert_eq!(seen, expected.collect::<Vec<_>>(), "{params:?}");
    }
    let entry = server.settings.kept.statement(sql).expect("it parses");
    let shape = entry.shape().expect("it is kept");
    assert!(shape.fits(&[1, 10, 9, 2].map(Param::Int)) && !shape.fits(&[1, 10, 9, 3].map(Param::Int)));
    assert!(!shape.fits(&[Param::Int(1)]) && !shape.fits(&[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_need_more_memory_than_there_is_spill_though_they_were_planned_for_other_literals() {
    let server = Server::new(8 << 20, 1 << 30);
    server.run("create table t (n long, s symbol, ts timestamp) timestamp(ts) partition by day").await;
    server.run("insert into t select x, 's' || (x % 3), timestamp_sequence(0, 1000) from long_sequence(150000)").await;
    let said = |least: i64, of: &str| {
        format!("select sum(c)::long from (select n, count() c from t where n > {least} and s <> '{of}' group by n)")
    };
    let grouped = |least: i64| format!("select n, count() from t where n > {least} group by n");
    for least in [149_000, 149_100, 0, 1_000] {
        assert_eq!(server.longs(&grouped(least)).await.expect("it spills").len() as i64, 150_000 - least);
        assert_eq!(server.longs(&said(least, "none")).await, Ok(vec![150_000 - least]));
    }
    let is_shape = matches!(server.settings.kept.known(&grouped(5), true), Ok(Known::Shape(..)));
    assert!(is_shape, "the same plan was used for few and for many groups");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_symbol_with_too_many_texts_ends_the_order_of_groups() {
    let server = Server::new(256 << 20, 1 << 20);
    server.run("create table t (s symbol, n long, ts timestamp) timestamp(ts) partition by day").await;
    server.run("insert into t select 'x' || (x % 10), x, timestamp_sequence(0, 1) from long_sequence(100)").await;
    let said = |below: i64| format!("select count() from (select s, max(n) from t where n < {below} order by s)");
    let sorted = |below: i64| format!("select max(n) m, s from t where n < {below} order by s limit 2");
    for below in [50, 60, 70] {
        assert_eq!(server.longs(&said(below)).await, Ok(vec![10]));
        server.longs(&sorted(below)).await.expect("two groups");
    }
    server.run("insert into t select 'y' || x, x, timestamp_sequence(0, 1) from long_sequence(70000)").await;
    for below in [80, 90] {
        assert_eq!(server.longs(&said(below)).await, Ok(vec![10 + below - 1]));
        assert_eq!(server.rows(&sorted(below)).await, server.plain().rows(&sorted(below)).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shape_ends_with_its_table() {
    let server = server_of_shapes().await;
    let said = |n: i64| format!("select l from t where n = {n} limit 9");
    for n in 1..5 {
        assert_eq!(server.longs(&said(n)).await, Ok(vec![n * 1_000_000]));
    }
    server.run("insert into t (n, l, ts) values (6, 66, '2024-01-01')").await;
    assert_eq!(server.longs(&said(6)).await, Ok(vec![6_000_000, 66]), "the rows of its own moment");
    server.run("alter table t drop column l").await;
    server.longs(&said(7)).await.expect_err("the column is gone");
    server.run("alter table t add column l long").await;
    assert_eq!(server.longs(&said(8)).await.expect("it is another one").len(), 1);
    server.run("drop table t").await;
    server.longs(&said(9)).await.expect_err("the table is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_with_parameters_is_planned_once() {
    let server = server_of_shapes().await;
    let sql = "select l from t where n >= $1 and ts < $2 and s <> $3 limit 1";
    let mut session = server.session();
    for n in 1..6i64 {
        for before in [Param::Text("1970-01-05".to_owned()), Param::TimestampUs(4 * 86_400_000_000)] {
            let params = [Param::Int(n), before, Param::Text("none".to_owned())];
            let Ok(Outcome::Rows(mut rows)) = session.execute(sql, &params).await else { panic!("it has rows") };
            let batch = rows.next().await.expect("no error").expect("a row");
            assert_eq!(batch.column(0).as_primitive::<Int64Type>().value(0), n * 1_000_000);
        }
    }
    let entry = server.settings.kept.statement(sql).expect("it parses");
    assert!(entry.shape().is_some());
    let wrong = [Param::Text("no number".to_owned()), Param::Null, Param::Null];
    let alone = server_of_shapes().await.session().execute(sql, &wrong).await.map(drop);
    assert_eq!(session.execute(sql, &wrong).await.map(drop), alone);
    let few = session.execute(sql, &[Param::Int(1)]).await.map(drop).expect_err("two are missing");
    assert!(few.message.contains("undefined bind variable: $2"), "{few:?}");
}
