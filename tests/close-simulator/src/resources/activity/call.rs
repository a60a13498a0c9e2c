//! Calls.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, LEAD_ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// call.
pub static CALL: Resource = Resource {
    name: "call",
    event: Some(|_| "activity.call"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION, LEAD_ID], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source { collections: &[Collection::new("activity/call", &[Kind::Call])], endpoints: &[] };
