//! Calls: section 4.6, and the row `activity.call` of the catalogue.

use serde_json::json;

use crate::{
    activities::{actions, has_fields, lead, perform, text},
    client::Close,
};

const FIELDS: &[&str] = &[
    "direction",
    "status",
    "disposition",
    "duration",
    "phone",
    "local_phone",
    "local_phone_formatted",
    "local_country_iso",
    "remote_phone",
    "remote_phone_formatted",
    "remote_country_iso",
    "recording_url",
    "has_recording",
    "recording_duration",
    "recording_expires_at",
    "voicemail_url",
    "voicemail_duration",
    "note",
    "note_html",
    "source",
    "call_method",
    "cost",
    "date_answered",
    "dialer_id",
    "dialer_saved_search_id",
    "transferred_from",
    "transferred_from_user_id",
    "transferred_to",
    "transferred_to_user_id",
    "forwarded_to",
    "is_forwarded",
    "is_to_group_number",
    "is_joinable",
    "coach_legs",
    "parent_meeting_id",
    "outcome_id",
    "sequence_id",
    "sequence_name",
    "sequence_subscription_id",
];

// Catalogue: answered and completed. Quirk 19: cost is text.
#[tokio::test]
async fn a_regular_call_is_created_answered_and_completed_by_the_clock() {
    let close = Close::start().await;
    let (lead, contact) = lead(&close).await;
    let body = json!({
        "action": "run_call", "lead_id": lead, "contact_id": contact, "ring_secs": 10, "duration": 184,
        "recorded": true
    });
    let id = perform(&close, body).await;
    let path = format!("activity/call/{id}/");
    let call = close.get(&path).await.body;
    has_fields(&call, FIELDS);
    assert_eq!(
        (&call["status"], &call["source"], &call["cost"]),
        (&json!("created"), &json!("Close.io"), &json!(null))
    );
    close.advance(12.0).await;
    let call = close.get(&path).await.body;
    assert_eq!((&call["status"], &call["is_joinable"]), (&json!("in-progress"), &json!(true)));
    close.advance(184.0).await;
    let call = close.get(&path).await.body;
    assert_eq!(
        (&call["status"], &call["disposition"], &call["duration"]),
        (&json!("completed"), &json!("answered"), &json!(184))
    );
    assert_eq!((&call["cost"], &call["call_method"]), (&json!("8"), &json!("regular")));
    assert_eq!(
        (&call["has_recording"], &call["recording_url"]),
        (&json!(true), &json!(format!("https://app.close.com/call/{id}/recording/")))
    );
    assert_eq!((&call["voicemail_url"], &call["updated_by"]), (&json!(null), &json!(null)));
    assert_eq!(actions(&close, &id, "activity.call").await, ["created", "updated", "answered", "updated", "completed"]);
    let events = close.events_of(&id, "activity.call").await;
    assert_eq!((&events[0]["data"]["status"], &events[0]["user_id"]), (&json!("completed"), &json!(null)));
    assert!(events[0]["data"]["quality_info"].is_object() && call.get("quality_info").is_none());
}

#[tokio::test]
async fn a_missed_call_with_a_voicemail_is_never_answered() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let body = json!({
        "action": "run_call", "lead_id": lead, "direction": "inbound", "disposition": "vm-left", "duration": 20,
        "voicemail_duration": 15
    });
    let id = perform(&close, body).await;
    close.advance(60.0).await;
    let call = close.get(&format!("activity/call/{id}/")).await.body;
    assert_eq!(
        (&call["direction"], &call["voicemail_duration"], &call["date_answered"]),
        (&json!("inbound"), &json!(15), &json!(null))
    );
    assert!(text(&call["voicemail_url"]).contains(&id));
    assert_eq!(actions(&close, &id, "activity.call").await, ["created", "updated", "completed"]);
}

// Catalogue: no `answered` and no `completed` for logged calls.
#[tokio::test]
async fn a_logged_call_is_external_and_gives_created_updated_and_deleted_only() {
    let close = Close::start().await;
    let (lead, contact) = lead(&close).await;
    let body = json!({
        "lead_id": lead, "contact_id": contact, "phone": "+4943100001", "duration": 44, "note": "call went well",
        "source": "Close.io",
        "call_method": "regular", "recording_url": "https://example.com/recording.mp3",
        "date_created": "2024-03-03T08:00:00Z",
    });
    let call = close.make("activity/call/", body).await;
    assert_eq!((&call["source"], &call["call_method"]), (&json!("External"), &json!("external")));
    assert_eq!(
        (&call["status"], &call["direction"], &call["cost"]),
        (&json!("completed"), &json!("outbound"), &json!(null))
    );
    assert_eq!((&call["date_created"], &call["has_recording"]), (&json!("2024-03-03T08:00:00+00:00"), &json!(true)));
    assert_eq!((&call["remote_phone"], &call["note_html"]), (&json!("+4943100001"), &json!("<p>call went well</p>")));
    let id = text(&call["id"]);
    let path = format!("activity/call/{id}/");
    let outcome = text(&close.make("outcome/", json!({ "name": "Interested" })).await["id"]);
    let reply = close.put(&path, json!({ "outcome_id": outcome, "duration": 45 })).await;
    assert_eq!((&reply.body["outcome_id"], &reply.body["duration"]), (&json!(outcome), &json!(45)), "{}", reply.text);
    assert_eq!(close.delete(&path).await.status, 200);
    assert_eq!(actions(&close, &id, "activity.call").await, ["created", "updated", "deleted"]);
    for (field, value) in [
        ("direction", json!("sideways")),
        ("duration", json!(-1)),
        ("status", json!("ringing")),
        ("outcome_id", json!("outcome_x")),
    ] {
        let reply = close.post("activity/call/", json!({ "lead_id": lead, field: value })).await;
        assert_eq!(
            (reply.status, reply.body["field-errors"].get(field).is_some()),
            (400, true),
            "{field}: {}",
            reply.text
        );
    }
}

#[tokio::test]
async fn of_a_regular_call_only_what_people_write_can_be_changed() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let id = perform(&close, json!({ "action": "run_call", "lead_id": lead, "duration": 30 })).await;
    close.advance(60.0).await;
    let reply = close
        .put(&format!("activity/call/{id}/"), json!({ "duration": 9000, "direction": "inbound", "note": "ok" }))
        .await;
    assert_eq!(
        (&reply.body["duration"], &reply.body["direction"], &reply.body["note"]),
        (&json!(30), &json!("outbound"), &json!("ok"))
    );
}

#[tokio::test]
async fn transcripts_come_only_when_they_are_named() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let id = perform(
        &close,
        json!({ "action": "run_call", "lead_id": lead, "duration": 30, "recorded": true, "voicemail_duration": 3 }),
    )
    .await;
    close.advance(60.0).await;
    let call = close.get(&format!("activity/call/{id}/")).await.body;
    assert!(call.get("recording_transcript").is_none() && call.get("voicemail_transcript").is_none());
    let named = close.get("activity/call/?_fields=id,recording_transcript,voicemail_transcript").await;
    let row = &named.rows()[0];
    assert!(
        row["recording_transcript"]["summary_text"].is_string() && row["voicemail_transcript"]["utterances"].is_array(),
        "{row}"
    );
}
