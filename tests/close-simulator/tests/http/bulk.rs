//! Bulk actions: asynchronous, in portions, each object with its event.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Close;

/// A simulator whose clock is stopped between moves.
async fn still() -> Close {
    let close = Close::start().await;
    assert_eq!(close.post("/_control/clock/", json!({ "rate": 0 })).await.status, 200);
    close
}

async fn leads(close: &Close, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..count {
        let lead = close.make("lead/", json!({ "name": format!("Bulk {n}") })).await;
        ids.push(lead["id"].as_str().unwrap().to_owned());
    }
    ids
}

/// The present state of an action.
async fn now(close: &Close, kind: &str, action: &Value) -> Value {
    close.get(&format!("bulk_action/{kind}/{}/", action["id"].as_str().unwrap())).await.body
}

fn actions(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["action"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn quirk_28_a_bulk_delete_runs_in_portions_and_names_itself_in_every_event() {
    // Section 12, item 28: the bulk spread. Section 6.5: bulk_action.delete.
    let close = still().await;
    let ids = leads(&close, 120).await;
    let action = close.make("bulk_action/delete/", json!({ "query": "name:Bulk", "send_done_email": false })).await;
    assert_eq!(
        (&action["status"], &action["bulk_object_type"], &action["n_leads"]),
        (&json!("created"), &json!("lead"), &json!(null))
    );
    assert!(
        action.get("type").is_none() && action.get("template_id").is_none(),
        "fields of other kinds are absent: {action}"
    );
    let mut seen = vec![];
    let mut left = vec![];
    for _ in 0..12 {
        let state = now(&close, "delete", &action).await;
        seen.push(state["status"].as_str().unwrap().to_owned());
        left.push(state["n_leads_processed"].as_i64().unwrap());
        close.advance(0.5).await;
    }
    seen.dedup();
    left.dedup();
    assert_eq!(seen, ["created", "loading", "processing", "done"]);
    assert!(left.len() >= 4, "in several portions: {left:?}");
    let done = now(&close, "delete", &action).await;
    assert_eq!((&done["n_leads_processed"], &done["n_objects_processed"]), (&done["n_leads"], &done["n_objects"]));
    assert!(done["n_leads"].as_i64().unwrap() >= 120);
    let mut times = Vec::new();
    for id in [&ids[0], &ids[60], &ids[119]] {
        assert_eq!(close.get(&format!("lead/{id}/")).await.status, 404);
        let event = &close.events_of(id, "lead").await[0];
        assert_eq!((&event["action"], &event["meta"]["bulk_action_id"]), (&json!("deleted"), &action["id"]));
        times.push(event["date_created"].clone());
    }
    assert!(times[0] != times[1] || times[1] != times[2], "spread over the steps: {times:?}");
    let events = close.events_of(action["id"].as_str().unwrap(), "bulk_action.delete").await;
    let actions = actions(&events);
    assert_eq!((actions[0], actions[actions.len() - 1]), ("completed", "created"));
    assert!(actions.contains(&"updated"));
}

#[tokio::test]
async fn a_bulk_edit_sets_a_custom_field_of_what_it_finds() {
    // Section 6.5: bulk_action.edit.
    let close = Close::start().await;
    let ids = leads(&close, 3).await;
    let field = close.make("custom_field/lead/", json!({ "name": "Wave", "type": "text" })).await;
    let body = json!({
        "query": "name:Bulk", "type": "set_custom_field", "custom_field_name": "Wave", "custom_field_value": "7"
    });
    let action = close.make("bulk_action/edit/", body).await;
    assert_eq!((&action["type"], &action["custom_field_id"]), (&json!("set_custom_field"), &field["id"]));
    assert_eq!(action["lead_status_id"], json!(null));
    close.advance(10.0).await;
    let key = format!("custom.{}", field["id"].as_str().unwrap());
    let lead = close.get(&format!("lead/{}/", ids[1])).await.body;
    assert_eq!(lead[&key], "7");
    let event = &close.events_of(&ids[1], "lead").await[0];
    assert_eq!((&event["action"], &event["meta"]["bulk_action_id"]), (&json!("updated"), &action["id"]));
    close
        .make(
            "bulk_action/edit/",
            json!({ "query": "name:Bulk", "type": "clear_custom_field", "custom_field_id": field["id"] }),
        )
        .await;
    close.advance(10.0).await;
    assert!(close.get(&format!("lead/{}/", ids[1])).await.body.get(&key).is_none());
    let events = close.events_of(action["id"].as_str().unwrap(), "bulk_action.edit").await;
    assert_eq!(events.last().unwrap()["action"], "created");
    assert_eq!(events[0]["action"], "completed");
}

#[tokio::test]
async fn a_bulk_action_without_what_its_kind_needs_is_refused() {
    let close = Close::start().await;
    for (kind, body, field) in [
        ("edit", json!({}), "type"),
        ("edit", json!({ "type": "set_lead_status" }), "lead_status_id"),
        ("edit", json!({ "type": "set_custom_field" }), "custom_field_id"),
        ("edit", json!({ "type": "set_custom_field", "custom_field_name": "Owner" }), "custom_field_value"),
        ("edit", json!({ "type": "clear_custom_field", "custom_field_name": "None such" }), "custom_field_name"),
        ("email", json!({}), "template_id"),
        ("delete", json!({ "bulk_object_type": "planet" }), "bulk_object_type"),
        ("sequence_subscription", json!({}), "action_type"),
        ("sequence_subscription", json!({ "action_type": "subscribe" }), "sequence_id"),
    ] {
        let refused = close.post(&format!("bulk_action/{kind}/"), body).await;
        assert!(refused.status == 400 && !refused.body["field-errors"][field].is_null(), "{kind}: {}", refused.text);
    }
}

#[tokio::test]
async fn each_bulk_action_has_its_path_and_its_permission() {
    let close = Close::start().await;
    let action = close.make("bulk_action/delete/", json!({ "query": "name:Nobody", "results_limit": 0 })).await;
    let id = action["id"].as_str().unwrap();
    assert!(close.get("bulk_action/delete/").await.rows().iter().any(|row| row["id"] == id));
    for kind in ["email", "edit", "sequence_subscription"] {
        let list = close.get(&format!("bulk_action/{kind}/")).await;
        assert!(list.body["has_more"].is_boolean() && list.rows().iter().all(|row| row["id"] != id));
        assert_eq!(close.get(&format!("bulk_action/{kind}/{id}/")).await.status, 404);
    }
    for kind in ["delete", "edit"] {
        let request = close.request("agent", Method::POST, &format!("bulk_action/{kind}/"));
        assert_eq!(Close::send(request.json(&json!({}))).await.status, 403);
    }
    assert_eq!(close.delete(&format!("bulk_action/delete/{id}/")).await.status, 405);
}

#[tokio::test]
async fn a_paused_bulk_action_stands_still_until_it_is_resumed() {
    // Section 6.5: bulk_action.*, paused.
    let close = still().await;
    let ids = leads(&close, 60).await;
    let action = close.make("bulk_action/delete/", json!({ "query": "name:Bulk" })).await;
    let path = format!("bulk_action/delete/{}/", action["id"].as_str().unwrap());
    let paused = close.put(&path, json!({ "status": "paused" })).await;
    assert_eq!((paused.status, &paused.body["status"]), (200, &json!("paused")));
    close.advance(60.0).await;
    assert_eq!(now(&close, "delete", &action).await["status"], "paused");
    assert_eq!(close.get(&format!("lead/{}/", ids[0])).await.status, 200);
    assert_eq!(close.put(&path, json!({ "status": "resuming" })).await.body["status"], "resuming");
    close.advance(60.0).await;
    assert_eq!(now(&close, "delete", &action).await["status"], "done");
    assert_eq!(close.get(&format!("lead/{}/", ids[0])).await.status, 404);
    assert_eq!(close.put(&path, json!({ "status": "paused" })).await.status, 400, "it is done");
    let events = close.events_of(action["id"].as_str().unwrap(), "bulk_action.delete").await;
    assert!(actions(&events).contains(&"paused"));
}

#[tokio::test]
async fn bulk_actions_on_sequences_and_mails_reach_the_contacts() {
    // Section 6.5: bulk_action.email, bulk_action.sequence_subscription.
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "Bulk mail" })).await;
    let emails = json!([{ "email": "ida@nordlicht.example", "type": "office" }]);
    let contact = close.make("contact/", json!({ "lead_id": lead["id"], "name": "Ida", "emails": emails })).await;
    let sequence = close.make("sequence/", json!({ "name": "Outreach" })).await;
    let body = json!({
        "query": "name:Bulk", "action_type": "subscribe", "sequence_id": sequence["id"],
        "contact_preference": "contact",
        "sender_account_id": "emailacct_x", "sender_name": "Mara", "sender_email": "mara@composed.example",
    });
    let subscribed = close.make("bulk_action/sequence_subscription/", body).await;
    close.advance(10.0).await;
    let of_contact = format!("sequence_subscription/?contact_id={}", contact["id"].as_str().unwrap());
    let list = close.get(&of_contact).await;
    assert_eq!((list.rows().len(), &list.rows()[0]["sender_name"]), (1, &json!("Mara")), "{}", list.text);
    let paused = json!({ "query": "name:Bulk", "action_type": "pause" });
    close.make("bulk_action/sequence_subscription/", paused).await;
    close.advance(10.0).await;
    assert_eq!(close.get(&of_contact).await.rows()[0]["status"], "paused");

    let template =
        close.make("email_template/", json!({ "name": "News", "subject": "News for {{ lead.name }}" })).await;
    let mailed = close.make("bulk_action/email/", json!({ "query": "name:Bulk", "template_id": template["id"] })).await;
    assert_eq!(mailed["contact_preference"], "lead");
    close.advance(10.0).await;
    let mails = close.get(&format!("activity/email/?lead_id={}", lead["id"].as_str().unwrap())).await;
    assert_eq!(mails.rows().len(), 1, "{}", mails.text);
    for (action, kind) in [(&subscribed, "sequence_subscription"), (&mailed, "email")] {
        let events = close.events_of(action["id"].as_str().unwrap(), &format!("bulk_action.{kind}")).await;
        assert_eq!(actions(&events).first(), Some(&"completed"), "{kind}");
    }
}
