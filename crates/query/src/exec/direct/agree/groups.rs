//! GROUP BY, SAMPLE BY, DISTINCT.

use super::{Plan, agree};

const GROUPS: Plan<'static> = Plan::Uses("DirectGroupExec");

/// Every aggregate over every kind of column, in few statements.
fn all_aggregates() -> Vec<String> {
    let of_numbers = |c: &str| {
        format!(
            "count({c}), sum({c}), avg({c}), min({c}), max({c}), first({c}), last({c}), first_not_null({c}), \
             last_not_null({c}), stddev({c}), var_pop({c}), count_distinct({c})"
        )
    };
    let mut lists: Vec<String> = ["i", "l", "h"].map(of_numbers).to_vec();
    for c in ["d", "f"] {
        lists.push(of_numbers(c).replace(&format!(", count_distinct({c})"), ""));
    }
    for c in ["ts", "dt"] {
        lists.push(format!("min({c}), max({c}), first({c}), last({c}), count({c}), count_distinct({c})"));
    }
    lists.push("first(s), last(s), min(s), max(k), count(s), count_distinct(s), count_distinct(k), mode(s)".to_owned());
    lists.push("first(v), last(v), min(v), max(v), count(v), string_agg(v, ','), string_agg(s, '-')".to_owned());
    lists.push("first(b), last(b), bool_and(b), bool_or(b), avg(b), first(c), last_not_null(c), bit_xor(l)".to_owned());
    lists.push("covar_samp(d, i), weighted_avg(d, i), arg_max(d, l), arg_min(l, ts), isOrdered(l)".to_owned());
    lists.push(
        "sum(d * i), ksum(d), nsum(i), max(d + f), count(length(v)), sum(length(s)), first(upper(s)), avg(i % 7)"
            .to_owned(),
    );
    lists.push("sum(case when s = 's1' then d end), count(case when i > 0 then 1 end)".to_owned());
    lists
}

fn check(statements: impl IntoIterator<Item = String>, plan: Plan<'_>) {
    let statements: Vec<String> = statements.into_iter().collect();
    agree(&statements.iter().map(|sql| (sql.as_str(), plan)).collect::<Vec<_>>());
}

#[test]
fn aggregates_without_keys() {
    check(all_aggregates().into_iter().map(|list| format!("select {list} from t")), Plan::Any);
    let filters = [" where d > 20 and s != 's3'", " where k is null", " where ts in '2024-03-31'"];
    for filter in filters {
        check(all_aggregates().into_iter().map(|list| format!("select {list} from t{filter}")), GROUPS);
    }
}

/// What is known of zones stands for rows, all but those at the edges of a range.
#[test]
fn sums_and_bounds_of_ranges() {
    let lists = [
        "sum(d), avg(d), min(d), max(d)",
        "sum(l), avg(l), min(l), max(l)",
        "min(dt), max(dt), count(d), sum(f)",
        "min(ts), max(ts), sum(d)",
    ];
    let ranges = ["", " where ts in '2024-03-30'", " where ts between '2024-03-30T13:07' and '2024-03-31T02:41'"];
    let mut statements = Vec::new();
    for list in lists {
        for range in ranges {
            statements.push(format!("select {list} from t{range}"));
            statements.push(format!("select ts, {list} from t{range} sample by 5h"));
        }
    }
    check(statements, Plan::Any);
}

#[test]
fn aggregates_by_symbol_and_by_number() {
    for key in ["s", "i"] {
        check(all_aggregates().into_iter().map(|list| format!("select {key}, {list} from t")), GROUPS);
    }
}

#[test]
fn aggregates_by_bucket() {
    let ordered = |list: String| format!("select ts, {list} from t sample by 3h");
    check(all_aggregates().into_iter().map(ordered), Plan::Any);
    let keyed = |list: String| format!("select ts, k, {list} from t where d < 100 sample by 7h order by ts, k");
    check(all_aggregates().into_iter().map(keyed), Plan::Any);
}

#[test]
fn keys_of_every_kind() {
    let keys = [
        "s",
        "k",
        "s, k",
        "upper(s)",
        "length(k)",
        "s = 's1'",
        "s is null",
        "i",
        "l",
        "h",
        "b",
        "dt",
        "ts",
        "i, l",
        "s, i",
        "k, s, l",
        "i, b, h",
        "hour(ts)",
        "hour(ts), s",
        "i % 10",
        "date_trunc('day', ts), s",
        "substring(k, 1, 2)",
        "timestamp_floor('90m', ts), h, s",
        "case when d > 50 then 1 else 2 end",
        "concat(s, 'x'), b",
    ];
    check(keys.iter().map(|key| format!("select {key} key, count(), sum(d), max(l) from t")), Plan::Any);
    check(
        keys.iter().map(|key| format!("select {key}, first(d), last(i) from t where i > -100 limit 100000")),
        Plan::Any,
    );
    let known = ["s", "s, k", "upper(s)", "i", "s, i", "hour(ts), s", "date_trunc('day', ts), s"];
    check(known.iter().map(|key| format!("select {key}, count() from t")), GROUPS);
    check(["select distinct s, i from t", "select distinct k from t where d > 3"].map(str::to_owned), GROUPS);
}

#[test]
fn buckets_of_every_kind() {
    let mut statements = Vec::new();
    for stride in ["1s", "5m", "45m", "1h", "7h", "1d", "1w", "1M", "1y"] {
        statements.push(format!("select ts, count(), first(d), last(d), min(i), max(f) from t sample by {stride}"));
        let zone = "align to calendar time zone 'Europe/Berlin' with offset '00:45'";
        statements.push(format!("select ts, s, count(), sum(l) from t sample by {stride} {zone} order by ts, s"));
        statements.push(format!("select ts, avg(d) from t sample by {stride} align to first observation"));
        statements.push(format!("select timestamp_floor('{stride}', ts) w, sum(d) from t order by w"));
    }
    for fill in ["prev", "null", "linear", "0.5", "none"] {
        statements.push(format!("select ts, avg(d) from t sample by 1h fill({fill})"));
        statements.push(format!("select ts, s, avg(d) from t where i > 0 sample by 3h fill({fill}) order by ts, s"));
    }
    statements.push("select ts, avg(d) from t sample by 2h from '2024-03-30' to '2024-04-02' fill(prev)".to_owned());
    check(statements, Plan::Any);
    check(
        [
            "select ts, avg(d) from t sample by 1h",
            "select date_trunc('hour', ts) x, s, max(d) from t",
            "select ts, sum(x) from (select ts, d * 2 x from t where s != 's2') sample by 1d",
            "with c as (select ts w, k, d from t) select w, k, sum(d) from c sample by 1d order by w, k",
        ]
        .map(str::to_owned),
        GROUPS,
    );
}

#[test]
fn groups_in_the_order_of_bucket_and_symbols() {
    const SORTED: Plan<'_> = Plan::Uses("in the order of");
    agree(&[
        ("select ts, s, avg(d), count() from t sample by 1h order by ts, s", SORTED),
        ("select ts, s, avg(d), first(i) from t sample by 5m order by ts, s desc", SORTED),
        ("select ts, k, max(l) from t where s <> 's1' sample by 1d order by ts, k", SORTED),
        ("select s, ts, k, sum(d) from t sample by 7h order by ts, k desc, s", SORTED),
        ("select s, ts, k, sum(d), count_distinct(i) from t sample by 1w order by ts, s, k desc", SORTED),
        ("select s, count(), last(v) from t order by s", SORTED),
        ("select s, k, max(d) from t order by k desc, s", SORTED),
        ("select s, count(), avg(d) + 5, sum(l) from t order by s", SORTED),
        ("select ts, max(i) % 7 m, s from t sample by 1h order by ts, s", SORTED),
        ("select s, count() + 1 c from t order by c, s", GROUPS),
        ("select distinct s, k from t order by s desc, k desc", SORTED),
        ("select x, t2 from (select date_trunc('hour', ts) t2, k x, count() from t where b) order by t2, x", Plan::Any),
        ("select ts, s, avg(d) from t sample by 1h order by ts, s limit 7", Plan::Any),
        ("select ts, s, avg(d) from t sample by 1h order by ts desc, s", GROUPS),
        ("select ts, s, avg(d) from t sample by 1h order by s, ts", GROUPS),
        ("select ts, s, i, avg(d) from t sample by 1h order by ts, s, i", GROUPS),
        ("select ts, upper(s) u, avg(d) from t sample by 1h order by ts, u", GROUPS),
        ("select ts, s, count() c from t sample by 1h order by ts, c, s", GROUPS),
        ("select s, c from (select s, count() c from t) where c > 3 order by s", GROUPS),
    ]);
}

#[test]
fn nodes_above_and_other_inputs() {
    agree(&[
        ("select s, sum(d) x from t order by x desc, s limit 3", GROUPS),
        ("select * from (select s, sum(d) x from t) where x > 10", GROUPS),
        ("select count() from (select i, count() from t)", Plan::Any),
        ("select s, count() from t union all select s, sum(l) from u", GROUPS),
        ("select sum(x) from (select max(d) x from t group by s, k)", GROUPS),
        ("select t.s, sum(d) from t join (select s, max(i) m from u) x on t.s = x.s", GROUPS),
        ("select s, count_distinct(d) from t", Plan::FallsBack("count_distinct of Float64")),
        ("select d, count() from t", Plan::FallsBack("Float64")),
        ("select v, count() from t", Plan::FallsBack("Utf8View")),
    ]);
}
