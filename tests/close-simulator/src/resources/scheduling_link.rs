//! Scheduling links.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// scheduling_link.
pub static SCHEDULING_LINK: Resource = Resource {
    name: "scheduling_link",
    event: None,
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};
/// shared_scheduling_link.
pub static SHARED_SCHEDULING_LINK: Resource = Resource {
    name: "shared_scheduling_link",
    event: None,
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source {
    collections: &[
        Collection::new("scheduling_link", &[Kind::SchedulingLink]),
        Collection::new("shared_scheduling_link", &[Kind::SharedSchedulingLink]),
    ],
    endpoints: &[],
};
