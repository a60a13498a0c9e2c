//! Custom activity types (reference, section 4.10), each with its own fields.

use super::{custom_field, status};
use crate::{
    http::Source,
    model::{
        Id, Kind, Record, Refusal, Stamps,
        resource::{AUTHOR_IDS, DATES, Field, ID, Laws, ORGANIZATION, Resource, Type, Unset},
    },
    world::change::Change,
};

/// A type of custom activities. Stored, not shown: `field_order`.
pub static CUSTOM_ACTIVITY_TYPE: Resource = Resource {
    name: "custom_activity_type",
    event: Some(|_| "custom_activity_type"),
    stamps: Stamps::Naive,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::stored("name", Type::Text(255)).required(),
            Field::stored("description", Type::Text(1024)).writable(),
            Field::stored("api_create_only", Type::Bool).writable().unset(Unset::False),
            Field::stored("editable_with_roles", Type::List(&Type::Ref(&[Kind::Role])))
                .writable()
                .unset(Unset::EmptyList),
            Field::stored("is_archived", Type::Bool).writable().unset(Unset::False),
            // Definitions have their own events; those of the type report the type only.
            Field::computed("fields", |s| custom_field::schema::of_type(s.view, s.record)).volatile(),
        ],
        AUTHOR_IDS,
        DATES,
    ],
    custom_fields: false,
    laws: Laws { deleting, ..Laws::PLAIN },
};

pub static SOURCE: Source = Source {
    collections: &[status::definitions("custom_activity", &[Kind::CustomActivityType], "4.10")],
    endpoints: &[],
};

/// A type in use cannot be deleted; its fields are deleted with it.
fn deleting(change: &mut Change<'_>, custom_type: &Record) -> Result<(), Refusal> {
    let of = Some(custom_type.id);
    if change.whole().all(Kind::CustomActivity).any(|activity| activity.id_of("custom_activity_type_id") == of) {
        return Err(Refusal::invalid("The type cannot be deleted while activities have it; archive it instead."));
    }
    let fields: Vec<Id> = custom_field::schema::own(&change.whole(), "activity", of).map(|field| field.id).collect();
    for field in fields {
        change.delete(field)?;
    }
    custom_field::association::forget_type(change, custom_type.id);
    Ok(())
}
