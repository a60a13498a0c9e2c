//! Rows of the catalogue (section 6.5): settings of the organization and shared objects.

use serde_json::{Value, json};

use crate::rows::{bare, changed, count, gone, id, lead, put, settle, told};

const CHANGES: &[&str] = &["created", "updated", "deleted"];

/// Created, changed and deleted by plain requests, each with its event: `(path, object type, first body, second body)`.
async fn life(path: &str, object_type: &str, first: Value, second: Value) -> Vec<Value> {
    let close = bare().await;
    let mut first = first;
    // Fields of custom types belong to one type.
    for (name, of) in
        [("custom_activity_type_id", "custom_activity/"), ("custom_object_type_id", "custom_object_type/")]
    {
        if first.get(name).is_some() {
            first[name] = close.make(of, json!({ "name": "Visit" })).await["id"].clone();
        }
    }
    let made = close.make(path, first).await;
    settle(&close).await;
    let at = format!("{path}{}/", id(&made));
    put(&close, &at, second.clone()).await;
    gone(&close, &at).await;
    let events = told(&close, object_type, id(&made), &Value::Null, CHANGES).await;
    for (name, value) in second.as_object().unwrap() {
        assert!(changed(&events[1]).contains(name.as_str()), "{name}: {}", events[1]);
        assert_eq!((&events[1]["previous_data"][name], &events[1]["data"][name]), (&made[name], value), "{name}");
        assert_eq!(&events[2]["previous_data"][name], value, "{name}");
    }
    events
}

async fn field(path: &str, object_type: &str, first: Value) {
    life(path, object_type, first, json!({ "name": "Another", "description": "Which" })).await;
}

#[tokio::test]
async fn row_custom_fields_lead_is_created_updated_and_deleted() {
    field("custom_field/lead/", "custom_fields.lead", json!({ "name": "One", "type": "text" })).await;
}

#[tokio::test]
async fn row_custom_fields_contact_is_created_updated_and_deleted() {
    field("custom_field/contact/", "custom_fields.contact", json!({ "name": "One", "type": "text" })).await;
}

#[tokio::test]
async fn row_custom_fields_opportunity_is_created_updated_and_deleted() {
    field("custom_field/opportunity/", "custom_fields.opportunity", json!({ "name": "One", "type": "text" })).await;
}

#[tokio::test]
async fn row_custom_fields_activity_is_created_updated_and_deleted() {
    let first = json!({ "name": "One", "type": "text", "custom_activity_type_id": "" });
    field("custom_field/activity/", "custom_fields.activity", first).await;
}

#[tokio::test]
async fn row_custom_fields_custom_object_is_created_updated_and_deleted() {
    let first = json!({ "name": "One", "type": "text", "custom_object_type_id": "" });
    field("custom_field/custom_object_type/", "custom_fields.custom_object", first).await;
}

#[tokio::test]
async fn row_custom_fields_shared_is_created_updated_and_deleted() {
    field("custom_field/shared/", "custom_fields.shared", json!({ "name": "One", "type": "text" })).await;
}

#[tokio::test]
async fn row_custom_activity_type_is_created_updated_and_deleted() {
    life("custom_activity/", "custom_activity_type", json!({ "name": "Visit" }), json!({ "name": "Call-out" })).await;
}

#[tokio::test]
async fn row_custom_object_type_is_created_updated_and_deleted() {
    life("custom_object_type/", "custom_object_type", json!({ "name": "Site" }), json!({ "description": "Where" }))
        .await;
}

/// The remark: a new label causes no events of the leads.
#[tokio::test]
async fn row_status_lead_is_created_updated_and_deleted_without_events_of_leads() {
    life("status/lead/", "status.lead", json!({ "label": "Cold" }), json!({ "label": "Colder" })).await;
    let close = bare().await;
    let lead = lead(&close, "Nordlicht").await;
    put(&close, &format!("status/lead/{}/", lead["status_id"].as_str().unwrap()), json!({ "label": "Warm" })).await;
    assert_eq!(close.get(&format!("lead/{}/", id(&lead))).await.body["status_label"], "Warm");
    assert_eq!(count(&close, &lead, "lead", "updated").await, 0);
}

/// The remark, for opportunities.
#[tokio::test]
async fn row_status_opportunity_is_created_updated_and_deleted_without_events_of_opportunities() {
    life("status/opportunity/", "status.opportunity", json!({ "label": "Cold" }), json!({ "label": "Colder" })).await;
    let close = bare().await;
    let lead = lead(&close, "Nordlicht").await;
    let made = close.make("opportunity/", json!({ "lead_id": lead["id"] })).await;
    settle(&close).await;
    put(&close, &format!("status/opportunity/{}/", made["status_id"].as_str().unwrap()), json!({ "label": "Warm" }))
        .await;
    let shown = close.get(&format!("opportunity/{}/", id(&made))).await.body;
    assert_eq!((&shown["status_label"], &shown["date_updated"]), (&json!("Warm"), &made["date_updated"]));
    assert_eq!(count(&close, &lead, "opportunity", "updated").await, 0);
}

/// The remark: there is no `updated`, a new role is silent; reactivation keeps the id (section 8.2).
#[tokio::test]
async fn row_membership_is_deactivated_and_activated_but_never_updated() {
    let close = bare().await;
    close.switch(json!({ "membership_create_by_key": true })).await;
    let user = close.get_as("agent", "me/").await.body;
    let membership = user["memberships"][0]["id"].as_str().unwrap();
    let path = format!("membership/{membership}/");
    put(&close, &path, json!({ "role_id": "restricteduser" })).await;
    assert!(close.events_of(membership, "membership").await.is_empty());
    gone(&close, &path).await;
    let back = close.make("membership/", json!({ "email": user["email"], "role_id": "user" })).await;
    assert_eq!(back["id"], membership);
    let events = told(&close, "membership", membership, &Value::Null, &["deactivated", "activated"]).await;
    assert_eq!(events[1]["data"]["user_id"], user["id"]);
}

/// The remark: changes of members are included.
#[tokio::test]
async fn row_group_is_created_updated_also_by_its_members_and_deleted() {
    let close = bare().await;
    let agent = close.get_as("agent", "me/").await.body["id"].as_str().unwrap().to_owned();
    let made = close.make("group/", json!({ "name": "North" })).await;
    settle(&close).await;
    let path = format!("group/{}/", id(&made));
    put(&close, &path, json!({ "name": "South" })).await;
    close.make(&format!("{path}member/"), json!({ "user_id": agent })).await;
    settle(&close).await;
    gone(&close, &format!("{path}member/{agent}/")).await;
    gone(&close, &path).await;
    let actions = ["created", "updated", "updated", "updated", "deleted"];
    let events = told(&close, "group", id(&made), &Value::Null, &actions).await;
    assert_eq!(changed(&events[1]), ["name"].into());
    for event in &events[2..4] {
        assert_eq!(changed(event), ["members"].into());
    }
    assert_eq!(events[2]["data"]["members"], json!([{ "user_id": agent }]));
}

#[tokio::test]
async fn row_saved_search_is_created_updated_and_deleted() {
    life("saved_search/", "saved_search", json!({ "name": "Mine" }), json!({ "name": "Ours" })).await;
}

#[tokio::test]
async fn row_phone_number_is_created_updated_and_deleted() {
    let close = bare().await;
    let made = close.make("phone_number/request/internal/", json!({ "country": "GB", "sharing": "group" })).await;
    settle(&close).await;
    let path = format!("phone_number/{}/", id(&made));
    put(&close, &path, json!({ "label": "Front desk" })).await;
    gone(&close, &path).await;
    let events = told(&close, "phone_number", id(&made), &Value::Null, CHANGES).await;
    assert!(changed(&events[1]).contains("label"), "{}", events[1]);
}

#[tokio::test]
async fn row_email_template_is_created_updated_and_deleted() {
    life("email_template/", "email_template", json!({ "name": "News" }), json!({ "name": "Old", "subject": "Hi" }))
        .await;
}

#[tokio::test]
async fn row_sms_template_is_created_updated_and_deleted() {
    life(
        "sms_template/",
        "sms_template",
        json!({ "name": "News", "text": "x" }),
        json!({ "name": "Old", "text": "y" }),
    )
    .await;
}

/// The remark: the steps are embedded.
#[tokio::test]
async fn row_sequence_is_created_updated_and_deleted_with_its_steps_inside() {
    let steps = json!([{ "step_type": "call", "delay": 0 }, { "step_type": "task", "delay": 86_400 }]);
    let events =
        life("sequence/", "sequence", json!({ "name": "Outreach", "steps": steps }), json!({ "status": "paused" }))
            .await;
    for steps in [&events[0]["data"]["steps"], &events[1]["data"]["steps"], &events[2]["previous_data"]["steps"]] {
        assert_eq!((steps.as_array().unwrap().len(), &steps[1]["step_type"]), (2, &json!("task")));
    }
}

#[tokio::test]
async fn row_sequence_subscription_is_created_updated_and_deleted() {
    let close = bare().await;
    let lead = lead(&close, "Nordlicht").await;
    let emails = json!([{ "email": "ida@nordlicht.example" }]);
    let contact = close.make("contact/", json!({ "lead_id": lead["id"], "name": "Ida", "emails": emails })).await;
    let sequence = close.make("sequence/", json!({ "name": "Outreach" })).await;
    let body =
        json!({ "sequence_id": sequence["id"], "contact_id": contact["id"], "contact_email": "ida@nordlicht.example" });
    let made = close.make("sequence_subscription/", body).await;
    settle(&close).await;
    put(&close, &format!("sequence_subscription/{}/", id(&made)), json!({ "status": "paused" })).await;
    gone(&close, &format!("sequence/{}/", id(&sequence))).await;
    let events = told(&close, "sequence_subscription", id(&made), &lead["id"], CHANGES).await;
    assert!(changed(&events[1]).contains("status"), "{}", events[1]);
}

/// The remark: `deleted` is permanent only, so a deleted comment in a remaining thread has `updated`.
#[tokio::test]
async fn row_comment_is_created_updated_and_deleted_only_for_good() {
    let close = bare().await;
    let lead = lead(&close, "Nordlicht").await;
    let note = close.make("activity/note/", json!({ "lead_id": lead["id"], "note": "x" })).await;
    let first = close.make("comment/", json!({ "object_id": note["id"], "body": "one" })).await;
    let second = close.make("comment/", json!({ "object_id": note["id"], "body": "two" })).await;
    settle(&close).await;
    put(&close, &format!("comment/{}/", id(&first)), json!({ "body": "one more" })).await;
    gone(&close, &format!("comment/{}/", id(&first))).await;
    let events = told(&close, "comment", id(&first), &lead["id"], &["created", "updated", "updated"]).await;
    assert!(changed(&events[1]).contains("body") && changed(&events[2]).contains("body"), "{events:?}");
    gone(&close, &format!("comment/{}/", id(&second))).await;
    told(&close, "comment", id(&first), &lead["id"], &["created", "updated", "updated", "deleted"]).await;
    told(&close, "comment", id(&second), &lead["id"], &["created", "deleted"]).await;
}

#[tokio::test]
async fn row_comment_thread_is_created_updated_and_deleted() {
    let close = bare().await;
    let lead = lead(&close, "Nordlicht").await;
    let note = close.make("activity/note/", json!({ "lead_id": lead["id"], "note": "x" })).await;
    let first = close.make("comment/", json!({ "object_id": note["id"], "body": "one" })).await;
    settle(&close).await;
    close.make("comment/", json!({ "object_id": note["id"], "body": "two" })).await;
    settle(&close).await;
    gone(&close, &format!("activity/note/{}/", id(&note))).await;
    let thread = first["thread_id"].as_str().unwrap();
    let events = told(&close, "comment_thread", thread, &lead["id"], CHANGES).await;
    assert!(changed(&events[1]).contains("comment_count"), "{}", events[1]);
}
