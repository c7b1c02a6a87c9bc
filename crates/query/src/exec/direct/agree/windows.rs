//! Window functions.

use super::{Plan, agree, agree_in_order};

const DIRECT: Plan<'static> = Plan::Uses("DirectWindowExec");
const BY_S: &str = "partition by s order by ts";

fn check(functions: &[&str], over: &[&str]) {
    let mut sql = Vec::new();
    for function in functions {
        for over in over {
            sql.push(format!("select ts, s, {function} over ({over}) v from t"));
        }
    }
    agree_in_order(&sql.iter().map(|sql| (sql.as_str(), DIRECT)).collect::<Vec<_>>());
}

#[test]
fn rows_are_numbered_and_ranked() {
    check(
        &["row_number()", "rank()", "dense_rank()"],
        &[BY_S, "order by ts", "partition by s, k order by ts", "partition by k order by ts"],
    );
    check(&["row_number()"], &["", "partition by s"]);
}

#[test]
fn frames_move_and_grow() {
    check(
        &["sum(d)", "avg(i)", "ksum(d)", "count(v)", "count(*)", "min(d)", "max(l)"],
        &[
            BY_S,
            "partition by s order by ts rows between 9 preceding and current row",
            "partition by s order by ts rows between current row and current row",
            "partition by s order by ts rows between 1 preceding and current row",
            "order by ts rows between 300 preceding and current row",
            "partition by s rows between unbounded preceding and current row",
            "partition by s order by ts range between '20' minute preceding and current row",
            "partition by s order by ts range between '1' day preceding and current row",
        ],
    );
    check(
        &["min(ts)", "max(dt)", "sum(f * 2 - d)", "avg(d + i)"],
        &[BY_S, "partition by s order by ts rows 3 preceding"],
    );
}

#[test]
fn rows_before_and_first_and_last_are_picked() {
    check(
        &[
            "lag(d)",
            "lag(l, 3)",
            "lag(ts, 2)",
            "lag(i, 1, 7)",
            "lag(d, 0)",
            "lag(d, 2) ignore nulls",
            "first_value(d)",
            "first_value(i) ignore nulls",
            "last_value(l)",
            "last_value(d) ignore nulls",
            "first_value(ts)",
        ],
        &[BY_S, "order by ts"],
    );
}

#[test]
fn several_calls_filters_and_aggregates() {
    agree_in_order(&[
        (
            "select *, row_number() over (partition by s order by ts) n, avg(d) over (partition by s order by ts rows 4 preceding) a, \
          sum(d) over (order by ts) b from t",
            DIRECT,
        ),
        ("select ts, v, lag(d) over (partition by s order by ts) p from t where s in ('s1', 's2') and i > 0", DIRECT),
        ("select ts, sum(d) over (partition by k order by ts) p from t where ts in '2024-03-31T02'", DIRECT),
        (
            "select ts, d - avg(d) over (partition by s order by ts rows between 9 preceding and current row) x from t",
            DIRECT,
        ),
    ]);
    agree(&[
        ("select max(n) from (select row_number() over (partition by s order by ts) n from t)", DIRECT),
        (
            "select s, max(n), sum(a) from (select s, row_number() over (partition by s order by ts) n, \
          avg(d) over (partition by s order by ts rows between 9 preceding and current row) a from t) group by s",
            DIRECT,
        ),
        (
            "select ts, s, n from (select ts, s, row_number() over (partition by s order by ts) n from t) where n <= 3",
            DIRECT,
        ),
    ]);
}

#[test]
fn other_windows_stay_plain() {
    agree_in_order(&[
        ("select ts, sum(d) over (partition by s) v from t", Plan::FallsBack("behind the current one")),
        ("select ts, lead(d) over (partition by s order by ts) v from t", Plan::FallsBack("behind the current one")),
        ("select ts, row_number() over (partition by s order by ts desc) v from t", Plan::FallsBack("ordered")),
        ("select ts, row_number() over (partition by i order by ts) v from t", Plan::FallsBack("partitioned")),
        ("select ts, lag(s) over (partition by k order by ts) v from t", Plan::FallsBack("neither")),
        (
            "select ts, sum(d) over (partition by s order by ts rows between 5 preceding and 1 preceding) v from t",
            Plan::FallsBack("behind"),
        ),
        (
            "select ts, sum(d) over (partition by s order by ts rows between 5000 preceding and current row) v from t",
            Plan::FallsBack("very many"),
        ),
    ]);
}
