//! Contacts: people, each of exactly one lead (reference, section 4.2).
//!
//! Adding or removing a contact also changes its lead (`lead.updated` with `contact_ids`); editing a contact only moves
//! the lead's `date_updated`.

pub mod country;
pub mod entries;
pub mod phone;

use std::sync::Arc;

use serde_json::Value as Json;

use super::{custom_field, lead};
use crate::{
    http::{
        Collection, Source,
        collection::{Filter, Paging, Test},
    },
    model::{
        Id, Kind, Record, Refusal, Stamps, Value, input,
        render::Scene,
        resource::{AUTHOR_IDS, DATES, Field, GET, ID, LEAD_ID, LIST, Laws, NESTED, ORGANIZATION, Resource, Type},
    },
    world::{
        change::{Body, Change},
        view::View,
    },
};

/// Shown wherever a contact is read, but neither in its events nor in the truth, because it belongs to other objects.
const FOREIGN: u8 = LIST | GET | NESTED;

/// A contact. Stored: `name`, `title`, `emails` and `phones` and `urls` as lists of objects, `timezone`,
/// `timezone_source`, `lead_suggestions_operation_id`.
pub static CONTACT: Resource = Resource {
    name: "contact",
    event: Some(|_| "contact"),
    stamps: Stamps::Offset,
    fields: &[
        &[
            ID,
            LEAD_ID,
            ORGANIZATION,
            Field::stored("name", Type::Text(1024)).writable(),
            Field::computed("display_name", |s| display_name(s.record).into()),
            Field::stored("title", Type::Text(1024)).writable(),
        ],
        entries::FIELDS,
        &[
            Field::computed("integration_links", |s| lead::fields::links(s, "contact")).only(FOREIGN),
            Field::computed("subscriptions", subscriptions).only(FOREIGN),
            Field::computed("recent_calls", |s| recent_calls(s.view, s.record.lead, Some(s.record.id))).only(FOREIGN),
            Field::text("timezone"),
            Field::text("timezone_source"),
            Field::text("lead_suggestions_operation_id"),
        ],
        AUTHOR_IDS,
        DATES,
    ],
    custom_fields: true,
    laws: Laws {
        prepare,
        created: |change, id, body| {
            created(change, id, body);
            Ok(())
        },
        revise,
        updated: |change, before, id, _| {
            updated(change, before, id);
            Ok(())
        },
        deleted: |change, contact| {
            deleted(change, contact);
            Ok(())
        },
        ..Laws::PLAIN
    },
};

pub static SOURCE: Source = Source {
    collections: &[Collection {
        total: false,
        paging: Paging::Offset { max_limit: 100, max_skip: 250_000 },
        filters: &[Filter { param: "lead_id", test: Test::Lead }, Filter { param: "query", test: Test::Checked }],
        check: |_, _| Ok(Vec::new()),
        section: "4.2",
        ..Collection::new("contact", &[Kind::Contact])
    }],
    endpoints: &[],
};

/// The name, or else the best substitute.
pub fn display_name(contact: &Record) -> String {
    let name = contact.text("name").filter(|name| !name.trim().is_empty());
    match name.or_else(|| entries::first_email(contact)) {
        Some(name) => name.to_owned(),
        None => entries::first_phone(contact).map_or_else(|| "Unnamed contact".to_owned(), phone::formatted),
    }
}

/// The newest calls with a lead or one of its contacts; changes without a write, as calls grow old.
pub fn recent_calls(view: &View<'_>, lead: Option<Id>, contact: Option<Id>) -> Value {
    let Some(lead) = lead else { return Value::list([]) };
    let calls = view.of_lead(lead, Kind::Call).rev();
    Value::list(
        calls
            .take_while(|call| call.created > view.now.plus_days(-30))
            .filter(|call| contact.is_none() || call.id_of("contact_id") == contact)
            .take(3)
            .map(|call| {
                Value::object([
                    ("id", call.id.into()),
                    ("direction", call.text("direction").into()),
                    ("duration", call.int("duration").into()),
                    ("date_created", call.created.into()),
                ])
            }),
    )
}

/// The sequence subscriptions of a contact, which belong to its lead.
fn subscribed<'v>(view: &'v View<'_>, lead: Option<Id>, contact: Id) -> impl Iterator<Item = &'v Record> {
    lead.into_iter()
        .flat_map(|lead| view.of_lead(lead, Kind::SequenceSubscription))
        .filter(move |subscription| subscription.id_of("contact_id") == Some(contact))
}

/// The sequence subscriptions as the contact shows them.
fn subscriptions(s: &Scene<'_>) -> Value {
    Value::list(subscribed(s.view, s.record.lead, s.record.id).map(|subscription| {
        let field = |name| subscription.get(name).cloned().unwrap_or(Value::Null);
        let sequence = subscription.id_of("sequence_id");
        Value::object([
            ("subscription_id", subscription.id.into()),
            ("sequence_id", sequence.into()),
            ("sequence_name", s.view.field_of(sequence, "name")),
            ("sequence_status", s.view.field_of(sequence, "status")),
            ("subscription_status", field("status")),
            ("subscription_status_reason", field("status_reason")),
            ("contact_email", field("contact_email")),
            ("initial_email_id", field("initial_email_id")),
            ("start_date", field("start_date")),
            ("date_created", subscription.created.into()),
        ])
    }))
}

/// Reads the body of a contact that is nested in another body.
///
/// # Errors
/// The same as for creating, or with `of` updating, this contact alone.
pub fn nested(
    view: &View<'_>,
    json: &Json,
    of: Option<&Record>,
    offset_minutes: i32,
) -> Result<Vec<(crate::model::Key, Value)>, Refusal> {
    let Some(map) = json.as_object() else { return Err(Refusal::invalid("Not a valid object.")) };
    let mut read = match of {
        Some(contact) => input::read_again(view, contact, map, offset_minutes)?.0,
        None => input::read(view, &CONTACT, map, true, offset_minutes)?,
    };
    let mut draft = of.cloned().unwrap_or_else(|| Record::new(Id::new(Kind::Contact, 1), view.now));
    custom_field::merge_members(&draft, &mut read);
    for (key, value) in read.fields {
        draft.put(key, value);
    }
    custom_field::check_record(view, &draft, of)?;
    entries::check(&mut draft)?;
    Ok(draft.fields)
}

/// Creates a lead for a contact without one (reference, section 4.2); the lead has the contact from the beginning.
fn prepare(change: &mut Change<'_>, contact: &mut Record, body: &Body) -> Result<(), Refusal> {
    entries::check(contact)?;
    if contact.lead.is_none() {
        let mut map = serde_json::Map::new();
        map.insert("name".to_owned(), contact.text("name").into());
        contact.lead =
            Some(lead::laws::create_around(change, &Body { map, offset_minutes: body.offset_minutes }, contact)?);
    }
    Ok(())
}

fn created(change: &mut Change<'_>, id: Id, body: &Body) {
    // A lead created for the contact has had it since its own `created` event.
    if body.get("lead_id").is_some()
        && let Some(contact) = change.get(id)
        && let Some(lead) = contact.lead
    {
        lead::contacts_changed(change, lead, &[(id, None)]);
    }
}

fn revise(change: &mut Change<'_>, before: &Record, after: &mut Record, body: &Body) -> Result<(), Refusal> {
    entries::check(after)?;
    let Some(wanted) = body.get("lead_id") else { return Ok(()) };
    let lead = input::read_reference(&change.view(), &[Kind::Lead], wanted).map_err(|error| Refusal::Invalid {
        errors: Vec::new(),
        fields: serde_json::Map::from_iter([("lead_id".to_owned(), error)]),
    })?;
    if Some(lead) == before.lead {
        return Ok(());
    }
    if !change.world.switches.contact_move_by_put {
        return Err(Refusal::field("lead_id", "A contact cannot be moved to another lead; merge the leads instead."));
    }
    after.lead = Some(lead);
    Ok(())
}

fn updated(change: &mut Change<'_>, before: &Record, id: Id) {
    let Some(contact) = change.get(id) else { return };
    if contact.lead == before.lead {
        if *contact != *before {
            lead::touched_by_child(change, contact.lead);
        }
        return;
    }
    let subscriptions: Vec<Id> =
        subscribed(&change.whole(), before.lead, id).map(|subscription| subscription.id).collect();
    for subscription in subscriptions {
        change.edit(subscription, |subscription| subscription.lead = contact.lead);
    }
    for lead in [before.lead, contact.lead].into_iter().flatten() {
        lead::contacts_changed(change, lead, &[(id, Some(Arc::new(before.clone())))]);
    }
}

/// The sequence subscriptions of a contact are deleted with it; nothing else deletes them.
fn deleted(change: &mut Change<'_>, contact: &Record) {
    let subscriptions: Vec<Id> =
        subscribed(&change.whole(), contact.lead, contact.id).map(|subscription| subscription.id).collect();
    change.remove_together(&subscriptions);
    if let Some(lead) = contact.lead {
        lead::contacts_changed(change, lead, &[(contact.id, Some(Arc::new(contact.clone())))]);
    }
}
