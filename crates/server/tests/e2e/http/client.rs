//! A server on a root of its own in this process, and a client that writes its bytes by hand.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use server::{Config, Server};
use storage::Env;
use tokio::runtime::Runtime;

/// Stops and removes its root when dropped.
pub struct Running {
    pub root: PathBuf,
    pub http: SocketAddr,
    runtime: Option<Runtime>,
    server: Option<Server>,
}

/// An answer, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// Returns an unused path for a root.
pub fn new_root() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("stillpoint-http-{}-{number}", std::process::id()))
}

/// The addresses of a server's doors.
const DOORS: [&str; 4] =
    ["QDB_HTTP_BIND_TO", "QDB_PG_NET_BIND_TO", "QDB_HTTP_MIN_NET_BIND_TO", "QDB_LINE_TCP_NET_BIND_TO"];

/// Returns the built binary as a command, with free ports.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stillpoint"));
    command.envs(DOORS.map(|key| (key, "127.0.0.1:0")));
    command
}

/// Returns a configuration on free ports.
pub fn config(root: &Path, settings: &[(&str, &str)]) -> Config {
    let ports = DOORS.iter().map(|key| ((*key).to_owned(), "127.0.0.1:0".to_owned()));
    let file: String = settings.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    Config::load(root.to_owned(), &file, ports, &|path| Err(format!("{path}: no secrets here"))).unwrap()
}

impl Running {
    pub fn start() -> Running {
        Running::with(&new_root(), &[])
    }

    pub fn with(root: &Path, settings: &[(&str, &str)]) -> Running {
        let runtime = Runtime::new().unwrap();
        let mut server =
            runtime.block_on(Server::start(config(root, settings), Env::os(), Vec::new(), Box::new(|_| {}))).unwrap();
        let http = server.http_address().unwrap();
        // tasks of the listeners are spawned on the runtime that is entered
        let entered = runtime.enter();
        server.accept();
        drop(entered);
        Running { root: root.to_owned(), http, runtime: Some(runtime), server: Some(server) }
    }

    pub fn ilp_tcp(&self) -> SocketAddr {
        self.server.as_ref().and_then(Server::ilp_tcp_address).unwrap()
    }

    pub fn health(&self) -> SocketAddr {
        self.server.as_ref().and_then(Server::health_address).unwrap()
    }

    /// Asks the server to stop, as SIGTERM does, and returns when it has.
    pub fn stop(&mut self) {
        let server = self.server.take().unwrap();
        self.runtime.as_ref().unwrap().block_on(server.stop()).unwrap();
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.0\r\n\r\n"))
    }

    /// Runs a statement.
    pub fn exec(&self, sql: &str) -> Answer {
        self.get(&format!("/exec?query={}", encode(sql)))
    }

    /// Returns the rows of a query as JSON.
    pub fn rows(&self, sql: &str) -> String {
        let answer = self.get(&format!("/exec?nm=true&query={}", encode(sql)));
        assert_eq!(answer.status, 200, "{sql}: {}", answer.body);
        let body = answer.body;
        let end = body.rfind(",\"count\"").unwrap();
        body["{\"dataset\":".len()..end].to_owned()
    }

    pub fn write(&self, lines: &str) -> Answer {
        self.post("/write", "", lines.as_bytes())
    }

    pub fn post(&self, path: &str, headers: &str, body: &[u8]) -> Answer {
        let mut request =
            format!("POST {path} HTTP/1.0\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
        request.extend_from_slice(body);
        send(self.http, &request)
    }

    pub fn ask(&self, request: &str) -> Answer {
        send(self.http, request.as_bytes())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.server.take());
        self.runtime.take().unwrap().shutdown_background();
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// Opens a connection whose reads give up after a while.
pub fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

/// Sends a request of HTTP/1.0, after whose answer the server closes.
pub fn send(address: SocketAddr, request: &[u8]) -> Answer {
    let mut socket = connect(address);
    socket.write_all(request).unwrap();
    read_answer(&mut socket)
}

/// Reads up to the end of the connection.
pub fn read_answer(socket: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let _ = socket.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

pub fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { (b as char).to_string() } else { format!("%{b:02X}") })
        .collect()
}
