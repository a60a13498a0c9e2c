//! Each fault of the simulator: the wait is visible, and the right answer comes after it.

use serde_json::json;

use super::*;
use crate::codes;

#[tokio::test]
async fn each_fault_is_waited_out_visibly_and_ends_in_the_right_answer() {
    let running = simulator(3).await;
    let faults = [
        (json!({ "kind": "slow", "delay_ms": 30_000 }), codes::UNAVAILABLE, "no whole answer in time"),
        (json!({ "kind": "status", "status": 503 }), codes::UNAVAILABLE, "it answered 503"),
        (json!({ "kind": "status", "status": 408 }), codes::UNAVAILABLE, "it answered 408"),
        (json!({ "kind": "empty" }), codes::UNAVAILABLE, "its answer is empty"),
        (json!({ "kind": "empty", "status": 404 }), codes::UNAVAILABLE, "it answered 404, and not as Close does"),
        (json!({ "kind": "html_429" }), codes::RATE_LIMITED, "the allowance is used up"),
        (json!({ "kind": "empty", "status": 429 }), codes::RATE_LIMITED, "the allowance is used up"),
        (json!({ "kind": "html_502" }), codes::UNAVAILABLE, "it answered 502"),
        (json!({ "kind": "cut_body" }), codes::UNAVAILABLE, "was cut off"),
        (json!({ "kind": "bad_json" }), codes::UNAVAILABLE, "its answer is not JSON"),
        (json!({ "kind": "hang" }), codes::UNAVAILABLE, "no whole answer in time"),
        (json!({ "kind": "hang", "delay_ms": 10 }), codes::UNAVAILABLE, "the connection broke before an answer"),
        (json!({ "kind": "reset" }), codes::UNAVAILABLE, "the connection broke before an answer"),
    ];
    // Side by side, each on a group of its own.
    let paths = [
        "lead",
        "contact",
        "opportunity",
        "task",
        "activity/note",
        "activity/call",
        "activity/email",
        "activity/sms",
        "activity/meeting",
        "activity/created",
        "user",
        "group",
        "role",
    ];
    let placed: Vec<_> = faults
        .iter()
        .zip(paths)
        .map(|((fault, ..), path)| {
            let mut fault = fault.clone();
            (fault["endpoint"], fault["times"]) = (format!("GET {path}").into(), 1.into());
            fault
        })
        .collect();
    set_faults(&running, &placed);
    let one = |(path, (fault, code, text)): (&'static str, (Json, &'static str, &'static str))| {
        let close = client_with(&running, &[("request.timeout", "1s")]);
        async move {
            let (seen, life) = Seen::life();
            let close = close.reporting(&life);
            let answer = close.get(Lane::Changes, path, &[]).await;
            let answer = answer.unwrap_or_else(|error| panic!("{fault}: {}", error.chain()));
            assert!(answer.body["data"].is_array(), "{fault}");
            let (part, seen_code, chain) = seen.first_wait().await;
            assert_eq!((part, seen_code), (format!("Close GET {path}"), code), "{fault}");
            assert!(chain.contains(text), "{fault}: {chain}");
            assert_eq!(*seen.works.lock().unwrap(), [format!("Close GET {path}")], "{fault}: it works again");
        }
    };
    within(futures::future::join_all(paths.into_iter().zip(faults).map(one))).await;
}

#[tokio::test]
async fn a_search_is_a_read_and_is_repeated() {
    let running = simulator(2).await;
    set_faults(&running, &[json!({ "endpoint": "POST data/search", "kind": "html_502", "times": 1 })]);
    let query = json!({ "query": { "type": "object_type", "object_type": "lead" }, "_limit": 10 });
    let answer = within(client(&running).search(Lane::Snapshot, &query)).await.unwrap();
    assert_eq!(answer.body["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_write_with_an_unknown_outcome_is_not_repeated() {
    let running = simulator(0).await;
    let close = client(&running);
    let body = json!({ "name": "Once" });
    set_faults(&running, &[json!({ "endpoint": "POST lead", "kind": "reset", "after": true, "times": 1 })]);
    let error = within(close.write(reqwest::Method::POST, "lead/", Some(&body))).await.unwrap_err();
    assert_eq!((error.code, error.needs_action()), (codes::UNAVAILABLE, false));
    let leads = within(close.get(Lane::Changes, "lead/", &[])).await.unwrap();
    assert_eq!(leads.body["total_results"], 1, "it was carried out, once");
}

#[tokio::test]
async fn refusals_are_errors_that_waiting_does_not_change() {
    let running = simulator(1).await;
    let close = client(&running);
    let missing = format!("lead/lead_{}/", "0".repeat(43));
    let error = within(close.get(Lane::Changes, &missing, &[])).await.unwrap_err();
    assert_eq!(error.code, codes::NOT_FOUND, "{}", error.chain());
    let error = within(close.get(Lane::Changes, "activity/note/", &[("_skip", "999999")])).await.unwrap_err();
    assert_eq!((error.code, crate::client::max_skip(&error)), (codes::REFUSED, Some(250_000)), "{}", error.chain());
    for (status, code) in [(400, codes::REFUSED), (402, codes::REFUSED), (403, codes::FORBIDDEN)] {
        set_faults(&running, &[json!({ "endpoint": "*", "kind": "status", "status": status, "times": 1 })]);
        let error = within(close.get(Lane::Changes, "lead/", &[("query", "canary")])).await.unwrap_err();
        assert_eq!((error.code, error.needs_action()), (code, true));
        assert!(!format!("{error:?} {}", error.chain()).contains("canary"));
    }
}

#[tokio::test]
async fn a_key_that_worked_is_asked_again_before_it_counts_as_refused() {
    let running = simulator(0).await;
    let close = client(&running);
    let flap = |times: u64| json!({ "endpoint": "*", "kind": "status", "status": 401, "times": times });
    set_faults(&running, &[flap(1)]);
    let error = within(close.get(Lane::Changes, "me/", &[])).await.unwrap_err();
    assert_eq!(error.code, codes::KEY_REFUSED, "a key that never worked is refused at once");
    within(close.get(Lane::Changes, "me/", &[])).await.unwrap();
    set_faults(&running, &[flap(2)]);
    within(close.get(Lane::Changes, "me/", &[])).await.unwrap();
}

/// The number of requests that the simulator has had of an endpoint.
fn asked(running: &Running, endpoint: &str) -> u64 {
    let faults = running.simulator.faults.report();
    let fault = faults.iter().find(|fault| fault["endpoint"] == endpoint);
    fault.map_or(0, |fault| fault["seen"].as_u64().unwrap())
}

#[tokio::test]
async fn a_request_that_keeps_failing_while_close_answers_others_is_an_error() {
    for fault in [json!({"kind": "status", "status": 500}), json!({"kind": "empty", "status": 404})] {
        let running = simulator(1).await;
        let close = client(&running).with_patience(Duration::from_secs(2));
        within(close.get(Lane::Changes, "lead/", &[])).await.unwrap();
        let mut fault = fault.clone();
        fault["endpoint"] = "GET dialer".into();
        set_faults(&running, &[fault]);
        let error = within(close.get(Lane::Changes, "dialer/", &[])).await.unwrap_err();
        assert_eq!((error.code, error.needs_action()), (codes::FAILING, true), "{}", error.chain());
        assert!(asked(&running, "GET dialer") > 1, "it was repeated");
        for (skip, times) in [(None, 1), (Some(("_skip", "1")), 3)] {
            let before = asked(&running, "GET dialer");
            let query: Vec<(&str, &str)> = skip.into_iter().collect();
            let error = within(close.get(Lane::Changes, "dialer/", &query)).await.unwrap_err();
            assert_eq!((error.code, asked(&running, "GET dialer") - before), (codes::FAILING, times), "soon");
        }
        set_faults(&running, &[]);
        within(close.get(Lane::Changes, "dialer/", &[])).await.unwrap();
    }
}

#[tokio::test]
async fn an_outage_of_all_of_close_ends_no_request() {
    let running = simulator(1).await;
    let close = client(&running).with_patience(Duration::from_secs(1));
    within(close.get(Lane::Changes, "me/", &[])).await.unwrap();
    set_faults(&running, &[json!({"endpoint": "*", "kind": "status", "status": 503})]);
    let asking = tokio::spawn(async move { close.get(Lane::Changes, "lead/", &[]).await });
    // After waits of one, two and four seconds.
    within(async {
        while asked(&running, "*") < 4 + 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    set_faults(&running, &[]);
    within(asking).await.unwrap().unwrap();
}
