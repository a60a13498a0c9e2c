//! The paths of snapshots: what a connector reads of its outside system, and requests to read it again.
//!
//! A request must be JSON by its content type, so that a web page that an operator looks at cannot make one.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Json,
    body::{Body, to_bytes},
    extract::{Path, State},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};
use serde_json::{Map, Value, json};
use tokio::time::timeout;
use towpath_api::{
    ObjectProgress, SnapshotApproval, SnapshotControl, SnapshotProgress, SnapshotRefused, SnapshotRequest,
    SnapshotStatus,
};
use towpath_keys::nearest;

use super::{Api, codes, problem, towpath::timestamp};

/// The maximum size of a request's body: some 30,000 ids.
const BODY_MAX: usize = 1 << 20;
/// The time that a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);

/// `GET /towpath/v1/connectors/<name>/snapshot`: the snapshot under way, or the last one.
pub(super) async fn show(State(api): State<Api>, Path(name): Path<String>, uri: Uri) -> Response {
    match control(&api, &name, &uri) {
        Ok(control) => Json(status(&control.status())).into_response(),
        Err(refused) => refused,
    }
}

/// `POST /towpath/v1/connectors/<name>/snapshot`: asks for a snapshot; 202 with the status once the request is durable.
pub(super) async fn start(
    State(api): State<Api>,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let (control, body) = match asked(&api, &name, &uri, &headers, body).await {
        Ok(asked) => asked,
        Err(refused) => return refused,
    };
    let started = match request(&body) {
        Ok(request) => control.start(request).await,
        Err(reason) => Err(SnapshotRefused::Invalid(reason)),
    };
    match started {
        Ok(()) => {
            tracing::info!(connector = %name, "a snapshot of connector {name} was asked for over the API");
            (StatusCode::ACCEPTED, Json(status(&control.status()))).into_response()
        }
        Err(refused) => refuse(&refused, &uri),
    }
}

/// `POST /towpath/v1/connectors/<name>/snapshot/approve`: lets a snapshot delete what it asks for; 202 with the
/// objects.
pub(super) async fn approve(
    State(api): State<Api>,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let (control, body) = match asked(&api, &name, &uri, &headers, body).await {
        Ok(asked) => asked,
        Err(refused) => return refused,
    };
    let approved = match approval(&body) {
        Ok(approval) => control.approve(approval).await,
        Err(reason) => Err(SnapshotRefused::Invalid(reason)),
    };
    match approved {
        Ok(objects) => {
            tracing::info!(
                connector = %name, objects = ?objects,
                "the deletes that snapshots of connector {name} ask for were approved over the API"
            );
            (StatusCode::ACCEPTED, Json(json!({ "approved": objects }))).into_response()
        }
        Err(refused) => refuse(&refused, &uri),
    }
}

/// The connector that a request concerns, and the request's body.
async fn asked(
    api: &Api,
    name: &str,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Arc<dyn SnapshotControl>, Map<String, Value>), Response> {
    let control = control(api, name, uri)?;
    Ok((control, read(headers, body, uri).await?))
}

#[expect(clippy::result_large_err, reason = "the answer is sent at once")]
fn control(api: &Api, name: &str, uri: &Uri) -> Result<Arc<dyn SnapshotControl>, Response> {
    api.snapshots.get(name).ok_or_else(|| {
        let names = api.snapshots.names();
        let meant = nearest(name, names.iter().map(String::as_str));
        let mut detail = format!("this worker runs no connector `{name}` that takes snapshots");
        if let Some(meant) = meant {
            detail.push_str(&format!("; did you mean `{meant}`?"));
        }
        problem::answer(StatusCode::NOT_FOUND, codes::UNKNOWN_CONNECTOR, uri, &detail)
    })
}

fn refuse(refused: &SnapshotRefused, uri: &Uri) -> Response {
    let (status, code) = match refused {
        SnapshotRefused::UnknownObject { .. } => (StatusCode::BAD_REQUEST, codes::UNKNOWN_OBJECT),
        SnapshotRefused::Invalid(_) => (StatusCode::BAD_REQUEST, codes::MALFORMED),
        SnapshotRefused::NotRunning => (StatusCode::SERVICE_UNAVAILABLE, codes::NOT_RUNNING),
        SnapshotRefused::NothingWaits(_) => (StatusCode::CONFLICT, codes::NOTHING_WAITS),
    };
    problem::answer(status, code, uri, &refused.to_string())
}

/// The body as a JSON object; an empty body is an empty object.
#[expect(clippy::result_large_err, reason = "the answer is sent at once")]
async fn read(headers: &HeaderMap, body: Body, uri: &Uri) -> Result<Map<String, Value>, Response> {
    let refuse = |status, code, detail: &str| Err(problem::answer(status, code, uri, detail));
    let media = headers.get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
    if !media.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json")) {
        let detail = "the content type must be `application/json`";
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, codes::MEDIA_TYPE, detail);
    }
    let bytes = match timeout(BODY_TIME, to_bytes(body, BODY_MAX)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => {
            let detail = format!("the body was cut, or is larger than {BODY_MAX} bytes");
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, codes::TOO_LARGE, &detail);
        }
        Err(_) => return refuse(StatusCode::REQUEST_TIMEOUT, codes::TIMEOUT, "the body did not arrive in 10 seconds"),
    };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(body)) => Ok(body),
        Ok(_) => refuse(StatusCode::BAD_REQUEST, codes::MALFORMED, "the body is not a JSON object"),
        Err(error) => {
            let detail = format!("the body is not JSON: line {}, column {}", error.line(), error.column());
            refuse(StatusCode::BAD_REQUEST, codes::MALFORMED, &detail)
        }
    }
}

fn request(body: &Map<String, Value>) -> Result<SnapshotRequest, String> {
    only(body, &["objects", "since", "until", "ids"])?;
    Ok(SnapshotRequest {
        objects: texts(body, "objects")?,
        since: time(body, "since")?,
        until: time(body, "until")?,
        ids: texts(body, "ids")?,
    })
}

/// Refuses members that the request does not have.
fn only(body: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    match body.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(format!("the body has the unknown member `{name}`; known members: {}", known.join(", "))),
        None => Ok(()),
    }
}

fn approval(body: &Map<String, Value>) -> Result<SnapshotApproval, String> {
    only(body, &["objects", "at_most"])?;
    let objects = texts(body, "objects")?;
    let wrong = || "`at_most` must be an object with the number of deletes by object".to_owned();
    let at_most = match body.get("at_most").filter(|value| !value.is_null()) {
        None => BTreeMap::new(),
        Some(value) => {
            let numbers = value.as_object().ok_or_else(wrong)?.iter();
            numbers
                .map(|(name, number)| Some((name.clone(), number.as_u64()?)))
                .collect::<Option<_>>()
                .ok_or_else(wrong)?
        }
    };
    Ok(SnapshotApproval { objects, at_most })
}

/// A list of texts; empty if it is absent or null.
fn texts(body: &Map<String, Value>, name: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("`{name}` must be an array of strings that are not empty");
    let Some(value) = body.get(name).filter(|value| !value.is_null()) else { return Ok(Vec::new()) };
    let text = |item: &Value| item.as_str().filter(|text| !text.is_empty()).map(str::to_owned).ok_or_else(wrong);
    value.as_array().ok_or_else(wrong)?.iter().map(text).collect()
}

/// A time; `None` if it is absent or null.
fn time(body: &Map<String, Value>, name: &str) -> Result<Option<SystemTime>, String> {
    let Some(value) = body.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
    let time = value.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    time.map(|time| Some(time.into()))
        .ok_or_else(|| format!("`{name}` must be a time with an offset, such as `2026-01-31T00:00:00Z`"))
}

fn status(status: &SnapshotStatus) -> Value {
    json!({
        "state": status.state.as_str(),
        "running": status.running.as_ref().map(progress),
        "queued": status.queued,
        "held": status.held.iter().map(object).collect::<Value>(),
        "next": status.next.map(timestamp),
        "completed": status.completed,
    })
}

fn progress(running: &SnapshotProgress) -> Value {
    json!({
        "generation": running.generation,
        "kind": running.kind,
        "reason": running.reason,
        "began": running.began.map(timestamp),
        "rows": running.rows,
        "rows_per_second": running.rows_per_second,
        "waited_share": running.waited_share,
        "left_seconds": running.left.map(|left| left.as_secs()),
        "left_is_lower_bound": running.left_at_least,
        "objects": running.objects.iter().map(object).collect::<Value>(),
    })
}

fn object(object: &ObjectProgress) -> Value {
    json!({
        "name": object.name,
        "state": object.state.as_str(),
        "rows": object.rows,
        "expected": object.expected,
        "note": object.note,
        "deletes": object.deletes,
    })
}

#[cfg(test)]
mod tests;
