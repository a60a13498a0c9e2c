//! Outcomes of calls and meetings (reference, section 4.10). They have no events.

use crate::{
    http::{Collection, Source, collection::Deed},
    model::{
        Kind, Stamps,
        resource::{AUTHOR_IDS, DATES, Field, ID, Laws, ORGANIZATION, Resource, Type, Unset, Write},
    },
};

pub static OUTCOME: Resource = Resource {
    name: "outcome",
    event: None,
    stamps: Stamps::Offset,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::stored("name", Type::Text(255)).required(),
            Field::text("description").writable(),
            Field::stored("applies_to", Type::List(&Type::Choice(&["calls", "meetings"])))
                .writable()
                .unset(Unset::Json("[\"calls\",\"meetings\"]")),
            Field::stored("type", Type::Choice(&["vm-dropped", "custom"]))
                .write(Write::Once)
                .unset(Unset::Text("custom")),
        ],
        AUTHOR_IDS,
        DATES,
    ],
    custom_fields: false,
    laws: Laws::PLAIN,
};

pub static SOURCE: Source = Source {
    collections: &[Collection {
        permit: |_, caller, deed, _| deed == Deed::Read || caller.may("manage_customizations"),
        total: false,
        created_status: 201,
        section: "4.10",
        ..Collection::new("outcome", &[Kind::Outcome])
    }],
    endpoints: &[],
};
