//! Custom fields: definitions for every kind of object, and their values on records (reference, section 5).
//!
//! `definition` has the laws of a definition, `values` reads and checks values, `conversion` rewrites them when a
//! definition changes, `association` says where shared fields are used, `schema` has the fields of an object in display
//! order.

pub mod association;
pub mod conversion;
pub mod definition;
pub mod schema;
pub mod values;

use crate::{
    http::{
        Collection, Source,
        collection::{Deed, Filter, Order, Paging, Test},
    },
    model::{
        Kind, Stamps, Value,
        resource::{AUTHOR_IDS, DATES, Field, ID, Laws, ORGANIZATION, Resource, Type, Unset, Write},
    },
};
pub use conversion::{converted, forget_values};
pub use values::{check_record, merge_members, read, read_all};

/// A definition. Stored, not shown: `object`, which is `lead`, `contact`, `opportunity`, `activity`, `custom_object` or
/// `shared`. `associations` is stored as a list of objects, on shared fields only.
pub static CUSTOM_FIELD: Resource = Resource {
    name: "custom_field",
    event: Some(|record| match record.text("object") {
        Some("contact") => "custom_fields.contact",
        Some("opportunity") => "custom_fields.opportunity",
        Some("activity") => "custom_fields.activity",
        Some("custom_object") => "custom_fields.custom_object",
        Some("shared") => "custom_fields.shared",
        _ => "custom_fields.lead",
    }),
    stamps: Stamps::Offset,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::stored("name", Type::Text(255)).required(),
            Field::stored("description", Type::Text(280)).writable(),
            Field::stored("type", Type::Text(32)).required(),
            Field::stored("choices", Type::List(&Type::Text(1024))).writable(),
            Field::stored("accepts_multiple_values", Type::Bool).writable().unset(Unset::False),
            Field::stored("editable_with_roles", Type::List(&Type::Ref(&[Kind::Role])))
                .writable()
                .unset(Unset::EmptyList),
            Field::stored("referenced_custom_type_id", Type::Ref(&[Kind::CustomObjectType])).write(Write::Once),
            Field::stored("back_reference_is_visible", Type::Bool).writable().unset(Unset::False),
            Field::computed("is_shared", |s| (s.record.text("object") == Some("shared")).into()),
            Field {
                ty: Type::Bool,
                ..Field::computed("required", |s| match s.record.text("object") {
                    Some("activity" | "custom_object") => s.record.is("required").into(),
                    _ => Value::Null,
                })
            }
            .writable()
            .unset(Unset::Absent),
            Field::text("converting_to_type"),
            Field::computed("associations", |s| match s.record.text("object") {
                Some("shared") => s.record.get("associations").cloned().unwrap_or_else(|| Value::list([])),
                _ => Value::Null,
            })
            .unset(Unset::Absent),
            Field::stored("custom_activity_type_id", Type::Ref(&[Kind::CustomActivityType]))
                .write(Write::Once)
                .unset(Unset::Absent),
            Field::stored("custom_object_type_id", Type::Ref(&[Kind::CustomObjectType]))
                .write(Write::Once)
                .unset(Unset::Absent),
        ],
        AUTHOR_IDS,
        DATES,
    ],
    custom_fields: false,
    laws: Laws {
        prepare: definition::prepare,
        revise: definition::revise,
        updated: definition::updated,
        deleting: definition::deleting,
        deleted: definition::deleted,
        ..Laws::PLAIN
    },
};

/// The lists of the kinds do not contain shared fields.
pub static SOURCE: Source = Source {
    collections: &[
        Collection {
            holds: |record| record.text("object") == Some("lead"),
            preset: |record| record.set("object", "lead"),
            ..collection("custom_field/lead")
        },
        Collection {
            holds: |record| record.text("object") == Some("contact"),
            preset: |record| record.set("object", "contact"),
            ..collection("custom_field/contact")
        },
        Collection {
            holds: |record| record.text("object") == Some("opportunity"),
            preset: |record| record.set("object", "opportunity"),
            ..collection("custom_field/opportunity")
        },
        Collection {
            holds: |record| record.text("object") == Some("activity"),
            preset: |record| record.set("object", "activity"),
            filters: &[Filter { param: "custom_activity_type_id", test: Test::Field("custom_activity_type_id") }],
            ..collection("custom_field/activity")
        },
        Collection {
            holds: |record| record.text("object") == Some("custom_object"),
            preset: |record| record.set("object", "custom_object"),
            filters: &[Filter { param: "custom_object_type_id", test: Test::Field("custom_object_type_id") }],
            paging: Paging::Bare,
            total: false,
            created_status: 201,
            deleted_status: 204,
            ..collection("custom_field/custom_object_type")
        },
        Collection {
            holds: |record| record.text("object") == Some("shared"),
            preset: |record| record.set("object", "shared"),
            paging: Paging::Bare,
            total: false,
            ..collection("custom_field/shared")
        },
    ],
    endpoints: &[],
};

const fn collection(path: &'static str) -> Collection {
    Collection {
        paging: Paging::Offset { max_limit: 1000, max_skip: 250_000 },
        order: Order::OldestFirst,
        permit: |_, caller, deed, _| deed == Deed::Read || super::status::may_customize(caller),
        section: "5.3",
        ..Collection::new(path, &[Kind::CustomField])
    }
}
