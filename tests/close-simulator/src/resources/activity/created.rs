//! The activity that says how a lead came to be.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, LEAD_ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// created.
pub static CREATED: Resource = Resource {
    name: "created",
    event: Some(|_| "activity.created"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION, LEAD_ID], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source { collections: &[Collection::new("activity/created", &[Kind::Created])], endpoints: &[] };
