//! A server as a task runs it: the built binary on a root and on free ports of its own, ended by its own process id.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::Result;
use crate::http::Http;
use crate::pg::Pg;

/// Longer than any start may take on a loaded machine; what a start costs is printed, not asserted.
const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A running server. Dropped, it is killed, so that a task that fails leaves nothing behind.
pub struct Server {
    child: Child,
    pub http_port: u16,
    pub pg_port: u16,
    /// From the start of the process to its first answer.
    pub started_in: Duration,
    output: PathBuf,
}

/// The three ports of a server on loopback.
#[derive(Clone, Copy)]
pub struct Ports {
    pub http: u16,
    pub pg: u16,
    pub health: u16,
    pub ilp_tcp: u16,
}

impl Ports {
    /// Returns ports that are free now.
    pub fn free() -> Result<Ports> {
        let listeners = [0; 4].map(|_| TcpListener::bind("127.0.0.1:0"));
        let mut ports = [0; 4];
        for (port, listener) in ports.iter_mut().zip(&listeners) {
            let listener = listener.as_ref().map_err(|error| format!("no free port: {error}"))?;
            *port = listener.local_addr()?.port();
        }
        Ok(Ports { http: ports[0], pg: ports[1], health: ports[2], ilp_tcp: ports[3] })
    }

    /// Sets the keys that make a server listen here.
    pub fn set(self, command: &mut Command) {
        for (key, port) in [
            ("QDB_HTTP_BIND_TO", self.http),
            ("QDB_PG_NET_BIND_TO", self.pg),
            ("QDB_HTTP_MIN_NET_BIND_TO", self.health),
            ("QDB_LINE_TCP_NET_BIND_TO", self.ilp_tcp),
        ] {
            command.env(key, format!("127.0.0.1:{port}"));
        }
    }
}

impl Server {
    /// Starts the binary on a root and returns once it answers a query.
    pub fn start(binary: &Path, root: &Path) -> Result<Server> {
        Server::start_or_end(binary, root)?
            .map_err(|(status, said)| format!("the server ended with {status}: {said}").into())
    }

    /// Starts the binary on a root; where it refuses to serve, returns its exit status and what it printed.
    pub fn start_or_end(binary: &Path, root: &Path) -> Result<std::result::Result<Server, (ExitStatus, String)>> {
        let mut command = Command::new(binary);
        command.arg("-d").arg(root);
        Server::run_or_end(command, root, START_LIMIT)
    }

    /// Starts any server that knows our keys for ports; the command names its root.
    pub fn run(command: Command, root: &Path, limit: Duration) -> Result<Server> {
        Server::run_or_end(command, root, limit)?
            .map_err(|(status, said)| format!("the server ended with {status}: {said}").into())
    }

    fn run_or_end(
        command: Command,
        root: &Path,
        limit: Duration,
    ) -> Result<std::result::Result<Server, (ExitStatus, String)>> {
        let started = Instant::now();
        let mut server = Server::spawn(command, root)?;
        loop {
            if let Ok(Ok(_)) = Http::connect(server.http_port).map(|mut http| http.exec("select 1")) {
                server.started_in = started.elapsed();
                return Ok(Ok(server));
            }
            if let Some(status) = server.child.try_wait()? {
                return Ok(Err((status, server.output())));
            }
            if started.elapsed() > limit {
                return Err(format!("the server did not answer in {limit:?}: {}", server.output()).into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn spawn(mut command: Command, root: &Path) -> Result<Server> {
        let ports = Ports::free()?;
        let output = root.with_extension("out");
        let file = File::create(&output).map_err(|error| format!("{}: {error}", output.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        ports.set(&mut command);
        let child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        Ok(Server { child, http_port: ports.http, pg_port: ports.pg, started_in: Duration::ZERO, output })
    }

    /// Returns the number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Connects to the HTTP port.
    pub fn http(&self) -> Result<Http> {
        Http::connect(self.http_port)
    }

    /// Connects to the port of PostgreSQL's protocol.
    pub fn pg(&self) -> Result<Pg> {
        Pg::connect(self.pg_port)
    }

    /// Stops the server as an operator does (SIGTERM) and waits for its end.
    pub fn stop(self) -> Result<()> {
        let output = self.output.clone();
        match self.end()? {
            status if status.success() => Ok(()),
            status => Err(format!("the server stopped with {status}: {}", last_of(&output)).into()),
        }
    }

    /// Stops the server likewise, whatever its exit status (a JVM's is 143).
    pub fn end(mut self) -> Result<ExitStatus> {
        let told = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status()?;
        if !told.success() {
            return Err(format!("kill -TERM {}: {told}", self.child.id()).into());
        }
        wait(&mut self.child, STOP_LIMIT)?
            .ok_or_else(|| format!("the server did not stop in {STOP_LIMIT:?} after SIGTERM: {}", self.output()).into())
    }

    /// Kills the server (SIGKILL) and waits for its end; its output stays readable.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Returns the last of what the server printed.
    pub fn output(&self) -> String {
        last_of(&self.output)
    }
}

fn last_of(output: &Path) -> String {
    let text = std::fs::read(output).unwrap_or_default();
    String::from_utf8_lossy(&text[text.len().saturating_sub(3000)..]).trim().to_owned()
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already ended is fine: nothing is left to do then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let started = Instant::now();
    while started.elapsed() < limit {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(None)
}
