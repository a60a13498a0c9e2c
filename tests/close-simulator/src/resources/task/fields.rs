//! The fields of tasks, common ones and those of single types.

use super::type_of;
use crate::{
    model::{
        Day, Kind, Moment, Record, Value,
        render::Scene,
        resource::{Field, ID, LEAD_ID, ORGANIZATION, Type, Unset, Write},
    },
    resources::{
        contact::{self, phone},
        lead,
        opportunity::money,
    },
};

/// Time of completion: stored, never shown.
pub const COMPLETED_AT: &str = "completed_at";

/// Fields of every task. `due_date` is an older name of `date`; `view` changes by itself when a day begins.
pub const COMMON: &[Field] = &[
    Field::computed("_type", |s| type_of(s.record).into()),
    ID,
    ORGANIZATION,
    LEAD_ID.write(Write::RequiredOnce),
    Field::computed("lead_name", |s| lead::fields::name_of(s.view, s.record.lead)),
    Field::stored("contact_id", Type::Ref(&[Kind::Contact])).writable(),
    Field::computed("contact_name", |s| {
        s.record.id_of("contact_id").and_then(|id| s.view.get(id)).map(contact::display_name).into()
    }),
    Field::stored("assigned_to", Type::Ref(&[Kind::User])).writable(),
    Field::computed("assigned_to_name", |s| s.view.user_name(s.record.id_of("assigned_to"))),
    Field::text("object_type"),
    Field::stored("object_id", Type::Ref(&[Kind::Opportunity, Kind::Email, Kind::Call, Kind::Sms])),
    Field::stored("is_complete", Type::Bool).writable().not_null().unset(Unset::False),
    Field::stored("date", Type::DayOrMoment).writable(),
    Field::computed("due_date", |s| s.record.get("date").cloned().unwrap_or(Value::Null)),
    Field::computed("view", |s| place(s.record, s.view.now, 0).word().into()).volatile(),
    Field::text("deduplication_key"),
    Field::stored("is_primary_lead_notification", Type::Bool).unset(Unset::False),
    Field::stored("resolution", Type::Text(255)).writable(),
    Field::stored("priority", Type::Text(64)).writable(),
];

/// Further fields of tasks of type `lead`.
pub const LEAD: &[Field] = &[
    Field::stored("text", Type::Text(65_536)).writable(),
    Field::computed("is_dateless", |s| s.record.get("date").is_none().into()),
];

const fn only_some(field: Field) -> Field {
    field.unset(Unset::Absent)
}

const fn of(field: Field, has: fn(&Record) -> bool) -> Field {
    field.unset(Unset::Where(has, "null"))
}

const fn list_of(field: Field, has: fn(&Record) -> bool) -> Field {
    field.unset(Unset::Where(has, "[]"))
}

fn is_email(task: &Record) -> bool {
    type_of(task) == "incoming_email"
}

fn is_followup(task: &Record) -> bool {
    type_of(task) == "email_followup"
}

fn is_any_email(task: &Record) -> bool {
    is_email(task) || is_followup(task)
}

fn is_voicemail(task: &Record) -> bool {
    type_of(task) == "voicemail"
}

fn is_call(task: &Record) -> bool {
    is_voicemail(task) || matches!(type_of(task), "missed_call" | "answered_detached_call")
}

fn is_sms(task: &Record) -> bool {
    type_of(task) == "incoming_sms"
}

fn has_local_phone(task: &Record) -> bool {
    is_call(task) || is_sms(task)
}

fn is_due_opportunity(task: &Record) -> bool {
    type_of(task) == "opportunity_due"
}

fn is_outgoing_call(task: &Record) -> bool {
    type_of(task) == "outgoing_call"
}

/// Fields of single other types: null on their own type when unset, absent on other types unless set.
pub const SYSTEM: &[Field] = &[
    of(Field::stored("text", Type::Text(65_536)).writable(), is_sms),
    of(Field::text("subject"), is_any_email),
    of(Field::text("body_preview"), is_any_email),
    list_of(Field::stored("emails", Type::Json), is_email),
    list_of(Field::stored("cleared_followups", Type::Json), is_email),
    of(Field::stored("email_id", Type::Ref(&[Kind::Email])), is_followup),
    of(Field::stored("total_emails_count_in_thread", Type::Int(0, i64::MAX)), is_followup),
    of(Field::stored("phone", Type::Text(64)).writable(), is_call),
    of(Field::computed("phone_formatted", |s| formatted(s, "phone")), is_call),
    of(Field::text("phone_number_description"), is_call),
    of(Field::text("local_phone"), has_local_phone),
    of(Field::text("remote_phone"), is_sms),
    of(Field::computed("remote_phone_formatted", |s| formatted(s, "remote_phone")), is_sms),
    of(Field::text("remote_phone_description"), is_sms),
    only_some(Field::text("recording_url")),
    of(Field::text("voicemail_url"), is_voicemail),
    of(Field::stored("voicemail_duration", Type::Int(0, i64::MAX)), is_voicemail),
    of(Field::computed("opportunity_value", |s| of_opportunity(s, "value")), is_due_opportunity),
    of(
        Field::computed("opportunity_value_formatted", |s| {
            let period = of_opportunity(s, "value_period");
            money::formatted(s.view, of_opportunity(s, "value").as_int(), period.as_text().unwrap_or("one_time"))
        }),
        is_due_opportunity,
    ),
    of(Field::computed("opportunity_value_period", |s| of_opportunity(s, "value_period")), is_due_opportunity),
    of(Field::computed("opportunity_note", |s| of_opportunity(s, "note")), is_due_opportunity),
    of(Field::stored("sequence_id", Type::Ref(&[Kind::Sequence])).write(Write::Once), is_outgoing_call),
    of(
        Field::stored("sequence_subscription_id", Type::Ref(&[Kind::SequenceSubscription])).write(Write::Once),
        is_outgoing_call,
    ),
    of(Field::text("step_id"), is_outgoing_call),
    of(Field::text("agent_config_id"), is_outgoing_call),
];

fn formatted(s: &Scene<'_>, name: &'static str) -> Value {
    s.record.text(name).map(phone::formatted).into()
}

fn of_opportunity(s: &Scene<'_>, name: &'static str) -> Value {
    s.view.field_of(s.record.id_of("object_id").filter(|id| id.kind() == Kind::Opportunity), name)
}

/// The values of `view`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Due today or earlier, or without a date.
    Inbox,
    /// Due later.
    Future,
    /// Completed.
    Archive,
}

impl Place {
    pub fn word(self) -> &'static str {
        match self {
            Place::Inbox => "inbox",
            Place::Future => "future",
            Place::Archive => "archive",
        }
    }
}

/// The view of a task for a caller at an offset in minutes from UTC.
pub fn place(task: &Record, now: Moment, offset_minutes: i32) -> Place {
    if task.is("is_complete") {
        Place::Archive
    } else if day(task, offset_minutes).is_some_and(|day| day > now.day(offset_minutes)) {
        Place::Future
    } else {
        Place::Inbox
    }
}

/// The day on which a task is due.
pub fn day(task: &Record, offset_minutes: i32) -> Option<Day> {
    match task.get("date") {
        Some(Value::Day(day)) => Some(*day),
        Some(Value::Moment(at)) => Some(at.day(offset_minutes)),
        _ => None,
    }
}

/// The moment at which a task is due; for a day, its beginning.
pub fn moment(task: &Record, offset_minutes: i32) -> Option<Moment> {
    match task.get("date") {
        Some(Value::Day(day)) => Some(day.start(offset_minutes)),
        Some(Value::Moment(at)) => Some(*at),
        _ => None,
    }
}
