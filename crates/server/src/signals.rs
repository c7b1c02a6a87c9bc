//! The signals that a server obeys ([`listen`]), and how its parts learn of a stop ([`stopped`]).

use std::io;

use tokio::signal::unix::{self, SignalKind};
use tokio::sync::watch;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT, by its name.
    Stop(&'static str),
    /// SIGHUP: take over what changed in the configuration.
    Reload,
}

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

/// Waits until the server is asked to stop, or is gone.
pub async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // an error says that the sender is gone, and the server with it
    let _ = shutdown.wait_for(|stop| *stop).await;
}
