//! Rows of the catalogue (section 6.5): activities that other changes create, and custom activities.

use serde_json::{Value, json};

use crate::{
    client::Close,
    rows::{bare, changed, count, gone, id, lead, put, settle, told},
};

/// The id of the newest activity of a path.
async fn newest(close: &Close, path: &str) -> String {
    id(&close.get(&format!("activity/{path}/?_limit=1")).await.rows()[0]).to_owned()
}

async fn statuses(close: &Close) -> Vec<Value> {
    close.get("status/lead/").await.rows().iter().map(|status| status["id"].clone()).collect()
}

/// The remark: each `created` also causes `lead.updated`. Section 6.4: `updated` and `deleted` come within the window.
#[tokio::test]
async fn row_activity_lead_status_change_is_created_updated_and_deleted() {
    let close = bare().await;
    let statuses = statuses(&close).await;
    let lead = lead(&close, "Nordlicht").await;
    let path = format!("lead/{}/", id(&lead));
    close.put(&path, json!({ "status_id": statuses[1] })).await;
    let activity = newest(&close, "status_change/lead").await;
    close.put(&path, json!({ "status_id": statuses[2] })).await;
    close.put(&path, json!({ "status_id": statuses[0] })).await;
    let object_type = "activity.lead_status_change";
    let events = told(&close, object_type, &activity, &lead["id"], &["created", "updated", "deleted"]).await;
    assert!(changed(&events[1]).contains("new_status_id"), "{}", events[1]);
    settle(&close).await;
    let before = count(&close, &lead, "lead", "updated").await;
    close.put(&path, json!({ "status_id": statuses[1] })).await;
    assert_eq!(count(&close, &lead, object_type, "created").await, 2);
    assert_eq!(count(&close, &lead, "lead", "updated").await, before + 1);
    let update = &close.events_of(id(&lead), "lead").await[0];
    let created = &close.events_of(&newest(&close, "status_change/lead").await, object_type).await[0];
    assert_eq!(update["request_id"], created["request_id"]);
}

/// The remark: each `created` also causes `opportunity.updated`.
#[tokio::test]
async fn row_activity_opportunity_status_change_is_created_updated_and_deleted() {
    let close = bare().await;
    let lead = lead(&close, "Nordlicht").await;
    let made = close.make("opportunity/", json!({ "lead_id": lead["id"] })).await;
    settle(&close).await;
    let path = format!("opportunity/{}/", id(&made));
    close.put(&path, json!({ "status": "Proposal" })).await;
    let activity = newest(&close, "status_change/opportunity").await;
    close.put(&path, json!({ "status": "Won" })).await;
    close.put(&path, json!({ "status_id": made["status_id"] })).await;
    let object_type = "activity.opportunity_status_change";
    let events = told(&close, object_type, &activity, &lead["id"], &["created", "updated", "deleted"]).await;
    assert!(changed(&events[1]).contains("new_status_id"), "{}", events[1]);
    settle(&close).await;
    close.put(&path, json!({ "status": "Won" })).await;
    let update = &close.events_of(id(&made), "opportunity").await[0];
    let created = &close.events_of(&newest(&close, "status_change/opportunity").await, object_type).await[0];
    assert_eq!((&update["action"], &update["request_id"]), (&json!("updated"), &created["request_id"]));
}

/// The remark: `created` also causes task `completed`, task `updated` and lead `updated`. There is no `updated`.
#[tokio::test]
async fn row_activity_task_completed_is_created_and_deleted() {
    let close = bare().await;
    let lead = lead(&close, "Nordlicht").await;
    let task = close.make("task/", json!({ "lead_id": lead["id"], "text": "Call" })).await;
    settle(&close).await;
    let path = format!("task/{}/", id(&task));
    put(&close, &path, json!({ "is_complete": true })).await;
    let activity = newest(&close, "task_completed").await;
    put(&close, &path, json!({ "is_complete": false })).await;
    let events = told(&close, "activity.task_completed", &activity, &lead["id"], &["created", "deleted"]).await;
    for (object, object_type, action) in
        [(id(&task), "task.lead", "completed"), (id(&task), "task.lead", "updated"), (id(&lead), "lead", "updated")]
    {
        let beside = close.events_of(object, object_type).await;
        let is = |event: &&Value| event["action"] == action && event["request_id"] == events[0]["request_id"];
        assert_eq!(beside.iter().filter(is).count(), 1, "{object_type}.{action}");
    }
}

#[tokio::test]
async fn row_activity_custom_activity_is_created_updated_and_deleted() {
    let close = bare().await;
    let lead = lead(&close, "Nordlicht").await;
    let of = close.make("custom_activity/", json!({ "name": "Visit" })).await;
    let field = json!({ "name": "Mood", "type": "text", "custom_activity_type_id": of["id"] });
    let key = format!("custom.{}", id(&close.make("custom_field/activity/", field).await));
    let body = json!({ "lead_id": lead["id"], "custom_activity_type_id": of["id"], &key: "good" });
    let made = close.make("activity/custom/", body).await;
    settle(&close).await;
    let path = format!("activity/custom/{}/", id(&made));
    put(&close, &path, json!({ &key: "better" })).await;
    gone(&close, &path).await;
    let events =
        told(&close, "activity.custom_activity", id(&made), &lead["id"], &["created", "updated", "deleted"]).await;
    assert!(changed(&events[1]).is_superset(&["date_updated", key.as_str()].into()), "{}", events[1]);
    assert_eq!(
        (&events[1]["previous_data"][&key], &events[2]["previous_data"][&key]),
        (&json!("good"), &json!("better"))
    );
}

/// The remark: both spellings. A completed merge keeps its activity, so it is deleted with the source of a failed one.
#[tokio::test]
async fn row_activity_lead_merge_is_created_updated_and_deleted_in_both_spellings() {
    for (spelling, object_type) in [("activity", "activity.lead_merge"), ("plain", "lead_merge")] {
        let close = bare().await;
        close.switch(json!({ "merge_errors": 1.0, "merge_spelling": spelling })).await;
        let (source, destination) = (lead(&close, "Source").await, lead(&close, "Destination").await);
        close.make("lead/merge/", json!({ "source": source["id"], "destination": destination["id"] })).await;
        let activity = newest(&close, "lead_merge").await;
        settle(&close).await;
        let mut actions = vec!["created", "updated"];
        let events = told(&close, object_type, &activity, &source["id"], &actions).await;
        assert!(changed(&events[1]).contains("merge_status"), "{}", events[1]);
        assert_eq!(
            (&events[0]["data"]["merge_status"], &events[1]["data"]["merge_status"]),
            (&json!("pending"), &json!("errored"))
        );
        gone(&close, &format!("lead/{}/", id(&source))).await;
        actions.push("deleted");
        told(&close, object_type, &activity, &source["id"], &actions).await;
    }
}
