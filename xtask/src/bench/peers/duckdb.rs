//! DuckDB from PyPI, pinned, in an environment of its own; `tests/peers/duckdb_peer.py` speaks with it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::super::answers::Rows;
use super::super::process::Processor;
use crate::Result;
use crate::cargo::root;
use crate::clients::python_with;

/// A DuckDB on a file of its own. Dropped, it ends.
pub struct Duck {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub version: String,
}

/// What a statement gave.
pub struct Told {
    pub ms: f64,
    pub rows: Rows,
}

impl Duck {
    /// Starts it; an error is the reason why it cannot be had.
    pub fn start(file: &Path, threads: usize) -> Result<Duck> {
        let python = python_with(&root().join("target/peers/duckdb"), &root().join("tests/peers/requirements.txt"))?;
        let mut command = Command::new(&python);
        command.arg(root().join("tests/peers/duckdb_peer.py")).arg(file).arg(threads.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let questions = child.stdin.take().ok_or("the script has no input")?;
        let answers = BufReader::with_capacity(1 << 20, child.stdout.take().ok_or("the script has no output")?);
        let mut duck = Duck { child, questions, answers, version: String::new() };
        let version = duck.ask("select version()")?.rows;
        duck.version = version.first().and_then(|row| row.first()).and_then(Value::as_str).unwrap_or("?").to_owned();
        Ok(duck)
    }

    /// Runs a statement and returns its rows.
    pub fn ask(&mut self, sql: &str) -> Result<Told> {
        self.tell(sql, true)
    }

    /// Runs a statement and fetches its rows, but does not tell them.
    pub fn run(&mut self, sql: &str) -> Result<Told> {
        self.tell(sql, false)
    }

    /// Makes a table of a CSV file with a header or, where it is not the first one, adds it to the table.
    pub fn load(&mut self, table: &str, csv: &Path, first: bool) -> Result<Told> {
        let into = if first { format!("create or replace table {table} as") } else { format!("insert into {table}") };
        self.run(&format!("{into} select * from read_csv('{}', header = true)", csv.display()))
    }

    /// Ends it with all of its data in its file, so that the next one on the file has nothing to make up for.
    pub fn end(mut self) -> Result<()> {
        self.run("checkpoint").map(drop)
    }

    /// Returns the processor time used so far.
    pub fn processor(&self) -> Result<Processor> {
        Processor::of(self.child.id())
    }

    fn tell(&mut self, sql: &str, rows: bool) -> Result<Told> {
        writeln!(self.questions, "{}", json!({"sql": sql, "rows": rows}))?;
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err("DuckDB: its script has ended".into());
        }
        let mut answer: Value = serde_json::from_str(&line)?;
        if let Some(error) = answer["error"].as_str() {
            return Err(format!("DuckDB: {error}").into());
        }
        let rows = match answer["rows"].take() {
            Value::Null => Rows::new(),
            rows => serde_json::from_value(rows)?,
        };
        Ok(Told { ms: answer["ms"].as_f64().ok_or("DuckDB: no time in the answer")?, rows })
    }
}

impl Drop for Duck {
    fn drop(&mut self) {
        // Already ended is fine: nothing is left to do then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
