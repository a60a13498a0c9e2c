//! Meetings.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, LEAD_ID, Laws, ORGANIZATION, Resource};
use crate::model::{Id, Kind, Stamps};
use crate::world::change::Change;

/// meeting.
pub static MEETING: Resource = Resource {
    name: "meeting",
    event: Some(|_| "activity.meeting"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION, LEAD_ID], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source { collections: &[Collection::new("activity/meeting", &[Kind::Meeting])], endpoints: &[] };

/// Begins or ends a meeting whose time has come.
pub fn clock(_change: &mut Change<'_>, _id: Id) {}
