//! Probes, metrics and the version.

use axum::{
    Json,
    extract::{RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::Api;
use crate::telemetry::{REVISION, VERSION, metrics::CONTENT_TYPE};

/// Always 200. Depends on nothing else, so that an outage of a broker does not restart containers.
pub(super) async fn livez() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

/// 200 if all checks pass, otherwise 503 with the failing checks. `?verbose` lists all checks.
pub(super) async fn readyz(State(api): State<Api>, RawQuery(query): RawQuery) -> Response {
    let report = api.readiness.report();
    let not_ready: Vec<Value> =
        report.failing().map(|(check, reason)| json!({ "check": check, "reason": reason })).collect();
    let mut body = json!({ "ready": report.ready, "not_ready": not_ready });
    if query.is_some_and(|query| query.split('&').any(|part| part.split('=').next() == Some("verbose"))) {
        let checks = report.checks.iter().map(|(check, outcome)| match outcome {
            Ok(()) => json!({ "check": check, "ready": true }),
            Err(reason) => json!({ "check": check, "ready": false, "reason": reason }),
        });
        body["checks"] = checks.collect();
    }
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}

/// One page of metrics is written at a time, so that many requests take at most one core.
static PAGES: Semaphore = Semaphore::const_new(1);

/// All metrics in Prometheus's text format. Written on another thread: thousands of series take longer than a probe may
/// wait.
pub(super) async fn metrics(State(api): State<Api>) -> Response {
    // The semaphore is never closed.
    let _turn = PAGES.acquire().await.ok();
    match tokio::task::spawn_blocking(move || api.metrics.encode()).await {
        Ok(page) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], page).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The version and the commit of the build.
pub(super) async fn version() -> Json<Value> {
    Json(json!({ "version": VERSION, "revision": REVISION }))
}
