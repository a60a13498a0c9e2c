//! The fields of tasks, common ones and those of single types.

use super::type_of;
use crate::model::render::Scene;
use crate::model::resource::{Field, ID, LEAD_ID, ORGANIZATION, Type, Unset, Write};
use crate::model::{Day, Kind, Moment, Record, Value};
use crate::resources::contact::{self, phone};
use crate::resources::{lead, opportunity::money};

/// When a task was completed: stored, never shown.
pub const COMPLETED_AT: &str = "completed_at";

/// What every task has. `due_date` is an older name of `date`; `view` changes by itself when a day comes.
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

/// What tasks of type `lead` have beyond that.
pub const LEAD: &[Field] = &[
    Field::stored("text", Type::Text(65_536)).writable(),
    Field::computed("is_dateless", |s| s.record.get("date").is_none().into()),
];

const fn only_some(field: Field) -> Field {
    field.unset(Unset::Absent)
}

/// What single other types have; each is shown where it is set.
pub const SYSTEM: &[Field] = &[
    only_some(Field::stored("text", Type::Text(65_536)).writable()),
    only_some(Field::text("subject")),
    only_some(Field::text("body_preview")),
    only_some(Field::stored("emails", Type::Json)),
    only_some(Field::stored("cleared_followups", Type::Json)),
    only_some(Field::stored("email_id", Type::Ref(&[Kind::Email]))),
    only_some(Field::stored("total_emails_count_in_thread", Type::Int(0, i64::MAX))),
    only_some(Field::stored("phone", Type::Text(64)).writable()),
    only_some(Field::computed("phone_formatted", |s| formatted(s, "phone"))),
    only_some(Field::text("phone_number_description")),
    only_some(Field::text("local_phone")),
    only_some(Field::text("remote_phone")),
    only_some(Field::computed("remote_phone_formatted", |s| formatted(s, "remote_phone"))),
    only_some(Field::text("remote_phone_description")),
    only_some(Field::text("recording_url")),
    only_some(Field::text("voicemail_url")),
    only_some(Field::stored("voicemail_duration", Type::Int(0, i64::MAX))),
    only_some(Field::computed("opportunity_value", |s| of_opportunity(s, "value"))),
    only_some(Field::computed("opportunity_value_formatted", |s| {
        let period = of_opportunity(s, "value_period");
        money::formatted(s.view, of_opportunity(s, "value").as_int(), period.as_text().unwrap_or("one_time"))
    })),
    only_some(Field::computed("opportunity_value_period", |s| of_opportunity(s, "value_period"))),
    only_some(Field::computed("opportunity_note", |s| of_opportunity(s, "note"))),
    only_some(Field::stored("sequence_id", Type::Ref(&[Kind::Sequence])).write(Write::Once)),
    only_some(Field::stored("sequence_subscription_id", Type::Ref(&[Kind::SequenceSubscription])).write(Write::Once)),
    only_some(Field::text("step_id")),
    only_some(Field::text("agent_config_id")),
];

fn formatted(s: &Scene<'_>, name: &'static str) -> Value {
    s.record.text(name).map(phone::formatted).into()
}

fn of_opportunity(s: &Scene<'_>, name: &'static str) -> Value {
    s.view.field_of(s.record.id_of("object_id").filter(|id| id.kind() == Kind::Opportunity), name)
}

/// Where a task stands: `view` as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Due today or before, or without a date.
    Inbox,
    /// Due later.
    Future,
    /// Completed.
    Archive,
}

impl Place {
    /// The written form.
    pub fn word(self) -> &'static str {
        match self {
            Place::Inbox => "inbox",
            Place::Future => "future",
            Place::Archive => "archive",
        }
    }
}

/// Where a task stands for somebody at an offset of so many minutes from UTC.
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

/// The moment at which a task is due: for a day its beginning.
pub fn moment(task: &Record, offset_minutes: i32) -> Option<Moment> {
    match task.get("date") {
        Some(Value::Day(day)) => Some(day.start(offset_minutes)),
        Some(Value::Moment(at)) => Some(*at),
        _ => None,
    }
}
