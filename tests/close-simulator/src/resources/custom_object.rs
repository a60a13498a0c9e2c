//! Custom objects: instances that belong to a lead.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, LEAD_ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// custom_object.
pub static CUSTOM_OBJECT: Resource = Resource {
    name: "custom_object",
    event: Some(|_| "custom_object"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION, LEAD_ID], AUTHORS, DATES],
    custom_fields: true,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source { collections: &[Collection::new("custom_object", &[Kind::CustomObject])], endpoints: &[] };
