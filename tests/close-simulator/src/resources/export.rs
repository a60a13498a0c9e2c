//! Exports: asynchronous jobs with a file at the end.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, Laws, ORGANIZATION, Resource};
use crate::model::{Id, Kind, Stamps};
use crate::world::change::Change;

/// export.
pub static EXPORT: Resource = Resource {
    name: "export",
    event: Some(|_| "export.lead"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source { collections: &[Collection::new("export", &[Kind::Export])], endpoints: &[] };

/// Does what is due next.
pub fn step(_change: &mut Change<'_>, _id: Id) {}
