//! LATEST ON, rows from the end of time, the first rows by value.

use futures::{FutureExt, StreamExt};

use super::{Plan, World, agree, agree_in_order, runtime, worlds};
use crate::{Outcome, Session};

const LATEST: Plan<'_> = Plan::Uses("DirectLatestExec");
const SORTED: Plan<'_> = Plan::Uses("in the order of");
const LAST: Plan<'_> = Plan::Uses("DirectLastExec");
const TOP: Plan<'_> = Plan::Uses("DirectTopExec");

#[test]
fn the_newest_row_of_each_key_is_that_of_the_plain_plan() {
    agree(&[
        ("select * from t latest on ts partition by s", LATEST),
        ("select * from t latest on ts partition by k", LATEST),
        ("select s, ts, d from t latest on ts partition by s, k", LATEST),
        ("select * from t latest on ts partition by s, b", LATEST),
        ("select * from t latest on ts partition by i", LATEST),
        ("select ts, l, k from t latest on ts partition by k, h", LATEST),
        ("select * from t latest on ts partition by dt, s", LATEST),
        ("select * from t latest on ts partition by c", LATEST),
        ("select * from t where s = 's1' latest on ts partition by s", LATEST),
        ("select * from t where s is null latest on ts partition by s", LATEST),
        ("select * from t where s = 'nowhere' latest on ts partition by s", LATEST),
        ("select * from t where s in ('s1', 's3') and d > 30 latest on ts partition by s, k", LATEST),
        ("select * from t where d > 1e300 latest on ts partition by s", LATEST),
        ("select * from t where ts < '2024-03-31T02' latest on ts partition by s", LATEST),
        ("select * from t where ts in '2024-03-31T01' and i > 0 latest on ts partition by k", LATEST),
        ("select v, x from (select ts, s key, d * 2 x, v from t where b) latest on ts partition by key", LATEST),
        ("select count(), max(ts) from (t latest on ts partition by k)", LATEST),
        ("select * from (t latest on ts partition by k) where s = 's2'", LATEST),
        ("select * from (t latest on ts partition by k) where k = 'k12'", LATEST),
        (
            "select t.s, u.d from t join (u latest on ts partition by s) u on t.s = u.s where t.i > 490 order by t.s, u.d",
            Plan::Any,
        ),
        ("select * from t latest on ts partition by s order by s", SORTED),
        ("select ts, s, d from t latest on ts partition by s order by s desc", SORTED),
        ("select * from t latest on ts partition by k order by k limit 7", SORTED),
        ("select k, v from t where ts < '2024-03-31T02' latest on ts partition by k order by k desc limit 3", LATEST),
        ("select * from t where s in ('s3', 's1') latest on ts partition by s order by s", SORTED),
        ("select * from t where s is null latest on ts partition by s order by s desc", SORTED),
        ("select * from t where d > 30 and k <> 'k12' latest on ts partition by s order by s", SORTED),
        ("select d * 2 x, s key from (t latest on ts partition by s) order by key", SORTED),
        ("select i + 1, s, ts from t latest on ts partition by s order by s desc limit 3", SORTED),
        ("select d * 2 x, ts, s from (t latest on ts partition by s) order by x", LATEST),
        ("select d * 2 x, ts, k || s a from (t latest on ts partition by s) order by a", LATEST),
        ("select * from t latest on ts partition by s, k order by s, k", LATEST),
        ("select * from t latest on ts partition by k order by s, k", LATEST),
        ("select * from t latest on ts partition by s order by ts, s", LATEST),
        ("select * from t latest on ts partition by i order by i", LATEST),
        ("select * from t latest on ts partition by v", Plan::FallsBack("keys that are neither")),
        ("select * from t latest on ts partition by d", Plan::FallsBack("keys that are neither")),
        (
            "select * from (select ts, s, max(d) m from t sample by 1h) latest on ts partition by s order by ts, s",
            Plan::FallsBack("not over"),
        ),
    ]);
}

/// No other thread is asked where the first look at a stream gives its rows.
#[test]
fn the_newest_rows_are_found_by_whoever_asks_if_few_are_looked_through() {
    let world = worlds::all().iter().find(|world| world.name == "memory").expect("it is one of them");
    let soon = |condition: &str| {
        let sql = format!("select s, ts from t where {condition} latest on ts partition by s");
        let (database, settings) = (world.database.clone(), world.direct.clone());
        runtime().block_on(async move {
            let outcome = Session::new(database, settings).execute(&sql, &[]).await.expect("a query");
            let Outcome::Rows(mut rows) = outcome else { panic!("it gives rows") };
            rows.stream.next().now_or_never().flatten().map(|batch| batch.expect("rows").num_rows())
        })
    };
    assert_eq!(soon("s in ('s3', 's5')"), Some(2));
    assert_eq!(soon("s in ('s3', 's5') and d > 1.5e308"), None, "no row meets it, so all are looked at");
}

#[test]
fn rows_from_the_end_are_those_of_the_plain_plan() {
    agree_in_order(&[
        ("select * from t limit -1", LAST),
        ("select * from t limit -10", LAST),
        ("select * from t limit -100000", LAST),
        ("select d, s from t limit -7,-3", LAST),
        ("select ts from t where s = 's2' and d > 20 limit -5", LAST),
        ("select ts, d + 1 from t where ts < '2024-03-31T02' limit -50", LAST),
        ("select count() from (t limit -5)", LAST),
        ("select * from (select k, v from t where b limit -20) where v is not null", LAST),
        ("select ts from t order by ts desc", LAST),
        ("select ts from t order by ts desc limit 10", LAST),
        ("select ts from t order by ts desc limit 5, 25", LAST),
        ("select ts from t where s = 's1' and ts in '2024-03-31' order by ts desc limit 3", LAST),
        ("select x from (select ts y, ts x from t) order by x desc limit 4", LAST),
        ("select * from t limit 3, -2", Plan::Any),
    ]);
}

/// The plain sort leaves rows of equal time in any order, so the rows in time's order are turned round here.
#[test]
fn descending_rows_are_the_ascending_ones_turned_round() {
    let turned = |world: &World, sql: &str| {
        let mut rows = world.run(&world.plain, sql).expect("a query");
        rows.reverse();
        rows
    };
    for world in worlds::all().iter().filter(|world| world.name != "without time") {
        let run = |sql: &str| world.run(&world.direct, sql).expect("a query");
        assert_eq!(run("select * from t order by ts desc"), turned(world, "select * from t"), "{}", world.name);
        assert_eq!(
            run("select * from t order by ts desc limit 10"),
            turned(world, "select * from t limit -10"),
            "{}",
            world.name
        );
        let filtered = "select k, ts from t where d < 50 and s <> 's1'";
        assert_eq!(run(&format!("{filtered} order by ts desc")), turned(world, filtered), "{}", world.name);
    }
}

#[test]
fn the_first_rows_by_value_are_those_of_the_plain_plan() {
    let mut cases: Vec<(String, Plan<'_>)> = Vec::new();
    for column in ["s", "k", "b", "h", "i", "l", "d", "f", "dt"] {
        for direction in ["", " desc"] {
            cases.push((
                format!("select * from t order by {column}{direction}, k, ts desc, l, d, i, s, f limit 40"),
                TOP,
            ));
        }
    }
    let cases: Vec<(&str, Plan<'_>)> = cases.iter().map(|(sql, plan)| (sql.as_str(), *plan)).collect();
    agree(&cases);
    agree(&[
        ("select d, l from t order by d desc, l limit 1", TOP),
        ("select d, l from t order by d desc, l limit 100000", Plan::FallsBack("more than")),
        ("select d, l from t where s = 's1' and d < 40 order by l desc, d limit 5", TOP),
        ("select l + 1 m, x from (select l, d x from t where b) order by x, m limit 6", Plan::Any),
        ("select d from t where ts in '2024-03-31T01' order by d desc, ts limit 10", TOP),
        ("select d from t order by d desc limit 3, 8", TOP),
        ("select d, k from t where d > 3 and s <> 's1' order by d, k, l limit 70", TOP),
        ("select l, k from t where i < 0 order by l, k, d limit 3", TOP),
        ("select l, k from t order by l desc, k, d limit 1", TOP),
        ("select d, k from t where k = 'k12' order by d desc, l limit 200", TOP),
        ("select dt, k, l from t where b order by dt desc, k, l, d limit 25", TOP),
        ("select d, l from t where s = 'nowhere' order by d limit 3", TOP),
        ("select count(), sum(l) from (select l from t order by d desc, l, i limit 30)", TOP),
        ("select ts, k from t order by ts desc, k limit 9", TOP),
        ("select v from t order by v limit 5", Plan::FallsBack("no numbers")),
        ("select l from t order by l % 7, l limit 5", Plan::Any),
    ]);
}

/// Of rows that the keys do not tell apart the earliest by time count, whichever thread or run they are of.
#[test]
fn equal_rows_come_in_the_order_of_time() {
    for world in worlds::all().iter().filter(|world| world.name != "without time") {
        let run = |sql: &str| world.run(&world.direct, sql).expect("a query");
        let all = run("select b, ts from t");
        let wanted: Vec<_> = all.into_iter().filter(|row| row[0] == "true").take(12).collect();
        assert_eq!(run("select b, ts from t where b order by b limit 12"), wanted, "{}", world.name);
    }
}
