//! The organization with its settings and members (reference, section 4.7).

use crate::http::collection::{G, U};
use crate::http::{Collection, Source};
use crate::model::resource::{DATES, Field, Laws, Resource, Type};
use crate::model::{Kind, Stamps};

/// The organization.
pub static ORGANIZATION: Resource = Resource {
    name: "organization",
    event: None,
    stamps: Stamps::Offset,
    fields: &[
        &[
            Field::computed("id", |s| s.record.id.into()),
            Field::stored("name", Type::Text(255)).writable(),
            Field::stored("currency", Type::Text(3)).writable(),
            Field::text("plan_type"),
        ],
        DATES,
    ],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source {
    collections: &[Collection { methods: G | U, section: "4.7", ..Collection::new("organization", &[Kind::Organization]) }],
    endpoints: &[],
};
