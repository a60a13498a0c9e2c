//! Answers of the webhook, by the binary in front of the real broker and registry: each code, and whether it is true.

use std::{collections::BTreeMap, time::Instant};

use reqwest::{
    RequestBuilder, Response,
    header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER},
};
use serde_json::{Value, json};

use crate::{
    stack::{Outage, alone, database, eventually, rows_become, shared},
    worker::{SECRET, Worker, post},
};

/// The status and the problem of an answer.
async fn problem(answer: Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/problem+json");
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["status"], status);
    (status, problem)
}

/// Posts a body that must be refused with `status`; returns the problem.
async fn refused(worker: &Worker, body: impl Into<reqwest::Body>, status: u16) -> Value {
    let (found, problem) = problem(worker.post_raw(body).await.unwrap()).await;
    assert_eq!(found, status, "{problem}");
    problem
}

/// Each wrong field of a problem: its pointer, and the rule with the reason.
fn errors(problem: &Value) -> BTreeMap<&str, String> {
    let text = |error: &'_ Value, member: &str| error[member].as_str().unwrap().to_owned();
    let errors = problem["errors"].as_array().unwrap_or_else(|| panic!("no errors in {problem}"));
    errors
        .iter()
        .map(|error| {
            (error["pointer"].as_str().unwrap(), format!("{}: {}", text(error, "code"), text(error, "message")))
        })
        .collect()
}

/// The record at the place that an answer names, read from the topic.
fn record_at(worker: &Worker, object: &str, place: &Value) -> Value {
    assert_eq!(place["topic"], format!("{}.{object}", worker.name), "{place}");
    let (partition, offset) = (place["partition"].to_string(), place["offset"].to_string());
    let mut found = worker.tap(object, &["--partition", &partition, "--offset", &offset, "--limit", "1"]);
    assert_eq!(found.len(), 1, "nothing at {place}");
    let record = found.remove(0);
    assert_eq!((&record["partition"], &record["offset"]), (&place["partition"], &place["offset"]));
    record
}

#[tokio::test]
async fn an_accepted_post_is_answered_202_with_the_place_of_its_record() {
    let _stack = shared().await;
    let worker = Worker::new("accepted").webhook("").start().await;
    let created = worker.accept("deals", "create", "d-1", json!({"title": "one", "amount": 10.5})).await;
    assert_eq!((&created["status"], &created["id"]), (&json!("accepted"), &json!("d-1")));
    let record = record_at(&worker, "deals", &created);
    assert_eq!(record["key"], json!({"id": "d-1"}));
    assert_eq!(
        (&record["value"]["op"], &record["value"]["after"]["title"]),
        (&json!("c"), &json!("one")),
        "{record:#}"
    );
    assert!(record["headers"]["towpath_event_id"].is_string(), "{record:#}");

    let deleted = worker.accept("agents", "delete", 7, Value::Null).await;
    assert_eq!(deleted["id"], 7);
    let record = record_at(&worker, "agents", &deleted);
    assert_eq!((&record["key"], &record["value"]["op"]), (&json!({"id": 7}), &json!("d")), "{record:#}");

    // The answer for an array has the place of each record, in the same order.
    let items: Vec<_> = (0..20)
        .map(|at| json!({"id": format!("a-{at}"), "action": "create", "data": {"title": at.to_string()}}))
        .collect();
    let body = json!({"clientid": "acme", "clientSecret": SECRET, "objectname": "deals", "data": items});
    let answer = worker.post_raw(body.to_string()).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()[CONTENT_TYPE]),
        (202, &"application/json".parse().unwrap())
    );
    let answer: Value = answer.json().await.unwrap();
    assert_eq!((&answer["status"], &answer["count"]), (&json!("accepted"), &json!(20)));
    for at in [0, 7, 19] {
        let place = &answer["events"][at];
        assert_eq!(place["id"], format!("a-{at}"));
        let record = record_at(&worker, "deals", place);
        assert_eq!((&record["key"]["id"], &record["value"]["after"]["title"]), (&place["id"], &json!(at.to_string())));
    }
}

#[tokio::test]
async fn a_refused_post_gets_the_reason_and_leaves_no_record() {
    let _stack = shared().await;
    let worker = Worker::new("refused").webhook("body.max.bytes = \"2KiB\"\n").start().await;
    let good = post("deals", "create", "d", &json!({"title": "t"}));
    let with = |member: &str, value: Value| {
        let mut body = good.clone();
        body[member] = value;
        body.to_string()
    };

    // The answer does not distinguish an unknown client from a wrong secret.
    let stranger = refused(&worker, with("clientid", json!("nobody")), 401).await;
    let wrong = refused(&worker, with("clientSecret", json!("wrong")), 401).await;
    assert_eq!((&stranger["code"], &stranger), (&json!("webhook.credentials"), &wrong));

    for (body, place) in [("{\"clientid\": ", "at byte"), ("[]", "expected an object at byte 0"), ("", "at byte 0")] {
        let malformed = refused(&worker, body, 400).await;
        assert_eq!(malformed["code"], "webhook.malformed");
        assert!(malformed["detail"].as_str().unwrap().contains(place), "{malformed}");
    }
    let mut misspelled = good.clone();
    misspelled["objctname"] = misspelled["objectname"].take();
    misspelled.as_object_mut().unwrap().remove("objectname");
    let unknown = refused(&worker, misspelled.to_string(), 400).await;
    let errors = errors(&unknown);
    assert_eq!(errors["/objctname"], "unknown: not a field of the envelope: \"objctname\"; did you mean `objectname`?");
    assert_eq!(errors["/objectname"], "required: missing required field of the envelope");

    let object = refused(&worker, with("objectname", json!("deal")), 404).await;
    assert_eq!(object["code"], "webhook.unknown_object");
    assert_eq!(object["detail"], "The webhook has no object \"deal\"; did you mean `deals`?");

    let too_large = refused(&worker, with("data", json!({"title": "x".repeat(3_000)})), 413).await;
    assert_eq!(too_large["code"], "webhook.too_large");
    assert!(too_large["detail"].as_str().unwrap().contains("2048 bytes"), "{too_large}");

    assert_eq!(worker.tap("deals", &[]), [Value::Null; 0], "no refused record is in the topic");
    // The body that all the refused ones derive from is valid.
    assert_eq!(worker.post_raw(good.to_string()).await.unwrap().status(), 202);
    assert_eq!(worker.tap("deals", &[]).len(), 1);
}

#[tokio::test]
async fn an_unsupported_request_is_refused_before_its_body_is_read() {
    let _stack = shared().await;
    let worker = Worker::new("kind").webhook("").start().await;
    let good = post("deals", "create", "d", &json!({"title": "t"})).to_string();
    let ask = |request: RequestBuilder| async { request.body(good.clone()).send().await.unwrap() };
    let http = &worker.http;

    for request in [http.get(worker.hook()), http.put(worker.hook()), http.delete(worker.hook())] {
        let answer = ask(request.header(CONTENT_TYPE, "application/json")).await;
        assert_eq!(answer.headers()[ALLOW], "POST");
        assert_eq!(problem(answer).await.0, 405);
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"] {
        let (status, problem) = problem(ask(http.post(worker.hook()).header(CONTENT_TYPE, kind)).await).await;
        assert_eq!((status, &problem["code"]), (415, &json!("webhook.content_type")), "{kind}");
    }
    let encoded = http.post(worker.hook()).header(CONTENT_TYPE, "application/json").header(CONTENT_ENCODING, "gzip");
    let (status, packed) = problem(ask(encoded).await).await;
    assert_eq!((status, &packed["code"]), (415, &json!("webhook.content_type")));
    let elsewhere = http.post(format!("{}x", worker.hook())).header(CONTENT_TYPE, "application/json");
    let (status, elsewhere) = problem(ask(elsewhere).await).await;
    assert_eq!((status, &elsewhere["code"]), (404, &json!("webhook.unknown_connector")));
    assert_eq!(worker.tap("deals", &[]), [Value::Null; 0], "no refused record is in the topic");
}

#[tokio::test]
async fn each_invalid_field_is_named_with_its_pointer_and_the_reason() {
    let _stack = shared().await;
    let worker = Worker::new("misfit").webhook("").start().await;
    let data = json!({"titel": "t", "amount": "12.345", "won": "yes", "closed_at": "yesterday"});
    let misfit = refused(&worker, post("deals", "create", "d", &data).to_string(), 422).await;
    assert_eq!(
        (&misfit["code"], &misfit["detail"]),
        (&json!("webhook.schema"), &json!("5 fields are wrong; nothing was stored."))
    );
    let found = errors(&misfit);
    let expected = [
        ("/data/amount", "precision: more than 2 digits after the point: \"12.345\""),
        (
            "/data/closed_at",
            "format: expected a timestamp with time zone (RFC 3339), for example `2026-01-31T12:00:00Z`, got \
             \"yesterday\"",
        ),
        ("/data/titel", "unknown: the schema has no field \"titel\"; did you mean `title`?"),
        ("/data/title", "required: missing required field"),
        ("/data/won", "type: expected true or false, got \"yes\""),
    ];
    assert_eq!(found.iter().map(|(pointer, why)| (*pointer, why.as_str())).collect::<Vec<_>>(), expected);

    // Each item of an array has its own pointer; one wrong item refuses all.
    let items = json!([{"id": "a", "action": "create", "data": {"title": "A"}},
        {"id": true, "action": "crate", "data": {"title": 1}}]);
    let body = json!({"clientid": "acme", "clientSecret": SECRET, "objectname": "deals", "data": items});
    let misfit = refused(&worker, body.to_string(), 422).await;
    let pointers: Vec<_> = errors(&misfit).into_keys().collect();
    assert_eq!(pointers, ["/data/1/action", "/data/1/data/title", "/data/1/id"], "{misfit:#}");
    assert_eq!(worker.tap("deals", &[]), [Value::Null; 0], "no refused record is in the topic");
}

/// Waits until `/readyz` reports that `part` is away.
async fn is_unready_for_want_of(worker: &Worker, part: &str) {
    eventually("the worker is not ready", || async {
        let (status, text) = worker.get("/readyz").await;
        let report: Value = serde_json::from_str(&text).unwrap();
        let is_named = report["not_ready"].as_array().unwrap().iter().any(|check| check["check"] == part);
        (status == 503 && is_named).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_broker_a_post_gets_503_and_its_retry_is_stored_once() {
    let _stack = alone().await;
    let worker = Worker::new("broker").webhook("").sink("").start().await;
    let database = database().await;
    let deals = format!("SELECT id, title FROM {}.deals ORDER BY id", worker.name);
    worker.accept("deals", "create", "a", json!({"title": "before"})).await;
    rows_become(&database, &deals, &["a|before"]).await;

    let outage = Outage::of("kafka");
    let body = post("deals", "create", "b", &json!({"title": "again"})).to_string();
    let begun = Instant::now();
    let answer = worker.post_raw(body.clone()).await.unwrap();
    assert!(begun.elapsed().as_secs() < 6, "the answer took {:?}", begun.elapsed());
    assert_eq!(answer.headers()[RETRY_AFTER], "5");
    let (status, unavailable) = problem(answer).await;
    assert_eq!((status, &unavailable["code"]), (503, &json!("webhook.unavailable")));
    assert_eq!(worker.state("hook").await, "retrying");
    is_unready_for_want_of(&worker, "kafka").await;
    eventually("the sink reports that it waits", || async { (worker.state("pg").await == "retrying").then_some(()) })
        .await;
    assert_eq!(worker.get("/livez").await.0, 200);

    drop(outage);
    eventually("the event is accepted", || async {
        (worker.post_raw(body.clone()).await.unwrap().status() == 202).then_some(())
    })
    .await;
    rows_become(&database, &deals, &["a|before", "b|again"]).await;
    eventually("the worker is ready again", || async {
        let well = worker.get("/readyz").await.0 == 200
            && worker.state("hook").await == "running"
            && worker.state("pg").await == "running";
        well.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_registry_known_objects_are_accepted_and_a_new_worker_waits() {
    let _stack = alone().await;
    let worker = Worker::new("registry").webhook("").sink("").start().await;
    let database = database().await;
    let deals = format!("SELECT id, title FROM {}.deals ORDER BY id", worker.name);
    worker.accept("deals", "create", "a", json!({"title": "before"})).await;
    rows_become(&database, &deals, &["a|before"]).await;
    let mut late = Worker::new("late").webhook("").sink("");

    let outage = Outage::of("registry");
    worker.accept("deals", "create", "b", json!({"title": "meanwhile"})).await;
    worker.accept("agents", "create", 1, json!({"name": "never sent before"})).await;
    rows_become(&database, &deals, &["a|before", "b|meanwhile"]).await;
    is_unready_for_want_of(&worker, "registry").await;

    late.spawn();
    let body = post("deals", "create", "c", &json!({"title": "late"})).to_string();
    let answer = eventually("the new worker answers", || async { late.post_raw(body.clone()).await.ok() }).await;
    assert_eq!(answer.headers()[RETRY_AFTER], "5");
    assert_eq!(problem(answer).await.0, 503);
    is_unready_for_want_of(&late, "registry").await;

    drop(outage);
    late.is_ready().await;
    assert_eq!(late.post_raw(body).await.unwrap().status(), 202);
    rows_become(&database, &format!("SELECT id, title FROM {}.deals", late.name), &["c|late"]).await;
    rows_become(&database, &format!("SELECT name FROM {}.agents", worker.name), &["never sent before"]).await;
}
