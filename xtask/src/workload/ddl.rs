//! A writer that makes, changes, fills and drops tables, and its model of them: the state after each statement.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::Result;
use crate::http::Http;
use crate::random::Random;

/// Tables of this writer begin so.
const PREFIX: &str = "ddl_";
const TABLES: u64 = 5;
const COLUMNS: u64 = 4;
const MOST_ROWS: usize = 60;

/// The writer and its ledger.
pub struct Ddl {
    ledger: Mutex<Ledger>,
}

struct Ledger {
    /// The state after 0, 1, 2 … statements sent; early ones that no check needs any more are gone.
    states: Vec<State>,
    /// How many states are gone.
    gone: usize,
    acknowledged: usize,
}

/// The tables by name.
type State = BTreeMap<String, Table>;

#[derive(Debug, Clone, PartialEq)]
struct Table {
    columns: Vec<(String, Kind)>,
    rows: Vec<Vec<Value>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Time,
    Long,
    Double,
    Text,
    Symbol,
}

impl Default for Ddl {
    fn default() -> Ddl {
        Ddl { ledger: Mutex::new(Ledger { states: vec![State::new()], gone: 0, acknowledged: 0 }) }
    }
}

impl Ddl {
    /// Returns the number of statements that were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.ledger().acknowledged
    }

    /// Returns the number of statements that were sent.
    pub fn sent(&self) -> usize {
        self.ledger().sent()
    }

    /// Goes on after so many statements.
    pub fn adopt(&self, statements: usize) {
        let mut ledger = self.ledger();
        let keep = statements - ledger.gone;
        ledger.states.truncate(keep + 1);
        ledger.states.drain(..keep);
        ledger.gone = statements;
        ledger.acknowledged = statements;
    }

    /// Changes tables until it is told to stop.
    pub fn run(&self, http_port: u16, stop: &AtomicBool, mut random: Random) -> Result<()> {
        let mut http = Http::connect(http_port)?;
        while !stop.load(Ordering::SeqCst) {
            let (before, number) = {
                let ledger = self.ledger();
                (ledger.states.last().expect("one state is always there").clone(), ledger.sent() + 1)
            };
            let (statement, after) = next(before, number, &mut random);
            self.ledger().states.push(after);
            http.exec(&statement)?;
            self.ledger().acknowledged = number;
        }
        Ok(())
    }

    /// Judges what is there, and returns the number of statements after which the state is so.
    pub fn check(&self, http: &mut Http, low: usize, high: usize) -> Result<usize> {
        let seen = held(http)?;
        let ledger = self.ledger();
        // From the last: a statement that changes nothing (an UPDATE of no row) makes two equal states.
        for at in (low..=high).rev() {
            if ledger.states[at - ledger.gone] == seen {
                return Ok(at);
            }
        }
        let wanted = &ledger.states[low - ledger.gone];
        let table = wanted.keys().chain(seen.keys()).find(|name| wanted.get(*name) != seen.get(*name));
        let table = table.cloned().unwrap_or_default();
        Err(format!(
            "tables are in no state between statements {low} and {high}; {table} is {:?}, after {low} it was {:?}",
            seen.get(&table),
            wanted.get(&table)
        )
        .into())
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no writer panics while it holds its ledger")
    }
}

impl Ledger {
    fn sent(&self) -> usize {
        self.gone + self.states.len() - 1
    }
}

/// Returns a statement that works on a state, and the state after it.
fn next(mut state: State, number: usize, random: &mut Random) -> (String, State) {
    let name = format!("{PREFIX}{}", random.below(TABLES));
    let Some(table) = state.get_mut(&name) else {
        let columns = vec![("ts".to_owned(), Kind::Time), ("a".to_owned(), Kind::Long), ("s".to_owned(), Kind::Symbol)];
        state.insert(name.clone(), Table { columns, rows: Vec::new() });
        let statement = format!("create table {name} (ts timestamp, a long, s symbol) timestamp(ts) partition by day");
        return (statement, state);
    };
    let statement = match random.below(20) {
        0 => add_column(&name, table, random),
        1 => drop_column(&name, table, random),
        2 => rename_column(&name, table, random),
        3 => {
            table.rows.clear();
            Some(format!("truncate table {name}"))
        }
        4 => {
            state.remove(&name);
            Some(format!("drop table {name}"))
        }
        5 => rename_table(&name, &mut state, random),
        6 | 7 => Some(update(&name, table)),
        _ => None,
    };
    match statement {
        Some(statement) => (statement, state),
        None => {
            let statement = match state.get_mut(&name) {
                Some(table) if table.rows.len() < MOST_ROWS => insert(&name, table, number, random),
                Some(table) => {
                    table.rows.clear();
                    format!("truncate table {name}")
                }
                None => unreachable!("only DROP and RENAME remove the table, and they return a statement"),
            };
            (statement, state)
        }
    }
}

fn add_column(name: &str, table: &mut Table, random: &mut Random) -> Option<String> {
    // A name that was dropped comes back with another type.
    let column = format!("c{}", random.below(COLUMNS));
    let kind = *random.pick(&[Kind::Long, Kind::Double, Kind::Text, Kind::Symbol])?;
    if table.columns.iter().any(|(other, _)| *other == column) {
        return None;
    }
    table.columns.push((column.clone(), kind));
    table.rows.iter_mut().for_each(|row| row.push(Value::Null));
    Some(format!("alter table {name} add column {column} {}", kind.sql()))
}

fn drop_column(name: &str, table: &mut Table, random: &mut Random) -> Option<String> {
    let at = table.added(random)?;
    let (column, _) = table.columns.remove(at);
    table.rows.iter_mut().for_each(|row| drop(row.remove(at)));
    Some(format!("alter table {name} drop column {column}"))
}

fn rename_column(name: &str, table: &mut Table, random: &mut Random) -> Option<String> {
    let at = table.added(random)?;
    let new = format!("c{}", random.below(COLUMNS));
    if table.columns.iter().any(|(other, _)| *other == new) {
        return None;
    }
    let old = std::mem::replace(&mut table.columns[at].0, new.clone());
    Some(format!("alter table {name} rename column {old} to {new}"))
}

fn rename_table(name: &str, state: &mut State, random: &mut Random) -> Option<String> {
    let new = format!("{PREFIX}{}", random.below(TABLES));
    if state.contains_key(&new) {
        return None;
    }
    let table = state.remove(name)?;
    state.insert(new.clone(), table);
    Some(format!("rename table {name} to {new}"))
}

fn update(name: &str, table: &mut Table) -> String {
    for row in &mut table.rows {
        if let Some(a) = row[1].as_i64().filter(|a| a % 2 == 0) {
            row[1] = (a + 1001).into();
        }
    }
    format!("update {name} set a = a + 1001 where a % 2 = 0")
}

fn insert(name: &str, table: &mut Table, number: usize, random: &mut Random) -> String {
    let mut texts = Vec::new();
    for row in 0..1 + random.below(5) {
        // Times grow with the statements, so rows come back in the order in which they were inserted.
        let us = 1_704_067_200_000_000 + number as i64 * 600_000_000 + row as i64;
        let values: Vec<(String, Value)> = table.columns.iter().map(|(_, kind)| kind.value(us, random)).collect();
        texts.push(format!("({})", values.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>().join(", ")));
        table.rows.push(values.into_iter().map(|(_, value)| value).collect());
    }
    let columns: Vec<&str> = table.columns.iter().map(|(column, _)| column.as_str()).collect();
    format!("insert into {name} ({}) values {}", columns.join(", "), texts.join(", "))
}

impl Table {
    /// Returns the place of one of the columns that were added.
    fn added(&self, random: &mut Random) -> Option<usize> {
        let added: Vec<usize> = (3..self.columns.len()).collect();
        random.pick(&added).copied()
    }
}

impl Kind {
    fn sql(self) -> &'static str {
        match self {
            Kind::Time => "timestamp",
            Kind::Long => "long",
            Kind::Double => "double",
            Kind::Text => "varchar",
            Kind::Symbol => "symbol",
        }
    }

    /// Returns a value as it is written in SQL and as it comes back.
    fn value(self, us: i64, random: &mut Random) -> (String, Value) {
        let n = random.below(1000) as i64;
        match self {
            Kind::Time => (us.to_string(), us.into()),
            _ if n % 6 == 0 => ("null".to_owned(), Value::Null),
            Kind::Long => (n.to_string(), n.into()),
            Kind::Double => (format!("{n}.5"), (n as f64 + 0.5).into()),
            Kind::Text => (format!("'text {n}'"), format!("text {n}").into()),
            Kind::Symbol => (format!("'sym{}'", n % 20), format!("sym{}", n % 20).into()),
        }
    }
}

/// Reads this writer's tables.
fn held(http: &mut Http) -> Result<State> {
    let mut state = State::new();
    for row in http.rows("select table_name from tables()")?.rows {
        let Some(name) = row[0].as_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        let answer = http.rows(&format!("select cast(ts as long) us, t.* from {name} t"))?;
        // The time as a number takes the place of the time as text.
        let columns = answer.columns[1..].iter().zip(&answer.types[1..]);
        let columns = columns.map(|(column, kind)| Ok((column.clone(), kind_of(kind)?))).collect::<Result<_>>()?;
        let rows = answer.rows.into_iter().map(|mut row| {
            row[1] = row[0].clone();
            row.remove(0);
            row
        });
        state.insert(name.to_owned(), Table { columns, rows: rows.collect() });
    }
    Ok(state)
}

fn kind_of(text: &str) -> Result<Kind> {
    let kinds = [Kind::Time, Kind::Long, Kind::Double, Kind::Text, Kind::Symbol];
    let kind = kinds.into_iter().find(|kind| kind.sql().eq_ignore_ascii_case(text));
    kind.ok_or_else(|| format!("a column of type {text}, which was never made").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_follow_the_model() {
        let (mut state, mut random) = (State::new(), Random::new(7));
        for number in 1..500 {
            let (statement, after) = next(state, number, &mut random);
            assert!(!statement.is_empty());
            for table in after.values() {
                assert!(table.rows.iter().all(|row| row.len() == table.columns.len()), "{statement}");
            }
            state = after;
        }
    }

    #[test]
    fn a_state_is_forgotten_once_a_later_one_is_adopted() {
        let ddl = Ddl::default();
        let mut random = Random::new(1);
        for number in 1..=3 {
            let last = ddl.ledger().states.last().cloned().unwrap_or_default();
            ddl.ledger().states.push(next(last, number, &mut random).1);
        }
        ddl.adopt(2);
        assert_eq!((ddl.acknowledged(), ddl.sent(), ddl.ledger().states.len()), (2, 2, 1));
    }
}
