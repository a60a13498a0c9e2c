//! Statuses and pipelines (section 4.8, catalogue rows `status.lead` and `status.opportunity`).

use serde_json::{Value, json};

use crate::client::Close;

fn at(path: &str, object: &Value) -> String {
    format!("{path}{}/", object["id"].as_str().unwrap())
}

#[tokio::test]
async fn statuses_are_bare_lists_without_dates_and_can_be_read_one_by_one() {
    let close = Close::bare().await;
    let leads = close.get("status/lead/?_limit=2&_skip=1").await;
    assert_eq!((leads.rows().len(), &leads.body["has_more"]), (7, &json!(false)));
    let keys: Vec<&String> = leads.rows()[0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["id", "organization_id", "label"]);
    let opportunities = close.get("status/opportunity/").await;
    let first = &opportunities.rows()[0];
    assert_eq!((&first["label"], &first["type"]), (&json!("Demo Scheduled"), &json!("active")));
    assert_eq!(close.get(&at("status/opportunity/", first)).await.body, *first);
    assert_eq!(close.get(&at("status/lead/", first)).await.status, 404, "the same prefix, but another kind");
    let pipelines = close.get("pipeline/").await;
    assert_eq!(first["pipeline_id"], pipelines.rows()[0]["id"]);
}

#[tokio::test]
async fn a_status_has_events_of_creation_update_and_deletion() {
    let close = Close::bare().await;
    for (path, kind, extra) in [
        ("status/lead/", "status.lead", json!({})),
        ("status/opportunity/", "status.opportunity", json!({ "type": "won" })),
    ] {
        let mut body = json!({ "label": "Thinking" });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let made = close.post(path, body).await;
        assert_eq!(made.status, 200, "{}", made.text);
        close.advance(10.0).await;
        assert_eq!(close.put(&at(path, &made.body), json!({ "label": "Dreaming" })).await.body["label"], "Dreaming");
        close.advance(10.0).await;
        let gone = close.delete(&at(path, &made.body)).await;
        assert_eq!((gone.status, gone.text.as_str()), (200, "{}"));
        let events = close.events_of(made.body["id"].as_str().unwrap(), kind).await;
        let actions: Vec<&str> = events.iter().map(|event| event["action"].as_str().unwrap()).collect();
        assert_eq!(actions, ["deleted", "updated", "created"], "{kind}");
        assert_eq!(events[1]["changed_fields"], json!(["label"]));
        assert_eq!(events[1]["previous_data"], json!({ "label": "Thinking" }));
        assert_eq!(events[0]["previous_data"]["label"], "Dreaming");
    }
    for (path, body, field) in [
        ("status/lead/", json!({}), "label"),
        ("status/lead/", json!({ "label": "" }), "label"),
        ("status/opportunity/", json!({ "label": "x", "type": "maybe" }), "type"),
        ("status/opportunity/", json!({ "label": "x", "pipeline_id": "pipe_none" }), "pipeline_id"),
    ] {
        let reply = close.post(path, body).await;
        assert_eq!(reply.status, 400);
        assert!(reply.body["field-errors"][field].is_string(), "{}", reply.text);
    }
}

/// Section 12, item 20, for the status itself: a rename has one event, of the status and of no record. Records store
/// only the id.
#[tokio::test]
async fn quirk_20_a_renamed_status_has_one_event_and_shows_immediately() {
    let close = Close::bare().await;
    let status = close.get("status/lead/").await.rows()[0].clone();
    let lead = close.make("lead/", json!({ "name": "Nordlicht", "status_id": status["id"] })).await;
    let lead_events = close.events_of(lead["id"].as_str().unwrap(), "lead").await.len();
    close.advance(60.0).await;
    close.put(&at("status/lead/", &status), json!({ "label": "Prospect" })).await;
    let after = close.get(&at("lead/", &lead)).await.body;
    assert_eq!(after["date_updated"], lead["date_updated"]);
    assert_eq!(after["status_label"], "Prospect");
    assert_eq!(close.events_of(lead["id"].as_str().unwrap(), "lead").await.len(), lead_events);
    assert_eq!(close.events_of(status["id"].as_str().unwrap(), "status.lead").await.len(), 1);
    let me = close.get("me/").await.body;
    assert_eq!(me["organizations"][0]["lead_statuses"][0]["label"], "Prospect");
}

/// Section 12, items 5, 15: naive dates; 201 and 204; and no event of the pipeline itself.
#[tokio::test]
async fn a_pipeline_has_its_statuses_in_order_naive_dates_and_no_events_of_its_own() {
    let close = Close::bare().await;
    let listed = close.get("pipeline/").await;
    let mut copy = listed.rows()[0].clone();
    copy["name"] = "Copy".into();
    copy.as_object_mut().unwrap().retain(|key, _| !matches!(key.as_str(), "id" | "organization_id"));
    let made = close.post("pipeline/", copy.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let pipeline = made.body;
    assert!(!pipeline["date_created"].as_str().unwrap().contains('+'), "{pipeline}");
    let labels = |pipeline: &Value| -> Vec<Value> {
        pipeline["statuses"].as_array().unwrap().iter().map(|s| s["label"].clone()).collect()
    };
    assert_eq!(labels(&pipeline), labels(&listed.rows()[0]));
    assert_ne!(pipeline["statuses"][0]["id"], copy["statuses"][0]["id"], "copied, not moved");

    let mut statuses = pipeline["statuses"].as_array().unwrap().clone();
    statuses.reverse();
    statuses.push(json!({ "label": "Paused", "type": "active" }));
    let changed = close.put(&at("pipeline/", &pipeline), json!({ "statuses": statuses })).await.body;
    assert_eq!(labels(&changed), ["Lost", "Won", "Contract Sent", "Proposal", "Demo Scheduled", "Paused"]);
    let listed = close.get("status/opportunity/").await;
    let here: Vec<&Value> =
        listed.rows().iter().filter(|s| s["pipeline_id"] == pipeline["id"]).map(|s| &s["label"]).collect();
    assert_eq!(here, ["Lost", "Won", "Contract Sent", "Proposal", "Demo Scheduled", "Paused"]);

    let bad = close
        .post("pipeline/", json!({ "name": "Bad", "statuses": [{ "label": "a" }, { "label": "b", "type": "x" }] }))
        .await;
    assert_eq!(bad.status, 400);
    assert!(bad.body["field-errors"]["statuses"]["errors"]["1"]["field-errors"]["type"].is_string(), "{}", bad.text);

    let gone = close.delete(&at("pipeline/", &pipeline)).await;
    assert_eq!((gone.status, gone.text.as_str()), (204, ""));
    assert_eq!(close.get("pipeline/").await.rows().len(), 2);
    let events = close.get("event/").await;
    let types: std::collections::BTreeSet<&str> =
        events.rows().iter().map(|e| e["object_type"].as_str().unwrap()).collect();
    assert_eq!(types.into_iter().collect::<Vec<_>>(), ["status.opportunity"]);
}

#[tokio::test]
async fn the_last_pipeline_and_the_last_status_stay() {
    let close = Close::bare().await;
    let pipelines = close.get("pipeline/").await;
    assert_eq!(close.delete(&at("pipeline/", &pipelines.rows()[1])).await.status, 204);
    let refused = close.delete(&at("pipeline/", &pipelines.rows()[0])).await;
    assert_eq!(refused.status, 400);
    assert!(refused.body["errors"][0].is_string(), "{}", refused.text);
}

#[tokio::test]
async fn a_status_or_pipeline_that_records_have_cannot_be_deleted() {
    let close = Close::bare().await;
    close.switch(json!({ "used_status": "refuse" })).await;
    let lead = close.make("lead/", json!({ "name": "Nordlicht" })).await;
    let status = json!({ "id": lead["status_id"] });
    assert_eq!(close.delete(&at("status/lead/", &status)).await.status, 400);
    assert_eq!(close.get(&at("lead/", &lead)).await.body["status_id"], status["id"]);
    let opportunity = close.make("opportunity/", json!({ "lead_id": lead["id"] })).await;
    let status = json!({ "id": opportunity["status_id"] });
    assert_eq!(close.delete(&at("status/opportunity/", &status)).await.status, 400);
    let pipeline = close.get(&at("status/opportunity/", &status)).await.body["pipeline_id"].clone();
    assert_eq!(close.delete(&at("pipeline/", &json!({ "id": pipeline }))).await.status, 400);
}

/// Section 8.4: removing a status or a pipeline changes many records silently.
#[tokio::test]
async fn records_of_a_deleted_status_or_pipeline_silently_get_another() {
    let close = Close::bare().await;
    let lead = close.make("lead/", json!({ "name": "Nordlicht" })).await;
    let made =
        close.make("pipeline/", json!({ "name": "New", "statuses": [{ "label": "a" }, { "label": "b" }] })).await;
    let old = made["statuses"][0]["id"].clone();
    let opportunity = close.make("opportunity/", json!({ "lead_id": lead["id"], "status_id": old })).await;
    let read = async |path: String| {
        let shown = close.get(&path).await.body;
        (shown, close.get("event/?_limit=1").await.body["data"][0].clone())
    };

    let before = read(at("lead/", &lead)).await.0;
    assert_eq!(close.delete(&at("status/lead/", &json!({ "id": lead["status_id"] }))).await.status, 200);
    let (after, event) = read(at("lead/", &lead)).await;
    assert_ne!(after["status_id"], before["status_id"]);
    assert!(after["status_label"].is_string(), "{after}");
    assert_eq!((&after["date_updated"], &after["updated_by"]), (&before["date_updated"], &before["updated_by"]));
    assert_eq!((&event["object_type"], &event["action"]), (&json!("status.lead"), &json!("deleted")));

    assert_eq!(close.delete(&at("status/opportunity/", &json!({ "id": old }))).await.status, 200);
    let (after, event) = read(at("opportunity/", &opportunity)).await;
    assert_eq!((&after["status_label"], &after["pipeline_name"]), (&json!("b"), &json!("New")));
    assert_eq!(after["date_updated"], opportunity["date_updated"]);
    assert_eq!(event["object_type"], "status.opportunity");

    assert_eq!(close.delete(&at("pipeline/", &made)).await.status, 204);
    let after = read(at("opportunity/", &opportunity)).await.0;
    assert_ne!(after["pipeline_id"], made["id"]);
    assert!(after["pipeline_name"].is_string() && after["status_label"].is_string(), "{after}");
    assert_eq!(after["date_updated"], opportunity["date_updated"]);
    assert_eq!(
        close
            .get(&format!("activity/?lead_id={}&_type=OpportunityStatusChange", lead["id"].as_str().unwrap()))
            .await
            .rows()
            .len(),
        0
    );
}
