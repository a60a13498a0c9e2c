//! Close's webhook wakes the source: changes arrive long before the next poll, whatever becomes of single posts.

use std::time::Duration;

use close_simulator::{Options, model::Moment};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    ARRIVAL,
    kills::no_event_is_twice,
    laboratory::{Organization, reader_with},
    truth::{self, some},
};
use crate::{
    stack::{database, rows, rows_become, shared, try_for},
    worker::Worker,
};

/// The median age of a change at Kafka at most, on a machine that may be slow and busy; without the webhook it would be
/// half an hour.
const MEDIAN: Duration = Duration::from_secs(5);
const OBJECTS: &str = "objects = \"lead,note\"\npoll.interval = \"1h\"\n";

/// An organization whose clock is that of this machine.
async fn organization() -> Organization {
    let now = Moment(Timestamp::now().as_microsecond());
    Organization::new(Options { leads: 3, seed: 4, now, ..Options::default() }).await
}

/// A worker with a webhook; the webhook's URL.
async fn with_webhook(theme: &str, organization: &Organization) -> (Worker, String) {
    let worker = Worker::new(theme);
    let url = worker.hook().replace("/hook-", "/close-");
    let worker = reader_with(worker, organization, &format!("{OBJECTS}webhook.url = \"{url}\"\n"), "").start().await;
    rows_become(&database().await, &format!("SELECT count(*) FROM {}.lead", worker.name), &["3"]).await;
    let subscribed = try_for(ARRIVAL, || async {
        let row = subscription(organization).await;
        (row["url"] == json!(url) && row["status"] == "active").then_some(())
    });
    assert!(subscribed.await.is_some(), "{}", worker.log());
    (worker, url)
}

async fn subscription(organization: &Organization) -> Value {
    organization.api("GET", "webhook/", None).await["data"][0].clone()
}

async fn add_lead(organization: &Organization, name: &str) {
    organization.api("POST", "lead/", Some(json!({ "name": name }))).await;
}

/// Waits until the table has a lead of this name.
async fn arrives(worker: &Worker, name: &str) {
    let sql = format!("SELECT count(*) FROM {}.lead WHERE name = '{name}'", worker.name);
    let client = database().await;
    let arrived = try_for(ARRIVAL, || async { (rows(&client, &sql).await == ["1"]).then_some(()) });
    assert!(arrived.await.is_some(), "the lead {name} arrives before the next poll: {}", worker.log());
}

/// The time from a change at Close to its record in Kafka, of each record that an event made.
fn ages(worker: &Worker, object: &str) -> Vec<Duration> {
    let age = |record: Value| {
        let id = record["headers"]["towpath_event_id"].as_str()?.to_owned();
        let changed = record["value"]["source"]["ts_ms"].as_i64().filter(|_| id.starts_with("ev_"))?;
        let at: Timestamp = record["timestamp"].as_str()?.parse().expect("a time");
        Some(Duration::from_millis(u64::try_from(at.as_millisecond() - changed).unwrap_or(0)))
    };
    worker.tap(object, &[]).into_iter().filter_map(age).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_median_change_is_at_kafka_in_seconds_although_the_poll_takes_an_hour() {
    const CHANGES: usize = 40;
    let _stack = shared().await;
    let organization = organization().await;
    let (worker, url) = with_webhook("bell", &organization).await;
    for number in 0..CHANGES {
        // One at a time: each needs its own ring.
        let name = format!("Rung {number}");
        add_lead(&organization, &name).await;
        arrives(&worker, &name).await;
    }
    let mut ages = ages(&worker, "lead");
    ages.sort();
    assert_eq!(ages.len(), CHANGES, "each came by its event");
    println!("age of a change at Kafka: median {:?}, most {:?}", ages[CHANGES / 2], ages[CHANGES - 1]);
    assert!(ages[CHANGES / 2] < MEDIAN, "{ages:?}");
    let connector = format!("connector=\"close-{}\",outcome=", worker.name);
    let posts = async |outcome: &str| {
        worker.metric("towpath_close_doorbell_posts_total", &format!("{connector}\"{outcome}\"")).await
    };
    assert!(posts("verified").await >= 40.0);
    // A stranger is refused.
    let stranger = worker.http.post(&url).body("{}").send().await.expect("the worker answers");
    assert_eq!(stranger.status(), 401);
    assert!(posts("refused").await >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn quirk_32_lost_repeated_and_reordered_posts_lose_and_repeat_nothing() {
    let _stack = shared().await;
    let organization = organization().await;
    let (worker, _) = with_webhook("lossy", &organization).await;
    organization.set("webhooks/faults/", json!({"lose": 0.5, "duplicate": 0.5, "reorder_ms": 1_500})).await;
    organization.control("changes/", json!({"count": 300, "rate_per_sec": 60, "seed": 4})).await;
    organization.changes_end().await;
    // Updates are posted after the consolidation, on the organization's clock.
    organization.control("clock/", json!({"advance_secs": 10})).await;
    organization.set("webhooks/faults/", json!({})).await;
    // The next post that arrives brings all that others have lost.
    add_lead(&organization, "Last").await;
    arrives(&worker, "Last").await;
    truth::arrives(&organization, &database().await, &worker, &some(&["lead", "note"])).await;
    for object in ["lead", "note"] {
        no_event_is_twice(&worker, object);
    }
    let control: Value = serde_json::from_str(&organization.look("webhooks/").await).expect("JSON");
    let counts = &control["subscriptions"][0]["counts"];
    assert!(counts["lost"].as_u64() > Some(20) && counts["duplicated"].as_u64() > Some(20), "{counts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn quirk_34_a_paused_subscription_is_resumed_and_what_it_missed_arrives() {
    let _stack = shared().await;
    let organization = organization().await;
    let (worker, _) = with_webhook("paused", &organization).await;
    let id = subscription(&organization).await["id"].as_str().expect("an id").to_owned();
    organization.api("PUT", &format!("webhook/{id}/"), Some(json!({"status": "paused"}))).await;
    // Nothing is posted of this one: it arrives since the subscription was found paused.
    add_lead(&organization, "Missed").await;
    arrives(&worker, "Missed").await;
    assert_eq!(subscription(&organization).await["status"], "active");
    add_lead(&organization, "Resumed").await;
    arrives(&worker, "Resumed").await;
}
