//! Texts of one form: each must answer as it does alone, under its own names.

use crate::Outcome;
use crate::kind::Kind;
use crate::session::kept::tests::server_of_shapes;
use crate::session::kept::{Forming, Known};
use crate::session::tests::{Server, texts_of};

/// Names and kinds of results, which of them is the timestamp, and rows; or an error's place and text.
type Answer = Result<(Vec<(String, Kind)>, Option<usize>, Vec<Vec<String>>), (usize, String)>;

async fn answer(server: &Server, sql: &str) -> Answer {
    let place = |error: crate::SqlError| (error.position, error.message);
    let outcome = server.session().execute(sql, &[]).await.map_err(place)?;
    let Outcome::Rows(mut rows) = outcome else { panic!("no rows: {sql}") };
    let columns = rows.columns.iter().map(|column| (column.name.clone(), column.kind)).collect();
    Ok((columns, rows.timestamp_index, texts_of(&mut rows).await.map_err(place)?))
}

fn form_is_known(server: &Server, sql: &str) -> bool {
    match server.settings.kept.known(sql, true) {
        Ok(Known::Form(form, entry)) => server.session().formed(&form, &entry.statement).is_some(),
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_literals_and_names_find_the_plan_that_was_made() {
    let server = server_of_shapes().await;
    let mut not_known = Vec::new();
    for (shape, texts) in [
        ("select ?", ["5", "6", "7", "8"]),
        ("select 'a?' x, ?", ["5", "6", "7", "8"]),
        ("select count() + ? from t", ["5", "6", "7", "8"]),
        ("select sum(v) + ?, avg(n) a? from t where v > 3", ["5", "6", "7", "8"]),
        ("select s, avg(v) + ? from t", ["5", "6", "7", "8"]),
        ("select ts, s, avg(v) + ?.5 from t sample by 6h", ["5", "6", "7", "8"]),
        ("select n n?, ts from t order by ts desc limit ?", ["5", "6", "7", "8"]),
        ("select n + ? from t order by ts desc limit 3", ["5", "6", "7", "8"]),
        ("select n, v from t order by n desc, v limit ?", ["5", "6", "7", "8"]),
        ("select n, v p? from t order by p? desc, n limit 4", ["5", "6", "7", "8"]),
        ("select v, x from t where v > ? limit ?", ["5", "6", "7", "8"]),
        ("select s, n + ? k? from t latest on ts partition by s", ["5", "6", "7", "8"]),
        ("select s, n + ? k? from t latest on ts partition by s order by s", ["5", "6", "7", "8"]),
        ("select case when v > ? then 'more' else 'less' end from t where n < 9", ["5", "6", "7", "8"]),
        (
            "select n from t where s in (?) order by ts",
            ["'a', 'c'", "'a', 'b'", "'a', 'b', 'c', 'd', 'e'", "'b', 'a', 'c'"],
        ),
        ("select count() from t where n in (?) and s <> 'a'", ["5, 6", "5, 6, 7", "8, 7, 6, 5, 4, 3", "1, 2"]),
    ] {
        for text in &texts[..3] {
            let sql = shape.replace('?', text);
            answer(&server, &sql).await.expect(&sql);
        }
        let sql = shape.replace('?', texts[3]);
        if !form_is_known(&server, &sql) {
            not_known.push(sql.clone());
        }
        assert_eq!(answer(&server, &sql).await, answer(&server.plain(), &sql).await, "{sql}");
    }
    assert!(not_known.is_empty(), "no plan is found for {not_known:#?}");
}

const RESULTS: [&str; 26] = [
    "?",
    "-?",
    "n + ?",
    "v * ? + ?",
    "? - l a?",
    "n % ? k",
    "v / -?",
    "'?'",
    "x || '?'",
    "case when n > ? then ? else v end",
    "case s when 'a' then '?' else 'b' end q?",
    "coalesce(v, ?)",
    "greatest(?, 7)",
    "greatest(n, ?)",
    "round(v, ?)",
    "? + ?",
    "abs(?) + n",
    "v > ?",
    "n = ? or l = ?",
    "? \"A?\"",
    "dateadd('h', ?, ts)",
    "ts + ?",
    "n::double + ?",
    "f + ?",
    "n in (?, 7)",
    "s = '?'",
];

const AGGREGATES: [&str; 14] = [
    "count() + ?",
    "? * sum(v)",
    "sum(v + ?)",
    "sum(v + ?) + ?",
    "max(n) - ? m?",
    "first(v) + ?",
    "last(n) z?",
    "approx_percentile(v, ?)",
    "count(?)",
    "sum(?)",
    "avg(f) / ?",
    "min(ts) + ?",
    "count_distinct(s) + ?",
    "?",
];

const ENDS: [&str; 12] = [
    "",
    " where n > ? limit ?",
    " where s in ('a', ?) and v < ?",
    " order by ts desc limit ?",
    " order by n desc, v limit ?",
    " order by 1 limit ?",
    " order by a? limit 2",
    " limit ?, 9",
    " limit -?",
    " latest on ts partition by s",
    " latest on ts partition by s order by s limit ?",
    " where ts in '1970-01-02' order by ts desc limit ?",
];

const GROUPS: [&str; 6] = [
    "",
    " where n > ?",
    " where ts > '1970-01-02' sample by 6h",
    " sample by 1d fill(?)",
    " sample by 6h from '1970-01-02' to '1970-01-03' fill(?)",
    " where s <> 'c' group by s order by 1 limit ?",
];

const LITERALS: [&str; 10] = ["5", "6", "7", "8", "9", "5", "2.5", "3.5", "0", "99999999999"];

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_one_form_answer_as_they_do_alone() {
    let server = server_of_shapes().await;
    let plain = server.plain();
    let some =
        |place: usize, ends: &'static [&'static str]| (0..2).map(move |turn| ends[(place + 5 * turn) % ends.len()]);
    let of_rows = RESULTS
        .iter()
        .enumerate()
        .flat_map(|(place, result)| some(place, &ENDS).map(move |end| format!("select {result} from t{end}")));
    let of_groups = AGGREGATES
        .iter()
        .enumerate()
        .flat_map(|(place, result)| some(place, &GROUPS).map(move |end| format!("select {result} from t{end}")));
    let two =
        RESULTS.iter().zip(RESULTS.iter().rev()).map(|(one, other)| format!("select {one}, n, {other} from t limit ?"));
    let alone = RESULTS[..3].iter().map(|result| format!("select {}", result.replace('n', "3")));
    let (mut asked, mut known) = (0u32, 0u32);
    for shape in of_rows.chain(of_groups).chain(two).chain(alone) {
        for (turn, literal) in LITERALS.iter().enumerate() {
            // every other place has the next literal, so that two of them are equal in some texts only
            let mut sql = String::new();
            for (place, part) in shape.split('?').enumerate() {
                if place > 0 {
                    sql.push_str(if place % 2 == 1 { literal } else { LITERALS[(turn * 3 + 1) % LITERALS.len()] });
                }
                sql.push_str(part);
            }
            asked += 1;
            known += u32::from(form_is_known(&server, &sql));
            assert_eq!(answer(&server, &sql).await, answer(&plain, &sql).await, "{sql}");
        }
    }
    assert!(known > asked / 25, "of {asked} texts {known} found a plan");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_ends_with_its_table() {
    let server = server_of_shapes().await;
    let said = |k: i64| format!("select l + {k} from t order by ts desc limit {}", k % 3 + 1);
    for k in 0..4 {
        assert_eq!(server.longs(&said(k)).await.expect("rows")[0], 100_000_000 + k);
    }
    assert!(form_is_known(&server, &said(4)));
    server.run("insert into t (n, l, ts) values (6, 66, '2024-01-01')").await;
    assert_eq!(server.longs(&said(5)).await.expect("the rows of its own moment")[0], 71);
    server.run("alter table t drop column l").await;
    server.longs(&said(6)).await.expect_err("the column is gone");
    server.run("alter table t add column l long").await;
    assert!(!form_is_known(&server, &said(7)), "it is another column");
    server.longs(&said(7)).await.expect("it answers");
    server.run("drop table t").await;
    server.longs(&said(8)).await.expect_err("the table is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_of_a_form_holds_no_rows() {
    let server = server_of_shapes().await;
    for k in 0..4 {
        server.longs(&format!("select l + {k} from t order by ts desc limit 3")).await.expect("rows");
    }
    let Ok(Known::Form(form, _)) = server.settings.kept.known("select l + 9 from t order by ts desc limit 3", true)
    else {
        panic!("the form is known")
    };
    let Forming::Known(form) = &*form else { panic!("it was learned") };
    let source = form.sample().plan.source().expect("it reads a table");
    assert_eq!(source.view().row_count().ok(), Some(0));
}
