//! Emails.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, LEAD_ID, Laws, ORGANIZATION, Resource};
use crate::model::{Id, Kind, Stamps};
use crate::world::change::Change;

/// email.
pub static EMAIL: Resource = Resource {
    name: "email",
    event: Some(|_| "activity.email"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION, LEAD_ID], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source { collections: &[Collection::new("activity/email", &[Kind::Email])], endpoints: &[] };

/// Sends what was scheduled for now.
pub fn send(_change: &mut Change<'_>, _id: Id) {}
