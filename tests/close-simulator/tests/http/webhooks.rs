//! Section 12, items 28, 31 and 32: deliveries to webhook receivers and their timing.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::{
    client::Close,
    events::{frozen, lead},
    receiver::{
        Reaction, Receiver, assert_signed, counted, hex, quiet, signature, state, subscribe, subscribed, until,
    },
};

const HOUR: f64 = 3_600.0;

#[tokio::test]
async fn quirk_31_a_created_event_is_delivered_at_once_signed_and_as_the_log_has_it() {
    // Quirk 31.
    let (close, mut receiver, subscription) = subscribed().await;
    let id = lead(&close, "Nordlicht „GmbH“").await;
    let arrived = receiver.next().await;
    assert_eq!(arrived.path, "/hook");
    assert_eq!(arrived.headers["content-type"], "application/json");
    assert_signed(&arrived, &subscription);
    // Not over reformatted JSON, and not with the hexadecimal key as text.
    let pretty = serde_json::to_vec_pretty(&arrived.body).unwrap();
    let key = subscription["signature_key"].as_str().unwrap();
    let stamp = arrived.headers["close-sig-timestamp"].to_str().unwrap();
    for wrong in [signature(&hex(key), stamp, &pretty), signature(key.as_bytes(), stamp, &arrived.raw)] {
        assert_ne!(arrived.headers["close-sig-hash"], wrong.as_str());
    }
    assert_eq!(arrived.body["subscription_id"], subscription["id"]);
    assert_eq!(arrived.body["event"], close.events_of(&id, "lead").await[0]);
    assert_eq!(arrived.body.as_object().unwrap().len(), 2);
    counted(&close, "delivered", 1).await;
    quiet(&close).await;
}

/// The vector of section 7.4: `assert_signed` computes the same as a receiver.
#[test]
fn quirk_31_the_vector_of_the_reference_holds_and_the_key_as_text_gives_another_hash() {
    let key = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let body = concat!(
        r#"{"subscription_id":"whsub_0000000000000000000001","#,
        r#""event":{"id":"ev_0000000000000000000001","object_type":"lead","action":"deleted"}}"#
    )
    .as_bytes();
    assert_eq!(body.len(), 133);
    let right = "042905c13a6e08934bc6c18518068b2ab0dc72607c5314060095cbec230a224d";
    let wrong = "f0c8267b351b8479219fe57f8755764d2b7c59d08b7d24742bb82ca41c2eb6b3";
    assert_eq!(signature(&hex(key), "1767225600", body), right);
    assert_eq!(signature(key.as_bytes(), "1767225600", body), wrong);
}

#[tokio::test]
async fn quirk_32_an_update_waits_for_the_consolidation_while_the_log_has_it_already() {
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
async fn quirk_32_deliveries_are_parallel() {
    // Quirk 32: none of four requests is answered before all have arrived.
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
async fn quirk_32_deliveries_can_be_repeated_lost_and_out_of_order_on_purpose() {
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

/// Nothing is in flight, and due deliveries have been sent.
async fn quiet_enough(close: &Close) {
    let now = close.get("/_control/clock/").await.body["now"].as_str().unwrap().to_owned();
    until(close, "sent", |state| state["under_way"] == 0 && state["next"].as_str().is_none_or(|next| *next > *now))
        .await;
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
async fn quirk_28_both_spellings_of_a_type_reach_the_same_subscriptions() {
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
        assert_eq!(
            both.iter().map(|arrived| arrived.path.as_str()).collect::<BTreeSet<_>>(),
            ["/activity.note", "/note"].into()
        );
    }
}
