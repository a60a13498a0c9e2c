//! SMS (reference, section 4.6). They are sent like mails; `cost` is text, in US cents.

use super::{delivery, shared, telephone};
use crate::{
    http::{
        Source,
        collection::{C, D, G, L, U},
    },
    model::{
        Id, Kind, Moment, Record, Refusal, Stamps, Value,
        resource::{AUTHORS, Field, Laws, Resource, Type, Unset},
    },
    world::change::{Body, Change},
};

pub static SMS: Resource = Resource {
    name: "sms",
    event: Some(|_| "activity.sms"),
    stamps: Stamps::Offset,
    fields: &[
        &[shared::type_field(|_| "SMS".into())],
        shared::BASE,
        &[
            Field::computed("direction", |s| match delivery::status(s.record) {
                "inbox" => "inbound".into(),
                _ => "outbound".into(),
            }),
            Field::stored("status", Type::Choice(delivery::STATUSES)).writable().not_null().unset(Unset::Text("draft")),
            Field::stored("text", Type::Text(1600)).writable().unset(Unset::Text("")),
        ],
        telephone::LOCAL,
        telephone::REMOTE,
        &[
            Field::stored("date_scheduled", Type::Moment).writable(),
            Field::stored("date_sent", Type::Moment),
            Field::text("error_message"),
            Field::text("cost"),
            Field::text("source").unset(Unset::Text("Close.io")),
            shared::ATTACHMENTS,
            Field::stored("template_id", Type::Ref(&[Kind::SmsTemplate])).writable(),
            Field::computed("template_name", |s| s.view.field_of(s.record.id_of("template_id"), "name")),
            Field::stored("sequence_id", Type::Ref(&[Kind::Sequence])),
            Field::computed("sequence_name", |s| s.view.field_of(s.record.id_of("sequence_id"), "name")),
            Field::stored("sequence_subscription_id", Type::Ref(&[Kind::SequenceSubscription])),
            Field::text("agent_config_id"),
            Field::text("agent_action_reason"),
        ],
        AUTHORS,
        shared::SETTABLE_DATES,
    ],
    custom_fields: false,
    laws: Laws { prepare, created, revise, updated, ..shared::LAWS },
};

pub static SOURCE: Source =
    Source { collections: &[shared::collection("activity/sms", &[Kind::Sms], L | G | C | U | D)], endpoints: &[] };

fn prepare(change: &mut Change<'_>, record: &mut Record, body: &Body) -> Result<(), Refusal> {
    shared::prepare(change, record, body)?;
    let template = record.id_of("template_id").and_then(|id| change.get(id));
    if record.text("text").is_none()
        && let Some(template) = template
    {
        record.set("text", template.get("text").cloned().unwrap_or(Value::Null));
    }
    if matches!(delivery::status(record), "inbox" | "sent") {
        record.set("source", "External");
    }
    delivery::check(change, None, record)
}

fn created(change: &mut Change<'_>, id: Id, body: &Body) -> Result<(), Refusal> {
    delivery::follow(change, None, id);
    shared::created(change, id, body)
}

fn revise(change: &mut Change<'_>, before: &Record, after: &mut Record, body: &Body) -> Result<(), Refusal> {
    shared::revise(change, before, after, body)?;
    delivery::check(change, Some(before), after)
}

fn updated(change: &mut Change<'_>, before: &Record, id: Id, body: &Body) -> Result<(), Refusal> {
    delivery::follow(change, Some(before), id);
    shared::updated(change, before, id, body)
}

/// A message to one of the organization's numbers.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The lead of the sender.
    pub lead: Id,
    /// The sender.
    pub contact: Option<Id>,
    /// The owner of the number.
    pub user: Option<Id>,
    pub remote_phone: String,
    pub local_phone: String,
    pub text: String,
    /// `None` for now.
    pub date: Option<Moment>,
}

/// Records an incoming message.
pub fn receive(change: &mut Change<'_>, arrival: &Arrival) -> Id {
    let mut record = change.record(Kind::Sms);
    record.lead = Some(arrival.lead);
    record.created = arrival.date.unwrap_or(record.created);
    let record = record
        .with("contact_id", arrival.contact)
        .with("user_id", arrival.user)
        .with("status", "inbox")
        .with("text", arrival.text.as_str())
        .with("remote_phone", arrival.remote_phone.as_str())
        .with("local_phone", arrival.local_phone.as_str());
    let id = change.insert(record);
    shared::touch_lead(change, id);
    id
}
