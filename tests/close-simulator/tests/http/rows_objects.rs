//! Rows of the catalogue (section 6.5): leads, contacts, opportunities, tasks, custom objects, unsubscribed addresses.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    activities::perform,
    client::Close,
    rows::{bare, changed, count, gone, id, lead, put, settle, told},
};

#[tokio::test]
async fn row_lead_is_created_updated_and_deleted() {
    let close = bare().await;
    let field = close.make("custom_field/lead/", json!({ "name": "Size", "type": "text" })).await;
    let key = format!("custom.{}", id(&field));
    let made = lead(&close, "Nordlicht").await;
    let path = format!("lead/{}/", id(&made));
    put(&close, &path, json!({ "name": "Südlicht", "url": "https://south.example" })).await;
    put(&close, &path, json!({ "addresses": [{ "city": "Kiel", "country": "DE" }] })).await;
    put(&close, &path, json!({ &key: "large" })).await;
    gone(&close, &path).await;
    let actions = ["created", "updated", "updated", "updated", "deleted"];
    let events = told(&close, "lead", id(&made), &made["id"], &actions).await;
    for (event, names) in events[1..4].iter().zip([&["name", "url"][..], &["addresses"], &[&key]]) {
        for name in names.iter().chain(&["date_updated"]) {
            assert!(changed(event).contains(name), "{name} in {event}");
        }
    }
    assert_eq!(events[4]["previous_data"][&key], "large");
}

/// The remark of the row: changes that move the lead's `date_updated` without an event of the lead.
#[tokio::test]
async fn row_lead_is_updated_by_contact_ids_but_not_by_other_children() {
    let close = bare().await;
    let made = lead(&close, "Nordlicht").await;
    let path = format!("lead/{}/", id(&made));
    let of_lead = |more: Value| {
        let mut body = more;
        body["lead_id"] = made["id"].clone();
        body
    };
    let contact = close.make("contact/", of_lead(json!({ "name": "Ida" }))).await;
    settle(&close).await;
    let events = told(&close, "lead", id(&made), &made["id"], &["created", "updated"]).await;
    assert_eq!(changed(&events[1]), ["contact_ids", "date_updated"].into());
    let mut last = close.get(&path).await.body["date_updated"].clone();
    let note = close.make("activity/note/", of_lead(json!({ "note": "x" }))).await;
    let (contact, note) = (format!("contact/{}/", id(&contact)), format!("activity/note/{}/", id(&note)));
    for (method, change, body) in [
        (Method::PUT, contact.as_str(), json!({ "title": "CEO" })),
        (Method::POST, "opportunity/", of_lead(json!({ "value": 100 }))),
        (Method::POST, "task/", of_lead(json!({ "text": "Call" }))),
        (Method::POST, "activity/note/", of_lead(json!({ "note": "y" }))),
        (Method::PUT, note.as_str(), json!({ "note": "z" })),
    ] {
        settle(&close).await;
        let reply = Close::send(close.request("admin", method, change).json(&body)).await;
        assert!(reply.status < 300, "{change}: {}", reply.text);
        let now = close.get(&path).await.body["date_updated"].clone();
        assert_ne!(now, last, "{change} moves the lead's date");
        last = now;
    }
    told(&close, "lead", id(&made), &made["id"], &["created", "updated"]).await;
}

#[tokio::test]
async fn row_lead_is_merged_into_the_one_that_remains() {
    let close = bare().await;
    let (source, destination) = (lead(&close, "Source").await, lead(&close, "Destination").await);
    close.make("contact/", json!({ "lead_id": source["id"], "name": "Ida" })).await;
    settle(&close).await;
    close.make("lead/merge/", json!({ "source": source["id"], "destination": destination["id"] })).await;
    settle(&close).await;
    let events = told(&close, "lead", id(&destination), &destination["id"], &["created", "updated", "merged"]).await;
    assert_eq!(events[2]["data"]["contact_ids"].as_array().unwrap().len(), 1);
    told(&close, "lead", id(&source), &source["id"], &["created", "updated", "deleted"]).await;
}

#[tokio::test]
async fn row_contact_is_created_updated_and_deleted() {
    let close = bare().await;
    let lead = lead(&close, "Nordlicht").await;
    let made = close.make("contact/", json!({ "lead_id": lead["id"], "name": "Ida" })).await;
    settle(&close).await;
    let path = format!("contact/{}/", id(&made));
    put(&close, &path, json!({ "title": "CEO", "emails": [{ "email": "ida@a.example" }] })).await;
    gone(&close, &path).await;
    let events = told(&close, "contact", id(&made), &lead["id"], &["created", "updated", "deleted"]).await;
    assert!(changed(&events[1]).is_superset(&["date_updated", "emails", "title"].into()), "{}", events[1]);
    assert_eq!(count(&close, &lead, "lead", "updated").await, 2, "one when it came and one when it went");
}

#[tokio::test]
async fn row_opportunity_is_created_updated_and_deleted_but_not_updated_by_another_currency() {
    let close = bare().await;
    let lead = lead(&close, "Nordlicht").await;
    let made = close.make("opportunity/", json!({ "lead_id": lead["id"], "value": 1 })).await;
    settle(&close).await;
    let path = format!("opportunity/{}/", id(&made));
    put(&close, &path, json!({ "value": 2, "note": "soon" })).await;
    let organization = close.get("me/").await.body["organizations"][0]["id"].as_str().unwrap().to_owned();
    put(&close, &format!("organization/{organization}/"), json!({ "currency": "USD" })).await;
    assert_eq!(close.get(&path).await.body["value_currency"], "USD");
    told(&close, "opportunity", id(&made), &lead["id"], &["created", "updated"]).await;
    gone(&close, &path).await;
    let events = told(&close, "opportunity", id(&made), &lead["id"], &["created", "updated", "deleted"]).await;
    assert!(changed(&events[1]).is_superset(&["date_updated", "note", "value"].into()), "{}", events[1]);
    assert_eq!(count(&close, &lead, "lead", "updated").await, 0);
}

/// A type that callers create, one that both create, and those that only the system creates.
#[tokio::test]
async fn row_task_of_each_subtype_is_created_updated_completed_and_deleted() {
    let close = bare().await;
    for ty in [
        "lead",
        "outgoing_call",
        "incoming_email",
        "email_followup",
        "missed_call",
        "answered_detached_call",
        "voicemail",
        "opportunity_due",
        "incoming_sms",
    ] {
        let lead = lead(&close, ty).await;
        let task = match ty {
            "lead" | "outgoing_call" => {
                let body = json!({ "_type": ty, "lead_id": lead["id"], "text": "x", "phone": "+14155550100" });
                id(&close.make("task/", body).await).to_owned()
            }
            _ => perform(&close, json!({ "action": "raise_task", "type": ty, "lead_id": lead["id"] })).await,
        };
        settle(&close).await;
        let path = format!("task/{task}/");
        put(&close, &path, json!({ "is_complete": true })).await;
        assert_eq!(count(&close, &lead, "lead", "updated").await, 1, "{ty}");
        gone(&close, &path).await;
        let kind = format!("task.{ty}");
        let events = told(&close, &kind, &task, &lead["id"], &["created", "updated", "completed", "deleted"]).await;
        let update = events.iter().find(|event| event["action"] == "updated").unwrap();
        assert!(changed(update).contains("is_complete"), "{update}");
        assert_eq!(events[1]["request_id"], events[2]["request_id"]);
    }
}

#[tokio::test]
async fn row_custom_object_is_created_updated_and_deleted() {
    let close = bare().await;
    let lead = lead(&close, "Nordlicht").await;
    let of = close.make("custom_object_type/", json!({ "name": "Site", "name_plural": "Sites" })).await;
    let body = json!({ "lead_id": lead["id"], "custom_object_type_id": of["id"], "name": "Hall 3" });
    let made = close.make("custom_object/", body).await;
    settle(&close).await;
    let path = format!("custom_object/{}/", id(&made));
    put(&close, &path, json!({ "name": "Hall 4" })).await;
    gone(&close, &path).await;
    let events = told(&close, "custom_object", id(&made), &lead["id"], &["created", "updated", "deleted"]).await;
    assert_eq!((&events[1]["previous_data"]["name"], &events[1]["data"]["name"]), (&json!("Hall 3"), &json!("Hall 4")));
    assert_eq!(count(&close, &lead, "lead", "updated").await, 0);
}

#[tokio::test]
async fn row_unsubscribed_email_is_created_and_deleted() {
    let close = bare().await;
    let made = close.make("unsubscribe/email/", json!({ "email": "ida@nordlicht.example" })).await;
    settle(&close).await;
    gone(&close, "unsubscribe/email/ida@nordlicht.example/").await;
    let events = told(&close, "unsubscribed_email", id(&made), &Value::Null, &["created", "deleted"]).await;
    assert_eq!(events[1]["previous_data"]["email"], "ida@nordlicht.example");
}
