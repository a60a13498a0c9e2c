//! Custom object types (reference, section 4.10), each with its own fields.

use super::{custom_field, nested, status};
use crate::{
    http::Source,
    model::{
        Id, Kind, Record, Refusal, Stamps, Value,
        render::{Scene, Selection},
        resource::{AUTHOR_IDS, DATES, Field, ID, Laws, ORGANIZATION, Resource, Type, Unset},
    },
    world::change::Change,
};

/// A type of custom objects. Stored, not shown: `field_order`.
pub static CUSTOM_OBJECT_TYPE: Resource = Resource {
    name: "custom_object_type",
    event: Some(|_| "custom_object_type"),
    stamps: Stamps::Naive,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::stored("name", Type::Text(255)).required(),
            Field::stored("name_plural", Type::Text(255)).writable(),
            Field::stored("description", Type::Text(1024)).writable(),
            Field::stored("editable_with_roles", Type::List(&Type::Ref(&[Kind::Role])))
                .writable()
                .unset(Unset::EmptyList),
            // Definitions have their own events; those of the type report the type only.
            Field::computed("fields", |s| custom_field::schema::of_type(s.view, s.record)).volatile(),
            Field::computed("back_reference_fields", back_references).volatile(),
        ],
        AUTHOR_IDS,
        DATES,
    ],
    custom_fields: false,
    laws: Laws {
        prepare: |_, custom_type, _| {
            if custom_type.get("name_plural").is_none() {
                let plural = format!("{}s", custom_type.text("name").unwrap_or_default());
                custom_type.set("name_plural", plural);
            }
            Ok(())
        },
        deleting,
        ..Laws::PLAIN
    },
};

pub static SOURCE: Source = Source {
    collections: &[status::definitions("custom_object_type", &[Kind::CustomObjectType], "4.10")],
    endpoints: &[],
};

/// The fields of other objects that refer to this type and ask to be shown here.
fn back_references(scene: &Scene<'_>) -> Value {
    let of = Some(scene.record.id);
    let fields = scene
        .view
        .all(Kind::CustomField)
        .filter(|field| field.id_of("referenced_custom_type_id") == of && field.is("back_reference_is_visible"));
    nested::list(scene.view, fields, &Selection::Default)
}

/// A type with objects, or with fields that refer to it, cannot be deleted; its fields are deleted with it.
fn deleting(change: &mut Change<'_>, custom_type: &Record) -> Result<(), Refusal> {
    let of = Some(custom_type.id);
    let view = change.whole();
    if view.all(Kind::CustomObject).any(|object| object.id_of("custom_object_type_id") == of) {
        return Err(Refusal::invalid("The type cannot be deleted while objects have it."));
    }
    let own: Vec<Id> = custom_field::schema::own(&view, "custom_object", of).map(|field| field.id).collect();
    if view
        .all(Kind::CustomField)
        .any(|field| field.id_of("referenced_custom_type_id") == of && !own.contains(&field.id))
    {
        return Err(Refusal::invalid("The type cannot be deleted while custom fields refer to it."));
    }
    for field in own {
        change.delete(field)?;
    }
    custom_field::association::forget_type(change, custom_type.id);
    Ok(())
}
