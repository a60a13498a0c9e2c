//! Sections 7.1 to 7.3 and quirk 34: webhook subscriptions as objects.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Close;

const URL: &str = "https://hooks.example.com/close";

fn body(events: &Value) -> Value {
    json!({ "url": URL, "events": events })
}

fn lead_updated() -> Value {
    json!([{ "object_type": "lead", "action": "updated" }])
}

#[tokio::test]
async fn quirk_34_a_subscription_is_created_with_201_and_shown_with_its_key() {
    let close = Close::start().await;
    let reply = close.post("webhook/", body(&lead_updated())).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    let made = &reply.body;
    assert_eq!(made["events"], json!([{ "object_type": "lead", "action": "updated", "extra_filter": null }]));
    assert_eq!((&made["url"], &made["status"], &made["verify_ssl"]), (&json!(URL), &json!("active"), &json!(true)));
    let key = made["signature_key"].as_str().unwrap();
    assert!(key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
    assert!(made["id"].as_str().unwrap().starts_with("whsub_"));
    assert!(!made["date_created"].as_str().unwrap().contains('+'), "naive: {}", made["date_created"]);
    assert_eq!(made["created_by"], close.get("me/").await.body["id"]);
    for (name, value) in [
        ("health_status", json!("healthy")),
        ("latest_error", Value::Null),
        ("pause_reason", Value::Null),
        ("recent_consecutive_fail_buckets_cnt", json!(0)),
        ("counters", json!({})),
    ] {
        assert_eq!(made.get(name), Some(&value), "{name}");
    }
    let path = format!("webhook/{}/", made["id"].as_str().unwrap());
    assert_eq!(&close.get(&path).await.body, made);
    let list = close.get("webhook/").await;
    assert_eq!((list.rows(), &list.body["has_more"]), (&[made.clone()][..], &json!(false)));

    // Posted back whole, as by scripts that copy organizations.
    let copy = close.post("webhook/", made.clone()).await;
    assert_eq!(copy.status, 201, "{}", copy.text);
    assert!(copy.body["id"] != made["id"] && copy.body["signature_key"] != made["signature_key"]);
    assert_eq!(close.delete(&path).await.status, 200);
    assert_eq!(close.get(&path).await.status, 404);
}

#[tokio::test]
async fn a_put_replaces_events_and_url_and_pauses_and_resumes() {
    let close = Close::start().await;
    let made = close.make("webhook/", body(&lead_updated())).await;
    let path = format!("webhook/{}/", made["id"].as_str().unwrap());
    let events = json!([{ "object_type": "contact", "action": "deleted", "extra_filter": { "type": "non_null" } }]);
    let change = json!({ "events": events, "url": "http://127.0.0.1:1/x", "verify_ssl": false, "status": "paused" });
    let reply = close.put(&path, change.clone()).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    for (name, value) in change.as_object().unwrap() {
        assert_eq!(&reply.body[name], value, "{name}");
    }
    assert_eq!(reply.body["signature_key"], made["signature_key"]);
    let reply = close.put(&path, json!({ "status": "active" })).await;
    assert_eq!((&reply.body["status"], &reply.body["events"]), (&json!("active"), &events));
    for wrong in
        [json!({ "status": "asleep" }), json!({ "events": [] }), json!({ "events": null }), json!({ "url": "ftp://x" })]
    {
        assert_eq!(close.put(&path, wrong.clone()).await.status, 400, "{wrong}");
    }
    assert_eq!(close.get(&path).await.body["events"], events, "a refusal changes nothing");
}

#[tokio::test]
async fn every_pair_of_the_catalogue_is_taken_and_any_other_is_400() {
    let close = Close::start().await;
    let all: Vec<Value> = close_simulator::webhooks::catalogue::pairs()
        .map(|(object_type, action)| json!({ "object_type": object_type, "action": action }))
        .collect();
    assert_eq!(close.post("webhook/", body(&Value::Array(all))).await.status, 201);
    let cases = [
        json!([{ "object_type": "pipeline", "action": "updated" }]),
        json!([{ "object_type": "lead", "action": "exploded" }]),
        json!([{ "object_type": "*", "action": "*" }]),
        json!([{ "object_type": "lead" }]),
        json!([{ "action": "updated" }]),
        json!(["lead.updated"]),
        json!([]),
        json!({}),
        Value::Null,
        json!([{ "object_type": "lead", "action": "updated", "extra_filter": { "type": "like", "value": "x" } }]),
        json!([{ "object_type": "lead", "action": "updated", "extra_filter": "x" }]),
    ];
    for events in cases {
        let reply = close.post("webhook/", body(&events)).await;
        assert_eq!(reply.status, 400, "{events}: {}", reply.text);
        assert!(reply.body["field-errors"]["events"] != Value::Null, "{}", reply.text);
    }
    let second = json!([{ "object_type": "lead", "action": "updated" }, { "object_type": "lead", "action": "x" }]);
    let reply = close.post("webhook/", body(&second)).await;
    assert!(
        reply.body["field-errors"]["events"]["errors"]["1"]["field-errors"]["object_type"].is_string(),
        "{}",
        reply.text
    );
    for url in [json!(null), json!(""), json!("hooks.example.com"), json!("ftp://hooks.example.com"), json!(7)] {
        assert_eq!(close.post("webhook/", json!({ "url": url, "events": lead_updated() })).await.status, 400, "{url}");
    }
    assert_eq!(close.get("webhook/").await.rows().len(), 1);
}

#[tokio::test]
async fn quirk_34_an_organization_has_40_subscriptions_at_most() {
    // Quirk 34.
    let close = Close::start().await;
    for _ in 0..40 {
        close.make("webhook/", body(&lead_updated())).await;
    }
    assert_eq!(close.post("webhook/", body(&lead_updated())).await.status, 400);
    close.switch(json!({ "webhook_quota_status": 403 })).await;
    assert_eq!(close.post("webhook/", body(&lead_updated())).await.status, 403);
    let first = close.get("webhook/").await.rows()[0]["id"].as_str().unwrap().to_owned();
    close.delete(&format!("webhook/{first}/")).await;
    assert_eq!(close.post("webhook/", body(&lead_updated())).await.status, 201);
}

#[tokio::test]
async fn admins_see_all_subscriptions_and_others_their_own() {
    let close = Close::start().await;
    let admins = close.make("webhook/", body(&lead_updated())).await;
    let request = close.request("agent", Method::POST, "webhook/").json(&body(&lead_updated()));
    let own = Close::send(request).await;
    assert_eq!(own.status, 201);
    assert_eq!(close.get_as("agent", "webhook/").await.rows(), std::slice::from_ref(&own.body));
    assert_eq!(close.get("webhook/").await.rows().len(), 2);
    let path = |made: &Value| format!("webhook/{}/", made["id"].as_str().unwrap());
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(Close::send(close.request("agent", method, &path(&admins))).await.status, 403);
    }
    assert_eq!(close.get_as("agent", &path(&own.body)).await.status, 200);
    assert_eq!(close.get(&path(&own.body)).await.status, 200);
}
