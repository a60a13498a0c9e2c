//! Side effects of a change of a task (reference, section 6.6): completing it adds a `TaskCompleted` activity, a
//! `completed` event and an `updated` lead; reopening it deletes the activity.

use super::fields::COMPLETED_AT;
use crate::{
    model::{Id, Kind, Record, Refusal},
    resources::{activity::task_completed, lead},
    world::{
        change::{Body, Change},
        jobs::Job,
    },
};

/// Accepts `due_date`, the older name of `date`, which an older client sends alone.
pub(super) fn reword(body: &Body) -> Option<Body> {
    match body.map.get("due_date") {
        Some(date) if !body.map.contains_key("date") => {
            let mut body = body.clone();
            body.map.insert("date".to_owned(), date.clone());
            Some(body)
        }
        _ => None,
    }
}

pub(super) fn prepare(change: &mut Change<'_>, task: &mut Record, body: &Body) -> Result<(), Refusal> {
    check_contact(change, task)?;
    if task.get("assigned_to").is_none() && !body.map.contains_key("assigned_to") {
        task.set("assigned_to", change.actor.user);
    }
    if task.is("is_complete") {
        task.set(COMPLETED_AT, change.now());
    }
    Ok(())
}

fn check_contact(change: &Change<'_>, task: &Record) -> Result<(), Refusal> {
    match task.id_of("contact_id").and_then(|id| change.get(id)) {
        Some(contact) if contact.lead != task.lead => {
            Err(Refusal::field("contact_id", "The contact does not belong to the lead of the task."))
        }
        _ => Ok(()),
    }
}

pub(super) fn created(change: &mut Change<'_>, id: Id) {
    let Some(task) = change.get(id) else { return };
    lead::touched_by_child(change, task.lead);
    if task.is("is_complete") {
        forget_later(change, &task);
    }
}

pub(super) fn revise(
    change: &mut Change<'_>,
    before: &Record,
    after: &mut Record,
    _body: &Body,
) -> Result<(), Refusal> {
    if after.id_of("contact_id") != before.id_of("contact_id") {
        check_contact(change, after)?;
    }
    if after.is("is_complete") != before.is("is_complete") {
        let completed = after.is("is_complete").then(|| change.now());
        after.set(COMPLETED_AT, completed);
    }
    Ok(())
}

pub(super) fn updated(change: &mut Change<'_>, before: &Record, id: Id) {
    let Some(task) = change.get(id).filter(|task| **task != *before) else { return };
    match (before.is("is_complete"), task.is("is_complete")) {
        (false, true) => {
            change.emit(id, "completed");
            task_completed_with_lead(change, &task);
            forget_later(change, &task);
        }
        (true, false) => {
            task_completed::withdraw(change, &task);
            lead::touched_by_child(change, task.lead);
        }
        _ => lead::touched_by_child(change, task.lead),
    }
}

/// The lead's `updated` event shows the lead as it was before the activity moved its `date_updated`.
fn task_completed_with_lead(change: &mut Change<'_>, task: &Record) {
    lead::updated_by_task(change, task.lead);
    task_completed::leave(change, task);
}

/// Schedules the purge of a completed system task.
fn forget_later(change: &mut Change<'_>, task: &Record) {
    if task.kind() == Kind::Notification {
        let at = change.now().plus_days(change.world.switches.task_purge_days);
        change.schedule(at, Job::Purge(task.id));
    }
}

pub(super) fn deleted(change: &mut Change<'_>, task: &Record) {
    lead::touched_by_child(change, task.lead);
}
