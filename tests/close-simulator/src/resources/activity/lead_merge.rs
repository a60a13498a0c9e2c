//! Lead merges.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, LEAD_ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};
use crate::world::change::Change;
use serde::{Deserialize, Serialize};

/// lead_merge.
pub static LEAD_MERGE: Resource = Resource {
    name: "lead_merge",
    event: Some(|_| "activity.lead_merge"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION, LEAD_ID], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source { collections: &[Collection::new("activity/lead_merge", &[Kind::LeadMerge])], endpoints: &[] };

/// What a lead merge does next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {}

/// Does it.
pub fn step(_change: &mut Change<'_>, _step: Step) {}
