//! A writer of numbered rows into two tables, the same rows into both in one request (or one transaction).
//!
//! All values of a row follow from its number. So any state can be judged: both tables hold the same prefix of the rows,
//! without holes, up to the end of a request, and every value is the right one.

use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::Result;
use crate::http::Http;
use crate::pg::Pg;
use crate::random::Random;

/// 2024-01-01T00:00:00Z.
const START_US: i64 = 1_704_067_200_000_000;
const DAY_US: i64 = 86_400_000_000;

/// How the rows go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// One request of line protocol with the lines of both tables.
    Lines,
    /// BEGIN, an INSERT for each table, COMMIT over PostgreSQL's protocol.
    Transaction,
}

/// The writer and its ledger.
pub struct Pair {
    name: String,
    way: Way,
    ledger: Mutex<Ledger>,
}

#[derive(Default)]
struct Ledger {
    acknowledged: u64,
    /// Where each request sent so far ends; rows are numbered over all requests.
    ends: Vec<u64>,
}

impl Pair {
    /// Returns a writer into the tables `<name>_a` and `<name>_b`.
    pub fn new(name: &str, way: Way) -> Pair {
        Pair { name: name.to_owned(), way, ledger: Mutex::default() }
    }

    /// Returns the number of rows that were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.ledger().acknowledged
    }

    /// Returns the number of rows that were sent.
    pub fn sent(&self) -> u64 {
        self.ledger().ends.last().copied().unwrap_or(0)
    }

    /// Goes on after so many rows.
    pub fn adopt(&self, rows: u64) {
        let mut ledger = self.ledger();
        ledger.acknowledged = rows;
        ledger.ends.retain(|end| *end <= rows);
    }

    /// Writes until it is told to stop.
    pub fn run(&self, http_port: u16, pg_port: u16, stop: &AtomicBool, mut random: Random) -> Result<()> {
        match self.way {
            Way::Lines => {
                let mut http = Http::connect(http_port)?;
                self.each(stop, &mut random, |from, to| http.write(&self.lines(from, to)))
            }
            Way::Transaction => {
                let mut pg = Pg::connect(pg_port)?;
                for table in self.tables() {
                    pg.query(&format!(
                        "create table if not exists {table} (n long, tag symbol, note varchar, v double, timestamp timestamp) timestamp(timestamp) partition by day"
                    ))?;
                }
                self.each(stop, &mut random, |from, to| self.book(&mut pg, from, to))
            }
        }
    }

    fn each(&self, stop: &AtomicBool, random: &mut Random, mut send: impl FnMut(u64, u64) -> Result<()>) -> Result<()> {
        while !stop.load(Ordering::SeqCst) {
            let from = self.sent();
            let to = from + 1 + random.below(20);
            self.ledger().ends.push(to);
            send(from, to)?;
            self.ledger().acknowledged = to;
        }
        Ok(())
    }

    fn lines(&self, from: u64, to: u64) -> String {
        let mut lines = String::new();
        for table in self.tables() {
            for n in from..to {
                let v = value(n).map_or(String::new(), |v| format!(",v={v}"));
                writeln!(lines, "{table},tag={} n={n}i,note=\"{}\"{v} {}000", tag(n), note(n), time_us(n))
                    .expect("a String takes all text");
            }
        }
        lines
    }

    fn book(&self, pg: &mut Pg, from: u64, to: u64) -> Result<()> {
        pg.query("BEGIN")?;
        for table in self.tables() {
            let rows: Vec<String> = (from..to)
                .map(|n| {
                    let v = value(n).map_or("null".to_owned(), |v| v.to_string());
                    format!("({n}, '{}', '{}', {v}, {})", tag(n), note(n), time_us(n))
                })
                .collect();
            pg.query(&format!("insert into {table} (n, tag, note, v, timestamp) values {}", rows.join(", ")))?;
        }
        pg.query("COMMIT")?;
        Ok(())
    }

    fn tables(&self) -> [String; 2] {
        ["a", "b"].map(|side| format!("{}_{side}", self.name))
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no writer panics while it holds its ledger")
    }

    /// Judges what both tables hold, and returns their number of rows.
    pub fn check(&self, http: &mut Http, low: u64, high: u64) -> Result<u64> {
        let [a, b] = self.tables();
        let (in_a, in_b) = (held(http, &a)?, held(http, &b)?);
        self.judge(&a, &in_a, low, high)?;
        self.judge(&b, &in_b, low, high)?;
        if in_a.len() != in_b.len() {
            return Err(format!("{a} has {} rows and {b} {}: one request came apart", in_a.len(), in_b.len()).into());
        }
        Ok(in_a.len() as u64)
    }

    fn judge(&self, table: &str, rows: &[Vec<Value>], low: u64, high: u64) -> Result<()> {
        for (n, row) in rows.iter().enumerate() {
            let want = row_of(n as u64);
            if *row != want {
                return Err(format!("{table}: row {n} is {row:?}, not {want:?}").into());
            }
        }
        let count = rows.len() as u64;
        if count < low {
            return Err(format!("{table}: {count} rows, but {low} were acknowledged").into());
        }
        if count > high {
            return Err(format!("{table}: {count} rows, but only {high} were sent").into());
        }
        if count > 0 && !self.ledger().ends.contains(&count) {
            return Err(format!("{table}: {count} rows, which is in the middle of a request").into());
        }
        Ok(())
    }
}

/// Returns the rows of a table by number; a table that does not exist yet has none.
fn held(http: &mut Http, table: &str) -> Result<Vec<Vec<Value>>> {
    if http.number(&format!("select count() from tables() where table_name = '{table}'"))? == 0 {
        return Ok(Vec::new());
    }
    Ok(http.rows(&format!("select n, tag, note, v, cast(timestamp as long) us from {table} order by n"))?.rows)
}

fn row_of(n: u64) -> Vec<Value> {
    vec![n.into(), tag(n).into(), note(n).into(), value(n).map_or(Value::Null, Value::from), time_us(n).into()]
}

fn tag(n: u64) -> String {
    // A new symbol now and then, as in life.
    if n % 50 == 7 { format!("rare{n}") } else { format!("tag{}", n % 11) }
}

fn note(n: u64) -> String {
    format!("row {n}, {}", "ü".repeat(n as usize % 9))
}

fn value(n: u64) -> Option<f64> {
    // The first row has one, so that the first request makes the column.
    (n % 5 != 4).then_some(n as f64 + 0.25)
}

/// Most rows come in order of time, each seventh three days late.
fn time_us(n: u64) -> i64 {
    let late = if n % 7 == 3 { 3 * DAY_US } else { 0 };
    START_US + 4 * DAY_US + n as i64 * 1_000_001 - late
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> Pair {
        let pair = Pair::new("x", Way::Lines);
        *pair.ledger() = Ledger { acknowledged: 4, ends: vec![2, 4, 9] };
        pair
    }

    fn check(rows: Vec<Vec<Value>>, want: &str) {
        let judged = pair().judge("x_a", &rows, 4, 9);
        let text = judged.map_or_else(|error| error.to_string(), |()| "good".to_owned());
        assert!(text.contains(want), "{text}");
    }

    #[test]
    fn a_prefix_up_to_the_end_of_a_request_is_good() {
        check((0..4).map(row_of).collect(), "good");
        check((0..9).map(row_of).collect(), "good");
    }

    #[test]
    fn lost_invented_torn_and_changed_rows_are_found() {
        check((0..2).map(row_of).collect(), "4 were acknowledged");
        check((0..10).map(row_of).collect(), "only 9 were sent");
        check((0..5).map(row_of).collect(), "middle of a request");
        check([0, 1, 3, 4].map(row_of).to_vec(), "row 2 is");
        let mut rows: Vec<_> = (0..4).map(row_of).collect();
        rows[1][3] = Value::from(1.0);
        check(rows, "row 1 is");
    }

    #[test]
    fn what_never_happened_is_forgotten() {
        let pair = pair();
        pair.adopt(4);
        assert_eq!((pair.acknowledged(), pair.sent()), (4, 4));
    }
}
