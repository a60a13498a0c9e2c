//! Leads: companies, with their contacts, opportunities and open tasks inside (reference, section 4.1).

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, Field, ID, Laws, ORGANIZATION, Resource, Type};
use crate::model::{Kind, Stamps};

/// A lead.
pub static LEAD: Resource = Resource {
    name: "lead",
    event: Some(|_| "lead"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION, Field::stored("name", Type::Text(1024)).writable()], AUTHORS, DATES],
    custom_fields: true,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source { collections: &[Collection::new("lead", &[Kind::Lead])], endpoints: &[] };

/// A child of a lead was created, changed or deleted: the lead's `date_updated` moves and no event tells (reference, section 12, item 17).
pub fn touched_by_child(change: &mut crate::world::change::Change<'_>, lead: Option<crate::model::Id>) {
    if let Some(lead) = lead {
        change.touch(lead);
    }
}
