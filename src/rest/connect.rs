//! The paths of Kafka Connect's REST API, in Connect's format. [`super::towpath`] has the paths that Connect lacks.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::Api;
use crate::telemetry::{REVISION, VERSION};

/// `GET /`: the version of the worker and the id of the Kafka cluster.
pub(super) async fn server_info(State(api): State<Api>) -> Json<Value> {
    Json(json!({ "version": VERSION, "commit": REVISION, "kafka_cluster_id": api.board.kafka_cluster_id() }))
}

/// `GET /health` (KIP-1017): 503 until the worker is ready for the first time, then 200 while it is ready and 500 while
/// it is not.
pub(super) async fn health(State(api): State<Api>) -> Response {
    let report = api.readiness.report();
    let reasons = || {
        let failing: Vec<String> = report.failing().map(|(check, reason)| format!("{check}: {reason}")).collect();
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
