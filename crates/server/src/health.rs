//! The health server on a port of its own, so that a probe never waits behind queries: every path tells whether the server
//! is healthy and, if not, why; `/metrics` is for Prometheus.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::signals;
use crate::watch::Watch;

/// Probes at a time.
const CONNECTIONS: usize = 64;
/// How long a probe's connection may stand without a request.
const IDLE: Duration = Duration::from_secs(60);

/// Answers probes until `shutdown` becomes true.
pub async fn serve(listener: TcpListener, watch: Arc<Watch>, mut shutdown: watch::Receiver<bool>) {
    let mut probes = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if probes.len() < CONNECTIONS => match accepted {
                Ok((socket, _)) => {
                    probes.spawn(answer(socket, watch.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "health: cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = probes.join_next() => {}
            () = signals::stopped(&mut shutdown) => return,
        }
    }
}

async fn answer(socket: TcpStream, watch: Arc<Watch>) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let watch = watch.clone();
        // both look at files of the machine, and at every table
        async move { Ok::<_, Infallible>(tokio::task::block_in_place(|| tell(&watch, request.uri().path()))) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(IDLE).title_case_headers(true);
    let _ = http.serve_connection(TokioIo::new(socket), service).await;
}

fn tell(watch: &Watch, path: &str) -> Response<Body> {
    if path == "/metrics" {
        return metrics(watch);
    }
    let reasons = watch.reasons();
    let (status, text) = match reasons.is_empty() {
        true => {
            let warnings = watch.database.guard_warnings();
            let warnings: String = warnings.iter().map(|warning| format!("\nWarning: {warning}")).collect();
            (StatusCode::OK, format!("Status: Healthy{warnings}"))
        }
        false => (StatusCode::INTERNAL_SERVER_ERROR, format!("Status: Unhealthy\n{}\n", reasons.join("\n"))),
    };
    plain(status, "text/plain", text)
}

/// Returns the metrics, or 404 where they are switched off.
pub fn metrics(watch: &Watch) -> Response<Body> {
    match watch.metrics_text() {
        Some(text) => plain(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text),
        None => plain(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "Not Found\r\n".to_owned()),
    }
}

fn plain(status: StatusCode, content_type: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", HeaderValue::from_static(content_type));
    response
}
