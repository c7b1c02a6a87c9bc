//! The signals that stop a server ([`listen`]), and how its parts learn of it ([`stopped`]).

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Waits for SIGTERM or SIGINT. From the call of [`listen`] on neither ends the process by itself; a hang-up never does.
pub struct Stop {
    terminate: Signal,
    interrupt: Signal,
    _hangup: Signal,
}

/// Takes over the signals.
///
/// # Errors
/// When the system refuses to hand them over.
pub fn listen() -> io::Result<Stop> {
    Ok(Stop {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
        _hangup: signal(SignalKind::hangup())?,
    })
}

impl Stop {
    /// Returns the name of the signal that came.
    pub async fn wait(mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Waits until the server is asked to stop, or is gone.
pub async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // an error says that the sender is gone, and the server with it
    let _ = shutdown.wait_for(|stop| *stop).await;
}
