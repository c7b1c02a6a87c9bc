//! One connection from accept to close: [`run`].
//!
//! Owns every reason for which a connection or its running statement ends: the client leaves, is idle too long, asks
//! for a cancel, sends what cannot be read; a statement takes too long or panics; the server stops. What a message does
//! is up to the [`Conversation`].

use std::any::Any;
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use wire::pg_frontend::{self, Frontend};

use super::PgContext;
use super::cancel::Registry;
use super::conversation::{self, Conversation};
use super::failure::{Failure, Stop};
use super::startup::{self, Client};
use super::stream::{Input, Output};

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The client closed or said goodbye.
    ByClient,
    /// The client was told why.
    Told(&'static str),
    /// The client could not be reached any more, or never said who it is.
    Lost,
}

/// Serves one client until it or the server ends the connection. Without a `place` the client is only told so.
pub async fn run(
    socket: TcpStream,
    place: bool,
    context: &PgContext,
    registry: &Arc<Registry>,
    mut shutdown: watch::Receiver<bool>,
) -> End {
    let _ = socket.set_nodelay(true); // slower, not wrong, without
    let (read, write) = socket.into_split();
    let (mut input, mut output) = (Input::new(read), Output::new(write));
    let started = startup::start(&mut input, &mut output, context, registry, place);
    let stopped = match timeout(context.limits.startup, started).await {
        Err(_) => return End::Lost,
        Ok(Ok(None)) => return End::ByClient,
        Ok(Ok(Some(client))) => converse(&mut input, &mut output, context, client, &mut shutdown).await,
        Ok(Err(stop)) => Err(stop),
    };
    match stopped {
        Ok(()) => End::ByClient,
        Err(Stop::Socket(error)) => {
            tracing::debug!(%error, "pg: a client cannot be reached any more");
            End::Lost
        }
        Err(Stop::Failed(failure)) => {
            let code = failure.code;
            // A client that does not read its end must not keep us.
            let told = async { output.put(failure.into_message()).is_ok() && output.flush().await.is_ok() };
            if timeout(Duration::from_secs(1), told).await.unwrap_or(false) { End::Told(code) } else { End::Lost }
        }
    }
}

/// Serves messages until the client leaves or something fatal happens.
async fn converse(
    input: &mut Input,
    output: &mut Output,
    context: &PgContext,
    client: Client,
    shutdown: &mut watch::Receiver<bool>,
) -> Result<(), Stop> {
    let mut conversation = Conversation::new(context, &client.user);
    loop {
        let frame = tokio::select! {
            frame = input.frame(context.limits.message_bytes) => frame?,
            () = sleep(context.limits.idle) => {
                return Err(Failure::fatal("57P05", "terminating connection due to idle-session timeout").into());
            }
            _ = shutdown.wait_for(|stop| *stop) => return Err(stopping().into()),
        };
        let Some((kind, body)) = frame else { return Ok(()) };
        let message = match pg_frontend::read_message(kind, &body) {
            Ok(Frontend::Terminate) => return Ok(()),
            Ok(message) => message,
            Err(error) => {
                conversation.fail(error.into(), matches!(kind, b'P' | b'B'), output).await?;
                continue;
            }
        };
        let extended = conversation::is_extended(&message);
        let last = input.next_is(b'S');
        let work = AssertUnwindSafe(conversation.serve(message, last, output)).catch_unwind();
        let served = tokio::select! {
            served = work => served.unwrap_or_else(|panic| Err(panicked(panic.as_ref()).into())),
            () = input.closed() => return Ok(()),
            () = client.registration.requested() => Err(Failure::error("57014", "cancelled by user").into()),
            () = at_limit(client.statement_timeout) => Err(Failure::error("57014", "timeout, query aborted").into()),
            () = after_grace(shutdown, context.limits.shutdown_grace) => Err(stopping().into()),
        };
        match served {
            Ok(()) => {}
            Err(Stop::Failed(failure)) => conversation.fail(failure, extended, output).await?,
            Err(stop) => return Err(stop),
        }
    }
}

fn stopping() -> Failure {
    Failure::fatal("57P01", "terminating connection due to administrator command")
}

fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("no text"), "pg: a statement panicked");
    Failure::fatal("XX000", "internal error: the statement panicked; see the server's log")
}

async fn at_limit(limit: Option<Duration>) {
    match limit {
        Some(limit) => sleep(limit).await,
        None => pending().await,
    }
}

async fn after_grace(shutdown: &mut watch::Receiver<bool>, grace: Duration) {
    let _ = shutdown.wait_for(|stop| *stop).await; // the sender gone means stop as well
    sleep(grace).await;
}
