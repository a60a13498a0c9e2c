//! Custom activities: instances of the organization's own types (reference, section 4.6).
//!
//! A field belongs to a type if its definition says so (`custom_activity_type_id`), or if it is shared and associated
//! with the type. A draft may lack required fields.

use super::{any, note, shared};
use crate::{
    http::{
        Collection, Request, Source,
        collection::{C, Condition, D, Filter, G, L, Test, U},
    },
    model::{
        Id, Key, Kind, Record, Refusal, Stamps, Value,
        resource::{AUTHORS, Field, Laws, Resource, Type, Unset, Write},
    },
    world::{
        change::{Body, Change},
        view::View,
    },
};

pub static CUSTOM_ACTIVITY: Resource = Resource {
    name: "custom_activity",
    event: Some(|_| "activity.custom_activity"),
    stamps: Stamps::Offset,
    fields: &[
        &[shared::type_field(|s| s.view.switches().custom_activity_literal.as_str().into())],
        shared::BASE,
        &[
            Field {
                nullable: false,
                ..Field::stored("custom_activity_type_id", Type::Ref(&[Kind::CustomActivityType]))
                    .write(Write::RequiredOnce)
            },
            Field::stored("status", Type::Choice(&["draft", "published"]))
                .writable()
                .not_null()
                .unset(Unset::Text("published")),
            Field::stored("pinned", Type::Bool).writable().unset(Unset::False),
            Field::stored("pinned_at", Type::Moment),
            Field::stored("last_published_at", Type::Moment),
            Field::stored("mentions", Type::List(&Type::Ref(&[Kind::User]))).unset(Unset::EmptyList),
            Field::text("source").unset(Unset::Text("api")),
        ],
        AUTHORS,
        shared::SETTABLE_DATES,
    ],
    custom_fields: true,
    laws: Laws { prepare, revise, ..shared::LAWS },
};

const FILTERS: &[Filter] = &{
    let mut filters =
        shared::filters_and(Filter { param: "custom_activity_type_id", test: Test::Field("custom_activity_type_id") });
    // The first filter is `_type`, which accepts more words here than the literal.
    filters[0] = Filter { param: "_type", test: Test::Custom(any::is_type) };
    filters
};

pub static SOURCE: Source = Source {
    collections: &[Collection {
        filters: FILTERS,
        check,
        ..shared::collection("activity/custom", &[Kind::CustomActivity], L | G | C | U | D)
    }],
    endpoints: &[],
};

fn check(view: &View<'_>, request: &Request) -> Result<Vec<Condition>, Refusal> {
    let given =
        ["custom_activity_type_id", "custom_activity_type_id__in"].iter().any(|name| request.param(name).is_some());
    if given && !shared::one_lead(request) {
        return Err(Refusal::bad("Filtering by custom_activity_type_id is only supported together with lead_id."));
    }
    shared::check(view, request)
}

fn prepare(change: &mut Change<'_>, record: &mut Record, body: &Body) -> Result<(), Refusal> {
    shared::prepare(change, record, body)?;
    check_fields(&change.view(), record)?;
    note::pin(change, None, record);
    if published(record) {
        record.set("last_published_at", change.now());
    }
    Ok(())
}

fn revise(change: &mut Change<'_>, before: &Record, after: &mut Record, body: &Body) -> Result<(), Refusal> {
    shared::revise(change, before, after, body)?;
    check_fields(&change.view(), after)?;
    note::pin(change, Some(before), after);
    if published(after) && !published(before) {
        after.set("last_published_at", change.now());
    }
    Ok(())
}

fn published(record: &Record) -> bool {
    record.text("status") != Some("draft")
}

/// Refuses fields of other types, and a published activity without a required field.
fn check_fields(view: &View<'_>, record: &Record) -> Result<(), Refusal> {
    let Some(of) = record.id_of("custom_activity_type_id") else { return Ok(()) };
    let mut errors = serde_json::Map::new();
    for (key, _) in &record.fields {
        if let Key::Custom(id) = key
            && view.get(*id).is_some_and(|definition| belongs(definition, of).is_none())
        {
            errors.insert(name(view, *id), "This custom field does not belong to the custom activity type.".into());
        }
    }
    if published(record) {
        for definition in view.all(Kind::CustomField) {
            if belongs(definition, of) == Some(true) && record.value(Key::Custom(definition.id)).is_none() {
                errors.insert(name(view, definition.id), "This field is required.".into());
            }
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Refusal::Invalid { errors: Vec::new(), fields: errors }) }
}

fn name(view: &View<'_>, field: Id) -> String {
    format!("custom.{}", view.id_text(field))
}

/// Whether a field is required if it belongs to a type; `None` if it does not.
fn belongs(definition: &Record, of: Id) -> Option<bool> {
    if definition.id_of("custom_activity_type_id") == Some(of) {
        return Some(definition.is("required"));
    }
    let associations = definition.get("associations").map(Value::items).unwrap_or_default();
    associations
        .iter()
        .find(|association| association.member("custom_activity_type_id").and_then(Value::as_id) == Some(of))
        .map(|association| association.member("required") == Some(&Value::Bool(true)))
}
