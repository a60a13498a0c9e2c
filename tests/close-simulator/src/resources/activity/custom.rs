//! Custom activities.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, LEAD_ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// custom_activity.
pub static CUSTOM_ACTIVITY: Resource = Resource {
    name: "custom_activity",
    event: Some(|_| "activity.custom_activity"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION, LEAD_ID], AUTHORS, DATES],
    custom_fields: true,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source =
    Source { collections: &[Collection::new("activity/custom", &[Kind::CustomActivity])], endpoints: &[] };
