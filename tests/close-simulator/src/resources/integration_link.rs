//! Integration links: URL templates shown on objects.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// integration_link.
pub static INTEGRATION_LINK: Resource = Resource {
    name: "integration_link",
    event: None,
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source =
    Source { collections: &[Collection::new("integration_link", &[Kind::IntegrationLink])], endpoints: &[] };
