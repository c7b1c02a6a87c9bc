//! The systems side by side: Stillpoint, QuestDB and DuckDB, each with what it needs to be started.
//!
//! A peer that cannot be had is left out, and its reason stands in the report. Read [`questdb`] and [`duckdb`] for where
//! they come from.

pub mod duckdb;
pub mod questdb;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::answers::Rows;
use super::process::Processor;
use crate::http::{Http, encode};
use crate::server::Server;
use crate::{Result, brief};
use duckdb::Duck;

/// Longer than anything here takes on a loaded machine.
const LIMIT: Duration = Duration::from_secs(900);

/// A system under measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum System {
    Stillpoint,
    QuestDb,
    DuckDb,
}

impl System {
    /// Returns the name that people know.
    pub fn name(self) -> &'static str {
        match self {
            System::Stillpoint => "Stillpoint",
            System::QuestDb => "QuestDB",
            System::DuckDb => "DuckDB",
        }
    }
}

/// How a server is started.
pub struct Launch {
    pub system: System,
    program: PathBuf,
    arguments: Vec<String>,
}

impl Launch {
    /// Returns how Stillpoint is started.
    pub fn stillpoint(binary: PathBuf) -> Launch {
        Launch { system: System::Stillpoint, program: binary, arguments: Vec::new() }
    }

    /// Starts the server on a root; `mode` is `cairo.commit.mode`, `keys` more of its configuration as environment.
    pub fn start(&self, root: &Path, mode: &str, keys: &[(&str, &str)]) -> Result<Running> {
        std::fs::create_dir_all(root).map_err(|error| format!("{}: {error}", root.display()))?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg("-d").arg(root);
        command.env("QDB_TELEMETRY_ENABLED", "false").env("QDB_CAIRO_COMMIT_MODE", mode);
        command.env("QDB_QUERY_TIMEOUT_SEC", "900").env("QDB_QUERY_TIMEOUT", "900s").envs(keys.iter().copied());
        let server = Server::run(command, root, LIMIT).map_err(|error| format!("{}: {error}", self.system.name()))?;
        let http = Http::connect_for(server.http_port, LIMIT)?;
        Ok(Running { system: self.system, server, http, root: root.to_owned() })
    }
}

/// A server that runs.
pub struct Running {
    pub system: System,
    pub server: Server,
    http: Http,
    pub root: PathBuf,
}

impl Running {
    /// Returns one more connection.
    pub fn connect(&self) -> Result<Http> {
        Http::connect_for(self.server.http_port, LIMIT)
    }

    /// Returns one more connection of PostgreSQL's protocol.
    pub fn pg(&self) -> Result<crate::pg::Pg> {
        crate::pg::Pg::connect_for(self.server.pg_port, LIMIT)
    }

    /// Runs a statement that must succeed.
    pub fn must(&mut self, sql: &str) -> Result<Rows> {
        let answer = self.http.exec(sql).and_then(rows_of);
        self.kept(answer).map_err(|error| format!("{}: {error}", self.system.name()).into())
    }

    /// Returns the body of the answer as it came.
    pub fn raw(&mut self, sql: &str) -> Result<String> {
        let answer = self.http.get(&format!("/exec?query={}", encode(sql)));
        Ok(self.kept(answer)?.body)
    }

    /// Puts a new connection in the place of one on which a statement failed: half an answer may stand in it.
    fn kept<T>(&mut self, answer: Result<T>) -> Result<T> {
        if answer.is_err() {
            self.http = self.connect()?;
        }
        answer
    }

    /// Returns the processor time used so far.
    pub fn processor(&self) -> Result<Processor> {
        Processor::of(self.server.id())
    }

    /// Drops a table if it is there, and waits until its name is free.
    pub fn drop_table(&mut self, table: &str) -> Result<()> {
        self.must(&format!("drop table if exists {table}"))?;
        while !self.must(&format!("select table_name from tables() where table_name = '{table}'"))?.is_empty() {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Waits until a table has so many rows: QuestDB acknowledges lines before queries see them.
    pub fn wait_for_rows(&mut self, table: &str, rows: u64) -> Result<()> {
        let started = std::time::Instant::now();
        loop {
            let seen = self.must(&format!("select count() from {table}"))?;
            let seen = seen.first().and_then(|row| row.first()).and_then(serde_json::Value::as_u64).unwrap_or(0);
            if seen == rows {
                return Ok(());
            }
            if seen > rows || started.elapsed() > LIMIT {
                return Err(format!("{}: {table} has {seen} rows, not {rows}", self.system.name()).into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Takes the rows out of an answer of `/exec`; an error in it is an error here.
pub fn rows_of(mut json: serde_json::Value) -> Result<Rows> {
    if let Some(error) = json["error"].as_str() {
        return Err(brief(error).into());
    }
    Ok(match json["dataset"].take() {
        serde_json::Value::Null => Rows::new(),
        dataset => serde_json::from_value(dataset)?,
    })
}

/// Everything that takes part in a run.
pub struct Peers {
    pub servers: Vec<Running>,
    pub duck: Option<Duck>,
}

impl Peers {
    /// Returns the systems in the order of the report.
    pub fn systems(&self) -> Vec<System> {
        self.servers.iter().map(|server| server.system).chain(self.duck.as_ref().map(|_| System::DuckDb)).collect()
    }

    /// Returns the server of a system.
    pub fn server(&mut self, system: System) -> Result<&mut Running> {
        let mut servers = self.servers.iter_mut();
        servers.find(|server| server.system == system).ok_or_else(|| format!("{} does not run", system.name()).into())
    }

    /// Returns the processor time that a system has used so far.
    pub fn processor(&mut self, system: System) -> Result<Processor> {
        match (system, &self.duck) {
            (System::DuckDb, Some(duck)) => duck.processor(),
            _ => self.server(system)?.processor(),
        }
    }

    /// Stops all servers.
    pub fn end(self) -> Result<()> {
        for running in self.servers {
            running.server.end()?;
        }
        Ok(())
    }
}
