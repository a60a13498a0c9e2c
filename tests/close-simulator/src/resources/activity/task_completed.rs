//! The activity that a completed task leaves.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, LEAD_ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// task_completed.
pub static TASK_COMPLETED: Resource = Resource {
    name: "task_completed",
    event: Some(|_| "activity.task_completed"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION, LEAD_ID], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source =
    Source { collections: &[Collection::new("activity/task_completed", &[Kind::TaskCompleted])], endpoints: &[] };
