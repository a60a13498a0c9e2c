//! Integration links: URL templates that the application shows beside leads, contacts and opportunities (reference,
//! section 4.10).

use crate::{
    http::{
        Collection, Source,
        collection::{Deed, Order, Paging},
    },
    model::{
        Kind, Record, Refusal, Stamps,
        resource::{AUTHOR_IDS, DATES, Field, ID, Laws, ORGANIZATION, Resource, Type},
    },
    world::change::{Body, Change},
};

/// An integration link. `type` is always stored. It has no events.
pub static INTEGRATION_LINK: Resource = Resource {
    name: "integration_link",
    event: None,
    stamps: Stamps::Offset,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::stored("name", Type::Text(255)).required(),
            Field::stored("url", Type::Text(4096)).required(),
            Field::stored("type", Type::Choice(&["lead", "contact", "opportunity"])).writable().not_null(),
        ],
        AUTHOR_IDS,
        DATES,
    ],
    custom_fields: false,
    laws: Laws { prepare, revise: |_, _, after, _| check(after), ..Laws::PLAIN },
};

pub static SOURCE: Source = Source {
    collections: &[Collection {
        paging: Paging::Bare,
        total: false,
        order: Order::OldestFirst,
        permit: |_, caller, deed, _| deed == Deed::Read || caller.may("manage_customizations"),
        section: "4.10",
        ..Collection::new("integration_link", &[Kind::IntegrationLink])
    }],
    endpoints: &[],
};

fn check(link: &Record) -> Result<(), Refusal> {
    match link.text("url") {
        Some(url) if url.contains("://") => Ok(()),
        _ => Err(Refusal::field("url", "Not a valid URL.")),
    }
}

fn prepare(_: &mut Change<'_>, link: &mut Record, _: &Body) -> Result<(), Refusal> {
    check(link)?;
    if link.get("type").is_none() {
        link.set("type", "lead");
    }
    Ok(())
}
