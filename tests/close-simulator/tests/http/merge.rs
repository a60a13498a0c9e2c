//! Lead merges: sections 4.1, 6.5, 8.5 and 12 (item 37) of the reference.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Close;

fn id(object: &Value) -> &str {
    object["id"].as_str().expect("an id")
}

struct Pair {
    source: Value,
    destination: Value,
    opportunity: Value,
    task: Value,
}

async fn pair(close: &Close) -> Pair {
    let source = close
        .make(
            "lead/",
            json!({ "name": "Source", "url": "https://source.example",
                "addresses": [{ "city": "Kiel", "country": "DE" }],
                    "contacts": [{ "name": "One" }, { "name": "Two" }] }),
        )
        .await;
    let destination = close.make("lead/", json!({ "name": "Destination", "contacts": [{ "name": "Three" }] })).await;
    let opportunity = close
        .make("opportunity/", json!({ "lead_id": source["id"], "contact_id": source["contact_ids"][0], "value": 5 }))
        .await;
    let task = close.make("task/", json!({ "lead_id": source["id"], "text": "Call" })).await;
    close.put(&format!("lead/{}/", id(&source)), json!({ "status": "Customer" })).await;
    close.advance(60.0).await;
    Pair { source, destination, opportunity, task }
}

async fn merge(close: &Close, pair: &Pair) -> Value {
    let reply =
        close.post("lead/merge/", json!({ "source": pair.source["id"], "destination": pair.destination["id"] })).await;
    assert_eq!((reply.status, reply.body.is_object()), (200, true), "{}", reply.text);
    close.get("activity/lead_merge/?_limit=1").await.rows()[0].clone()
}

async fn events(close: &Close, lead: &Value, object_type: &str, action: &str) -> Vec<Value> {
    let reply = close.get(&format!("event/?lead_id={}&object_type={object_type}&action={action}", id(lead))).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.rows().to_vec()
}

/// Quirk 37: 200 first, work later.
#[tokio::test]
async fn quirk_37_a_merge_is_answered_at_once_and_done_afterwards() {
    let close = Close::start().await;
    close.post("/_control/clock/", json!({ "rate": 0 })).await;
    let pair = pair(&close).await;
    let activity = merge(&close, &pair).await;
    assert_eq!((&activity["merge_status"], &activity["_type"]), (&json!("pending"), &json!("LeadMerge")));
    assert_eq!((&activity["lead_id"], &activity["source_display_name"]), (&pair.source["id"], &json!("Source")));
    assert_eq!(activity["destination_lead_id"], pair.destination["id"]);
    assert_eq!(close.get(&format!("lead/{}/", id(&pair.source))).await.status, 200);
    close.advance(0.6).await;
    let path = format!("activity/lead_merge/{}/", id(&activity));
    assert_eq!(close.get(&path).await.body["merge_status"], "in_progress");
    close.advance(5.0).await;
    assert_eq!(close.get(&path).await.body["merge_status"], "completed");
    assert_eq!(close.get(&format!("lead/{}/", id(&pair.source))).await.status, 404);

    let lead = close.get(&format!("lead/{}/", id(&pair.destination))).await.body;
    assert_eq!((&lead["name"], &lead["url"]), (&json!("Destination"), &json!("https://source.example")));
    assert_eq!(lead["addresses"][0]["city"], "Kiel");
    let mut contacts: Vec<&str> =
        lead["contacts"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    contacts.sort_unstable();
    assert_eq!(contacts, ["One", "Three", "Two"]);
    // Children keep their ids.
    let opportunity = close.get(&format!("opportunity/{}/", id(&pair.opportunity))).await.body;
    assert_eq!((&opportunity["lead_id"], &opportunity["contact_name"]), (&pair.destination["id"], &json!("One")));
    assert_eq!(close.get(&format!("task/{}/", id(&pair.task))).await.body["lead_id"], pair.destination["id"]);
    let created = close.get(&format!("activity/created/?lead_id={}", id(&pair.destination))).await;
    assert_eq!(created.rows().len(), 1, "the source's own is gone");
}

/// Catalogue: `lead` merged, `activity.lead_merge` created and updated. Quirk 28: the sequence of a merge and its meta.
#[tokio::test]
async fn quirk_28_every_event_of_a_merge_names_both_leads() {
    let close = Close::start().await;
    let pair = pair(&close).await;
    merge(&close, &pair).await;
    close.advance(10.0).await;
    let (source, destination) = (&pair.source, &pair.destination);
    let mut all = Vec::new();
    for (lead, object_type, action, count) in [
        (source, "activity.lead_merge", "created", 1),
        (source, "activity.lead_merge", "updated", 1),
        (destination, "contact", "updated", 2),
        (destination, "opportunity", "updated", 1),
        (destination, "task.lead", "updated", 1),
        (destination, "activity.lead_status_change", "updated", 1),
        (destination, "lead", "updated", 1),
        (destination, "lead", "merged", 1),
        (source, "lead", "deleted", 1),
    ] {
        let found = events(&close, lead, object_type, action).await;
        assert_eq!(found.len(), count, "{object_type}.{action}");
        all.extend(found);
    }
    for event in &all {
        assert_eq!(event["meta"]["merge_source_lead_id"], source["id"], "{event}");
        assert_eq!(event["meta"]["merge_destination_lead_id"], destination["id"], "{event}");
    }
    let of = |object_type: &str, action: &str| {
        all.iter().find(|event| event["object_type"] == object_type && event["action"] == action).expect("an event")
    };
    let moved = of("opportunity", "updated");
    assert!(moved["changed_fields"].as_array().unwrap().contains(&json!("lead_id")));
    assert_eq!(moved["previous_data"]["lead_id"], source["id"]);
    let update = of("lead", "updated");
    assert_eq!(update["previous_data"]["contact_ids"], destination["contact_ids"]);
    assert_eq!(update["data"]["contact_ids"].as_array().unwrap().len(), 3);
    let merged = of("lead", "merged");
    assert_eq!(
        (&merged["object_id"], &merged["lead_id"], &merged["data"]["id"]),
        (&destination["id"], &destination["id"], &destination["id"])
    );
    let deleted = of("lead", "deleted");
    assert_eq!((&deleted["lead_id"], &deleted["previous_data"]["name"]), (&source["id"], &json!("Source")));
    // Deleting the source does not delete its former children.
    assert!(events(&close, source, "contact", "deleted").await.is_empty());
}

#[tokio::test]
async fn quirk_28_object_and_spelling_of_merge_events_can_be_chosen() {
    let close = Close::start().await;
    close.switch(json!({ "merged_object": "source", "merge_spelling": "plain" })).await;
    let pair = pair(&close).await;
    merge(&close, &pair).await;
    close.advance(10.0).await;
    let merged = &events(&close, &pair.destination, "lead", "merged").await[0];
    assert_eq!((&merged["object_id"], &merged["data"]["id"]), (&pair.source["id"], &pair.destination["id"]));
    assert_eq!(events(&close, &pair.source, "lead_merge", "created").await.len(), 1);
    assert!(events(&close, &pair.source, "activity.lead_merge", "created").await.is_empty());
}

#[tokio::test]
async fn quirk_28_children_are_deleted_and_made_anew_by_choice() {
    let close = Close::start().await;
    close.switch(json!({ "merged_children": "recreate" })).await;
    let pair = pair(&close).await;
    merge(&close, &pair).await;
    close.advance(10.0).await;
    assert_eq!(close.get(&format!("opportunity/{}/", id(&pair.opportunity))).await.status, 404);
    let listed = close.get(&format!("opportunity/?lead_id={}", id(&pair.destination))).await;
    let opportunity = &listed.rows()[0];
    assert_eq!((&opportunity["value"], &opportunity["contact_name"]), (&json!(5), &json!("One")));
    assert_eq!(events(&close, &pair.source, "contact", "deleted").await.len(), 2);
    assert_eq!(events(&close, &pair.destination, "opportunity", "created").await.len(), 1);
    let update = &events(&close, &pair.destination, "lead", "updated").await[0];
    assert_eq!(update["previous_data"]["contact_ids"], pair.destination["contact_ids"]);
}

/// Quirk 37: a merge may end `errored`.
#[tokio::test]
async fn quirk_37_an_errored_merge_leaves_the_source_with_half_of_its_children() {
    let close = Close::start().await;
    close.switch(json!({ "merge_errors": 1.0 })).await;
    let pair = pair(&close).await;
    let activity = merge(&close, &pair).await;
    close.advance(10.0).await;
    let activity = close.get(&format!("activity/lead_merge/{}/", id(&activity))).await.body;
    assert_eq!((&activity["merge_status"], activity["error_message"].is_string()), (&json!("errored"), true));
    let source = close.get(&format!("lead/{}/", id(&pair.source))).await;
    assert_eq!((source.status, &source.body["contact_ids"]), (200, &json!([])), "contacts go first");
    assert_eq!(
        close.get(&format!("lead/{}/", id(&pair.destination))).await.body["contact_ids"].as_array().unwrap().len(),
        3
    );
    let left = close.get(&format!("opportunity/{}/", id(&pair.opportunity))).await.body["lead_id"].clone();
    let task = close.get(&format!("task/{}/", id(&pair.task))).await.body["lead_id"].clone();
    assert!(left == pair.source["id"] || task == pair.source["id"]);
    assert!(events(&close, &pair.destination, "lead", "merged").await.is_empty());
}

#[tokio::test]
async fn a_merge_needs_two_leads_and_a_permission() {
    let close = Close::start().await;
    let pair = pair(&close).await;
    let same =
        close.post("lead/merge/", json!({ "source": pair.source["id"], "destination": pair.source["id"] })).await;
    assert_eq!(same.status, 400);
    let reply = close.post("lead/merge/", json!({ "source": pair.source["id"] })).await;
    assert_eq!((reply.status, &reply.body["field-errors"]["destination"]), (400, &json!("This field is required.")));
    let unknown = format!("lead_{}", "0".repeat(43));
    let reply = close.post("lead/merge/", json!({ "source": unknown, "destination": pair.destination["id"] })).await;
    assert_eq!((reply.status, reply.body["error"].is_string()), (404, true));
    let request = close.request("agent", Method::POST, "lead/merge/");
    let body = json!({ "source": pair.source["id"], "destination": pair.destination["id"] });
    assert_eq!(Close::send(request.json(&body)).await.status, 403);
    close.advance(10.0).await;
    assert_eq!(close.get(&format!("lead/{}/", id(&pair.source))).await.status, 200);
    assert!(
        close
            .get("activity/lead_merge/?_limit=5")
            .await
            .rows()
            .iter()
            .all(|row| row["source_lead_id"] != pair.source["id"])
    );
}
