//! What the operator configured: [`Config`], read from the environment, `ROOT/conf/server.conf` and the defaults.
//!
//! Owns the keys, their meaning and every complaint about them. Never opens a file: [`crate::start`] hands the texts in.
//! Reading order: [`file`] (the syntax of server.conf), [`properties`] (which source wins), [`keys`] (every key there
//! is), [`value`] (texts to sizes, times, addresses), [`read`] (from keys to the fields below), [`check`] (what is
//! refused, what is only said), [`template`] (the file of a first start).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::ilp_tcp::IlpTcpConfig;

pub mod check;
pub mod file;
mod ilp_tcp;
pub mod keys;
pub mod properties;
mod read;
pub mod template;
pub mod value;

pub use properties::{Parameter, Properties, ReadSecret, Source};

/// Why the configuration cannot be used: a plain text for the operator, which names key, source and remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

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
    pub storage: StorageConfig,
    pub log: LogConfig,
    /// Whether `/metrics` is answered.
    pub metrics: bool,
    /// Longest run of one statement; `None`: no limit.
    pub query_timeout: Option<Duration>,
    /// What statements, memtables and requests may hold together.
    pub memory_limit: MemoryLimit,
    /// Where statements spill. `None`: the system's folder for temporary files.
    pub spill_dir: Option<PathBuf>,
    pub spill_limit_bytes: usize,
    /// How long rows may wait for a client that does not fetch them.
    pub view_age: Duration,
    /// Where COPY finds its files; `None`: nowhere.
    pub copy_root: Option<PathBuf>,
    /// Whether `reload_config()` and SIGHUP do anything.
    pub reload: bool,
    /// Every key with its value, for SHOW PARAMETERS.
    pub parameters: Vec<Parameter>,
    /// What the operator should look at; the server starts all the same.
    pub warnings: Vec<String>,
    /// The keys that were set and have no effect here, in one line.
    pub without_effect: Option<String>,
}

/// How much memory the server may fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryLimit {
    Bytes(usize),
    /// Of what the machine, or the process's cgroup, has.
    Percent(usize),
}

/// The HTTP server.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    pub bind: SocketAddr,
    pub credentials: Option<Credentials>,
    /// Nothing is changed through this door.
    pub read_only: bool,
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
    /// Who may connect; the first one is `pg.user`.
    pub users: Vec<PgUser>,
    pub connections: usize,
    pub idle: Duration,
    /// Prepared statements of one connection.
    pub statements: usize,
}

/// Someone who may connect by PostgreSQL's protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgUser {
    pub credentials: Credentials,
    pub read_only: bool,
}

/// How the database is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageConfig {
    pub commit_mode: storage::CommitMode,
    /// A table with more bytes in memory is flushed.
    pub flush_bytes: u64,
    /// Bytes of log at which a new base is written.
    pub base_bytes: u64,
    /// Log files at which tables are flushed and a base is written.
    pub log_files: usize,
    /// How long a dropped table may come back.
    pub drop_grace: Duration,
    /// How long a snapshot stays open when PREPARE does not say.
    pub snapshot_lease: Option<Duration>,
    /// How long what a restore leaves behind stays.
    pub restore_grace: Duration,
    /// What this server is called in snapshots; empty: nothing.
    pub instance_id: String,
    /// A start restores when `_restore` or a changed instance id asks for it.
    pub restores: bool,
    /// PREPARE makes the whole file systems durable.
    pub snapshot_syncfs: bool,
    /// Percent of the disk that snapshots hold at which there is a warning.
    pub snapshot_warn_share: u64,
    /// Percent of the disk that is free below which expired snapshots go.
    pub snapshot_shed_free: u64,
    /// How far back every moment can be restored.
    pub log_retention: Option<Duration>,
    /// What that may cost on disk.
    pub log_retention_bytes: Option<u64>,
}

/// The text log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    pub level: tracing::Level,
    /// A larger file is left and another one begun.
    pub roll_bytes: u64,
    /// How long files stay; zero: for ever.
    pub keep: Duration,
    /// How many bytes of files stay; 0: all.
    pub keep_bytes: u64,
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
    /// Returns the configuration of a root, from the text of its `server.conf` and the variables of the environment;
    /// `read_secret` opens the files that hold secrets.
    ///
    /// # Errors
    /// A value that cannot be read, an address off loopback without credentials of the operator's own, and under
    /// `config.validation.strict=true` a key that nobody knows.
    pub fn load(
        root: PathBuf,
        server_conf: &str,
        environment: impl IntoIterator<Item = (String, String)>,
        read_secret: ReadSecret,
    ) -> Result<Config, ConfigError> {
        let properties = Properties::load(server_conf, environment, read_secret)?;
        Config::from_properties(root, &properties)
    }

    fn from_properties(root: PathBuf, properties: &Properties) -> Result<Config, ConfigError> {
        check::refuse_unfit(properties)?;
        check::refuse_other_place(&root, properties)?;
        let read_only = properties.bool("readonly")?;
        let config = Config {
            http: properties.bool("http.enabled")?.then(|| read::http(properties, read_only)).transpose()?,
            pg: properties.bool("pg.enabled")?.then(|| read::pg(properties, read_only)).transpose()?,
            ilp_tcp: (properties.bool("line.tcp.enabled")? && !read_only)
                .then(|| ilp_tcp::read(properties))
                .transpose()?,
            health: properties
                .bool("http.min.enabled")?
                .then(|| properties.address("http.min.net.bind.to"))
                .transpose()?,
            storage: read::storage(properties)?,
            log: read::log(properties)?,
            metrics: properties.bool("metrics.enabled")?,
            query_timeout: read::query_timeout(properties)?,
            memory_limit: read::memory_limit(properties)?,
            spill_dir: Some(properties.text("spill.dir")).filter(|dir| !dir.is_empty()).map(PathBuf::from),
            spill_limit_bytes: properties.size("spill.limit")?,
            view_age: properties.duration("view.age.max")?,
            copy_root: Some(properties.text("cairo.sql.copy.root")).filter(|r| !r.is_empty()).map(|r| root.join(r)),
            reload: properties.bool("config.reload.enabled")?,
            parameters: properties.parameters(),
            warnings: properties.unknown().to_vec(),
            without_effect: properties.without_effect(),
            root,
        };
        check::refuse_known_credentials_off_loopback(&config, properties)?;
        Ok(config)
    }
}

/// Returns a time in microseconds, as storage counts; the longest that there are for more.
pub fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
