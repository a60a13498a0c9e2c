//! Smart views: saved searches.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// smart_view.
pub static SMART_VIEW: Resource = Resource {
    name: "smart_view",
    event: Some(|_| "saved_search"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source { collections: &[Collection::new("saved_search", &[Kind::SmartView])], endpoints: &[] };
