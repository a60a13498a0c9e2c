//! `POST /task/`, which may name a type of another kind, and `PUT /task/`, which changes all matching tasks.

use serde_json::json;

use super::SOURCE;
use crate::{
    http::{Answer, Request, collection::Deed, list, object},
    model::{Kind, Refusal, Value, input},
    world::change::Change,
};

/// Maximum `_limit`, and maximum tasks that one bulk update changes.
pub(super) const MOST: usize = 1000;

/// Creates a task. Only the types `lead` and `outgoing_call` can be created; the system creates the others.
pub(super) fn create(change: &mut Change<'_>, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let id = match body.text("_type").unwrap_or("lead") {
        "lead" => change.create(Kind::Task, &body)?,
        "outgoing_call" => {
            change.create_with(Kind::Notification, &body, |task| task.set("_type", Value::from("outgoing_call")))?
        }
        other => return Err(Refusal::field("_type", format!("Tasks of type '{other}' cannot be created."))),
    };
    Ok(object::written(change, id, request, 200))
}

/// Changes every task that the filters of the list select, and answers `{"ok": true}`.
pub(super) fn update(change: &mut Change<'_>, request: &Request) -> Result<Answer, Refusal> {
    let mut body = request.json()?;
    let mut filters = request.clone();
    if let Some(serde_json::Value::Object(params)) = body.map.shift_remove("_params") {
        let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        filters.params.extend(params.iter().map(|(name, value)| (name.clone(), text(value))));
    }
    filters.params.retain(|(name, _)| !matches!(name.as_str(), "_limit" | "_skip" | "_order_by"));
    filters.params.push(("_limit".to_owned(), MOST.to_string()));
    let collection = &SOURCE.collections[0];
    let view = change.view();
    let page = list::page(&view, collection, &filters)?;
    if page.has_more {
        return Err(Refusal::bad(format!("Cannot bulk update more than {MOST} objects.")));
    }
    for task in &page.rows {
        if let Some(caller) = &change.actor.caller {
            object::permit(&view, caller, collection, Deed::Update, Some(task))?;
        }
        input::read_again(&view, task, &body.map, body.offset_minutes)?;
    }
    let ids: Vec<_> = page.rows.iter().map(|task| task.id).collect();
    // The lead and the contact of a task cannot be changed in bulk.
    body.map.retain(|name, _| !matches!(name.as_str(), "lead_id" | "contact_id"));
    for id in ids {
        change.revise(id, &body)?;
    }
    Ok(Answer::json(200, &json!({ "ok": true })))
}
