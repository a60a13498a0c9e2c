//! SMS, `WhatsApp` messages, form submissions and import updates: section 4.6 and their rows of the catalogue.

use serde_json::json;

use crate::{
    activities::{actions, ids, lead, perform, text},
    client::Close,
};

// Catalogue: activity.sms. Quirk 19: cost is text.
#[tokio::test]
async fn an_sms_is_scheduled_sent_updated_and_deleted() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let body = json!({
        "lead_id": lead, "text": "x".repeat(200), "status": "scheduled", "remote_phone": "+4943100001",
        "local_phone": "+4940000009"
    });
    let reply = close.post("activity/sms/", body.clone()).await;
    assert_eq!(
        (reply.status, reply.body["field-errors"].get("date_scheduled").is_some()),
        (400, true),
        "{}",
        reply.text
    );
    let mut body = body;
    body["date_scheduled"] = json!("2026-09-01T13:00:00+00:00");
    let sms = close.make("activity/sms/", body).await;
    assert_eq!((&sms["_type"], &sms["direction"], &sms["cost"]), (&json!("SMS"), &json!("outbound"), &json!(null)));
    assert_eq!((&sms["remote_phone_formatted"], &sms["remote_country_iso"]), (&json!("+49 431 00001"), &json!("DE")));
    let id = text(&sms["id"]);
    let path = format!("activity/sms/{id}/");
    close.advance(3599.0 - 30.0).await;
    assert_eq!(close.get(&path).await.body["status"], "scheduled");
    close.advance(60.0).await;
    let sent = close.get(&path).await.body;
    assert_eq!(
        (&sent["status"], &sent["cost"], &sent["date_sent"]),
        (&json!("sent"), &json!("2"), &json!("2026-09-01T13:00:00+00:00"))
    );
    assert_eq!(close.delete(&path).await.status, 200);
    assert_eq!(actions(&close, &id, "activity.sms").await, ["created", "updated", "sent", "deleted"]);
}

#[tokio::test]
async fn a_logged_sms_is_not_sent_and_an_incoming_one_is_inbound() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let logged = close.make("activity/sms/", json!({
        "lead_id": lead, "text": "hi", "status": "sent", "remote_phone": "+1", "date_created": "2020-02-02T02:02:02Z"
    })).await;
    assert_eq!(
        (&logged["date_created"], &logged["date_sent"]),
        (&json!("2020-02-02T02:02:02+00:00"), &json!("2020-02-02T02:02:02+00:00"))
    );
    assert_eq!(actions(&close, &text(&logged["id"]), "activity.sms").await, ["created"]);
    let arrived = perform(&close, json!({ "action": "receive_sms", "lead_id": lead, "text": "hello" })).await;
    let arrived = close.get(&format!("activity/sms/{arrived}/")).await.body;
    assert_eq!((&arrived["direction"], &arrived["status"]), (&json!("inbound"), &json!("inbox")));
    let reply = close.post("activity/sms/", json!({ "lead_id": lead, "text": "hi", "status": "outbox" })).await;
    assert!(reply.body["field-errors"].get("remote_phone").is_some(), "{}", reply.text);
}

// Catalogue: activity.whatsapp_message.
#[tokio::test]
async fn a_whatsapp_message_is_found_by_its_external_id_updated_and_deleted() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let body = |id: &str| {
        json!({
            "lead_id": lead, "external_whatsapp_message_id": id, "message_markdown": "*hello* you",
            "direction": "incoming"
        })
    };
    let message = close.make("activity/whatsapp_message/", body("wamid.A")).await;
    close.make("activity/whatsapp_message/", body("wamid.B")).await;
    assert_eq!(
        (&message["_type"], &message["text"], &message["direction"]),
        (&json!("WhatsAppMessage"), &json!("hello you"), &json!("incoming"))
    );
    let id = text(&message["id"]);
    assert_eq!(
        ids(&close.get("activity/whatsapp_message/?external_whatsapp_message_id=wamid.A").await),
        std::slice::from_ref(&id)
    );
    let path = format!("activity/whatsapp_message/{id}/");
    assert_eq!(close.put(&path, json!({ "message_markdown": "edited" })).await.body["text"], "edited");
    assert_eq!(close.delete(&path).await.status, 200);
    assert_eq!(actions(&close, &id, "activity.whatsapp_message").await, ["created", "updated", "deleted"]);
    let reply = close.post("activity/whatsapp_message/", json!({ "lead_id": lead })).await;
    for field in ["external_whatsapp_message_id", "message_markdown"] {
        assert_eq!(reply.body["field-errors"][field], "This field is required.", "{}", reply.text);
    }
}

// Catalogue: activity.form_submission.
#[tokio::test]
async fn callers_can_only_read_and_delete_form_submissions() {
    let close = Close::start().await;
    let (lead, contact) = lead(&close).await;
    let values = json!({ "Email": "a@b.example", "News": true, "Why": null });
    let id =
        perform(&close, json!({ "action": "receive_form", "lead_id": lead, "contact_id": contact, "values": values }))
            .await;
    let path = format!("activity/form_submission/{id}/");
    let form = close.get(&path).await.body;
    assert_eq!((&form["_type"], &form["values_by_name"]), (&json!("FormSubmission"), &values));
    assert!(form["values"].as_object().unwrap().keys().all(|key| key.starts_with("formfld_")), "{form}");
    assert_eq!(close.post("activity/form_submission/", json!({ "lead_id": lead })).await.status, 405);
    assert_eq!(close.put(&path, json!({})).await.status, 405);
    let other = text(&close.make("contact/", json!({ "lead_id": lead, "name": "Bea" })).await["id"]);
    perform(&close, json!({ "action": "attribute_form", "id": id, "contact_id": other })).await;
    assert_eq!(close.get(&path).await.body["contact_id"], json!(other));
    assert_eq!(close.delete(&path).await.status, 200);
    assert_eq!(actions(&close, &id, "activity.form_submission").await, ["created", "updated", "deleted"]);
}

#[tokio::test]
async fn an_import_update_has_no_event() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let id = perform(&close, json!({ "action": "mark_import", "lead_id": lead })).await;
    let update = close.get(&format!("activity/import_update/{id}/")).await.body;
    assert_eq!((&update["_type"], &update["reverted"]), (&json!("ImportUpdate"), &json!(false)));
    assert!(text(&update["import_id"]).starts_with("bulk_"));
    let reply = close.get(&format!("event/?object_id={id}&action=created")).await;
    assert!(reply.rows().iter().all(|event| event["object_id"] != json!(id)), "{}", reply.text);
}

#[tokio::test]
async fn the_newest_event_of_an_object_shows_it_as_its_list_does() {
    let close = Close::start().await;
    let (lead, contact) = lead(&close).await;
    let with_lead = async |body: serde_json::Value| {
        let mut body = body;
        body["lead_id"] = json!(lead);
        body["contact_id"] = json!(contact);
        perform(&close, body).await
    };
    with_lead(json!({ "action": "run_call", "recorded": true })).await;
    with_lead(json!({ "action": "schedule_meeting", "starts_at": "2026-09-01T12:10:00Z" })).await;
    with_lead(json!({ "action": "receive_form", "values": { "Email": "a@b.example" } })).await;
    with_lead(json!({ "action": "receive_sms", "text": "hello" })).await;
    let mail = json!({
        "lead_id": lead, "subject": "Offer", "status": "outbox", "to": ["ida@nordlicht.example"], "body_text": "x"
    });
    let sent = close.make("activity/email/", mail).await;
    let message = json!({ "lead_id": lead, "external_whatsapp_message_id": "w", "message_markdown": "_hi_" });
    close.make("activity/whatsapp_message/", message).await;
    let note = close.make("activity/note/", json!({ "lead_id": lead, "note": "x" })).await;
    let comment = close.make("comment/", json!({ "object_id": note["id"], "body": "<p>x</p>" })).await;
    close.advance(1_200.0).await;
    with_lead(json!({ "action": "receive_email", "subject": "Re: offer", "sender": "ida@nordlicht.example" })).await;
    perform(&close, json!({ "action": "open_email", "id": sent["id"] })).await;
    for (path, object_type) in [
        ("activity/note/".to_owned(), "activity.note"),
        ("activity/call/".to_owned(), "activity.call"),
        ("activity/email/".to_owned(), "activity.email"),
        ("activity/emailthread/".to_owned(), "activity.email_thread"),
        ("activity/sms/".to_owned(), "activity.sms"),
        ("activity/whatsapp_message/".to_owned(), "activity.whatsapp_message"),
        ("activity/meeting/".to_owned(), "activity.meeting"),
        ("activity/form_submission/".to_owned(), "activity.form_submission"),
        (format!("comment/?thread_id={}", text(&comment["thread_id"])), "comment"),
        ("comment_thread/".to_owned(), "comment_thread"),
    ] {
        let rows = close.get(&path).await.rows().to_vec();
        assert!(!rows.is_empty(), "{path}");
        for row in rows {
            let event = close.events_of(&text(&row["id"]), object_type).await[0].clone();
            let data = event["data"].as_object().unwrap_or_else(|| panic!("no data: {event}"));
            for (name, value) in data.iter().filter(|(name, _)| *name != "quality_info") {
                assert_eq!(value, &row[name], "{name} of {object_type}");
            }
            for name in
                row.as_object().unwrap().keys().filter(|name| !matches!(name.as_str(), "emails" | "latest_emails"))
            {
                assert!(data.contains_key(name), "{name} of {object_type} is in no event");
            }
        }
    }
}
