//! The HTTP server: queries, ILP, the web page.
//!
//! Owns the listener and the life of a connection; what a request means stands in the route files. Never plans or
//! stores anything itself. Reading order: this file (accept loop, connection, shutdown), [`routes`], [`parameters`]
//! and [`body`] (what comes in), [`answer`] (plain answers), [`exec`] and [`exp`] with [`rows`], [`pieces`]
//! and [`cells`] (results),
//! [`write`] (ILP), [`imp`] (CSV), [`pages`] (files under `public/`).

use std::convert::Infallible;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use query::Settings;
use storage::Database;
use storage::env::Env;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::config::HttpConfig;
use crate::ilp_write::Making;
use crate::live::{Live, Place, Places};
use crate::memory::Budget;
use crate::signals;
use crate::start::Warning;
use crate::watch::Watch;

mod answer;
mod auth;
mod body;
mod cells;
mod chk;
mod exec;
mod exp;
mod imp;
mod pages;
pub(crate) mod parameters;
mod pieces;
mod routes;
mod rows;
mod server_info;
mod validate;
mod window;
mod write;

/// Most headers of one request.
const MAX_HEADERS: usize = 500;
/// How long a stop waits for answers under way before it cuts them off.
const DRAIN: Duration = Duration::from_millis(1_500);
/// `/write` requests that parse and commit at a time; more wait.
const WRITERS: usize = 32;
/// `/imp` requests at a time; more wait.
const IMPORTS: usize = 4;

/// What every connection of the listener shares.
pub struct HttpContext {
    pub database: Arc<Database>,
    pub settings: Arc<Settings>,
    pub env: Env,
    pub config: HttpConfig,
    pub watch: Arc<Watch>,
    /// What a reload may change.
    pub live: Arc<Live>,
    /// Of connections.
    pub places: Places,
    pub query_timeout: Option<Duration>,
    /// How long rows may wait for a client that does not read them.
    pub view_age: Duration,
    /// Folder whose files are served.
    pub public: PathBuf,
    pub warnings: Vec<Warning>,
    /// Where statements run.
    pub statements: Handle,
    pub load: Load,
    /// Whether line protocol is taken over TCP too.
    pub ilp_tcp: bool,
    pub errors: ErrorIds,
}

/// What requests hold and wait for.
pub struct Load {
    making: Arc<Making>,
    writers: Semaphore,
    imports: Semaphore,
    bodies: Budget,
}

impl Load {
    /// Returns the load of a server; the other doors for rows share `making` and `bodies`.
    pub fn new(making: Arc<Making>, bodies: Budget) -> Load {
        Load { making, writers: Semaphore::new(WRITERS), imports: Semaphore::new(IMPORTS), bodies }
    }
}

/// Hands out ids under which an error can be found in the log.
pub struct ErrorIds {
    /// Begins every id of this run.
    prefix: u64,
    count: AtomicU64,
}

impl ErrorIds {
    /// Returns the ids of a run.
    pub fn new(env: &Env) -> ErrorIds {
        ErrorIds { prefix: env.rng.next_u64() >> 16, count: AtomicU64::new(0) }
    }

    /// Returns an id that was not returned before.
    fn next(&self) -> String {
        format!("{:012x}-{}", self.prefix, self.count.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// Serves clients until `shutdown` becomes true, then answers what was asked, tells newcomers to come again, and returns
/// when the last answer is out or the time for it is over.
pub async fn serve(listener: TcpListener, context: Arc<HttpContext>, shutdown: watch::Receiver<bool>) {
    let routes = routes::router(context.clone());
    let mut connections = JoinSet::new();
    let mut stop = shutdown.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = signals::stopped(&mut stop) => break,
        };
        match accepted {
            Ok((socket, _)) => match context.places.take(context.live.get().http_connections) {
                Some(place) => {
                    let (routes, idle, shutdown) = (routes.clone(), context.config.idle, shutdown.clone());
                    connections.spawn(connection(socket, place, routes, idle, shutdown));
                }
                None => {
                    connections.spawn(turn_away(socket, "too many connections\r\n"));
                }
            },
            Err(error) => {
                // Most often no descriptors are left: wait for some to be closed instead of spinning.
                tracing::warn!(%error, "http: cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    // Clients take a refused connection for the end of the server and drop their rows; 503 makes them come again.
    while !connections.is_empty() {
        tokio::select! {
            accepted = listener.accept() => if let Ok((socket, _)) = accepted {
                tokio::spawn(turn_away(socket, "the server is stopping\r\n"));
            },
            _ = connections.join_next() => {}
        }
    }
}

/// Serves one connection until its client, its idle time or a stop ends it.
async fn connection(
    socket: TcpStream,
    place: Place,
    routes: axum::Router,
    idle: Duration,
    mut shutdown: watch::Receiver<bool>,
) {
    let _ = socket.set_nodelay(true);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let routes = routes.clone();
        let request = routes::with_one_slash(request.map(Body::new));
        async move { routes.oneshot(request).await as Result<Response, Infallible> }
    });
    let mut http = http1::Builder::new();
    // hyper's limit for reading a head runs between requests too: it is the idle time of a kept connection
    http.timer(TokioTimer::new()).header_read_timeout(idle).max_headers(MAX_HEADERS).title_case_headers(true);
    let mut served = pin!(http.serve_connection(TokioIo::new(socket), service));
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = signals::stopped(&mut shutdown) => {
            served.as_mut().graceful_shutdown();
            // half a head, or a client that does not read, would hold the stop for ever
            tokio::time::timeout(DRAIN, served).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "http connection ended");
    }
    drop(place);
}

/// Answers the first request of a connection with 503 and closes it.
async fn turn_away(socket: TcpStream, why: &'static str) {
    let service = service_fn(move |request: hyper::Request<Incoming>| async move {
        body::discard(Body::new(request.into_body())).await;
        Ok::<_, Infallible>(answer::closing(answer::unavailable(why)))
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(1)).keep_alive(false);
    let served = http.serve_connection(TokioIo::new(socket), service);
    let _ = tokio::time::timeout(Duration::from_secs(2), served).await;
}
