//! `/write` and `/api/v2/write`: rows as InfluxDB lines; one request is one commit.
//!
//! A request is read and checked whole before anything is made: a line that cannot be taken leaves no row, table or
//! column behind. What the client gets to know, and whether it sends the same again, depends on the status: 4xx is
//! final, 503 comes again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::CONTENT_ENCODING;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use serde_json::json;
use wire::ilp::{LineError, Unit};

use super::body::{self, BodyError, InflateError};
use super::parameters::Parameters;
use super::{HttpContext, answer, routes};
use crate::config::IngestConfig;
use crate::ilp_write::{self, WriteError};

/// Longest wait for a turn. Clients give up, and send again, after 10 s.
const PATIENCE: Duration = Duration::from_secs(8);

const TOO_MANY_BYTES: &str = "too many bytes are being written at once, try again";

/// A refusal in the shape that ILP clients read.
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    line: usize,
    close: bool,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { status, code, message: message.into(), line: 0, close: false }
    }
}

/// Stores the rows of the body; 204 when they are committed.
pub async fn handle(State(context): State<Arc<HttpContext>>, request: Request) -> Response {
    if request.method() != Method::POST {
        return routes::refuse_method(request).await;
    }
    let Some(ingest) = context.config.ingest.clone() else {
        body::discard(request.into_body()).await;
        return answer::not_found();
    };
    if context.live.get().http_read_only {
        body::discard(request.into_body()).await;
        return refuse(&context, Refusal::new(StatusCode::FORBIDDEN, "invalid", "Write permission denied"));
    }
    match store(&context, &ingest, request).await {
        Ok(()) => answer::no_content(),
        Err(refusal) => refuse(&context, refusal),
    }
}

async fn store(context: &Arc<HttpContext>, ingest: &IngestConfig, request: Request) -> Result<(), Refusal> {
    let parameters = Parameters::read(request.uri().query().unwrap_or(""));
    let gzip = is_gzip(request.headers());
    let (bytes, share) = body::read(request.into_body(), ingest.max_body_bytes, &context.load.bodies)
        .await
        .map_err(|e| no_body(e, ingest))?;
    let unit = Unit::from_precision(parameters.get("precision").unwrap_or(""))
        .ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "not supported", "unsupported precision"))?;
    let gzip = gzip?;
    let turn = tokio::time::timeout(PATIENCE, context.load.writers.acquire()).await;
    let _turn = match turn {
        Ok(Ok(turn)) => turn,
        _ => return Err(busy("too many writers at once, try again")),
    };
    // Whoever gave up sends the rows again: they must not be committed twice for it.
    let gone = Arc::new(AtomicBool::new(false));
    let _watch = GoneOnDrop(gone.clone());
    let (worker, limit, lines) = (context.clone(), ingest.max_body_bytes, ingest.lines);
    // A dropped handler leaves the work on a blocking thread alone, so a commit is never cut in two.
    let work = tokio::task::spawn_blocking(move || {
        let mut share = share;
        let bytes = match gzip {
            true => body::inflate(&bytes, limit, &mut share).map_err(|e| not_inflated(e, limit))?,
            false => bytes,
        };
        let now_us = worker.env.clock.now_us();
        let request = ilp_write::Request { body: &bytes, unit, now_us, options: lines, gone: &gone };
        ilp_write::write(&worker.database, &worker.load.making, request).map_err(not_written)
    });
    work.await
        .unwrap_or_else(|_| Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error", "write failed")))
}

/// Tells the worker that nobody waits for its answer any more.
struct GoneOnDrop(Arc<AtomicBool>);

impl Drop for GoneOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, Refusal> {
    let encoding = headers.get(CONTENT_ENCODING).map_or(Ok(""), |h| h.to_str()).unwrap_or("?").trim();
    match encoding.to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(false),
        "gzip" => Ok(true),
        other => {
            let why = format!("unsupported content encoding: {other}; use gzip or none");
            Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not supported", why))
        }
    }
}

fn no_body(error: BodyError, ingest: &IngestConfig) -> Refusal {
    let closing = |refusal: Refusal| Refusal { close: true, ..refusal };
    match error {
        BodyError::TooLarge { drained } => Refusal { close: !drained, ..too_large(ingest.max_body_bytes) },
        BodyError::Busy => busy(TOO_MANY_BYTES),
        BodyError::Timeout => closing(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "invalid",
            "the body of the request did not arrive in time",
        )),
        BodyError::Broken => {
            closing(Refusal::new(StatusCode::BAD_REQUEST, "invalid", "the body of the request is broken"))
        }
    }
}

fn too_large(limit: usize) -> Refusal {
    let why = format!("request too large: at most {limit} bytes [line.http.max.recv.buffer.size]");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "request too large", why)
}

fn busy(why: &str) -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "internal error", why)
}

fn not_inflated(error: InflateError, limit: usize) -> Refusal {
    match error {
        InflateError::TooLarge => too_large(limit),
        InflateError::Busy => busy(TOO_MANY_BYTES),
        InflateError::Damaged => {
            Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not supported", "gzip decompression error")
        }
    }
}

fn not_written(error: WriteError) -> Refusal {
    match error {
        WriteError::Line(LineError { line, message }) => Refusal {
            line,
            ..Refusal::new(StatusCode::BAD_REQUEST, "invalid", format!("\nerror in line {line}: {message}"))
        },
        WriteError::Abandoned => Refusal::new(StatusCode::REQUEST_TIMEOUT, "invalid", "the client is gone"),
        WriteError::Storage(storage::Error::Unavailable(why)) => busy(&why),
        WriteError::Storage(error @ storage::Error::Conflict(_)) => busy(&error.to_string()),
        WriteError::Storage(error @ storage::Error::Invalid(_)) => {
            Refusal::new(StatusCode::BAD_REQUEST, "invalid", error.to_string())
        }
        WriteError::Storage(error) => {
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error", format!("write error: {error}"))
        }
    }
}

fn refuse(context: &HttpContext, refusal: Refusal) -> Response {
    let id = context.errors.next();
    let message = format!("failed to parse line protocol:errors encountered on line(s):{}", refusal.message);
    tracing::warn!(error_id = id, status = refusal.status.as_u16(), message, "write refused");
    let body = json!({"code": refusal.code, "message": message, "line": refusal.line, "errorId": id});
    let response = answer::with(refusal.status, answer::JSON_BARE, body.to_string());
    let response = if refusal.status == StatusCode::SERVICE_UNAVAILABLE { answer::again(response) } else { response };
    if refusal.close { answer::closing(response) } else { response }
}
