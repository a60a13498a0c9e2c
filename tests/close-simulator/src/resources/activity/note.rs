//! Notes.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, LEAD_ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// note.
pub static NOTE: Resource = Resource {
    name: "note",
    event: Some(|_| "activity.note"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION, LEAD_ID], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source { collections: &[Collection::new("activity/note", &[Kind::Note])], endpoints: &[] };
