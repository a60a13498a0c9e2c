//! The paths under `/towpath/v1`, which Kafka Connect's API lacks.

use std::time::SystemTime;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::Api;
use crate::telemetry::status::{ConnectorReport, LastError, PartitionReport, TaskReport};

/// `GET /towpath/v1/connectors`: each connector, its tasks and their partitions, with errors and the next attempt.
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
        "worker": report.worker.as_ref(),
        "generation": report.generation,
        "state": report.state.as_str(),
        "since": timestamp(report.since),
        "error": report.error.as_ref().map(error),
        "partitions": report.partitions.iter().map(partition).collect::<Value>(),
    });
    if let Some(attempt) = report.attempt {
        task["attempt"] = attempt.into();
    }
    if let Some(next_try) = report.next_try {
        task["next_try"] = timestamp(next_try);
    }
    task
}

fn partition(report: &PartitionReport) -> Value {
    json!({
        "topic": report.topic.as_ref(),
        "partition": report.partition,
        "next_offset": report.next_offset,
        "lag": report.lag,
        "waiting_for": report.waiting_for.as_ref().map(error),
        "waiting_records": report.waiting_records.map_or(0, |(records, _)| records),
        "waiting_records_since": report.waiting_records.map(|(_, since)| timestamp(since)),
    })
}

fn error(error: &LastError) -> Value {
    json!({
        "code": error.code,
        "message": error.chain,
        "help": error.help,
        "needs_action": error.needs_action,
        "at": timestamp(error.at),
    })
}

/// RFC 3339 in UTC with milliseconds; null for a time outside the years -9999 to 9999.
pub(super) fn timestamp(time: SystemTime) -> Value {
    jiff::Timestamp::try_from(time).map_or(Value::Null, |time| format!("{time:.3}").into())
}
