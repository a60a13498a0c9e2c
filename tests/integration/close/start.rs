//! What a source refuses at its start, as its user sees it: the key, its rights, the address, another organization.

use serde_json::{Value, json};

use super::{
    ARRIVAL,
    laboratory::{Organization, generation, snapshot, snapshot_ends},
};
use crate::{
    stack::{shared, try_for},
    worker::Worker,
};

const LEADS: &str = "objects = \"lead\"\n";

/// A worker whose source has this URL and this key.
fn worker_of(worker: Worker, url: &str, key: &str, more: &str) -> Worker {
    let text = format!(
        "name = \"close-${{NAME}}\"\nconnector.class = \"CloseSource\"\ntopic.prefix = \"${{NAME}}\"\n\
         topic.replication.factor = 1\nclose.api.url = \"{url}\"\n\
         close.api.key = \"{key}\"\npoll.interval = \"200ms\"\n{more}"
    );
    worker.file("close.toml", &text)
}

/// The error of the source once it has failed.
async fn failure(worker: &mut Worker) -> Value {
    worker.spawn();
    let failed = try_for(ARRIVAL, || async {
        // The worker may not answer yet.
        let answer = worker.http.get(format!("{}/towpath/v1/connectors", worker.rest())).send().await.ok()?;
        let connectors: Vec<Value> = answer.json().await.ok()?;
        let connector = connectors.into_iter().next()?;
        (connector["state"] == "failed").then_some(connector)
    });
    failed.await.unwrap_or_else(|| panic!("the source fails: {}", worker.log()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_or_address_fails_the_task_and_says_what_to_do() {
    let _stack = shared().await;
    let organization = Organization::with_leads(5, 31).await;
    let url = organization.close.base_url();
    let elsewhere = url.replace("/api/v1/", "/elsewhere/");
    for (url, key, code, named) in [
        (&url, "api_canary_wrong", "close.key_refused", ["close.api.key", "401"]),
        (&url, &organization.key("former"), "close.key_refused", ["close.api.key", "401"]),
        (&url, &organization.key("restricted"), "close.forbidden", ["`view_all_leads`", "admin"]),
        (&elsewhere, &organization.key("admin"), "close.url", ["close.api.url", "api.close.com"]),
    ] {
        let mut worker = worker_of(Worker::new("refused"), url, key, LEADS);
        let status = failure(&mut worker).await;
        let (text, log) = (status.to_string(), worker.log());
        assert!(text.contains(code) && named.iter().all(|name| text.contains(name)), "{code}: {text}");
        assert!(!text.contains(key) && !log.contains(key), "the key is shown: {text} {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_lacks_a_right_names_the_object_and_copies_the_others() {
    let _stack = shared().await;
    let organization = Organization::with_leads(10, 32).await;
    let worker = worker_of(Worker::new("rights"), &organization.close.base_url(), &organization.key("agent"), "");
    let worker = worker.start().await;
    snapshot_ends(&organization, &worker, 1).await;
    let runs = try_for(ARRIVAL, || async {
        let state = worker.get("/towpath/v1/connectors").await.1;
        state.contains("close.object_unreadable").then_some(state)
    });
    let state = runs.await.unwrap_or_else(|| panic!("the object is named: {}", worker.log()));
    assert!(state.contains("read all of export") && state.contains("the right `export`"), "{state}");
    let status = snapshot(&worker).await;
    assert_eq!(status["completed"]["skipped"], 1, "{status}");
    let leads = organization.truth("lead").await.len();
    assert_eq!(worker.tap("lead", &[]).len(), leads, "the others are copied");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_organization_is_refused_and_the_own_one_goes_on() {
    let _stack = shared().await;
    let [own, other] = [Organization::with_leads(5, 33).await, Organization::with_leads(5, 34).await];
    let (url, key) = (own.close.base_url(), own.key("admin"));
    let mut worker = worker_of(Worker::new("moved"), &url, &key, LEADS).start().await;
    let name = worker.name.clone();
    snapshot_ends(&own, &worker, 1).await;
    worker.kill();
    let moved = Worker::named(name);
    let mut moved = worker_of(moved, &other.close.base_url(), &other.key("admin"), LEADS);
    let status = failure(&mut moved).await.to_string();
    assert!(status.contains("close.other_organization") && status.contains("another name"), "{status}");
    moved.kill();
    own.api("POST", "lead/", Some(json!({"name": "Made later"}))).await;
    worker.spawn();
    worker.is_ready().await;
    let arrived = try_for(ARRIVAL, || async { (worker.tap("lead", &[]).len() == 6).then_some(()) });
    assert!(arrived.await.is_some(), "the position was kept: {}", worker.log());
}

/// Never reads anything but changes; always reads everything at each start, which publishes only what differs.
#[tokio::test(flavor = "multi_thread")]
async fn modes_never_and_always_read_nothing_and_everything() {
    let _stack = shared().await;
    let organization = Organization::with_leads(5, 35).await;
    let (url, key) = (organization.close.base_url(), organization.key("admin"));
    let never = format!("{LEADS}snapshot.mode = \"never\"\n");
    let worker = worker_of(Worker::new("never"), &url, &key, &never).start().await;
    let runs = try_for(ARRIVAL, || async { (worker.state("close").await == "running").then_some(()) });
    assert!(runs.await.is_some(), "{}", worker.log());
    organization.api("POST", "lead/", Some(json!({"name": "Made later"}))).await;
    let arrived = try_for(ARRIVAL, || async { (worker.tap("lead", &[]).len() == 1).then_some(()) });
    assert!(arrived.await.is_some(), "the change alone arrives: {}", worker.log());
    assert_eq!(generation(&worker).await, 0, "{}", snapshot(&worker).await);

    // The log is followed from a time that no change so far is near.
    organization.control("clock/", json!({"advance_secs": 86_400})).await;
    let always = format!("{LEADS}snapshot.mode = \"always\"\n");
    let mut worker = worker_of(Worker::new("always"), &url, &key, &always).start().await;
    for number in [1, 2] {
        snapshot_ends(&organization, &worker, number).await;
        assert_eq!(generation(&worker).await, number, "one snapshot at each start");
        assert_eq!(worker.tap("lead", &[]).len(), 6, "an equal record is not published again");
        worker.kill();
        worker.spawn();
        worker.is_ready().await;
    }
}
