//! A PostgreSQL client that sends and shows messages as they are.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One connection. Answers are shown as texts that a test can compare, see [`show`].
pub struct Client {
    socket: TcpStream,
    unread: Vec<u8>,
    /// Process number and secret for a cancel request.
    pub key: [u8; 8],
    /// What the server said before the first ReadyForQuery.
    pub greeting: Vec<String>,
}

impl Client {
    /// Returns a client that is logged in, or was refused: see `greeting`.
    pub fn connect(address: SocketAddr) -> Client {
        Client::connect_as(address, "quest", 0, &[])
    }

    pub fn connect_as(address: SocketAddr, password: &str, minor: u32, parameters: &[(&str, &str)]) -> Client {
        let mut client = Client::open(address);
        let mut body = ((3 << 16) | minor).to_be_bytes().to_vec();
        for (name, value) in [("user", "admin"), ("database", "qdb")].iter().chain(parameters) {
            body.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
        }
        body.push(0);
        client.send_bytes(&untyped(&body));
        client.send('p', format!("{password}\0").as_bytes());
        client.greeting = client.until_ready();
        client
    }

    /// Returns a client that has not said anything.
    pub fn open(address: SocketAddr) -> Client {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Client { socket, unread: Vec::new(), key: [0; 8], greeting: Vec::new() }
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    pub fn send(&mut self, kind: char, body: &[u8]) {
        self.send_bytes(&message(kind, body));
    }

    /// Sends a simple query and returns its answer.
    pub fn query(&mut self, sql: &str) -> Vec<String> {
        self.send('Q', format!("{sql}\0").as_bytes());
        self.until_ready()
    }

    /// Sends messages in one write and returns what comes up to ReadyForQuery.
    pub fn extended(&mut self, messages: &[Vec<u8>]) -> Vec<String> {
        self.send_bytes(&messages.concat());
        self.until_ready()
    }

    /// Returns what comes up to ReadyForQuery or the end of the connection.
    pub fn until_ready(&mut self) -> Vec<String> {
        let mut shown = Vec::new();
        loop {
            match self.read() {
                Ok((kind, body)) => {
                    if kind == 'K' {
                        self.key.copy_from_slice(&body[..8]);
                        continue;
                    }
                    shown.push(show(kind, &body));
                    if kind == 'Z' {
                        return shown;
                    }
                }
                Err(_) => {
                    shown.push("closed".into());
                    return shown;
                }
            }
        }
    }

    /// Returns the next message.
    pub fn next(&mut self) -> String {
        let (kind, body) = self.read().unwrap();
        show(kind, &body)
    }

    /// Returns the next byte outside of any message, None at the end.
    pub fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        (self.socket.read(&mut byte).ok()? == 1).then_some(byte[0])
    }

    fn read(&mut self) -> io::Result<(char, Vec<u8>)> {
        loop {
            if self.unread.len() >= 5 {
                let length = u32::from_be_bytes(self.unread[1..5].try_into().unwrap()) as usize;
                if self.unread.len() > length {
                    let rest = self.unread.split_off(length + 1);
                    let frame = std::mem::replace(&mut self.unread, rest);
                    return Ok((frame[0] as char, frame[5..].to_vec()));
                }
            }
            let mut bytes = [0; 65536];
            let count = self.socket.read(&mut bytes)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.unread.extend_from_slice(&bytes[..count]);
        }
    }
}

/// `D 1|x|NULL`, `C INSERT 0 1`, `E 42P01 message @position` (`N` alike), `Z I`, `T name:oid:format,…`, `H format:columns` (`G` alike), `d data`, else the type alone.
fn show(kind: char, body: &[u8]) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned();
    match kind {
        'D' => format!("D {}", fields(body).join("|")), // bytes that are not text show as hex
        'C' | 'Z' => format!("{kind} {}", text(body)),
        'S' => format!("S {}", text(body).replace('\0', "=")),
        'R' => format!("R {}", body[3]),
        'E' | 'N' => {
            let fields: Vec<String> = body.split(|&b| b == 0).map(text).filter(|f| !f.is_empty()).collect();
            let get = |code: char| fields.iter().find_map(|f| f.strip_prefix(code)).unwrap_or("");
            let at = if get('P').is_empty() { String::new() } else { format!(" @{}", get('P')) };
            format!("{kind} {} {} {}{at}", get('S'), get('C'), get('M'))
        }
        'T' => format!("T {}", columns(body).join(",")),
        'H' | 'G' => format!("{kind} {}:{}", body[0], i16::from_be_bytes(body[1..3].try_into().unwrap())),
        'd' => format!("d {}", body.escape_ascii().to_string().replace("\\x00", "\\0")),
        't' => {
            let oids = body[2..].chunks(4).map(|oid| u32::from_be_bytes(oid.try_into().unwrap()).to_string());
            format!("t {}", oids.collect::<Vec<_>>().join(","))
        }
        _ => kind.to_string(),
    }
}

fn fields(body: &[u8]) -> Vec<String> {
    let mut rest = &body[2..];
    let mut shown = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let length = i32::from_be_bytes(*length);
        let (field, tail) = tail.split_at(length.max(0) as usize);
        let printable = std::str::from_utf8(field).ok().filter(|text| !text.chars().any(char::is_control));
        let hex = || field.iter().map(|byte| format!("{byte:02x}")).collect();
        shown.push(if length < 0 { "NULL".into() } else { printable.map_or_else(hex, str::to_owned) });
        rest = tail;
    }
    shown
}

fn columns(body: &[u8]) -> Vec<String> {
    let mut rest = &body[2..];
    let mut shown = Vec::new();
    while let Some(end) = rest.iter().position(|&b| b == 0) {
        let name = String::from_utf8_lossy(&rest[..end]);
        let fixed = &rest[end + 1..end + 19];
        shown.push(format!("{name}:{}:{}", u32::from_be_bytes(fixed[6..10].try_into().unwrap()), fixed[17]));
        rest = &rest[end + 19..];
    }
    shown
}

/// A frame without a type.
pub fn untyped(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 4).to_be_bytes(), body].concat()
}

pub fn message(kind: char, body: &[u8]) -> Vec<u8> {
    [&[kind as u8][..], &untyped(body)].concat()
}

pub fn parse(name: &str, sql: &str, types: &[u32]) -> Vec<u8> {
    let mut body = format!("{name}\0{sql}\0").into_bytes();
    body.extend_from_slice(&(types.len() as u16).to_be_bytes());
    types.iter().for_each(|oid| body.extend_from_slice(&oid.to_be_bytes()));
    message('P', &body)
}

/// Text parameters, text results.
pub fn bind(portal: &str, statement: &str, parameters: &[Option<&str>]) -> Vec<u8> {
    let parameters: Vec<_> = parameters.iter().map(|p| p.map(str::as_bytes)).collect();
    bind_as(0, portal, statement, &parameters)
}

/// Binary parameters, binary results.
pub fn bind_binary(portal: &str, statement: &str, parameters: &[Option<&[u8]>]) -> Vec<u8> {
    bind_as(1, portal, statement, parameters)
}

fn bind_as(format: u8, portal: &str, statement: &str, parameters: &[Option<&[u8]>]) -> Vec<u8> {
    let formats = [0, 1, 0, format];
    let mut body = format!("{portal}\0{statement}\0").into_bytes();
    body.extend_from_slice(&formats);
    body.extend_from_slice(&(parameters.len() as u16).to_be_bytes());
    for parameter in parameters {
        match parameter {
            None => body.extend_from_slice(&(-1i32).to_be_bytes()),
            Some(bytes) => {
                body.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
                body.extend_from_slice(bytes);
            }
        }
    }
    body.extend_from_slice(&formats);
    message('B', &body)
}

pub fn describe(target: char, name: &str) -> Vec<u8> {
    message('D', format!("{target}{name}\0").as_bytes())
}

pub fn execute(portal: &str, max_rows: i32) -> Vec<u8> {
    message('E', &[format!("{portal}\0").as_bytes(), &max_rows.to_be_bytes()].concat())
}

pub fn sync() -> Vec<u8> {
    message('S', b"")
}

/// Checks all that is answered to a query.
#[track_caller]
pub fn check(client: &mut Client, sql: &str, expected: &[&str]) {
    assert_eq!(client.query(sql), expected, "{sql}");
}

/// Checks which rows and errors an answer has.
#[track_caller]
pub fn assert_rows(answer: &[String], rows: &[&str], what: &str) {
    let got: Vec<_> = answer.iter().filter(|line| line.starts_with("D ") || line.starts_with("E ")).collect();
    let wanted: Vec<_> = rows.iter().map(|row| format!("D {row}")).collect();
    assert_eq!(got, wanted.iter().collect::<Vec<_>>(), "{what}");
}
