//! Sequences and their subscriptions.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Close;

/// A sequence of two steps, a lead, and a contact of it.
async fn enrolled(close: &Close) -> (Value, Value, Value) {
    let template = close.make("email_template/", json!({ "name": "First" })).await;
    let steps = json!([{ "step_type": "email", "email_template_id": template["id"] },
        { "step_type": "call", "delay": 86_400 }]);
    let sequence = close.make("sequence/", json!({ "name": "Outreach", "steps": steps })).await;
    let lead = close.make("lead/", json!({ "name": "Nordlicht" })).await;
    let emails = json!([{ "email": "ida@nordlicht.example", "type": "office" }]);
    let contact = close.make("contact/", json!({ "lead_id": lead["id"], "name": "Ida", "emails": emails })).await;
    (sequence, lead, contact)
}

fn subscription(sequence: &Value, contact: &Value) -> Value {
    json!({ "sequence_id": sequence["id"], "contact_id": contact["id"], "contact_email": "ida@nordlicht.example" })
}

#[tokio::test]
async fn quirk_15_a_sequence_embeds_its_steps_and_has_naive_dates() {
    // Section 12, item 15.
    let close = Close::start().await;
    let (sequence, _, _) = enrolled(&close).await;
    let steps = sequence["steps"].as_array().unwrap();
    assert_eq!((steps.len(), &steps[0]["step_type"], &steps[1]["delay"]), (2, &json!("email"), &json!(86_400)));
    assert!(steps[0]["id"].as_str().unwrap().starts_with("seqstep_"));
    let created = sequence["date_created"].as_str().unwrap();
    assert!(!created.contains('+') && !created.ends_with('Z'), "{created} is not naive");
    assert_eq!((&sequence["status"], &sequence["allow_manual_enrollment"]), (&json!("active"), &json!(true)));
    assert_eq!(close.get("sequence/?_limit=1000").await.status, 200);
    assert_eq!(close.get("sequence/?_limit=1001").await.status, 400);
}

#[tokio::test]
async fn steps_that_are_put_back_keep_their_ids_and_new_ones_get_one() {
    let close = Close::start().await;
    let (sequence, _, _) = enrolled(&close).await;
    let path = format!("sequence/{}/", sequence["id"].as_str().unwrap());
    let mut steps = sequence["steps"].as_array().unwrap().clone();
    steps.push(json!({ "step_type": "task" }));
    let after = close.put(&path, json!({ "steps": steps })).await.body;
    assert_eq!((&after["steps"][0]["id"], &after["steps"][1]["id"]), (&steps[0]["id"], &steps[1]["id"]));
    assert!(after["steps"][2]["id"].is_string());
    let wrong = close.put(&path, json!({ "steps": [{ "step_type": "email" }] })).await;
    assert_eq!(wrong.status, 400, "an email step needs its template: {}", wrong.text);
    assert_eq!(close.put(&path, json!({ "steps": [{ "step_type": "dance" }] })).await.status, 400);
}

#[tokio::test]
async fn only_a_single_get_counts_the_subscriptions_by_status() {
    let close = Close::start().await;
    let (sequence, _, contact) = enrolled(&close).await;
    close.make("sequence_subscription/", subscription(&sequence, &contact)).await;
    let single = close.get(&format!("sequence/{}/", sequence["id"].as_str().unwrap())).await.body;
    let counts = &single["subscription_counts_by_status"];
    assert_eq!((&counts["active"], &counts["paused"], &counts["finished"]), (&json!(1), &json!(0), &json!(0)));
    assert!(close.get("sequence/").await.rows().iter().all(|row| row.get("subscription_counts_by_status").is_none()));
}

#[tokio::test]
async fn quirk_12_a_list_of_subscriptions_needs_a_sequence_a_contact_or_a_lead() {
    // Section 12, item 12.
    let close = Close::start().await;
    let (sequence, lead, contact) = enrolled(&close).await;
    let made = close.post("sequence_subscription/", subscription(&sequence, &contact)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    for path in ["sequence_subscription/", "sequence_subscription/?_limit=10", "sequence_subscription/?sequence_id="] {
        let refused = close.get(path).await;
        assert!(refused.status == 400 && refused.body["error"].is_string(), "{path}: {}", refused.text);
    }
    for (name, of) in [("sequence_id", &sequence), ("contact_id", &contact), ("lead_id", &lead)] {
        let list = close.get(&format!("sequence_subscription/?{name}={}", of["id"].as_str().unwrap())).await;
        assert_eq!(list.rows().len(), 1, "by {name}: {}", list.text);
        assert_eq!(list.rows()[0]["id"], made.body["id"]);
    }
    let other = close.make("lead/", json!({ "name": "Other" })).await;
    let none = close.get(&format!("sequence_subscription/?lead_id={}", other["id"].as_str().unwrap())).await;
    assert!(none.rows().is_empty());
}

#[tokio::test]
async fn a_subscription_is_paused_and_resumed_but_never_deleted() {
    let close = Close::start().await;
    let (sequence, _, contact) = enrolled(&close).await;
    let made = close.make("sequence_subscription/", subscription(&sequence, &contact)).await;
    assert_eq!((&made["status"], &made["contact_email"]), (&json!("active"), &json!("ida@nordlicht.example")));
    let path = format!("sequence_subscription/{}/", made["id"].as_str().unwrap());
    let paused = close.put(&path, json!({ "status": "paused" })).await.body;
    assert_eq!((&paused["status"], &paused["pause_reason"]), (&json!("paused"), &json!("manual")));
    let resumed = close.put(&path, json!({ "status": "active", "sender_name": "Mara" })).await.body;
    assert_eq!((&resumed["pause_reason"], &resumed["sender_name"]), (&json!(null), &json!("Mara")));
    assert_eq!(close.delete(&path).await.status, 405);
    let twice = close.post("sequence_subscription/", subscription(&sequence, &contact)).await;
    assert_eq!(twice.status, 400, "subscribed already: {}", twice.text);
    assert_eq!(close.post("sequence_subscription/", json!({ "sequence_id": sequence["id"] })).await.status, 400);
}

#[tokio::test]
async fn sequences_are_403_for_who_may_not_manage_them() {
    let close = Close::start().await;
    let (sequence, _, contact) = enrolled(&close).await;
    let refused = Close::send(close.request("agent", Method::POST, "sequence/").json(&json!({ "name": "X" }))).await;
    assert_eq!(refused.status, 403, "{}", refused.text);
    assert_eq!(close.get_as("agent", &format!("sequence/{}/", sequence["id"].as_str().unwrap())).await.status, 200);
    let request = close.request("restricted", Method::POST, "sequence_subscription/");
    assert_eq!(Close::send(request.json(&subscription(&sequence, &contact))).await.status, 403);
}

#[tokio::test]
async fn subscriptions_tell_and_go_with_their_sequence() {
    // Section 6.5: sequence_subscription.
    let close = Close::start().await;
    let (sequence, lead, contact) = enrolled(&close).await;
    let made = close.make("sequence_subscription/", subscription(&sequence, &contact)).await;
    let id = made["id"].as_str().unwrap();
    close.advance(60.0).await;
    close.put(&format!("sequence_subscription/{id}/"), json!({ "status": "finished" })).await;
    close.advance(60.0).await;
    close.delete(&format!("sequence/{}/", sequence["id"].as_str().unwrap())).await;
    let events = close.events_of(id, "sequence_subscription").await;
    let actions: Vec<_> = events.iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["deleted", "updated", "created"]);
    assert!(events.iter().all(|event| event["lead_id"] == lead["id"]));
    assert_eq!(close.get(&format!("sequence_subscription/{id}/")).await.status, 404);
}

#[tokio::test]
async fn a_lead_takes_its_subscriptions_with_it() {
    let close = Close::start().await;
    let (sequence, lead, contact) = enrolled(&close).await;
    let made = close.make("sequence_subscription/", subscription(&sequence, &contact)).await;
    let id = made["id"].as_str().unwrap();
    assert_eq!(close.delete(&format!("lead/{}/", lead["id"].as_str().unwrap())).await.status, 200);
    assert_eq!(close.get(&format!("sequence_subscription/{id}/")).await.status, 404);
    let event = &close.events_of(id, "sequence_subscription").await[0];
    assert_eq!((&event["action"], &event["previous_data"]["contact_id"]), (&json!("deleted"), &contact["id"]));
}
