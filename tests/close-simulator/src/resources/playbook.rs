//! Playbooks (reference, sections 4.10 and 8.1): their dates are called `created_at` and `updated_at`.

use crate::{
    http::{
        Answer, Collection, Endpoint, Exactness, Handler, Request, Source,
        collection::{Deed, Filter, Order, Test},
        object,
    },
    model::{
        Id, Kind, Record, Refusal, Stamps, Value,
        resource::{DATE_CREATED, DATE_UPDATED, Field, ID, Laws, ORGANIZATION, Resource, Type, Unset},
    },
    resources::sequence::{CREATED_BY_ID, UPDATED_BY_ID},
    world::change::{Body, Change},
};

/// A playbook. `position` is always stored. It has no events.
pub static PLAYBOOK: Resource = Resource {
    name: "playbook",
    event: None,
    stamps: Stamps::Offset,
    fields: &[&[
        ID,
        ORGANIZATION,
        Field::stored("name", Type::Text(255)).required(),
        Field::stored("description", Type::Text(10_000)).writable(),
        Field::stored("summary_guidance", Type::Text(10_000)).writable(),
        Field::stored("custom_field_ids", Type::List(&Type::Ref(&[Kind::CustomField])))
            .writable()
            .unset(Unset::EmptyList),
        Field::stored("outcome_ids", Type::List(&Type::Ref(&[Kind::Outcome]))).writable().unset(Unset::EmptyList),
        Field::stored("position", Type::Int(0, 1_000_000)).writable(),
        Field::computed("is_archived", |s| s.record.get("archived_at").is_some().into()),
        Field::stored("archived_at", Type::Moment),
        Field::stored("archived_by_id", Type::Ref(&[Kind::User])),
        CREATED_BY_ID,
        UPDATED_BY_ID,
        Field { name: "created_at", ..DATE_CREATED },
        Field { name: "updated_at", ..DATE_UPDATED },
    ]],
    custom_fields: false,
    laws: Laws { prepare, ..Laws::PLAIN },
};

pub static SOURCE: Source = Source {
    collections: &[Collection {
        total: false,
        order: Order::OldestFirst,
        filters: &[
            Filter { param: "is_archived", test: Test::Field("is_archived") },
            Filter { param: "created_at", test: Test::Created(1) },
        ],
        permit: |_, caller, deed, _| deed == Deed::Read || caller.may("manage_customizations"),
        created_status: 201,
        deleted_status: 204,
        section: "4.10",
        ..Collection::new("playbook", &[Kind::Playbook])
    }],
    endpoints: &[
        Endpoint {
            method: "POST",
            path: "playbook/{}/archive",
            handler: Handler::Write(|change, request| archive(change, request, true)),
            section: "4.10",
            exactness: Exactness::Inferred,
        },
        Endpoint {
            method: "POST",
            path: "playbook/{}/unarchive",
            handler: Handler::Write(|change, request| archive(change, request, false)),
            section: "4.10",
            exactness: Exactness::Inferred,
        },
    ],
};

#[allow(clippy::unnecessary_wraps)]
fn prepare(change: &mut Change<'_>, playbook: &mut Record, _: &Body) -> Result<(), Refusal> {
    if playbook.get("position").is_none() {
        playbook.set("position", change.world.store.count(Kind::Playbook) as i64);
    }
    Ok(())
}

fn archive(change: &mut Change<'_>, request: &Request, archived: bool) -> Result<Answer, Refusal> {
    change.require("manage_customizations")?;
    let text = &request.segments[0];
    let id: Id = change
        .view()
        .parse_id(text)
        .filter(|id| id.kind() == Kind::Playbook && change.view().exists(*id))
        .ok_or_else(|| Refusal::missing(text))?;
    let (now, user) = (change.now(), change.actor.user);
    change.edit(id, |playbook| {
        if archived && playbook.get("archived_at").is_none() {
            playbook.set("archived_at", now);
            playbook.set("archived_by_id", user);
        } else if !archived {
            playbook.set("archived_at", Value::Null);
            playbook.set("archived_by_id", Value::Null);
        }
    });
    Ok(object::written(change, id, request, 200))
}
