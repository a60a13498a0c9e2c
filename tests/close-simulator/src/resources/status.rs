//! Statuses of leads and of opportunities.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// lead_status.
pub static LEAD_STATUS: Resource = Resource {
    name: "lead_status",
    event: Some(|_| "status.lead"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};
/// opportunity_status.
pub static OPPORTUNITY_STATUS: Resource = Resource {
    name: "opportunity_status",
    event: Some(|_| "status.opportunity"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source {
    collections: &[
        Collection::new("status/lead", &[Kind::LeadStatus]),
        Collection::new("status/opportunity", &[Kind::OpportunityStatus]),
    ],
    endpoints: &[],
};
