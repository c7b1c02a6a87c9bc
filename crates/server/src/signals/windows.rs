//! What the console and the system say on Windows; nothing there asks for the configuration to be read again.

use std::io;

use tokio::signal::windows::{self, CtrlC, CtrlClose, CtrlShutdown};

use super::Signal;

/// Waits for signals. From the call of [`listen`] on none of them ends the process by itself.
pub struct Signals {
    interrupt: CtrlC,
    close: CtrlClose,
    shutdown: CtrlShutdown,
}

/// Takes over the signals.
///
/// # Errors
/// When the system refuses to hand them over.
pub fn listen() -> io::Result<Signals> {
    Ok(Signals { interrupt: windows::ctrl_c()?, close: windows::ctrl_close()?, shutdown: windows::ctrl_shutdown()? })
}

impl Signals {
    /// Returns what the next signal asks for.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Stop("Ctrl-C"),
            _ = self.close.recv() => Signal::Stop("the end of the console"),
            _ = self.shutdown.recv() => Signal::Stop("the shutdown of the system"),
        }
    }
}
