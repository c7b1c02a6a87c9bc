//! SIGTERM, SIGINT and SIGHUP.

use std::io;

use tokio::signal::unix::{self, SignalKind};

use super::Signal;

/// Waits for signals. From the call of [`listen`] on none of them ends the process by itself.
pub struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hangup: unix::Signal,
}

/// Takes over the signals.
///
/// # Errors
/// When the system refuses to hand them over.
pub fn listen() -> io::Result<Signals> {
    Ok(Signals {
        terminate: unix::signal(SignalKind::terminate())?,
        interrupt: unix::signal(SignalKind::interrupt())?,
        hangup: unix::signal(SignalKind::hangup())?,
    })
}

impl Signals {
    /// Returns what the next signal asks for.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Signal::Stop("SIGINT"),
            _ = self.hangup.recv() => Signal::Reload,
        }
    }
}
