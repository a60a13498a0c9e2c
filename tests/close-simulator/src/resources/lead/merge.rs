//! Merges two leads: answered immediately, then done step by step (reference, section 8.5).
//!
//! The steps: the activity becomes `in_progress`; the first half of the source's children is moved; the other half; the
//! destination takes missing fields from the source; `merged`, and the source is deleted; the activity is `completed`.
//! An `errored` merge stops after the first half.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use super::{fields, laws};
use crate::{
    http::{Answer, Request},
    model::{
        Id, Key, Kind, Record, Refusal, Value,
        input::read_reference,
        render::{self, Selection},
    },
    resources::activity::trace,
    world::{
        change::{Change, draw},
        jobs::Job,
        switches::{MergedChildren, MergedObject},
    },
};

/// The next step of a lead merge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The `LeadMerge` activity.
    activity: Id,
    source: Id,
    destination: Id,
    /// The user who requested it.
    user: Option<Id>,
    phase: Phase,
    /// Moved children: the old and the new id, which are the same unless children are re-created.
    moved: Vec<(Id, Id)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Phase {
    Begin,
    FirstHalf,
    SecondHalf,
    Destination,
    Source,
    Complete,
}

/// `POST /lead/merge/` with `{"source": "lead_…", "destination": "lead_…"}`.
pub(super) fn begin(change: &mut Change<'_>, request: &Request) -> Result<Answer, Refusal> {
    change.require("merge_leads")?;
    let view = change.view();
    let body = request.json()?;
    let mut errors = Map::new();
    let mut lead = |name: &str| match body.get(name) {
        None => {
            errors.insert(name.to_owned(), "This field is required.".into());
            None
        }
        Some(json) => {
            read_reference(&view, &[Kind::Lead], json).map_err(|error| drop(errors.insert(name.to_owned(), error))).ok()
        }
    };
    let pair = (lead("source"), lead("destination"));
    let (Some(source), Some(destination)) = pair else {
        // A well-formed body with an unknown lead is a 404, like a read of that lead.
        let unknown =
            ["source", "destination"].into_iter().find(|name| body.text(name).is_some() && errors.contains_key(*name));
        return Err(match unknown {
            Some(name) if errors.len() == 1 => Refusal::missing(body.text(name).unwrap_or_default()),
            _ => Refusal::Invalid { errors: Vec::new(), fields: errors },
        });
    };
    if source == destination {
        return Err(Refusal::invalid("A lead cannot be merged into itself."));
    }
    let name = |lead: Id| view.get(lead).map(|lead| fields::display_name(&view, lead));
    let names = (name(source), name(destination));
    let user = change.actor.user;
    change.actor.meta = meta(source, destination);
    let activity = trace::leave(change, Kind::LeadMerge, Some(source), |activity| {
        activity.set("source_lead_id", source);
        activity.set("destination_lead_id", destination);
        activity.set("source_display_name", names.0);
        activity.set("destination_display_name", names.1);
        activity.set("merge_status", "pending");
    });
    later(change, Step { activity, source, destination, user, phase: Phase::Begin, moved: Vec::new() });
    Ok(Answer::json(200, &json!({})))
}

fn meta(source: Id, destination: Id) -> Vec<(&'static str, Id)> {
    vec![("merge_source_lead_id", source), ("merge_destination_lead_id", destination)]
}

fn later(change: &mut Change<'_>, step: Step) {
    let at = change.now().plus_millis(change.world.switches.merge_step_ms.max(1));
    change.schedule(at, Job::Merge(step));
}

/// Runs the next step of a merge.
pub fn step(change: &mut Change<'_>, mut step: Step) {
    change.actor.user = step.user;
    change.actor.meta = meta(step.source, step.destination);
    if change.get(step.destination).is_none() || step.phase < Phase::Source && change.get(step.source).is_none() {
        tell(change, step.activity, "errored", Some("One of the leads no longer exists."));
        return;
    }
    step.phase = match step.phase {
        Phase::Begin => {
            tell(change, step.activity, "in_progress", None);
            Phase::FirstHalf
        }
        Phase::FirstHalf => {
            let children = waiting(change, &step);
            let half = children.len().div_ceil(2);
            carry(change, &mut step, &children[..half]);
            if draw(change.world.seed ^ 0x6d65, step.activity.serial()) < change.world.switches.merge_errors {
                tell(change, step.activity, "errored", Some("The leads could not be merged completely."));
                return;
            }
            Phase::SecondHalf
        }
        Phase::SecondHalf => {
            let children = waiting(change, &step);
            carry(change, &mut step, &children);
            Phase::Destination
        }
        Phase::Destination => {
            take_over(change, &step);
            Phase::Source
        }
        Phase::Source => {
            let late = waiting(change, &step);
            carry(change, &mut step, &late);
            announce(change, &step);
            change.remove(step.source);
            Phase::Complete
        }
        Phase::Complete => {
            tell(change, step.activity, "completed", None);
            return;
        }
    };
    later(change, step);
}

fn tell(change: &mut Change<'_>, activity: Id, status: &'static str, message: Option<&str>) {
    change.edit(activity, |activity| {
        activity.set("merge_status", status);
        activity.set("error_message", message);
    });
}

/// Children that are still at the source; contacts first, so that references to them can be resolved.
fn waiting(change: &Change<'_>, step: &Step) -> Vec<Id> {
    let mut children = laws::children(&change.whole(), step.source);
    children.retain(|child| child.kind() != Kind::LeadMerge);
    children.sort_by_key(|child| child.kind() != Kind::Contact);
    children
}

/// Moves children to the destination. The source's `Created` activity is dropped, because the destination has its own.
fn carry(change: &mut Change<'_>, step: &mut Step, children: &[Id]) {
    for child in children {
        let Some(record) = change.get(*child) else { continue };
        if child.kind() == Kind::Created {
            change.remove(*child);
            continue;
        }
        let here = record.lead.map(|_| step.destination);
        // Their kind has no `updated` event (reference, section 6.5).
        let way = if child.kind() == Kind::TaskCompleted {
            MergedChildren::Recreate
        } else {
            change.world.switches.merged_children
        };
        match way {
            MergedChildren::Move => {
                change.edit(*child, |record| {
                    record.lead = here;
                    rename(record, &[(step.source, step.destination)]);
                });
                step.moved.push((*child, *child));
            }
            MergedChildren::Recreate => {
                let fresh = change.record(child.kind());
                let new = fresh.id;
                let mut copy = Record {
                    id: new,
                    lead: here,
                    updated: change.now(),
                    editor: fresh.editor,
                    ..Record::clone(&record)
                };
                step.moved.push((*child, new));
                rename(&mut copy, &step.moved);
                rename(&mut copy, &[(step.source, step.destination)]);
                change.remove(*child);
                change.insert(copy);
            }
        }
    }
}

/// Replaces references in the fields of a record.
fn rename(record: &mut Record, ids: &[(Id, Id)]) {
    let ids: FxHashMap<Id, Id> = ids.iter().copied().collect();
    record.fields.iter_mut().for_each(|(_, value)| replace(value, &ids));
}

fn replace(of: &mut Value, ids: &FxHashMap<Id, Id>) {
    match of {
        Value::Id(id) => *id = ids.get(id).copied().unwrap_or(*id),
        Value::List(items) if items.iter().any(|item| matches!(item, Value::Id(id) if ids.contains_key(id))) => {
            let mut renamed = items.to_vec();
            renamed.iter_mut().for_each(|item| replace(item, ids));
            *of = Value::list(renamed);
        }
        _ => {}
    }
}

/// Copies the source's addresses, and fields that the destination lacks.
fn take_over(change: &mut Change<'_>, step: &Step) {
    let (Some(source), Some(destination)) = (change.get(step.source), change.get(step.destination)) else { return };
    let mut after = Record::clone(&destination);
    let items = |lead: &Record| lead.get("addresses").map(Value::items).unwrap_or_default().to_vec();
    let mut addresses = items(&after);
    let of_source = items(&source);
    addresses.extend(of_source.into_iter().filter(|address| !items(&destination).contains(address)));
    if !addresses.is_empty() {
        after.set("addresses", Value::list(addresses));
    }
    for (key, value) in &source.fields {
        if matches!(key, Key::Custom(_) | Key::Name("name" | "description" | "url")) && after.value(*key).is_none() {
            after.put(*key, value.clone());
        }
    }
    after.updated = change.now().max(after.updated);
    after.editor = change.actor.user.or(after.editor);
    // The contacts have been moved already; the event compares with the destination before the merge.
    let old = {
        let before =
            step.moved.iter().filter(|(id, _)| id.kind() == Kind::Contact).fold(change.whole(), |view, (old, new)| {
                let at_source = change
                    .get(*new)
                    .filter(|_| old == new)
                    .map(|contact| Arc::new(Record { lead: Some(step.source), ..Record::clone(&contact) }));
                view.supposing(*new, at_source)
            });
        render::rendered(&before, &destination, render::EVENT, &Selection::Default)
    };
    change.update_seen(after, &old);
}

/// `lead.merged`, with the destination as data.
fn announce(change: &mut Change<'_>, step: &Step) {
    match change.world.switches.merged_object {
        MergedObject::Destination => change.emit(step.destination, "merged"),
        MergedObject::Source => {
            let Some(destination) = change.get(step.destination) else { return };
            let data: Arc<[u8]> = change.rendered(&destination).bytes.into();
            change.emit_raw("lead", step.source, Some(step.destination), "merged", Some(data));
        }
    }
}
