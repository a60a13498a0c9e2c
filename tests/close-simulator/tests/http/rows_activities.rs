//! Rows of the catalogue (section 6.5): activities of people.

use serde_json::{Value, json};

use crate::{
    activities::{perform, text},
    client::Close,
    rows::{bare, changed, gone, id, lead, put, settle, told},
};

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["action"].as_str().unwrap()).collect()
}

/// The remark: updates while somebody types, as many as the consolidation window leaves; the older type is `note`.
#[tokio::test]
async fn row_activity_note_is_created_updated_while_typing_and_deleted() {
    let close = bare().await;
    let lead = lead(&close, "Nordlicht").await;
    for (legacy, object_type) in [(false, "activity.note"), (true, "note")] {
        close.switch(json!({ "legacy_note_type": legacy })).await;
        let made = close.make("activity/note/", json!({ "lead_id": lead["id"], "note": "H" })).await;
        settle(&close).await;
        let path = format!("activity/note/{}/", id(&made));
        for typed in ["He", "Hel", "Hell", "Hello"] {
            assert_eq!(close.put(&path, json!({ "note": typed })).await.status, 200);
            close.advance(1.0).await;
        }
        settle(&close).await;
        put(&close, &path, json!({ "note": "Hello again" })).await;
        gone(&close, &path).await;
        let events =
            told(&close, object_type, id(&made), &lead["id"], &["created", "updated", "updated", "deleted"]).await;
        assert_eq!((&events[1]["previous_data"]["note"], &events[1]["data"]["note"]), (&json!("H"), &json!("Hello")));
        assert!(changed(&events[1]).is_superset(&["date_updated", "note", "note_html"].into()), "{}", events[1]);
    }
}

#[tokio::test]
async fn row_activity_call_is_created_updated_answered_completed_and_deleted() {
    let close = bare().await;
    let lead = lead(&close, "Nordlicht").await;
    let call =
        perform(&close, json!({ "action": "run_call", "lead_id": lead["id"], "ring_secs": 10, "duration": 100 })).await;
    close.advance(20.0).await;
    settle(&close).await;
    settle(&close).await;
    gone(&close, &format!("activity/call/{call}/")).await;
    let actions = ["created", "updated", "answered", "updated", "completed", "deleted"];
    let events = told(&close, "activity.call", &call, &lead["id"], &actions).await;
    assert!(changed(&events[1]).contains("status") && changed(&events[3]).contains("duration"), "{events:?}");
    assert_eq!(
        (&events[2]["data"]["status"], &events[4]["data"]["status"]),
        (&json!("in-progress"), &json!("completed"))
    );
}

/// The remark: no `answered` for external calls, no `completed` for logged ones.
#[tokio::test]
async fn row_activity_call_that_is_logged_is_neither_answered_nor_completed() {
    let close = bare().await;
    let lead = lead(&close, "Nordlicht").await;
    let made =
        close.make("activity/call/", json!({ "lead_id": lead["id"], "duration": 44, "status": "completed" })).await;
    settle(&close).await;
    put(&close, &format!("activity/call/{}/", id(&made)), json!({ "note": "went well" })).await;
    gone(&close, &format!("activity/call/{}/", id(&made))).await;
    told(&close, "activity.call", id(&made), &lead["id"], &["created", "updated", "deleted"]).await;
}

async fn mail(close: &Close, lead: &Value, status: &str) -> Value {
    let body = json!({
        "lead_id": lead["id"], "status": status, "subject": "Offer", "body_text": "Hello",
        "to": ["ida@nordlicht.example"],
    });
    close.make("activity/email/", body).await
}

/// The remarks: `created` for drafts, `updated` by drafting and opens, `sent` when it is really sent. Section 6.6:
/// email sent.
#[tokio::test]
async fn row_activity_email_is_created_as_a_draft_updated_sent_opened_and_deleted() {
    let close = bare().await;
    let lead = lead(&close, "Nordlicht").await;
    let made = mail(&close, &lead, "draft").await;
    settle(&close).await;
    let path = format!("activity/email/{}/", id(&made));
    put(&close, &path, json!({ "body_text": "Hello again" })).await;
    close.put(&path, json!({ "status": "outbox" })).await;
    let events = close.events_of(id(&made), "activity.email").await;
    assert!(events.iter().all(|event| event["action"] != "sent"), "not before it is: {events:?}");
    settle(&close).await;
    perform(&close, json!({ "action": "open_email", "id": made["id"] })).await;
    settle(&close).await;
    gone(&close, &path).await;
    let actions = ["created", "updated", "updated", "updated", "sent", "updated", "deleted"];
    let events = told(&close, "activity.email", id(&made), &lead["id"], &actions).await;
    assert_eq!((&events[0]["data"]["status"], &events[4]["data"]["status"]), (&json!("draft"), &json!("sent")));
    assert!(changed(&events[1]).contains("body_text") && changed(&events[5]).contains("opens"), "{events:?}");
}

/// The remark: `created` for inbound mail.
#[tokio::test]
async fn row_activity_email_that_comes_in_is_created_only() {
    let close = bare().await;
    let lead = lead(&close, "Nordlicht").await;
    let mail =
        perform(&close, json!({ "action": "receive_email", "lead_id": lead["id"], "subject": "Question" })).await;
    let events = told(&close, "activity.email", &mail, &lead["id"], &["created"]).await;
    assert_eq!(events[0]["data"]["direction"], "incoming");
}

/// Section 6.6: the thread of a mail is created and updated with it, and deleted with all its mails.
#[tokio::test]
async fn row_activity_email_thread_is_created_updated_and_deleted() {
    let close = bare().await;
    let lead = lead(&close, "Nordlicht").await;
    let made = mail(&close, &lead, "sent").await;
    settle(&close).await;
    let body = json!({
        "action": "receive_email", "lead_id": lead["id"], "subject": "Re: Offer", "sender": "ida@nordlicht.example"
    });
    let reply = perform(&close, body).await;
    settle(&close).await;
    let thread = text(&made["thread_id"]);
    gone(&close, &format!("activity/emailthread/{thread}/")).await;
    let events = told(&close, "activity.email_thread", &thread, &lead["id"], &["created", "updated", "deleted"]).await;
    assert!(changed(&events[1]).contains("n_emails"), "{}", events[1]);
    for mail in [id(&made), &reply] {
        let mut of_mail = close.events_of(mail, "activity.email").await;
        assert_eq!((of_mail.remove(0)["action"].clone(), names(&of_mail).last()), (json!("deleted"), Some(&"created")));
    }
}

#[tokio::test]
async fn row_activity_sms_is_created_updated_sent_and_deleted() {
    let close = bare().await;
    let lead = lead(&close, "Nordlicht").await;
    let body = json!({
        "lead_id": lead["id"], "text": "hi", "status": "draft", "remote_phone": "+4943100001",
        "local_phone": "+4940000009"
    });
    let made = close.make("activity/sms/", body).await;
    settle(&close).await;
    let path = format!("activity/sms/{}/", id(&made));
    put(&close, &path, json!({ "text": "hello" })).await;
    put(&close, &path, json!({ "status": "outbox" })).await;
    gone(&close, &path).await;
    let mut events = close.events_of(id(&made), "activity.sms").await;
    events.reverse();
    let actions: Vec<&str> = names(&events);
    let events = told(&close, "activity.sms", id(&made), &lead["id"], &actions).await;
    assert_eq!(actions[..2], ["created", "updated"]);
    assert_eq!(actions[actions.len() - 2..], ["sent", "deleted"]);
    assert!(changed(&events[1]).contains("text"), "{}", events[1]);
    assert_eq!(events[events.len() - 2]["data"]["status"], "sent");
}

#[tokio::test]
async fn row_activity_whatsapp_message_is_created_updated_and_deleted() {
    let close = bare().await;
    let lead = lead(&close, "Nordlicht").await;
    let body = json!({ "lead_id": lead["id"], "external_whatsapp_message_id": "wamid.A", "message_markdown": "*hi*" });
    let made = close.make("activity/whatsapp_message/", body).await;
    settle(&close).await;
    let path = format!("activity/whatsapp_message/{}/", id(&made));
    put(&close, &path, json!({ "message_markdown": "edited" })).await;
    gone(&close, &path).await;
    let events =
        told(&close, "activity.whatsapp_message", id(&made), &lead["id"], &["created", "updated", "deleted"]).await;
    assert!(changed(&events[1]).contains("message_markdown"), "{}", events[1]);
}

#[tokio::test]
async fn row_activity_meeting_is_scheduled_started_completed_and_deleted() {
    let close = bare().await;
    let lead = lead(&close, "Nordlicht").await;
    let now = text(&close.get("/_control/clock/").await.body["now"]);
    let starts = format!("{}T23:00:00Z", &now[..10]);
    let body = json!({ "action": "schedule_meeting", "lead_id": lead["id"], "starts_at": starts, "duration": 1800 });
    let meeting = perform(&close, body).await;
    close.advance(86_400.0).await;
    gone(&close, &format!("activity/meeting/{meeting}/")).await;
    let actions = ["created", "scheduled", "updated", "started", "updated", "completed", "deleted"];
    let events = told(&close, "activity.meeting", &meeting, &lead["id"], &actions).await;
    assert!(changed(&events[2]).contains("status") && changed(&events[4]).contains("status"), "{events:?}");
    assert_eq!(
        (&events[3]["data"]["status"], &events[5]["data"]["status"]),
        (&json!("in-progress"), &json!("completed"))
    );
}

#[tokio::test]
async fn row_activity_meeting_is_canceled() {
    let close = bare().await;
    let lead = lead(&close, "Nordlicht").await;
    let body = json!({ "action": "schedule_meeting", "lead_id": lead["id"], "starts_at": "2030-01-01T10:00:00Z" });
    let meeting = perform(&close, body).await;
    settle(&close).await;
    perform(&close, json!({ "action": "cancel_meeting", "id": meeting })).await;
    let actions = ["created", "scheduled", "updated", "canceled"];
    let events = told(&close, "activity.meeting", &meeting, &lead["id"], &actions).await;
    assert_eq!(events[3]["data"]["status"], "canceled");
}

#[tokio::test]
async fn row_activity_form_submission_is_created_updated_and_deleted() {
    let close = bare().await;
    let lead = lead(&close, "Nordlicht").await;
    let contact = close.make("contact/", json!({ "lead_id": lead["id"], "name": "Ida" })).await;
    let body = json!({ "action": "receive_form", "lead_id": lead["id"], "values": { "Email": "a@b.example" } });
    let form = perform(&close, body).await;
    settle(&close).await;
    perform(&close, json!({ "action": "attribute_form", "id": form, "contact_id": contact["id"] })).await;
    settle(&close).await;
    gone(&close, &format!("activity/form_submission/{form}/")).await;
    let events = told(&close, "activity.form_submission", &form, &lead["id"], &["created", "updated", "deleted"]).await;
    assert!(changed(&events[1]).contains("contact_id"), "{}", events[1]);
}
