//! Messages that a PostgreSQL client sends, read from the bytes of one frame.
//!
//! Owns the reading of bodies only: every count and length is checked against the bytes that are there, so a hostile
//! frame is an error and never a panic or a large reservation. Frames are cut out of the stream by the server, which
//! also limits their size. Read next: [`crate::pg_binary`] and [`crate::pg_text`] for the values in a Bind.

/// A frame that breaks the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("invalid message format: {0}")]
    Format(&'static str),
    #[error("invalid byte sequence for encoding \"UTF8\" in {0}")]
    Encoding(&'static str),
    #[error("invalid frontend message type {0}")]
    UnknownType(u8),
    #[error("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2")]
    Version { major: u16, minor: u16 },
}

/// What a client says first, before it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Startup {
    /// Asks for TLS.
    Ssl,
    /// Asks for GSSAPI encryption.
    Gss,
    /// Asks, on a connection of its own, to stop what another one runs.
    Cancel { pid: i32, key: Vec<u8> },
    /// Begins a session of protocol 3.`minor`.
    Session { minor: u16, parameters: Vec<(String, String)> },
}

/// What a name in Describe and Close stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Statement,
    Portal,
}

/// Parameters of a statement on their way in, and the formats wanted for its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    pub portal: String,
    pub statement: String,
    /// None: all text; one: for all; else one each.
    pub parameter_formats: Vec<i16>,
    pub parameters: Vec<Option<Vec<u8>>>,
    /// As `parameter_formats`, for the columns of the result.
    pub result_formats: Vec<i16>,
}

/// A message of a running session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frontend {
    Query(String),
    /// `types`: object ids of the first parameters, 0 where the client leaves it to the server.
    Parse {
        name: String,
        sql: String,
        types: Vec<u32>,
    },
    Bind(Bind),
    Describe(Target, String),
    Close(Target, String),
    /// `max_rows` 0 or below: all rows.
    Execute {
        portal: String,
        max_rows: i32,
    },
    Flush,
    Sync,
    Terminate,
    /// The bytes of a password message, without meaning until the authentication method is known.
    Password(Vec<u8>),
    /// Bytes of a COPY to the server.
    CopyData(Vec<u8>),
    /// The data of a COPY is whole.
    CopyDone,
    /// The client gives up a COPY, and why.
    CopyFail(String),
    FunctionCall,
}

/// Reads the body (after the length) of a frame without a type.
///
/// # Errors
/// [`Malformed`] when it is not one of the four kinds, or of another protocol version than 3.
pub fn read_startup(body: &[u8]) -> Result<Startup, Malformed> {
    let mut fields = Fields { rest: body };
    let code = fields.u32("start-up")?;
    let (major, minor) = ((code >> 16) as u16, code as u16);
    match (major, minor) {
        (1234, 5679) => Ok(Startup::Ssl),
        (1234, 5680) => Ok(Startup::Gss),
        (1234, 5678) => {
            let pid = fields.i32("cancel request")?;
            match fields.rest.len() {
                4..=256 => Ok(Startup::Cancel { pid, key: fields.rest.to_vec() }),
                _ => Err(Malformed::Format("cancel request")),
            }
        }
        (3, _) => {
            let mut parameters = Vec::new();
            while !fields.rest.is_empty() && fields.rest[0] != 0 {
                let name = fields.string("start-up")?;
                parameters.push((name, fields.string("start-up")?));
            }
            match fields.rest {
                [0] => Ok(Startup::Session { minor, parameters }),
                _ => Err(Malformed::Format("start-up: expected terminator as last byte")),
            }
        }
        _ => Err(Malformed::Version { major, minor }),
    }
}

/// Reads the body (after the length) of a frame of the type `kind`.
///
/// # Errors
/// [`Malformed`]: an unknown type, text that is not UTF-8, lengths and counts that do not fit the body.
pub fn read_message(kind: u8, body: &[u8]) -> Result<Frontend, Malformed> {
    let mut fields = Fields { rest: body };
    let message = match kind {
        b'Q' => Frontend::Query(fields.string("query")?),
        b'P' => Frontend::Parse {
            name: fields.string("parse")?,
            sql: fields.string("parse")?,
            types: fields.list("parse", |f| f.u32("parse"))?,
        },
        b'B' => Frontend::Bind(Bind {
            portal: fields.string("bind")?,
            statement: fields.string("bind")?,
            parameter_formats: fields.list("bind", |f| f.i16("bind"))?,
            parameters: fields.list("bind", Fields::parameter)?,
            result_formats: fields.list("bind", |f| f.i16("bind"))?,
        }),
        b'D' => Frontend::Describe(fields.target("describe")?, fields.string("describe")?),
        b'C' => Frontend::Close(fields.target("close")?, fields.string("close")?),
        b'E' => Frontend::Execute { portal: fields.string("execute")?, max_rows: fields.i32("execute")? },
        b'H' => Frontend::Flush,
        b'S' => Frontend::Sync,
        b'X' => Frontend::Terminate,
        b'p' => Frontend::Password(fields.take_rest()),
        b'd' => Frontend::CopyData(fields.take_rest()),
        b'c' => Frontend::CopyDone,
        b'f' => Frontend::CopyFail(fields.string("copy fail")?),
        b'F' => {
            fields.take_rest();
            Frontend::FunctionCall
        }
        _ => return Err(Malformed::UnknownType(kind)),
    };
    if fields.rest.is_empty() { Ok(message) } else { Err(Malformed::Format("bytes left over at the end")) }
}

/// The unread rest of a body.
struct Fields<'a> {
    rest: &'a [u8],
}

impl Fields<'_> {
    fn bytes<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed::Format(what))?;
        self.rest = rest;
        Ok(*head)
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        self.bytes(what).map(u32::from_be_bytes)
    }

    fn i32(&mut self, what: &'static str) -> Result<i32, Malformed> {
        self.bytes(what).map(i32::from_be_bytes)
    }

    fn i16(&mut self, what: &'static str) -> Result<i16, Malformed> {
        self.bytes(what).map(i16::from_be_bytes)
    }

    fn string(&mut self, what: &'static str) -> Result<String, Malformed> {
        let end = self.rest.iter().position(|&b| b == 0).ok_or(Malformed::Format(what))?;
        let text = std::str::from_utf8(&self.rest[..end]).map_err(|_| Malformed::Encoding(what))?;
        self.rest = &self.rest[end + 1..];
        Ok(text.to_owned())
    }

    /// A 16-bit count and that many items. Nothing is reserved up front: the count is the client's word.
    fn list<T>(
        &mut self,
        what: &'static str,
        item: impl Fn(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = u16::from_be_bytes(self.bytes(what)?);
        (0..count).map(|_| item(self)).collect()
    }

    fn parameter(&mut self) -> Result<Option<Vec<u8>>, Malformed> {
        let length = self.i32("bind")?;
        if length < 0 {
            return Ok(None);
        }
        let (value, rest) = self.rest.split_at_checked(length as usize).ok_or(Malformed::Format("bind"))?;
        self.rest = rest;
        Ok(Some(value.to_vec()))
    }

    fn target(&mut self, what: &'static str) -> Result<Target, Malformed> {
        match self.bytes::<1>(what)?[0] {
            b'S' => Ok(Target::Statement),
            b'P' => Ok(Target::Portal),
            _ => Err(Malformed::Format(what)),
        }
    }

    fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.rest).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: u8, body: &[u8], expected: Result<Frontend, Malformed>) {
        assert_eq!(read_message(kind, body), expected);
    }

    #[test]
    fn bind_keeps_null_apart_from_empty() {
        let body = b"p\0s\0\0\x01\0\x01\0\x03\xff\xff\xff\xff\0\0\0\0\0\0\0\x02hi\0\x01\0\0";
        check(
            b'B',
            body,
            Ok(Frontend::Bind(Bind {
                portal: "p".into(),
                statement: "s".into(),
                parameter_formats: vec![1],
                parameters: vec![None, Some(vec![]), Some(b"hi".to_vec())],
                result_formats: vec![0],
            })),
        );
    }

    #[test]
    fn every_cut_of_a_message_is_an_error() {
        let whole: [(u8, &[u8]); 5] = [
            (b'B', b"p\0s\0\0\x01\0\x01\0\x01\0\0\0\x02hi\0\x01\0\0"),
            (b'P', b"n\0select $1\0\0\x01\0\0\0\x14"),
            (b'E', b"p\0\0\0\0\x05"),
            (b'D', b"Sname\0"),
            (b'Q', b"select 1\0"),
        ];
        for (kind, body) in whole {
            assert!(read_message(kind, body).is_ok());
            for cut in 0..body.len() {
                assert!(read_message(kind, &body[..cut]).is_err(), "{} cut at {cut}", kind as char);
            }
            let mut long = body.to_vec();
            long.push(0);
            assert!(read_message(kind, &long).is_err(), "{} with a byte more", kind as char);
        }
    }

    #[test]
    fn counts_beyond_the_body_are_refused_without_reserving() {
        check(b'B', b"\0\0\0\0\xff\xff", Err(Malformed::Format("bind")));
        check(b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff", Err(Malformed::Format("bind")));
        check(b'P', b"\0\0\xff\xff\0\0\0\x14", Err(Malformed::Format("parse")));
    }

    #[test]
    fn text_must_be_utf8_and_types_known() {
        check(b'Q', b"select '\xe4'\0", Err(Malformed::Encoding("query")));
        check(b'?', b"", Err(Malformed::UnknownType(b'?')));
        check(b'D', b"Xname\0", Err(Malformed::Format("describe")));
    }

    #[test]
    fn startup_kinds_are_told_apart() {
        let code = |major: u16, minor: u16| ((u32::from(major) << 16) | u32::from(minor)).to_be_bytes().to_vec();
        let with = |mut head: Vec<u8>, tail: &[u8]| {
            head.extend_from_slice(tail);
            head
        };
        assert_eq!(read_startup(&code(1234, 5679)), Ok(Startup::Ssl));
        assert_eq!(read_startup(&code(1234, 5680)), Ok(Startup::Gss));
        assert_eq!(
            read_startup(&with(code(1234, 5678), b"\0\0\0\x07\x01\x02\x03\x04")),
            Ok(Startup::Cancel { pid: 7, key: vec![1, 2, 3, 4] })
        );
        assert_eq!(
            read_startup(&with(code(3, 2), b"user\0admin\0database\0\0\0")),
            Ok(Startup::Session {
                minor: 2,
                parameters: vec![("user".into(), "admin".into()), ("database".into(), "".into())]
            })
        );
        assert_eq!(read_startup(&code(2, 0)), Err(Malformed::Version { major: 2, minor: 0 }));
        assert!(read_startup(&with(code(3, 0), b"user\0admin\0")).is_err());
        assert!(read_startup(&with(code(3, 0), b"user\0\0")).is_err());
        assert!(read_startup(b"\0\x03").is_err());
    }
}
