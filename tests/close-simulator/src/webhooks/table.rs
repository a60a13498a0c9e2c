//! The active subscriptions by event.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde_json::Value as Json;

use super::{catalogue::canonical, matcher::Matcher};
use crate::{
    model::{Id, Kind, Moment, Value},
    resources::event::{Parts, write},
    world::{World, events::Event, view::View},
};

/// A subscription to a pair; at least one of its filters must match the event.
#[derive(Debug)]
struct Target {
    subscription: Id,
    filters: Vec<Option<Matcher>>,
}

/// By object type and action.
#[derive(Debug, Default)]
pub(super) struct Table {
    targets: FxHashMap<String, Vec<Target>>,
}

/// Builds the table if needed.
pub(super) fn of(world: &mut World) -> Arc<Table> {
    if let Some(table) = &world.webhooks.table {
        return Arc::clone(table);
    }
    let mut table = Table::default();
    for id in world.store.of_kind(Kind::Webhook, Moment(i64::MIN), Moment::LAST) {
        let Some(record) = world.store.get(id).filter(|record| record.text("status") == Some("active")) else {
            continue;
        };
        let Some(Value::Json(events)) = record.get("events") else { continue };
        for pair in serde_json::from_str::<Vec<Json>>(events).unwrap_or_default() {
            let text = |name: &str| pair[name].as_str().unwrap_or_default();
            let targets = table.targets.entry(key(text("object_type"), text("action"))).or_default();
            let filter = match &pair["extra_filter"] {
                Json::Null => None,
                filter => Matcher::parse(filter).ok(),
            };
            match targets.iter_mut().find(|target| target.subscription == id) {
                Some(target) => target.filters.push(filter),
                None => targets.push(Target { subscription: id, filters: vec![filter] }),
            }
        }
    }
    let table = Arc::new(table);
    world.webhooks.table = Some(Arc::clone(&table));
    table
}

impl Table {
    /// Returns true if a subscription may want the event.
    pub(super) fn wants(&self, event: &Event) -> bool {
        !self.targets.is_empty() && self.targets.contains_key(&key(event.object_type, event.action))
    }

    /// The subscriptions that want an event. Filters see it as the log of an administrator shows it.
    pub(super) fn targets(&self, world: &World, event: &Event) -> Vec<Id> {
        let Some(targets) = self.targets.get(&key(event.object_type, event.action)) else { return Vec::new() };
        let mut document = None;
        let mut passes = |filter: &Option<Matcher>| {
            let Some(matcher) = filter else { return true };
            matcher.matches(document.get_or_insert_with(|| {
                let mut out = Vec::new();
                write(&View::now(world), event, Parts::All, &mut out);
                serde_json::from_slice::<Json>(&out).unwrap_or_default()
            }))
        };
        targets
            .iter()
            .filter(|target| target.filters.iter().any(&mut passes))
            .map(|target| target.subscription)
            .collect()
    }
}

fn key(object_type: &str, action: &str) -> String {
    format!("{}/{action}", canonical(object_type))
}
