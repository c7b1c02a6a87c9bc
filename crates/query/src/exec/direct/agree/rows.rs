//! Rows and filters, and what the ends of a table tell.

use super::Plan::{Any, Uses};
use super::{agree, agree_in_order};

const ROWS: super::Plan<'static> = Uses("DirectRowsExec");
const ENDS: super::Plan<'static> = Uses("DirectEndsExec");

#[test]
fn filtered_rows_are_those_of_the_plain_plan_in_its_order() {
    agree_in_order(&[
        ("select * from t", ROWS),
        ("select v, s from t", ROWS),
        ("select ts, s, d from t where s = 's1'", ROWS),
        ("select ts, d from t where s != 's1'", ROWS),
        ("select * from t where s in ('s1', 's4', 'nowhere') and d > 20", ROWS),
        ("select * from t where s is null or k = 'k5'", ROWS),
        ("select * from t where s = 'nowhere'", ROWS),
        ("select * from t where s = k", ROWS),
        ("select c, v, dt from t where c = 'é' and v ~ 'text 1.*'", ROWS),
        ("select * from t where ts in '2024-03-31' and l > 5", ROWS),
        ("select * from t where ts in '2024-03-30T15;10m;1h;5'", ROWS),
        ("select * from t where ts > '2024-03-31T01:30' and ts <= '2024-03-31T03:10' and b", ROWS),
        ("select * from t where ts in '2031'", ROWS),
        ("select l, i from t where l >= 9223372036854775807 or i < -400 or f is null", ROWS),
        ("select d from t where d = 0.0 or d > 1e300 or d is null", ROWS),
        ("select * from t where length(k) > 2 and k like '%9'", ROWS),
    ]);
}

/// Numbers that rise with time: whole zones meet no comparison.
#[test]
fn comparisons_pass_over_zones_and_miss_no_row() {
    let mut statements = Vec::new();
    for op in ["=", "!=", "<", "<=", ">", ">="] {
        for comparison in ["d {op} 43.0", "d {op} 1e308", "l {op} 90000", "'1970-02-01' {op} dt and l > 2000"] {
            statements.push(format!("select ts, s, d, l from t where {}", comparison.replace("{op}", op)));
        }
    }
    statements.push("select * from t where d > 100 and d < 110 and l > 40000 and s != 's2'".to_owned());
    statements.push("select * from t where d >= 300 and d <= 310 or l < 50".to_owned());
    statements.push("select * from t where d > 700 and length(v) > 3 and i / h > 0".to_owned());
    let statements: Vec<(&str, super::Plan<'_>)> = statements.iter().map(|sql| (sql.as_str(), Any)).collect();
    agree_in_order(&statements);
}

#[test]
fn a_limit_ends_the_reading() {
    agree_in_order(&[
        ("select * from t limit 10", Any),
        ("select * from t where s = 's1' limit 7", Any),
        ("select * from t where s = 's1' limit 3, 9", Any),
        ("select x from (select i * 2 x, s from t where d > 1) where s is null limit 5", Any),
        ("select * from t where ts in '2024-03-31T01' limit 7", Any),
        ("select s a, s b, ts from t where ts in '2024-03-31T00;3h' and s = 's1' limit 2, 5", Any),
        ("select d + 1 x, v from t where ts in '2024-03-31T01' and b limit 3", Any),
    ]);
}

#[test]
fn operators_above_get_the_same_rows() {
    agree(&[
        ("select count() from t where k like 'k1%' or k is null", Any),
        ("select t.s, u.k, t.i from t join u on t.s = u.s where t.i = u.i and u.h > 5", Any),
        ("select * from t where ts = (select max(ts) from u)", Any),
        ("select * from t where s in (select s from u where h > 90)", Any),
        ("select * from (select s a, i + 1 b from t) where b > 3 and a = 's2'", ROWS),
        ("select s, i from t where i > 400 union select s, i from u where i > 400", Any),
        ("with x as (select * from t where b) select distinct s from x where h > 50", Any),
        ("select ts, s, i from t where i > 450 order by i, ts, s", Any),
        ("select * from t where rnd_double() > 2", Any),
    ]);
}

#[test]
fn counts_and_ends_need_no_reading() {
    agree(&[
        ("select count() from t where ts in '2024-03-31'", ENDS),
        ("select count(), min(ts), max(ts) from t where ts in '2024-03-31T01;2h'", ENDS),
        ("select count(ts), first(s), last(d), first(v), last(b) from t", ENDS),
        ("select first(ts), last(i), max(ts) from t where ts < '2024-03-30T20:10'", ENDS),
        ("select first(b), last(h), count(), last(c) from t where ts in '2031'", ENDS),
        ("select count() from (select s x, ts from t) where ts > '2024-03-31'", ENDS),
        ("select count(), sum(i) from t where ts in '2024-03-31'", Any),
        ("select count() from t", Any),
        ("select max(ts), count() from t where s = 's1'", Any),
    ]);
}
