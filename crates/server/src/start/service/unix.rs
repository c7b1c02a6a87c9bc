//! Servers in the background of a POSIX system: a process group of their own, and SIGTERM.

use std::io::{Read, Seek};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use storage::Env;

use super::super::{REFUSED, Refusal, notify, refuse};
use super::{NOT_RUNNING, Owner, fail, owner};

/// How long a stop may take before `stop` gives up waiting.
const STOP_PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// Asks the server of the root to stop and waits until it has ended. Nothing to stop is no failure.
pub fn stop(root: &Path, env: &Env) -> ExitCode {
    let pid = match owner::of(root, env.fs.as_ref()) {
        Ok(Owner::Process(pid)) => pid,
        Ok(Owner::Nobody) => {
            outln!("not running on {}", root.display());
            return ExitCode::SUCCESS;
        }
        Ok(Owner::Unseen) => {
            let why = "its process cannot be seen from here: stop it where it was started";
            return fail(NOT_RUNNING, &format!("a server runs on {}, but {why}", root.display()));
        }
        Err(error) => return fail(NOT_RUNNING, &format!("cannot look at {}: {error}", root.display())),
    };
    let asked = Pid::from_raw(pid).map_or(Ok(()), |pid| kill_process(pid, Signal::TERM));
    if let Err(error) = asked {
        return fail(NOT_RUNNING, &format!("cannot stop process {pid}: {error}"));
    }
    let begun_us = env.clock.monotonic_us();
    while owner::of(root, env.fs.as_ref()).is_ok_and(|owner| owner == Owner::Process(pid)) {
        if env.clock.monotonic_us() - begun_us > STOP_PATIENCE.as_micros() as i64 {
            let waited = STOP_PATIENCE.as_secs();
            return fail(NOT_RUNNING, &format!("process {pid} is still stopping after {waited} s; look at its log"));
        }
        std::thread::park_timeout(PAUSE);
    }
    outln!("stopped process {pid} on {}", root.display());
    ExitCode::SUCCESS
}

/// Starts a server in the background and waits until it serves clients or has ended.
pub fn start(root: &Path, json: bool, env: &Env) -> ExitCode {
    let refused = |why: String| refuse(&Refusal::new(why, Some(root)), REFUSED, json);
    if let Ok(Owner::Process(pid)) = owner::of(root, env.fs.as_ref()) {
        return refused(format!("a server runs on {} already, process {pid}", root.display()));
    }
    match Background::spawn(root, json) {
        Ok(background) => background.wait(root),
        Err(error) => refused(format!("cannot start a server: {error}")),
    }
}

/// A server that was just spawned, and what it says.
struct Background {
    child: Child,
    manager: UnixDatagram,
    socket: PathBuf,
    errors: std::fs::File,
}

impl Background {
    fn spawn(root: &Path, json: bool) -> std::io::Result<Background> {
        let socket = std::env::temp_dir().join(format!("stillpoint-start-{}", std::process::id()));
        let manager = UnixDatagram::bind(&socket)?;
        manager.set_read_timeout(Some(PAUSE))?;
        // not a pipe: nobody would read it after this process has ended
        let errors = nameless_file(&socket.with_extension("err"))?;
        let mut server = Command::new(std::env::current_exe()?);
        server.arg("-d").arg(root).args(json.then_some("--json")).env(notify::VARIABLE, &socket).process_group(0);
        server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors.try_clone()?);
        let child = server.spawn();
        if child.is_err() {
            remove(&socket);
        }
        Ok(Background { child: child?, manager, socket, errors })
    }

    fn wait(mut self, root: &Path) -> ExitCode {
        let mut bytes = [0; 4096];
        let code = loop {
            let heard = self.manager.recv(&mut bytes).map_or(0, |length| length);
            let heard = String::from_utf8_lossy(&bytes[..heard]);
            if heard.lines().any(|line| line == "READY=1") {
                outln!("started on {}, process {}", root.display(), self.child.id());
                break ExitCode::SUCCESS;
            }
            if let Some(status) = heard.strip_prefix("STATUS=") {
                errln!("{status}");
            }
            match self.child.try_wait() {
                Ok(None) => {}
                Ok(Some(ended)) => {
                    err!("{}", self.errors());
                    break ExitCode::from(ended.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(REFUSED));
                }
                Err(error) => break fail(REFUSED, &format!("cannot watch process {}: {error}", self.child.id())),
            }
        };
        remove(&self.socket);
        code
    }

    /// Returns what the server printed before it ended.
    fn errors(&mut self) -> String {
        let mut text = String::new();
        match self.errors.rewind().and_then(|()| self.errors.read_to_string(&mut text)) {
            Ok(_) => text,
            Err(error) => format!("stillpoint: the server ended, and what it said cannot be read: {error}\n"),
        }
    }
}

/// Returns a file that is gone when nobody holds it any more.
fn nameless_file(path: &Path) -> std::io::Result<std::fs::File> {
    let file = std::fs::File::options().read(true).write(true).create_new(true).open(path)?;
    remove(path);
    Ok(file)
}

#[expect(clippy::disallowed_methods, reason = "names of this process below /tmp, not a file of a root")]
fn remove(socket: &Path) {
    // what is left there takes no room and no name that is used again
    let _ = std::fs::remove_file(socket);
}
