//! Calls: regular calls, which ring, are answered and end, and external calls, which are logged (reference, section
//! 4.6).
//!
//! Stored: `phone` is the number of the other party, from which the `remote_…` fields follow. A `recording_duration`
//! means that Close recorded the call (`recording_url` then follows from the id); `recording_url` itself is stored for
//! external calls only.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{rich_text, shared, telephone};
use crate::{
    http::{
        Source,
        collection::{C, D, G, L, U},
    },
    model::{
        Id, Kind, Moment, Record, Refusal, Stamps, Value,
        render::Scene,
        resource::{AUTHORS, EVENT, Field, Laws, Resource, Type, Unset, Write},
    },
    world::{
        change::{Body, Change},
        jobs::Job,
    },
};

const DIRECTIONS: &[&str] = &["inbound", "outbound"];
const STATUSES: &[&str] = &["created", "in-progress", "completed", "cancel", "no-answer", "busy", "failed", "timeout"];
const DISPOSITIONS: &[&str] =
    &["answered", "no-answer", "vm-answer", "vm-left", "busy", "blocked", "error", "abandoned"];
/// Seconds, up to a day.
const SECONDS: Type = Type::Int(0, 86_400);

pub static CALL: Resource = Resource {
    name: "call",
    event: Some(|_| "activity.call"),
    stamps: Stamps::Offset,
    fields: &[
        &[shared::type_field(|_| "Call".into())],
        shared::BASE,
        &[
            Field::stored("direction", Type::Choice(DIRECTIONS)).writable().unset(Unset::Text("outbound")),
            Field::stored("status", Type::Choice(STATUSES)).writable().unset(Unset::Text("completed")),
            Field::stored("disposition", Type::Choice(DISPOSITIONS)).writable(),
            Field::stored("call_method", Type::Choice(&["regular", "power", "predictive", "external"]))
                .unset(Unset::Text("regular")),
            Field::stored("duration", SECONDS).writable().unset(Unset::Zero),
            Field::text("source").unset(Unset::Text("Close.io")),
            Field::text("cost"),
            Field::text("phone").writable(),
        ],
        telephone::LOCAL,
        &[
            Field::computed("remote_phone", |s| s.record.get("phone").cloned().unwrap_or(Value::Null)),
            Field::computed("remote_phone_formatted", |s| telephone::formatted(s, "phone")),
            Field::computed("remote_country_iso", |s| telephone::country(s, "phone")),
            Field::computed("has_recording", |s| recorded(s.record).into()),
            Field { ty: Type::Text(2048), write: Write::Yes, ..Field::computed("recording_url", recording_url) },
            Field::stored("recording_duration", SECONDS).unset(Unset::Zero),
            Field::stored("recording_expires_at", Type::Moment),
            Field::computed("voicemail_url", |s| {
                link(s, s.record.int("voicemail_duration").is_some_and(|secs| secs > 0), "voicemail")
            }),
            Field::stored("voicemail_duration", SECONDS).unset(Unset::Zero),
            Field::text("note").writable().unset(Unset::Text("")),
            Field::text("note_html").writable(),
            Field::stored("outcome_id", Type::Ref(&[Kind::Outcome])).writable(),
            Field::stored("date_answered", Type::Moment),
            Field::stored("dialer_id", Type::Ref(&[Kind::DialerSession])),
            Field::stored("dialer_saved_search_id", Type::Ref(&[Kind::SmartView])),
            Field::text("transferred_from"),
            Field::stored("transferred_from_user_id", Type::Ref(&[Kind::User])),
            Field::text("transferred_to"),
            Field::stored("transferred_to_user_id", Type::Ref(&[Kind::User])),
            Field::text("forwarded_to"),
            Field::stored("is_forwarded", Type::Bool).unset(Unset::False),
            Field::stored("is_to_group_number", Type::Bool).unset(Unset::False),
            Field::computed("is_joinable", |s| (s.record.text("status") == Some("in-progress")).into()),
            Field::stored("coach_legs", Type::List(&Type::Json)).unset(Unset::EmptyList),
            Field::stored("parent_meeting_id", Type::Ref(&[Kind::Meeting])).writable(),
            Field::stored("sequence_id", Type::Ref(&[Kind::Sequence])),
            Field::computed("sequence_name", |s| s.view.field_of(s.record.id_of("sequence_id"), "name")),
            Field::stored("sequence_subscription_id", Type::Ref(&[Kind::SequenceSubscription])),
            Field::stored("quality_info", Type::Json).only(EVENT),
            Field::computed("recording_transcript", |s| transcript(s, recorded(s.record))).on_request(),
            Field::computed("voicemail_transcript", |s| {
                transcript(s, s.record.int("voicemail_duration").is_some_and(|secs| secs > 0))
            })
            .on_request(),
        ],
        AUTHORS,
        shared::SETTABLE_DATES,
    ],
    custom_fields: false,
    laws: Laws { prepare, revise, ..shared::LAWS },
};

pub static SOURCE: Source =
    Source { collections: &[shared::collection("activity/call", &[Kind::Call], L | G | C | U | D)], endpoints: &[] };

fn recorded(record: &Record) -> bool {
    record.text("recording_url").is_some() || kept(record)
}

/// Returns true if Close itself recorded the call.
fn kept(record: &Record) -> bool {
    record.int("recording_duration").is_some_and(|secs| secs > 0)
}

fn recording_url(scene: &Scene<'_>) -> Value {
    match scene.record.get("recording_url") {
        Some(url) => url.clone(),
        None => link(scene, kept(scene.record), "recording"),
    }
}

fn link(scene: &Scene<'_>, exists: bool, what: &str) -> Value {
    exists.then(|| format!("https://app.close.com/call/{}/{what}/", scene.view.id_text(scene.record.id))).into()
}

/// A transcript of two turns, derived from the record.
fn transcript(scene: &Scene<'_>, exists: bool) -> Value {
    if !exists {
        return Value::Null;
    }
    let speaker = scene.view.user_name(scene.record.id_of("user_id"));
    let speaker = speaker.as_text().unwrap_or("Agent");
    let summary =
        format!("{speaker} spoke for {} seconds and agreed on a next step.", scene.record.int("duration").unwrap_or(0));
    Value::json(&json!({
        "utterances": [
            { "speaker_label": speaker, "speaker_side": "close-user", "start": 0.0, "end": 2.5,
              "text": "Hello, is now a good time?" },
            { "speaker_label": "Contact", "speaker_side": "contact", "start": 2.5, "end": 4.0,
              "text": "Yes, go ahead." },
        ],
        "summary_text": summary,
        "summary_html": rich_text::html_of(&summary),
    }))
}

/// A call that a caller logs is external.
fn prepare(change: &mut Change<'_>, record: &mut Record, body: &Body) -> Result<(), Refusal> {
    shared::prepare(change, record, body)?;
    rich_text::agree(None, record, "note", "note_html");
    record.set("source", "External");
    record.set("call_method", "external");
    Ok(())
}

/// The facts of a regular call are read-only; its note, outcome and contact can be changed.
fn revise(change: &mut Change<'_>, before: &Record, after: &mut Record, body: &Body) -> Result<(), Refusal> {
    shared::revise(change, before, after, body)?;
    rich_text::agree(Some(before), after, "note", "note_html");
    if before.text("source") != Some("External") {
        for name in [
            "direction",
            "status",
            "disposition",
            "duration",
            "phone",
            "local_phone",
            "recording_url",
            "parent_meeting_id",
            "activity_at",
        ] {
            after.set(name, before.get(name).cloned().unwrap_or(Value::Null));
        }
    }
    Ok(())
}

/// A regular call before it rings.
#[derive(Clone, Debug)]
pub struct Dialled {
    pub lead: Id,
    /// The other party, if known; a contact of the lead.
    pub contact: Option<Id>,
    /// The user who calls or is called.
    pub user: Id,
    /// `inbound` rather than `outbound`.
    pub inbound: bool,
    /// The number of the other party.
    pub phone: String,
    /// The organization's number.
    pub local_phone: String,
}

/// The next state of a regular call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    Answered,
    Ended {
        /// One of the documented dispositions.
        disposition: String,
        /// Seconds of talk.
        duration: i64,
        /// Seconds of voicemail, 0 for none.
        voicemail: i64,
        /// Whether Close recorded it.
        recorded: bool,
    },
}

/// The next step of a call, as a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub call: Id,
    pub progress: Progress,
}

/// Starts a regular call: status `created`.
pub fn dial(change: &mut Change<'_>, dialled: &Dialled) -> Id {
    let mut record = change.record(Kind::Call);
    record.lead = Some(dialled.lead);
    record.author = Some(dialled.user);
    record.editor = None;
    let record = record
        .with("contact_id", dialled.contact)
        .with("user_id", dialled.user)
        .with("direction", if dialled.inbound { "inbound" } else { "outbound" })
        .with("status", "created")
        .with("phone", dialled.phone.as_str())
        .with("local_phone", dialled.local_phone.as_str());
    let id = change.insert(record);
    shared::touch_lead(change, id);
    id
}

/// Runs a whole regular call by the clock: it starts now, rings, is answered if its disposition says so, and ends after
/// `duration`.
pub fn run(change: &mut Change<'_>, dialled: &Dialled, ring_secs: i64, end: Progress) -> Id {
    let call = dial(change, dialled);
    let answered = change.now().plus_secs(ring_secs);
    let Progress::Ended { disposition, duration, .. } = &end else { return call };
    let over: Moment = answered.plus_secs(*duration);
    if disposition == "answered" {
        change.schedule(answered, Job::Call(Step { call, progress: Progress::Answered }));
    }
    change.schedule(over, Job::Call(Step { call, progress: end }));
    call
}

/// Advances a regular call: an update, and `answered` or `completed` beside it. Does nothing if the call is gone.
pub fn progress(change: &mut Change<'_>, Step { call, progress }: &Step) {
    let (call, now) = (*call, change.now());
    if change.get(call).is_none() {
        return;
    }
    let action = match progress {
        Progress::Answered => {
            change.edit(call, |record| {
                record.set("status", "in-progress");
                record.set("date_answered", now);
            });
            "answered"
        }
        Progress::Ended { disposition, duration, voicemail, recorded } => {
            change.edit(call, |record| end(record, disposition, *duration, *voicemail, *recorded));
            "completed"
        }
    };
    change.emit(call, action);
    shared::touch_lead(change, call);
}

fn end(record: &mut Record, disposition: &str, duration: i64, voicemail: i64, recorded: bool) {
    let status = match disposition {
        "no-answer" | "busy" => disposition,
        "abandoned" => "cancel",
        "blocked" | "error" => "failed",
        _ => "completed",
    };
    record.set("status", status);
    record.set("disposition", disposition);
    record.set("duration", duration);
    if voicemail > 0 {
        record.set("voicemail_duration", voicemail);
    }
    if recorded {
        record.set("recording_duration", duration);
    }
    // Two cents for every started minute, as text.
    record.set("cost", (duration > 0).then(|| ((duration + 59) / 60 * 2).to_string()));
    record.set("quality_info", Value::json(&json!({ "mos": 4.2, "jitter": 3, "packet_loss": 0 })));
}
