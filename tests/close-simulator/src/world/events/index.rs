//! Places in the log by what readers filter by, so that a filter that matches little does not walk the whole log.
//!
//! One ordered set holds every key, 24 bytes an entry, five entries an event at most. What it gives is a superset that the reader
//! checks: keys of different columns may meet.

use std::collections::BTreeSet;

use super::{Event, Name, Place};
use crate::model::{Id, Moment};

/// What part of the log is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By<'a> {
    /// Everything.
    All,
    /// Events of one object.
    Object(Id),
    /// Events of a lead and of what belongs to it.
    Lead(Id),
    /// Events that one user caused.
    User(Id),
    /// Events of one request.
    Request(Id),
    /// Events of a type and an action.
    Action(&'a str, &'a str),
}

/// Leads are found under two keys, as objects and as leads.
const LEAD: u64 = 1 << 63;
const ACTION: u64 = 1 << 62;

#[derive(Debug, Default)]
pub(super) struct Index {
    places: BTreeSet<(u64, Place)>,
    /// Types with actions in the order of their first appearance, which numbers them.
    actions: Vec<(Name, Name)>,
}

impl Index {
    pub(super) fn add(&mut self, event: &Event) {
        if !self.actions.contains(&(event.object_type, event.action)) {
            self.actions.push((event.object_type, event.action));
        }
        for key in self.keys(event).into_iter().flatten() {
            self.places.insert((key, event.place()));
        }
    }

    pub(super) fn remove(&mut self, event: &Event) {
        for key in self.keys(event).into_iter().flatten() {
            self.places.remove(&(key, event.place()));
        }
    }

    /// Places older than one, newest first.
    pub(super) fn older(&self, by: By<'_>, than: Place) -> impl Iterator<Item = Place> + '_ {
        self.key(by)
            .into_iter()
            .flat_map(move |key| self.places.range((key, (Moment(i64::MIN), 0))..(key, than)).rev())
            .map(|e| e.1)
    }

    /// Places newer than one, oldest first.
    pub(super) fn newer(&self, by: By<'_>, than: Place) -> impl Iterator<Item = Place> + '_ {
        use std::ops::Bound::{Excluded, Included};
        let bounds = move |key| (Excluded((key, than)), Included((key, (Moment::LAST, u64::MAX))));
        self.key(by).into_iter().flat_map(move |key| self.places.range(bounds(key))).map(|entry| entry.1)
    }

    fn key(&self, by: By<'_>) -> Option<u64> {
        match by {
            By::All => None,
            By::Object(id) | By::User(id) | By::Request(id) => Some(raw(id)),
            By::Lead(id) => Some(raw(id) | LEAD),
            By::Action(object_type, action) => {
                let number = self.actions.iter().position(|known| *known == (object_type, action))?;
                Some(number as u64 | ACTION)
            }
        }
    }

    fn keys(&self, event: &Event) -> [Option<u64>; 5] {
        [
            self.key(By::Object(event.object)),
            event.lead.and_then(|id| self.key(By::Lead(id))),
            event.user.and_then(|id| self.key(By::User(id))),
            event.request.and_then(|id| self.key(By::Request(id))),
            self.key(By::Action(event.object_type, event.action)),
        ]
    }
}

fn raw(id: Id) -> u64 {
    ((id.kind() as u64) << 56) | id.serial()
}
