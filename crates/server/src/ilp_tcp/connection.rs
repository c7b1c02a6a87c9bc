//! One client of the TCP door: what it sends is gathered and committed in its order ([`serve`]).

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Sleep;

use super::IlpTcpContext;
use crate::ilp_write::{self, Streamed};
use crate::memory::Share;
use crate::signals;

/// Room that is made before each read.
const READ_BYTES: usize = 128 << 10;
/// So many bytes are committed at once, without waiting for the interval.
const COMMIT_BYTES: usize = 2 << 20;
/// A buffer that has grown beyond this is given back when it is empty.
const KEPT_BYTES: usize = 4 << 20;
/// The longest silence where none is configured; a dead peer is found by the system much earlier.
const NO_IDLE_LIMIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// What a client has sent and what is not committed yet.
struct Pending<'a> {
    context: &'a Arc<IlpTcpContext>,
    client: SocketAddr,
    bytes: Vec<u8>,
    share: Share,
    /// From so many bytes on they are committed.
    commit_at: usize,
    /// What comes up to the next line end belongs to a line that was refused.
    skipping: bool,
}

/// Why a connection ends.
struct Ended;

/// Stores what a client sends until it leaves, fails, or the server stops.
pub async fn serve(
    mut socket: TcpStream,
    client: SocketAddr,
    context: &Arc<IlpTcpContext>,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut bytes = Vec::new();
    if let Some(keys) = &context.keys {
        match keys.admit(&mut socket, context.env.rng.as_ref()).await {
            Ok(behind) => bytes = behind,
            Err(why) => {
                tracing::warn!(%client, why, "ilp: a client was not let in");
                return;
            }
        }
    }
    let share = context.bytes.share();
    let mut pending = Pending { context, client, bytes, share, commit_at: COMMIT_BYTES, skipping: false };
    let interval = context.config.commit_interval;
    let mut due: Option<Pin<Box<Sleep>>> = (!pending.bytes.is_empty()).then(|| Box::pin(tokio::time::sleep(interval)));
    loop {
        pending.bytes.reserve(READ_BYTES);
        let silence = tokio::time::sleep(context.config.idle.unwrap_or(NO_IDLE_LIMIT));
        let go_on = tokio::select! {
            biased;
            () = signals::stopped(&mut shutdown) => {
                let _ = pending.commit().await;
                return;
            }
            () = async { due.as_mut().expect("checked").await }, if due.is_some() => {
                due = None;
                pending.commit().await
            }
            read = socket.read_buf(&mut pending.bytes) => match read {
                Ok(0) | Err(_) => {
                    // a line without its end may be cut short: it is no line
                    let _ = pending.commit().await;
                    return;
                }
                Ok(count) => {
                    due.get_or_insert_with(|| Box::pin(tokio::time::sleep(interval)));
                    let room = pending.share.grow(count);
                    if pending.bytes.len() >= pending.commit_at || !room {
                        due = None;
                        pending.commit().await
                    } else {
                        Ok(())
                    }
                }
            },
            () = silence => {
                tracing::info!(%client, "ilp: a silent client is left [line.tcp.net.connection.timeout]");
                let _ = pending.commit().await;
                return;
            }
        };
        if go_on.is_err() {
            return;
        }
    }
}

impl Pending<'_> {
    /// Commits the whole lines that have come.
    async fn commit(&mut self) -> Result<(), Ended> {
        if self.skipping && !self.skip()? {
            return Ok(());
        }
        if self.bytes.is_empty() {
            return Ok(());
        }
        let (context, bytes) = (self.context.clone(), std::mem::take(&mut self.bytes));
        // On a thread of its own, which finishes what it has begun even when this connection's task is dropped.
        let work = tokio::task::spawn_blocking(move || {
            let config = &context.config;
            let request = ilp_write::Request {
                body: &bytes,
                unit: config.unit,
                now_us: context.env.clock.now_us(),
                options: config.lines,
                gone: &AtomicBool::new(false),
            };
            let written =
                ilp_write::write_stream(&context.database, &context.making, request, config.disconnect_on_error);
            (bytes, written)
        });
        let client = self.client;
        let Ok((bytes, written)) = work.await else {
            tracing::error!(%client, "ilp: a commit ended without a result; the client is disconnected");
            return Err(Ended);
        };
        self.bytes = bytes;
        match written {
            Ok(streamed) => self.follow(streamed),
            Err(error) => {
                tracing::error!(%client, ?error, "ilp: rows were not stored; the client is disconnected");
                Err(Ended)
            }
        }
    }

    /// Goes on behind what was read.
    fn follow(&mut self, streamed: Streamed) -> Result<(), Ended> {
        let client = self.client;
        for error in &streamed.errors {
            let next = if streamed.stopped { "the client is disconnected" } else { "the line is passed over" };
            tracing::error!(%client, "ilp: {}; {next}", error.message);
        }
        if streamed.stopped {
            return Err(Ended);
        }
        self.bytes.drain(..streamed.consumed);
        self.skipping = streamed.in_bad_line;
        let left = self.bytes.len();
        if left > self.context.config.max_line_bytes {
            let limit = self.context.config.max_line_bytes;
            tracing::error!(%client, "ilp: a line is longer than {limit} bytes [line.tcp.max.recv.buffer.size]");
            return Err(Ended);
        }
        self.settle(left)
    }

    /// Passes the rest of a refused line; returns whether its end has come.
    fn skip(&mut self) -> Result<bool, Ended> {
        match self.bytes.iter().position(|&byte| byte == b'\n') {
            Some(end) => {
                self.bytes.drain(..=end);
                self.skipping = false;
            }
            None => self.bytes.clear(),
        }
        self.settle(self.bytes.len())?;
        Ok(!self.skipping)
    }

    /// Gives memory back, and lets half a long line double before it is looked at again.
    fn settle(&mut self, left: usize) -> Result<(), Ended> {
        self.commit_at = COMMIT_BYTES.max(2 * left);
        self.share = self.context.bytes.share();
        if !self.share.grow(left) && left > READ_BYTES {
            let client = self.client;
            tracing::error!(%client, "ilp: no memory for a line that has begun; the client is disconnected");
            return Err(Ended);
        }
        if left == 0 && self.bytes.capacity() > KEPT_BYTES {
            self.bytes = Vec::new();
        }
        Ok(())
    }
}
