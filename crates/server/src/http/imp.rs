//! `/imp`: a file of delimited text into a table, as `multipart/form-data`.
//!
//! The part `data` is the file, a part `schema` before it says more about its columns. The file is never held whole: its
//! bytes go to a thread that converts and stores them, and the client waits while that thread is busy. Read next:
//! [`crate::import`], [`answers`].

use std::sync::Arc;
use std::time::Duration;

use axum::extract::multipart::Field;
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use tokio::sync::mpsc;
use types::PartitionBy;

use super::parameters::Parameters;
use super::{HttpContext, answer, body, routes};
use crate::import::{self, Atomicity, ImportError, Options, Report};

mod answers;

/// Longest silence of a client within its file.
const SILENCE: Duration = Duration::from_secs(30);
/// Pieces of a file that wait for the thread that reads them.
const AHEAD: usize = 4;
/// Largest part `schema`.
const SCHEMA_BYTES: usize = 1 << 20;

/// What a thread is told of the file.
enum Piece {
    Bytes(Vec<u8>),
    /// The whole file has come: a channel that ends without it has lost its client.
    End,
}

/// Imports the file in the body.
pub async fn handle(State(context): State<Arc<HttpContext>>, request: Request) -> Response {
    if request.method() != Method::POST {
        return routes::refuse_method(request).await;
    }
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|h| h.to_str().ok()).unwrap_or("");
    if !content_type.to_ascii_lowercase().starts_with("multipart/form-data") {
        body::discard(request.into_body()).await;
        return answer::with(StatusCode::BAD_REQUEST, answer::TEXT, "Non-multipart POST not supported\r\n");
    }
    let parameters = Parameters::read(request.uri().query().unwrap_or(""));
    let json = parameters.get("fmt") == Some("json");
    let mut parts = match Multipart::from_request(request, &()).await {
        Ok(parts) => parts,
        Err(_) => return answer::with(StatusCode::BAD_REQUEST, answer::TEXT, "multipart boundary is missing\r\n"),
    };
    let done = read_parts(&context, &parameters, &mut parts).await;
    // what is left of the body is read, so that the client sees the answer
    while let Ok(Some(mut part)) = parts.next_field().await {
        while let Ok(Some(_)) = part.chunk().await {}
    }
    match done {
        Ok(report) if json => answers::json(&report),
        Ok(report) => answers::text(&report),
        Err(error) => answers::refused(&error, json),
    }
}

/// Imports each file and returns what is to be told of the first, as the peer does.
async fn read_parts(
    context: &Arc<HttpContext>,
    parameters: &Parameters,
    parts: &mut Multipart,
) -> Result<Report, ImportError> {
    if context.live.get().http_read_only {
        return Err(ImportError::Input("Access denied: this server is read-only over HTTP".to_owned()));
    }
    let mut options = options(parameters).map_err(ImportError::Input)?;
    let mut first = None;
    let broken = || ImportError::Input("the multipart body is broken".to_owned());
    while let Some(part) = parts.next_field().await.map_err(|_| broken())? {
        match part.name() {
            Some("schema") => {
                let text = small(part).await?;
                options.schema = import::schema::read(&text).map_err(ImportError::Input)?;
            }
            Some("data") => {
                let mut options = options.clone();
                if options.table.is_empty() {
                    options.table = part.file_name().unwrap_or("").to_owned();
                }
                if options.table.is_empty() {
                    return Err(ImportError::Input("no file name given".to_owned()));
                }
                let report = file(context, options, part).await?;
                first.get_or_insert(report);
            }
            Some(_) => {
                let why = "invalid value in 'Content-Disposition' multipart header";
                return Err(ImportError::Input(why.to_owned()));
            }
            None => return Err(ImportError::Input("'Content-Disposition' multipart header missing'".to_owned())),
        }
    }
    first.ok_or_else(|| ImportError::Input("the multipart body has no part 'data'".to_owned()))
}

/// Returns a small part as text.
async fn small(mut part: Field<'_>) -> Result<String, ImportError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = part.chunk().await.map_err(|_| ImportError::Gone)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > SCHEMA_BYTES {
            return Err(ImportError::Input(format!("schema is longer than {SCHEMA_BYTES} bytes")));
        }
    }
    String::from_utf8(bytes).map_err(|_| ImportError::Input("schema is not UTF-8".to_owned()))
}

/// Hands the file to a thread, piece by piece.
async fn file(context: &Arc<HttpContext>, options: Options, mut part: Field<'_>) -> Result<Report, ImportError> {
    let busy = || ImportError::Storage(storage::Error::Unavailable("too many imports at once, try again".to_owned()));
    let _turn = tokio::time::timeout(SILENCE, context.load.imports.acquire()).await.map_err(|_| busy())?;
    let (send, mut pieces) = mpsc::channel(AHEAD);
    let database = context.database.clone();
    let work = tokio::task::spawn_blocking(move || {
        let mut source = || match pieces.blocking_recv() {
            Some(Piece::Bytes(bytes)) => Ok(Some(bytes)),
            Some(Piece::End) => Ok(None),
            None => Err(ImportError::Gone),
        };
        import::load(&database, &options, &mut source, &mut |_| Ok(()))
    });
    loop {
        let piece = match tokio::time::timeout(SILENCE, part.chunk()).await {
            Ok(Ok(Some(bytes))) => Piece::Bytes(bytes.into()),
            Ok(Ok(None)) => Piece::End,
            Ok(Err(_)) | Err(_) => break,
        };
        let end = matches!(piece, Piece::End);
        // the thread has ended with an error that it tells below
        if send.send(piece).await.is_err() || end {
            break;
        }
    }
    drop(send);
    let lost = |_| ImportError::Storage(storage::Error::Unavailable("the import ended without a result".to_owned()));
    work.await.map_err(lost)?
}

/// Reads the parameters, in the peer's words where they cannot be read.
fn options(parameters: &Parameters) -> Result<Options, String> {
    let partition_by = match parameters.get("partitionBy") {
        None | Some("") => None,
        Some(name) => Some(PartitionBy::from_name(name).ok_or("invalid partitionBy")?),
    };
    let timestamp = parameters.get("timestamp").filter(|name| !name.is_empty()).map(str::to_owned);
    if timestamp.is_none() && partition_by.is_some_and(|by| by != PartitionBy::None) {
        return Err("when specifying partitionBy you must also specify timestamp".to_owned());
    }
    let o3_max_lag_us = match parameters.get("o3MaxLag") {
        None | Some("") => None,
        Some(text) => Some(text.parse().map_err(|_| "invalid o3MaxLag value, must be a long")?),
    };
    let max_uncommitted_rows = match parameters.get("maxUncommittedRows") {
        None | Some("") => None,
        Some(text) => Some(text.parse().map_err(|_| "invalid maxUncommittedRows, must be an int")?),
    };
    let atomicity = match parameters.get("atomicity") {
        Some(text) if text.eq_ignore_ascii_case("skipRow") => Atomicity::SkipRow,
        Some(text) if text.eq_ignore_ascii_case("abort") => Atomicity::Abort,
        _ => Atomicity::SkipColumn,
    };
    Ok(Options {
        table: parameters.get("name").unwrap_or("").to_owned(),
        overwrite: parameters.is_true("overwrite"),
        no_create: parameters.get("create").is_some_and(|v| v.eq_ignore_ascii_case("false")),
        // of a longer text the peer looks for the delimiter itself
        delimiter: parameters.get("delimiter").filter(|d| d.len() == 1).map(|d| d.as_bytes()[0]),
        force_header: parameters.is_true("forceHeader"),
        skip_extra: parameters.is_true("skipLev"),
        atomicity,
        partition_by,
        timestamp,
        o3_max_lag_us,
        max_uncommitted_rows,
        ..Options::default()
    })
}
