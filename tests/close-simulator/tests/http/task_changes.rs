//! Traces of changes of tasks: sections 6.5 and 6.6 of the reference.

use serde_json::{Value, json};

use crate::{activities::perform, client::Close};

pub fn id(object: &Value) -> &str {
    object["id"].as_str().expect("an id")
}

pub async fn lead(close: &Close) -> Value {
    close.make("lead/", json!({ "name": "A" })).await
}

pub async fn task(close: &Close, lead: &Value, body: Value) -> Value {
    let mut body = body;
    body["lead_id"] = lead["id"].clone();
    close.make("task/", body).await
}

pub async fn events(close: &Close, lead: &Value, object_type: &str, action: &str) -> Vec<Value> {
    let reply = close.get(&format!("event/?lead_id={}&object_type={object_type}&action={action}", id(lead))).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.rows().to_vec()
}

/// Catalogue: `task.lead` created, updated, deleted.
#[tokio::test]
async fn each_change_of_a_task_has_its_event() {
    let close = Close::start().await;
    let lead = lead(&close).await;
    let made = task(&close, &lead, json!({ "text": "Call" })).await;
    close.advance(60.0).await;
    let path = format!("task/{}/", id(&made));
    close.put(&path, json!({ "text": "Call back" })).await;
    assert_eq!(close.delete(&path).await.body, json!({}));
    assert_eq!(events(&close, &lead, "task.lead", "created").await[0]["data"]["text"], "Call");
    let update = &events(&close, &lead, "task.lead", "updated").await[0];
    assert_eq!((&update["previous_data"]["text"], &update["data"]["text"]), (&json!("Call"), &json!("Call back")));
    assert!(update["data"].get("view").is_none(), "it changes by itself");
    assert_eq!(events(&close, &lead, "task.lead", "deleted").await[0]["previous_data"]["text"], "Call back");
    assert!(events(&close, &lead, "lead", "updated").await.is_empty());
}

/// Catalogue: `activity.task_completed` created, task completed and updated, lead updated. Quirk 28.
#[tokio::test]
async fn quirk_28_completing_a_task_gives_four_events_under_one_request() {
    let close = Close::start().await;
    let lead = lead(&close).await;
    let made = task(&close, &lead, json!({ "text": "Call" })).await;
    close.advance(60.0).await;
    close.put(&format!("task/{}/", id(&made)), json!({ "is_complete": true })).await;
    let activity = events(&close, &lead, "activity.task_completed", "created").await;
    let request = activity[0]["request_id"].clone();
    for (object_type, action) in [("task.lead", "completed"), ("task.lead", "updated"), ("lead", "updated")] {
        let found = events(&close, &lead, object_type, action).await;
        assert_eq!((found.len(), &found[0]["request_id"]), (1, &request), "{object_type}.{action}");
    }
    let update = &events(&close, &lead, "lead", "updated").await[0];
    assert_eq!(update["changed_fields"], json!(["date_updated"]));
    assert_eq!(update["previous_data"]["date_updated"], made["date_created"]);
    assert_eq!((&activity[0]["data"]["task_id"], &activity[0]["data"]["task_text"]), (&made["id"], &json!("Call")));
    let listed = close.get(&format!("activity/task_completed/?lead_id={}", id(&lead))).await;
    assert_eq!((listed.rows().len(), &listed.rows()[0]["_type"]), (1, &json!("TaskCompleted")));
    assert_eq!(listed.rows()[0]["task_assigned_to_name"], "Mara Voss");
}

/// Catalogue: `activity.task_completed` deleted. Quirk 28.
#[tokio::test]
async fn quirk_28_reopening_a_task_takes_the_activity_away() {
    let close = Close::start().await;
    let lead = lead(&close).await;
    let made = task(&close, &lead, json!({ "text": "Call" })).await;
    let path = format!("task/{}/", id(&made));
    close.put(&path, json!({ "is_complete": true })).await;
    close.advance(60.0).await;
    close.put(&path, json!({ "is_complete": false })).await;
    let deleted = &events(&close, &lead, "activity.task_completed", "deleted").await[0];
    let update = &events(&close, &lead, "task.lead", "updated").await[0];
    assert_eq!(deleted["request_id"], update["request_id"]);
    assert_eq!(
        (&update["previous_data"]["is_complete"], &update["data"]["is_complete"]),
        (&json!(true), &json!(false))
    );
    assert!(close.get(&format!("activity/task_completed/?lead_id={}", id(&lead))).await.rows().is_empty());
}

/// Catalogue: `task.<subtype>` of the types that only the system makes.
#[tokio::test]
async fn each_type_of_system_task_has_events_and_fields_of_its_own() {
    let close = Close::start().await;
    let lead = lead(&close).await;
    let deal = close.make("opportunity/", json!({ "lead_id": lead["id"], "value": 5000, "note": "soon" })).await;
    let sms = perform(
        &close,
        json!({ "action": "receive_sms", "lead_id": lead["id"], "text": "hello", "remote_phone": "+4943100001" }),
    )
    .await;
    for ty in [
        "incoming_email",
        "email_followup",
        "missed_call",
        "answered_detached_call",
        "voicemail",
        "opportunity_due",
        "incoming_sms",
    ] {
        let object = match ty {
            "opportunity_due" => deal["id"].clone(),
            "incoming_sms" => json!(sms),
            _ => Value::Null,
        };
        let task =
            perform(&close, json!({ "action": "raise_task", "type": ty, "lead_id": lead["id"], "object_id": object }))
                .await;
        let kind = format!("task.{ty}");
        assert_eq!(events(&close, &lead, &kind, "created").await[0]["user_id"], Value::Null);
        let path = format!("task/{task}/");
        let shown = close.put(&path, json!({ "is_complete": true })).await.body;
        assert_eq!((&shown["_type"], &shown["view"], task.starts_with("noti_")), (&json!(ty), &json!("archive"), true));
        for action in ["updated", "completed"] {
            assert_eq!(events(&close, &lead, &kind, action).await.len(), 1, "{kind}.{action}");
        }
        match ty {
            "opportunity_due" => {
                assert_eq!((&shown["opportunity_value"], &shown["opportunity_note"]), (&json!(5000), &json!("soon")));
                assert_eq!(
                    (&shown["opportunity_value_formatted"], &shown["object_type"]),
                    (&json!("€50"), &json!("opportunity"))
                );
            }
            "incoming_sms" => {
                assert_eq!(
                    (&shown["text"], &shown["remote_phone_formatted"]),
                    (&json!("hello"), &json!("+49 431 00001"))
                );
            }
            _ => assert!(shown.get("opportunity_value").is_none() && shown.get("remote_phone").is_none(), "{shown}"),
        }
        assert_eq!(close.delete(&path).await.status, 200);
        assert_eq!(events(&close, &lead, &kind, "deleted").await.len(), 1);
    }
}

#[tokio::test]
async fn a_task_completed_activity_can_be_deleted_by_itself() {
    let close = Close::start().await;
    let lead = lead(&close).await;
    let made = task(&close, &lead, json!({ "text": "Call" })).await;
    close.put(&format!("task/{}/", id(&made)), json!({ "is_complete": true })).await;
    let list = format!("activity/task_completed/?lead_id={}", id(&lead));
    let activity = id(&close.get(&list).await.rows()[0]).to_owned();
    assert_eq!(close.delete(&format!("activity/task_completed/{activity}/")).await.body, json!({}));
    assert!(close.get(&list).await.rows().is_empty());
    assert_eq!(close.get(&format!("task/{}/", id(&made))).await.body["is_complete"], true);
}
