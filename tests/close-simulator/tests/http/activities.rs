//! Sections 4.5 and 4.6: common behavior of activities, and notes.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Close, Reply};

/// A lead and one of its contacts.
pub async fn lead(close: &Close) -> (String, String) {
    let lead = text(&close.make("lead/", json!({ "name": "Nordlicht" })).await["id"]);
    let contact = text(&close.make("contact/", json!({ "lead_id": lead, "name": "Ida Brandt" })).await["id"]);
    (lead, contact)
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// Performs an action that happens without a caller of the API.
pub async fn perform(close: &Close, body: Value) -> String {
    let reply = close.post("/_control/perform/", body).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    text(&reply.body["id"])
}

/// The actions of an object's events, oldest first.
pub async fn actions(close: &Close, id: &str, object_type: &str) -> Vec<String> {
    close.events_of(id, object_type).await.iter().rev().map(|event| text(&event["action"])).collect()
}

/// The ids of a list's rows, without the `Created` activity of the lead.
pub fn ids(reply: &Reply) -> Vec<String> {
    reply.rows().iter().filter(|row| row["_type"] != "Created").map(|row| text(&row["id"])).collect()
}

/// Every documented field of a type, beside the base fields.
const FIELDS: &[(&str, &[&str])] = &[
    ("note", &["note", "note_html", "title", "pinned", "pinned_at", "attachments"]),
    (
        "sms",
        &[
            "direction",
            "status",
            "text",
            "local_phone",
            "local_phone_formatted",
            "local_country_iso",
            "remote_phone",
            "remote_phone_formatted",
            "remote_country_iso",
            "date_sent",
            "date_scheduled",
            "error_message",
            "cost",
            "source",
            "attachments",
            "template_id",
            "sequence_id",
            "sequence_name",
            "sequence_subscription_id",
            "agent_config_id",
        ],
    ),
    (
        "whatsapp_message",
        &[
            "direction",
            "external_whatsapp_message_id",
            "message_markdown",
            "message_html",
            "text",
            "local_phone",
            "local_phone_formatted",
            "remote_phone",
            "remote_phone_formatted",
            "attachments",
            "response_to_id",
            "integration_link",
            "integration_name",
            "source",
        ],
    ),
    (
        "form_submission",
        &[
            "form_id",
            "form_configuration_id",
            "form_name",
            "values",
            "values_by_name",
            "ip_address",
            "origin",
            "source_url",
            "source_url_normalized",
        ],
    ),
    ("import_update", &["import_id", "reverted"]),
];

const BASE: &[&str] = &[
    "_type",
    "id",
    "organization_id",
    "lead_id",
    "contact_id",
    "user_id",
    "user_name",
    "users",
    "created_by",
    "created_by_name",
    "updated_by",
    "updated_by_name",
    "date_created",
    "date_updated",
    "activity_at",
];

pub fn has_fields(row: &Value, fields: &[&str]) {
    for name in BASE.iter().chain(fields) {
        assert!(row.get(name).is_some(), "{name} is missing in {row}");
    }
}

#[tokio::test]
async fn every_type_has_its_documented_fields_in_lists_and_by_id() {
    let close = Close::start().await;
    let (lead, contact) = lead(&close).await;
    close.make("activity/note/", json!({ "lead_id": lead, "note": "hello" })).await;
    close.make("activity/sms/", json!({ "lead_id": lead, "text": "hi", "remote_phone": "+4943100001" })).await;
    let whatsapp = json!({
        "lead_id": lead, "contact_id": contact, "external_whatsapp_message_id": "wamid.1", "message_markdown": "*hi*"
    });
    close.make("activity/whatsapp_message/", whatsapp).await;
    perform(
        &close,
        json!({
            "action": "receive_form", "lead_id": lead, "values": { "Email": "a@b.example", "News": true, "Why": null }
        }),
    )
    .await;
    perform(&close, json!({ "action": "mark_import", "lead_id": lead })).await;
    for (path, fields) in FIELDS {
        let reply = close.get(&format!("activity/{path}/?lead_id={lead}")).await;
        assert_eq!(reply.rows().len(), 1, "{path}: {}", reply.text);
        has_fields(&reply.rows()[0], fields);
        let one = close.get(&format!("activity/{path}/{}/", text(&reply.rows()[0]["id"]))).await;
        assert_eq!((one.status, &one.body), (200, &reply.rows()[0]), "{path}");
        assert_eq!(reply.body["has_more"], json!(false));
        assert!(reply.body.get("total_results").is_none(), "{path}");
    }
}

// Catalogue: activity.note.
#[tokio::test]
async fn a_note_is_created_updated_and_deleted() {
    let close = Close::start().await;
    let (lead, contact) = lead(&close).await;
    let file =
        json!({ "url": "https://app.close.com/go/file/1/", "filename": "a.pdf", "content_type": "application/pdf" });
    let body =
        json!({ "lead_id": lead, "contact_id": contact, "title": "First", "note": "a < b\nc", "attachments": [file] });
    let note = close.make("activity/note/", body).await;
    assert_eq!(note["_type"], "Note");
    assert_eq!(note["note_html"], "<p>a &lt; b</p><p>c</p>");
    assert_eq!(note["attachments"][0]["thumbnail_url"], json!(null));
    assert_eq!((&note["user_name"], &note["users"]), (&json!("Mara Voss"), &json!([note["user_id"]])));
    assert_eq!(note["activity_at"], note["date_created"]);
    let id = text(&note["id"]);
    let path = format!("activity/note/{id}/");
    close.advance(10.0).await;
    let reply = close.put(&path, json!({ "note_html": "<p>new <b>text</b></p>", "pinned": true })).await;
    assert_eq!((&reply.body["note"], &reply.body["pinned"]), (&json!("new text"), &json!(true)), "{}", reply.text);
    assert_eq!(reply.body["pinned_at"], reply.body["date_updated"]);
    assert_eq!(close.put(&path, json!({ "pinned": false })).await.body["pinned_at"], json!(null));
    // The whole object posted back changes nothing.
    close.advance(10.0).await;
    let whole = close.get(&path).await.body;
    assert_eq!(close.put(&path, whole.clone()).await.body, whole);
    let reply = close.delete(&path).await;
    assert_eq!((reply.status, reply.body), (200, json!({})));
    assert_eq!(close.get(&path).await.status, 404);
    assert_eq!(actions(&close, &id, "activity.note").await, ["created", "updated", "deleted"]);
    let events = close.events_of(&id, "activity.note").await;
    assert_eq!((&events[0]["data"], &events[0]["previous_data"]["note"]), (&json!(null), &json!("new text")));
    assert_eq!(events[1]["previous_data"]["note"], "a < b\nc");
}

#[tokio::test]
async fn an_activity_needs_a_lead_that_exists_and_a_contact_of_it() {
    let close = Close::start().await;
    let (lead_id, _) = lead(&close).await;
    let (_, stranger) = lead(&close).await;
    for (body, field) in [
        (json!({ "note": "x" }), "lead_id"),
        (json!({ "note": "x", "lead_id": null }), "lead_id"),
        (json!({ "note": "x", "lead_id": "lead_nonesuch" }), "lead_id"),
        (json!({ "note": "x", "lead_id": lead_id, "contact_id": stranger }), "contact_id"),
        (json!({ "note": "x", "lead_id": lead_id, "user_id": lead_id }), "user_id"),
        (json!({ "note": 1, "lead_id": lead_id }), "note"),
        (json!({ "note": "x", "lead_id": lead_id, "date_created": "yesterday" }), "date_created"),
    ] {
        let reply = close.post("activity/note/", body.clone()).await;
        assert_eq!(reply.status, 400, "{body}");
        assert!(reply.body["field-errors"].get(field).is_some(), "{body}: {}", reply.text);
    }
    assert!(close.get("activity/note/").await.rows().is_empty());
}

#[tokio::test]
async fn an_activity_posted_back_whole_is_not_changed() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let starts_at = "2026-09-05T10:00:00Z";
    perform(&close, json!({ "action": "schedule_meeting", "lead_id": lead, "starts_at": starts_at })).await;
    perform(&close, json!({ "action": "run_call", "lead_id": lead, "recorded": true })).await;
    perform(&close, json!({ "action": "receive_email", "lead_id": lead, "subject": "Hello", "body_text": "a\nb" }))
        .await;
    for (path, body) in [
        ("note", json!({})),
        ("call", json!({ "duration": 3 })),
        ("email", json!({ "subject": "Re: Hello" })),
        ("sms", json!({ "text": "hi" })),
        ("whatsapp_message", json!({ "external_whatsapp_message_id": "w", "message_markdown": "hi" })),
    ] {
        let mut body = body;
        body["lead_id"] = json!(lead);
        close.make(&format!("activity/{path}/"), body).await;
    }
    close.advance(600.0).await;
    for path in ["note", "call", "email", "sms", "whatsapp_message", "meeting"] {
        let rows = close.get(&format!("activity/{path}/")).await.rows().to_vec();
        assert!(!rows.is_empty());
        for row in rows {
            let reply = close.put(&format!("activity/{path}/{}/", text(&row["id"])), row.clone()).await;
            assert_eq!((reply.status, &reply.body), (200, &row), "{path}");
        }
    }
}

// Quirk 17: the lead moves without an event.
#[tokio::test]
async fn quirk_17_every_write_of_an_activity_moves_the_lead_without_an_event() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let stamp = async || text(&close.get(&format!("lead/{lead}/")).await.body["date_updated"]);
    let mut before = stamp().await;
    close.advance(60.0).await;
    let events = close.events_of(&lead, "lead").await.len();
    let note = close.make("activity/note/", json!({ "lead_id": lead, "note": "x" })).await;
    let path = format!("activity/note/{}/", text(&note["id"]));
    for step in 0..3 {
        let now = stamp().await;
        assert!(now > before, "step {step}");
        before = now;
        close.advance(60.0).await;
        match step {
            0 => close.put(&path, json!({ "note": "y" })).await,
            1 => close.delete(&path).await,
            _ => continue,
        };
    }
    assert_eq!(close.events_of(&lead, "lead").await.len(), events);
}

#[tokio::test]
async fn others_activities_need_a_permission_and_so_does_deleting_ones_own() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let theirs = text(&close.make("activity/note/", json!({ "lead_id": lead, "note": "x" })).await["id"]);
    let as_agent = |method, path: String, body: Value| Close::send(close.request("agent", method, &path).json(&body));
    let own = as_agent(Method::POST, "activity/note/".to_owned(), json!({ "lead_id": lead, "note": "mine" })).await;
    assert_eq!(own.status, 200, "{}", own.text);
    let own = text(&own.body["id"]);
    for (id, put, delete) in [(&theirs, 403, 403), (&own, 200, 200)] {
        let path = format!("activity/note/{id}/");
        assert_eq!(as_agent(Method::PUT, path.clone(), json!({ "note": "z" })).await.status, put);
        assert_eq!(as_agent(Method::DELETE, path, json!({})).await.status, delete);
    }
    let reply = close.put(&format!("activity/note/{theirs}/"), json!({ "note": "by an admin" })).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn quirk_03_activities_of_hidden_leads_are_hidden() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let note = text(&close.make("activity/note/", json!({ "lead_id": lead, "note": "x" })).await["id"]);
    let comment = text(&close.make("comment/", json!({ "object_id": note, "body": "x" })).await["id"]);
    for path in ["activity/".to_owned(), "activity/note/".to_owned(), format!("activity/note/?lead_id={lead}")] {
        assert_eq!(close.get(&path).await.rows().iter().filter(|row| row["id"] == json!(note)).count(), 1, "{path}");
        assert!(close.get_as("restricted", &path).await.rows().is_empty(), "{path}");
    }
    for path in [format!("activity/note/{note}/"), format!("comment/{comment}/")] {
        assert_eq!(close.get_as("restricted", &path).await.status, 404, "{path}");
    }
    let body = json!({ "lead_id": lead, "note": "y" });
    let reply = Close::send(close.request("restricted", Method::POST, "activity/note/").json(&body)).await;
    assert!(reply.status == 400 && reply.body["field-errors"].get("lead_id").is_some(), "{}", reply.text);
}
