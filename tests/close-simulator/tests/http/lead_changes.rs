//! Traces of changes of leads: sections 6.4 to 6.6 and 8.4 of the reference.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Close;

pub fn id(object: &Value) -> &str {
    object["id"].as_str().expect("an id")
}

/// Events of a lead and its children with this object type and action, newest first.
pub async fn events(close: &Close, lead: &str, object_type: &str, action: &str) -> Vec<Value> {
    let reply = close.get(&format!("event/?lead_id={lead}&object_type={object_type}&action={action}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.rows().to_vec()
}

fn changed(event: &Value) -> Vec<&str> {
    event["changed_fields"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect()
}

async fn statuses(close: &Close) -> Vec<String> {
    let reply = close.get("status/lead/").await;
    reply.rows().iter().rev().map(|status| id(status).to_owned()).collect()
}

/// Catalogue: `lead` created. Quirk 28: the bundle of a lead created with contacts.
#[tokio::test]
async fn quirk_28_a_lead_created_with_contacts_gives_one_bundle() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "A", "contacts": [{ "name": "One" }, { "name": "Two" }] })).await;
    let all = close.get(&format!("event/?lead_id={}", id(&lead))).await;
    let mut kinds: Vec<String> = all
        .rows()
        .iter()
        .map(|event| format!("{}.{}", event["object_type"].as_str().unwrap(), event["action"].as_str().unwrap()))
        .collect();
    kinds.sort();
    assert_eq!(kinds, ["contact.created", "contact.created", "lead.created"]);
    assert!(all.rows().iter().all(|event| event["request_id"] == all.rows()[0]["request_id"]));
    let event = &events(&close, id(&lead), "lead", "created").await[0];
    assert_eq!(event["data"]["contact_ids"], lead["contact_ids"]);
    assert_eq!((&event["previous_data"], &event["lead_id"]), (&Value::Null, &lead["id"]));
    // Quirk 21 and section 6.3: it has neither volatile nor nested fields.
    for absent in ["contacts", "opportunities", "tasks", "localtime", "recent_calls", "summaries"] {
        assert!(event["data"].get(absent).is_none(), "{absent}");
    }
    let created = close.get(&format!("activity/created/?lead_id={}", id(&lead))).await;
    assert_eq!(
        (created.rows().len(), &created.rows()[0]["source"], &created.rows()[0]["_type"]),
        (1, &json!("api"), &json!("Created"))
    );
}

/// Section 6.5: `Created` activities have no events unless a switch enables them (`activity.created`).
#[tokio::test]
async fn created_activities_have_events_only_by_choice() {
    let close = Close::start().await;
    close.switch(json!({ "created_activity_events": true })).await;
    let lead = close.make("lead/", json!({ "name": "A" })).await;
    assert_eq!(events(&close, id(&lead), "activity.created", "created").await.len(), 1);
}

#[tokio::test]
async fn nested_lists_are_in_lead_events_only_by_choice() {
    let close = Close::start().await;
    close.switch(json!({ "nested_in_lead_events": true })).await;
    let lead = close.make("lead/", json!({ "name": "A", "contacts": [{ "name": "One" }] })).await;
    let event = &events(&close, id(&lead), "lead", "created").await[0];
    assert_eq!(event["data"]["contacts"][0]["name"], "One");
    assert_eq!(event["data"]["tasks"], json!([]));
}

/// Catalogue: `lead` updated.
#[tokio::test]
async fn an_update_tells_what_changed_and_what_was_before() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "A" })).await;
    close.advance(60.0).await;
    close.put(&format!("lead/{}/", id(&lead)), json!({ "name": "B" })).await;
    let event = &events(&close, id(&lead), "lead", "updated").await[0];
    let mut names = changed(event);
    names.sort_unstable();
    assert_eq!(names, ["date_updated", "display_name", "name"]);
    assert_eq!((&event["previous_data"]["name"], &event["data"]["name"]), (&json!("A"), &json!("B")));
    assert_eq!(event["previous_data"]["date_updated"], lead["date_updated"]);
}

/// Catalogue: `activity.lead_status_change` created, and its `lead.updated`. Quirk 28.
#[tokio::test]
async fn quirk_28_a_status_change_leaves_an_activity_and_an_updated_lead_under_one_request() {
    let close = Close::start().await;
    let statuses = statuses(&close).await;
    let lead = close.make("lead/", json!({ "name": "A", "status_id": statuses[0] })).await;
    close.advance(60.0).await;
    close.put(&format!("lead/{}/", id(&lead)), json!({ "status_id": statuses[1] })).await;
    let activity = &events(&close, id(&lead), "activity.lead_status_change", "created").await[0];
    let update = &events(&close, id(&lead), "lead", "updated").await[0];
    assert_eq!(activity["request_id"], update["request_id"]);
    assert_eq!(
        (&activity["data"]["old_status_id"], &activity["data"]["new_status_id"]),
        (&json!(statuses[0]), &json!(statuses[1]))
    );
    assert!(changed(update).contains(&"status_id") && changed(update).contains(&"status_label"));
    let listed = close.get(&format!("activity/status_change/lead/?lead_id={}", id(&lead))).await;
    assert_eq!((listed.rows().len(), &listed.rows()[0]["_type"]), (1, &json!("LeadStatusChange")));
}

/// Catalogue: `activity.lead_status_change` updated and deleted (section 6.4).
#[tokio::test]
async fn quick_status_changes_become_one_activity_and_a_revert_takes_it_away() {
    let close = Close::start().await;
    let statuses = statuses(&close).await;
    let lead = close.make("lead/", json!({ "name": "A", "status_id": statuses[0] })).await;
    let path = format!("lead/{}/", id(&lead));
    let list = format!("activity/status_change/lead/?lead_id={}", id(&lead));
    close.advance(60.0).await;
    close.put(&path, json!({ "status_id": statuses[1] })).await;
    close.put(&path, json!({ "status_id": statuses[2] })).await;
    let reply = close.get(&list).await;
    assert_eq!(reply.rows().len(), 1);
    assert_eq!(
        (&reply.rows()[0]["old_status_id"], &reply.rows()[0]["new_status_id"]),
        (&json!(statuses[0]), &json!(statuses[2]))
    );
    assert_eq!(events(&close, id(&lead), "activity.lead_status_change", "updated").await.len(), 1);
    close.put(&path, json!({ "status_id": statuses[0] })).await;
    assert_eq!(close.get(&list).await.rows().len(), 0);
    let deleted = events(&close, id(&lead), "activity.lead_status_change", "deleted").await;
    assert_eq!(deleted[0]["previous_data"]["new_status_id"], statuses[2]);
    // Outside the window each change has its own activity, and a revert is a change like any other.
    for status in [&statuses[1], &statuses[0]] {
        close.advance(60.0).await;
        close.put(&path, json!({ "status_id": status })).await;
    }
    assert_eq!(close.get(&list).await.rows().len(), 2);
}

#[tokio::test]
async fn status_change_activities_are_backfilled_and_deleted_without_changing_the_lead() {
    let close = Close::start().await;
    let statuses = statuses(&close).await;
    let lead = close.make("lead/", json!({ "name": "A", "status_id": statuses[0] })).await;
    let body = json!({
        "lead_id": lead["id"], "old_status_id": statuses[2], "new_status_id": statuses[3],
        "date_created": "2024-05-05T05:05:05Z"
    });
    let activity = close.make("activity/status_change/lead/", body).await;
    assert_eq!(activity["date_created"], "2024-05-05T05:05:05+00:00");
    assert_eq!(close.delete(&format!("activity/status_change/lead/{}/", id(&activity))).await.body, json!({}));
    assert_eq!(close.get(&format!("lead/{}/", id(&lead))).await.body["status_id"], statuses[0]);
    assert_eq!(events(&close, id(&lead), "lead", "updated").await.len(), 0);
    let reply = close.post("activity/status_change/lead/", json!({ "lead_id": lead["id"] })).await;
    assert_eq!((reply.status, &reply.body["field-errors"]["new_status_id"]), (400, &json!("This field is required.")));
}

/// Catalogue: `lead` deleted, with `deleted` events of all its children. Quirk 28.
#[tokio::test]
async fn quirk_28_deleting_a_lead_deletes_every_child_with_its_full_previous_data() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "A", "contacts": [{ "name": "One" }, { "name": "Two" }] })).await;
    let opportunity = close
        .make("opportunity/", json!({ "lead_id": lead["id"], "value": 500, "contact_id": lead["contact_ids"][0] }))
        .await;
    let task = close.make("task/", json!({ "lead_id": lead["id"], "text": "Call" })).await;
    close.put(&format!("lead/{}/", id(&lead)), json!({ "status": "Customer" })).await;
    let path = format!("lead/{}/", id(&lead));
    let refused = Close::send(close.request("agent", Method::DELETE, &path)).await;
    assert_eq!(refused.status, 403);
    let reply = close.delete(&path).await;
    assert_eq!((reply.status, reply.body), (200, json!({})));
    let mut deleted = Vec::new();
    for object_type in ["lead", "contact", "opportunity", "task.lead", "activity.lead_status_change"] {
        deleted.extend(events(&close, id(&lead), object_type, "deleted").await);
    }
    assert_eq!(deleted.len(), 6);
    assert!(deleted.iter().all(|event| event["request_id"] == deleted[0]["request_id"] && event["data"].is_null()));
    let of = |wanted: &Value| deleted.iter().find(|event| event["object_id"] == wanted["id"]).expect("its event");
    assert_eq!(of(&opportunity)["previous_data"]["lead_name"], "A");
    assert_eq!(of(&opportunity)["previous_data"]["contact_name"], "One");
    assert_eq!(of(&task)["previous_data"]["text"], "Call");
    assert_eq!(of(&lead)["previous_data"]["contact_ids"], lead["contact_ids"]);
    for path in [format!("contact/{}/", lead["contact_ids"][1].as_str().unwrap()), format!("task/{}/", id(&task)), path]
    {
        let reply = close.get(&path).await;
        assert_eq!((reply.status, reply.body["error"].is_string()), (404, true));
    }
}

#[tokio::test]
async fn quirk_28_the_order_of_a_cascade_is_not_to_be_relied_on() {
    let close = Close::start().await;
    let mut places = std::collections::BTreeSet::new();
    for _ in 0..12 {
        let lead =
            close.make("lead/", json!({ "contacts": [{ "name": "a" }, { "name": "b" }, { "name": "c" }] })).await;
        close.delete(&format!("lead/{}/", id(&lead))).await;
        let all = close.get(&format!("event/?lead_id={}", id(&lead))).await;
        let deleted: Vec<&Value> = all.rows().iter().filter(|event| event["action"] == "deleted").collect();
        places.insert(deleted.iter().position(|event| event["object_type"] == "lead"));
    }
    assert!(places.len() > 1, "the lead always stood at {places:?}");
}
