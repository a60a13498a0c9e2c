//! Imports: no public resource, but events and ids.

use crate::http::Source;
use crate::model::resource::{AUTHORS, DATES, ID, Laws, ORGANIZATION, Resource};
use crate::model::{Id, Stamps};
use crate::world::change::Change;

/// import.
pub static IMPORT: Resource = Resource {
    name: "import",
    event: Some(|_| "import"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source { collections: &[], endpoints: &[] };

/// Does what is due next.
pub fn step(_change: &mut Change<'_>, _id: Id) {}
