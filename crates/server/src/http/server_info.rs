//! What clients and consoles ask about the server itself: /ping, /settings, /warnings.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::HeaderValue;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::json;

use super::{HttpContext, answer, routes};

/// The version of InfluxDB that its clients expect to hear of.
const INFLUXDB_VERSION: &str = "v2.7.4";

/// Answers 204 with a header that makes Influx clients go on.
pub async fn ping(request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return routes::refuse_method(request).await;
    }
    let mut response = answer::no_content();
    response.headers_mut().insert("x-influxdb-version", HeaderValue::from_static(INFLUXDB_VERSION));
    response
}

/// Answers what ILP clients read before their first flush: the versions of the protocol that are understood.
pub async fn settings(State(context): State<Arc<HttpContext>>, request: Request) -> Response {
    if request.method() != Method::GET {
        return routes::refuse_method(request).await;
    }
    let (writes, transports) = match context.ilp_tcp {
        true => (json!(["http", "tcp", "pgwire"]), json!(["tcp", "http"])),
        false => (json!(["http", "pgwire"]), json!(["http"])),
    };
    let settings = json!({
        "config": {
            "release.type": "OSS",
            "release.version": env!("CARGO_PKG_VERSION"),
            "http.settings.readonly": true,
            "accepting.writes": writes,
            "line.proto.support.versions": [1, 2, 3],
            "ilp.proto.transports": transports,
            "posthog.enabled": false,
            "posthog.api.key": null,
            "cairo.max.file.name.length": 127
        },
        "preferences.version": 0,
        "preferences": {}
    });
    answer::with(StatusCode::OK, answer::JSON, settings.to_string())
}

/// Answers what is unfit about the machine, as a console shows it.
pub async fn warnings(State(context): State<Arc<HttpContext>>, request: Request) -> Response {
    if request.method() != Method::GET {
        return routes::refuse_method(request).await;
    }
    let warnings: Vec<_> = context.warnings.iter().map(|w| json!({"tag": w.tag, "warning": w.text})).collect();
    answer::with(StatusCode::OK, answer::JSON_BARE, json!(warnings).to_string())
}
