//! From the first byte to the first ReadyForQuery: encryption asked for, cancel requests, password, parameters.
//!
//! Nothing of a client is kept and no statement is looked at before its password is right.

use std::sync::Arc;
use std::time::Duration;

use bytes::BufMut;
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::response::{ReadyForQuery, TransactionStatus};
use pgwire::messages::startup::{Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, SecretKey};
use wire::pg_frontend::{self, Frontend, Malformed, Startup};

use super::PgContext;
use super::cancel::{CancelKey, Registration, Registry};
use super::failure::{Failure, Stop};
use super::stream::{FrameError, Input, Output, STARTUP_BYTES};
use crate::config::PgUser;

/// The newest minor version of protocol 3 that is spoken.
const NEWEST_MINOR: u16 = 2;

/// What clients are told about the server. Drivers choose their catalogue queries by server_version, their escaping by
/// standard_conforming_strings, and know QuestDB's ways by questdb_version.
const PARAMETERS: [(&str, &str); 8] = [
    ("TimeZone", "GMT"),
    ("application_name", "QuestDB"),
    ("server_version", "11.3"),
    ("integer_datetimes", "on"),
    ("client_encoding", "UTF8"),
    ("standard_conforming_strings", "on"),
    ("DateStyle", "ISO, YMD"),
    ("questdb_version", "9.3.4"),
];

/// A client that may send statements.
pub struct Client {
    pub user: PgUser,
    pub registration: Registration,
    pub statement_timeout: Option<Duration>,
}

/// Returns the client once it has shown the right password, or None when the connection has done what it came for.
/// Without a `place` only cancel requests are served.
pub async fn start(
    input: &mut Input,
    output: &mut Output,
    context: &PgContext,
    registry: &Arc<Registry>,
    place: bool,
) -> Result<Option<Client>, Stop> {
    let Some((minor, parameters)) = negotiate(input, output, registry).await? else { return Ok(None) };
    if !place {
        return Err(Failure::fatal("53300", "sorry, too many clients already").into());
    }
    let get = |wanted: &str| parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let options: Vec<String> = parameters.iter().map(|(n, _)| n.clone()).filter(|n| n.starts_with("_pq_.")).collect();
    if minor > NEWEST_MINOR || !options.is_empty() {
        let newest = (3 << 16) | i32::from(minor.min(NEWEST_MINOR));
        output.put(Backend::NegotiateProtocolVersion(NegotiateProtocolVersion::new(newest, options)))?;
    }
    let user =
        get("user").ok_or_else(|| Failure::fatal("28000", "no PostgreSQL user name specified in startup packet"))?;
    let Some(user) = check_password(input, output, context, user).await? else { return Ok(None) };

    let registration = registry.register(context.settings.env.rng.as_ref());
    output.put(Backend::Authentication(Authentication::Ok))?;
    for (name, value) in PARAMETERS {
        output.put(Backend::ParameterStatus(ParameterStatus::new(name.into(), value.into())))?;
    }
    let CancelKey { pid, secret } = registration.key();
    output.put(Backend::BackendKeyData(BackendKeyData::new(pid, SecretKey::I32(secret))))?;
    output.put(Backend::ReadyForQuery(ReadyForQuery::new(TransactionStatus::Idle)))?;
    output.flush().await?;
    let asked = get("options").and_then(statement_timeout);
    Ok(Some(Client { user, registration, statement_timeout: asked.unwrap_or(context.limits.statement) }))
}

/// Answers requests for encryption with a no and cancel requests at once; returns the parameters of a session.
async fn negotiate(
    input: &mut Input,
    output: &mut Output,
    registry: &Registry,
) -> Result<Option<(u16, Vec<(String, String)>)>, Stop> {
    loop {
        let body = match input.untyped_frame().await {
            Ok(Some(body)) => body,
            // A TLS hello, a web browser: nothing that would understand an answer.
            Ok(None) | Err(FrameError::TooLarge { .. } | FrameError::Length(_)) => return Ok(None),
            Err(FrameError::Socket(error)) => return Err(error.into()),
        };
        match pg_frontend::read_startup(&body) {
            Ok(Startup::Ssl | Startup::Gss) => {
                output.buffer().put_u8(b'N');
                output.flush().await?;
            }
            Ok(Startup::Cancel { pid, key }) => {
                registry.cancel(pid, &key);
                return Ok(None);
            }
            Ok(Startup::Session { minor, parameters }) => return Ok(Some((minor, parameters))),
            Err(error) => return Err(Failure { fatal: true, ..error.into() }.into()),
        }
    }
}

/// Returns the user, or None when the client left without answering (psql does, to ask for the password).
async fn check_password(
    input: &mut Input,
    output: &mut Output,
    context: &PgContext,
    user: &str,
) -> Result<Option<PgUser>, Stop> {
    output.put(Backend::Authentication(Authentication::CleartextPassword))?;
    output.flush().await?;
    let Some((kind, body)) = input.frame(STARTUP_BYTES).await? else { return Ok(None) };
    let password = match pg_frontend::read_message(kind, &body).map_err(fatal)? {
        Frontend::Password(password) => password,
        Frontend::Terminate => return Ok(None),
        _ => return Err(Failure::fatal("08P01", "expected password response").into()),
    };
    let password = password.strip_suffix(b"\0").ok_or_else(|| fatal(Malformed::Format("password")))?;
    let mut right = None;
    for known in &context.live.get().pg_users {
        let own = &known.credentials;
        if same(user.as_bytes(), own.user.as_bytes()) & same(password, own.password.as_bytes()) {
            right = Some(known.clone());
        }
    }
    right.map(Some).ok_or_else(|| Failure::fatal("28P01", "invalid username/password").into())
}

/// Compares without giving away by its time where two texts differ.
fn same(given: &[u8], wanted: &[u8]) -> bool {
    given.len() == wanted.len() && given.iter().zip(wanted).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

fn fatal(error: Malformed) -> Failure {
    Failure { fatal: true, ..error.into() }
}

/// Reads `-c statement_timeout=60000` (milliseconds, 0 for none); every other option is ignored, as the peer does.
fn statement_timeout(options: &str) -> Option<Option<Duration>> {
    let (_, value) = options.split_once("statement_timeout=")?;
    let digits = value.split(|c: char| !c.is_ascii_digit()).next()?;
    let ms: u64 = digits.parse().ok()?;
    Some((ms > 0).then(|| Duration::from_millis(ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statement_timeout_is_read_from_options() {
        let check = |options, ms: Option<Option<u64>>| {
            assert_eq!(statement_timeout(options), ms.map(|ms| ms.map(Duration::from_millis)), "{options}");
        };
        check("-c statement_timeout=60000", Some(Some(60_000)));
        check("-c geqo=off -c statement_timeout=0", Some(None));
        check("-c geqo=off", None);
        check("-c statement_timeout=x", None);
    }

    #[test]
    fn passwords_match_only_whole() {
        assert!(same(b"quest", b"quest") && !same(b"ques", b"quest") && !same(b"quesT", b"quest") && same(b"", b""));
    }
}
