//! Web forms, whose answers become form submissions (reference, section 4.6). They are built in the application; the
//! API only reads them.

use crate::{
    http::{
        Collection, Exactness, Source,
        collection::{Filter, G, L, Test},
    },
    model::{
        Kind, Stamps,
        resource::{DATES, Field, ID, Laws, ORGANIZATION, Resource, Type, Unset},
    },
};

/// A form. `field_definitions` is a list of `{"id": "formfld_…", "name", "type", "choices"?}`. It has no events.
pub static FORM: Resource = Resource {
    name: "form",
    event: None,
    stamps: Stamps::Offset,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::text("name"),
            Field::stored("is_archived", Type::Bool).unset(Unset::False),
            Field::stored("field_definitions", Type::Json).unset(Unset::EmptyList),
        ],
        DATES,
    ],
    custom_fields: false,
    laws: Laws::PLAIN,
};

pub static SOURCE: Source = Source {
    collections: &[Collection {
        methods: L | G,
        total: false,
        filters: &[Filter { param: "is_archived", test: Test::Field("is_archived") }],
        section: "4.6",
        exactness: Exactness::Inferred,
        ..Collection::new("form", &[Kind::Form])
    }],
    endpoints: &[],
};
