//! The activity of a completed task, which is deleted when the task is reopened (reference, section 6.6).

use super::{shared, trace};
use crate::{
    http::{
        Source,
        collection::{D, G, L},
    },
    model::{
        Id, Kind, Record, Stamps, Value,
        resource::{AUTHORS, DATES, Field, LEAD_ID, Laws, Resource, Type},
    },
    world::change::Change,
};

/// A `TaskCompleted` activity. Stored: `task_id`, `task_text`, `task_assigned_to`.
pub static TASK_COMPLETED: Resource = Resource {
    name: "task_completed",
    event: Some(|_| "activity.task_completed"),
    stamps: Stamps::Offset,
    fields: &[
        trace::BASE,
        &[
            LEAD_ID,
            Field::stored("task_id", Type::Ref(&[Kind::Task, Kind::Notification])),
            Field::text("task_text"),
            Field::stored("task_assigned_to", Type::Ref(&[Kind::User])),
            Field::computed("task_assigned_to_name", |s| s.view.user_name(s.record.id_of("task_assigned_to"))),
        ],
        AUTHORS,
        DATES,
    ],
    custom_fields: false,
    laws: Laws { deleted: shared::deleted, ..Laws::PLAIN },
};

pub static SOURCE: Source = Source {
    collections: &[shared::collection("activity/task_completed", &[Kind::TaskCompleted], L | G | D)],
    endpoints: &[],
};

/// Adds the activity of a completed task.
pub fn leave(change: &mut Change<'_>, task: &Record) {
    trace::leave(change, Kind::TaskCompleted, task.lead, |activity| {
        activity.set("task_id", task.id);
        activity.set("contact_id", task.id_of("contact_id"));
        activity.set("task_text", task.get("text").cloned().unwrap_or(Value::Null));
        activity.set("task_assigned_to", task.id_of("assigned_to"));
    });
}

/// Deletes the activity of a reopened task.
pub fn withdraw(change: &mut Change<'_>, task: &Record) {
    let Some(lead) = task.lead else { return };
    let left: Vec<Id> = change
        .whole()
        .of_lead(lead, Kind::TaskCompleted)
        .filter(|activity| activity.id_of("task_id") == Some(task.id))
        .map(|activity| activity.id)
        .collect();
    for activity in left {
        change.remove(activity);
    }
}
