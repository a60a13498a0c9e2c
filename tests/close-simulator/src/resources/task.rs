//! Tasks of leads and the system's notifications, which share one path (reference, section 4.4).

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, LEAD_ID, Laws, ORGANIZATION, Resource};
use crate::model::{Id, Kind, Stamps};
use crate::world::change::Change;

/// A lead's task.
pub static TASK: Resource = Resource {
    name: "task",
    event: Some(|_| "task.lead"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION, LEAD_ID], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// Every other type of task.
pub static NOTIFICATION: Resource = Resource {
    name: "notification",
    event: Some(|_| "task.incoming_email"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION, LEAD_ID], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source { collections: &[Collection::new("task", &[Kind::Task, Kind::Notification])], endpoints: &[] };

/// Forgets a completed system task whose time is over.
pub fn purge(_change: &mut Change<'_>, _id: Id) {}
