//! Settings shown inside others: the statuses of a pipeline, the fields of a type, the memberships of the organization.
//! An owner may keep a chosen order of its objects, as a stored list of ids that is not shown.

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

pub fn only(names: &[&str]) -> Selection {
    Selection::Named(names.iter().map(|name| (*name).to_owned()).collect())
}

/// Sorts records by the order that their owner keeps under a name; records that are not in it come last, oldest first.
pub fn sort(owner: Option<&Record>, order: &'static str, records: &mut [&Record]) {
    let order = owner.and_then(|owner| owner.get(order)).map(Value::items).unwrap_or_default();
    records.sort_by_key(|record| {
        let at = order.iter().position(|id| id.as_id() == Some(record.id)).unwrap_or(usize::MAX);
        (at, record.created, record.id)
    });
}

/// Stores a new order. It has no events: no event type covers the order of settings.
pub fn reorder(change: &mut Change<'_>, owner: Id, order: &'static str, ids: &[Id]) {
    if let Some(owner) = change.get(owner) {
        change.alter_silently(Record::clone(&owner).with(order, Value::list(ids.iter().map(|id| Value::Id(*id)))));
    }
}

/// The known ids of `[{"id": …}, …]` under a name in a body, in their order; other items are left out.
pub fn named_ids(view: &View<'_>, body: &Body, name: &str) -> Vec<Id> {
    let items = body.get(name).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| view.parse_id(item.get("id")?.as_str()?)).filter(|id| view.exists(*id)).collect()
}
