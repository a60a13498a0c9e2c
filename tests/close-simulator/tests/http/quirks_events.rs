//! Section 12, items 22 to 28, across resources: the order of the log, shared moments, the contents of deletes,
//! bundles.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    activities::{perform, text},
    client::Close,
    events::walk,
    rows::{bare, id, lead, put, settle},
};

/// The events of the last request that named a lead, as `type.action`, sorted, with their request.
async fn bundle(close: &Close, lead: &Value) -> (Vec<String>, Value) {
    let all = close.get(&format!("event/?lead_id={}", id(lead))).await.rows().to_vec();
    let request = all[0]["request_id"].clone();
    assert!(request.as_str().is_some_and(|request| request.starts_with("req_")), "{}", all[0]);
    let of = all.iter().filter(|event| event["request_id"] == request);
    let mut names: Vec<String> =
        of.map(|event| format!("{}.{}", text(&event["object_type"]), text(&event["action"]))).collect();
    names.sort();
    (names, request)
}

#[tokio::test]
async fn quirk_22_the_log_descends_by_date_updated_whatever_is_asked() {
    let close = bare().await;
    let (first, second) = (lead(&close, "First").await, lead(&close, "Second").await);
    put(&close, &format!("lead/{}/", id(&first)), json!({ "name": "First again" })).await;
    for query in ["", "_order_by=date_updated", "_order_by=date_created&_skip=1"] {
        let rows = walk(&close, "admin", query).await.concat();
        let stamps: Vec<String> = rows.iter().map(|event| text(&event["date_updated"])).collect();
        assert!(stamps.is_sorted_by(|a, b| a >= b), "{query}: {stamps:?}");
        let order: Vec<&Value> = rows.iter().map(|event| &event["object_id"]).collect();
        assert_eq!(order, [&first["id"], &second["id"], &first["id"]], "{query}");
    }
}

/// The events of one object are in true order even within a millisecond; those of different objects have equal stamps.
#[tokio::test]
async fn quirk_25_events_of_different_objects_share_a_millisecond() {
    let close = bare().await;
    close.switch(json!({ "consolidation_ms": 0 })).await;
    let made = close.make("lead/", json!({ "name": "A", "contacts": [{ "name": "One" }, { "name": "Two" }] })).await;
    for name in ["B", "C"] {
        close.put(&format!("lead/{}/", id(&made)), json!({ "name": name })).await;
    }
    close.make("activity/note/", json!({ "lead_id": made["id"], "note": "x" })).await;
    let rows = close.get(&format!("event/?lead_id={}", id(&made))).await.rows().to_vec();
    let stamps: BTreeSet<&str> = rows.iter().map(|event| event["date_updated"].as_str().unwrap()).collect();
    let objects: BTreeSet<&str> = rows.iter().map(|event| event["object_id"].as_str().unwrap()).collect();
    let ids: BTreeSet<&str> = rows.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!((stamps.len(), objects.len(), ids.len(), rows.len()), (1, 4, 6, 6));
    let names: Vec<&Value> =
        rows.iter().filter(|event| event["object_type"] == "lead").map(|event| &event["data"]["name"]).collect();
    assert_eq!(names, ["C", "B", "A"]);
}

/// Readers without rights lose a delete's `previous_data` like other data; webhooks and admins never do.
#[tokio::test]
async fn quirk_27_events_lose_their_data_after_an_hour_except_for_admins() {
    let close = bare().await;
    let made = lead(&close, "Nordlicht").await;
    let path = format!("lead/{}/", id(&made));
    put(&close, &path, json!({ "name": "Südlicht" })).await;
    close.delete(&path).await;
    let list = format!("event/?object_id={}&object_type=lead", id(&made));
    let rows = async |key: &str| close.get_as(key, &list).await.rows().to_vec();
    let before = rows("admin").await;
    assert_eq!(before[0]["previous_data"]["name"], "Südlicht");
    assert_eq!(rows("agent").await, before, "everybody sees everything at first");
    close.advance(3_601.0).await;
    assert_eq!(rows("admin").await, before);
    let hidden = rows("agent").await;
    assert_eq!(hidden.len(), 3);
    for (row, whole) in hidden.iter().zip(&before) {
        assert!(row.get("data").is_none() && row.get("previous_data").is_none(), "{row}");
        assert_eq!((&row["id"], &row["changed_fields"]), (&whole["id"], &whole["changed_fields"]));
    }
}

/// Every row of section 6.6 that one request causes.
#[tokio::test]
async fn quirk_28_each_composite_operation_gives_its_bundle_under_one_request() {
    let close = bare().await;
    let made = close.make("lead/", json!({ "name": "A", "contacts": [{ "name": "One" }] })).await;
    let is = async |lead: &Value, expected: &[&str]| {
        let (names, _) = bundle(&close, lead).await;
        assert_eq!(names, expected);
        settle(&close).await;
    };
    is(&made, &["contact.created", "lead.created"]).await;
    let path = format!("lead/{}/", id(&made));
    let contact = close.make("contact/", json!({ "lead_id": made["id"], "name": "Two" })).await;
    is(&made, &["contact.created", "lead.updated"]).await;
    close.delete(&format!("contact/{}/", id(&contact))).await;
    is(&made, &["contact.deleted", "lead.updated"]).await;
    close.put(&path, json!({ "status": "Customer" })).await;
    is(&made, &["activity.lead_status_change.created", "lead.updated"]).await;
    let deal = close.make("opportunity/", json!({ "lead_id": made["id"], "value": 1 })).await;
    settle(&close).await;
    close.put(&format!("opportunity/{}/", id(&deal)), json!({ "status": "Won" })).await;
    is(&made, &["activity.opportunity_status_change.created", "opportunity.updated"]).await;
    let task = close.make("task/", json!({ "lead_id": made["id"], "text": "Call" })).await;
    settle(&close).await;
    let done = format!("task/{}/", id(&task));
    close.put(&done, json!({ "is_complete": true })).await;
    is(&made, &["activity.task_completed.created", "lead.updated", "task.lead.completed", "task.lead.updated"]).await;
    close.put(&done, json!({ "is_complete": false })).await;
    is(&made, &["activity.task_completed.deleted", "task.lead.updated"]).await;
    let mail =
        json!({ "lead_id": made["id"], "status": "sent", "subject": "Offer", "to": ["a@b.example"], "body_text": "x" });
    let mail = close.make("activity/email/", mail).await;
    is(&made, &["activity.email.created", "activity.email_thread.created"]).await;
    close.delete(&format!("activity/emailthread/{}/", text(&mail["thread_id"]))).await;
    is(&made, &["activity.email.deleted", "activity.email_thread.deleted"]).await;
    close.delete(&path).await;
    is(
        &made,
        &[
            "activity.lead_status_change.deleted",
            "activity.opportunity_status_change.deleted",
            "contact.deleted",
            "lead.deleted",
            "opportunity.deleted",
            "task.lead.deleted",
        ],
    )
    .await;
}

/// Section 6.6: a draft, then `updated`, then `sent`, and the thread beside it.
#[tokio::test]
async fn quirk_28_a_mail_that_is_sent_was_created_and_updated_before_with_its_thread() {
    let close = bare().await;
    let lead = lead(&close, "Nordlicht").await;
    let body = json!({
        "lead_id": lead["id"], "status": "draft", "subject": "Offer", "to": ["a@b.example"], "body_text": "x"
    });
    let mail = close.make("activity/email/", body).await;
    settle(&close).await;
    put(&close, &format!("activity/email/{}/", id(&mail)), json!({ "status": "outbox" })).await;
    let actions = crate::activities::actions(&close, id(&mail), "activity.email").await;
    assert_eq!((actions[0].as_str(), actions[actions.len() - 1].as_str()), ("created", "sent"));
    assert!(actions.contains(&"updated".to_owned()), "{actions:?}");
    let thread = crate::activities::actions(&close, &text(&mail["thread_id"]), "activity.email_thread").await;
    assert_eq!(thread[0], "created");
}

/// A reader of one spelling finds nothing of the other.
#[tokio::test]
async fn quirk_28_the_older_type_of_notes_and_the_plain_one_of_merges_are_optional() {
    let close = bare().await;
    let (source, destination) = (lead(&close, "Source").await, lead(&close, "Destination").await);
    let note = close.make("activity/note/", json!({ "lead_id": source["id"], "note": "x" })).await;
    assert_eq!(close.events_of(id(&note), "activity.note").await.len(), 1);
    close.switch(json!({ "legacy_note_type": true, "merge_spelling": "plain" })).await;
    let note = close.make("activity/note/", json!({ "lead_id": source["id"], "note": "y" })).await;
    let found = close.get("event/?object_type=note&action=created").await;
    assert!(found.rows().iter().any(|event| event["object_id"] == note["id"]), "{}", found.text);
    close.make("lead/merge/", json!({ "source": source["id"], "destination": destination["id"] })).await;
    settle(&close).await;
    for (object_type, some) in [("lead_merge", true), ("activity.lead_merge", false)] {
        let found = close.get(&format!("event/?object_type={object_type}&action=created")).await;
        assert_eq!(!found.rows().is_empty(), some, "{object_type}");
    }
    // The children have another parent and the same ids.
    let moved = &close.events_of(id(&note), "note").await[0];
    assert_eq!((&moved["action"], &moved["lead_id"]), (&json!("updated"), &destination["id"]));
    assert_eq!((&moved["previous_data"]["lead_id"], &moved["data"]["lead_id"]), (&source["id"], &destination["id"]));
    for (name, lead) in [("merge_source_lead_id", &source), ("merge_destination_lead_id", &destination)] {
        assert_eq!(moved["meta"][name], lead["id"], "{name}");
    }
}

/// An undocumented type, an undocumented action of a known type, and an undocumented field.
#[tokio::test]
async fn quirk_30_unknown_types_actions_and_fields_appear_in_the_log_and_on_records() {
    let close = bare().await;
    let made = lead(&close, "Nordlicht").await;
    let task = perform(&close, json!({ "action": "raise_task", "type": "voicemail", "lead_id": made["id"] })).await;
    assert!(task.starts_with("noti_"));
    for (object_type, action) in [("activity.hologram", "projected"), ("lead", "archived")] {
        close
            .make("/_control/events/", json!({ "object_type": object_type, "action": action, "lead_id": made["id"] }))
            .await;
        let found = close.get(&format!("event/?object_type={object_type}&action={action}&lead_id={}", id(&made))).await;
        assert_eq!(found.rows().len(), 1, "{object_type}.{action}: {}", found.text);
        let newest = close.get("event/").await.rows()[0].clone();
        assert_eq!((&newest["object_type"], &newest["action"]), (&json!(object_type), &json!(action)));
    }
    close.switch(json!({ "unknown_fields": true })).await;
    for path in [format!("lead/{}/", id(&made)), format!("task/{task}/")] {
        let shown = close.get(&path).await.body;
        assert!(shown.as_object().unwrap().keys().any(|name| name.starts_with("x_")), "{path}: {shown}");
    }
    assert!(close.get("event/").await.rows().iter().all(|event| event.get("x_unannounced").is_some()));
}
