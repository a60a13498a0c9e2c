//! Meetings, which come from calendars: callers cannot create them, and the clock starts and ends them (reference,
//! section 4.6).
//!
//! `date_created` is `starts_at`, which may be in the future, after `date_updated` (reference, section 8.1).

use serde_json::json;

use super::{rich_text, shared};
use crate::{
    http::{
        Collection, Source,
        collection::{D, Filter, G, L, Test, U},
    },
    model::{
        Id, Kind, Moment, Record, Refusal, Stamps, Value,
        render::Scene,
        resource::{AUTHORS, Field, Laws, Resource, Type, Unset},
    },
    world::{
        change::{Body, Change},
        jobs::Job,
    },
};

pub static MEETING: Resource = Resource {
    name: "meeting",
    event: Some(|_| "activity.meeting"),
    stamps: Stamps::Offset,
    fields: &[
        &[shared::type_field(|_| "Meeting".into())],
        shared::BASE,
        &[
            Field::text("title"),
            Field::text("location"),
            Field::text("status").unset(Unset::Text("upcoming")),
            Field::stored("starts_at", Type::Moment),
            Field::stored("ends_at", Type::Moment),
            Field::computed("duration", |s| match (s.record.moment("starts_at"), s.record.moment("ends_at")) {
                (Some(from), Some(to)) => (to.millis_since(from) / 1_000).into(),
                _ => 0.into(),
            }),
            Field::stored("is_recurring", Type::Bool).unset(Unset::False),
            Field::stored("attendees", Type::List(&Type::Json)).unset(Unset::EmptyList),
            Field::text("note").unset(Unset::Text("")),
            Field::text("user_note").writable(),
            Field::text("user_note_html").writable(),
            Field::stored("user_note_date_updated", Type::Moment),
            Field::text("summary"),
            Field::text("source").unset(Unset::Text("calendar")),
            Field::stored("connected_account_id", Type::Ref(&[Kind::ConnectedAccount])),
            Field::text("calendar_event_link"),
            Field::stored("calendar_event_uids", Type::List(&Type::Text(1024))).unset(Unset::EmptyList),
            Field::text("provider_calendar_event_id"),
            Field::stored("provider_calendar_ids", Type::List(&Type::Text(1024))).unset(Unset::EmptyList),
            Field::text("provider_calendar_type"),
            Field::stored("conference_links", Type::List(&Type::Text(2048))).unset(Unset::EmptyList),
            Field::stored("integrations", Type::List(&Type::Json)).unset(Unset::EmptyList),
            Field::stored("outcome_id", Type::Ref(&[Kind::Outcome])).writable(),
            Field::stored("playbook_id", Type::Ref(&[Kind::Playbook])).writable(),
            Field::text("notetaker_id"),
            Field::computed("transcripts", transcripts).on_request(),
        ],
        AUTHORS,
        shared::ACTIVITY_DATES,
    ],
    custom_fields: false,
    laws: Laws { revise, ..shared::LAWS },
};

const FILTERS: &[Filter] = &shared::filters_and(Filter {
    param: "provider_calendar_event_id",
    test: Test::Field("provider_calendar_event_id"),
});

pub static SOURCE: Source = Source {
    collections: &[Collection {
        filters: FILTERS,
        ..shared::collection("activity/meeting", &[Kind::Meeting], L | G | U | D)
    }],
    endpoints: &[],
};

/// Transcripts of a meeting with a notetaker.
fn transcripts(scene: &Scene<'_>) -> Value {
    if scene.record.text("notetaker_id").is_none() || scene.record.text("status") != Some("completed") {
        return Value::list([]);
    }
    let summary = scene.record.text("title").unwrap_or("Meeting").to_owned();
    Value::list([Value::json(&json!({
        "utterances": [{ "speaker_label": "Contact", "start": 0.0, "end": 3.0, "text": "Thanks for making the time." }],
        "summary_text": summary,
        "summary_html": rich_text::html_of(&summary),
    }))])
}

fn revise(change: &mut Change<'_>, before: &Record, after: &mut Record, body: &Body) -> Result<(), Refusal> {
    shared::revise(change, before, after, body)?;
    rich_text::agree(Some(before), after, "user_note", "user_note_html");
    if before.get("user_note_html") != after.get("user_note_html") {
        after.set("user_note_date_updated", change.now());
    }
    Ok(())
}

/// A meeting as the calendar has it.
#[derive(Clone, Debug)]
pub struct Plan {
    pub lead: Id,
    /// The other participant, if known; a contact of the lead.
    pub contact: Option<Id>,
    /// The owner of the calendar.
    pub user: Option<Id>,
    pub title: String,
    pub starts_at: Moment,
    /// In seconds.
    pub duration: i64,
    /// `(email, name, contact)` of each participant beside the user.
    pub attendees: Vec<(String, String, Option<Id>)>,
}

/// Adds a meeting: `created` and `scheduled`; the clock does the rest. A meeting that has already started gets its
/// present status.
pub fn schedule(change: &mut Change<'_>, plan: &Plan) -> Id {
    let mut record = change.record(Kind::Meeting);
    record.lead = Some(plan.lead);
    record.created = plan.starts_at;
    let attendee = |email: &str, name: &str, user: Option<Id>, contact: Option<Id>| {
        Value::object([
            ("email", email.into()),
            ("name", name.into()),
            ("status", if user.is_some() { "yes" } else { "noreply" }.into()),
            ("user_id", user.into()),
            ("contact_id", contact.into()),
            ("is_organizer", user.is_some().into()),
        ])
    };
    let organizer = plan.user.and_then(|user| change.get(user)).map(|user| {
        attendee(user.text("email").unwrap_or(""), user.text("full_name").unwrap_or(""), Some(user.id), None)
    });
    let others = plan.attendees.iter().map(|(email, name, contact)| attendee(email, name, None, *contact));
    let event =
        format!("{}@calendar.example", record.id.text(change.world.seed).trim_start_matches("acti_").to_lowercase());
    let mut record = record
        .with("contact_id", plan.contact)
        .with("user_id", plan.user)
        .with("title", plan.title.as_str())
        .with("starts_at", plan.starts_at)
        .with("ends_at", plan.starts_at.plus_secs(plan.duration))
        .with("attendees", Value::list(organizer.into_iter().chain(others)))
        .with("provider_calendar_type", "google")
        .with("provider_calendar_event_id", event.as_str())
        .with("calendar_event_uids", Value::list([event.as_str().into()]));
    record.set("status", due(&record, change.now()));
    let id = change.insert(record);
    change.emit(id, "scheduled");
    wait(change, id);
    shared::touch_lead(change, id);
    id
}

/// Moves a meeting that has not ended to another time.
pub fn reschedule(change: &mut Change<'_>, id: Id, starts_at: Moment) {
    let moves = change.world.switches.meeting_created_moves;
    let now = change.now();
    change.edit(id, |record| {
        if let (Some(from), Some(to)) = (record.moment("starts_at"), record.moment("ends_at")) {
            record.set("ends_at", starts_at.plus_millis(to.millis_since(from)));
        }
        record.set("starts_at", starts_at);
        record.set("activity_at", starts_at);
        record.set("status", due(record, now));
        if moves {
            record.created = starts_at;
        }
    });
    wait(change, id);
    shared::touch_lead(change, id);
}

/// Cancels a meeting: an update and `canceled`.
pub fn cancel(change: &mut Change<'_>, id: Id) {
    set_status(change, id, "canceled", Some("canceled"));
}

/// Declines a meeting: `declined-by-lead` or `declined-by-org`. No action for this is documented, so it is an update.
pub fn decline(change: &mut Change<'_>, id: Id, by_lead: bool) {
    set_status(change, id, if by_lead { "declined-by-lead" } else { "declined-by-org" }, None);
}

/// Starts or ends a due meeting: an update without user, and `started` or `completed`.
pub fn clock(change: &mut Change<'_>, id: Id) {
    let Some(record) = change.get(id) else { return };
    let status = due(&record, change.now());
    match (record.text("status"), status) {
        (Some("upcoming"), "in-progress") => set_status(change, id, status, Some("started")),
        (Some("upcoming" | "in-progress"), "completed") => set_status(change, id, status, Some("completed")),
        _ => {}
    }
}

fn set_status(change: &mut Change<'_>, id: Id, status: &'static str, action: Option<&'static str>) {
    change.edit(id, |record| record.set("status", status));
    if let Some(action) = action {
        change.emit(id, action);
    }
    shared::touch_lead(change, id);
}

/// The status of a meeting by the clock.
fn due(record: &Record, now: Moment) -> &'static str {
    match (record.moment("starts_at"), record.moment("ends_at")) {
        (_, Some(to)) if to <= now => "completed",
        (Some(from), _) if from <= now => "in-progress",
        _ => "upcoming",
    }
}

/// Schedules the next step of the clock.
fn wait(change: &mut Change<'_>, id: Id) {
    let Some(record) = change.get(id) else { return };
    for at in [record.moment("starts_at"), record.moment("ends_at")].into_iter().flatten() {
        if at > change.now() {
            change.schedule(at, Job::Meeting(id));
        }
    }
}
