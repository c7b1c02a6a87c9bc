//! The signals that a server obeys ([`listen`]), and how its parts learn of a stop ([`stopped`]).

use tokio::sync::watch;

#[cfg(unix)]
#[path = "signals/unix.rs"]
mod system;
#[cfg(windows)]
#[path = "signals/windows.rs"]
mod system;

pub use system::{Signals, listen};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT, by its name.
    Stop(&'static str),
    /// SIGHUP: take over what changed in the configuration.
    Reload,
}

/// Waits until the server is asked to stop, or is gone.
pub async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // an error says that the sender is gone, and the server with it
    let _ = shutdown.wait_for(|stop| *stop).await;
}
