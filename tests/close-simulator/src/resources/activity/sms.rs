//! SMS.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, LEAD_ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// sms.
pub static SMS: Resource = Resource {
    name: "sms",
    event: Some(|_| "activity.sms"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION, LEAD_ID], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source { collections: &[Collection::new("activity/sms", &[Kind::Sms])], endpoints: &[] };
