//! Section 12, item 4 (HTML 429 and 502 on demand), and other faults.

use std::time::{Duration, Instant};

use close_simulator::Options;
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Close;

async fn with_faults(faults: Value) -> Close {
    let close = Close::start().await;
    let reply = close.put("/_control/faults/", json!({ "faults": faults })).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    close
}

async fn injected(close: &Close) -> u64 {
    close.get("/_control/counters/").await.body["faults"][0]["injected"].as_u64().unwrap()
}

async fn leads(close: &Close) -> u64 {
    close.get("lead/?_limit=0").await.body["total_results"].as_u64().unwrap()
}

/// Quirk 4.
#[tokio::test]
async fn quirk_04_html_429_and_502_and_an_empty_429_come_on_demand() {
    let close = with_faults(json!([
        { "endpoint": "GET user", "kind": "html_429", "times": 1 },
        { "endpoint": "GET user", "kind": "html_502", "times": 1 },
        { "endpoint": "GET user", "kind": "empty", "status": 429, "times": 1 },
    ]))
    .await;
    for (status, html) in [(429, true), (502, true), (429, false)] {
        let reply = close.get("user/").await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.headers.get("content-type").is_some_and(|kind| kind == "text/html"), html);
        assert_eq!(reply.text.contains("<html>"), html, "{}", reply.text);
        assert!(reply.body.is_null(), "no JSON");
    }
    assert_eq!(close.get("user/").await.status, 200, "each came once");
}

#[tokio::test]
async fn a_share_of_requests_is_hit_and_the_same_seed_hits_the_same() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let close =
            with_faults(json!([{ "endpoint": "GET user", "kind": "status", "status": 503, "share": 0.3 }])).await;
        let mut answers = Vec::new();
        for _ in 0..100 {
            answers.push(close.get("user/").await.status);
        }
        assert_eq!(close.get("role/").await.status, 200, "another endpoint");
        let hit = answers.iter().filter(|status| **status == 503).count();
        assert!((15..=45).contains(&hit), "{hit} of 100");
        assert_eq!(injected(&close).await, hit as u64);
        runs.push(answers);
    }
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test]
async fn a_fault_strikes_before_a_write_or_after_it() {
    let close = with_faults(json!([{ "endpoint": "POST lead", "kind": "status", "status": 502, "times": 1 }])).await;
    let before = leads(&close).await;
    assert_eq!(close.post("lead/", json!({ "name": "A" })).await.status, 502);
    assert_eq!(leads(&close).await, before, "it was not carried out");

    close
        .put("/_control/faults/", json!([{ "endpoint": "POST lead", "kind": "reset", "after": true, "times": 1 }]))
        .await;
    let request = close.request("admin", Method::POST, "lead/").json(&json!({ "name": "B" }));
    assert!(request.send().await.is_err(), "the answer is lost");
    assert_eq!(leads(&close).await, before + 1, "but the lead is there");
}

#[tokio::test]
async fn a_reset_is_an_rst_and_a_cut_body_ends_too_early() {
    let close = with_faults(json!([
        { "endpoint": "GET user", "kind": "reset", "times": 1 },
        { "endpoint": "GET user", "kind": "cut_body", "times": 1 },
        { "endpoint": "GET user", "kind": "bad_json", "times": 1 },
    ]))
    .await;
    let error = close.request("admin", Method::GET, "user/").send().await.unwrap_err();
    let mut causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
    assert!(causes.any(|cause| cause.to_string().contains("reset by peer")), "{error:?}");

    let reply = close.request("admin", Method::GET, "user/").send().await.unwrap();
    assert_eq!(reply.status(), 200);
    assert!(reply.content_length().unwrap() > 10);
    assert!(reply.text().await.is_err(), "less than was promised");

    let reply = close.get("user/").await;
    assert_eq!(reply.status, 200);
    assert!(reply.body.is_null() && reply.text.starts_with('{'), "{}", reply.text);
    assert!(close.get("user/").await.body.is_object());
}

#[tokio::test]
async fn a_slow_answer_comes_late_and_a_hanging_one_never() {
    let close = with_faults(json!([
        { "endpoint": "user", "kind": "slow", "delay_ms": 150, "times": 1 },
        { "endpoint": "user", "kind": "hang", "delay_ms": 100, "times": 1 },
        { "endpoint": "user", "kind": "hang", "times": 1 },
    ]))
    .await;
    let begun = Instant::now();
    assert_eq!(close.get("user/").await.status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(150));
    assert!(
        close.request("admin", Method::GET, "user/").send().await.is_err(),
        "the connection ends without an answer"
    );
    let waiting = close.request("admin", Method::GET, "user/").timeout(Duration::from_millis(300)).send().await;
    assert!(waiting.unwrap_err().is_timeout());
    let requests = close.get("/_control/counters/").await.body["requests"].clone();
    assert!(requests.as_array().unwrap().iter().any(|row| row["status"] == 0 && row["requests"] == 2), "{requests}");
}

#[tokio::test]
async fn a_wrong_cursor_leads_to_another_page() {
    let close = Close::start().await;
    for n in 0..3 {
        close.make("lead/", json!({ "name": format!("Lead {n}") })).await;
    }
    let right = close.get("event/").await.body;
    let faults = json!([{ "endpoint": "GET event", "kind": "wrong_cursor" }]);
    assert_eq!(close.put("/_control/faults/", faults).await.status, 200);
    let wrong = close.get("event/").await.body;
    assert_eq!(wrong["data"], right["data"]);
    assert_eq!(wrong["cursor_next"].is_null(), right["cursor_next"].is_null());
    if right["cursor_next"].is_string() {
        assert_ne!(wrong["cursor_next"], right["cursor_next"]);
    }
}

#[tokio::test]
async fn a_fault_of_one_key_leaves_the_others_alone() {
    let close = with_faults(json!([{ "endpoint": "*", "kind": "status", "status": 500, "key": "agent" }])).await;
    assert_eq!(close.get_as("agent", "user/").await.status, 500);
    assert_eq!(close.get("user/").await.status, 200);
    assert_eq!(close.get_as("", "user/").await.status, 401);
    assert_eq!(close.delete("/_control/faults/").await.body, json!({ "faults": [] }));
    assert_eq!(close.get_as("agent", "user/").await.status, 200);
}

#[tokio::test]
async fn faults_that_cannot_be_are_refused_and_the_others_stay() {
    let close = with_faults(json!([{ "endpoint": "GET user", "kind": "status", "status": 500 }])).await;
    for wrong in [
        json!([{ "endpoint": "GET user", "kind": "explode" }]),
        json!([{ "endpoint": "GET user", "kind": "status" }]),
        json!([{ "endpoint": "GET user", "kind": "slow" }]),
        json!([{ "endpoint": "FETCH user", "kind": "hang" }]),
        json!([{ "endpoint": "GET user", "kind": "hang", "share": 2 }]),
        json!([{ "endpoint": "GET user", "kind": "hang", "shere": 1 }]),
        json!([{ "kind": "hang" }]),
        json!("hang"),
    ] {
        assert_eq!(close.put("/_control/faults/", wrong.clone()).await.status, 400, "{wrong}");
    }
    assert_eq!(close.get("user/").await.status, 500);
    let report = close.get("/_control/faults/").await.body;
    assert_eq!(close.put("/_control/faults/", report).await.status, 200, "what is reported can be set again");
}

#[tokio::test]
async fn faults_leave_other_seeds_other_requests() {
    let mut runs = Vec::new();
    for seed in [1, 2] {
        let close = Close::with(Options { seed, ..Options::default() }).await;
        close.put("/_control/faults/", json!([{ "endpoint": "*", "kind": "empty", "share": 0.5 }])).await;
        let mut answers = Vec::new();
        for _ in 0..40 {
            answers.push(close.get("user/").await.text.is_empty());
        }
        runs.push(answers);
    }
    assert_ne!(runs[0], runs[1]);
}
