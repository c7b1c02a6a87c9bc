//! One running server: the engine of a root and the listeners before it ([`Server`]).
//!
//! Addresses are taken before storage is opened (an address in use must not cost a recovery), and clients are served
//! only after [`Server::accept`].

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use storage::env::Env;
use storage::{Database, Engine, Options, StartStep};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::{Config, LogConfig, micros};
use crate::http::{self, HttpContext};
use crate::ilp_tcp::{self, IlpTcpContext, Keys};
use crate::pg::{self, PgContext};
use crate::reload::Reloader;
use crate::start::Warning;
use crate::watch::Watch;
use crate::{health, memory, start};

mod shared;

use shared::Shared;
pub(crate) use shared::shown;

/// The stack of a thread that plans statements, deep ones too; only what is used takes memory.
pub(crate) const STATEMENT_STACK_BYTES: usize = 64 << 20;

/// Hears what a long start does, one line at a time.
pub type Progress = Box<dyn Fn(StartStep) + Send>;

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address} for {purpose}: {source}; choose another address with {key}")]
    Listen { address: SocketAddr, purpose: &'static str, key: &'static str, source: io::Error },
    #[error("cannot make {path}: {source}")]
    Root { path: String, source: io::Error },
    #[error("{0}")]
    Spill(String),
    #[error("{0}")]
    Storage(storage::Error),
    #[error("cannot start threads: {0}")]
    Threads(io::Error),
    #[error("cannot read the keys of line.tcp.auth.db.path, {path}: {why}")]
    Keys { path: String, why: String },
    #[error("storage stopped while it was opened")]
    Died,
}

/// A server. Dropping it without [`Server::stop`] leaves the root as a kill would: safe, but not clean.
pub struct Server {
    /// Taken by a stop.
    engine: Option<Engine>,
    /// Threads of their own for statements; taken when the server is dropped.
    statements: Option<Runtime>,
    http: Option<(TcpListener, Arc<HttpContext>)>,
    pg: Option<(TcpListener, Arc<PgContext>)>,
    ilp_tcp: Option<(TcpListener, Arc<IlpTcpContext>)>,
    health: Option<TcpListener>,
    http_address: Option<SocketAddr>,
    pg_address: Option<SocketAddr>,
    ilp_tcp_address: Option<SocketAddr>,
    health_address: Option<SocketAddr>,
    shutdown: watch::Sender<bool>,
    tasks: JoinSet<()>,
    reloader: Arc<Reloader>,
    watch: Arc<Watch>,
    log: LogConfig,
}

impl Server {
    /// Takes the addresses and opens the root; `progress` hears what a long start does. No client is served yet.
    ///
    /// # Errors
    /// An address that cannot be taken; whatever storage refuses the root for (nothing was modified then).
    pub async fn start(
        config: Config,
        env: Env,
        warnings: Vec<Warning>,
        progress: Progress,
    ) -> Result<Server, StartError> {
        let http = listen(config.http.as_ref().map(|h| h.bind), "HTTP", "http.net.bind.to").await?;
        let pg = listen(config.pg.as_ref().map(|p| p.bind), "PostgreSQL", "pg.net.bind.to").await?;
        let ilp_tcp = listen(config.ilp_tcp.as_ref().map(|i| i.bind), "line protocol", "line.tcp.net.bind.to").await?;
        let keys = keys(&config, &env)?;
        let health = listen(config.health, "health checks", "http.min.net.bind.to").await?;
        let memory = types::memory::Budget::new(memory::limit_bytes(&config.memory_limit, env.fs.as_ref()));
        let spill = memory::spill(&config, env.fs.as_ref()).map_err(StartError::Spill)?;
        // what may fail stands before what may restore
        let statements = runtime().map_err(StartError::Threads)?;
        let engine = match open(&config, env.clone(), memory.clone(), progress).await {
            Ok(engine) => engine,
            Err(error) => {
                statements.shutdown_background();
                return Err(error);
            }
        };
        let shared = Shared::new(&config, env, &engine, statements.handle(), memory, spill);

        let http = http.zip(config.http.clone());
        let http = http.map(|(listener, http)| (listener, Arc::new(shared.http(&config, http, warnings))));
        let pg = pg.zip(config.pg.as_ref()).map(|(listener, pg)| (listener, Arc::new(shared.pg(&config, pg))));
        let ilp_tcp = ilp_tcp.zip(config.ilp_tcp.clone());
        let ilp_tcp = ilp_tcp.map(|(listener, ilp)| (listener, Arc::new(shared.ilp_tcp(ilp, keys))));
        let address = |listener: &TcpListener| listener.local_addr().ok();
        Ok(Server {
            http_address: http.as_ref().and_then(|(listener, _)| address(listener)),
            pg_address: pg.as_ref().and_then(|(listener, _)| address(listener)),
            ilp_tcp_address: ilp_tcp.as_ref().and_then(|(listener, _)| address(listener)),
            health_address: health.as_ref().and_then(address),
            engine: Some(engine),
            statements: Some(statements),
            http,
            pg,
            ilp_tcp,
            health,
            shutdown: watch::channel(false).0,
            tasks: JoinSet::new(),
            reloader: shared.reloader,
            watch: shared.watch,
            log: config.log,
        })
    }

    /// Takes over what changed in the configuration; returns whether anything did.
    pub fn reload(&self) -> bool {
        self.reloader.reload()
    }

    /// Begins to serve clients.
    pub fn accept(&mut self) {
        self.tasks.spawn(memory::give_back(self.watch.memory.clone(), self.shutdown.subscribe()));
        if let Some((listener, context)) = self.http.take() {
            self.tasks.spawn(http::serve(listener, context, self.shutdown.subscribe()));
        }
        if let Some((listener, context)) = self.pg.take() {
            self.tasks.spawn(pg::serve(listener, context, self.shutdown.subscribe()));
        }
        if let Some((listener, context)) = self.ilp_tcp.take() {
            self.tasks.spawn(ilp_tcp::serve(listener, context, self.shutdown.subscribe()));
        }
        if let Some(listener) = self.health.take() {
            self.tasks.spawn(health::serve(listener, self.watch.clone(), self.shutdown.subscribe()));
        }
    }

    /// Lets the answers under way go out, refuses new ones, and closes the database.
    ///
    /// # Errors
    /// What storage could not bring to disk; it will be recovered at the next start.
    pub async fn stop(mut self) -> storage::Result<()> {
        self.shutdown.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
        let engine = self.engine.take().expect("only a stop takes it");
        match tokio::task::spawn_blocking(move || engine.shutdown()).await {
            Ok(ended) => ended,
            Err(_) => Err(storage::Error::Unavailable("storage stopped while it was closed".to_owned())),
        }
    }

    /// Returns what the start has to tell the operator: what a restore did, what recovery found.
    pub fn notices(&self) -> Vec<&str> {
        let report = self.database().start_report();
        let restore = report.restore.iter().flat_map(|restore| &restore.lines);
        restore.chain(&report.notices).map(String::as_str).collect()
    }

    /// Returns a line for each address that is listened on.
    pub fn addresses(&self) -> Vec<String> {
        [
            ("HTTP, ILP and web page: http://", self.http_address),
            ("PostgreSQL: ", self.pg_address),
            ("ILP over TCP: ", self.ilp_tcp_address),
            ("health checks: http://", self.health_address),
        ]
        .into_iter()
        .filter_map(|(what, address)| Some(format!("listening for {what}{}", address?)))
        .collect()
    }

    /// Returns how the text log is kept.
    pub fn log_config(&self) -> &LogConfig {
        &self.log
    }

    /// Returns the database.
    pub fn database(&self) -> &Arc<Database> {
        self.engine.as_ref().expect("only a stop takes it").database()
    }

    /// Returns where HTTP is served.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http_address
    }

    /// Returns where PostgreSQL's protocol is served.
    pub fn pg_address(&self) -> Option<SocketAddr> {
        self.pg_address
    }

    /// Returns where line protocol is taken over TCP.
    pub fn ilp_tcp_address(&self) -> Option<SocketAddr> {
        self.ilp_tcp_address
    }

    /// Returns where health checks are answered.
    pub fn health_address(&self) -> Option<SocketAddr> {
        self.health_address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(statements) = self.statements.take() {
            // a statement that computes without a pause must not hold the stop
            statements.shutdown_background();
        }
    }
}

/// Makes the threads on which statements run, as many as there are processors.
fn runtime() -> io::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.thread_name("statement").thread_stack_size(STATEMENT_STACK_BYTES).enable_all().build()
}

async fn listen(
    address: Option<SocketAddr>,
    purpose: &'static str,
    key: &'static str,
) -> Result<Option<TcpListener>, StartError> {
    let Some(address) = address else {
        return Ok(None);
    };
    let listener = TcpListener::bind(address).await;
    listener.map(Some).map_err(|source| StartError::Listen { address, purpose, key, source })
}

/// Reads the public keys of those who may write over TCP.
fn keys(config: &Config, env: &Env) -> Result<Option<Keys>, StartError> {
    let Some(file) = config.ilp_tcp.as_ref().and_then(|ilp| ilp.auth_file.as_ref()) else {
        return Ok(None);
    };
    let path = config.root.join(file);
    let wrong = |why: String| StartError::Keys { path: path.display().to_string(), why };
    let bytes = env.fs.read(&path).map_err(|e| wrong(e.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8".to_owned()))?;
    Keys::read(&text).map(Some).map_err(wrong)
}

async fn open(
    config: &Config,
    env: Env,
    memory: types::memory::Budget,
    progress: Progress,
) -> Result<Engine, StartError> {
    let mut options = Options::new(&config.root);
    options.commit_mode = config.storage.commit_mode;
    // a table's rows must not take so much that no statement has room
    options.flush_bytes = config.storage.flush_bytes.min(memory.limit_bytes() as u64 / 16);
    options.memory = memory;
    options.base_bytes = config.storage.base_bytes;
    options.log_files_max = config.storage.log_files;
    options.drop_grace_us = micros(config.storage.drop_grace);
    options.snapshot_lease_us = config.storage.snapshot_lease.map(micros);
    options.restore_grace_us = micros(config.storage.restore_grace);
    options.instance_id.clone_from(&config.storage.instance_id);
    options.restores = config.storage.restores;
    options.snapshot_syncfs = config.storage.snapshot_syncfs;
    options.snapshot_warn_share = config.storage.snapshot_warn_share;
    options.snapshot_shed_free = config.storage.snapshot_shed_free;
    options.log_retention_us = config.storage.log_retention.map(micros);
    options.log_retention_bytes = config.storage.log_retention_bytes;
    let root = config.root.clone();
    let opened = tokio::task::spawn_blocking(move || {
        start::make_root(env.fs.as_ref(), &root)
            .map_err(|source| StartError::Root { path: root.display().to_string(), source })?;
        Engine::open_with_progress(env, options, &progress).map_err(StartError::Storage)
    });
    opened.await.unwrap_or(Err(StartError::Died))
}
