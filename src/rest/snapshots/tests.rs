//! Requests for snapshots over a real connection, to a control that records them.

use std::sync::{Arc, Mutex};

use reqwest::{Client, StatusCode};
use tokio_util::sync::{CancellationToken, DropGuard};
use towpath_api::{Asking, ObjectState, SnapshotState};

use super::*;
use crate::{
    jobs::Snapshots,
    rest::Server,
    telemetry::{Metrics, Readiness, StatusBoard},
};

/// Reads leads and contacts; contacts wait for approval. Stops after its first request.
#[derive(Default)]
struct Control {
    started: Mutex<Vec<SnapshotRequest>>,
    approved: Mutex<Vec<SnapshotApproval>>,
}

impl SnapshotControl for Control {
    fn status(&self) -> SnapshotStatus {
        let lead = ObjectProgress {
            name: "lead".to_owned(),
            state: ObjectState::Reading,
            rows: 40,
            expected: Some(100),
            ..ObjectProgress::default()
        };
        let running = SnapshotProgress {
            generation: 1,
            kind: "first".to_owned(),
            began: Some(SystemTime::UNIX_EPOCH),
            rows: 40,
            rows_per_second: 20.0,
            left: Some(Duration::from_secs(3)),
            left_at_least: true,
            objects: vec![lead],
            ..SnapshotProgress::default()
        };
        let queued = self.started.lock().unwrap().len();
        SnapshotStatus { state: SnapshotState::Running, running: Some(running), queued, ..SnapshotStatus::default() }
    }

    fn start(&self, request: SnapshotRequest) -> Asking<'_, ()> {
        let unknown = request.objects.iter().find(|name| *name != "lead" && *name != "contact").cloned();
        let mut started = self.started.lock().unwrap();
        let answer = match unknown {
            Some(name) => Err(SnapshotRefused::UnknownObject { name, nearest: Some("lead".to_owned()) }),
            None if started.is_empty() => {
                started.push(request);
                Ok(())
            }
            None => Err(SnapshotRefused::NotRunning),
        };
        Box::pin(std::future::ready(answer))
    }

    fn approve(&self, approval: SnapshotApproval) -> Asking<'_, Vec<String>> {
        let answer = match approval.objects.iter().find(|object| *object != "contact") {
            Some(other) => Err(SnapshotRefused::NothingWaits(Some(other.clone()))),
            None => Ok(vec!["contact".to_owned()]),
        };
        self.approved.lock().unwrap().extend(answer.is_ok().then_some(approval));
        Box::pin(std::future::ready(answer))
    }
}

struct Running {
    url: String,
    control: Arc<Control>,
    _stop: DropGuard,
}

async fn serve() -> Running {
    let metrics = Metrics::new();
    let snapshots = Snapshots::new();
    let control = Arc::new(Control::default());
    snapshots.register("close", Arc::clone(&control) as _);
    let api = Api::new(metrics.clone(), Readiness::new(), StatusBoard::new(&metrics)).with_snapshots(snapshots);
    let server = Server::bind(&["http://127.0.0.1:0".parse().unwrap()], api).await.unwrap();
    let url = format!("http://{}/towpath/v1/connectors/close/snapshot", server.addresses()[0]);
    let stop = CancellationToken::new();
    tokio::spawn(server.serve(stop.clone()));
    Running { url, control, _stop: stop.drop_guard() }
}

impl Running {
    async fn post(&self, path: &str, body: &str) -> (StatusCode, Value) {
        let request = Client::new().post(format!("{}{path}", self.url)).header("content-type", "application/json");
        answer(request.body(body.to_owned())).await
    }
}

async fn answer(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let answer = request.send().await.unwrap();
    (answer.status(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

#[tokio::test]
async fn the_status_has_the_progress_of_each_object() {
    let running = serve().await;
    let (status, body) = answer(Client::new().get(&running.url)).await;
    assert_eq!(status, StatusCode::OK);
    let mut running = body["running"].clone();
    assert_eq!((&body["state"], &running["generation"]), (&json!("running"), &json!(1)));
    assert_eq!((&running["began"], &running["left_seconds"]), (&json!("1970-01-01T00:00:00.000Z"), &json!(3)));
    assert_eq!(running["left_is_lower_bound"], true);
    let expected =
        json!([{ "name": "lead", "state": "reading", "rows": 40, "expected": 100, "note": null, "deletes": null }]);
    assert_eq!(running["objects"].take(), expected);
    assert_eq!((&body["held"], &body["completed"]), (&json!([]), &Value::Null));
}

#[tokio::test]
async fn a_request_is_accepted_with_its_selection_while_the_source_runs() {
    let running = serve().await;
    let body = r#"{"objects": ["lead"], "since": "2026-01-01T00:00:00+01:00", "ids": ["lead_1"]}"#;
    let (status, shown) = running.post("", body).await;
    assert_eq!((status, &shown["queued"]), (StatusCode::ACCEPTED, &json!(1)));
    let since = "2025-12-31T23:00:00Z".parse::<jiff::Timestamp>().unwrap();
    let expected = SnapshotRequest {
        objects: vec!["lead".to_owned()],
        since: Some(since.into()),
        until: None,
        ids: vec!["lead_1".to_owned()],
    };
    assert_eq!(*running.control.started.lock().unwrap(), [expected]);

    let (status, problem) = running.post("", "").await;
    assert_eq!((status, &problem["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("snapshot.not_running")));
    assert_eq!(problem["instance"], "/towpath/v1/connectors/close/snapshot");
}

#[tokio::test]
async fn a_wrong_request_is_refused_with_its_fault_and_asks_nothing() {
    let running = serve().await;
    for (body, code, detail) in [
        (r#"{"objects": ["led"]}"#, "snapshot.unknown_object", "`led`; did you mean `lead`?"),
        (r#"{"object": ["lead"]}"#, "http.malformed", "unknown member `object`; known members: objects, since"),
        (r#"{"objects": "lead"}"#, "http.malformed", "`objects` must be an array"),
        (r#"{"since": "2026-01-01"}"#, "http.malformed", "`since` must be a time with an offset"),
        (r#"{"ids": [""]}"#, "http.malformed", "`ids` must be an array of strings that are not empty"),
        ("[]", "http.malformed", "not a JSON object"),
        (r#"{"ids": "#, "http.malformed", "not JSON: line 1"),
    ] {
        let (status, problem) = running.post("", body).await;
        assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!(code)), "{body}");
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{body}: {problem}");
    }
    let large = format!(r#"{{"ids": ["{}"]}}"#, "x".repeat(BODY_MAX));
    assert_eq!(running.post("", &large).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(running.control.started.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a_request_that_a_web_page_could_send_is_refused() {
    let running = serve().await;
    for media in ["text/plain", "application/x-www-form-urlencoded"] {
        let request = Client::new().post(&running.url).header("content-type", media).body("{}");
        let (status, problem) = answer(request).await;
        assert_eq!((status, &problem["code"]), (StatusCode::UNSUPPORTED_MEDIA_TYPE, &json!("http.media_type")));
    }
    let (status, _) = answer(Client::new().post(&running.url)).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(running.control.started.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn deletes_are_approved_for_what_waits_only() {
    let running = serve().await;
    let (status, problem) = running.post("/approve", r#"{"objects": ["lead"]}"#).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("snapshot.nothing_waits")));
    assert!(problem["detail"].as_str().unwrap().contains("`lead` does not wait"));
    assert_eq!(running.control.approved.lock().unwrap().len(), 0);
    let (status, problem) = running.post("/approve", r#"{"at_most": {"contact": -1}}"#).await;
    assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("http.malformed")));
    let (status, body) = running.post("/approve", r#"{"at_most": {"contact": 12}}"#).await;
    let at_most = BTreeMap::from([("contact".to_owned(), 12)]);
    let approved = SnapshotApproval { objects: Vec::new(), at_most };
    assert_eq!(*running.control.approved.lock().unwrap(), [approved]);
    assert_eq!((status, body), (StatusCode::ACCEPTED, json!({ "approved": ["contact"] })));
}

#[tokio::test]
async fn an_unknown_connector_and_a_wrong_method_are_problems() {
    let running = serve().await;
    let other = running.url.replace("/close/", "/clsoe/");
    for request in [Client::new().get(&other), Client::new().post(format!("{other}/approve"))] {
        let (status, problem) = answer(request).await;
        assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!("snapshot.unknown_connector")));
        assert!(problem["detail"].as_str().unwrap().ends_with("did you mean `close`?"), "{problem}");
    }
    let (status, problem) = answer(Client::new().delete(&running.url)).await;
    assert_eq!((status, &problem["code"]), (StatusCode::METHOD_NOT_ALLOWED, &json!("http.method_not_allowed")));
}
