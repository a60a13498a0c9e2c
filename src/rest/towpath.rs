//! `/towpath/v1`: what Connect's API has no words for.

use std::time::SystemTime;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::Api;
use crate::telemetry::status::{ConnectorReport, TaskReport};

/// `GET /towpath/v1/connectors`: each connector with its tasks, why one does not work and what happens next.
pub(super) async fn connectors(State(api): State<Api>) -> Json<Value> {
    Json(api.board.connectors().iter().map(connector).collect())
}

fn connector(report: &ConnectorReport) -> Value {
    let tasks: Value = report.tasks.iter().map(task).collect();
    json!({ "name": report.name, "state": report.state.as_str(), "tasks": tasks })
}

fn task(report: &TaskReport) -> Value {
    let mut task = json!({
        "id": report.id,
        "state": report.state.as_str(),
        "since": timestamp(report.since),
        "error": null,
    });
    if let Some(error) = &report.error {
        task["error"] = json!({ "code": error.code, "message": error.chain, "at": timestamp(error.at) });
    }
    if let Some(attempt) = report.attempt {
        task["attempt"] = attempt.into();
    }
    if let Some(next_try) = report.next_try {
        task["next_try"] = timestamp(next_try);
    }
    task
}

/// RFC 3339 in UTC with milliseconds; null for a time that no calendar holds.
fn timestamp(time: SystemTime) -> Value {
    jiff::Timestamp::try_from(time).map_or(Value::Null, |time| format!("{time:.3}").into())
}
