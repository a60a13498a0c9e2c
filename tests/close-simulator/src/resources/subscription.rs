//! Sequence subscriptions: a contact in a sequence (reference, section 4.9). A list needs one of `sequence_id`,
//! `contact_id` and `lead_id`, so reading all of them is a loop over sequences (section 12, item 12). There is no
//! DELETE.

use crate::{
    http::{
        Collection, Request, Source,
        collection::{C, Condition, Deed, Filter, G, L, Test, U},
    },
    model::{
        Id, Kind, Record, Refusal, Stamps, Value,
        resource::{DATES, Field, ID, Laws, ORGANIZATION, Resource, Type, Write},
    },
    resources::sequence::{CREATED_BY_ID, UPDATED_BY_ID},
    world::{
        change::{Body, Change},
        view::View,
    },
};

/// States of a subscription.
pub(super) const STATUSES: [&str; 5] = ["active", "paused", "finished", "goal", "error"];

/// A subscription. It belongs to the lead of its contact: `record.lead` is set, and it is deleted with that lead.
pub static SEQUENCE_SUBSCRIPTION: Resource = Resource {
    name: "sequence_subscription",
    event: Some(|_| "sequence_subscription"),
    stamps: Stamps::Naive,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::stored("sequence_id", Type::Ref(&[Kind::Sequence])).write(Write::RequiredOnce),
            Field::stored("contact_id", Type::Ref(&[Kind::Contact])).write(Write::RequiredOnce),
            Field::stored("contact_email", Type::Text(320)).write(Write::Once),
            Field::stored("status", Type::Choice(&STATUSES)).writable().not_null(),
            Field::text("status_reason"),
            Field::stored("pause_reason", Type::Text(255)).writable(),
            Field::stored("sender_account_id", Type::Text(64)).writable(),
            Field::stored("sender_name", Type::Text(255)).writable(),
            Field::stored("sender_email", Type::Text(320)).writable(),
            Field::stored("calls_assigned_to", Type::List(&Type::Ref(&[Kind::User]))).writable(),
            Field::stored("start_date", Type::Moment).write(Write::Once),
            CREATED_BY_ID,
            UPDATED_BY_ID,
        ],
        DATES,
    ],
    custom_fields: false,
    laws: Laws { prepare, revise, ..Laws::PLAIN },
};

pub static SOURCE: Source = Source {
    collections: &[Collection {
        methods: L | G | C | U,
        filters: &[
            Filter { param: "sequence_id", test: Test::Field("sequence_id") },
            Filter { param: "contact_id", test: Test::Field("contact_id") },
            Filter { param: "lead_id", test: Test::Lead },
        ],
        check: one_of_three,
        permit: |_, caller, deed, _| deed == Deed::Read || caller.may("bulk_sequence_subscriptions"),
        created_status: 201,
        section: "4.9",
        ..Collection::new("sequence_subscription", &[Kind::SequenceSubscription])
    }],
    endpoints: &[],
};

fn one_of_three(_: &View<'_>, request: &Request) -> Result<Vec<Condition>, Refusal> {
    if ["sequence_id", "contact_id", "lead_id"]
        .iter()
        .any(|name| request.param(name).is_some_and(|text| !text.is_empty()))
    {
        Ok(Vec::new())
    } else {
        Err(Refusal::bad("One of sequence_id, contact_id or lead_id must be given."))
    }
}

pub(super) fn email_of(contact: &Record) -> Option<String> {
    let first = contact.get("emails")?.items().first()?;
    first.member("email")?.as_text().map(str::to_owned)
}

fn prepare(change: &mut Change<'_>, subscription: &mut Record, _: &Body) -> Result<(), Refusal> {
    let contact = subscription.id_of("contact_id").and_then(|id| change.get(id));
    let contact = contact.ok_or_else(|| Refusal::field("contact_id", "This field is required."))?;
    let sequence = subscription.id_of("sequence_id");
    let taken = change.whole().all(Kind::SequenceSubscription).any(|other| {
        other.id_of("contact_id") == Some(contact.id)
            && other.id_of("sequence_id") == sequence
            && matches!(other.text("status"), Some("active" | "paused"))
    });
    if taken {
        return Err(Refusal::field("contact_id", "This contact is already subscribed to this sequence."));
    }
    if subscription.get("contact_email").is_none() {
        subscription.set("contact_email", email_of(&contact));
    }
    if subscription.get("contact_email").is_none() {
        return Err(Refusal::field("contact_email", "This contact has no email address."));
    }
    subscription.lead = contact.lead;
    if subscription.get("status").is_none() {
        subscription.set("status", "active");
    }
    if subscription.get("start_date").is_none() {
        subscription.set("start_date", change.now());
    }
    settle(subscription);
    Ok(())
}

#[allow(clippy::unnecessary_wraps)]
fn revise(_: &mut Change<'_>, _: &Record, after: &mut Record, _: &Body) -> Result<(), Refusal> {
    settle(after);
    Ok(())
}

/// Sets the reasons that go with a status.
fn settle(subscription: &mut Record) {
    if subscription.text("status") != Some("paused") {
        subscription.set("pause_reason", Value::Null);
        if subscription.text("status") == Some("active") {
            subscription.set("status_reason", Value::Null);
        }
    } else if subscription.get("pause_reason").is_none() {
        subscription.set("pause_reason", "manual");
    }
}

/// The subscriptions of a lead's contacts, to one sequence or to all.
pub(super) fn of_lead(view: &View<'_>, lead: Id, sequence: Option<Id>) -> Vec<Id> {
    view.of_lead(lead, Kind::SequenceSubscription)
        .filter(|subscription| sequence.is_none() || subscription.id_of("sequence_id") == sequence)
        .map(|subscription| subscription.id)
        .collect()
}
