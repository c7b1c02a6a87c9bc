//! The PostgreSQL wire protocol on one listener: [`serve`].
//!
//! Owns connections from accept to close and everything a client may do on one; never plans or stores anything (that is
//! `query::Session`). Message layouts come from the pgwire crate (backend) and `wire::pg_frontend` (frontend).
//!
//! Reading order: [`connection`] (the loop), [`startup`] (password, parameters), [`conversation`] (simple queries and
//! the state of a session), [`extended`] (Parse, Bind, Describe, Execute), [`cursor`] and [`rows`] (results), [`copy_out`], [`copy_in`],
//! [`failure`] (errors), [`command`] (statements that the protocol itself acts on), [`cancel`], [`stream`].

use std::sync::Arc;
use std::time::Duration;

use query::Settings;
use storage::Database;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::live::{Live, Places};
use crate::metrics::Statements;

mod cancel;
mod command;
mod connection;
mod conversation;
mod copy_in;
mod copy_out;
mod copy_statement;
mod cursor;
mod declared;
mod extended;
mod failure;
mod rows;
mod startup;
mod stream;

/// What every connection of the listener shares.
pub struct PgContext {
    pub database: Arc<Database>,
    pub settings: Arc<Settings>,
    /// Who may connect, and how many.
    pub live: Arc<Live>,
    pub places: Places,
    /// Where statements are counted.
    pub counts: Option<Statements>,
    pub limits: Limits,
    /// Where connections and their statements run: one that computes for long holds up no other protocol.
    pub statements: Handle,
}

/// Bounds on what one client, and all together, may hold.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From accept to the end of authentication.
    pub startup: Duration,
    /// Between two messages of a client.
    pub idle: Duration,
    /// For one statement, unless the client asks for another with `options=-c statement_timeout=…`.
    pub statement: Option<Duration>,
    /// For statements that run when the server stops.
    pub shutdown_grace: Duration,
    /// Size of one message.
    pub message_bytes: usize,
    /// Prepared statements of one connection.
    pub statements: usize,
    /// Open portals of one connection.
    pub portals: usize,
    /// How long a portal may hold its rows between two fetches.
    pub view_age: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            startup: Duration::from_secs(10),
            idle: Duration::from_secs(300),
            statement: Some(Duration::from_secs(60)),
            shutdown_grace: Duration::from_secs(5),
            message_bytes: 64 << 20,
            statements: 10_000,
            portals: 1_000,
            view_age: Duration::from_secs(1_800),
        }
    }
}

/// Serves clients until `shutdown` becomes true (or its sender is gone), then returns once every connection has
/// ended, or a little after [`Limits::shutdown_grace`].
pub async fn serve(listener: TcpListener, context: Arc<PgContext>, mut shutdown: watch::Receiver<bool>) {
    let registry = Arc::new(cancel::Registry::default());
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            _ = shutdown.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((socket, peer)) => {
                let place = context.places.take(context.live.get().pg_connections);
                let (context, registry, shutdown) = (context.clone(), registry.clone(), shutdown.clone());
                let statements = context.statements.clone();
                let served = async move {
                    match at_home(socket) {
                        Ok(socket) => {
                            let end = connection::run(socket, place.is_some(), &context, &registry, shutdown).await;
                            tracing::debug!(%peer, ?end, "pg connection ended");
                        }
                        Err(error) => tracing::warn!(%error, %peer, "pg: cannot wait for what a client sends"),
                    }
                    drop(place);
                };
                connections.spawn_on(served, &statements);
            }
            Err(error) => {
                // Most often no descriptors are left: wait for some to be closed instead of spinning.
                tracing::warn!(%error, "pg: cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    // A statement that never pauses is left behind.
    let ended = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(context.limits.shutdown_grace + Duration::from_millis(500), ended).await;
}

/// Returns the socket as one whose readiness is noticed by the threads of whoever calls this. Those of the listener would have to wake
/// them for each message, and what they are handed by others they do in no fair order.
fn at_home(socket: TcpStream) -> std::io::Result<TcpStream> {
    TcpStream::from_std(socket.into_std()?)
}
