//! A small client for PostgreSQL's protocol: simple queries in text, as psql sends them, and rows that are only counted.
//! For tasks against loopback only.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::{Result, brief};

/// A connection as user `admin` with the password `quest`.
pub struct Pg {
    stream: BufReader<TcpStream>,
}

/// The answer to one statement: a table, or only a tag such as `INSERT 0 1`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PgRows {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Option<String>>>,
    pub tag: String,
}

impl Pg {
    /// Connects to a port of 127.0.0.1 and logs in.
    pub fn connect(port: u16) -> Result<Pg> {
        Pg::connect_for(port, Duration::from_secs(60))
    }

    /// Connects to a port of 127.0.0.1 and logs in; a message may take as long as `limit`.
    pub fn connect_for(port: u16, limit: Duration) -> Result<Pg> {
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|error| format!("127.0.0.1:{port}: {error}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(limit))?;
        let mut pg = Pg { stream: BufReader::with_capacity(1 << 16, stream) };
        let parameters = b"user\0admin\0database\0qdb\0client_encoding\0UTF8\0\0";
        let mut startup = (parameters.len() as u32 + 8).to_be_bytes().to_vec();
        startup.extend(196_608u32.to_be_bytes()); // protocol 3.0
        startup.extend(parameters);
        pg.stream.get_mut().write_all(&startup)?;
        loop {
            match pg.message()? {
                (b'R', body) => match body.get(..4) {
                    Some([0, 0, 0, 0]) => {}
                    Some([0, 0, 0, 3]) => pg.send(b'p', b"quest\0")?,
                    other => {
                        return Err(format!("log-in by method {other:?}, only a clear password is known here").into());
                    }
                },
                (b'E', body) => return Err(error_text(&body).into()),
                (b'Z', _) => return Ok(pg),
                _ => {}
            }
        }
    }

    /// Runs the statements of a text and returns their answers; the first error is returned once the server is ready again.
    pub fn query(&mut self, sql: &str) -> Result<Vec<PgRows>> {
        self.send(b'Q', &[sql.as_bytes(), b"\0"].concat())?;
        let (mut answers, mut current, mut failed) = (Vec::new(), PgRows::default(), None);
        loop {
            match self.message()? {
                (b'T', body) => current.columns = column_names(&body),
                (b'D', body) => current.rows.push(values(&body)?),
                (b'C', body) => {
                    current.tag = text(&body);
                    answers.push(std::mem::take(&mut current));
                }
                (b'E', body) => failed = Some(format!("{}: {}", brief(sql), error_text(&body))),
                (b'Z', _) => return failed.map_or(Ok(answers), |error| Err(error.into())),
                _ => {}
            }
        }
    }

    /// Runs a query by the extended protocol, values as text or binary, and counts its rows and their bytes.
    pub fn count(&mut self, sql: &str, binary: bool) -> Result<(u64, u64)> {
        self.send(b'P', &[b"\0", sql.as_bytes(), b"\0\0\0"].concat())?;
        self.send(b'B', &[0, 0, 0, 0, 0, 0, 0, 1, 0, u8::from(binary)])?;
        self.send(b'D', b"P\0")?;
        self.send(b'E', &[0; 5])?;
        self.send(b'S', b"")?;
        let (mut rows, mut bytes, mut failed) = (0, 0, None);
        loop {
            let (kind, length) = self.head()?;
            match kind {
                b'D' => {
                    self.skip(length)?;
                    (rows, bytes) = (rows + 1, bytes + length as u64);
                }
                b'E' => failed = Some(format!("{}: {}", brief(sql), error_text(&self.body(length)?))),
                _ => self.skip(length)?,
            }
            if kind == b'Z' {
                return failed.map_or(Ok((rows, bytes)), |error| Err(error.into()));
            }
        }
    }

    fn send(&mut self, kind: u8, body: &[u8]) -> Result<()> {
        let mut message = vec![kind];
        message.extend((body.len() as u32 + 4).to_be_bytes());
        message.extend(body);
        Ok(self.stream.get_mut().write_all(&message)?)
    }

    fn message(&mut self) -> Result<(u8, Vec<u8>)> {
        let (kind, length) = self.head()?;
        Ok((kind, self.body(length)?))
    }

    /// Reads the kind of a message and the length of its body.
    fn head(&mut self) -> Result<(u8, usize)> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        Ok((head[0], length.checked_sub(4).ok_or("a message shorter than its length field")?))
    }

    fn body(&mut self, length: usize) -> Result<Vec<u8>> {
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(body)
    }

    fn skip(&mut self, length: usize) -> Result<()> {
        let mut left = length;
        while left > 0 {
            let ready = self.stream.fill_buf()?.len().min(left);
            if ready == 0 {
                return Err("the server closed the connection".into());
            }
            self.stream.consume(ready);
            left -= ready;
        }
        Ok(())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|b| *b == 0).next().unwrap_or_default()).into_owned()
}

fn error_text(body: &[u8]) -> String {
    let field = body.split(|b| *b == 0).find(|field| field.first() == Some(&b'M'));
    field.map_or("error without a message".to_owned(), |field| text(&field[1..]))
}

fn column_names(body: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = body.get(2..).unwrap_or_default();
    while let Some(end) = rest.iter().position(|b| *b == 0) {
        names.push(text(&rest[..end]));
        rest = rest.get(end + 19..).unwrap_or_default(); // the zero and 18 bytes about the type
    }
    names
}

fn values(body: &[u8]) -> Result<Vec<Option<String>>> {
    let cut = || "a row that ends early";
    let mut values = Vec::new();
    let mut rest = body.get(2..).ok_or_else(cut)?;
    while !rest.is_empty() {
        let (length, after) = rest.split_at_checked(4).ok_or_else(cut)?;
        let length = i32::from_be_bytes(length.try_into()?);
        let (value, after) = after.split_at_checked(length.max(0) as usize).ok_or_else(cut)?;
        values.push((length >= 0).then(|| String::from_utf8_lossy(value).into_owned()));
        rest = after;
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_with_nulls_and_names_are_read() {
        let row = b"\0\x03\0\0\0\x02ab\xff\xff\xff\xff\0\0\0\0";
        assert_eq!(values(row).expect("a row"), [Some("ab".to_owned()), None, Some(String::new())]);
        assert!(values(b"\0\x01\0\0\0\x09ab").is_err());
        let names = [b"\0\x02a\0".as_slice(), &[0; 18], b"bc\0", &[0; 18]].concat();
        assert_eq!(column_names(&names), ["a", "bc"]);
    }

    #[test]
    fn an_error_is_its_message() {
        assert_eq!(error_text(b"SERROR\0C00000\0Mno such table\0P8\0\0"), "no such table");
    }
}
