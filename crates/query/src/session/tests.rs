//! Statements at their limits: memory, spill space, cancel.

use std::path::Path;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use futures::StreamExt;
use storage::Options;
use storage::env::{Env, SimFs};
use types::memory::{Budget, Purpose};

use super::*;
use crate::Rows;
use crate::error::SqlErrorKind;
use crate::memory::Spill;

pub struct Server {
    pub database: Arc<Database>,
    pub settings: Arc<Settings>,
}

impl Server {
    pub fn new(memory_bytes: usize, spill_bytes: u64) -> Server {
        let env = Env { fs: Arc::new(SimFs::new(1)), ..Env::os() };
        env.fs.create_dir(Path::new("/spill")).expect("an empty disk");
        let database = Arc::new(Database::open(env.clone(), Options::new("/root")).expect("an empty root opens"));
        let mut settings = Settings::new(env);
        settings.memory = Budget::new(memory_bytes);
        settings.spill = Spill { dir: "/spill".into(), limit_bytes: spill_bytes };
        Server { database, settings: Arc::new(settings) }
    }

    pub fn session(&self) -> Session {
        Session::new(self.database.clone(), self.settings.clone())
    }

    /// Runs a statement without rows in a session of its own.
    pub async fn run(&self, sql: &str) {
        self.session().execute(sql, &[]).await.expect(sql);
    }

    /// Runs a query in a session of its own and returns its first column, which holds whole numbers.
    pub async fn longs(&self, sql: &str) -> Result<Vec<i64>, SqlError> {
        let Outcome::Rows(mut rows) = self.session().execute(sql, &[]).await? else { panic!("no rows: {sql}") };
        let mut values = Vec::new();
        while let Some(batch) = rows.stream.next().await {
            let batch = batch.map_err(|e| SqlError::from_datafusion(&e))?;
            values.extend(batch.column(0).as_primitive::<Int64Type>().values().iter());
        }
        Ok(values)
    }

    /// Runs a query in a session of its own and returns its rows as texts, or the place and text of its error.
    pub async fn rows(&self, sql: &str) -> Result<Vec<Vec<String>>, (usize, String)> {
        let place = |error: SqlError| (error.position, error.message);
        let Outcome::Rows(mut rows) = self.session().execute(sql, &[]).await.map_err(place)? else {
            panic!("no rows: {sql}")
        };
        texts_of(&mut rows).await.map_err(place)
    }

    async fn refused(&self, sql: &str) -> SqlError {
        let error = self.longs(sql).await.expect_err(sql);
        assert_eq!(self.settings.memory.used_for(Purpose::Queries), 0, "held after {sql}");
        error
    }

    fn spill_files(&self) -> usize {
        self.settings.env.fs.list(Path::new("/spill")).expect("it is there").len()
    }
}

/// Returns the rows of a query as texts.
pub async fn texts_of(rows: &mut Rows) -> Result<Vec<Vec<String>>, SqlError> {
    let mut list = Vec::new();
    while let Some(batch) = rows.next().await? {
        let text = |row: usize, (i, column): (usize, &OutputColumn)| {
            crate::cell_text(&crate::read_cell(batch.column(i), row), column.kind).unwrap_or_default()
        };
        let row = |row| rows.columns.iter().enumerate().map(|column| text(row, column)).collect();
        list.extend((0..batch.num_rows()).map(row));
    }
    Ok(list)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sort_larger_than_memory_spills_and_leaves_no_file() {
    let server = Server::new(8 << 20, 1 << 30);
    let sql = "select x from long_sequence(2000000) order by -x";
    let Outcome::Rows(mut rows) = server.session().execute(sql, &[]).await.expect("it plans") else { panic!("rows") };
    let mut expected = 2_000_000i64;
    while let Some(batch) = rows.stream.next().await {
        assert_eq!(server.spill_files(), 0, "a file lost its name when it was opened");
        for x in batch.expect("it spills").column(0).as_primitive::<Int64Type>().values() {
            assert_eq!(*x, expected);
            expected -= 1;
        }
    }
    assert_eq!(expected, 0);
    assert!(server.settings.env.fs.counts().writes > 10, "nothing was written to disk");
}

#[tokio::test(flavor = "multi_thread")]
async fn spilling_ends_at_its_limit() {
    let server = Server::new(8 << 20, 1 << 20);
    let error = server.refused("select x from long_sequence(2000000) order by -x").await;
    assert!(error.message.contains("spill.limit=1.0 MB") && error.kind == SqlErrorKind::Memory, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_spill_fails_naming_limit_operator_and_remedy() {
    let server = Server::new(4 << 20, 1 << 30);
    let joined =
        "select count(*) from long_sequence(1000000) a join long_sequence(1000000) b on a.x = b.x where a.x + b.x < 0";
    for sql in [
        "select count_distinct(x) from long_sequence(1000000)",
        "select length(string_distinct_agg('value ' || x, ',')) from long_sequence(1000000)",
        joined,
    ] {
        let error = server.refused(sql).await;
        for part in ["memory.limit=4.0 MB", " holds ", "raise memory.limit"] {
            assert!(error.message.contains(part), "{part}: {}", error.message);
        }
        assert_eq!(error.kind, SqlErrorKind::Memory);
    }
    assert_eq!(server.longs("select count(*) from long_sequence(1000000)").await, Ok(vec![1_000_000]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_string_agg_beyond_its_limit_is_an_error() {
    let server = Server::new(64 << 20, 1 << 30);
    let error = server.refused("select length(string_agg('aaaaaaaaaa', ',')) from long_sequence(100000)").await;
    assert_eq!((error.message.as_str(), error.position), ("string_agg() result exceeds max size of 1048576 bytes", 25));
}

/// Cancels as soon as the statement is listed, and returns its error and how long it ran on.
#[expect(clippy::disallowed_methods, reason = "how long a cancelled statement runs on is what is asked")]
async fn cancelled(server: &Server, sql: &'static str) -> (SqlError, Duration) {
    let (database, settings) = (server.database.clone(), server.settings.clone());
    let victim = Server { database, settings };
    let running = tokio::spawn(async move { victim.longs(sql).await });
    let listed = "select query_id from query_activity() where query not like '%query_activity%'";
    let id = loop {
        assert!(!running.is_finished(), "{sql} ended by itself");
        match server.longs(listed).await.expect("it lists").first() {
            Some(id) => break *id,
            None => tokio::task::yield_now().await,
        }
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    let asked = Instant::now();
    server.session().execute(&format!("cancel query {id}"), &[]).await.expect("it runs");
    let error = running.await.expect("no panic").expect_err("it was cancelled");
    (error, asked.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_stops_every_kind_of_long_statement_and_frees_its_memory() {
    let server = Server::new(256 << 20, 1 << 30);
    for sql in [
        "select count(*) from long_sequence(10000000000)",
        "select count(*) from long_sequence(1000000) a cross join long_sequence(1000000) b where a.x + b.x = 7",
        "select count(*) from long_sequence(1000000) a join long_sequence(1000000) b on a.x % 10 = b.x % 10",
        "select count(*) from long_sequence(1000000) a join long_sequence(1000000) b on a.x % 10 = b.x % 10 where a.x + b.x = 7",
        "select count(*) from long_sequence(1000000) a left join long_sequence(1000000) b on a.x % 10 = b.x % 10 and a.x + b.x = 7",
        "select max(c) from (select count() c from (select x::timestamp ts from long_sequence(3)) timestamp(ts) \
         sample by 1U from '1970' to '2030' fill(0))",
    ] {
        let (error, took) = cancelled(&server, sql).await;
        assert_eq!((error.message.as_str(), error.kind), ("cancelled by user", SqlErrorKind::Stopped), "{sql}");
        assert!(took < Duration::from_secs(3), "{sql} ran on for {took:?}");
        assert_eq!(server.settings.memory.used_for(Purpose::Queries), 0, "{sql}");
    }
    assert!(server.settings.activity.statements().is_empty());
}

/// They are tasks of their own, which give their memory back when they next look up.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_stops_the_arms_of_a_merge() {
    let server = Server::new(256 << 20, 1 << 30);
    let sql = "select v from (select v from ((select a.x v from long_sequence(1000000) a join long_sequence(1000000) b \
               on a.x % 10 = b.x % 10 where a.x + b.x = 7 order by v) union all (select x v from long_sequence(1) order by v))) \
               order by v limit 5000";
    let (error, took) = cancelled(&server, sql).await;
    assert_eq!((error.message.as_str(), error.kind), ("cancelled by user", SqlErrorKind::Stopped));
    assert!(took < Duration::from_secs(3), "it ran on for {took:?}");
    for _ in 0..1_000 {
        if server.settings.memory.used_for(Purpose::Queries) == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("an arm is still at work");
}

#[tokio::test]
async fn cancel_refuses_what_the_peer_refuses() {
    let server = Server::new(64 << 20, 1 << 30);
    for (sql, position, message) in [
        ("cancel query 77", 13, "query to cancel not found in registry [id=77]"),
        ("cancel query -1", 13, "non-negative integer literal expected as query id"),
        ("cancel query abc", 13, "non-negative integer literal expected as query id"),
        ("cancel query", 7, "non-negative integer literal expected as query id"),
        ("cancel query 1 2", 15, "unexpected token [2]"),
        ("cancel", 0, "'QUERY' expected'"),
        ("cancel foo", 7, "'QUERY' expected'"),
        ("select cancel_query(-5)", 20, "non-negative integer literal expected as query id"),
    ] {
        let Err(error) = server.session().execute(sql, &[]).await else { panic!("{sql} was carried out") };
        assert_eq!((error.position, error.message.as_str()), (position, message), "{sql}");
    }
    assert_eq!(server.longs("select cancel_query(5)::long").await, Ok(vec![0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_its_time_is_over_for_says_so() {
    let server = Server::new(64 << 20, 1 << 30);
    let mut session = server.session();
    let stopper = session.stopper();
    let Ok(Outcome::Rows(mut rows)) = session.execute("select x from long_sequence(10000000000)", &[]).await else {
        panic!("it has rows")
    };
    rows.stream.next().await.expect("a batch").expect("no error yet");
    stopper.time_out(Duration::from_millis(2_003), Duration::from_secs(2), 5);
    let error = loop {
        match rows.stream.next().await.expect("it is endless") {
            Ok(_) => continue,
            Err(error) => break SqlError::from_datafusion(&error).message,
        }
    };
    assert!(error.starts_with("timeout, query aborted [fd="), "{error}");
    assert!(error.ends_with(", runtime=2003ms, timeout=2000ms]"), "{error}");
}

/// Runs a statement on a stack as the server's statements have it.
pub fn on_a_servers_stack(sql: String) -> Result<Vec<i64>, SqlError> {
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(Server::new(256 << 20, 1 << 30).longs(&sql))
    };
    std::thread::Builder::new().stack_size(64 << 20).spawn(run).expect("a thread").join().expect("no overflow")
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a bound that only an endless plan reaches")]
fn sub_queries_in_one_another_plan_in_time() {
    let nested = |depth: usize, item: &str| {
        let inner = "select x from long_sequence(3)".to_owned();
        (0..depth).fold(inner, |query, _| format!("select {item} from ({query})"))
    };
    let began = Instant::now();
    assert_eq!(on_a_servers_stack(nested(90, "x")), Ok(vec![1, 2, 3]));
    assert_eq!(on_a_servers_stack(nested(40, "x + 1 x")), Ok(vec![41, 42, 43]));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn too_deep_is_an_error_and_never_a_crash() {
    let deep = "SQL model is too complex to evaluate";
    for sql in [
        format!("select {}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("select {}true", "not ".repeat(10_000)),
        format!("select {}1", "- ".repeat(10_000)),
        format!("select {}1{}", "abs(".repeat(10_000), ")".repeat(10_000)),
        format!("select x from {}long_sequence(1){}", "(select x from ".repeat(10_000), ")".repeat(10_000)),
        format!("select {}1{}", "case when true then ".repeat(10_000), " end".repeat(10_000)),
        format!("select {}", vec!["1"; 100_000].join("+")),
        vec!["select 1::long"; 100_000].join(" union all "),
        format!("select 1{}", "::long".repeat(100_000)),
    ] {
        let error = on_a_servers_stack(sql.clone()).expect_err("too deep");
        assert_eq!(error.message, deep, "{}", &sql[..40]);
    }
    let sum = format!("select ({})::long", vec!["1"; 1_900].join("+"));
    assert_eq!(on_a_servers_stack(sum), Ok(vec![1_900]));
    let union = vec!["select 1::long"; 300].join(" union all ");
    assert_eq!(on_a_servers_stack(union).map(|rows| rows.len()), Ok(300));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bounds_and_the_number_of_a_tables_rows_need_no_scan() {
    let server = Server::new(64 << 20, 1 << 30);
    let bounds = "select min(ts)::long, max(ts)::long, count() from t";
    for sql in [
        "create table t (ts timestamp, v long) timestamp(ts) partition by day",
        "insert into t select (x * 1000000)::timestamp, x from long_sequence(100000)",
    ] {
        server.session().execute(sql, &[]).await.expect(sql);
    }
    assert_eq!(server.longs(bounds).await, Ok(vec![1_000_000]));
    assert_eq!(server.longs(&bounds.replace("min", "max")).await, Ok(vec![100_000_000_000]));
    assert_eq!(server.longs(&format!("{bounds} where ts > 5000000")).await, Ok(vec![6_000_000]));
    let Ok(Outcome::Rows(mut rows)) = server.session().execute(&format!("explain {bounds}"), &[]).await else {
        panic!("EXPLAIN has rows")
    };
    let lines = rows.stream.next().await.expect("a batch").expect("no error");
    let plan: Vec<&str> = lines.column(0).as_string_view().iter().flatten().collect();
    assert!(plan.concat().contains("DirectEndsExec") && !plan.concat().contains("scan"), "{plan:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_many_rows_is_written_once_and_a_query_that_fails_leaves_none() {
    let server = Server::new(256 << 20, 1 << 30);
    let before = server.database.status().log_bytes;
    let all = "create table t as (select timestamp_sequence(0, 1000000) ts, x, ('s' || x % 7)::symbol s from long_sequence(100000)) \
               timestamp(ts) partition by day";
    let made = server.session().execute(all, &[]).await.expect(all);
    assert!(matches!(made, Outcome::CreateAs { rows: 100_000 }));
    let logged = server.database.status().log_bytes - before;
    assert!(logged < 10_000, "the log holds {logged} bytes");
    assert_eq!(server.longs("select x from t").await, Ok((1..=100_000).collect()));
    assert_eq!(server.longs("select count() from t where s = 's3'").await, Ok(vec![14_286]));
    let keyed = format!("{} dedup upsert keys(ts)", all.replace("table t", "table keyed"));
    server.run(&keyed).await;
    assert_eq!(server.longs("select count() from keyed").await, Ok(vec![100_000]));
    let bad = all.replace("table t", "table bad").replace("0, 1000000", "-90000000000, 1000000");
    let error = server.session().execute(&bad, &[]).await.err().expect("times before 1970 are refused");
    assert!(error.message.contains("before 1970"), "{error}");
    let late = all
        .replace("table t", "table late")
        .replace(" x,", " (case when x = 99999 then 'a' else '1' end)::long::int / 1 x,");
    server.session().execute(&late, &[]).await.ok();
    assert!(server.database.view().table("bad").is_none());
    let again = server.session().execute(all, &[]).await.err().expect("the name is taken");
    assert_eq!((again.position, &*again.message), (13, "table already exists"));
}
