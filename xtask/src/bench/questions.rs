//! What is asked: each question in the SQL of the servers, and in DuckDB's where it can say the same.
//!
//! A sign in braces is filled anew for each time of asking, so that no two statements are alike and no answer can be
//! kept from an earlier one: `{k}` a number that is added to a result or a name, `{n}` rows of a top N, `{common}`,
//! `{known}` and `{rare}` symbols, `{price}` a threshold, `{day}`, `{next}` and `{hour}` a stretch of time.

/// A question under the name that the report gives it.
#[derive(Clone, Copy)]
pub struct Question {
    pub name: &'static str,
    sql: &'static str,
    duck: Option<&'static str>,
    /// In the place of `trades`.
    table: &'static str,
}

impl Question {
    /// Returns the question over another table than `trades`.
    pub fn over(&self, table: &'static str) -> Question {
        Question { table, ..*self }
    }

    /// Returns the servers' text for the `k`-th time of asking.
    pub fn sql(&self, k: u64) -> String {
        fill(self.sql, self.table, k)
    }

    /// Returns DuckDB's text for the `k`-th time of asking.
    pub fn duck(&self, k: u64) -> Option<String> {
        self.duck.map(|sql| fill(sql, self.table, k))
    }
}

fn fill(template: &str, table: &str, k: u64) -> String {
    let day = 2 + k % 5;
    template
        .replace("from trades", &format!("from {table}"))
        .replace("{k}", &(k + 1).to_string())
        .replace("{n}", &(10 + k % 7).to_string())
        .replace("{common}", &format!("S{:04}", 3 + k % 5))
        .replace("{known}", &format!("S{:04}", 7 + k % 9))
        .replace("{rare}", &format!("S{:04}", 700 + k % 200))
        .replace("{price}", &format!("{:.2}", 109.5 + (k % 200) as f64 / 100.0))
        .replace("{day}", &format!("2024-01-{day:02}"))
        .replace("{next}", &format!("2024-01-{:02}", day + 1))
        .replace("{hour}", &format!("{:02}", (10 + k) % 24))
}

const fn both(name: &'static str, sql: &'static str, duck: &'static str) -> Question {
    Question { name, sql, duck: Some(duck), table: "trades" }
}

const fn servers(name: &'static str, sql: &'static str) -> Question {
    Question { name, sql, duck: None, table: "trades" }
}

/// Questions over `trades`.
pub const QUERIES: [Question; 23] = [
    both("count", "select count() + {k} from trades", "select count(*) + {k} from trades"),
    both(
        "sum, avg",
        "select sum(price) + {k}, avg(amount) from trades",
        "select sum(price) + {k}, avg(amount) from trades",
    ),
    both(
        "filter on price",
        "select count() from trades where price > {price}",
        "select count(*) from trades where price > {price}",
    ),
    both(
        "group by side",
        "select side, count(), avg(price) + {k}, sum(amount) from trades order by side",
        "select side, count(*), avg(price) + {k}, sum(amount) from trades group by side order by side",
    ),
    both(
        "group by symbol",
        "select symbol, count(), avg(price) + {k}, sum(amount) from trades order by symbol",
        "select symbol, count(*), avg(price) + {k}, sum(amount) from trades group by symbol order by symbol",
    ),
    both(
        "group by symbol, side",
        "select symbol, side, max(price) + {k} from trades order by symbol, side",
        "select symbol, side, max(price) + {k} from trades group by symbol, side order by symbol, side",
    ),
    both(
        "group by account, top N",
        "select account, sum(amount) s{k} from trades group by account order by s{k} desc, account limit {n}",
        "select account, sum(amount) s{k} from trades group by account order by s{k} desc, account limit {n}",
    ),
    both(
        "count distinct account",
        "select count_distinct(account) + {k} from trades",
        "select count(distinct account) + {k} from trades",
    ),
    both(
        "sample by 1h",
        "select timestamp, avg(price) + {k}, max(price), sum(amount) from trades sample by 1h",
        "select date_trunc('hour', timestamp) t, avg(price) + {k}, max(price), sum(amount) from trades group by t order by t",
    ),
    both(
        "sample by 1h, symbol",
        "select timestamp, symbol, avg(price) + {k} from trades sample by 1h order by timestamp, symbol",
        "select date_trunc('hour', timestamp) t, symbol, avg(price) + {k} from trades group by t, symbol order by t, symbol",
    ),
    both(
        "ohlc 1m of one symbol",
        "select timestamp, first(price), max(price), min(price), last(price), sum(amount) s{k} from trades \
         where symbol = '{common}' sample by 1m",
        "select date_trunc('minute', timestamp) t, arg_min(price, timestamp), max(price), min(price), \
         arg_max(price, timestamp), sum(amount) s{k} from trades where symbol = '{common}' group by t order by t",
    ),
    servers(
        "sample by 1m fill(prev)",
        "select timestamp, avg(price), max(price) from trades where price < {price} sample by 1m fill(prev)",
    ),
    servers(
        "sample by 1m fill(linear)",
        "select timestamp, avg(price), max(price) from trades where symbol = '{rare}' sample by 1m fill(linear)",
    ),
    both(
        "latest on symbol",
        "select symbol, price + {k}, timestamp from trades latest on timestamp partition by symbol order by symbol",
        "select symbol, arg_max(price, timestamp) + {k}, max(timestamp) from trades group by symbol order by symbol",
    ),
    both(
        "latest of one symbol",
        "select symbol, price, timestamp from trades where symbol = '{rare}' latest on timestamp partition by symbol",
        "select symbol, price, timestamp from trades where symbol = '{rare}' order by timestamp desc limit 1",
    ),
    both(
        "symbol and one day",
        "select count(), avg(price) + {k} from trades where symbol = '{known}' and timestamp in '{day}'",
        "select count(*), avg(price) + {k} from trades where symbol = '{known}' and timestamp >= '{day}' and timestamp < '{next}'",
    ),
    both(
        "symbol over all",
        "select count(), avg(price) + {k} from trades where symbol = '{known}'",
        "select count(*), avg(price) + {k} from trades where symbol = '{known}'",
    ),
    both(
        "top N by price",
        "select price p{k}, account from trades order by p{k} desc, account limit {n}",
        "select price p{k}, account from trades order by p{k} desc, account limit {n}",
    ),
    both(
        "last N rows",
        "select symbol, price p{k}, timestamp from trades order by timestamp desc limit {n}",
        "select symbol, price p{k}, timestamp from trades order by timestamp desc limit {n}",
    ),
    both(
        "one hour of rows out",
        "select * from trades where timestamp in '{day}T{hour}'",
        "select * from trades where timestamp >= '{day} {hour}:00:00' and timestamp <= '{day} {hour}:59:59.999999' \
         order by timestamp",
    ),
    both(
        "moving average of 10 rows, one day",
        "select sum(a) + {k} from (select avg(price) over (partition by symbol order by timestamp rows between 9 preceding \
         and current row) a from trades where timestamp in '{day}')",
        "select sum(a) + {k} from (select avg(price) over (partition by symbol order by timestamp rows between 9 preceding \
         and current row) a from trades where timestamp >= '{day}' and timestamp < '{next}')",
    ),
    both(
        "date_trunc in a sub-query",
        "select t, count(), max(p) + {k} from (select date_trunc('hour', timestamp) t, price p from trades) \
         group by t order by t",
        "select t, count(*), max(p) + {k} from (select date_trunc('hour', timestamp) t, price p from trades) \
         group by t order by t",
    ),
    both(
        "busy symbols by a sub-query",
        "select * from (select symbol, count() c, sum(amount) s from trades where side = 'buy' group by symbol) \
         where c > {k} order by symbol",
        "select symbol, count(*) c, sum(amount) s from trades where side = 'buy' group by symbol having c > {k} \
         order by symbol",
    ),
];

/// Those of [`QUERIES`] that are also asked when nothing is in memory.
pub const COLD: [&str; 6] =
    ["sum, avg", "group by symbol", "sample by 1h", "latest on symbol", "symbol and one day", "last N rows"];

/// Questions over `tq` and `quotes`.
pub const JOINS: [Question; 6] = [
    both(
        "asof join by symbol",
        "select sum(t.price - q.bid) + {k} from tq t asof join quotes q on (symbol)",
        "select sum(t.price - q.bid) + {k} from tq t asof left join quotes q on t.symbol = q.symbol and t.timestamp >= q.timestamp",
    ),
    both(
        "asof join without a key",
        "select sum(t.price - q.bid) + {k} from tq t asof join quotes q",
        "select sum(t.price - q.bid) + {k} from tq t asof left join quotes q on t.timestamp >= q.timestamp",
    ),
    both(
        "lt join by symbol",
        "select sum(t.price - q.bid) + {k} from tq t lt join quotes q on (symbol)",
        "select sum(t.price - q.bid) + {k} from tq t asof left join quotes q on t.symbol = q.symbol and t.timestamp > q.timestamp",
    ),
    servers(
        "window join by symbol, 10 s around",
        "select sum(b) + {k} from (select t.timestamp, avg(q.bid) b from tq t window join quotes q on (symbol) \
         range between 10 seconds preceding and 10 seconds following exclude prevailing)",
    ),
    both(
        "hash join",
        "select count() + {k}, sum(t.price - m.b) from tq t join (select symbol, max(bid) b from quotes group by symbol) m \
         on t.symbol = m.symbol",
        "select count(*) + {k}, sum(t.price - m.b) from tq t join (select symbol, max(bid) b from quotes group by symbol) m \
         on t.symbol = m.symbol",
    ),
    both(
        "row_number by symbol",
        "select max(rn) + {k} from (select row_number() over (partition by symbol order by timestamp) rn from tq)",
        "select max(rn) + {k} from (select row_number() over (partition by symbol order by timestamp) rn from tq)",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_differs_each_time_of_asking() {
        for question in QUERIES.iter().chain(&JOINS) {
            let asked: std::collections::BTreeSet<String> = (0..102).map(|k| question.sql(k)).collect();
            assert_eq!(asked.len(), 102, "{}", question.name);
            assert!(!question.sql(1).contains('{'), "{}", question.sql(1));
            if let Some(duck) = question.duck(1) {
                assert!(!duck.contains('{') && duck != question.duck(2).expect("as before"), "{duck}");
            }
        }
    }

    #[test]
    fn another_table_takes_the_place_in_every_cold_question() {
        let cold: Vec<&Question> = QUERIES.iter().filter(|question| COLD.contains(&question.name)).collect();
        assert_eq!(cold.len(), COLD.len());
        for question in cold.iter().map(|question| question.over("warm")) {
            for sql in [question.sql(0), question.duck(0).expect("DuckDB says it too")] {
                assert!(sql.contains("from warm") && !sql.contains("trades"), "{sql}");
            }
        }
    }

    #[test]
    fn days_lie_within_the_data() {
        for k in 0..50 {
            let sql = fill("{day} {next}", "trades", k);
            assert!(sql.as_str() >= "2024-01-02" && sql.ends_with(&format!("{:02}", 3 + k % 5)), "{sql}");
        }
    }
}
