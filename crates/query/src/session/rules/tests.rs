//! A plan made with fewer rules is the one that all rules make.

use std::sync::Arc;

use datafusion::physical_plan::displayable;
use storage::env::{Env, SimFs};
use storage::{Database, Options};

use super::*;
use crate::parser::ast::Statement;
use crate::planner::Ctes;
use crate::planner::parameters::Parameters;
use crate::session::Session;
use crate::{Settings, parser};

async fn session() -> Session {
    let env = Env { fs: Arc::new(SimFs::new(1)), ..Env::os() };
    let database = Arc::new(Database::open(env.clone(), Options::new("/root")).expect("an empty root opens"));
    let mut session = Session::new(database, Settings::new(env).shared());
    for sql in [
        "create table t (s symbol, v double, n long, b boolean, x varchar, ts timestamp) timestamp(ts) partition by day",
        "create table u (s symbol, w double)",
        "insert into t select rnd_symbol('a','b'), rnd_double(), x, rnd_boolean(), x::varchar, \
         timestamp_sequence(0, 60000000) from long_sequence(100)",
    ] {
        session.execute(sql, &[]).await.expect(sql);
    }
    session
}

/// Returns which parts the plan of a query has, and its physical plan with the rules for them and with all.
async fn plans(session: &Session, sql: &str) -> (Parts, String, String) {
    let moment = session.moment();
    let Statement::Query(query) = parser::parse(sql).expect(sql) else { panic!("no query: {sql}") };
    let relation = session.planner(&moment, Parameters::bound(&[])).query(&query, Ctes::NONE).expect(sql);
    let plan = super::super::run::ordered(relation).expect(sql).plan;
    let mut shown = Vec::new();
    for state in [session.state.of_plan(&plan), &session.state] {
        let physical = state.create_physical_plan(&plan).await.expect(sql);
        let text = displayable(physical.as_ref()).indent(true).to_string();
        // one pass counts the expressions that it takes out from another number on than three do
        shown.push((1..9).fold(text, |text, i| text.replace(&format!("__common_expr_{i}"), "__common_expr")));
    }
    let all = shown.pop().expect("two plans");
    (parts(&plan), shown.pop().expect("two plans"), all)
}

#[tokio::test(flavor = "multi_thread")]
async fn fewer_rules_make_the_same_plan() {
    let session = session().await;
    for sql in [
        "select 1",
        "select 1 + 2 a, 'x' || 'y' b from t limit 0",
        "select * from t",
        "select * from t limit 5",
        "select * from t limit 5, 10",
        "select n, v from t where n = 5",
        "select * from t where n = 5 and n = 6",
        "select * from t where false",
        "select * from t where 1 = 1 and s = 'a'",
        "select * from t where ts in '1970-01-01T00:05'",
        "select v * 2, v * 2 + 1 from t where v * 2 > 1 and ts > '1970-01-01T00:05'",
        "select n from t where s in ('a', 'b', 'c', 'd') order by n",
        "select n, ts from t order by ts desc limit 3",
        "select n from t where x like '1%' order by v desc, n limit 3",
        "select count() from t",
        "select count(), min(ts), max(ts) from t",
        "select sum(v), avg(n) from t where s = 'a'",
        "select s, count(), avg(v) from t where n > 3 order by s",
        "select s, b, max(v) m from t group by s, b order by m desc limit 2",
        "select count_distinct(n) from t where b",
        "select s, sum(v) from t where ts in '1970-01-01' group by s",
        "select max(n) from t where s = null",
        "select * from t latest on ts partition by s",
        "select s, v from t where s = 'a' and n > 3 latest on ts partition by s, b",
        "select s, v + 1 x from t where ts < '1970-01-01T01' latest on ts partition by s order by x limit 2",
        "select case when n > 5 then 'a' else 'b' end k, count() from t",
    ] {
        let (parts, fewer, all) = plans(&session, sql).await;
        assert!(parts < ALL, "{sql} is no small plan");
        assert_eq!(fewer, all, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_of_other_nodes_get_all_rules() {
    let session = session().await;
    for sql in [
        "select * from t join u on t.s = u.s",
        "select s from t union select s from u",
        "select distinct s from t",
        "select * from t where s in (select s from u)",
        "select row_number() over (order by ts) from t",
        "select ts, avg(v) from t sample by 1h fill(prev)",
        "select a.n from (select n, v + 1 y from t where b) a where a.y > 3",
        "select * from (select * from t where s = 'a') where ts < '1970-01-01T01'",
        "select a from (select n + 1 a from (select n from (select n + v n from (select n, v from t))))",
    ] {
        let (parts, fewer, all) = plans(&session, sql).await;
        assert!(parts >= ALL, "{sql} has nodes that not every rule knows");
        assert_eq!(fewer, all, "{sql}");
    }
}
