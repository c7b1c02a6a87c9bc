//! Which path means what: [`router`].

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use axum::middleware;
use axum::response::Response;
use axum::routing::any;
use tower_http::catch_panic::CatchPanicLayer;

use super::{HttpContext, answer, auth, body, chk, exec, exp, imp, pages, server_info, validate, write};
use crate::health;

/// Returns the routes. A handler is asked for every method, so that it can refuse in the peer's words.
pub fn router(context: Arc<HttpContext>) -> Router {
    Router::new()
        .route("/exec", any(exec::handle))
        .route("/api/v1/sql/execute", any(exec::handle))
        .route("/exp", any(exp::handle))
        .route("/api/v1/sql/validate", any(validate::handle))
        .route("/write", any(write::handle))
        .route("/api/v2/write", any(write::handle))
        .route("/imp", any(imp::handle).layer(DefaultBodyLimit::disable()))
        .route("/chk", any(chk::handle))
        .route("/metrics", any(metrics))
        .route("/ping", any(server_info::ping))
        .route("/settings", any(server_info::settings))
        .route("/warnings", any(server_info::warnings))
        .fallback(pages::handle)
        .layer(middleware::from_fn_with_state(context.clone(), auth::require))
        .layer(CatchPanicLayer::new())
        .with_state(context)
}

/// Returns a request whose path begins with one slash: where an address that ends in one was put before the path, there
/// are two.
pub fn with_one_slash(mut request: Request) -> Request {
    let path = request.uri().path_and_query().map_or("", PathAndQuery::as_str);
    if path.starts_with("//")
        && let Ok(path) = format!("/{}", path.trim_start_matches('/')).parse::<PathAndQuery>()
    {
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = Some(path);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

/// What Prometheus reads; the port of the health check has the same.
async fn metrics(State(context): State<Arc<HttpContext>>, request: Request) -> Response {
    body::discard(request.into_body()).await;
    tokio::task::block_in_place(|| health::metrics(&context.watch))
}

/// Returns 405, after the body has been read.
pub async fn refuse_method(request: Request) -> Response {
    let method = request.method().clone();
    body::discard(request.into_body()).await;
    answer::method_not_supported(&method)
}
