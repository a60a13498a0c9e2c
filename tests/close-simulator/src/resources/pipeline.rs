//! Pipelines: ordered opportunity statuses.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// pipeline.
pub static PIPELINE: Resource = Resource {
    name: "pipeline",
    event: None,
    stamps: Stamps::Naive,
    fields: &[&[ID, ORGANIZATION], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source { collections: &[Collection::new("pipeline", &[Kind::Pipeline])], endpoints: &[] };
