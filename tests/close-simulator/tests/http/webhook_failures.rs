//! Section 12, items 33 to 35: webhook receivers that fail.

use close_simulator::model::Moment;
use serde_json::{Value, json};

use crate::{
    events::lead,
    receiver::{Reaction, Received, assert_signed, counted, quiet, state, subscribed, until},
};

const HOUR: f64 = 3_600.0;

fn moment(text: &Value) -> Moment {
    Moment::parse(text.as_str().expect("a moment"), 0).expect("a moment")
}

fn stamp(arrived: &Received) -> i64 {
    arrived.headers["close-sig-timestamp"].to_str().unwrap().parse().expect("seconds")
}

#[tokio::test]
async fn quirk_35_every_failure_is_tried_again_with_growing_waits() {
    // Quirks 33 and 35: no 2xx, no answer in time, a connection that breaks after processing, a redirect.
    let (close, mut receiver, _) = subscribed().await;
    close.switch(json!({ "webhook_timeout_ms": 1_000 })).await;
    receiver.answer(
        [
            Reaction::Status(500),
            Reaction::Status(404),
            Reaction::Hang,
            Reaction::Reset,
            Reaction::Redirect("/elsewhere"),
        ],
        Reaction::Status(204),
    );
    lead(&close, "Nordlicht").await;
    let mut bodies = Vec::new();
    for (failures, wait) in [(1, 5), (2, 10), (3, 20), (4, 40), (5, 80)] {
        bodies.push(receiver.next().await);
        let state = counted(&close, "failed", failures).await;
        assert_eq!((&state["waiting"], &state["counts"]["attempts"]), (&json!(1), &json!(failures)), "{state}");
        assert!(state["latest_error"].is_string());
        let now = moment(&close.get("/_control/clock/").await.body["now"]);
        assert_eq!(moment(&state["next"]).millis_since(now), wait * 1_000, "after {failures} failures");
        close.advance(wait as f64).await;
    }
    bodies.push(receiver.next().await);
    let state = counted(&close, "delivered", 1).await;
    assert_eq!((&state["latest_error"], &state["failing_since"]), (&Value::Null, &Value::Null));
    assert!(bodies.iter().all(|arrived| arrived.raw == bodies[0].raw && arrived.path == "/hook"));
    let stamps: Vec<i64> = bodies.iter().map(|arrived| stamp(arrived) - stamp(&bodies[0])).collect();
    assert!(stamps.is_sorted_by(|a, b| a < b), "signed anew: {stamps:?}");
}

#[tokio::test]
async fn a_retry_can_repeat_the_first_signature_and_redirects_can_be_followed() {
    let (close, mut receiver, subscription) = subscribed().await;
    close.switch(json!({ "webhook_retry": "repeat", "webhook_redirects": true })).await;
    receiver.answer([Reaction::Status(500), Reaction::Redirect("/elsewhere")], Reaction::Status(200));
    lead(&close, "Nordlicht").await;
    let first = receiver.next().await;
    counted(&close, "failed", 1).await;
    close.advance(5.0).await;
    let (second, third) = (receiver.next().await, receiver.next().await);
    assert_eq!((second.path.as_str(), third.path.as_str()), ("/hook", "/elsewhere"));
    for retry in [&second, &third] {
        assert_eq!(retry.headers["close-sig-hash"], first.headers["close-sig-hash"]);
        assert_signed(retry, &subscription);
    }
    counted(&close, "delivered", 1).await;
}

#[tokio::test]
async fn quirk_33_an_event_is_dropped_after_72_hours() {
    // Quirk 33.
    let (close, mut receiver, _) = subscribed().await;
    receiver.answer([Reaction::Status(500)], Reaction::Status(200));
    lead(&close, "Refused").await;
    receiver.next().await;
    counted(&close, "failed", 1).await;
    // Another delivery succeeds, so that the subscription is not paused.
    lead(&close, "Taken").await;
    receiver.next().await;
    counted(&close, "delivered", 1).await;
    receiver.answer([Reaction::Status(500)], Reaction::Status(200));
    close.advance(71.0 * HOUR).await;
    assert_eq!(receiver.next().await.body["event"]["data"]["name"], "Refused");
    counted(&close, "failed", 2).await;
    close.advance(2.0 * HOUR).await;
    let state = counted(&close, "dropped", 1).await;
    assert_eq!((&state["waiting"], &state["status"]), (&json!(0), &json!("active")));
    assert!(receiver.rest().is_empty());
}

#[tokio::test]
async fn quirk_33_three_days_of_failures_pause_the_subscription_and_a_put_resumes_it() {
    // Quirks 33 and 34.
    let (close, mut receiver, subscription) = subscribed().await;
    let path = format!("webhook/{}/", subscription["id"].as_str().unwrap());
    receiver.answer([], Reaction::Status(503));
    for name in ["One", "Two"] {
        lead(&close, name).await;
        receiver.next().await;
    }
    counted(&close, "failed", 2).await;
    let shown = close.get(&path).await.body;
    assert_eq!((&shown["health_status"], &shown["latest_error"]), (&json!("unhealthy"), &json!("HTTP 503")));
    assert_eq!((&shown["status"], &shown["recent_consecutive_fail_buckets_cnt"]), (&json!("active"), &json!(1)));
    close.advance(72.0 * HOUR).await;
    until(&close, "paused", |state| state["status"] == "paused").await;
    let shown = close.get(&path).await.body;
    assert_eq!((&shown["status"], &shown["pause_reason"]), (&json!("paused"), &json!("failures")));

    // Nothing is queued while it is paused.
    receiver.answer([], Reaction::Status(200));
    receiver.rest();
    let missed = lead(&close, "Missed").await;
    close.put(&format!("lead/{missed}/"), json!({ "name": "Missed again" })).await;
    close.advance(60.0).await;
    quiet(&close).await;
    let reply = close.put(&path, json!({ "status": "active" })).await;
    assert_eq!((&reply.body["pause_reason"], &reply.body["health_status"]), (&Value::Null, &json!("healthy")));
    let seen = lead(&close, "Seen").await;
    assert_eq!(receiver.next().await.body["event"]["object_id"], seen.as_str(), "what was missed stays missed");
    assert_eq!(close.events_of(&missed, "lead").await.len(), 2, "but the log has it");
}

#[tokio::test]
async fn quirk_33_a_backlog_that_is_too_long_pauses_and_clears() {
    // Quirk 33, with a shorter backlog than 100,000.
    let (close, mut receiver, subscription) = subscribed().await;
    close.switch(json!({ "webhook_backlog": 20 })).await;
    receiver.answer([], Reaction::Status(500));
    for n in 0..19 {
        lead(&close, &format!("Lead {n}")).await;
        receiver.next().await;
    }
    assert_eq!(counted(&close, "failed", 19).await["status"], "active");
    lead(&close, "One too many").await;
    let state = until(&close, "paused", |state| state["status"] == "paused").await;
    assert_eq!((&state["waiting"], &state["counts"]["cleared"]), (&json!(0), &json!(20)));
    let shown = close.get(&format!("webhook/{}/", subscription["id"].as_str().unwrap())).await.body;
    assert_eq!((&shown["status"], &shown["pause_reason"]), (&json!("paused"), &json!("backlog")));
}

#[tokio::test]
async fn quirk_34_what_waits_when_a_subscription_is_paused_by_hand_is_lost_to_it() {
    // Quirk 34.
    let (close, mut receiver, subscription) = subscribed().await;
    let path = format!("webhook/{}/", subscription["id"].as_str().unwrap());
    receiver.answer([Reaction::Status(500)], Reaction::Status(200));
    let id = lead(&close, "Refused").await;
    receiver.next().await;
    counted(&close, "failed", 1).await;
    close.put(&format!("lead/{id}/"), json!({ "name": "Not settled" })).await;
    close.put(&path, json!({ "status": "paused" })).await;
    let missed = lead(&close, "Missed").await;
    let state = state(&close).await;
    assert_eq!((&state["waiting"], &state["counts"]["cleared"]), (&json!(0), &json!(1)), "nothing is queued meanwhile");
    close.advance(60.0).await;
    quiet(&close).await;
    close.put(&path, json!({ "status": "active" })).await;
    let seen = lead(&close, "Seen").await;
    assert_eq!(receiver.next().await.body["event"]["object_id"], seen.as_str());
    counted(&close, "delivered", 1).await;
    assert!(receiver.rest().is_empty());
    assert_eq!(close.events_of(&missed, "lead").await.len(), 1, "the log has what was missed");
}

/// Quirk 33: the waits double up to 20 minutes.
#[tokio::test]
async fn quirk_33_waits_grow_to_twenty_minutes_and_no_further() {
    let (close, mut receiver, _) = subscribed().await;
    receiver.answer([], Reaction::Status(500));
    lead(&close, "Refused").await;
    let mut waits = Vec::new();
    for failures in 1..=11 {
        receiver.next().await;
        let state = counted(&close, "failed", failures).await;
        let now = moment(&close.get("/_control/clock/").await.body["now"]);
        let wait = moment(&state["next"]).millis_since(now) / 1_000;
        waits.push(wait);
        close.advance(wait as f64).await;
    }
    assert_eq!(waits[..2], [5, 10]);
    assert_eq!(waits[8..], [1_200, 1_200, 1_200]);
    assert!(waits.is_sorted() && waits.windows(2).all(|pair| pair[1] <= 2 * pair[0]), "{waits:?}");
}
