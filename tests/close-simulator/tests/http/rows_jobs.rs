//! Rows of the catalogue (section 6.5): imports, exports, bulk actions.

use serde_json::{Value, json};

use crate::{
    client::Close,
    rows::{bare, changed, gone, id, lead, settle, told_of},
};

#[tokio::test]
async fn row_import_is_created_updated_completed_reverting_and_reverted_without_a_public_get() {
    let close = bare().await;
    let import = close.make("/_control/import/", json!({ "leads": 120 })).await;
    settle(&close).await;
    let events = told_of(&close, "import", id(&import), &["created", "updated", "completed"], "completed").await;
    assert!(events.iter().any(|event| changed(event).contains("n_leads_processed")), "{events:?}");
    close.make(&format!("/_control/import/{}/revert/", id(&import)), json!({})).await;
    settle(&close).await;
    let actions = ["created", "updated", "completed", "reverting", "reverted"];
    told_of(&close, "import", id(&import), &actions, "reverted").await;
    assert_eq!(close.get(&format!("import/{}/", id(&import))).await.status, 404);
}

async fn exported(kind: &str, body: Value) {
    let close = bare().await;
    let lead = lead(&close, "Nordlicht").await;
    close.make("opportunity/", json!({ "lead_id": lead["id"], "value": 1 })).await;
    let export = close.make(&format!("export/{kind}/"), body).await;
    settle(&close).await;
    let events =
        told_of(&close, &format!("export.{kind}"), id(&export), &["created", "updated", "completed"], "completed")
            .await;
    assert!(events.iter().any(|event| changed(event).contains("status")), "{events:?}");
    assert_eq!(
        (&events[0]["data"]["status"], &events[events.len() - 1]["data"]["status"]),
        (&json!("created"), &json!("done"))
    );
}

#[tokio::test]
async fn row_export_lead_is_created_updated_and_completed() {
    exported("lead", json!({ "format": "json", "type": "leads" })).await;
}

#[tokio::test]
async fn row_export_opportunity_is_created_updated_and_completed() {
    exported("opportunity", json!({ "format": "json" })).await;
}

/// Runs one bulk action to its end, paused on the way, over a lead with a contact that has an address.
async fn acted(kind: &str, body: impl AsyncFnOnce(&Close) -> Value) -> (Close, Value, Value) {
    let close = bare().await;
    let lead = lead(&close, "Bulk").await;
    let emails = json!([{ "email": "ida@nordlicht.example" }]);
    close.make("contact/", json!({ "lead_id": lead["id"], "name": "Ida", "emails": emails })).await;
    let mut body = body(&close).await;
    body["query"] = json!("name:Bulk");
    settle(&close).await;
    let action = close.make(&format!("bulk_action/{kind}/"), body).await;
    let path = format!("bulk_action/{kind}/{}/", id(&action));
    close.advance(0.5).await;
    assert_eq!(close.put(&path, json!({ "status": "paused" })).await.body["status"], "paused");
    settle(&close).await;
    assert_eq!(close.put(&path, json!({ "status": "resuming" })).await.status, 200);
    settle(&close).await;
    let actions = ["created", "updated", "paused", "completed"];
    let events = told_of(&close, &format!("bulk_action.{kind}"), id(&action), &actions, "completed").await;
    assert!(events.iter().any(|event| changed(event).contains("n_leads_processed")), "{events:?}");
    let paused = events.iter().find(|event| event["action"] == "paused").unwrap();
    assert_eq!(
        (&paused["data"]["status"], &events[events.len() - 1]["data"]["n_leads"]),
        (&json!("paused"), &json!(1))
    );
    (close, lead, action)
}

/// The action's event on an object names the action (section 6.6).
async fn named(close: &Close, object: &str, object_type: &str, done: &str, action: &Value) {
    let event = &close.events_of(object, object_type).await[0];
    assert_eq!((&event["action"], &event["meta"]["bulk_action_id"]), (&json!(done), &action["id"]), "{event}");
}

#[tokio::test]
async fn row_bulk_action_delete_is_created_updated_paused_and_completed() {
    let (close, lead, action) = acted("delete", async |_| json!({})).await;
    named(&close, id(&lead), "lead", "deleted", &action).await;
}

#[tokio::test]
async fn row_bulk_action_edit_is_created_updated_paused_and_completed() {
    let (close, lead, action) = acted("edit", async |close| {
        let status = close.get("status/lead/").await.rows()[1]["id"].clone();
        json!({ "type": "set_lead_status", "lead_status_id": status })
    })
    .await;
    named(&close, id(&lead), "lead", "updated", &action).await;
}

#[tokio::test]
async fn row_bulk_action_email_is_created_updated_paused_and_completed() {
    let (close, lead, action) = acted("email", async |close| {
        let template = close.make("email_template/", json!({ "name": "News", "subject": "News" })).await;
        json!({ "template_id": template["id"] })
    })
    .await;
    let mail = close.get(&format!("activity/email/?lead_id={}", id(&lead))).await.rows()[0].clone();
    let events = close.events_of(id(&mail), "activity.email").await;
    let created = events.last().unwrap();
    assert_eq!((&created["action"], &created["meta"]["bulk_action_id"]), (&json!("created"), &action["id"]));
}

#[tokio::test]
async fn row_bulk_action_sequence_subscription_is_created_updated_paused_and_completed() {
    let (close, lead, action) = acted("sequence_subscription", async |close| {
        let sequence = close.make("sequence/", json!({ "name": "Outreach" })).await;
        json!({
            "action_type": "subscribe", "sequence_id": sequence["id"], "contact_preference": "contact",
            "sender_account_id": "emailacct_x", "sender_name": "Mara", "sender_email": "mara@composed.example",
        })
    })
    .await;
    let made = close.get(&format!("sequence_subscription/?lead_id={}", id(&lead))).await.rows()[0].clone();
    named(&close, id(&made), "sequence_subscription", "created", &action).await;
    gone(&close, &format!("lead/{}/", id(&lead))).await;
}
