//! Every change in order, with the versions and events that it produced.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;

use crate::{
    Simulator,
    http::Request,
    model::{Key, Record, Refusal, Stamps},
    world::{World, history::Entry},
};

/// Lines rendered under one lock.
const PORTION: usize = 1_000;

/// `since=N`: starts with the Nth change; 1 if absent.
pub(super) fn asked(request: &Request) -> Result<u64, Refusal> {
    match request.param("since") {
        None => Ok(1),
        Some(text) => {
            text.parse().map_err(|_| Refusal::bad(format!("since must be the number of a change, not `{text}`")))
        }
    }
}

/// One line per change: its number, moment, object, versions, changed fields and events. Ends with the change that was
/// the newest when the request arrived.
pub(super) fn lines(simulator: &Arc<Simulator>, request: &Request) -> Result<mpsc::Receiver<Bytes>, Refusal> {
    let mut next = asked(request)?;
    let last = simulator.read().history.last();
    Ok(super::lines::stream(simulator, move |world, out| {
        for entry in world.history.since(next).take_while(|entry| entry.number <= last).take(PORTION) {
            serde_json::to_writer(&mut *out, &line(world, entry)).expect("JSON can be written");
            out.push(b'\n');
            next = entry.number + 1;
        }
        next <= last && !out.is_empty()
    }))
}

fn line(world: &World, entry: &Entry) -> Json {
    let text = |id: crate::model::Id| id.text(world.seed);
    let resource = entry.object.kind().resource();
    let updated = |record: &Option<Arc<Record>>| record.as_ref().map(|record| record.updated.text(resource.stamps));
    let change = match (&entry.before, &entry.after) {
        (None, _) => "created",
        (_, None) => "deleted",
        _ => "updated",
    };
    let events: Vec<Json> = entry
        .events
        .iter()
        .map(|id| match world.events.get(*id) {
            Some(event) => json!({
                "id": text(*id),
                "object_type": event.object_type,
                "object_id": text(event.object),
                "action": event.action,
            }),
            None => json!({ "id": text(*id) }),
        })
        .collect();
    json!({
        "number": entry.number,
        "at": entry.at.text(Stamps::Offset),
        "object": resource.name,
        "id": text(entry.object),
        "lead_id": entry.after.as_ref().or(entry.before.as_ref()).and_then(|record| record.lead).map(text),
        "change": change,
        "changed": changed(world, entry),
        "date_updated_before": updated(&entry.before),
        "date_updated": updated(&entry.after),
        "request_id": entry.request.map(text),
        "events": events,
    })
}

/// Names of the stored fields that differ, sorted; `lead_id` and `date_updated` included.
fn changed(world: &World, entry: &Entry) -> Vec<String> {
    let (Some(before), Some(after)) = (&entry.before, &entry.after) else { return Vec::new() };
    let name = |key: Key| match key {
        Key::Name(name) => name.to_owned(),
        Key::Custom(id) => format!("custom.{}", id.text(world.seed)),
    };
    let mut changed: Vec<String> = after
        .fields
        .iter()
        .filter(|(key, value)| before.value(*key) != Some(value))
        .map(|(key, _)| name(*key))
        .collect();
    changed.extend(before.fields.iter().filter(|(key, _)| after.value(*key).is_none()).map(|(key, _)| name(*key)));
    if before.lead != after.lead {
        changed.push("lead_id".to_owned());
    }
    if before.updated != after.updated {
        changed.push("date_updated".to_owned());
    }
    changed.sort_unstable();
    changed
}
