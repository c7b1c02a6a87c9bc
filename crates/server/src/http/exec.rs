//! `/exec`: one statement in, JSON out.
//!
//! The head of an answer is held back until the first rows are there, so that a statement that fails on them is a 400
//! like any other. An error after that ends the array of rows and stands behind it.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use futures::StreamExt;
use query::kind::Kind;
use query::{Outcome, SqlError};
use serde_json::json;
use wire::exec_json;

use super::parameters::Parameters;
use super::pieces::{Pieces, Written};
use super::rows::{self, Allowed, Ran, RowStream};
use super::window::Window;
use super::{HttpContext, answer, body, routes};

/// Largest form, and so the longest statement, that a POST may bring.
const FORM_BYTES: usize = 16 << 20;

/// Answers a statement in the query string, or in a form that is posted (for statements too long for a URL).
pub async fn handle(State(context): State<Arc<HttpContext>>, request: Request) -> Response {
    let is_form = request.method() == Method::POST && is_form(request.headers());
    if request.method() != Method::GET && !is_form {
        return routes::refuse_method(request).await;
    }
    let started_us = context.env.clock.monotonic_us();
    let (head, content) = request.into_parts();
    let mut text = head.uri.query().unwrap_or("").to_owned();
    match body::read(content, FORM_BYTES, &context.load.bodies).await {
        Ok((form, _share)) if is_form => {
            text.push('&');
            text.push_str(&String::from_utf8_lossy(&form));
        }
        Ok(_) => {}
        Err(_) => {
            let too_large = answer::with(StatusCode::PAYLOAD_TOO_LARGE, answer::TEXT, "request too large\r\n");
            return answer::closing(too_large);
        }
    }
    let parameters = Parameters::read(&text);
    answer_statement(&context, &parameters, &head.headers, started_us).await
}

fn is_form(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|h| h.to_str().ok()).unwrap_or("");
    content_type.starts_with("application/x-www-form-urlencoded")
}

async fn answer_statement(
    context: &HttpContext,
    parameters: &Parameters,
    headers: &HeaderMap,
    started_us: i64,
) -> Response {
    let sql = parameters.get("query").unwrap_or("");
    if parameters.is_broken("query") {
        return rows::refuse(sql, &SqlError::new(0, "Bad UTF8 encoding in query text"));
    }
    if sql.trim().is_empty() {
        return empty_query(sql, parameters);
    }
    match rows::run(context, sql, headers, Allowed::All).await {
        Err(error) => rows::refuse(sql, &error),
        Ok(Ran::Done(outcome)) => done(sql, parameters, outcome),
        Ok(Ran::Rows(rows)) => {
            let compiled_us = rows.planned_us;
            let times = Times { clock: context.env.clock.clone(), compiler_us: compiled_us - started_us, compiled_us };
            with_rows(sql, parameters, rows, times).await
        }
    }
}

pub(super) fn empty_query(sql: &str, parameters: &Parameters) -> Response {
    let key = if parameters.get("version") == Some("2") { "notice" } else { "error" };
    // the position is a text here, as in the peer
    let body = format!("{{\"{key}\":\"empty query\",\"query\":{},\"position\":\"0\"}}", json!(sql));
    answer::with(StatusCode::OK, answer::JSON, body)
}

fn done(sql: &str, parameters: &Parameters, outcome: Outcome) -> Response {
    let body = match outcome {
        Outcome::Empty => return empty_query(sql, parameters),
        Outcome::Insert { .. } => "{\"dml\":\"OK\"}".to_owned(),
        Outcome::Update { rows } => format!("{{\"dml\":\"OK\",\"updated\":{rows}}}"),
        Outcome::Delete { rows } => format!("{{\"dml\":\"OK\",\"deleted\":{rows}}}"),
        Outcome::Noticed(notice) => format!("{{\"ddl\":\"OK\",\"notice\":{}}}", json!(notice)),
        Outcome::WentBack { way_back: Some(name) } => format!("{{\"ddl\":\"OK\",\"way_back\":{}}}", json!(name)),
        _ => "{\"ddl\":\"OK\"}".to_owned(),
    };
    answer::with(StatusCode::OK, answer::JSON, body)
}

async fn with_rows(sql: &str, parameters: &Parameters, mut rows: RowStream, times: Times) -> Response {
    let selected = match select(&rows, parameters.get("cols").unwrap_or("")) {
        Ok(selected) => selected,
        Err(why) => {
            let body = json!({"query": sql, "error": why});
            return answer::with(StatusCode::BAD_REQUEST, answer::JSON, body.to_string());
        }
    };
    let first = match rows.next().await {
        Ok(first) => first,
        Err(error) => return rows::refuse(sql, &error),
    };
    let head = head(sql, parameters, &rows, &selected);
    let columns = selected.iter().map(|&column| (column, rows.columns[column].kind)).collect();
    let quote_longs = parameters.is_true("quoteLargeNum") || parameters.get("src") == Some("con");
    let mut json = JsonRows {
        rows,
        window: Window::of_exec(parameters.get("limit")),
        count_all: parameters.is_true("count"),
        times: parameters.is_true("timings").then_some(times),
        explain: parameters.is_true("explain"),
        seen: 0,
        pieces: Pieces::new(head, columns, quote_longs),
        over: None,
        ended: false,
    };
    json.take(Ok(first));
    let first = json.next_chunk().await.unwrap_or_default();
    if json.ended {
        // with its length, which is sooner sent and read than pieces
        return answer::with(StatusCode::OK, answer::JSON, first);
    }
    let rest = futures::stream::unfold(json, |mut json| async { Some((json.next_chunk().await?, json)) });
    let chunks = futures::stream::once(async move { first }).chain(rest).map(Ok::<_, std::convert::Infallible>);
    answer::with(StatusCode::OK, answer::JSON, Body::from_stream(chunks))
}

/// Returns the positions of the columns that `cols` names, or of all.
fn select(rows: &RowStream, cols: &str) -> Result<Vec<usize>, String> {
    if cols.is_empty() {
        return Ok((0..rows.columns.len()).collect());
    }
    let position = |name: &str| {
        if name.is_empty() {
            return Err("empty column in query parameter".to_owned());
        }
        let found = rows.columns.iter().position(|c| c.name.to_lowercase() == name.to_lowercase());
        found.ok_or_else(|| format!("column not found: '{name}'"))
    };
    cols.split(',').map(|name| position(name.trim())).collect()
}

/// Returns how the type of a column is told.
pub(super) fn json_type(kind: Kind) -> serde_json::Value {
    match kind.shown() {
        Kind::Array(dimensions) => json!({"type": "ARRAY", "dim": dimensions, "elemType": "DOUBLE"}),
        kind => json!({"type": kind.name()}),
    }
}

/// Returns what stands before the rows.
fn head(sql: &str, parameters: &Parameters, rows: &RowStream, selected: &[usize]) -> Vec<u8> {
    let mut out = vec![b'{'];
    if !parameters.is_true("nm") {
        out.extend_from_slice(b"\"query\":");
        exec_json::string(&mut out, sql);
        out.extend_from_slice(b",\"columns\":[");
        for (i, &column) in selected.iter().enumerate() {
            out.extend_from_slice(if i == 0 { b"{\"name\":" } else { b",{\"name\":" });
            let column = &rows.columns[column];
            exec_json::string(&mut out, &column.name);
            out.extend_from_slice(b",\"type\":");
            match column.kind.shown() {
                Kind::Array(dimensions) => {
                    let shape = format!("\"ARRAY\",\"dim\":{dimensions},\"elemType\":\"DOUBLE\"");
                    out.extend_from_slice(shape.as_bytes());
                }
                kind => exec_json::string(&mut out, &kind.name()),
            }
            out.push(b'}');
        }
        out.extend_from_slice(b"],\"timestamp\":");
        // the place in the whole result, whatever `cols` left of it: the peer's clients know it so
        exec_json::integer(&mut out, rows.timestamp_index.map_or(-1, |at| at as i64));
        out.push(b',');
    }
    out.extend_from_slice(b"\"dataset\":[");
    out
}

/// When a statement began and was planned.
struct Times {
    clock: Arc<dyn storage::env::Clock>,
    compiler_us: i64,
    compiled_us: i64,
}

/// The body of an answer under way.
struct JsonRows {
    rows: RowStream,
    window: Window,
    /// Rows behind the window are counted too.
    count_all: bool,
    times: Option<Times>,
    explain: bool,
    /// Rows that came so far.
    seen: u64,
    /// What came and has not been sent yet.
    pieces: Pieces,
    /// No more rows come, or none that count: what ended them.
    over: Option<Result<(), SqlError>>,
    ended: bool,
}

impl JsonRows {
    async fn next_chunk(&mut self) -> Option<Vec<u8>> {
        if self.ended {
            return None;
        }
        loop {
            while self.over.is_none() && self.pieces.have_room() {
                let Some(next) = self.rows.at_hand() else { break };
                self.take(next);
            }
            let mut out = match self.pieces.next().await {
                Some(Written { text, error: None }) => text,
                Some(Written { mut text, error: Some(error) }) => {
                    self.end(&mut text, Some(&error));
                    return Some(text);
                }
                None if self.over.is_none() => {
                    let next = self.rows.next().await;
                    self.take(next);
                    continue;
                }
                None => self.pieces.head(),
            };
            if self.pieces.are_none()
                && let Some(over) = self.over.take()
            {
                self.end(&mut out, over.err().as_ref());
            }
            if !out.is_empty() {
                return Some(out);
            }
        }
    }

    /// Takes what comes next of the rows.
    fn take(&mut self, next: Result<Option<RecordBatch>, SqlError>) {
        match next {
            Ok(Some(batch)) => {
                let rows = self.window.of_batch(self.seen, batch.num_rows());
                self.seen += batch.num_rows() as u64;
                self.pieces.add(batch, rows);
                if self.seen >= self.window.stop && !self.count_all {
                    self.over = Some(Ok(()));
                }
            }
            Ok(None) => self.over = Some(Ok(())),
            Err(error) => self.over = Some(Err(error)),
        }
    }

    fn end(&mut self, out: &mut Vec<u8>, error: Option<&SqlError>) {
        self.ended = true;
        out.extend_from_slice(b"],\"count\":");
        let shown = if self.seen <= self.window.skip { 0 } else { self.seen.min(self.window.stop) };
        let count = if self.count_all && shown > 0 { self.seen } else { shown };
        exec_json::integer(out, count as i64);
        if let Some(times) = &self.times {
            let execute_us = times.clock.monotonic_us() - times.compiled_us;
            out.extend_from_slice(b",\"timings\":{\"authentication\":0,\"compiler\":");
            exec_json::integer(out, times.compiler_us * 1_000);
            out.extend_from_slice(b",\"execute\":");
            exec_json::integer(out, execute_us * 1_000);
            out.extend_from_slice(b",\"count\":0}");
        }
        if self.explain {
            out.extend_from_slice(b",\"explain\":{\"jitCompiled\":false}");
        }
        if let Some(error) = error {
            out.extend_from_slice(b",\"error\":");
            exec_json::string(out, &error.message);
            out.extend_from_slice(b",\"errorPos\":");
            exec_json::integer(out, error.position as i64);
        }
        out.push(b'}');
    }
}
