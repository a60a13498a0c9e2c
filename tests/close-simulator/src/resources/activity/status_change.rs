//! The activities that a change of status leaves.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, LEAD_ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// lead_status_change.
pub static LEAD_STATUS_CHANGE: Resource = Resource {
    name: "lead_status_change",
    event: Some(|_| "activity.lead_status_change"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION, LEAD_ID], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};
/// opportunity_status_change.
pub static OPPORTUNITY_STATUS_CHANGE: Resource = Resource {
    name: "opportunity_status_change",
    event: Some(|_| "activity.opportunity_status_change"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION, LEAD_ID], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source {
    collections: &[
        Collection::new("activity/status_change/lead", &[Kind::LeadStatusChange]),
        Collection::new("activity/status_change/opportunity", &[Kind::OpportunityStatusChange]),
    ],
    endpoints: &[],
};
