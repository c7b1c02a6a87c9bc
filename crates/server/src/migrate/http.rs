//! Requests of a client: [`Http`]. A connection for each; what comes back is read whole, within a bound.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use wire::base64;

use crate::http::parameters::decode_before_query;

/// Largest answer.
const ANSWER_BYTES: usize = 1 << 30;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(600);
const BOUNDARY: &str = "stillpoint-import-7f3a9c51e2";

/// One server.
#[derive(Debug, Clone)]
pub struct Http {
    /// `host:port`.
    authority: String,
    authorization: Option<String>,
}

impl Http {
    /// Reads `http://[user:password@]host[:port]`; signs of user and password may stand there as `%` and two hexadecimal digits.
    pub fn new(url: &str) -> Result<Http, String> {
        let wrong = || format!("{url:?} is not http://host:port");
        let rest = url.strip_prefix("http://").ok_or_else(wrong)?.trim_end_matches('/');
        let (login, host) = match rest.rsplit_once('@') {
            Some((login, host)) => (Some(login), host),
            None => (None, rest),
        };
        if host.is_empty() || host.contains(['/', '?', ' ']) {
            return Err(wrong());
        }
        // An IPv6 address stands in brackets, in which colons begin no port.
        let port =
            host.rsplit(']').next().and_then(|behind| behind.rsplit_once(':')).map(|(_, port)| port.parse::<u16>());
        if port.as_ref().is_some_and(Result::is_err) {
            return Err(wrong());
        }
        let has_port = port.is_some();
        let authority = if has_port { host.to_owned() } else { format!("{host}:9000") };
        let authorization = login.map(|login| format!("Basic {}", base64::encode(&decode_before_query(login))));
        Ok(Http { authority, authorization })
    }

    /// Returns the whole answer of a statement.
    ///
    /// # Errors
    /// What the server says against it, or why it cannot be asked.
    pub async fn exec(&self, sql: &str) -> Result<String, String> {
        let path = format!("/exec?query={}", encode(sql));
        let (status, body) = self.ask(Method::GET, &path, None, Bytes::new()).await?;
        if status == 200 {
            return Ok(body);
        }
        if status == 401 {
            return Err(format!("{}: wrong user or password", self.authority));
        }
        let error: Option<String> =
            serde_json::from_str::<Value>(&body).ok().and_then(|v| Some(v["error"].as_str()?.to_owned()));
        Err(format!("{}: {}", self.authority, error.unwrap_or(format!("status {status} to {sql}"))))
    }

    /// Returns the answer of a small statement as JSON.
    pub async fn json(&self, sql: &str) -> Result<Value, String> {
        serde_json::from_str(&self.exec(sql).await?).map_err(|e| format!("{}: no JSON: {e}", self.authority))
    }

    /// Sends rows as CSV with a header into a table; returns how many were taken.
    pub async fn import(&self, table: &str, csv: Vec<u8>) -> Result<u64, String> {
        let path =
            format!("/imp?fmt=json&forceHeader=true&delimiter=%2C&atomicity=abort&create=false&name={}", encode(table));
        let mut body =
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"data\"; filename=\"rows.csv\"\r\n\r\n")
                .into_bytes();
        body.extend_from_slice(&csv);
        body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        let (_, answer) = self.ask(Method::POST, &path, Some(&content_type), body.into()).await?;
        let report: Value = serde_json::from_str(&answer).map_err(|e| format!("{}: no JSON: {e}", self.authority))?;
        match (report["status"].as_str(), report["rowsImported"].as_u64(), report["rowsRejected"].as_u64()) {
            (Some("OK"), Some(rows), Some(0)) => Ok(rows),
            (Some("OK"), ..) => Err(format!("{}: rows were rejected: {answer}", self.authority)),
            (Some(why), ..) => Err(format!("{}: {why}", self.authority)),
            _ => Err(format!("{}: {answer}", self.authority)),
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: Bytes,
    ) -> Result<(u16, String), String> {
        let failed = |why: String| format!("{}: {why}", self.authority);
        let exchange = async {
            let socket = TcpStream::connect(&self.authority).await.map_err(|e| failed(e.to_string()))?;
            let (mut sender, connection) =
                http1::handshake(TokioIo::new(socket)).await.map_err(|e| failed(e.to_string()))?;
            // it ends with the sender
            tokio::spawn(connection);
            let mut request = Request::builder().method(method).uri(path).header(HOST, &self.authority);
            if let Some(value) = &self.authorization {
                request = request.header(AUTHORIZATION, value);
            }
            if let Some(value) = content_type {
                request = request.header(CONTENT_TYPE, value);
            }
            let request = request.body(Full::new(body)).map_err(|e| failed(e.to_string()))?;
            let answer = sender.send_request(request).await.map_err(|e| failed(e.to_string()))?;
            let status = answer.status().as_u16();
            let bytes = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
            let bytes = bytes.map_err(|e| failed(format!("the answer broke off: {e}")))?.to_bytes();
            let text = String::from_utf8(bytes.into()).map_err(|_| failed("the answer is not UTF-8".to_owned()))?;
            Ok((status, text))
        };
        tokio::time::timeout(PATIENCE, exchange).await.map_err(|_| failed("no answer in time".to_owned()))?
    }
}

/// Encodes a value of a query string.
pub fn encode(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    text.bytes().map(|b| if plain(b) { (b as char).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        let http = |url| Http::new(url).map(|h| (h.authority, h.authorization));
        assert_eq!(http("http://old"), Ok(("old:9000".to_owned(), None)));
        let login = Some("Basic YWRtaW46cXVlc3Q=".to_owned());
        assert_eq!(http("http://admin:quest@10.0.0.1:9001/"), Ok(("10.0.0.1:9001".to_owned(), login)));
        let escaped = Some(format!("Basic {}", base64::encode(b"a:p@ss%x")));
        assert_eq!(http("http://a:p%40ss%x@old"), Ok(("old:9000".to_owned(), escaped)));
        for bad in ["old:9000", "https://old", "http://", "http://a/b"] {
            assert!(http(bad).is_err(), "{bad}");
        }
    }
}
