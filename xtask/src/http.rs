//! A small HTTP/1.1 client: one kept connection, answers by length or in chunks. For tasks against loopback only.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::{Result, brief};

/// The longest that a task waits for one answer; a server that takes longer is at fault.
const LIMIT: Duration = Duration::from_secs(60);

/// A connection to the server's HTTP port.
pub struct Http {
    stream: BufReader<TcpStream>,
}

/// An answer: the status and the whole body.
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// What `/exec` answered to a SELECT.
pub struct Rows {
    pub columns: Vec<String>,
    pub types: Vec<String>,
    pub rows: Vec<Vec<Value>>,
}

impl Http {
    /// Connects to a port of 127.0.0.1.
    pub fn connect(port: u16) -> Result<Http> {
        Http::connect_for(port, LIMIT)
    }

    /// Connects to a port of 127.0.0.1; an answer may take as long as `limit`.
    pub fn connect_for(port: u16, limit: Duration) -> Result<Http> {
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|error| format!("127.0.0.1:{port}: {error}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(limit))?;
        Ok(Http { stream: BufReader::with_capacity(1 << 16, stream) })
    }

    /// Sends a GET.
    pub fn get(&mut self, path: &str) -> Result<Answer> {
        self.request("GET", path, b"")
    }

    /// Sends a POST with a body of plain text.
    pub fn post(&mut self, path: &str, body: &[u8]) -> Result<Answer> {
        self.request("POST", path, body)
    }

    /// Sends a GET and hands the body on as it comes; returns the status.
    pub fn stream(&mut self, path: &str, sink: &mut dyn Write) -> Result<u16> {
        let head = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n");
        self.stream.get_mut().write_all(head.as_bytes())?;
        self.receive(sink).map_err(|error| format!("GET {path:.80}: {error}").into())
    }

    /// Sends a file as the part `data` of a form, which is how `/imp` takes it.
    pub fn upload(&mut self, path: &str, file: &Path) -> Result<Answer> {
        let failed = |error: std::io::Error| format!("{}: {error}", file.display());
        let before = "--part\r\nContent-Disposition: form-data; name=\"data\"; filename=\"data.csv\"\r\n\r\n";
        let behind = "\r\n--part--\r\n";
        let mut file = std::fs::File::open(file).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len() + (before.len() + behind.len()) as u64;
        let stream = self.stream.get_mut();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=part\r\n"
        )?;
        write!(stream, "Content-Length: {length}\r\n\r\n{before}")?;
        std::io::copy(&mut BufReader::with_capacity(1 << 20, &mut file), stream)?;
        stream.write_all(behind.as_bytes())?;
        self.answer().map_err(|error| format!("POST {path:.80}: {error}").into())
    }

    /// Sends rows in line protocol; returns once the server has acknowledged them.
    pub fn write(&mut self, lines: &str) -> Result<()> {
        let answer = self.post("/write", lines.as_bytes())?;
        if answer.status == 204 {
            Ok(())
        } else {
            Err(format!("/write answered {}: {}", answer.status, answer.body).into())
        }
    }

    /// Runs a statement over `/exec` and returns the answer as JSON; an error of the statement is an error here.
    pub fn exec(&mut self, sql: &str) -> Result<Value> {
        let answer = self.get(&format!("/exec?query={}", encode(sql)))?;
        let json: Value = serde_json::from_str(&answer.body).map_err(|error| {
            format!("{}: answer {} is no JSON: {error}: {:.300}", brief(sql), answer.status, answer.body)
        })?;
        match &json["error"] {
            Value::Null => Ok(json),
            error => Err(format!("{}: {error} at {}", brief(sql), json["position"]).into()),
        }
    }

    /// Runs a SELECT over `/exec`.
    pub fn rows(&mut self, sql: &str) -> Result<Rows> {
        let mut json = self.exec(sql)?;
        let columns =
            json["columns"].as_array().ok_or_else(|| format!("{}: no columns in the answer: {json}", brief(sql)))?;
        let texts = |key: &str| columns.iter().map(|c| c[key].as_str().unwrap_or_default().to_owned()).collect();
        let (columns, types) = (texts("name"), texts("type"));
        let Value::Array(dataset) = json["dataset"].take() else {
            return Err(format!("{}: no dataset in the answer", brief(sql)).into());
        };
        let rows = dataset.into_iter().map(|row| match row {
            Value::Array(row) => Ok(row),
            other => Err(format!("{}: a row is {other}", brief(sql))),
        });
        Ok(Rows { columns, types, rows: rows.collect::<std::result::Result<_, _>>()? })
    }

    /// Runs a SELECT of one number.
    pub fn number(&mut self, sql: &str) -> Result<u64> {
        let rows = self.rows(sql)?.rows;
        match rows.first().and_then(|row| row.first()).map(|value| (value.is_null(), value.as_u64())) {
            Some((true, _)) => Ok(0),
            Some((_, Some(number))) => Ok(number),
            _ => Err(format!("{}: no number but {rows:?}", brief(sql)).into()),
        }
    }

    fn request(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Answer> {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n\r\n", body.len());
        let stream = self.stream.get_mut();
        stream.write_all(&[head.as_bytes(), body].concat())?;
        self.answer().map_err(|error| format!("{method} {:.80}: {error}", path).into())
    }

    fn answer(&mut self) -> Result<Answer> {
        let mut body = Vec::new();
        let status = self.receive(&mut body)?;
        Ok(Answer { status, body: String::from_utf8(body)? })
    }

    fn receive(&mut self, body: &mut dyn Write) -> Result<u16> {
        let status = self.line()?;
        let code = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = code.ok_or_else(|| format!("no status line but {status:?}"))?;
        let (mut length, mut chunked) = (None, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(':') {
                Some(("content-length", value)) => length = Some(value.trim().parse::<u64>()?),
                Some(("transfer-encoding", value)) => chunked = value.trim() == "chunked",
                Some(_) => {}
                None => break,
            }
        }
        match (chunked, length) {
            (true, _) => self.chunks(body)?,
            (false, Some(length)) => self.bytes(length, body)?,
            (false, None) => {} // 204
        }
        Ok(status)
    }

    fn chunks(&mut self, body: &mut dyn Write) -> Result<()> {
        loop {
            let size = self.line()?;
            let size = u64::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)?;
            self.bytes(size, body)?;
            self.line()?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err("the server closed the connection".into());
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    fn bytes(&mut self, count: u64, body: &mut dyn Write) -> Result<()> {
        let mut left = count;
        while left > 0 {
            let ready = self.stream.fill_buf()?;
            let take = ready.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if take == 0 {
                return Err(format!("the server closed the connection {left} bytes before the end").into());
            }
            body.write_all(&ready[..take])?;
            self.stream.consume(take);
            left -= take as u64;
        }
        Ok(())
    }
}

/// Returns a text as it may stand behind `?query=`.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    fn check(answer: &'static str, status: u16, body: &str) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let server = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().expect("a client");
            let mut request = [0; 4096];
            let read = peer.read(&mut request).expect("a request");
            peer.write_all(answer.as_bytes()).expect("a listener");
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        let seen = Http::connect(port).and_then(|mut http| http.get("/exec?query=select%201")).expect("an answer");
        assert_eq!((seen.status, seen.body.as_str()), (status, body));
        assert!(server.join().expect("a request").starts_with("GET /exec?query=select%201 HTTP/1.1\r\n"));
    }

    #[test]
    fn answers_by_length_in_chunks_and_without_a_body_are_read() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello");
        check("HTTP/1.1 400 Bad\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n", 400, "abcde");
        check("HTTP/1.1 204 No Content\r\n\r\n", 204, "");
    }

    #[test]
    fn an_answer_that_ends_early_is_an_error() {
        let mut http = Http { stream: BufReader::new(connected(b"abc")) };
        let mut seen = Vec::new();
        assert!(http.bytes(4, &mut seen).is_err());
        assert_eq!(seen, b"abc");
    }

    fn connected(bytes: &'static [u8]) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let stream = TcpStream::connect(listener.local_addr().expect("an address")).expect("a listener");
        let (mut peer, _) = listener.accept().expect("a client");
        peer.write_all(bytes).expect("a reader");
        stream
    }

    #[test]
    fn a_query_is_encoded_byte_by_byte() {
        assert_eq!(encode("a=1 & 'ü'"), "a%3D1%20%26%20%27%C3%BC%27");
    }
}
