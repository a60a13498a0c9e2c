//! The event log: newest first, mutable for a few seconds, gone after 30 days (reference, section 6).

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::Switches;
use crate::model::{Id, Key, Moment};

/// A word of the program. (An alias, so that serde does not take it for a borrowed text.)
pub type Name = &'static str;

/// One event. `data` and `previous_data` are JSON as it was when the event was made or last consolidated.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Stable across consolidation.
    pub id: Id,
    /// Orders events of one microsecond; grows with each consolidation.
    pub order: u64,
    /// The first action.
    pub created: Moment,
    /// The last consolidated action.
    pub updated: Moment,
    /// From when on the log shows the present content.
    pub visible: Moment,
    /// The causing user; `None` for the system.
    pub user: Option<Id>,
    /// The causing request.
    pub request: Option<Id>,
    /// The key of that request.
    pub api_key: Option<Id>,
    /// The OAuth application of that request, and its scope.
    pub oauth: Option<(Id, Arc<str>)>,
    /// As `lead` or `activity.call`.
    #[serde(with = "name")]
    pub object_type: Name,
    /// Whose event.
    pub object: Id,
    /// The lead it belongs to.
    pub lead: Option<Id>,
    /// As `updated`.
    #[serde(with = "name")]
    pub action: Name,
    /// What an update changed.
    pub changed: Vec<Key>,
    /// The object after the action.
    pub data: Option<Arc<[u8]>>,
    /// The old values, or for a delete everything.
    pub previous: Option<Arc<[u8]>>,
    /// The old value of every changed field, as `"key":value`, in the order of the object: what `previous` is built of.
    pub previous_members: Vec<(Key, Arc<[u8]>)>,
    /// `request_method`, `request_path` and what a composite operation adds.
    pub meta: Arc<[u8]>,
}

/// The place of an event in the log.
pub type Place = (Moment, u64);

/// All events within the retention.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct EventLog {
    events: BTreeMap<Place, Arc<Event>>,
    places: FxHashMap<Id, Place>,
    /// The last `updated` or `created` event of each object, for consolidation; pruned with the events.
    open: FxHashMap<Id, Id>,
    last: u64,
    /// Events that were added or changed since somebody looked, in order: what webhooks are matched against.
    #[serde(default)]
    pending: Vec<Id>,
}

impl EventLog {
    /// Adds an event and returns its id.
    pub fn add(&mut self, mut event: Event) -> Id {
        self.last += 1;
        event.order = self.last;
        let place = (event.updated, event.order);
        let id = event.id;
        if matches!(event.action, "updated" | "created") {
            self.open.insert(event.object, id);
        } else if event.action == "deleted" {
            self.open.remove(&event.object);
        }
        self.places.insert(id, place);
        self.events.insert(place, Arc::new(event));
        self.pending.push(id);
        id
    }

    /// Folds an update into the event that is open for its object, if the switches let it, and returns that event's id.
    pub fn consolidate(&mut self, update: &Event, switches: &Switches) -> Option<Id> {
        let id = *self.open.get(&update.object)?;
        let place = *self.places.get(&id)?;
        let open = self.events.get(&place)?;
        let folds = update.action == "updated"
            && (open.action == "updated" || switches.consolidate_into_created)
            && open.object_type == update.object_type
            && update.updated.millis_since(open.updated) < switches.consolidation_ms
            && (switches.consolidate_any_context
                || (open.user == update.user && open.api_key == update.api_key && open.oauth == update.oauth));
        if !folds {
            return None;
        }
        let mut event = Arc::unwrap_or_clone(self.events.remove(&place)?);
        self.last += 1;
        event.order = self.last;
        event.updated = update.updated;
        // What readers have seen already does not vanish again; only its content moves on.
        event.visible = event.visible.min(update.visible);
        event.request = update.request;
        event.data.clone_from(&update.data);
        event.lead = update.lead;
        event.meta = Arc::clone(&update.meta);
        if event.action == "updated" {
            for (key, old) in &update.previous_members {
                if !event.previous_members.iter().any(|(k, _)| k == key) {
                    event.previous_members.push((*key, Arc::clone(old)));
                }
            }
            for key in &update.changed {
                if !event.changed.contains(key) {
                    event.changed.push(*key);
                }
            }
            event.previous = Some(join(&event.previous_members));
        }
        let place = (event.updated, event.order);
        self.places.insert(id, place);
        self.events.insert(place, Arc::new(event));
        self.pending.push(id);
        Some(id)
    }

    /// An event by id.
    pub fn get(&self, id: Id) -> Option<&Arc<Event>> {
        self.events.get(self.places.get(&id)?)
    }

    /// Events older than a place, newest first; from the newest without one. Those not yet visible are among them.
    pub fn older(&self, than: Option<Place>) -> impl Iterator<Item = (Place, &Arc<Event>)> {
        self.events.range(..than.unwrap_or((Moment::LAST, u64::MAX))).rev().map(|(place, event)| (*place, event))
    }

    /// Events newer than a place, oldest first.
    pub fn newer(&self, than: Place) -> impl Iterator<Item = (Place, &Arc<Event>)> {
        self.events.range((std::ops::Bound::Excluded(than), std::ops::Bound::Unbounded)).map(|(place, event)| (*place, event))
    }

    /// Takes the events that were added or changed since the last call, in order; one that changed twice is there twice.
    pub fn take_pending(&mut self) -> Vec<Id> {
        std::mem::take(&mut self.pending)
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(super) fn prune(&mut self, before: Moment) {
        while let Some(entry) = self.events.first_entry() {
            if entry.key().0 >= before {
                break;
            }
            let event = entry.remove();
            self.places.remove(&event.id);
            if self.open.get(&event.object) == Some(&event.id) {
                self.open.remove(&event.object);
            }
        }
    }
}

/// An object of members that are written already.
pub fn join(members: &[(Key, Arc<[u8]>)]) -> Arc<[u8]> {
    let mut out = vec![b'{'];
    for (at, (_, member)) in members.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(member);
    }
    out.push(b'}');
    out.into()
}

mod name {
    use serde::{Deserialize, Deserializer, Serializer};

    // The form that `serde(with)` asks for.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub(super) fn serialize<S: Serializer>(name: &&'static str, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(name)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static str, D::Error> {
        Ok(crate::model::record::intern(&String::deserialize(deserializer)?))
    }
}
