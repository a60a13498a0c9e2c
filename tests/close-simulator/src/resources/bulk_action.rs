//! Bulk actions: asynchronous changes of many objects.

use crate::http::Source;
use crate::model::resource::{AUTHORS, DATES, ID, Laws, ORGANIZATION, Resource};
use crate::model::{Id, Stamps};
use crate::world::change::Change;

/// bulk_action.
pub static BULK_ACTION: Resource = Resource {
    name: "bulk_action",
    event: Some(|_| "bulk_action.edit"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source { collections: &[], endpoints: &[] };

/// Does what is due next.
pub fn step(_change: &mut Change<'_>, _id: Id) {}
