//! Opportunities: deals of a lead.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, LEAD_ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// opportunity.
pub static OPPORTUNITY: Resource = Resource {
    name: "opportunity",
    event: Some(|_| "opportunity"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION, LEAD_ID], AUTHORS, DATES],
    custom_fields: true,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source { collections: &[Collection::new("opportunity", &[Kind::Opportunity])], endpoints: &[] };
