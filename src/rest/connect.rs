//! The paths of Kafka Connect's REST API. In this shape only; what Connect lacks is in [`super::towpath`].

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::Api;
use crate::telemetry::{REVISION, VERSION};

/// `GET /`: which worker of which cluster this is.
pub(super) async fn server_info(State(api): State<Api>) -> Json<Value> {
    Json(json!({ "version": VERSION, "commit": REVISION, "kafka_cluster_id": api.board.kafka_cluster_id() }))
}

/// `GET /health` (KIP-1017): 503 while it starts, 200 when it can take requests, 500 when it no longer can.
pub(super) async fn health(State(api): State<Api>) -> Response {
    let report = api.readiness.report();
    let reasons = || {
        let failing: Vec<String> = report.failing().map(|(check, why)| format!("{check}: {why}")).collect();
        failing.join("; ")
    };
    let (code, status, message) = match (report.ready, report.was_ready) {
        (true, _) => {
            (StatusCode::OK, "healthy", "Worker has completed startup and is ready to handle requests.".to_owned())
        }
        (false, false) => {
            (StatusCode::SERVICE_UNAVAILABLE, "starting", format!("Worker is still starting up. {}", reasons()))
        }
        (false, true) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "unhealthy",
            format!("Worker was unable to handle requests. {}", reasons()),
        ),
    };
    (code, Json(json!({ "status": status, "message": message.trim_end() }))).into_response()
}
