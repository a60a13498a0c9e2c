//! Schema ids that the registry does not have, and registries that answer wrongly or late: a stub in place of the
//! registry.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde_json::json;

use crate::{
    stack::{database, eventually, rows, rows_become, shared},
    types::foreign::Topic,
    worker::Worker,
};

/// What the registry answers for an id.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Answer {
    /// A schema of one text field.
    Schema,
    /// The registry's own answer for an id that it does not have.
    Unknown,
    /// A gateway's page.
    Page(u16),
    /// JSON that is not the registry's.
    Other(u16),
    /// A page with the status of success.
    Welcome,
    /// No answer in time.
    Slow,
}

/// A registry with an answer for each id.
#[derive(Clone)]
struct Stub {
    answers: Arc<Mutex<HashMap<u32, Answer>>>,
    url: String,
}

impl Stub {
    async fn start(answers: &[(u32, Answer)]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stub = Self { answers: Arc::new(Mutex::new(answers.iter().copied().collect())), url };
        let router = Router::new()
            .route("/subjects", get(|| async { Json(json!([])) }))
            .route("/schemas/ids/{id}", get(answer))
            .with_state(stub.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        stub
    }

    fn set(&self, id: u32, answer: Answer) {
        self.answers.lock().unwrap().insert(id, answer);
    }
}

async fn answer(State(stub): State<Stub>, Path(id): Path<u32>) -> Response {
    let answer = stub.answers.lock().unwrap().get(&id).copied().unwrap_or(Answer::Unknown);
    let schema = r#"{"type":"record","name":"Zoo","fields":[{"name":"word","type":"string"}]}"#;
    let page = |status| (status, [(header::CONTENT_TYPE, "text/html")], "<html>canary</html>").into_response();
    match answer {
        Answer::Schema => Json(json!({ "schema": schema })).into_response(),
        Answer::Unknown => {
            (StatusCode::NOT_FOUND, Json(json!({"error_code": 40_403, "message": "Schema not found"}))).into_response()
        }
        Answer::Page(status) => page(StatusCode::from_u16(status).unwrap()),
        Answer::Other(status) => {
            let other = json!({"error_code": status, "message": "HTTP 404 Not Found"});
            (StatusCode::from_u16(status).unwrap(), Json(other)).into_response()
        }
        Answer::Welcome => page(StatusCode::OK),
        Answer::Slow => {
            tokio::time::sleep(Duration::from_secs(30)).await;
            StatusCode::GATEWAY_TIMEOUT.into_response()
        }
    }
}

/// A record of schema `id`, with the text `a`.
fn framed(id: u8) -> [u8; 7] {
    [0, 0, 0, 0, id, 2, b'a']
}

async fn worker(theme: &str, stub: &Stub, more: &str) -> (Worker, Topic) {
    let more = format!("\"key.converter\" = \"string\"\nerrors.retry.delay.max.ms = 200\n{more}");
    let worker = Worker::new(theme).setting("schema.registry.url", &stub.url).sink(&more).start().await;
    let topic = Topic::with_partitions(&format!("{}.zoo", worker.name), 1).await;
    (worker, topic)
}

/// Waits until the partition of the topic waits with this code; returns the text of the status.
async fn waits_with(worker: &Worker, topic: &Topic, code: &str) -> String {
    eventually(&format!("{} waits with {code}", topic.table()), || async {
        let (_, status) = worker.get("/towpath/v1/connectors").await;
        let connectors: serde_json::Value = serde_json::from_str(&status).unwrap();
        let tasks = connectors.as_array()?.iter().filter_map(|connector| connector["tasks"].as_array());
        let mut partitions = tasks.flatten().filter_map(|task| task["partitions"].as_array()).flatten();
        let waiting = partitions.find(|partition| partition["topic"] == topic.table())?["waiting_for"].clone();
        (waiting["code"] == code).then(|| waiting.to_string())
    })
    .await
}

#[tokio::test]
async fn nothing_that_a_registry_answers_is_held_against_a_record() {
    let _stack = shared().await;
    let stub = Stub::start(&[(1, Answer::Schema)]).await;
    let (worker, topic) = worker("unknown", &stub, "").await;
    let other = Topic::with_partitions(&format!("{}.other", worker.name), 1).await;
    let database = database().await;
    let cases = [
        (Answer::Unknown, "registry.unknown_schema"),
        (Answer::Page(404), "registry.refused"),
        (Answer::Other(404), "registry.refused"),
        (Answer::Page(500), "registry.unavailable"),
        (Answer::Page(503), "registry.unavailable"),
        (Answer::Page(401), "registry.auth"),
        (Answer::Page(403), "registry.auth"),
        (Answer::Page(400), "registry.refused"),
        (Answer::Welcome, "registry.unavailable"),
        (Answer::Slow, "registry.unavailable"),
    ];
    for (at, (answer, code)) in (0_u8..).zip(cases) {
        let id = 100 + at;
        stub.set(id.into(), answer);
        let key = format!("k{at}");
        topic.send_bytes(key.as_bytes(), &framed(id), &[]).await;
        let status = waits_with(&worker, &topic, code).await;
        assert!(status.contains(&format!("schema id {id}")) && !status.contains("canary"), "{answer:?}: {status}");
        // Another partition goes on.
        other.send_bytes(key.as_bytes(), &framed(1), &[]).await;
        let stored = format!("SELECT count(*) FROM {}", other.table());
        rows_become(&database, &stored, &[&(at + 1).to_string()]).await;
        stub.set(id.into(), Answer::Schema);
        let stored = format!("SELECT count(*), max(word) FROM {}", topic.table());
        rows_become(&database, &stored, &[&format!("{}|a", at + 1)]).await;
    }
    assert_eq!(rows(&database, &topic.dead_letters()).await, [""; 0]);
    eventually("the sink runs", || async { (worker.state("pg").await == "running").then_some(()) }).await;
    assert!(!worker.log().contains("canary"), "{}", worker.log());
}

#[tokio::test]
async fn a_schema_that_stays_unknown_is_refused_after_the_wait_and_asked_for_again() {
    let _stack = shared().await;
    let stub = Stub::start(&[]).await;
    let (_worker, topic) = worker("refused", &stub, "schema.unknown.wait.ms = 1000\n").await;
    topic.send_bytes(b"first", &framed(7), &[]).await;
    let database = database().await;
    rows_become(&database, &topic.dead_letters(), &["0|registry.unknown_schema"]).await;
    let reason = format!("SELECT error_text FROM towpath.dead_letter WHERE topic = '{}'", topic.table());
    let reason = rows(&database, &reason).await;
    assert!(reason[0].contains("schema id 7"), "{reason:?}");
    stub.set(7, Answer::Schema);
    // This record is young: the refusal of the first does not apply to it.
    topic.send_bytes(b"second", &framed(7), &[]).await;
    rows_become(&database, &format!("SELECT word FROM {}", topic.table()), &["a"]).await;
    assert_eq!(rows(&database, &topic.dead_letters()).await, ["0|registry.unknown_schema"]);
}
