//! What a service manager is told: readiness, progress and the stop, as systemd's `sd_notify(3)` has it.

use std::io;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
#[cfg(target_os = "linux")]
use std::os::unix::net::SocketAddr;
use std::os::unix::net::UnixDatagram;

/// The variable that names the manager's socket.
pub const VARIABLE: &str = "NOTIFY_SOCKET";

/// Tells the manager, if there is one. What it cannot be told is not worth a stop.
#[derive(Default)]
pub struct Notifier(Option<UnixDatagram>);

impl Notifier {
    /// Returns the notifier that the environment asks for.
    pub fn from_environment() -> Notifier {
        let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) else {
            return Notifier(None);
        };
        match connect(path.as_bytes()) {
            Ok(socket) => Notifier(Some(socket)),
            Err(error) => {
                errln!("stillpoint: cannot reach the service manager at {}: {error}", path.display());
                Notifier(None)
            }
        }
    }

    /// Says what a long start does.
    pub fn status(&self, line: &str) {
        self.send(&format!("STATUS={}", line.replace('\n', " ")));
    }

    /// Says that clients are served.
    pub fn ready(&self) {
        self.send("READY=1\nSTATUS=serving clients");
    }

    /// Says that the server stops.
    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=stopping");
    }

    fn send(&self, text: &str) {
        if let Some(socket) = &self.0
            && let Err(error) = socket.send(text.as_bytes())
        {
            tracing::debug!(%error, "the service manager cannot be told");
        }
    }
}

/// A path, or with `@` in front a name in Linux's own space of names.
fn connect(path: &[u8]) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match path.strip_prefix(b"@") {
        #[cfg(target_os = "linux")]
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        _ => socket.connect(std::ffi::OsStr::from_bytes(path))?,
    }
    // a manager that does not listen must not hold the server
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears_what_the_server_says() {
        let name = format!("stillpoint-notify-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let notifier = Notifier(Some(connect(format!("@{name}").as_bytes()).unwrap()));
        let heard = || {
            let mut bytes = [0; 100];
            let length = manager.recv(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes[..length]).into_owned()
        };
        notifier.status("reading\nthe log");
        assert_eq!(heard(), "STATUS=reading the log");
        notifier.ready();
        assert_eq!(heard(), "READY=1\nSTATUS=serving clients");
        notifier.stopping();
        assert_eq!(heard(), "STOPPING=1\nSTATUS=stopping");
    }
}
