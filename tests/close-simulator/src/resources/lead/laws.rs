//! Side effects of a change of a lead: nested contacts, a `Created` activity, status changes, the deletion of its
//! children.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::address;
use crate::{
    model::{Id, Key, Kind, Record, Refusal, Value},
    resources::{
        activity::{created as created_activity, status_change},
        contact, spelling, status,
    },
    world::{
        change::{Body, Change, draw},
        view::View,
    },
};

/// Accepts `status` with the label of the status.
pub(super) fn reword(view: &View<'_>, body: &Body) -> Result<Option<Body>, Refusal> {
    let Some(label) = body.text("status").filter(|_| body.get("status_id").is_none()) else { return Ok(None) };
    let status = spelling::status(view, Kind::LeadStatus, label, |_| true)
        .ok_or_else(|| Refusal::field("status", format!("Lead status '{label}' does not exist.")))?;
    let mut body = body.clone();
    body.map.insert("status_id".to_owned(), view.id_text(status).into());
    Ok(Some(body))
}

pub(super) fn prepare(change: &mut Change<'_>, lead: &mut Record, body: &Body) -> Result<(), Refusal> {
    address::check(lead)?;
    let drafts = drafts(change, body, None)?;
    if lead.get("status_id").is_none() {
        let first = status::of_leads(&change.whole()).first().map(|status| status.id);
        lead.set("status_id", first);
    }
    if lead.get("source").is_none() {
        lead.set("source", "api");
    }
    if let Some(author) = lead.id_of("created_by") {
        lead.author = Some(author);
        lead.set("created_by", Value::Null);
    }
    // The lead's `created` event names its contacts, so they are stored before it; `created` emits their events.
    for fields in drafts {
        let mut contact = change.record(Kind::Contact);
        contact.lead = Some(lead.id);
        contact.fields = fields;
        change.world.store.put(Arc::new(contact));
    }
    Ok(())
}

pub(super) fn created(change: &mut Change<'_>, id: Id, body: &Body) {
    if body.get("contacts").is_some() {
        let contacts: Vec<Record> = change.whole().of_lead(id, Kind::Contact).cloned().collect();
        for contact in contacts {
            change.insert(contact);
        }
    }
    created_activity::leave(change, id);
}

/// Creates a lead for a contact without one. The caller stores the contact again and emits its event.
pub fn create_around(change: &mut Change<'_>, body: &Body, contact: &Record) -> Result<Id, Refusal> {
    let mut lead = change.record(Kind::Lead);
    lead.set("name", body.text("name"));
    prepare(change, &mut lead, body)?;
    let within = Record { lead: Some(lead.id), ..contact.clone() };
    change.world.store.put(Arc::new(within));
    let id = change.insert(lead);
    created(change, id, body);
    Ok(id)
}

pub(super) fn revise(
    change: &mut Change<'_>,
    _before: &Record,
    after: &mut Record,
    body: &Body,
) -> Result<(), Refusal> {
    address::check(after)?;
    drafts(change, body, Some(after.id))?;
    Ok(())
}

pub(super) fn updated(change: &mut Change<'_>, before: &Record, id: Id, body: &Body) -> Result<(), Refusal> {
    let Some(after) = change.get(id) else { return Ok(()) };
    if let (old, Some(new)) = (before.id_of("status_id"), after.id_of("status_id"))
        && old != Some(new)
    {
        status_change::lead_moved(change, id, old, new);
    }
    for item in body.get("contacts").and_then(Json::as_array).into_iter().flatten() {
        let Some(map) = item.as_object() else { continue };
        let mut body = Body { map: map.clone(), offset_minutes: body.offset_minutes };
        let present = known(&change.view(), item, id).map(|contact| contact.id);
        if let Some(contact) = present {
            body.map.shift_remove("lead_id");
            change.revise(contact, &body)?;
        } else {
            body.map.insert("lead_id".to_owned(), id.text(change.world.seed).into());
            change.create(Kind::Contact, &body)?;
        }
    }
    Ok(())
}

/// Deletes the lead with all its children, in an order that is not guaranteed: the lead may come first, last or in
/// between (reference, section 8.4).
pub(super) fn deleting(change: &mut Change<'_>, lead: &Record) {
    let mut all = children(&change.whole(), lead.id);
    all.push(lead.id);
    let seed = change.world.seed;
    let place = |id: &Id| draw(seed, id.serial().wrapping_mul(61).wrapping_add(id.kind() as u64));
    all.sort_by(|a, b| place(a).total_cmp(&place(b)));
    change.remove_together(&all);
}

/// All children of a lead; comments and sequence subscriptions belong to the lead of their object.
pub(super) fn children(view: &View<'_>, lead: Id) -> Vec<Id> {
    Kind::ALL.iter().flat_map(|kind| view.of_lead(lead, *kind)).map(|child| child.id).collect()
}

/// The contact of this lead that an item of `contacts` names, if any.
fn known<'v>(view: &'v View<'_>, item: &Json, lead: Id) -> Option<&'v Record> {
    let text = item.get("id")?.as_str()?;
    view.parse_id(text)
        .and_then(|id| view.get(id))
        .filter(|contact| contact.kind() == Kind::Contact && contact.lead == Some(lead))
}

/// The contacts nested in a body, all checked; for an existing lead, those with an id are updates.
fn drafts(change: &Change<'_>, body: &Body, lead: Option<Id>) -> Result<Vec<Vec<(Key, Value)>>, Refusal> {
    let Some(contacts) = body.get("contacts") else { return Ok(Vec::new()) };
    let Some(items) = contacts.as_array() else { return Err(Refusal::field("contacts", "Not a valid list.")) };
    let view = change.view();
    let mut errors = Map::new();
    let mut drafts = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let present = lead.and_then(|lead| known(&view, item, lead));
        match contact::nested(&view, item, present, body.offset_minutes) {
            Ok(fields) => drafts.push(fields),
            Err(refusal) => drop(errors.insert(at.to_string(), refusal.nested())),
        }
    }
    if errors.is_empty() {
        return Ok(drafts);
    }
    let mut fields = Map::new();
    fields.insert("contacts".to_owned(), json!({ "errors": errors }));
    Err(Refusal::Invalid { errors: Vec::new(), fields })
}
