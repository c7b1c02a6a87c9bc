//! What the operator configured: [`Config`], read from the environment, `ROOT/conf/server.conf` and the defaults.
//!
//! Owns the keys, their meaning and every complaint about them. Never opens a file: [`crate::start`] hands the text in.
//! Reading order: [`file`] (the syntax of server.conf), [`properties`] (which source wins), [`keys`] (every key there
//! is), [`value`] (texts to sizes, times, addresses), [`template`] (the file of a first start).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use types::{ColumnType, PartitionBy};

use crate::ilp_tcp::IlpTcpConfig;

pub mod file;
mod ilp_tcp;
pub mod keys;
pub mod properties;
pub mod template;
pub mod value;

pub use properties::{Parameter, Properties, Source};

/// Why the configuration cannot be used: one plain text for the operator, which names key, source and remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// When a commit is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitMode {
    /// When it is durable.
    Sync,
    /// When the operating system has it.
    NoSync,
}

/// Everything that a start needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    pub root: PathBuf,
    /// `None`: `http.enabled=false`.
    pub http: Option<HttpConfig>,
    /// `None`: `pg.enabled=false`.
    pub pg: Option<PgConfig>,
    /// `None`: `line.tcp.enabled=false`.
    pub ilp_tcp: Option<IlpTcpConfig>,
    /// Where the health server listens. `None`: `http.min.enabled=false`.
    pub health: Option<SocketAddr>,
    pub commit_mode: CommitMode,
    /// Longest run of one statement; `None`: no limit.
    pub query_timeout: Option<Duration>,
    /// Every key with its value, for SHOW PARAMETERS.
    pub parameters: Vec<Parameter>,
    /// What the operator should look at; the server starts all the same.
    pub warnings: Vec<String>,
}

/// The HTTP server.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    pub bind: SocketAddr,
    pub credentials: Option<Credentials>,
    /// Connections at a time.
    pub connections: usize,
    /// How long a connection may stand without a request.
    pub idle: Duration,
    /// Folder below the root with the pages that are served.
    pub public_directory: String,
    pub index_file: String,
    /// `None`: `line.http.enabled=false`.
    pub ingest: Option<IngestConfig>,
}

/// ILP over HTTP.
#[derive(Debug, Clone)]
pub struct IngestConfig {
    pub lines: wire::ilp::Options,
    /// Largest body of one request, after inflation.
    pub max_body_bytes: usize,
}

/// The PostgreSQL server.
#[derive(Debug, Clone)]
pub struct PgConfig {
    pub bind: SocketAddr,
    pub credentials: Credentials,
    pub connections: usize,
    pub idle: Duration,
}

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub user: String,
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({}, ****)", self.user)
    }
}

impl Config {
    /// Returns the configuration of a root, from the text of its `server.conf` and the variables of the environment.
    ///
    /// # Errors
    /// A value that cannot be read, or an address off loopback without credentials of the operator's own.
    pub fn load(
        root: PathBuf,
        server_conf: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Config, ConfigError> {
        let properties = Properties::load(server_conf, environment);
        let config = Config {
            http: properties.bool("http.enabled")?.then(|| http(&properties)).transpose()?,
            pg: properties.bool("pg.enabled")?.then(|| pg(&properties)).transpose()?,
            ilp_tcp: properties.bool("line.tcp.enabled")?.then(|| ilp_tcp::read(&properties)).transpose()?,
            health: properties
                .bool("http.min.enabled")?
                .then(|| properties.address(&["http.min.net.bind.to", "http.min.bind.to"]))
                .transpose()?,
            commit_mode: commit_mode(&properties)?,
            query_timeout: query_timeout(&properties)?,
            parameters: properties.parameters(),
            warnings: properties.warnings().to_vec(),
            root,
        };
        config.refuse_known_credentials_off_loopback(&properties)?;
        Ok(config)
    }

    /// Whoever can reach the port must not get in with a password that stands in every manual.
    fn refuse_known_credentials_off_loopback(&self, properties: &Properties) -> Result<(), ConfigError> {
        let own = |key: &str| properties.source(key) != Source::Default && !properties.text(key).is_empty();
        let mut open = Vec::new();
        if let Some(http) = &self.http
            && !http.bind.ip().is_loopback()
            && http.credentials.is_none()
        {
            open.push(format!(
                "HTTP on {}: set http.user and http.password (QDB_HTTP_USER, QDB_HTTP_PASSWORD)",
                http.bind
            ));
        }
        if let Some(pg) = &self.pg
            && !pg.bind.ip().is_loopback()
            && (!own("pg.password") || pg.credentials.password == "quest")
        {
            open.push(format!("PostgreSQL on {}: set pg.user and pg.password (QDB_PG_USER, QDB_PG_PASSWORD)", pg.bind));
        }
        if let Some(ilp) = &self.ilp_tcp
            && !ilp.bind.ip().is_loopback()
            && ilp.auth_file.is_none()
        {
            open.push(format!("line protocol over TCP on {}: set line.tcp.auth.db.path", ilp.bind));
        }
        if open.is_empty() {
            return Ok(());
        }
        Err(ConfigError(format!(
            "others can reach this server, so it does not start without credentials of your own:\n  {}\n\
             set them in {}/conf/server.conf or in the environment, or listen on 127.0.0.1 only",
            open.join("\n  "),
            self.root.display()
        )))
    }
}

fn http(properties: &Properties) -> Result<HttpConfig, ConfigError> {
    let credentials = match (properties.text("http.user"), properties.text("http.password")) {
        ("", "") => None,
        ("", _) | (_, "") => {
            return Err(ConfigError("http.user and http.password belong together: set both or none".to_owned()));
        }
        (user, password) => Some(Credentials { user: user.to_owned(), password: password.to_owned() }),
    };
    Ok(HttpConfig {
        bind: properties.address(&["http.net.bind.to", "http.bind.to"])?,
        credentials,
        connections: properties.count("http.net.connection.limit")?,
        idle: properties.duration("http.net.connection.timeout")?,
        public_directory: properties.text("http.static.public.directory").to_owned(),
        index_file: properties.text("http.static.index.file.name").to_owned(),
        ingest: properties.bool("line.http.enabled")?.then(|| ingest(properties)).transpose()?,
    })
}

fn ingest(properties: &Properties) -> Result<IngestConfig, ConfigError> {
    Ok(IngestConfig { lines: lines(properties)?, max_body_bytes: properties.size("line.http.max.recv.buffer.size")? })
}

/// Reads what holds for lines by whatever door they come.
fn lines(properties: &Properties) -> Result<wire::ilp::Options, ConfigError> {
    let partition_by = PartitionBy::from_name(properties.text("line.default.partition.by"))
        .ok_or_else(|| properties.bad("line.default.partition.by", "NONE, HOUR, DAY, WEEK, MONTH or YEAR"))?;
    let text_type = ColumnType::from_name(properties.text("line.string.default.column.type"))
        .filter(|t| matches!(t, ColumnType::Varchar | ColumnType::String))
        .ok_or_else(|| properties.bad("line.string.default.column.type", "VARCHAR or STRING"))?;
    Ok(wire::ilp::Options {
        create_tables: properties.bool("line.auto.create.new.tables")?,
        create_columns: properties.bool("line.auto.create.new.columns")?,
        text_type,
        partition_by,
        wal_only: true,
    })
}

fn pg(properties: &Properties) -> Result<PgConfig, ConfigError> {
    Ok(PgConfig {
        bind: properties.address(&["pg.net.bind.to"])?,
        credentials: Credentials {
            user: properties.text("pg.user").to_owned(),
            password: properties.text("pg.password").to_owned(),
        },
        connections: properties.count("pg.net.connection.limit")?,
        idle: properties.duration("pg.net.connection.timeout")?,
    })
}

fn commit_mode(properties: &Properties) -> Result<CommitMode, ConfigError> {
    match properties.text("cairo.commit.mode").to_ascii_lowercase().as_str() {
        "sync" => Ok(CommitMode::Sync),
        "nosync" => Ok(CommitMode::NoSync),
        _ => Err(properties.bad("cairo.commit.mode", "sync or nosync")),
    }
}

fn query_timeout(properties: &Properties) -> Result<Option<Duration>, ConfigError> {
    let old_alone = properties.source("query.timeout") == Source::Default
        && properties.source("query.timeout.sec") != Source::Default;
    let limit = if old_alone {
        Duration::from_secs(properties.count("query.timeout.sec")? as u64)
    } else {
        properties.duration("query.timeout")?
    };
    Ok((!limit.is_zero()).then_some(limit))
}

#[cfg(test)]
mod tests;
