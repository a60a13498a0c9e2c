//! Playbooks.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// playbook.
pub static PLAYBOOK: Resource = Resource {
    name: "playbook",
    event: None,
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source { collections: &[Collection::new("playbook", &[Kind::Playbook])], endpoints: &[] };
