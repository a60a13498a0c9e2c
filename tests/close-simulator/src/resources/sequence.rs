//! Sequences with their steps embedded (reference, section 4.9). Dates are naive.

use crate::{
    http::{
        Collection, Source,
        collection::{Deed, Filter, Order, Paging, Test},
    },
    model::{
        Id, Kind, Moment, Record, Refusal, Stamps, Value,
        render::Scene,
        resource::{CREATED_BY, DATES, Field, GET, ID, Laws, ORGANIZATION, Resource, Type, UPDATED_BY, Unset},
    },
    world::change::{Body, Change},
};

/// `created_by_id`: the name of `created_by` on relational records.
pub const CREATED_BY_ID: Field = Field { name: "created_by_id", ..CREATED_BY };
/// `updated_by_id`.
pub const UPDATED_BY_ID: Field = Field { name: "updated_by_id", ..UPDATED_BY };

/// A sequence. `status` is always stored; `steps` is a list of objects, each with its `seqstep_` id.
pub static SEQUENCE: Resource = Resource {
    name: "sequence",
    event: Some(|_| "sequence"),
    stamps: Stamps::Naive,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::stored("name", Type::Text(255)).required(),
            Field::stored("status", Type::Choice(&["active", "paused", "draft"])).writable().not_null(),
            Field::stored("steps", Type::List(&Type::Object(STEP_FIELDS)))
                .writable()
                .not_null()
                .unset(Unset::EmptyList),
            Field::stored("schedule", Type::Json).writable(),
            Field::stored("schedule_id", Type::Text(64)).writable(),
            Field::stored("timezone", Type::Text(64)).writable(),
            Field::stored("trigger_query", Type::Json).writable(),
            Field::stored("allow_manual_enrollment", Type::Bool).writable().not_null().unset(Unset::Json("true")),
            CREATED_BY_ID,
            UPDATED_BY_ID,
        ],
        DATES,
        &[Field::computed("subscription_counts_by_status", subscription_counts).only(GET)],
    ],
    custom_fields: false,
    laws: Laws { prepare, revise, deleting, ..Laws::PLAIN },
};

/// Types of steps.
const STEP_TYPES: &[&str] = &["email", "sms", "call", "task"];

/// A step inside its sequence; `delay` is in seconds after the previous step.
const STEP_FIELDS: &[Field] = &[
    Field::text("id").writable(),
    Field::stored("step_type", Type::Choice(STEP_TYPES)).required(),
    Field::stored("delay", Type::Int(0, 365 * 86_400)).writable(),
    Field::stored("required", Type::Bool).writable(),
    Field::stored("step_allowed_delay", Type::Int(0, 365 * 86_400)).writable(),
    Field::stored("threading", Type::Choice(&["new_thread", "old_thread"])).writable(),
    Field::stored("email_template_id", Type::Ref(&[Kind::EmailTemplate])).writable(),
    Field::stored("sms_template_id", Type::Ref(&[Kind::SmsTemplate])).writable(),
];

/// Steps have ids, but are stored inside their sequences.
pub static STEP: Resource = Resource {
    name: "sequence_step",
    event: None,
    stamps: Stamps::Naive,
    fields: &[STEP_FIELDS],
    custom_fields: false,
    laws: Laws::PLAIN,
};

pub static SOURCE: Source = Source {
    collections: &[Collection {
        paging: Paging::Offset { max_limit: 1000, max_skip: 250_000 },
        order: Order::OldestFirst,
        filters: &[Filter { param: "status", test: Test::Field("status") }],
        permit: |_, caller, deed, _| deed == Deed::Read || caller.may("manage_email_sequences"),
        section: "4.9",
        ..Collection::new("sequence", &[Kind::Sequence])
    }],
    endpoints: &[],
};

/// `{"active": n, "paused": n, …}` with every status of a subscription.
fn subscription_counts(scene: &Scene<'_>) -> Value {
    let mut counts = [0i64; super::subscription::STATUSES.len()];
    for subscription in scene.view.range(Kind::SequenceSubscription, Moment(i64::MIN), Moment::LAST) {
        if subscription.id_of("sequence_id") == Some(scene.record.id)
            && let Some(at) =
                super::subscription::STATUSES.iter().position(|status| subscription.text("status") == Some(status))
        {
            counts[at] += 1;
        }
    }
    Value::object(super::subscription::STATUSES.iter().zip(counts).map(|(status, count)| (*status, count.into())))
}

fn prepare(change: &mut Change<'_>, sequence: &mut Record, _: &Body) -> Result<(), Refusal> {
    if sequence.get("status").is_none() {
        sequence.set("status", "active");
    }
    name_steps(change, None, sequence)
}

fn revise(change: &mut Change<'_>, before: &Record, after: &mut Record, _: &Body) -> Result<(), Refusal> {
    if before.get("steps") == after.get("steps") { Ok(()) } else { name_steps(change, Some(before), after) }
}

/// Gives every step all its members and an id; a step that the body names keeps its id.
fn name_steps(change: &mut Change<'_>, before: Option<&Record>, sequence: &mut Record) -> Result<(), Refusal> {
    let steps = sequence.get("steps").map(Value::items).unwrap_or_default().to_vec();
    let known: Vec<Id> = before
        .and_then(|before| before.get("steps"))
        .map(Value::items)
        .unwrap_or_default()
        .iter()
        .filter_map(|step| step.member("id")?.as_id())
        .collect();
    for step in &steps {
        let template = match step.member("step_type").and_then(Value::as_text) {
            Some("email") => "email_template_id",
            Some("sms") => "sms_template_id",
            _ => continue,
        };
        if step.member(template).is_none_or(|value| *value == Value::Null) {
            return Err(Refusal::field("steps", format!("{template} is required for this step_type.")));
        }
    }
    let mut named = Vec::with_capacity(steps.len());
    for step in steps {
        let id = step.member("id").and_then(Value::as_text).and_then(|text| change.world.parse_id(text));
        let id = id.filter(|id| known.contains(id)).unwrap_or_else(|| change.world.next_id(Kind::SequenceStep));
        named.push(Value::object(STEP_FIELDS.iter().map(|field| {
            let value = match field.name {
                "id" => id.into(),
                name => match (name, step.member(name).cloned()) {
                    ("delay", None | Some(Value::Null)) => 0i64.into(),
                    ("required", None | Some(Value::Null)) => false.into(),
                    (_, value) => value.unwrap_or(Value::Null),
                },
            };
            (field.name, value)
        })));
    }
    sequence.set("steps", Value::list(named));
    Ok(())
}

/// A sequence's subscriptions are deleted with it.
#[allow(clippy::unnecessary_wraps)]
fn deleting(change: &mut Change<'_>, sequence: &Record) -> Result<(), Refusal> {
    let subscriptions: Vec<Id> = change
        .whole()
        .all(Kind::SequenceSubscription)
        .filter(|subscription| subscription.id_of("sequence_id") == Some(sequence.id))
        .map(|subscription| subscription.id)
        .collect();
    for subscription in subscriptions {
        change.remove(subscription);
    }
    Ok(())
}
