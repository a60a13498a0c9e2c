//! Probes, metrics and the version.

use axum::{
    Json,
    extract::{RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::Api;
use crate::telemetry::{REVISION, VERSION, metrics::CONTENT_TYPE};

/// 200 while the process turns; depends on nothing, so that a broker outage restarts no container.
pub(super) async fn livez() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

/// 200 when every check holds, else 503 with those that do not; `?verbose` lists them all.
pub(super) async fn readyz(State(api): State<Api>, RawQuery(query): RawQuery) -> Response {
    let report = api.readiness.report();
    let not_ready: Vec<Value> =
        report.failing().map(|(check, reason)| json!({ "check": check, "reason": reason })).collect();
    let mut body = json!({ "ready": report.ready, "not_ready": not_ready });
    if query.is_some_and(|query| query.split('&').any(|part| part.split('=').next() == Some("verbose"))) {
        let checks = report.checks.iter().map(|(check, held)| match held {
            Ok(()) => json!({ "check": check, "ready": true }),
            Err(reason) => json!({ "check": check, "ready": false, "reason": reason }),
        });
        body["checks"] = checks.collect();
    }
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}

/// Everything in Prometheus' text format.
pub(super) async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], api.metrics.encode())
}

/// What is running.
pub(super) async fn version() -> Json<Value> {
    Json(json!({ "version": VERSION, "revision": REVISION }))
}
