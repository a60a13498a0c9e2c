//! Custom object types.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// custom_object_type.
pub static CUSTOM_OBJECT_TYPE: Resource = Resource {
    name: "custom_object_type",
    event: Some(|_| "custom_object_type"),
    stamps: Stamps::Naive,
    fields: &[&[ID, ORGANIZATION], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source =
    Source { collections: &[Collection::new("custom_object_type", &[Kind::CustomObjectType])], endpoints: &[] };
