//! One connection from accept to close: [`run`].
//!
//! Owns every reason for which a connection or its running statement ends: the client leaves, is idle too long, asks
//! for a cancel, sends what cannot be read; a statement takes too long or panics; the server stops. What a message does
//! is up to the [`Conversation`].

use std::any::Any;
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use wire::pg_frontend::{self, Frontend};

use super::PgContext;
use super::cancel::Registry;
use super::conversation::Conversation;
use super::failure::{Failure, Stop};
use super::startup::{self, Client};
use super::stream::{Input, Output};

/// How long a statement that is stopped may take to say what it has done before it is dropped.
const LAST_WORD: Duration = Duration::from_secs(1);

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
        let age_at = conversation.portals_age_at();
        let frame = tokio::select! {
            biased;
            _ = shutdown.wait_for(|stop| *stop) => return Err(stopping().into()),
            frame = input.frame(context.limits.message_bytes) => frame?,
            () = at_moment(age_at) => {
                conversation.expire_portals();
                continue;
            }
            () = sleep(context.limits.idle) => {
                return Err(Failure::fatal("57P05", "terminating connection due to idle-session timeout").into());
            }
        };
        let Some((kind, body)) = frame else { return Ok(()) };
        let message = match pg_frontend::read_message(kind, &body) {
            Ok(Frontend::Terminate) => return Ok(()),
            Ok(message) => message,
            Err(error) => {
                let extended = conversation.copies().unwrap_or(matches!(kind, b'P' | b'B'));
                conversation.fail(error.into(), extended, output).await?;
                continue;
            }
        };
        let extended = conversation.is_extended(&message);
        let last = input.next_is(b'S');
        let served = answered(&mut conversation, message, last, input, output, context, &client, shutdown).await;
        match served {
            Ok(Some(())) => {}
            Ok(None) => return Ok(()),
            Err(Stop::Failed(failure)) => {
                // one that does not read what it is sent must not keep its session for ever
                let told = conversation.fail(failure, extended, output);
                timeout(context.limits.idle, told).await.unwrap_or_else(|_| Err(unread().into()))?;
            }
            Err(stop) => return Err(stop),
        }
    }
}

/// Serves one message until it is done or has to end, and returns what the client is to be told.
#[expect(clippy::too_many_arguments, reason = "one call; everything that may end a message's work")]
async fn answered(
    conversation: &mut Conversation,
    message: Frontend,
    last: bool,
    input: &mut Input,
    output: &mut Output,
    context: &PgContext,
    client: &Client,
    shutdown: &mut watch::Receiver<bool>,
) -> Result<Option<()>, Stop> {
    let stopper = conversation.stopper();
    let now_us = || context.settings.env.clock.now_us();
    let work = AssertUnwindSafe(conversation.serve(message, last, output)).catch_unwind();
    let mut work = pin!(work.map(|served| served.unwrap_or_else(|panic| Err(panicked(panic.as_ref()).into()))));
    let began = Instant::now();
    // most statements are done when they are first looked at: no clock is set for those, which may wake another thread
    let error = tokio::select! {
        biased;
        served = work.as_mut() => return served.map(Some),
        () = input.closed() => return Ok(None),
        () = client.registration.requested() => stopper.cancel(now_us()),
        limit = at_limit(client.statement_timeout) => stopper.time_out(began.elapsed(), limit, now_us()),
        () = after_grace(shutdown, context.limits.shutdown_grace) => return Err(stopping().into()),
    };
    // the statement has the last word: a commit that was under way is not answered as if it had not been
    timeout(LAST_WORD, work).await.unwrap_or_else(|_| Err(error.into())).map(Some)
}

fn unread() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "the client does not read its answers")
}

fn stopping() -> Failure {
    Failure::fatal("57P01", "terminating connection due to administrator command")
}

fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("no text"), "pg: a statement panicked");
    Failure::fatal("XX000", "internal error: the statement panicked; see the server's log")
}

async fn at_moment(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}

/// Returns the limit when it is reached.
async fn at_limit(limit: Option<Duration>) -> Duration {
    match limit {
        Some(limit) => {
            sleep(limit).await;
            limit
        }
        None => pending().await,
    }
}

async fn after_grace(shutdown: &mut watch::Receiver<bool>, grace: Duration) {
    let _ = shutdown.wait_for(|stop| *stop).await; // the sender gone means stop as well
    sleep(grace).await;
}
