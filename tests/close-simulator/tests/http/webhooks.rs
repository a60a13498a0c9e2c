//! Section 12, items 31 to 35: what a receiver of webhooks gets, when, how often, and what happens when it does not take it.

use std::collections::BTreeSet;
use std::sync::Arc;

use close_simulator::model::Moment;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::client::Close;
use crate::events::{frozen, lead};
use crate::receiver::{Reaction, Received, Receiver};

const HOUR: f64 = 3_600.0;

/// A standing clock, a receiver, and a subscription for the changes of leads.
async fn subscribed() -> (Close, Receiver, Value) {
    let close = frozen().await;
    let receiver = Receiver::start().await;
    let made = subscribe(&close, &receiver).await;
    (close, receiver, made)
}

async fn subscribe(close: &Close, receiver: &Receiver) -> Value {
    let events: Vec<Value> =
        ["created", "updated", "deleted"].iter().map(|action| json!({ "object_type": "lead", "action": action })).collect();
    close.make("webhook/", json!({ "url": receiver.url("hook"), "events": events })).await
}

/// How the deliveries of the first subscription stand.
async fn state(close: &Close) -> Value {
    close.get("/_control/webhooks/").await.body["subscriptions"][0].clone()
}

/// Waits until the deliveries of the first subscription stand as asked.
async fn until(close: &Close, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let wait = async {
        loop {
            let state = state(close).await;
            if holds(&state) {
                return state;
            }
        }
    };
    let Ok(state) = tokio::time::timeout(std::time::Duration::from_secs(20), wait).await else {
        panic!("never {what}: {}", state(close).await)
    };
    state
}

async fn counted(close: &Close, name: &str, count: u64) -> Value {
    until(close, &format!("{count} {name}"), |state| state["under_way"] == 0 && state["counts"][name] == count).await
}

/// Nothing waits, nothing is under way, nothing settles.
async fn quiet(close: &Close) {
    until(close, "quiet", |state| state["waiting"] == 0 && state["under_way"] == 0).await;
    assert_eq!(close.get("/_control/webhooks/").await.body["settling"], 0);
}

fn moment(text: &Value) -> Moment {
    Moment::parse(text.as_str().expect("a moment"), 0).expect("a moment")
}

fn stamp(arrived: &Received) -> i64 {
    arrived.headers["close-sig-timestamp"].to_str().unwrap().parse().expect("seconds")
}

fn assert_signed(arrived: &Received, subscription: &Value) {
    let key = subscription["signature_key"].as_str().unwrap();
    let key: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&key[at * 2..at * 2 + 2], 16).unwrap()).collect();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
    mac.update(arrived.headers["close-sig-timestamp"].as_bytes());
    mac.update(&arrived.raw);
    let hash: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(arrived.headers["close-sig-hash"], hash.as_str());
}

#[tokio::test]
async fn a_created_event_is_delivered_at_once_signed_and_as_the_log_has_it() {
    // Quirk 31.
    let (close, mut receiver, subscription) = subscribed().await;
    let id = lead(&close, "Nordlicht „GmbH“").await;
    let arrived = receiver.next().await;
    assert_eq!(arrived.path, "/hook");
    assert_eq!(arrived.headers["content-type"], "application/json");
    assert_signed(&arrived, &subscription);
    assert_eq!(arrived.body["subscription_id"], subscription["id"]);
    assert_eq!(arrived.body["event"], close.events_of(&id, "lead").await[0]);
    assert_eq!(arrived.body.as_object().unwrap().len(), 2);
    counted(&close, "delivered", 1).await;
    quiet(&close).await;
}

#[tokio::test]
async fn an_update_waits_for_the_consolidation_while_the_log_has_it_already() {
    // Quirk 32.
    let (close, mut receiver, _) = subscribed().await;
    let id = lead(&close, "zero").await;
    receiver.next().await;
    counted(&close, "delivered", 1).await;
    for name in ["one", "two", "three"] {
        close.put(&format!("lead/{id}/"), json!({ "name": name })).await;
        assert_eq!(close.events_of(&id, "lead").await[0]["data"]["name"], name, "the log is current");
        close.advance(3.0).await;
    }
    assert_eq!(close.get("/_control/webhooks/").await.body["settling"], 1);
    assert_eq!(state(&close).await["counts"]["attempts"], 1, "nothing is sent before the window is over");
    close.advance(2.0).await;
    let arrived = receiver.next().await;
    let event = &arrived.body["event"];
    assert_eq!((&event["data"]["name"], &event["previous_data"]["name"]), (&json!("three"), &json!("zero")));
    counted(&close, "delivered", 2).await;
    close.delete(&format!("lead/{id}/")).await;
    assert_eq!(close.get("/_control/webhooks/").await.body["settling"], 1, "a delete waits as well");
    close.advance(5.0).await;
    assert_eq!(receiver.next().await.body["event"]["action"], "deleted");
    counted(&close, "delivered", 3).await;
    quiet(&close).await;
    assert!(receiver.rest().is_empty(), "once");
}

#[tokio::test]
async fn deliveries_can_lag() {
    let (close, mut receiver, _) = subscribed().await;
    close.switch(json!({ "webhook_lag_ms": 60_000 })).await;
    lead(&close, "Late").await;
    assert_eq!(state(&close).await["waiting"], 1);
    close.advance(59.0).await;
    assert_eq!(state(&close).await["counts"]["attempts"], 0);
    close.advance(1.0).await;
    receiver.next().await;
}

#[tokio::test]
async fn data_is_complete_whatever_the_rights_and_however_late() {
    let close = frozen().await;
    let mut receiver = Receiver::start().await;
    let body = json!({ "url": receiver.url("hook"), "events": [{ "object_type": "lead", "action": "created" }] });
    let request = close.request("agent", reqwest::Method::POST, "webhook/").json(&body);
    assert_eq!(Close::send(request).await.status, 201);
    close.make("/_control/webhooks/faults/", json!({ "delay_ms": 7_200_000 })).await;
    lead(&close, "Nordlicht").await;
    close.advance(2.0 * HOUR).await;
    assert_eq!(receiver.next().await.body["event"]["data"]["name"], "Nordlicht");
}

#[tokio::test]
async fn only_what_is_subscribed_and_passes_the_filter_is_delivered() {
    let close = frozen().await;
    let mut receiver = Receiver::start().await;
    let name = |value: &str| {
        json!({ "type": "field_accessor", "field": "data",
            "filter": { "type": "field_accessor", "field": "name", "filter": { "type": "contains", "value": value } } })
    };
    let events = json!([
        { "object_type": "lead", "action": "created", "extra_filter": name("licht") },
        { "object_type": "lead", "action": "created", "extra_filter": name("Nord") },
    ]);
    close.make("webhook/", json!({ "url": receiver.url("hook"), "events": events })).await;
    for name in ["Nordlicht", "Other", "Südlicht"] {
        let id = lead(&close, name).await;
        close.delete(&format!("lead/{id}/")).await;
    }
    let mut names = BTreeSet::new();
    for _ in 0..2 {
        names.insert(receiver.next().await.body["event"]["data"]["name"].as_str().unwrap().to_owned());
    }
    assert_eq!(names, ["Nordlicht", "Südlicht"].map(str::to_owned).into());
    let state = counted(&close, "delivered", 2).await;
    assert_eq!(state["counts"]["attempts"], 2, "once each, although two filters let one through");
    quiet(&close).await;
}

#[tokio::test]
async fn every_failure_is_tried_again_with_growing_waits() {
    // Quirks 33 and 35: no 2xx, no answer in time, a connection that breaks after the receiver has processed, a redirect.
    let (close, mut receiver, _) = subscribed().await;
    close.switch(json!({ "webhook_timeout_ms": 200 })).await;
    receiver.answer(
        [Reaction::Status(500), Reaction::Status(404), Reaction::Hang, Reaction::Reset, Reaction::Redirect("/elsewhere")],
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
async fn an_event_is_dropped_after_72_hours_and_a_jump_of_the_clock_makes_retries_due() {
    // Quirk 33.
    let (close, mut receiver, _) = subscribed().await;
    receiver.answer([Reaction::Status(500)], Reaction::Status(200));
    lead(&close, "Refused").await;
    receiver.next().await;
    counted(&close, "failed", 1).await;
    // Something else succeeds, so that the subscription is not paused.
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
async fn three_days_of_failures_pause_the_subscription_and_a_put_resumes_it() {
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

    // While it is paused nothing is queued.
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
async fn a_backlog_that_is_too_long_pauses_and_clears() {
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
async fn deliveries_are_parallel() {
    // Quirk 32: neither of four requests is answered before all are here.
    let (close, mut receiver, _) = subscribed().await;
    receiver.answer([], Reaction::Meet(Arc::new(Barrier::new(4))));
    for n in 0..4 {
        lead(&close, &format!("Lead {n}")).await;
    }
    for _ in 0..4 {
        receiver.next().await;
    }
    counted(&close, "delivered", 4).await;
}

#[tokio::test]
async fn deliveries_can_be_repeated_lost_and_out_of_order_on_purpose() {
    // Quirk 32.
    let (close, mut receiver, _) = subscribed().await;
    let faults = async |body: Value| close.make("/_control/webhooks/faults/", body).await;
    faults(json!({ "duplicate": 1.0 })).await;
    lead(&close, "Twice").await;
    assert_eq!(receiver.next().await.raw, receiver.next().await.raw);
    counted(&close, "delivered", 2).await;

    faults(json!({ "lose": 1.0 })).await;
    lead(&close, "Lost").await;
    assert_eq!(state(&close).await["counts"]["lost"], 1);
    quiet(&close).await;

    faults(json!({ "reorder_ms": 60_000 })).await;
    let mut made = Vec::new();
    for n in 0..12 {
        made.push(lead(&close, &format!("Lead {n}")).await);
    }
    let mut order = Vec::new();
    for _ in 0..61 {
        close.advance(1.0).await;
        quiet_enough(&close).await;
        order.extend(receiver.rest().iter().map(|r| r.body["event"]["object_id"].as_str().unwrap().to_owned()));
    }
    assert_eq!(order.iter().collect::<BTreeSet<_>>(), made.iter().collect(), "all of them");
    assert_ne!(order, made, "in another order");
    for wrong in [json!({ "lose": 2 }), json!({ "no_such": 1 }), json!({ "delay_ms": -1 })] {
        assert_eq!(close.post("/_control/webhooks/faults/", wrong.clone()).await.status, 400, "{wrong}");
    }
}

/// Nothing is under way, and what is due has been sent.
async fn quiet_enough(close: &Close) {
    let now = close.get("/_control/clock/").await.body["now"].as_str().unwrap().to_owned();
    until(close, "sent", |state| state["under_way"] == 0 && state["next"].as_str().is_none_or(|next| *next > *now)).await;
}

#[tokio::test]
async fn without_a_subscription_nothing_waits_and_a_deleted_one_gets_nothing() {
    let (close, mut receiver, subscription) = subscribed().await;
    let id = lead(&close, "Nordlicht").await;
    receiver.next().await;
    close.put(&format!("lead/{id}/"), json!({ "name": "Südlicht" })).await;
    close.delete(&format!("webhook/{}/", subscription["id"].as_str().unwrap())).await;
    close.put(&format!("lead/{id}/"), json!({ "name": "Westlicht" })).await;
    close.advance(60.0).await;
    lead(&close, "Ostlicht").await;
    let state = close.get("/_control/webhooks/").await.body;
    assert_eq!(state["subscriptions"], json!([]));
    assert!(receiver.rest().is_empty());
}

#[tokio::test]
async fn what_waits_when_a_subscription_is_paused_by_hand_is_lost_to_it() {
    // Quirk 34.
    let (close, mut receiver, subscription) = subscribed().await;
    let path = format!("webhook/{}/", subscription["id"].as_str().unwrap());
    receiver.answer([Reaction::Status(500)], Reaction::Status(200));
    let id = lead(&close, "Refused").await;
    receiver.next().await;
    counted(&close, "failed", 1).await;
    close.put(&format!("lead/{id}/"), json!({ "name": "Not settled" })).await;
    close.put(&path, json!({ "status": "paused" })).await;
    let state = state(&close).await;
    assert_eq!((&state["waiting"], &state["counts"]["cleared"]), (&json!(0), &json!(1)));
    close.advance(60.0).await;
    quiet(&close).await;
    close.put(&path, json!({ "status": "active" })).await;
    let seen = lead(&close, "Seen").await;
    assert_eq!(receiver.next().await.body["event"]["object_id"], seen.as_str());
    counted(&close, "delivered", 1).await;
    assert!(receiver.rest().is_empty());
}

#[tokio::test]
async fn deliveries_come_by_the_running_clock_without_anybody_asking() {
    let close = Close::start().await;
    let mut receiver = Receiver::start().await;
    subscribe(&close, &receiver).await;
    close.switch(json!({ "consolidation_ms": 50 })).await;
    let id = lead(&close, "zero").await;
    assert_eq!(receiver.next().await.body["event"]["action"], "created");
    close.put(&format!("lead/{id}/"), json!({ "name": "one" })).await;
    assert_eq!(receiver.next().await.body["event"]["action"], "updated");
}

#[tokio::test]
async fn both_spellings_of_a_type_reach_the_same_subscriptions() {
    // Quirk 28.
    let close = frozen().await;
    let mut receiver = Receiver::start().await;
    for object_type in ["activity.note", "note"] {
        let events = json!([{ "object_type": object_type, "action": "created" }]);
        close.make("webhook/", json!({ "url": receiver.url(object_type), "events": events })).await;
    }
    let id = lead(&close, "Nordlicht").await;
    for (legacy, spelled) in [(false, "activity.note"), (true, "note")] {
        close.switch(json!({ "legacy_note_type": legacy })).await;
        close.make("activity/note/", json!({ "lead_id": id, "note": "Called" })).await;
        let both = [receiver.next().await, receiver.next().await];
        assert!(both.iter().all(|arrived| arrived.body["event"]["object_type"] == spelled));
        assert_eq!(both.iter().map(|arrived| arrived.path.as_str()).collect::<BTreeSet<_>>(), ["/activity.note", "/note"].into());
    }
}
