//! `/exp`: the rows of a SELECT as CSV or ([`parquet`]) as Parquet.

use std::io;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_DISPOSITION, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use query::SqlError;
use wire::csv;

use super::cells::Cells;
use super::parameters::Parameters;
use super::rows::{self, Allowed, Ran, RowStream};
use super::window::Window;
use super::{HttpContext, answer, routes};

mod parquet;

/// Answers the rows of the statement in the query string. Whatever is no SELECT is refused before it runs.
pub async fn handle(State(context): State<Arc<HttpContext>>, request: Request) -> Response {
    if request.method() != Method::GET {
        return routes::refuse_method(request).await;
    }
    let parameters = Parameters::read(request.uri().query().unwrap_or(""));
    let sql = parameters.get("query").unwrap_or("");
    match open(&context, sql, &parameters, request.headers()).await {
        Err(error) => rows::refuse(sql, &error),
        Ok((rows, first)) if parameters.get("fmt") == Some("parquet") => {
            let name = file_name(&context, &parameters, "parquet");
            parquet::answer(rows, first, &parameters, &name).unwrap_or_else(|error| rows::refuse(sql, &error))
        }
        Ok((rows, first)) => {
            let name = file_name(&context, &parameters, "csv");
            answer_rows(rows, first, &parameters, &name)
        }
    }
}

/// Runs the statement up to its first rows.
async fn open(
    context: &HttpContext,
    sql: &str,
    parameters: &Parameters,
    headers: &axum::http::HeaderMap,
) -> Result<(RowStream, Option<RecordBatch>), SqlError> {
    if parameters.is_broken("query") {
        return Err(SqlError::new(0, "Bad UTF8 encoding in query text"));
    }
    if sql.trim().is_empty() {
        return Err(SqlError::new(0, "No query text"));
    }
    match parameters.get("fmt") {
        None | Some("" | "csv") => {}
        Some("parquet") => parquet::check(parameters).map_err(|why| SqlError::new(0, why))?,
        Some(other) => return Err(SqlError::new(0, format!("unrecognised format [format={other}]"))),
    }
    match rows::run(context, sql, headers, Allowed::Queries).await? {
        Ran::Rows(mut rows) => {
            let first = rows.next().await?;
            Ok((rows, first))
        }
        Ran::Done(_) => Err(SqlError::new(0, "/exp endpoint only accepts SELECT")),
    }
}

fn file_name(context: &HttpContext, parameters: &Parameters, extension: &str) -> String {
    let wanted: String = parameters
        .get("filename")
        .unwrap_or("")
        .chars()
        .filter(|c| c.is_ascii_graphic() && !matches!(c, '"' | '/' | '\\'))
        .collect();
    if wanted.is_empty() {
        return format!("questdb-query-{}.{extension}", context.env.clock.now_us() / 1_000);
    }
    format!("{wanted}.{extension}")
}

fn answer_rows(rows: RowStream, first: Option<RecordBatch>, parameters: &Parameters, name: &str) -> Response {
    let delimiter = parameters.get("delimiter").and_then(|d| d.bytes().next()).filter(u8::is_ascii).unwrap_or(b',');
    let mut head = Vec::new();
    if !parameters.is_true("nm") {
        for (i, column) in rows.columns.iter().enumerate() {
            if i > 0 {
                head.push(delimiter);
            }
            csv::string(&mut head, &column.name);
        }
        head.extend_from_slice(csv::LINE_END);
    }
    let window = Window::of_exp(parameters.get("limit"));
    let state = CsvRows { rows, first, window, delimiter, seen: 0, head, failed: None };
    let chunks = futures::stream::unfold(state, |mut state| async {
        let chunk = state.next_chunk().await?;
        Some((chunk, state))
    });
    attachment("text/csv; charset=utf-8", Body::from_stream(chunks), name)
}

fn attachment(content_type: &'static str, body: Body, name: &str) -> Response {
    let mut response = answer::with(StatusCode::OK, content_type, body);
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        response.headers_mut().insert(CONTENT_DISPOSITION, value);
    }
    response
}

/// The body of an answer under way.
struct CsvRows {
    rows: RowStream,
    first: Option<RecordBatch>,
    window: Window,
    delimiter: u8,
    seen: u64,
    head: Vec<u8>,
    failed: Option<SqlError>,
}

impl CsvRows {
    /// Returns more bytes, `None` at the end, or an error that cuts the answer off: CSV has no place for its text.
    async fn next_chunk(&mut self) -> Option<io::Result<Vec<u8>>> {
        let mut out = std::mem::take(&mut self.head);
        loop {
            if let Some(error) = self.failed.take() {
                // gives the rows before it the time to leave: an error throws away what has not been written
                tokio::task::yield_now().await;
                return Some(Err(io::Error::other(error)));
            }
            let batch = match self.first.take() {
                _ if self.seen >= self.window.stop => Ok(None),
                Some(batch) => Ok(Some(batch)),
                None => self.rows.next().await,
            };
            match batch {
                Ok(None) => return (!out.is_empty()).then_some(Ok(out)),
                Ok(Some(batch)) => {
                    if let Err(error) = self.write(&mut out, &batch) {
                        self.failed = Some(error);
                    }
                }
                Err(error) => self.failed = Some(error),
            }
            if !out.is_empty() {
                return Some(Ok(out));
            }
        }
    }

    fn write(&mut self, out: &mut Vec<u8>, batch: &RecordBatch) -> Result<(), SqlError> {
        let columns = self.rows.columns.iter().zip(batch.columns());
        let cells: Vec<Cells<'_>> =
            columns.map(|(column, array)| Cells::new(column.kind, array)).collect::<Result<_, _>>()?;
        for row in self.window.of_batch(self.seen, batch.num_rows()) {
            for (i, cells) in cells.iter().enumerate() {
                if i > 0 {
                    out.push(self.delimiter);
                }
                cells.csv(out, row);
            }
            out.extend_from_slice(csv::LINE_END);
        }
        self.seen += batch.num_rows() as u64;
        Ok(())
    }
}
