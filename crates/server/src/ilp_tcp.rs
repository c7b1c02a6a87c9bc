//! Line protocol over TCP: rows without answers.
//!
//! A client is told of nothing: a bad line is logged and, as in the peer, ends its connection (`line.tcp.disconnect.on.error`)
//! after the rows before it are stored. What has come is committed when an interval is over, when enough of it has come, and
//! when the client leaves. A connection is not read while its rows are committed: the client's socket fills up and it waits.
//! Reading order: this file (listener), [`connection`] (bytes to commits), [`auth`] (who may write).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use storage::Database;
use storage::env::Env;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use wire::ilp::Unit;

use crate::ilp_write::Making;
use crate::live::Places;
use crate::memory::Budget;
use crate::signals;

mod auth;
mod connection;

pub use auth::Keys;

/// How the door behaves.
#[derive(Debug, Clone)]
pub struct IlpTcpConfig {
    pub bind: SocketAddr,
    /// Connections at a time; further ones are closed at once.
    pub connections: usize,
    /// How long a client may be silent; `None`: for ever.
    pub idle: Option<Duration>,
    pub lines: wire::ilp::Options,
    /// Of timestamps without a suffix.
    pub unit: Unit,
    /// Longest time that a row waits for its commit.
    pub commit_interval: Duration,
    /// A bad line ends its connection; else it is passed over.
    pub disconnect_on_error: bool,
    /// Longest line in bytes.
    pub max_line_bytes: usize,
    /// The file with the public keys of those who may write, below the root; `None`: everybody may.
    pub auth_file: Option<String>,
}

/// What every connection shares.
pub struct IlpTcpContext {
    pub database: Arc<Database>,
    pub env: Env,
    pub config: IlpTcpConfig,
    pub keys: Option<Keys>,
    pub places: Places,
    pub making: Arc<Making>,
    /// Memory that the bytes of all clients share.
    pub bytes: Budget,
}

/// Serves clients until `shutdown` becomes true; returns when what they had sent is stored.
pub async fn serve(listener: TcpListener, context: Arc<IlpTcpContext>, mut shutdown: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let stop = shutdown.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = signals::stopped(&mut shutdown) => break,
        };
        match accepted {
            Ok((socket, client)) => match context.places.take(context.config.connections) {
                Some(place) => {
                    let (context, stop) = (context.clone(), stop.clone());
                    connections.spawn(async move {
                        connection::serve(socket, client, &context, stop).await;
                        drop(place);
                    });
                }
                None => tracing::warn!(%client, "ilp: too many connections [line.tcp.net.connection.limit]"),
            },
            Err(error) => {
                // Most often no descriptors are left: wait for some to be closed instead of spinning.
                tracing::warn!(%error, "ilp: cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}
