//! Answers that are not results: plain text, JSON, and the peer's words for a wrong method or path.

use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::http::{Method, StatusCode};
use axum::response::Response;

pub const TEXT: &str = "text/plain; charset=utf-8";
pub const JSON: &str = "application/json; charset=utf-8";
/// ILP clients compare the whole header and show the raw body for anything longer.
pub const JSON_BARE: &str = "application/json";

/// Returns an answer with a body of the given type.
pub fn with(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Returns 204 without a body.
pub fn no_content() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// Returns 404.
pub fn not_found() -> Response {
    with(StatusCode::NOT_FOUND, TEXT, "Not Found\r\n")
}

/// Returns 405.
pub fn method_not_supported(method: &Method) -> Response {
    with(StatusCode::METHOD_NOT_ALLOWED, TEXT, format!("Method {method} not supported\r\n"))
}

/// Returns 503: the client may send the same again.
pub fn unavailable(why: impl Into<Body>) -> Response {
    again(with(StatusCode::SERVICE_UNAVAILABLE, TEXT, why))
}

/// Returns the answer with a hint when to send the same again, in seconds.
pub fn again(mut response: Response) -> Response {
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Returns the answer with the header that makes client and server close the connection after it.
pub fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
