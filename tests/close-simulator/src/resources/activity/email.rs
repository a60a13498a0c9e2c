//! Emails: drafts, scheduled, sent and incoming ones (reference, section 4.6).
//!
//! `direction` follows from `status`; `message_ids` and `envelope` are derived if the mail has none.

use super::{delivery, email_thread, rich_text, shared};
use crate::{
    http::{
        Source,
        collection::{C, D, G, L, U},
    },
    model::{
        Id, Kind, Moment, Record, Refusal, Stamps, Value,
        render::Scene,
        resource::{AUTHORS, Field, Laws, Resource, Type, Unset, Write},
    },
    world::change::{Body, Change},
};

const ADDRESSES: Type = Type::List(&Type::Text(1024));

pub static EMAIL: Resource = Resource {
    name: "email",
    event: Some(|_| "activity.email"),
    stamps: Stamps::Offset,
    fields: &[
        &[shared::type_field(|_| "Email".into())],
        shared::BASE,
        &[
            Field::computed("direction", |s| match delivery::status(s.record) {
                "draft" => Value::Null,
                "inbox" => "incoming".into(),
                _ => "outgoing".into(),
            }),
            Field::stored("status", Type::Choice(delivery::STATUSES)).writable().not_null().unset(Unset::Text("draft")),
            Field::text("subject").writable().unset(Unset::Text("")),
            Field::text("body_text").writable().unset(Unset::Text("")),
            Field::text("body_html").writable().unset(Unset::Text("")),
            Field::computed("body_preview", |s| rich_text::preview(s.record.text("body_text").unwrap_or(""))),
            Field::text("sender").writable(),
            Field::stored("to", ADDRESSES).writable().unset(Unset::EmptyList),
            Field::stored("cc", ADDRESSES).writable().unset(Unset::EmptyList),
            Field::stored("bcc", ADDRESSES).writable().unset(Unset::EmptyList),
            Field::computed("envelope", envelope),
            shared::ATTACHMENTS,
            Field::stored("thread_id", Type::Ref(&[Kind::EmailThread])),
            Field::computed("message_ids", message_ids),
            Field::stored("references", Type::List(&Type::Text(1024))).unset(Unset::EmptyList),
            Field::stored("in_reply_to_id", Type::Ref(&[Kind::Email])).write(Write::Once),
            Field::stored("opens", Type::List(&Type::Json)).unset(Unset::EmptyList),
            Field::computed("opens_summary", |s| delivery::opens_summary(s.record)),
            Field::stored("send_attempts", Type::List(&Type::Json)).unset(Unset::EmptyList),
            Field::stored("email_account_id", Type::Ref(&[Kind::ConnectedAccount])).writable(),
            Field::stored("send_as_id", Type::Ref(&[Kind::ConnectedAccount, Kind::SendAs])).writable(),
            Field::stored("need_smtp_credentials", Type::Bool).unset(Unset::False),
            Field::stored("date_scheduled", Type::Moment).writable(),
            Field::stored("date_sent", Type::Moment),
            Field::stored("has_reply", Type::Bool).unset(Unset::False),
            Field::stored("template_id", Type::Ref(&[Kind::EmailTemplate])).writable(),
            Field::computed("template_name", |s| s.view.field_of(s.record.id_of("template_id"), "name")),
            Field::stored("bulk_email_action_id", Type::Ref(&[Kind::BulkAction])),
            Field::stored("sequence_id", Type::Ref(&[Kind::Sequence])),
            Field::computed("sequence_name", |s| s.view.field_of(s.record.id_of("sequence_id"), "name")),
            Field::stored("sequence_subscription_id", Type::Ref(&[Kind::SequenceSubscription])),
            Field::stored("followup_sequence_id", Type::Ref(&[Kind::Sequence])).writable(),
            Field::stored("followup_sequence_delay", Type::Int(0, i64::MAX)).writable(),
            Field::text("agent_config_id"),
            Field::text("agent_action_reason"),
        ],
        AUTHORS,
        shared::SETTABLE_DATES,
    ],
    custom_fields: false,
    laws: Laws { prepare, created, revise, updated, deleted, ..Laws::PLAIN },
};

pub static SOURCE: Source =
    Source { collections: &[shared::collection("activity/email", &[Kind::Email], L | G | C | U | D)], endpoints: &[] };

fn message_ids(scene: &Scene<'_>) -> Value {
    match scene.record.get("message_ids") {
        Some(ids) => ids.clone(),
        None if delivery::status(scene.record) == "draft" => Value::list([]),
        None => Value::list([format!("<{}@mail.close.example>", scene.view.id_text(scene.record.id)).into()]),
    }
}

fn envelope(scene: &Scene<'_>) -> Value {
    let record = scene.record;
    let addresses = |name| {
        Value::list(
            record
                .get(name)
                .map(Value::items)
                .unwrap_or_default()
                .iter()
                .filter_map(Value::as_text)
                .map(email_thread::address),
        )
    };
    let sender = Value::list(record.text("sender").map(email_thread::address));
    let in_reply_to = record.get("references").and_then(|references| references.items().last()).cloned();
    Value::object([
        ("from", sender.clone()),
        ("sender", sender),
        ("to", addresses("to")),
        ("cc", addresses("cc")),
        ("bcc", addresses("bcc")),
        ("reply_to", Value::list([])),
        ("date", shared::activity_at(record).into()),
        ("in_reply_to", in_reply_to.into()),
        ("message_id", message_ids(scene).items().first().cloned().into()),
        ("subject", record.get("subject").cloned().unwrap_or_else(|| "".into())),
        ("is_autoreply", false.into()),
    ])
}

fn prepare(change: &mut Change<'_>, record: &mut Record, body: &Body) -> Result<(), Refusal> {
    shared::prepare(change, record, body)?;
    fill_from_template(change, record);
    rich_text::agree(None, record, "body_text", "body_html");
    delivery::check(change, None, record)?;
    let replied =
        record.id_of("in_reply_to_id").and_then(|id| change.get(id)).filter(|email| email.lead == record.lead);
    let thread = match replied {
        Some(email) => email.id_of("thread_id"),
        None => email_thread::find(change, record.lead, record.text("subject").unwrap_or("")),
    };
    match thread {
        Some(thread) => {
            record.set("thread_id", thread);
            let previous = replied_to(change, record).or_else(|| email_thread::latest(change, thread));
            record.set("in_reply_to_id", previous);
            record.set("references", previous.and_then(|id| references(change, id)));
        }
        // The thread is stored after its first mail.
        None => record.set("thread_id", change.world.next_id(Kind::EmailThread)),
    }
    Ok(())
}

fn replied_to(change: &Change<'_>, record: &Record) -> Option<Id> {
    record.id_of("in_reply_to_id").filter(|id| change.get(*id).is_some())
}

/// The `references` of a reply: those of the answered mail and its message id.
fn references(change: &Change<'_>, replied: Id) -> Option<Value> {
    let record = change.get(replied)?;
    let view = change.whole();
    let own = message_ids(&Scene { view: &view, record: &record });
    let before = record.get("references").map(Value::items).unwrap_or_default();
    Some(Value::list(before.iter().chain(own.items()).cloned()))
}

/// Takes subject and body from a template if the body of the request has none.
fn fill_from_template(change: &Change<'_>, record: &mut Record) {
    let Some(template) = record.id_of("template_id").and_then(|id| change.get(id)) else { return };
    if record.text("subject").is_none() {
        record.set("subject", template.get("subject").cloned().unwrap_or(Value::Null));
    }
    if record.text("body_html").is_none() && record.text("body_text").is_none() {
        record.set("body_html", template.get("body").cloned().unwrap_or(Value::Null));
    }
}

fn created(change: &mut Change<'_>, id: Id, body: &Body) -> Result<(), Refusal> {
    email_thread::join(change, id);
    note_reply(change, id);
    delivery::follow(change, None, id);
    shared::created(change, id, body)
}

/// Marks the mail that an incoming mail answers as replied to.
fn note_reply(change: &mut Change<'_>, id: Id) {
    let Some(record) = change.get(id).filter(|record| delivery::status(record) == "inbox") else { return };
    let answered = record.id_of("in_reply_to_id").and_then(|id| change.get(id));
    if let Some(answered) = answered.filter(|email| delivery::status(email) == "sent") {
        change.edit(answered.id, |email| email.set("has_reply", true));
    }
}

fn revise(change: &mut Change<'_>, before: &Record, after: &mut Record, body: &Body) -> Result<(), Refusal> {
    shared::revise(change, before, after, body)?;
    rich_text::agree(Some(before), after, "body_text", "body_html");
    delivery::check(change, Some(before), after)
}

fn updated(change: &mut Change<'_>, before: &Record, id: Id, body: &Body) -> Result<(), Refusal> {
    delivery::follow(change, Some(before), id);
    email_thread::refresh_of(change, id);
    shared::updated(change, before, id, body)
}

fn deleted(change: &mut Change<'_>, record: &Record) -> Result<(), Refusal> {
    if let Some(thread) = record.id_of("thread_id") {
        email_thread::refresh(change, thread);
    }
    shared::deleted(change, record)
}

/// A mail in a mailbox that is being synced.
#[derive(Clone, Debug, Default)]
pub struct Mail {
    /// Its lead.
    pub lead: Option<Id>,
    /// The sender or recipient.
    pub contact: Option<Id>,
    /// The owner of the mailbox.
    pub user: Option<Id>,
    /// `From`.
    pub sender: String,
    /// `To`.
    pub to: Vec<String>,
    /// `Subject`.
    pub subject: String,
    pub body: String,
    /// Whether it is in the sent folder.
    pub outgoing: bool,
    /// `Date`, to the second; `None` for now.
    pub date: Option<Moment>,
}

/// Imports a mail from a mailbox: its `date_created` is the mail's date in whole seconds, possibly years ago
/// (reference, section 8.1).
pub fn receive(change: &mut Change<'_>, mail: &Mail) -> Result<Id, Refusal> {
    let mut record = change.record(Kind::Email);
    record.lead = mail.lead;
    record.created = mail.date.unwrap_or(change.now()).to_secs();
    let mut record = record
        .with("contact_id", mail.contact)
        .with("user_id", mail.user)
        .with("status", if mail.outgoing { "sent" } else { "inbox" })
        .with("sender", mail.sender.as_str())
        .with("to", Value::list(mail.to.iter().map(|to| to.as_str().into())))
        .with("subject", mail.subject.as_str())
        .with("body_text", mail.body.as_str());
    let body = Body::default();
    prepare(change, &mut record, &body)?;
    let id = change.insert(record);
    created(change, id, &body)?;
    Ok(id)
}
