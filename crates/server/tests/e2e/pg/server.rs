//! A listener over an empty database, in this process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use server::config::{Credentials, PgUser};
use server::live::{Live, Now, Places};
use server::pg::{self, Limits, PgContext};
use storage::{Database, Env, Options};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::raw::Client;

/// Stops and removes its root when dropped.
pub struct Server {
    pub address: SocketAddr,
    runtime: Option<Runtime>,
    stop: watch::Sender<bool>,
    served: Option<JoinHandle<()>>,
    root: PathBuf,
}

impl Server {
    pub fn start() -> Server {
        Server::with_limits(Limits::default())
    }

    pub fn with_limits(limits: Limits) -> Server {
        Server::with(limits, 64)
    }

    pub fn with_connections(connections: usize) -> Server {
        Server::with(Limits::default(), connections)
    }

    fn with(limits: Limits, connections: usize) -> Server {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("stillpoint-pg-{}-{number}", std::process::id()));
        let database = Arc::new(Database::open(Env::os(), Options::new(&root)).unwrap());
        let runtime = Runtime::new().unwrap();
        let credentials = Credentials { user: "admin".into(), password: "quest".into() };
        let admin = PgUser { credentials, read_only: false };
        let context = PgContext {
            database,
            settings: Arc::default(),
            live: Live::new(Now { pg_users: vec![admin], pg_connections: connections, ..Now::default() }),
            places: Places::default(),
            counts: None,
            limits,
            statements: runtime.handle().clone(),
        };
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let served = runtime.spawn(pg::serve(listener, Arc::new(context), stopped));
        Server { address, runtime: Some(runtime), stop, served: Some(served), root }
    }

    /// Asks the server to stop, as SIGTERM does, and returns once every connection has ended.
    pub fn stop(&mut self) {
        let _ = self.stop.send(true);
        if let (Some(runtime), Some(served)) = (&self.runtime, self.served.take()) {
            runtime.block_on(served).unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.runtime.take().expect("dropped once").shutdown_background();
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// Returns a server and a client of its own.
pub fn served() -> (Server, Client) {
    let server = Server::start();
    let client = Client::connect(server.address);
    (server, client)
}

/// As [`served`], with a table as tools like to look at.
pub fn served_with_trades() -> (Server, Client) {
    let (server, mut client) = served();
    client.query("create table trades (ts timestamp, sym symbol, price double) timestamp(ts) partition by day");
    (server, client)
}
