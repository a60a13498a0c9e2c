//! Custom objects: instances of a custom object type that belong to a lead, and can be listed per lead only (reference,
//! sections 4.10 and 12, item 12).

use super::lead::touched_by_child;
use crate::{
    http::{
        Collection, Request, Source,
        collection::{Condition, Filter, Test},
    },
    model::{
        Kind, Record, Refusal, Stamps,
        resource::{AUTHORS, DATES, Field, ID, LEAD_ID, Laws, ORGANIZATION, Resource, Type, Write},
    },
    world::{
        change::{Body, Change},
        view::View,
    },
};

pub static CUSTOM_OBJECT: Resource = Resource {
    name: "custom_object",
    event: Some(|_| "custom_object"),
    stamps: Stamps::Offset,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            LEAD_ID,
            Field::stored("name", Type::Text(1024)).required(),
            Field::stored("custom_object_type_id", Type::Ref(&[Kind::CustomObjectType])).write(Write::RequiredOnce),
        ],
        AUTHORS,
        DATES,
    ],
    custom_fields: true,
    laws: Laws {
        prepare,
        revise: |change, before, _, _| may_edit(change, before),
        deleting: |change, object| may_edit(change, object),
        created: |change, id, _| {
            let lead = change.get(id).and_then(|object| object.lead);
            touched_by_child(change, lead);
            Ok(())
        },
        updated: |change, before, id, _| {
            if change.get(id).is_some_and(|after| *after != *before) {
                touched_by_child(change, before.lead);
            }
            Ok(())
        },
        deleted: |change, object| {
            touched_by_child(change, object.lead);
            Ok(())
        },
        ..Laws::PLAIN
    },
};

pub static SOURCE: Source = Source {
    collections: &[Collection {
        filters: &[
            Filter { param: "lead_id", test: Test::Lead },
            Filter { param: "custom_object_type_id", test: Test::Field("custom_object_type_id") },
        ],
        check: of_one_lead,
        created_status: 201,
        deleted_status: 204,
        section: "4.10",
        ..Collection::new("custom_object", &[Kind::CustomObject])
    }],
    endpoints: &[],
};

fn of_one_lead(_view: &View<'_>, request: &Request) -> Result<Vec<Condition>, Refusal> {
    match request.param("lead_id") {
        Some(lead) if !lead.trim().is_empty() => Ok(Vec::new()),
        _ => Err(Refusal::bad("lead_id is required.")),
    }
}

fn prepare(change: &mut Change<'_>, object: &mut Record, _body: &Body) -> Result<(), Refusal> {
    if object.lead.is_none() {
        return Err(Refusal::field("lead_id", "This field is required."));
    }
    may_edit(change, object)
}

/// A type may restrict its objects to some roles; without any, everybody may edit them.
fn may_edit(change: &Change<'_>, object: &Record) -> Result<(), Refusal> {
    let Some(caller) = &change.actor.caller else { return Ok(()) };
    let roles = change.whole().field_of(object.id_of("custom_object_type_id"), "editable_with_roles");
    if roles.items().is_empty()
        || caller.is_admin()
        || roles.items().iter().any(|role| role.as_id() == Some(caller.role))
    {
        return Ok(());
    }
    Err(Refusal::Forbidden(change.world.switches.forbidden_text.clone()))
}
