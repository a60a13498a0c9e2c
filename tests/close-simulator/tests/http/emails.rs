//! Emails and threads: section 4.6, quirk 18, and the rows `activity.email` and `activity.email_thread` of the
//! catalogue.

use serde_json::{Value, json};

use crate::{
    activities::{actions, has_fields, ids, lead, perform, text},
    client::Close,
};

const FIELDS: &[&str] = &[
    "direction",
    "status",
    "subject",
    "body_text",
    "body_html",
    "body_preview",
    "sender",
    "to",
    "cc",
    "bcc",
    "envelope",
    "attachments",
    "thread_id",
    "message_ids",
    "references",
    "in_reply_to_id",
    "opens",
    "opens_summary",
    "send_attempts",
    "email_account_id",
    "send_as_id",
    "need_smtp_credentials",
    "date_scheduled",
    "date_sent",
    "has_reply",
    "template_id",
    "template_name",
    "bulk_email_action_id",
    "sequence_id",
    "sequence_name",
    "sequence_subscription_id",
    "followup_sequence_id",
    "agent_config_id",
    "agent_action_reason",
];

async fn mail(close: &Close, lead: &str, status: &str, subject: &str) -> Value {
    let body = json!({
        "lead_id": lead, "status": status, "subject": subject, "body_text": "Hello,\nall well?",
        "sender": "Mara Voss <mara@composed.example>",
        "to": ["Ida Brandt <ida@nordlicht.example>"],
    });
    close.make("activity/email/", body).await
}

// Catalogue: created for drafts, updated, sent when really sent, deleted.
#[tokio::test]
async fn a_draft_is_written_sent_and_deleted() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let draft = mail(&close, &lead, "draft", "Offer").await;
    has_fields(&draft, FIELDS);
    assert_eq!(
        (&draft["_type"], &draft["direction"], &draft["message_ids"]),
        (&json!("Email"), &json!(null), &json!([]))
    );
    assert_eq!(
        (&draft["body_html"], &draft["body_preview"]),
        (&json!("<p>Hello,</p><p>all well?</p>"), &json!("Hello, all well?"))
    );
    assert_eq!(draft["envelope"]["to"][0], json!({ "email": "ida@nordlicht.example", "name": "Ida Brandt" }));
    let id = text(&draft["id"]);
    let path = format!("activity/email/{id}/");
    close.advance(10.0).await;
    assert_eq!(close.put(&path, json!({ "body_html": "<p>Better</p>" })).await.body["body_text"], "Better");
    close.advance(10.0).await;
    assert_eq!(close.put(&path, json!({ "status": "outbox" })).await.body["direction"], "outgoing");
    close.advance(10.0).await;
    let sent = close.get(&path).await.body;
    assert_eq!((&sent["status"], sent["date_sent"].is_string()), (&json!("sent"), true));
    assert_eq!(sent["send_attempts"].as_array().unwrap().len(), 1);
    assert_eq!(sent["envelope"]["message_id"], sent["message_ids"][0]);
    assert_eq!(close.put(&path, json!({ "status": "draft" })).await.status, 400);
    assert_eq!(close.delete(&path).await.status, 200);
    let done = actions(&close, &id, "activity.email").await;
    assert_eq!(done, ["created", "updated", "updated", "updated", "sent", "deleted"]);
}

#[tokio::test]
async fn a_scheduled_mail_leaves_at_its_time_and_not_when_it_is_taken_back() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let body = |to: Value, date: Value| {
        json!({
            "lead_id": lead, "status": "scheduled", "subject": "s", "to": to, "date_scheduled": date
        })
    };
    for (body, field) in [
        (body(json!([]), json!("2026-09-01T13:00:00Z")), "to"),
        (body(json!(["a@b.example"]), json!(null)), "date_scheduled"),
    ] {
        let reply = close.post("activity/email/", body).await;
        assert!(reply.status == 400 && reply.body["field-errors"].get(field).is_some(), "{}", reply.text);
    }
    let to = json!(["a@b.example"]);
    // A draft that is past its time and scheduled afterwards.
    let mut draft = body(to.clone(), json!("2026-09-01T13:00:00Z"));
    draft["status"] = json!("draft");
    let drafted = text(&close.make("activity/email/", draft).await["id"]);
    close.put(&format!("activity/email/{drafted}/"), json!({ "status": "scheduled" })).await;
    let on_time = text(&close.make("activity/email/", body(to.clone(), json!("2026-09-01T13:00:00Z"))).await["id"]);
    let later = text(&close.make("activity/email/", body(to.clone(), json!("2026-09-01T13:00:00Z"))).await["id"]);
    let taken_back = text(&close.make("activity/email/", body(to, json!("2026-09-01T13:00:00Z"))).await["id"]);
    close.put(&format!("activity/email/{later}/"), json!({ "date_scheduled": "2026-09-01T15:00:00Z" })).await;
    close.put(&format!("activity/email/{taken_back}/"), json!({ "status": "draft" })).await;
    close.advance(3_700.0).await;
    for (id, status) in [(&drafted, "sent"), (&on_time, "sent"), (&later, "scheduled"), (&taken_back, "draft")] {
        assert_eq!(close.get(&format!("activity/email/{id}/")).await.body["status"], status);
    }
    let sent = close.get(&format!("activity/email/{on_time}/")).await.body;
    assert_eq!(
        (&sent["date_sent"], &sent["activity_at"]),
        (&json!("2026-09-01T13:00:00+00:00"), &json!("2026-09-01T13:00:00+00:00"))
    );
    close.advance(7_200.0).await;
    assert_eq!(close.get(&format!("activity/email/{later}/")).await.body["status"], "sent");
}

// Quirk 18, second part.
#[tokio::test]
async fn quirk_18_a_synced_mail_is_dated_by_its_own_date_in_whole_seconds() {
    let close = Close::start().await;
    let (lead, contact) = lead(&close).await;
    let body = json!({
        "action": "receive_email", "lead_id": lead, "contact_id": contact, "subject": "Old",
        "date": "2019-04-05T06:07:08.9Z"
    });
    let id = perform(&close, body).await;
    let email = close.get(&format!("activity/email/{id}/")).await.body;
    assert_eq!(
        (&email["date_created"], &email["activity_at"]),
        (&json!("2019-04-05T06:07:08+00:00"), &json!("2019-04-05T06:07:08+00:00"))
    );
    assert_eq!((&email["status"], &email["direction"]), (&json!("inbox"), &json!("incoming")));
    assert!(text(&email["date_updated"]).starts_with("2026-09-01"));
    assert_eq!(actions(&close, &id, "activity.email").await, ["created"]);
    assert_eq!(ids(&close.get("activity/email/?date_created__lt=2020-01-01").await), [id]);
}

// Catalogue: activity.email_thread created and updated.
#[tokio::test]
async fn mails_of_one_subject_with_one_lead_are_one_thread() {
    let close = Close::start().await;
    let (lead_id, _) = lead(&close).await;
    let first = mail(&close, &lead_id, "sent", "Offer").await;
    let thread = text(&first["thread_id"]);
    close.advance(60.0).await;
    let reply = perform(
        &close,
        json!({
            "action": "receive_email", "lead_id": lead_id, "subject": "Re: AW: offer",
            "sender": "Ida <ida@nordlicht.example>"
        }),
    )
    .await;
    let reply = close.get(&format!("activity/email/{reply}/")).await.body;
    assert_eq!((&reply["thread_id"], &reply["in_reply_to_id"]), (&json!(thread), &first["id"]));
    assert_eq!(
        (&reply["references"], &reply["envelope"]["in_reply_to"]),
        (&first["message_ids"], &first["message_ids"][0])
    );
    assert_eq!(close.get(&format!("activity/email/{}/", text(&first["id"]))).await.body["has_reply"], true);
    let (other, _) = lead(&close).await;
    assert_ne!(mail(&close, &other, "draft", "Offer").await["thread_id"], json!(thread));
    assert_ne!(mail(&close, &lead_id, "draft", "Another").await["thread_id"], json!(thread));

    let row = close.get(&format!("activity/emailthread/{thread}/")).await.body;
    has_fields(&row, &["latest_normalized_subject", "participants", "n_emails", "emails", "latest_emails"]);
    assert_eq!(
        (&row["_type"], &row["n_emails"], &row["latest_normalized_subject"]),
        (&json!("EmailThread"), &json!(2), &json!("offer"))
    );
    assert_eq!(row["participants"].as_array().unwrap().len(), 2, "{row}");
    assert_eq!(row["emails"], row["latest_emails"]);
    assert!(row["emails"][0].get("body_text").is_none() && row["emails"][0]["subject"] == "Offer", "{row}");
    assert_eq!(actions(&close, &thread, "activity.email_thread").await, ["created", "updated"]);
}

// Section 6.6: email thread deleted.
#[tokio::test]
async fn quirk_28_deleting_a_thread_deletes_its_mails_in_one_request() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let first = mail(&close, &lead, "sent", "Offer").await;
    let second = mail(&close, &lead, "sent", "Re: Offer").await;
    let thread = text(&first["thread_id"]);
    let path = format!("activity/emailthread/{thread}/");
    assert_eq!(close.put(&path, json!({})).await.status, 405);
    assert_eq!(close.delete(&path).await.status, 200);
    let deleted = close.events_of(&thread, "activity.email_thread").await[0].clone();
    assert_eq!((&deleted["action"], &deleted["previous_data"]["n_emails"]), (&json!("deleted"), &json!(2)));
    for email in [&first, &second] {
        let id = text(&email["id"]);
        assert_eq!(close.get(&format!("activity/email/{id}/")).await.status, 404);
        let event = close.events_of(&id, "activity.email").await[0].clone();
        assert_eq!((&event["action"], &event["request_id"]), (&json!("deleted"), &deleted["request_id"]));
        // Quirk 25: one moment for different objects.
        assert_eq!(event["date_updated"], deleted["date_updated"]);
    }
}

#[tokio::test]
async fn a_thread_shrinks_with_its_mails_and_goes_with_the_last() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let first = mail(&close, &lead, "sent", "Offer").await;
    let second = mail(&close, &lead, "sent", "Re: Offer").await;
    let path = format!("activity/emailthread/{}/", text(&first["thread_id"]));
    close.delete(&format!("activity/email/{}/", text(&first["id"]))).await;
    assert_eq!(close.get(&path).await.body["n_emails"], 1);
    close.delete(&format!("activity/email/{}/", text(&second["id"]))).await;
    assert_eq!(close.get(&path).await.status, 404);
}

#[tokio::test]
async fn opens_and_failures_update_a_mail_for_nobody() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let id = text(&mail(&close, &lead, "sent", "Offer").await["id"]);
    let path = format!("activity/email/{id}/");
    for _ in 0..2 {
        close.advance(60.0).await;
        perform(&close, json!({ "action": "open_email", "id": id, "opened_by": "ida@nordlicht.example" })).await;
    }
    let email = close.get(&path).await.body;
    assert_eq!((email["opens"].as_array().unwrap().len(), &email["opens_summary"]), (2, &json!("Opened 2 times")));
    for name in ["opened_at", "opened_by", "ip_address", "user_agent"] {
        assert!(email["opens"][0][name].is_string(), "{name}");
    }
    let event = close.events_of(&id, "activity.email").await[0].clone();
    assert_eq!((&event["action"], &event["user_id"]), (&json!("updated"), &json!(null)));
    let draft = text(&mail(&close, &lead, "outbox", "Other").await["id"]);
    perform(&close, json!({ "action": "fail_send", "id": draft })).await;
    close.advance(60.0).await;
    let failed = close.get(&format!("activity/email/{draft}/")).await.body;
    assert_eq!(
        (&failed["status"], &failed["send_attempts"][0]["error_message"]),
        (&json!("error"), &json!("mailbox unavailable"))
    );
}

// Section 4.5: `thread_emails`.
#[tokio::test]
async fn the_list_of_all_shows_mails_or_threads_as_asked() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    mail(&close, &lead, "sent", "Offer").await;
    close.make("activity/note/", json!({ "lead_id": lead, "note": "x" })).await;
    let types = async |query: &str| {
        let reply = close.get(&format!("activity/?{query}")).await;
        let mut types: Vec<String> = reply.rows().iter().map(|row| text(&row["_type"])).collect();
        types.retain(|of| of != "Created");
        types.sort();
        (types, reply)
    };
    let (absent, reply) = types("").await;
    assert_eq!(absent, ["Email", "Note"]);
    assert!(reply.rows().iter().any(|row| row["body_text"] == "Hello,\nall well?"));
    let (both, reply) = types("thread_emails=true").await;
    assert_eq!(both, ["Email", "EmailThread", "Note"]);
    assert!(
        reply.rows().iter().all(|row| row.get("body_text").is_none() && row.get("body_html").is_none()),
        "{}",
        reply.text
    );
    assert_eq!(types("thread_emails=only").await.0, ["EmailThread", "Note"]);
}
