//! Meetings: section 4.6, quirk 18, and the row `activity.meeting` of the catalogue.

use serde_json::json;

use crate::{
    activities::{actions, has_fields, ids, lead, perform, text},
    client::Close,
};

const FIELDS: &[&str] = &[
    "title",
    "location",
    "status",
    "starts_at",
    "ends_at",
    "duration",
    "is_recurring",
    "attendees",
    "note",
    "user_note",
    "user_note_html",
    "user_note_date_updated",
    "summary",
    "source",
    "connected_account_id",
    "calendar_event_link",
    "calendar_event_uids",
    "provider_calendar_event_id",
    "provider_calendar_ids",
    "provider_calendar_type",
    "conference_links",
    "integrations",
    "outcome_id",
    "playbook_id",
    "notetaker_id",
];

async fn schedule(close: &Close, lead: &str, starts_at: &str) -> String {
    perform(close, json!({ "action": "schedule_meeting", "lead_id": lead, "starts_at": starts_at, "duration": 1800 }))
        .await
}

// Quirk 18, first part.
#[tokio::test]
async fn quirk_18_a_meeting_is_dated_at_its_start_in_the_future() {
    let close = Close::start().await;
    let (lead, contact) = lead(&close).await;
    let body = json!({
        "action": "schedule_meeting", "lead_id": lead, "contact_id": contact, "starts_at": "2026-10-01T09:00:00Z"
    });
    let id = perform(&close, body).await;
    let meeting = close.get(&format!("activity/meeting/{id}/")).await.body;
    has_fields(&meeting, FIELDS);
    assert_eq!(
        (&meeting["_type"], &meeting["status"], &meeting["duration"]),
        (&json!("Meeting"), &json!("upcoming"), &json!(1800))
    );
    for name in ["date_created", "activity_at", "starts_at"] {
        assert_eq!(meeting[name], "2026-10-01T09:00:00+00:00", "{name}");
    }
    assert!(text(&meeting["date_created"]) > text(&meeting["date_updated"]));
    let guest =
        meeting["attendees"].as_array().unwrap().iter().find(|guest| guest["contact_id"] == json!(contact)).unwrap();
    assert_eq!(
        (&guest["status"], &guest["is_organizer"], &guest["user_id"]),
        (&json!("noreply"), &json!(false), &json!(null))
    );
    assert_eq!(ids(&close.get("activity/meeting/?date_created__gt=2026-09-30").await), std::slice::from_ref(&id));
    let event = text(&meeting["provider_calendar_event_id"]);
    assert_eq!(ids(&close.get(&format!("activity/meeting/?provider_calendar_event_id={event}")).await), [id]);
    assert!(close.get("activity/meeting/?provider_calendar_event_id=none").await.rows().is_empty());
}

// Catalogue: scheduled, started, completed.
#[tokio::test]
async fn the_clock_starts_and_completes_a_meeting_for_nobody() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let id = schedule(&close, &lead, "2026-09-01T13:00:00Z").await;
    close.advance(3_700.0).await;
    let path = format!("activity/meeting/{id}/");
    let started = close.get(&path).await.body;
    assert_eq!(
        (&started["status"], &started["date_updated"]),
        (&json!("in-progress"), &json!("2026-09-01T13:00:00+00:00"))
    );
    close.advance(1_800.0).await;
    assert_eq!(close.get(&path).await.body["status"], "completed");
    let events = close.events_of(&id, "activity.meeting").await;
    assert_eq!(
        actions(&close, &id, "activity.meeting").await,
        ["created", "scheduled", "updated", "started", "updated", "completed"]
    );
    assert!(events[..4].iter().all(|event| event["user_id"].is_null()), "{events:?}");
    assert!(events[4]["user_id"].is_string());
}

// Catalogue: canceled, deleted.
#[tokio::test]
async fn a_meeting_that_is_called_off_does_not_start() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let id = schedule(&close, &lead, "2026-09-01T13:00:00Z").await;
    perform(&close, json!({ "action": "cancel_meeting", "id": id })).await;
    let declined = schedule(&close, &lead, "2026-09-01T13:00:00Z").await;
    perform(&close, json!({ "action": "decline_meeting", "id": declined })).await;
    close.advance(10_000.0).await;
    assert_eq!(close.get(&format!("activity/meeting/{id}/")).await.body["status"], "canceled");
    assert_eq!(close.get(&format!("activity/meeting/{declined}/")).await.body["status"], "declined-by-lead");
    assert_eq!(close.delete(&format!("activity/meeting/{id}/")).await.status, 200);
    assert_eq!(
        actions(&close, &id, "activity.meeting").await,
        ["created", "scheduled", "updated", "canceled", "deleted"]
    );
}

#[tokio::test]
async fn a_meeting_is_not_created_by_callers_but_noted_on() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    assert_eq!(close.post("activity/meeting/", json!({ "lead_id": lead })).await.status, 405);
    let id = schedule(&close, &lead, "2026-08-01T09:00:00Z").await;
    let outcome = text(&close.make("outcome/", json!({ "name": "Won", "applies_to": ["meetings"] })).await["id"]);
    let body = json!({ "user_note_html": "<p>good</p>", "outcome_id": outcome, "title": "not settable" });
    let meeting = close.put(&format!("activity/meeting/{id}/"), body).await.body;
    assert_eq!(
        (&meeting["status"], &meeting["user_note"], &meeting["title"]),
        (&json!("completed"), &json!("good"), &json!("Demo"))
    );
    assert_eq!(meeting["user_note_date_updated"], meeting["date_updated"]);
    let named = close.get(&format!("activity/meeting/{id}/?_fields=transcripts")).await;
    assert_eq!((named.body, meeting.get("transcripts").is_none()), (json!({ "transcripts": [] }), true));
}

#[tokio::test]
async fn a_meeting_that_is_moved_keeps_its_creation_unless_chosen_otherwise() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let id = schedule(&close, &lead, "2026-09-01T13:00:00Z").await;
    let path = format!("activity/meeting/{id}/");
    for (moves, created) in [(false, "2026-09-01T13:00:00+00:00"), (true, "2026-09-03T13:00:00+00:00")] {
        close.switch(json!({ "meeting_created_moves": moves })).await;
        let day = if moves { 3 } else { 2 };
        perform(
            &close,
            json!({ "action": "reschedule_meeting", "id": id, "starts_at": format!("2026-09-0{day}T13:00:00Z") }),
        )
        .await;
        let meeting = close.get(&path).await.body;
        assert_eq!((&meeting["date_created"], &meeting["duration"]), (&json!(created), &json!(1800)));
    }
    close.advance(7_200.0).await;
    assert_eq!(close.get(&path).await.body["status"], "upcoming", "the time it was first planned for has gone by");
    close.advance(2.0 * 86_400.0).await;
    assert_eq!(close.get(&path).await.body["status"], "completed");
}
