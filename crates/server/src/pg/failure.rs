//! Errors as clients see them: [`Failure`], with severity, SQLSTATE, position and hint.

use std::io;

use pgwire::error::ErrorInfo;
use pgwire::messages::PgWireBackendMessage;
use query::{SqlError, SqlErrorKind};
use wire::pg_frontend::Malformed;
use wire::pg_parameter::BadParameter;

use super::stream::FrameError;

/// An error that the client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The connection ends after it.
    pub fatal: bool,
    /// SQLSTATE.
    pub code: &'static str,
    pub message: String,
    /// Characters before the place in the query text, from 0.
    pub position: Option<usize>,
    pub hint: Option<&'static str>,
    /// Clients prepare a statement again, unseen, on one routine's name.
    pub routine: Option<&'static str>,
}

impl Failure {
    /// Returns an error after which the connection goes on.
    pub fn error(code: &'static str, message: impl Into<String>) -> Failure {
        Failure { fatal: false, code, message: message.into(), position: None, hint: None, routine: None }
    }

    /// Returns an error that ends the connection.
    pub fn fatal(code: &'static str, message: impl Into<String>) -> Failure {
        Failure { fatal: true, ..Failure::error(code, message) }
    }

    /// Returns the error of a statement that its result no longer fits; drivers prepare it again when they see this.
    pub fn stale_plan() -> Failure {
        let message = "cached plan must not change result type";
        Failure { routine: Some("RevalidateCachedQuery"), ..Failure::error("0A000", message) }
    }

    /// Adds what the client can do about it.
    pub fn hint(self, hint: &'static str) -> Failure {
        Failure { hint: Some(hint), ..self }
    }

    /// Moves the position by the characters that stand before the statement in a text of several.
    pub fn shifted(self, characters: usize) -> Failure {
        Failure { position: self.position.map(|p| p + characters), ..self }
    }

    /// Returns the message that tells the client.
    pub fn into_message(self) -> PgWireBackendMessage {
        let severity = if self.fatal { "FATAL" } else { "ERROR" };
        let mut info = ErrorInfo::new(severity.into(), self.code.into(), self.message);
        info.severity_nonlocalized = Some(severity.into());
        info.position = self.position.map(|p| (p + 1).to_string());
        info.hint = self.hint.map(Into::into);
        info.routine = self.routine.map(Into::into);
        PgWireBackendMessage::ErrorResponse(info.into())
    }
}

/// SQLSTATEs by the beginnings of texts; where none fits, the kind of error decides.
const STATES: [(&str, &str); 18] = [
    ("table does not exist", "42P01"),
    ("could not find table", "42P01"),
    ("Invalid column", "42703"),
    ("invalid column", "42703"),
    ("column does not exist", "42703"),
    ("column not found", "42703"),
    ("unknown function name", "42883"),
    ("there is no matching function", "42883"),
    ("table already exists", "42P07"),
    ("Duplicate column", "42701"),
    ("duplicate column", "42701"),
    ("Ambiguous column", "42702"),
    ("inconvertible value", "22P02"),
    ("Invalid date", "22007"),
    ("Invalid timestamp", "22007"),
    ("inconvertible types", "42804"),
    ("division by zero", "22012"),
    ("there is no snapshot named", "42704"),
];

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Failure {
        let known = STATES.iter().find(|(text, _)| error.message.starts_with(text)).map(|(_, code)| *code);
        let code = known.unwrap_or(match error.kind {
            SqlErrorKind::Statement => "42601",
            SqlErrorKind::Overtaken => "40001",
            SqlErrorKind::Stopped => "57014",
            SqlErrorKind::Memory => "53200",
            SqlErrorKind::Denied => "42501",
            SqlErrorKind::Unavailable => "58000",
            SqlErrorKind::Internal => "XX000",
        });
        // where a stopped statement stands in its text says nothing
        let stopped = matches!(error.kind, SqlErrorKind::Stopped | SqlErrorKind::Memory);
        Failure { position: (!stopped).then_some(error.position), ..Failure::error(code, error.message) }
    }
}

impl From<BadParameter> for Failure {
    fn from(error: BadParameter) -> Failure {
        let code = match error {
            BadParameter::Inconvertible { .. } => "22P02",
            BadParameter::Encoding => "22021",
            BadParameter::BinaryFormat(_) => "22P03",
            BadParameter::UnsupportedType(_) => "42704",
            BadParameter::FormatCode(_) => "08P01",
        };
        Failure::error(code, error.to_string())
    }
}

impl From<Malformed> for Failure {
    fn from(error: Malformed) -> Failure {
        match error {
            // The frame was whole: the client may go on with the next one.
            Malformed::Encoding(_) => Failure::error("22021", error.to_string()),
            Malformed::Version { .. } => Failure::fatal("0A000", error.to_string()),
            Malformed::Format(_) | Malformed::UnknownType(_) => Failure::fatal("08P01", error.to_string()),
        }
    }
}

impl From<FrameError> for Stop {
    fn from(error: FrameError) -> Stop {
        match error {
            FrameError::TooLarge { .. } => Failure::fatal("54000", error.to_string()).into(),
            FrameError::Length(_) => Failure::fatal("08P01", error.to_string()).into(),
            FrameError::Socket(error) => Stop::Socket(error),
        }
    }
}

/// Why a message was not served to its end.
#[derive(Debug)]
pub enum Stop {
    /// The client is to be told.
    Failed(Failure),
    /// The client cannot be reached.
    Socket(io::Error),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failed(failure)
    }
}

impl From<SqlError> for Stop {
    fn from(error: SqlError) -> Stop {
        Stop::Failed(error.into())
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Socket(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlstates_follow_text_then_kind() {
        let check = |message: &str, kind, code| {
            let error = SqlError { message: message.into(), position: 0, kind };
            assert_eq!(Failure::from(error).code, code, "{message}");
        };
        check("table does not exist [table=nope]", SqlErrorKind::Statement, "42P01");
        check("unexpected token [x]", SqlErrorKind::Statement, "42601");
        check("there is no snapshot named nope", SqlErrorKind::Statement, "42704");
        check("disk full", SqlErrorKind::Unavailable, "58000");
        check("cancelled by user", SqlErrorKind::Stopped, "57014");
        check("not enough memory", SqlErrorKind::Memory, "53200");
    }

    #[test]
    fn positions_are_sent_from_one() {
        let failure = Failure { position: Some(4), ..Failure::error("42601", "m") }.shifted(10).hint("h");
        let PgWireBackendMessage::ErrorResponse(response) = failure.into_message() else { panic!("not an error") };
        let field = |code: u8| response.fields.iter().find(|(c, _)| *c == code).map(|(_, v)| v.as_str());
        assert_eq!(
            [b'S', b'V', b'C', b'M', b'P', b'H'].map(field),
            ["ERROR", "ERROR", "42601", "m", "15", "h"].map(Some)
        );
    }
}
