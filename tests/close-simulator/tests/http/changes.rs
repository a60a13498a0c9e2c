//! Random changes under a seed.

use close_simulator::Options;
use serde_json::json;

use crate::client::Close;

async fn with_leads(leads: usize) -> Close {
    Close::with(Options { leads, ..Options::default() }).await
}

/// Every event of the log, newest first, as (id, type, action).
async fn log(close: &Close) -> Vec<String> {
    let reply = close.get("event/").await;
    reply
        .rows()
        .iter()
        .map(|event| format!("{} {} {}", event["date_updated"], event["object_type"], event["action"]))
        .collect()
}

#[tokio::test]
async fn changes_are_the_same_for_the_same_seed_and_others_for_another() {
    let mut logs = Vec::new();
    for seed in [1, 1, 2] {
        let close = with_leads(100).await;
        close.post("/_control/clock/", json!({ "to": "2026-09-01T13:00:00Z", "rate": 0 })).await;
        let reply = close.post("/_control/changes/", json!({ "count": 120, "seed": seed, "spread_secs": 7_200 })).await;
        assert_eq!((reply.status, &reply.body["done"]), (200, &json!(120)), "{}", reply.text);
        logs.push(log(&close).await);
    }
    assert_eq!(logs[0], logs[1]);
    assert_ne!(logs[0], logs[2]);
}

#[tokio::test]
async fn spread_changes_move_the_clock_and_the_population_stays_as_large_as_it_was() {
    let close = with_leads(200).await;
    let total =
        |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["total_results"].as_i64().unwrap();
    let before = total(&close.get("lead/?_limit=1").await.text);
    let clock = close.get("/_control/clock/").await.body["now"].as_str().unwrap().to_owned();
    let reply =
        close.post("/_control/changes/", json!({ "count": 3_000, "seed": 3, "spread_secs": 40 * 86_400 })).await;
    assert_eq!(reply.body["done"], 3_000, "{}", reply.text);
    let after = total(&close.get("lead/?_limit=1").await.text);
    assert!((before - after).abs() <= before / 8, "{before} leads before, {after} after");
    let now = close.get("/_control/clock/").await.body["now"].as_str().unwrap().to_owned();
    assert!(clock.starts_with("2026-09-01") && now.starts_with("2026-10-1"), "{clock} to {now}");
}

#[tokio::test]
async fn weights_choose_what_happens_and_unknown_ones_are_refused() {
    let close = with_leads(20).await;
    let reply = close.post("/_control/changes/", json!({ "count": 1, "weights": { "no_such": 1 } })).await;
    assert_eq!(reply.status, 400);
    assert!(reply.text.contains("create_lead"), "{}", reply.text);
    assert_eq!(close.post("/_control/changes/", json!({ "counts": 1 })).await.status, 400);
    let weights = close.get("/_control/changes/").await.body["weights"].clone();
    let mut none: serde_json::Map<String, serde_json::Value> =
        weights.as_object().unwrap().keys().map(|name| (name.clone(), json!(0))).collect();
    assert_eq!(close.post("/_control/changes/", json!({ "count": 1, "weights": none })).await.status, 400);
    none.insert("update_lead".to_owned(), json!(1));
    let before = close.get("event/").await.rows()[0]["id"].clone();
    let reply = close.post("/_control/changes/", json!({ "count": 10, "spread_secs": 600, "weights": none })).await;
    assert_eq!(reply.body["done"], 10, "{}", reply.text);
    let events = close.get("event/").await;
    let new: Vec<_> = events.rows().iter().take_while(|event| event["id"] != before).collect();
    assert!(
        !new.is_empty() && new.iter().all(|event| event["object_type"] == "lead" && event["action"] == "updated"),
        "{new:?}"
    );
}

#[tokio::test]
async fn changes_go_on_in_the_background_until_they_are_done_or_stopped() {
    let close = with_leads(50).await;
    assert_eq!(close.get("/_control/changes/").await.body["running"], false);
    let reply = close.post("/_control/changes/", json!({ "count": 40, "rate_per_sec": 100_000 })).await;
    assert_eq!((reply.status, &reply.body["running"]), (200, &json!(true)), "{}", reply.text);
    for turn in 0.. {
        let progress = close.get("/_control/changes/").await.body;
        if progress["running"] == false {
            assert_eq!(progress["done"], 40);
            break;
        }
        assert!(turn < 10_000, "{progress}");
    }
    close.post("/_control/changes/", json!({ "count": 1_000_000, "rate_per_sec": 10 })).await;
    let stopped = Close::send(close.request("admin", reqwest::Method::DELETE, "/_control/changes/")).await;
    assert_eq!(stopped.body["running"], false, "{}", stopped.text);
    assert!(stopped.body["done"].as_u64().unwrap() < 1_000_000);
}
