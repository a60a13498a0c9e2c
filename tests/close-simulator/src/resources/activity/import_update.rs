//! The activity that an import adds to a lead that it changed (reference, section 4.6). It has no events.

use super::shared;
use crate::{
    http::{
        Source,
        collection::{D, G, L},
    },
    model::{
        Id, Kind, Stamps,
        resource::{AUTHORS, Field, Resource, Type, Unset},
    },
    world::change::Change,
};

pub static IMPORT_UPDATE: Resource = Resource {
    name: "import_update",
    event: None,
    stamps: Stamps::Offset,
    fields: &[
        &[shared::type_field(|_| "ImportUpdate".into())],
        shared::BASE_READ_ONLY,
        &[
            Field::stored("import_id", Type::Ref(&[Kind::Import])),
            Field::stored("reverted", Type::Bool).unset(Unset::False),
        ],
        AUTHORS,
        shared::ACTIVITY_DATES,
    ],
    custom_fields: false,
    laws: shared::LAWS,
};

pub static SOURCE: Source = Source {
    collections: &[shared::collection("activity/import_update", &[Kind::ImportUpdate], L | G | D)],
    endpoints: &[],
};

/// Records that an import changed a lead.
pub fn mark(change: &mut Change<'_>, lead: Id, import: Id) -> Id {
    let mut record = change.record(Kind::ImportUpdate).with("import_id", import).with("user_id", change.actor.user);
    record.lead = Some(lead);
    change.insert(record)
}

/// Marks the activities of an import as reverted.
pub fn reverted(change: &mut Change<'_>, import: Id) {
    let marks: Vec<Id> = change
        .whole()
        .all(Kind::ImportUpdate)
        .filter(|mark| mark.id_of("import_id") == Some(import))
        .map(|mark| mark.id)
        .collect();
    for mark in marks {
        change.edit(mark, |mark| mark.set("reverted", true));
    }
}
