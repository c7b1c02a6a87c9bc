//! The health server on a port of its own: `Status: Healthy` for every path, so that a probe never waits behind queries.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::signals;

/// Probes at a time.
const CONNECTIONS: usize = 64;
/// How long a probe's connection may stand without a request.
const IDLE: Duration = Duration::from_secs(60);

/// Answers probes until `shutdown` becomes true.
pub async fn serve(listener: TcpListener, mut shutdown: watch::Receiver<bool>) {
    let mut probes = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if probes.len() < CONNECTIONS => match accepted {
                Ok((socket, _)) => {
                    probes.spawn(answer(socket));
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

async fn answer(socket: TcpStream) {
    let service = service_fn(|_| async {
        let mut response = hyper::Response::new(Body::from("Status: Healthy"));
        *response.status_mut() = StatusCode::OK;
        response.headers_mut().insert("content-type", axum::http::HeaderValue::from_static("text/plain"));
        Ok::<_, Infallible>(response)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(IDLE).title_case_headers(true);
    let _ = http.serve_connection(TokioIo::new(socket), service).await;
}
