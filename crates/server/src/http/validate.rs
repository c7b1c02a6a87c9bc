//! `/api/v1/sql/validate`: whether a statement is in order; nothing of it is carried out.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use query::{Session, SqlError, Validity};
use serde_json::{Value, json};

use super::exec::{empty_query, json_type};
use super::parameters::Parameters;
use super::{HttpContext, answer, routes, rows};

/// Answers the columns of a query, the kind of another statement, or its error with the place.
pub async fn handle(State(context): State<Arc<HttpContext>>, request: Request) -> Response {
    if request.method() != Method::GET {
        return routes::refuse_method(request).await;
    }
    let parameters = Parameters::read(request.uri().query().unwrap_or(""));
    let sql = parameters.get("query").unwrap_or("");
    if parameters.is_broken("query") {
        return rows::refuse(sql, &SqlError::new(0, "Bad UTF8 encoding in query text"));
    }
    if sql.trim().is_empty() {
        return empty_query(sql, &parameters);
    }
    let session = Session::new(context.database.clone(), context.settings.clone());
    let text = sql.to_owned();
    // planning may take long, and deep statements much stack: where statements run
    let checked = context.statements.spawn(async move { session.validate(&text) }).await;
    let body = match checked {
        Ok(Ok(Validity::Empty)) => return empty_query(sql, &parameters),
        Ok(Ok(Validity::Other(kind))) => json!({"queryType": kind}),
        Ok(Ok(Validity::Rows { columns, timestamp_index })) => {
            let columns: Vec<Value> = columns
                .iter()
                .map(|column| {
                    let mut shown = json_type(column.kind);
                    shown["name"] = json!(column.name);
                    shown
                })
                .collect();
            let timestamp = timestamp_index.map_or(-1, |at| at as i64);
            json!({"query": sql, "columns": columns, "timestamp": timestamp})
        }
        Ok(Err(error)) => return rows::refuse(sql, &error),
        Err(error) => return rows::refuse(sql, &SqlError::new(0, format!("the statement's check ended: {error}"))),
    };
    answer::with(StatusCode::OK, answer::JSON, body.to_string())
}
