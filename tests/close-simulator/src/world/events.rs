//! The event log: ordered by `date_updated`, mutable for a few seconds, limited to 30 days (reference, section 6).

mod event;
mod index;
mod open;

use std::{collections::BTreeMap, sync::Arc};

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize, Serializer};

use super::Switches;
use crate::model::{Id, Moment};
pub use event::{Event, Members, Name, Place, join};
pub use index::By;

/// All events within the retention.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(from = "Kept")]
pub struct EventLog {
    #[serde(serialize_with = "in_order")]
    events: BTreeMap<Place, Arc<Event>>,
    open: open::Open,
    last: u64,
    #[serde(skip)]
    places: FxHashMap<Id, Place>,
    #[serde(skip)]
    index: index::Index,
}

/// The part that a snapshot holds; the rest is derived.
#[derive(Deserialize)]
struct Kept {
    events: Vec<Arc<Event>>,
    open: open::Open,
    last: u64,
}

impl EventLog {
    /// Adds an event with the old values of its changed fields, and returns its id.
    pub fn add(&mut self, mut event: Event, members: Members) -> Id {
        event.order = self.next_order();
        // Not below the last event of the object, whose stamp may be ahead of the clock by some milliseconds.
        if let Some(open) = self.open.get(event.object).filter(|open| open.updated > event.updated) {
            (event.created, event.updated) = (open.updated, open.updated);
        }
        let (id, object, updated) = (event.id, event.object, event.updated);
        if matches!(event.action, "updated" | "created") {
            self.open.put(object, open::OpenEvent { event: id, updated, members });
        } else if event.action == "deleted" {
            self.open.take(object);
        }
        self.put(event);
        id
    }

    /// Consolidates an update into the open event of its object, if the switches allow it, and returns that event's id
    /// (reference, section 6.4): the id, `date_created` and the old values of the first update stay, everything else is
    /// the newest. The window restarts with each update.
    pub fn consolidate(&mut self, update: &Event, members: &Members, switches: &Switches) -> Option<Id> {
        self.open.close(update.updated.plus_millis(-switches.consolidation_ms));
        if update.action != "updated" {
            return None;
        }
        let open = self.open.get(update.object)?;
        let place = *self.places.get(&open.event)?;
        let event = self.events.get(&place)?;
        let folds = (event.action == "updated" || switches.consolidate_into_created)
            && event.object_type == update.object_type
            && update.updated.millis_since(event.updated) < switches.consolidation_ms
            && (switches.consolidate_any_context
                || (event.user == update.user && event.api_key == update.api_key && event.oauth == update.oauth));
        if !folds {
            return None;
        }
        let mut open = self.open.take(update.object)?;
        let event = self.events.remove(&place)?;
        self.index.remove(&event);
        let mut event = Arc::unwrap_or_clone(event);
        event.order = self.next_order();
        // Every version of an event that readers may have seen has a distinct stamp (reference, section 6.4).
        let least = event.updated.plus_millis(i64::from(event.request != update.request));
        event.updated = update.updated.max(least);
        // An event that readers may have seen does not vanish again; only its content changes.
        event.visible = event.visible.min(update.visible);
        event.user = update.user;
        event.request = update.request;
        event.api_key = update.api_key;
        event.oauth.clone_from(&update.oauth);
        event.data.clone_from(&update.data);
        event.lead = update.lead;
        event.meta = Arc::clone(&update.meta);
        if event.action == "updated" {
            for (key, old) in members {
                // A field that was unset at first has no old value, however often it changes afterwards.
                if !event.changed.contains(key) {
                    open.members.push((*key, Arc::clone(old)));
                }
            }
            let mut changed = event.changed.into_vec();
            for key in &update.changed {
                if !changed.contains(key) {
                    changed.push(*key);
                }
            }
            event.changed = changed.into();
            event.previous = Some(join(&open.members));
        }
        open.updated = event.updated;
        let id = event.id;
        self.open.put(event.object, open);
        self.put(event);
        Some(id)
    }

    pub fn get(&self, id: Id) -> Option<&Arc<Event>> {
        self.events.get(self.places.get(&id)?)
    }

    /// Events older than a position, newest first; all of them without a position. Events that are not yet visible are
    /// included.
    pub fn older(&self, than: Option<Place>) -> impl Iterator<Item = (Place, &Arc<Event>)> {
        self.events.range(..than.unwrap_or((Moment::LAST, u64::MAX))).rev().map(|(place, event)| (*place, event))
    }

    /// Events newer than a position, oldest first.
    pub fn newer(&self, than: Place) -> impl Iterator<Item = (Place, &Arc<Event>)> {
        self.events
            .range((std::ops::Bound::Excluded(than), std::ops::Bound::Unbounded))
            .map(|(place, event)| (*place, event))
    }

    /// As [`EventLog::older`], for a part of the log; it may include events outside that part.
    pub fn older_by<'l>(&'l self, by: By<'_>, than: Place) -> Box<dyn Iterator<Item = &'l Arc<Event>> + 'l> {
        match by {
            By::All => Box::new(self.older(Some(than)).map(|(_, event)| event)),
            by => Box::new(self.index.from(by, than, false).filter_map(|place| self.events.get(&place))),
        }
    }

    /// As [`EventLog::newer`], for a part of the log; it may include events outside that part.
    pub fn newer_by<'l>(&'l self, by: By<'_>, than: Place) -> Box<dyn Iterator<Item = &'l Arc<Event>> + 'l> {
        match by {
            By::All => Box::new(self.newer(than).map(|(_, event)| event)),
            by => Box::new(self.index.from(by, than, true).filter_map(|place| self.events.get(&place))),
        }
    }

    /// Number of additions and consolidations so far.
    pub fn count(&self) -> u64 {
        self.last
    }

    pub fn len(&self) -> usize {
        self.events.len()
    }

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
            self.index.remove(&event);
        }
    }

    fn next_order(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn put(&mut self, event: Event) {
        self.index.add(&event);
        self.places.insert(event.id, event.place());
        self.events.insert(event.place(), Arc::new(event));
    }
}

impl From<Kept> for EventLog {
    fn from(kept: Kept) -> Self {
        let mut log = Self { open: kept.open, last: kept.last, ..Self::default() };
        for event in kept.events {
            log.index.add(&event);
            log.places.insert(event.id, event.place());
            log.events.insert(event.place(), event);
        }
        log
    }
}

fn in_order<S: Serializer>(events: &BTreeMap<Place, Arc<Event>>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(events.values())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Key, Kind};

    fn update(log: &mut EventLog, object: u64, millis: i64) -> Id {
        let at = Moment(1_788_264_000_000_000).plus_millis(millis);
        let event = Event {
            id: Id::new(Kind::Event, log.count() + 1),
            order: 0,
            created: at,
            updated: at,
            visible: at,
            user: Some(Id::new(Kind::User, 1)),
            request: Some(Id::new(Kind::Request, log.count() + 1)),
            api_key: None,
            oauth: None,
            object_type: "contact",
            object: Id::new(Kind::Contact, object),
            lead: Some(Id::new(Kind::Lead, 1)),
            action: "updated",
            changed: Box::new([Key::Name("name")]),
            data: None,
            previous: None,
            meta: Arc::from(*b"{}"),
        };
        let members: Members = vec![(Key::Name("name"), Arc::from(*b"\"name\":null"))];
        match log.consolidate(&event, &members, &Switches::default()) {
            Some(id) => id,
            None => log.add(event, members),
        }
    }

    fn found(log: &EventLog, by: By<'_>) -> Vec<Id> {
        log.older_by(by, (Moment::LAST, u64::MAX)).map(|event| event.id).collect()
    }

    #[test]
    fn only_events_within_the_window_keep_old_values_by_field() {
        let mut log = EventLog::default();
        for n in 0..1_000 {
            update(&mut log, n + 1, n as i64 * 100);
        }
        assert_eq!(log.len(), 1_000);
        assert_eq!(log.open.len(), 50, "those of the last five seconds");
    }

    #[test]
    fn the_index_follows_consolidation_and_retention_and_a_restored_log_is_the_same() {
        let mut log = EventLog::default();
        let first = update(&mut log, 1, 0);
        let second = update(&mut log, 2, 10);
        assert_eq!(update(&mut log, 1, 20), first);
        let restored: EventLog = serde_json::from_slice(&serde_json::to_vec(&log).unwrap()).unwrap();
        for log in [&log, &restored] {
            assert_eq!(found(log, By::All), [first, second]);
            assert_eq!(found(log, By::Lead(Id::new(Kind::Lead, 1))), [first, second]);
            assert_eq!(found(log, By::Action("contact", "updated")), [first, second]);
            assert_eq!(found(log, By::UserOn(Id::new(Kind::User, 1), "contact")), [first, second]);
            assert_eq!(found(log, By::UserOn(Id::new(Kind::User, 2), "contact")), []);
            assert_eq!(found(log, By::UserOn(Id::new(Kind::User, 1), "lead")), []);
            assert_eq!(found(log, By::Object(Id::new(Kind::Contact, 2))), [second]);
            assert_eq!(
                found(log, By::Request(Id::new(Kind::Request, 1))),
                [],
                "the request of a folded event is the newest"
            );
            assert_eq!(log.get(first).map(|event| event.place()), log.older(None).next().map(|(place, _)| place));
        }
        let mut log = restored;
        assert_eq!(update(&mut log, 2, 30), second, "what was open can still be folded into");
        log.prune(Moment(1_788_264_000_000_000).plus_millis(25));
        assert_eq!(found(&log, By::User(Id::new(Kind::User, 1))), [second]);
        assert!(log.get(first).is_none());
    }
}
