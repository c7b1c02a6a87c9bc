//! `/chk`: whether a table, or a view, is there.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;

use super::parameters::Parameters;
use super::{HttpContext, answer, routes};

/// Answers `Exists` or `Does not exist` for the table in parameter `j`, as text or (`f=json`) as JSON.
pub async fn handle(State(context): State<Arc<HttpContext>>, request: Request) -> Response {
    if request.method() != Method::GET {
        return routes::refuse_method(request).await;
    }
    let parameters = Parameters::read(request.uri().query().unwrap_or(""));
    let name = match parameters.get("j") {
        None | Some("") => return answer::with(StatusCode::OK, answer::TEXT, "table name missing\r\n"),
        Some(name) => name,
    };
    let view = context.database.view();
    let is_there = view.table(name).is_some() || view.sql_view(name).is_some();
    let status = if is_there { "Exists" } else { "Does not exist" };
    if parameters.get("f") == Some("json") {
        return answer::with(StatusCode::OK, answer::JSON_BARE, format!("{{\"status\":\"{status}\"}}"));
    }
    answer::with(StatusCode::OK, answer::TEXT, format!("{status}\r\n"))
}
