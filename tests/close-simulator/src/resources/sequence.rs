//! Sequences and their steps.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// sequence.
pub static SEQUENCE: Resource = Resource {
    name: "sequence",
    event: Some(|_| "sequence"),
    stamps: Stamps::Naive,
    fields: &[&[ID, ORGANIZATION], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};
/// sequence_step.
pub static STEP: Resource = Resource {
    name: "sequence_step",
    event: None,
    stamps: Stamps::Naive,
    fields: &[&[ID, ORGANIZATION], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source { collections: &[Collection::new("sequence", &[Kind::Sequence])], endpoints: &[] };
