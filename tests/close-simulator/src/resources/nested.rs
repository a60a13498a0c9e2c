//! Settings shown inside others: the statuses of a pipeline, the fields of a type, the memberships of the organization.
//! Each object that holds others may keep an order of them, which people choose, as a list of ids that is stored and
//! not shown.

use serde_json::Value as Json;

use crate::{
    model::{
        Id, Record, Value,
        render::{self, Selection},
    },
    world::{
        change::{Body, Change},
        view::View,
    },
};

/// An object as lists show it.
pub fn object(view: &View<'_>, record: &Record, selection: &Selection) -> Value {
    let mut out = Vec::with_capacity(512);
    render::write(view, record, render::LIST, selection, &mut out);
    Value::Json(String::from_utf8(out).expect("JSON is UTF-8").into())
}

/// Objects as lists show them.
pub fn list<'r>(view: &View<'_>, records: impl IntoIterator<Item = &'r Record>, selection: &Selection) -> Value {
    Value::list(records.into_iter().map(|record| object(view, record, selection)))
}

/// A selection of these fields.
pub fn only(names: &[&str]) -> Selection {
    Selection::Named(names.iter().map(|name| (*name).to_owned()).collect())
}

/// Puts records into the order that their owner keeps under a name; what the order does not know comes last, oldest
/// first.
pub fn sort(owner: Option<&Record>, order: &'static str, records: &mut [&Record]) {
    let order = owner.and_then(|owner| owner.get(order)).map(Value::items).unwrap_or_default();
    records.sort_by_key(|record| {
        let at = order.iter().position(|id| id.as_id() == Some(record.id)).unwrap_or(usize::MAX);
        (at, record.created, record.id)
    });
}

/// Keeps another order. Nobody is told: no event type speaks of the order of settings.
pub fn reorder(change: &mut Change<'_>, owner: Id, order: &'static str, ids: &[Id]) {
    if let Some(owner) = change.get(owner) {
        change.alter_silently(Record::clone(&owner).with(order, Value::list(ids.iter().map(|id| Value::Id(*id)))));
    }
}

/// The known ids of `[{"id": …}, …]` under a name in a body, in their order; what else stands there is left out.
pub fn named_ids(view: &View<'_>, body: &Body, name: &str) -> Vec<Id> {
    let items = body.get(name).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| view.parse_id(item.get("id")?.as_str()?)).filter(|id| view.exists(*id)).collect()
}
