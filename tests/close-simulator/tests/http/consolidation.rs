//! Section 12, item 23: updates of one object within a few seconds are one event that keeps its id.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    client::Close,
    events::{frozen, lead, walk},
};

async fn rename(close: &Close, id: &str, name: &str) {
    rename_as(close, "admin", id, name).await;
}

async fn rename_as(close: &Close, key: &str, id: &str, name: &str) {
    let path = format!("lead/{id}/");
    let reply = Close::send(close.request(key, Method::PUT, &path).json(&json!({ "name": name }))).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

/// A lead whose `created` event is no longer open for consolidation.
async fn settled(close: &Close) -> String {
    let id = lead(close, "zero").await;
    close.advance(60.0).await;
    id
}

/// `data.name` and `previous_data.name` of each event, newest first.
async fn names(close: &Close, id: &str) -> Vec<(Value, Value)> {
    let events = close.events_of(id, "lead").await;
    events.iter().map(|event| (event["data"]["name"].clone(), event["previous_data"]["name"].clone())).collect()
}

#[tokio::test]
async fn quirk_23_quick_updates_are_one_event_with_the_first_state_before_and_the_last_after() {
    let close = frozen().await;
    let field = close.make("custom_field/lead/", json!({ "name": "Size", "type": "text" })).await;
    let key = format!("custom.{}", field["id"].as_str().unwrap());
    let id = settled(&close).await;
    rename(&close, &id, "one").await;
    let first = close.events_of(&id, "lead").await[0].clone();
    close.advance(3.0).await;
    close.put(&format!("lead/{id}/"), json!({ &key: "large" })).await;
    close.advance(3.0).await;
    rename(&close, &id, "two").await;
    let events = close.events_of(&id, "lead").await;
    assert_eq!(events.len(), 2, "created and one update: the window counts from the last update");
    let event = &events[0];
    assert_eq!((&event["id"], &event["date_created"]), (&first["id"], &first["date_created"]));
    assert!(event["date_updated"].as_str() > first["date_updated"].as_str());
    assert_ne!(event["request_id"], first["request_id"], "the request is the newest");
    assert_eq!((&event["data"]["name"], &event["data"][&key]), (&json!("two"), &json!("large")));
    assert_eq!(event["previous_data"]["name"], "zero");
    assert_eq!(event["previous_data"]["date_updated"], first["previous_data"]["date_updated"]);
    assert!(event["previous_data"].get(&key).is_none(), "it was unset before");
    let changed: Vec<&str> = event["changed_fields"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let before: Vec<&str> = first["changed_fields"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(changed[..before.len()], before, "what was there first stays first");
    assert_eq!(changed.iter().filter(|name| **name == key).count(), 1);
    assert_eq!(changed.iter().filter(|name| **name == "name").count(), 1);
}

#[tokio::test]
async fn quirk_23_a_pause_as_long_as_the_window_begins_another_event() {
    let close = frozen().await;
    let id = settled(&close).await;
    rename(&close, &id, "one").await;
    close.advance(4.999).await;
    rename(&close, &id, "two").await;
    close.advance(5.0).await;
    rename(&close, &id, "three").await;
    assert_eq!(names(&close, &id).await[..2], [(json!("three"), json!("two")), (json!("two"), json!("zero"))]);
    close.switch(json!({ "consolidation_ms": 0 })).await;
    rename(&close, &id, "four").await;
    rename(&close, &id, "five").await;
    assert_eq!(names(&close, &id).await.len(), 5, "a window of 0 folds nothing");
}

#[tokio::test]
async fn quirk_23_a_change_undone_in_the_window_stays_as_an_event() {
    let close = frozen().await;
    let id = settled(&close).await;
    rename(&close, &id, "one").await;
    rename(&close, &id, "zero").await;
    let events = close.events_of(&id, "lead").await;
    assert_eq!(events.len(), 2);
    assert_eq!((&events[0]["data"]["name"], &events[0]["previous_data"]["name"]), (&json!("zero"), &json!("zero")));
    assert!(events[0]["changed_fields"].as_array().unwrap().contains(&json!("name")));
}

#[tokio::test]
async fn quirk_23_a_consolidated_event_moves_up_in_the_log() {
    let close = frozen().await;
    let id = settled(&close).await;
    rename(&close, &id, "one").await;
    close.advance(1.0).await;
    let other = lead(&close, "Other").await;
    let order = async || {
        let rows = walk(&close, "admin", "").await.concat();
        rows.iter().map(|event| event["object_id"].as_str().unwrap().to_owned()).take(2).collect::<Vec<_>>()
    };
    assert_eq!(order().await, [other.clone(), id.clone()]);
    close.advance(1.0).await;
    rename(&close, &id, "two").await;
    assert_eq!(order().await, [id.clone(), other]);
    let all = walk(&close, "admin", &format!("lead_id={id}")).await.concat();
    assert_eq!(all.len(), 2, "and leaves its old place");
}

#[tokio::test]
async fn quirk_23_created_and_deleted_are_events_of_their_own() {
    let close = frozen().await;
    let id = lead(&close, "zero").await;
    rename(&close, &id, "one").await;
    rename(&close, &id, "two").await;
    close.delete(&format!("lead/{id}/")).await;
    let actions: Vec<Value> = close.events_of(&id, "lead").await.iter().map(|event| event["action"].clone()).collect();
    assert_eq!(actions, ["deleted", "updated", "created"]);

    close.switch(json!({ "consolidate_into_created": true })).await;
    let id = lead(&close, "zero").await;
    close.advance(1.0).await;
    rename(&close, &id, "one").await;
    let events = close.events_of(&id, "lead").await;
    assert_eq!((events.len(), &events[0]["action"], &events[0]["data"]["name"]), (1, &json!("created"), &json!("one")));
    assert_eq!((&events[0]["changed_fields"], &events[0]["previous_data"]), (&json!([]), &Value::Null));
    assert!(events[0]["date_updated"].as_str() > events[0]["date_created"].as_str());
}

#[tokio::test]
async fn quirk_23_updates_of_different_users_are_folded_only_by_switch() {
    let close = frozen().await;
    let id = settled(&close).await;
    rename(&close, &id, "one").await;
    rename_as(&close, "agent", &id, "two").await;
    assert_eq!(names(&close, &id).await.len(), 3);
    close.advance(60.0).await;
    close.switch(json!({ "consolidate_any_context": true })).await;
    rename(&close, &id, "three").await;
    rename_as(&close, "agent", &id, "four").await;
    let events = close.events_of(&id, "lead").await;
    assert_eq!(events.len(), 4);
    assert_eq!((&events[0]["data"]["name"], &events[0]["previous_data"]["name"]), (&json!("four"), &json!("two")));
    assert_eq!(events[0]["user_id"], close.get_as("agent", "me/").await.body["id"], "the newest");
}

#[tokio::test]
async fn what_a_reader_has_seen_does_not_vanish_when_it_is_folded_late() {
    let close = frozen().await;
    let id = settled(&close).await;
    rename(&close, &id, "one").await;
    close.switch(json!({ "event_lag_ms": 60_000 })).await;
    close.advance(1.0).await;
    rename(&close, &id, "two").await;
    assert_eq!(names(&close, &id).await[0], (json!("two"), json!("zero")));
}

/// A task that is completed, opened again and completed again has one `updated` and two `completed` events.
#[tokio::test]
async fn quirk_23_semantic_twins_are_never_folded_and_do_not_end_a_consolidation() {
    let close = frozen().await;
    let id = settled(&close).await;
    let task = close.make("task/", json!({ "lead_id": id, "text": "Call" })).await["id"].as_str().unwrap().to_owned();
    close.advance(60.0).await;
    for done in [true, false, true] {
        assert_eq!(close.put(&format!("task/{task}/"), json!({ "is_complete": done })).await.status, 200);
        close.advance(1.0).await;
    }
    let events = close.events_of(&task, "task.lead").await;
    let of = |action: &str| events.iter().filter(|event| event["action"] == action).collect::<Vec<_>>();
    let (updated, completed) = (of("updated"), of("completed"));
    assert_eq!((updated.len(), completed.len(), events.len()), (1, 2, 4));
    assert_eq!(
        (&updated[0]["previous_data"]["is_complete"], &updated[0]["data"]["is_complete"]),
        (&json!(false), &json!(true))
    );
    assert!(updated[0]["date_updated"] == completed[0]["date_updated"], "it moved with the last change");
    assert_ne!(completed[0]["date_updated"], completed[1]["date_updated"]);
}
