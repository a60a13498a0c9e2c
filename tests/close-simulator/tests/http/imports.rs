//! Imports and their reverts.

use serde_json::{Value, json};

use crate::client::Close;

/// A simulator whose clock is stopped between moves.
async fn still() -> Close {
    let close = Close::start().await;
    assert_eq!(close.post("/_control/clock/", json!({ "rate": 0 })).await.status, 200);
    close
}

/// Starts an import and waits until it is done.
async fn imported(close: &Close, leads: Value) -> String {
    let id = close.make("/_control/import/", json!({ "leads": leads })).await["id"].as_str().unwrap().to_owned();
    close.advance(600.0).await;
    id
}

async fn named(close: &Close, name: &str) -> Option<Value> {
    let list = close.get("lead/?_limit=200").await;
    list.rows().iter().find(|row| row["name"] == name).cloned()
}

#[tokio::test]
async fn an_import_makes_leads_in_portions_and_tells_of_it() {
    // Section 6.5: import created, updated, completed.
    let close = still().await;
    let started = close.make("/_control/import/", json!({ "leads": 250 })).await;
    let id = started["id"].as_str().unwrap();
    assert!(id.starts_with("bulk_"));
    let total = async || close.get("lead/?_limit=0").await.body["total_results"].as_i64().unwrap();
    let before = total().await;
    let mut counts = Vec::new();
    for _ in 0..10 {
        close.advance(0.5).await;
        counts.push(total().await - before);
    }
    counts.dedup();
    assert_eq!(counts, [0, 100, 200, 250]);
    let events = close.events_of(id, "import").await;
    let actions: Vec<_> = events.iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!((actions[0], actions[actions.len() - 1]), ("completed", "created"));
    assert!(actions.contains(&"updated"));
    assert_eq!(close.get("import/").await.status, 404, "there is no public resource");
    let lead = named(&close, "Imported 250").await.expect("the last lead");
    let created = close.get(&format!("activity/created/?lead_id={}", lead["id"].as_str().unwrap())).await;
    assert_eq!(created.rows().len(), 1);
    let event = &close.events_of(lead["id"].as_str().unwrap(), "lead").await[0];
    assert_eq!(event["action"], "created");
}

#[tokio::test]
async fn quirk_28_reverting_an_import_deletes_its_leads_and_gives_changed_ones_their_fields_back() {
    // Section 6.5: import reverting, reverted. Section 6.6: meta.revert_import_id.
    let close = Close::start().await;
    let old = close.make("lead/", json!({ "name": "Before" })).await;
    let id = old["id"].as_str().unwrap();
    let import = imported(&close, json!([{ "name": "New" }, { "id": id, "name": "After" }])).await;
    let touched = close.get(&format!("lead/{id}/")).await.body;
    assert_eq!(touched["name"], "After");
    let updates = format!("activity/import_update/?lead_id={id}");
    assert_eq!(close.get(&updates).await.rows().len(), 1);
    let new = named(&close, "New").await.expect("the new lead");
    let reply = close.post(&format!("/_control/import/{import}/revert/"), json!({})).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    close.advance(600.0).await;
    let new_id = new["id"].as_str().unwrap();
    assert_eq!(close.get(&format!("lead/{new_id}/")).await.status, 404);
    let deleted = &close.events_of(new_id, "lead").await[0];
    assert_eq!((&deleted["action"], &deleted["meta"]["revert_import_id"]), (&json!("deleted"), &json!(import)));
    let back = close.get(&format!("lead/{id}/")).await.body;
    assert_eq!(back["name"], "Before");
    assert!(back["date_updated"].as_str() > touched["date_updated"].as_str(), "date_updated moves on");
    let events = close.events_of(&import, "import").await;
    let actions: Vec<_> = events.iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(actions[0], "reverted");
    assert!(actions.contains(&"reverting"));
    assert_eq!(close.post(&format!("/_control/import/{import}/revert/"), json!({})).await.status, 400, "only once");
}

#[tokio::test]
async fn a_revert_can_set_date_updated_back() {
    // Section 14: it is unknown whether a revert moves `date_updated` back, so both variants exist.
    let close = Close::start().await;
    close.switch(json!({ "revert_moves_back": true })).await;
    let old = close.make("lead/", json!({ "name": "Before" })).await;
    close.advance(60.0).await;
    let import = imported(&close, json!([{ "id": old["id"], "name": "After" }])).await;
    close.make(&format!("/_control/import/{import}/revert/"), json!({})).await;
    close.advance(600.0).await;
    let back = close.get(&format!("lead/{}/", old["id"].as_str().unwrap())).await.body;
    assert_eq!((&back["name"], &back["date_updated"]), (&old["name"], &old["date_updated"]));
}
