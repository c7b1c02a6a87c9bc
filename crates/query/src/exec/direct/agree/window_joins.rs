//! WINDOW JOIN: over runs as by batches, and as a join and a GROUP BY of every pair say it.

use super::{Plan, agree, agree_in_order};

const DIRECT: Plan<'static> = Plan::Uses("DirectWindowJoinExec");
const HOUR: &str = "range between 1 hour preceding and 30 minutes following";

#[test]
fn windows_hold_the_right_rows_of_their_key() {
    let ranges = [
        HOUR,
        "range between 1 hour preceding and 30 minutes following exclude prevailing",
        "range between 3 hours preceding and 1 hour preceding",
        "range between 10 minutes following and 2 hours following exclude prevailing",
        "range between 10 minutes following and 2 hours following",
        "range between current row and current row",
        "range between current row and current row exclude prevailing",
        "range between 1 nanosecond preceding and 999 nanoseconds following",
        "range between 1 preceding and 1 following",
    ];
    let mut sql = Vec::new();
    for range in ranges {
        for on in ["", "on (s)", "on (s, k)", "on t.s = u.k"] {
            let values = "count() n, count(u.d) c, sum(u.i) a, first(u.d) f, last(u.v) l";
            sql.push(format!("select t.ts, t.s, t.d, {values} from t window join u {on} {range}"));
        }
        sql.push(format!(
            "select u.ts, u.k, count(), avg(t.d), min(t.l), max(t.l) from u window join t on (s) {range}"
        ));
    }
    sql.push(
        "select u.ts, count(), sum(t.d) from u window join t range between 5000 days preceding and 5000 days following"
            .to_owned(),
    );
    agree_in_order(&sql.iter().map(|sql| (sql.as_str(), DIRECT)).collect::<Vec<_>>());
}

#[test]
fn values_of_every_type_and_aggregate_are_taken() {
    let values = [
        "first(u.s), last(u.k), first(u.b), last(u.h), first(u.c), last(u.i), first(u.l), last(u.d), first(u.f), last(u.v), last(u.dt)",
        "min(u.s), max(u.v), min(u.c), max(u.i), min(u.f), max(u.dt), min(u.ts), max(u.ts)",
        "sum(u.i), sum(u.h), sum(u.l), sum(u.d), sum(u.f), avg(u.i), avg(u.d), ksum(u.d), nsum(u.d)",
        "count_distinct(u.s), count_distinct(u.i), count_distinct(u.v), count(u.v), count(1), string_agg(u.k, ',')",
        "first_not_null(u.d), last_not_null(u.v), bit_or(u.i), bool_and(u.b), stddev(u.i), corr(u.i, u.h), vwap(u.f, u.i)",
        "sum(u.i + u.h), max(abs(u.i)), sum(case when u.s = 's1' then u.i else 0 end), sum(1), string_agg(u.v, '+')",
    ];
    let sql = values.map(|values| format!("select t.ts, {values} from t window join u on (s) {HOUR}"));
    agree_in_order(&sql.iter().map(|sql| (sql.as_str(), DIRECT)).collect::<Vec<_>>());
    let few = "select t.*, count() from t window join u range between 2 hours preceding and current row";
    agree_in_order(&[(few, DIRECT)]);
}

#[test]
fn filters_of_either_side_hold_before_the_join() {
    let sql = [
        format!("select t.ts, count(), sum(u.i) from t window join u on (s) {HOUR} where t.ts >= '2024-03-31T03:10'"),
        format!("select t.ts, count(), sum(u.i) from t window join u {HOUR} where t.ts in '2024-03-31T05' and t.i > 0"),
        format!("select t.ts, count(), sum(u.i) from t window join u on (s) {HOUR} where t.s = 's1' and t.d is null"),
        format!(
            "select t.ts, count(), sum(u.i) from t window join u on (s) {HOUR} exclude prevailing where t.ts in '2024-03-31T05'"
        ),
        format!("select t.ts, count(), sum(u.i) from t window join u on t.s = u.s and u.i > 0 {HOUR}"),
        format!("select t.ts, count(), sum(u.i) from t window join u on u.s = 's1' {HOUR}"),
        format!("select t.ts, count(), sum(u.i) from t window join u on u.d > 1e307 {HOUR}"),
        format!("select t.ts, count(), sum(u.i) from t window join u on (s) {HOUR} where t.d > 1e308"),
        format!(
            "select t.ts, t.w, sum(u.i) from (select ts, s, d * 2 w from t where i > 0) t window join u on (s) {HOUR}"
        ),
        format!("select a.ts, a.s, count(), sum(b.i) from t a window join t b on (s) {HOUR}"),
    ];
    agree_in_order(&sql.iter().map(|sql| (sql.as_str(), DIRECT)).collect::<Vec<_>>());
}

#[test]
fn rows_in_force_are_found_long_before_the_first_window() {
    let values = "count() n, sum(u.i) a, first(u.d) f, last(u.v) l, first(u.ts) at";
    let narrow = "range between 1 minute preceding and current row";
    let mut sql = Vec::new();
    for on in ["", "on (s)", "on (s, k)", "on t.s = u.k", "on t.s = u.s and u.i > 0"] {
        for left in ["t.ts in '2024-03-31T05'", "t.ts >= '2024-03-31T06:30'", "t.s = 's1' and t.ts > '2024-03-31T04'"] {
            sql.push(format!("select t.ts, t.s, {values} from t window join u {on} {narrow} where {left}"));
        }
    }
    let counted = "select t.ts, count() from t window join u on (s)";
    sql.push(format!("{counted} range between 1 nanosecond preceding and current row where t.ts in '2024-03-31T05'"));
    sql.push(format!("{counted} range between 2 hours following and 3 hours following where t.ts in '2024-03-31T02'"));
    agree_in_order(&sql.iter().map(|sql| (sql.as_str(), DIRECT)).collect::<Vec<_>>());
}

#[test]
fn aggregates_and_order_stand_on_top() {
    let joined = format!("select t.ts ts, t.s s, t.l l, sum(u.i) v, count() n from t window join u on (s) {HOUR}");
    let sql = [
        format!("select s, sum(v), max(n) from ({joined}) group by s"),
        format!("select ts, sum(v) from ({joined}) sample by 1h"),
        format!("{joined} order by v desc, l, n, ts, s limit 20"),
        format!("{joined} limit 10"),
        format!("select count() from ({joined}) where n > 1"),
    ];
    agree(&sql.iter().map(|sql| (sql.as_str(), DIRECT)).collect::<Vec<_>>());
    let two =
        format!("select t.ts, sum(u.i), count(b.d) from t window join u on (s) {HOUR} window join t b on (k) {HOUR}");
    agree_in_order(&[(&two, DIRECT)]);
}

#[test]
fn other_shapes_stay_plain() {
    let sql = [
        (format!("select t.ts, count() from t window join u on (i) {HOUR}"), "key i:"),
        (format!("select t.ts, sum(u.i * t.i) from t window join u on (s) {HOUR}"), "looks at the left row"),
        (
            format!("select t.ts, sum(u.i) from t window join u on t.s = u.s and u.i > t.i {HOUR}"),
            "looks at the left row",
        ),
        (
            "select t.ts, sum(u.i) from t window join u range between t.i second preceding and 1 hour following"
                .to_owned(),
            "says how far",
        ),
        (
            format!("select q.ts, sum(u.i) from (select * from t limit 50) q window join u on (s) {HOUR}"),
            "the left side",
        ),
    ];
    agree_in_order(&sql.iter().map(|(sql, why)| (sql.as_str(), Plan::FallsBack(why))).collect::<Vec<_>>());
}

#[test]
fn every_pair_looked_at_says_the_same() {
    let worlds = super::worlds::all().iter().filter(|world| ["overlapping", "ties", "parquet"].contains(&world.name));
    for world in worlds {
        let pairs = "select t.ts ts, t.l l, count() n, sum(u.i) v from t join u on t.s = u.s \
                     and u.ts >= dateadd('h', -1, t.ts) and u.ts <= dateadd('m', 30, t.ts)";
        let joined = format!(
            "select t.ts ts, t.l l, count() n, sum(u.i) v from t window join u on (s) {HOUR} exclude prevailing"
        );
        let summed = "select ts, l, sum(n) n, sum(v) v from";
        let rows = |sql: &str| world.run(&world.plain, sql).expect("rows");
        let pairs = rows(&format!("{summed} ({pairs}) order by ts, l, n"));
        let joined = rows(&format!("{summed} ({joined}) where n > 0 order by ts, l, n"));
        assert_eq!(joined, pairs, "{}", world.name);
        assert!(!pairs.is_empty(), "{}", world.name);
    }
}
