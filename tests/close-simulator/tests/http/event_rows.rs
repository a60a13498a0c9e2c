//! Section 12, items 27 and 30: what an event says, and to whom.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::events::{frozen, ids, lead, walk};

#[tokio::test]
async fn quirk_27_data_is_hidden_from_readers_who_are_not_admins_after_an_hour() {
    // Quirk 27.
    let close = frozen().await;
    let id = lead(&close, "Nordlicht").await;
    let event = close.events_of(&id, "lead").await[0].clone();
    let paths = [format!("event/?lead_id={id}"), format!("event/{}/", event["id"].as_str().unwrap())];
    let read = async |key: &str, path: &str| {
        let body = close.get_as(key, path).await.body;
        body.get("data").and_then(Value::as_array).map_or(body.clone(), |rows| rows.last().expect("a row").clone())
    };
    for path in &paths {
        close.switch(json!({ "hidden_data": "absent" })).await;
        assert_eq!(read("agent", path).await["data"]["name"], "Nordlicht", "{path}");
    }
    close.advance(3_601.0).await;
    for path in &paths {
        assert_eq!(read("admin", path).await, event, "admins see everything at any time: {path}");
        close.switch(json!({ "hidden_data": "absent" })).await;
        let hidden = read("agent", path).await;
        assert!(hidden.get("data").is_none() && hidden.get("previous_data").is_none(), "{hidden}");
        assert_eq!(hidden["object_id"], id.as_str());
        close.switch(json!({ "hidden_data": "null" })).await;
        let hidden = read("agent", path).await;
        assert_eq!((hidden.get("data"), hidden.get("previous_data")), (Some(&Value::Null), Some(&Value::Null)));
    }
}

#[tokio::test]
async fn quirk_27_a_delete_has_no_data_and_everything_as_previous_data() {
    // Quirk 27.
    let close = frozen().await;
    let id = lead(&close, "Nordlicht").await;
    close.delete(&format!("lead/{id}/")).await;
    let events = close.events_of(&id, "lead").await;
    assert_eq!(events[0]["action"], "deleted");
    assert_eq!(events[0].get("data"), Some(&Value::Null));
    assert_eq!(events[0]["previous_data"], events[1]["data"]);
    assert_eq!(events[1].get("previous_data"), Some(&Value::Null), "the key stands beside data");
    assert_eq!(events[0]["changed_fields"], json!([]));
}

#[tokio::test]
async fn an_event_has_the_fields_and_stamps_of_the_reference() {
    let close = frozen().await;
    let id = lead(&close, "Nordlicht").await;
    close.make("/_control/clock/", json!({ "to": "2026-09-01T13:00:00.123Z" })).await;
    close.put(&format!("lead/{id}/"), json!({ "name": "Südlicht" })).await;
    let event = close.events_of(&id, "lead").await[0].clone();
    let keys: BTreeSet<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "id",
        "date_created",
        "date_updated",
        "organization_id",
        "user_id",
        "request_id",
        "api_key_id",
        "oauth_client_id",
        "oauth_scope",
        "object_type",
        "object_id",
        "lead_id",
        "action",
        "changed_fields",
        "data",
        "previous_data",
        "meta",
    ];
    assert_eq!(keys, expected.into_iter().collect());
    for (name, prefix) in [
        ("id", "ev_"),
        ("request_id", "req_"),
        ("user_id", "user_"),
        ("organization_id", "orga_"),
        ("api_key_id", "key_"),
    ] {
        assert!(event[name].as_str().unwrap().starts_with(prefix), "{name}: {}", event[name]);
    }
    assert!(event["date_updated"].as_str().unwrap().ends_with(".123000"), "naive: {}", event["date_updated"]);
    assert!(event["data"]["date_updated"].as_str().unwrap().ends_with("+00:00"), "with offset: {}", event["data"]);
    assert_eq!((&event["lead_id"], &event["object_id"]), (&json!(id), &json!(id)));
    assert_eq!(event["meta"], json!({ "request_method": "PUT", "request_path": format!("/api/v1/lead/{id}/") }));
    assert_eq!(event["previous_data"]["name"], "Nordlicht");
    let changed: BTreeSet<&str> =
        event["changed_fields"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(changed.is_superset(&BTreeSet::from(["name", "date_updated"])), "{changed:?}");
    assert_eq!(
        event["previous_data"].as_object().unwrap().keys().map(String::as_str).collect::<BTreeSet<_>>(),
        changed
    );
}

#[tokio::test]
async fn a_restricted_reader_finds_events_of_leads_it_sees_even_when_they_are_deleted() {
    let close = frozen().await;
    let me = close.get_as("restricted", "me/").await.body["id"].clone();
    let fields = close.get("custom_field/lead/").await;
    let owner =
        fields.rows().iter().find(|field| field["name"] == "Owner").expect("the owner field")["id"].as_str().unwrap();
    let owner = format!("custom.{owner}");
    let mine = close.make("lead/", json!({ "name": "Mine", &owner: me })).await["id"].as_str().unwrap().to_owned();
    let other = lead(&close, "Other").await;
    for gone in [false, true] {
        if gone {
            close.delete(&format!("lead/{mine}/")).await;
            close.delete(&format!("lead/{other}/")).await;
        }
        let objects = walk(&close, "restricted", "").await.concat();
        let objects: BTreeSet<&str> = ids(&objects).into_iter().collect();
        assert!(objects.contains(mine.as_str()) && !objects.contains(other.as_str()), "gone: {gone}, {objects:?}");
        let event = close.events_of(&other, "lead").await[0]["id"].as_str().unwrap().to_owned();
        assert_eq!(close.get_as("restricted", &format!("event/{event}/")).await.status, 404);
    }
    close.switch(json!({ "restricted_sees_all_events": true })).await;
    let objects = walk(&close, "restricted", "").await.concat();
    assert!(ids(&objects).contains(&other.as_str()));
}

#[tokio::test]
async fn quirk_30_an_event_that_no_page_announces_is_in_the_log() {
    // Quirk 30.
    let close = frozen().await;
    let id = lead(&close, "Nordlicht").await;
    let body =
        json!({ "object_type": "future.thing", "action": "invented", "lead_id": id, "data": { "shape": "new" } });
    let made = close.make("/_control/events/", body).await;
    let found = close.get("event/?object_type=future.thing&action=invented").await;
    assert_eq!(found.rows().len(), 1);
    assert_eq!(
        (&found.rows()[0]["data"], &found.rows()[0]["object_id"]),
        (&json!({ "shape": "new" }), &made["object_id"])
    );
    assert_eq!(close.get(&format!("event/?lead_id={id}&object_type=future.thing")).await.rows(), found.rows());
    close.switch(json!({ "unknown_fields": true })).await;
    assert!(close.get("event/").await.rows().iter().all(|event| event.get("x_unannounced").is_some()));
    for wrong in [json!({ "action": "x" }), json!({ "object_type": "x", "action": "y", "lead_id": "lead_x" })] {
        assert_eq!(close.post("/_control/events/", wrong).await.status, 400);
    }
}
