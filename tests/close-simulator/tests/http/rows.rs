//! The catalogue of section 6.5 as tests: the life of an object over HTTP, and the contents of its events.
//!
//! The rows themselves are in the `rows_…` files, each test named `row_<object type>_…`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::client::Close;

/// The foundation alone, with a clock that is stopped until it is moved.
pub async fn bare() -> Close {
    let close = Close::bare().await;
    close.make("/_control/clock/", json!({ "rate": 0 })).await;
    close
}

pub fn id(object: &Value) -> &str {
    object["id"].as_str().unwrap_or_else(|| panic!("no id: {object}"))
}

/// A lead of this name whose events are no longer open for consolidation.
pub async fn lead(close: &Close, name: &str) -> Value {
    let lead = close.make("lead/", json!({ "name": name })).await;
    settle(close).await;
    lead
}

/// Waits until the consolidation window has passed.
pub async fn settle(close: &Close) {
    close.advance(60.0).await;
}

/// Changes an object, and waits until the consolidation window has passed.
pub async fn put(close: &Close, path: &str, body: Value) -> Value {
    let reply = close.put(path, body).await;
    assert_eq!(reply.status, 200, "PUT {path}: {}", reply.text);
    settle(close).await;
    reply.body
}

/// Deletes an object, which must succeed.
pub async fn gone(close: &Close, path: &str) {
    let reply = close.delete(path).await;
    assert!(reply.status == 200 || reply.status == 204, "DELETE {path}: {} {}", reply.status, reply.text);
    settle(close).await;
}

/// The events of an object, oldest first: exactly these actions, each with the contents of its action.
pub async fn told(close: &Close, object_type: &str, object: &str, lead: &Value, actions: &[&str]) -> Vec<Value> {
    let events = log(close, object_type, object, lead).await;
    let found: Vec<&str> = events.iter().map(action).collect();
    assert_eq!(found, actions, "{object_type}");
    events
}

/// The same for objects with any number of updates: the first action, the last, and the set of actions.
pub async fn told_of(close: &Close, object_type: &str, object: &str, actions: &[&str], last: &str) -> Vec<Value> {
    let events = log(close, object_type, object, &Value::Null).await;
    let found: BTreeSet<&str> = events.iter().map(action).collect();
    assert_eq!(found, actions.iter().copied().collect(), "{object_type}");
    assert_eq!((action(&events[0]), action(&events[events.len() - 1])), ("created", last), "{object_type}");
    events
}

/// The number of events with a type and action of a lead and its children.
pub async fn count(close: &Close, lead: &Value, object_type: &str, action: &str) -> usize {
    let reply = close.get(&format!("event/?lead_id={}&object_type={object_type}&action={action}", id(lead))).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.rows().len()
}

fn action(event: &Value) -> &str {
    event["action"].as_str().expect("an action")
}

pub fn changed(event: &Value) -> BTreeSet<&str> {
    event["changed_fields"].as_array().expect("a list").iter().map(|name| name.as_str().expect("a name")).collect()
}

async fn log(close: &Close, object_type: &str, object: &str, lead: &Value) -> Vec<Value> {
    let mut events = close.events_of(object, object_type).await;
    events.reverse();
    assert!(!events.is_empty(), "{object_type} {object} has no events");
    for event in &events {
        assert_eq!((&event["object_type"], &event["object_id"]), (&json!(object_type), &json!(object)));
        assert_eq!(event.get("lead_id"), Some(lead), "{event}");
        check(event);
    }
    events
}

/// Section 6.3: `data` after the action, null for deletes; `previous_data` has the old values of changed fields for
/// updates, all values for deletes.
fn check(event: &Value) {
    let (data, before) = (&event["data"], &event["previous_data"]);
    let changed = changed(event);
    match action(event) {
        "deleted" => {
            assert_eq!(event.get("data"), Some(&Value::Null), "{event}");
            assert_eq!(before["id"], event["object_id"], "all attributes: {event}");
            assert!(changed.is_empty(), "{event}");
        }
        "updated" => {
            assert_eq!(data["id"], event["object_id"], "{event}");
            assert!(!changed.is_empty(), "{event}");
            let old = before.as_object().unwrap_or_else(|| panic!("no old values: {event}"));
            for (name, value) in old {
                assert!(changed.contains(name.as_str()), "{name} did not change: {event}");
                assert_ne!(value, &data[name], "{name} is what it was: {event}");
            }
            for name in changed {
                assert!(
                    old.contains_key(name) || data.get(name).is_some(),
                    "{name} is neither before nor after: {event}"
                );
            }
        }
        _ => {
            assert_eq!(data["id"], event["object_id"], "{event}");
            assert_eq!((event.get("previous_data"), changed.is_empty()), (Some(&Value::Null), true), "{event}");
        }
    }
}
