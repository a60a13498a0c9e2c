//! Email threads: the mails of one subject with one lead (reference, section 4.6).
//!
//! Stored: `email_ids` (its mails, oldest first; not shown), `latest_normalized_subject`, `participants`, and
//! `contact_id`, `user_id` and `activity_at` of its latest mail.

use super::{any, shared};
use crate::{
    http::{
        Source,
        collection::{D, G, L},
    },
    model::{
        Id, Kind, Record, Stamps, Value,
        render::{self, Scene},
        resource::{AUTHORS, Field, GET, LIST, Laws, Resource, Type, Unset},
    },
    resources::comment,
    world::change::Change,
};

/// Maximum mails nested in a thread; the latest are kept.
const NESTED: usize = 50;

pub static EMAIL_THREAD: Resource = Resource {
    name: "email_thread",
    event: Some(|_| "activity.email_thread"),
    stamps: Stamps::Offset,
    fields: &[
        &[shared::type_field(|_| "EmailThread".into())],
        shared::BASE_READ_ONLY,
        &[
            Field::text("latest_normalized_subject").unset(Unset::Text("")),
            Field::stored("participants", Type::List(&Type::Json)).unset(Unset::EmptyList),
            Field::computed("n_emails", |s| (ids(s.record).len() as i64).into()),
            // The older and the newer name of the same field.
            Field::computed("emails", nested).only(LIST | GET),
            Field::computed("latest_emails", nested).only(LIST | GET),
        ],
        AUTHORS,
        shared::ACTIVITY_DATES,
    ],
    custom_fields: false,
    laws: Laws {
        deleting: |change, thread| {
            delete_mails(change, thread);
            Ok(())
        },
        deleted: shared::deleted,
        ..Laws::PLAIN
    },
};

pub static SOURCE: Source = Source {
    collections: &[shared::collection("activity/emailthread", &[Kind::EmailThread], L | G | D)],
    endpoints: &[],
};

fn ids(thread: &Record) -> Vec<Id> {
    thread.get("email_ids").map(|ids| ids.items().iter().filter_map(Value::as_id).collect()).unwrap_or_default()
}

/// The latest mails of a thread without their bodies.
fn nested(scene: &Scene<'_>) -> Value {
    let ids = ids(scene.record);
    Value::list(ids[ids.len().saturating_sub(NESTED)..].iter().filter_map(|id| {
        let mut out = Vec::new();
        render::write(scene.view, scene.view.get(*id)?, render::LIST, &any::STRIPPED, &mut out);
        Some(Value::Json(String::from_utf8(out).ok()?.into()))
    }))
}

/// The subject without reply and forward prefixes.
pub fn normalized(subject: &str) -> &str {
    let mut rest = subject.trim();
    loop {
        let lower = rest.to_lowercase();
        match ["re:", "fwd:", "fw:", "aw:", "wg:"].into_iter().find(|mark| lower.starts_with(mark)) {
            Some(mark) => rest = rest[mark.len()..].trim_start(),
            None => return rest,
        }
    }
}

/// The thread for a mail with this subject; `None` for a mail without subject.
pub fn find(change: &Change<'_>, lead: Option<Id>, subject: &str) -> Option<Id> {
    let subject = normalized(subject).to_lowercase();
    if subject.is_empty() {
        return None;
    }
    let view = change.whole();
    let mut threads = view.of_lead(lead?, Kind::EmailThread);
    threads
        .rfind(|thread| thread.text("latest_normalized_subject").is_some_and(|s| s.to_lowercase() == subject))
        .map(|t| t.id)
}

pub fn latest(change: &Change<'_>, thread: Id) -> Option<Id> {
    ids(&*change.get(thread)?).last().copied()
}

/// Adds a stored mail to its thread, and creates the thread if needed.
pub fn join(change: &mut Change<'_>, email: Id) {
    let Some(record) = change.get(email) else { return };
    let Some(thread) = record.id_of("thread_id") else { return };
    if let Some(present) = change.get(thread) {
        let mut emails: Vec<Record> = ids(&present)
            .into_iter()
            .chain([email])
            .filter_map(|id| change.get(id))
            .map(|r| Record::clone(&r))
            .collect();
        emails.sort_by_key(|email| (shared::activity_at(email), email.id));
        change.edit(thread, |thread| describe(thread, &emails));
    } else {
        let mut begun = Record { author: record.author, editor: record.editor, ..Record::new(thread, change.now()) };
        begun.lead = record.lead;
        begun.created = record.created;
        describe(&mut begun, &[Record::clone(&record)]);
        change.insert(begun);
    }
}

/// Updates the thread of a changed mail.
pub fn refresh_of(change: &mut Change<'_>, email: Id) {
    if let Some(thread) = change.get(email).and_then(|email| email.id_of("thread_id")) {
        refresh(change, thread);
    }
}

/// Updates a thread from its mails; a thread without mails is removed.
pub fn refresh(change: &mut Change<'_>, thread: Id) {
    let Some(present) = change.get(thread) else { return };
    let mut emails: Vec<Record> =
        ids(&present).into_iter().filter_map(|id| change.get(id)).map(|r| Record::clone(&r)).collect();
    emails.sort_by_key(|email| (shared::activity_at(email), email.id));
    if emails.is_empty() {
        comment::forget(change, &present);
        change.remove(thread);
    } else {
        change.edit(thread, |thread| describe(thread, &emails));
    }
}

fn describe(thread: &mut Record, emails: &[Record]) {
    let Some(latest) = emails.last() else { return };
    thread.set("email_ids", Value::list(emails.iter().map(|email| email.id.into())));
    thread.set("latest_normalized_subject", normalized(latest.text("subject").unwrap_or("")));
    let mut participants: Vec<Value> = Vec::new();
    for email in emails {
        let others = ["to", "cc"].into_iter().flat_map(|name| email.get(name).map(Value::items).unwrap_or_default());
        for text in email.get("sender").into_iter().chain(others).filter_map(Value::as_text) {
            let participant = address(text);
            if !participants.iter().any(|p| p.member("email") == participant.member("email")) {
                participants.push(participant);
            }
        }
    }
    thread.set("participants", Value::list(participants));
    for name in ["contact_id", "user_id"] {
        thread.set(name, latest.get(name).cloned().unwrap_or(Value::Null));
    }
    thread.set("activity_at", shared::activity_at(latest));
}

/// `Ida Brandt <ida@nordlicht.example>` as `{"email": …, "name": …}`.
pub fn address(text: &str) -> Value {
    let (name, email) = match text.rsplit_once('<') {
        Some((name, email)) => (name.trim().trim_matches('"'), email.trim_end_matches('>').trim()),
        None => ("", text.trim()),
    };
    Value::object([("email", email.into()), ("name", name.into())])
}

/// A thread's mails are deleted with it (reference, section 6.6).
fn delete_mails(change: &mut Change<'_>, thread: &Record) {
    for email in ids(thread) {
        if let Some(record) = change.get(email) {
            comment::forget(change, &record);
            change.remove(email);
        }
    }
}
