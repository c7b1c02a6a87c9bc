//! ASOF and LT joins, and hash joins on symbols.

use super::{Plan, agree, agree_in_order};

const ASOF: Plan<'static> = Plan::Uses("DirectAsofJoinExec");
const LT: Plan<'static> = Plan::Uses("DirectLtJoinExec");

#[test]
fn left_rows_meet_the_newest_right_row_of_their_key() {
    agree_in_order(&[
        ("select t.ts, t.s, t.d, u.ts, u.s, u.d from t asof join u on (s)", ASOF),
        ("select t.ts, t.s, t.d, u.ts, u.s, u.d from t lt join u on (s)", LT),
        ("select t.ts, t.d, u.ts, u.d from t asof join u", ASOF),
        ("select t.ts, t.d, u.ts, u.d from t lt join u", LT),
        ("select u.ts, t.ts, u.s, u.d - t.d, t.l from u asof join t on u.s = t.s", ASOF),
        ("select u.ts, t.ts, u.s, u.d - t.d, t.l from u lt join t on u.s = t.s", LT),
        ("select u.ts, t.ts, t.i from u asof join t", ASOF),
        ("select u.ts, t.ts, t.i from u lt join t", LT),
        ("select a.ts, b.ts, a.s, b.s, b.l from t a lt join t b on (s)", LT),
    ]);
}

#[test]
fn values_of_every_type_are_taken() {
    agree_in_order(&[
        ("select * from t asof join u on (s)", ASOF),
        ("select * from t lt join u", LT),
        ("select * from u asof join t on (s)", ASOF),
        ("select * from t a asof join t b on a.k = b.s", ASOF),
    ]);
}

#[test]
fn several_keys_are_equal_when_all_are() {
    agree_in_order(&[
        ("select t.ts, t.s, t.k, u.ts, u.s, u.k from t asof join u on (s, k)", ASOF),
        ("select u.ts, u.s, u.k, t.ts, t.s, t.k from u asof join t on u.k = t.k and u.s = t.s", ASOF),
        ("select a.ts, b.ts from t a lt join t b on (s, k)", LT),
    ]);
}

#[test]
fn matches_lie_within_the_tolerance() {
    agree_in_order(&[
        ("select t.ts, u.ts, u.d from t asof join u on (s) tolerance 10m", ASOF),
        ("select t.ts, u.ts, u.d from t lt join u on (s) tolerance 1h", LT),
        ("select t.ts, u.ts, u.d from t asof join u tolerance 300s", ASOF),
        ("select u.ts, t.ts, t.d from u lt join t tolerance 300s", LT),
        (
            "select u.ts, t.ts, t.d from (select * from u where ts > '2024-03-30T20:00') u asof join t on (s) tolerance 2h",
            ASOF,
        ),
    ]);
}

#[test]
fn filters_of_either_side_hold_before_the_join() {
    let late = "(select * from t where ts >= '2024-03-31T03:10')";
    let sql = [
        format!("select t.ts, u.ts, u.d from {late} t asof join u on (s)"),
        format!("select t.ts, u.ts, u.d from {late} t asof join u"),
        format!("select t.ts, u.ts, u.d from {late} t lt join u on (s, k)"),
        "select u.ts, t.ts, t.d from (select * from u where ts in '2024-03-31T05') u asof join t on (s)".to_owned(),
        "select u.ts, t.ts, t.d from (select * from u where ts in '2024-03-31T05') u lt join t".to_owned(),
        "select u.ts, t.ts, t.d from (select * from u where s = 's1') u asof join t on (s)".to_owned(),
        "select t.ts, u.ts from t asof join (select * from u where d > 20 and s <> 's2') u on (s)".to_owned(),
        "select t.ts, u.ts from t asof join (select * from u where ts < '2024-03-30T22:00') u on (s)".to_owned(),
        format!("select t.ts, u.ts from {late} t asof join (select * from u where ts < '2024-03-30T22:00') u"),
        "select t.ts, u.ts from (select * from t where d > 1000000) t asof join u on (s)".to_owned(),
        "select t.ts, u.ts from t asof join (select * from u where d > 1000000) u on (s)".to_owned(),
        "select t.ts, t.w, u.ts from (select ts, s, d * 2 w from t) t asof join u on (s)".to_owned(),
        "select * from t asof join u on (s) where t.ts in '2024-03-31' and u.d > 3 and t.i > 0".to_owned(),
        "select t.ts, u.ts from t asof join u on (s) where t.s = 's1' and t.ts > '2024-03-31T02' and u.d is null"
            .to_owned(),
    ];
    agree_in_order(&sql.iter().map(|sql| (sql.as_str(), ASOF.or_lt(sql))).collect::<Vec<_>>());
}

impl Plan<'_> {
    fn or_lt(self, sql: &str) -> Self {
        if sql.contains("lt join") { LT } else { self }
    }
}

#[test]
fn aggregates_and_order_stand_on_top() {
    agree(&[
        ("select sum(t.d - u.d), count() from t asof join u on (s)", ASOF),
        ("select t.s, avg(t.i - u.i), max(u.d) from t asof join u on (s) group by t.s", ASOF),
        ("select t.ts, t.s, u.d from t asof join u on (s) order by u.d, t.l, t.ts, t.s limit 20", ASOF),
        ("select t.ts, sum(u.i) from t asof join u on (s) sample by 1h", ASOF),
        ("select count() from t asof join u on (s) where u.ts is null", ASOF),
        ("select t.ts, u.d from t asof join u on (s) limit 10", ASOF),
    ]);
}

#[test]
fn other_shapes_stay_plain() {
    agree_in_order(&[
        ("select t.ts, u.ts from t asof join u on (i)", Plan::FallsBack("key i:")),
        (
            "select t.ts, u.w from t asof join (select ts, s, coalesce(d, 7) w from u) u on (s)",
            Plan::FallsBack("computed"),
        ),
        ("select t.ts, u.ts from t asof join (select * from u limit 5) u on (s)", Plan::FallsBack("right side")),
        ("select t.ts, u.ts, b.ts from t asof join u on (s) asof join t b on (s)", ASOF),
    ]);
}

const HASH: Plan<'static> = Plan::Uses("DirectHashJoinExec");

#[test]
fn rows_of_a_table_meet_kept_ones_by_their_symbol() {
    agree_in_order(&[
        ("select t.ts, t.s, t.d, m.b from t join (select s, max(d) b from u group by s) m on t.s = m.s", HASH),
        (
            "select t.ts, t.s, t.d, m.b, m.s from t left join (select s, max(d) b from u group by s) m on t.s = m.s",
            HASH,
        ),
        ("select t.ts, m.b, m.k from t join (select k, count() b from u where i > 0 group by k) m on t.s = m.k", HASH),
        ("select t.ts, t.v, t.c, m.n from t join (select s, count() n from t group by s) m on (s) where t.i > 0", HASH),
        (
            "select t.ts, m.b from (select * from t where s = 's1') t left join (select s, sum(i) b from u group by s) m on t.s = m.s",
            HASH,
        ),
        (
            "select t.ts, t.s, m.b from t join (select s, max(d) b from u where d > 1e300 group by s) m on t.s = m.s",
            HASH,
        ),
        (
            "select t.ts, t.s, m.b from t left join (select s, max(d) b from u where s = 'nowhere' group by s) m on t.s = m.s",
            HASH,
        ),
    ]);
}

#[test]
fn many_kept_rows_of_one_symbol_all_come() {
    agree_in_order(&[
        ("select t.ts, t.s, u.ts, u.l from t join u on (s)", HASH),
        ("select t.ts, t.s, u.ts, u.v from t left join (select * from u where i > 0) u on (s)", HASH),
        ("select a.ts, b.ts from (select * from u where i > 200) a join u b on a.k = b.k", HASH),
    ]);
    agree(&[
        ("select count(), sum(t.d - m.b) from t join (select s, max(d) b from u group by s) m on t.s = m.s", HASH),
        ("select count(), sum(t.i + u.i) from t join u on t.s = u.s", HASH),
        ("select t.s, count() from t join u on t.s = u.k group by t.s", HASH),
    ]);
}
